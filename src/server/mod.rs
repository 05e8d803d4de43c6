//! Runs: wires the parts, starts them, and stops them in order.
//!
//! pingora's own `Server` is not used: it retries a taken port and then panics, ends the process by
//! itself, and drains by sleeping. Here are our own runtime, listeners and count of what is in
//! flight; pingora serves the connections.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch as signal;
use tokio::time::Instant;

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use callbacks::Callbacks;
use flight::InFlight;
use front::SocketFile;
use in_force::InForce;
use journal::Journal;
use live::Cell;
use metrics::Metrics;

pub mod plug;

pub mod admin;

pub mod reload;

mod watch;

mod front;

mod proxy;

pub mod intercept;

pub mod in_force;

pub mod certificate;

pub mod load;

pub mod upstream;

pub mod journal;

pub mod metrics;

pub mod callbacks;

mod fetch;

mod loops;

mod named;

mod field;

pub mod flight;

pub mod live;

pub use front::Address;

/// Why Standin does not start.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Documents that the config names can't be served at all.
    #[error("documents that can't be read: {broken}")]
    Documents { broken: usize, diagnostics: Vec<Diagnostic> },
    /// Files that listeners or upstreams name can't be used.
    #[error("certificates that can't be used: {}", .0.len())]
    Certificates(Vec<Diagnostic>),
    /// Callbacks can't be kept as the config says.
    #[error("callbacks can't be kept")]
    Store(Box<Diagnostic>),
    #[error("can't listen on {address}: {reason}")]
    Listen { address: String, reason: String },
    #[error("the documents can't be read: {0}")]
    Runtime(String),
}

/// What is to be run.
pub struct Plan {
    pub config: Config,
    pub config_file: Option<PathBuf>,
    pub reread: reload::Reread,
    /// Whether a broken document of a folder stops the start as well.
    pub strict: bool,
}

/// A Standin that listens.
pub struct Standin {
    /// As many as `listen` has.
    pub addresses: Vec<Address>,
    pub admin: Option<SocketAddr>,
    pub live: Arc<Cell<InForce>>,
    reload: reload::Handle,
    callbacks: Callbacks,
    in_flight: InFlight,
    ready: Arc<AtomicBool>,
    draining: Arc<AtomicBool>,
    closing: signal::Sender<bool>,
    service: tokio::task::JoinHandle<()>,
    /// Removed at the stop.
    files: Vec<SocketFile>,
}

impl Standin {
    /// Reads the documents, binds the ports and serves. Runs on the current tokio runtime.
    pub async fn start(plan: Plan) -> Result<Standin, Failure> {
        let started = std::time::Instant::now();
        let config = plan.config.clone();
        let certificates = certificate::read(&config.listen).map_err(Failure::Certificates)?;
        let first = reload::First::read(plan.config).await;
        let fatal = fatal(&first, plan.strict);
        if !fatal.is_empty() {
            let diagnostics = fatal.iter().flat_map(|served| served.diagnostics.clone()).collect();
            return Err(Failure::Documents { broken: fatal.len(), diagnostics });
        }
        if !first.certificates.is_empty() {
            return Err(Failure::Certificates(first.certificates));
        }
        for diagnostic in &first.others {
            tracing::warn!(code = diagnostic.code.0, problem = %diagnostic, "the documents");
        }
        let mut listeners = Vec::new();
        for (listen, certificate) in config.listen.iter().zip(&certificates) {
            listeners.push(front::bind(listen, certificate.clone()).await?);
        }
        let admin_listener = match &config.admin.address {
            Some(address) => Some(front::tcp(address, "--admin").await?),
            None => None,
        };
        let addresses: Vec<Address> = listeners.iter().map(|bound| bound.address.clone()).collect();
        let files = listeners.iter_mut().filter_map(|bound| bound.file.take()).collect();
        let admin_address = admin_listener.as_ref().and_then(|listener| listener.local_addr().ok());

        let metrics = Arc::new(Metrics::new());
        let own = addresses.iter().filter_map(Address::socket).chain(admin_address).collect();
        let opened = open_store(config.callbacks.store.clone()).await?;
        let callbacks =
            Callbacks::start(&config.callbacks, first.files.clone(), own, metrics.clone(), opened);
        let journal = match admin_address {
            Some(_) => Journal::start(&config.journal, metrics.clone()),
            None => Journal::off(),
        };
        let (in_force, read) = first.into_parts();
        let live = Arc::new(Cell::new(in_force));
        let reloader = reload::Reloader::new(
            live.clone(),
            metrics.clone(),
            callbacks.clone(),
            journal.clone(),
            plan.reread,
            plan.config_file,
            read,
        );
        let reload = reloader.with_certificates(certificates.into_iter().flatten().collect()).start();
        let (ready, draining) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let in_flight = InFlight::default();
        let intercept = intercept::Intercept {
            live: live.clone(),
            metrics: metrics.clone(),
            callbacks: callbacks.clone(),
            journal: journal.clone(),
            in_flight: in_flight.clone(),
            draining: draining.clone(),
            upstreams: intercept::Upstreams::Configured,
            bounds: Default::default(),
        };
        let proxy = proxy::Proxy { intercept };
        let (closing, closed) = signal::channel(false);
        let threads = tokio::runtime::Handle::current().metrics().num_workers();
        let service = front::serve(proxy, listeners, threads, closed);
        if let Some(listener) = admin_listener {
            let admin = admin::Admin {
                live: live.clone(),
                metrics,
                callbacks: callbacks.clone(),
                journal,
                reload: reload.clone(),
                ready: ready.clone(),
                started,
                config: config.admin.clone(),
            };
            tokio::spawn(async move {
                let served = axum::serve(listener, admin::router(Arc::new(admin))).await;
                tracing::error!(?served, "the admin port ended");
            });
        }
        ready.store(true, Ordering::Relaxed);
        Ok(Standin {
            addresses,
            admin: admin_address,
            live,
            reload,
            callbacks,
            in_flight,
            ready,
            draining,
            closing,
            service,
            files,
        })
    }

    /// Asks for a reload, as `SIGHUP` does.
    pub fn reloads(&self) -> reload::Handle {
        self.reload.clone()
    }

    /// Stops in order: no longer ready, no new connections, what is in flight to its end, and a word
    /// about every callback that was not sent. Takes no longer than `shutdown` of the config says.
    pub async fn stop(self) {
        let config = self.live.current().config.clone();
        self.ready.store(false, Ordering::Relaxed);
        self.draining.store(true, Ordering::Relaxed);
        if !config.shutdown.pre_drain.is_zero() {
            tracing::info!(
                seconds = config.shutdown.pre_drain.as_secs_f64(),
                "no longer ready; still accepting"
            );
            tokio::time::sleep(config.shutdown.pre_drain).await;
        }
        let deadline = Instant::now() + config.shutdown.drain;
        tracing::info!(requests = self.in_flight.count(), "stopping");
        // Whoever comes next can have the name at once.
        drop(self.files);
        let _ = self.closing.send(true);
        let _ = tokio::time::timeout_at(deadline, self.service).await;
        if tokio::time::timeout_at(deadline, self.in_flight.none()).await.is_err() {
            let requests = self.in_flight.count();
            tracing::warn!(requests, "`shutdown.drain` is over; these requests were cut");
        }
        self.callbacks.stop(deadline).await;
        tracing::info!("stopped");
    }
}

async fn open_store(store: crate::config::Store) -> Result<callbacks::Opened, Failure> {
    let opening = tokio::task::spawn_blocking(move || callbacks::Opened::open(&store));
    let opened = opening.await.map_err(|error| Failure::Runtime(error.to_string()))?;
    opened.map_err(Failure::Store)
}

/// The broken documents without which Standin does not start.
fn fatal(first: &reload::First, strict: bool) -> Vec<&in_force::Served> {
    match strict {
        true => {
            first.in_force.documents.iter().filter(|served| served.state == load::State::Broken).collect()
        }
        false => first.broken().collect(),
    }
}

/// How long a stop may take at most, for the one who waits for it.
pub fn longest_stop(config: &Config) -> Duration {
    config.shutdown.pre_drain + config.shutdown.drain
}
