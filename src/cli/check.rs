//! `standin check`: reads everything exactly as `run` does, and says what it found.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;
use standin::config::{Config, Mode};
use standin::diagnostic::{Diagnostic, Severity};
use standin::mock::{Mocks, Operation};
use standin::server::load::{Loaded, State};

use super::flags::{Check, Format};
use super::report::{self, Colour};
use super::run::count;
use super::{BROKEN, USAGE, print, settings};

pub fn check(flags: Check) -> ExitCode {
    let Check { sources, format, strict } = flags;
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
    let (loaded, compiled) = super::compile(&config);
    let diagnostics: Vec<Diagnostic> = compiled.diagnostics().cloned().collect();
    match format {
        Format::Json => print(&findings(documents(&loaded, &compiled.mocks), &diagnostics)),
        Format::Text => print(&text(&config, &loaded, &compiled.mocks, &diagnostics)),
    }
    let counted = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let bad = counted(Severity::Error) + if strict { counted(Severity::Warning) } else { 0 };
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
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
            "mocked": own.iter().filter(|operation| is_mocked(operation)).count(),
            "callbacks": own.iter().map(|operation| operation.callbacks().count()).sum::<usize>(),
        })
    });
    served.collect()
}

fn is_mocked(operation: &Operation) -> bool {
    operation.routed && operation.mode == Mode::Mock
}

fn text(config: &Config, loaded: &Loaded, mocks: &Mocks, diagnostics: &[Diagnostic]) -> String {
    let mut out = report::text(diagnostics, Colour::of(&std::io::stdout()));
    for loading in &loaded.documents {
        let number = mocks.documents.iter().position(|summary| summary.source == loading.source);
        let Some(number) = number.filter(|_| loading.state != State::Broken) else {
            let _ = writeln!(out, "{}: not served", report::shown(&loading.source));
            continue;
        };
        let summary = &mocks.documents[number];
        let own = || mocks.operations.iter().filter(|operation| operation.document == number);
        let mocked = own().filter(|operation| is_mocked(operation)).count();
        let passed = own().filter(|operation| operation.routed && operation.mode == Mode::Pass).count();
        let empty = own().filter(|operation| is_mocked(operation) && !operation.answers()).count();
        let callbacks: usize = own().map(|operation| operation.callbacks().count()).sum();
        let title = match format!("{} {}", summary.title, summary.version).trim() {
            "" => "no title".to_owned(),
            title => title.to_owned(),
        };
        let mut parts = vec![format!("{mocked} mocked")];
        let others = [
            (passed, "passed"),
            (empty, "without an answer"),
            (own().count() - mocked - passed, "not routed"),
        ];
        parts.extend(
            others.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")),
        );
        let _ = writeln!(
            out,
            "{}: {}, {} {}: {} ({}), {}",
            report::shown(&summary.source),
            title,
            if summary.openapi == "2.0" { "Swagger" } else { "OpenAPI" },
            summary.openapi,
            count(own().count(), "operation"),
            parts.join(", "),
            count(callbacks, "callback"),
        );
    }
    let counted = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let _ = writeln!(
        out,
        "{}, {}, {}",
        count(loaded.documents.len(), "document"),
        count(counted(Severity::Error), "error"),
        count(counted(Severity::Warning), "warning"),
    );
    if config.specs.is_empty() {
        let _ = writeln!(out, "the config names no document: everything passes to the upstream");
    }
    out
}
