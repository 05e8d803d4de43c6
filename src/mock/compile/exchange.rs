//! The exchanges of an operation: what each example name joins, under each status that has it.
//!
//! Everything is looked up by name, so that an operation of many thousands of examples is compiled
//! in one pass.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::{BAD_HEADER, Compiler, made, wanted};
use crate::diagnostic::{Code, Severity};
use crate::mock::body::{self, Objects};
use crate::mock::choose::{Described, Exchange, Exchanges, Reading, Wanted, WantedBody, WantedContent};
use crate::mock::generate;
use crate::mock::media::{MediaType, Syntax};
use crate::mock::offer::{Head, Offer};
use crate::mock::reply::{Content, Reply};
use crate::mock::route::Captured;
use crate::mock::schema::Validator;
use crate::mock::style::Writing;
use crate::mock::template::Template;
use crate::mock::trial::Shown;
use crate::spec::document::{Example, Field, Location, Media, Parameter, Response, StatusPattern};
use crate::spec::kept::Schema;
use crate::spec::schema::Direction;

/// Exchanges of an operation under statuses that only a request can ask for: references may bring
/// thousands of names into each of hundreds of responses.
const MOST_OTHERS: usize = 10_000;

/// Replies of one document: an example in a media type under a status of an operation. Thousands of
/// operations may refer to thousands of examples, and no document that is read by people has as many.
pub(super) const MOST_REPLIES: usize = 200_000;

/// Header fields of an answer; each reply has them all.
const MOST_FIELDS: usize = 100;

const TOO_MANY: Code = Code("SI0217");

/// What each response has to answer with.
#[derive(Default)]
struct Answers<'t> {
    /// One of each name, in document order: that of the preferred status.
    usual: Vec<Answer<'t>>,
    /// The same names under other statuses.
    others: Vec<Answer<'t>>,
    /// For each response, what it answers with if it has no content and no names.
    empties: Vec<Option<Arc<Reply>>>,
    /// For each response, its media types.
    offers: Vec<Box<[Offer]>>,
}

/// An example name in one response.
struct Answer<'t> {
    response: usize,
    /// Which of the response's names it is.
    position: usize,
    name: Option<&'t str>,
    replies: Vec<Reply>,
}

/// What replies of one response are made from.
struct Offered<'r, 't> {
    response: &'r Response<'t>,
    kinds: Vec<Option<Arc<MediaType>>>,
    /// By name: which of the media types has it.
    examples: Named<'r, 't>,
    fields: Vec<Header<'r, 't>>,
}

/// A header of a response. Its values are made as replies need them, each once.
struct Header<'r, 't> {
    name: HeaderName,
    examples: &'r [Example<'t>],
    /// Where it has no example.
    schema: Option<Schema>,
    named: HashMap<&'t str, usize>,
    objects: Objects,
    made: HashMap<usize, Arc<[Text]>>,
}

#[derive(Clone)]
pub(super) enum Text {
    Fixed(HeaderValue),
    Rendered(Arc<Template>),
}

/// A form whose fields are described one by one, and their examples by name.
struct Form<'r, 't> {
    kind: Option<Arc<MediaType>>,
    writings: Vec<Arc<Writing>>,
    examples: Named<'r, 't>,
}

/// What examples ask of requests, by their names.
struct Asking<'r, 't> {
    parameters: Named<'r, 't>,
    /// How each parameter is written, if it has examples that are compared.
    writings: Vec<Option<Arc<Writing>>>,
    bodies: Named<'r, 't>,
    kinds: Vec<Option<Arc<MediaType>>>,
    /// How each body is read that is XML.
    readings: Vec<Option<Arc<Reading>>>,
    forms: Vec<Form<'r, 't>>,
}

/// Examples by their name, each with the number of the list that it is from.
type Named<'r, 't> = HashMap<Option<&'t str>, Vec<(usize, &'r Example<'t>)>>;

impl<'t> Compiler<'_, 't> {
    /// An exchange for each status and name. Of one name the preferred status answers as usual; the
    /// others are for requests that ask for them.
    pub(super) fn exchanges(&mut self, label: &Arc<str>, captured: &[Captured]) -> Exchanges {
        let operation = self.operation;
        let responses: Vec<_> =
            operation.responses.iter().filter(|response| !response.status.is_informational()).collect();
        let Answers { mut usual, mut others, empties, offers } = self.answers(label, &responses);
        let preferred = preferred(&responses, &usual, &empties);
        // What has no name joins an error only because it has none: that does not answer in place of a
        // success that shows nothing.
        let preference = |response: usize| responses[response].status.preference();
        let outranked = |answer: &Answer<'_>| {
            answer.name.is_none()
                && preferred.is_some_and(|own| preference(own) < preference(answer.response))
        };
        others.extend(usual.iter().position(outranked).map(|at| usual.remove(at)));
        let asking = self.asking();
        let first: HashMap<_, _> = usual.iter().enumerate().map(|(at, answer)| (answer.name, at)).collect();
        let mut own = vec![Vec::new(); responses.len()];
        let count = usual.len();
        let mut all: Vec<Exchange> = Vec::with_capacity(count + others.len());
        for Answer { response, position, name, replies } in usual.into_iter().chain(others) {
            own[response].push((position, all.len()));
            let same = first.get(&name).and_then(|at| all.get(*at));
            let (parameters, bodies) = match same {
                Some(same) => (same.parameters.clone(), same.bodies.clone()),
                None => (self.parameters(&asking, name), self.bodies(&asking, name)),
            };
            all.push(Exchange { name: name.map(Into::into), parameters, bodies, replies: replies.into() });
        }
        let described = responses.iter().zip(own).zip(empties.into_iter().zip(offers));
        let described = described.map(|((response, mut own), (empty, offers))| {
            own.sort_unstable();
            let exchanges = own.into_iter().map(|(_, number)| number).collect();
            Described { status: response.status, exchanges, empty, offers }
        });
        let bare = captured.is_empty()
            && operation.bodies.is_empty()
            && !operation.parameters.iter().any(is_compared);
        Exchanges { all: all.into(), usual: count, bare, preferred, responses: described.collect() }
    }

    /// The first example of a body, else of a parameter, and what has its name.
    pub(super) fn shown(&mut self) -> Shown {
        let operation = self.operation;
        let fields =
            operation.bodies.iter().flat_map(|media| media.fields.iter().map(|field| &field.examples));
        let bodies = operation.bodies.iter().map(|media| &media.examples).chain(fields);
        let parameters = operation.parameters.iter().map(|parameter| &parameter.examples);
        let name = bodies.chain(parameters).flatten().map(|example| example.name).next().flatten();
        let asking = self.asking();
        let (parameters, bodies) = (self.parameters(&asking, name), self.bodies(&asking, name));
        let instance = if bodies.is_empty() { self.instance(&operation.bodies) } else { None };
        Shown { parameters, bodies, instance }
    }

    fn answers(&mut self, label: &Arc<str>, responses: &[&Response<'t>]) -> Answers<'t> {
        let most = if self.config.overrides { MOST_OTHERS } else { 0 };
        let mut found = Answers::default();
        let mut known: HashMap<Option<&str>, usize> = HashMap::new();
        // Most responses without content have no headers either, and differ in their status alone.
        let mut plain: Option<Arc<Reply>> = None;
        for (number, response) in responses.iter().enumerate() {
            let mut offered = self.offered(response);
            let names = names(response);
            found.empties.push(match (names.is_empty() && response.content.is_empty(), &plain) {
                (false, _) => None,
                (true, Some(plain)) if response.headers.is_empty() => Some(plain.clone()),
                (true, _) => Some(self.empty(label, &mut offered, None).into()),
            });
            found.offers.push(self.offers(&mut offered));
            if plain.is_none() && response.headers.is_empty() {
                plain = found.empties.last().cloned().flatten();
            }
            for (position, name) in names.into_iter().enumerate() {
                let at = known.get(&name).copied();
                let preference = |at: usize| responses[found.usual[at].response].status.preference();
                let later = at.is_some_and(|at| preference(at) <= response.status.preference());
                if later && found.others.len() >= most {
                    continue;
                }
                if !self.has_room() {
                    break;
                }
                let replies = self.replies(label, &mut offered, name);
                if replies.is_empty() {
                    continue;
                }
                self.shared.room = self.shared.room.map(|room| room.saturating_sub(replies.len()));
                let answer = Answer { response: number, position, name, replies };
                match at {
                    Some(_) if later => found.others.push(answer),
                    Some(at) => found.others.push(std::mem::replace(&mut found.usual[at], answer)),
                    None => {
                        known.insert(name, found.usual.len());
                        found.usual.push(answer);
                    }
                }
            }
        }
        found.others.truncate(most);
        found
    }

    fn has_room(&mut self) -> bool {
        if self.shared.room == Some(0) {
            self.shared.room = None;
            let message =
                format!("with this operation the document has {MOST_REPLIES} answers, and no more are kept");
            self.diagnostics.push(
                self.operation
                    .key
                    .problem(Severity::Warning, TOO_MANY, message)
                    .hint("let fewer operations refer to as many examples"),
            );
        }
        self.shared.room.is_some()
    }

    fn offered<'r>(&mut self, response: &'r Response<'t>) -> Offered<'r, 't> {
        let kinds = response.content.iter().map(|media| self.kind(media)).collect();
        let examples = named(response.content.iter().map(|media| &*media.examples));
        if response.headers.len() > MOST_FIELDS {
            let message =
                format!("the response has more than {MOST_FIELDS} headers; the others are not sent");
            self.diagnostics.push(response.key.problem(Severity::Warning, BAD_HEADER, message));
        }
        let fields =
            response.headers.iter().take(MOST_FIELDS).filter_map(|field| self.field(field)).collect();
        Offered { response, kinds, examples, fields }
    }

    fn field<'r>(&mut self, field: &'r Field<'t>) -> Option<Header<'r, 't>> {
        // OpenAPI 3.1, 4.8.17: a `Content-Type` here is ignored. The others would break the framing,
        // and a body that is shown as text is in no encoding.
        const NOT_TAKEN: [&str; 9] = [
            "content-type",
            "content-length",
            "content-encoding",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "proxy-connection",
            "trailer",
            "upgrade",
        ];
        let Ok(name) = HeaderName::try_from(field.name) else {
            let message = format!("`{}` is no name for a header", field.name);
            self.diagnostics.push(field.key.problem(Severity::Warning, BAD_HEADER, message));
            return None;
        };
        let mut named = HashMap::new();
        for (number, example) in field.examples.iter().enumerate() {
            if let Some(own) = example.name {
                named.entry(own).or_insert(number);
            }
        }
        let schema = field.schema.filter(|_| field.examples.is_empty());
        let schema = schema.filter(|_| is_made_up(&name)).map(|schema| self.texts.schema(schema));
        let taken = !NOT_TAKEN.contains(&name.as_str()) && (schema.is_some() || !field.examples.is_empty());
        let objects = Objects::from(field.explode);
        let examples = &*field.examples;
        taken.then_some(Header { name, examples, schema, named, objects, made: HashMap::new() })
    }

    /// An example in each of the media types of a response that have it.
    fn replies(
        &mut self,
        label: &Arc<str>,
        offered: &mut Offered<'_, 't>,
        name: Option<&'t str>,
    ) -> Vec<Reply> {
        if offered.response.content.is_empty() {
            return vec![self.empty(label, offered, name)];
        }
        let examples = offered.examples.remove(&name).unwrap_or_default();
        let mut found = Vec::new();
        for (number, example) in examples {
            let Some(kind) = offered.kinds[number].clone() else { continue };
            let media = &offered.response.content[number];
            let content = self.content(example, media, &kind, Direction::Response);
            found.push(self.reply(label, offered, name, Some((*kind).clone()), content));
        }
        found
    }

    /// The media types of a response, for instances of their schemas.
    fn offers(&mut self, offered: &mut Offered<'_, 't>) -> Box<[Offer]> {
        if offered.response.content.is_empty() {
            return Box::default();
        }
        let mut head = Head::default();
        for header in &mut offered.fields {
            if let Some(schema) = &header.schema {
                head.instances.push((header.name.clone(), header.objects, schema.clone()));
                continue;
            }
            for text in &*self.header(header, None) {
                match text.clone() {
                    Text::Fixed(value) => drop(head.fields.fixed.append(header.name.clone(), value)),
                    Text::Rendered(template) => head.fields.rendered.push((header.name.clone(), template)),
                }
            }
        }
        let head = Arc::new(head);
        let content = &offered.response.content;
        let offer = |media: &Media<'t>| {
            let kind = self.kind(media)?;
            let said = self.said(media, &kind);
            Some(Offer::new(kind, said, head.clone()))
        };
        content.iter().filter_map(offer).collect()
    }

    fn empty(&mut self, label: &Arc<str>, offered: &mut Offered<'_, 't>, name: Option<&'t str>) -> Reply {
        self.reply(label, offered, name, None, Content::Bytes(Default::default()))
    }

    fn reply(
        &mut self,
        label: &Arc<str>,
        offered: &mut Offered<'_, 't>,
        name: Option<&'t str>,
        media: Option<MediaType>,
        content: Content,
    ) -> Reply {
        let mut reply = Reply::new(offered.response.status.status(), media, content);
        if self.config.reveal {
            reply.reveal(label, name);
        }
        let mut rendered = Vec::new();
        for header in &mut offered.fields {
            for text in &*self.header(header, name) {
                match text.clone() {
                    Text::Fixed(value) => reply.field(header.name.clone(), value),
                    Text::Rendered(template) => rendered.push((header.name.clone(), template)),
                }
            }
        }
        reply.fields(rendered);
        reply
    }

    /// The values of the example of that name, else of the first: several are fields of their own.
    fn header(&mut self, header: &mut Header<'_, 't>, name: Option<&str>) -> Arc<[Text]> {
        if let Some(schema) = &header.schema {
            let key = (schema.key(Direction::Response), header.name.clone());
            let make =
                || instance(schema, &header.name, header.objects).into_iter().map(Text::Fixed).collect();
            return self.shared.headers.entry(key).or_insert_with(make).clone();
        }
        let number = name.and_then(|name| header.named.get(name).copied()).unwrap_or(0);
        let Some(example) = header.examples.get(number) else { return Arc::default() };
        if let Some(known) = header.made.get(&number) {
            return known.clone();
        }
        let templates = body::header(&header.name, header.objects, example, self.diagnostics);
        let text = |template: Template| match template.as_literal().map(HeaderValue::try_from) {
            Some(Ok(value)) => Some(Text::Fixed(value)),
            Some(Err(_)) => {
                let message = format!("this can't be the value of the header `{}`", header.name);
                self.diagnostics.push(example.at.problem(Severity::Warning, BAD_HEADER, message));
                None
            }
            None => Some(Text::Rendered(template.into())),
        };
        let made: Arc<[Text]> = templates.into_iter().filter_map(text).collect();
        header.made.insert(number, made.clone());
        made
    }

    fn asking<'r>(&mut self) -> Asking<'r, 't>
    where
        Self: 'r,
    {
        let operation = self.operation;
        let compared = |parameter: &&Parameter<'t>| is_compared(parameter) && !parameter.examples.is_empty();
        let writing =
            |parameter| Some(parameter).filter(compared).map(|parameter| Arc::new(parameter.into()));
        let kinds: Vec<_> = operation.bodies.iter().map(|media| self.known(media.name)).collect();
        let forms = operation.bodies.iter().zip(&kinds).filter(|(media, _)| !media.fields.is_empty());
        let reading = |(media, kind): (&Media<'t>, &Option<Arc<MediaType>>)| {
            let is_xml = kind.as_ref().is_some_and(|kind| kind.syntax() == Syntax::Xml);
            is_xml.then(|| Arc::new(Reading::new(media.schema.map(|schema| self.texts.schema(schema)))))
        };
        Asking {
            readings: operation.bodies.iter().zip(&kinds).map(reading).collect(),
            parameters: named(operation.parameters.iter().map(|parameter| &*parameter.examples)),
            writings: operation.parameters.iter().map(writing).collect(),
            bodies: named(operation.bodies.iter().map(|media| &*media.examples)),
            forms: forms.map(|(media, kind)| Form::of(media, kind.clone())).collect(),
            kinds,
        }
    }

    fn parameters(&self, asking: &Asking<'_, 't>, name: Option<&str>) -> Arc<[Wanted]> {
        let given = asking.parameters.get(&name).into_iter().flatten();
        let wanted = given.filter_map(|(number, example)| {
            let writing = asking.writings[*number].as_ref()?;
            let value = wanted::parameter(&self.operation.parameters[*number], writing, example)?;
            Some(Wanted { writing: writing.clone(), value })
        });
        wanted.collect()
    }

    /// Forms have their examples themselves.
    fn bodies(&mut self, asking: &Asking<'_, 't>, name: Option<&str>) -> Arc<[WantedBody]> {
        let given = asking.bodies.get(&name).into_iter().flatten();
        let wanted = given.map(|(number, example)| {
            let media = asking.kinds[*number].clone();
            let syntax = media.as_ref().map_or(Syntax::Other, |media| media.syntax());
            let content = self.shared.wanted.entry(made(example.data.unwrap_or(example.at), syntax));
            let content = content.or_insert_with(|| wanted::body(example, syntax)).clone();
            let content = match (content, &asking.readings[*number]) {
                (WantedContent::Json(value), Some(reading)) => WantedContent::Xml(value, reading.clone()),
                (content, _) => content,
            };
            WantedBody { media, content }
        });
        wanted.chain(asking.forms.iter().filter_map(|form| form.wanted(name))).collect()
    }
}

impl<'r, 't> Form<'r, 't> {
    fn of(media: &'r Media<'t>, kind: Option<Arc<MediaType>>) -> Self {
        let writings = media.fields.iter().map(|field| Arc::new(field.into())).collect();
        Form { kind, writings, examples: named(media.fields.iter().map(|field| &*field.examples)) }
    }

    /// The fields that have an example of that name.
    fn wanted(&self, name: Option<&str>) -> Option<WantedBody> {
        let wanted = self.examples.get(&name)?.iter().filter_map(|(number, example)| {
            let writing = &self.writings[*number];
            Some(Wanted { writing: writing.clone(), value: wanted::value(writing, example)? })
        });
        let fields: Arc<[_]> = wanted.collect();
        let content = WantedContent::Form(fields.clone());
        (!fields.is_empty()).then(|| WantedBody { media: self.kind.clone(), content })
    }
}

/// OpenAPI 3.1, 4.8.12.1: header parameters of these names are described elsewhere.
fn is_compared(parameter: &Parameter<'_>) -> bool {
    let described_elsewhere = ["accept", "content-type", "authorization"];
    let named = |name: &&str| parameter.name.eq_ignore_ascii_case(name);
    parameter.location != Location::Header || !described_elsewhere.iter().any(named)
}

/// The number of the response that answers where nobody asks for another: the lowest success that
/// anything is said of. It never gives way to an error's example.
fn preferred(
    responses: &[&Response<'_>],
    usual: &[Answer<'_>],
    empties: &[Option<Arc<Reply>>],
) -> Option<usize> {
    let status = |number: &usize| responses[*number].status;
    let mut preferred: Vec<usize> = (0..responses.len()).collect();
    preferred.sort_by_key(|number| status(number).preference());
    // Where a success is described, `default` is what its errors look like.
    let described = |number: &usize| status(number).preference() < StatusPattern::Default.preference();
    if preferred.iter().any(described) {
        preferred.retain(described);
    } else if preferred.iter().any(|number| status(number) == StatusPattern::Default) {
        preferred.retain(|number| status(number) == StatusPattern::Default);
    }
    let shows = |number: &usize| {
        let response = responses[*number];
        let says = |media: &Media<'_>| media.schema.is_some() || media.item_schema.is_some();
        empties[*number].is_some()
            || response.content.iter().any(says)
            || usual.iter().any(|answer| answer.response == *number)
    };
    preferred.iter().copied().find(shows).or(preferred.first().copied())
}

/// Whether a value that is made up may stand in a header: those who read these act on them.
fn is_made_up(name: &HeaderName) -> bool {
    *name != http::header::WWW_AUTHENTICATE && !name.as_str().starts_with("access-control-")
}

/// The values of a header by its schema; none where there are none.
fn instance(schema: &Schema, name: &HeaderName, objects: Objects) -> Vec<HeaderValue> {
    let validator = Validator::new(schema.bundle(Direction::Response).json);
    let made = validator.and_then(|validator| generate::fixed(&validator).ok());
    made.map_or_else(Vec::new, |value| body::header_values(name, objects, &value))
}

/// The names of a response's exchanges, in document order; none stands for singular examples.
fn names<'t>(response: &Response<'t>) -> Vec<Option<&'t str>> {
    let mut seen = HashMap::new();
    let examples = response.content.iter().flat_map(|media| &media.examples).map(|example| example.name);
    let refs = response.refs.iter().filter(|_| response.content.is_empty()).map(|name| Some(*name));
    examples.chain(refs).filter(|name| seen.insert(*name, ()).is_none()).collect()
}

/// Of each list the first example of each name counts.
fn named<'r, 't: 'r>(lists: impl Iterator<Item = &'r [Example<'t>]>) -> Named<'r, 't> {
    let mut found: Named<'r, 't> = HashMap::new();
    for (number, list) in lists.enumerate() {
        for example in list {
            let known = found.entry(example.name).or_default();
            if known.last().is_none_or(|(last, _)| *last != number) {
                known.push((number, example));
            }
        }
    }
    found
}
