//! Section 6: what changes on disk is served, what breaks is not, and nobody notices the swap.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::*;

fn pets(says: &str) -> String {
    document(&operation("get", "/pets", says))
}

#[track_caller]
fn says(standin: &Standin, path: &str, expected: &str) -> impl Future<Output = ()> {
    let expected = format!(r#"{{"says":"{expected}"}}"#);
    eventually(SOON, "the new answer", async move || {
        (standin.get(path).await.text() == expected).then_some(())
    })
}

const BROKEN: &str = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n  /pets: {get: [\n";

#[tokio::test]
async fn a_document_written_in_place_or_renamed_over_is_served() {
    let standin = Standin::with().spec(&pets("one")).start().await;
    says(&standin, "/pets", "one").await;
    standin.folder.write("spec.yaml", &pets("two"));
    says(&standin, "/pets", "two").await;
    standin.folder.replace("spec.yaml", &pets("three"));
    says(&standin, "/pets", "three").await;
    standin.folder.write("spec.yaml", &pets("four"));
    says(&standin, "/pets", "four").await;
    standin.folder.replace("spec.yaml", &pets("five"));
    says(&standin, "/pets", "five").await;
}

#[tokio::test]
async fn a_file_that_a_reference_reached_is_watched() {
    let paths = "
        /pets: {get: {responses: {'200': {$ref: 'parts/shared.yaml#/Pets'}}}}
    ";
    let shared = |says: &str| {
        format!("Pets: {{description: ok, content: {{application/json: {{example: {{says: {says}}}}}}}}}\n")
    };
    let standin = Standin::with().paths(paths).file("parts/shared.yaml", &shared("one")).start().await;
    says(&standin, "/pets", "one").await;
    standin.folder.write("parts/shared.yaml", &shared("two"));
    says(&standin, "/pets", "two").await;
    standin.folder.replace("parts/shared.yaml", &shared("three"));
    says(&standin, "/pets", "three").await;
}

#[tokio::test]
async fn a_reference_that_appears_later_is_watched_too() {
    let standin = Standin::with().spec(&pets("one")).start().await;
    let paths = "
        /pets:
          get:
            responses:
              '200': {description: ok, content: {application/json: {examples: {a: {$ref: later/example.yaml}}}}}
    ";
    standin.folder.write("later/example.yaml", "value: {says: two}\n");
    standin.folder.write("spec.yaml", &document(paths));
    says(&standin, "/pets", "two").await;
    standin.folder.write("later/example.yaml", "value: {says: three}\n");
    says(&standin, "/pets", "three").await;
}

#[tokio::test]
async fn a_file_that_comes_into_a_folder_is_served() {
    let standin = Standin::with().file("specs/a.yaml", &pets("one")).args(["--spec", "specs"]).start().await;
    standin.folder.replace("specs/b.yaml", &document(&operation("get", "/cats", "cats")));
    says(&standin, "/cats", "cats").await;
    says(&standin, "/pets", "one").await;
}

/// Kubernetes swaps a ConfigMap by renaming a symbolic link over `..data`.
#[tokio::test]
async fn a_configmaps_swap_is_seen_each_time() {
    for source in ["mount/spec.yaml", "mount"] {
        let builder = Standin::with().file("mount/..v0/spec.yaml", &pets("v0"));
        let folder = builder.folder.clone();
        symlink("..v0", folder.path("mount/..data")).expect("a link");
        symlink("..data/spec.yaml", folder.path("mount/spec.yaml")).expect("a link");
        let standin = builder.args(["--spec", source]).start().await;
        says(&standin, "/pets", "v0").await;
        for version in 1..4 {
            let name = format!("v{version}");
            folder.write(&format!("mount/..{name}/spec.yaml"), &pets(&name));
            symlink(format!("..{name}"), folder.path("mount/..data_tmp")).expect("a link");
            std::fs::rename(folder.path("mount/..data_tmp"), folder.path("mount/..data")).expect("a rename");
            std::fs::remove_dir_all(folder.path(&format!("mount/..v{}", version - 1))).expect("removed");
            says(&standin, "/pets", &name).await;
        }
    }
}

#[tokio::test]
async fn the_config_file_is_watched() {
    let upstream = Upstream::start().await;
    let standin = Standin::with()
        .file("spec.yaml", &pets("mock"))
        .config("specs: [{source: spec.yaml}]\nmode: mock\n")
        .upstream(upstream.url())
        .start()
        .await;
    says(&standin, "/pets", "mock").await;
    standin.folder.write("standin.yaml", "specs: [{source: spec.yaml}]\nmode: pass\n");
    let passed = async || (standin.get("/pets").await.text() == "upstream: GET /pets").then_some(());
    eventually(SOON, "the upstream answers", passed).await;
    standin.folder.replace("standin.yaml", "specs: [{source: spec.yaml}]\nmode: mock\n");
    says(&standin, "/pets", "mock").await;
}

#[tokio::test]
async fn a_broken_config_changes_nothing_and_says_where() {
    let standin = Standin::with()
        .file("spec.yaml", &pets("one"))
        .config("specs: [{source: spec.yaml}]\n")
        .start()
        .await;
    let logged = standin.stderr().len();
    standin.folder.write("standin.yaml", "specs: [{source: spec.yaml}]\nmoed: pass\n");
    standin.logs(logged, &["standin.yaml:2:1", "mode"]).await;
    says(&standin, "/pets", "one").await;
    let response = standin.reload().await;
    assert_eq!(response.status, 422, "{}", response.text());
    standin.folder.write("standin.yaml", "specs: [{source: spec.yaml}]\n");
    assert_eq!(standin.reload().await.status, 200);
}

#[tokio::test]
async fn a_key_that_needs_a_restart_is_named() {
    let standin = Standin::with()
        .file("spec.yaml", &pets("one"))
        .config("specs: [{source: spec.yaml}]\nthreads: 1\n")
        .start()
        .await;
    let logged = standin.stderr().len();
    standin.folder.write("standin.yaml", "specs: [{source: spec.yaml}]\nthreads: 2\n");
    standin.logs(logged, &["threads", "restart"]).await;
}

#[tokio::test]
async fn a_broken_document_keeps_its_last_version_and_the_others_go_on() {
    let standin =
        Standin::with().spec(&pets("one")).spec(&document(&operation("get", "/cats", "first"))).start().await;
    let logged = standin.stderr().len();
    standin.folder.write("spec.yaml", BROKEN);
    standin.document_is("/spec.yaml", "kept").await;
    standin.logs(logged, &["spec.yaml:"]).await;
    standin.folder.write("spec-2.yaml", &document(&operation("get", "/cats", "second")));
    says(&standin, "/cats", "second").await;
    says(&standin, "/pets", "one").await;
    assert_eq!(standin.document("spec-2.yaml").await["state"], "current");
    let ready = standin.admin(get("/readyz")).await;
    assert_eq!(ready.status, 200, "kept is still ready");
    standin.folder.write("spec.yaml", &pets("two"));
    says(&standin, "/pets", "two").await;
    standin.document_is("/spec.yaml", "current").await;
}

#[tokio::test]
async fn a_document_that_is_removed_is_kept() {
    let standin = Standin::with().spec(&pets("one")).start().await;
    std::fs::remove_file(standin.folder.path("spec.yaml")).expect("removed");
    standin.document_is("spec.yaml", "kept").await;
    says(&standin, "/pets", "one").await;
    standin.folder.write("spec.yaml", &pets("two"));
    says(&standin, "/pets", "two").await;
}

/// A Standin that only looks when it is told to.
async fn unwatched(text: &str) -> Standin {
    Standin::with()
        .file("spec.yaml", text)
        .config("specs: [{source: spec.yaml}]\nreload: {watch: false, poll: 60m}\n")
        .start()
        .await
}

#[tokio::test]
async fn sighup_reloads_at_once() {
    let standin = unwatched(&pets("one")).await;
    standin.folder.write("spec.yaml", &pets("two"));
    standin.get("/pets").await.is(200, r#"{"says":"one"}"#);
    standin.signal("HUP");
    says(&standin, "/pets", "two").await;
    standin.folder.write("spec.yaml", &pets("three"));
    standin.signal("HUP");
    says(&standin, "/pets", "three").await;
}

#[tokio::test]
async fn post_reload_answers_when_it_is_done() {
    let standin = unwatched(&pets("one")).await;
    standin.folder.write("spec.yaml", &pets("two"));
    let response = standin.reload().await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(response.json().is_object());
    standin.get("/pets").await.is(200, r#"{"says":"two"}"#);

    standin.folder.write("spec.yaml", BROKEN);
    let response = standin.reload().await;
    assert_eq!(response.status, 422, "{}", response.text());
    let body = response.json();
    let diagnostics = body["diagnostics"].as_array().expect("diagnostics");
    let error = diagnostics.iter().find(|found| found["severity"] == "error").expect("an error");
    assert!(error["file"].as_str().is_some_and(|file| file.ends_with("spec.yaml")), "{error}");
    assert!(error["line"].as_u64() >= Some(4), "{error}");
    assert!(error["column"].as_u64().is_some() && error["message"].is_string(), "{error}");
    standin.get("/pets").await.is(200, r#"{"says":"two"}"#);
    let metrics = standin.metrics().await;
    assert_eq!(metrics.value("standin_spec_last_reload_successful", &[]), 0.0);
    assert!(metrics.has("standin_spec_last_reload_success_timestamp_seconds", &[]));
    assert!(metrics.value("standin_reloads_total", &[]) >= 2.0);

    standin.folder.write("spec.yaml", &pets("three"));
    assert_eq!(standin.reload().await.status, 200);
    standin.get("/pets").await.is(200, r#"{"says":"three"}"#);
}

#[tokio::test]
async fn no_request_and_no_connection_fails_during_swaps() {
    const SWAPS: usize = 20;
    let standin = Standin::with().spec(&pets("v0")).start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (stop, asked, address) = (stop.clone(), asked.clone(), standin.data);
            tokio::spawn(async move {
                let mut wire = Wire::open(address).await;
                let mut newest = 0;
                while !stop.load(Ordering::Relaxed) {
                    let response = wire.send(&get("/pets")).await;
                    assert_eq!(response.status, 200, "{}", response.text());
                    let says =
                        response.json()["says"].as_str().expect("says")[1..].parse().expect("a version");
                    assert!(says >= newest, "v{newest} went back to v{says}");
                    newest = says;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                newest
            })
        })
        .collect();
    for version in 1..=SWAPS {
        let text = pets(&format!("v{version}"));
        if version % 2 == 0 {
            standin.folder.write("spec.yaml", &text);
        } else {
            standin.folder.replace("spec.yaml", &text);
        }
        // Half a file may be read in between: it must not show.
        says(&standin, "/pets", &format!("v{version}")).await;
    }
    let seen = asked.load(Ordering::Relaxed);
    eventually(SOON, "answers after the last swap", async || {
        (asked.load(Ordering::Relaxed) >= seen + 10).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.expect("no request failed"), SWAPS);
    }
}

#[tokio::test]
async fn a_chain_belongs_to_the_documents_in_which_it_began() {
    let paths = |says: &str| {
        let callback = |name: &str| {
            format!(
                "{name}: {{'{{$request.query.cb}}/{name}': {{post: {{requestBody: {{content: {{application/json: \
                 {{example: {{says: {says}}}}}}}}}, responses: {{'200': {{description: ok}}}}}}}}}}"
            )
        };
        document(&format!(
            "/jobs: {{post: {{responses: {{'201': {{description: ok, content: {{application/json: {{example: \
             {{says: {says}}}}}}}}}}}, callbacks: {{{}, {}}}}}}}\n",
            callback("first"),
            callback("second")
        ))
    };
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let standin = Standin::with().spec(&paths("old")).config(FAST).start().await;
    let jobs = format!("/jobs?cb={}", receiver.url());
    standin.send(post(&jobs, "{}")).await.is(201, r#"{"says":"old"}"#);
    receiver.expect(1).await;
    // The first call is held; the document changes before the second is rendered.
    standin.folder.write("spec.yaml", &paths("new"));
    let renewed = async || {
        let response = standin.send(post("/jobs", "{}")).await;
        (response.text() == r#"{"says":"new"}"#).then_some(())
    };
    eventually(SOON, "the new answer", renewed).await;
    gate.open();
    let calls = receiver.expect(2).await;
    let sent: Vec<_> = calls.iter().map(|call| (call.target.clone(), call.text())).collect();
    let old = r#"{"says":"old"}"#.to_owned();
    assert_eq!(sent, [("/first".to_owned(), old.clone()), ("/second".to_owned(), old)]);
}

#[tokio::test]
async fn a_request_in_flight_ends_across_a_reload() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::answering(move |_| Reply::new(200, "late").after(&held)).await;
    let standin = Standin::with().spec(&pets("one")).upstream(upstream.url()).start().await;
    let slow = tokio::spawn(get("/slow").to(standin.data));
    let arrived = async || (!upstream.received().is_empty()).then_some(());
    eventually(SOON, "the request is in flight", arrived).await;
    standin.folder.write("spec.yaml", &pets("two"));
    says(&standin, "/pets", "two").await;
    gate.open();
    within(Duration::from_secs(5), "the slow answer", slow).await.expect("answered").is(200, "late");
}

/// Images and ConfigMaps give every file one time, and `cp -p` keeps it.
#[tokio::test]
async fn a_change_that_keeps_size_and_time_is_seen() {
    let standin = Standin::with().spec(&pets("one")).start().await;
    let path = standin.folder.path("spec.yaml");
    let time = std::fs::metadata(&path).and_then(|meta| meta.modified()).expect("a time");
    let keep_time = |name: &str| {
        let file = std::fs::File::options().write(true).open(standin.folder.path(name)).expect("a file");
        file.set_modified(time).expect("to set its time");
    };
    standin.folder.write("spec.yaml", &pets("two"));
    keep_time("spec.yaml");
    says(&standin, "/pets", "two").await;
    standin.folder.write("aside", &pets("six"));
    keep_time("aside");
    std::fs::rename(standin.folder.path("aside"), &path).expect("a rename");
    says(&standin, "/pets", "six").await;
}

#[tokio::test]
async fn a_folder_that_is_made_anew_is_watched_anew() {
    let config = "specs: [{source: specs/a.yaml}]\nreload: {poll: 60m}\n";
    let standin = Standin::with().file("specs/a.yaml", &pets("one")).config(config).start().await;
    for (first, second) in [("two", "three"), ("four", "five")] {
        std::fs::remove_dir_all(standin.folder.path("specs")).expect("removed");
        if first == "four" {
            standin.document_is("a.yaml", "kept").await;
        }
        standin.folder.write("specs/a.yaml", &pets(first));
        says(&standin, "/pets", first).await;
        standin.folder.write("specs/a.yaml", &pets(second));
        says(&standin, "/pets", second).await;
    }
}

#[tokio::test]
async fn watching_can_be_turned_on() {
    let standin = unwatched(&pets("one")).await;
    standin.folder.write("standin.yaml", "specs: [{source: spec.yaml}]\nreload: {poll: 60m}\n");
    assert_eq!(standin.reload().await.status, 200);
    standin.folder.write("spec.yaml", &pets("two"));
    says(&standin, "/pets", "two").await;
}

#[tokio::test]
async fn a_reload_that_changes_nothing_asks_for_no_restart() {
    let standin = Standin::with().spec(&pets("one")).start().await;
    assert_eq!(standin.reload().await.status, 200);
    assert!(!standin.stderr().contains("restart"), "{}", standin.stderr());
}

#[tokio::test]
async fn series_of_operations_that_are_gone_do_not_add_up() {
    let named = |version: usize| {
        let id = format!("operationId: v{version}, responses:");
        document(&operation("get", "/pets", "pets").replace("responses:", &id))
    };
    let standin = unwatched(&named(0)).await;
    for version in 0..10 {
        standin.folder.write("spec.yaml", &named(version));
        assert_eq!(standin.reload().await.status, 200);
        standin.get("/pets").await.is(200, r#"{"says":"pets"}"#);
        let labels = [("operation", &*format!("v{version}")), ("code", "200")];
        standin.counts(1.0, "standin_requests_total", &labels).await;
    }
    let metrics = standin.metrics().await;
    let operations = metrics.label_values("operation");
    assert_eq!(operations, ["v8", "v9"].into(), "of this version and of the one before");
}

/// A reference to a file that never was there costs its operation, and no later change of the others.
#[tokio::test]
async fn a_file_that_never_was_there_keeps_nothing_back() {
    let missing = "  /missing: {get: {responses: {'200': {$ref: 'none.yaml'}}}}\n";
    let standin = unwatched(&format!("{}{missing}", pets("one"))).await;
    standin.folder.write("spec.yaml", &format!("{}{missing}", pets("two")));
    let outcome = standin.reload().await;
    assert_eq!(outcome.status, 200, "{}", outcome.text());
    standin.get("/pets").await.is(200, r#"{"says":"two"}"#);
}

/// A reference to a file that was there and is gone keeps the document, and is told with its place.
#[tokio::test]
async fn a_file_that_is_gone_keeps_the_document_and_says_where() {
    let part = "  /part: {get: {responses: {'200': {$ref: 'part.yaml'}}}}\n";
    let answer = "description: d\ncontent: {application/json: {example: part}}\n";
    let standin = Standin::with()
        .file("spec.yaml", &format!("{}{part}", pets("one")))
        .file("part.yaml", answer)
        .config("specs: [{source: spec.yaml}]\nreload: {watch: false, poll: 60m}\n")
        .start()
        .await;
    std::fs::remove_file(standin.folder.path("part.yaml")).expect("the file is there");
    let outcome = standin.reload().await;
    assert_eq!(outcome.status, 422, "{}", outcome.text());
    let told = outcome.json()["diagnostics"][0].clone();
    assert!(told["file"].as_str().is_some_and(|file| file.ends_with("spec.yaml")), "{told}");
    assert!(told["message"].as_str().is_some_and(|message| message.contains("part.yaml")), "{told}");
    standin.get("/part").await.is(200, r#""part""#);
    standin.folder.write("part.yaml", answer);
    assert_eq!(standin.reload().await.status, 200);
}
