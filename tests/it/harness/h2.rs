//! An HTTP/2 client, hyper's, over any stream.

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::{Request, Response, SOON, within};

pub struct Http2 {
    pub requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
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
        let uri = format!("http://standin.test{}", request.target);
        let mut head = http::Request::builder().method(request.method.as_str()).uri(uri);
        for (name, value) in &request.headers {
            head = head.header(name, value);
        }
        let head = head.body(()).expect("a request");
        within(SOON * 2, "an answer over HTTP/2", exchange(requests, head, body))
    }
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
    let (head, mut body) = answer.await?.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let mut whole = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        whole.extend_from_slice(&chunk);
    }
    Ok(Response { status: head.status.as_u16(), headers, body: whole })
}
