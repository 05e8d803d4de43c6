//! Section 5: which callbacks an answer sends, when, where to and with what.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::*;

/// `POST /orders/{id}` answers 201 `{"id": "o-1"}`; `callbacks` are indented under its key.
fn orders(callbacks: &str) -> String {
    let mut paths = dedent(
        "
        /orders/{id}:
          post:
            operationId: placeOrder
            responses:
              '201':
                description: ok
                headers: {X-Order: {schema: {type: string}, example: h-1}}
                content: {application/json: {example: {id: o-1, list: [l-0, l-1]}}}
            callbacks:
        ",
    );
    for line in dedent(callbacks).lines() {
        paths += &format!("      {line}\n");
    }
    paths
}

/// A callback of one method without names of its own; `more` are further keys of its operation.
fn callback(name: &str, url: &str, body: &str, more: &str) -> String {
    let url = url.replace('\'', "''");
    format!(
        "{name}: {{'{url}': {{post: {{{more}requestBody: {{content: {{application/json: {{example: {body}}}}}}}, \
         responses: {{'200': {{description: ok}}}}}}}}}}\n"
    )
}

/// To the address in the query, at a path of its own.
fn to_query(name: &str, more: &str) -> String {
    callback(name, &format!("{{$request.query.cb}}/{name}"), &format!("{{name: {name}}}"), more)
}

async fn serving(paths: &str, config: &str) -> Standin {
    Standin::with().paths(paths).config(config).start().await
}

/// Places an order whose callbacks go to this base.
async fn order(standin: &Standin, cb: &str) {
    let response = standin.send(post(&format!("/orders/7?cb={cb}"), "{}")).await;
    assert_eq!(response.status, 201, "{}", response.text());
}

fn targets(calls: &[std::sync::Arc<Received>]) -> Vec<&str> {
    calls.iter().map(|call| call.target.as_str()).collect()
}

/// The outcomes of one operation's calls by the callback's name, sorted.
async fn outcomes(standin: &Standin, count: usize) -> Vec<(String, String)> {
    let field = |call: &Value, name: &str| call[name].as_str().unwrap_or_default().to_owned();
    let calls = standin.calls_done(count).await;
    let mut found: Vec<_> =
        calls.iter().map(|call| (field(call, "callback"), field(call, "outcome"))).collect();
    found.sort();
    found
}

// Order and pace.

#[tokio::test]
async fn a_chain_goes_by_order_then_by_place() {
    let callbacks = [
        to_query("late", "x-microcks-callback: {order: 30}, "),
        to_query("early", "x-microcks-callback: {order: -5}, "),
        to_query("same-a", "x-microcks-callback: {order: 7}, "),
        to_query("same-b", "x-microcks-callback: {order: 7}, "),
    ];
    let standin = serving(&orders(&callbacks.concat()), FAST).await;
    let receiver = Receiver::start().await;
    order(&standin, &receiver.url()).await;
    let calls = receiver.expect(4).await;
    assert_eq!(targets(&calls), ["/early", "/same-a", "/same-b", "/late"]);
    assert_eq!(calls[0].json(), json!({"name": "early"}));
}

#[tokio::test]
async fn the_documents_delay_beats_the_configs() {
    let callbacks = [
        to_query("number", "x-microcks-callback: {order: 1, delay: 50}, "),
        to_query("duration", "x-standin-callback: {order: 2, delay: 500ms}, "),
        to_query(
            "both",
            "x-microcks-callback: {order: 9, delay: 60000}, x-standin-callback: {order: 3, delay: 50ms}, ",
        ),
    ];
    let standin = serving(&orders(&callbacks.concat()), "callbacks: {delay: 1m}\n").await;
    let receiver = Receiver::start().await;
    let asked = Instant::now();
    order(&standin, &receiver.url()).await;
    let calls = receiver.expect(3).await;
    assert_eq!(targets(&calls), ["/number", "/duration", "/both"]);
    assert!(calls[0].at - asked >= Duration::from_millis(50));
    let gap = calls[1].at - calls[0].at;
    assert!(gap >= Duration::from_millis(490), "{gap:?}");
}

#[tokio::test]
async fn the_next_waits_until_the_one_before_has_finished() {
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let standin = serving(&orders(&[to_query("a", ""), to_query("b", "")].concat()), FAST).await;
    order(&standin, &receiver.url()).await;
    receiver.expect(1).await;
    holds_for(Duration::from_millis(500), "b waits for a", || receiver.calls().len() == 1).await;
    gate.open();
    assert_eq!(targets(&receiver.expect(2).await), ["/a", "/b"]);
}

#[tokio::test]
async fn by_started_the_next_goes_out_after_the_one_before_was_sent() {
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let config = "callbacks: {delay: 50ms, order: started}\n";
    let standin = serving(&orders(&[to_query("a", ""), to_query("b", "")].concat()), config).await;
    order(&standin, &receiver.url()).await;
    assert_eq!(targets(&receiver.expect(2).await), ["/a", "/b"]);
    gate.open();
}

#[tokio::test]
async fn chains_are_independent_and_a_dead_receiver_delays_no_other() {
    let gate = Gate::closed();
    let held = gate.clone();
    let dead = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let alive = Receiver::start().await;
    let standin = serving(&orders(&to_query("a", "")), FAST).await;
    for _ in 0..10 {
        order(&standin, &dead.url()).await;
    }
    order(&standin, &alive.url()).await;
    alive.expect_within(Duration::from_secs(3), 1).await;
    assert!(dead.calls().len() <= 4, "{} at once to one host, per_host is 4", dead.calls().len());
    gate.open();
    dead.expect(10).await;
}

#[tokio::test]
async fn the_first_is_not_sent_before_its_delay_and_the_answer_does_not_wait() {
    let standin = serving(&orders(&to_query("a", "")), "callbacks: {delay: 700ms}\n").await;
    let receiver = Receiver::start().await;
    let asked = Instant::now();
    order(&standin, &receiver.url()).await;
    let answered = Instant::now();
    assert!(answered - asked < Duration::from_millis(600), "the answer waited: {:?}", answered - asked);
    let calls = receiver.expect(1).await;
    assert!(calls[0].at - asked >= Duration::from_millis(690));
}

// Where to: runtime expressions.

#[tokio::test]
async fn every_expression_finds_its_value() {
    let receiver = Receiver::start().await;
    let literal = format!("{}/literal", receiver.url());
    let to_port = format!("http://127.0.0.1:{}/d", receiver.port());
    let expressions = [
        ("{$request.body#/url}", "/hook"),
        ("$request.body#/url", "/hook"),
        ("{$request.query.cb}", "/hook"),
        ("$request.query.cb", "/hook"),
        ("{$request.header.x-callback}", "/hook"),
        ("{$request.header.X-CallBack}", "/hook"),
        ("{$request.body#/deep/list/1}", "/hook"),
        ("{$request.body#/deep/a~1b}", "/hook"),
        ("{$request.body#/deep/m~0n}", "/hook"),
        ("{$request.query.dotted.name}", "/hook"),
        ("{$request.header.x.dotted}", "/hook"),
        ("{$request.body#/url}/data", "/hook/data"),
        ("{$request.query.cb}/{$request.path.id}", "/hook/7"),
        ("{$request.query.cb}?m={$method}&s={$statusCode}", "/hook?m=POST&s=201"),
        ("{$request.query.cb}/{$response.body#/id}", "/hook/o-1"),
        ("{$request.query.cb}/{$response.body#/list/1}", "/hook/l-1"),
        ("{$request.query.cb}/{$response.header.x-order}", "/hook/h-1"),
        ("{$request.query.cb}/{$request.query.odd}", "/hook/a%20b%2Fc%3Fd%3D%C3%A9"),
        ("{$request.query.cb}/{$request.body#/n}/{$request.body#/t}", "/hook/42/true"),
        ("{$request.query.cb}/{$request.query.templated}", "/hook/%7B%7B%20uuid%28%29%20%7D%7D"),
        (literal.as_str(), "/literal"),
        ("TO/{$request.path.id}/{$request.query.odd}", "/d/7/a%20b%2Fc%3Fd%3D%C3%A9"),
        ("TO/{{ request.path[1] }}", "/d/7"),
    ];
    let mut callbacks = String::new();
    for (number, (url, _)) in expressions.iter().enumerate() {
        let url = url.replace("TO", &to_port);
        callbacks += &callback(&format!("c{number}"), &url, &format!("{{number: {number}}}"), "");
    }
    let standin = serving(&orders(&callbacks), "callbacks: {delay: 1ms}\n").await;
    let hook = format!("{}/hook", receiver.url());
    let body = json!({
        "url": hook, "n": 42, "t": true,
        "deep": {"list": ["x", hook], "a/b": hook, "m~n": hook},
    });
    let odd = "a%20b%2Fc%3Fd%3D%C3%A9";
    let target =
        format!("/orders/7?cb={hook}&odd={odd}&dotted.name={hook}&templated=%7B%7B%20uuid()%20%7D%7D");
    let request = post(&target, &body.to_string()).header("X-Callback", &hook).header("X.Dotted", &hook);
    assert_eq!(standin.send(request).await.status, 201);
    standin.calls_done(expressions.len()).await;
    let calls = receiver.calls();
    let mut wrong = Vec::new();
    for (number, (url, expected)) in expressions.iter().enumerate() {
        let call = calls.iter().find(|call| call.json()["number"] == number);
        let arrived = call.map(|call| call.target.as_str());
        // `(` and `)` may stay as they are in a component (RFC 3986 lists them as sub-delims).
        let same =
            arrived.is_some_and(|arrived| arrived.replace('(', "%28").replace(')', "%29") == *expected);
        if !same {
            wrong.push(format!("{url} went to {arrived:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_url_of_the_request_is_encoded_when_it_is_embedded() {
    let receiver = Receiver::start().await;
    let callbacks = callback("a", "{$request.query.cb}?from={$url}", "{}", "");
    let standin = serving(&orders(&callbacks), FAST).await;
    order(&standin, &receiver.url()).await;
    let calls = receiver.expect(1).await;
    let target = &calls[0].target;
    let expected =
        format!("/?from=http%3A%2F%2F127.0.0.1%3A{}%2Forders%2F7%3Fcb%3Dhttp", standin.data.port());
    assert!(target.starts_with(&expected), "{target} does not begin with {expected}");
}

#[tokio::test]
async fn a_text_body_is_an_expression_of_its_own() {
    let receiver = Receiver::start().await;
    let standin = serving(&orders(&callback("a", "{$request.body}", "{}", "")), FAST).await;
    let hook = format!("{}/text", receiver.url());
    let request = request("POST", "/orders/1").header("content-type", "text/plain").body(hook.into_bytes());
    assert_eq!(standin.send(request).await.status, 201);
    assert_eq!(targets(&receiver.expect(1).await), ["/text"]);
}

/// One callback per kind of nothing, and one at the end that must still come.
#[tokio::test]
async fn what_has_no_value_is_skipped_and_the_chain_goes_on() {
    let receiver = Receiver::start().await;
    let nothing = [
        "{$request.body#/missing}",
        "{$request.body#/empty}",
        "{$request.body#/array}",
        "{$request.body#/object}",
        "{$request.body#/null}",
        "{$request.query.missing}",
        "{$request.header.x-missing}",
        "{$request.query.cb}/{$request.query.missing}",
        "http://{$request.query.host}/x",
        "http://127.0.0.1:{$request.query.port}/x",
        "http://127.0.0.1{$request.query.port}/x",
    ];
    let mut callbacks = to_query("first", "");
    for (number, url) in nothing.iter().enumerate() {
        callbacks += &callback(&format!("n{number}"), url, "{}", "");
    }
    callbacks += &to_query("last", "");
    let standin = serving(&orders(&callbacks), "callbacks: {delay: 1ms}\n").await;
    let body = json!({"empty": "", "array": [receiver.url()], "object": {"a": 1}, "null": null});
    let target = format!("/orders/7?cb={}&host=127.0.0.1&port={}", receiver.url(), receiver.port());
    assert_eq!(standin.send(post(&target, &body.to_string())).await.status, 201);
    assert_eq!(targets(&receiver.expect(2).await), ["/first", "/last"]);
    let found = outcomes(&standin, nothing.len() + 2).await;
    for (name, outcome) in &found {
        let expected = if name.starts_with('n') { "unresolved" } else { "delivered" };
        assert_eq!(outcome, expected, "{name}: {:?}", name[1..].parse::<usize>().map(|n| nothing[n]));
    }
    let labels = [("operation", "placeOrder"), ("outcome", "unresolved")];
    standin.counts(nothing.len() as f64, "standin_callbacks_total", &labels).await;
    assert_eq!(receiver.calls().len(), 2);
}

// Where to: what is allowed.

#[tokio::test]
async fn a_forbidden_target_is_blocked_and_the_chain_goes_on() {
    let receiver = Receiver::start().await;
    let callbacks = [
        callback("bad", "{$request.body#/bad}", "{}", ""),
        callback("good", "{$request.body#/good}", "{}", ""),
    ];
    let standin = serving(&orders(&callbacks.concat()), "callbacks: {delay: 1ms, timeout: 2s}\n").await;
    let (own, admin, port) = (standin.data.port(), standin.admin_address().port(), receiver.port());
    let bad = [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://2852039166/".to_owned(),
        "http://0xa9.0xfe.0xa9.0xfe/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        "http://[64:ff9b::a9fe:a9fe]/".to_owned(),
        "http://[fe80::1]/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://100.100.100.200/".to_owned(),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::]:{port}/"),
        "http://224.0.0.1/".to_owned(),
        "http://255.255.255.255/".to_owned(),
        "http://192.0.2.1/".to_owned(),
        "http://198.18.0.1/".to_owned(),
        "http://240.0.0.1/".to_owned(),
        "http://10.1.2.3/".to_owned(),
        format!("http://127.0.0.1:{own}/orders/7"),
        format!("http://localhost:{own}/orders/7"),
        format!("http://127.0.0.1:{admin}/api/reload"),
        format!("http://user:secret@127.0.0.1:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        format!("http:\\\\127.0.0.1:{port}\\x"),
    ];
    for (number, bad) in bad.iter().enumerate() {
        let good = format!("{}/{number}", receiver.url());
        let body = json!({"bad": bad, "good": good});
        let response = standin.send(post("/orders/7", &body.to_string())).await;
        assert_eq!(response.status, 201, "{bad}: the answer is unaffected");
        let calls = receiver.expect(number + 1).await;
        assert_eq!(targets(&calls).last(), Some(&format!("/{number}").as_str()), "{bad}");
    }
    let calls = standin.calls_done(bad.len() * 2).await;
    for call in calls.iter().filter(|call| call["callback"] == "bad") {
        assert_eq!(call["outcome"], "blocked", "{call}");
    }
    let labels = [("callback", "bad"), ("outcome", "blocked")];
    standin.counts(bad.len() as f64, "standin_callbacks_total", &labels).await;
    standin.logs(0, &["169.254.169.254"]).await;
}

#[tokio::test]
async fn an_allowed_address_is_allowed_in_every_notation() {
    let receiver = Receiver::start().await;
    let standin = serving(&orders(&to_query("a", "")), FAST).await;
    let port = receiver.port();
    let notations = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost"];
    for (number, host) in notations.iter().enumerate() {
        order(&standin, &format!("http://{host}:{port}")).await;
        receiver.expect(number + 1).await;
    }
}

#[tokio::test]
async fn the_allow_list_decides_and_the_log_says_how_to_allow() {
    let cases = [
        ("[]", "blocked"),
        ("[public]", "blocked"),
        ("[10.0.0.0/8]", "blocked"),
        ("[peer]", "delivered"),
        ("[private]", "delivered"),
        ("[127.0.0.0/8]", "delivered"),
    ];
    for (allow, expected) in cases {
        let receiver = Receiver::start().await;
        let config = format!("callbacks: {{delay: 1ms, allow: {allow}}}\n");
        let standin = serving(&orders(&to_query("a", "")), &config).await;
        order(&standin, &receiver.url()).await;
        let found = outcomes(&standin, 1).await;
        assert_eq!(found, [("a".to_owned(), expected.to_owned())], "allow: {allow}");
        assert_eq!(receiver.calls().len(), usize::from(expected == "delivered"), "allow: {allow}");
        if expected == "blocked" {
            standin.logs(0, &["allow"]).await;
        }
    }
}

#[tokio::test]
async fn deny_beats_allow() {
    let receiver = Receiver::start().await;
    let config = "callbacks: {delay: 1ms, allow: [peer, private], deny: [127.0.0.0/8]}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    order(&standin, &receiver.url()).await;
    assert_eq!(outcomes(&standin, 1).await, [("a".to_owned(), "blocked".to_owned())]);
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_not_used() {
    let receiver = Receiver::start().await;
    let closed = ClosedPort::new();
    let proxy = closed.url();
    let standin = Standin::with()
        .paths(&orders(&to_query("a", "")))
        .config(FAST)
        .env("HTTP_PROXY", &proxy)
        .env("http_proxy", &proxy)
        .env("ALL_PROXY", &proxy)
        .start()
        .await;
    order(&standin, &receiver.url()).await;
    receiver.expect(1).await;
}

#[tokio::test]
async fn a_relative_url_goes_to_the_base_url() {
    let receiver = Receiver::start().await;
    let config = format!("callbacks: {{delay: 1ms, base_url: '{}'}}\n", receiver.url());
    let standin = serving(&orders(&callback("a", "/relative/{$request.path.id}", "{}", "")), &config).await;
    assert_eq!(standin.send(post("/orders/7", "{}")).await.status, 201);
    assert_eq!(targets(&receiver.expect(1).await), ["/relative/7"]);
}

// What becomes of them.

#[tokio::test]
async fn a_receiver_that_fails_does_not_stop_the_chain() {
    let failing = Receiver::answering(|_| Reply::new(500, "no")).await;
    let moved_to = Receiver::start().await;
    let elsewhere = moved_to.url();
    let moving = Receiver::answering(move |_| Reply::new(302, "").header("location", &elsewhere)).await;
    let receiver = Receiver::start().await;
    let closed = ClosedPort::new();
    let callbacks = [
        callback("a-failing", "{$request.body#/failing}", "{}", ""),
        callback("b-refusing", "{$request.body#/refusing}", "{}", ""),
        callback("c-moving", "{$request.body#/moving}", "{}", ""),
        callback("d-fine", "{$request.body#/fine}", "{}", ""),
    ];
    let config = "callbacks: {delay: 20ms, retry: []}\n";
    let standin = serving(&orders(&callbacks.concat()), config).await;
    let body = json!({
        "failing": failing.url(), "refusing": closed.url(), "moving": moving.url(), "fine": receiver.url(),
    });
    assert_eq!(standin.send(post("/orders/7", &body.to_string())).await.status, 201);
    receiver.expect(1).await;
    let found = outcomes(&standin, 4).await;
    let found: Vec<_> = found.iter().map(|(name, outcome)| (name.as_str(), outcome.as_str())).collect();
    let expected =
        [("a-failing", "failed"), ("b-refusing", "failed"), ("c-moving", "failed"), ("d-fine", "delivered")];
    assert_eq!(found, expected);
    assert!(moved_to.calls().is_empty(), "a redirect was followed");
    assert_eq!((failing.calls().len(), moving.calls().len()), (1, 1), "one attempt each");
    let metrics = standin.metrics().await;
    let attempts = |callback: &str, code: &str| {
        let labels = [("operation", "placeOrder"), ("callback", callback), ("code", code)];
        metrics.value("standin_callback_attempts_total", &labels)
    };
    assert_eq!(attempts("a-failing", "500"), 1.0);
    assert_eq!(attempts("b-refusing", "connect"), 1.0);
    assert_eq!(attempts("c-moving", "302"), 1.0);
    assert_eq!(attempts("d-fine", "200"), 1.0);
    let outcome = |name: &str| metrics.value("standin_callbacks_total", &[("outcome", name)]);
    assert_eq!((outcome("delivered"), outcome("failed")), (1.0, 3.0));
    assert_eq!(metrics.value("standin_callbacks_pending", &[]), 0.0);
    assert_eq!(metrics.value("standin_callbacks_in_flight", &[]), 0.0);
}

#[tokio::test]
async fn a_receiver_that_never_answers_times_out() {
    let gate = Gate::closed();
    let held = gate.clone();
    let silent = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let config = "callbacks: {delay: 1ms, timeout: 200ms, retry: []}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    order(&standin, &silent.url()).await;
    assert_eq!(outcomes(&standin, 1).await, [("a".to_owned(), "failed".to_owned())]);
    standin.counts(1.0, "standin_callback_attempts_total", &[("code", "timeout")]).await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again_with_the_same_bytes_and_name() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let receiver = Receiver::answering(move |_| {
        Reply::new(if first.swap(false, std::sync::atomic::Ordering::SeqCst) { 503 } else { 200 }, "")
    })
    .await;
    let callbacks = callback("a", "{$request.query.cb}", "{at: '{{ now() }}', id: '{{ uuid() }}'}", "");
    let config = "callbacks: {delay: 1ms, retry: [30ms], secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}\n";
    let standin = serving(&orders(&callbacks), config).await;
    order(&standin, &receiver.url()).await;
    let calls = receiver.expect(2).await;
    assert!(calls[1].at - calls[0].at >= Duration::from_millis(30));
    assert_eq!(calls[0].text(), calls[1].text());
    for name in ["webhook-id", "content-type"] {
        assert_eq!(calls[0].header(name), calls[1].header(name), "{name}");
    }
    assert!(calls[1].header("webhook-signature").expect("it is signed").starts_with("v1,"));
    assert_ne!(calls[0].header("traceparent"), calls[1].header("traceparent"));
    assert_eq!(outcomes(&standin, 1).await, [("a".to_owned(), "delivered".to_owned())]);
    let done = &standin.calls_done(1).await[0];
    let codes: Vec<_> =
        done["attempts"].as_array().expect("attempts").iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, [503, 200]);
    assert_eq!(done["id"].as_str(), calls[0].header("webhook-id"));
}

/// Each goes to its own client's host.
#[tokio::test]
async fn a_dead_client_delays_no_other_whose_url_is_relative() {
    let gate = Gate::closed();
    let held = gate.clone();
    let hole = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let healthy = Receiver::start().await;
    let config = "callbacks: {delay: 1ms, timeout: 1h, per_host: 1}\n";
    let relative = "/relative?back=http://elsewhere";
    let standin = serving(&orders(&callback("a", relative, "{}", "")), config).await;
    for receiver in [&hole, &hole, &healthy] {
        let host = receiver.url().split_off("http://".len());
        let request = post("/orders/7", "{}").header("host", &host);
        assert_eq!(standin.send(request).await.status, 201);
    }
    assert_eq!(targets(&healthy.expect(1).await), [relative]);
    assert_eq!(hole.calls().len(), 1);
    gate.open();
}

/// With the default bounds: it has its four places, and the others have theirs.
#[tokio::test]
async fn a_black_hole_delays_nobody_else() {
    let gate = Gate::closed();
    let held = gate.clone();
    let hole = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    // Nobody takes its connections: the system keeps one, and answers no further SYN.
    let deaf = tokio::net::TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = deaf.listen(0).unwrap();
    let deaf = format!("http://{}", listener.local_addr().unwrap());
    let healthy = Receiver::start().await;
    let config = "callbacks: {delay: 300ms, timeout: 1h}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    let mut asked = Vec::new();
    for round in 0..200 {
        order(&standin, if round % 2 == 0 { &deaf } else { "http://127.0.0.1:1" }).await;
        order(&standin, &hole.url()).await;
        if round % 4 == 0 {
            order(&standin, &format!("{}/{round}", healthy.url())).await;
            asked.push((format!("/{round}/a"), Instant::now()));
        }
    }
    let calls = healthy.expect(asked.len()).await;
    for (target, asked) in asked {
        let call = calls.iter().find(|call| call.target == target).unwrap();
        let took = call.at - asked;
        assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(5), "{target}: {took:?}");
    }
    assert_eq!(hole.calls().len(), 4, "`per_host`");
    gate.open();
}

/// More of them than there are places: those that answer keep a quarter.
#[tokio::test]
async fn many_black_holes_delay_nobody_who_answers() {
    let gate = Gate::closed();
    let mut holes = Vec::new();
    for _ in 0..12 {
        let held = gate.clone();
        holes.push(Receiver::answering(move |_| Reply::new(200, "").after(&held)).await);
    }
    let healthy = Receiver::start().await;
    let config = "callbacks: {delay: 0s, timeout: 1h, concurrency: 8, per_host: 2}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    order(&standin, &healthy.url()).await;
    standin.counts(1.0, "standin_callbacks_total", &[("outcome", "delivered")]).await;
    for hole in &holes {
        order(&standin, &hole.url()).await;
    }
    for _ in 0..20 {
        order(&standin, &healthy.url()).await;
    }
    healthy.expect(21).await;
    let held: usize = holes.iter().map(|hole| hole.calls().len()).sum();
    assert!(held <= 6, "{held}");
    gate.open();
}

#[tokio::test]
async fn a_receivers_answer_that_is_not_as_the_document_says_is_told() {
    let answers = "responses: {'200': {description: ok, headers: {X-Ok: {required: true, schema: {type: integer}}}, \
         content: {application/json: {schema: {type: object, required: [ok], properties: {ok: {type: boolean}}}}}}, \
         '204': {description: nothing}}";
    let callbacks: String = ["right", "wrong", "text", "empty", "other"]
        .map(|name| format!("{name}: {{'{{$request.query.cb}}/{name}': {{post: {{{answers}}}}}}}\n"))
        .concat();
    let head = format!("head: {{'{{$request.query.cb}}/head': {{head: {{{answers}}}}}}}\n");
    let receiver = Receiver::answering(|call| {
        let json = |body: &str| Reply::new(200, body).header("content-type", "application/json");
        match call.target.as_str() {
            "/head" => json("").header("x-ok", "1"),
            "/right" => json(r#"{"ok": true}"#).header("x-ok", "1"),
            "/wrong" => json(r#"{"ok": 1}"#).header("x-ok", "one"),
            "/text" => Reply::new(200, "ok").header("content-type", "text/plain").header("x-ok", "1"),
            "/empty" => Reply::new(204, ""),
            _ => Reply::new(202, "{}").header("content-type", "application/json"),
        }
    })
    .await;
    let standin = serving(&orders(&(callbacks + &head)), FAST).await;
    order(&standin, &receiver.url()).await;
    let calls = standin.calls_done(6).await;
    let told = |name: &str| {
        let call = calls.iter().find(|call| call["callback"] == name).unwrap();
        assert_eq!(call["outcome"], "delivered", "{call}");
        assert_eq!(call["attempts"][0]["violated"] == true, call["violations"].is_array());
        let all = call["violations"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| format!("{} {}", one["in"], one["path"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(told("right"), Vec::<String>::new());
    assert_eq!(told("wrong"), ["header X-Ok", "body /ok"]);
    assert_eq!(told("text"), ["content-type "]);
    assert_eq!(told("empty"), Vec::<String>::new());
    assert_eq!(told("head"), Vec::<String>::new());
    // That is `undocumented`.
    assert_eq!(told("other"), Vec::<String>::new());
    for (kind, count) in [("header", 1.0), ("body", 1.0), ("content-type", 1.0)] {
        let labels = [("operation", "placeOrder"), ("side", "callback"), ("kind", kind)];
        standin.counts(count, "standin_violations_total", &labels).await;
    }
}

#[tokio::test]
async fn each_attempt_says_whether_its_answer_was_as_the_document_says() {
    let content = "content: {application/json: {schema: {type: object, required: [why]}}}";
    let answers =
        format!("responses: {{'503': {{description: later, {content}}}, '204': {{description: done}}}}");
    let callbacks = format!("a: {{'{{$request.query.cb}}/a': {{post: {{{answers}}}}}}}\n");
    let asked = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_| {
        let json = |body: &str| Reply::new(503, body).header("content-type", "application/json");
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => json("{}"),
            1 => json(r#"{"why": "busy"}"#),
            _ => Reply::new(204, ""),
        }
    })
    .await;
    let config = "callbacks: {delay: 20ms, retry: [20ms, 20ms]}\n";
    let standin = serving(&orders(&callbacks), config).await;
    order(&standin, &receiver.url()).await;
    let call = standin.calls_done(1).await.remove(0);
    let violated: Vec<_> =
        call["attempts"].as_array().unwrap().iter().map(|attempt| attempt["violated"].clone()).collect();
    assert_eq!(violated, [json!(true), Value::Null, Value::Null], "{call}");
    // They are of the last answer.
    assert_eq!(call["violations"], Value::Null, "{call}");
    standin.counts(1.0, "standin_violations_total", &[("side", "callback")]).await;
}

#[tokio::test]
async fn a_status_that_the_document_does_not_list_is_told() {
    let receiver = Receiver::answering(|_| Reply::new(202, "")).await;
    let callbacks = [
        to_query("a", ""),
        "b: {'{$request.query.cb}/b': {post: {responses: {2XX: {description: ok}}}}}\n".to_owned(),
        "c: {'{$request.query.cb}/c': {post: {}}}\n".to_owned(),
    ];
    let standin = serving(&orders(&callbacks.concat()), FAST).await;
    order(&standin, &receiver.url()).await;
    let done = standin.calls_done(3).await;
    let told = |name: &str| {
        let call = done.iter().find(|call| call["callback"] == name).expect("it was sent");
        (call["outcome"].clone(), call["attempts"][0]["undocumented"].clone())
    };
    assert_eq!(told("a"), (json!("delivered"), json!(true)));
    assert_eq!(told("b"), (json!("delivered"), Value::Null));
    assert_eq!(told("c"), (json!("delivered"), Value::Null));
    let metrics = standin.metrics().await;
    let labels = [("operation", "placeOrder"), ("callback", "a"), ("code", "202")];
    assert_eq!(metrics.value("standin_callbacks_undocumented_total", &labels), 1.0);
    assert_eq!(metrics.value("standin_callbacks_undocumented_total", &[]), 1.0);
}

#[tokio::test]
async fn a_document_may_have_its_own_schedule() {
    let receiver = Receiver::answering(|_| Reply::new(500, "")).await;
    let callbacks = [
        to_query("a", "x-standin-callback: {retry: []}, "),
        to_query("b", "x-standin-callback: {retry: [1ms, 1ms]}, "),
    ];
    let standin = serving(&orders(&callbacks.concat()), "callbacks: {delay: 1ms}\n").await;
    order(&standin, &receiver.url()).await;
    standin.calls_done(2).await;
    assert_eq!(targets(&receiver.calls()), ["/a", "/b", "/b", "/b"]);
}

#[tokio::test]
async fn secrets_of_a_file_are_read_again_when_it_changes() {
    let receiver = Receiver::start().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
    let standin = Standin::with()
        .paths(&orders(&to_query("a", "")))
        .config("callbacks: {delay: 1ms, secret_file: secrets}\nreload: {poll: 100ms}\n")
        .file("secrets", secret)
        .start()
        .await;
    order(&standin, &receiver.url()).await;
    let signatures =
        |call: &Received| call.header("webhook-signature").map_or(0, |all| all.split(' ').count());
    assert_eq!(signatures(&receiver.expect(1).await[0]), 1);
    let version = standin.metrics().await.value("standin_reloads_total", &[("result", "success")]);
    standin.folder.replace("secrets", &secret.repeat(2));
    standin.counts(version + 1.0, "standin_reloads_total", &[("result", "success")]).await;
    order(&standin, &receiver.url()).await;
    assert_eq!(signatures(&receiver.expect(2).await[1]), 2);
    // What is broken changes nothing.
    standin.folder.replace("secrets", "whsec_short\n");
    standin.counts(1.0, "standin_reloads_total", &[("result", "failure")]).await;
    order(&standin, &receiver.url()).await;
    assert_eq!(signatures(&receiver.expect(3).await[2]), 2);
}

#[tokio::test]
async fn a_secret_file_that_can_t_be_used_stops_the_start_and_no_secret_is_told() {
    let exit = Standin::with()
        .paths(&orders(&to_query("a", "")))
        .config("callbacks: {secret_file: secrets}\n")
        .file("secrets", "hunter2\n")
        .exits()
        .await;
    exit.is(1).says(&["SI0021", "callbacks.secret_file", "whsec_"]);
    assert!(!exit.stderr.contains("hunter2"));
}

#[tokio::test]
async fn refusals_are_final() {
    let receiver = Receiver::answering(|_| Reply::new(410, "")).await;
    let standin = serving(&orders(&to_query("a", "")), "callbacks: {delay: 1ms, retry: [1ms, 1ms]}\n").await;
    order(&standin, &receiver.url()).await;
    assert_eq!(outcomes(&standin, 1).await, [("a".to_owned(), "failed".to_owned())]);
    assert_eq!(receiver.calls().len(), 1);
}

#[tokio::test]
async fn the_trace_of_the_client_goes_on_and_nothing_else_of_it() {
    let receiver = Receiver::start().await;
    let standin = serving(&orders(&to_query("a", "")), FAST).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = post(&format!("/orders/7?cb={}", receiver.url()), "{}")
        .header("traceparent", trace)
        .header("tracestate", "a=b")
        .header("cookie", "secret=1")
        .header("cdn-loop", "other.example");
    standin.send(request).await;
    let calls = receiver.expect(1).await;
    let sent = calls[0].header("traceparent").expect("a trace");
    assert!(sent.starts_with(&trace[..36]) && sent != trace, "{sent}");
    let hops = calls[0].header("cdn-loop").expect("its hops");
    assert!(hops.starts_with("other.example, standin-"), "{hops}");
    assert_eq!((calls[0].header("tracestate"), calls[0].header("cookie")), (None, None));
    // What comes back is known.
    let back = post("/orders/7", "{}").header("cdn-loop", hops);
    standin.send(back).await.is_problem(508, "loop");
}

#[tokio::test]
async fn an_upstream_that_leads_back_is_a_loop() {
    // It hands what it gets to where it came from.
    let back = std::sync::Arc::new(std::sync::OnceLock::<std::net::SocketAddr>::new());
    let to = back.clone();
    let upstream = RawUpstream::start(move |mut stream| {
        let to = *to.get().expect("Standin listens");
        async move {
            let mut own = tokio::net::TcpStream::connect(to).await.expect("a connection");
            tokio::io::copy_bidirectional(&mut stream, &mut own).await.ok();
        }
    })
    .await;
    let standin = Standin::with()
        .paths("/b: {get: {responses: {204: {description: d}}}}")
        .upstream(upstream.url())
        .start()
        .await;
    back.set(standin.data).expect("once");
    assert_eq!(standin.send(get("/a")).await.status, 508);
}

/// HTTP/2 where a receiver offers it, and only to whom the config's authorities vouch for.
#[tokio::test]
async fn receivers_over_tls_are_verified_and_may_speak_http_2() {
    let authority = Authority::new();
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let receiver =
            Upstream::speaking(Speaks::Tls(authority.server(protocols)), |_| Reply::new(204, "")).await;
        let config = "callbacks: {delay: 1ms, ca: ca.pem, retry: []}\n";
        let with = Standin::with().paths(&orders(&to_query("a", ""))).config(config);
        let standin = with.file("ca.pem", &authority.pem()).start().await;
        order(&standin, &receiver.url()).await;
        order(&standin, &receiver.url().replace("127.0.0.1", "localhost")).await;
        let delivered = |name: &str| (name.to_owned(), "delivered".to_owned());
        assert_eq!(outcomes(&standin, 2).await, [delivered("a"), delivered("a")], "{protocols:?}");
        let call = receiver.received()[0].clone();
        assert_eq!((call.target.as_str(), call.json()), ("/a", json!({"name": "a"})));

        let stranger = serving(&orders(&to_query("a", "")), "callbacks: {delay: 1ms, retry: []}\n").await;
        order(&stranger, &receiver.url()).await;
        let calls = stranger.calls_done(1).await;
        assert_eq!(calls[0]["attempts"][0]["code"], "tls", "{}", calls[0]);
        assert_eq!(receiver.received().len(), 2);
    }
}

#[tokio::test]
async fn calls_go_through_the_proxy_of_the_config() {
    let proxy = Receiver::start().await;
    let config = format!(
        "callbacks: {{delay: 1ms, proxy: '{}', allow: [public]}}\n",
        proxy.url().replace("http://", "http://me:pass@")
    );
    let standin = serving(&orders(&to_query("a", "")), &config).await;
    order(&standin, "http://receiver.example").await;
    let calls = proxy.expect(1).await;
    assert_eq!(calls[0].target, "http://receiver.example/a");
    assert_eq!(calls[0].header("proxy-authorization"), Some("Basic bWU6cGFzcw=="));
    // What can be known is still refused.
    for url in
        ["http://127.0.0.1:1", "http://localhost:1", "http://[::ffff:10.0.0.1]:1", "http://169.254.169.254"]
    {
        order(&standin, url).await;
    }
    let found = outcomes(&standin, 5).await;
    let blocked = found.iter().filter(|(_, outcome)| outcome == "blocked").count();
    assert_eq!((blocked, proxy.calls().len()), (4, 1));
}

/// A proxy that filters is not to be gone round, nor another one put in front of it, by a variable.
#[tokio::test]
async fn the_environment_does_not_change_the_proxy_of_the_config() {
    let (proxy, other, receiver) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let config = format!("callbacks: {{delay: 1ms, proxy: '{}', allow: [public, private]}}\n", proxy.url());
    let mut with = Standin::with().paths(&orders(&to_query("a", ""))).config(&config);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        with = with.env(name, &other.url());
    }
    let standin = with.env("NO_PROXY", "*").env("no_proxy", "*").start().await;
    order(&standin, &receiver.url()).await;
    // Over TLS it is asked for a tunnel; this one gives none.
    order(&standin, "https://receiver.example").await;
    let calls = proxy.expect(2).await;
    let mut asked: Vec<_> = calls.iter().map(|call| format!("{} {}", call.method, call.target)).collect();
    asked.sort();
    assert_eq!(asked, ["CONNECT receiver.example:443".to_owned(), format!("POST {}/a", receiver.url())]);
    assert_eq!((other.calls().len(), receiver.calls().len()), (0, 0));
}

#[tokio::test]
async fn what_is_refused_never_reaches_the_proxy() {
    let proxy = Receiver::start().await;
    let config = format!("callbacks: {{delay: 1ms, retry: [], proxy: '{}', allow: [public]}}\n", proxy.url());
    let standin = serving(&orders(&to_query("a", "")), &config).await;
    let refused = [
        "http://169.254.169.254",
        "http://2852039166",
        "https://169.254.169.254",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://[2002:a9fe:a9fe::1]",
        "http://[2002:808:808::5efe:10.0.0.1]",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://127.1",
        "http://localhost.",
        "http://metadata.google.internal",
        "http://metadata",
        "http://me@receiver.example",
        "ftp://receiver.example",
    ];
    for url in refused {
        order(&standin, url).await;
    }
    let found = outcomes(&standin, refused.len()).await;
    assert!(found.iter().all(|(_, outcome)| outcome == "blocked"), "{found:?}");
    assert!(proxy.calls().is_empty(), "{:?}", targets(&proxy.calls()));
}

#[tokio::test]
async fn a_denied_network_may_be_written_as_mapped() {
    let receiver = Receiver::start().await;
    let config = "callbacks: {delay: 1ms, retry: [], allow: [private], deny: ['::ffff:127.0.0.0/104']}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1"] {
        order(&standin, &format!("http://{host}:{}", receiver.port())).await;
    }
    let found = outcomes(&standin, 3).await;
    assert!(found.iter().all(|(_, outcome)| outcome == "blocked"), "{found:?}");
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn the_api_tells_of_every_call() {
    let receiver = Receiver::start().await;
    let callbacks = [
        to_query("soon", "x-microcks-callback: {order: 1, delay: 10}, "),
        to_query("later", "x-microcks-callback: {order: 2, delay: 600000}, "),
    ];
    let standin = serving(&orders(&callbacks.concat()), FAST).await;
    order(&standin, &receiver.url()).await;
    let calls = standin.calls_done(1).await;
    assert_eq!(calls.len(), 2);
    let of = |name: &str| calls.iter().find(|call| call["callback"] == name).expect("listed").clone();
    let (soon, later) = (of("soon"), of("later"));
    for call in [&soon, &later] {
        assert_eq!(call["operation"], "placeOrder");
        assert!(call["id"].is_string() && call["chain"].is_string(), "{call}");
        assert_eq!(call["chain"], soon["chain"]);
    }
    assert_ne!(soon["id"], later["id"]);
    assert_eq!(soon["url"], format!("{}/soon", receiver.url()));
    assert_eq!((&soon["state"], &soon["outcome"]), (&json!("done"), &json!("delivered")));
    assert_eq!((&later["state"], &later["outcome"]), (&json!("waiting"), &Value::Null));
    let attempts = soon["attempts"].as_array().expect("attempts");
    assert_eq!((attempts.len(), &attempts[0]["code"]), (1, &json!(200)), "{soon}");
    assert!(!attempts[0]["at"].is_null() && !attempts[0]["duration"].is_null(), "{soon}");
    let waiting = standin.admin(get("/api/callbacks?state=waiting")).await.json();
    let waiting = waiting["callbacks"].as_array().expect("callbacks").clone();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(waiting[0]["callback"], "later");
    standin.counts(1.0, "standin_callbacks_pending", &[]).await;
}

/// A change at the admin port.
async fn change(standin: &Standin, method: &str, path: &str) -> Response {
    standin.admin(request(method, path).header("content-type", "application/json")).await
}

#[tokio::test]
async fn a_call_that_is_done_is_shown_whole_and_can_be_sent_again() {
    let receiver =
        Receiver::answering(|_| Reply::new(418, "tea").header("set-cookie", "a=b").header("x-pot", "1"))
            .await;
    let standin = serving(&orders(&to_query("a", "")), FAST).await;
    order(&standin, &receiver.url()).await;
    let id = standin.calls_done(1).await[0]["id"].as_str().expect("an id").to_owned();
    let whole = standin.admin(get(&format!("/api/callbacks/{id}"))).await.json();
    assert_eq!(whole["request"]["method"], "POST");
    assert_eq!(whole["request"]["body"]["text"], "{\"name\":\"a\"}");
    assert_eq!(
        (&whole["response"]["status"], &whole["response"]["body"]["text"]),
        (&json!(418), &json!("tea"))
    );
    let headers = whole["response"]["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!({"name": "x-pot", "value": "1"})), "{headers:?}");
    assert!(headers.contains(&json!({"name": "set-cookie", "value": "[redacted]"})), "{headers:?}");

    let again = change(&standin, "POST", &format!("/api/callbacks/{id}/retry")).await;
    assert_eq!((again.status, &again.json()["id"]), (200, &json!(id)));
    let calls = receiver.expect(2).await;
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert_eq!(calls[0].text(), calls[1].text());
    let done = standin.calls_done(1).await;
    assert_eq!(done[0]["attempts"].as_array().map(Vec::len), Some(2), "{}", done[0]);
    assert_eq!(change(&standin, "DELETE", &format!("/api/callbacks/{id}")).await.status, 409);
    assert_eq!(change(&standin, "POST", "/api/callbacks/msg_none/retry").await.status, 404);
    assert_eq!(standin.admin(get("/api/callbacks/msg_none")).await.status, 404);
}

#[tokio::test]
async fn a_call_that_waits_can_be_given_up_and_one_behind_it_goes_on() {
    let receiver = Receiver::start().await;
    let callbacks = [to_query("a", "x-standin-callback: {delay: 1h}, "), to_query("b", "")];
    let standin = serving(&orders(&callbacks.concat()), FAST).await;
    order(&standin, &receiver.url()).await;
    let waiting = standin.calls_that(2, "waiting").await;
    let id = |name: &str| {
        let call = waiting.iter().find(|call| call["callback"] == name).expect("it waits");
        call["id"].as_str().expect("an id").to_owned()
    };
    assert_eq!(change(&standin, "POST", &format!("/api/callbacks/{}/retry", id("b"))).await.status, 409);
    assert_eq!(change(&standin, "DELETE", &format!("/api/callbacks/{}", id("a"))).await.status, 200);
    assert_eq!(targets(&receiver.expect(1).await), ["/b"]);
    let found = outcomes(&standin, 2).await;
    assert_eq!(found, [("a".to_owned(), "cancelled".to_owned()), ("b".to_owned(), "delivered".to_owned())]);
}

#[tokio::test]
async fn a_call_in_flight_that_is_given_up_has_its_attempt() {
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |_| Reply::new(200, "").after(&held)).await;
    let standin = serving(&orders(&to_query("a", "")), FAST).await;
    order(&standin, &receiver.url()).await;
    let id = receiver.expect(1).await[0].header("webhook-id").expect("an id").to_owned();
    assert_eq!(change(&standin, "DELETE", &format!("/api/callbacks/{id}")).await.status, 200);
    let call = &standin.calls_done(1).await[0];
    assert_eq!((&call["outcome"], &call["attempts"][0]["code"]), (&json!("cancelled"), &json!("reset")));
    standin.counts(1.0, "standin_callback_attempts_total", &[("code", "reset")]).await;
    gate.open();
}

#[tokio::test]
async fn that_a_receiver_rests_is_seen_and_somebody_may_try_it() {
    let asked = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |_| {
        Reply::new(if asked.fetch_add(1, Ordering::SeqCst) < 10 { 500 } else { 200 }, "")
    })
    .await;
    let config = "callbacks: {delay: 0s, retry: [], per_host: 1}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    for _ in 0..12 {
        order(&standin, &receiver.url()).await;
    }
    let host = format!("127.0.0.1:{}", receiver.port());
    standin.logs(0, &["receiver rests after ten failures in a row", &host]).await;
    let shown = standin.calls_that(2, "waiting").await;
    let waits: Vec<_> = shown.iter().filter(|call| call["state"] == "waiting").collect();
    assert_eq!(waits[0]["reason"], "its receiver rests");
    assert!(waits.iter().all(|call| call["due"].is_string()), "{waits:?}");
    let id = waits[0]["id"].as_str().expect("an id");
    assert_eq!(change(&standin, "POST", &format!("/api/callbacks/{id}/retry")).await.status, 200);
    let calls = receiver.expect(12).await;
    assert_eq!(calls[10].header("webhook-id"), Some(id));
}

#[tokio::test]
async fn a_call_that_waits_can_be_sent_at_once() {
    let receiver = Receiver::start().await;
    let standin = serving(&orders(&to_query("a", "")), "callbacks: {delay: 1h}\n").await;
    order(&standin, &receiver.url()).await;
    let waiting = standin.calls_that(1, "waiting").await;
    let id = waiting[0]["id"].as_str().expect("an id");
    assert_eq!(change(&standin, "POST", &format!("/api/callbacks/{id}/retry")).await.status, 200);
    receiver.expect(1).await;
}

#[tokio::test]
async fn nothing_goes_out_while_callbacks_are_paused() {
    let receiver = Receiver::start().await;
    let standin = serving(&orders(&to_query("a", "")), FAST).await;
    change(&standin, "POST", "/api/callbacks/pause").await.is(200, r#"{"paused":true}"#);
    order(&standin, &receiver.url()).await;
    holds_for(Duration::from_millis(300), "nothing goes out", || receiver.calls().is_empty()).await;
    let shown = standin.admin(get("/api/callbacks")).await.json();
    assert_eq!((&shown["paused"], &shown["callbacks"][0]["due"]), (&json!(true), &json!(null)));
    assert_eq!(shown["callbacks"][0]["reason"], "callbacks are paused");
    change(&standin, "POST", "/api/callbacks/resume").await.is(200, r#"{"paused":false}"#);
    receiver.expect(1).await;
}

#[tokio::test]
async fn a_full_queue_drops_the_chain_and_not_the_answer() {
    let receiver = Receiver::start().await;
    let config = "callbacks: {delay: 1m, queue: 1}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    for _ in 0..5 {
        order(&standin, &receiver.url()).await;
    }
    let what = "a chain was dropped and counted";
    eventually(SOON, what, async || {
        let metrics = standin.metrics().await;
        (metrics.value("standin_callbacks_total", &[("outcome", "dropped")]) >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_that_are_too_many_for_one_answer_are_counted() {
    let many = |name: &str| to_query(name, "x-standin-callback: {repeat: {times: 100}}, ");
    let callbacks: String = (0..11).map(|at| many(&format!("c{at}"))).collect();
    let standin = serving(&orders(&callbacks), "callbacks: {delay: 1h}\n").await;
    order(&standin, "http://127.0.0.1:1").await;
    standin.counts(100.0, "standin_callbacks_total", &[("callback", "c10"), ("outcome", "dropped")]).await;
    standin.counts(1000.0, "standin_callbacks_pending", &[]).await;
}

// Which and whether.

#[tokio::test]
async fn an_answer_sends_the_callbacks_that_have_its_name() {
    let receiver = Receiver::start().await;
    let named = |name: &str, examples: &str| {
        format!(
            "{name}: {{'{{$request.query.cb}}/{name}': {{post: {{requestBody: {{content: {{application/json: \
             {{examples: {examples}}}}}}}, responses: {{'200': {{description: ok}}}}}}}}}}\n"
        )
    };
    let mut paths = dedent(
        "
        /people:
          post:
            requestBody: {content: {application/json: {examples: {ada: {value: {n: ada}}, bob: {value: {n: bob}}}}}}
            responses:
              '201': {description: ok, content: {application/json: {examples: {ada: {value: 1}, bob: {value: 2}}}}}
            callbacks:
        ",
    );
    let callbacks = [
        named("of-ada", "{ada: {value: {for: ada}}}"),
        named("of-both", "{ada: {value: {for: ada}}, bob: {value: {for: bob}}}"),
        to_query("of-all", ""),
    ];
    for callback in callbacks {
        paths += &format!("      {callback}");
    }
    let standin = serving(&paths, FAST).await;
    let target = format!("/people?cb={}", receiver.url());
    standin.send(post(&target, r#"{"n": "bob"}"#)).await.is(201, "2");
    let calls = receiver.expect(2).await;
    assert_eq!(targets(&calls), ["/of-both", "/of-all"]);
    assert_eq!(calls[0].json(), json!({"for": "bob"}));
    standin.send(post(&target, r#"{"n": "ada"}"#)).await.is(201, "1");
    let calls = receiver.expect(5).await;
    assert_eq!(targets(&calls)[2..], ["/of-ada", "/of-both", "/of-all"]);
    assert_eq!(calls[3].json(), json!({"for": "ada"}));
    assert_eq!(receiver.calls().len(), 5);
}

#[tokio::test]
async fn head_and_errors_send_nothing() {
    let receiver = Receiver::start().await;
    let mut paths = dedent(
        "
        /a:
          get:
            parameters: [{name: q, in: query, examples: {fine: {value: '1'}, bad: {value: '2'}}}]
            responses:
              '200': {description: ok, content: {application/json: {examples: {fine: {value: 1}}}}}
              '400': {description: no, content: {application/json: {examples: {bad: {value: 2}}}}}
            callbacks:
        ",
    );
    paths += &format!("      {}", to_query("c", ""));
    let config = "callbacks: {delay: 1ms}\nunmatched: reject\n";
    let standin = serving(&paths, config).await;
    let cb = receiver.url();
    let sent = [
        (head(&format!("/a?q=1&cb={cb}/head")), 200),
        (get(&format!("/a?q=1&cb={cb}/406")).header("accept", "image/png"), 406),
        (get(&format!("/a?q=3&cb={cb}/404")), 404),
        (get(&format!("/a?q=2&cb={cb}/400")), 400),
        (get(&format!("/a?q=1&cb={cb}/fine")), 200),
    ];
    for (request, status) in sent {
        assert_eq!(standin.send(request).await.status, status);
    }
    // Whatever the ones before should not have sent would have come with or before this one.
    receiver.expect(1).await;
    let quiet = || receiver.calls().len() == 1;
    holds_for(Duration::from_millis(300), "one callback", quiet).await;
    assert_eq!(targets(&receiver.calls()), ["/fine/c"]);
}

#[tokio::test]
async fn a_passed_request_sends_nothing() {
    let receiver = Receiver::start().await;
    let upstream = Upstream::start().await;
    let paths = orders(&to_query("a", ""));
    let standin = Standin::with()
        .paths(&paths)
        .config("callbacks: {delay: 1ms}\n")
        .upstream(upstream.url())
        .start()
        .await;
    let passed =
        post(&format!("/orders/7?cb={}/passed", receiver.url()), "{}").header("x-standin-mode", "pass");
    assert_eq!(standin.send(passed).await.status, 200);
    order(&standin, &receiver.url()).await;
    receiver.expect(1).await;
    assert_eq!(targets(&receiver.calls()), ["/a"]);
}

#[tokio::test]
async fn callbacks_can_be_turned_off() {
    let receiver = Receiver::start().await;
    let config = "callbacks: {enabled: false, delay: 1ms}\n";
    let standin = serving(&orders(&to_query("a", "")), config).await;
    order(&standin, &receiver.url()).await;
    holds_for(Duration::from_millis(300), "no callback", || receiver.calls().is_empty()).await;
}

#[tokio::test]
async fn a_chain_is_sent_though_the_client_has_gone() {
    let receiver = Receiver::start().await;
    let standin = serving(&orders(&to_query("a", "")), FAST).await;
    let request = post(&format!("/orders/7?cb={}", receiver.url()), "{}");
    let mut wire = standin.wire().await;
    wire.write(&request.bytes(standin.data)).await;
    drop(wire);
    receiver.expect(1).await;
}

// With what.

#[tokio::test]
async fn a_call_is_rendered_from_request_and_answer() {
    let receiver = Receiver::start().await;
    let body = "{asked: '{{ request.body/what }}', id: '{{ response.body/id }}', order: '{{ response.headers[x-order] }}', \
                status: '{{ response.status }}', path: '{{ request.path[1] }}'}";
    let standin = serving(&orders(&callback("a", "{$request.query.cb}", body, "")), FAST).await;
    let target = format!("/orders/7?cb={}/x", receiver.url());
    standin.send(post(&target, r#"{"what": "a \"cake\""}"#)).await;
    let calls = receiver.expect(1).await;
    let expected = r#"{"asked":"a \"cake\"","id":"o-1","order":"h-1","status":"201","path":"7"}"#;
    assert_eq!(calls[0].text(), expected);
    assert_eq!(calls[0].header("content-type"), Some("application/json"));
    assert_eq!(calls[0].header("content-length"), Some(expected.len().to_string().as_str()));
}

#[tokio::test]
async fn the_answers_random_values_are_the_callbacks() {
    let receiver = Receiver::start().await;
    let paths = "
        /jobs:
          post:
            responses:
              '202': {description: ok, content: {application/json: {example: {id: '{{ uuid() }}'}}}}
            callbacks:
              done:
                '{$request.query.cb}/{$response.body#/id}':
                  post:
                    requestBody: {content: {application/json: {example: {id: '{{ response.body/id }}'}}}}
                    responses: {'200': {description: ok}}
    ";
    let standin = serving(paths, FAST).await;
    let answer = standin.send(post(&format!("/jobs?cb={}", receiver.url()), "{}")).await.json();
    let id = answer["id"].as_str().expect("an id");
    let calls = receiver.expect(1).await;
    assert_eq!(calls[0].target, format!("/{id}"));
    assert_eq!(calls[0].json(), json!({"id": id}));
}

#[tokio::test]
async fn a_call_has_its_own_headers_and_none_of_the_clients() {
    let receiver = Receiver::start().await;
    let header = "parameters: [{name: X-Event, in: header, schema: {type: string}, example: 'order-{{ request.path[1] }}'}], ";
    let standin = serving(&orders(&to_query("a", header)), FAST).await;
    let request = post(&format!("/orders/7?cb={}", receiver.url()), "{}")
        .header("Authorization", "Bearer secret")
        .header("Cookie", "a=b")
        .header("X-Api-Key", "k")
        .header("X-Mine", "m");
    standin.send(request).await;
    let calls = receiver.expect(1).await;
    for name in ["authorization", "cookie", "x-api-key", "x-mine", "x-forwarded-for"] {
        assert_eq!(calls[0].header(name), None, "{name}");
    }
    assert_eq!(calls[0].header("host"), Some(format!("127.0.0.1:{}", receiver.port()).as_str()));
    assert_eq!(calls[0].header("x-event"), Some("order-7"));
    let agent = format!("standin/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(calls[0].header("user-agent"), Some(agent.as_str()));
    assert!(calls[0].header("webhook-id").is_some_and(|id| !id.is_empty()));
    let timestamp = calls[0].header("webhook-timestamp").and_then(|t| t.parse::<u64>().ok());
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    assert!(timestamp.is_some_and(|t| t.abs_diff(now) < 60), "{timestamp:?}");
    let parent = calls[0].header("traceparent").unwrap_or_default();
    let lengths: Vec<_> = parent.split('-').map(str::len).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{parent}");
}

#[tokio::test]
async fn references_several_urls_and_several_methods_all_work() {
    let receiver = Receiver::start().await;
    let mut paths = orders(
        "
        byRef: {$ref: '#/components/callbacks/Shared'}
        several:
          '{$request.query.cb}/one':
            post:
              requestBody: {content: {application/json: {example: {is: one}}}}
              responses: {'200': {description: ok}}
            put:
              requestBody: {content: {text/plain: {example: two}}}
              responses: {'200': {description: ok}}
          '{$request.query.cb}/three': {$ref: '#/components/pathItems/Three'}
        ",
    );
    paths += "
---
components:
  callbacks:
    Shared:
      '{$request.query.cb}/shared':
        post:
          requestBody: {content: {application/json: {example: {is: shared}}}}
          responses: {'200': {description: ok}}
  pathItems:
    Three:
      delete: {responses: {'204': {description: ok}}}
";
    let standin = serving(&paths, FAST).await;
    order(&standin, &receiver.url()).await;
    let calls = receiver.expect(4).await;
    let sent: Vec<_> = calls.iter().map(|call| (call.method.as_str(), call.target.as_str())).collect();
    assert_eq!(sent, [("POST", "/shared"), ("POST", "/one"), ("PUT", "/one"), ("DELETE", "/three")]);
    assert_eq!((calls[2].text().as_str(), calls[2].header("content-type")), ("two", Some("text/plain")));
    assert!(calls[3].body.is_empty());
}

#[tokio::test]
async fn nonsense_keys_are_a_warning_and_cost_nothing() {
    let receiver = Receiver::start().await;
    let callbacks = [
        callback("words", "Provided URL in /webhook_subscriptions", "{}", ""),
        callback("braces", "{webhookURL}", "{}", ""),
        callback("unclosed", "{$request.body#/url", "{}", ""),
        to_query("fine", ""),
    ];
    let standin = serving(&orders(&callbacks.concat()), FAST).await;
    order(&standin, &receiver.url()).await;
    assert_eq!(targets(&receiver.expect(1).await), ["/fine"]);
}
