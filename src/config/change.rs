//! What is changed of what passes, because the config says so.

use http::{HeaderName, HeaderValue};

use super::problem::{Problem, quoted};
use super::section::{Item, Section};

/// Changes of requests on their way to an upstream, and of its answers. What is not there is left to
/// whoever is asked next: the rules in their order, then the upstream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub request: Option<Fields>,
    pub response: Option<Fields>,
    pub prefix: Option<Prefix>,
}

/// Fields of a header section: first some are removed, then others set, then others added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    pub remove: Vec<HeaderName>,
    /// In place of all that there are of the name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Beside those that there are.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

/// Another beginning of the path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Taken off where the path begins with it, by whole segments. Begins with `/`, ends without.
    pub strip: Option<String>,
    /// Put before what is left. Begins with `/`, ends without.
    pub add: Option<String>,
}

/// Fields that frame a message or belong to one hop (RFC 9110, 7.6.1): the proxy's own.
const OWN: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Changes {
    /// Those that `self` does not say.
    pub fn or(self, next: &Changes) -> Changes {
        Changes {
            request: self.request.or_else(|| next.request.clone()),
            response: self.response.or_else(|| next.response.clone()),
            prefix: self.prefix.or_else(|| next.prefix.clone()),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    /// The keys `headers` and `path` of a rule or an upstream.
    pub(super) fn keys(keys: &mut Section<'_>) -> Changes {
        let headers = keys.key("headers", |item| {
            item.section(|keys| (keys.key("request", fields), keys.key("response", fields)))
        });
        let (request, response) = headers.unwrap_or_default();
        Changes { request, response, prefix: keys.key("path", prefix) }
    }
}

impl Prefix {
    /// The path as the upstream gets it; none if it stays as it is.
    pub fn apply(&self, path: &[u8]) -> Option<Vec<u8>> {
        let strip = self.strip.as_deref().unwrap_or("").as_bytes();
        let rest = path.strip_prefix(strip).filter(|rest| rest.first().is_none_or(|first| *first == b'/'));
        let stripped = rest.filter(|_| !strip.is_empty());
        let add = self.add.as_deref().unwrap_or("").as_bytes();
        if stripped.is_none() && add.is_empty() {
            return None;
        }
        let path = [add, stripped.unwrap_or(path)].concat();
        Some(if path.is_empty() { b"/".into() } else { path })
    }
}

fn fields(item: &Item<'_>) -> Option<Fields> {
    item.section(|keys| Fields {
        remove: keys
            .key("remove", |item| item.one_or_more(|item| item.string(changeable)))
            .unwrap_or_default(),
        set: keys.key("set", |item| Some(named(item))).unwrap_or_default(),
        add: keys.key("add", |item| Some(named(item))).unwrap_or_default(),
    })
}

fn named(item: &Item<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let field = |(name, item): (&str, Item<'_>)| {
        let name = changeable(name).map_err(|problem| item.refuse(problem)).ok();
        let value = item.scalar(|text| {
            HeaderValue::from_str(text)
                .map_err(|_| Problem::value(format!("{} is no field value", quoted(text))))
        });
        Some((name?, value?))
    };
    item.names().into_iter().filter_map(field).collect()
}

fn changeable(text: &str) -> Result<HeaderName, Problem> {
    let name: HeaderName =
        text.parse().map_err(|_| Problem::value(format!("{} is no field name", quoted(text))))?;
    match OWN.contains(&name.as_str()) {
        true => Err(Problem::value(format!("{} is the proxy's own", quoted(text))).hint(
            if name == http::header::HOST {
                "see `host` of `upstreams`"
            } else {
                "it frames the message, or is for one connection only"
            },
        )),
        false => Ok(name),
    }
}

fn prefix(item: &Item<'_>) -> Option<Prefix> {
    item.section(|keys| Prefix {
        strip: keys.string("strip", super::address::base_path).filter(|path| !path.is_empty()),
        add: keys.string("add", super::address::base_path).filter(|path| !path.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(strip: Option<&str>, add: Option<&str>, path: &str, expected: Option<&str>) {
        let prefix = Prefix { strip: strip.map(Into::into), add: add.map(Into::into) };
        let applied = prefix.apply(path.as_bytes());
        assert_eq!(applied.as_deref(), expected.map(str::as_bytes), "{path}");
    }

    #[test]
    fn a_prefix_is_whole_segments() {
        check(Some("/api"), None, "/api/users", Some("/users"));
        check(Some("/api"), None, "/api", Some("/"));
        check(Some("/api"), None, "/api/", Some("/"));
        check(Some("/api"), None, "/apis", None);
        check(Some("/api"), None, "/users", None);
        check(None, Some("/v2"), "/users", Some("/v2/users"));
        check(Some("/api"), Some("/v2"), "/api/users", Some("/v2/users"));
        check(Some("/api"), Some("/v2"), "/api", Some("/v2"));
        check(Some("/api"), Some("/v2"), "/users", Some("/v2/users"));
        check(None, None, "/users", None);
    }
}
