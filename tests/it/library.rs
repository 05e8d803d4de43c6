//! Section 9: the same decision in a pingora proxy of one's own. The example in `examples/` is built
//! and run.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::harness::*;

/// The example's gateway, running; killed when dropped.
struct Gateway {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Gateway {
    async fn start(paths: &str, stable: SocketAddr, beta: SocketAddr) -> Gateway {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("api.yaml");
        std::fs::write(&file, document(paths)).expect("a document");
        let address = free();
        let child = Command::new(built())
            .args([&address.to_string(), file.to_str().expect("a path"), &stable.to_string()])
            .arg(beta.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the example runs");
        let gateway = Gateway { child, address, _folder: folder };
        eventually(SOON, "the gateway listens", async || get("/ready").try_to(address).await.ok()).await;
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// pingora's server can't tell the port that it was given for 0.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address")
}

/// The example, built as cargo builds it for whoever follows the documentation.
fn built() -> std::path::PathBuf {
    let done = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "interceptor"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(done.success());
    let mut path = std::path::PathBuf::from(env!("CARGO_BIN_EXE_standin"));
    path.pop();
    path.join("examples/interceptor")
}

const PATHS: &str = "
/users:
  post:
    operationId: createUser
    requestBody: {content: {application/json: {example: {name: Ann}}}}
    responses: {'201': {description: ok, content: {application/json: {example: {id: 7}}}}}
    callbacks:
      created:
        '{$request.query.cb}/created':
          post:
            x-standin-callback: {delay: 10}
            requestBody: {content: {application/json: {example: {id: 7}}}}
            responses: {'200': {description: ok}}
/new:
  get:
    x-standin: {mode: fallback}
    responses: {'200': {description: ok, content: {application/json: {example: {from: document}}}}}
/down:
  get:
    x-standin: {mode: fallback}
    responses: {'200': {description: ok, content: {application/json: {example: {from: document}}}}}
";

#[tokio::test]
async fn the_example_mocks_passes_falls_back_and_calls_back() {
    let status = |target: &str| if target == "/new" { 404 } else { 200 };
    let stable = Upstream::answering(move |request| Reply::new(status(&request.target), "stable")).await;
    let nobody = ClosedPort::new();
    let gateway = Gateway::start(PATHS, stable.address, nobody.address).await;
    let receiver = Receiver::start().await;

    let target = format!("/users?cb={}", receiver.url());
    let created = post(&target, r#"{"name": "Ann"}"#).to(gateway.address).await;
    assert_eq!((created.status, created.text().as_str()), (201, r#"{"id":7}"#));
    assert_eq!(created.header("x-standin-operation"), Some("createUser"));
    receiver.expect(1).await;

    let passed = get("/else").header("x-standin-delay", "0").to(gateway.address).await;
    assert_eq!((passed.status, passed.text().as_str()), (200, "stable"));
    assert!(stable.received().iter().all(|request| request.header("x-standin-delay").is_none()));

    // The upstream has not got it; the client's connection lives on.
    let mut wire = Wire::open(gateway.address).await;
    for _ in 0..2 {
        let new = wire.send(&get("/new")).await;
        assert_eq!((new.status, new.text().as_str()), (200, r#"{"from":"document"}"#));
        assert_eq!(new.header("x-standin-reason"), Some("404"));
    }

    let down = get("/down").header("x-beta", "1").to(gateway.address).await;
    assert_eq!((down.status, down.header("x-standin-reason")), (200, Some("connect")));
    let failed = get("/else").header("x-beta", "1").to(gateway.address).await;
    assert_eq!(failed.status, 502);
}
