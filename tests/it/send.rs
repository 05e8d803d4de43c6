//! `standin callbacks send`: a chain by hand.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::*;

const PATHS: &str = "
    /users/{id}:
      post:
        operationId: createUser
        parameters:
        - {name: id, in: path, required: true, schema: {type: string}, examples: {John Doe: {value: '7'}}}
        requestBody:
          content:
            application/json:
              examples:
                John Doe: {value: {cb: 'http://127.0.0.1:1/hook', name: John}}
                Alone: {value: {name: Ann}}
        responses:
          '201':
            description: ok
            content:
              application/json:
                examples: {John Doe: {value: {id: 7}}, Alone: {value: {id: 8}}}
        callbacks:
          onCreated:
            '{$request.body#/cb}/{$request.path.id}':
              post:
                requestBody:
                  content:
                    application/json:
                      examples: {John Doe: {value: {hello: '{{request.body/name}}'}}}
                responses:
                  '200': {description: ok}
                  '503': {description: busy, content: {text/plain: {schema: {const: later}}}}
          onDone:
            'http://127.0.0.1:1/done':
              put:
                requestBody: {content: {text/plain: {examples: {John Doe: {value: done}}}}}
                responses: {'200': {description: ok}}
    /plain:
      get: {responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
";

fn sending<const N: usize>(config: &str, args: [&str; N]) -> Builder {
    let config = format!("specs: [{{source: spec.yaml}}]\ncallbacks: {{{config}}}\n");
    let with = Standin::with().file("spec.yaml", &document(&dedent(PATHS))).file("standin.yaml", &config);
    with.command("callbacks").args(["send"]).args(args)
}

#[tokio::test]
async fn a_chain_goes_to_the_receiver_that_is_named() {
    let receiver = Receiver::start().await;
    let to = format!("{}/x?y=1", receiver.url());
    // It is one chain: the bounds are for others.
    let config =
        "queue: 1, memory: 1KiB, delay: 1h, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, allow: []";
    let args = ["--operation", "createUser", "--example", "John Doe", "--to", &to, "--now"];
    let exit = sending(config, args).exits().await;
    exit.is(0).prints(&["onCreated", &to, "200", "onDone"]);
    let calls = receiver.expect(2).await;
    assert_eq!((calls[0].method.as_str(), calls[0].target.as_str()), ("POST", "/x?y=1"));
    assert_eq!(calls[0].json(), serde_json::json!({"hello": "John"}));
    assert!(calls[0].header("webhook-signature").is_some());
    assert_eq!((calls[1].method.as_str(), calls[1].text()), ("PUT", "done".to_owned()));
}

#[tokio::test]
async fn it_is_sent_again_as_the_config_says_and_told() {
    let asked = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::new(503, "busy"),
        1 => Reply::new(200, ""),
        _ => Reply::new(404, "not here\u{1b}[2J"),
    })
    .await;
    let args = ["--operation", "POST /users/{id}", "--example", "John Doe", "--to", &receiver.url(), "--now"];
    let exit = sending("retry: [10ms]", args).exits().await;
    exit.is(1).prints(&["503", "| busy", "again in", "200", "404 (not in the document)", "| not here"]);
    exit.prints(&["onDone", "failed: answered 404"]);
    assert!(!exit.stdout.contains('\u{1b}'), "{}", exit.stdout);
    let calls = receiver.calls();
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
}

#[tokio::test]
async fn strictly_no_attempt_is_answered_as_nobody_said() {
    let asked = AtomicUsize::new(0);
    let receiver =
        Receiver::answering(move |call| match (&*call.method, asked.fetch_add(1, Ordering::SeqCst) % 3) {
            ("POST", 0) => Reply::new(503, "busy").header("content-type", "text/plain"),
            _ => Reply::new(200, ""),
        })
        .await;
    let args = ["--operation", "createUser", "--example", "John Doe", "--to", &receiver.url(), "--now"];
    let exit = sending("retry: [10ms]", args).exits().await;
    exit.is(0).prints(&["503 (not as the document says)", "  body: ", "later", "200"]);
    sending("retry: [10ms]", args).args(["--strict"]).exits().await.is(1);
}

#[tokio::test]
async fn the_request_is_the_documents_or_as_the_flags_say() {
    let shown = sending("", ["--operation", "createUser", "--dry-run"]).exits().await;
    shown.is(0).prints(&["# onCreated", "POST http://127.0.0.1:1/hook/7", r#"{"hello":"John"}"#, "# onDone"]);
    let body = r#"{"cb": "http://a.test", "name": "Eve"}"#;
    let args = ["--operation", "createUser", "--example", "John Doe", "--dry-run", "--body", "body.json"];
    let with = sending("", args).file("body.json", body).args(["--target", "/users/9?a=b"]);
    with.exits().await.is(0).prints(&["POST http://a.test/9", r#"{"hello":"Eve"}"#]);
}

#[tokio::test]
async fn a_relative_url_is_shown_as_it_is_sent_and_what_is_not_sent_is_a_failure() {
    let args = ["--operation", "createUser", "--example", "John Doe", "--dry-run", "--body", "body.json"];
    let shown = sending("", args).file("body.json", r#"{"cb": "/back"}"#).exits().await;
    shown.is(0).prints(&["POST http://127.0.0.1:8080/back/7"]);
    let based = sending("base_url: 'http://base:1/x/'", args).file("body.json", r#"{"cb": "back"}"#);
    based.exits().await.is(0).prints(&["POST http://base:1/x/back/7"]);
    sending("", args).file("body.json", "{}").exits().await.is(1).prints(&["is not sent"]);
}

#[tokio::test]
async fn a_script_reads_it_as_json() {
    let read = |stdout: &str| serde_json::from_str::<serde_json::Value>(stdout).unwrap();
    let args = ["--operation", "createUser", "--format", "json"];
    let shown = sending("", args).args(["--dry-run"]).exits().await;
    let first = &read(&shown.is(0).stdout)["callbacks"][0];
    assert_eq!((&first["callback"], &first["method"]), (&"onCreated".into(), &"POST".into()), "{first}");
    assert_eq!(first["url"], "http://127.0.0.1:1/hook/7");
    assert_eq!(first["headers"][0], serde_json::json!({"name": "content-type", "value": "application/json"}));
    assert_eq!(first["body"], r#"{"hello":"John"}"#);
    let without = r#"{"cb": ""}"#;
    let unresolved = sending("", args).file("body.json", without).args(["--dry-run", "--body", "body.json"]);
    let first = &read(&unresolved.exits().await.is(1).stdout)["callbacks"][0];
    assert!(first["reason"].as_str().is_some_and(|reason| reason.contains("request.body#/cb")), "{first}");

    let receiver = Receiver::answering(|_| Reply::new(204, "")).await;
    let sent = || sending("", args).args(["--now", "--to", &receiver.url()]);
    let done = sent().exits().await;
    let calls = &read(&done.is(0).stdout)["callbacks"];
    assert_eq!(calls.as_array().map(Vec::len), Some(2));
    assert_eq!((&calls[1]["callback"], &calls[1]["outcome"]), (&"onDone".into(), &"delivered".into()));
    assert_eq!(calls[1]["attempts"][0]["undocumented"], true);
    // A receiver that answers as nobody said it would.
    sent().args(["--strict"]).exits().await.is(1);
}

#[tokio::test]
async fn where_callbacks_may_not_go_they_do_not_go_by_hand() {
    let receiver = Receiver::start().await;
    let body = format!(r#"{{"cb": "{}"}}"#, receiver.url());
    let args = ["--operation", "createUser", "--example", "John Doe", "--now", "--body", "body.json"];
    let exit = sending("allow: [public]", args).file("body.json", &body).exits().await;
    exit.is(1).prints(&["blocked", "callbacks.allow"]);
    assert!(receiver.calls().is_empty());
    let metadata = ["--operation", "createUser", "--now", "--to", "http://169.254.169.254/"];
    sending("", metadata).exits().await.is(1).prints(&["blocked", "metadata"]);
}

#[tokio::test]
async fn what_can_not_be_is_said_with_the_remedy() {
    let says = async |args: [&str; 4], code: i32, words: &[&str]| {
        sending("", args).exits().await.is(code).says(words);
    };
    says(["--operation", "createUsr", "--now", "--dry-run"], 2, &["createUsr", "did you mean", "createUser"])
        .await;
    says(["--operation", "xyz", "--now", "--dry-run"], 2, &["operations with callbacks", "createUser"]).await;
    says(["--operation", "GET /plain", "--now", "--dry-run"], 2, &["no callbacks", "standin routes"]).await;
    says(["--operation", "createUser", "--example", "Jon"], 2, &["no example", "John Doe", "Alone"]).await;
    says(["--operation", "createUser", "--example", "Alone"], 1, &["no callback goes with", "John Doe"])
        .await;
    says(["--operation", "createUser", "--to", "ftp://a"], 2, &["no http or https URL"]).await;
    says(["--operation", "createUser", "--header", "a b"], 2, &["no header field", "name: value"]).await;
    says(["--operation", "createUser", "--body", "none.json"], 2, &["none.json", "can't be read"]).await;
}
