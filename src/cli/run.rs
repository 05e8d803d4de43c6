//! `standin run`: serves until a signal.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use standin::config::{Config, LogFormat, Target};
use standin::server::{Failure, Plan, Standin};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::report::{self, Colour};
use super::settings::{self, Overrides};
use super::{BROKEN, USAGE};

pub fn run(overrides: Overrides, strict: bool) -> ExitCode {
    let (config, config_file) = match settings::read(&overrides) {
        Ok(read) => read,
        Err(problems) => {
            report::print_errors(&problems);
            return ExitCode::from(USAGE);
        }
    };
    log(&config);
    let reread = move || settings::read(&overrides).map(|(config, _)| config);
    serve(Plan { config, config_file, reread: Arc::new(reread), strict }, |standin| {
        let _ = writeln!(std::io::stdout(), "{}", ready_line(standin));
    })
}

/// Runs a plan on a runtime of its own until it is told to stop. `ready` is called once it serves.
pub fn serve(plan: Plan, ready: impl FnOnce(&Standin)) -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // Without a number the runtime takes as many as there are cores that the process may use.
    if let Some(threads) = plan.config.threads {
        builder.worker_threads(threads);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the threads can't be started: {error}");
            return ExitCode::from(BROKEN);
        }
    };
    let code = runtime.block_on(async {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                eprintln!("error: signals can't be received: {error}");
                return BROKEN;
            }
        };
        let started = tokio::select! {
            started = Standin::start(plan) => started,
            () = signals.stop() => return 0,
        };
        let standin = match started {
            Ok(standin) => standin,
            Err(failure) => {
                print_failure(&failure);
                return BROKEN;
            }
        };
        ready(&standin);
        signals.first(&standin).await;
        tokio::select! {
            () = standin.stop() => 0,
            code = signals.second() => code,
        }
    });
    // What still runs is not waited for: everything that counts has ended, or was cut.
    runtime.shutdown_background();
    ExitCode::from(code)
}

fn print_failure(failure: &Failure) {
    if let Failure::Documents { diagnostics, .. } | Failure::Certificates(diagnostics) = failure {
        report::print_errors(diagnostics);
    }
    if let Failure::Store(diagnostic) = failure {
        report::print_errors(std::slice::from_ref(&**diagnostic));
    }
    eprintln!("error: {failure}");
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when a stop is asked for, be it while documents are still read.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Returns when a stop is asked for; `SIGHUP` reloads.
    async fn first(&mut self, standin: &Standin) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    let reloads = standin.reloads();
                    tokio::spawn(async move { reloads.now().await });
                }
            }
        }
    }

    /// The exit code of the second one: 128 and the signal's number, as shells have it.
    async fn second(&mut self) -> u8 {
        let code = tokio::select! {
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
        };
        tracing::warn!("stopped at once, by a second signal");
        code
    }
}

/// `listening on http://127.0.0.1:8080 (admin http://127.0.0.1:9900); ...`
pub fn ready_line(standin: &Standin) -> String {
    let live = standin.live.current();
    let addresses: Vec<String> = standin.addresses.iter().map(ToString::to_string).collect();
    let admin = standin.admin.map_or("admin off".to_owned(), |address| format!("admin http://{address}"));
    let mocked = live.mocks.operations.iter().filter(|operation| operation.is_mocked()).count();
    let mocked = count(mocked, "operation");
    let documents = count(live.mocks.documents.len(), "document");
    let callbacks = callbacks(&live.config);
    format!("listening on {} ({admin}); {mocked} mocked from {documents}; {callbacks}", addresses.join(", "))
}

fn callbacks(config: &Config) -> String {
    if !config.callbacks.enabled {
        return "callbacks are off".to_owned();
    }
    let allowed: Vec<String> = config.callbacks.allow.iter().map(Target::to_string).collect();
    match allowed.is_empty() {
        true => "callbacks may go nowhere".to_owned(),
        false => format!("callbacks may go to {}", allowed.join(", ")),
    }
}

/// `1 operation`, `2 operations`
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Logs go to stderr; what libraries log comes out the same way.
pub fn log(config: &Config) {
    use std::io::IsTerminal;
    use tracing_subscriber::{EnvFilter, fmt, prelude::*};
    let level = &config.log.level;
    // pingora logs each broken connection as an error, and notify each folder that is removed; what
    // matters of it, Standin says itself.
    let quiet = ["pingora_core=off", "pingora_proxy=off", "notify=off"].map(str::parse);
    let named = level.contains("pingora") || level.contains("notify");
    let mut filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    for directive in quiet.into_iter().flatten().filter(|_| !named) {
        filter = filter.add_directive(directive);
    }
    let colour = std::io::stderr().is_terminal() && Colour::of(&std::io::stderr()) == Colour::Always;
    let registry = tracing_subscriber::registry().with(filter);
    let done = match config.log.format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false))
            .try_init(),
        LogFormat::Json => {
            let layer =
                fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_target(false);
            registry.with(layer).try_init()
        }
    };
    // A second subscriber is refused, which only a caller that set one up could bring about.
    let _ = done;
}
