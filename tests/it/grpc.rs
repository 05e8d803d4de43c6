//! gRPC with tonic's client and server, through Standin: the four kinds of calls, and what trailers say.
//!
//! A message is its bytes: no code is generated, and nothing has to know their schema.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::{Buf, BufMut, Bytes};
use futures_util::{Stream, StreamExt, stream};
use http::uri::PathAndQuery;
use tokio::task::AbortHandle;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataValue;
use tonic::server::{ClientStreamingService, ServerStreamingService, StreamingService, UnaryService};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};

use crate::harness::*;

const UNARY: &str = "/it.Echo/Unary";
const DOWN: &str = "/it.Echo/Down";
const UP: &str = "/it.Echo/Up";
const BOTH: &str = "/it.Echo/Both";

/// What holds of any way to the server.
async fn calls_of_all_kinds_work(address: SocketAddr) {
    let channel = Channel::from_shared(format!("http://{address}")).expect("a URL").connect().await;
    let mut client = Grpc::new(channel.expect("it takes HTTP/2"));
    one_message_each_way(&mut client).await;
    large_messages(&mut client).await;
    many_messages_back(&mut client).await;
    many_messages_there(&mut client).await;
    messages_both_ways_in_turn(&mut client).await;
    what_fails_says_why(&mut client).await;
    calls_at_once(&client).await;
}

/// The test itself, without Standin.
#[tokio::test]
async fn calls_without_standin_work() {
    let server = GrpcServer::start().await;
    calls_of_all_kinds_work(server.address).await;
}

#[tokio::test]
async fn calls_pass() {
    let server = GrpcServer::start().await;
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\n\
         upstreams: {{default: {{servers: ['h2c://{}'], response_timeout: 1s}}}}\n",
        server.address
    );
    let mocked = operation("post", "/it.Echo/Mocked", "mock");
    let standin = Standin::with().paths(&mocked).config(&config).without_addresses().start().await;
    calls_of_all_kinds_work(standin.data).await;
    assert_eq!(standin.metrics().await.value("standin_upstream_failures_total", &[]), 0.0);
}

/// The problem is no gRPC, but what came with it says whose it is.
#[tokio::test]
async fn a_server_that_is_down_is_told() {
    let closed = ClosedPort::new();
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\n\
         upstreams: {{default: {{servers: ['h2c://{}']}}}}\n",
        closed.address
    );
    let mocked = operation("post", "/it.Echo/Mocked", "mock");
    let standin = Standin::with().paths(&mocked).config(&config).without_addresses().start().await;
    let channel = Channel::from_shared(format!("http://{}", standin.data)).expect("a URL").connect().await;
    let mut client = Grpc::new(channel.expect("it takes HTTP/2"));
    let failed = unary(&mut client, "hello").await.expect_err("no server");
    let told = failed.metadata().get("x-standin-error").map(MetadataValue::as_bytes);
    assert_eq!(told, Some(&b"upstream-connect"[..]), "{failed:?}");
}

type Client = Grpc<Channel>;

async fn unary(client: &mut Client, message: &str) -> Result<Response<Bytes>, Status> {
    client.ready().await.expect("a connection");
    let mut request = Request::new(Bytes::copy_from_slice(message.as_bytes()));
    request.metadata_mut().insert("x-told", MetadataValue::from_static("of the client"));
    let call = client.unary(request, PathAndQuery::from_static(UNARY), Plain);
    within(SOON, "a unary call", call).await
}

async fn one_message_each_way(client: &mut Client) {
    let answer = unary(client, "hello").await.expect("an answer");
    assert_eq!(answer.metadata().get("x-told").map(MetadataValue::as_bytes), Some(&b"of the client"[..]));
    assert_eq!(answer.into_inner(), "hello");
    assert_eq!(unary(client, "").await.expect("an answer").into_inner(), "");
}

async fn large_messages(client: &mut Client) {
    for size in [66_000, 3_000_000] {
        let message = "x".repeat(size);
        assert!(unary(client, &message).await.expect("an answer").into_inner() == message, "{size}");
    }
}

async fn many_messages_back(client: &mut Client) {
    client.ready().await.expect("a connection");
    let request = Request::new(Bytes::from_static(b"300"));
    let answer = client.server_streaming(request, PathAndQuery::from_static(DOWN), Plain).await;
    let mut messages = answer.expect("an answer").into_inner();
    for number in 0..300 {
        assert_eq!(next(&mut messages).await.expect("a message"), number.to_string());
    }
    assert!(messages.next().await.is_none());
    let trailers = messages.trailers().await.expect("trailers");
    assert!(trailers.is_some(), "the last of a stream is its trailers");
}

async fn many_messages_there(client: &mut Client) {
    client.ready().await.expect("a connection");
    let messages = stream::iter((0..300).map(|number| Bytes::from(number.to_string())));
    let call = client.client_streaming(Request::new(messages), PathAndQuery::from_static(UP), Plain);
    let answer = within(SOON, "a stream of messages", call).await.expect("an answer");
    assert_eq!(answer.into_inner(), "300 messages, 790 bytes");
}

/// Each is answered before the next is sent: neither side waits for the end.
async fn messages_both_ways_in_turn(client: &mut Client) {
    client.ready().await.expect("a connection");
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let messages = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let call = client.streaming(Request::new(Box::pin(messages)), PathAndQuery::from_static(BOTH), Plain);
    let mut answers = within(SOON, "a stream", call).await.expect("an answer").into_inner();
    for number in 0..20 {
        let message = Bytes::from(format!("message {number}"));
        sender.send(message.clone()).await.expect("the call goes on");
        assert_eq!(next(&mut answers).await.expect("a message"), message);
    }
    drop(sender);
    assert!(within(SOON, "the end", answers.next()).await.is_none());
}

async fn what_fails_says_why(client: &mut Client) {
    // Without a message the answer is one frame of headers.
    let failed = unary(client, "fail").await.expect_err("it fails");
    assert_eq!((failed.code(), failed.message()), (Code::FailedPrecondition, "it's told so: \u{fc}ber"));
    assert_eq!(
        failed.metadata().get_bin("x-why-bin").and_then(|v| v.to_bytes().ok()),
        Some("\0\u{1}".into())
    );
    // After messages it is in the trailers.
    client.ready().await.expect("a connection");
    let request = Request::new(Bytes::from_static(b"3 and fail"));
    let answer = client.server_streaming(request, PathAndQuery::from_static(DOWN), Plain).await;
    let mut messages = answer.expect("an answer").into_inner();
    for number in 0..3 {
        assert_eq!(next(&mut messages).await.expect("a message"), number.to_string());
    }
    assert_eq!(next(&mut messages).await.expect_err("it fails").code(), Code::Aborted);
    // What the server has not got is its answer too.
    client.ready().await.expect("a connection");
    let request = Request::new(Bytes::new());
    let unknown = client.unary(request, PathAndQuery::from_static("/it.Echo/Unknown"), Plain).await;
    assert_eq!(unknown.expect_err("no such method").code(), Code::Unimplemented);
}

async fn calls_at_once(client: &Client) {
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(
                async move { unary(&mut client, &number.to_string()).await.map(Response::into_inner) },
            )
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.expect("a call").expect("an answer"), number.to_string());
    }
}

async fn next(messages: &mut Streaming<Bytes>) -> Result<Bytes, Status> {
    within(SOON, "a message", messages.message()).await.map(|message| message.expect("not the end"))
}

/// A server of `it.Echo`; stops when dropped.
struct GrpcServer {
    address: SocketAddr,
    serving: AbortHandle,
}

impl GrpcServer {
    async fn start() -> GrpcServer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let routes = Routes::from(axum::Router::new().fallback(call));
        let serving = Server::builder().add_routes(routes).serve_with_incoming(TcpIncoming::from(listener));
        GrpcServer { address, serving: tokio::spawn(serving).abort_handle() }
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn call(request: axum::extract::Request) -> http::Response<tonic::body::Body> {
    let mut grpc = tonic::server::Grpc::new(Plain);
    match request.uri().path() {
        UNARY => grpc.unary(Echo, request).await,
        DOWN => grpc.server_streaming(Echo, request).await,
        UP => grpc.client_streaming(Echo, request).await,
        BOTH => grpc.streaming(Echo, request).await,
        _ => Status::unimplemented("no such method").into_http(),
    }
}

struct Echo;

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    /// The message and the metadata, or a failure with all that a failure can say.
    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        if request.get_ref() == "fail" {
            let mut status = Status::failed_precondition("it's told so: \u{fc}ber");
            status.metadata_mut().insert_bin("x-why-bin", MetadataValue::from_bytes(&[0, 1]));
            return ready(Err(status));
        }
        let told = request.metadata().get("x-told").cloned();
        let mut answer = Response::new(request.into_inner());
        if let Some(told) = told {
            answer.metadata_mut().insert("x-told", told);
        }
        ready(Ok(answer))
    }
}

impl ServerStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Ready<Result<Response<Messages>, Status>>;

    /// As many numbers as asked for, and a failure if that is asked for.
    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let text = String::from_utf8_lossy(request.get_ref()).into_owned();
        let (count, fails) = text.split_once(" and fail").map_or((&*text, false), |(count, _)| (count, true));
        let count: usize = count.parse().expect("a number");
        let numbers = stream::iter((0..count).map(|number| Ok(Bytes::from(number.to_string()))));
        let end = stream::iter(fails.then(|| Err(Status::aborted("as asked for"))));
        ready(Ok(Response::new(Box::pin(numbers.chain(end)))))
    }
}

impl ClientStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async {
            let (mut messages, mut count, mut bytes) = (request.into_inner(), 0, 0);
            while let Some(message) = messages.message().await? {
                count += 1;
                bytes += message.len();
            }
            Ok(Response::new(format!("{count} messages, {bytes} bytes").into()))
        })
    }
}

impl StreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Ready<Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Box::pin(request.into_inner()))))
    }
}

/// A message is its bytes.
#[derive(Debug, Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Plain;
    type Decoder = Plain;

    fn encoder(&mut self) -> Plain {
        Plain
    }

    fn decoder(&mut self) -> Plain {
        Plain
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
