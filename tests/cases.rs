//! The decision as data: each file below `tests/cases` has a document, requests, and what they get.
//!
//! Nothing here opens a port or waits, so a bug report becomes a file before it is mended. A file
//! begins with a comment that says the rule and its source, and reads as follows; all but
//! `document`, `name`, `request` and `expect` may be left out.
//!
//! ```yaml
//! # A rule of the contract (contract 3.1).
//! document: |                       # the text of /cases/document.yaml
//!   openapi: 3.1.0
//! files: {other.yaml: "..."}        # texts beside it, or by their URL
//! external: {a.txt: "..."}          # files beside it that are no documents, or their bytes: [0, 255]
//! absent: {gone.yaml: reason}       # what can't be had, and why
//! config: |                         # a config file; without `specs` it is the document's alone
//!   unmatched: reject
//! diagnostics: [SI0201 8:20]        # of reading and compiling: code, line, column; all of them
//! lints: [SI0222 8:20]              # what `standin check` says besides; if left out, it is not asked
//! cases:
//! - name: what the case shows
//!   now: 0                          # milliseconds since the epoch, else `NOW`
//!   seed: 1                         # else `SEED`
//!   request: GET /path?query
//!   headers: {accept: text/html}    # or a list, for several fields of one name
//!   body: {a: 1}                    # sent as compact JSON; a string as it is
//!   bytes: [0, 255]                 # instead of `body`
//!   expect:
//!     found: mock                   # else unlisted, pass, other-methods, refused
//!     mode: match                   # of a mocked operation's request
//!     may_pass: true                # instead of a 413
//!     passes: true                  # mocked, but for the upstream once it is looked at
//!     delay: 250ms                  # what its answer waits; left out: not looked at, `0s`: it does not
//!     operation: label              # of a mocked or passed operation
//!     allow: GET, HEAD              # of other-methods
//!     needs_body: false             # a body that is not needed is never given to the answer
//!     problem: not-acceptable       # the code of Standin's own error
//!     status: 200
//!     example: name                 # null: an answer without a name
//!     headers: {x-a: b, x-b: null}  # null: not there; others are not looked at
//!     json: {a: 1}                  # its keys in this order; or `text` or `bytes`, to the byte
//!     violations: [query n type]    # all of them, in order: place, path, keyword; an empty path is left out
//!     calls:                        # all of them, in order; rendered `LATER` than the answer
//!     - callback: name
//!       method: POST
//!       url: http://x/              # or `unresolved`: the whole reason
//!       base: http://host/path      # what a relative `url` is relative to
//!       wait: 3s                    # what the document says; left out: nothing
//!       headers: {x-a: b}
//!       json: {a: 1}                # or `text`
//! ```

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use standin::config::{self, Config};
use standin::diagnostic::Diagnostic;
use standin::mock::callback::Chain;
use standin::mock::message::{Body, Head, Moment};
use standin::mock::violation::Violation;
use standin::mock::{Answer, Found, Hit, Mocks, Need, Operation, Source};
use standin::spec::{self, Trees};
use standin::tree::{Limits, Tree};

/// 2025-01-02T03:04:05.678Z
const NOW: i64 = 1_735_787_045_678;
const SEED: u64 = 7;
/// How much later than its answer a call is rendered, in milliseconds.
const LATER: i64 = 60_000;

const FOLDER: &str = "/cases";
const HOST: &str = "api.test:8080";
const AREAS: [&str; 11] = [
    "lint",
    "document",
    "route",
    "answer",
    "body",
    "negotiate",
    "template",
    "callback",
    "validate",
    "security",
    "cors",
];

#[test]
fn lint() {
    check_area("lint");
}

#[test]
fn security() {
    check_area("security");
}

#[test]
fn cors() {
    check_area("cors");
}

#[test]
fn document() {
    check_area("document");
}

#[test]
fn route() {
    check_area("route");
}

#[test]
fn answer() {
    check_area("answer");
}

#[test]
fn body() {
    check_area("body");
}

#[test]
fn negotiate() {
    check_area("negotiate");
}

#[test]
fn template() {
    check_area("template");
}

#[test]
fn callback() {
    check_area("callback");
}

#[test]
fn validate() {
    check_area("validate");
}

#[test]
fn every_folder_is_an_area() {
    let mut found: Vec<_> = entries(&root()).iter().map(|path| name_of(path)).collect();
    let mut areas = AREAS.map(str::to_owned).to_vec();
    found.sort();
    areas.sort();
    assert_eq!(found, areas);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    document: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    external: BTreeMap<String, External>,
    #[serde(default)]
    absent: BTreeMap<String, String>,
    #[serde(default)]
    config: String,
    #[serde(default)]
    diagnostics: Vec<String>,
    lints: Option<Vec<String>>,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    now: Option<i64>,
    seed: Option<u64>,
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    body: Option<Json>,
    bytes: Option<Vec<u8>>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum External {
    Text(String),
    Bytes(Vec<u8>),
}

impl Values {
    fn list(&self) -> &[String] {
        match self {
            Values::One(value) => std::slice::from_ref(value),
            Values::Several(values) => values,
        }
    }
}

impl External {
    fn bytes(&self) -> Bytes {
        match self {
            External::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            External::Bytes(bytes) => Bytes::copy_from_slice(bytes),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    found: Option<String>,
    mode: Option<String>,
    may_pass: Option<bool>,
    #[serde(default)]
    passes: bool,
    delay: Option<String>,
    operation: Option<String>,
    allow: Option<String>,
    needs_body: Option<bool>,
    problem: Option<String>,
    status: Option<u16>,
    #[serde(default, deserialize_with = "given")]
    example: Option<Option<String>>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(default, deserialize_with = "given")]
    json: Option<Json>,
    text: Option<String>,
    bytes: Option<Vec<u8>>,
    violations: Option<Vec<String>>,
    #[serde(default)]
    calls: Vec<ExpectedCall>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedCall {
    callback: String,
    #[serde(default = "post")]
    method: String,
    url: Option<String>,
    unresolved: Option<String>,
    base: Option<String>,
    wait: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(default, deserialize_with = "given")]
    json: Option<Json>,
    text: Option<String>,
}

fn post() -> String {
    "POST".to_owned()
}

/// A null that is written differs from a key that is not.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Runs every case of every file of an area, and says everything that is not as expected.
fn check_area(area: &str) {
    let files = entries(&root().join(area));
    let mut report = String::new();
    for path in &files {
        let text = std::fs::read_to_string(path).expect("the file is readable");
        for failure in check_file(&text) {
            let _ = writeln!(report, "tests/cases/{area}/{}: {failure}", name_of(path));
        }
    }
    assert!(!files.is_empty(), "the area has no files");
    assert!(report.is_empty(), "\n{report}");
}

fn check_file(text: &str) -> Vec<String> {
    if !text.starts_with("# ") {
        return vec!["the first line is no comment that says the rule".to_owned()];
    }
    let file: File = match serde_yaml::from_str(text) {
        Ok(file) => file,
        Err(error) => return vec![error.to_string()],
    };
    let mocks = match compile(&file) {
        Ok(mocks) => mocks,
        Err(failures) => return failures,
    };
    let run = |case: &Case| {
        let mut differences = Differences::default();
        check_case(case, &mocks, &mut differences);
        (!differences.0.is_empty()).then(|| format!("{}\n{}", case.name, differences.0))
    };
    file.cases.iter().filter_map(run).collect()
}

fn compile(file: &File) -> Result<Mocks, Vec<String>> {
    let text = |diagnostics: Vec<Diagnostic>| diagnostics.iter().map(line).collect::<Vec<_>>();
    let config = match file.config.as_str() {
        "" => Config::default(),
        config => config::parse("standin.yaml", config, &|_| None, Path::new(FOLDER)).map_err(text)?,
    };
    let mut diagnostics = Vec::new();
    let mut trees = Trees::default();
    let document = [("document.yaml", &file.document)];
    let others = file.files.iter().map(|(name, text)| (name.as_str(), text));
    for (name, text) in document.into_iter().chain(others) {
        let name = tree_name(name);
        let (tree, warnings) =
            Tree::parse(&name, text.clone(), &Limits::default()).map_err(|problem| vec![line(&problem)])?;
        diagnostics.extend(warnings);
        trees.insert(name, tree);
    }
    for (name, text) in &file.external {
        trees.insert_file(tree_name(name), text.bytes());
    }
    for (name, reason) in &file.absent {
        trees.absent(tree_name(name), reason.as_str());
    }
    let mut sources = Vec::new();
    let mut read = |name: &str, base_path, upstream, mode| {
        let reading = spec::read(&trees, name);
        diagnostics.extend(reading.diagnostics);
        sources.extend(reading.document.map(|document| Source {
            document,
            trees: &trees,
            base_path,
            upstream,
            mode,
        }));
    };
    if config.specs.is_empty() {
        read(&format!("{FOLDER}/document.yaml"), None, None, None);
    }
    for entry in &config.specs {
        read(&entry.source.to_string(), entry.base_path.clone(), entry.upstream.clone(), entry.mode);
    }
    let (mocks, more) = Mocks::compile(&sources, &config);
    diagnostics.extend(more);
    let documents: Vec<_> = sources.iter().map(|source| (&source.document, &trees)).collect();
    let lints = if file.lints.is_some() { mocks.lint(&documents) } else { Vec::new() };
    let mut failures = differing("diagnostics", &file.diagnostics, diagnostics);
    failures.extend(differing("lints", file.lints.as_deref().unwrap_or_default(), lints));
    if failures.is_empty() { Ok(mocks) } else { Err(failures) }
}

/// What is said about diagnostics that are not the expected ones.
fn differing(what: &str, expected: &[String], found: Vec<Diagnostic>) -> Vec<String> {
    let short: Vec<String> = found.iter().map(short).collect();
    if short == expected {
        return Vec::new();
    }
    let lines = found.iter().map(|found| match &found.hint {
        Some(hint) => format!("{}; {hint}", line(found)),
        None => line(found),
    });
    std::iter::once(format!("{what}: expected {expected:?}, found {short:?}")).chain(lines).collect()
}

/// A name beside the document, or a URL as it is.
fn tree_name(name: &str) -> Arc<str> {
    if name.contains("://") { name.into() } else { format!("{FOLDER}/{name}").into() }
}

fn short(diagnostic: &Diagnostic) -> String {
    match &diagnostic.place {
        Some(place) => format!("{} {}:{}", diagnostic.code.0, place.line, place.column),
        None => diagnostic.code.0.to_owned(),
    }
}

fn line(diagnostic: &Diagnostic) -> String {
    format!("{}: {}", short(diagnostic), diagnostic.message)
}

/// What is not as expected, a line each.
#[derive(Default)]
struct Differences(String);

impl Differences {
    fn check<T: PartialEq + Debug>(&mut self, what: &str, expected: T, found: T) {
        if expected != found {
            let _ = writeln!(self.0, "    {what}: expected {expected:?}, found {found:?}");
        }
    }

    fn check_headers(&mut self, what: &str, expected: &BTreeMap<String, Option<String>>, found: &HeaderMap) {
        for (name, expected) in expected {
            self.check(&format!("{what}header {name}"), expected.clone(), joined(found, name));
        }
    }

    fn check_body(&mut self, what: &str, json: Option<&Json>, text: Option<&str>, found: &Bytes) {
        let found = String::from_utf8_lossy(found);
        if let Some(json) = json {
            let compact = serde_json::from_str(&found).map(|found: Json| found.to_string());
            self.check(
                &format!("{what}json"),
                json.to_string(),
                compact.unwrap_or_else(|_| found.to_string()),
            );
        }
        if let Some(text) = text {
            self.check(&format!("{what}text"), text, &found);
        }
    }
}

fn check_case(case: &Case, mocks: &Mocks, differences: &mut Differences) {
    let (method, target) = case.request.split_once(' ').expect("a request is `METHOD /path`");
    let method = Method::from_bytes(method.as_bytes()).expect("the method is one");
    let mut headers = HeaderMap::new();
    for (name, value) in case.headers.iter().flat_map(fields) {
        headers.append(name, value);
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let authority = headers.get("host").map_or(HOST, |host| host.to_str().expect("the host is text"));
    let head = Head { method: &method, path, query, headers: &headers, scheme: "http", authority };
    let expect = &case.expect;
    let found = mocks.find(&head);
    let kind = expect.found.as_deref().unwrap_or("mock");
    let (found_kind, operation) = match &found {
        Found::Mock(hit) => ("mock", Some(&*hit.operation.label)),
        Found::Pass(number) => ("pass", Some(&*mocks.operations[*number].label)),
        Found::Unlisted => ("unlisted", None),
        Found::OtherMethods(_) => ("other-methods", None),
        Found::Refused(_) => ("refused", None),
    };
    differences.check("found", kind, found_kind);
    if expect.operation.is_some() {
        differences.check("operation", expect.operation.as_deref(), operation);
    }
    match found {
        Found::Mock(hit) => check_hit(case, &hit, head, differences),
        Found::OtherMethods(methods) => {
            let allow = Operation::allow(&methods);
            let allow = allow.as_ref().and_then(|value| value.to_str().ok());
            differences.check("allow", expect.allow.as_deref(), allow);
        }
        Found::Refused(problem) => {
            differences.check("problem", expect.problem.as_deref(), Some(problem.kind.code));
            check_answer(expect, problem.status().as_u16(), problem.render(), differences);
        }
        Found::Pass(_) | Found::Unlisted => {}
    }
}

fn check_hit(case: &Case, hit: &Hit<'_>, head: Head<'_>, differences: &mut Differences) {
    let expect = &case.expect;
    let need = hit.needs_body(&head);
    let read = need > Need::Nothing;
    if let Some(needs_body) = expect.needs_body {
        differences.check("needs_body", needs_body, need == Need::Whole);
    }
    if let Some(mode) = &expect.mode {
        differences.check("mode", mode.as_str(), hit.mode.as_str());
    }
    if let Some(may_pass) = expect.may_pass {
        differences.check("may_pass", may_pass, hit.may_pass());
    }
    let text = match &case.body {
        // As the edge does: what is not needed is not read.
        Some(body) if read => body.as_str().map_or_else(|| body.to_string(), str::to_owned),
        _ => String::new(),
    };
    let bytes = case.bytes.clone().filter(|_| read);
    let body = Body::new(bytes.unwrap_or(text.into()).into());
    let moment = Moment { now: case.now.unwrap_or(NOW), seed: case.seed.unwrap_or(SEED) };
    if let Some(delay) = &expect.delay {
        let delay = config::duration(delay).expect("`delay` is a duration");
        differences.check("delay", delay, hit.delay(moment.seed).unwrap_or_default());
    }
    match hit.answer(head, &body, moment) {
        Ok(None) => differences.check("passes", expect.passes, true),
        Ok(Some(answer)) => {
            differences.check("passes", expect.passes, false);
            let Answer { status, headers, body, chain, violations, .. } = answer;
            check_violations(expect, &violations, differences);
            differences.check("problem", expect.problem.as_deref(), None);
            check_answer(expect, status.as_u16(), (headers, body), differences);
            check_calls(&expect.calls, chain.as_ref(), moment, differences);
        }
        Err(problem) => {
            check_violations(expect, &problem.violations, differences);
            differences.check("problem", expect.problem.as_deref(), Some(problem.kind.code));
            check_answer(expect, problem.status().as_u16(), problem.render(), differences);
            check_calls(&expect.calls, None, moment, differences);
        }
    }
}

fn check_answer(expect: &Expected, status: u16, found: (HeaderMap, Bytes), differences: &mut Differences) {
    let (headers, body) = found;
    if let Some(expected) = expect.status {
        differences.check("status", expected, status);
    }
    if let Some(example) = &expect.example {
        differences.check("example", example.clone(), joined(&headers, "x-standin-example"));
    }
    differences.check_headers("", &expect.headers, &headers);
    differences.check_body("", expect.json.as_ref(), expect.text.as_deref(), &body);
    if let Some(bytes) = &expect.bytes {
        differences.check("bytes", &**bytes, &*body);
    }
}

fn check_violations(expect: &Expected, found: &[Violation], differences: &mut Differences) {
    let Some(expected) = &expect.violations else { return };
    let line = |one: &Violation| {
        let parts = [one.place.as_str(), &one.path, &one.keyword];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    if *expected != lines {
        differences.check("violations", expected, &lines);
        found.iter().for_each(|one| differences.0.push_str(&format!("      {}\n", one.message)));
    }
}

fn check_calls(expected: &[ExpectedCall], chain: Option<&Chain>, at: Moment, differences: &mut Differences) {
    let calls = chain.map_or(&[][..], |chain| &chain.calls);
    let found: Vec<&str> = calls.iter().map(|call| &**call.callback()).collect();
    let names: Vec<&str> = expected.iter().map(|call| call.callback.as_str()).collect();
    differences.check("calls", &names, &found);
    let Some(chain) = chain.filter(|_| names == found) else { return };
    let moment = Moment { now: at.now + LATER, seed: at.seed + 1 };
    for (number, (expected, planned)) in expected.iter().zip(calls).enumerate() {
        let what = format!("call {} ", number + 1);
        let wait = expected.wait.as_deref().map(|wait| config::duration(wait).expect("`wait` is a duration"));
        differences.check(&format!("{what}wait"), wait, planned.wait);
        match chain.render(number, moment) {
            Ok(call) => {
                differences.check(&format!("{what}unresolved"), expected.unresolved.as_deref(), None);
                differences.check(&format!("{what}method"), expected.method.as_str(), call.method.as_str());
                differences.check(&format!("{what}url"), expected.url.as_deref(), Some(&*call.url));
                if let Some(base) = &expected.base {
                    differences.check(&format!("{what}base"), base, &call.base);
                }
                differences.check_headers(&what, &expected.headers, &call.headers);
                differences.check_body(&what, expected.json.as_ref(), expected.text.as_deref(), &call.body);
            }
            Err(reason) => {
                let reason = reason.to_string();
                differences.check(&format!("{what}url"), expected.url.as_deref(), None);
                differences.check(&format!("{what}unresolved"), expected.unresolved.as_ref(), Some(&reason));
            }
        }
    }
}

/// The fields of one name.
fn fields((name, values): (&String, &Values)) -> Vec<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(name).expect("the header's name is one");
    let value = |value: &String| HeaderValue::from_str(value).expect("the header's value is one");
    values.list().iter().map(|text| (name.clone(), value(text))).collect()
}

/// All fields of a name, joined by commas.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is readable");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("the entry is readable").path()).collect();
    found.sort();
    found
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
