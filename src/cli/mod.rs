//! The command line: its commands, their flags together with the environment and the config file,
//! and how problems are drawn.

pub mod demo;

pub mod routes;

pub mod check;

pub mod run;

pub mod settings;

pub mod flags;

pub mod report;

use std::io::Write;

use standin::config::Config;
use standin::server::load::{self, Compiled, Loaded};

/// Documents, listeners or certificates are wrong.
const BROKEN: u8 = 1;

/// Flags or config are wrong.
const USAGE: u8 = 2;

/// Reads and compiles the documents of a config, as `run` does.
fn compile(config: &Config) -> (Loaded, Compiled) {
    let loaded = load::load(config, &Loaded::default());
    let compiled = load::compile(config, &loaded);
    (loaded, compiled)
}

/// As [`compile`], with what is only worth its time where someone asks.
fn checked(config: &Config) -> (Loaded, Compiled) {
    let loaded = load::load(config, &Loaded::default());
    let compiled = load::check(config, &loaded);
    (loaded, compiled)
}

/// Prints a result. A reader that went away (`| head`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
