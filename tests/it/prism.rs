//! What Prism's public test harness asks for, asked of the real binary: requests enforced, no upstream.
//!
//! The cases are `tests/prism/*.yaml`, a file an area; `tests/outside/prism.py` asks Prism the same. All
//! documents that want the same flags share a process, each below a base path of its own.
//!
//! ```yaml
//! - document: |                   # OpenAPI or Swagger
//!     openapi: 3.0.2
//!   dynamic: true                 # `--dynamic`
//!   cors: false                   # `--cors off`
//!   cases:
//!   - name: what the case shows
//!     request: GET /path?query
//!     headers: {accept: text/html}
//!     body: a=1                   # as it is
//!     parts: {a: 1, b: [2, 3]}    # instead of `body`: multipart/form-data with the boundary `x`
//!     expect:
//!       status: 200
//!       headers: {x-a: b}         # of `content-type` the media type alone; others are not looked at
//!       json: {a: 1}              # or `text`, or `one_of` a list of JSON values
//!     differs: heading            # of docs/prism.md, where Prism does something else
//!     prism: 404                  # the status of Prism then, if it is another one
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::harness::*;

#[tokio::test]
async fn what_prism_harness_asks_for_is_answered() {
    let groups = groups();
    let mut differences = BTreeSet::new();
    for (dynamic, cors) in [(false, true), (true, true), (false, false)] {
        let of_flags = |group: &&Group| (group.dynamic, group.cors) == (dynamic, cors);
        let together: Vec<&Group> = groups.iter().filter(of_flags).collect();
        let standin = serving(&together, dynamic, cors).await;
        for (place, group) in together.into_iter().enumerate() {
            for case in &group.cases {
                differences.extend(case.differs.clone());
                case.check(&standin, &base_path(place)).await;
            }
        }
    }
    let explained = headings(include_str!("../../docs/prism.md"));
    assert_eq!(differences, explained, "`differs` of the cases, and the headings of docs/prism.md");
}

async fn serving(groups: &[&Group], dynamic: bool, cors: bool) -> Standin {
    let mut specs = "specs:\n".to_owned();
    let mut builder = Standin::with();
    for (place, group) in groups.iter().enumerate() {
        let file = format!("document-{place}.yaml");
        specs += &format!("- {{source: {file}, base_path: {}}}\n", base_path(place));
        builder = builder.file(&file, &group.document);
    }
    let (dynamic, cors) = (if dynamic { "on" } else { "off" }, if cors { "on" } else { "off" });
    let flags = ["--validate", "enforce", &format!("--dynamic={dynamic}"), "--cors", cors];
    builder.config(&specs).args(flags).start().await
}

fn base_path(place: usize) -> String {
    format!("/document-{place}")
}

fn groups() -> Vec<Group> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prism");
    let files = fs::read_dir(folder).expect("tests/prism");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| -> Vec<Group> {
        let text = fs::read_to_string(path).expect("a text");
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let groups: Vec<Group> = paths.iter().flat_map(read).collect();
    assert!(!groups.is_empty(), "no cases in tests/prism");
    groups
}

fn headings(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    document: String,
    #[serde(default)]
    dynamic: bool,
    #[serde(default = "yes")]
    cors: bool,
    cases: Vec<Case>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    parts: Option<BTreeMap<String, Part>>,
    expect: Expected,
    differs: Option<String>,
    /// For tests/outside/prism.py.
    #[serde(rename = "prism")]
    _prism: Option<u16>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    one_of: Option<Vec<Value>>,
    text: Option<String>,
}

impl Case {
    async fn check(&self, standin: &Standin, base_path: &str) {
        let (method, target) = self.request.split_once(' ').expect("a method and a target");
        let mut asked = request(method, &format!("{base_path}{target}"));
        for (name, value) in &self.headers {
            asked = asked.header(name, value);
        }
        let body = self.parts.as_ref().map_or_else(|| self.body.clone(), multipart);
        let response = standin.send(asked.body(body.into_bytes())).await;
        self.expect.check(&self.name, &response);
    }
}

fn multipart(parts: &BTreeMap<String, Part>) -> String {
    let mut out = String::new();
    for (name, part) in parts {
        let values = match part {
            Part::One(value) => std::slice::from_ref(value),
            Part::Several(values) => values,
        };
        for value in values {
            out += &format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
    }
    out + "--x--\r\n"
}

impl Expected {
    #[track_caller]
    fn check(&self, case: &str, response: &Response) {
        assert_eq!(response.status, self.status, "{case}: {}", response.text());
        for (name, value) in &self.headers {
            let mut found = response.header(name);
            if name == "content-type" {
                found = found.and_then(|found| found.split(';').next());
            }
            assert_eq!(found, Some(value.as_str()), "{case}: {name}");
        }
        if let Some(json) = &self.json {
            assert_eq!(&response.json(), json, "{case}");
        }
        if let Some(all) = &self.one_of {
            assert!(all.contains(&response.json()), "{case}: {}", response.text());
        }
        if let Some(text) = &self.text {
            assert_eq!(&response.text(), text, "{case}");
        }
    }
}
