//! Watch, load, compile, swap or report.
//!
//! One task owns what was read. Everything is read and compiled off the serving threads, then
//! swapped in one step; what fails changes nothing and is told in the log, the metrics and the
//! admin port.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinError;

use super::callbacks::{Callbacks, Files};
use super::certificate::Certificate;
use super::in_force::{InForce, Served};
use super::journal::Journal;
use super::live::Cell;
use super::load::{self, Loaded, Stamp, State, Web};
use super::metrics::{Meters, Metrics, UNLISTED};
use super::upstream::Upstream;
use super::upstream::tls::{self, Tls};
use super::watch::Watch;
use crate::config::{self, Config, Mode};
use crate::diagnostic::{Diagnostic, Severity};

/// Reads the config again, as it was read at start: file, environment and flags.
pub type Reread = Arc<dyn Fn() -> Result<Config, Vec<Diagnostic>> + Send + Sync>;

/// Upstream names have this long to resolve before what uses them is in force without an address.
const RESOLVE: Duration = Duration::from_secs(2);

/// Asks for a reload.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Ask>);

#[derive(Debug)]
enum Ask {
    /// Files or URLs may have changed; nothing happens if they have not.
    Changed,
    Now(oneshot::Sender<Outcome>),
}

/// What a reload came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The version in force.
    pub version: u64,
    pub successful: bool,
    pub diagnostics: Vec<Diagnostic>,
}

/// What was read and compiled, before it is in force.
struct Prepared {
    config: Arc<Config>,
    loaded: Loaded,
    compiled: load::Compiled,
    certificates: Certificates,
    /// What callbacks are sent with.
    files: Result<Files, Box<Diagnostic>>,
}

/// What the files of each upstream's `tls` say, or what is wrong with them.
type Certificates = BTreeMap<String, Result<Tls, Box<Diagnostic>>>;

/// Owns what was read, and puts it in force.
pub struct Reloader {
    pub live: Arc<Cell<InForce>>,
    pub metrics: Arc<Metrics>,
    pub callbacks: Callbacks,
    pub journal: Journal,
    pub reread: Reread,
    pub config_file: Option<PathBuf>,
    web: Arc<Web>,
    loaded: Arc<Loaded>,
    /// Whether the config file could not be read the last time.
    config_broken: bool,
    /// The config file as it was before it was read.
    config_stamp: Stamp,
    /// What callbacks are sent with, as it was when it was read.
    named: Vec<(PathBuf, Stamp)>,
    /// Of the listeners, which stay as they are until a restart.
    certificates: Vec<Arc<Certificate>>,
}

/// What is read at start, for the one who decides whether that is enough to serve.
pub struct First {
    pub in_force: InForce,
    read: Read,
    pub others: Vec<Diagnostic>,
    /// Files that upstreams or callbacks need and that can't be used.
    pub certificates: Vec<Diagnostic>,
    pub files: Files,
}

/// What was read, and what is asked for more.
pub struct Read {
    loaded: Loaded,
    web: Arc<Web>,
}

impl First {
    /// Reads and compiles everything. The documents of the result tell what is broken.
    pub async fn read(config: Config) -> First {
        let web = Web::new();
        web.expect(&config).await;
        let prepared = prepare(Arc::new(config), Arc::new(Loaded::default()), web.clone()).await;
        let prepared = prepared.expect("nothing is served yet that a fault could end");
        let others = prepared.compiled.others.clone();
        let mut certificates = broken(&prepared.certificates);
        certificates.extend(prepared.files.as_ref().err().map(|problem| (**problem).clone()));
        let files = prepared.files.as_ref().cloned().unwrap_or_default();
        let (in_force, loaded) = put_together(prepared, 1, &BTreeMap::new()).await;
        First { in_force, read: Read { loaded, web }, others, certificates, files }
    }

    /// The documents that nothing is served of, and that the config names.
    pub fn broken(&self) -> impl Iterator<Item = &Served> {
        let documents = self.in_force.documents.iter().zip(&self.read.loaded.documents);
        documents
            .filter(|(served, loading)| served.state == State::Broken && loading.named)
            .map(|(served, _)| served)
    }

    /// Makes it the ground that reloads start from.
    pub fn into_parts(self) -> (InForce, Read) {
        (self.in_force, self.read)
    }
}

impl Reloader {
    pub fn new(
        live: Arc<Cell<InForce>>,
        metrics: Arc<Metrics>,
        callbacks: Callbacks,
        journal: Journal,
        reread: Reread,
        config_file: Option<PathBuf>,
        read: Read,
    ) -> Self {
        let config_stamp = config_file.as_deref().and_then(load::stamp);
        let named = named(&live.current().config);
        let (loaded, web) = (Arc::new(read.loaded), read.web);
        let reloader = Reloader {
            live,
            metrics,
            callbacks,
            journal,
            reread,
            config_file,
            web,
            loaded,
            config_broken: false,
            config_stamp,
            named,
            certificates: Vec::new(),
        };
        reloader.tell(&reloader.live.current(), &[], &[]);
        reloader
    }

    /// The same with the listeners' certificates, which are read again too.
    pub fn with_certificates(self, certificates: Vec<Arc<Certificate>>) -> Self {
        Reloader { certificates, ..self }
    }

    /// Watches and reloads, on the current runtime, until every handle is gone.
    pub fn start(self) -> Handle {
        let (handle, task) = self.into_task();
        tokio::spawn(task);
        handle
    }

    /// The same as a task that the caller runs.
    pub fn into_task(mut self) -> (Handle, impl Future<Output = ()> + Send + 'static) {
        // One ask that waits stands for all that come after it.
        let (sender, mut asks) = mpsc::channel(8);
        // The handle of the watch must not keep the task alive.
        let asks_of_watch = sender.downgrade();
        let task = async move {
            let mut settings = self.live.current().config.reload.clone();
            let mut watch = self.watch(&settings, asks_of_watch.clone());
            while let Some(ask) = asks.recv().await {
                if matches!(ask, Ask::Changed) {
                    // A folder may have come, or come back: what is in it counts from now on.
                    watch.look_at(self.files());
                    if !watch.changed() && !self.web.has_news() {
                        continue;
                    }
                } else {
                    self.web.poll().await;
                }
                let outcome = self.reload().await;
                let wanted = &self.live.current().config.reload;
                if settings == *wanted {
                    watch.look_at(self.files());
                } else {
                    settings = wanted.clone();
                    watch = self.watch(&settings, asks_of_watch.clone());
                }
                if let Ask::Now(answer) = ask {
                    let _ = answer.send(outcome);
                }
            }
        };
        (Handle(sender), task)
    }

    fn watch(&self, settings: &config::Reload, asks: mpsc::WeakSender<Ask>) -> Watch {
        let notify = move || {
            if let Some(sender) = asks.upgrade() {
                // A full channel has an ask in it already.
                let _ = sender.try_send(Ask::Changed);
            }
        };
        Watch::start(settings, self.files(), self.web.clone(), notify)
    }

    fn files(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut files = self.loaded.watched.clone();
        files.extend(self.config_file.clone().map(|file| (file, self.config_stamp)));
        files.extend(self.certificates.iter().flat_map(|certificate| certificate.watched()));
        files.extend(self.named.clone());
        files
    }

    async fn reload(&mut self) -> Outcome {
        let before = self.live.current();
        self.config_stamp = self.config_file.as_deref().and_then(load::stamp);
        let (config, problems) = match (self.reread)() {
            Ok(config) => (Arc::new(config), Vec::new()),
            Err(problems) => (before.config.clone(), problems),
        };
        self.config_broken = !problems.is_empty();
        for key in config::needs_restart(&before.config, &config) {
            tracing::warn!(key, "this key of the config needs a restart to change");
        }
        let unusable = self.reread_certificates();
        self.web.meet(&config).await;
        // Before they are read, so that a change meanwhile is one.
        self.named = named(&config);
        let Ok(prepared) = prepare(config, self.loaded.clone(), self.web.clone()).await else {
            // The panic itself is on stderr. What is in force goes on, and so does the watching.
            tracing::error!(
                version = before.version,
                "a defect in Standin: reading the documents failed, and everything stays as it was"
            );
            self.metrics.reloaded("failure");
            return Outcome { version: before.version, successful: false, diagnostics: problems };
        };
        let mut diagnostics = problems.clone();
        diagnostics.extend(unusable.iter().cloned());
        diagnostics.extend(prepared.compiled.others.iter().cloned());
        let certificates = broken(&prepared.certificates);
        for problem in &certificates {
            tracing::error!(code = problem.code.0, %problem, "an upstream can't be made, and stays as it was");
        }
        diagnostics.extend(certificates.iter().cloned());
        let files = prepared.files.clone().map_err(|problem| {
            tracing::error!(code = problem.code.0, %problem, "callbacks are sent as before");
            diagnostics.push(*problem);
        });
        let (in_force, loaded) = put_together(prepared, before.version + 1, &before.upstreams).await;
        diagnostics.extend(in_force.documents.iter().flat_map(|served| served.diagnostics.iter().cloned()));
        let whole = in_force.documents.iter().all(|served| served.state == State::Current);
        let successful =
            whole && problems.is_empty() && certificates.is_empty() && files.is_ok() && unusable.is_empty();
        let version = in_force.version;
        for gone in before
            .documents
            .iter()
            .filter(|old| !in_force.documents.iter().any(|new| new.source == old.source))
        {
            self.metrics.source_gone(&gone.source);
        }
        // Those of the version before stay for one more, so that their last counts are scraped.
        let operations = || [&before.mocks, &in_force.mocks].into_iter().flat_map(|mocks| &mocks.operations);
        let known: HashSet<&str> =
            operations().map(|operation| &*operation.label).chain([UNLISTED]).collect();
        let callbacks: HashSet<(&str, &str)> = operations()
            .flat_map(|operation| operation.callbacks().map(|name| (&*operation.label, name)))
            .collect();
        self.metrics.keep_only(
            |operation| known.contains(operation),
            |operation, callback| callbacks.contains(&(operation, callback)),
            |name| before.upstreams.contains_key(name) || in_force.upstreams.contains_key(name),
        );
        self.callbacks.configure(&in_force.config.callbacks, files.ok());
        self.journal.configure(&in_force.config.journal);
        self.loaded = Arc::new(loaded);
        self.live.swap(in_force);
        self.tell(&self.live.current(), &problems, &before.documents);
        let operations = self.live.current().mocks.operations.len();
        if successful {
            tracing::info!(version, operations, "reloaded");
        } else {
            tracing::error!(
                version,
                operations,
                "reloaded in part; what is broken keeps its last good version"
            );
        }
        self.metrics.reloaded(if successful { "success" } else { "failure" });
        Outcome { version, successful, diagnostics }
    }

    /// What is wrong with those that stay as they were.
    fn reread_certificates(&self) -> Vec<Diagnostic> {
        let reread = self.certificates.iter().map(|certificate| certificate.reread());
        let unusable: Vec<Diagnostic> = reread.filter_map(Result::err).map(|problem| *problem).collect();
        for problem in &unusable {
            tracing::error!(code = problem.code.0, problem = %problem, "the certificate stays as it was");
        }
        unusable
    }

    /// Log and metrics of what is in force now. What was said of the documents before is not said again.
    fn tell(&self, in_force: &InForce, config_problems: &[Diagnostic], before: &[Served]) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        for served in &in_force.documents {
            self.metrics.source_read(&served.source, served.state == State::Current, now);
            let told = before.iter().find(|old| old.source == served.source && old.state == served.state);
            for diagnostic in &served.diagnostics {
                if !told.is_some_and(|told| told.diagnostics.contains(diagnostic)) {
                    log(diagnostic, served.state);
                }
            }
        }
        self.metrics.config_read(!self.config_broken);
        for problem in config_problems {
            tracing::error!(problem = %problem, "the config can't be read, and stays as it was");
        }
        for mode in Mode::ALL {
            let count = in_force
                .mocks
                .operations
                .iter()
                .filter(|operation| operation.routed && operation.mode == mode)
                .count();
            self.metrics.operations(mode.as_str(), count);
        }
    }
}

fn log(diagnostic: &Diagnostic, state: State) {
    let code = diagnostic.code.0;
    match (diagnostic.severity, state) {
        (Severity::Error, State::Kept) => {
            tracing::error!(code, problem = %diagnostic, "the document is broken, and stays as it was");
        }
        (Severity::Error, _) => tracing::error!(code, problem = %diagnostic, "the document has an error"),
        (Severity::Warning, _) => tracing::warn!(code, problem = %diagnostic, "the document has a problem"),
        (Severity::Note, _) => tracing::debug!(code, problem = %diagnostic, "the document"),
    }
}

/// Reads and compiles on a thread that may block.
async fn prepare(config: Arc<Config>, previous: Arc<Loaded>, web: Arc<Web>) -> Result<Prepared, JoinError> {
    let work = move || {
        let loaded = load::load(&config, &previous, &web);
        let compiled = load::compile(&config, &loaded);
        let certificates = tls::read(&config);
        let files = Files::read(&config.callbacks);
        Prepared { config, loaded, compiled, certificates, files }
    };
    tokio::task::spawn_blocking(work).await
}

async fn put_together(
    prepared: Prepared,
    version: u64,
    before: &BTreeMap<String, Arc<Upstream>>,
) -> (InForce, Loaded) {
    let Prepared { config, loaded, compiled, certificates, files: _ } = prepared;
    let load::Compiled { mocks, reports, .. } = compiled;
    let upstreams = upstreams(&config, certificates, before).await;
    let upstream_of = |entry: usize| {
        config.specs[entry].upstream.clone().unwrap_or_else(|| config::DEFAULT_UPSTREAM.to_owned())
    };
    let mut documents = Vec::new();
    let mut document_upstreams = Vec::new();
    for (loading, diagnostics) in loaded.documents.iter().zip(reports) {
        let number = mocks.documents.iter().position(|summary| summary.source == loading.source);
        let summary = number.map(|number| &mocks.documents[number]);
        let operations =
            mocks.operations.iter().filter(|operation| Some(operation.document) == number).count();
        if summary.is_some() {
            document_upstreams.push(upstream_of(loading.entry));
        }
        documents.push(Served {
            source: loading.source.clone(),
            title: summary.map(|summary| summary.title.clone()).unwrap_or_default(),
            version: summary.map(|summary| summary.version.clone()).unwrap_or_default(),
            state: loading.state,
            operations,
            diagnostics,
        });
    }
    let meters = Meters::of(&mocks);
    let in_force = InForce { version, config, mocks, meters, upstreams, document_upstreams, documents };
    (in_force, loaded)
}

/// The files that callbacks are sent with.
fn named(config: &Config) -> Vec<(PathBuf, Stamp)> {
    let files = config.callbacks.secret_file.iter().chain(&config.callbacks.ca);
    files.map(|file| (file.clone(), load::stamp(file))).collect()
}

fn broken(certificates: &Certificates) -> Vec<Diagnostic> {
    certificates.values().filter_map(|read| read.as_ref().err()).map(|problem| *problem.clone()).collect()
}

/// Those with the same config and the same certificates stay, as do those whose certificates can't be
/// read now.
async fn upstreams(
    config: &Config,
    mut certificates: Certificates,
    before: &BTreeMap<String, Arc<Upstream>>,
) -> BTreeMap<String, Arc<Upstream>> {
    let mut upstreams = BTreeMap::new();
    let mut lookups = Vec::new();
    for (name, wanted) in &config.upstreams {
        if let Some(warning) = tls::unverified(name, wanted) {
            tracing::warn!(code = warning.code.0, problem = %warning, "an upstream is not verified");
        }
        let old = before.get(name);
        let upstream = match certificates.remove(name) {
            Some(Ok(tls)) => match old.filter(|old| old.is_as(wanted, &tls)) {
                Some(kept) => kept.clone(),
                None => {
                    let (started, looked_up) = Upstream::start(name, wanted, tls);
                    lookups.push(looked_up);
                    started
                }
            },
            _ => old.cloned().unwrap_or_else(|| Upstream::closed(name, wanted)),
        };
        upstreams.insert(name.clone(), upstream);
    }
    let deadline = tokio::time::Instant::now() + RESOLVE;
    for lookup in lookups {
        let _ = tokio::time::timeout_at(deadline, lookup).await;
    }
    upstreams
}

impl Handle {
    /// Reloads at once, changed or not. None while the process is stopping.
    pub async fn now(&self) -> Option<Outcome> {
        let (answer, outcome) = oneshot::channel();
        self.0.send(Ask::Now(answer)).await.ok()?;
        outcome.await.ok()
    }
}
