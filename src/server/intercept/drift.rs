//! What passes, held against the document.
//!
//! While an exchange streams, its bodies are copied up to a bound, where somebody will look; they
//! are looked at when it has ended. Nothing of it is delayed or changed, but that at `enforce` an
//! answer is held back until it was looked at.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use tokio::sync::Semaphore;

use super::hold::{Judge, Withheld};
use super::{Intercept, head_of};
use crate::config::Level;
use crate::mock::Watch;
use crate::mock::media::MediaType;
use crate::mock::message::{Body, Head};
use crate::mock::problem::{self, Problem};
use crate::mock::violation::{Side, Violation};
use crate::server::field::is_stream;
use crate::server::flight::{Flight, InFlight};
use crate::server::in_force::InForce;
use crate::server::metrics::Metrics;

/// Exchanges whose bodies are copied at once. Of others only the heads are looked at.
const COPIED: usize = 128;

/// Bodies up to so many bytes are looked at on the thread that passed them.
const AT_ONCE: usize = 64 << 10;

/// Larger ones that are looked at at once, each on a thread of its own.
const ASIDE: usize = 4;

/// What all exchanges share, so that looking at them has a bound.
#[derive(Debug, Clone)]
pub struct Bounds {
    copied: InFlight,
    aside: Arc<Semaphore>,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { copied: InFlight::default(), aside: Arc::new(Semaphore::new(ASIDE)) }
    }
}

/// What is kept of an exchange that passes.
#[derive(Debug)]
pub struct Drift {
    operation: usize,
    level: Level,
    /// Bytes of each body.
    limit: usize,
    request: Copy,
    response: Copy,
    /// The upstream's own, before anything is changed.
    head: Option<(StatusCode, HeaderMap)>,
    /// Whether it may be silent for long, or never end.
    stream: bool,
    /// None: there are too many already.
    copying: Option<Flight>,
}

/// A body, as far as it is kept.
#[derive(Debug)]
enum Copy {
    /// Nobody looks at it.
    Not,
    Part(BytesMut),
    Whole(Bytes),
    /// Somebody would look at it, but for this reason.
    Skipped(&'static str),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    pub request: Vec<Violation>,
    pub response: Vec<Violation>,
}

/// An exchange that has ended, apart from its session.
struct Ended {
    live: Arc<InForce>,
    operation: usize,
    request: Option<(Box<RequestHeader>, &'static str, Body)>,
    response: Option<(StatusCode, HeaderMap, Option<Bytes>)>,
    limit: usize,
}

impl Copy {
    fn add(&mut self, piece: &[u8], limit: usize) {
        let Copy::Part(part) = self else { return };
        if part.len() + piece.len() > limit {
            *self = Copy::Skipped(TOO_LARGE);
            return;
        }
        part.extend_from_slice(piece);
    }

    fn end(&mut self) {
        if let Copy::Part(part) = self {
            *self = Copy::Whole(std::mem::take(part).freeze());
        }
    }

    fn whole(&self) -> Option<&Bytes> {
        match self {
            Copy::Whole(bytes) => Some(bytes),
            _ => None,
        }
    }
}

const TOO_LARGE: &str = "too-large";
const BUSY: &str = "busy";

impl Drift {
    /// Of a request that is about to pass. None: nobody looks.
    pub fn of(
        live: &InForce,
        bounds: &Bounds,
        operation: Option<usize>,
        request: &RequestHeader,
    ) -> Option<Box<Drift>> {
        let operation = operation?;
        let watch = live.mocks.watch(operation)?;
        let copying = (bounds.copied.count() < COPIED).then(|| bounds.copied.begin());
        let limit = live.config.limits.mocked_body;
        let mut drift = Drift {
            operation,
            level: watch.response(),
            limit,
            request: Copy::Not,
            response: Copy::Not,
            head: None,
            stream: is_stream(request),
            copying,
        };
        drift.request = match watch.needs_request_body() {
            true => drift.copy(&request.headers),
            false => Copy::Not,
        };
        Some(Box::new(drift))
    }

    /// Whether its answer is to be held back.
    pub fn withholds(&self) -> bool {
        self.level == Level::Enforce && !self.stream
    }

    /// What was read of the request's body already; it is not copied once more.
    pub fn read(&mut self, whole: &Bytes) {
        if let Copy::Part(_) = self.request {
            self.request = Copy::Whole(whole.clone());
        }
    }

    /// The request is sent, perhaps not for the first time.
    pub fn sent(&mut self) {
        if let Copy::Part(part) = &mut self.request {
            part.clear();
        }
    }

    pub fn request_body(&mut self, piece: &[u8]) {
        self.request.add(piece, self.limit);
    }

    pub fn request_ended(&mut self) {
        self.request.end();
    }

    pub fn response_body(&mut self, piece: &[u8]) {
        self.response.add(piece, self.limit);
    }

    /// The exchange broke off: what has come of the answer is not all of it.
    pub fn broke_off(&mut self) {
        if self.response.whole().is_none() {
            self.response = Copy::Not;
        }
    }

    /// The answer was looked at before it was given.
    pub fn judged(&mut self) {
        (self.head, self.response) = (None, Copy::Not);
    }

    /// The head of the upstream's answer has come. What is given is to be held back until it was looked at.
    pub fn answered(
        &mut self,
        live: &Arc<InForce>,
        bounds: &Bounds,
        method: &Method,
        response: &ResponseHeader,
    ) -> Option<Withheld> {
        // RFC 9110, 15.4.5 and 15.3.7: of what the client has, and of a part, the document says nothing.
        let apart = matches!(response.status, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT);
        let watch = live.mocks.watch(self.operation).filter(|_| self.level > Level::Off && !apart)?;
        if response.status.is_informational() {
            return None;
        }
        let headers = response.headers.clone();
        let looks = *method != Method::HEAD && watch.needs_response_body(response.status, &decoded(&headers));
        if looks {
            self.stream |= is_endless(&headers);
            self.response = self.copy(&headers);
        }
        self.head = Some((response.status, headers.clone()));
        if !self.withholds() || matches!(self.response, Copy::Skipped(_)) {
            return None;
        }
        if looks {
            // Unless it proves so, it is judged before it is looked at here.
            self.response = Copy::Skipped(TOO_LARGE);
        }
        let (live, limit, operation) = (live.clone(), self.limit, self.operation);
        let status = response.status;
        let judge: Judge = Box::new(move |body: &Bytes| {
            let ended = Ended {
                live,
                operation,
                request: None,
                response: Some((status, headers, Some(body.clone()).filter(|_| looks))),
                limit,
            };
            let found = ended.look().response;
            if found.is_empty() { Ok(()) } else { Err(Box::new(refusal(&found))) }
        });
        Some(Withheld::new(judge, looks.then_some(limit), AT_ONCE, bounds.aside.clone()))
    }

    /// An empty copy of a body that somebody would look at.
    fn copy(&self, headers: &HeaderMap) -> Copy {
        let length =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if self.stream {
            return Copy::Skipped("stream");
        }
        if Coding::of(headers).is_none() {
            return Copy::Skipped("encoded");
        }
        match (length, &self.copying) {
            (Some(0), _) => Copy::Whole(Bytes::new()),
            (Some(length), _) if length > self.limit => Copy::Skipped(TOO_LARGE),
            (_, None) => Copy::Skipped(BUSY),
            (_, Some(_)) => Copy::Part(BytesMut::new()),
        }
    }
}

impl Intercept {
    /// Looks at an exchange that has passed, and counts what is found.
    pub async fn look(
        &self,
        live: &Arc<InForce>,
        mut drift: Box<Drift>,
        request: &RequestHeader,
        scheme: &'static str,
    ) -> Found {
        // Where no piece of a body came, nobody may have told of them.
        match &drift.response {
            Copy::Part(part) if part.is_empty() => drift.response = Copy::Not,
            _ => drift.response.end(),
        }
        let label = &live.mocks.operations[drift.operation].label;
        let sizes = [&drift.request, &drift.response].map(|copy| copy.whole().map_or(0, Bytes::len));
        let body = drift.request.whole().cloned();
        let mut ended = Ended {
            live: live.clone(),
            operation: drift.operation,
            request: Some((Box::new(request.clone()), scheme, body.map_or_else(Body::unread, Body::new))),
            response: drift
                .head
                .take()
                .map(|(status, headers)| (status, headers, drift.response.whole().cloned())),
            limit: drift.limit,
        };
        let skip = |copy: &Copy, side| {
            if let Copy::Skipped(reason) = copy {
                self.metrics.validation_skipped(label, side, reason);
            }
        };
        skip(&drift.request, Side::Request);
        skip(&drift.response, Side::Response);
        let found = if sizes.iter().sum::<usize>() <= AT_ONCE {
            ended.look()
        } else if let Ok(turn) = self.bounds.aside.clone().try_acquire_owned() {
            let looking = tokio::task::spawn_blocking(move || {
                let found = ended.look();
                drop(turn);
                found
            });
            looking.await.unwrap_or_default()
        } else {
            for (size, side) in sizes.into_iter().zip([Side::Request, Side::Response]) {
                if size > 0 {
                    self.metrics.validation_skipped(label, side, BUSY);
                }
            }
            ended.forget_bodies();
            ended.look()
        };
        count(&self.metrics, label, &found);
        found
    }
}

/// Counts what was found.
pub fn count(metrics: &Metrics, label: &str, found: &Found) {
    metrics.violated(label, Side::Request, &found.request);
    metrics.violated(label, Side::Response, &found.response);
}

impl Ended {
    fn forget_bodies(&mut self) {
        if let Some((.., body)) = &mut self.request {
            *body = Body::unread();
        }
        if let Some((.., body)) = &mut self.response {
            *body = None;
        }
    }

    /// May take as long as the bodies are large.
    fn look(self) -> Found {
        let Ended { live, operation, request, response, limit } = self;
        let Some(watch) = live.mocks.watch(operation) else { return Found::default() };
        let request =
            request.map(|(request, scheme, body)| of_request(&watch, &request, scheme, &body, limit));
        let response = response.map(|(status, headers, body)| {
            let plain = body.and_then(|body| Coding::of(&headers)?.plain(&body, limit));
            match &plain {
                Some(_) => watch.of_response(status, &decoded(&headers), plain.as_ref()),
                None => watch.of_response(status, &headers, None),
            }
        });
        Found { request: request.unwrap_or_default(), response: response.unwrap_or_default() }
    }
}

fn of_request(
    watch: &Watch<'_>,
    request: &RequestHeader,
    scheme: &str,
    body: &Body,
    limit: usize,
) -> Vec<Violation> {
    let head = head_of(request, scheme);
    let coding = Coding::of(&request.headers).filter(|coding| *coding != Coding::Plain && !body.is_unread());
    let Some(coding) = coding else { return watch.of_request(&head, body) };
    match coding.plain(body.bytes(), limit) {
        Some(plain) => {
            let headers = decoded(&request.headers);
            watch.of_request(&Head { headers: &headers, ..head }, &Body::new(plain))
        }
        None => watch.of_request(&head, &Body::unread()),
    }
}

/// The fields of a message whose coding was taken off.
fn decoded(headers: &HeaderMap) -> Cow<'_, HeaderMap> {
    match Coding::of(headers) {
        None | Some(Coding::Plain) => Cow::Borrowed(headers),
        Some(_) => {
            let mut headers = headers.clone();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
            Cow::Owned(headers)
        }
    }
}

/// What the client gets in place of an answer that is not as the document says.
fn refusal(found: &[Violation]) -> Problem {
    let first = found.first().map_or("", |first| first.message.as_str());
    let mut problem = Problem::new(problem::RESPONSE_VIOLATION, format!("the upstream's answer: {first}"));
    problem.violations = found.to_vec();
    problem
}

/// Whether a body of this type comes piece by piece, for as long as it likes.
fn is_endless(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let begins = |with: &str| text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    begins("application/grpc")
        || begins("multipart/x-mixed-replace")
        || MediaType::parse(text).is_some_and(|media| media.syntax().is_sequential())
}

/// How a body is encoded (RFC 9110, 8.4), as far as it can be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Deflate,
}

impl Coding {
    /// None: in another way, or in more than one.
    fn of(headers: &HeaderMap) -> Option<Coding> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Some(Coding::Plain) };
        let text = value.to_str().ok().filter(|_| values.next().is_none())?.trim();
        match text.to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Coding::Plain),
            "gzip" | "x-gzip" => Some(Coding::Gzip),
            "deflate" => Some(Coding::Deflate),
            _ => None,
        }
    }

    /// The body without it; none if it is broken, or larger than `limit` then.
    fn plain(self, body: &Bytes, limit: usize) -> Option<Bytes> {
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut plain = Vec::new();
        let read = match self {
            Coding::Plain => return Some(body.clone()),
            Coding::Gzip => flate2::read::MultiGzDecoder::new(&**body).take(most).read_to_end(&mut plain),
            Coding::Deflate => flate2::read::ZlibDecoder::new(&**body).take(most).read_to_end(&mut plain),
        };
        (read.is_ok() && plain.len() <= limit).then(|| plain.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[track_caller]
    fn check(encoding: &'static str, expected: Option<Coding>) {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
        assert_eq!(Coding::of(&headers), expected);
    }

    #[test]
    fn codings_that_can_be_taken_off() {
        check("gzip", Some(Coding::Gzip));
        check("X-GZIP", Some(Coding::Gzip));
        check("identity", Some(Coding::Plain));
        check("br", None);
        check("gzip, gzip", None);
        assert_eq!(Coding::of(&HeaderMap::new()), Some(Coding::Plain));
    }

    #[test]
    fn what_is_decoded_has_a_bound() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b'x'; 1 << 20]).expect("memory takes it");
        let bomb: Bytes = encoder.finish().expect("memory takes it").into();
        assert_eq!(Coding::Gzip.plain(&bomb, 1 << 20).map(|plain| plain.len()), Some(1 << 20));
        assert_eq!(Coding::Gzip.plain(&bomb, (1 << 20) - 1), None);
        assert_eq!(Coding::Gzip.plain(&bomb.slice(..bomb.len() / 2), 1 << 20), None, "broken");
        assert_eq!(Coding::Deflate.plain(&bomb, 1 << 20), None);
    }

    #[test]
    fn a_copy_ends_at_its_bound() {
        let mut copy = Copy::Part(BytesMut::new());
        copy.add(b"ab", 4);
        copy.add(b"cd", 4);
        copy.end();
        assert_eq!(copy.whole().map(|bytes| &**bytes), Some(&b"abcd"[..]));
        let mut copy = Copy::Part(BytesMut::new());
        copy.add(b"abcde", 4);
        copy.end();
        assert!(matches!(copy, Copy::Skipped(TOO_LARGE)));
    }
}
