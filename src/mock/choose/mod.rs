//! Which example answers a request.

use std::sync::Arc;

use super::media::{Accept, MediaType};
use super::message::Request;
use super::reply::Reply;
use crate::config::Unmatched;

mod fit;

pub use fit::{Wanted, WantedBody, WantedValue, pairs};

/// What one example name joins across parameters, request body and one response.
#[derive(Debug)]
pub struct Exchange {
    /// None for singular `example`s.
    pub name: Option<Arc<str>>,
    pub parameters: Box<[Wanted]>,
    /// One for each media type of the request that has the example; empty: any body fits.
    pub bodies: Box<[WantedBody]>,
    /// One for each media type of the response that has it; never empty.
    pub replies: Box<[Reply]>,
}

/// What an operation answers from.
#[derive(Debug, Default)]
pub struct Exchanges {
    /// In document order.
    pub all: Box<[Exchange]>,
    /// Where nothing fits: the exchanges of the response that is preferred, in document order.
    pub unmatched: Box<[usize]>,
    /// Where nothing fits and the preferred response has no content.
    pub empty: Option<Reply>,
}

/// What the request is answered with.
#[derive(Debug)]
pub enum Choice<'m> {
    Exchange {
        exchange: &'m Exchange,
        reply: &'m Reply,
    },
    Empty(&'m Reply),
    /// There are examples, in media types that the client does not accept.
    NotAcceptable,
    /// None of the examples fits, and `unmatched` is `reject`.
    Rejected,
    /// The document gives nothing to answer with.
    Nothing,
}

impl Exchanges {
    /// Whether a request's body can make a difference.
    pub fn look_at_body(&self) -> bool {
        self.all.iter().any(|exchange| !exchange.bodies.is_empty())
    }

    /// The fitting exchange, by the contract's order: full fits that give the most values first, then
    /// those whose body alone differs; else what `unmatched` says.
    pub fn choose(&self, request: &Request<'_>, unmatched: Unmatched) -> Choice<'_> {
        let accept = Accept::of(request.head.headers);
        let mut refused = false;
        let mut best: Option<(fit::Fit, Choice<'_>)> = None;
        let mut values = fit::Values::new(request);
        for exchange in self.all.iter().filter(|exchange| exchange.asks()) {
            let Some(fit) = exchange.fit(&mut values) else { continue };
            if best.as_ref().is_some_and(|(known, _)| *known >= fit) {
                continue;
            }
            match exchange.reply(&accept) {
                Some(reply) => best = Some((fit, Choice::Exchange { exchange, reply })),
                None => refused = true,
            }
        }
        match (best, unmatched) {
            (Some((_, choice)), _) => choice,
            (None, Unmatched::Reject) if self.all.iter().any(Exchange::asks) => {
                // Those whose media type the client does not accept leave before anything fits.
                let left = |exchange: &Exchange| exchange.asks() && exchange.reply(&accept).is_some();
                if self.all.iter().any(left) { Choice::Rejected } else { Choice::NotAcceptable }
            }
            (None, _) => self.unmatched(&accept, refused),
        }
    }

    fn unmatched(&self, accept: &Accept, mut refused: bool) -> Choice<'_> {
        for number in &self.unmatched {
            let Some(exchange) = self.all.get(*number) else { continue };
            match exchange.reply(accept) {
                Some(reply) => return Choice::Exchange { exchange, reply },
                None => refused = true,
            }
        }
        match &self.empty {
            Some(reply) => Choice::Empty(reply),
            None if refused => Choice::NotAcceptable,
            None => Choice::Nothing,
        }
    }

    /// The names that there are, for a problem's text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter_map(|exchange| exchange.name.as_deref())
    }
}

impl Exchange {
    /// Whether it gives any value for the request. One that gives none fits nothing.
    fn asks(&self) -> bool {
        !self.parameters.is_empty() || !self.bodies.is_empty()
    }

    /// The reply in the media type that the client likes best; without a preference JSON, then
    /// document order.
    fn reply(&self, accept: &Accept) -> Option<&Reply> {
        if let ([only], true) = (&*self.replies, accept.takes_all()) {
            return Some(only);
        }
        let quality = |reply: &Reply| reply.media.as_ref().map_or(1000, |media| accept.quality(media));
        let is_json = |reply: &Reply| reply.media.as_ref().is_some_and(MediaType::is_json);
        let mut best: Option<(u16, bool, &Reply)> = None;
        for reply in &self.replies {
            let (quality, json) = (quality(reply), is_json(reply));
            if quality > 0 && best.is_none_or(|(known, as_json, _)| (quality, json) > (known, as_json)) {
                best = Some((quality, json, reply));
            }
        }
        best.map(|(_, _, reply)| reply)
    }
}
