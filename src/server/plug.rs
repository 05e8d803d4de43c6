//! Standin in a pingora proxy of one's own.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::Instant;

use super::Failure;
use super::callbacks::{Callbacks, Opened};
use super::flight::InFlight;
use super::intercept::{Intercept, Upstreams};
use super::journal::Journal;
use super::live::Cell;
use super::metrics::Metrics;
use super::reload::{First, Handle, Reloader};
use crate::config::{Config, ListenAddress};

/// Answers the operations that the documents list, in a proxy that says itself where the rest goes.
///
/// It has pingora's phases as methods of the same names ([`Intercept`]). Call each in the phase of
/// one's own [`ProxyHttp`](pingora::proxy::ProxyHttp):
///
/// - `new_ctx`: keep its [`Ctx`](crate::Ctx) in one's own context;
/// - `request_filter`: `true` means that the request is answered, `false` that it goes on;
/// - `upstream_request_filter`: takes off what is for Standin only, and makes the rules' changes;
/// - `upstream_response_filter`: in the mode `fallback` the document may answer in place of the
///   upstream, and the rules' changes are made;
/// - `request_body_filter` and `response_body_filter`: only where the bodies of what passes are to be
///   held against the documents (`validate`);
/// - `fail_to_proxy`: the same where the upstream gave no answer; `None` leaves the failure to the
///   caller;
/// - `logging`: always, or the client's connection is not used again.
///
/// [`Interceptor::service`] has to run beside the proxy: it sends the callbacks and reads documents
/// again when they change.
///
/// Of the config, `listen`, `upstreams`, `threads`, `shutdown.pre_drain`, `log` and the admin port are
/// not looked at; `listen` only to keep callbacks away from it.
pub struct Interceptor {
    phases: Intercept,
    reload: Handle,
    work: Mutex<Option<Work>>,
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Interceptor {
    /// Reads the documents. Takes as long as that takes; on a thread of its own, so that it may be
    /// called within a runtime or without one.
    ///
    /// # Errors
    ///
    /// Documents that the config names and that can't be read, or a folder for callbacks that can't be used.
    pub fn from_config(config: Config) -> Result<Interceptor, Failure> {
        // Where requests go is the caller's to say: no name is looked up.
        let config = Config { upstreams: Default::default(), ..config };
        let of_thread = config.clone();
        let reading = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(First::read(of_thread)))
        });
        let first: std::io::Result<First> =
            reading.join().unwrap_or_else(|_| Err(std::io::Error::other("reading the documents failed")));
        let first = first.map_err(|error| Failure::Runtime(error.to_string()))?;
        let broken: Vec<_> = first.broken().collect();
        if !broken.is_empty() {
            let diagnostics = broken.iter().flat_map(|served| served.diagnostics.clone()).collect();
            return Err(Failure::Documents { broken: broken.len(), diagnostics });
        }
        let opened = Opened::open(&config.callbacks.store).map_err(Failure::Store)?;
        Ok(Interceptor::new(config, first, opened))
    }

    fn new(config: Config, first: First, opened: Opened) -> Interceptor {
        let metrics = Arc::new(Metrics::new());
        let own = config.listen.iter().filter_map(|listen| match &listen.address {
            ListenAddress::Tcp(address) => address.parse().ok(),
            ListenAddress::Unix(_) => None,
        });
        let (callbacks, sending) =
            Callbacks::new(&config.callbacks, first.files.clone(), own.collect(), metrics.clone(), opened);
        let (in_force, read) = first.into_parts();
        let live = Arc::new(Cell::new(in_force));
        let reread = Arc::new(move || Ok(config.clone()));
        // There is no admin port to ask it at.
        let journal = Journal::off();
        let reloader = Reloader::new(
            live.clone(),
            metrics.clone(),
            callbacks.clone(),
            journal.clone(),
            reread,
            None,
            read,
        );
        let (reload, reloading) = reloader.into_task();
        let work = async move {
            tokio::join!(sending, reloading);
        };
        let phases = Intercept {
            live,
            metrics,
            callbacks,
            journal,
            in_flight: InFlight::default(),
            draining: Arc::new(AtomicBool::new(false)),
            upstreams: Upstreams::Theirs,
            bounds: Default::default(),
        };
        Interceptor { phases, reload, work: Mutex::new(Some(Box::pin(work))) }
    }

    /// What has to run beside the proxy: sends callbacks and reloads documents, until the server stops.
    /// Then it waits for callbacks that are under way, for `shutdown.drain` at most. Once for each
    /// interceptor; a second one does nothing.
    pub fn service(&self) -> Service {
        let Intercept { live, callbacks, draining, .. } = &self.phases;
        let drain = live.current().config.shutdown.drain;
        Service {
            work: Mutex::new(self.work.lock().take()),
            callbacks: callbacks.clone(),
            draining: draining.clone(),
            drain,
        }
    }

    /// Asks for a reload.
    pub fn reloads(&self) -> Handle {
        self.reload.clone()
    }

    /// The metrics, in the Prometheus text format, and its content type.
    pub fn metrics(&self) -> (String, &'static str) {
        self.phases.metrics.text()
    }
}

/// The phases.
impl Deref for Interceptor {
    type Target = Intercept;

    fn deref(&self) -> &Intercept {
        &self.phases
    }
}

/// For [`background_service`](pingora::services::background::background_service).
pub struct Service {
    work: Mutex<Option<Work>>,
    callbacks: Callbacks,
    draining: Arc<AtomicBool>,
    drain: std::time::Duration,
}

#[async_trait]
impl BackgroundService for Service {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(work) = self.work.lock().take() else { return };
        let working = tokio::spawn(work);
        let _ = shutdown.changed().await;
        self.draining.store(true, Ordering::Relaxed);
        self.callbacks.stop(Instant::now() + self.drain).await;
        working.abort();
    }
}
