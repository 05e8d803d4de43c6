//! Diagnostics as people and as machines read them.
//!
//! What a document says is printed here, so its control characters are replaced: a text must not
//! move a terminal's cursor or turn a line around.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use standin::diagnostic::{Diagnostic, Place, Severity};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Always,
    Never,
}

impl Colour {
    /// Colour where someone looks who has not asked for none (<https://no-color.org>).
    pub fn of(stream: &impl IsTerminal) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !refused { Colour::Always } else { Colour::Never }
    }
}

/// Columns that an excerpt has at least.
const NARROWEST: usize = 40;

/// Columns of a JSON pointer that are shown.
const POINTER: usize = 400;

/// Prints to stderr what keeps a command from doing its work.
pub fn print_errors(diagnostics: &[Diagnostic]) {
    let mut stderr = io::stderr().lock();
    let text = text(diagnostics, Colour::of(&stderr));
    // Nothing is left to tell a closed stderr.
    let _ = stderr.write_all(text.as_bytes());
}

/// Each as rustc draws it, with an empty line after it.
pub fn text(diagnostics: &[Diagnostic], colour: Colour) -> String {
    text_within(width(), diagnostics, colour)
}

fn text_within(width: Option<usize>, diagnostics: &[Diagnostic], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Always => Renderer::styled(),
        Colour::Never => Renderer::plain(),
    };
    // A line that the terminal breaks has its caret under something else.
    let renderer = width.map_or(renderer.clone(), |width| renderer.term_width(width.max(NARROWEST)));
    diagnostics.iter().map(|diagnostic| draw(diagnostic, &renderer) + "\n\n").collect()
}

fn draw(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group =
        Group::with_title(level.primary_title(printable(&diagnostic.message)).id(diagnostic.code.0));
    if let Some(place) = &diagnostic.place {
        // Of an empty line, and of one that holds a secret, there is nothing to see.
        group = match place.text.is_empty() {
            true => group.element(origin(place)),
            false => group.element(snippet(place)),
        };
    }
    // In a text of one line its number says nothing.
    if let Some(place) = diagnostic.place.as_ref().filter(|place| is_cut(place)) {
        group =
            group.element(Level::NOTE.message(format!("at `{}`", printable(&cut(&place.pointer, POINTER)))));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(shown_in(hint)));
    }
    let drawn = renderer.render(&[group]);
    match &diagnostic.place {
        Some(place) if is_cut(place) => with_column(&drawn, place),
        _ => drawn,
    }
}

/// Whether the line is cut on its left.
fn is_cut(place: &Place) -> bool {
    place.caret() != place.column
}

/// The renderer counts the column in what it draws, which is off where a line is cut on its left.
fn with_column(drawn: &str, place: &Place) -> String {
    let origin = |column| format!("{}:{}:{column}\n", shown(&place.file), place.line);
    drawn.replacen(&origin(place.caret()), &origin(place.column), 1)
}

fn origin(place: &Place) -> Origin<'_> {
    let (line, column) = (place.line as usize, place.column as usize);
    Origin::path(shown(&place.file)).line(line).char_column(column)
}

fn snippet(place: &Place) -> Snippet<'_, Annotation<'_>> {
    let text = printable(&place.text);
    let before = place.caret().saturating_sub(1) as usize;
    let begin = offset(&text, before);
    let end = offset(&text, before + place.width.max(1) as usize);
    Snippet::source(text)
        .path(shown(&place.file))
        .line_start(place.line as usize)
        .annotation(AnnotationKind::Primary.span(begin..end))
}

/// A file as a person calls it: relative to the folder that they are in, if it is below that.
pub fn shown(file: &str) -> String {
    let folder = env::current_dir().ok();
    let below = folder.and_then(|folder| Path::new(file).strip_prefix(folder).ok().map(Path::to_path_buf));
    printable(&below.map_or_else(|| file.to_owned(), |below| below.to_string_lossy().into_owned()))
        .into_owned()
}

/// A hint that begins with where something is (`/folder/api.yaml:5 has it`), with the file as [`shown`].
fn shown_in(hint: &str) -> String {
    let Some((file, rest)) = hint.split_once(':').filter(|(file, _)| Path::new(file).is_absolute()) else {
        return printable(hint).into_owned();
    };
    format!("{}:{}", shown(file), printable(rest))
}

/// The byte at which a character begins; the end where there are not so many.
fn offset(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(byte, _)| byte)
}

/// The text with a replacement for each character that would act on a terminal instead of being
/// shown: controls, and those that turn the direction of what follows (CVE-2021-42574). One for
/// one, so that columns stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    if text.contains(acts) { Cow::Owned(text.replace(acts, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Spaces between two columns.
pub const GAP: usize = 2;

/// Rows with their columns aligned.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths = widths(rows);
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let missing = width - columns(cell);
            format!("{cell}{:missing$}", "")
        });
        out.push_str(cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end());
        out.push('\n');
    }
    out
}

/// What each column takes.
pub fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|column| rows.iter().map(|row| columns(&row[column])).max().unwrap_or(0))
}

/// How many columns of a terminal a text takes: East Asian characters are two wide.
fn columns(text: &str) -> usize {
    text.width()
}

/// A text in so many columns, what is too much left out of its middle: both ends tell paths apart.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let begin = within(text.chars(), room.div_ceil(2));
    let end = within(text.chars().rev(), room / 2);
    begin.chain(['\u{2026}']).chain(end.collect::<Vec<_>>().into_iter().rev()).collect()
}

/// The first characters, as many as so many columns have room for.
fn within(characters: impl Iterator<Item = char>, room: usize) -> impl Iterator<Item = char> {
    let mut taken = 0;
    characters.take_while(move |c| {
        taken += c.width().unwrap_or(0);
        taken <= room
    })
}

/// How wide lines may be: what `COLUMNS` says, else what the terminal has; none where stdout is no
/// terminal, since programs want whole lines.
pub fn width() -> Option<usize> {
    let asked = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    asked.or_else(|| terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into()))
}

#[cfg(test)]
mod tests {
    use standin::diagnostic::Code;

    use super::*;

    fn problem() -> Diagnostic {
        Diagnostic::new(Severity::Error, Code("SI0901"), "unknown key `calback`")
            .hint("did you mean `callbacks`?")
            .at(Place {
                file: "standin.yaml".into(),
                line: 12,
                column: 3,
                width: 7,
                text: "  calback: 1".into(),
                pointer: "/calback".into(),
            })
    }

    #[track_caller]
    fn check(diagnostic: Diagnostic, expected: &str) {
        assert_eq!(text(&[diagnostic], Colour::Never), expected);
    }

    #[test]
    fn a_diagnostic_shows_the_line_and_points_at_the_word() {
        check(
            problem(),
            "\
error[SI0901]: unknown key `calback`
  --> standin.yaml:12:3
   |
12 |   calback: 1
   |   ^^^^^^^
   |
   = help: did you mean `callbacks`?

",
        );
    }

    #[test]
    fn a_diagnostic_without_a_place_is_its_message_and_hint() {
        check(
            Diagnostic { place: None, severity: Severity::Warning, ..problem() },
            "\
warning[SI0901]: unknown key `calback`
 |
 = help: did you mean `callbacks`?

",
        );
        check(
            Diagnostic { place: None, hint: None, ..problem() },
            "error[SI0901]: unknown key `calback`\n\n",
        );
    }

    #[test]
    fn characters_that_act_on_a_terminal_are_replaced() {
        let mut diagnostic = problem();
        diagnostic.message = "a \u{1b}[31mred\r\n\u{202e}message".into();
        let place = diagnostic.place.as_mut().expect("a place");
        place.text = "\u{1b}\u{7} calback".into();
        place.column = 4;
        check(
            diagnostic,
            "\
error[SI0901]: a \u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}message
  --> standin.yaml:12:4
   |
12 | \u{fffd}\u{fffd} calback
   |    ^^^^^^^
   |
   = help: did you mean `callbacks`?

",
        );
    }

    #[test]
    fn wide_and_missing_characters_do_not_move_the_caret_off() {
        let mut diagnostic = problem();
        diagnostic.hint = None;
        let place = diagnostic.place.as_mut().expect("a place");
        (place.text, place.column, place.width) = ("é漢: x".into(), 5, 90);
        check(
            diagnostic.clone(),
            "\
error[SI0901]: unknown key `calback`
  --> standin.yaml:12:5
   |
12 | é漢: x
   |      ^

",
        );
        let place = diagnostic.place.as_mut().expect("a place");
        (place.text, place.column) = (String::new(), 1);
        assert!(text(&[diagnostic], Colour::Never).contains("standin.yaml:12:1"));
    }

    #[test]
    fn a_line_that_is_cut_keeps_its_column_and_caret() {
        let line = "x".repeat(300) + "yyy: 1";
        let mut diagnostic = problem();
        let place = diagnostic.place.as_mut().expect("a place");
        (place.text, place.column, place.width) = (Place::excerpt(&line[..300], &line[300..], 301), 301, 3);
        let text = text(&[diagnostic], Colour::Never);
        assert!(text.contains("standin.yaml:12:301\n"), "{text}");
        assert!(text.contains("= note: at `/calback`\n"), "{text}");
        let row = |mark: &str| text.lines().find_map(|line| line.find(mark));
        assert_eq!(row("^^^"), row("yyy"), "{text}");
    }

    #[test]
    fn an_excerpt_is_no_wider_than_the_terminal() {
        let line = "x".repeat(100) + "yyy: " + &"1".repeat(100);
        let mut diagnostic = problem();
        let place = diagnostic.place.as_mut().expect("a place");
        (place.text, place.column, place.width) = (Place::excerpt(&line[..100], &line[100..], 101), 101, 3);
        for width in [60, 80] {
            let text = text_within(Some(width), std::slice::from_ref(&diagnostic), Colour::Never);
            assert!(text.contains("yyy") && text.lines().all(|line| columns(line) <= width), "{text}");
        }
    }

    #[test]
    fn a_place_in_a_hint_is_shown_as_other_places_are() {
        let file = env::current_dir().expect("a folder").join("other.yaml");
        let hint = format!("{}:5 has it: \u{1b}", file.display());
        assert_eq!(shown_in(&hint), "other.yaml:5 has it: \u{fffd}");
        assert_eq!(shown_in("write `a: b`"), "write `a: b`");
    }

    #[test]
    fn colour_is_only_where_it_was_asked_for() {
        assert!(!text(&[problem()], Colour::Never).contains('\u{1b}'));
        assert!(text(&[problem()], Colour::Always).contains('\u{1b}'));
    }

    #[test]
    fn a_machine_gets_every_key() {
        assert_eq!(
            problem().to_json().to_string(),
            r#"{"severity":"error","code":"SI0901","file":"standin.yaml","line":12,"column":3,"pointer":"/calback","message":"unknown key `calback`","hint":"did you mean `callbacks`?"}"#
        );
        let bare = Diagnostic { place: None, hint: None, ..problem() };
        assert_eq!(
            bare.to_json().to_string(),
            r#"{"severity":"error","code":"SI0901","file":null,"line":null,"column":null,"pointer":null,"message":"unknown key `calback`","hint":null}"#
        );
    }

    #[track_caller]
    fn check_cut(text: &str, width: usize, expected: &str) {
        assert_eq!(cut(text, width), expected);
    }

    #[test]
    fn a_text_is_cut_in_its_middle() {
        check_cut("/pets/{id}", 10, "/pets/{id}");
        check_cut("/pets/{id}", 9, "/pet\u{2026}{id}");
        check_cut("/pets/{id}", 8, "/pet\u{2026}id}");
        check_cut("\u{6f22}\u{5b57}\u{6f22}\u{5b57}", 6, "\u{6f22}\u{2026}\u{5b57}");
        check_cut("abc", 0, "\u{2026}");
    }

    #[test]
    fn columns_are_as_wide_as_what_is_seen() {
        let rows = [["a", "b"], ["\u{6f22}", "c"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "a   b\n\u{6f22}  c\n");
    }
}
