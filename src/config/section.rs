//! A mapping read key by key: where a key is named is where its kind and its place in [`Config`]
//! are, so no list of known keys is kept besides.
//!
//! What is wrong is gathered here and never returned: to its reader, a key with a problem is as if
//! it were not there. So one look at a file finds all that is wrong with it.
//!
//! [`Config`]: super::Config

use std::borrow::Cow;
use std::cell::RefCell;

use super::amount;
use super::problem::{Problem, listed, not_built, quoted};
use super::{BAD_VALUE, MISSING_KEY, UNKNOWN_KEY, variable};
use crate::diagnostic::{Code, Diagnostic, Severity, nearest};
use crate::tree::{Kind, Value};

/// What reading a file needs, and what it found wrong.
pub(super) struct Reader<'r> {
    environment: &'r dyn Fn(&str) -> Option<String>,
    problems: RefCell<Vec<Diagnostic>>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(environment: &'r dyn Fn(&str) -> Option<String>, problems: Vec<Diagnostic>) -> Self {
        Reader { environment, problems: RefCell::new(problems) }
    }

    pub(super) fn item<'t>(&'t self, value: Value<'t>, name: String) -> Item<'t> {
        Item { reader: self, value, name }
    }

    /// All problems, in the order of the text.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.place.as_ref().map(|place| (place.line, place.column)));
        problems
    }

    fn report(&self, problem: Diagnostic) {
        self.problems.borrow_mut().push(problem);
    }
}

/// A value of the file, and what it is called there: `specs[0].mode`.
#[derive(Clone)]
pub(super) struct Item<'t> {
    reader: &'t Reader<'t>,
    value: Value<'t>,
    name: String,
}

impl<'t> Item<'t> {
    /// A mapping, read by `read`; keys that it did not ask for are problems.
    pub(super) fn section<T>(&self, read: impl FnOnce(&mut Section<'t>) -> T) -> Option<T> {
        if !self.value.is_mapping() {
            return self.expected("a mapping");
        }
        let mut section = Section { item: self.clone(), known: Vec::new(), unbuilt: Vec::new() };
        let read = read(&mut section);
        section.refuse_unknown();
        Some(read)
    }

    /// The entries of a mapping whose keys are names that the user gave.
    pub(super) fn names(&self) -> Vec<(&'t str, Item<'t>)> {
        if !self.value.is_mapping() {
            self.expected::<()>("a mapping");
        }
        self.value.entries().map(|(key, value)| (key.text(), self.child(value, key.text()))).collect()
    }

    /// The items of a list that could be read.
    pub(super) fn list<T>(&self, read: impl FnMut(&Item<'t>) -> Option<T>) -> Option<Vec<T>> {
        if !self.value.is_sequence() {
            return self.expected("a list");
        }
        Some(self.items().iter().filter_map(read).collect())
    }

    /// A list with something in it, or what one of its items could be.
    pub(super) fn one_or_more<T>(&self, read: impl FnMut(&Item<'t>) -> Option<T>) -> Option<Vec<T>> {
        if self.is_empty_list() {
            self.refuse(Problem::value("an empty list makes no sense here").hint("write at least one entry"));
            return None;
        }
        if self.value.is_sequence() { self.list(read) } else { [self].into_iter().map(read).collect() }
    }

    /// A string, a number or a boolean, by its text: what it is, its key says.
    pub(super) fn scalar<T>(&self, read: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        match self.value.text() {
            Some(text) => self.read(&text, read),
            None => self.expected("a value"),
        }
    }

    /// A string. A number is none, since its text may not be what was written.
    pub(super) fn string<T>(&self, read: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        match self.value.kind() {
            Kind::String(text) => self.read(text, read),
            Kind::Number(_) | Kind::Bool(_) => {
                let text = self.value.text().filter(|_| !self.is_secret());
                let found = text.map_or_else(|| "a number".to_owned(), |text| quoted(&text));
                let problem = Problem::value(format!("expected a string, found {found}"));
                self.refuse(problem.hint("put it into quotes"));
                None
            }
            _ => self.expected("a string"),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.scalar(amount::switch)
    }

    pub(super) fn is_section(&self) -> bool {
        self.value.is_mapping()
    }

    pub(super) fn is_empty_list(&self) -> bool {
        self.value.is_sequence() && self.value.items().next().is_none()
    }

    /// Adds a problem with this value.
    pub(super) fn refuse(&self, problem: Problem) {
        let mut place = self.value.place();
        if self.is_secret() {
            place.text.clear();
        }
        self.reader.report(problem.of(&self.name).at(place));
    }

    /// Messages end in logs, which others read.
    fn is_secret(&self) -> bool {
        let key = self.name.split('[').next().and_then(|name| name.rsplit('.').next());
        let has_login = |text: Cow<'_, str>| text.contains("://") && text.contains('@');
        matches!(key, Some("secret" | "token")) || self.value.text().is_some_and(has_login)
    }

    fn read<T>(&self, text: &str, read: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        let read = self.replaced(text).and_then(|text| read(&text));
        read.map_err(|problem| self.refuse(problem)).ok()
    }

    fn replaced<'s>(&self, text: &'s str) -> Result<Cow<'s, str>, Problem> {
        variable::replace(text, self.reader.environment)
    }

    /// Nothing stands here, or an unset variable's empty default does.
    fn is_nothing(&self) -> bool {
        match self.value.kind() {
            Kind::Null => true,
            Kind::String(text) => {
                text.contains("${") && self.replaced(text).is_ok_and(|text| text.trim().is_empty())
            }
            _ => false,
        }
    }

    fn items(&self) -> Vec<Item<'t>> {
        let item = |(index, value)| self.reader.item(value, format!("{}[{index}]", self.name));
        self.value.items().enumerate().map(item).collect()
    }

    fn child(&self, value: Value<'t>, key: &str) -> Item<'t> {
        self.reader.item(value, self.child_name(key))
    }

    fn child_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.value.kind() {
            Kind::Null => "nothing".to_owned(),
            Kind::Sequence => "a list".to_owned(),
            Kind::Mapping => "a mapping".to_owned(),
            _ => quoted(&self.value.text().unwrap_or_default()),
        };
        let message = format!("expected {what}, found {found}");
        if self.name.is_empty() {
            self.reader.report(self.value.problem(
                Severity::Error,
                BAD_VALUE,
                format!("a config file: {message}"),
            ));
        } else {
            self.refuse(Problem::value(message));
        }
        None
    }
}

/// A mapping whose keys this version knows.
pub(super) struct Section<'t> {
    item: Item<'t>,
    known: Vec<&'static str>,
    unbuilt: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The value under a key, if it is there and could be read. A key without a value is as if it
    /// were not there, so that a section whose lines are all commented out has its defaults.
    pub(super) fn key<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'t>) -> Option<T>,
    ) -> Option<T> {
        read(&self.item(key)?)
    }

    /// The same for a value that is one text, whatever YAML takes it for.
    pub(super) fn scalar<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.key(key, |item| item.scalar(read))
    }

    pub(super) fn string<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.key(key, |item| item.string(read))
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.key(key, Item::boolean)
    }

    /// A key that has to be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'t>) -> Option<T>,
    ) -> Option<T> {
        match self.item(key) {
            Some(item) => read(&item),
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// A key that another one asks for, and that is not there.
    pub(super) fn missing(&self, key: &str) {
        self.report(MISSING_KEY, format!("`{}` has no `{key}`", self.item.name));
    }

    /// A key of the contract that is not built yet.
    pub(super) fn not_yet(&mut self, key: &'static str) {
        self.unbuilt.push(key);
        if let Some((place, _)) = self.item.value.get_entry(key) {
            let name = format!("`{}`", self.item.child_name(key));
            let problem = not_built(&name);
            let diagnostic = place.problem(Severity::Error, problem.code, problem.message);
            self.item.reader.report(Diagnostic { hint: problem.hint, ..diagnostic });
        }
    }

    /// A key of the contract of which only what it does anyway is built.
    pub(super) fn only(&mut self, key: &'static str, words: &[&str]) {
        self.key(key, |item| match item.value.text() {
            Some(_) => item.scalar(|text| match words.contains(&text) {
                true => Ok(()),
                false => Err(not_built(quoted(text))),
            }),
            None => {
                item.refuse(not_built("this"));
                None
            }
        });
    }

    fn item(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.known.push(key);
        let value = self.item.value.get(key)?;
        let item = self.item.child(value, key);
        (!item.is_nothing()).then_some(item)
    }

    fn refuse_unknown(self) {
        for (key, _) in self.item.value.entries() {
            if self.known.contains(&key.text()) || self.unbuilt.contains(&key.text()) {
                continue;
            }
            let within =
                if self.item.name.is_empty() { String::new() } else { format!(" in `{}`", self.item.name) };
            let problem = key.problem(
                Severity::Error,
                UNKNOWN_KEY,
                format!("unknown key {}{within}", quoted(key.text())),
            );
            let hint = match nearest(key.text(), self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", listed(self.known.iter().copied())),
            };
            self.item.reader.report(problem.hint(hint));
        }
    }

    fn report(&self, code: Code, message: String) {
        self.item.reader.report(self.item.value.problem(Severity::Error, code, message));
    }
}
