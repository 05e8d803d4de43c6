//! The acceptance walk, as a new user would try it: with every default, the pace of 3 s included.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::*;

const REGISTRATION: &str = include_str!("../../config/specs/registration.yaml");

#[tokio::test]
async fn the_walk_of_a_new_user() {
    let upstream = Upstream::start().await;
    let receiver = Receiver::start().await;
    let standin = Standin::with()
        .file("registration.yaml", REGISTRATION)
        .args(["--spec", "registration.yaml"])
        .upstream(upstream.url())
        .start()
        .await;

    // The answer comes at once, with other names than the example's.
    let body = json!({
        "user": {"firstName": "Ada", "lastName": "Lovelace"},
        "callbackUrl": format!("{}/hook", receiver.url()),
    });
    let asked = Instant::now();
    let response = standin.send(post("/user", &body.to_string())).await;
    let answered = Instant::now();
    response.is(201, r#"{"firstName":"Ada","lastName":"Lovelace","status":"PENDING"}"#);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(answered - asked < Duration::from_secs(1), "answered after {:?}", answered - asked);
    assert!(receiver.calls().is_empty(), "a callback before its time");

    // Then the three callbacks, 3 s apart and in order.
    let calls = receiver.expect_within(Duration::from_secs(15), 3).await;
    let mut before = answered;
    for (call, status) in calls.iter().zip(["VERIFIED", "REGISTERED", "COMPLETE"]) {
        let expected = format!(r#"{{"firstName":"Ada","lastName":"Lovelace","status":"{status}"}}"#);
        assert_eq!((call.method.as_str(), call.target.as_str()), ("POST", "/hook"));
        assert_eq!(call.text(), expected);
        assert_eq!(call.header("content-type"), Some("application/json"));
        assert_eq!(call.header("content-length"), Some(expected.len().to_string().as_str()));
        let gap = call.at - before;
        assert!(gap >= Duration::from_millis(2900), "{status} came {gap:?} after what was before it");
        assert!(gap < Duration::from_secs(4), "{status} came {gap:?} after what was before it");
        before = call.at;
    }
    assert!(upstream.received().is_empty(), "the upstream was asked for a mocked operation");

    // Nothing more comes.
    let quiet = || receiver.calls().len() == 3;
    holds_for(Duration::from_secs(4), "three callbacks and no more", quiet).await;
    standin.counts(3.0, "standin_callbacks_total", &[("outcome", "delivered")]).await;

    // Everything else is the upstream's.
    standin.get("/anything-else").await.is(200, "upstream: GET /anything-else");

    // Editing the document changes the next answer within 2 s.
    let edited = REGISTRATION.replace("status: PENDING\n      callbacks", "status: WAITING\n      callbacks");
    assert_ne!(edited, REGISTRATION);
    standin.folder.write("registration.yaml", &edited);
    answers_within_2_s(&standin, "WAITING").await;
    assert_eq!(standin.document("registration.yaml").await["state"], "current");

    // Breaking it changes nothing and says where: log, status, metric.
    let broken = edited.replacen("    post:\n", "    post: {\n", 1);
    assert_ne!(broken, edited);
    let logged = standin.stderr().len();
    standin.folder.write("registration.yaml", &broken);
    let document = standin.document_is("registration.yaml", "kept").await;
    let diagnostics = document["diagnostics"].as_array().expect("diagnostics");
    assert!(diagnostics.iter().any(|found| found["line"].as_u64() > Some(1)), "{document}");
    standin.logs(logged, &["registration.yaml:"]).await;
    has_position(&standin.stderr()[logged..], "registration.yaml:");
    standin.counts(0.0, "standin_spec_last_reload_successful", &[]).await;
    assert!(standin.metrics().await.has("standin_spec_last_reload_successful", &[]));
    answers_within_2_s(&standin, "WAITING").await;

    // Mending it recovers.
    standin.folder.write("registration.yaml", &edited.replace("WAITING", "PATIENCE"));
    answers_within_2_s(&standin, "PATIENCE").await;
    standin.document_is("registration.yaml", "current").await;
    standin.counts(1.0, "standin_spec_last_reload_successful", &[]).await;
}

/// Asks for a registration without a callback's address until its status is this one.
async fn answers_within_2_s(standin: &Standin, status: &str) {
    eventually(Duration::from_secs(2), &format!("the answer says {status}"), async || {
        let body = r#"{"user": {"firstName": "Ada", "lastName": "Lovelace"}}"#;
        let response = standin.send(post("/user", body)).await;
        assert_eq!(response.status, 201, "{}", response.text());
        (response.json()["status"] == status).then_some(())
    })
    .await;
}

/// `FILE:LINE:COLUMN` somewhere in the text.
#[track_caller]
fn has_position(text: &str, file: &str) {
    let found = text.match_indices(file).any(|(at, _)| {
        let mut parts = text[at + file.len()..].split(|c: char| !c.is_ascii_digit());
        parts.next().is_some_and(|line| !line.is_empty())
            && parts.next().is_some_and(|column| !column.is_empty())
    });
    assert!(found, "no position in {text}");
}

#[tokio::test]
async fn the_sample_finds_its_two_users() {
    let standin = Standin::with().spec(REGISTRATION).start().await;
    standin.get("/user/41").await.is(200, r#"{"firstName":"Grace","lastName":"Hopper","status":"PENDING"}"#);
    standin.get("/user/42").await.is(200, r#"{"firstName":"Alan","lastName":"Turing","status":"COMPLETE"}"#);
}
