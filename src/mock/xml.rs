//! Values as XML by the `xml` keywords of their schema, and back (OpenAPI 3.0, 4.7.26; 3.1, 4.8.26;
//! 3.2, 4.26).
//!
//! What the specification leaves open is decided so that what was written can be read: null is an empty
//! element, an array inside an array has an element around it, and a root is always one element. What a
//! name or a text can't have in XML is replaced or left out, so that what is written is well formed
//! whatever the value.
//!
//! The one place that knows the crate that reads XML.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Map, Number, Value as Json};

use super::sink::{Place, Seen, Sink, Value, json};

/// Schemas that are looked at for one value.
const MOST_SCHEMAS: usize = 256;

/// Elements inside each other that are read.
const DEEPEST: usize = 128;

/// Elements, texts and comments of a text that is read.
const MOST_NODES: u32 = 200_000;

/// Attributes of an element that are read: the parser compares each with each.
const MOST_ATTRIBUTES: usize = 500;

/// Declarations of namespaces in a text that is read: elements inside keep those around them.
const MOST_NAMESPACES: usize = 1_000;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An instance of the schema that `bundle` stands for, with the declaration.
pub fn write(instance: &Json, bundle: &Json) -> String {
    let mut out = String::new();
    put(instance, bundle, &mut out);
    out
}

/// A text as an instance, as far as the schema says what is an array, a number, an attribute. None if it
/// is not well formed, has a document type, or is larger than is looked at. Namespaces are not compared.
pub fn read(text: &str, bundle: &Json) -> Option<Json> {
    let document = parse(text)?.ok()?;
    let mut reader = Reader { shapes: Shapes::new(bundle) };
    let shape = reader.shapes.of(bundle);
    reader.value(document.root_element(), &shape, 0)
}

/// Whether a text is not well formed, as far as it is looked at.
pub fn is_malformed(text: &str) -> bool {
    use roxmltree::Error::{AttributesLimitReached, DtdDetected, NamespacesLimitReached, NodesLimitReached};
    let is_let_be = |error| {
        matches!(error, DtdDetected | NodesLimitReached | AttributesLimitReached | NamespacesLimitReached)
    };
    parse(text).is_some_and(|parsed| parsed.is_err_and(|error| !is_let_be(error)))
}

/// None where it is larger than is looked at.
fn parse(text: &str) -> Option<Result<Document<'_>, roxmltree::Error>> {
    let text = text.trim_start_matches('\u{feff}');
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    is_bounded(text).then(|| Document::parse_with_options(text, options))
}

/// A value by the schema that `bundle` stands for, with the declaration.
pub fn put<'v, V: Value<'v>>(value: V, bundle: &Json, out: &mut impl Sink<V>) {
    out.syntax(DECLARATION);
    let mut writer =
        Writer { shapes: Shapes::new(bundle), scope: Vec::new(), in_root: true, out, value: PhantomData };
    let shape = writer.shapes.of(bundle);
    let name = shape.name.or(shape.definition).unwrap_or("root");
    writer.element(value, &shape, name);
}

/// What a schema says of how its instances are written, together with what it refers to.
#[derive(Default)]
struct Shape<'b> {
    /// `xml.name`
    name: Option<&'b str>,
    /// The name of the schema in its document.
    definition: Option<&'b str>,
    namespace: Option<&'b str>,
    prefix: Option<&'b str>,
    node: Option<As>,
    types: Vec<&'b str>,
    properties: HashMap<&'b str, &'b Json>,
    required: HashSet<&'b str>,
    additional: Option<&'b Json>,
    first_items: Option<&'b [Json]>,
    items: Option<&'b Json>,
    /// For reading.
    slots: OnceCell<Rc<Slots<'b>>>,
}

/// What a value is in XML: `nodeType` (3.2), which `attribute` and `wrapped` said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Element,
    Attribute,
    Text,
    Cdata,
    /// What is inside stands in its parent.
    Nothing,
}

impl As {
    fn of(xml: &Json) -> Option<As> {
        let flag = |keyword: &str| xml.get(keyword).and_then(Json::as_bool) == Some(true);
        match xml.get("nodeType").and_then(Json::as_str) {
            Some("element") => Some(As::Element),
            Some("attribute") => Some(As::Attribute),
            Some("text") => Some(As::Text),
            Some("cdata") => Some(As::Cdata),
            Some("none") => Some(As::Nothing),
            _ if flag("attribute") => Some(As::Attribute),
            _ if flag("wrapped") => Some(As::Element),
            _ => None,
        }
    }
}

/// Shapes by their schema, each gathered once.
struct Shapes<'b> {
    bundle: &'b Json,
    known: HashMap<*const Json, Rc<Shape<'b>>>,
}

impl<'b> Shapes<'b> {
    fn new(bundle: &'b Json) -> Self {
        Shapes { bundle, known: HashMap::new() }
    }

    fn of(&mut self, schema: &'b Json) -> Rc<Shape<'b>> {
        let bundle = self.bundle;
        self.known.entry(schema).or_insert_with(|| Shape::gather(schema, bundle).into()).clone()
    }

    /// Of the property of that name.
    fn property(&mut self, shape: &Shape<'b>, name: &str) -> Rc<Shape<'b>> {
        match shape.properties.get(name).copied().or(shape.additional) {
            Some(schema) => self.of(schema),
            None => Rc::default(),
        }
    }

    fn item(&mut self, shape: &Shape<'b>, number: usize) -> Rc<Shape<'b>> {
        match shape.first_items.and_then(|items| items.get(number)).or(shape.items) {
            Some(schema) => self.of(schema),
            None => Rc::default(),
        }
    }
}

impl<'b> Shape<'b> {
    /// The nearest schema that says a thing counts.
    fn gather(schema: &'b Json, bundle: &'b Json) -> Self {
        let mut shape = Shape::default();
        together(schema, bundle).into_iter().for_each(|(schema, names)| shape.add(schema, names));
        shape
    }

    fn add(&mut self, schema: &'b Json, names: bool) {
        let text = |value: &'b Json, key: &str| value.get(key).and_then(Json::as_str);
        if let Some(xml) = schema.get("xml").filter(|_| names) {
            self.name = self.name.or(text(xml, "name"));
            self.namespace = self.namespace.or(text(xml, "namespace"));
            self.prefix = self.prefix.or(text(xml, "prefix"));
            self.node = self.node.or(As::of(xml));
        }
        if names {
            self.definition = self.definition.or(text(schema, "$comment"));
        }
        match schema.get("type") {
            Some(Json::String(word)) => self.types.push(word),
            Some(Json::Array(words)) => self.types.extend(words.iter().filter_map(Json::as_str)),
            _ => shown(schema).for_each(|value| self.types.push(type_of(value))),
        }
        let lists = |key: &str| schema.get(key).and_then(Json::as_array).map(Vec::as_slice);
        for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
            self.properties.entry(name).or_insert(property);
        }
        self.required.extend(lists("required").into_iter().flatten().filter_map(Json::as_str));
        self.additional = self.additional.or(schema.get("additionalProperties").filter(|it| it.is_object()));
        self.first_items = self.first_items.or(lists("prefixItems"));
        self.items = self.items.or(schema.get("items").filter(|items| items.is_object()));
    }

    fn takes(&self, word: &str) -> bool {
        self.types.contains(&word)
    }

    fn is_object(&self) -> bool {
        self.takes("object") || !self.properties.is_empty() || self.additional.is_some()
    }

    fn is_array(&self) -> bool {
        !self.is_object() && (self.takes("array") || self.items.is_some() || self.first_items.is_some())
    }

    /// What a property is, if nothing says so: an array has no element of its own.
    fn property_as(&self, is_array: bool) -> As {
        self.node.unwrap_or(if is_array { As::Nothing } else { As::Element })
    }

    fn written_as<V>(&self, seen: &Seen<'_, V>) -> As {
        self.property_as(match seen {
            Seen::Items(_) => true,
            Seen::Null => self.is_array(),
            _ => false,
        })
    }
}

/// The schemas that say something of an instance: itself, what it refers to, what it is put together of;
/// the nearest first, as many as are looked at. With each whether its name is the instance's: of several
/// alternatives none is.
pub fn together<'b>(schema: &'b Json, bundle: &'b Json) -> Vec<(&'b Json, bool)> {
    let mut open = VecDeque::from([(schema, true)]);
    let mut seen: HashSet<*const Json> = HashSet::new();
    let mut found = Vec::new();
    while let Some((schema, names)) = open.pop_front() {
        if found.len() >= MOST_SCHEMAS || !seen.insert(schema) {
            continue;
        }
        found.push((schema, names));
        let reference = schema.get("$ref").and_then(Json::as_str).and_then(|text| text.strip_prefix('#'));
        open.extend(reference.and_then(|pointer| bundle.pointer(pointer)).map(|target| (target, names)));
        for keyword in ["allOf", "oneOf", "anyOf"] {
            let all = schema.get(keyword).and_then(Json::as_array).into_iter().flatten();
            let all: Vec<_> = all.filter(|branch| !is_null(branch)).collect();
            let names = names && all.len() == 1;
            open.extend(all.into_iter().map(|branch| (branch, names)));
        }
        let others = ["then", "else"].iter().filter_map(|keyword| schema.get(keyword));
        open.extend(others.map(|branch| (branch, false)));
    }
    found
}

fn is_null(schema: &Json) -> bool {
    match schema.get("type") {
        Some(Json::String(word)) => word == "null",
        Some(Json::Array(words)) => words.iter().all(|word| word == "null"),
        _ => false,
    }
}

/// The values that a schema lists.
fn shown(schema: &Json) -> impl Iterator<Item = &Json> {
    let list = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
    list.chain(schema.get("const"))
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

struct Writer<'b, 'o, V, S> {
    shapes: Shapes<'b>,
    /// Prefixes in force, the empty one for the default, with their namespaces.
    scope: Vec<(String, String)>,
    /// Whether nothing but the root has begun.
    in_root: bool,
    out: &'o mut S,
    value: PhantomData<V>,
}

/// A property that is an attribute: its name, its schema and its value.
type Given<'b, V> = (String, Rc<Shape<'b>>, V);

impl<'v, 'b, V: Value<'v>, S: Sink<V>> Writer<'b, '_, V, S> {
    /// As deep as the value, which was read under a limit.
    fn element(&mut self, value: V, shape: &Rc<Shape<'b>>, name: &str) {
        let outside = self.scope.len();
        let mut given = Vec::new();
        if let Seen::Fields(fields) = value.seen() {
            self.given(fields, shape, &mut given);
        }
        given.retain(|(name, _, value)| !self.declares(name, *value, outside));
        let own = self.qualified(shape, name, outside, As::Element);
        let attributes = self.attributes(given, outside);
        self.out.syntax("<");
        self.out.syntax(&own);
        for (prefix, namespace) in &self.scope[outside..] {
            let name = if prefix.is_empty() { "xmlns".into() } else { format!("xmlns:{prefix}") };
            let namespace = Place::Attribute.literal(namespace);
            self.out.syntax(&format!(" {name}=\"{namespace}\""));
        }
        for (name, value) in attributes {
            self.out.syntax(&format!(" {name}=\""));
            self.text(value, Place::Attribute);
            self.out.syntax("\"");
        }
        if matches!(value.seen(), Seen::Null) {
            self.out.syntax("/>");
        } else {
            self.out.syntax(">");
            self.content(value, shape, name);
            self.out.syntax("</");
            self.out.syntax(&own);
            self.out.syntax(">");
        }
        self.scope.truncate(outside);
    }

    /// What stands inside the element of a value.
    fn content(&mut self, value: V, shape: &Rc<Shape<'b>>, name: &str) {
        let in_root = std::mem::take(&mut self.in_root);
        match value.seen() {
            Seen::Null => {}
            Seen::Items(items) => {
                for (number, item) in items.into_iter().enumerate() {
                    let shape = self.shapes.item(shape, number);
                    // Items of a property are called as it is; those of a root as their own schema.
                    let name = shape.definition.filter(|_| in_root).unwrap_or(name);
                    self.item(item, &shape, name);
                }
            }
            Seen::Fields(fields) => {
                for (name, value) in fields {
                    let property = self.shapes.property(shape, name);
                    self.property(value, &property, name);
                }
            }
            scalar => {
                if let Some(text) = scalar.scalar() {
                    self.out.text(value, &text, Place::Element);
                }
            }
        }
    }

    fn property(&mut self, value: V, shape: &Rc<Shape<'b>>, name: &str) {
        let own = shape.name.unwrap_or(name);
        match shape.written_as(&value.seen()) {
            As::Attribute => {}
            As::Element => self.element(value, shape, own),
            As::Text => self.text(value, Place::Element),
            As::Cdata => {
                self.out.syntax("<![CDATA[");
                self.text(value, Place::Cdata);
                self.out.syntax("]]>");
            }
            // 3.1, 4.8.26.2.4: without an element of its own, the name of an array says nothing.
            As::Nothing => self.content(value, shape, name),
        }
    }

    /// An array inside an array has an element, or it could not be told from the one around it.
    fn item(&mut self, value: V, shape: &Rc<Shape<'b>>, name: &str) {
        match shape.node {
            None | Some(As::Element | As::Attribute) => {
                self.element(value, shape, shape.name.unwrap_or(name));
            }
            Some(_) => self.property(value, shape, name),
        }
    }

    fn text(&mut self, value: V, place: Place) {
        let text = text_of(value);
        self.out.text(value, &text, place);
    }

    /// The attributes among the fields of an object, and among those of what stands in its place.
    fn given(&mut self, fields: Vec<(&'v str, V)>, shape: &Rc<Shape<'b>>, found: &mut Vec<Given<'b, V>>) {
        for (name, value) in fields {
            let shape = self.shapes.property(shape, name);
            match (shape.written_as(&value.seen()), value.seen()) {
                (As::Nothing, Seen::Fields(fields)) => self.given(fields, &shape, found),
                (As::Attribute, Seen::Null) => {}
                (As::Attribute, _) => {
                    let name = shape.name.map_or_else(|| name.to_owned(), str::to_owned);
                    found.push((name, shape, value));
                }
                _ => {}
            }
        }
    }

    /// Each with its name; of two that come to one, the first.
    fn attributes(&mut self, given: Vec<Given<'b, V>>, outside: usize) -> Vec<(String, V)> {
        let mut known = HashSet::new();
        let mut found = Vec::new();
        for (name, shape, value) in given {
            let name = self.qualified(&shape, &name, outside, As::Attribute);
            let (prefix, local) = name.split_once(':').unwrap_or(("", &name));
            let namespace = self.in_force(prefix).filter(|_| !prefix.is_empty()).unwrap_or_default();
            if known.insert((namespace.to_owned(), local.to_owned())) {
                found.push((name, value));
            }
        }
        found
    }

    /// Documents list `xmlns` among the attributes, too.
    fn declares(&mut self, name: &str, value: V, outside: usize) -> bool {
        let prefix = match name.strip_prefix("xmlns") {
            Some("") => "",
            Some(rest) if rest.starts_with(':') => &rest[1..],
            _ => return false,
        };
        let namespace = text_of(value);
        let usable = name == "xmlns" || is_name(prefix) && !namespace.is_empty();
        if usable && !self.is_declared(prefix, outside) {
            self.declare(prefix, &namespace);
        }
        true
    }

    /// A name with its prefix, whose namespace is declared if it is not in force.
    fn qualified(&mut self, shape: &Shape<'_>, name: &str, outside: usize, what: As) -> String {
        let (own, local) = match name.split_once(':') {
            Some((prefix, local)) if shape.prefix.is_none() && self.in_force(prefix).is_some() => {
                (Some(prefix), local)
            }
            _ => (shape.prefix.filter(|prefix| is_name(prefix) && *prefix != "xmlns"), name),
        };
        let local = usable(local);
        let Some(prefix) = own.filter(|prefix| !prefix.is_empty()) else {
            let namespace = shape.namespace.filter(|_| what == As::Element);
            if let Some(namespace) = namespace.filter(|namespace| self.in_force("") != Some(namespace))
                && !self.is_declared("", outside)
            {
                self.declare("", namespace);
            }
            // An attribute that is called so declares a namespace instead.
            return if what == As::Attribute && local == "xmlns" { "_xmlns".into() } else { local.into() };
        };
        let namespace = shape.namespace.filter(|namespace| !namespace.is_empty() && prefix != "xml");
        match namespace {
            Some(namespace) if self.in_force(prefix) != Some(namespace) => {
                // An attribute that came before may have the prefix as it was.
                let taken = match what {
                    As::Element => self.is_declared(prefix, outside),
                    _ => self.in_force(prefix).is_some(),
                };
                if taken || !self.declare(prefix, namespace) {
                    return local.into();
                }
            }
            None if self.in_force(prefix).is_none() => return local.into(),
            _ => {}
        }
        format!("{prefix}:{local}")
    }

    fn in_force(&self, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some(XML);
        }
        self.scope.iter().rev().find(|(known, _)| known == prefix).map(|(_, namespace)| namespace.as_str())
    }

    /// Whether the element that is being begun has declared it.
    fn is_declared(&self, prefix: &str, outside: usize) -> bool {
        self.scope[outside..].iter().any(|(known, _)| known == prefix)
    }

    /// Namespaces in XML 1.0, 3: two can't be declared.
    fn declare(&mut self, prefix: &str, namespace: &str) -> bool {
        let possible = namespace != XML && namespace != XMLNS && prefix != "xml" && prefix != "xmlns";
        if possible {
            self.scope.push((prefix.into(), namespace.into()));
        }
        possible
    }
}

/// A value where only text may stand: an array with spaces between, an object as JSON.
fn text_of<'v, V: Value<'v>>(value: V) -> Cow<'v, str> {
    let seen = value.seen();
    match (seen.scalar(), seen) {
        (Some(text), _) => text,
        (None, Seen::Items(items)) => {
            let texts: Vec<_> = items.into_iter().map(text_of).collect();
            texts.join(" ").into()
        }
        (None, Seen::Fields(_)) => {
            let mut out = String::new();
            json(value, Place::Quoted, &mut out);
            out.into()
        }
        (None, _) => "".into(),
    }
}

/// Namespaces in XML 1.0, 4: a name without a colon.
fn is_name(text: &str) -> bool {
    matches!(usable(text), Cow::Borrowed(_))
}

/// A name, with `_` for what no name has.
fn usable(text: &str) -> Cow<'_, str> {
    let first = text.chars().next();
    if first.is_some_and(begins_name) && text.chars().all(is_in_name) {
        return text.into();
    }
    let prefix = if first.is_some_and(begins_name) { "" } else { "_" };
    let rest = text.chars().map(|char| if is_in_name(char) { char } else { '_' });
    prefix.chars().chain(rest).collect::<String>().into()
}

/// XML 1.0, 2.3, without the colon.
fn begins_name(char: char) -> bool {
    matches!(char,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}'
        | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

fn is_in_name(char: char) -> bool {
    begins_name(char)
        || matches!(char, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Whether reading a text takes time and memory in proportion to its length.
fn is_bounded(text: &str) -> bool {
    // No tag has a `<` inside, so each begins one of these.
    let mut tags = text.split('<').skip(1);
    text.matches("xmlns").take(MOST_NAMESPACES + 1).count() <= MOST_NAMESPACES
        && tags.all(|tag| attributes(tag) <= MOST_ATTRIBUTES)
}

/// Equals signs outside of quotes, up to the end of a tag.
fn attributes(tag: &str) -> usize {
    let mut quote = None;
    let mut count = 0;
    for byte in tag.bytes() {
        match (quote, byte) {
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'>') => break,
            (None, b'=') => count += 1,
            (None, _) => {}
        }
    }
    count
}

struct Reader<'b> {
    shapes: Shapes<'b>,
}

/// Where the properties of an object stand in XML, by their local names.
#[derive(Default)]
struct Slots<'b> {
    attributes: HashMap<String, &'b str>,
    /// With whether each is an item of an array that has no element of its own.
    elements: HashMap<String, (&'b str, bool)>,
    /// Attributes that declare namespaces.
    declared: Vec<(&'b str, &'b str)>,
    text: Option<&'b str>,
}

impl<'b> Reader<'b> {
    fn value(&mut self, node: Node<'_, '_>, shape: &Rc<Shape<'b>>, depth: usize) -> Option<Json> {
        if depth > DEEPEST {
            return None;
        }
        let has_elements = node.children().any(|child| child.is_element());
        let is_plain = !has_elements && !node.attributes().any(is_own);
        if is_nil(node) || is_plain && shape.takes("null") && text(node).is_empty() {
            return Some(Json::Null);
        }
        if shape.is_array() {
            return self.items(node, shape, depth);
        }
        let is_text = is_plain && !text(node).trim().is_empty() && self.slots(shape).text.is_none();
        match shape.is_object() && !is_text || !is_plain {
            true => self.object(node, shape, depth),
            false => Some(scalar(text(node), shape)),
        }
    }

    fn items(&mut self, node: Node<'_, '_>, shape: &Rc<Shape<'b>>, depth: usize) -> Option<Json> {
        let children = node.children().filter(Node::is_element).enumerate();
        let items = children.map(|(number, child)| {
            let item = self.shapes.item(shape, number);
            self.value(child, &item, depth + 1)
        });
        items.collect::<Option<Vec<_>>>().map(Json::Array)
    }

    fn object(&mut self, node: Node<'_, '_>, shape: &Rc<Shape<'b>>, depth: usize) -> Option<Json> {
        let slots = self.slots(shape);
        let mut found = Map::new();
        for attribute in node.attributes().filter(|attribute| is_own(*attribute)) {
            let name = slots.attributes.get(attribute.name()).copied().unwrap_or(attribute.name());
            let property = self.shapes.property(shape, name);
            let items = property.is_array().then(|| self.shapes.item(&property, 0));
            let value = attribute_value(attribute.value(), items.as_deref(), &property);
            found.insert(name.to_owned(), value);
        }
        for (name, property) in &slots.declared {
            let namespace = node.lookup_namespace_uri(name.strip_prefix("xmlns:"));
            found.extend(namespace.map(|namespace| ((*property).to_owned(), namespace.into())));
        }
        let mut repeated: HashMap<String, usize> = HashMap::new();
        for child in node.children().filter(Node::is_element) {
            let name = child.tag_name().name();
            let (name, in_array) = slots.elements.get(name).copied().unwrap_or((name, false));
            let property = self.shapes.property(shape, name);
            let count = repeated.entry(name.to_owned()).or_default();
            let item = if in_array { self.shapes.item(&property, *count) } else { property };
            *count += 1;
            let value = self.value(child, &item, depth + 1)?;
            match (found.get_mut(name), *count) {
                (Some(Json::Array(items)), 2..) if in_array || *count > 2 => items.push(value),
                (Some(first), 2) => *first = Json::Array(vec![first.take(), value]),
                _ => {
                    let value = if in_array { Json::Array(vec![value]) } else { value };
                    found.insert(name.to_owned(), value);
                }
            }
        }
        if let Some(name) = slots.text {
            let property = self.shapes.property(shape, name);
            found.insert(name.to_owned(), scalar(text(node), &property));
        }
        // An array without items and without an element of its own leaves no trace.
        for (name, in_array) in slots.elements.values() {
            if *in_array && shape.required.contains(name) && !found.contains_key(*name) {
                found.insert((*name).to_owned(), Json::Array(Vec::new()));
            }
        }
        Some(found.into())
    }

    fn slots(&mut self, shape: &Rc<Shape<'b>>) -> Rc<Slots<'b>> {
        if let Some(known) = shape.slots.get() {
            return known.clone();
        }
        let mut slots = Slots::default();
        for (name, schema) in &shape.properties {
            let property = self.shapes.of(schema);
            let own = property.name.unwrap_or(name);
            match property.property_as(property.is_array()) {
                As::Attribute if own == "xmlns" || own.starts_with("xmlns:") => {
                    slots.declared.push((own, name));
                }
                As::Attribute => slots.attributes.extend(locals(own).map(|local| (local, *name))),
                As::Text | As::Cdata => slots.text = Some(name),
                As::Element => slots.elements.extend(locals(own).map(|local| (local, (*name, false)))),
                As::Nothing if property.is_array() => {
                    let own = self.shapes.item(&property, 0).name.unwrap_or(name);
                    slots.elements.extend(locals(own).map(|local| (local, (*name, true))));
                }
                As::Nothing => {}
            }
        }
        shape.slots.get_or_init(|| slots.into()).clone()
    }
}

/// What a name may be without its prefix: a document may have written that itself.
fn locals(name: &str) -> impl Iterator<Item = String> {
    let local = name.split_once(':').map(|(_, local)| usable(local).into_owned());
    std::iter::once(usable(name).into_owned()).chain(local)
}

/// The text that stands in an element itself.
fn text(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|child| child.text()).collect()
}

/// Whether an attribute is the instance's, and not about it.
fn is_own(attribute: roxmltree::Attribute<'_, '_>) -> bool {
    attribute.namespace() != Some(SCHEMA_INSTANCE)
}

fn is_nil(node: Node<'_, '_>) -> bool {
    matches!(node.attribute((SCHEMA_INSTANCE, "nil")), Some("true" | "1"))
}

/// An array in an attribute has spaces between its items.
fn attribute_value(text: &str, items: Option<&Shape<'_>>, shape: &Shape<'_>) -> Json {
    match items {
        Some(items) => text.split_whitespace().map(|item| scalar(item.to_owned(), items)).collect(),
        None => scalar(text.to_owned(), shape),
    }
}

/// A text as one of the types that its schema has; a text, if it reads as none of them.
fn scalar(text: String, shape: &Shape<'_>) -> Json {
    let trimmed = text.trim();
    let is_number = shape.takes("integer") || shape.takes("number");
    if is_number && let Some(number) = number(trimmed) {
        return number.into();
    }
    match trimmed {
        "true" if shape.takes("boolean") => true.into(),
        "false" if shape.takes("boolean") => false.into(),
        "" if shape.takes("null") => Json::Null,
        _ => text.into(),
    }
}

/// XML Schema's numbers may have a sign or zeros that JSON's have not.
fn number(text: &str) -> Option<Number> {
    let number = serde_json::from_str(text).ok();
    number.or_else(|| text.parse::<i64>().ok().map(Number::from))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

    /// What an instance of `root` is written as, with the other definitions beside it.
    #[track_caller]
    fn check_with(root: Json, others: Json, instance: Json, expected: &str) -> Json {
        let mut definitions = others;
        definitions["0"] = root;
        let bundle = json!({"$ref": "#/$defs/0", "$defs": definitions});
        let written = write(&instance, &bundle);
        assert_eq!(written.strip_prefix(HEAD), Some(expected));
        read(&written, &bundle).expect("what is written is well formed")
    }

    /// As [`check_with`], and that it is read as it was.
    #[track_caller]
    fn check(root: Json, instance: Json, expected: &str) {
        let again = check_with(root, json!({}), instance.clone(), expected);
        assert_eq!(again, instance);
    }

    /// Of a property `animals` of the root, which has the items `cat` and `dog`.
    #[track_caller]
    fn check_array(mut array: Json, items: Json, expected: &str) {
        array["type"] = "array".into();
        array["items"] = items;
        let root = json!({"xml": {"name": "r"}, "properties": {"animals": array}});
        check(root, json!({"animals": ["cat", "dog"]}), &format!("<r>{expected}</r>"));
    }

    #[test]
    fn a_root_is_called_as_its_schema_says() {
        check(json!({"type": "integer", "xml": {"name": "n"}, "$comment": "d"}), json!(5), "<n>5</n>");
        check(json!({"type": "string", "$comment": "d"}), json!("a<"), "<d>a&lt;</d>");
        check(json!({"type": "boolean"}), json!(true), "<root>true</root>");
    }

    #[test]
    fn properties_are_elements_or_attributes_by_other_names() {
        let root = json!({"$comment": "Person", "type": "object", "properties": {
            "id": {"type": "integer", "xml": {"attribute": true}},
            "name": {"type": "string", "xml": {"name": "full-name"}},
            "ok": {"type": "boolean"}, "ratio": {"type": "number"},
        }});
        check(
            root,
            json!({"id": 1, "name": "A & \"B\"", "ok": false, "ratio": 1.5}),
            "<Person id=\"1\"><full-name>A &amp; \"B\"</full-name><ok>false</ok><ratio>1.5</ratio></Person>",
        );
    }

    /// The six forms that the specification shows (3.1, 4.8.26.2.4).
    #[test]
    fn arrays_are_wrapped_or_not() {
        let plain = || json!({"type": "string"});
        let named = || json!({"type": "string", "xml": {"name": "animal"}});
        let both = |name: &str| format!("<{name}>cat</{name}><{name}>dog</{name}>");
        check_array(json!({}), plain(), &both("animals"));
        check_array(json!({}), named(), &both("animal"));
        check_array(json!({"xml": {"name": "aliens"}}), named(), &both("animal"));
        check_array(
            json!({"xml": {"wrapped": true}}),
            plain(),
            &format!("<animals>{}</animals>", both("animals")),
        );
        check_array(
            json!({"xml": {"wrapped": true, "name": "aliens"}}),
            named(),
            &format!("<aliens>{}</aliens>", both("animal")),
        );
        check_array(
            json!({"xml": {"wrapped": true, "name": "aliens"}}),
            plain(),
            &format!("<aliens>{}</aliens>", both("aliens")),
        );
    }

    #[test]
    fn node_types_of_3_2() {
        let root = json!({"$comment": "r", "properties": {
            "a": {"type": "string", "xml": {"nodeType": "attribute"}},
            "t": {"type": "string", "xml": {"nodeType": "text"}},
        }});
        check(root, json!({"a": "1", "t": "x<y"}), "<r a=\"1\">x&lt;y</r>");
        let root =
            json!({"$comment": "r", "properties": {"t": {"type": "string", "xml": {"nodeType": "cdata"}}}});
        check(root, json!({"t": "a]]>b<"}), "<r><![CDATA[a]]]]>&gt;<![CDATA[b<]]></r>");
        let list = json!({"type": "array", "xml": {"nodeType": "element"}, "items": {"xml": {"name": "i"}}});
        check(
            json!({"$comment": "r", "properties": {"list": list}}),
            json!({"list": ["x"]}),
            "<r><list><i>x</i></list></r>",
        );
        let inside = json!({"type": "object", "xml": {"nodeType": "none"}, "properties": {
            "a": {"xml": {"attribute": true}}, "b": {},
        }});
        check_with(
            json!({"$comment": "r", "properties": {"in": inside}}),
            json!({}),
            json!({"in": {"a": "1", "b": "2"}}),
            "<r a=\"1\"><b>2</b></r>",
        );
    }

    #[test]
    fn items_in_an_order_have_schemas_of_their_own() {
        check_with(
            json!({"$comment": "List", "type": "array", "prefixItems": [{"$ref": "#/$defs/1"}], "items": {"$ref": "#/$defs/2"}}),
            json!({"1": {"$comment": "One", "type": "string"}, "2": {"$comment": "More", "xml": {"name": "m"}, "type": "string"}}),
            json!(["a", "b", "c"]),
            "<List><One>a</One><m>b</m><m>c</m></List>",
        );
    }

    #[test]
    fn arrays_in_arrays_and_arrays_without_items() {
        let matrix = json!({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}});
        check(
            json!({"properties": {"m": matrix}}),
            json!({"m": [[1, 2], []]}),
            "<root><m><m>1</m><m>2</m></m><m></m></root>",
        );
        let list = json!({"type": "array", "items": {}});
        check(
            json!({"properties": {"a": list.clone()}, "required": ["a"]}),
            json!({"a": []}),
            "<root></root>",
        );
        check(json!({"properties": {"a": list}}), json!({}), "<root></root>");
    }

    #[test]
    fn namespaces_are_declared_where_they_begin() {
        let sample = "http://example.com/schema/sample";
        check(
            json!({"$comment": "Person", "xml": {"namespace": "urn:p"}, "properties": {
                "id": {"type": "integer", "xml": {"attribute": true, "prefix": "s", "namespace": sample}},
                "name": {"type": "string", "xml": {"prefix": "s", "namespace": sample}},
                "other": {"type": "string", "xml": {"prefix": "unknown"}},
            }}),
            json!({"id": 1, "name": "x", "other": "y"}),
            &format!(
                "<Person xmlns=\"urn:p\" xmlns:s=\"{sample}\" s:id=\"1\"><s:name>x</s:name><other>y</other></Person>"
            ),
        );
        let soap = json!({"xml": {"name": "soap:Envelope"}, "properties": {
            "ns": {"type": "string", "xml": {"attribute": true, "name": "xmlns:soap"}},
            "Body": {"type": "object", "xml": {"name": "soap:Body"}, "properties": {"x:y": {"type": "string"}}},
        }});
        check(
            soap,
            json!({"ns": "urn:soap", "Body": {"x:y": "1"}}),
            "<soap:Envelope xmlns:soap=\"urn:soap\"><soap:Body><x_y>1</x_y></soap:Body></soap:Envelope>",
        );
    }

    #[test]
    fn a_prefix_is_never_declared_twice_nor_an_attribute() {
        let attribute = |namespace: &str| json!({"xml": {"attribute": true, "name": "x", "prefix": "p", "namespace": namespace}});
        check_with(
            json!({"xml": {"prefix": "xmlns", "namespace": "urn:x"}, "properties": {
                "a": attribute("urn:1"), "b": attribute("urn:2"), "c": attribute("urn:1"),
                "d": {"xml": {"attribute": true, "name": "x"}}, "e": {"xml": {"attribute": true, "name": "xmlns:"}},
            }}),
            json!({}),
            json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}),
            "<root xmlns=\"urn:x\" xmlns:p=\"urn:1\" p:x=\"1\" x=\"2\"></root>",
        );
    }

    #[test]
    fn null_is_an_empty_element() {
        let nullable = json!({"type": ["integer", "null"]});
        check(json!({"properties": {"a": nullable}}), json!({"a": null}), "<root><a/></root>");
        let both = json!({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/1"}]});
        check_with(
            json!({"properties": {"a": both.clone(), "b": both}}),
            json!({"1": {"type": "object", "xml": {"name": "named"}}}),
            json!({"a": null, "b": {}}),
            "<root><named/><named></named></root>",
        );
    }

    #[test]
    fn names_and_texts_that_xml_has_not_are_made_some() {
        check(
            json!({"properties": {"first name": {"type": "string"}, "1": {"type": "string"}, "": {"type": "string"}}}),
            json!({"first name": "a\rb", "1": "", "": "ä😀"}),
            "<root><first_name>a&#13;b</first_name><_1></_1><_>ä😀</_></root>",
        );
        let written = write(&json!("\u{0}a\u{1f}\u{ffff}"), &json!({}));
        assert_eq!(written, format!("{HEAD}<root>a</root>"));
    }

    #[test]
    fn a_schema_is_looked_through_to_what_it_is_put_together_of() {
        let named = |name: &str| json!({"type": "string", "xml": {"name": name}});
        check(
            json!({"allOf": [
                {"properties": {"a": {"allOf": [named("x")]}}},
                {"oneOf": [{"properties": {"b": named("y")}}, {"properties": {"c": {"type": "integer"}}}]},
            ]}),
            json!({"a": "1", "b": "2", "c": 3}),
            "<root><x>1</x><y>2</y><c>3</c></root>",
        );
        let circle = json!({"allOf": [{"$ref": "#/$defs/0"}], "properties": {"a": {"$ref": "#/$defs/0"}}});
        check(circle, json!({"a": {"a": {}}}), "<root><a><a></a></a></root>");
    }

    #[test]
    fn maps_have_any_names() {
        check(
            json!({"additionalProperties": {"type": "integer"}}),
            json!({"a": 1, "b": 2}),
            "<root><a>1</a><b>2</b></root>",
        );
    }

    #[track_caller]
    fn check_read(schema: Json, text: &str, expected: Option<Json>) {
        assert_eq!(read(text, &schema), expected);
    }

    #[test]
    fn what_the_schema_says_nothing_of_is_read_as_it_looks() {
        check_read(
            json!({}),
            "\u{feff}<r x='1'><a>1</a> <b/><b>2</b><b><c/></b><!-- no --></r>",
            Some(json!({"x": "1", "a": "1", "b": ["", "2", {"c": ""}]})),
        );
        check_read(json!({}), "<r> x </r>", Some(json!(" x ")));
    }

    #[test]
    fn texts_are_read_as_the_schema_s_types() {
        let types = |types: Json| json!({"type": types});
        check_read(types(json!("integer")), "<r> +07 </r>", Some(json!(7)));
        check_read(types(json!("integer")), "<r>x</r>", Some(json!("x")));
        check_read(types(json!("string")), "<r>7</r>", Some(json!("7")));
        check_read(types(json!(["number", "null"])), "<r> </r>", Some(Json::Null));
        check_read(json!({"enum": [1, 2]}), "<r>2</r>", Some(json!(2)));
        check_read(types(json!("object")), "<r>7</r>", Some(json!("7")));
        check_read(
            types(json!("string")),
            "<r xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"/>",
            Some(Json::Null),
        );
    }

    #[test]
    fn namespaces_are_not_compared() {
        let schema =
            json!({"properties": {"a": {"type": "integer", "xml": {"prefix": "p", "namespace": "urn:1"}}}});
        check_read(schema, "<q:r xmlns:q=\"urn:2\"><q:a>1</q:a></q:r>", Some(json!({"a": 1})));
    }

    #[test]
    fn what_is_no_xml_or_would_cost_too_much_is_not_read() {
        check_read(json!({}), "", None);
        check_read(json!({}), "{\"a\":1}", None);
        check_read(json!({}), "<a><b></a>", None);
        check_read(json!({}), "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", None);
        check_read(json!({}), "<a>&e;</a>", None);
        let deep = 200;
        check_read(json!({}), &format!("{}{}", "<a>".repeat(deep), "</a>".repeat(deep)), None);
        let wide: String = (0..100_000).map(|n| format!(" a{n}='='")).collect();
        check_read(json!({}), &format!("<a{wide}/>"), None);
        let spaces: String = (0..50_000).map(|n| format!("<a xmlns:a{n}='u{n}'>")).collect();
        check_read(json!({}), &spaces, None);
    }
}
