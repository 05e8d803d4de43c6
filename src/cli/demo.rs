//! `standin demo`: the product in one command, without a network.
//!
//! An upstream and a receiver of callbacks run inside the process, before and behind a Standin that
//! serves the sample document.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Uri};
use standin::config::{
    self, Admin, Config, DEFAULT_UPSTREAM, Listen, Scheme, Server, ServerAddress, Spec, Upstream,
};
use standin::server::{Plan, Standin};

use super::BROKEN;
use super::flags::Demo;
use super::run::{log, ready_line, serve};

const DOCUMENT: &str = include_str!("../../config/specs/registration.yaml");

pub fn demo(flags: Demo) -> ExitCode {
    match prepare(flags) {
        Ok((plan, receiver, folder)) => {
            let code = serve(plan, |standin| welcome(standin, receiver));
            let _ = std::fs::remove_dir_all(folder);
            code
        }
        Err(error) => {
            eprintln!("error: the demo can't be set up: {error}");
            ExitCode::from(BROKEN)
        }
    }
}

/// The plan, where callbacks are received, and the folder of the sample.
fn prepare(flags: Demo) -> std::io::Result<(Plan, SocketAddr, PathBuf)> {
    let (folder, document) = sample()?;
    let upstream = on_a_thread(Router::new().fallback(upstream))?;
    let started = Instant::now();
    let receive = move |method, uri, headers, body| received(started, method, uri, headers, body);
    let receiver = on_a_thread(Router::new().fallback(receive))?;
    let at = ServerAddress::Tcp { host: upstream.ip().to_string(), port: upstream.port() };
    let server = Server { scheme: Scheme::Http, at };
    let mut config = Config::default();
    config.specs.push(Spec::new(config::Source::Path(document)));
    config.upstreams.insert(DEFAULT_UPSTREAM.to_owned(), Upstream::new(vec![server]));
    let set = |flag: Option<String>, name| {
        let variable = || std::env::var(name).ok().filter(|value| !value.is_empty());
        flag.or_else(variable)
    };
    if let Some(address) = set(flags.listen, "STANDIN_LISTEN") {
        let address = config::listen(&address, &std::env::current_dir()?).map_err(std::io::Error::other)?;
        config.listen = vec![Listen { address, tls: None, h2c: false }];
    }
    if let Some(address) = set(flags.admin, "STANDIN_ADMIN") {
        config.admin.address = Admin::address(&address).map_err(std::io::Error::other)?;
        config.admin.check().map_err(std::io::Error::other)?;
    }
    "warn".clone_into(&mut config.log.level);
    log(&config);
    let reread = config.clone();
    let plan =
        Plan { config, config_file: None, reread: Arc::new(move || Ok(reread.clone())), strict: false };
    Ok((plan, receiver, folder))
}

/// The sample document as a file, so that it can be edited while it is served.
fn sample() -> std::io::Result<(PathBuf, PathBuf)> {
    let folder = std::env::temp_dir().join(format!("standin-demo-{}", std::process::id()));
    // Not one that is there already: it could be somebody else's.
    std::fs::create_dir(&folder)?;
    let file = folder.join("registration.yaml");
    std::fs::write(&file, DOCUMENT)?;
    Ok((folder, file))
}

/// Serves a router on a free port, on a thread and a runtime of its own, as another program would.
fn on_a_thread(router: Router) -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        })
    });
    Ok(address)
}

async fn upstream(request: Request) -> String {
    format!("the upstream got {} {}\n", request.method(), request.uri())
}

async fn received(started: Instant, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) {
    let text = String::from_utf8_lossy(&body);
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("no content");
    let line = format!(
        "{:7.1}s  callback: {method} {uri} ({kind})\n          {text}\n",
        started.elapsed().as_secs_f64()
    );
    let _ = std::io::stdout().write_all(line.as_bytes());
}

fn welcome(standin: &Standin, receiver: SocketAddr) {
    let data = standin.addresses.first().map(ToString::to_string).unwrap_or_default();
    let document =
        standin.live.current().documents.first().map(|served| served.source.clone()).unwrap_or_default();
    let admin = standin.admin.map_or(String::new(), |admin| {
        format!("\nSee what is served and what was sent:\n\n  curl http://{admin}/api/operations\n  curl http://{admin}/api/callbacks\n  curl http://{admin}/metrics\n")
    });
    let text = format!(
        r#"{ready}

Register a user: answered at once from the document, then three callbacks, 3 s apart.

  curl -i {data}/user -H 'content-type: application/json' \
    -d '{{"user":{{"firstName":"Ada","lastName":"Lovelace"}},"callbackUrl":"http://{receiver}/hooks"}}'

Anything that the document does not list is the upstream's:

  curl -i {data}/anything-else
{admin}
The document can be edited while it is served:

  {document}

Callbacks are printed here as they arrive. Ctrl-C stops.

"#,
        ready = ready_line(standin),
    );
    let _ = std::io::stdout().write_all(text.as_bytes());
}
