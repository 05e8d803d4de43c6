//! An HTTP/1.1 client that sends the bytes it is told to and hides nothing of what comes back.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{SOON, within};

/// A request as it will be written, header names in the case given.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    chunked: bool,
}

pub fn get(target: &str) -> Request {
    request("GET", target)
}

pub fn head(target: &str) -> Request {
    request("HEAD", target)
}

pub fn delete(target: &str) -> Request {
    request("DELETE", target)
}

pub fn post(target: &str, json: &str) -> Request {
    request("POST", target).json(json)
}

pub fn request(method: &str, target: &str) -> Request {
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        chunked: false,
    }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, json: &str) -> Self {
        self.header("content-type", "application/json").body(json.as_bytes().to_vec())
    }

    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// The bytes on the wire: `Host` and the framing are added where the test did not give them.
    pub fn bytes(&self, to: SocketAddr) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.has("host") {
            out.extend(format!("Host: {to}\r\n").bytes());
        }
        for (name, value) in &self.headers {
            out.extend(format!("{name}: {value}\r\n").bytes());
        }
        let bodyless = matches!(self.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
        if self.chunked {
            out.extend(b"transfer-encoding: chunked\r\n\r\n");
            for piece in self.body.chunks(50_000) {
                out.extend(format!("{:x}\r\n", piece.len()).bytes());
                out.extend(piece);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
            return out;
        }
        let framed = self.has("content-length") || (bodyless && self.body.is_empty());
        if !framed {
            out.extend(format!("content-length: {}\r\n", self.body.len()).bytes());
        }
        out.extend(b"\r\n");
        out.extend(&self.body);
        out
    }

    /// The answer, over a connection of its own.
    #[track_caller]
    pub fn to(self, address: SocketAddr) -> impl Future<Output = Response> {
        let caller = std::panic::Location::caller();
        async move {
            match self.try_to(address).await {
                Ok(response) => response,
                Err(error) => panic!("{caller}: {} {}: {error}", self.method, self.target),
            }
        }
    }

    pub async fn try_to(&self, address: SocketAddr) -> Result<Response, String> {
        let mut wire = Wire::try_open(address).await?;
        wire.try_send(self).await
    }
}

/// An answer as it came; names of headers in lower case.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The one value of a header; panics if there are several.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "several `{name}`: {values:?}");
        values.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{} is not JSON: {error}: {}", self.status, self.text()),
        }
    }

    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.text().as_str()), (status, body), "headers: {:?}", self.headers);
    }

    /// Standin's own error: RFC 9457, with the code in `x-standin-error`.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) {
        let said = (self.status, self.header("x-standin-error"));
        assert_eq!(said, (status, Some(code)), "{:?}\n{}", self.headers, self.text());
        let media_type = self.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("application/problem+json"), "content-type: {media_type}");
        if self.body.is_empty() {
            return; // the answer to HEAD
        }
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail"] {
            assert!(problem[field].is_string(), "`{field}` of {problem}");
        }
    }

    /// Answered from a document.
    #[track_caller]
    pub fn is_mock(&self) {
        let source = self.header("x-standin-source");
        assert_eq!(source, Some("mock"), "{} {:?} {}", self.status, self.headers, self.text());
    }
}

/// One connection.
pub struct Wire {
    pub reader: BufReader<OwnedReadHalf>,
    pub writer: OwnedWriteHalf,
    address: SocketAddr,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Wire {
        Wire::try_open(address).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn try_open(address: SocketAddr) -> Result<Wire, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).ok();
        let (reader, writer) = stream.into_split();
        Ok(Wire { reader: BufReader::new(reader), writer, address })
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("the other side reads");
    }

    pub async fn send(&mut self, request: &Request) -> Response {
        match self.try_send(request).await {
            Ok(response) => response,
            Err(error) => panic!("{} {}: {error}", request.method, request.target),
        }
    }

    /// Writes and reads at the same time, so that neither waits for the other's buffers.
    pub async fn try_send(&mut self, request: &Request) -> Result<Response, String> {
        let bytes = request.bytes(self.address);
        let (reader, writer) = (&mut self.reader, &mut self.writer);
        // An answer may come before the request has been read whole (413): writing may fail.
        let write = async { writer.write_all(&bytes).await.ok() };
        let both = async { tokio::join!(write, read_response(reader, &request.method)).1 };
        tokio::time::timeout(SOON * 2, both).await.map_err(|_| "no whole answer in time".to_owned())?
    }

    pub async fn response(&mut self) -> Response {
        within(SOON, "an answer", read_response(&mut self.reader, "GET"))
            .await
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// As [`Self::response_head`].
    pub async fn try_head(&mut self) -> Result<Response, String> {
        read_head(&mut self.reader).await
    }

    /// The body of an answer whose head was read.
    pub async fn try_rest(&mut self, mut head: Response) -> Result<Response, String> {
        head.body = read_body(&mut self.reader, &head.headers, true).await?;
        Ok(head)
    }

    /// The next final answer.
    pub async fn read(reader: &mut BufReader<OwnedReadHalf>, method: &str) -> Result<Response, String> {
        read_response(reader, method).await
    }

    /// Status and headers only: what follows stays unread.
    pub async fn response_head(&mut self) -> Response {
        within(SOON, "an answer's head", read_head(&mut self.reader)).await.unwrap_or_else(|e| panic!("{e}"))
    }

    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within(SOON, "bytes", self.reader.read_exact(&mut bytes)).await.expect("that many bytes");
        bytes
    }
}

async fn read_response(reader: &mut BufReader<OwnedReadHalf>, method: &str) -> Result<Response, String> {
    loop {
        let mut response = read_head(reader).await?;
        if matches!(response.status, 100 | 102..200) {
            continue;
        }
        if method != "HEAD" && !matches!(response.status, 101 | 204 | 304) {
            response.body = read_body(reader, &response.headers, true).await?;
        }
        return Ok(response);
    }
}

async fn read_head(reader: &mut BufReader<OwnedReadHalf>) -> Result<Response, String> {
    let lines = read_head_lines(reader).await?.ok_or("closed without an answer")?;
    let status = lines[0].split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| format!("not a status line: {:?}", lines[0]))?;
    Ok(Response { status, headers: header_fields(&lines[1..])?, body: Vec::new() })
}

/// The lines up to the empty one, without their ends; none where the connection closed first.
pub(super) async fn read_head_lines<R>(reader: &mut R) -> Result<Option<Vec<String>>, String>
where
    R: AsyncBufReadExt + Unpin,
{
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).await.map_err(|error| format!("head: {error}"))?;
        if line.is_empty() && lines.is_empty() {
            return Ok(None);
        }
        if !line.ends_with(b"\r\n") {
            return Err(format!("head cut off at {:?}", String::from_utf8_lossy(&line)));
        }
        line.truncate(line.len() - 2);
        if line.is_empty() && !lines.is_empty() {
            return Ok(Some(lines));
        }
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
}

pub(super) fn header_fields(lines: &[String]) -> Result<Vec<(String, String)>, String> {
    let field = |line: &String| {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("not a header: {line:?}"))?;
        Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    lines.iter().map(field).collect()
}

/// By `transfer-encoding`, else by `content-length`, else to the end (of an answer) or none.
pub(super) async fn read_body<R>(
    reader: &mut R,
    headers: &[(String, String)],
    answer: bool,
) -> Result<Vec<u8>, String>
where
    R: AsyncBufReadExt + Unpin,
{
    let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    if value("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked")) {
        return read_chunks(reader).await;
    }
    let mut body = Vec::new();
    if let Some(length) = value("content-length") {
        let length: usize = length.parse().map_err(|_| format!("content-length: {length:?}"))?;
        reader.take(length as u64).read_to_end(&mut body).await.map_err(|error| format!("body: {error}"))?;
        if body.len() < length {
            return Err(format!("body cut off: {} of {length} bytes", body.len()));
        }
    } else if answer {
        reader.read_to_end(&mut body).await.map_err(|error| format!("body: {error}"))?;
    }
    Ok(body)
}

async fn read_chunks<R: AsyncBufReadExt + Unpin>(reader: &mut R) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.map_err(|error| format!("chunk: {error}"))?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("chunks cut off at {line:?}"))?;
        if size == 0 {
            // Trailers, if any, up to the empty line.
            loop {
                line.clear();
                reader.read_line(&mut line).await.map_err(|error| format!("trailer: {error}"))?;
                if matches!(line.as_str(), "\r\n" | "") {
                    return Ok(body);
                }
            }
        }
        let begin = body.len();
        body.resize(begin + size, 0);
        reader.read_exact(&mut body[begin..]).await.map_err(|error| format!("chunk: {error}"))?;
        line.clear();
        reader.read_line(&mut line).await.map_err(|error| format!("chunk: {error}"))?;
    }
}
