//! Byte offsets to lines and columns, only worked out when someone is told.

use std::sync::Arc;

use crate::diagnostic::Place;

/// Characters are counted once per this many bytes, so that a column in a document of one huge line
/// costs a short count and not a walk from the line's start.
const STEP: usize = 4096;

#[derive(Debug)]
pub(super) struct Lines {
    /// Where each line starts.
    starts: Vec<u32>,
    /// How many characters come before each multiple of [`STEP`].
    characters: Vec<u32>,
}

impl Lines {
    pub(super) fn new(source: &str) -> Self {
        let bytes = source.as_bytes();
        let breaks = (0..bytes.len()).filter(|&at| match bytes[at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = std::iter::once(0).chain(breaks.map(|at| at as u32 + 1)).collect();
        let mut sum = 0;
        let mut characters = Vec::with_capacity(bytes.len() / STEP + 1);
        for chunk in bytes.chunks(STEP) {
            characters.push(sum);
            sum += count(chunk);
        }
        characters.push(sum);
        Lines { starts, characters }
    }

    /// The number of the line that an offset is in, from 1.
    pub(super) fn line(&self, at: usize) -> u32 {
        self.starts.partition_point(|&start| start as usize <= at) as u32
    }

    /// The place of `width` bytes from an offset; what goes on in the next line is left out.
    pub(super) fn place(
        &self,
        file: &Arc<str>,
        source: &str,
        at: usize,
        width: usize,
        pointer: String,
    ) -> Place {
        let at = floor(source, at);
        let line = self.line(at);
        let start = self.starts[line as usize - 1] as usize;
        let end = self.starts.get(line as usize).map_or(source.len(), |&next| next as usize);
        let end = start + source[start..end].trim_end_matches(['\r', '\n']).len();
        let at = at.min(end);
        let column = self.count_before(source, at) - self.count_before(source, start) + 1;
        let text = Place::excerpt(&source[start..at], &source[at..end], column);
        let meant = floor(source, at.saturating_add(width).min(end));
        let width = source[at..meant].chars().take(Place::EXCERPT).count().max(1) as u32;
        Place { file: file.clone(), line, column, width, text, pointer }
    }

    fn count_before(&self, source: &str, at: usize) -> u32 {
        let step = at / STEP;
        self.characters[step] + count(&source.as_bytes()[step * STEP..at])
    }
}

/// The start of the character that an offset is in.
fn floor(source: &str, at: usize) -> usize {
    let at = at.min(source.len());
    (0..=at).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0)
}

/// Characters that start in these bytes of UTF-8 text.
fn count(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, at: usize, width: usize, expected: (u32, u32, u32, &str)) {
        let place = Lines::new(source).place(&"t".into(), source, at, width, String::new());
        assert_eq!((place.line, place.column, place.width, place.text.as_str()), expected);
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        check("a: b\nc: d", 8, 1, (2, 4, 1, "c: d"));
    }

    #[test]
    fn columns_count_characters() {
        check("ä€😀x", 9, 1, (1, 4, 1, "ä€😀x"));
    }

    #[test]
    fn every_kind_of_line_break_counts_once() {
        check("a\r\nb\rc\nd", 7, 1, (4, 1, 1, "d"));
    }

    #[test]
    fn the_end_of_the_text_has_a_place() {
        check("a\n", 2, 0, (2, 1, 1, ""));
    }

    #[test]
    fn an_offset_beyond_the_end_has_a_place() {
        check("ab", 99, 5, (1, 3, 1, "ab"));
    }

    #[test]
    fn a_width_stops_at_the_end_of_its_line() {
        check("a: |\n  b", 3, 5, (1, 4, 1, "a: |"));
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        check("\ta\u{1b}b", 1, 1, (1, 2, 1, " a\u{fffd}b"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_column() {
        let source = "ä".repeat(10_000) + "X" + &"y".repeat(10_000);
        let place = Lines::new(&source).place(&"t".into(), &source, 20_000, 1, String::new());
        let caret = place.text.chars().nth(place.caret() as usize - 1);
        assert_eq!((place.column, caret, place.text.chars().count()), (10_001, Some('X'), 160));
    }

    #[test]
    fn a_cut_on_the_right_keeps_the_column() {
        let source = "X".to_owned() + &"y".repeat(10_000);
        let place = Lines::new(&source).place(&"t".into(), &source, 0, 1, String::new());
        assert_eq!((place.column, place.caret(), place.text.len()), (1, 1, 160));
    }
}
