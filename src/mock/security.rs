//! Whether a request has the credentials that its operation asks for. Only their presence and form are
//! looked at, never whose they are.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::message::Request;
use super::violation::{Place, Violation};
use crate::diagnostic::cut;
use crate::spec::document::{Credential, Location, Operation, Scheme};

/// RFC 7617, 2. Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters of a realm, and of the scopes of one challenge.
const LONGEST: usize = 200;

/// What an operation asks for.
#[derive(Debug)]
pub struct Security {
    /// One of these is enough; of each, everything is needed.
    alternatives: Box<[Box<[Wanted]>]>,
    challenges: Box<[Challenge]>,
    /// The names of the schemes.
    path: Box<str>,
}

#[derive(Debug)]
struct Wanted {
    /// As the document calls it.
    name: Box<str>,
    place: Spot,
}

/// Where a credential is, and what it looks like.
#[derive(Debug)]
enum Spot {
    Header(HeaderName),
    Query(Box<str>),
    Cookie(Box<str>),
    /// In `authorization`.
    Basic,
    Bearer,
    /// Of any other scheme of HTTP authentication, there has to be something behind its name.
    Other(Box<str>),
}

/// RFC 9110, 11.6.1.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    plain: HeaderValue,
    /// Instead, where a token was sent and is none (RFC 6750, 3.1).
    invalid: Option<HeaderValue>,
}

/// What a request has not got.
#[derive(Debug)]
pub struct Unauthorized {
    pub violation: Violation,
    /// A `www-authenticate` for each that differs, of all alternatives (RFC 9110, 11.6.1).
    pub challenges: Vec<HeaderValue>,
}

/// What became of a credential that is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    Missing,
    Malformed,
}

impl Security {
    /// None where nothing is asked for that could be missing. What can't be looked for is taken as there:
    /// schemes that nobody knows, and certificates, which Standin's listeners do not ask clients for.
    pub fn of(operation: &Operation<'_>, title: &str) -> Option<Arc<Security>> {
        let realm = realm(title);
        let mut alternatives = Vec::with_capacity(operation.security.len());
        let mut challenges = Vec::new();
        let mut paths = Vec::new();
        for requirement in operation.security.iter() {
            let wanted: Box<[Wanted]> = requirement.credentials.iter().filter_map(Wanted::of).collect();
            if wanted.is_empty() {
                return None;
            }
            let told = requirement.credentials.iter().filter_map(|one| Challenge::of(one, &realm));
            for challenge in told {
                if !challenges.contains(&challenge) {
                    challenges.push(challenge);
                }
            }
            paths.push(requirement.credentials.iter().map(|one| one.name).collect::<Vec<_>>().join(" and "));
            alternatives.push(wanted);
        }
        let path = cut(&paths.join(" or ")).into();
        let security = Security { alternatives: alternatives.into(), challenges: challenges.into(), path };
        (!security.alternatives.is_empty()).then(|| Arc::new(security))
    }

    /// # Errors
    ///
    /// None of the alternatives is there whole.
    pub fn check(&self, request: &Request<'_>) -> Result<(), Unauthorized> {
        let whole = |wanted: &[Wanted]| wanted.iter().all(|one| one.place.state(request) == State::There);
        match self.alternatives.iter().any(|wanted| whole(wanted)) {
            true => Ok(()),
            false => Err(self.unauthorized(request)),
        }
    }

    fn unauthorized(&self, request: &Request<'_>) -> Unauthorized {
        let mut seen = HashSet::new();
        let all = self.alternatives.iter().flat_map(|wanted| wanted.iter());
        let lacking: Vec<String> =
            all.filter(|one| seen.insert(&*one.name)).filter_map(|one| one.lacking(request)).collect();
        let message = cut(&lacking.join("; ")).into_owned();
        let malformed = Spot::Bearer.state(request) == State::Malformed;
        let told = |challenge: &Challenge| match &challenge.invalid {
            Some(invalid) if malformed => invalid.clone(),
            _ => challenge.plain.clone(),
        };
        Unauthorized {
            violation: Violation::new(Place::Security, &*self.path, "security", message),
            challenges: self.challenges.iter().map(told).collect(),
        }
    }
}

impl Wanted {
    fn of(credential: &Credential<'_>) -> Option<Self> {
        let place = match credential.scheme {
            Scheme::ApiKey(Location::Header, name) => Spot::Header(HeaderName::try_from(name).ok()?),
            Scheme::ApiKey(Location::Cookie, name) => Spot::Cookie(name.into()),
            Scheme::ApiKey(_, name) => Spot::Query(name.into()),
            Scheme::Http(word) if word.eq_ignore_ascii_case("basic") => Spot::Basic,
            Scheme::Http(word) if word.eq_ignore_ascii_case("bearer") => Spot::Bearer,
            Scheme::Http(word) => Spot::Other(word.into()),
            Scheme::Token => Spot::Bearer,
            Scheme::Mutual | Scheme::Unknown => return None,
        };
        Some(Wanted { name: credential.name.into(), place })
    }

    /// What is wrong, never with what was sent.
    fn lacking(&self, request: &Request<'_>) -> Option<String> {
        let reason = match self.place.state(request) {
            State::There => return None,
            State::Missing => "is not there",
            State::Malformed => "is malformed",
        };
        let name = &self.name;
        Some(match &self.place {
            Spot::Header(header) => format!("`{name}`: the header `{header}` {reason}"),
            Spot::Query(query) => format!("`{name}`: `{query}` of the query {reason}"),
            Spot::Cookie(cookie) => format!("`{name}`: the cookie `{cookie}` {reason}"),
            Spot::Basic => format!("`{name}`: `authorization: Basic` {reason}"),
            Spot::Bearer => format!("`{name}`: `authorization: Bearer` {reason}"),
            Spot::Other(word) => format!("`{name}`: `authorization: {word}` {reason}"),
        })
    }
}

impl Spot {
    fn state(&self, request: &Request<'_>) -> State {
        let is_there = match self {
            Spot::Header(name) => request
                .head
                .headers
                .get_all(name)
                .iter()
                .any(|value| !value.as_bytes().trim_ascii().is_empty()),
            Spot::Query(name) => request.queries(name).any(|value| !value.is_empty()),
            Spot::Cookie(name) => request.cookie(name).is_some_and(|value| !value.is_empty()),
            Spot::Basic => return authorization(request, "basic", is_basic),
            Spot::Bearer => return authorization(request, "bearer", is_token68),
            Spot::Other(word) => return authorization(request, word, |rest| !rest.is_empty()),
        };
        if is_there { State::There } else { State::Missing }
    }
}

/// The credentials of a scheme (RFC 9110, 11.4): its word, in any case, and what has the form behind it.
fn authorization(request: &Request<'_>, scheme: &str, is_well_formed: fn(&[u8]) -> bool) -> State {
    let mut state = State::Missing;
    for value in request.head.headers.get_all(AUTHORIZATION) {
        let value = value.as_bytes().trim_ascii();
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (word, rest) = value.split_at(end);
        if !word.eq_ignore_ascii_case(scheme.as_bytes()) {
            continue;
        }
        if is_well_formed(rest.trim_ascii()) {
            return State::There;
        }
        state = State::Malformed;
    }
    state
}

/// RFC 7617, 2: a user and a password, with a colon between.
fn is_basic(text: &[u8]) -> bool {
    BASE64.decode(text).is_ok_and(|decoded| decoded.contains(&b':'))
}

/// RFC 6750, 2.1.
fn is_token68(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    end > 0 && text[..end].iter().all(is_part)
}

impl Challenge {
    /// None for what no challenge can ask for.
    fn of(credential: &Credential<'_>, realm: &str) -> Option<Self> {
        let plain = match credential.scheme {
            Scheme::ApiKey(location, name) => api_key(location, name, realm),
            Scheme::Http(word) if word.eq_ignore_ascii_case("bearer") => return bearer(&[], realm),
            Scheme::Token => return bearer(&credential.scopes, realm),
            Scheme::Http(word) => of_scheme(word, realm),
            Scheme::Mutual | Scheme::Unknown => return None,
        };
        Some(Challenge { plain: HeaderValue::try_from(plain).ok()?, invalid: None })
    }
}

/// No registered scheme is for API keys. RFC 9110, 11.1 lets a challenge have any, and a 401 needs one.
fn api_key(location: Location, name: &str, realm: &str) -> String {
    let place = match location {
        Location::Header => "header",
        Location::Cookie => "cookie",
        _ => "query",
    };
    format!(r#"ApiKey realm="{realm}", in="{place}", name="{}""#, quoted(name))
}

fn of_scheme(word: &str, realm: &str) -> String {
    match &*word.to_ascii_lowercase() {
        // RFC 7617, 2.1.
        "basic" => format!(r#"Basic realm="{realm}", charset="UTF-8""#),
        // RFC 7616, 3.3: a nonce has to be there. Nobody looks at what is made of it.
        "digest" => format!(r#"Digest realm="{realm}", qop="auth", nonce="standin""#),
        // RFC 4559, 4.1: it has no parameters.
        "negotiate" => "Negotiate".to_owned(),
        _ => format!(r#"{word} realm="{realm}""#),
    }
}

/// RFC 6750, 3.
fn bearer(scopes: &[&str], realm: &str) -> Option<Challenge> {
    let is_scope = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    let mut scope = String::new();
    for one in scopes.iter().filter(|one| !one.is_empty() && one.bytes().all(is_scope)) {
        if scope.len() + one.len() < LONGEST {
            scope.push_str(if scope.is_empty() { "" } else { " " });
            scope.push_str(one);
        }
    }
    let scope = if scope.is_empty() { scope } else { format!(r#", scope="{scope}""#) };
    let plain = format!(r#"Bearer realm="{realm}"{scope}"#);
    let invalid = HeaderValue::try_from(format!(r#"{plain}, error="invalid_token""#)).ok()?;
    Some(Challenge { plain: HeaderValue::try_from(plain).ok()?, invalid: Some(invalid) })
}

/// The document's title names the realm (RFC 9110, 11.5).
fn realm(title: &str) -> String {
    if title.trim().is_empty() { "api".to_owned() } else { quoted(title.trim()) }
}

/// What may stand within quotes (RFC 9110, 5.6.4): other characters than those of ASCII mean something else
/// to each client.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars().take(LONGEST) {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => out.push('?'),
        }
    }
    out
}
