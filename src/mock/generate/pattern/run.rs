//! Whether a text matches: tries one way after another, within a bound of steps.

use super::{Look, Node, Pattern};

const STEPS: usize = 20_000;

/// Characters of a text that is looked at; a repetition of groups recurses for each of them.
const LONGEST: usize = 2_000;

/// Ways within ways, each a few hundred bytes of the stack.
const DEEPEST: usize = 400;

pub(super) fn matches(pattern: &Pattern, text: &[char]) -> Option<bool> {
    let mut run = Run::new(pattern, text)?;
    let found = (0..=text.len()).any(|at| run.node(&pattern.root, at, &mut |_, _| true));
    if run.steps == 0 { None } else { Some(found) }
}

/// Whether a part of a pattern matches from a place on.
pub(super) fn matches_at(pattern: &Pattern, node: &Node, text: &[char], at: usize) -> Option<bool> {
    let mut run = Run::new(pattern, text)?;
    let found = run.node(node, at, &mut |_, _| true);
    if run.steps == 0 { None } else { Some(found) }
}

struct Run<'t> {
    text: &'t [char],
    groups: Vec<(usize, usize)>,
    steps: usize,
    depth: usize,
}

/// What has to match after a part, from where it ended.
type Then<'n, 't> = &'n mut dyn FnMut(&mut Run<'t>, usize) -> bool;

impl<'t> Run<'t> {
    fn new(pattern: &Pattern, text: &'t [char]) -> Option<Self> {
        let groups = vec![(0, 0); pattern.groups];
        (text.len() <= LONGEST).then_some(Run { text, groups, steps: STEPS, depth: 0 })
    }

    fn node(&mut self, node: &Node, at: usize, then: Then<'_, 't>) -> bool {
        self.steps = self.steps.saturating_sub(1);
        if self.depth >= DEEPEST {
            self.steps = 0;
        }
        if self.steps == 0 {
            return false;
        }
        self.depth += 1;
        let found = self.inside(node, at, then);
        self.depth -= 1;
        found
    }

    fn inside(&mut self, node: &Node, at: usize, then: Then<'_, 't>) -> bool {
        match node {
            Node::One(set) => {
                let is_there = self.text.get(at).is_some_and(|character| set.contains(*character));
                is_there && then(self, at + 1)
            }
            Node::Each(nodes) => self.each(nodes, at, then),
            Node::Either(nodes) => nodes.iter().any(|node| self.node(node, at, then)),
            Node::Repeat { node, least, most } => match &**node {
                Node::One(set) => {
                    let there = self.text[at..].iter().take(*most as usize);
                    let count = there.take_while(|character| set.contains(**character)).count();
                    let mut counts = (*least as usize..=count).rev();
                    counts.any(|count| {
                        self.steps = self.steps.saturating_sub(1);
                        self.steps > 0 && then(self, at + count)
                    })
                }
                node => self.repeat(node, (*least, *most), at, then),
            },
            Node::Group(node, number) => {
                let before = self.groups.get(*number).copied();
                let found = self.node(node, at, &mut |run, end| {
                    if let Some(group) = run.groups.get_mut(*number) {
                        *group = (at, end);
                    }
                    then(run, end)
                });
                if let (false, Some(group), Some(before)) = (found, self.groups.get_mut(*number), before) {
                    *group = before;
                }
                found
            }
            Node::Back(number) => {
                let (from, to) = self.groups.get(*number).copied().unwrap_or_default();
                let again = &self.text[from..to];
                self.text[at..].starts_with(again) && then(self, at + again.len())
            }
            Node::Start => at == 0 && then(self, at),
            Node::End => at == self.text.len() && then(self, at),
            Node::Boundary => self.is_boundary(at) && then(self, at),
            Node::NoBoundary => !self.is_boundary(at) && then(self, at),
            Node::Look(look, node) => {
                let found = match look {
                    Look::Ahead | Look::NotAhead => self.node(node, at, &mut |_, _| true),
                    Look::Behind | Look::NotBehind => {
                        (0..=at).any(|from| self.node(node, from, &mut |_, end| end == at))
                    }
                };
                found == matches!(look, Look::Ahead | Look::Behind) && then(self, at)
            }
        }
    }

    fn each(&mut self, nodes: &[Node], at: usize, then: Then<'_, 't>) -> bool {
        match nodes {
            [] => then(self, at),
            [last] => self.node(last, at, then),
            [first, rest @ ..] => self.node(first, at, &mut |run, end| run.each(rest, end, then)),
        }
    }

    fn repeat(&mut self, node: &Node, (least, most): (u32, u32), at: usize, then: Then<'_, 't>) -> bool {
        let once_more = most > 0
            && self.node(node, at, &mut |run, end| {
                // What takes nothing would repeat for ever.
                let goes_on = end > at || least > 0;
                goes_on && run.repeat(node, (least.saturating_sub(1), most - 1), end, then)
            });
        once_more || least == 0 && then(self, at)
    }

    fn is_boundary(&self, at: usize) -> bool {
        let is_word = |at: Option<usize>| {
            let character = at.and_then(|at| self.text.get(at));
            character.is_some_and(|character| character.is_ascii_alphanumeric() || *character == '_')
        };
        is_word(at.checked_sub(1)) != is_word(Some(at))
    }
}
