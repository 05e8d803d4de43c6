//! Routes that no request finds, and what may surprise in a path key.

use crate::diagnostic::{Code, Diagnostic, Report, Severity};
use crate::mock::{Operation, route};
use crate::spec::document;
use crate::tree::Key;

const SAME_ROUTE: Code = Code("SI0208");
const UNREACHABLE: Code = Code("SI0213");
const UNREAD_PATTERN: Code = Code("SI0214");
const EMPTY_SEGMENT: Code = Code("SI0215");
const STRAY_BRACE: Code = Code("SI0216");

/// A route that could not be added. `first` has it already: where it is described, and what it is;
/// nothing else has it where another base path of the same operation does.
pub fn refused(
    operation: &document::Operation<'_>,
    base: &str,
    why: route::Refused,
    first: Option<(Key<'_>, &Operation)>,
) -> Diagnostic {
    let route = format!("{} {}", operation.method, route::whole(base, operation.path));
    let (code, message) = match why {
        route::Refused::TooLong => {
            (UNREACHABLE, "this is never found: the path has more than 500 segments".to_owned())
        }
        route::Refused::ConditionsTaken(_) => (
            UNREACHABLE,
            format!("`{route}` is never found: a route with the same conditions is there already"),
        ),
        route::Refused::Taken(_) => (SAME_ROUTE, format!("`{route}` is there already")),
    };
    let problem = operation.key.problem(Severity::Warning, code, message);
    match first {
        Some((first, other)) => {
            let place = first.place();
            problem.hint(format!(
                "{}:{} has it, as `{}`; the first one answers",
                place.file, place.line, other.label
            ))
        }
        None => problem,
    }
}

/// What may surprise in a path key.
pub fn odd(operation: &document::Operation<'_>, report: &mut Report) {
    let key = operation.path_key;
    let template = route::Template::parse("", operation.path, &[]);
    let literals = template.segments.iter().map(|segment| match segment {
        route::Segment::Literal(text) => Some(text.as_str()),
        route::Segment::Templated(_) => None,
    });
    let literals: Vec<_> = literals.collect();
    if literals.iter().any(|literal| matches!(literal, Some("." | ".."))) {
        let message = "no client asks for this path: `.` and `..` are resolved before a request is sent";
        report.push(
            key.problem(Severity::Warning, UNREACHABLE, message).hint("write the path that they lead to"),
        );
    }
    if literals.iter().rev().skip(1).any(|literal| *literal == Some("")) {
        let message = "the path has an empty segment, which a request must have too";
        report.push(
            key.problem(Severity::Note, EMPTY_SEGMENT, message).hint("write one `/` if `//` is a slip"),
        );
    }
    if let Some(brace) = stray_brace(route::bare(operation.path)) {
        let message = match brace {
            b'{' => "a `{` of the path is not closed, and is taken as text",
            _ => "a `}` of the path closes nothing, and is taken as text",
        };
        let hint = "write a parameter as `{name}`; where the brace is meant, write `%7B` or `%7D`";
        report.push(key.problem(Severity::Warning, STRAY_BRACE, message).hint(hint));
    }
    if let Some(unread) = &template.unread {
        let message =
            format!("the pattern of `{{{unread}}}` is not looked at: the parameter takes any one segment");
        report.push(key.problem(Severity::Note, UNREAD_PATTERN, message));
    }
}

/// The first brace of a path that has no other.
fn stray_brace(path: &str) -> Option<u8> {
    let mut open = 0_usize;
    for byte in path.bytes() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(byte),
            b'}' => open -= 1,
            _ => {}
        }
    }
    (open > 0).then_some(b'{')
}
