//! Documents as the tests write them.

/// The text without its first empty line and without the indentation that all lines share.
pub fn dedent(text: &str) -> String {
    let text = text.strip_prefix('\n').unwrap_or(text);
    let indentation = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let shared =
        text.lines().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or_default();
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(line.get(shared..).unwrap_or_default());
        out.push('\n');
    }
    out
}

/// A whole OpenAPI 3.1 document of the given `paths`, and what may follow them at the same level
/// after a line of `---`.
pub fn document(paths: &str) -> String {
    let (paths, rest) = match paths.split_once("\n---\n") {
        Some((paths, rest)) => (paths.to_owned(), dedent(rest)),
        None => (paths.to_owned(), String::new()),
    };
    let mut out = String::from("openapi: 3.1.0\ninfo: {title: Test, version: 1.0.0}\npaths:\n");
    for line in dedent(&paths).lines() {
        out.push_str("  ");
        out.push_str(line);
        out.push('\n');
    }
    out + &rest
}

/// One line of `paths`: an operation that answers `{"says": SAYS}`.
pub fn operation(method: &str, path: &str, says: &str) -> String {
    format!(
        "'{path}': {{{method}: {{responses: {{'200': {{description: ok, \
         content: {{application/json: {{example: {{says: {says}}}}}}}}}}}}}}}\n"
    )
}

#[test]
fn dedent_takes_off_what_all_lines_share() {
    assert_eq!(dedent("\n    a:\n      b: 1\n\n    c: 2\n    "), "a:\n  b: 1\n\nc: 2\n\n");
}
