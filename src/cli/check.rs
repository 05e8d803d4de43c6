//! `standin check`: reads everything exactly as `run` does, looks closer, and says what it found.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;
use standin::config::{Config, Mode};
use standin::diagnostic::{Diagnostic, Severity};
use standin::mock::{Mocks, Operation};
use standin::server::certificate;
use standin::server::load::{Compiled, Loaded, State};

use super::flags::{Check, Format};
use super::report::{self, Colour};
use super::run::count;
use super::{BROKEN, USAGE, print, settings};

/// Problems of one kind and one document that are drawn; if they are more than `MANY`, only so many.
const DRAWN: usize = 10;
const MANY: usize = 20;

/// Where each code is explained.
const PAGE: &str = "docs/diagnostics.md";

pub fn check(flags: Check) -> ExitCode {
    let Check { sources, format, strict, notes, all } = flags;
    let config = match settings::read(&sources.into()) {
        Ok((config, _)) => config,
        Err(problems) => {
            match format {
                Format::Text => report::print_errors(&problems),
                Format::Json => print(&findings(Vec::new(), &problems)),
            }
            return ExitCode::from(USAGE);
        }
    };
    let (loaded, mut compiled) = match super::checked(&config) {
        Ok(read) => read,
        Err(error) => return super::cannot_read(&error),
    };
    compiled.others.extend(certificate::read(&config.listen).err().unwrap_or_default());
    let diagnostics: Vec<Diagnostic> = compiled.diagnostics().cloned().collect();
    match format {
        Format::Json => print(&findings(documents(&loaded, &compiled.mocks), &diagnostics)),
        Format::Text => {
            let least = if notes { Severity::Note } else { Severity::Warning };
            let most = if all { usize::MAX } else { MANY };
            let mut out = drawn(&compiled, least, most);
            out.push_str(&overview(&loaded, &compiled.mocks));
            out.push_str(&summary(&config, &loaded, &compiled.mocks, &diagnostics));
            out.push_str(&advice(&diagnostics, Asked { strict, notes }));
            print(&out);
        }
    }
    let bad =
        of(&diagnostics, Severity::Error) + if strict { of(&diagnostics, Severity::Warning) } else { 0 };
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

fn of(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
}

fn findings(documents: Vec<serde_json::Value>, diagnostics: &[Diagnostic]) -> String {
    let diagnostics: Vec<_> = diagnostics.iter().map(Diagnostic::to_json).collect();
    format!("{}\n", json!({ "documents": documents, "diagnostics": diagnostics }))
}

fn documents(loaded: &Loaded, mocks: &Mocks) -> Vec<serde_json::Value> {
    let served = loaded.documents.iter().map(|loading| {
        let number = mocks.documents.iter().position(|summary| summary.source == loading.source);
        let summary = number.map(|number| &mocks.documents[number]);
        let own: Vec<&Operation> =
            mocks.operations.iter().filter(|operation| Some(operation.document) == number).collect();
        json!({
            "source": loading.source,
            "title": summary.map(|summary| &summary.title),
            "version": summary.map(|summary| &summary.version),
            "openapi": summary.map(|summary| &summary.openapi),
            "operations": own.len(),
            "mocked": own.iter().filter(|operation| operation.is_mocked()).count(),
            "callbacks": own.iter().map(|operation| operation.callbacks().count()).sum::<usize>(),
        })
    });
    served.collect()
}

/// The problems, each drawn; of one kind in one document not more than `most`, or the first few.
fn drawn(compiled: &Compiled, least: Severity, most: usize) -> String {
    let colour = Colour::of(&std::io::stdout());
    let mut out = String::new();
    for report in compiled.reports.iter().chain([&compiled.others]) {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let shown = || report.iter().filter(|diagnostic| diagnostic.severity <= least);
        shown().for_each(|diagnostic| counts.entry(diagnostic.code.0).or_default().0 += 1);
        for diagnostic in shown() {
            let (count, told) = counts.entry(diagnostic.code.0).or_default();
            *told += 1;
            if *count <= most || *told <= DRAWN {
                out.push_str(&report::text(std::slice::from_ref(diagnostic), colour));
            }
        }
        let untold = counts.iter().filter(|(_, (count, _))| *count > most);
        let mut lines = String::new();
        for (code, (count, _)) in untold {
            let _ = writeln!(lines, "... and {} more {code} (all: --all)", count - DRAWN);
        }
        if !lines.is_empty() {
            out.push_str(&lines);
            out.push('\n');
        }
    }
    out
}

/// A line for each document.
fn overview(loaded: &Loaded, mocks: &Mocks) -> String {
    let rows = loaded.documents.iter().map(|loading| {
        let source = report::shown(&loading.source);
        let number = mocks.documents.iter().position(|summary| summary.source == loading.source);
        let Some(number) = number.filter(|_| loading.state != State::Broken) else {
            return [source, "not served".to_owned(), String::new(), String::new()];
        };
        let summary = &mocks.documents[number];
        let own = mocks.operations.iter().filter(|operation| operation.document == number);
        let title = match format!("{} {}", summary.title, summary.version).trim() {
            "" => "no title".to_owned(),
            title => report::printable(title).into_owned(),
        };
        let format = if summary.openapi == "2.0" { "Swagger" } else { "OpenAPI" };
        let version = format!("{format} {}", report::printable(&summary.openapi));
        [source, title, version, Tally::of(own).to_string()]
    });
    report::table(&rows.collect::<Vec<_>>())
}

/// What becomes of operations.
#[derive(Default)]
struct Tally {
    operations: usize,
    mocked: usize,
    /// Of those that are mocked, with the next two.
    matched: usize,
    fallen: usize,
    without_answer: usize,
    passed: usize,
    not_routed: usize,
    callbacks: usize,
}

impl Tally {
    fn of<'m>(operations: impl Iterator<Item = &'m Operation>) -> Tally {
        let mut tally = Tally::default();
        for operation in operations {
            tally.operations += 1;
            tally.callbacks += operation.callbacks().count();
            if !operation.is_mocked() {
                tally.not_routed += usize::from(!operation.routed);
                tally.passed += usize::from(operation.routed);
                continue;
            }
            tally.mocked += 1;
            tally.matched += usize::from(operation.mode == Mode::Match);
            tally.fallen += usize::from(operation.mode == Mode::Fallback);
            tally.without_answer += usize::from(!operation.answers());
        }
        tally
    }
}

/// `3 operations (2 mocked, 1 of them match, 1 passed), 1 callback`
impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { operations, mocked, matched, fallen, without_answer, passed, not_routed, callbacks } =
            self;
        let others = [
            (matched, "of them match"),
            (fallen, "of them fallback"),
            (without_answer, "of them without an answer"),
            (passed, "passed"),
            (not_routed, "not routed"),
        ];
        let mut parts = vec![format!("{mocked} mocked")];
        let others = others.iter().filter(|(number, _)| **number > 0);
        parts.extend(others.map(|(number, what)| format!("{number} {what}")));
        let (operations, callbacks) = (count(*operations, "operation"), count(*callbacks, "callback"));
        write!(f, "{operations} ({}), {callbacks}", parts.join(", "))
    }
}

/// Everything in a line or two.
fn summary(config: &Config, loaded: &Loaded, mocks: &Mocks, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    if loaded.documents.len() > 1 {
        let _ = writeln!(out, "{}", Tally::of(mocks.operations.iter()));
    }
    let _ = writeln!(
        out,
        "{}, {}, {}, {}",
        count(loaded.documents.len(), "document"),
        count(of(diagnostics, Severity::Error), "error"),
        count(of(diagnostics, Severity::Warning), "warning"),
        count(of(diagnostics, Severity::Note), "note"),
    );
    if config.specs.is_empty() {
        let _ = writeln!(out, "the config names no document: everything passes to the upstream");
    }
    out
}

/// What was asked for on the command line.
struct Asked {
    strict: bool,
    notes: bool,
}

/// What to do next, where something is to be done.
fn advice(diagnostics: &[Diagnostic], asked: Asked) -> String {
    let mut counts: BTreeMap<&str, (Severity, usize)> = BTreeMap::new();
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.severity < Severity::Note) {
        let (severity, count) = counts.entry(diagnostic.code.0).or_insert((diagnostic.severity, 0));
        *severity = diagnostic.severity.min(*severity);
        *count += 1;
    }
    let mut out = String::new();
    // The gravest first, then the commonest.
    let first = counts.iter().min_by_key(|(_, (severity, count))| (*severity, std::cmp::Reverse(*count)));
    if let Some((code, (_, count))) = first {
        let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        let _ = writeln!(out, "begin with {code}, {times}: {PAGE}#{}", code.to_ascii_lowercase());
    }
    if of(diagnostics, Severity::Error) == 0 && of(diagnostics, Severity::Warning) > 0 && !asked.strict {
        let _ = writeln!(out, "nothing keeps this from being served; to fail on warnings too: --strict");
    }
    if of(diagnostics, Severity::Note) > 0 && !asked.notes {
        let _ = writeln!(out, "to see the notes: --notes");
    }
    out
}
