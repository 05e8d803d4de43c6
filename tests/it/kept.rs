//! `callbacks.store: folder`: callbacks go on where another process left them.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::*;

const LONG: Duration = Duration::from_secs(60);

/// Two callbacks to the address in the query; the first one's body is never the same twice.
const PATHS: &str = "
    /orders:
      post:
        operationId: placeOrder
        responses: {'201': {description: ok, content: {application/json: {example: {}}}}}
        callbacks:
          first:
            '{$request.query.cb}/first':
              post:
                requestBody: {content: {application/json: {example: '{{now()}} {{uuid()}} {{request.body/name}}'}}}
                responses: {'200': {description: ok}}
          second:
            '{$request.query.cb}/second':
              post: {responses: {'200': {description: ok}}}
";

async fn serving(store: &Path, config: &str) -> Standin {
    let config = format!("callbacks:\n  store: {}\n{config}", store.display());
    Standin::with().paths(PATHS).config(&config).start().await
}

async fn order(standin: &Standin, cb: &str) {
    let response = standin.send(post(&format!("/orders?cb={cb}"), r#"{"name": "Ann"}"#)).await;
    assert_eq!(response.status, 201, "{}", response.text());
}

/// Ends it as a crash would.
async fn kill(mut standin: Standin) {
    standin.signal("KILL");
    standin.wait_exit(SOON).await;
}

async fn stop(mut standin: Standin) -> String {
    standin.signal("TERM");
    assert_eq!(standin.wait_exit(SOON).await, 0);
    standin.stderr()
}

fn ids(calls: &[Value]) -> HashSet<String> {
    calls.iter().filter_map(|call| call["id"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_waits_at_a_stop_goes_on_at_the_next_start_in_its_time() {
    let store = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let standin = serving(store.path(), "  delay: 2s\n").await;
    let asked = Instant::now();
    order(&standin, &receiver.url()).await;
    let before = ids(&standin.calls_that(2, "waiting").await);
    let log = stop(standin).await;
    let line = log.lines().find(|line| line.contains("kept for the next start"));
    assert!(line.is_some_and(|line| line.contains("placeOrder") && line.contains('2')), "{log}");
    assert!(!log.contains("not sent") && !log.contains("cancelled"), "{log}");

    // Their pace was settled when the chain began.
    let standin = serving(store.path(), "  delay: 0s\n").await;
    assert_eq!(ids(&standin.calls_that(2, "waiting").await), before);
    let calls = receiver.expect(2).await;
    assert!(calls[0].at - asked >= Duration::from_millis(1900), "{:?}", calls[0].at - asked);
    assert!(calls[1].at - calls[0].at >= Duration::from_millis(1900));
    let sent: HashSet<_> = calls.iter().filter_map(|call| call.header("webhook-id")).collect();
    assert_eq!(sent, before.iter().map(String::as_str).collect());
    standin.calls_done(2).await;
    stop(standin).await;

    let standin = serving(store.path(), "  delay: 0s\n").await;
    assert_eq!(ids(&standin.calls_that(0, "waiting").await), HashSet::new());
}

#[tokio::test]
async fn an_attempt_after_a_crash_sends_the_same_bytes_and_counts_on() {
    let store = tempfile::tempdir().unwrap();
    let asked = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_| {
        let status = if asked.fetch_add(1, Ordering::SeqCst) < 2 { 503 } else { 200 };
        Reply::new(status, "")
    })
    .await;
    let config = "  delay: 0s\n  retry: [1s, 1s, 1s]\n";
    let standin = serving(store.path(), config).await;
    order(&standin, &receiver.url()).await;
    receiver.expect(1).await;
    let noted = async || {
        let calls = standin.calls_that(2, "waiting").await;
        calls
            .iter()
            .any(|call| call["attempts"].as_array().is_some_and(|made| !made.is_empty()))
            .then_some(())
    };
    eventually(SOON, "an attempt is made", noted).await;
    // What is noted after an attempt is not waited for; an answer is, and comes after it.
    order(&standin, "ftp://nowhere").await;
    kill(standin).await;

    let standin = serving(store.path(), config).await;
    let calls = receiver.expect(4).await;
    let targets: Vec<_> = calls.iter().map(|call| call.target.as_str()).collect();
    assert_eq!(targets, ["/first", "/first", "/first", "/second"]);
    let first = &calls[0];
    assert!(first.text().contains("Ann"), "{}", first.text());
    for again in &calls[1..3] {
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    }
    assert_ne!(calls[3].header("webhook-id"), first.header("webhook-id"));
    // Those that go nowhere may have been done before the crash.
    let delivered = eventually(SOON, "the first is done", async || {
        let mut done = standin.calls_done(2).await.into_iter();
        done.find(|call| call["id"] == *first.header("webhook-id").unwrap())
    })
    .await;
    let codes: Vec<_> = delivered["attempts"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, [503, 503, 200]);
}

#[tokio::test]
async fn what_was_done_before_a_crash_is_not_sent_again() {
    let store = tempfile::tempdir().unwrap();
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |call| match call.target.as_str() {
        "/second" => Reply::new(200, "").after(&held),
        _ => Reply::new(200, ""),
    })
    .await;
    let standin = serving(store.path(), "  delay: 0s\n").await;
    order(&standin, &receiver.url()).await;
    receiver.expect(2).await;
    order(&standin, "ftp://nowhere").await;
    kill(standin).await;
    gate.open();
    let _standin = serving(store.path(), "  delay: 0s\n").await;
    let calls = receiver.expect(3).await;
    let targets: Vec<_> = calls.iter().map(|call| call.target.as_str()).collect();
    assert_eq!(targets, ["/first", "/second", "/second"]);
    assert_eq!(calls[1].header("webhook-id"), calls[2].header("webhook-id"));
}

#[tokio::test]
async fn a_call_in_flight_at_the_end_of_a_stop_is_sent_again() {
    let store = tempfile::tempdir().unwrap();
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let standin = serving(store.path(), "  delay: 0s\nshutdown: {drain: 0s}\n").await;
    order(&standin, &receiver.url()).await;
    receiver.expect(1).await;
    stop(standin).await;
    gate.open();
    let standin = serving(store.path(), "  delay: 0s\n").await;
    let calls = receiver.expect(3).await;
    assert_eq!(calls[0].text(), calls[1].text());
    standin.counts(2.0, "standin_callbacks_total", &[("outcome", "delivered")]).await;
}

#[tokio::test]
async fn what_follows_a_call_that_ends_while_it_stops_is_kept() {
    let store = tempfile::tempdir().unwrap();
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let mut standin = serving(store.path(), "  delay: 0s\n").await;
    order(&standin, &receiver.url()).await;
    receiver.expect(1).await;
    standin.signal("TERM");
    standin.logs(0, &["stopping"]).await;
    gate.open();
    assert_eq!(standin.wait_exit(SOON).await, 0);
    let _standin = serving(store.path(), "  delay: 0s\n").await;
    let calls = receiver.expect(2).await;
    let targets: Vec<_> = calls.iter().map(|call| call.target.as_str()).collect();
    assert_eq!(targets, ["/first", "/second"]);
}

#[tokio::test]
async fn a_call_that_is_sent_once_more_by_hand_outlives_the_process_too() {
    let store = tempfile::tempdir().unwrap();
    let receiver = Receiver::answering(|_| Reply::new(400, "")).await;
    let standin = serving(store.path(), "  delay: 0s\n").await;
    order(&standin, &receiver.url()).await;
    let calls = receiver.expect(2).await;
    standin.calls_done(2).await;
    let id = calls[0].header("webhook-id").unwrap().to_owned();
    standin.admin(post("/api/callbacks/pause", "")).await;
    assert_eq!(standin.admin(post(&format!("/api/callbacks/{id}/retry"), "")).await.status, 200);
    stop(standin).await;
    let standin = serving(store.path(), "  delay: 0s\n").await;
    let again = receiver.expect(3).await[2].clone();
    assert_eq!((again.text(), again.header("webhook-id")), (calls[0].text(), Some(&*id)));
    let shown = standin.calls_done(1).await;
    assert_eq!((shown.len(), shown[0]["attempts"].as_array().unwrap().len()), (1, 2));
}

#[tokio::test]
async fn a_file_that_is_none_is_set_aside() {
    let store = tempfile::tempdir().unwrap();
    std::fs::write(store.path().join("callbacks.redb"), "not a database").unwrap();
    let standin = serving(store.path(), "  delay: 1m\n").await;
    standin.logs(0, &["was set aside", "callbacks.redb.broken-"]).await;
    order(&standin, "http://127.0.0.1:1").await;
    stop(standin).await;
    let standin = serving(store.path(), "").await;
    standin.calls_that(2, "waiting").await;
    let names = std::fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let aside = names.filter(|name| name.to_string_lossy().starts_with("callbacks.redb.broken-"));
    let aside: Vec<_> = aside.collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(std::fs::read(store.path().join(&aside[0])).unwrap(), b"not a database");
}

#[tokio::test]
async fn what_waits_is_kept_again_if_the_folder_goes() {
    let store = tempfile::tempdir().unwrap();
    let folder = store.path().join("callbacks");
    let receiver = Receiver::answering(|call| match call.target.as_str() {
        "/first" => Reply::new(503, ""),
        _ => Reply::new(200, ""),
    })
    .await;
    // One waits for its first attempt, one for its second, and one is done but for what follows.
    let config = "  delay: {min: 0s, max: 1ms}\n  retry: [1h]\n  order: started\n";
    let standin = serving(&folder, config).await;
    order(&standin, &receiver.url()).await;
    let begun = Instant::now();
    receiver.expect(2).await;
    standin.calls_done(1).await;
    let shown = standin.calls_that(1, "waiting").await;
    let waits = shown.iter().find(|call| call["state"] == "waiting").unwrap()["id"].clone();
    std::fs::remove_dir_all(&folder).unwrap();
    order(&standin, "http://127.0.0.1:1").await;
    standin.logs(0, &["callbacks that wait are kept anew"]).await;
    // What was told before is on the disk when this is answered.
    order(&standin, "ftp://nowhere").await;
    kill(standin).await;

    let age = begun.elapsed().as_secs_f64();
    let standin = serving(&folder, config).await;
    let kept = standin.calls_that(3, "waiting").await;
    let tried = kept.iter().find(|call| call["id"] == waits);
    assert_eq!(tried.map(|call| &call["attempts"][0]["code"]), Some(&503.into()), "{kept:?}");
    // Its age is not that of the process.
    let oldest = standin.metrics().await.value("standin_callback_oldest_seconds", &[]);
    assert!(oldest >= age, "{oldest} {age}");
    assert_eq!(receiver.calls().len(), 2);
}

#[tokio::test]
async fn a_folder_is_of_one_process() {
    let store = tempfile::tempdir().unwrap();
    let _standin = serving(store.path(), "").await;
    let config = format!("callbacks: {{store: {}}}\n", store.path().display());
    let second = Standin::with().paths(PATHS).config(&config).exits().await;
    second.is(1).says(&["SI0023", "callbacks.store", "another process uses it", "a folder of its own"]);
}

/// Whatever was answered is sent at least once, and every start is clean. `KILLS` says how often.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_lost_by_crashes() {
    let kills: usize = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let store = tempfile::tempdir().unwrap();
    // One in four is answered too late, as its first attempts are.
    let asked = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_| {
        let status = if asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(4) { 503 } else { 200 };
        Reply::new(status, "")
    })
    .await;
    let config = "  delay: 5ms\n  retry: [20ms, 20ms, 20ms, 20ms, 20ms, 20ms, 20ms, 20ms]\n  per_host: 32\n";
    let mut answered = Vec::new();
    let mut number = 0;
    for round in 0..kills {
        let standin = serving(store.path(), config).await;
        let data = standin.data;
        let clients = (0..8).map(|client| {
            let (cb, first) = (receiver.url(), number + client * 10_000);
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for nth in first..first + 10_000 {
                    let request = post(&format!("/orders?cb={cb}/{nth}"), r#"{"name": "Ann"}"#);
                    match request.try_to(data).await {
                        Ok(response) if response.status == 201 => answered.push(nth),
                        _ => break,
                    }
                }
                answered
            })
        });
        let clients: Vec<_> = clients.collect();
        number += 80_000;
        // At a point that is another in each round.
        let until = receiver.calls().len() + 1 + round * 13 % 97;
        eventually(LONG, "calls arrive", async || (receiver.calls().len() > until).then_some(())).await;
        kill(standin).await;
        for client in clients {
            answered.extend(client.await.unwrap());
        }
    }
    let standin = serving(store.path(), config).await;
    eventually(LONG, "all are done", async || {
        let metrics = standin.metrics().await;
        let left = metrics.value("standin_callbacks_pending", &[])
            + metrics.value("standin_callbacks_in_flight", &[]);
        (left == 0.0).then_some(())
    })
    .await;
    let mut ids: HashMap<String, HashSet<(String, String)>> = HashMap::new();
    for call in receiver.calls() {
        let id = call.header("webhook-id").unwrap().to_owned();
        ids.entry(call.target.clone()).or_default().insert((id, call.text()));
    }
    assert!(answered.len() > kills, "{}", answered.len());
    let lost: Vec<_> = answered
        .iter()
        .flat_map(|nth| [format!("/{nth}/first"), format!("/{nth}/second")])
        .filter(|target| !ids.contains_key(target))
        .collect();
    assert_eq!(lost, Vec::<String>::new());
    // Whenever it is sent, it is the same.
    let changed: Vec<_> = ids.iter().filter(|(_, sent)| sent.len() > 1).collect();
    assert!(changed.is_empty(), "{changed:?}");
}
