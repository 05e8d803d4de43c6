//! Which operations a rule is for.

use std::fmt;
use std::str::FromStr;

use http::Method;

use super::problem::{Problem, listed, quoted};
use super::{Segment, Selector};
use crate::diagnostic::nearest;

const METHODS: [&str; 9] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "QUERY"];

impl Selector {
    /// Whether an operation is meant. `template` has its base path in front.
    pub fn matches(
        &self,
        id: Option<&str>,
        method: &Method,
        template: &str,
        tags: &[impl AsRef<str>],
    ) -> bool {
        match self {
            Selector::Id(wanted) => id == Some(wanted),
            Selector::Tag(wanted) => tags.iter().any(|tag| tag.as_ref() == wanted),
            Selector::Route { method: wanted, path } => {
                wanted.as_ref().is_none_or(|wanted| wanted == method) && covers(path, template)
            }
        }
    }
}

/// Whether a glob covers a whole template. Only the latest `**` is ever tried again with more: what an
/// earlier one could take besides, the latest one can too. So this is never more than quadratic.
fn covers(glob: &[Segment], template: &str) -> bool {
    let template: Vec<&str> = split(template).collect();
    let (mut at, mut taken) = (0, 0);
    let mut latest_any = None;
    while taken < template.len() {
        match glob.get(at) {
            Some(Segment::Any) => {
                latest_any = Some((at, taken));
                at += 1;
                continue;
            }
            Some(Segment::One) => {}
            Some(Segment::Literal(literal)) if literal == template[taken] => {}
            _ => {
                let Some((any, begin)) = latest_any else { return false };
                latest_any = Some((any, begin + 1));
                (at, taken) = (any + 1, begin + 1);
                continue;
            }
        }
        at += 1;
        taken += 1;
    }
    glob[at..].iter().all(|segment| *segment == Segment::Any)
}

/// As a config writes it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Id(id) => f.write_str(id),
            Selector::Tag(tag) => write!(f, "tag:{tag}"),
            Selector::Route { method, path } => {
                if let Some(method) = method {
                    write!(f, "{method} ")?;
                }
                path.iter().try_for_each(|segment| match segment {
                    Segment::Literal(literal) => write!(f, "/{literal}"),
                    Segment::One => f.write_str("/*"),
                    Segment::Any => f.write_str("/**"),
                })
            }
        }
    }
}

impl FromStr for Selector {
    type Err = Problem;

    /// `tag:NAME`, `METHOD /path`, `* /path`, `/path` or an `operationId`.
    fn from_str(text: &str) -> Result<Self, Problem> {
        if let Some(tag) = text.strip_prefix("tag:") {
            return match tag.trim() {
                "" => Err(Problem::value("`tag:` names no tag").hint("write `tag:NAME`")),
                tag => Ok(Selector::Tag(tag.to_owned())),
            };
        }
        if text.starts_with('/') {
            return Ok(Selector::Route { method: None, path: path(text)? });
        }
        if let Some((method, rest)) = text.split_once(' ') {
            return Ok(Selector::Route { method: self::method(method)?, path: path(rest.trim())? });
        }
        if text.is_empty() || text.contains('*') {
            return Err(Problem::value(format!("{} is no operation", quoted(text)))
                .hint("write an operationId, `GET /path`, `tag:NAME`, or `/**` for every operation"));
        }
        Ok(Selector::Id(text.to_owned()))
    }
}

fn method(text: &str) -> Result<Option<Method>, Problem> {
    if text == "*" {
        return Ok(None);
    }
    let upper = text.to_ascii_uppercase();
    let known =
        METHODS.contains(&upper.as_str()).then(|| Method::from_bytes(upper.as_bytes()).ok()).flatten();
    known.map(Some).ok_or_else(|| {
        let problem = Problem::value(format!("unknown method {}", quoted(text)));
        match nearest(&upper, METHODS) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("there are {}, and `*` for any", listed(METHODS))),
        }
    })
}

fn path(text: &str) -> Result<Vec<Segment>, Problem> {
    if !text.starts_with('/') {
        return Err(Problem::value(format!("the path {} does not begin with `/`", quoted(text)))
            .hint("write `GET /user/*`; `/**` is every path"));
    }
    split(text)
        .map(|segment| match segment {
            "*" => Ok(Segment::One),
            "**" => Ok(Segment::Any),
            literal if literal.contains('*') => {
                Err(Problem::value(format!("{} has a `*` within a segment", quoted(text)))
                    .hint("`*` stands for a whole segment, `**` for any number of them"))
            }
            literal => Ok(Segment::Literal(literal.to_owned())),
        })
        .collect()
}

/// A slash at the end makes a segment of its own, as it does in a route.
fn split(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selector: &str, operation: &str, expected: bool) {
        let selector: Selector = selector.parse().expect("a good selector");
        let (method, template) = operation.split_once(' ').expect("a method and a template");
        let method: Method = method.parse().expect("a method");
        assert_eq!(selector.matches(Some("getUser"), &method, template, &["billing", "user"]), expected);
    }

    #[track_caller]
    fn refuse(selector: &str, expected: &str) {
        assert_eq!(Selector::from_str(selector).expect_err("should be refused").to_string(), expected);
    }

    #[test]
    fn an_operation_is_named_by_its_id_or_tag() {
        check("getUser", "GET /user", true);
        check("getuser", "GET /user", false);
        check("tag:billing", "GET /user", true);
        check("tag: billing", "GET /user", true);
        check("tag:other", "GET /user", false);
        let tags: [&str; 0] = [];
        assert!(!Selector::Id("a".into()).matches(None, &Method::GET, "/", &tags));
    }

    #[test]
    fn a_route_without_a_method_is_for_any() {
        check("/user", "GET /user", true);
        check("* /user", "POST /user", true);
        check("get /user", "GET /user", true);
        check("GET /user", "POST /user", false);
        check("QUERY /user", "QUERY /user", true);
    }

    #[test]
    fn one_star_is_one_segment() {
        check("/user/*", "GET /user/{id}", true);
        check("/user/*", "GET /user", false);
        check("/user/*", "GET /user/{id}/mails", false);
        check("/*/mails", "GET /user/mails", true);
        check("/*", "GET /", true);
    }

    #[test]
    fn two_stars_are_any_number_of_segments() {
        check("/**", "GET /", true);
        check("/**", "GET /a/b/c", true);
        check("/v1/**", "GET /v1", true);
        check("/v1/**", "GET /v1/a/b", true);
        check("/v1/**", "GET /v2/a", false);
        check("/**/mails", "GET /mails", true);
        check("/**/mails", "GET /a/b/mails", true);
        check("/**/mails", "GET /a/mails/b", false);
        check("/**/a/**/b", "GET /x/a/y/a/z/b", true);
        check("/**/a/*/b", "GET /a/a/x/b", true);
        check("/**/a/*/b", "GET /a/x/y/b", false);
    }

    #[test]
    fn a_templated_segment_is_compared_as_it_stands() {
        check("/user/{id}", "GET /user/{id}", true);
        check("/user/{name}", "GET /user/{id}", false);
        check("/user/", "GET /user", false);
    }

    #[test]
    fn a_long_glob_ends_soon() {
        let glob = "/**/a".repeat(40) + "/b";
        check(&glob, &format!("GET {}", "/a".repeat(4000)), false);
    }

    #[test]
    fn other_texts_are_no_selectors() {
        refuse("PSOT /user", "unknown method `PSOT`; did you mean `POST`?");
        refuse(
            "LINK /user",
            "unknown method `LINK`; there are `GET`, `PUT`, `POST`, `DELETE`, `OPTIONS`, `HEAD`, `PATCH`, `TRACE`, `QUERY`, and `*` for any",
        );
        refuse(
            "GET user",
            "the path `user` does not begin with `/`; write `GET /user/*`; `/**` is every path",
        );
        refuse(
            "/user-*",
            "`/user-*` has a `*` within a segment; `*` stands for a whole segment, `**` for any number of them",
        );
        refuse("tag:", "`tag:` names no tag; write `tag:NAME`");
        let hint = "write an operationId, `GET /path`, `tag:NAME`, or `/**` for every operation";
        refuse("*", &format!("`*` is no operation; {hint}"));
        refuse("", &format!("`` is no operation; {hint}"));
    }
}
