//! Sections 3.1 and 3.2: which operation a request is for, and who answers it.

use crate::harness::*;

/// Who answered: what the mock says, `upstream`, or Standin's own error code.
async fn lands(standin: &Standin, request: Request) -> String {
    let response = standin.send(request).await;
    if let Some(code) = response.header("x-standin-error") {
        let code = code.to_owned();
        response.is_problem(response.status, &code);
        return code;
    }
    if response.text().starts_with("upstream: ") {
        return "upstream".to_owned();
    }
    response.is_mock();
    response.json()["says"].as_str().expect("says").to_owned()
}

#[track_caller]
fn check(standin: &Standin, cases: &[(&str, &str)]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let mut wrong = Vec::new();
        for (target, expected) in cases {
            let landed = lands(standin, get(target)).await;
            if landed != *expected {
                wrong.push(format!("{target} is {landed}, not {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{caller}:\n{}", wrong.join("\n"));
    }
}

/// Each `(path, says)` is a GET operation; an upstream stands behind.
async fn serving(paths: &[(&str, &str)]) -> (Standin, Upstream) {
    let upstream = Upstream::start().await;
    let paths: String = paths.iter().map(|(path, says)| operation("get", path, says)).collect();
    (Standin::with().paths(&paths).upstream(upstream.url()).start().await, upstream)
}

#[tokio::test]
async fn equal_spellings_are_the_same_path() {
    let (standin, _upstream) =
        serving(&[("/pets", "pets"), ("/~ann/caf%C3%A9", "cafe"), ("/a-b_c.d", "abcd")]).await;
    check(
        &standin,
        &[
            ("/pets", "pets"),
            ("/%70ets", "pets"),
            ("/p%65%74s", "pets"),
            ("/pets?//x/../%2f", "pets"),
            ("/~ann/caf%C3%A9", "cafe"),
            ("/%7Eann/caf%c3%a9", "cafe"),
            ("/%7eann/c%61f%C3%a9", "cafe"),
            ("/a%2Db%5Fc%2ed", "abcd"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_a_document_writes_unencoded_is_compared_encoded() {
    let (standin, _upstream) = serving(&[("/my files", "space"), ("/caf\u{e9}", "cafe")]).await;
    check(&standin, &[("/my%20files", "space"), ("/caf%C3%A9", "cafe"), ("/caf%c3%a9", "cafe")]).await;
}

#[tokio::test]
async fn different_paths_are_different() {
    let (standin, _upstream) = serving(&[("/pets", "pets"), ("/pets/{id}", "pet")]).await;
    check(
        &standin,
        &[
            ("/Pets", "upstream"),
            ("/pets/", "upstream"),
            ("/pet", "upstream"),
            ("/petss", "upstream"),
            ("/pets/1/2", "upstream"),
            ("/", "upstream"),
            ("/pets%20", "upstream"),
        ],
    )
    .await;
}

/// A spelling that some server would read as a mocked path neither matches nor slips through.
#[tokio::test]
async fn ambiguous_spellings_of_a_mocked_path_are_refused() {
    let (standin, upstream) = serving(&[("/pets", "pets"), ("/admin/users", "users")]).await;
    let spellings = [
        "//pets",
        "///pets",
        "/./pets",
        "/%2e/pets",
        "/x/../pets",
        "/x/%2e%2E/pets",
        "/x/.%2e/pets",
        "/../pets",
        "/pets;x=1",
        "/pets;",
        "/;/pets",
        "/x/..;/pets",
        "/x%2f..%2fpets",
        "/x/..%2Fpets",
        "/%2fpets",
        "/x\\..\\pets",
        "/\\pets",
        "/x%5c..%5Cpets",
        "/x/..\\pets",
        "/admin//users",
        "/admin/./users",
        "/admin/x/../users",
        "/admin%2Fusers",
        "/admin%5cusers",
        "/admin\\users",
        "/admin;a=b/users",
        "/%61dmin//users",
        "//pets?x=1",
    ];
    let cases: Vec<_> = spellings.iter().map(|spelling| (*spelling, "ambiguous-path")).collect();
    check(&standin, &cases).await;
    assert!(upstream.received().is_empty(), "slipped through: {:?}", upstream.received());
    standin.get("//pets").await.is_problem(400, "ambiguous-path");
}

#[tokio::test]
async fn ambiguous_spellings_of_nothing_pass_with_their_bytes() {
    let (standin, upstream) = serving(&[("/pets", "pets")]).await;
    let targets =
        ["//other", "/./other", "/x/../other", "/other;x=1", "/a%2Fb", "/a%5Cb", "/a\\b", "/pets/../other"];
    for target in targets {
        standin.get(target).await.is(200, &format!("upstream: GET {target}"));
    }
    let arrived: Vec<_> = upstream.received().iter().map(|request| request.target.clone()).collect();
    assert_eq!(arrived, targets);
}

#[tokio::test]
async fn ambiguous_spellings_of_a_passed_operation_pass() {
    let upstream = Upstream::start().await;
    let paths = operation("get", "/pets", "pets");
    let standin =
        Standin::with().paths(&paths).upstream(upstream.url()).args(["--mode", "pass"]).start().await;
    check(&standin, &[("//pets", "upstream"), ("/./pets", "upstream"), ("/pets;x=1", "upstream")]).await;
}

#[tokio::test]
async fn an_encoded_slash_in_a_parameter_is_one_segment() {
    let (standin, _upstream) = serving(&[("/files/{name}", "file"), ("/files/a/b", "deep")]).await;
    check(
        &standin,
        &[
            ("/files/a%2Fb", "file"),
            ("/files/a%2fb%2Fc", "file"),
            ("/files/a/b", "deep"),
            ("/files/a%20b", "file"),
            ("/files/%E2%82%AC", "file"),
        ],
    )
    .await;
}

#[tokio::test]
async fn concrete_segments_beat_templated_ones() {
    let (standin, _upstream) = serving(&[
        ("/users/{id}", "user"),
        ("/users/me", "me"),
        ("/users/{id}/posts", "posts"),
        ("/users/me/{what}", "mine"),
        ("/{kind}/{id}", "any"),
    ])
    .await;
    check(
        &standin,
        &[
            ("/users/7", "user"),
            ("/users/me", "me"),
            ("/users/m%65", "me"),
            ("/users/7/posts", "posts"),
            ("/users/me/cats", "mine"),
            ("/users/me/posts", "mine"),
            ("/things/7", "any"),
            ("/users/7/cats", "upstream"),
        ],
    )
    .await;
}

#[tokio::test]
async fn longer_literal_parts_beat_shorter_ones() {
    let (standin, _upstream) = serving(&[
        ("/a/{x}", "plain"),
        ("/a/{x}.json", "json"),
        ("/a/report-{x}.json", "report"),
        ("/compare/{base}...{head}", "compare"),
    ])
    .await;
    check(
        &standin,
        &[
            ("/a/1", "plain"),
            ("/a/1.xml", "plain"),
            ("/a/1.json", "json"),
            ("/a/report-1.json", "report"),
            ("/compare/main...topic", "compare"),
            ("/compare/main..topic", "upstream"),
        ],
    )
    .await;
}

#[tokio::test]
async fn document_order_breaks_ties() {
    let (standin, _upstream) = serving(&[("/a/{first}", "first"), ("/a/{second}", "second")]).await;
    check(&standin, &[("/a/1", "first")]).await;
}

#[tokio::test]
async fn a_path_without_the_method_leaves_it_to_the_next_best() {
    let paths = [operation("get", "/users/me", "me"), operation("delete", "/users/{id}", "gone")].concat();
    let standin = Standin::with().paths(&paths).start().await;
    assert_eq!(lands(&standin, get("/users/me")).await, "me");
    assert_eq!(lands(&standin, delete("/users/me")).await, "gone");
    assert_eq!(lands(&standin, get("/users/7")).await, "method-not-allowed");
}

#[tokio::test]
async fn the_first_document_wins() {
    let standin = Standin::with()
        .paths(&operation("get", "/pets", "first"))
        .paths(&[operation("get", "/pets", "second"), operation("get", "/cats", "cats")].concat())
        .start()
        .await;
    check(&standin, &[("/pets", "first"), ("/cats", "cats")]).await;
}

#[tokio::test]
async fn a_file_a_folder_and_json_are_sources() {
    let json = r#"{"openapi": "3.0.3", "info": {"title": "J", "version": "1"}, "paths": {"/json": {"get":
        {"responses": {"200": {"description": "ok", "content": {"application/json": {"example": {"says": "json"}}}}}}}}}"#;
    let standin = Standin::with()
        .file("folder/a.yaml", &document(&operation("get", "/a", "a")))
        .file("folder/b.json", json)
        .file("folder/notes.yaml", "just: notes\n")
        .file("folder/README.md", "# no document\n")
        .paths(&operation("get", "/single", "single"))
        .args(["--spec", "folder"])
        .start()
        .await;
    check(&standin, &[("/a", "a"), ("/json", "json"), ("/single", "single"), ("/notes", "no-route")]).await;
}

#[tokio::test]
async fn every_base_path_of_the_servers_is_served() {
    let upstream = Upstream::start().await;
    let paths = "
        /pets: {get: {responses: {'200': {description: ok, content: {application/json: {example: {says: pets}}}}}}}
        /own:
          servers: [{url: /nearer}]
          get: {responses: {'200': {description: ok, content: {application/json: {example: {says: own}}}}}}
        /nearest:
          servers: [{url: /nearer}]
          get:
            servers: [{url: 'https://x.example/nearest/'}]
            responses: {'200': {description: ok, content: {application/json: {example: {says: nearest}}}}}
---
servers:
  - url: https://api.example.com/v1
  - url: http://localhost:8080/v1
  - url: /v2/
  - url: https://{host}/{base}/x
    variables: {host: {default: h.example}, base: {default: v3}}
";
    let standin = Standin::with().paths(paths).upstream(upstream.url()).start().await;
    check(
        &standin,
        &[
            ("/v1/pets", "pets"),
            ("/v2/pets", "pets"),
            ("/v3/x/pets", "pets"),
            ("/pets", "upstream"),
            ("/nearer/own", "own"),
            ("/v1/own", "upstream"),
            ("/nearest/nearest", "nearest"),
            ("/nearer/nearest", "upstream"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_configured_base_path_replaces_the_servers() {
    let document = document(&operation("get", "/pets", "pets")) + "servers: [{url: /v1}]\n";
    let standin = Standin::with()
        .file("spec.yaml", &document)
        .config("specs: [{source: spec.yaml, base_path: /mine}]\n")
        .start()
        .await;
    check(&standin, &[("/mine/pets", "pets"), ("/v1/pets", "no-route"), ("/pets", "no-route")]).await;
}

#[tokio::test]
async fn head_answers_as_get_without_the_body() {
    let standin = Standin::with().paths(&operation("get", "/pets", "pets")).start().await;
    let mut wire = standin.wire().await;
    let of_get = wire.send(&get("/pets")).await;
    let of_head = wire.send(&head("/pets")).await;
    of_head.is(200, "");
    of_head.is_mock();
    assert_eq!(of_head.header("content-length"), of_get.header("content-length"));
    assert_eq!(of_head.header("content-type"), of_get.header("content-type"));
    wire.send(&get("/pets")).await.is(200, r#"{"says":"pets"}"#);
}

const USERS: &str = "
    /users:
      get:
        operationId: listUsers
        tags: [people]
        responses: {'200': {description: ok, content: {application/json: {example: {says: users}}}}}
    /users/{id}/posts/{n}:
      get:
        operationId: getPost
        responses: {'200': {description: ok, content: {application/json: {example: {says: post}}}}}
    /forced:
      get:
        x-standin: {mode: EXTENSION}
        responses: {'200': {description: ok, content: {application/json: {example: {says: forced}}}}}
";

/// A Standin over `USERS` with an upstream and this config; `EXTENSION` is what `/forced` says.
async fn users(extension: &str, spec_mode: &str, config: &str) -> (Standin, Upstream) {
    let upstream = Upstream::start().await;
    let entry = format!("specs: [{{source: spec.yaml{spec_mode}}}]\n");
    let standin = Standin::with()
        .file("spec.yaml", &document(&USERS.replace("EXTENSION", extension)))
        .config(&(entry + &dedent(config)))
        .upstream(upstream.url())
        .start()
        .await;
    (standin, upstream)
}

#[tokio::test]
async fn the_files_mode_is_for_what_nothing_else_decides() {
    let (standin, _upstream) = users("mock", "", "mode: pass\n").await;
    check(&standin, &[("/users", "upstream"), ("/forced", "forced")]).await;
}

#[tokio::test]
async fn the_modes_flag_replaces_the_files() {
    let upstream = Upstream::start().await;
    let standin = Standin::with()
        .paths(&operation("get", "/users", "users"))
        .config("mode: mock\n")
        .args(["--mode", "pass"])
        .upstream(upstream.url())
        .start()
        .await;
    check(&standin, &[("/users", "upstream")]).await;
}

#[tokio::test]
async fn the_spec_entrys_mode_beats_the_files() {
    let (standin, _upstream) = users("pass", ", mode: mock", "mode: pass\n").await;
    check(&standin, &[("/users", "users"), ("/forced", "upstream")]).await;
}

#[tokio::test]
async fn rules_beat_extension_and_spec_entry() {
    let rules = "
        rules:
          - {operations: [listUsers], mode: pass}
          - {operations: ['GET /forced'], mode: pass}
    ";
    let (standin, _upstream) = users("mock", ", mode: mock", rules).await;
    check(&standin, &[("/users", "upstream"), ("/forced", "upstream"), ("/users/1/posts/2", "post")]).await;
}

#[tokio::test]
async fn rules_select_by_id_route_glob_and_tag() {
    let selectors = [
        ("listUsers", "upstream", "post"),
        ("tag:people", "upstream", "post"),
        ("GET /users", "upstream", "post"),
        ("GET /users/*", "users", "post"),
        ("GET /users/*/posts/*", "users", "upstream"),
        ("GET /users/**", "upstream", "upstream"),
        ("POST /users", "users", "post"),
        ("getPost", "users", "upstream"),
        ("tag:nobody", "users", "post"),
    ];
    for (selector, of_users, of_post) in selectors {
        let rules = format!("rules: [{{operations: ['{selector}'], mode: pass}}]\n");
        let (standin, _upstream) = users("mock", "", &rules).await;
        let landed = (lands(&standin, get("/users")).await, lands(&standin, get("/users/1/posts/2")).await);
        assert_eq!((landed.0.as_str(), landed.1.as_str()), (of_users, of_post), "{selector}");
    }
}

#[tokio::test]
async fn the_first_rule_that_sets_a_key_wins() {
    let rules = "
        rules:
          - {operations: ['GET /users'], unmatched: example}
          - {operations: ['GET /users'], mode: pass}
          - {operations: ['GET /users'], mode: mock}
    ";
    let (standin, _upstream) = users("mock", "", rules).await;
    check(&standin, &[("/users", "upstream")]).await;
}

#[tokio::test]
async fn a_rules_glob_sees_the_template_with_its_base_path() {
    let upstream = Upstream::start().await;
    let document = document(&operation("get", "/users", "users")) + "servers: [{url: /v1}]\n";
    let standin = Standin::with()
        .file("spec.yaml", &document)
        .config("specs: [{source: spec.yaml}]\nrules: [{operations: ['GET /v1/users'], mode: pass}]\n")
        .upstream(upstream.url())
        .start()
        .await;
    check(&standin, &[("/v1/users", "upstream")]).await;
}

#[tokio::test]
async fn the_requests_mode_beats_everything() {
    let rules = "rules: [{operations: [listUsers], mode: pass}]\n";
    let (standin, _upstream) = users("mock", "", rules).await;
    let as_mock = get("/users").header("x-standin-mode", "mock");
    assert_eq!(lands(&standin, as_mock).await, "users");
    let as_pass = get("/forced").header("X-Standin-Mode", "pass");
    assert_eq!(lands(&standin, as_pass).await, "upstream");
}

#[tokio::test]
async fn without_overrides_the_requests_mode_is_nothing() {
    let (standin, _upstream) = users("mock", "", "overrides: false\n").await;
    assert_eq!(lands(&standin, get("/users").header("x-standin-mode", "pass")).await, "users");
}

#[tokio::test]
async fn what_is_wrong_in_one_operation_costs_no_other() {
    let paths = "
        /broken: {get: {responses: {'200': {$ref: '#/components/responses/Nowhere'}}}}
        /odd: {get: 42}
        no-slash: {get: {responses: {}}}
        /fine: {get: {responses: {'200': {description: ok, content: {application/json: {example: {says: fine}}}}}}}
    ";
    let upstream = Upstream::start().await;
    let folder = document(paths);
    let standin =
        Standin::with().file("specs/one.yaml", &folder).args(["--spec", "specs"]).upstream(upstream.url());
    check(&standin.start().await, &[("/fine", "fine")]).await;
}

#[tokio::test]
async fn references_reach_into_the_document_and_into_files_beside_it() {
    let paths = "
        /inside: {$ref: '#/components/pathItems/Inside'}
        /beside:
          get: {responses: {'200': {$ref: 'shared/responses.yaml#/Beside'}}}
---
components:
  pathItems:
    Inside: {get: {responses: {'200': {$ref: '#/components/responses/Inside'}}}}
  responses:
    Inside:
      description: ok
      content: {application/json: {examples: {one: {$ref: '#/components/examples/One'}}}}
  examples:
    One: {value: {says: inside}}
";
    let beside = "
        Beside: {description: ok, content: {application/json: {examples: {one: {$ref: '../examples.json#/one~1two'}}}}}
    ";
    let standin = Standin::with()
        .paths(paths)
        .file("shared/responses.yaml", beside)
        .file("examples.json", r#"{"one/two": {"value": {"says": "beside"}}}"#)
        .start()
        .await;
    check(&standin, &[("/inside", "inside"), ("/beside", "beside")]).await;
}

#[tokio::test]
async fn a_path_with_a_query_or_several_segments_is_mocked_and_what_does_not_fit_is_passed() {
    let (standin, _upstream) = serving(&[
        ("/export?kind=csv", "csv"),
        ("/files/{path+}", "files"),
        ("/files/{path+}:lock", "lock"),
        ("/map/{;point}", "map"),
    ])
    .await;
    check(
        &standin,
        &[
            ("/export?kind=csv&x=1", "csv"),
            ("/export?kind=xml", "upstream"),
            ("/export", "upstream"),
            ("//export?kind=csv", "ambiguous-path"),
            ("//export?kind=xml", "upstream"),
            ("/files/a/b/c.txt", "files"),
            ("/files/a/b:lock", "lock"),
            ("/files", "upstream"),
            ("/map/;point=5", "map"),
            ("/map/5", "upstream"),
        ],
    )
    .await;
}
