//! Texts that look real, by what a field is called. The one door of `fake`.

use std::convert::Infallible;

use fake::Fake;
use fake::faker::address::raw::{
    BuildingNumber, CityName, CountryCode, CountryName, StateAbbr, StateName, StreetName, TimeZone, ZipCode,
};
use fake::faker::barcode::raw::Isbn13;
use fake::faker::company::raw::{CatchPhrase, CompanyName, Industry};
use fake::faker::creditcard::raw::CreditCardNumber;
use fake::faker::currency::raw::{CurrencyCode, CurrencyName};
use fake::faker::filesystem::raw::{FileName, MimeType, SemverStable};
use fake::faker::internet::raw::{MACAddress, SafeEmail, UserAgent, Username};
use fake::faker::job::raw::Title;
use fake::faker::lorem::raw::{Paragraph, Sentence, Word};
use fake::faker::name::raw::{FirstName, LastName, Name};
use fake::locales::EN;
use fake::rand::rand_core::TryRng;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    FirstName,
    LastName,
    Name,
    User,
    Email,
    Phone,
    Street,
    StreetName,
    Building,
    City,
    State,
    StateCode,
    Postcode,
    Country,
    CountryCode,
    TimeZone,
    Company,
    Industry,
    Job,
    Product,
    CurrencyName,
    Currency,
    Price,
    Url,
    Image,
    Domain,
    Path,
    IpV4,
    IpV6,
    Mac,
    UserAgent,
    File,
    MediaType,
    Version,
    Color,
    Language,
    Locale,
    Slug,
    Password,
    Token,
    Hash,
    Id,
    Isbn,
    CreditCard,
    Gender,
    Status,
    Word,
    Title,
    Sentence,
    Paragraph,
}

/// A text of a kind.
pub fn of(kind: Kind, rng: &mut fastrand::Rng) -> String {
    let seeded = &mut Seeded(rng);
    match kind {
        Kind::FirstName => FirstName(EN).fake_with_rng(seeded),
        Kind::LastName => LastName(EN).fake_with_rng(seeded),
        Kind::Name => Name(EN).fake_with_rng(seeded),
        Kind::User => Username(EN).fake_with_rng::<String, _>(seeded).to_ascii_lowercase(),
        Kind::Email => SafeEmail(EN).fake_with_rng(seeded),
        // 555-0100 to 555-0199 are nobody's.
        Kind::Phone => format!("+1{}5550{}", rng.u32(201..990), rng.u32(100..200)),
        Kind::Street => {
            let number: String = BuildingNumber(EN).fake_with_rng(seeded);
            let street: String = StreetName(EN).fake_with_rng(seeded);
            format!("{number} {street}")
        }
        Kind::StreetName => StreetName(EN).fake_with_rng(seeded),
        Kind::Building => BuildingNumber(EN).fake_with_rng(seeded),
        Kind::City => CityName(EN).fake_with_rng(seeded),
        Kind::State => StateName(EN).fake_with_rng(seeded),
        Kind::StateCode => StateAbbr(EN).fake_with_rng(seeded),
        Kind::Postcode => ZipCode(EN).fake_with_rng(seeded),
        Kind::Country => CountryName(EN).fake_with_rng(seeded),
        Kind::CountryCode => CountryCode(EN).fake_with_rng(seeded),
        Kind::TimeZone => TimeZone(EN).fake_with_rng(seeded),
        Kind::Company => CompanyName(EN).fake_with_rng(seeded),
        Kind::Industry => Industry(EN).fake_with_rng(seeded),
        Kind::Job => Title(EN).fake_with_rng(seeded),
        Kind::Product => CatchPhrase(EN).fake_with_rng(seeded),
        Kind::CurrencyName => CurrencyName(EN).fake_with_rng(seeded),
        Kind::Currency => CurrencyCode(EN).fake_with_rng(seeded),
        Kind::Price => format!("{}.{:02}", rng.u32(1..500), rng.u32(..100)),
        Kind::Url => {
            let (domain, path) = (of(Kind::Domain, rng), of(Kind::Slug, rng));
            format!("https://{domain}/{path}")
        }
        Kind::Image => format!("https://{}/{}.png", of(Kind::Domain, rng), of(Kind::Slug, rng)),
        Kind::Domain => format!("{}.example.{}", word(rng), pick(&["com", "org", "net"], rng)),
        Kind::Path => format!("/{}/{}", word(rng), word(rng)),
        // RFC 5737 and RFC 3849: nobody's.
        Kind::IpV4 => format!("{}.{}", pick(&["192.0.2", "198.51.100", "203.0.113"], rng), rng.u8(1..255)),
        Kind::IpV6 => format!("2001:db8:{:x}::{:x}", rng.u16(1..), rng.u16(1..)),
        Kind::Mac => MACAddress(EN).fake_with_rng(seeded),
        Kind::UserAgent => UserAgent(EN).fake_with_rng(seeded),
        Kind::File => FileName(EN).fake_with_rng(seeded),
        Kind::MediaType => MimeType(EN).fake_with_rng(seeded),
        Kind::Version => SemverStable(EN).fake_with_rng(seeded),
        Kind::Color => format!("#{:06x}", rng.u32(..0x100_0000)),
        Kind::Language => pick(&["en", "de", "fr", "es", "it", "pt", "nl", "pl", "ja", "zh"], rng).to_owned(),
        Kind::Locale => {
            pick(&["en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "it-IT", "pt-BR", "ja-JP"], rng).to_owned()
        }
        Kind::Slug => format!("{}-{}", word(rng), word(rng)),
        Kind::Password => format!("{}-{}-{}", capital(word(rng)), word(rng), rng.u32(10..100)),
        Kind::Token => (0..32).map(|_| rng.alphanumeric()).collect(),
        Kind::Hash => (0..40).map(|_| rng.digit(16)).collect(),
        Kind::Id => (0..12).map(|_| rng.digit(36)).collect(),
        Kind::Isbn => Isbn13(EN).fake_with_rng::<String, _>(seeded).replace('-', ""),
        Kind::CreditCard => CreditCardNumber(EN).fake_with_rng(seeded),
        Kind::Gender => pick(&["female", "male", "other"], rng).to_owned(),
        Kind::Status => pick(&["active", "inactive", "pending", "done"], rng).to_owned(),
        Kind::Word => word(rng).to_owned(),
        Kind::Title => {
            let words = rng.usize(2..5);
            let words: Vec<&str> = (0..words).map(|_| word(rng)).collect();
            capital(&words.join(" "))
        }
        Kind::Sentence => Sentence(EN, 4..10).fake_with_rng(seeded),
        Kind::Paragraph => Paragraph(EN, 2..4).fake_with_rng(seeded),
    }
}

/// What a field's text is, by its name. None where the name says nothing.
pub fn named(name: &str) -> Option<Kind> {
    let words = words(name);
    let mut last = words.iter().rev().map(String::as_str);
    let (last, before) = (last.next()?, last.next().unwrap_or_default());
    let has = |word: &str| words.iter().any(|known| known == word);
    Some(match (before, last) {
        ("first" | "given" | "fore", "name") | (_, "firstname" | "forename" | "givenname") => Kind::FirstName,
        ("last" | "family" | "sur", "name") | (_, "lastname" | "surname") => Kind::LastName,
        ("user" | "login" | "screen" | "nick", "name" | "handle") => Kind::User,
        (_, "username" | "login" | "nickname" | "handle" | "screenname") => Kind::User,
        (
            "company" | "organization" | "organisation" | "business" | "employer" | "brand" | "vendor",
            "name",
        ) => Kind::Company,
        ("city" | "town", "name") => Kind::City,
        ("currency", "name") => Kind::CurrencyName,
        ("country", "name") => Kind::Country,
        ("street", "name") => Kind::StreetName,
        ("product" | "item", "name" | "title") => Kind::Product,
        ("file", "name") | (_, "filename") => Kind::File,
        ("host" | "domain", "name") | (_, "hostname" | "domain" | "host" | "fqdn") => Kind::Domain,
        (
            "full" | "display" | "contact" | "customer" | "owner" | "author" | "person" | "real" | "holder",
            "name",
        ) => Kind::Name,
        (_, "fullname" | "displayname") => Kind::Name,
        ("", "name") => Kind::Name,
        ("job" | "position", "title") => Kind::Job,
        (_, "name" | "label" | "title" | "subject" | "headline" | "caption" | "heading") => Kind::Title,
        (_, "email" | "mail" | "emailaddress") | ("email" | "mail", "address") => Kind::Email,
        (_, "phone" | "mobile" | "telephone" | "tel" | "fax" | "cellphone" | "phonenumber") => Kind::Phone,
        ("phone" | "mobile" | "telephone" | "fax" | "cell", "number") => Kind::Phone,
        ("ip", "address" | "addr") | (_, "ip" | "ipaddress" | "ipv4") => Kind::IpV4,
        (_, "ipv6") => Kind::IpV6,
        ("mac", "address") | (_, "mac") => Kind::Mac,
        (_, "address" | "street" | "address1" | "line1") | ("line" | "address", "1") => Kind::Street,
        ("house" | "building", "number") => Kind::Building,
        (_, "city" | "town" | "locality" | "municipality") => Kind::City,
        ("state" | "province" | "region", "code") => Kind::StateCode,
        (_, "province" | "county" | "region") => Kind::State,
        (_, "zip" | "zipcode" | "postcode" | "postalcode") | ("zip" | "postal" | "post", "code") => {
            Kind::Postcode
        }
        ("country", "code") | (_, "countrycode") => Kind::CountryCode,
        (_, "country" | "nationality") => Kind::Country,
        (_, "timezone" | "tz") | ("time", "zone") => Kind::TimeZone,
        (
            _,
            "company" | "organization" | "organisation" | "employer" | "vendor" | "manufacturer" | "brand",
        ) => Kind::Company,
        (_, "industry" | "sector") => Kind::Industry,
        (_, "job" | "profession" | "occupation") => Kind::Job,
        (_, "product") => Kind::Product,
        ("currency", "code") | (_, "currency" | "currencycode") => Kind::Currency,
        (_, "price" | "amount" | "cost" | "total" | "subtotal" | "balance" | "fee" | "tax") => Kind::Price,
        (_, "avatar" | "image" | "photo" | "picture" | "thumbnail" | "logo" | "icon") => Kind::Image,
        ("avatar" | "image" | "photo" | "picture" | "thumbnail" | "logo" | "icon", "url" | "uri") => {
            Kind::Image
        }
        (_, "url" | "uri" | "href" | "link" | "website" | "homepage" | "webpage" | "endpoint") => Kind::Url,
        (_, "path" | "directory" | "folder") => Kind::Path,
        ("user", "agent") | (_, "useragent") => Kind::UserAgent,
        (_, "file") => Kind::File,
        (_, "mimetype") | ("mime" | "content" | "media", "type") => Kind::MediaType,
        (_, "version" | "semver" | "release") => Kind::Version,
        (_, "color" | "colour") => Kind::Color,
        (_, "language" | "lang") => Kind::Language,
        (_, "locale") => Kind::Locale,
        (_, "slug" | "alias" | "tag" | "topic" | "branch" | "keyword") => Kind::Slug,
        (_, "password" | "passphrase" | "passwd") => Kind::Password,
        (_, "token" | "secret" | "signature" | "nonce" | "cursor" | "apikey") | ("api" | "access", "key") => {
            Kind::Token
        }
        (_, "hash" | "sha" | "checksum" | "digest" | "etag" | "fingerprint") => Kind::Hash,
        (_, "isbn") => Kind::Isbn,
        ("card", "number") => Kind::CreditCard,
        (_, "gender" | "sex") => Kind::Gender,
        (_, "status" | "state") => Kind::Status,
        (_, "type" | "kind" | "category" | "genre" | "role" | "group") => Kind::Word,
        (_, "description" | "bio" | "about" | "summary" | "biography" | "abstract") => Kind::Sentence,
        (_, "body" | "content" | "text" | "comment" | "note" | "notes" | "review" | "details") => {
            Kind::Paragraph
        }
        (_, "message" | "reason" | "error" | "detail" | "question" | "answer" | "quote") => Kind::Sentence,
        (_, "id" | "key" | "ref" | "reference" | "identifier" | "code" | "number" | "sku") => Kind::Id,
        _ if has("url") || has("uri") => Kind::Url,
        _ if has("email") => Kind::Email,
        _ if has("phone") => Kind::Phone,
        _ => return None,
    })
}

/// When a field that is a text or a number of seconds or milliseconds is a time, by its name.
pub fn is_time(name: &str) -> bool {
    let words = words(name);
    let last = words.last().map(String::as_str);
    matches!(last, Some("at" | "timestamp" | "datetime" | "date"))
        || matches!(last, Some("on" | "time")) && words.len() > 1
        || matches!(last, Some("created" | "updated" | "modified" | "expires" | "deleted"))
}

/// The usual range of a number, by its field's name.
pub fn range(name: &str) -> Option<(i64, i64)> {
    let words = words(name);
    Some(match words.last().map(String::as_str)? {
        "id" => (1, 999_999),
        "age" => (18, 90),
        "latitude" | "lat" => (-90, 90),
        "longitude" | "lng" | "lon" | "long" => (-180, 180),
        "year" => (1990, 2030),
        "month" => (1, 12),
        "day" => (1, 28),
        "hour" => (0, 23),
        "minute" | "second" => (0, 59),
        "percent" | "percentage" | "progress" | "score" => (0, 100),
        "rating" | "stars" | "rank" => (1, 5),
        "price" | "amount" | "cost" | "total" | "subtotal" | "balance" | "fee" | "tax" => (1, 500),
        "quantity" | "qty" => (1, 10),
        "page" | "index" | "position" => (1, 20),
        "port" => (1024, 65535),
        "status" | "code" => (100, 599),
        "width" | "height" => (16, 2048),
        _ => return None,
    })
}

/// `createdAt`, `created_at` and `created-at` are `created` and `at`.
fn words(name: &str) -> Vec<String> {
    const LONGEST: usize = 100;
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for character in name.chars().take(LONGEST) {
        let begins = character.is_uppercase() && before.is_lowercase() || !before.is_alphanumeric();
        match character.is_alphanumeric() {
            true if begins => words.push(character.to_lowercase().collect()),
            true => match words.last_mut() {
                Some(word) => word.extend(character.to_lowercase()),
                None => words.push(character.to_lowercase().collect()),
            },
            false => {}
        }
        before = character;
    }
    words
}

fn word(rng: &mut fastrand::Rng) -> &'static str {
    Word(EN).fake_with_rng(&mut Seeded(rng))
}

fn pick<'t>(texts: &[&'t str], rng: &mut fastrand::Rng) -> &'t str {
    texts.get(rng.usize(..texts.len().max(1))).copied().unwrap_or_default()
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

/// Our chance as `fake` takes it.
struct Seeded<'r>(&'r mut fastrand::Rng);

impl TryRng for Seeded<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.u32(..))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64(..))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<Kind>) {
        assert_eq!(named(name), expected);
        if let Some(kind) = expected {
            let texts = (0..20).map(|seed| of(kind, &mut fastrand::Rng::with_seed(seed)));
            let texts: std::collections::HashSet<String> = texts.collect();
            assert!(texts.len() > 1 && texts.iter().all(|text| !text.is_empty()), "{texts:?}");
        }
    }

    #[test]
    fn names_say_what_a_text_is() {
        check("firstName", Some(Kind::FirstName));
        check("last_name", Some(Kind::LastName));
        check("name", Some(Kind::Name));
        check("companyName", Some(Kind::Company));
        check("contact-email", Some(Kind::Email));
        check("avatar_url", Some(Kind::Image));
        check("html_url", Some(Kind::Url));
        check("zipCode", Some(Kind::Postcode));
        check("userId", Some(Kind::Id));
        check("x", None);
        check("", None);
    }

    #[test]
    fn times_are_known_by_their_names() {
        assert!(
            is_time("createdAt") && is_time("updated_at") && is_time("startTime") && is_time("birthDate")
        );
        assert!(!is_time("format") && !is_time("time") && !is_time("cat"));
    }
}
