//! Strings by `format`: one that is always the same, and ones by chance.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::realistic::{self, Kind};

/// A text that is always the same. None of a format that says nothing about the text.
pub fn fixed(format: &str) -> Option<&'static str> {
    Some(match format {
        "date-time" | "datetime" | "timestamp" | "google-datetime" | "iso8601" => "2026-01-15T09:30:00Z",
        "date-time-local" | "local-date-time" => "2026-01-15T09:30:00",
        "date" | "full-date" | "google-date" => "2026-01-15",
        "time" | "full-time" => "09:30:00Z",
        "partial-time" | "local-time" | "time-local" => "09:30:00",
        "duration" => "P1D",
        "google-duration" => "3600s",
        "year" => "2026",
        "year-month" | "month" => "2026-01",
        "http-date" => "Thu, 15 Jan 2026 09:30:00 GMT",
        "email" | "idn-email" => "user@example.com",
        "hostname" | "idn-hostname" | "host-name" | "domain" | "fqdn" | "host" => "example.com",
        "ipv4" | "ip" | "ip-address" | "ipaddress" | "ipv4-address" => "192.0.2.1",
        "ipv6" | "ipv6-address" => "2001:db8::1",
        "cidr" | "ipv4-cidr" | "cidrv4" => "192.0.2.0/24",
        "ipv6-cidr" | "cidrv6" => "2001:db8::/32",
        "mac" | "mac-address" => "00:00:5e:00:53:01",
        "uri" | "url" | "iri" | "link" | "href" | "http-url" | "https-url" => "https://example.com/",
        "uri-reference" | "iri-reference" | "uriref" => "/path",
        "uri-template" => "https://example.com/{id}",
        "uuid" | "guid" | "uuid4" | "uuidv4" => "123e4567-e89b-42d3-a456-426614174000",
        "json-pointer" => "/path/0",
        "relative-json-pointer" => "1/path",
        "regex" => "^[a-z]+$",
        "byte" | "base64" => "c3RyaW5n",
        "base64url" => "c3RyaW5n",
        "password" => "correct-Horse-7",
        "char" => "a",
        "phone" | "phone-number" | "phonenumber" | "tel" | "telephone" | "e164" | "msisdn" => "+12025550123",
        "country" | "country-code" | "countrycode" | "iso-3166-alpha-2" | "iso3166-1-alpha-2" => "US",
        "currency" | "currency-code" | "currencycode" | "iso-4217" => "USD",
        "timezone" | "time-zone" | "tz" => "Europe/Berlin",
        "language" | "language-code" | "lang" | "iso-639-1" => "en",
        "locale" | "bcp47" | "language-tag" => "en-US",
        "color" | "colour" | "hex-color" | "hexcolor" | "color-hex" => "#3366cc",
        "semver" | "version" => "1.2.3",
        "slug" => "some-words",
        "html" => "<p>text</p>",
        "markdown" => "*text*",
        "json" => "{}",
        "xml" => "<text/>",
        "md5" => "5f4dcc3b5aa765d61d8327deb882cf99",
        "sha1" => "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "sha256" => "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "objectid" | "object-id" | "mongo-id" => "507f1f77bcf86cd799439011",
        "ulid" => "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "isbn" | "isbn13" => "9780306406157",
        "credit-card" | "creditcard" | "card-number" => "4111111111111111",
        "iban" => "DE89370400440532013000",
        "zip" | "zip-code" | "postal-code" | "postcode" => "10115",
        "mime-type" | "media-type" => "text/plain",
        "decimal" | "double" | "float" | "number" | "money" | "amount" => "1.5",
        "int64" | "int32" | "uint64" | "uint32" | "integer" | "int" | "long" | "bigint" => "1",
        "google-fieldmask" => "name",
        _ => return None,
    })
}

/// A random one. `now` in milliseconds since the epoch.
pub fn random(format: &str, now: i64, rng: &mut fastrand::Rng) -> Option<String> {
    let digits =
        |rng: &mut fastrand::Rng, count: usize| (0..count).map(|_| rng.digit(10)).collect::<String>();
    let hex = |rng: &mut fastrand::Rng, count: usize| (0..count).map(|_| rng.digit(16)).collect::<String>();
    let kind = match format {
        "email" | "idn-email" => Kind::Email,
        "hostname" | "idn-hostname" | "host-name" | "domain" | "fqdn" | "host" => Kind::Domain,
        "ipv4" | "ip" | "ip-address" | "ipaddress" | "ipv4-address" => Kind::IpV4,
        "ipv6" | "ipv6-address" => Kind::IpV6,
        "mac" | "mac-address" => Kind::Mac,
        "uri" | "url" | "iri" | "link" | "href" | "http-url" | "https-url" => Kind::Url,
        "phone" | "phone-number" | "phonenumber" | "tel" | "telephone" | "e164" | "msisdn" => Kind::Phone,
        "country" | "country-code" | "countrycode" | "iso-3166-alpha-2" | "iso3166-1-alpha-2" => {
            Kind::CountryCode
        }
        "currency" | "currency-code" | "currencycode" | "iso-4217" => Kind::Currency,
        "timezone" | "time-zone" | "tz" => Kind::TimeZone,
        "language" | "language-code" | "lang" | "iso-639-1" => Kind::Language,
        "locale" | "bcp47" | "language-tag" => Kind::Locale,
        "color" | "colour" | "hex-color" | "hexcolor" | "color-hex" => Kind::Color,
        "semver" | "version" => Kind::Version,
        "slug" => Kind::Slug,
        "password" => Kind::Password,
        "isbn" | "isbn13" => Kind::Isbn,
        "credit-card" | "creditcard" | "card-number" => Kind::CreditCard,
        "mime-type" | "media-type" => Kind::MediaType,
        "zip" | "zip-code" | "postal-code" | "postcode" => Kind::Postcode,
        _ => {
            return Some(match format {
                "date-time" | "datetime" | "timestamp" | "google-datetime" | "iso8601" => {
                    at(past(now, rng), "%Y-%m-%dT%H:%M:%SZ")
                }
                "date-time-local" | "local-date-time" => at(past(now, rng), "%Y-%m-%dT%H:%M:%S"),
                "date" | "full-date" | "google-date" => at(past(now, rng), "%Y-%m-%d"),
                "time" | "full-time" => at(past(now, rng), "%H:%M:%SZ"),
                "partial-time" | "local-time" | "time-local" => at(past(now, rng), "%H:%M:%S"),
                "year" => at(past(now, rng), "%Y"),
                "year-month" | "month" => at(past(now, rng), "%Y-%m"),
                "http-date" => at(past(now, rng), "%a, %d %b %Y %H:%M:%S GMT"),
                "duration" => format!("P{}DT{}H{}M", rng.u32(1..30), rng.u32(1..24), rng.u32(1..60)),
                "google-duration" => format!("{}s", rng.u32(1..100_000)),
                "cidr" | "ipv4-cidr" | "cidrv4" => format!("10.{}.{}.0/24", rng.u8(..), rng.u8(..)),
                "ipv6-cidr" | "cidrv6" => format!("2001:db8:{:x}::/48", rng.u16(1..)),
                "uri-reference" | "iri-reference" | "uriref" => {
                    format!("/{}", realistic::of(Kind::Slug, rng))
                }
                "uri-template" => format!("https://{}/{{id}}", realistic::of(Kind::Domain, rng)),
                "uuid" | "guid" | "uuid4" | "uuidv4" => uuid(rng),
                "json-pointer" => format!("/{}/{}", realistic::of(Kind::Word, rng), rng.u8(..10)),
                "relative-json-pointer" => format!("{}/{}", rng.u8(..4), realistic::of(Kind::Word, rng)),
                "regex" => format!("^{}[0-9]*$", realistic::of(Kind::Word, rng)),
                "byte" | "base64" => STANDARD.encode(bytes(12, rng)),
                "base64url" => URL_SAFE.encode(bytes(12, rng)),
                "char" => rng.alphabetic().to_string(),
                "html" => format!("<p>{}</p>", realistic::of(Kind::Sentence, rng)),
                "markdown" => format!("*{}*", realistic::of(Kind::Sentence, rng)),
                "json" => format!("{{\"{}\":{}}}", realistic::of(Kind::Word, rng), rng.u8(..)),
                "xml" => format!("<{0}/>", realistic::of(Kind::Word, rng)),
                "md5" => hex(rng, 32),
                "sha1" => hex(rng, 40),
                "sha256" => hex(rng, 64),
                "objectid" | "object-id" | "mongo-id" => hex(rng, 24),
                "ulid" => {
                    let letters = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
                    let tail = (0..25).map(|_| char::from(letters[rng.usize(..letters.len())]));
                    std::iter::once('0').chain(tail).collect()
                }
                "iban" => format!("DE{}", digits(rng, 20)),
                "decimal" | "double" | "float" | "number" | "money" | "amount" => {
                    format!("{}.{:02}", rng.u32(1..1000), rng.u32(..100))
                }
                "int64" | "int32" | "uint64" | "uint32" | "integer" | "int" | "long" | "bigint" => {
                    rng.u32(1..100_000).to_string()
                }
                "google-fieldmask" => realistic::of(Kind::Word, rng),
                _ => return None,
            });
        }
    };
    Some(realistic::of(kind, rng))
}

/// As long as is asked for, where the format leaves it open; the others are what they are.
pub fn of_length(format: &str, text: &str, least: usize) -> Option<String> {
    let missing = least.checked_sub(text.chars().count()).filter(|missing| *missing > 0)?;
    let filler = "a".repeat(missing.min(1 << 20));
    Some(match format {
        "uri" | "url" | "iri" | "uri-reference" | "iri-reference" => format!("{text}{filler}"),
        "email" | "idn-email" if missing < 50 => format!("{filler}{text}"),
        "hostname" | "idn-hostname" if missing < 50 => format!("{filler}{text}"),
        "byte" | "base64" | "base64url" => {
            let groups = least.div_ceil(4).min(1 << 18);
            "c3Ry".repeat(groups)
        }
        "password" | "binary" => format!("{text}{filler}"),
        "json-pointer" => format!("{text}{filler}"),
        "regex" => filler + text.trim_start_matches('^'),
        _ => return None,
    })
}

/// Text for `contentEncoding` (RFC 4648).
pub fn encoded(encoding: &str, text: &str) -> String {
    let hex = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02X}");
            out
        })
    };
    match encoding.to_ascii_lowercase().as_str() {
        "base64" => STANDARD.encode(text),
        "base64url" => URL_SAFE.encode(text),
        "base16" | "hex" => hex(text),
        _ => text.to_owned(),
    }
}

/// RFC 9562, 5.4.
pub fn uuid(rng: &mut fastrand::Rng) -> String {
    let bits = rng.u128(..) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let (a, b, c) = (bits >> 96, bits >> 80 & 0xffff, bits >> 64 & 0xffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", bits >> 48 & 0xffff, bits & 0xffff_ffff_ffff)
}

/// Some time in the year before now.
pub fn past(now: i64, rng: &mut fastrand::Rng) -> i64 {
    now.saturating_sub(rng.i64(0..365 * 24 * 3600) * 1000)
}

/// A moment in UTC; one that no calendar has is the epoch.
pub fn at(milliseconds: i64, pattern: &str) -> String {
    let timestamp = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    let mut text = String::new();
    let _ = write!(text, "{}", timestamp.to_zoned(TimeZone::UTC).strftime(pattern));
    text
}

fn bytes(count: usize, rng: &mut fastrand::Rng) -> Vec<u8> {
    (0..count).map(|_| rng.u8(..)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mock::schema::Validator;

    /// What validators look into.
    const FORMATS: [&str; 19] = [
        "date-time",
        "date",
        "time",
        "duration",
        "email",
        "idn-email",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uuid",
        "uri-template",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ];

    #[test]
    fn texts_are_of_their_format() {
        for format in FORMATS {
            let bundle = json!({"$ref": "#/$defs/0", "$defs": {"0": {"format": format}}});
            let validator = Validator::new(bundle).expect("it compiles");
            let mut texts: Vec<String> = vec![fixed(format).expect("it is known").to_owned()];
            texts.extend(
                (0..200).filter_map(|seed| {
                    random(format, 1_768_470_000_000, &mut fastrand::Rng::with_seed(seed))
                }),
            );
            texts.extend(of_length(format, &texts[0], 40));
            assert!(texts.len() > 200);
            for text in texts {
                assert_eq!(validator.misfits(&text.as_str().into(), 3), [], "{format}");
            }
        }
    }

    #[test]
    fn what_has_a_fixed_text_has_random_ones() {
        for format in
            ["phone", "country", "currency", "timezone", "locale", "color", "semver", "byte", "ulid", "iban"]
        {
            let text = random(format, 0, &mut fastrand::Rng::with_seed(1)).expect("it is known");
            assert!(fixed(format).is_some_and(|fixed| !text.is_empty() && fixed != text), "{format}");
        }
    }
}
