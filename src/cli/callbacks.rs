//! `standin callbacks send`: a chain by hand, to try a receiver without a client.

use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use serde_json::{Value, json};
use standin::config::{self, Target};
use standin::diagnostic::nearest;
use standin::mock::callback::{Call, Chain, Unresolved};
use standin::mock::message::Moment;
use standin::mock::violation::Violation;
use standin::mock::{Mocks, Trial};
use standin::server::callbacks::{Callbacks, Client, Files, Observer, Opened, Outcome, Record, State};
use tokio::sync::mpsc;
use url::{Host, Url};

use super::flags::{CallbacksCommand, Format, Send};
use super::{BROKEN, USAGE, print, report, settings};

/// Names that are listed where one is wrong.
const LISTED: usize = 20;

/// Characters of a receiver's answer that are shown.
const SHOWN: usize = 500;

pub fn callbacks(command: CallbacksCommand) -> ExitCode {
    let CallbacksCommand::Send(flags) = command;
    let config = match settings::read(&flags.sources.clone().into()) {
        Ok((config, _)) => config,
        Err(problems) => {
            report::print_errors(&problems);
            return ExitCode::from(USAGE);
        }
    };
    let (_, compiled) = match super::compile(&config) {
        Ok(read) => read,
        Err(error) => return super::cannot_read(&error),
    };
    let sent =
        prepare(&flags, config.callbacks, &compiled.mocks).and_then(|(chain, config)| match flags.dry_run {
            true => show(&chain, config.base_url.as_ref(), flags.format),
            false => send(chain, &config, &flags),
        });
    sent.unwrap_or_else(|Wrong { message, hint, code }| {
        eprintln!("error: {}", report::printable(&message));
        if let Some(hint) = hint {
            eprintln!("help: {}", report::printable(&hint));
        }
        ExitCode::from(code)
    })
}

/// Why nothing is sent.
struct Wrong {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Wrong {
    fn usage(message: impl Into<String>) -> Self {
        Wrong { message: message.into(), hint: None, code: USAGE }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Wrong { hint: Some(hint.into()), ..self }
    }
}

/// The chain of the answer that a client would get, and the config that it is sent with.
fn prepare(
    flags: &Send,
    mut config: config::Callbacks,
    mocks: &Mocks,
) -> Result<(Chain, config::Callbacks), Wrong> {
    let number =
        mocks.labelled(&flags.operation).ok_or_else(|| unknown_operation(&flags.operation, mocks))?;
    let operation = &mocks.operations[number];
    if operation.callbacks().next().is_none() {
        return Err(Wrong::usage(format!("{} has no callbacks", operation.label))
            .hint("`standin routes` shows which operations have some, `standin check` which were left out"));
    }
    let example = flags.example.as_deref();
    let names: Vec<&str> = operation.examples().flatten().collect();
    if let Some(name) = example.filter(|name| !names.contains(name)) {
        let wrong = Wrong::usage(format!("{} has no example {name:?}", operation.label));
        return Err(match names.is_empty() {
            true => wrong.hint("its examples have no names: leave `--example` out"),
            false => wrong.hint(format!("there are {}", listed(&names))),
        });
    }
    let mut trial = mocks.trial(number, example);
    change(&mut trial, flags)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let moment = Moment { now: i64::try_from(now).unwrap_or(i64::MAX), seed: fastrand::u64(..) };
    let answer = mocks.try_out(number, example, &trial, &flags.host, moment).map_err(|problem| Wrong {
        message: problem.detail.clone(),
        hint: None,
        code: BROKEN,
    })?;
    let Some(mut chain) = answer.chain else {
        let of = match answer.example.as_deref() {
            Some(name) => format!("example {name:?} of {}", operation.label),
            None => format!("this answer of {}", operation.label),
        };
        let wrong = Wrong { message: format!("no callback goes with {of}"), hint: None, code: BROKEN };
        return Err(match names.is_empty() {
            true => wrong,
            false => wrong.hint(format!("`--example` takes {}", listed(&names))),
        });
    };
    if let Some(to) = &flags.to {
        config.allow.push(origin(to)?);
        chain.redirect(to);
    }
    if flags.now {
        config.delay = config::Delay::Fixed(std::time::Duration::ZERO);
        chain.calls.iter_mut().for_each(|call| call.wait = Some(std::time::Duration::ZERO));
    }
    // Whoever calls this wants it, and it is one chain.
    let (queue, memory) = (config.queue.max(chain.calls.len()), usize::MAX);
    Ok((chain, config::Callbacks { enabled: true, queue, memory, ..config }))
}

fn unknown_operation(label: &str, mocks: &Mocks) -> Wrong {
    let wrong = Wrong::usage(format!("there is no operation {label:?}"));
    let with: Vec<&str> = mocks
        .operations
        .iter()
        .filter(|operation| operation.callbacks().next().is_some())
        .map(|operation| &*operation.label)
        .collect();
    let labels = || mocks.operations.iter().map(|operation| &*operation.label);
    match nearest(label, labels()) {
        Some(near) => wrong.hint(format!("did you mean {near:?}?")),
        None if with.is_empty() => wrong.hint("none of the documents' operations has callbacks"),
        None => wrong.hint(format!("operations with callbacks: {}", listed(&with))),
    }
}

fn listed(names: &[&str]) -> String {
    let mut listed: Vec<String> = names.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
    if names.len() > LISTED {
        listed.push(format!("and {} more", names.len() - LISTED));
    }
    listed.join(", ")
}

/// What the flags say of the request, over what the document shows.
fn change(trial: &mut Trial, flags: &Send) -> Result<(), Wrong> {
    let mut replaced = Vec::new();
    for field in &flags.headers {
        let pair = field.split_once(':').and_then(|(name, value)| {
            Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?))
        });
        let (name, value) = pair.ok_or_else(|| {
            Wrong::usage(format!("{field:?} is no header field")).hint("write it as 'name: value'")
        })?;
        if !replaced.contains(&name) {
            trial.headers.remove(&name);
            replaced.push(name.clone());
        }
        trial.headers.append(name, value);
    }
    if let Some(file) = &flags.body {
        let unreadable =
            |error: std::io::Error| Wrong::usage(format!("{} can't be read: {error}", file.display()));
        let mut body = Vec::new();
        match file.as_os_str() == "-" {
            true => std::io::stdin().read_to_end(&mut body).map(drop),
            false => std::fs::read(file).map(|read| body = read),
        }
        .map_err(unreadable)?;
        trial.body = body.into();
    }
    if let Some(target) = &flags.target {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !path.starts_with('/') {
            return Err(Wrong::usage(format!("{target:?} is no path")).hint("write it as '/users/7?a=b'"));
        }
        (trial.path, trial.query) = (path.to_owned(), query.to_owned());
    }
    Ok(())
}

/// Whoever names the receiver here lets callbacks go there.
fn origin(to: &str) -> Result<Target, Wrong> {
    let url = Url::parse(to).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let host = url.as_ref().and_then(|url| url.host().map(|host| host.to_owned()));
    Ok(match host {
        Some(Host::Domain(name)) => Target::Host(name.trim_end_matches('.').to_ascii_lowercase()),
        Some(Host::Ipv4(address)) => Target::Net(IpNet::from(IpAddr::from(address))),
        Some(Host::Ipv6(address)) => Target::Net(IpNet::from(IpAddr::from(address))),
        None => return Err(Wrong::usage(format!("{to:?} is no http or https URL"))),
    })
}

/// What would be sent, but for what says who sends it.
fn show(chain: &Chain, base: Option<&Url>, format: Format) -> Result<ExitCode, Wrong> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let rendered = chain.calls.iter().enumerate().map(|(index, planned)| {
        let call = chain.render(index, Moment { now, seed: fastrand::u64(..) });
        (&**planned.callback(), call.map(|call| Call { url: absolute(&call, base), ..call }))
    });
    let rendered: Vec<_> = rendered.collect();
    match format {
        Format::Text => {
            print(&rendered.iter().map(|(name, call)| text(name, call.as_ref())).collect::<String>());
        }
        Format::Json => {
            let calls: Vec<Value> = rendered.iter().map(|(name, call)| object(name, call.as_ref())).collect();
            print(&format!("{}\n", json!({ "callbacks": calls })));
        }
    }
    let all = rendered.iter().all(|(_, call)| call.is_ok());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

/// Where a call goes, as the sender reads it.
fn absolute(call: &Call, base: Option<&Url>) -> String {
    if Url::parse(&call.url).is_ok() {
        return call.url.clone();
    }
    let base = base.cloned().or_else(|| Url::parse(&call.base).ok());
    base.and_then(|base| base.join(&call.url).ok()).map_or_else(|| call.url.clone(), String::from)
}

fn text(name: &str, call: Result<&Call, &Unresolved>) -> String {
    let mut out = format!("# {}\n", report::printable(name));
    match call {
        Ok(call) => {
            out.push_str(&format!("{} {}\n", call.method, report::printable(&call.url)));
            for (name, value) in &call.headers {
                let value = String::from_utf8_lossy(value.as_bytes());
                out.push_str(&format!("{name}: {}\n", report::printable(&value)));
            }
            if !call.body.is_empty() {
                out.push_str(&format!("\n{}\n", report::printable(&String::from_utf8_lossy(&call.body))));
            }
        }
        Err(unresolved) => {
            out.push_str(&format!("is not sent: {}\n", report::printable(&unresolved.to_string())));
        }
    }
    out.push('\n');
    out
}

fn object(name: &str, call: Result<&Call, &Unresolved>) -> Value {
    let call = match call {
        Ok(call) => call,
        Err(unresolved) => return json!({ "callback": name, "reason": unresolved.to_string() }),
    };
    let headers = call.headers.iter().map(
        |(name, value)| json!({ "name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes()) }),
    );
    json!({
        "callback": name,
        "method": call.method.as_str(),
        "url": call.url,
        "headers": headers.collect::<Vec<_>>(),
        "body": String::from_utf8_lossy(&call.body),
    })
}

fn send(chain: Chain, config: &config::Callbacks, flags: &Send) -> Result<ExitCode, Wrong> {
    let files = Files::read(config).map_err(|problem| {
        report::print_errors(std::slice::from_ref(&problem));
        Wrong { message: "callbacks can't be sent".to_owned(), hint: None, code: BROKEN }
    })?;
    let failed = |error: std::io::Error| Wrong {
        message: format!("the threads can't be started: {error}"),
        hint: None,
        code: BROKEN,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(failed)?;
    let records = runtime.block_on(async {
        let (told, heard) = mpsc::unbounded_channel();
        let callbacks = Callbacks::start(config, files, Vec::new(), Arc::new(Ear(told)), Opened::memory());
        // The client would have been whoever types this.
        let client = Client { peer: Some(IpAddr::from(Ipv4Addr::LOCALHOST)), ..Client::default() };
        let calls = chain.calls.len();
        let Some(ticket) = callbacks.keep(chain, client, config) else { return Vec::new() };
        drop(ticket);
        watch(&callbacks, calls, heard, flags.format).await
    });
    runtime.shutdown_background();
    if flags.format == Format::Json {
        print(&format!("{}\n", json!({ "callbacks": records })));
    }
    let is_fine = |record: &Record| {
        let as_documented = !record.attempts.iter().any(|one| one.undocumented || one.violated);
        record.outcome == Some(Outcome::Delivered) && (as_documented || !flags.strict)
    };
    Ok(if !records.is_empty() && records.iter().all(is_fine) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BROKEN)
    })
}

/// Says that something happened.
struct Ear(mpsc::UnboundedSender<()>);

impl Observer for Ear {
    fn attempt(&self, _: &str, _: &str, _: &str, _: f64) {
        let _ = self.0.send(());
    }

    fn undocumented(&self, _: &str, _: &str, _: &str) {}

    fn outcome(&self, _: &str, _: &str, _: Outcome) {
        let _ = self.0.send(());
    }

    fn unkept(&self, _: &str, _: usize) {}

    fn violated(&self, _: &str, _: &[Violation]) {}
}

/// Waits until all calls are done, and prints what happens.
async fn watch(
    callbacks: &Callbacks,
    calls: usize,
    mut heard: mpsc::UnboundedReceiver<()>,
    format: Format,
) -> Vec<Record> {
    let mut printed: HashMap<String, usize> = HashMap::new();
    loop {
        let mut records = callbacks.recent(None, usize::MAX).await;
        records.sort_by(|one, other| one.id.cmp(&other.id));
        for record in records.iter().filter(|_| format == Format::Text) {
            let before = printed.entry(record.id.clone()).or_default();
            tell(callbacks, record, before).await;
        }
        let is_over = records.len() >= calls && records.iter().all(|record| record.state == State::Done);
        if is_over || heard.recv().await.is_none() {
            return records;
        }
    }
}

/// After how long the last attempt is followed by another.
fn print_wait(record: &Record, attempt: usize) {
    let due = record.due.filter(|_| attempt == record.attempts.len());
    if let Some(wait) = due.and_then(|due| due.duration_since(SystemTime::now()).ok()) {
        print(&format!("  again in {:.1} s\n", wait.as_secs_f64()));
    }
}

fn print_violation(violation: &Violation) {
    let place = format!("{} {}", violation.place.as_str(), report::printable(&violation.path));
    print(&format!("  {}: {}\n", place.trim_end(), report::printable(&violation.message)));
}

/// `before`: lines of it that are printed.
async fn tell(callbacks: &Callbacks, record: &Record, before: &mut usize) {
    let name = report::printable(&record.callback).into_owned();
    let url = report::printable(record.url.as_deref().unwrap_or("-")).into_owned();
    for attempt in record.attempts.iter().skip(*before) {
        *before += 1;
        let error = attempt.error.as_deref().map(|error| format!(": {}", report::printable(error)));
        let note = match (attempt.undocumented, attempt.violated) {
            (true, _) => " (not in the document)",
            (false, true) => " (not as the document says)",
            (false, false) => "",
        };
        let error = error.unwrap_or_default();
        print(&format!(
            "{name}  {url}  {}{error}{note}  {} ms\n",
            attempt.code,
            attempt.duration.as_millis()
        ));
        // They are of the last answer.
        for violation in
            record.violations.iter().filter(|_| attempt.violated && *before == record.attempts.len())
        {
            print_violation(violation);
        }
        print_wait(record, *before);
        let answer = callbacks.one(record.id.clone()).await.and_then(|detail| detail.answer);
        if let Some(answer) = answer.filter(|answer| !answer.status.is_success() && !answer.body.is_empty()) {
            let text = String::from_utf8_lossy(&answer.body);
            let text: String = text.trim_end().chars().take(SHOWN).collect();
            print(&format!("  | {}\n", report::printable(&text)));
        }
    }
    if let (Some(outcome), true) = (record.outcome, *before != usize::MAX) {
        *before = usize::MAX;
        if outcome != Outcome::Delivered {
            let reason = record.reason.as_deref().unwrap_or_default();
            print(&format!("{name}  {url}  {}: {}\n", outcome.word(), report::printable(reason)));
        }
    }
}
