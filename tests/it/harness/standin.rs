//! The product as a child process: built from parts, read from stdout, stopped when dropped.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Metrics, Request, Response, SOON, Wire, dedent, document, eventually, get, post};

/// A folder of the test's own, which is also the working directory of the process.
#[derive(Clone)]
pub struct Folder(Arc<tempfile::TempDir>);

impl Folder {
    fn new() -> Folder {
        Folder(Arc::new(tempfile::tempdir().expect("a temporary folder")))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes in place, as `echo >` does.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Writes beside it and renames over it, as editors do.
    pub fn replace(&self, name: &str, text: &str) {
        let aside = format!("{name}.swp~");
        self.write(&aside, text);
        fs::rename(self.path(&aside), self.path(name)).expect("a rename");
    }
}

pub struct Builder {
    pub folder: Folder,
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    specs: usize,
    addresses: bool,
}

impl Builder {
    /// A document; the first is `spec.yaml`, then `spec-2.yaml`.
    pub fn spec(mut self, text: &str) -> Self {
        self.specs += 1;
        let name = if self.specs == 1 { "spec.yaml".to_owned() } else { format!("spec-{}.yaml", self.specs) };
        self.folder.write(&name, &dedent(text));
        self.args(["--spec", &name])
    }

    /// A document of these `paths`; see [`document`].
    pub fn paths(self, paths: &str) -> Self {
        self.spec(&document(paths))
    }

    /// `standin.yaml`, given with `-c`.
    pub fn config(self, text: &str) -> Self {
        self.folder.write("standin.yaml", &dedent(text));
        self.args(["-c", "standin.yaml"])
    }

    /// Another file in the folder.
    pub fn file(self, name: &str, text: &str) -> Self {
        self.folder.write(name, &dedent(text));
        self
    }

    pub fn upstream(self, url: String) -> Self {
        self.args(["--upstream", &url])
    }

    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(str::to_owned));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `run` if nothing else is said.
    pub fn command(mut self, command: &str) -> Self {
        self.command = command.to_owned();
        self
    }

    /// No `--listen` and no `--admin`: the test gives them another way.
    pub fn without_addresses(mut self) -> Self {
        self.addresses = false;
        self
    }

    pub fn launch(self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STANDIN_")) {
            command.env_remove(name);
        }
        command.env_remove("RUST_LOG").current_dir(self.folder.path(""));
        if !self.command.is_empty() {
            command.arg(&self.command);
        }
        if self.command == "run" && self.addresses {
            command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        }
        command.args(&self.args).envs(self.env);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary starts");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Process {
            child,
            folder: self.folder,
            stdout: Collected::from(stdout),
            stderr: Collected::from(stderr),
        }
    }

    /// Serving: the ready line has been read.
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Standin> {
        let caller = std::panic::Location::caller();
        async move {
            let mut process = self.launch();
            let begun = Instant::now();
            let line = loop {
                let stdout = process.stdout();
                if let Some(line) = stdout.split_inclusive('\n').find(|line| is_ready_line(line)) {
                    break line.trim_end().to_owned();
                }
                let gone = process.child.try_wait().expect("our child");
                if gone.is_some() || begun.elapsed() > SOON * 2 {
                    let stderr = process.stderr();
                    panic!("{caller}: not ready ({gone:?})\nstdout: {stdout}\nstderr: {stderr}");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
            let data = first_address(&line).unwrap_or_else(|| panic!("no address: {line}"));
            let admin = line.find("admin").and_then(|at| first_address(&line[at..]));
            Standin { process, ready_line: line, data, admin }
        }
    }

    /// The end of a command that ends by itself.
    pub async fn exits(self) -> Exit {
        let mut process = self.launch();
        let code = process.wait_exit(SOON * 2).await;
        Exit { code, stdout: process.stdout(), stderr: process.stderr() }
    }
}

#[derive(Debug)]
pub struct Exit {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Exit {
    #[track_caller]
    pub fn is(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in stderr: {}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub fn prints(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stdout.contains(word), "no `{word}` in stdout: {}", self.stdout);
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A running process of ours; killed when dropped.
pub struct Process {
    child: Child,
    pub folder: Folder,
    stdout: Collected,
    stderr: Collected,
}

impl Process {
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until stderr has all these words after its first `skip` bytes.
    pub async fn logs(&self, skip: usize, words: &[&str]) {
        let what = format!("in the log: {words:?}");
        eventually(SOON, &what, async || {
            let log = self.stderr();
            let log = log.get(skip..).unwrap_or_default();
            words.iter().all(|word| log.contains(word)).then_some(())
        })
        .await;
    }

    /// `TERM`, `INT`, `HUP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name} {pid}");
    }

    /// The exit code as a shell sees it: 128 and the signal's number where a signal ended it.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Duration) -> impl Future<Output = i32> {
        eventually(deadline, "the process exits", async || {
            let status = self.child.try_wait().expect("our child")?;
            self.stdout.finish();
            self.stderr.finish();
            Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
        })
    }

    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// The most memory it ever held, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        self.peak_so_far().expect("the process runs")
    }

    /// The same; none if the process has ended, or where it is not known.
    pub fn peak_so_far(&self) -> Option<u64> {
        Some(self.status_line("VmHWM:")? * 1024)
    }

    /// None where it is not known.
    pub fn threads(&self) -> Option<u64> {
        self.status_line("Threads:")
    }

    /// The number of a line of proc(5)'s `status`.
    fn status_line(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// The processor's time that it took, which other processes do not change as they do the clock's.
    pub fn work_so_far(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // proc(5): `utime` and `stime` are the 14th and the 15th, in hundredths of a second.
        let (_, rest) = stat.rsplit_once(')')?;
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        Some(Duration::from_millis(ticks.sum::<Result<u64, _>>().ok()? * 10))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- standin's stdout:\n{}--- its stderr:\n{}---", self.stdout(), self.stderr());
        }
    }
}

struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn from(mut source: impl Read + Send + 'static) -> Collected {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = text.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                sink.lock().unwrap().extend(&buffer[..length]);
            }
        });
        Collected { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Everything that the process wrote is in `text` afterwards.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
    }
}

/// A Standin that serves.
pub struct Standin {
    process: Process,
    pub ready_line: String,
    pub data: SocketAddr,
    /// None where the admin port is off.
    pub admin: Option<SocketAddr>,
}

impl std::ops::Deref for Standin {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::ops::DerefMut for Standin {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Standin {
    pub fn with() -> Builder {
        Builder {
            folder: Folder::new(),
            command: "run".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            specs: 0,
            addresses: true,
        }
    }

    #[track_caller]
    pub fn send(&self, request: Request) -> impl Future<Output = Response> {
        request.to(self.data)
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> impl Future<Output = Response> {
        get(target).to(self.data)
    }

    pub async fn wire(&self) -> Wire {
        Wire::open(self.data).await
    }

    #[track_caller]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.unwrap_or_else(|| panic!("no admin address: {}", self.ready_line))
    }

    #[track_caller]
    pub fn admin(&self, request: Request) -> impl Future<Output = Response> {
        request.to(self.admin_address())
    }

    pub async fn metrics(&self) -> Metrics {
        let response = self.admin(get("/metrics")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        Metrics::parse(&response.text()).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// The value of a metric as soon as it is the one expected.
    pub async fn counts(&self, expected: f64, name: &str, labels: &[(&str, &str)]) {
        let what = format!("{name}{labels:?} is {expected}");
        eventually(SOON, &what, async || {
            (self.metrics().await.value(name, labels) == expected).then_some(())
        })
        .await;
    }

    pub async fn status(&self) -> Value {
        let response = self.admin(get("/api/status")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// The entry of `/api/status` whose source ends so.
    pub async fn document(&self, source: &str) -> Value {
        let status = self.status().await;
        let documents = status["documents"].as_array().cloned().unwrap_or_default();
        let named = |document: &Value| document["source"].as_str().is_some_and(|s| s.ends_with(source));
        documents.into_iter().find(named).unwrap_or_else(|| panic!("no {source} in {status}"))
    }

    /// Waits until a document's `state` is this one.
    pub async fn document_is(&self, source: &str, state: &str) -> Value {
        eventually(SOON, &format!("{source} is {state}"), async || {
            let document = self.document(source).await;
            (document["state"] == state).then_some(document)
        })
        .await
    }

    pub async fn reload(&self) -> Response {
        self.admin(post("/api/reload", "{}")).await
    }

    /// The calls of `/api/callbacks`, as soon as so many are done.
    pub async fn calls_done(&self, count: usize) -> Vec<Value> {
        self.calls_that(count, "done").await
    }

    /// All calls that the admin port shows, once so many of them are in this state.
    pub async fn calls_that(&self, count: usize, state: &str) -> Vec<Value> {
        eventually(SOON, &format!("{count} callbacks are {state}"), async || {
            let response = self.admin(get("/api/callbacks")).await;
            assert_eq!(response.status, 200, "{}", response.text());
            let calls = response.json()["callbacks"].as_array().cloned().unwrap_or_default();
            let there = calls.iter().filter(|call| call["state"] == state).count();
            (there >= count).then_some(calls)
        })
        .await
    }
}

fn is_ready_line(line: &str) -> bool {
    line.contains("listening on ") && line.ends_with('\n')
}

/// The first `HOST:PORT` of a text, after its scheme if it has one; an unspecified host is asked
/// through loopback.
fn first_address(text: &str) -> Option<SocketAddr> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')'));
    words
        .filter_map(|word| {
            word.trim_start_matches("http://")
                .trim_start_matches("https://")
                .trim_end_matches(['/', '.'])
                .parse()
                .ok()
        })
        .next()
        .map(|mut address: SocketAddr| {
            if address.ip().is_unspecified() {
                address.set_ip([127, 0, 0, 1].into());
            }
            address
        })
}

#[test]
fn the_ready_line_gives_both_addresses() {
    let line =
        "listening on http://127.0.0.1:4321 (3 operations from 1 document), admin http://127.0.0.1:99/";
    assert_eq!(first_address(line), "127.0.0.1:4321".parse().ok());
    let admin = line.find("admin").and_then(|at| first_address(&line[at..]));
    assert_eq!(admin, "127.0.0.1:99".parse().ok());
    assert_eq!(first_address("admin off"), None);
}
