//! Patterns (ECMA 262, 22.2): strings that match one, and whether a string does.
//!
//! A reader of our own, since `regex-syntax` knows neither look-ahead nor ECMA's classes, and what it
//! reads is no help to draw from. It is lenient, matches within a bound of steps, and has not the last word:
//! what is drawn is always validated.

mod read;

mod run;

use super::chance::Chance;

/// No upper bound of a repetition.
const ENDLESS: u32 = u32::MAX;

/// Characters that are drawn beyond what a pattern asks for.
const SPARE: usize = 6;

#[derive(Debug)]
pub struct Pattern {
    root: Node,
    groups: usize,
}

#[derive(Debug)]
enum Node {
    One(Set),
    Each(Vec<Node>),
    Either(Vec<Node>),
    Repeat { node: Box<Node>, least: u32, most: u32 },
    Group(Box<Node>, usize),
    Back(usize),
    Start,
    End,
    Boundary,
    NoBoundary,
    Look(Look, Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Look {
    Ahead,
    NotAhead,
    Behind,
    NotBehind,
}

/// Characters, as sorted ranges that do not touch.
#[derive(Debug, Clone, Default)]
struct Set {
    ranges: Vec<(u32, u32)>,
    /// Those that are drawn: letters and digits if there are any, in a pleasant order.
    usual: Box<[char]>,
    /// Other printable ones.
    other: Box<[char]>,
}

impl Pattern {
    /// None where it is none.
    pub fn parse(text: &str) -> Option<Pattern> {
        read::pattern(text)
    }

    /// None where it takes too long to tell.
    pub fn matches(&self, text: &str) -> Option<bool> {
        let text: Vec<char> = text.chars().collect();
        run::matches(self, &text)
    }

    /// A string of at least `least` characters that probably matches; what it must not be longer than is
    /// for the caller to look at. `widely`: with characters that are seldom used.
    pub fn draw(&self, least: usize, most: usize, range: Range, chance: &mut Chance) -> String {
        let mut draw = Draw {
            out: Vec::new(),
            groups: vec![Vec::new(); self.groups],
            need: least.saturating_sub(self.root.least()),
            spare: SPARE.min(most.saturating_sub(least.max(self.root.least()))),
            ahead: Vec::new(),
            range,
        };
        if let Chance::Seeded(rng) = chance {
            draw.spare = rng.usize(..=draw.spare);
        }
        draw.node(&self.root, chance);
        self.look_ahead(&mut draw, chance);
        let mut text = draw.out;
        let missing = least.saturating_sub(text.len());
        if missing > 0 {
            let filler: Vec<char> = ('a'..='z').cycle().take(missing).collect();
            let after: Vec<char> = [&*text, &filler].concat();
            text = if run::matches(self, &after) == Some(true) { after } else { [filler, text].concat() };
        }
        text.into_iter().collect()
    }

    /// Writes what look-aheads ask for over what was drawn: `(?=.*\d)` gets its digit.
    fn look_ahead<'p>(&'p self, draw: &mut Draw<'p>, chance: &mut Chance) {
        let mut written = 0;
        let ahead = std::mem::take(&mut draw.ahead);
        // One may be written over what another needs.
        for (at, node) in ahead.iter().copied().cycle().take(ahead.len() * 3) {
            if run::matches_at(self, node, &draw.out, at) == Some(true) {
                continue;
            }
            let mut part = Draw {
                out: Vec::new(),
                groups: draw.groups.clone(),
                need: 0,
                spare: 0,
                ahead: Vec::new(),
                range: draw.range,
            };
            part.node(node, chance);
            let from = at + written;
            for (offset, character) in part.out.iter().enumerate() {
                match draw.out.get_mut(from + offset) {
                    Some(place) => *place = *character,
                    None => draw.out.push(*character),
                }
            }
            written += part.out.len();
        }
    }
}

/// Which of a set's characters are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    Usual,
    Wide,
}

struct Draw<'p> {
    out: Vec<char>,
    groups: Vec<Vec<char>>,
    /// Characters that repetitions have to add.
    need: usize,
    /// Characters that they may add.
    spare: usize,
    ahead: Vec<(usize, &'p Node)>,
    range: Range,
}

/// Characters of one string; a repetition that asks for more is cut short.
const LONGEST: usize = 100_000;

impl<'p> Draw<'p> {
    fn node(&mut self, node: &'p Node, chance: &mut Chance) {
        match node {
            Node::One(set) => self.out.extend(set.draw(self.out.len(), self.range, chance)),
            Node::Each(nodes) => nodes.iter().for_each(|node| self.node(node, chance)),
            Node::Either(nodes) => {
                if let Some(node) = nodes.get(chance.pick(nodes.len())) {
                    self.node(node, chance);
                }
            }
            Node::Repeat { node, least, most } => {
                let cost = node.least().max(1);
                let room = (most - least) as usize;
                let needed = self.need.div_ceil(cost).min(room);
                let spare = (self.spare / cost).min(room - needed);
                let spare = match chance {
                    Chance::First => spare.min(SPARE / 2),
                    Chance::Seeded(rng) => rng.usize(..=spare),
                };
                self.need -= (needed * cost).min(self.need);
                self.spare -= spare * cost;
                for _ in 0..*least as usize + needed + spare {
                    if self.out.len() > LONGEST {
                        break;
                    }
                    self.node(node, chance);
                }
            }
            Node::Group(node, number) => {
                let from = self.out.len();
                self.node(node, chance);
                if let Some(group) = self.groups.get_mut(*number) {
                    *group = self.out[from..].to_vec();
                }
            }
            Node::Back(number) => {
                let group = self.groups.get(*number).cloned().unwrap_or_default();
                self.out.extend(group);
            }
            Node::Look(Look::Ahead, node) => self.ahead.push((self.out.len(), node)),
            Node::Start | Node::End | Node::Boundary | Node::NoBoundary | Node::Look(..) => {}
        }
    }
}

impl Node {
    /// The least number of characters, roughly.
    fn least(&self) -> usize {
        match self {
            Node::One(_) => 1,
            Node::Each(nodes) => nodes.iter().map(Node::least).fold(0, usize::saturating_add),
            Node::Either(nodes) => nodes.iter().map(Node::least).min().unwrap_or(0),
            Node::Repeat { node, least, .. } => node.least().saturating_mul(*least as usize),
            Node::Group(node, _) => node.least(),
            _ => 0,
        }
    }
}

impl Set {
    fn contains(&self, character: char) -> bool {
        let code = character as u32;
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&code))
    }

    fn draw(&self, at: usize, range: Range, chance: &mut Chance) -> Option<char> {
        let (usual, other) = (&self.usual, &self.other);
        match chance {
            Chance::First => usual.get(at % usual.len().max(1)).or_else(|| other.first()).copied(),
            Chance::Seeded(rng) if range == Range::Wide || usual.is_empty() => {
                let all = usual.len() + other.len();
                let number = if all > 0 { rng.usize(..all) } else { 0 };
                usual.iter().chain(&**other).nth(number).copied()
            }
            Chance::Seeded(rng) => usual.get(rng.usize(..usual.len())).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is drawn first, and that all that is drawn matches.
    #[track_caller]
    fn check(pattern: &str, expected: &str) {
        let parsed = Pattern::parse(pattern).expect("it is a pattern");
        assert_eq!(parsed.draw(0, 40, Range::Usual, &mut Chance::First), expected);
        assert_eq!(parsed.matches(expected), Some(true), "{expected}");
        for seed in 0..100 {
            let range = if seed % 2 == 0 { Range::Usual } else { Range::Wide };
            let text = parsed.draw(0, 40, range, &mut Chance::seeded(seed));
            assert_eq!(parsed.matches(&text), Some(true), "{text}");
        }
    }

    #[test]
    fn what_is_drawn_matches() {
        check("^[a-z]{3}$", "abc");
        check("^\\d{5}(-\\d{4})?$", "12345-7890");
        check("[A-Z]{2}", "AB");
        check("^(cat|dog)s*$", "catsss");
        check("^[^/\\s]+/[[]\\/\\x41\\u0042\\u{43}$", "abcd/[/ABC");
        check("^#([0-9a-fA-F]{3}){1,2}$", "#bcdefA");
        check("^(a)(b)\\2\\1$", "abba");
        check("^(?<year>\\d{4})-\\k<year>$", "1234-1234");
        check("\\bword\\b", "word");
        check("^.*$", "abc");
        check("^\\p{Lu}\\p{L}*$", "Abcd");
        check("a{,2}", "a{,2}");
        check("^[\\w.+-]+@\\w+\\.\\w{2,}$", "abcd@fghi.kl");
        check("", "");
    }

    #[test]
    fn look_aheads_are_written_over() {
        check("^(?=.*[A-Z])(?=.*\\d)(?=.*[@#]).{8,}$", "A1#defghijk");
    }

    #[track_caller]
    fn check_match(pattern: &str, text: &str, expected: Option<bool>) {
        assert_eq!(Pattern::parse(pattern).and_then(|pattern| pattern.matches(text)), expected);
    }

    #[test]
    fn patterns_match_as_in_ecma_262() {
        check_match("^a$", "ab", Some(false));
        check_match("a", "bab", Some(true));
        check_match("^(?!.*\\.\\.)[a.]+$", "a..a", Some(false));
        check_match("(?<=a)b", "ab", Some(true));
        check_match("(?<!a)b", "ab", Some(false));
        check_match("^[^]$", "\n", Some(true));
        check_match("^.$", "\n", Some(false));
        check_match("^[[:alpha:]]+$", "ab", Some(true));
        check_match("^(a|ab)(c|bcd)$", "abcd", Some(true));
        check_match("^(a*)*b$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaac", None);
        check_match("(", "a", None);
        check_match("[b-a]", "a", None);
        check_match("a**", "a", None);
    }

    #[test]
    fn lengths_are_met() {
        let drawn = |pattern: &str| {
            Pattern::parse(pattern).expect("it is one").draw(12, 12, Range::Usual, &mut Chance::First)
        };
        assert_eq!(drawn("^[a-z]+$"), "abcdefghijkl");
        assert_eq!(drawn("^x"), "xabcdefghijk");
        assert_eq!(drawn("x$"), "abcdefghijkx");
        assert_eq!(drawn("^a(-b)*$").len(), 13);
    }
}
