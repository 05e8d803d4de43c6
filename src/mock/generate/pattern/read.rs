//! The text of a pattern, read (ECMA 262, 22.2.1), and leniently where others write more.

use super::{ENDLESS, Look, Node, Pattern, Set};

/// Groups within groups.
const DEEPEST: usize = 40;

/// Parts of one pattern.
const PARTS: usize = 5_000;

const LAST: u32 = 0x10_ffff;

pub(super) fn pattern(text: &str) -> Option<Pattern> {
    let mut reader = Reader { text: text.chars().collect(), at: 0, names: Vec::new(), depth: 0, parts: 0 };
    let root = reader.either()?;
    (reader.at == reader.text.len()).then_some(Pattern { root, groups: reader.names.len() })
}

struct Reader {
    text: Vec<char>,
    at: usize,
    /// Of the groups, empty for those without one.
    names: Vec<String>,
    depth: usize,
    parts: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn eat(&mut self, expected: &str) -> bool {
        let length = expected.chars().count();
        let there = self.text.get(self.at..self.at + length);
        let found = there.is_some_and(|there| there.iter().copied().eq(expected.chars()));
        self.at += if found { length } else { 0 };
        found
    }

    fn until(&mut self, end: char) -> Option<String> {
        let length = self.text[self.at..].iter().position(|c| *c == end)?;
        let text = self.text[self.at..self.at + length].iter().collect();
        self.at += length + 1;
        Some(text)
    }

    fn either(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut branches = vec![self.each()?];
        while self.eat("|") {
            branches.push(self.each()?);
        }
        self.depth -= 1;
        match branches.len() {
            1 => branches.pop(),
            _ => Some(Node::Either(branches)),
        }
    }

    fn each(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        while let Some(next) = self.peek().filter(|next| !matches!(next, '|' | ')')) {
            self.parts += 1;
            if self.parts > PARTS {
                return None;
            }
            self.at += 1;
            let Some(atom) = self.atom(next)? else { continue };
            nodes.push(self.repeated(atom)?);
        }
        Some(Node::Each(nodes))
    }

    /// `Some(None)`: nothing that takes part, as flags.
    fn atom(&mut self, first: char) -> Option<Option<Node>> {
        Some(Some(match first {
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::One(Set::of(negated(&[(10, 10), (13, 13), (0x2028, 0x2029)]))),
            '(' => return self.group(),
            '[' => Node::One(Set::of(self.class()?)),
            '\\' => self.escape()?,
            '*' | '+' | '?' => return None,
            literal => Node::One(one(literal)),
        }))
    }

    fn group(&mut self) -> Option<Option<Node>> {
        let looks =
            [("?=", Look::Ahead), ("?!", Look::NotAhead), ("?<=", Look::Behind), ("?<!", Look::NotBehind)];
        if let Some((_, look)) = looks.into_iter().find(|(text, _)| self.eat(text)) {
            let inside = self.closed()?;
            return Some(Some(Node::Look(look, Box::new(inside))));
        }
        if self.eat("?<") || self.eat("?P<") {
            let name = self.until('>')?;
            return self.captured(name).map(Some);
        }
        if !self.eat("?") {
            return self.captured(String::new()).map(Some);
        }
        // Flags are no part of ECMA's patterns; what they change is left to the validator.
        while let Some(flag) = self.next() {
            match flag {
                ':' | '>' => return self.closed().map(Some),
                ')' => return Some(None),
                'a'..='z' | 'A'..='Z' | '-' => {}
                _ => return None,
            }
        }
        None
    }

    fn captured(&mut self, name: String) -> Option<Node> {
        let number = self.names.len();
        self.names.push(name);
        Some(Node::Group(Box::new(self.closed()?), number))
    }

    fn closed(&mut self) -> Option<Node> {
        let inside = self.either()?;
        self.eat(")").then_some(inside)
    }

    fn repeated(&mut self, atom: Node) -> Option<Node> {
        let (least, most) = match self.peek() {
            Some('*') => (0, ENDLESS),
            Some('+') => (1, ENDLESS),
            Some('?') => (0, 1),
            Some('{') => match self.counts() {
                Some(counts) => counts,
                None => return Some(atom),
            },
            _ => return Some(atom),
        };
        self.at += 1;
        // Lazy or not makes no difference to what matches.
        if matches!(self.peek(), Some('?')) {
            self.at += 1;
        }
        if matches!(self.peek(), Some('*' | '+')) || least > most {
            return None;
        }
        Some(Node::Repeat { node: Box::new(atom), least, most })
    }

    /// Goes to the `}`; a brace that is no count stands for itself.
    fn counts(&mut self) -> Option<(u32, u32)> {
        let end = self.text[self.at..].iter().position(|c| *c == '}')?;
        let inside: String = self.text[self.at + 1..self.at + end].iter().collect();
        let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
        let least = least.trim().parse().ok()?;
        let most = if most.trim().is_empty() { ENDLESS } else { most.trim().parse().ok()? };
        self.at += end;
        Some((least, most))
    }

    fn escape(&mut self) -> Option<Node> {
        let escaped = self.next()?;
        Some(match escaped {
            'b' => Node::Boundary,
            'B' => Node::NoBoundary,
            'A' => Node::Start,
            'z' | 'Z' => Node::End,
            'k' if self.eat("<") => {
                let name = self.until('>')?;
                Node::Back(self.names.iter().position(|known| *known == name)?)
            }
            '1'..='9' => {
                let mut number = escaped.to_digit(10)? as usize;
                while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)).filter(|_| number < 100) {
                    number = number * 10 + digit as usize;
                    self.at += 1;
                }
                Node::Back(number - 1)
            }
            _ => Node::One(Set::of(self.escaped_set(escaped)?)),
        })
    }

    /// What an escape stands for in a class as well as outside of one.
    fn escaped_set(&mut self, escaped: char) -> Option<Vec<(u32, u32)>> {
        let digit = [(48, 57)];
        let word = [(48, 57), (65, 90), (95, 95), (97, 122)];
        let space = [(9, 13), (32, 32), (0xa0, 0xa0), (0x2000, 0x200a), (0x2028, 0x2029), (0x3000, 0x3000)];
        let code = match escaped {
            'd' => return Some(digit.to_vec()),
            'D' => return Some(negated(&digit)),
            'w' => return Some(word.to_vec()),
            'W' => return Some(negated(&word)),
            's' => return Some(space.to_vec()),
            'S' => return Some(negated(&space)),
            'p' | 'P' if self.peek() == Some('{') || self.peek().is_some_and(|c| c.is_ascii_uppercase()) => {
                let name = if self.eat("{") { self.until('}')? } else { self.next()?.to_string() };
                let ranges = property(&name);
                return Some(if escaped == 'P' { negated(&ranges) } else { ranges });
            }
            't' => 9,
            'n' => 10,
            'v' => 11,
            'f' => 12,
            'r' => 13,
            '0' => 0,
            'a' => 7,
            'e' => 27,
            'x' if self.eat("{") => u32::from_str_radix(&self.until('}')?, 16).ok()?,
            'x' => self.hex(2)?,
            'u' if self.eat("{") => u32::from_str_radix(&self.until('}')?, 16).ok()?,
            'u' => {
                let high = self.hex(4)?;
                let paired = (0xd800..0xdc00).contains(&high) && self.eat("\\u");
                if paired {
                    0x1_0000 + ((high - 0xd800) << 10) + self.hex(4)?.checked_sub(0xdc00)?
                } else {
                    high
                }
            }
            'c' => self.next()? as u32 % 32,
            literal => literal as u32,
        };
        Some(vec![(code, code)])
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        (0..digits).try_fold(0, |sum, _| Some(sum * 16 + self.next()?.to_digit(16)?))
    }

    fn class(&mut self) -> Option<Vec<(u32, u32)>> {
        let is_negated = self.eat("^");
        let mut ranges = Vec::new();
        loop {
            let first = self.next()?;
            if first == ']' {
                break;
            }
            if first == '[' && self.eat(":") {
                ranges.extend(posix(self.until(':')?.as_str())?);
                if !self.eat("]") {
                    return None;
                }
                continue;
            }
            let low = self.member(first)?;
            let begins_range = self.peek() == Some('-') && self.text.get(self.at + 1) != Some(&']');
            let ([(low_code, low_end)], true) = (&low[..], begins_range) else {
                ranges.extend(low);
                continue;
            };
            if low_code != low_end {
                ranges.extend(low);
                continue;
            }
            self.at += 1;
            let next = self.next()?;
            let high = self.member(next)?;
            let [(high_code, high_end)] = high[..] else { return None };
            if high_code != high_end {
                ranges.extend([(*low_code, *low_end), (45, 45), (high_code, high_end)]);
                continue;
            }
            if high_code < *low_code {
                return None;
            }
            ranges.push((*low_code, high_code));
        }
        Some(if is_negated { negated(&ranges) } else { ranges })
    }

    fn member(&mut self, first: char) -> Option<Vec<(u32, u32)>> {
        match first {
            '\\' => {
                let escaped = self.next()?;
                if escaped == 'b' { Some(vec![(8, 8)]) } else { self.escaped_set(escaped) }
            }
            literal => Some(vec![(literal as u32, literal as u32)]),
        }
    }
}

fn one(character: char) -> Set {
    Set::of(vec![(character as u32, character as u32)])
}

fn posix(name: &str) -> Option<Vec<(u32, u32)>> {
    Some(match name {
        "alpha" => vec![(65, 90), (97, 122)],
        "digit" => vec![(48, 57)],
        "alnum" => vec![(48, 57), (65, 90), (97, 122)],
        "upper" => vec![(65, 90)],
        "lower" => vec![(97, 122)],
        "space" => vec![(9, 13), (32, 32)],
        "punct" => vec![(33, 47), (58, 64), (91, 96), (123, 126)],
        "xdigit" => vec![(48, 57), (65, 70), (97, 102)],
        "word" => vec![(48, 57), (65, 90), (95, 95), (97, 122)],
        _ => return None,
    })
}

/// Unicode's properties, by the best-known of their characters.
fn property(name: &str) -> Vec<(u32, u32)> {
    let name = name.rsplit('=').next().unwrap_or(name);
    match name {
        "L" | "Letter" | "Alphabetic" | "Alpha" => {
            vec![
                (65, 90),
                (97, 122),
                (0xc0, 0xd6),
                (0xd8, 0xf6),
                (0xf8, 0x2af),
                (0x370, 0x52f),
                (0x4e00, 0x9fff),
            ]
        }
        "Lu" | "Uppercase_Letter" | "Upper" | "Uppercase" => vec![(65, 90), (0xc0, 0xd6), (0xd8, 0xde)],
        "Ll" | "Lowercase_Letter" | "Lower" | "Lowercase" => vec![(97, 122), (0xdf, 0xf6), (0xf8, 0xff)],
        "N" | "Number" | "Nd" | "Decimal_Number" => vec![(48, 57)],
        "P" | "Punctuation" | "Po" | "Other_Punctuation" => {
            vec![(33, 35), (37, 42), (44, 47), (58, 59), (63, 64)]
        }
        "Pd" | "Dash_Punctuation" => vec![(45, 45)],
        "S" | "Symbol" | "Sm" => vec![(43, 43), (60, 62)],
        "Sc" => vec![(36, 36)],
        "Z" | "Separator" | "Zs" | "White_Space" | "Space_Separator" => vec![(32, 32), (0xa0, 0xa0)],
        "C" | "Other" | "Cc" | "Control" => vec![(0, 31), (127, 159)],
        "M" | "Mark" | "Mn" => vec![(0x300, 0x36f)],
        "Han" => vec![(0x4e00, 0x9fff)],
        "Hiragana" => vec![(0x3041, 0x3096)],
        "Katakana" => vec![(0x30a1, 0x30fa)],
        "Cyrillic" => vec![(0x400, 0x52f)],
        "Greek" => vec![(0x391, 0x3a1), (0x3a3, 0x3c9)],
        "Latin" => vec![(65, 90), (97, 122), (0xc0, 0xd6), (0xd8, 0xf6)],
        "ASCII" => vec![(0, 127)],
        _ => vec![(0, LAST)],
    }
}

fn negated(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut negated = Vec::new();
    let mut from = 0;
    for (low, high) in merged(ranges.to_vec()) {
        if from < low {
            negated.push((from, low - 1));
        }
        from = high + 1;
    }
    if from <= LAST {
        negated.push((from, LAST));
    }
    negated
}

fn merged(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::new();
    for (low, high) in ranges {
        match merged.last_mut() {
            Some((_, last)) if low <= last.saturating_add(1) => *last = high.max(*last),
            _ => merged.push((low, high)),
        }
    }
    merged
}

impl Set {
    fn of(ranges: Vec<(u32, u32)>) -> Set {
        let ranges = merged(ranges);
        let mut set = Set { ranges, ..Set::default() };
        let usual = ('a'..='z').chain('A'..='Z').chain('1'..='9').chain(['0']);
        let usual: Vec<char> = usual.filter(|c| set.contains(*c)).collect();
        let mut other: Vec<char> =
            (' '..='~').filter(|c| !c.is_ascii_alphanumeric() && set.contains(*c)).collect();
        if usual.is_empty() && other.is_empty() {
            let all = set.ranges.iter().flat_map(|(low, high)| *low..=*high);
            other = all.filter_map(char::from_u32).take(64).collect();
        }
        set.usual = usual.into();
        set.other = other.into();
        set
    }
}
