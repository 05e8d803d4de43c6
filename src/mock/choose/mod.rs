//! Which example answers a request.

use std::sync::Arc;

use http::StatusCode;

use super::media::{Accept, Liking, MediaType};
use super::message::Request;
use super::offer::Offer;
use super::reply::Reply;
use crate::config::Unmatched;
use crate::spec::document::StatusPattern;

mod fit;

mod prefer;

pub use fit::{Reading, Wanted, WantedBody, WantedContent, WantedValue, pairs};
pub use prefer::Asked;

/// What one example name joins across parameters, request body and one response.
#[derive(Debug)]
pub struct Exchange {
    /// None for singular `example`s.
    pub name: Option<Arc<str>>,
    /// Shared by the exchanges of one name.
    pub parameters: Arc<[Wanted]>,
    /// One for each media type of the request that has the example; empty: any body fits.
    pub bodies: Arc<[WantedBody]>,
    /// One for each media type of the response that has it; never empty.
    pub replies: Box<[Reply]>,
}

/// What an operation answers from.
#[derive(Debug, Default)]
pub struct Exchanges {
    /// The usual ones in document order, then those of names that a preferred status has.
    pub all: Box<[Exchange]>,
    /// How many of them answer where a request asks for no status: one of each name.
    pub usual: usize,
    /// Whether requests have nothing to compare: the operation has neither parameters nor a body.
    pub bare: bool,
    /// The number of the response that answers where nothing fits, and nobody asks for another.
    pub preferred: Option<usize>,
    pub responses: Box<[Described]>,
}

/// A response of the document, for who asks for its status.
#[derive(Debug)]
pub struct Described {
    pub status: StatusPattern,
    /// Numbers of its exchanges, in document order.
    pub exchanges: Box<[usize]>,
    /// Where it has no content.
    pub empty: Option<Arc<Reply>>,
    /// Its media types, for instances of their schemas.
    pub offers: Box<[Offer]>,
}

/// What the request is answered with.
#[derive(Debug)]
pub enum Choice<'m> {
    Exchange {
        exchange: &'m Exchange,
        reply: &'m Reply,
    },
    Empty(&'m Described, &'m Reply),
    /// An instance of the schema.
    Instance(&'m Described, &'m Offer, Made),
    /// What there is has these media types, and the client accepts none of them.
    NotAcceptable(Vec<&'m MediaType>),
    /// None of the examples fits, and `unmatched` is `reject`.
    Rejected,
    /// The request is for the upstream.
    Upstream,
    /// The status that was asked for is none of the document's.
    NoSuchCode(u16),
    /// The name that was asked for is no example, or none of the response that was asked for too.
    NoSuchExample(String, Option<&'m Described>),
    /// The document gives nothing to answer with.
    Nothing,
}

/// How an instance of a schema is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// The same every time.
    Fixed,
    /// By chance.
    Random,
}

impl Exchanges {
    /// Those that answer where a request asks for no status, in document order.
    pub fn usual(&self) -> &[Exchange] {
        self.all.get(..self.usual).unwrap_or(&self.all)
    }

    /// Whether a request's body can make a difference.
    pub fn look_at_body(&self) -> bool {
        self.all.iter().any(|exchange| !exchange.bodies.is_empty())
    }

    /// The fitting exchange, by the contract's order: full fits that give the most values first, then
    /// those whose body alone differs; else what `unmatched` says.
    pub fn choose(&self, request: &Request<'_>, unmatched: Unmatched) -> Choice<'_> {
        let accept = Accept::of(request.head.headers);
        let (best, refused) = best(self.usual().iter(), request, &accept);
        match (best, unmatched) {
            (Some((_, choice)), _) => choice,
            (None, Unmatched::Upstream) => self.bare(&accept),
            (None, Unmatched::Reject) if self.usual().iter().any(Exchange::asks) => {
                // Those whose media type the client does not accept leave before anything fits.
                let left = |exchange: &Exchange| exchange.asks() && exchange.reply(&accept).is_some();
                match self.usual().iter().any(left) {
                    true => Choice::Rejected,
                    false => not_acceptable(self.usual().iter().filter(|exchange| exchange.asks()), None),
                }
            }
            (None, Unmatched::Generate) => self.instance(self.preferred(), Made::Fixed, &accept),
            (None, _) => self.first(self.preferred(), &accept, &refused),
        }
    }

    /// An instance of the schema, as the config or the request wants it, whatever examples there are.
    pub fn dynamic(&self, request: &Request<'_>) -> Choice<'_> {
        self.instance(self.preferred(), Made::Random, &Accept::of(request.head.headers))
    }

    /// The mode `match`: an exchange that fits with all that it gives, else the upstream. Those that the
    /// client does not accept leave first, so they keep no request from it.
    pub fn full(&self, request: &Request<'_>) -> Choice<'_> {
        let accept = Accept::of(request.head.headers);
        match best(self.usual().iter(), request, &accept) {
            (Some((fit, choice)), _) if fit.is_full() => choice,
            _ => self.bare(&accept),
        }
    }

    /// The choice of who passes what does not fit, before there is a body; none if the body decides.
    pub fn before_body(&self, request: &Request<'_>) -> Option<Choice<'_>> {
        let accept = Accept::of(request.head.headers);
        let mut values = fit::Values::new(request);
        let mut asking = self.usual().iter().filter(|exchange| !exchange.bodies.is_empty());
        let decides =
            asking.any(|exchange| exchange.parameters_fit(&mut values) && exchange.reply(&accept).is_some());
        (!decides).then(|| self.full(request))
    }

    /// Where there is nothing to compare, the first exchange fits every request.
    fn bare(&self, accept: &Accept<'_>) -> Choice<'_> {
        let preferred = self.preferred().filter(|_| self.bare);
        let own = preferred.map_or(&[][..], |response| &response.exchanges);
        let mut first = self.numbered(own);
        let accepted = first.find_map(|exchange| Some((exchange, exchange.reply(accept)?)));
        accepted.map_or(Choice::Upstream, |(exchange, reply)| Choice::Exchange { exchange, reply })
    }

    /// Whether any request could be answered by an exchange that fits it in full.
    pub fn can_fit(&self) -> bool {
        match self.bare {
            true => self.preferred().is_some_and(|response| !response.exchanges.is_empty()),
            false => self.usual().iter().any(Exchange::asks),
        }
    }

    /// What the request asks for: a status picks its response, a name the example in it; a name alone
    /// the exchange that it usually has.
    pub fn asked(&self, asked: &Asked<'_>, request: &Request<'_>) -> Choice<'_> {
        let accept = Accept::of(request.head.headers);
        let response = match asked.code.map(|code| (code, self.response(code))) {
            Some((code, None)) => return Choice::NoSuchCode(code),
            Some((_, response)) => response,
            None => None,
        };
        if let Some(name) = &asked.example {
            let named = self.of(response).find(|exchange| exchange.name.as_deref() == Some(name));
            return match named {
                Some(named) => match named.reply(&accept) {
                    Some(reply) => Choice::Exchange { exchange: named, reply },
                    None => not_acceptable(std::iter::once(named), None),
                },
                None => Choice::NoSuchExample(name.to_string(), response),
            };
        }
        if asked.dynamic == Some(true) {
            return self.instance(response.or(self.preferred()), Made::Random, &accept);
        }
        let (best, refused) = best(self.of(response), request, &accept);
        best.map_or_else(|| self.first(response, &accept, &refused), |(_, choice)| choice)
    }

    /// The first exchange of a response that is accepted; where it has none, what it has instead: no
    /// content, or a schema. `refused` has what fits and is not accepted.
    fn first<'m>(
        &'m self,
        response: Option<&'m Described>,
        accept: &Accept<'_>,
        refused: &[&'m Exchange],
    ) -> Choice<'m> {
        let own = || response.into_iter().flat_map(|response| self.numbered(&response.exchanges));
        let shown = own().filter_map(|exchange| Some((exchange, exchange.reply(accept)?)));
        let mut offered = response.and_then(|response| Some((response, response.offer(accept)?)));
        // What is only alike to what the client accepts is for where nothing else is there.
        let mut alike = None;
        for (exchange, reply) in shown {
            if reply.media.as_ref().is_none_or(|media| accept.takes(media)) {
                return Choice::Exchange { exchange, reply };
            }
            alike = alike.or(Some(Choice::Exchange { exchange, reply }));
        }
        if let Some((response, reply)) =
            response.and_then(|response| Some((response, response.empty.as_ref()?)))
        {
            return Choice::Empty(response, reply);
        }
        if alike.is_some() {
            offered = offered.filter(|(_, offer)| accept.takes(&offer.media));
        }
        if let Some((response, offer)) = offered {
            return Choice::Instance(response, offer, Made::Fixed);
        }
        if let Some(alike) = alike {
            return alike;
        }
        let there = refused.iter().copied().chain(own());
        match not_acceptable(there, response) {
            Choice::NotAcceptable(media) if media.is_empty() => Choice::Nothing,
            choice => choice,
        }
    }

    /// An instance of a response's schema; where it has none, its examples.
    fn instance<'m>(
        &'m self,
        response: Option<&'m Described>,
        made: Made,
        accept: &Accept<'_>,
    ) -> Choice<'m> {
        let offer = response.and_then(|response| Some((response, response.offer(accept)?)));
        match offer {
            Some((response, offer)) if offer.has_schema() => Choice::Instance(response, offer, made),
            _ => self.first(response, accept, &[]),
        }
    }

    /// The response that answers where nobody asks for another.
    pub fn preferred(&self) -> Option<&Described> {
        self.responses.get(self.preferred?)
    }

    /// What the document itself says for a request that is refused: the first of these codes that it has,
    /// else its `4XX` or `default` as the first of them.
    pub fn refusal(&self, codes: &[u16], request: &Request<'_>) -> Option<(StatusCode, Choice<'_>)> {
        let accept = Accept::of(request.head.headers);
        let own = |code: &u16| {
            let described =
                self.responses.iter().find(|response| response.status == StatusPattern::Code(*code));
            Some((*code, described?))
        };
        let first = codes.first()?;
        let general = || Some((*first, self.response(*first)?));
        let (code, response) = codes.iter().find_map(own).or_else(general)?;
        Some((StatusCode::from_u16(code).ok()?, self.first(Some(response), &accept, &[])))
    }

    /// OpenAPI 3.1, 4.8.16: a code comes before its range, a range before `default`. What is no final
    /// status is never an answer.
    fn response(&self, code: u16) -> Option<&Described> {
        let class = u8::try_from(code / 100).ok().filter(|class| *class > 1)?;
        let patterns = [StatusPattern::Code(code), StatusPattern::Range(class), StatusPattern::Default];
        let of = |pattern| self.responses.iter().find(|response| response.status == pattern);
        patterns.into_iter().find_map(of)
    }

    fn numbered<'m>(&'m self, numbers: &'m [usize]) -> impl Iterator<Item = &'m Exchange> {
        numbers.iter().filter_map(|number| self.all.get(*number))
    }

    /// The exchanges of a response; without one those that answer as usual.
    fn of<'m>(&'m self, response: Option<&'m Described>) -> impl Iterator<Item = &'m Exchange> {
        let (own, usual) = match response {
            Some(response) => (&*response.exchanges, &[][..]),
            None => (&[][..], self.usual()),
        };
        self.numbered(own).chain(usual)
    }

    /// The names of a response's examples, or all that there are.
    pub fn names<'m>(&'m self, of: Option<&'m Described>) -> impl Iterator<Item = &'m str> {
        self.of(of).filter_map(|exchange| exchange.name.as_deref())
    }
}

/// The exchange that fits best; and those that would fit better and are not accepted.
fn best<'m>(
    exchanges: impl Iterator<Item = &'m Exchange>,
    request: &Request<'_>,
    accept: &Accept<'_>,
) -> (Option<(fit::Fit, Choice<'m>)>, Vec<&'m Exchange>) {
    let mut refused = Vec::new();
    let mut best: Option<(fit::Fit, Choice<'m>)> = None;
    let mut values = fit::Values::new(request);
    for exchange in exchanges.filter(|exchange| exchange.asks()) {
        let Some(fit) = exchange.fit(&mut values) else { continue };
        if best.as_ref().is_some_and(|(known, _)| *known >= fit) {
            continue;
        }
        match exchange.reply(accept) {
            Some(reply) => best = Some((fit, Choice::Exchange { exchange, reply })),
            None => refused.push(exchange),
        }
    }
    (best, refused)
}

/// What there is in place of what the client accepts.
fn not_acceptable<'m>(
    exchanges: impl Iterator<Item = &'m Exchange>,
    response: Option<&'m Described>,
) -> Choice<'m> {
    let examples = exchanges.flat_map(|exchange| &exchange.replies).filter_map(|reply| reply.media.as_ref());
    let offers = response.into_iter().flat_map(|response| &response.offers);
    Choice::NotAcceptable(examples.chain(offers.map(|offer| &*offer.media)).collect())
}

impl Described {
    /// The media type that the client likes best.
    fn offer(&self, accept: &Accept<'_>) -> Option<&Offer> {
        preferred(&self.offers, accept, |offer| Some(&offer.media))
    }

    /// Whether it has content of which there is neither an example nor a schema.
    pub fn says_nothing(&self) -> bool {
        self.exchanges.is_empty() && self.empty.is_none() && !self.offers.iter().any(Offer::has_schema)
    }
}

impl Exchange {
    /// Whether it gives any value for the request. One that gives none fits nothing.
    fn asks(&self) -> bool {
        !self.parameters.is_empty() || !self.bodies.is_empty()
    }

    /// The reply in the media type that the client likes best.
    fn reply(&self, accept: &Accept<'_>) -> Option<&Reply> {
        if let ([only], true) = (&*self.replies, accept.takes_all()) {
            return Some(only);
        }
        preferred(&self.replies, accept, |reply| reply.media.as_ref())
    }
}

/// Of several the one in the media type that the client likes best; of those that it likes as much JSON,
/// then the first.
fn preferred<'m, T>(
    offered: &'m [T],
    accept: &Accept<'_>,
    media: impl Fn(&T) -> Option<&MediaType>,
) -> Option<&'m T> {
    let mut best: Option<((Liking, bool), &T)> = None;
    for one in offered {
        let rank = match media(one) {
            Some(media) => accept.liking(media).map(|liking| (liking, media.is_json())),
            None => Some((Liking::OF_NO_CONTENT, false)),
        };
        let Some(rank) = rank else { continue };
        if best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, one));
        }
    }
    best.map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::config::Config;
    use crate::mock::message::{Body, Head};
    use crate::mock::{Mocks, Source};
    use crate::spec;
    use crate::tree::Tree;

    /// `responses` are those of one operation; what is expected is the status and what answers with it.
    #[track_caller]
    fn check(responses: &str, codes: &[u16], accept: &'static str, expected: &str) {
        let text = format!("openapi: 3.1.0\npaths: {{/a: {{get: {{responses: {{{responses}}}}}}}}}");
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = spec::Trees::from([("/t.yaml".into(), tree)]);
        let document = spec::read(&trees, "/t.yaml").document.expect("the text is a document");
        let source = Source { document, trees: &trees, base_path: None, upstream: None, mode: None };
        let (mocks, _) = Mocks::compile(&[source], &Config::default());
        let headers = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static(accept))]);
        let (method, body) = (&Method::GET, Body::default());
        let head = Head { method, path: "/a", query: None, headers: &headers, scheme: "http", authority: "" };
        let request = Request { head, base: 0, params: &[], body: &body };
        let found = mocks.operations[0].exchanges.refusal(codes, &request);
        let text = found.map(|(status, choice)| match choice {
            Choice::Exchange { exchange, .. } => format!("{status:?} {:?}", exchange.name),
            Choice::Empty(response, _) => format!("{status:?} empty {}", response.status),
            Choice::Instance(response, offer, made) => {
                format!("{status:?} {made:?} {} {}", response.status, offer.media)
            }
            other => format!("{status:?} {other:?}"),
        });
        assert_eq!(text.as_deref().unwrap_or("none"), expected);
    }

    #[test]
    fn a_refusal_is_the_document_s_own_where_it_has_one() {
        let all = "400: {}, 4XX: {}, 422: {content: {a/b: {schema: {}}}}, default: {}";
        check(all, &[422, 400], "*/*", "422 Fixed 422 a/b");
        check("4XX: {}, default: {}, 400: {}", &[422, 400], "*/*", "400 empty 400");
        check("default: {}, 4XX: {}, 404: {}", &[422, 400], "*/*", "422 empty 4XX");
        check("200: {}, default: {}", &[415], "*/*", "415 empty default");
        check("200: {}, 5XX: {}, 400: {}", &[401], "*/*", "none");
        check(
            "401: {content: {a/b: {examples: {one: {value: 1}, two: {value: 2}}}}}",
            &[401],
            "*/*",
            "401 Some(\"one\")",
        );
        check("401: {}", &[], "*/*", "none");
    }

    #[test]
    fn a_refusal_is_in_a_media_type_that_the_client_accepts() {
        let both = "401: {content: {a/b: {example: 1}, c/d: {schema: {}}}}";
        check(both, &[401], "a/b", "401 None");
        check(both, &[401], "c/d", "401 Fixed 401 c/d");
    }
}
