//! Where documents come from: files, folders, patterns, URLs, and what they refer to.

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::harness::*;

/// As often as the config lets URLs be asked.
const POLL: &str = "reload: {poll: 1ms, start_wait: 0s}\n";

fn pets(says: &str) -> String {
    document(&operation("get", "/pets", says))
}

fn says(standin: &Standin, path: &str, expected: &str) -> impl Future<Output = ()> {
    let expected = format!(r#"{{"says":"{expected}"}}"#);
    eventually(SOON, "the new answer", async move || {
        (standin.get(path).await.text() == expected).then_some(())
    })
}

/// A document whose `/pets` is what a reference leads to.
fn refers(to: &str) -> String {
    document(&format!("/pets: {{get: {{responses: {{'200': {{$ref: '{to}'}}}}}}}}\n"))
}

fn part(says: &str) -> String {
    format!("{{description: ok, content: {{application/json: {{example: {{says: {says}}}}}}}}}\n")
}

/// Pages by their path, with an `ETag` if they are to have one.
struct Site {
    server: Upstream,
    pages: Arc<Mutex<HashMap<String, Reply>>>,
}

impl Site {
    async fn start() -> Site {
        let pages: Arc<Mutex<HashMap<String, Reply>>> = Arc::default();
        let shown = pages.clone();
        let server = Upstream::answering(move |request| {
            let page = shown.lock().unwrap().get(&request.target).cloned();
            match (page, request.header("if-none-match")) {
                (Some(page), Some(tag)) if page.says("etag", tag) => Reply::new(304, ""),
                (Some(page), _) => page,
                (None, _) => Reply::new(404, ""),
            }
        })
        .await;
        Site { server, pages }
    }

    async fn with(path: &str, text: &str) -> Site {
        let site = Site::start().await;
        site.has(path, text);
        site
    }

    /// Says nothing of itself by which it could be asked again for less.
    fn has(&self, path: &str, text: &str) {
        self.answers(path, Reply::new(200, text));
    }

    fn has_tagged(&self, path: &str, text: &str, tag: &str) {
        self.answers(path, Reply::new(200, text).header("etag", tag));
    }

    fn answers(&self, path: &str, reply: Reply) {
        self.pages.lock().unwrap().insert(path.to_owned(), reply);
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    fn asked(&self, path: &str) -> usize {
        self.server.received().iter().filter(|request| request.target == path).count()
    }

    /// Waits until it was asked so often from now on.
    async fn is_asked(&self, path: &str, times: usize) {
        let before = self.asked(path);
        eventually(SOON, "it is asked", async || (self.asked(path) >= before + times).then_some(())).await;
    }
}

fn serving(source: &str, more: &str) -> String {
    format!("specs: [{{source: '{source}'{more}}}]\n{POLL}")
}

async fn start(source: &str, more: &str) -> Standin {
    Standin::with().config(&serving(source, more)).start().await
}

/// What `check` finds: code, and message with its hint, of each diagnostic.
async fn check(config: &str, files: &[(&str, &str)]) -> Vec<String> {
    let mut standin = Standin::with().command("check").args(["--format", "json"]).config(config);
    for (name, text) in files {
        standin = standin.file(name, text);
    }
    let found = standin.exits().await.json();
    told(&found).iter().map(|told| format!("{} {} {}", told["code"], told["message"], told["hint"])).collect()
}

/// The diagnostics there are, but that an operation has nothing to answer with.
fn told(found: &Value) -> Vec<&Value> {
    let told = found["diagnostics"].as_array().expect("a list");
    told.iter().filter(|told| told["code"] != "SI0206").collect()
}

#[track_caller]
fn only(told: &[String], words: &[&str]) {
    let [told] = told else { panic!("not one: {told:?}") };
    assert!(words.iter().all(|word| told.contains(word)), "{words:?} in {told}");
}

#[tokio::test]
async fn a_url_is_served_and_asked_again_by_its_tag() {
    let site = Site::start().await;
    site.has_tagged("/api.yaml", &pets("one"), "\"1\"");
    let standin = start(&site.url("/api.yaml"), "").await;
    says(&standin, "/pets", "one").await;
    site.is_asked("/api.yaml", 3).await;
    let received = site.server.received();
    assert_eq!(received[0].header("if-none-match"), None);
    assert!(received[1..].iter().all(|request| request.header("if-none-match") == Some("\"1\"")));
    assert_eq!(standin.status().await["reloads"], 1, "nothing has changed");

    site.has_tagged("/api.yaml", &pets("two"), "\"2\"");
    says(&standin, "/pets", "two").await;
    assert!(standin.ready_line.contains("1 operation mocked from 1 document"), "{}", standin.ready_line);
    assert_eq!(standin.document("/api.yaml").await["source"], site.url("/api.yaml"));
    let labels = [("source", &*site.url("/api.yaml"))];
    assert_eq!(standin.metrics().await.value("standin_spec_last_reload_successful", &labels), 1.0);
}

#[tokio::test]
async fn the_time_of_change_is_asked_with_as_well() {
    let site = Site::start().await;
    let time = "Sun, 22 Nov 2026 10:00:00 GMT";
    site.answers("/api.yaml", Reply::new(200, pets("one")).header("last-modified", time));
    let _standin = start(&site.url("/api.yaml"), "").await;
    site.is_asked("/api.yaml", 2).await;
    assert_eq!(site.server.received()[1].header("if-modified-since"), Some(time));
}

#[tokio::test]
async fn equal_bytes_are_no_reload() {
    let site = Site::with("/api.yaml", &format!("\u{feff}{}", pets("one"))).await;
    let standin = start(&site.url("/api.yaml"), "").await;
    site.is_asked("/api.yaml", 3).await;
    assert_eq!(standin.status().await["reloads"], 1);
    says(&standin, "/pets", "one").await;
}

#[tokio::test]
async fn a_url_that_fails_keeps_its_last_good_version() {
    let site = Site::with("/api.yaml", &pets("one")).await;
    let url = site.url("/api.yaml");
    let standin = start(&url, "").await;
    let logged = standin.stderr().len();
    site.answers("/api.yaml", Reply::new(500, ""));
    let document = standin.document_is("/api.yaml", "kept").await;
    assert_eq!(document["diagnostics"][0]["code"], "SI0012", "{document}");
    standin.logs(logged, &["SI0012", "it is answered with 500"]).await;
    let labels = [("source", &*url)];
    standin.counts(0.0, "standin_spec_last_reload_successful", &labels).await;
    says(&standin, "/pets", "one").await;
    let reloads = standin.status().await["reloads"].clone();
    site.is_asked("/api.yaml", 3).await;
    assert_eq!(standin.status().await["reloads"], reloads, "it is told once");

    // The same text again: nothing else would bring it back.
    site.has("/api.yaml", &pets("one"));
    standin.document_is("/api.yaml", "current").await;
    standin.counts(1.0, "standin_spec_last_reload_successful", &labels).await;
    site.has("/api.yaml", "openapi: 3.1.0\npaths: {[");
    let document = standin.document_is("/api.yaml", "kept").await;
    assert_eq!(document["diagnostics"][0]["file"], url, "{document}");
    // It is still broken when something else is reloaded.
    assert_eq!(standin.reload().await.status, 422);
    site.has("/api.yaml", &pets("two"));
    says(&standin, "/pets", "two").await;
}

#[tokio::test]
async fn a_url_that_hangs_delays_no_file() {
    let site = Site::with("/api.yaml", &pets("one")).await;
    let config = format!("specs: [{{source: '{}'}}, {{source: a.yaml}}]\n{POLL}", site.url("/api.yaml"));
    let cats = |says| document(&operation("get", "/cats", says));
    let standin = Standin::with().config(&config).file("a.yaml", &cats("one")).start().await;
    site.answers("/api.yaml", Reply::new(200, pets("two")).after(&Gate::closed()));
    site.is_asked("/api.yaml", 1).await;
    standin.folder.write("a.yaml", &cats("two"));
    within(Duration::from_secs(8), "the file's change", says(&standin, "/cats", "two")).await;
}

#[tokio::test]
async fn a_start_waits_for_urls_that_fail() {
    let asked = Mutex::new(0);
    let site = Upstream::answering(move |_| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked < 4 { Reply::new(503, "") } else { Reply::new(200, pets("one")) }
    })
    .await;
    let config = format!("specs: [{{source: '{}/a'}}]\nreload: {{watch: false}}\n", site.url());
    let standin = Standin::with().config(&config).start().await;
    says(&standin, "/pets", "one").await;
    assert_eq!(site.received().len(), 4);
    assert!(standin.stderr().contains("asking again"), "{}", standin.stderr());
}

#[tokio::test]
async fn without_a_wait_a_url_is_asked_once_and_named_as_a_file_is() {
    let site = Site::start().await;
    let exit = Standin::with().config(&serving(&site.url("/api.yaml"), "")).exits().await;
    exit.is(1).says(&["SI0012", "it is answered with 404"]);
    assert_eq!(site.asked("/api.yaml"), 1);

    let closed = ClosedPort::new();
    let exit = Standin::with().config(&serving(&closed.url(), "")).exits().await;
    exit.is(1).says(&["SI0012", "connect"]);
}

#[tokio::test]
async fn check_and_routes_read_urls_too() {
    let site = Site::with("/api.yaml", &pets("one")).await;
    let checked = Standin::with().command("check").args(["--spec", &site.url("/api.yaml")]).exits().await;
    checked.is(0).prints(&["/api.yaml  Test 1.0.0", "1 operation"]);
    let routes = Standin::with().command("routes").args(["--spec", &site.url("/api.yaml")]).exits().await;
    routes.is(0).prints(&["GET", "/pets"]);
}

#[tokio::test]
async fn check_says_what_it_waits_for() {
    let closed = ClosedPort::new();
    let config = format!("specs: [{{source: '{}'}}]\nreload: {{start_wait: 1s}}\n", closed.url());
    let checked = Standin::with().command("check").config(&config).exits().await;
    checked.is(1).says(&["not there yet", "`reload.start_wait`"]).prints(&["SI0012", "curl -i"]);
}

#[tokio::test]
async fn redirects_are_followed_up_to_five() {
    let site = Site::with("/5", &pets("one")).await;
    let redirect = |to: &str| Reply::new(302, "").header("location", to);
    for hop in 0..5 {
        site.answers(&format!("/{hop}"), redirect(&format!("./{}", hop + 1)));
    }
    let standin = start(&site.url("/0"), "").await;
    says(&standin, "/pets", "one").await;

    site.answers("/round", redirect("/round"));
    only(&check(&serving(&site.url("/round"), ""), &[]).await, &["SI0012", "more than 5 times"]);
    assert_eq!(site.asked("/round"), 6);
    site.answers("/away", redirect("http://169.254.169.254/api.yaml"));
    only(&check(&serving(&site.url("/away"), ""), &[]).await, &["SI0012", "a cloud's metadata service"]);
    site.answers("/ftp", redirect("ftp://a.test/"));
    only(&check(&serving(&site.url("/ftp"), ""), &[]).await, &["SI0012", "`ftp:`"]);
}

#[tokio::test]
async fn a_text_by_url_is_bounded() {
    let site = Site::with("/api.yaml", &format!("{}# {}", pets("one"), "x".repeat(2048))).await;
    let config = format!("{}reading: {{size: 1KiB}}\n", serving(&site.url("/api.yaml"), ""));
    only(&check(&config, &[]).await, &["SI0012", "larger than 1024 bytes", "reading.size"]);
    let gzip = Reply::new(200, "x").header("content-encoding", "gzip");
    site.answers("/packed", gzip);
    only(&check(&serving(&site.url("/packed"), ""), &[]).await, &["SI0012", "compressed (gzip)"]);
}

#[tokio::test]
async fn unwatched_urls_are_asked_at_a_reload_only() {
    let site = Site::with("/api.yaml", &pets("one")).await;
    let config =
        format!("specs: [{{source: '{}'}}]\nreload: {{watch: false, poll: 1ms}}\n", site.url("/api.yaml"));
    let standin = Standin::with().config(&config).start().await;
    site.has("/api.yaml", &pets("two"));
    holds_for(Duration::from_millis(200), "not asked", || site.asked("/api.yaml") == 1).await;
    assert_eq!(standin.reload().await.status, 200);
    says(&standin, "/pets", "two").await;
}

#[tokio::test]
async fn credentials_are_sent_to_their_host_and_never_shown() {
    let other = Site::with("/moved.yaml", &pets("one")).await;
    let site = Site::start().await;
    let moved = Reply::new(307, "").header("location", &other.url("/moved.yaml"));
    site.answers("/api.yaml", moved);
    let url = site.url("/api.yaml?token=x").replace("http://", "http://me:s3cret@");
    let source = url.replace("?token=x", "");
    let standin = Standin::with().config(&serving(&source, "")).start().await;
    says(&standin, "/pets", "one").await;
    // `me:s3cret` in base64.
    let expected = Some("Basic bWU6czNjcmV0");
    assert_eq!(site.server.received()[0].header("authorization"), expected);
    assert!(other.server.received().iter().all(|request| request.header("authorization").is_none()));
    other.answers("/moved.yaml", Reply::new(500, ""));
    standin.document_is("/api.yaml", "kept").await;

    let shown = [
        standin.stdout(),
        standin.stderr(),
        standin.admin(get("/api/status")).await.text(),
        standin.admin(get("/api/operations")).await.text(),
        standin.admin(get("/metrics")).await.text(),
    ];
    let failed = Standin::with().config(&serving(&url, "")).exits().await;
    failed.is(1).says(&["/api.yaml?token=x"]);
    for text in shown.iter().chain([&failed.stderr, &failed.stdout]) {
        assert!(!text.contains("s3cret") && !text.contains("bWU6"), "{text}");
    }
}

#[tokio::test]
async fn a_new_password_is_used_from_the_next_reload_on() {
    let site = Site::with("/api.yaml", &pets("one")).await;
    let source = |login| serving(&site.url("/api.yaml").replace("http://", login), "");
    let standin = Standin::with().config(&source("http://me:s3cret@")).start().await;
    site.has("/api.yaml", &pets("two"));
    standin.folder.write("standin.yaml", &source("http://me:new@"));
    says(&standin, "/pets", "two").await;
    standin.folder.write("standin.yaml", &source("http://"));
    let last = async || site.server.received().last()?.header("authorization").is_none().then_some(());
    eventually(SOON, "a question without a password", last).await;
    // `me:new` in base64.
    let renewed = Some("Basic bWU6bmV3");
    assert!(site.server.received().iter().any(|request| request.header("authorization") == renewed));
}

#[tokio::test]
async fn what_is_beside_a_url_belongs_to_it() {
    let site = Site::with("/v1/api.yaml", &refers("parts/pets.yaml")).await;
    site.has("/v1/parts/pets.yaml", &part("one"));
    let standin = start(&site.url("/v1/api.yaml"), "").await;
    says(&standin, "/pets", "one").await;
    site.has("/v1/parts/pets.yaml", &part("two"));
    says(&standin, "/pets", "two").await;
    // A part that fails keeps the whole document.
    site.answers("/v1/parts/pets.yaml", Reply::new(500, ""));
    let document = standin.document_is("api.yaml", "kept").await;
    assert_eq!(document["diagnostics"][0]["file"], site.url("/v1/api.yaml"), "{document}");
    says(&standin, "/pets", "two").await;
    site.has("/v1/parts/pets.yaml", &part("three"));
    says(&standin, "/pets", "three").await;
    standin.document_is("api.yaml", "current").await;
}

#[tokio::test]
async fn what_is_not_beside_a_url_is_remote() {
    let site = Site::with("/v1/api.yaml", &refers("../v2/pets.yaml")).await;
    site.has("/v2/pets.yaml", &part("one"));
    let url = site.url("/v1/api.yaml");
    only(&check(&serving(&url, ""), &[]).await, &["SI0112", "remote references are off", "`remote: true`"]);
    assert_eq!(site.asked("/v2/pets.yaml"), 0);
    let standin = start(&url, ", remote: true").await;
    says(&standin, "/pets", "one").await;
}

#[tokio::test]
async fn remote_references_are_read_where_the_config_says_so() {
    let site = Site::start().await;
    site.has_tagged("/pets.yaml", &part("one"), "\"1\"");
    let text = refers(&site.url("/pets.yaml"));
    let files = [("api.yaml", &*text)];
    only(&check(&serving("api.yaml", ""), &files).await, &["SI0112", "remote references are off"]);
    assert_eq!(site.asked("/pets.yaml"), 0);

    let config = serving("api.yaml", ", remote: true");
    let standin = Standin::with().config(&config).file("api.yaml", &text).start().await;
    says(&standin, "/pets", "one").await;
    site.is_asked("/pets.yaml", 2).await;
    site.has_tagged("/pets.yaml", &part("two"), "\"2\"");
    says(&standin, "/pets", "two").await;
}

#[tokio::test]
async fn a_remote_text_that_comes_later_is_read() {
    let site = Site::start().await;
    let config = serving("api.yaml", ", remote: true");
    let text = refers(&site.url("/pets.yaml"));
    let standin = Standin::with().config(&config).file("api.yaml", &text).start().await;
    assert_eq!(told(&standin.document("api.yaml").await)[0]["code"], "SI0112");
    site.has("/pets.yaml", &part("one"));
    says(&standin, "/pets", "one").await;
}

#[tokio::test]
async fn no_reference_leads_to_metadata_or_to_a_file_by_url() {
    let config = serving("api.yaml", ", remote: true");
    for (url, code, why) in [
        ("http://169.254.169.254/latest", "SI0112", "a cloud's metadata service"),
        ("http://[::ffff:169.254.1.1]/", "SI0112", "link-local"),
        ("http://0.0.0.0/", "SI0112", "the unspecified address"),
        ("http://224.0.0.1/", "SI0112", "multicast"),
        ("ftp://127.0.0.1/", "SI0110", "nothing there is has it as its `$id` or `$self`"),
        ("file:///etc/passwd", "SI0110", "outside the document's folder"),
        ("http://me:pw@127.0.0.1/", "SI0112", "user information"),
    ] {
        only(&check(&config, &[("api.yaml", &refers(url))]).await, &[code, why]);
    }
}

#[tokio::test]
async fn the_urls_of_a_document_are_bounded() {
    let site = Upstream::answering(|_| Reply::new(200, part("one"))).await;
    let path = |number: usize| {
        format!("/{number}: {{get: {{responses: {{'200': {{$ref: '{}/{number}'}}}}}}}}\n", site.url())
    };
    let text = document(&(0..66).map(path).collect::<String>());
    let told = check(&serving("api.yaml", ", remote: true"), &[("api.yaml", &text)]).await;
    let too_many = told.iter().filter(|told| told.contains("more than 64 URLs")).count();
    assert_eq!(too_many, 2, "{told:?}");
    assert_eq!(site.received().len(), 64);

    let half = format!("{}# {}", part("one"), "x".repeat(2500));
    let site = Upstream::answering(move |_| Reply::new(200, half.clone())).await;
    let path = |number: usize| {
        format!("/{number}: {{get: {{responses: {{'200': {{$ref: '{}/{number}'}}}}}}}}\n", site.url())
    };
    let text = document(&(0..3).map(path).collect::<String>());
    let config = format!("{}reading: {{size: 4KiB}}\n", serving("api.yaml", ", remote: true"));
    let told = check(&config, &[("api.yaml", &text)]).await;
    assert_eq!(told.iter().filter(|told| told.contains("reading.size")).count(), 2, "{told:?}");
}

#[tokio::test]
async fn references_reach_the_own_folder_and_the_root() {
    let text = refers("../shared/pets.yaml");
    let files = [("specs/api.yaml", &*text), ("shared/pets.yaml", &*part("one"))];
    let alone = check(&serving("specs/api.yaml", ""), &files).await;
    only(&alone, &["SI0110", "outside the document's folder", "`root`"]);
    let config = serving("specs/api.yaml", ", root: .");
    assert_eq!(check(&config, &files).await, Vec::<String>::new());
    let flag = Standin::with()
        .command("check")
        .args(["--spec", "specs/api.yaml", "--root", "shared"])
        .file(files[0].0, files[0].1)
        .file(files[1].0, files[1].1);
    flag.exits().await.is(0);
    // What there is elsewhere is not told.
    for file in ["/etc/passwd", "/etc/none", "../../../../../../../../etc/passwd"] {
        let told = check(&config, &[("specs/api.yaml", &refers(file))]).await;
        only(&told, &["SI0110", "outside the document's folder"]);
    }
    only(&check(&serving("a.yaml", ", root: gone"), &[("a.yaml", &pets("one"))]).await, &["SI0014", "gone"]);
}

#[tokio::test]
async fn a_link_is_where_it_leads() {
    let standin = Standin::with()
        .file("specs/api.yaml", &refers("pets.yaml"))
        .file("shared/pets.yaml", &part("one"))
        .config("specs: [{source: specs/api.yaml}]\nreload: {watch: false}\n");
    let link = standin.folder.path("specs/pets.yaml");
    symlink("../shared/pets.yaml", &link).expect("a link");
    let standin = standin.start().await;
    let document = standin.document("api.yaml").await;
    let message = told(&document)[0]["message"].as_str().expect("a message");
    assert!(message.contains("outside the document's folder"), "{message}");
    // As a ConfigMap is mounted: links to a folder that is beside them.
    std::fs::create_dir(standin.folder.path("specs/..v1")).expect("a folder");
    standin.folder.write("specs/..v1/pets.yaml", &part("two"));
    symlink("..v1", standin.folder.path("specs/..data")).expect("a link");
    std::fs::remove_file(&link).expect("removed");
    symlink("..data/pets.yaml", &link).expect("a link");
    assert_eq!(standin.reload().await.status, 200);
    says(&standin, "/pets", "two").await;
}

#[tokio::test]
async fn a_document_itself_may_be_anywhere() {
    let standin = Standin::with()
        .file("elsewhere/api.yaml", &refers("pets.yaml"))
        .file("specs/pets.yaml", &part("one"))
        .config("specs: [{source: specs/api.yaml}]\n");
    symlink("../elsewhere/api.yaml", standin.folder.path("specs/api.yaml")).expect("a link");
    let standin = standin.start().await;
    says(&standin, "/pets", "one").await;
}

#[tokio::test]
async fn a_pattern_is_every_file_that_matches_now_and_later() {
    let standin = Standin::with()
        .file("apis/a/openapi.yaml", &pets("one"))
        .file("apis/a/other.yaml", "not: a document\n")
        .file("apis/a/b/openapi.json", "{}")
        .config("specs: [{source: 'apis/**/openapi.{yaml,json}'}]\nreload: {poll: 60m}\n")
        .start()
        .await;
    says(&standin, "/pets", "one").await;
    assert!(standin.ready_line.contains("from 1 document;"), "{}", standin.ready_line);
    // In a folder that is there, and in new ones.
    standin.folder.write("apis/a/b/openapi.yaml", &document(&operation("get", "/cats", "two")));
    says(&standin, "/cats", "two").await;
    standin.folder.write("apis/new/openapi.yaml", &document(&operation("get", "/dogs", "three")));
    says(&standin, "/dogs", "three").await;
    std::fs::remove_file(standin.folder.path("apis/new/openapi.yaml")).expect("removed");
    let gone = async || (standin.get("/dogs").await.status == 404).then_some(());
    eventually(SOON, "it is gone", gone).await;
}

#[tokio::test]
async fn a_pattern_that_matches_nothing_yet_is_a_warning() {
    let standin =
        Standin::with().config("specs: [{source: 'apis/*.yaml'}]\nreload: {poll: 60m}\n").start().await;
    standin.logs(0, &["SI0011", "no OpenAPI document matches"]).await;
    standin.folder.write("apis/a.yaml", &pets("one"));
    says(&standin, "/pets", "one").await;
}

#[tokio::test]
async fn a_file_may_be_called_like_a_pattern() {
    let standin = Standin::with().file("[v1].yaml", &pets("one")).args(["--spec", "[v1].yaml"]).start().await;
    says(&standin, "/pets", "one").await;
}

#[tokio::test]
async fn a_route_of_two_files_names_both() {
    let files = [("apis/a.yaml", &*pets("one")), ("apis/b.yaml", &*pets("two"))];
    let standin = Standin::with().command("check").args(["--spec", "apis/*.yaml", "--format", "json"]);
    let standin = files.iter().fold(standin, |standin, (name, text)| standin.file(name, text));
    let found = standin.exits().await.json();
    let told = &found["diagnostics"][0];
    assert_eq!((&told["code"], &told["line"]), (&"SI0208".into(), &4.into()), "{told}");
    assert!(told["file"].as_str().is_some_and(|file| file.ends_with("apis/b.yaml")), "{told}");
    assert!(told["hint"].as_str().is_some_and(|hint| hint.contains("apis/a.yaml:4")), "{told}");
}

#[tokio::test]
async fn a_document_refers_to_another_by_what_that_one_calls_itself() {
    let called = format!(
        "$self: http://169.254.169.254/shared\n{}components: {{responses: {{Pets: {}}}}}\n",
        document(&operation("get", "/cats", "cats")),
        part("one").trim_end()
    );
    let text = refers("http://169.254.169.254/shared#/components/responses/Pets");
    let standin = Standin::with()
        .file("api.yaml", &text)
        .file("shared.yaml", &called)
        .config("specs: [{source: api.yaml}, {source: shared.yaml}]\n")
        .start()
        .await;
    says(&standin, "/pets", "one").await;
    standin.folder.write("shared.yaml", &called.replace("says: one", "says: two"));
    says(&standin, "/pets", "two").await;
}

/// What was said of a text is said as long as the text is there.
#[tokio::test]
async fn a_warning_of_a_text_outlives_a_reload() {
    let text = pets("one").replace("title: Test", "title: Test, title: Again");
    let config = "specs: [{source: api.yaml}]\nreload: {watch: false}\n";
    let standin = Standin::with().file("api.yaml", &text).config(config).start().await;
    for _ in 0..2 {
        let document = standin.document("api.yaml").await;
        assert_eq!(document["diagnostics"][0]["code"], "SI0003", "{document}");
        standin.reload().await;
    }
}
