//! The command line: its commands, their flags together with the environment and the config file,
//! and how problems are drawn.

pub mod demo;

pub mod callbacks;

pub mod routes;

pub mod check;

pub mod run;

pub mod settings;

pub mod flags;

pub mod report;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use standin::config::Config;
use standin::server::callbacks::Files;
use standin::server::load::{self, Compiled, Loaded, Web};
use standin::server::upstream::tls;

/// Documents, listeners or certificates are wrong.
const BROKEN: u8 = 1;

/// Flags or config are wrong.
const USAGE: u8 = 2;

/// How long a command may wait before it says what for.
const SILENCE: Duration = Duration::from_millis(500);

/// Reads and compiles the documents of a config, as `run` does.
fn compile(config: &Config) -> std::io::Result<(Loaded, Compiled)> {
    let loaded = load(config)?;
    let compiled = load::compile(config, &loaded);
    Ok((loaded, compiled))
}

/// As [`compile`], with what is only worth its time where someone asks.
fn checked(config: &Config) -> std::io::Result<(Loaded, Compiled)> {
    let loaded = load(config)?;
    let mut compiled = load::check(config, &loaded);
    compiled.others.extend(tls::check(config));
    compiled.others.extend(Files::read(&config.callbacks).err().map(|problem| *problem));
    Ok((loaded, compiled))
}

fn load(config: &Config) -> std::io::Result<Loaded> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let web = runtime.block_on(async { Web::new() });
    runtime.block_on(async {
        let mut expected = std::pin::pin!(web.expect(config));
        if tokio::time::timeout(SILENCE, &mut expected).await.is_err() {
            eprintln!("a document by URL is not there yet; asking again, as `reload.start_wait` says");
            expected.await;
        }
    });
    let loaded = load::load(config, &Loaded::default(), &web);
    // A name that is still looked up is not waited for.
    runtime.shutdown_background();
    Ok(loaded)
}

fn cannot_read(error: &std::io::Error) -> ExitCode {
    eprintln!("error: the documents can't be read: {error}");
    ExitCode::from(BROKEN)
}

/// Prints a result. A reader that went away (`| head`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
