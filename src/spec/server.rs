//! The base paths that `servers` give.

use std::collections::HashSet;

use super::resolve::Resolver;
use crate::diagnostic::{Code, Severity};
use crate::tree::{Kind, Value};

const BAD_SERVER: Code = Code("SI0106");

/// Base paths of one operation. Each has a route for each operation below it, so that more of them
/// than anyone deploys to would take all memory.
const MOST: usize = 20;

/// Every distinct path of the servers, in document order; `[""]` where there are none.
pub fn bases<'t>(resolver: &mut Resolver<'t>, servers: Option<Value<'t>>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    for server in servers.into_iter().flat_map(Value::items) {
        let Some(url) = server.get("url") else { continue };
        let text = with_variables(url.as_str().unwrap_or(""), server);
        match base_path(&text) {
            Some(base) if known.contains(&base) => {}
            Some(_) if found.len() == MOST => {
                let message =
                    format!("these servers have more than {MOST} paths; the first {MOST} are taken");
                let problem = url.problem(Severity::Warning, BAD_SERVER, message);
                resolver.report(problem.hint("split the document, or set `base_path` in the config"));
                break;
            }
            Some(base) => {
                known.insert(base.clone());
                found.push(base);
            }
            None => resolver.report(
                url.problem(
                    Severity::Warning,
                    BAD_SERVER,
                    format!("the path of `{}` is not known: a variable is left in it", text),
                )
                .hint("give each `{variable}` a default, or set `base_path` in the config"),
            ),
        }
    }
    if found.is_empty() {
        found.push(String::new());
    }
    found
}

/// The base path of a document in Swagger 2.0, its `basePath`: it begins with a slash, and has no variables.
pub fn base<'t>(resolver: &mut Resolver<'t>, given: Option<Value<'t>>) -> String {
    let Some(given) = given.filter(|given| given.kind() != Kind::Null) else { return String::new() };
    let text = given.text().unwrap_or_default();
    let base = base_path(&text);
    let problem = match &base {
        Some(_) if text.is_empty() || text.starts_with('/') && !text.starts_with("//") => None,
        Some(base) => {
            let message = format!("`basePath` is `{text}`, which does not begin with one `/`");
            let hint = format!("it is taken as `{}`", if base.is_empty() { "/" } else { base });
            Some(given.problem(Severity::Warning, BAD_SERVER, message).hint(hint))
        }
        None => {
            let message = format!("the path of `{text}` is not known: a `basePath` has no variables");
            let hint = "write the path itself, or set `base_path` in the config";
            Some(given.problem(Severity::Warning, BAD_SERVER, message).hint(hint))
        }
    };
    problem.into_iter().for_each(|problem| resolver.report(problem));
    base.unwrap_or_default()
}

/// A server's URL with the defaults of its variables; what a default brings in is not looked at again.
fn with_variables(url: &str, server: Value<'_>) -> String {
    let mut text = String::new();
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{')
        && let Some((name, after)) = after.split_once('}')
    {
        text.push_str(before);
        let variable = server.get("variables").and_then(|variables| variables.get(name));
        match variable.and_then(|variable| variable.get("default")).and_then(Value::text) {
            Some(default) => text.push_str(&default),
            None => text.extend(["{", name, "}"]),
        }
        rest = after;
    }
    text + rest
}

/// The path of a server's URL, absolute or relative, without a trailing slash.
fn base_path(url: &str) -> Option<String> {
    // RFC 3986, 4.2: `//host/path` has a host too, under the scheme of whoever asks.
    let after_scheme = url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//"));
    let path = match after_scheme {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or("").trim_end_matches('/');
    let path = path.strip_prefix("./").unwrap_or(path);
    if path.contains(['{', '}']) {
        return None;
    }
    Some(match path {
        "" | "." => String::new(),
        // A variable's default often begins with the slash that is before it in the URL.
        path => format!("/{}", path.trim_start_matches('/')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_base(url: &str, expected: Option<&str>) {
        assert_eq!(base_path(url).as_deref(), expected);
    }

    #[test]
    fn a_base_path_is_the_path_of_the_server() {
        check_base("https://api.example.com/v1", Some("/v1"));
        check_base("https://api.example.com/v1/", Some("/v1"));
        check_base("https://api.example.com", Some(""));
        check_base("/v2", Some("/v2"));
        check_base("v2", Some("/v2"));
        check_base("./v2", Some("/v2"));
        check_base("/", Some(""));
        check_base("https://{host}/v1", Some("/v1"));
        check_base("https://h/{stage}", None);
        check_base("//petstore.swagger.io/v2", Some("/v2"));
        check_base("https://h//api/v1", Some("/api/v1"));
    }
}
