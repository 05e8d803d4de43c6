//! Sections 1 and 2: flags, environment and config file, what is said about them, and exit codes.

use std::time::{Duration, Instant};

use crate::harness::*;

fn fine() -> String {
    operation("get", "/pets", "pets")
}

// Flags.

#[tokio::test]
async fn bad_flags_are_2() {
    let cases: [(&[&str], &str); 8] = [
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--listen", "nonsense"], "nonsense"),
        (&["--listen", "127.0.0.1:99999"], "99999"),
        (&["--admin", "nonsense"], "nonsense"),
        (&["--upstream", "not a url"], "not a url"),
        (&["--upstream", "ftp://127.0.0.1"], "ftp"),
        (&["--mode", "sideways"], "mock"),
        (&["--log", "xml"], "json"),
    ];
    for (args, word) in cases {
        let mut builder = Standin::with().paths(&fine()).without_addresses();
        for arg in args {
            builder = builder.args([arg]);
        }
        let exit = builder.exits().await;
        assert_eq!(exit.code, 2, "{args:?}: {}", exit.stderr);
        exit.says(&[word]);
        assert_eq!(exit.stdout, "", "{args:?}");
    }
}

#[tokio::test]
async fn nothing_to_serve_is_a_usage_error() {
    let exit = Standin::with().exits().await;
    exit.is(2).says(&["--spec"]);
    Standin::with().command("").exits().await.is(2);
    Standin::with().command("walk").exits().await.is(2);
}

#[tokio::test]
async fn version_and_help_are_0() {
    let exit = Standin::with().command("--version").exits().await;
    exit.is(0).prints(&["standin", env!("CARGO_PKG_VERSION")]);
    let exit = Standin::with().command("--help").exits().await;
    exit.is(0).prints(&["run", "check", "routes", "demo"]);
    let exit = Standin::with().command("run").without_addresses().args(["--help"]).exits().await;
    exit.is(0).prints(&["--spec", "--upstream", "--listen", "--admin", "--mode"]);
}

#[tokio::test]
async fn the_ready_line_is_the_only_one_on_stdout() {
    let paths =
        [operation("get", "/a", "a"), operation("get", "/b", "b"), operation("get", "/c", "c")].concat();
    let standin = Standin::with().paths(&paths).start().await;
    assert_ne!(standin.data.port(), 0);
    assert_ne!(standin.admin_address().port(), 0);
    let line = &standin.ready_line;
    assert!(line.starts_with(&format!("listening on http://127.0.0.1:{}", standin.data.port())), "{line}");
    assert!(line.contains("3 operations") && line.contains("1 document"), "{line}");
    standin.get("/a").await.is(200, r#"{"says":"a"}"#);
    standin.get("/nowhere").await.is_problem(404, "no-route");
    assert_eq!(standin.stdout().lines().count(), 1, "{}", standin.stdout());
}

#[tokio::test]
async fn the_default_config_file_is_found() {
    for path in ["standin.yaml", "config/standin.yaml"] {
        let source = if path.starts_with("config") { "../spec.yaml" } else { "spec.yaml" };
        let config = format!("specs: [{{source: {source}}}]\n");
        let standin = Standin::with().file("spec.yaml", &document(&fine())).file(path, &config).start().await;
        standin.get("/pets").await.is(200, r#"{"says":"pets"}"#);
    }
}

#[tokio::test]
async fn a_json_config_is_a_config() {
    let standin = Standin::with()
        .file("spec.yaml", &document(&fine()))
        .file("standin.json", r#"{"specs": [{"source": "spec.yaml"}], "reveal": false}"#)
        .args(["-c", "standin.json"])
        .start()
        .await;
    assert_eq!(standin.get("/pets").await.header("x-standin-source"), None);
}

#[tokio::test]
async fn the_spec_flag_replaces_the_files_specs() {
    let standin = Standin::with()
        .file("other.yaml", &document(&operation("get", "/other", "other")))
        .config("specs: [{source: other.yaml}]\n")
        .paths(&fine())
        .start()
        .await;
    standin.get("/pets").await.is(200, r#"{"says":"pets"}"#);
    standin.get("/other").await.is_problem(404, "no-route");
}

// The environment.

#[tokio::test]
async fn flags_beat_the_environment_which_beats_the_file() {
    let (file, env, flag) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    let config = format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nspecs: [{{source: spec.yaml}}]\n\
         upstreams: {{default: {{servers: ['{}']}}}}\n",
        file.url()
    );
    let with = || {
        Standin::with()
            .file("spec.yaml", &document(&fine()))
            .file("standin.yaml", &config)
            .without_addresses()
    };
    let standin = with().start().await;
    standin.get("/x").await.is(200, "upstream: GET /x");
    assert_eq!(file.received().len(), 1);

    let standin = with().env("STANDIN_UPSTREAM", &env.url()).start().await;
    standin.get("/x").await.is(200, "upstream: GET /x");
    assert_eq!(env.received().len(), 1);

    let standin = with().env("STANDIN_UPSTREAM", &env.url()).upstream(flag.url()).start().await;
    standin.get("/x").await.is(200, "upstream: GET /x");
    assert_eq!((file.received().len(), env.received().len(), flag.received().len()), (1, 1, 1));
}

#[tokio::test]
async fn every_flag_has_its_variable() {
    let upstream = Upstream::start().await;
    let standin = Standin::with()
        .file("spec.yaml", &document(&fine()))
        .file("my.yaml", "specs: [{source: nowhere.yaml}]\n")
        .without_addresses()
        .env("STANDIN_LISTEN", "127.0.0.1:0")
        .env("STANDIN_ADMIN", "127.0.0.1:0")
        .env("STANDIN_CONFIG", "my.yaml")
        .env("STANDIN_SPEC", "spec.yaml")
        .env("STANDIN_UPSTREAM", &upstream.url())
        .env("STANDIN_MODE", "pass")
        .env("STANDIN_LOG", "json")
        .env("STANDIN_SOMETHING_ELSE", "ignored")
        .start()
        .await;
    standin.get("/pets").await.is(200, "upstream: GET /pets");
    assert_eq!(standin.admin(get("/readyz")).await.status, 200);
}

#[tokio::test]
async fn a_bad_variable_is_2() {
    let exit = Standin::with().paths(&fine()).env("STANDIN_MODE", "sideways").exits().await;
    exit.is(2).says(&["sideways"]);
}

// The config file.

/// The exit of `run` with this config: always 2, always with what is wrong and where.
async fn refused(config: &str, says: &[&str]) {
    for command in ["run", "check"] {
        let exit = Standin::with()
            .file("spec.yaml", &document(&fine()))
            .config(config)
            .command(command)
            .exits()
            .await;
        assert_eq!(exit.code, 2, "{command} of {config}: {}", exit.stderr);
        exit.says(says);
    }
}

#[tokio::test]
async fn an_unknown_key_says_where_and_what_was_meant() {
    refused("specs: [{source: spec.yaml}]\nlisen: 127.0.0.1:1\n", &["standin.yaml:2:1", "lisen", "listen"])
        .await;
    let nested = "specs: [{source: spec.yaml}]\ncallbacks:\n  timeout: 1s\n  dealy: 3s\n";
    refused(nested, &["standin.yaml:4:3", "  dealy: 3s", "delay"]).await;
    let in_list = "specs:\n  - source: spec.yaml\n    moed: pass\n";
    refused(in_list, &["standin.yaml:3:5", "moed", "mode"]).await;
}

#[tokio::test]
async fn a_bad_value_says_where() {
    let cases: [(&str, &[&str]); 7] = [
        ("callbacks:\n  delay: soon\n", &["standin.yaml:2:10", "soon"]),
        ("callbacks:\n  delay: 3 parsecs\n", &["standin.yaml:2:10"]),
        ("mode: sideways\n", &["standin.yaml:1:7", "sideways", "mock"]),
        ("limits:\n  mocked_body: lots\n", &["standin.yaml:2:16", "lots"]),
        ("callbacks:\n  allow: [peer, 10.0.0.0/99]\n", &["standin.yaml:2:", "10.0.0.0/99"]),
        ("upstreams: {default: {servers: ['nonsense']}}\n", &["standin.yaml:1:", "nonsense"]),
        ("callbacks: [\n", &["standin.yaml:"]),
    ];
    for (config, says) in cases {
        refused(config, says).await;
    }
}

/// When an issue builds this key, another takes its place here, until none is left.
#[tokio::test]
async fn a_key_that_is_not_built_yet_says_so() {
    refused(
        "specs: [{source: spec.yaml}]\nlimits: {body_rate: 1KiB}\n",
        &["standin.yaml:2:", "body_rate", "yet"],
    )
    .await;
    refused("callbacks:\n  store: redis://127.0.0.1\n", &["standin.yaml:2:", "store", "yet"]).await;
}

#[tokio::test]
async fn a_key_that_is_there_twice_is_refused() {
    refused("mode: mock\nmode: pass\n", &["standin.yaml:2:", "mode"]).await;
}

#[tokio::test]
async fn variables_in_values_are_replaced() {
    let upstream = Upstream::start().await;
    let config = "
        specs: [{source: '${MY_SPEC}'}]
        upstreams: {default: {servers: ['http://${MY_HOST:-127.0.0.1}:${MY_PORT}']}}
    ";
    let with =
        || Standin::with().file("spec.yaml", &document(&fine())).config(config).env("MY_SPEC", "spec.yaml");
    let port = upstream.address.port().to_string();
    let standin = with().env("MY_PORT", &port).start().await;
    standin.get("/x").await.is(200, "upstream: GET /x");
    with().exits().await.is(2).says(&["MY_PORT", "standin.yaml:2:"]);
}

#[tokio::test]
async fn a_config_that_is_not_there_is_2() {
    let exit = Standin::with().args(["-c", "nowhere.yaml"]).exits().await;
    exit.is(2).says(&["nowhere.yaml"]);
}

#[tokio::test]
async fn the_example_config_is_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/standin.yaml");
    let exit = Standin::with().command("check").args(["-c", path, "--format", "json"]).exits().await;
    let documents = exit.is(0).json()["documents"].as_array().map_or(0, Vec::len);
    assert!(documents > 0, "it serves the sample: {}", exit.stdout);
}

// Documents.

#[tokio::test]
async fn a_broken_document_is_1_with_its_position() {
    let cases = [
        ("openapi: 3.1.0\npaths: {\n  a: [\n", "spec.yaml:"),
        (
            "openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths:\n  /a: {get: {}}\n\t/b: {}\n",
            "spec.yaml:5:",
        ),
        ("just: something\n", "spec.yaml"),
        ("", "spec.yaml"),
        ("- 1\n- 2\n", "spec.yaml"),
        ("\0\u{1}\u{2}", "spec.yaml"),
        ("{\"openapi\": \"3.1.0\", \"paths\": {\"/a\": ]}", "spec.yaml:1:"),
        ("a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: *nowhere\n", "spec.yaml:3:"),
    ];
    for (text, position) in cases {
        let exit = Standin::with().spec(text).exits().await;
        assert_eq!(exit.code, 1, "{text:?}: {}", exit.stderr);
        exit.says(&[position]);
        assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
    }
}

/// Small texts that make careless parsers slow or fall over.
#[tokio::test]
async fn hostile_documents_are_refused_quickly() {
    let mut bomb = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = level - 1;
        bomb += &format!("l{level}: &l{level} [{}]\n", vec![format!("*l{below}"); 9].join(", "));
    }
    let nested: String = (0..20_000).map(|depth| format!("{}a:\n", " ".repeat(depth % 500))).collect();
    for text in ["[".repeat(200_000), "{\"a\":".repeat(200_000), bomb, nested] {
        let begun = Instant::now();
        let exit = Standin::with().spec(&text).exits().await;
        assert_eq!(exit.code, 1, "{}: {}", &text[..20], exit.stderr);
        exit.says(&["spec.yaml"]);
        assert!(begun.elapsed() < Duration::from_secs(10), "{}: {:?}", &text[..20], begun.elapsed());
    }
}

#[tokio::test]
async fn a_document_that_is_not_there_is_1() {
    let exit = Standin::with().args(["--spec", "nowhere.yaml"]).exits().await;
    exit.is(1).says(&["nowhere.yaml"]);
}

#[tokio::test]
async fn a_reference_to_a_file_that_is_not_there_says_where() {
    let paths = "/a: {get: {responses: {'200': {$ref: 'nowhere.yaml#/a'}}}}\n";
    let exit = Standin::with().paths(paths).command("check").exits().await;
    let said = format!("{}{}", exit.stdout, exit.stderr);
    assert_eq!(exit.code, 1, "{said}");
    assert!(said.contains("nowhere.yaml") && said.contains("spec.yaml:4:"), "{said}");
}

#[tokio::test]
async fn a_broken_document_of_a_folder_costs_no_other() {
    let standin = Standin::with()
        .file("specs/fine.yaml", &document(&fine()))
        .file("specs/broken.yaml", "openapi: 3.1.0\npaths: {\n  a: [\n")
        .args(["--spec", "specs"])
        .start()
        .await;
    standin.get("/pets").await.is(200, r#"{"says":"pets"}"#);
    standin.logs(0, &["broken.yaml:"]).await;
}

// Listeners.

#[tokio::test]
async fn a_taken_port_says_which_and_is_1() {
    let taken = Upstream::start().await;
    let address = taken.address.to_string();
    for (data, admin) in [(address.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", address.as_str())] {
        let begun = Instant::now();
        let exit = Standin::with()
            .paths(&fine())
            .without_addresses()
            .args(["--listen", data, "--admin", admin])
            .exits()
            .await;
        exit.is(1).says(&[&address]);
        assert_eq!(exit.stdout, "", "not ready");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn several_listeners_serve_the_same() {
    let config = "listen: ['127.0.0.1:0', '127.0.0.1:0']\nadmin: off\nspecs: [{source: spec.yaml}]\n";
    let standin = Standin::with()
        .file("spec.yaml", &document(&fine()))
        .config(config)
        .without_addresses()
        .start()
        .await;
    let ports: Vec<u16> = standin
        .ready_line
        .match_indices("127.0.0.1:")
        .filter_map(|(at, host)| {
            let digits: String =
                standin.ready_line[at + host.len()..].chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
        .collect();
    assert_eq!(ports.len(), 2, "{}", standin.ready_line);
    for port in ports {
        get("/pets").to(([127, 0, 0, 1], port).into()).await.is(200, r#"{"says":"pets"}"#);
    }
}

// Logs.

#[tokio::test]
async fn a_json_log_is_an_object_a_line() {
    let closed = ClosedPort::new();
    let mut standin =
        Standin::with().paths(&fine()).upstream(closed.url()).args(["--log", "json"]).start().await;
    standin.get("/down").await.is_problem(502, "upstream-connect");
    standin.signal("TERM");
    assert_eq!(standin.wait_exit(SOON).await, 0);
    let log = standin.stderr();
    assert!(!log.is_empty());
    for line in log.lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry.is_object(), "{line}");
    }
}

// `check` and `routes`.

#[tokio::test]
async fn check_of_a_good_document_is_0() {
    let exit = Standin::with().paths(&fine()).command("check").exits().await;
    exit.is(0).prints(&["spec.yaml", "1"]);
}

#[tokio::test]
async fn check_of_a_bad_document_is_1_and_shows_the_line() {
    let paths = "
        /pets:
          get: {responses: {'200': {$ref: '#/components/responses/Nowhere'}}}
        /cats: {get: {responses: {'200': {description: ok, content: {application/json: {example: 1}}}}}}
    ";
    let exit = Standin::with().paths(paths).command("check").exits().await;
    let said = format!("{}{}", exit.stdout, exit.stderr);
    assert_eq!(exit.code, 1, "{said}");
    for word in ["spec.yaml:5:", "Nowhere", "get: {responses:"] {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
}

#[tokio::test]
async fn check_gives_json() {
    let paths = "
        /pets:
          get: {responses: {'200': {$ref: '#/components/responses/Nowhere'}}}
        /cats:
          post:
            responses: {'200': {description: ok, content: {application/json: {example: 1}}}}
            callbacks:
              done: {'{$request.query.cb}': {post: {responses: {'200': {description: ok}}}}}
    ";
    let exit = Standin::with().paths(paths).command("check").args(["--format", "json"]).exits().await;
    exit.is(1);
    let found = exit.json();
    let documents = found["documents"].as_array().expect("documents");
    assert_eq!(documents.len(), 1);
    let document = &documents[0];
    assert!(document["source"].as_str().is_some_and(|source| source.ends_with("spec.yaml")), "{document}");
    assert_eq!((&document["title"], &document["version"]), (&"Test".into(), &"1.0.0".into()));
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["operations"], 2);
    assert_eq!(document["callbacks"], 1);
    assert!(document["mocked"].is_number(), "{document}");
    let diagnostics = found["diagnostics"].as_array().expect("diagnostics");
    let error = diagnostics.iter().find(|found| found["severity"] == "error").expect("an error");
    assert!(error["file"].as_str().is_some_and(|file| file.ends_with("spec.yaml")), "{error}");
    assert_eq!(error["line"], 5, "{error}");
    assert!(error["column"].as_u64() > Some(1), "{error}");
    assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
    let pointer = error["pointer"].as_str().expect("a pointer");
    assert!(pointer.starts_with("/paths/~1pets/get/responses/200"), "{pointer}");
}

#[tokio::test]
async fn swagger_is_called_by_its_name() {
    let text = "swagger: '2.0'\ninfo: {title: Pets, version: '1'}\nbasePath: /v1\n\
                paths: {/a: {get: {responses: {200: {description: d, examples: {text/plain: hello}}}}}}";
    let exit = Standin::with().spec(text).command("check").exits().await;
    exit.is(0).prints(&["Pets 1  Swagger 2.0  1 operation (1 mocked), 0 callbacks"]);
}

#[tokio::test]
async fn check_warns_and_is_strict_when_asked() {
    let with = || Standin::with().paths(&fine()).paths(&fine()).command("check");
    let exit = with().args(["--format", "json"]).exits().await;
    exit.is(0);
    let found = exit.json();
    let warnings: Vec<_> = found["diagnostics"]
        .as_array()
        .expect("diagnostics")
        .iter()
        .filter(|d| d["severity"] == "warning")
        .collect();
    assert!(!warnings.is_empty(), "two documents with one route: {found}");
    with().args(["--strict"]).exits().await.is(1);
}

#[tokio::test]
async fn check_says_where_a_template_does_not_parse() {
    let paths = "
        /a: {get: {responses: {'200': {description: ok, content: {text/plain: {example: 'a {{ request. b'}}}}}}
    ";
    let exit = Standin::with().paths(paths).command("check").args(["--format", "json"]).exits().await;
    let found = exit.json();
    let diagnostics = found["diagnostics"].as_array().expect("diagnostics");
    assert!(diagnostics.iter().any(|found| found["line"] == 4), "{found}");
}

#[tokio::test]
async fn check_reports_every_problem_at_once() {
    let paths = "
        /a: {get: {responses: {'200': {$ref: '#/nowhere/1'}}}}
        /b: {get: {responses: {'200': {$ref: '#/nowhere/2'}}}}
        /c: {get: {responses: {'200': {$ref: '#/nowhere/3'}}}}
    ";
    let exit = Standin::with().paths(paths).command("check").exits().await;
    let said = format!("{}{}", exit.stdout, exit.stderr);
    assert_eq!(exit.code, 1, "{said}");
    for position in ["spec.yaml:4:", "spec.yaml:5:", "spec.yaml:6:"] {
        assert!(said.contains(position), "no `{position}` in {said}");
    }
}

/// What changes nothing of what is served is looked at by `check`, and not by `run`.
#[tokio::test]
async fn check_compares_examples_with_their_schemas() {
    let paths = "
        /a: {get: {responses: {'200': {description: ok, content: {application/json: {
              schema: {type: object, required: [id], properties: {id: {type: integer}}},
              example: {id: one}}}}}}}
    ";
    let exit = Standin::with().paths(paths).command("check").exits().await;
    exit.is(0).prints(&["SI0220", "spec.yaml:6:23", "no integer", "type: integer", "diagnostics.md#si0220"]);
    let standin = Standin::with().paths(paths).start().await;
    let status: serde_json::Value = standin.admin(get("/api/status")).await.json();
    assert_eq!(status["documents"][0]["diagnostics"].as_array().map_or(0, Vec::len), 0, "{status}");
}

#[tokio::test]
async fn check_draws_the_first_of_very_many_problems() {
    let paths: String = (0..30).map(|n| format!("/{n}: {{get: {{responses: {{}}}}}}\n")).collect();
    let drawn = |out: &str| out.matches("warning[SI0206]").count();
    let exit = Standin::with().paths(&paths).command("check").exits().await;
    exit.is(0).prints(&["... and 20 more SI0206 (all: --all)", "30 warnings", "--strict"]);
    assert_eq!(drawn(&exit.stdout), 10, "{}", exit.stdout);
    let exit = Standin::with().paths(&paths).command("check").args(["--all"]).exits().await;
    assert_eq!(drawn(&exit.stdout), 30, "{}", exit.stdout);
    let exit = Standin::with().paths(&paths).command("check").args(["--format", "json"]).exits().await;
    assert_eq!(exit.json()["diagnostics"].as_array().map_or(0, Vec::len), 30);
}

#[tokio::test]
async fn check_shows_notes_when_asked() {
    let paths = "/a: {get: {responses: {'101': {description: d}, '204': {description: d}}}}\n";
    let exit = Standin::with().paths(paths).command("check").exits().await;
    exit.is(0).prints(&["1 note", "--notes"]);
    assert!(!exit.stdout.contains("SI0212"), "{}", exit.stdout);
    let exit = Standin::with().paths(paths).command("check").args(["--notes"]).exits().await;
    exit.is(0).prints(&["note[SI0212]"]);
}

#[tokio::test]
async fn check_ends_with_what_there_is_and_what_to_do() {
    let paths = "
        /a: {get: {responses: {}}}
        /b: {get: {x-standin: {mode: pass}, responses: {'204': {description: d}}}}
        /c: {post: {responses: {'204': {description: d}}, callbacks: {on: {'http://h': {post: {}}}}}}
    ";
    let exit = Standin::with().paths(paths).paths(paths).command("check").exits().await;
    exit.is(0).prints(&[
        "3 operations (2 mocked, 1 of them without an answer, 1 passed), 1 callback",
        "6 operations (2 mocked, 1 of them without an answer, 1 passed, 3 not routed), 2 callbacks",
        "2 documents, 0 errors, ",
        "begin with SI0208, 3 times: docs/diagnostics.md#si0208",
    ]);
}

#[tokio::test]
async fn modes_are_counted_and_shown() {
    let get = |mode: &str| {
        format!(
            "{{get: {{x-standin: {{mode: {mode}}}, responses: {{'200': {{description: d, content: {{text/plain: {{example: a}}}}}}}}}}}}"
        )
    };
    let modes = ["mock", "match", "match", "fallback", "pass"];
    let paths: String =
        modes.iter().enumerate().map(|(number, mode)| format!("  /{number}: {}\n", get(mode))).collect();
    let with = || Standin::with().paths(&paths).env("STANDIN_UPSTREAM", "http://127.0.0.1:9");
    let exit = with().command("check").exits().await;
    exit.is(0)
        .prints(&["5 operations (4 mocked, 2 of them match, 1 of them fallback, 1 passed), 0 callbacks"]);
    let exit = with().command("check").args(["--format", "json"]).exits().await;
    assert_eq!(exit.json()["documents"][0]["mocked"], 4);
    let exit = with().command("routes").args(["--format", "json"]).exits().await;
    let found = exit.json()["operations"].as_array().expect("operations").clone();
    let found: Vec<_> = found.iter().map(|operation| operation["mode"].as_str().expect("a mode")).collect();
    assert_eq!(found, modes);
    let standin = with().start().await;
    assert!(standin.ready_line.contains("4 operations mocked from 1 document"), "{}", standin.ready_line);
}

#[tokio::test]
async fn routes_keeps_to_the_width_that_it_has() {
    let paths = "
        /a/very/long/path/that/goes/on/and/on/{withParameters}/to/its/end:
          delete:
            operationId: anOperationWithAVeryLongNameThatNobodyCanRemember
            responses: {'204': {description: gone}}
    ";
    let exit = Standin::with().paths(paths).command("routes").env("COLUMNS", "90").exits().await;
    exit.is(0).prints(&["DELETE", "mock", "/a/very", "its/end", "\u{2026}"]);
    assert!(exit.stdout.lines().all(|line| line.chars().count() <= 90), "{}", exit.stdout);
    let exit = Standin::with().paths(paths).command("routes").exits().await;
    exit.is(0).prints(&["{withParameters}", "anOperationWithAVeryLongNameThatNobodyCanRemember"]);
}

#[tokio::test]
async fn routes_shows_what_is_not_routed() {
    let with = Standin::with().paths(&fine()).paths(&fine()).command("routes");
    with.exits().await.is(0).prints(&["1 operation not routed"]);
}

#[tokio::test]
async fn routes_prints_the_decisions() {
    let paths = "
        /pets/{id}:
          get:
            operationId: getPet
            responses: {'200': {description: ok, content: {application/json: {examples: {a: {value: 1}, b: {value: 2}}}}}}
          delete: {x-standin: {mode: pass}, responses: {'204': {description: gone}}}
    ";
    let exit = Standin::with().paths(paths).command("routes").exits().await;
    exit.is(0).prints(&["GET", "DELETE", "/pets/{id}", "getPet", "mock", "pass"]);

    let exit = Standin::with().paths(paths).command("routes").args(["--format", "json"]).exits().await;
    exit.is(0);
    let list = exit.json()["operations"].as_array().expect("operations").clone();
    assert_eq!(list.len(), 2);
    let get = list.iter().find(|operation| operation["method"] == "GET").expect("listed");
    assert_eq!(get["operation"], "getPet");
    assert_eq!(get["path"], "/pets/{id}");
    assert_eq!(get["mode"], "mock");
    assert_eq!((&get["examples"], &get["callbacks"]), (&2.into(), &0.into()));
    assert!(get["document"].is_string() && get["decided_by"].is_string() && get["id"].is_string(), "{get}");
}

// `demo`.

#[tokio::test]
async fn demo_prints_what_to_try_and_stops() {
    let mut demo = Standin::with()
        .command("demo")
        .env("STANDIN_LISTEN", "127.0.0.1:0")
        .env("STANDIN_ADMIN", "127.0.0.1:0")
        .launch();
    eventually(SOON, "curl lines", async || demo.stdout().contains("curl").then_some(())).await;
    demo.signal("INT");
    assert_eq!(demo.wait_exit(SOON).await, 0);
}

/// pingora reads the system's certificates at start, and panics on what it can't read.
#[tokio::test]
async fn certificates_that_cannot_be_read_are_no_reason_not_to_start() {
    let paths = "  /a: {get: {responses: {'204': {description: none}}}}\n";
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broken.pem");
    std::fs::write(&file, broken).expect("a file");
    for certificates in ["/nonexistent", file.to_str().expect("text")] {
        let standin = Standin::with().paths(paths).env("SSL_CERT_FILE", certificates).start().await;
        assert_eq!(standin.get("/a").await.status, 204, "{certificates}");
    }
}

/// A large document costs no more than reading it, and a request nothing of it.
#[tokio::test]
async fn a_thousand_operations_are_served() {
    let example = format!("{{\"id\": 1, \"text\": \"{}\"}}", "x".repeat(4000));
    let paths: String = (0..1000)
        .map(|number| {
            format!(
                "  /res{number}/{{id}}:\n    get:\n      responses:\n        '200':\n          description: ok\n          \
                 content: {{application/json: {{example: {example}}}}}\n"
            )
        })
        .collect();
    let standin = Standin::with().paths(&paths).start().await;
    assert_eq!(standin.get("/res0/a").await.status, 200);
    assert_eq!(standin.get("/res999/a").await.json()["id"], 1);
}
