//! What the core costs, by the number of operations in the document.
//!
//! ```text
//! cargo bench --bench core                       # all of it: about four minutes
//! cargo bench --bench core -- 'find|static'      # what a regular expression names
//! cargo bench --bench core -- --save-baseline before; ...; cargo bench --bench core -- --baseline before
//! ```
//!
//! `find` and `answer` are a request's way through the core without its sockets: nanoseconds that
//! should not grow from 10 operations to 10,000 (what they do grow by is the processor's cache).
//! `answer` includes the `find` before it. `load` is for every operation of a document together:
//! divide by their number, and it should stay the same. `benches/peers.sh` measures whole processes.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use http::{HeaderMap, Method};
use standin::config::{Config, Level, Validate};
use standin::mock::message::{Body, Head, Moment};
use standin::mock::{Found, Mocks, Source};
use standin::spec::{self, Trees};
use standin::tree::{Limits, Tree};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const MOMENT: Moment = Moment { now: 1_735_787_045_678, seed: 7 };

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    find(&mut criterion);
    find_shapes(&mut criterion);
    answer(&mut criterion);
    validate(&mut criterion);
    generate(&mut criterion);
    load(&mut criterion);
    criterion.final_summary();
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find");
    for size in SIZES {
        let mocks = compile(&trees(size));
        let paths = [
            ("first", "/things0/12345/static".to_owned()),
            ("last", format!("/things{}/12345/static", size - 1)),
            ("miss", format!("/things{size}/12345/static")),
        ];
        for (name, path) in paths {
            let headers = HeaderMap::new();
            group.bench_function(BenchmarkId::new(name, size), |bench| {
                bench.iter(|| mocks.find(&head(&Method::GET, black_box(&path), None, &headers)));
            });
        }
    }
}

/// Many operations at one place, told apart by what their segments end or begin with, by their query, or
/// by what follows a greedy parameter. The largest should cost no more than three times the smallest.
fn find_shapes(criterion: &mut Criterion) {
    /// A shape's name, and the path of the operation of a number.
    type Shape = (&'static str, fn(usize) -> String);
    let shapes: [Shape; 6] = [
        ("literals", |n| format!("/v1/things{n}/static")),
        ("verbs", |n| format!("/v1/{{x}}:verb{n}")),
        ("extensions", |n| format!("/v1/{{x}}.ext{n}/raw")),
        ("prefixes", |n| format!("/v1/prefix{n}-{{x}}")),
        ("conditions", |n| format!("/?Action=Do{n}&Version=1")),
        ("greedy", |n| format!("/v1/{{+name}}:verb{n}")),
    ];
    let mut group = criterion.benchmark_group("find-shapes");
    for (name, shape) in shapes {
        for size in [10, 20_000] {
            let mut text = "openapi: 3.1.0\ninfo: {title: Bench, version: '1'}\npaths:\n".to_owned();
            for number in 0..size {
                let _ = writeln!(text, "  '{}': {{get: {{responses: {{204: {{}}}}}}}}", shape(number));
            }
            let mocks = compile(&parsed(text));
            let target = shape(size - 1).replace("{x}", "12345").replace("{+name}", "a/b/c");
            let (path, query) =
                target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
            let headers = HeaderMap::new();
            group.bench_function(BenchmarkId::new(name, size), |bench| {
                bench.iter(|| mocks.find(&head(&Method::GET, black_box(path), query, &headers)));
            });
        }
    }
}

fn answer(criterion: &mut Criterion) {
    let body = Body::new(r#"{"kind":"k7","name":"Ann"}"#.into());
    let cases = [
        ("static", Method::GET, "static", None),
        ("templated", Method::POST, "templated", None),
        ("exchanges-params", Method::GET, "exchanges", Some("kind=k7&size=large")),
        ("exchanges-body", Method::POST, "exchanges", None),
    ];
    let headers = HeaderMap::from_iter([(http::header::ACCEPT, http::HeaderValue::from_static("*/*"))]);
    let mut group = criterion.benchmark_group("answer");
    for size in SIZES {
        let mocks = compile(&trees(size));
        for (name, method, last, query) in &cases {
            // The kinds alternate, so the last operation of a kind is among the last four.
            let path = |number: usize| format!("/things{number}/12345/{last}");
            let mocked =
                |path: &str| matches!(mocks.find(&head(method, path, *query, &headers)), Found::Mock(_));
            let path = (0..size).rev().map(path).find(|path| mocked(path)).expect("each kind is there");
            group.bench_function(BenchmarkId::new(*name, size), |bench| {
                bench.iter(|| {
                    let head = head(method, black_box(&path), *query, &headers);
                    let Found::Mock(hit) = mocks.find(&head) else { return None };
                    // A body is read as JSON once a request: a new one each time.
                    let body = Body::new(body.bytes().clone());
                    hit.answer(head, &body, MOMENT).ok().flatten()
                });
            });
        }
    }
}

/// A body of 1 KB against a schema of twenty properties: `parse` is to read it as JSON, which the others
/// include; `report` should cost half as much again as `off` with the reading, and no more.
fn validate(criterion: &mut Criterion) {
    let properties: String = (0..20).map(|n| format!("p{n}: {{type: string, maxLength: 60}}, ")).collect();
    let text = format!(
        "openapi: 3.1.0\ninfo: {{title: Bench, version: '1'}}\npaths:\n  /a:\n    post:\n      requestBody:\n        \
         content: {{application/json: {{schema: {{type: object, required: [p0], properties: {{{properties}}}}}}}}}\n      \
         responses: {{200: {{content: {{application/json: {{example: {{a: 1}}}}}}}}}}\n"
    );
    let trees = parsed(text);
    let fields =
        |length: usize| (0..20).map(|n| format!("\"p{n}\":\"{}\"", "x".repeat(length))).collect::<Vec<_>>();
    let fitting = format!("{{{}}}", fields(42).join(","));
    let long = format!("{{{}}}", fields(61).join(","));
    let mut group = criterion.benchmark_group("validate");
    group.bench_function("parse", |bench| {
        bench.iter(|| Body::new(black_box(&fitting).clone().into()).json().is_some());
    });
    let cases = [
        ("off", Level::Off, &fitting),
        ("fits", Level::Report, &fitting),
        ("violations", Level::Report, &long),
    ];
    for (name, request, text) in cases {
        let config = Config { validate: Validate { request, ..Validate::default() }, ..Config::default() };
        let document = spec::read(&trees, "/bench.yaml").document.expect("the document is one");
        let source = Source { document, trees: &trees, base_path: None, upstream: None, mode: None };
        let (mocks, _) = Mocks::compile(&[source], &config);
        let json = http::HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, json)]);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let head = head(&Method::POST, "/a", None, &headers);
                let Found::Mock(hit) = mocks.find(&head) else { return None };
                let body = Body::new(black_box(text).clone().into());
                hit.answer(head, &body, MOMENT).ok().flatten()
            });
        });
    }
}

/// Random instances, each validated: of ten properties, and of a repository as GitHub describes it, a hundred
/// properties with two objects of twenty. A fixed one is made once, and is then bytes.
fn generate(criterion: &mut Criterion) {
    let kinds = [
        "id{}: {type: integer, format: int64}",
        "name{}: {type: string, maxLength: 60}",
        "html{}_url: {type: string, format: uri}",
        "created{}_at: {type: string, format: date-time}",
        "flag{}: {type: [boolean, 'null']}",
    ];
    let properties = |count: usize| -> String {
        let one = |number: usize| kinds[number % kinds.len()].replace("{}", &number.to_string());
        (0..count).map(|number| one(number) + ", ").collect()
    };
    let text = format!(
        "openapi: 3.1.0\ninfo: {{title: Bench, version: '1'}}\npaths:\n  \
           /small: {{get: {{responses: {{200: {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/Small'}}}}}}}}}}}}}}\n  \
           /large: {{get: {{responses: {{200: {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/Large'}}}}}}}}}}}}}}\n\
         components:\n  schemas:\n    Small: {{type: object, properties: {{{}}}}}\n    Part: {{type: object, properties: {{{}}}}}\n    \
           Large: {{type: object, properties: {{{} owner: {{$ref: '#/components/schemas/Part'}}, parent: {{$ref: '#/components/schemas/Part'}}}}}}\n",
        properties(10),
        properties(20),
        properties(100),
    );
    let mocks = compile(&parsed(text));
    let prefer = |text: &'static str| {
        HeaderMap::from_iter([(
            http::header::HeaderName::from_static("prefer"),
            http::HeaderValue::from_static(text),
        )])
    };
    let mut group = criterion.benchmark_group("generate");
    for (way, headers) in [("fixed", prefer("dynamic=false")), ("random", prefer("dynamic=true"))] {
        for size in ["small", "large"] {
            let path = format!("/{size}");
            let mut seed = 0;
            group.bench_function(BenchmarkId::new(way, size), |bench| {
                bench.iter(|| {
                    let head = head(&Method::GET, black_box(&path), None, &headers);
                    let Found::Mock(hit) = mocks.find(&head) else { return None };
                    seed += 1;
                    hit.answer(head, &Body::default(), Moment { seed, ..MOMENT }).ok().flatten()
                });
            });
        }
    }
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for size in SIZES {
        group.throughput(Throughput::Elements(size as u64));
        let text = document(size);
        group.bench_function(BenchmarkId::new("parse", size), |bench| {
            bench.iter_with_large_drop(|| Tree::parse("/bench.yaml", text.clone(), &Limits::default()));
        });
        let trees = trees(size);
        group.bench_function(BenchmarkId::new("compile", size), |bench| {
            bench.iter_with_large_drop(|| compile(black_box(&trees)));
        });
    }
}

fn head<'r>(method: &'r Method, path: &'r str, query: Option<&'r str>, headers: &'r HeaderMap) -> Head<'r> {
    Head { method, path, query, headers, scheme: "http", authority: "localhost:8080" }
}

fn compile(trees: &Trees) -> Mocks {
    let document = spec::read(trees, "/bench.yaml").document.expect("the document is one");
    let (mocks, diagnostics) = Mocks::compile(
        &[Source { document, trees, base_path: None, upstream: None, mode: None }],
        &Config::default(),
    );
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    mocks
}

fn trees(size: usize) -> Trees {
    parsed(document(size))
}

fn parsed(text: String) -> Trees {
    let name: Arc<str> = "/bench.yaml".into();
    let (tree, _) = Tree::parse(&name, text, &Limits::default()).expect("the document is YAML");
    Trees::from([(name, tree)])
}

/// A document of so many operations, of four kinds in turn.
fn document(size: usize) -> String {
    let mut text = "openapi: 3.1.0\ninfo: {title: Bench, version: '1'}\npaths:\n".to_owned();
    for number in 0..size {
        // Static ones are the first and the last too, for the benches of `find`.
        let (method, kind, operation) = match number % 4 {
            _ if number + 1 == size => ("get", "static", STATIC.to_owned()),
            1 => ("post", "templated", TEMPLATED.to_owned()),
            2 => ("get", "exchanges", by_parameters()),
            3 => ("post", "exchanges", by_body()),
            _ => ("get", "static", STATIC.to_owned()),
        };
        let _ =
            writeln!(text, "  /things{number}/{{id}}/{kind}:\n    {method}:\n      operationId: op{number}");
        text.push_str(&operation);
    }
    text
}

const STATIC: &str = "      responses:
        200:
          description: d
          content:
            application/json:
              example: {id: 1, name: Ann Lee, status: ACTIVE, tags: [a, b, c], address: {street: Main St 1, city: Springfield}}
";

const TEMPLATED: &str = "      responses:
        201:
          description: d
          content:
            application/json:
              example: {id: '{{ uuid() }}', name: '{{ request.body/name }}', thing: '{{ request.path[1] }}', at: '{{ now() }}', status: PENDING}
";

/// Ten named examples.
fn examples(value: impl Fn(usize) -> String) -> String {
    (0..10).map(|number| format!("k{number}: {{value: {}}}, ", value(number))).collect()
}

/// Ten exchanges over two query parameters.
fn by_parameters() -> String {
    format!(
        "      parameters:
      - {{name: kind, in: query, examples: {{{}}}}}
      - {{name: size, in: query, examples: {{{}}}}}
      responses:
        200: {{description: d, content: {{application/json: {{examples: {{{}}}}}}}}}
",
        examples(|number| format!("k{number}")),
        examples(|_| "large".to_owned()),
        examples(|number| format!("{{n: {number}}}")),
    )
}

/// Ten exchanges over the body.
fn by_body() -> String {
    format!(
        "      requestBody:
        content: {{application/json: {{examples: {{{}}}}}}}
      responses:
        200: {{description: d, content: {{application/json: {{examples: {{{}}}}}}}}}
",
        examples(|number| format!("{{kind: k{number}, name: Ann}}")),
        examples(|number| format!("{{n: {number}}}")),
    )
}
