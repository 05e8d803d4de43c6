//! What can be written on the command line.
//!
//! Values stay text here: the environment has the same ones, so [`settings`] reads both in one
//! way, and says which of the two was wrong.
//!
//! [`settings`]: super::settings

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  standin demo
  standin run --spec openapi.yaml --upstream http://127.0.0.1:9000
  standin check --spec openapi.yaml --strict

Each flag of `run` with a value has a variable, which it wins over: STANDIN_UPSTREAM for --upstream.";

/// The whole line. Its page begins with the package's own description.
#[derive(Debug, Parser)]
#[command(name = "standin", version, about, long_about = None, after_help = EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Flags {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: answer what the documents mock, pass on everything else
    Run(Box<Run>),
    /// Say what would be mocked, and everything that is wrong with it
    Check(Check),
    /// Print the operations, their modes and what decided them
    Routes(Routes),
    /// Send the callbacks of an operation by hand, to try a receiver
    Callbacks {
        #[command(subcommand)]
        command: CallbacksCommand,
    },
    /// Try it in one command: an upstream, a receiver and a sample document, no network
    Demo(Demo),
}

#[derive(Debug, Default, Args)]
pub struct Run {
    #[command(flatten)]
    pub sources: Sources,
    /// Where everything goes that is not mocked
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where the admin port listens, or `off` [default: 127.0.0.1:9900]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// For operations that nothing else decides: mock, match, fallback or pass [default: mock]
    #[arg(long)]
    pub mode: Option<String>,
    /// Hold requests against the document, security included: off, report or enforce [default: report]
    #[arg(long, value_name = "LEVEL")]
    pub validate: Option<String>,
    /// Hold answers against the document: off, report or enforce [default: off]
    #[arg(long, value_name = "LEVEL")]
    pub validate_response: Option<String>,
    /// Answer with random instances of the schemas, not with examples
    #[arg(long, value_name = "on|off", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub dynamic: Option<String>,
    /// Answer preflights of browsers for what is mocked [default: on]
    #[arg(long, value_name = "on|off")]
    pub cors: Option<String>,
    /// Don't start if a document of a folder is broken
    #[arg(long)]
    pub strict: bool,
    /// The form of the log: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log: Option<String>,
    /// What is logged, such as info or info,standin=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
}

#[derive(Debug, Default, Args)]
pub struct Check {
    #[command(flatten)]
    pub sources: Sources,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Take warnings for errors
    #[arg(long)]
    pub strict: bool,
    /// Show notes too
    #[arg(long)]
    pub notes: bool,
    /// Show all problems of a kind, not the first ten of a document
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Default, Args)]
pub struct Routes {
    #[command(flatten)]
    pub sources: Sources,
    /// How to print the table
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Subcommand)]
pub enum CallbacksCommand {
    /// Send the callbacks that go with an answer, as the config says, and tell what became of them
    Send(Box<Send>),
}

#[derive(Debug, Default, Args)]
pub struct Send {
    #[command(flatten)]
    pub sources: Sources,
    /// Its `operationId`, or its method and path as 'POST /users'
    #[arg(long, value_name = "NAME")]
    pub operation: String,
    /// The example of the answer [default: the one that the request fits, else the first]
    #[arg(long, value_name = "NAME")]
    pub example: Option<String>,
    /// Where all of them go, whatever the document says; it is let through
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// The path and the query of the client's request [default: from the examples]
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// A header field of the client's request, as 'name: value'; can be repeated
    #[arg(long = "header", value_name = "FIELD")]
    pub headers: Vec<String>,
    /// The body of the client's request, `-` for stdin [default: from the examples]
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// The host that the client names
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1:8080")]
    pub host: String,
    /// Don't wait before them
    #[arg(long)]
    pub now: bool,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What it prints
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
    /// Fail also if an answer is not as the document says
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Default, Args)]
pub struct Demo {
    /// Where to listen
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where the admin port listens
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
}

/// Where the settings and the documents are.
#[derive(Debug, Default, Clone, Args)]
pub struct Sources {
    /// The config file [default: standin.yaml or config/standin.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An OpenAPI document, a folder of them, a pattern or a URL; can be repeated
    #[arg(long = "spec", value_name = "SOURCE")]
    pub specs: Vec<String>,
    /// A folder that documents may refer to files in, besides their own
    #[arg(long, value_name = "DIR")]
    pub root: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[track_caller]
    fn refuse(line: &str, expected: &str) {
        let error = Flags::try_parse_from(line.split(' ')).expect_err("should be refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[track_caller]
    fn run(line: &str) -> Run {
        match Flags::try_parse_from(line.split(' ')).expect("good flags").command {
            Command::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_flags_hold_together() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_spec_can_be_repeated() {
        let run = run("standin run -c a.yaml --spec b.yaml --spec c --upstream http://d");
        assert_eq!(run.sources.config, Some("a.yaml".into()));
        assert_eq!(run.sources.specs, ["b.yaml", "c"]);
        assert_eq!(run.upstream.as_deref(), Some("http://d"));
    }

    #[test]
    fn dynamic_needs_no_value() {
        assert_eq!(run("standin run --dynamic --spec a").dynamic.as_deref(), Some("on"));
        assert_eq!(run("standin run --dynamic=off").dynamic.as_deref(), Some("off"));
    }

    #[test]
    fn usage_errors_exit_with_2() {
        refuse("standin rnu", "unrecognized subcommand");
        refuse("standin run --sepc a", "unexpected argument");
        refuse("standin check --format xml", "invalid value");
        refuse("standin routes --strict", "unexpected argument");
        refuse("standin", "Usage");
    }
}
