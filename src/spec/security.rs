//! Security schemes, and which of them operations ask for (3.2, 4.27 and 4.30; 2.0, Security Scheme Object).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::document::{Credential, Format, Location, Requirement, Scheme};
use super::keyword::{SECURITY_SCHEME, SECURITY_SCHEME_OF_2, given, keywords, wrong_type};
use super::resolve::Resolver;
use crate::diagnostic::{Code, Diagnostic, Severity, cut, nearest};
use crate::tree::{Key, Tree, Value};

const NO_SCHEME: Code = Code("SI0130");
const BAD_SCHEME: Code = Code("SI0131");
const MANY: Code = Code("SI0132");

/// Alternatives of one list, and schemes of one alternative: more than any API has.
const MOST: usize = 32;

type Shared<'t> = Arc<[Requirement<'t>]>;

/// The schemes of one document. What operations ask for is the same for all that ask alike.
pub struct Securities<'t> {
    schemes: Option<Value<'t>>,
    of_document: Option<Value<'t>>,
    /// By the text that names them, which may be relative to where it stands.
    read: HashMap<(*const Tree, &'t str), Scheme<'t>>,
    lists: HashMap<(*const Tree, u32), Shared<'t>>,
    distinct: HashSet<Shared<'t>>,
}

impl<'t> Securities<'t> {
    pub fn of(resolver: &mut Resolver<'t>, root: Value<'t>) -> Self {
        let schemes = match resolver.format() {
            Format::V2 => root.get("securityDefinitions"),
            _ => given(resolver, root.get("components"))
                .and_then(|components| components.get("securitySchemes")),
        };
        Securities {
            schemes: given(resolver, schemes),
            of_document: given(resolver, root.get("security")),
            read: HashMap::new(),
            lists: HashMap::new(),
            distinct: HashSet::new(),
        }
    }

    /// What an operation asks for; nothing where the list is empty or one of its alternatives is. Its
    /// own list replaces the document's.
    pub fn required(&mut self, resolver: &mut Resolver<'t>, operation: Value<'t>) -> Shared<'t> {
        let Some(list) = given(resolver, operation.get("security")).or(self.of_document) else {
            return Shared::default();
        };
        let at = (Arc::as_ptr(list.tree()), list.id());
        if let Some(known) = self.lists.get(&at) {
            return known.clone();
        }
        let read = self.list(resolver, list);
        let known = self.distinct.get(&*read).cloned().unwrap_or(read);
        self.distinct.insert(known.clone());
        self.lists.insert(at, known.clone());
        known
    }

    fn list(&mut self, resolver: &mut Resolver<'t>, list: Value<'t>) -> Shared<'t> {
        if !list.is_sequence() {
            resolver.report(wrong_type(list, "`security`", "a sequence"));
            return Shared::default();
        }
        let too_many = list.items().count() > MOST || list.items().any(|item| item.entries().count() > MOST);
        if too_many {
            let message = format!("`security` has more than {MOST} alternatives, or one of more schemes");
            let problem = list.problem(Severity::Warning, MANY, message);
            resolver.report(problem.hint("no credentials are looked for; list fewer"));
            return Shared::default();
        }
        let found: Vec<_> = list.items().map(|item| self.requirement(resolver, item)).collect();
        match found.iter().any(|one| one.credentials.is_empty()) {
            true => Shared::default(),
            false => found.into(),
        }
    }

    fn requirement(&mut self, resolver: &mut Resolver<'t>, item: Value<'t>) -> Requirement<'t> {
        if !item.is_mapping() {
            resolver.report(wrong_type(item, "a security requirement", "a mapping of schemes to scopes"));
        }
        let credential = |(key, scopes): (Key<'t>, Value<'t>)| Credential {
            name: key.text(),
            scheme: self.scheme(resolver, item, key),
            scopes: scopes.items().filter_map(Value::as_str).take(MOST).collect(),
        };
        Requirement { credentials: item.entries().map(credential).collect() }
    }

    fn scheme(&mut self, resolver: &mut Resolver<'t>, at: Value<'t>, key: Key<'t>) -> Scheme<'t> {
        let name = (Arc::as_ptr(at.tree()), key.text());
        if let Some(known) = self.read.get(&name) {
            return *known;
        }
        let scheme = self.named(resolver, at, key).map_or(Scheme::Unknown, |value| read(resolver, value));
        self.read.insert(name, scheme);
        scheme
    }

    /// 3.2, 4.30: the name of a component comes before the same text as an address.
    fn named(&self, resolver: &mut Resolver<'t>, at: Value<'t>, key: Key<'t>) -> Option<Value<'t>> {
        let name = key.text();
        if let Some(found) = self.schemes.and_then(|schemes| schemes.get(name)) {
            return given(resolver, Some(found));
        }
        if resolver.format() == Format::V32 && name.contains(['#', '/']) {
            let found = resolver.reference(at, name);
            return given(resolver, found);
        }
        let there = self.schemes.into_iter().flat_map(Value::entries).map(|(key, _)| key.text());
        let message = format!("`{}` is no security scheme of the document", cut(name));
        let problem = key.problem(Severity::Warning, NO_SCHEME, message);
        resolver.report(match nearest(name, there) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(match resolver.format() {
                Format::V2 => "describe it under `securityDefinitions`",
                _ => "describe it under `components.securitySchemes`",
            }),
        });
        None
    }
}

fn read<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Scheme<'t> {
    let text = |key| value.get(key).and_then(Value::as_str).filter(|text: &&str| !text.is_empty());
    let is_2 = resolver.format() == Format::V2;
    keywords(resolver, value, if is_2 { &SECURITY_SCHEME_OF_2 } else { &SECURITY_SCHEME });
    let found = match text("type") {
        Some("apiKey") => match (text("in"), text("name")) {
            (Some("header"), Some(name)) => Ok(Scheme::ApiKey(Location::Header, name)),
            (Some("query"), Some(name)) => Ok(Scheme::ApiKey(Location::Query, name)),
            (Some("cookie"), Some(name)) if !is_2 => Ok(Scheme::ApiKey(Location::Cookie, name)),
            _ => Err("an `apiKey` needs `name`, and `in` that says header, query or cookie"),
        },
        Some("basic") if is_2 => Ok(Scheme::Http("basic")),
        Some("http") if !is_2 => match text("scheme").filter(|scheme| is_token(scheme)) {
            Some(scheme) => Ok(Scheme::Http(scheme)),
            None => Err("`http` needs `scheme`, such as basic or bearer"),
        },
        Some("oauth2") => Ok(Scheme::Token),
        Some("openIdConnect") if !is_2 => Ok(Scheme::Token),
        Some("mutualTLS") if !is_2 => Ok(Scheme::Mutual),
        _ if is_2 => Err("`type` is one of basic, apiKey and oauth2"),
        _ => Err("`type` is one of apiKey, http, oauth2, openIdConnect and mutualTLS"),
    };
    found.unwrap_or_else(|hint| {
        resolver.report(unusable(value).hint(hint));
        Scheme::Unknown
    })
}

fn unusable(scheme: Value<'_>) -> Diagnostic {
    scheme.problem(Severity::Warning, BAD_SCHEME, "nothing can be looked for by this security scheme")
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_that_ask_alike_share_what_they_ask_for() {
        let text = "openapi: 3.1.0\nsecurity: [{a: []}]\npaths:\n  /a: {get: {}, put: {security: [{a: []}]}}\n  \
                    /b: {get: {}, put: {security: [{a: [s]}]}}\n\
                    components: {securitySchemes: {a: {type: oauth2, flows: {}}}}";
        let (tree, _) = Tree::parse("/t.yaml", text.to_owned(), &Default::default()).expect("it is YAML");
        let trees = super::super::Trees::from([("/t.yaml".into(), tree)]);
        let document = super::super::read(&trees, "/t.yaml").document.expect("it is a document");
        let distinct: HashSet<_> = document
            .operations
            .iter()
            .map(|operation| Arc::as_ptr(&operation.security).cast::<()>())
            .collect();
        assert_eq!((document.operations.len(), distinct.len()), (4, 2));
    }
}
