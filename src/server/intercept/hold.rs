//! A client's session with Standin's hand on it.
//!
//! Where a decision needs the body, it is read before pingora passes the request on; and in the mode
//! `fallback` the answer may be the document's after the upstream has begun its own. pingora can
//! replay no more than 64 KiB of a body, and can't take back an answer. So the session is put behind
//! one of ours while it passes: its body begins with what was read already, and once it is answered,
//! what still comes from the upstream is dropped. Whatever else is asked of it, the client's own
//! session does.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::{HeaderMap, Method, StatusCode, Version};
use parking_lot::Mutex;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, Session};
use pingora::protocols::Digest;
use pingora::protocols::http::custom::{CustomMessageWrite, server};
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::mock::problem::Problem;

/// An upstream's answer that is not wanted is read for this long and up to this many bytes, so that
/// its connection can be used again.
const DRAIN: Duration = Duration::from_secs(1);
const DRAINED: usize = 64 << 10;

/// The hand on a session. Let go by [`Hold::release`].
#[derive(Debug)]
pub struct Hold(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The client's session, once it is out of the other one.
    home: Mutex<Option<Box<ServerSession>>>,
    /// Whether the connection is closed after the answer.
    close: AtomicBool,
    /// Whether the client has its answer, and the upstream's is dropped.
    answered: AtomicBool,
    /// Whether an answer is held back from now on, which is here then.
    withholds: AtomicBool,
    withheld: Mutex<Option<Withheld>>,
    /// Whether it was judged, and what the client got in its place.
    judged: AtomicBool,
    refused: Mutex<Option<Box<Problem>>>,
}

impl Hold {
    /// Takes hold. `read` is what was read of the body; none if nothing was.
    pub fn take(session: &mut Session, read: Option<Bytes>) -> Hold {
        if session.req_header().version < Version::HTTP_11 {
            // It understands no hints. Asked of the held session, this would not be heard.
            session.set_ignore_info_resp(true);
        }
        let shared = Arc::new(Shared::default());
        let mut client = mem::replace(&mut session.downstream_session, nobody());
        let begin = read.map(|read| Begin::of(read, &mut client));
        let held =
            Held { client, begin, more: false, dropping: None, withheld: None, shared: shared.clone() };
        *session.downstream_session = ServerSession::new_custom(Box::new(held));
        Hold(shared)
    }

    /// The connection ends with this answer. pingora asks other sessions than its own nothing of it.
    pub fn close(&self) {
        self.0.close.store(true, Ordering::Relaxed);
    }

    /// The client has its answer: what the upstream sends from now on is dropped.
    pub fn answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    /// The answer that has begun is held back until it is judged.
    pub fn withhold(&self, withheld: Withheld) {
        *self.0.withheld.lock() = Some(withheld);
        self.0.withholds.store(true, Ordering::Release);
    }

    /// Whether an answer that was held back was judged; one that is too large, or broke off, is not.
    pub fn judged(&self) -> bool {
        self.0.judged.load(Ordering::Relaxed)
    }

    /// What the client got in its place.
    pub fn refused(&self) -> Option<Box<Problem>> {
        self.0.refused.lock().take()
    }

    /// Gives the client's session back, so that its connection can serve another request.
    pub fn release(self, session: &mut Session) {
        drop(mem::replace(&mut session.downstream_session, nobody()));
        if let Some(client) = self.0.home.lock().take() {
            session.downstream_session = client;
        }
    }
}

/// What stands where a session was, for as long as it is elsewhere.
fn nobody() -> Box<ServerSession> {
    Box::new(ServerSession::new_custom(Box::new(())))
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("answered", &self.answered).finish_non_exhaustive()
    }
}

struct Held {
    client: Box<ServerSession>,
    /// The beginning of the body; none if nothing was read.
    begin: Option<Begin>,
    /// Whether more was read after it, so that the body can't be given again.
    more: bool,
    dropping: Option<Dropping>,
    withheld: Option<Withheld>,
    shared: Arc<Shared>,
}

/// What was read of a body.
enum Begin {
    /// There is no body. An upstream of HTTP/2 is told so with the head, and bears nothing after it.
    NoBody,
    /// Nothing yet, though there is more to come.
    Nothing,
    Some(Bytes),
}

impl Begin {
    fn of(read: Bytes, client: &mut ServerSession) -> Begin {
        match read.is_empty() {
            true if client.is_body_empty() => Begin::NoBody,
            true if !client.is_body_done() => Begin::Nothing,
            // A chunked body of no bytes has an end all the same.
            _ => Begin::Some(read),
        }
    }
}

/// Says of a whole body, encoded as it came, whether its answer is given, and what is in its place.
pub type Judge = Box<dyn FnOnce(&Bytes) -> Result<(), Box<Problem>> + Send + Sync>;

/// An answer that is held back.
pub struct Withheld {
    judge: Judge,
    tasks: Vec<HttpTask>,
    bytes: usize,
    /// One with more bytes is given unseen; none: the head is all that is judged.
    limit: Option<usize>,
    /// One with more bytes is judged on another thread,
    at_once: usize,
    /// when that has its turn.
    aside: Arc<Semaphore>,
}

impl Withheld {
    pub fn new(judge: Judge, limit: Option<usize>, at_once: usize, aside: Arc<Semaphore>) -> Self {
        Withheld { judge, tasks: Vec::new(), bytes: 0, limit, at_once, aside }
    }

    fn add(&mut self, tasks: Vec<HttpTask>) {
        let bytes = tasks.iter().filter_map(|task| match task {
            HttpTask::Body(bytes, _) => bytes.as_ref().map(Bytes::len),
            _ => None,
        });
        self.bytes += bytes.sum::<usize>();
        self.tasks.extend(tasks);
    }

    /// The answer, or what is given in its place.
    async fn judged(self) -> Result<Vec<HttpTask>, Box<Problem>> {
        let Withheld { judge, tasks, bytes, at_once, aside, .. } = self;
        let mut whole = BytesMut::with_capacity(bytes);
        for task in &tasks {
            if let HttpTask::Body(Some(piece), _) = task {
                whole.extend_from_slice(piece);
            }
        }
        let whole = whole.freeze();
        if bytes <= at_once {
            return judge(&whole).map(|()| tasks);
        }
        let turn = aside.acquire_owned().await;
        let judging = tokio::task::spawn_blocking(move || {
            let verdict = judge(&whole);
            drop(turn);
            verdict
        });
        judging.await.unwrap_or(Ok(())).map(|()| tasks)
    }
}

/// An answer that nobody wants.
struct Dropping {
    until: Instant,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let client = mem::replace(&mut self.client, nobody());
        *self.shared.home.lock() = Some(client);
    }
}

impl Held {
    /// The client sends its body now, so what comes after it is the next request.
    fn after_continue(&mut self, tasks: &[HttpTask]) {
        let goes_on = |task: &HttpTask| matches!(task, HttpTask::Header(head, _) if head.status == StatusCode::CONTINUE);
        if tasks.iter().any(goes_on) {
            self.client.set_close_on_response_before_downstream_finish(false);
        }
    }

    fn before_head(&mut self) {
        if self.shared.close.load(Ordering::Relaxed) {
            self.client.set_keepalive(None);
        }
    }

    /// Gives what comes of the upstream's answer to the client.
    async fn give(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        self.before_head();
        self.after_continue(&tasks);
        self.client.response_duplex_vec(tasks).await
    }

    /// Keeps what comes until it is whole, and gives it or what is in its place.
    async fn hold_back(&mut self, mut withheld: Withheld, tasks: Vec<HttpTask>) -> Result<bool> {
        // What breaks off is no answer, and nobody has seen anything of it.
        if tasks.iter().any(|task| matches!(task, HttpTask::Failed(_))) {
            let failed = tasks.into_iter().filter(|task| matches!(task, HttpTask::Failed(_)));
            return self.give(failed.collect()).await;
        }
        let ended = tasks.iter().any(HttpTask::is_end);
        withheld.add(tasks);
        if withheld.limit.is_some_and(|limit| withheld.bytes > limit) {
            return self.give(withheld.tasks).await;
        }
        if !ended && withheld.limit.is_some() {
            self.withheld = Some(withheld);
            return Ok(false);
        }
        self.shared.judged.store(true, Ordering::Relaxed);
        match withheld.judged().await {
            Ok(tasks) => self.give(tasks).await,
            Err(problem) => {
                self.before_head();
                self.refuse(&problem).await?;
                *self.shared.refused.lock() = Some(problem);
                self.shared.answered.store(true, Ordering::Relaxed);
                Ok(ended)
            }
        }
    }

    async fn refuse(&mut self, problem: &Problem) -> Result<()> {
        let (headers, body) = problem.render();
        let (mut parts, ()) = http::Response::new(()).into_parts();
        (parts.status, parts.headers) = (problem.status(), headers);
        let body = if self.client.req_header().method == Method::HEAD { Bytes::new() } else { body };
        self.client.write_response_header(Box::new(ResponseHeader::from(parts))).await?;
        self.client.write_response_body(body, true).await
    }

    /// Whether the upstream's answer has ended, or enough of it was read.
    fn dropped(&mut self, tasks: &[HttpTask]) -> bool {
        let until = Instant::now() + DRAIN;
        let dropping = self.dropping.get_or_insert(Dropping { until, bytes: 0 });
        let mut ended = false;
        for task in tasks {
            ended |= task.is_end();
            if let HttpTask::Body(Some(bytes), _) = task {
                dropping.bytes += bytes.len();
            }
        }
        ended || dropping.bytes > DRAINED
    }
}

#[async_trait]
impl server::Session for Held {
    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        let read = self.client.read_request_body().await?;
        self.more |= read.as_ref().is_some_and(|read| !read.is_empty());
        Ok(read)
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        let reading = self.client.read_body_or_idle(no_body_expected);
        let read = match &self.dropping {
            None => reading.await?,
            Some(dropping) => match timeout_at(dropping.until, reading).await {
                Ok(read) => read?,
                // The client has its answer; an error is the only way to end with the upstream's.
                Err(_) => return Err(Error::new(ErrorType::ConnectionClosed)),
            },
        };
        self.more |= read.as_ref().is_some_and(|read| !read.is_empty());
        Ok(read)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        if self.shared.answered.load(Ordering::Relaxed) {
            return Ok(self.dropped(&tasks));
        }
        if self.shared.withholds.swap(false, Ordering::AcqRel) {
            self.withheld = self.shared.withheld.lock().take();
        }
        match self.withheld.take() {
            Some(withheld) => self.hold_back(withheld, tasks).await,
            None => self.give(tasks).await,
        }
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.before_head();
        self.client.write_response_header(head).await
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, _end: bool) -> Result<()> {
        self.before_head();
        self.client.write_response_header_ref(head).await
    }

    /// pingora begins each try with it: what was read is there for the first one and for all others.
    fn get_retry_buffer(&self) -> Option<Bytes> {
        match &self.begin {
            Some(Begin::Some(read)) if !self.more => Some(read.clone()),
            Some(_) => None,
            None => self.client.get_retry_buffer(),
        }
    }

    fn enable_retry_buffering(&mut self) {
        if self.begin.is_none() {
            self.client.enable_retry_buffering();
        }
    }

    fn retry_buffer_truncated(&self) -> bool {
        match &self.begin {
            Some(_) => self.more,
            None => self.client.retry_buffer_truncated(),
        }
    }

    fn is_body_empty(&mut self) -> bool {
        match &self.begin {
            Some(Begin::NoBody) => true,
            Some(Begin::Nothing | Begin::Some(_)) => false,
            None => self.client.is_body_empty(),
        }
    }

    fn is_body_done(&mut self) -> bool {
        self.client.is_body_done()
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.client.drain_request_body().await
    }

    async fn write_body(&mut self, bytes: Bytes, end: bool) -> Result<()> {
        self.client.write_response_body(bytes, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.client.write_response_trailers(trailers).await
    }

    async fn finish(&mut self) -> Result<()> {
        self.client.finish_body().await
    }

    async fn shutdown(&mut self, _code: u32, _reason: &str) {
        self.client.shutdown().await;
    }

    fn req_header(&self) -> &RequestHeader {
        self.client.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.client.req_header_mut()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.client.response_written()
    }

    fn is_upgrade_req(&self) -> bool {
        self.client.is_upgrade_req()
    }

    fn was_upgraded(&self) -> bool {
        self.client.was_upgraded()
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.client.set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.client.get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.client.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.client.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.client.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.client.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.client.request_summary()
    }

    fn body_bytes_sent(&self) -> usize {
        self.client.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.client.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.client.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.client.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.client.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.client.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.client.to_h1_raw()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Reader> {
        None
    }

    fn restore_custom_message_reader(&mut self, _reader: Reader) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}

/// Of messages that HTTP does not have.
type Reader = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;
