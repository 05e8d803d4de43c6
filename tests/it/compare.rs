//! What passes, beside nginx: the same bytes through both, to an upstream that records every byte.
//!
//! The cases are `tests/compare/*.yaml`, a file a class. Each case lists what differs, by the heading
//! of `docs/passing.md` that gives the reason: a difference that is not listed fails, and so does a
//! listed one that is not there. Without nginx nothing is compared, and the test says so.
//!
//! ```yaml
//! - name: what the case shows
//!   each: [a, b]                      # the case once for each, which `{}` stands for
//!   send: |                           # head of the request; left out: `GET / HTTP/1.1`, `Host: a`
//!     GET / HTTP/1.1
//!     Host: a
//!   body: hello                       # all that follows it
//!   end: listen                       # what the client does then: listen for one answer, half-close,
//!                                     # close, wait (for an answer before it sends the body, then as
//!                                     # follows); left out: ask again after the answer
//!   answers: 2                        # to wait for before it asks again
//!   answer: |                         # head of the upstream's answer; left out: 200 with a number
//!     HTTP/1.1 200 OK
//!     Content-Length: 2
//!   content: ok                       # all that follows it
//!   closes: true                      # the upstream, after its answer
//!   differs:
//!     heading:                        # of docs/passing.md
//!     - '- upstream: x: 1'            # only through nginx
//!     - '+ client: x: 2'              # only through Standin
//! ```
//!
//! In texts an end of line is CRLF, `\n`, `\r` and `\xff` are bytes, and `\{ab*9}` is `ab` nine times.
//! Where an answer is a proxy's own, only its status is compared, and whether the connection lives on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::*;

/// Others differ in details, each in its own.
const COMPARED: &str = "nginx/1.22.";

/// The client's second request, by which it knows whether the connection lives on.
const AGAIN: &[u8] = b"GET /again HTTP/1.1\r\nHost: again\r\nConnection: close\r\n\r\n";

/// An answer that has not come by then is none. Nothing waits so long but what hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of a line that is printed.
const SHOWN: usize = 160;

#[tokio::test]
async fn what_differs_from_nginx_is_listed() {
    let Some(program) = nginx() else {
        eprintln!("{COMPARED} is not installed, so that nothing is compared with it");
        return;
    };
    let cases = cases();
    assert!(cases.len() >= 400, "{} cases", cases.len());
    let (before_nginx, before_standin) = (Recorder::start().await, Recorder::start().await);
    let nginx = Nginx::start(program, before_nginx.address);
    let mocked = operation("get", "/mocked", "mock");
    let standin =
        Standin::with().paths(&mocked).upstream(format!("http://{}", before_standin.address)).start().await;
    let (seen, ours) = tokio::join!(
        play_all(&cases, nginx.address, &before_nginx),
        play_all(&cases, standin.data, &before_standin)
    );
    let mut wrong = String::new();
    for ((case, mut seen), mut ours) in cases.iter().zip(seen).zip(ours) {
        seen.as_if_through_standin(case);
        ours.same_date(case);
        let (found, mut listed) = (differences(case, &seen, &ours), case.listed());
        listed.sort();
        if found != listed {
            wrong += &format!("\n{}, listed:\n  {}\nfound:\n", case.name, listed.join("\n  "));
            found.iter().for_each(|line| wrong += &format!("    - '{}'\n", line.replace('\'', "''")));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_difference_has_its_reason_in_the_docs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/passing.md")).expect("docs/passing.md");
    let headings: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let cases = cases();
    let named: BTreeSet<_> = cases.iter().flat_map(|case| case.differs.keys()).map(String::as_str).collect();
    assert_eq!(named, headings);
}

async fn play_all(cases: &[Case], proxy: SocketAddr, upstream: &Recorder) -> Vec<Seen> {
    let mut all = Vec::new();
    for case in cases {
        all.push(play(case, proxy, upstream).await);
    }
    all
}

/// One case through one proxy, whose pool of connections is empty before and after.
async fn play(case: &Case, proxy: SocketAddr, upstream: &Recorder) -> Seen {
    upstream.expects(case);
    let stream = TcpStream::connect(proxy).await.expect("the proxy listens");
    let (answers, then) = Client { stream, case, upstream }.ask().await;
    let requests = upstream.ends(&case.name).await;
    Seen::new(requests, answers, then)
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    each: Vec<String>,
    #[serde(default = "plain_request")]
    send: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    end: End,
    #[serde(default = "one")]
    answers: usize,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    closes: bool,
    #[serde(default)]
    differs: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum End {
    #[default]
    Again,
    Wait,
    Listen,
    HalfClose,
    Close,
}

fn plain_request() -> String {
    "GET / HTTP/1.1\nHost: a\n".to_owned()
}

fn one() -> usize {
    1
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compare");
    let entries = fs::read_dir(folder).expect("tests/compare");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a text");
        let cases: Vec<Case> =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.extend(cases.iter().flat_map(Case::variants));
    }
    all
}

impl Case {
    fn variants(&self) -> Vec<Case> {
        if self.each.is_empty() {
            return vec![self.clone()];
        }
        self.each.iter().map(|variant| self.with(variant)).collect()
    }

    fn with(&self, variant: &str) -> Case {
        let put = |text: &String| text.replace("{}", variant);
        let lines = |lines: &Vec<String>| lines.iter().map(|line| line.replace("{}", variant)).collect();
        Case {
            name: format!("{}: {variant}", self.name),
            send: put(&self.send),
            body: put(&self.body),
            answer: put(&self.answer),
            content: put(&self.content),
            differs: self.differs.iter().map(|(why, listed)| (why.clone(), lines(listed))).collect(),
            ..self.clone()
        }
    }

    fn listed(&self) -> Vec<String> {
        self.differs.values().flatten().cloned().collect()
    }

    /// Of the request; one whose last line has no end breaks off there.
    fn head(&self) -> Vec<u8> {
        let end = if self.send.ends_with('\n') { "\n" } else { "" };
        bytes(&format!("{}{end}", self.send))
    }

    fn is_head(&self) -> bool {
        self.send.starts_with("HEAD ")
    }
}

/// The bytes that a text of a case stands for.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\\']) {
        out.extend(rest[..at].bytes());
        let (written, length) = escaped(&rest[at..]);
        out.extend(written);
        rest = &rest[at + length..];
    }
    out.extend(rest.bytes());
    out
}

/// What the beginning of a text stands for, and its length.
fn escaped(text: &str) -> (Vec<u8>, usize) {
    match text.as_bytes() {
        [b'\n', ..] => (b"\r\n".to_vec(), 1),
        [b'\\', b'n', ..] => (b"\n".to_vec(), 2),
        [b'\\', b'r', ..] => (b"\r".to_vec(), 2),
        [b'\\', b'\\', ..] => (b"\\".to_vec(), 2),
        [b'\\', b'x', ..] => (vec![u8::from_str_radix(&text[2..4], 16).expect("two digits")], 4),
        [b'\\', b'{', ..] => {
            let end = text.find('}').expect("a }");
            let (what, times) = text[2..end].rsplit_once('*').expect("a *");
            (bytes(what).repeat(times.parse().expect("a number")), end + 1)
        }
        _ => panic!("no escape: {text}"),
    }
}

/// A request or an answer as it arrived.
#[derive(Clone)]
struct Message {
    /// The request line, or the status line.
    first: String,
    /// Names as they are spelt.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// Lines after the last chunk.
    trailers: Vec<String>,
    /// The connection ended before it did.
    cut: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Request,
    Answer,
    AnswerToHead,
}

impl Message {
    /// The message at the beginning, and its length; none as long as more belongs to it and may come.
    fn read(bytes: &[u8], kind: Kind, ended: bool) -> Option<(Message, usize)> {
        if bytes.is_empty() {
            return None;
        }
        let mut reader = Reader { bytes, at: 0 };
        let mut message =
            Message { first: String::new(), fields: vec![], body: vec![], trailers: vec![], cut: true };
        let whole = message.fill(&mut reader, kind, ended).is_some();
        message.cut = !whole;
        let length = if whole { reader.at } else { bytes.len() };
        (whole || ended).then_some((message, length))
    }

    fn fill(&mut self, reader: &mut Reader<'_>, kind: Kind, ended: bool) -> Option<()> {
        self.first = reader.line()?;
        loop {
            let line = reader.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            self.fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        if self.value("transfer-encoding").is_some_and(|coding| coding.to_lowercase().contains("chunked"))
            && !self.has_no_body(kind)
        {
            return self.fill_chunks(reader);
        }
        let length = self.value("content-length").and_then(|length| length.parse().ok());
        match (kind, length) {
            _ if self.has_no_body(kind) => Some(()),
            (_, Some(length)) => reader.take(length, &mut self.body),
            (Kind::Request, None) => Some(()),
            _ => {
                reader.take(usize::MAX, &mut self.body);
                ended.then_some(())
            }
        }
    }

    fn fill_chunks(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        loop {
            let line = reader.line()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            reader.take(size, &mut self.body)?;
            reader.line()?;
        }
        loop {
            let line = reader.line()?;
            if line.is_empty() {
                return Some(());
            }
            self.trailers.push(line);
        }
    }

    fn has_no_body(&self, kind: Kind) -> bool {
        match kind {
            Kind::Request => false,
            Kind::AnswerToHead => true,
            Kind::Answer => self.is_hint() || matches!(self.status(), "204" | "304"),
        }
    }

    fn status(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// An answer before the answer. After 101 there is no other.
    fn is_hint(&self) -> bool {
        self.status().starts_with('1') && self.status() != "101"
    }

    fn value(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    fn names(&self) -> BTreeSet<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Names of fields in lower case, since HTTP ignores it.
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.first.clone()];
        lines.extend(self.fields.iter().map(|(name, value)| format!("{}: {value}", name.to_lowercase())));
        lines.extend(self.trailers.iter().map(|line| format!("trailer {line}")));
        // How much of it arrives is chance if it breaks off.
        if !self.body.is_empty() && !self.cut {
            lines.push(format!("body of {}: {}", self.body.len(), self.body.escape_ascii()));
        }
        if self.cut {
            lines.push("cut off".to_owned());
        }
        lines
    }

    /// Whether a proxy said this itself.
    fn is_own(&self) -> bool {
        self.value("x-standin-error").is_some()
            || self.value("server").is_some_and(|server| server == "Pingora")
            || self.body.ends_with(b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n")
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    /// Without its end; bytes that are not ASCII are escaped.
    fn line(&mut self) -> Option<String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        Some(
            line.utf8_chunks()
                .map(|chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii()))
                .collect(),
        )
    }

    /// As many bytes as there are, but not more than `length`; none if there are fewer.
    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Option<()> {
        let rest = &self.bytes[self.at..];
        let taken = length.min(rest.len());
        into.extend(&rest[..taken]);
        self.at += taken;
        (taken == length).then_some(())
    }
}

/// What became of a client's connection.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Then {
    Alive,
    Closed,
    /// Neither an answer nor an end.
    Silent,
    /// The client closed it.
    Gone,
}

struct Client<'c> {
    stream: TcpStream,
    case: &'c Case,
    upstream: &'c Recorder,
}

impl Client<'_> {
    async fn ask(mut self) -> (Vec<Message>, Then) {
        self.stream.set_nodelay(true).ok();
        let case = self.case;
        let mut sent = case.head();
        let mut later = bytes(&case.body);
        if case.end != End::Wait {
            sent.append(&mut later);
        }
        let mut received = Vec::new();
        self.write(&sent).await;
        match case.end {
            End::Close => {
                self.upstream.has_begun(&case.name).await;
                return (Vec::new(), Then::Gone);
            }
            End::HalfClose => self.stream.shutdown().await.expect("a connection"),
            End::Wait => {
                self.read(&mut received).await;
                self.write(&later).await;
            }
            End::Again | End::Listen => {}
        }
        let mut asked_again = case.end == End::HalfClose;
        let mut then = Then::Closed;
        loop {
            if !asked_again && self.answers(&received).len() == case.answers {
                if case.end == End::Listen {
                    then = Then::Gone;
                    break;
                }
                asked_again = true;
                self.write(AGAIN).await;
            }
            match self.read(&mut received).await {
                Some(0) => break,
                Some(_) => {}
                None => {
                    then = Then::Silent;
                    break;
                }
            }
        }
        let mut answers = read_all(&received, self.kind(), true);
        if answers.pop_if(|last| last.body == b"again").is_some() {
            then = Then::Alive;
        }
        (answers, then)
    }

    /// A proxy that has answered and closed takes no more.
    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.ok();
    }

    /// None: nothing came for too long. A reset is an end.
    async fn read(&mut self, received: &mut Vec<u8>) -> Option<usize> {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(received)).await;
        read.ok().map(Result::unwrap_or_default)
    }

    fn answers(&self, received: &[u8]) -> Vec<Message> {
        let mut answers = read_all(received, self.kind(), false);
        answers.retain(|answer| !answer.is_hint());
        answers
    }

    fn kind(&self) -> Kind {
        if self.case.is_head() { Kind::AnswerToHead } else { Kind::Answer }
    }
}

/// Only the first answer is one to HEAD.
fn read_all(mut bytes: &[u8], mut kind: Kind, ended: bool) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some((message, length)) = Message::read(bytes, kind, ended) {
        if !message.is_hint() {
            kind = Kind::Answer;
        }
        messages.push(message);
        bytes = &bytes[length..];
    }
    messages
}

/// What happens behind a proxy.
#[derive(Default)]
struct Scene {
    /// The answer's bytes; empty: 200 with the request's number.
    answer: Vec<u8>,
    closes: bool,
    /// Counts cases: connections live no longer than one.
    act: usize,
    open: usize,
    /// Who connected last.
    last: Option<SocketAddr>,
    /// The head of a request is there.
    begun: bool,
    /// With the number of the connection.
    requests: Vec<(usize, Message)>,
}

struct Recorder {
    address: SocketAddr,
    scene: watch::Sender<Scene>,
}

impl Recorder {
    async fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let scene = watch::Sender::new(Scene::default());
        let of_connections = scene.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, from)) = listener.accept().await {
                number += 1;
                of_connections.send_modify(|scene| {
                    scene.open += 1;
                    scene.last = Some(from);
                });
                tokio::spawn(talk(stream, number, of_connections.clone()));
            }
        });
        Recorder { address, scene }
    }

    fn expects(&self, case: &Case) {
        let mut answer = bytes(&case.answer);
        if !answer.is_empty() {
            answer.extend(b"\r\n");
            answer.extend(bytes(&case.content));
        }
        self.scene.send_modify(|scene| {
            scene.answer = answer;
            scene.closes = case.closes;
            scene.begun = false;
        });
    }

    async fn has_begun(&self, case: &str) {
        let mut scene = self.scene.subscribe();
        within(SOON, case, scene.wait_for(|scene| scene.begun)).await.expect("the sender is in self");
    }

    /// Closes its connections, waits until the proxy has closed them too, and gives what arrived.
    async fn ends(&self, case: &str) -> Vec<(usize, Message)> {
        // Connections are accepted in their order: after this one there is none of the proxy's.
        let fence = TcpStream::connect(self.address).await.expect("a listener");
        let from = fence.local_addr().ok();
        let mut scene = self.scene.subscribe();
        within(SOON, case, scene.wait_for(|scene| scene.last == from)).await.expect("the sender is in self");
        drop(fence);
        self.scene.send_modify(|scene| scene.act += 1);
        let all = within(SOON, case, scene.wait_for(|scene| scene.open == 0));
        all.await.expect("the sender is in self");
        let mut requests = Vec::new();
        self.scene.send_modify(|scene| requests = std::mem::take(&mut scene.requests));
        requests
    }
}

async fn talk(mut stream: TcpStream, number: usize, scene: watch::Sender<Scene>) {
    stream.set_nodelay(true).ok();
    let mut changes = scene.subscribe();
    let act = changes.borrow_and_update().act;
    let mut received = Vec::new();
    let mut closing = false;
    loop {
        let read = tokio::select! {
            read = stream.read_buf(&mut received) => read.unwrap_or_default(),
            () = next_act(&mut changes, act), if !closing => {
                closing = true;
                stream.shutdown().await.ok();
                continue;
            }
        };
        let has_head = received.windows(4).any(|four| four == b"\r\n\r\n");
        let begins = scene.send_if_modified(|scene| has_head && !std::mem::replace(&mut scene.begun, true));
        if begins && received.to_ascii_lowercase().windows(20).any(|words| words == b"expect: 100-continue") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok();
        }
        while let Some((message, length)) = Message::read(&received, Kind::Request, read == 0) {
            received.drain(..length);
            let answer = answer_to(message, number, &scene);
            stream.write_all(&answer).await.ok();
            if scene.borrow().closes {
                closing = true;
                stream.shutdown().await.ok();
            }
        }
        if read == 0 {
            break;
        }
    }
    scene.send_modify(|scene| scene.open -= 1);
}

async fn next_act(scene: &mut watch::Receiver<Scene>, act: usize) {
    scene.wait_for(|scene| scene.act != act).await.ok();
}

fn answer_to(message: Message, connection: usize, scene: &watch::Sender<Scene>) -> Vec<u8> {
    let numbered = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut answer = Vec::new();
    scene.send_modify(|scene| {
        let again = message.first.contains(" /again ");
        scene.requests.push((connection, message));
        answer = match again {
            true => numbered("again").into(),
            false if scene.answer.is_empty() => numbered(&scene.requests.len().to_string()).into(),
            false => scene.answer.clone(),
        };
    });
    answer
}

/// All that one case showed.
struct Seen {
    requests: Vec<Message>,
    answers: Vec<Message>,
    then: Then,
    /// Whether the second request came over the first one's connection to the upstream.
    reused: Option<bool>,
}

impl Seen {
    fn new(mut requests: Vec<(usize, Message)>, answers: Vec<Message>, then: Then) -> Seen {
        let again = requests.pop_if(|(_, last)| last.first.contains(" /again "));
        let before = requests.last().map(|(connection, _)| *connection);
        let reused = again.zip(before).map(|((connection, _), before)| connection == before);
        Seen { requests: requests.into_iter().map(|(_, message)| message).collect(), answers, then, reused }
    }

    /// nginx's, with what differs everywhere: see the beginning of docs/passing.md.
    fn as_if_through_standin(&mut self, case: &Case) {
        let version = if case.send.contains(" HTTP/1.0\n") { "1.0" } else { "1.1" };
        for request in &mut self.requests {
            let host = request.value("host").map(str::to_owned);
            let mut add = |name: &str, value: String| request.fields.push((name.to_owned(), value));
            add("x-forwarded-for", "127.0.0.1".to_owned());
            add("x-forwarded-proto", "http".to_owned());
            if let Some(host) = host {
                add("x-forwarded-host", host);
            }
            add("via", format!("{version} standin"));
            add("cdn-loop", "standin-NAME".to_owned());
        }
        for answer in &mut self.answers {
            answer.fields.retain(|(name, value)| name != "Server" || value != "nginx");
        }
        self.same_date(case);
    }

    /// The time of passing is the same for both, and so is the name of a process.
    fn same_date(&mut self, case: &Case) {
        for (name, value) in self.requests.iter_mut().flat_map(|request| &mut request.fields) {
            if name.eq_ignore_ascii_case("cdn-loop") && value.starts_with("standin-") {
                *value = "standin-NAME".to_owned();
            }
        }
        for (name, value) in self.answers.iter_mut().flat_map(|answer| &mut answer.fields) {
            if name.eq_ignore_ascii_case("date") && !case.answer.contains(value.as_str()) {
                *value = "now".to_owned();
            }
        }
    }
}

/// Sorted; what is only nginx's begins with `-`, what is only Standin's with `+`.
fn differences(case: &Case, seen: &Seen, ours: &Seen) -> Vec<String> {
    let mut found = Found(Vec::new());
    let sent = Message::read(&case.head(), Kind::Request, true).map(|(message, _)| message);
    let answered = Message::read(&[bytes(&case.answer), b"\r\n".to_vec()].concat(), Kind::AnswerToHead, true);
    let answered = answered.map(|(message, _)| message);
    found.compare("upstream", sent.as_ref(), &seen.requests, &ours.requests);
    found.compare("client", answered.as_ref(), &seen.answers, &ours.answers);
    if seen.then != ours.then {
        found.add('-', "client", &format!("{:?}", seen.then));
        found.add('+', "client", &format!("{:?}", ours.then));
    }
    if let (Some(true), Some(false)) | (Some(false), Some(true)) = (seen.reused, ours.reused) {
        found.add(if ours.reused == Some(true) { '+' } else { '-' }, "upstream", "reused");
    }
    found.0.sort();
    found.0
}

struct Found(Vec<String>);

impl Found {
    fn compare(&mut self, side: &str, source: Option<&Message>, theirs: &[Message], ours: &[Message]) {
        for number in 0..theirs.len().max(ours.len()) {
            let (theirs, ours) = (theirs.get(number), ours.get(number));
            match (theirs, ours) {
                (Some(theirs), Some(ours)) => self.compare_two(side, theirs, ours),
                _ => {
                    theirs.iter().for_each(|theirs| self.add('-', side, &in_short(theirs)));
                    ours.iter().for_each(|ours| self.add('+', side, &in_short(ours)));
                    // What nginx refuses has to be framed so that no server reads it in two ways.
                    let lines = ours.filter(|_| side == "upstream").map(Message::lines).unwrap_or_default();
                    lines.iter().filter(|line| frames(line)).for_each(|line| self.add('+', side, line));
                }
            }
            let (Some(source), Some(ours)) = (source, ours.filter(|ours| number == 0 && !ours.is_own()))
            else {
                continue;
            };
            self.look_at_order(side, source, ours);
        }
    }

    fn compare_two(&mut self, side: &str, theirs: &Message, ours: &Message) {
        let own = theirs.is_own() || ours.is_own();
        if own || (side == "client" && theirs.status() != ours.status()) {
            let (theirs, ours) = (in_short(theirs), in_short(ours));
            if theirs != ours {
                self.add('-', side, &theirs);
                self.add('+', side, &ours);
            }
            return;
        }
        let (theirs, mut ours) = (theirs.lines(), ours.lines());
        for line in theirs {
            match ours.iter().position(|other| *other == line) {
                Some(at) => drop(ours.remove(at)),
                None => self.add('-', side, &line),
            }
        }
        ours.iter().for_each(|line| self.add('+', side, line));
    }

    /// Fields that are passed on keep their order and their case through Standin; nginx's first are
    /// some that it writes itself.
    fn look_at_order(&mut self, side: &str, source: &Message, ours: &Message) {
        let (sent, passed) = (source.lines(), ours.lines());
        let framing = |line: &&String| !line.starts_with("transfer-encoding:");
        let mut passed: Vec<_> = passed.iter().filter(|line| sent.contains(line)).filter(framing).collect();
        let mut sent: Vec<_> = sent.iter().filter(|line| passed.contains(line)).collect();
        passed.dedup();
        sent.dedup();
        if sent != passed {
            self.add('+', side, "another order");
        }
        let lower =
            |names: &BTreeSet<&str>| names.iter().map(|name| name.to_lowercase()).collect::<BTreeSet<_>>();
        let (spelt, passed) = (source.names(), ours.names());
        let lower = lower(&spelt);
        for name in passed.difference(&spelt).filter(|name| lower.contains(&name.to_lowercase())) {
            self.add('+', side, &format!("spelt {name}"));
        }
    }

    fn add(&mut self, sign: char, side: &str, line: &str) {
        let shown: String = line.chars().take(SHOWN).collect();
        self.0.push(format!("{sign} {side}: {shown}"));
    }
}

fn frames(line: &str) -> bool {
    ["content-length:", "transfer-encoding:", "body of ", "cut off"]
        .iter()
        .any(|begin| line.starts_with(begin))
}

/// A status, or a request line.
fn in_short(message: &Message) -> String {
    match message.is_own() {
        true => format!("{}, its own", message.status()),
        false if message.first.starts_with("HTTP/") => message.status().to_owned(),
        false => message.first.clone(),
    }
}

/// The program, if it is the one that the cases are about.
fn nginx() -> Option<&'static str> {
    ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| {
        let said = Command::new(program).arg("-v").stdin(Stdio::null()).output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stderr).contains(COMPARED))
    })
}

/// Stopped when dropped.
struct Nginx {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// It takes a listener that is bound already, as its own binary does on an upgrade: no port can be
    /// lost to another process, and nobody waits until it listens.
    fn start(program: &str, upstream: SocketAddr) -> Nginx {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        listener.set_nonblocking(true).expect("a socket");
        let path = folder.path().to_str().expect("a path");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {path}/{what};\n"))
            .concat();
        let config = format!(
            "daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error.log;
             events {{}}
             http {{
                 access_log off; server_tokens off; {temporary}
                 upstream api {{ server {upstream}; keepalive 8; }}
                 server {{
                     listen {address};
                     location / {{
                         proxy_pass http://api; proxy_http_version 1.1;
                         proxy_set_header Host $http_host; proxy_set_header Connection '';
                         proxy_buffering off; proxy_request_buffering off;
                         proxy_ignore_client_abort on;
                     }}
                 }}
             }}"
        );
        fs::write(folder.path().join("nginx.conf"), config).expect("a file");
        let child = Command::new(program)
            .args(["-p", path, "-c", "nginx.conf", "-e", &format!("{path}/error.log")])
            // The number of the descriptor that is the listener.
            .env("NGINX", "0;")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        Nginx { address, child, _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it only if it is asked to.
        Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().ok();
        self.child.wait().ok();
    }
}
