//! Reads a document as the product does, asks for everything that it shows, and says what does not come.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use standin::config::{Config, Source, Spec};
use standin::diagnostic::{Diagnostic, Severity};
use standin::mock::message::{Body, Head, Moment};
use standin::mock::{Answer, Found, Hit, Mocks};
use standin::server::load::{self, Loaded, State, Web};
use tokio::runtime::Builder;

use super::shown::{Example, Operation, Value, operations};

/// What stands for each parameter of a path; no document has it as a segment.
const WORD: &str = "standin0";

/// What may explain from above why an example is not served: its path, route, response or reference.
/// Other diagnostics explain only the example or the media type that they point at.
const FROM_ABOVE: [&str; 6] = ["SI0102", "SI0103", "SI0110", "SI0111", "SI0208", "SI0212"];

/// What became of a document.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Why nothing of it is served.
    pub refused: Option<String>,
    pub operations: usize,
    /// Those that a request made from their path finds.
    pub routed: usize,
    /// Examples of responses.
    pub examples: usize,
    pub served: usize,
    /// Examples that are not served, with a diagnostic that says why.
    pub explained: usize,
    /// Neither routed nor explained, neither served nor explained: each a line.
    pub findings: Vec<String>,
    /// Diagnostics by severity and code.
    pub diagnostics: BTreeMap<String, usize>,
    /// Reading and compiling, in milliseconds.
    pub millis: u64,
    /// The most memory that reading and compiling took, in bytes; 0 where that is not known.
    pub memory: u64,
}

pub fn judge(path: &Path) -> Outcome {
    let spec = Spec::new(Source::Path(path.to_owned()));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let web = runtime.block_on(async { Web::new() });
    let config = Config { specs: vec![spec], ..Config::default() };
    let (before, begun) = (memory("VmRSS:"), Instant::now());
    let loaded = load::load(&config, &Loaded::default(), &web);
    let compiled = load::compile(&config, &loaded);
    let mut outcome = Outcome {
        millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        memory: memory("VmHWM:").saturating_sub(before),
        ..Outcome::default()
    };
    for diagnostic in compiled.diagnostics() {
        let key = format!("{} {}", word(diagnostic.severity), diagnostic.code.0);
        *outcome.diagnostics.entry(key).or_default() += 1;
    }
    if !loaded.documents.iter().any(|loading| loading.state == State::Current) {
        let first = compiled.diagnostics().find(|diagnostic| diagnostic.severity == Severity::Error);
        outcome.refused = Some(first.map_or_else(|| "nothing says why".to_owned(), ToString::to_string));
        return outcome;
    }
    drop(loaded);
    let text = std::fs::read_to_string(path).expect("the file was readable just before");
    let json = serde_json::from_str(text.trim_start_matches('\u{feff}'));
    // What is no JSON is YAML, which no other reader here reads: such documents are in `tests/cases`.
    let Ok(json) = json else { return outcome };
    let judge = Judge { mocks: &compiled.mocks, reasons: Reasons::of(compiled.diagnostics()) };
    for operation in operations(&json) {
        judge.operation(&operation, &mut outcome);
    }
    outcome
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// A line of `/proc/self/status`, in bytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// Why something is not as the document shows it.
struct Reasons {
    /// The diagnostics' codes by pointer.
    codes: HashMap<String, Vec<&'static str>>,
    /// There are more than are told (SI0113).
    more: bool,
}

impl Reasons {
    fn of<'d>(diagnostics: impl Iterator<Item = &'d Diagnostic>) -> Reasons {
        let mut found: HashMap<String, Vec<&'static str>> = HashMap::new();
        let mut more = false;
        for diagnostic in diagnostics {
            more |= diagnostic.code.0 == "SI0113";
            let Some(place) = &diagnostic.place else { continue };
            found.entry(place.pointer.clone()).or_default().push(diagnostic.code.0);
        }
        Reasons { codes: found, more }
    }

    /// Whether something says why there is no route to what is at a pointer.
    fn explain_route(&self, pointer: &str) -> bool {
        self.above(pointer).any(|codes| codes.iter().any(|code| FROM_ABOVE.contains(code)))
    }

    fn explain(&self, example: &Example<'_>) -> bool {
        // Of what is told no more, only what is plain to see counts.
        let untold = self.more && !example.media.contains('/');
        untold
            || example.pointers.iter().any(|pointer| {
                let media = pointer.find("/content/").map_or(0, |at| at + "/content/".len());
                let near = |at: &usize| *at >= media;
                let nearer = ends(pointer).filter(near).filter_map(|end| self.codes.get(&pointer[..end]));
                // A diagnostic within the value, of a template for one, is about the value too.
                let within = self.codes.keys().any(|known| known.starts_with(&format!("{pointer}/")));
                nearer.count() > 0 || within || self.explain_route(pointer)
            })
    }

    fn above(&self, pointer: &str) -> impl Iterator<Item = &Vec<&'static str>> {
        ends(pointer).filter_map(|end| self.codes.get(&pointer[..end]))
    }
}

/// Where a pointer and each of its parents end.
fn ends(pointer: &str) -> impl Iterator<Item = usize> {
    let parents = pointer.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    parents.chain([pointer.len()])
}

struct Judge<'m> {
    mocks: &'m Mocks,
    reasons: Reasons,
}

impl Judge<'_> {
    fn operation(&self, operation: &Operation<'_>, outcome: &mut Outcome) {
        outcome.operations += 1;
        outcome.examples += operation.examples.len();
        let asked = Asked::new(operation);
        let explained = self.reasons.explain_route(&operation.pointer);
        match asked.as_ref().filter(|asked| asked.hit(self.mocks).is_some()) {
            Some(asked) => {
                outcome.routed += 1;
                for example in &operation.examples {
                    self.example(operation, asked, example, outcome);
                }
            }
            None if explained => outcome.explained += operation.examples.len(),
            None => outcome.findings.push(format!("{}: no request finds it", operation.pointer)),
        }
    }

    fn example(
        &self,
        operation: &Operation<'_>,
        asked: &Asked,
        example: &Example<'_>,
        outcome: &mut Outcome,
    ) {
        match asked.answer(self.mocks, operation, example) {
            Ok(()) => outcome.served += 1,
            Err(_) if self.reasons.explain(example) => outcome.explained += 1,
            Err(instead) => outcome.findings.push(format!("{}: {instead}", example.pointers[0])),
        }
    }
}

/// A request for an operation, made from its path alone.
struct Asked {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Asked {
    /// None for a method that is none.
    fn new(operation: &Operation<'_>) -> Option<Asked> {
        let method = operation.method.parse().ok()?;
        let template = filled(operation.path);
        let (path, conditions) = match template.find(['?', '#']) {
            Some(at) => (&template[..at], &template[at + 1..]),
            None => (template.as_str(), ""),
        };
        let mut headers = HeaderMap::new();
        let mut query = Vec::new();
        for condition in conditions.split(['&', '?', '#']).filter(|condition| !condition.is_empty()) {
            let (name, value) = condition.split_once('=').unwrap_or((condition, ""));
            let is_header =
                |(place, own): &(&str, &str)| *place == "header" && own.eq_ignore_ascii_case(name);
            match operation.parameters.iter().any(is_header) {
                true => {
                    let name: HeaderName = name.parse().ok()?;
                    headers.insert(name, HeaderValue::from_str(value).ok()?);
                }
                false => query.push(condition),
            }
        }
        let query = (!query.is_empty()).then(|| query.join("&"));
        Some(Asked { method, path: format!("{}{path}", operation.bases[0]), query, headers })
    }

    fn head<'r>(&'r self, headers: &'r HeaderMap) -> Head<'r> {
        Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers,
            scheme: "http",
            authority: "api.test",
        }
    }

    fn hit<'m>(&self, mocks: &'m Mocks) -> Option<Hit<'m>> {
        match mocks.find(&self.head(&self.headers)) {
            Found::Mock(hit) => Some(hit),
            _ => None,
        }
    }

    /// Asks for one example; what came instead if it did not come.
    fn answer(&self, mocks: &Mocks, operation: &Operation<'_>, example: &Example<'_>) -> Result<(), String> {
        let mut headers = self.headers.clone();
        let status = status(example.status, operation);
        let mut preferred = format!("code={status}");
        if let Some(name) = example.name {
            preferred.push_str(&format!(", example={}", quoted(name)));
        }
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).map_err(|error| error.to_string());
        headers.insert("prefer", value(&preferred)?);
        headers.insert("accept", value(example.media)?);
        let hit = self.hit(mocks).ok_or("no request finds it")?;
        let moment = Moment { now: 0, seed: 7 };
        let answer = hit.answer(self.head(&headers), &Body::new(Bytes::new()), moment);
        let answer = answer.map_err(|problem| format!("{} for `{preferred}`", problem.kind.code))?;
        let answer = answer.ok_or("it passes")?;
        compare(&answer, status, example)
    }
}

fn compare(answer: &Answer, status: u16, example: &Example<'_>) -> Result<(), String> {
    if answer.status.as_u16() != status {
        return Err(format!("status {} in place of {status}", answer.status.as_u16()));
    }
    let text = String::from_utf8_lossy(&answer.body);
    // RFC 9110, 6.4.1: these have no content, whatever a document shows.
    let is_it = matches!(status, 204 | 205 | 304)
        || match example.value {
            Value::Data(value) => same(value, &text) || is_written(value, example.media, &text),
            Value::Text(expected) => text == expected || expected.contains("{{"),
            Value::Elsewhere => false,
        };
    match is_it {
        true => Ok(()),
        false => Err(format!("another body: {}", text.chars().take(60).collect::<String>())),
    }
}

/// Whether a body is a value as JSON, or as text. What has a template in it is rendered, so that only
/// its being there can be told.
fn same(value: &Json, body: &str) -> bool {
    let parsed = || serde_json::from_str::<Json>(body).ok();
    match value {
        Json::String(text) if text == body => true,
        Json::String(text) => {
            let inside = || serde_json::from_str::<Json>(text).ok();
            text.contains("{{")
                || parsed()
                    .is_some_and(|parsed| parsed == *value || inside().is_some_and(|inside| inside == parsed))
        }
        value => parsed().is_some_and(|parsed| parsed == *value) || value.to_string().contains("{{"),
    }
}

/// Whether a body is a value that is no text, as a media type has it that is not JSON.
fn is_written(value: &Json, media: &str, body: &str) -> bool {
    let is = |word: &str| media.to_ascii_lowercase().contains(word);
    let written = is("xml") && roxmltree::Document::parse(body).is_ok()
        || is("x-www-form-urlencoded") && body.contains('=')
        || is("multipart/") && body.starts_with("--");
    written && !value.is_string()
}

/// The status that is asked for: of a range, and of `default`, one that nothing else describes.
fn status(key: &str, operation: &Operation<'_>) -> u16 {
    let free = |code: &u16| {
        let code = code.to_string();
        !operation.statuses.iter().any(|status| **status == code)
    };
    let class =
        |key: &str| key.to_ascii_uppercase().strip_suffix("XX").and_then(|class| class.parse::<u16>().ok());
    let described = |code: &u16| operation.statuses.iter().any(|status| class(status) == Some(code / 100));
    match (key, class(key)) {
        ("default", _) => (200..600).find(|code| free(code) && !described(code)).unwrap_or(200),
        (_, Some(class)) => (class * 100..class * 100 + 100).find(free).unwrap_or(class * 100),
        _ => key.parse().unwrap_or_default(),
    }
}

/// RFC 9110, 5.6.4.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A template with a word for each parameter, and what a path can't have encoded.
fn filled(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{')
        && let Some(length) = rest[open..].find('}')
    {
        out.push_str(&rest[..open]);
        // RFC 6570, 3.2.5 and 3.2.6: `{.x}` and `{/x}` stand for their dot and slash too.
        let inside = &rest[open + 1..open + length];
        out.extend(inside.chars().next().filter(|first| matches!(first, '.' | '/')));
        out.push_str(WORD);
        rest = &rest[open + length + 1..];
    }
    out.push_str(rest);
    out
}
