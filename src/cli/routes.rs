//! `standin routes`: the decision table.

use std::borrow::Cow;
use std::process::ExitCode;

use standin::mock::{Mocks, Operation};
use standin::server::{admin, load::State};

use super::flags::{Format, Routes};
use super::run::count;
use super::{BROKEN, USAGE, print, report, settings};

pub fn routes(flags: Routes) -> ExitCode {
    let config = match settings::read(&flags.sources.into()) {
        Ok((config, _)) => config,
        Err(problems) => {
            report::print_errors(&problems);
            return ExitCode::from(USAGE);
        }
    };
    let (loaded, compiled) = match super::compile(&config) {
        Ok(read) => read,
        Err(error) => return super::cannot_read(&error),
    };
    match flags.format {
        Format::Json => print(&format!("{}\n", admin::table(&compiled.mocks))),
        Format::Text => print(&table(&compiled.mocks, report::width())),
    }
    let mut code = ExitCode::SUCCESS;
    for (loading, report) in loaded.documents.iter().zip(&compiled.reports) {
        if loading.state == State::Broken {
            report::print_errors(report);
            code = ExitCode::from(BROKEN);
        }
    }
    code
}

/// Columns that shrink where the terminal is too narrow; a method or a mode never does.
const SHRINKING: [usize; 3] = [1, 2, 6];

/// What a column keeps of itself.
const NARROWEST: usize = 12;

/// Columns as wide as their widest cell, or as the terminal allows.
fn table(mocks: &Mocks, width: Option<usize>) -> String {
    let heads = ["METHOD", "PATH", "OPERATION", "MODE", "DECIDED BY", "EXAMPLES", "CALLBACKS"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(mocks.operations.iter().filter(|operation| operation.routed).map(row));
    if let Some(width) = width {
        shrink(&mut rows, width);
    }
    let mut out = report::table(&rows);
    let unrouted: Vec<&Operation> = mocks.operations.iter().filter(|operation| !operation.routed).collect();
    if !unrouted.is_empty() {
        let more = count(unrouted.len(), "operation");
        out.push_str(&format!("\n{more} not routed, as an earlier one has the method and path:\n"));
        let rows = unrouted.iter().map(|operation| {
            let source = report::shown(&mocks.documents[operation.document].source);
            let cells = [operation.method.as_str(), &operation.template].map(report::printable);
            let [method, template] = cells.map(Cow::into_owned);
            [method, template, source]
        });
        out.push_str(&report::table(&rows.collect::<Vec<_>>()));
    }
    out
}

fn row(operation: &Operation) -> [String; 7] {
    let callbacks: Vec<&str> = operation.callbacks().collect();
    let callbacks = if callbacks.is_empty() { "-".to_owned() } else { callbacks.join(", ") };
    // Without an `operationId` it is called by its method and path, which stand there already.
    let label = match &*operation.label {
        label if label.split_once(' ').is_some_and(|(_, path)| path == operation.template) => "-",
        label => label,
    };
    let examples = match (operation.examples().count(), operation.answers()) {
        (0, true) => "no content".to_owned(),
        (0, false) => "none".to_owned(),
        (number, _) => number.to_string(),
    };
    [
        operation.method.as_str(),
        &operation.template,
        label,
        operation.mode.as_str(),
        operation.decided_by,
        &examples,
        &callbacks,
    ]
    .map(|cell| report::printable(cell).into_owned())
}

/// Takes from the widest of the columns that may shrink until all fit, and cuts their cells.
fn shrink(rows: &mut [[String; 7]], width: usize) {
    let mut widths = report::widths(rows);
    let total = |widths: &[usize; 7]| widths.iter().sum::<usize>() + report::GAP * (widths.len() - 1);
    while total(&widths) > width {
        let widest = SHRINKING.into_iter().max_by_key(|column| widths[*column]);
        let Some(column) = widest.filter(|column| widths[*column] > NARROWEST) else { break };
        widths[column] -= 1;
    }
    for row in rows {
        for column in SHRINKING {
            row[column] = report::cut(&row[column], widths[column]);
        }
    }
}
