//! Documents that mean harm: each is refused with a position, or read, soon and in little memory.
//!
//! The bound on the processor's time is for a debug build; `measured` says on request what each takes, and
//! is for a release build:
//! `cargo test --profile corpus --test it hostile::measured -- --ignored --nocapture`.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::harness::*;

/// In a release build each takes less than 2 s.
const SOON_ENOUGH: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 4 });
const MEMORY: u64 = 512 << 20;
/// A tenth in a debug build, so that what grows with the square of it is still found.
const MANY: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
const LONG: usize = if cfg!(debug_assertions) { 1 << 20 } else { 10 << 20 };

/// What `check` says of a document, by its first diagnostic that is an error.
enum Said {
    /// It is served, maybe with warnings.
    Read,
    /// The code, and the line, or none where the file can't be read at all.
    Refused(&'static str, Option<u64>),
}

use Said::{Read, Refused};

struct Hostile {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    said: Said,
}

#[tokio::test]
async fn nested_too_deep() {
    check(depth()).await;
}

#[tokio::test]
async fn references_in_circles() {
    check(circles()).await;
}

#[tokio::test]
async fn texts_that_are_none() {
    check(texts()).await;
}

#[tokio::test]
async fn very_long_strings() {
    check(strings()).await;
}

#[tokio::test]
async fn very_many_of_a_kind() {
    check(crowds()).await;
}

#[tokio::test]
#[ignore = "prints a table; for a release build"]
async fn measured() {
    for hostile in [depth(), circles(), texts(), strings(), crowds()].into_iter().flatten() {
        let (seconds, peak, said) = hostile.run().await;
        println!("{:<44} {seconds:>6.2} s {:>5} MB  {said}", hostile.name, peak >> 20);
    }
}

async fn check(documents: Vec<Hostile>) {
    for hostile in documents {
        let (seconds, peak, said) = hostile.run().await;
        let expected = match hostile.said {
            Read => "read".to_owned(),
            Refused(code, line) => format!("{code} {line:?}"),
        };
        assert_eq!(said, expected, "{}", hostile.name);
        assert!(seconds < SOON_ENOUGH.as_secs_f64(), "{}: {seconds} s", hostile.name);
        assert!(peak < MEMORY, "{}: {} MB", hostile.name, peak >> 20);
    }
}

impl Hostile {
    fn new(name: &'static str, text: impl Into<Vec<u8>>, said: Said) -> Hostile {
        Hostile { name, files: vec![("document.yaml", text.into())], said }
    }

    fn with(mut self, name: &'static str, text: impl Into<Vec<u8>>) -> Hostile {
        self.files.push((name, text.into()));
        self
    }

    /// Seconds of the processor, the most memory in bytes, and what `check` said.
    async fn run(&self) -> (f64, u64, String) {
        let builder = Standin::with().command("check").args(["--format", "json", "--spec", "document.yaml"]);
        for (name, bytes) in &self.files {
            std::fs::write(builder.folder.path(name), bytes).expect("a file");
        }
        let begun = Instant::now();
        let mut process = builder.launch();
        // The peak of a process that has ended is gone: the last one seen is near enough to it.
        let (mut peak, mut work) = (0, Duration::ZERO);
        let code = loop {
            peak = peak.max(process.peak_so_far().unwrap_or(0));
            work = work.max(process.work_so_far().unwrap_or(Duration::ZERO));
            if !process.runs() {
                break process.wait_exit(SOON).await;
            }
            if work > SOON_ENOUGH || begun.elapsed() > SOON_ENOUGH * 10 {
                return (work.as_secs_f64(), peak, "still at it".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let seconds = work.as_secs_f64();
        let (stdout, stderr) = (process.stdout(), process.stderr());
        assert!(code == 0 || code == 1, "{}: {code} {stderr}", self.name);
        let found: serde_json::Value =
            serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{}: {error}: {stderr}", self.name));
        let said = match &found["documents"][0]["openapi"] {
            serde_json::Value::Null => {
                let all = found["diagnostics"].as_array().cloned().unwrap_or_default();
                let first = all.iter().find(|one| one["severity"] == "error");
                let first = first.unwrap_or_else(|| panic!("{}: nothing says why: {stdout}", self.name));
                let message = first["message"].as_str().unwrap_or_default();
                let named = if message.contains("UTF-16") { " UTF-16" } else { "" };
                format!("{}{named} {:?}", first["code"].as_str().unwrap_or_default(), first["line"].as_u64())
            }
            _ => "read".to_owned(),
        };
        (seconds, peak, said)
    }
}

const HEAD: &str = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\n";
const OK: &str = "responses: {200: {description: ok, content: {application/json: {example: 1}}}}";

fn document(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

fn depth() -> Vec<Hostile> {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let item = format!("*a{}, ", level - 1).repeat(9);
        let _ = writeln!(bomb, "a{level}: &a{level} [{item}]");
    }
    let nested = |levels: usize| format!("{}{{}}{}", "{allOf: [".repeat(levels), "]}".repeat(levels));
    let schemas = |schema: &str| {
        document(&format!(
            "paths: {{/a: {{get: {{responses: {{200: {{description: '', content: {{application/json: {{schema: {schema}}}}}}}}}}}}}}}\n"
        ))
    };
    let mut chain = schemas("{$ref: '#/components/schemas/s0'}");
    chain.push_str("components:\n  schemas:\n");
    for number in 0..5000 {
        let _ =
            writeln!(chain, "    s{number}: {{allOf: [{{$ref: '#/components/schemas/s{}'}}]}}", number + 1);
    }
    chain.push_str("    s5000: {type: object}\n");
    let mut merges = String::from("m0: &m0 {k0: 1}\n");
    for level in 1..3000 {
        let _ = writeln!(merges, "m{level}: &m{level} {{<<: *m{}, k{level}: 1}}", level - 1);
    }
    vec![
        Hostile::new("aliases of aliases", document(&bomb), Refused("SI0002", Some(9))),
        Hostile::new("merges of merges", document(&merges), Refused("SI0002", Some(819))),
        Hostile::new("100,000 brackets", "[".repeat(MANY), Refused("SI0002", Some(1))),
        Hostile::new(
            "100,000 brackets, YAML",
            format!("a: {}", "[".repeat(MANY)),
            Refused("SI0002", Some(1)),
        ),
        Hostile::new("100,000 sequences in sequences", "- ".repeat(MANY), Refused("SI0002", Some(1))),
        Hostile::new("100,000 question marks", "? ".repeat(MANY), Refused("SI0002", Some(1))),
        Hostile::new("5,000 allOf in each other", schemas(&nested(5000)), Refused("SI0002", Some(3))),
        Hostile::new("5,000 allOf by references", chain, Read),
    ]
}

fn circles() -> Vec<Hostile> {
    let here = "{$ref: '#/components";
    let paths = format!(
        "paths:
  /path: {{$ref: '#/paths/~1path2'}}
  /path2: {{$ref: '#/paths/~1path'}}
  /all:
    post:
      parameters: [{here}/parameters/p'}}]
      requestBody: {here}/requestBodies/b'}}
      responses: {{200: {here}/responses/r'}}, 201: {here}/responses/s'}}}}
      callbacks: {{c: {here}/callbacks/c'}}, d: {{'http://h/': {{$ref: '#/paths/~1all'}}}}}}
components:
  parameters: {{p: {here}/parameters/q'}}, q: {here}/parameters/p'}}}}
  requestBodies: {{b: {here}/requestBodies/b'}}}}
  responses:
    r: {here}/responses/r'}}
    s:
      description: ''
      headers: {{x: {here}/headers/h'}}}}
      content:
        application/json:
          schema: {here}/schemas/a'}}
          examples: {{e: {here}/examples/e'}}, f: {here}/examples/f/x'}}}}
        text/plain: {here}/responses/s/content/text~1plain'}}
  headers: {{h: {here}/headers/h'}}}}
  examples: {{e: {here}/examples/e'}}, f: {here}/examples/f/x'}}}}
  callbacks: {{c: {here}/callbacks/c'}}}}
  schemas: {{a: {{allOf: [{here}/schemas/a'}}], properties: {{a: {here}/schemas/a'}}}}}}}}
"
    );
    let mut fan = String::from("paths: {/a: {$ref: '#/x/n0'}}\nx:\n");
    for number in 0..20_000 {
        let _ = writeln!(fan, "  n{number}: {{$ref: '#/x/n{}'}}", (number + 1) % 20_000);
    }
    let other = format!("paths: {{/a: {{$ref: 'other.yaml#/a'}}, /b: {{get: {{{OK}}}}}}}\n");
    let mut many = String::from("paths:\n");
    for number in 0..20_000 {
        let _ = writeln!(many, "  /p{number}: {{$ref: '#/paths/~1p{}'}}", 19_999 - number);
    }
    vec![
        Hostile::new("circles everywhere", document(&paths), Read),
        Hostile::new("a circle of 20,000", document(&fan), Read),
        Hostile::new("20,000 circles", document(&many), Read),
        Hostile::new("files in a circle", document(&other), Read)
            .with("other.yaml", "a: {$ref: 'third.yaml#/a'}\n")
            .with("third.yaml", "a: {$ref: 'document.yaml#/paths/~1a'}\n"),
    ]
}

fn texts() -> Vec<Hostile> {
    let fine = document(&format!("paths: {{/a: {{get: {{{OK}}}}}}}\n"));
    let wide = |order: fn(u16) -> [u8; 2], mark: bool| {
        let marked = if mark { format!("\u{feff}{fine}") } else { fine.clone() };
        marked.encode_utf16().flat_map(order).collect::<Vec<u8>>()
    };
    let duplicates = (0..MANY).fold(fine.clone(), |text, _| text + "x-a: 1\n");
    let mut broken = fine.clone().into_bytes();
    broken.extend(b"x-a: \xff\xfe\n");
    let mut truncated = fine.clone().into_bytes();
    truncated.extend(b"x-a: \xe2\x82");
    vec![
        Hostile::new("a byte order mark", format!("\u{feff}{fine}"), Read),
        Hostile::new("100,000 duplicate keys", duplicates, Read),
        Hostile::new("NUL", format!("{fine}x-a: \0\n"), Refused("SI0001", Some(4))),
        Hostile::new("only NUL", "\0".repeat(MANY), Refused("SI0001", Some(1))),
        Hostile::new("nothing", "", Refused("SI0001", Some(1))),
        Hostile::new("broken UTF-8", broken, Refused("SI0010", None)),
        Hostile::new("cut UTF-8", truncated, Refused("SI0010", None)),
        Hostile::new("UTF-16 LE, marked", wide(u16::to_le_bytes, true), Refused("SI0010 UTF-16", None)),
        Hostile::new("UTF-16 BE, marked", wide(u16::to_be_bytes, true), Refused("SI0010 UTF-16", None)),
        Hostile::new("UTF-16 LE", wide(u16::to_le_bytes, false), Refused("SI0010 UTF-16", None)),
        Hostile::new("UTF-16 BE", wide(u16::to_be_bytes, false), Refused("SI0010 UTF-16", None)),
    ]
}

fn strings() -> Vec<Hostile> {
    let long = "x".repeat(LONG);
    let of = |text: &str| text.repeat(LONG / text.len());
    // YAML's keys have at most 1,024 characters, JSON's as many as they like.
    let at = |text: &str, long: &str| {
        let json: serde_json::Value = serde_yaml::from_str(&document(text)).expect("it is YAML");
        json.to_string().replace("LONG", long)
    };
    let path = |path: &str, long: &str| at(&format!("paths: {{'{path}': {{get: {{{OK}}}}}}}"), long);
    let get = |operation: &str, long: &str| at(&format!("paths: {{/a: {{get: {{{operation}}}}}}}"), long);
    let response = |inside: &str, long: &str| get(&format!("responses: {{200: {inside}}}"), long);
    let media = |media: &str, long: &str| response(&format!("{{content: {{{media}}}}}"), long);
    let server = |url: &str, long: &str| {
        at(&format!("servers: [{{url: '{url}'}}]\npaths: {{/a: {{get: {{{OK}}}}}}}"), long)
    };
    let callback = |name: &str, url: &str, long: &str| {
        let call = "post: {requestBody: {content: {application/json: {example: 1}}}}";
        get(&format!("{OK}, callbacks: {{{name}: {{'{url}': {{{call}}}}}}}"), long)
    };
    let example = "application/json: {example: 'LONG'}";
    let plain = "text/plain: {example: 'LONG'}";
    vec![
        Hostile::new(
            "a key of YAML",
            document(&format!("paths: {{}}\n{long}: 1\n")),
            Refused("SI0001", Some(4)),
        ),
        Hostile::new("a key", at("paths: {}\nLONG: 1", &long), Read),
        Hostile::new("a value", at("paths: {}\nx-a: LONG", &long), Read),
        Hostile::new("a value of lines", document(&format!("paths: {{}}\nx-a: |\n{}", of("  a\n"))), Read),
        Hostile::new("a version", at("paths: {}", "").replace("3.1.0", &long), Refused("SI0100", Some(1))),
        Hostile::new("a path", path("/LONG", &long), Read),
        Hostile::new("a path without a slash", path("LONG", &long), Read),
        Hostile::new("a parameter in a path", path("/{LONG}", &long), Read),
        Hostile::new("segments in a path", path("LONG", &of("/a")), Read),
        Hostile::new("parameters in a path", path("LONG", &of("/{a}")), Read),
        Hostile::new("parameters in a segment", path("/LONG", &of("{a}-")), Read),
        Hostile::new("a path of %", path("/LONG", &of("%")), Read),
        Hostile::new("a path of braces", path("/LONG", &of("{")), Read),
        Hostile::new("a path of pairs of braces", path("/LONG", &of("{}")), Read),
        Hostile::new("a path of #", path("/LONG", &of("#")), Read),
        Hostile::new("a path of &", path("/a?LONG", &of("a&")), Read),
        Hostile::new("an operationId", get(&format!("operationId: LONG, {OK}"), &long), Read),
        Hostile::new("a method", at(&format!("paths: {{/a: {{LONG: {{{OK}}}}}}}"), &long), Read),
        Hostile::new("a status", get("responses: {LONG: {description: ''}}", &long), Read),
        Hostile::new("a reference", response("{$ref: LONG}", &long), Read),
        Hostile::new("a reference inside", response("{$ref: '#/LONG'}", &long), Read),
        Hostile::new("a reference of tokens", response("{$ref: '#LONG'}", &of("/paths")), Read),
        Hostile::new("a reference of ~", response("{$ref: '#/LONG'}", &of("~1")), Read),
        Hostile::new("a reference of ..", response("{$ref: 'LONGa'}", &of("../")), Read),
        Hostile::new("an example", media(example, &long), Read),
        Hostile::new(
            "an example's name",
            media("application/json: {examples: {LONG: {value: 1}}}", &long),
            Read,
        ),
        Hostile::new("a media type", media("LONG/y: {example: 1}", &long), Read),
        Hostile::new("a media type's parameters", media("'a/bLONG': {example: 1}", &of("; a=b")), Read),
        Hostile::new("a header's name", response("{headers: {LONG: {example: 1}}}", &long), Read),
        Hostile::new("a header's value", response("{headers: {x: {example: LONG}}}", &long), Read),
        Hostile::new(
            "a parameter's name",
            get(&format!("parameters: [{{name: LONG, in: query, example: 1}}], {OK}"), &long),
            Read,
        ),
        Hostile::new("a server", server("LONG", &long), Read),
        Hostile::new("a server of slashes", server("LONG", &of("/")), Read),
        Hostile::new("a server of braces", server("LONG", &of("{a}")), Read),
        Hostile::new("a callback's name", callback("LONG", "http://h/", &long), Read),
        Hostile::new("a callback's key", callback("c", "http://h/LONG", &long), Read),
        Hostile::new(
            "a callback's key of expressions",
            callback("c", "http://h/LONG", &of("{$method}")),
            Read,
        ),
        Hostile::new("a callback's key of braces", callback("c", "LONG", &of("{$")), Read),
        Hostile::new("templates", media(example, &of("{{ uuid() }}")), Read),
        Hostile::new("a template's text", media("application/json: {example: '{{ LONG }}'}", &long), Read),
        Hostile::new("a template of braces", media(plain, &of("{")), Read),
        Hostile::new("a template of pairs of braces", media(plain, &of("{{")), Read),
        Hostile::new("a template of ||", media("text/plain: {example: '{{ aLONG }}'}", &of(" || a")), Read),
        Hostile::new(
            "a template of arguments",
            media("text/plain: {example: '{{ randomValue(aLONG) }}'}", &of(",a")),
            Read,
        ),
        Hostile::new(
            "a template of segments",
            media("text/plain: {example: '{{ request.bodyLONG }}'}", &of("/a")),
            Read,
        ),
    ]
}

fn crowds() -> Vec<Hostile> {
    let many = |one: &dyn Fn(usize) -> String| {
        let mut out = String::new();
        for number in 0..MANY {
            out.push_str(&one(number));
        }
        out
    };
    let paths = |one: &dyn Fn(usize) -> String| document(&format!("paths:\n{}", many(one)));
    let get = |inside: String| document(&format!("paths:\n  /a:\n    post:\n{inside}"));
    let ok = format!("      {OK}\n");
    vec![
        Hostile::new("paths", paths(&|n| format!("  /p{n}: {{get: {{{OK}}}}}\n")), Read),
        Hostile::new("templated paths", paths(&|n| format!("  '/{{a}}-{n}': {{get: {{{OK}}}}}\n")), Read),
        Hostile::new("paths of one route", paths(&|n| format!("  '/{{a{n}}}': {{get: {{{OK}}}}}\n")), Read),
        Hostile::new(
            "operations of one id",
            paths(&|n| format!("  /p{n}: {{get: {{operationId: a, {OK}}}}}\n")),
            Read,
        ),
        Hostile::new(
            "parameters",
            get(format!(
                "      parameters:\n{}{ok}",
                many(&|n| format!("      - {{name: p{n}, in: query, example: 1}}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "parameters of one name",
            get(format!(
                "      parameters:\n{}{ok}",
                many(&|_| "      - {name: p, in: query, example: 1}\n".to_owned())
            )),
            Read,
        ),
        Hostile::new(
            "examples",
            get(format!(
                "      responses:\n        200:\n          content:\n            application/json:\n              examples:\n{}",
                many(&|n| format!("                e{n}: {{value: {n}}}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "examples of parameters and bodies",
            get(format!(
                "      parameters: [{{name: q, in: query, examples: {{{0}}}}}]\n      requestBody: {{content: {{application/json: {{examples: {{{0}}}}}}}}}\n      responses: {{200: {{content: {{application/json: {{examples: {{{0}}}}}}}}}}}\n",
                many(&|n| format!("e{n}: {{value: {n}}}, "))
            )),
            Read,
        ),
        Hostile::new(
            "media types",
            get(format!(
                "      responses:\n        200:\n          content:\n{}",
                many(&|n| format!("            a/b{n}: {{example: 1}}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "responses",
            get(format!(
                "      responses:\n{}",
                many(&|n| format!("        '{}': {{description: ''}}\n", n + 100))
            )),
            Read,
        ),
        Hostile::new(
            "headers",
            get(format!(
                "      responses:\n        200:\n          headers:\n{}",
                many(&|n| format!("            x-{n}: {{example: 1}}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "callbacks",
            get(format!(
                "{ok}      callbacks:\n{}",
                many(&|n| format!("        c{n}: {{'http://h/': {{post: {{}}}}}}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "URL keys of a callback",
            get(format!(
                "{ok}      callbacks:\n        c:\n{}",
                many(&|n| format!("          http://h/{n}: {{post: {{}}}}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "servers",
            document(&format!(
                "servers:\n{}paths: {{/a: {{get: {{{OK}}}}}}}\n",
                many(&|n| format!("- url: /v{n}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "servers of 1,000 paths",
            document(&format!(
                "servers:\n{}paths:\n{}",
                (0..1000).map(|n| format!("- url: /v{n}\n")).collect::<String>(),
                (0..1000).map(|n| format!("  /p{n}: {{get: {{{OK}}}}}\n")).collect::<String>()
            )),
            Read,
        ),
        Hostile::new(
            "variables of a server",
            document(&format!(
                "servers:\n- url: '{}'\n  variables:\n{}paths: {{/a: {{get: {{{OK}}}}}}}\n",
                many(&|n| format!("/{{v{n}}}")),
                many(&|n| format!("    v{n}: {{default: a}}\n"))
            )),
            Read,
        ),
        Hostile::new("tags", get(format!("      tags: [{}]\n{ok}", many(&|n| format!("t{n}, ")))), Read),
        Hostile::new(
            "unknown keywords",
            get(format!("{ok}{}", many(&|n| format!("      respnse{n}: 1\n")))),
            Read,
        ),
        Hostile::new(
            "unknown methods",
            document(&format!("paths:\n  /a:\n{}", many(&|n| format!("    gett{n}: {{}}\n")))),
            Read,
        ),
        Hostile::new(
            "references to nothing",
            paths(&|n| format!("  /p{n}: {{$ref: '#/components/x{n}'}}\n")),
            Read,
        ),
        Hostile::new("references to files", paths(&|n| format!("  /p{n}: {{$ref: 'f{n}.yaml'}}\n")), Read),
        Hostile::new(
            "references to one large item",
            document(&format!(
                "paths:\n{}components: {{responses: {{r: {{description: '', content: {{application/json: {{examples: {{{}}}}}}}}}}}}}\n",
                (0..MANY / 100)
                    .map(|n| format!(
                        "  /p{n}: {{get: {{responses: {{200: {{$ref: '#/components/responses/r'}}}}}}}}\n"
                    ))
                    .collect::<String>(),
                (0..MANY / 100).map(|n| format!("e{n}: {{value: {n}}}, ")).collect::<String>()
            )),
            Read,
        ),
        Hostile::new(
            "schemas",
            document(&format!(
                "paths: {{/a: {{get: {{{OK}}}}}}}\ncomponents:\n  schemas:\n{}",
                many(&|n| format!("    s{n}: {{type: object}}\n"))
            )),
            Read,
        ),
        Hostile::new(
            "files of 1,000 references",
            document(&format!(
                "paths:\n{}",
                (0..1000).map(|n| format!("  /p{n}: {{$ref: 'other.yaml#/p{n}'}}\n")).collect::<String>()
            )),
            Read,
        )
        .with(
            "other.yaml",
            (0..1000).map(|n| format!("p{n}: {{$ref: 'third.yaml#/p{n}'}}\n")).collect::<String>(),
        )
        .with("third.yaml", (0..1000).map(|n| format!("p{n}: {{get: {{{OK}}}}}\n")).collect::<String>()),
    ]
}
