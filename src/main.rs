//! The command line's entry: reads the flags and calls one command.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

mod cli;

use cli::flags::{Command, Flags};

/// Many small buffers come and go on every core at once.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match Flags::parse().command {
        Command::Run(flags) => {
            let strict = flags.strict;
            cli::run::run((*flags).into(), strict)
        }
        Command::Check(flags) => cli::check::check(flags),
        Command::Routes(flags) => cli::routes::routes(flags),
        Command::Callbacks { command } => cli::callbacks::callbacks(command),
        Command::Demo(flags) => cli::demo::demo(flags),
    }
}
