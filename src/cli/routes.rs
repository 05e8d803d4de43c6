//! `standin routes`: the decision table.

use std::process::ExitCode;

use standin::mock::Mocks;
use standin::server::{admin, load::State};

use super::flags::{Format, Routes};
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
        Format::Text => print(&table(&compiled.mocks)),
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

/// Columns as wide as their widest cell.
fn table(mocks: &Mocks) -> String {
    let heads = ["METHOD", "PATH", "OPERATION", "MODE", "DECIDED BY", "EXAMPLES", "CALLBACKS"];
    let mut rows = vec![heads.map(str::to_owned)];
    for operation in mocks.operations.iter().filter(|operation| operation.routed) {
        let callbacks: Vec<&str> = operation.callbacks().collect();
        rows.push([
            operation.method.to_string(),
            operation.template.clone(),
            operation.label.to_string(),
            operation.mode.as_str().to_owned(),
            operation.decided_by.to_owned(),
            operation.examples().count().to_string(),
            if callbacks.is_empty() { "-".to_owned() } else { callbacks.join(", ") },
        ]);
    }
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                let cell: String =
                    cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
                format!("{cell:width$}")
            })
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
