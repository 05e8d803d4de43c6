//! What a document shows, by a plain walk over its JSON: operations, their base paths, and each example
//! of each response.

use serde_json::Value as Json;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// References that lead on to references.
const HOPS: usize = 64;

pub struct Operation<'d> {
    pub path: &'d str,
    /// Upper case.
    pub method: String,
    /// Of each server, without a slash at its end; those with a variable that nothing gives are left out.
    pub bases: Vec<String>,
    /// Where it is named.
    pub pointer: String,
    /// `in` and `name` of each parameter.
    pub parameters: Vec<(&'d str, &'d str)>,
    pub examples: Vec<Example<'d>>,
    /// The keys of its responses.
    pub statuses: Vec<&'d str>,
}

/// One example of one response in one media type.
pub struct Example<'d> {
    /// The response's key.
    pub status: &'d str,
    pub media: &'d str,
    /// None for the singular `example`.
    pub name: Option<&'d str>,
    pub value: Value<'d>,
    /// Where it is, from the place that the document is read at, and from those that references lead to.
    pub pointers: Vec<String>,
}

pub enum Value<'d> {
    /// `value`, `dataValue`, or a singular `example`.
    Data(&'d Json),
    /// `serializedValue`
    Text(&'d str),
    /// In a file that may not be there, in no place that is known, or behind a broken reference.
    Elsewhere,
}

pub fn operations(document: &Json) -> Vec<Operation<'_>> {
    let walk = Walk { root: document };
    let mut found = Vec::new();
    let Some(paths) = document.get("paths").and_then(Json::as_object) else { return found };
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with('/')) {
        let at = At::default().child("paths").child(path);
        let Some((item, at)) = walk.follow(item, at) else { continue };
        for (key, value) in item.as_object().into_iter().flatten() {
            if METHODS.contains(&key.as_str()) && value.is_object() {
                found.push(walk.operation(path, key, item, value, &at.child(key)));
            }
        }
    }
    found
}

/// Every pointer under which a place is known: as it was walked to, and where references led.
#[derive(Clone, Default)]
struct At(Vec<String>);

impl At {
    fn child(&self, key: &str) -> At {
        let token = key.replace('~', "~0").replace('/', "~1");
        match self.0.as_slice() {
            [] => At(vec![format!("/{token}")]),
            known => At(known.iter().map(|pointer| format!("{pointer}/{token}")).collect()),
        }
    }
}

struct Walk<'d> {
    root: &'d Json,
}

impl<'d> Walk<'d> {
    /// What a `$ref` leads to inside of the document; none if it leads nowhere, or elsewhere.
    fn follow(&self, value: &'d Json, mut at: At) -> Option<(&'d Json, At)> {
        let mut current = value;
        for _ in 0..HOPS {
            let Some(reference) = current.get("$ref").and_then(Json::as_str) else {
                return Some((current, at));
            };
            let fragment = reference.strip_prefix('#')?;
            let pointer = percent_encoding::percent_decode_str(fragment).decode_utf8().ok()?.into_owned();
            current = self.root.pointer(&pointer)?;
            at.0.push(pointer);
        }
        None
    }

    fn operation(
        &self,
        path: &'d str,
        method: &str,
        item: &'d Json,
        value: &'d Json,
        at: &At,
    ) -> Operation<'d> {
        let servers =
            value.get("servers").or_else(|| item.get("servers")).or_else(|| self.root.get("servers"));
        let lists = [value.get("parameters"), item.get("parameters")];
        let parameters = lists.into_iter().flatten().filter_map(Json::as_array).flatten();
        let parameters = parameters.filter_map(|parameter| {
            let (parameter, _) = self.follow(parameter, At::default())?;
            Some((parameter.get("in")?.as_str()?, parameter.get("name")?.as_str()?))
        });
        let mut operation = Operation {
            path,
            method: method.to_uppercase(),
            bases: bases(servers),
            pointer: at.0[0].clone(),
            parameters: parameters.collect(),
            examples: Vec::new(),
            statuses: Vec::new(),
        };
        let responses = value.get("responses").and_then(Json::as_object);
        for (status, response) in responses.into_iter().flatten().filter(|(key, _)| !key.starts_with("x-")) {
            operation.statuses.push(status);
            let at = at.child("responses").child(status);
            let Some((response, at)) = self.follow(response, at) else { continue };
            let content = response.get("content").and_then(Json::as_object);
            for (media, value) in content.into_iter().flatten() {
                let at = at.child("content").child(media);
                self.examples(status, media, value, &at, &mut operation.examples);
            }
        }
        operation
    }

    fn examples(
        &self,
        status: &'d str,
        media: &'d str,
        value: &'d Json,
        at: &At,
        found: &mut Vec<Example<'d>>,
    ) {
        let named = value.get("examples").and_then(Json::as_object);
        for (name, item) in named.into_iter().flatten() {
            let at = at.child("examples").child(name);
            let (value, at) = match self.follow(item, at.clone()) {
                Some((item, at)) => (shown(item), at),
                None => (Value::Elsewhere, at),
            };
            found.push(Example { status, media, name: Some(name), value, pointers: at.0 });
        }
        if let Some(value) = value.get("example") {
            let pointers = at.child("example").0;
            found.push(Example { status, media, name: None, value: Value::Data(value), pointers });
        }
    }
}

fn shown(example: &Json) -> Value<'_> {
    let text = example.get("serializedValue").and_then(Json::as_str);
    match (example.get("value").or_else(|| example.get("dataValue")), text) {
        (Some(value), _) => Value::Data(value),
        (None, Some(text)) => Value::Text(text),
        (None, None) => Value::Elsewhere,
    }
}

fn bases(servers: Option<&Json>) -> Vec<String> {
    let mut found = Vec::new();
    for server in servers.and_then(Json::as_array).into_iter().flatten() {
        let Some(mut url) = server.get("url").and_then(Json::as_str).map(str::to_owned) else { continue };
        for (name, variable) in server.get("variables").and_then(Json::as_object).into_iter().flatten() {
            if let Some(default) = variable.get("default") {
                let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
                url = url.replace(&format!("{{{name}}}"), &default);
            }
        }
        let rest = url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//"));
        let path = match rest {
            Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => &url,
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = path.trim_start_matches("./").trim_start_matches('.').trim_matches('/');
        if !path.contains(['{', '}']) {
            found.push(if path.is_empty() { String::new() } else { format!("/{path}") });
        }
    }
    if found.is_empty() {
        found.push(String::new());
    }
    found
}
