//! HTTP/2, hyper's: a client over any stream, and what the upstream does with a connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Received, Reply, Request, Response, SOON, within};

pub struct Http2 {
    pub requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

/// A request that has begun.
pub struct Exchange {
    pub body: SendStream<Bytes>,
    pub answer: ResponseFuture,
}

/// What a request ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Head,
    Body,
}

impl Http2 {
    /// By prior knowledge (RFC 9113, 3.3).
    pub async fn open(address: SocketAddr) -> Http2 {
        let stream = TcpStream::connect(address).await.expect("a listener");
        stream.set_nodelay(true).ok();
        Http2::over(stream).await
    }

    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Http2 {
        let (requests, connection) =
            within(SOON, "an HTTP/2 handshake", h2::client::handshake(stream)).await.expect("HTTP/2");
        Http2 { requests, connection: tokio::spawn(connection) }
    }

    #[track_caller]
    pub fn send(&self, request: &Request) -> impl Future<Output = Response> + use<> {
        let sent = self.try_send(request);
        async move { sent.await.unwrap_or_else(|error| panic!("{error}")) }
    }

    pub fn try_send(&self, request: &Request) -> impl Future<Output = Result<Response, h2::Error>> + use<> {
        let (requests, body) = (self.requests.clone(), Bytes::from(request.body.clone()));
        within(SOON * 2, "an answer over HTTP/2", exchange(requests, head_of(request), body))
    }

    /// Sends the head; the body is the caller's, unless there is none.
    pub async fn begin(&self, request: &Request, ends: Ends) -> Result<Exchange, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (answer, body) = requests.send_request(head_of(request), ends == Ends::Head)?;
        Ok(Exchange { body, answer })
    }
}

fn head_of(request: &Request) -> http::Request<()> {
    let uri = format!("http://standin.test{}", request.target);
    let mut head = http::Request::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    head.body(()).expect("a request")
}

async fn exchange(
    requests: SendRequest<Bytes>,
    head: http::Request<()>,
    body: Bytes,
) -> Result<Response, h2::Error> {
    let mut requests = requests.ready().await?;
    let (answer, mut sender) = requests.send_request(head, body.is_empty())?;
    if !body.is_empty() {
        sender.send_data(body, true)?;
    }
    Ok(read_answer(answer).await?.0)
}

/// The body as the windows allow, and its end: the trailers if there are any.
pub async fn write_body(
    stream: &mut SendStream<Bytes>,
    body: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<(), h2::Error> {
    write_piece(stream, body).await?;
    match trailers {
        Some(trailers) => stream.send_trailers(trailers),
        None => stream.send_data(Bytes::new(), true),
    }
}

pub async fn write_piece(stream: &mut SendStream<Bytes>, mut piece: Bytes) -> Result<(), h2::Error> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => stream.send_data(piece.split_to(room?.min(piece.len())), false)?,
            None => return Err(Reason::CANCEL.into()),
        }
    }
    Ok(())
}

/// The whole answer, and its trailers.
pub async fn read_answer(answer: ResponseFuture) -> Result<(Response, HeaderMap), h2::Error> {
    let (head, mut body) = answer.await?.into_parts();
    let (body, trailers) = read_body(&mut body).await?;
    Ok((Response { status: head.status.as_u16(), headers: fields(&head.headers), body }, trailers))
}

async fn read_body(stream: &mut RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok((body, stream.trailers().await?.unwrap_or_default()))
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// An upstream's side of a connection: each request is answered by the closure.
pub(super) async fn serve<S, A>(
    stream: S,
    log: Arc<Mutex<Vec<Arc<Received>>>>,
    answer: Arc<A>,
) -> Result<(), h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(&Received) -> Reply + Send + Sync + 'static,
{
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let (log, answer) = (log.clone(), answer.clone());
        tokio::spawn(async move {
            let at = Instant::now();
            let (head, mut body) = request.into_parts();
            if head.headers.contains_key(http::header::EXPECT) {
                let go_on = http::Response::builder().status(100).body(()).expect("an answer of HTTP/2");
                respond.send_informational(go_on)?;
            }
            let (body, _) = read_body(&mut body).await?;
            let target = head.uri.path_and_query().map_or("*", |target| target.as_str()).to_owned();
            let mut headers = fields(&head.headers);
            if let Some(authority) = head.uri.authority() {
                headers.push((":authority".to_owned(), authority.to_string()));
            }
            let method = head.method.to_string();
            let request = Arc::new(Received { method, target, headers, body, at });
            let reply = answer(&request);
            log.lock().unwrap().push(request.clone());
            reply.held().await;
            let (head, body, trailers) = reply.h2(&request.method);
            let ends = body.is_empty() && trailers.is_none();
            let mut stream = respond.send_response(head, ends)?;
            match ends {
                true => Ok(()),
                false => write_body(&mut stream, body, trailers).await,
            }
        });
    }
    Ok(())
}
