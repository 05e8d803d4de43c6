//! Every metric, named once, and the one user of `prometheus`.
//!
//! Labels come from documents and config, never from traffic. What the hot path counts is looked up
//! once for each operation and kept in a [`Meter`], so that counting is an atomic add.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::callbacks::{Observer, Outcome};
use crate::mock::Mocks;
use crate::mock::violation::{Side, Violation};

/// The label of requests that no document lists.
pub const UNLISTED: &str = "unlisted";

/// Who answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Mock,
    Upstream,
    Refused,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Mock => "mock",
            Source::Upstream => "upstream",
            Source::Refused => "refused",
        }
    }
}

/// Why an exchange is not in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// Its second had more than are kept.
    Sampled,
    /// The journal could not keep up.
    Full,
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    upstream_duration: HistogramVec,
    upstream_failures: IntCounterVec,
    fallbacks: IntCounterVec,
    fallbacks_skipped: IntCounterVec,
    violations: IntCounterVec,
    validations_skipped: IntCounterVec,
    upstream_healthy: IntGaugeVec,
    callbacks: IntCounterVec,
    callback_attempts: IntCounterVec,
    callbacks_undocumented: IntCounterVec,
    callbacks_unkept: IntCounterVec,
    callback_duration: HistogramVec,
    callbacks_pending: IntGauge,
    callbacks_in_flight: IntGauge,
    callback_oldest: Gauge,
    operations: IntGaugeVec,
    reload_successful: IntGaugeVec,
    reload_success_time: GaugeVec,
    config_successful: IntGauge,
    reloads: IntCounterVec,
    connections: IntGauge,
    refused: IntCounterVec,
    /// By [`Skipped`]; looked up once, since the hot path counts it.
    journal_skipped: [IntCounter; 2],
}

/// Seconds; a mocked answer takes microseconds, a slow upstream a minute.
const DURATIONS: [f64; 13] =
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(DURATIONS.to_vec());
            register(&registry, HistogramVec::new(options, labels))
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let build = gauges("standin_build_info", "Always 1; the version is in the label.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let _ = registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        let skipped = counters(
            "standin_journal_skipped_total",
            "Exchanges that are not in the journal, by why.",
            &["reason"],
        );
        let success_time = Opts::new(
            "standin_spec_last_reload_success_timestamp_seconds",
            "When the source was last read without an error, in seconds since the epoch.",
        );
        Metrics {
            requests: counters(
                "standin_requests_total",
                "Requests by operation, by who answered, and by status code.",
                &["operation", "source", "code"],
            ),
            request_duration: histograms(
                "standin_request_duration_seconds",
                "From a request's head to the end of its answer.",
                &["operation", "source"],
            ),
            upstream_duration: histograms(
                "standin_upstream_duration_seconds",
                "From choosing the upstream to the head of its answer.",
                &["upstream"],
            ),
            upstream_failures: counters(
                "standin_upstream_failures_total",
                "Passed requests without a whole answer from the upstream, by reason.",
                &["upstream", "reason"],
            ),
            fallbacks: counters(
                "standin_fallbacks_total",
                "Answers from the document because the upstream has not got it, by its status or failure.",
                &["operation", "reason"],
            ),
            fallbacks_skipped: counters(
                "standin_fallbacks_skipped_total",
                "Answers of the upstream that the document could not replace, by reason.",
                &["operation", "reason"],
            ),
            violations: counters(
                "standin_violations_total",
                "What of requests and answers is not as the document says, by where it is.",
                &["operation", "side", "kind"],
            ),
            validations_skipped: counters(
                "standin_validations_skipped_total",
                "Bodies of what passed that were not held against the document, by reason.",
                &["operation", "side", "reason"],
            ),
            upstream_healthy: gauges(
                "standin_upstream_healthy",
                "Whether a server of an upstream gets its turns.",
                &["upstream", "server"],
            ),
            callbacks: counters(
                "standin_callbacks_total",
                "Callbacks by their final outcome, each once.",
                &["operation", "callback", "outcome"],
            ),
            callback_attempts: counters(
                "standin_callback_attempts_total",
                "Attempts to send a callback, by status code or failure.",
                &["operation", "callback", "code"],
            ),
            callbacks_undocumented: counters(
                "standin_callbacks_undocumented_total",
                "Answers of receivers whose status the document does not list.",
                &["operation", "callback", "code"],
            ),
            callbacks_unkept: counters(
                "standin_callbacks_unkept_total",
                "Callbacks that a folder was to keep over a restart, and could not.",
                &["operation"],
            ),
            callback_duration: histograms(
                "standin_callback_duration_seconds",
                "How long an attempt to send a callback took.",
                &["operation", "callback"],
            ),
            callbacks_pending: gauge("standin_callbacks_pending", "Callbacks that wait for their turn."),
            callbacks_in_flight: gauge("standin_callbacks_in_flight", "Callbacks that are being sent."),
            callback_oldest: register(
                &registry,
                Gauge::new(
                    "standin_callback_oldest_seconds",
                    "How long ago the oldest chain of callbacks began that is not done.",
                ),
            ),
            operations: gauges("standin_operations", "Operations in force, by mode.", &["mode"]),
            reload_successful: gauges(
                "standin_spec_last_reload_successful",
                "Whether the source was read without an error at the last reload.",
                &["source"],
            ),
            reload_success_time: register(&registry, GaugeVec::new(success_time, &["source"])),
            config_successful: gauge(
                "standin_config_last_reload_successful",
                "Whether the config was read without an error at the last reload.",
            ),
            reloads: counters("standin_reloads_total", "Reloads by result.", &["result"]),
            connections: gauge("standin_connections_active", "Client connections that are open."),
            refused: counters(
                "standin_refused_total",
                "Requests and connections that Standin refused.",
                &["reason"],
            ),
            journal_skipped: ["sampled", "full"].map(|reason| skipped.with_label_values(&[reason])),
            registry,
        }
    }

    /// The Prometheus text format, and its content type.
    pub fn text(&self) -> (String, &'static str) {
        let mut buffer = Vec::new();
        // Writing to memory fails only for metrics without samples, which are left out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut buffer);
        (String::from_utf8(buffer).unwrap_or_default(), prometheus::TEXT_FORMAT)
    }

    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub fn journal_skipped(&self, reason: Skipped) {
        self.journal_skipped[reason as usize].inc();
    }

    pub fn upstream_answered(&self, upstream: &str, started: Instant) {
        self.upstream_duration.with_label_values(&[upstream]).observe(started.elapsed().as_secs_f64());
    }

    pub fn upstream_failed(&self, upstream: &str, reason: &str) {
        self.upstream_failures.with_label_values(&[upstream, reason]).inc();
    }

    /// `reason` is a status of `missing`, or a failure.
    pub fn fell_back(&self, operation: &str, reason: &str) {
        self.fallbacks.with_label_values(&[operation, reason]).inc();
    }

    pub fn fallback_skipped(&self, operation: &str, reason: &str) {
        self.fallbacks_skipped.with_label_values(&[operation, reason]).inc();
    }

    pub fn violated(&self, operation: &str, side: Side, violations: &[Violation]) {
        for violation in violations {
            let labels = [operation, side.as_str(), violation.place.as_str()];
            self.violations.with_label_values(&labels).inc();
        }
    }

    pub fn validation_skipped(&self, operation: &str, side: Side, reason: &str) {
        self.validations_skipped.with_label_values(&[operation, side.as_str(), reason]).inc();
    }

    /// Set when someone looks: the servers of each upstream, and whether they get their turns. Those
    /// that are gone are forgotten.
    pub fn upstreams_now(&self, upstreams: &BTreeMap<&str, Vec<(String, bool)>>) {
        for (upstream, servers) in upstreams {
            for (server, healthy) in servers {
                self.upstream_healthy.with_label_values(&[*upstream, server.as_str()]).set((*healthy).into());
            }
        }
        let gone = |labels: &HashMap<&str, &str>| {
            let servers = labels.get("upstream").and_then(|name| upstreams.get(name));
            let server = labels.get("server").copied().unwrap_or_default();
            !servers.is_some_and(|servers| servers.iter().any(|(known, _)| known == server))
        };
        remove(&self.upstream_healthy, gone);
    }

    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// Set when someone looks: gauges of the callbacks' queue.
    pub fn callbacks_now(&self, pending: usize, in_flight: usize, oldest: Duration) {
        self.callbacks_pending.set(pending.try_into().unwrap_or(i64::MAX));
        self.callbacks_in_flight.set(in_flight.try_into().unwrap_or(i64::MAX));
        self.callback_oldest.set(oldest.as_secs_f64());
    }

    pub fn operations(&self, mode: &str, count: usize) {
        self.operations.with_label_values(&[mode]).set(count.try_into().unwrap_or(i64::MAX));
    }

    pub fn reloaded(&self, result: &str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// `now` is in seconds since the epoch.
    pub fn source_read(&self, source: &str, successful: bool, now: f64) {
        self.reload_successful.with_label_values(&[source]).set(successful.into());
        if successful {
            self.reload_success_time.with_label_values(&[source]).set(now);
        }
    }

    /// Forgets the series of operations, of their callbacks, and of upstreams that are gone, so that reloads
    /// that rename them do not add up.
    pub fn keep_only(
        &self,
        operation: impl Fn(&str) -> bool,
        callback: impl Fn(&str, &str) -> bool,
        upstream: impl Fn(&str) -> bool,
    ) {
        keep_only(&self.requests, "operation", &operation);
        keep_only(&self.request_duration, "operation", &operation);
        keep_only(&self.fallbacks, "operation", &operation);
        keep_only(&self.fallbacks_skipped, "operation", &operation);
        keep_only(&self.violations, "operation", &operation);
        keep_only(&self.validations_skipped, "operation", &operation);
        keep_only(&self.callbacks_unkept, "operation", &operation);
        let is_gone = |labels: &HashMap<&str, &str>| {
            let name = |label: &str| labels.get(label).copied().unwrap_or_default();
            !callback(name("operation"), name("callback"))
        };
        remove(&self.callbacks, is_gone);
        remove(&self.callback_attempts, is_gone);
        remove(&self.callbacks_undocumented, is_gone);
        remove(&self.callback_duration, is_gone);
        keep_only(&self.upstream_duration, "upstream", &upstream);
        keep_only(&self.upstream_failures, "upstream", &upstream);
    }

    pub fn config_read(&self, successful: bool) {
        self.config_successful.set(successful.into());
    }

    /// A source that is no longer in the config, or no longer in its folder.
    pub fn source_gone(&self, source: &str) {
        let _ = self.reload_successful.remove_label_values(&[source]);
        let _ = self.reload_success_time.remove_label_values(&[source]);
    }
}

impl Observer for Metrics {
    fn attempt(&self, operation: &str, callback: &str, code: &str, seconds: f64) {
        self.callback_attempts.with_label_values(&[operation, callback, code]).inc();
        self.callback_duration.with_label_values(&[operation, callback]).observe(seconds);
    }

    fn undocumented(&self, operation: &str, callback: &str, code: &str) {
        self.callbacks_undocumented.with_label_values(&[operation, callback, code]).inc();
    }

    fn violated(&self, operation: &str, violations: &[Violation]) {
        Metrics::violated(self, operation, Side::Callback, violations);
    }

    fn unkept(&self, operation: &str, calls: usize) {
        self.callbacks_unkept.with_label_values(&[operation]).inc_by(calls as u64);
    }

    fn outcome(&self, operation: &str, callback: &str, outcome: Outcome) {
        self.callbacks.with_label_values(&[operation, callback, outcome.word()]).inc();
    }
}

fn keep_only<B: MetricVecBuilder>(series: &MetricVec<B>, label: &str, known: &impl Fn(&str) -> bool)
where
    MetricVec<B>: Collector,
{
    remove(series, |labels| labels.get(label).is_some_and(|value| !known(value)));
}

fn remove<B: MetricVecBuilder>(series: &MetricVec<B>, gone: impl Fn(&HashMap<&str, &str>) -> bool)
where
    MetricVec<B>: Collector,
{
    for family in series.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> =
                metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
            if gone(&labels) {
                let _ = series.remove(&labels);
            }
        }
    }
}

/// Names are constants of this file, so what a test registers once is registered always.
fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = made.expect("the names and labels of this file are valid");
    registry.register(Box::new(collector.clone())).expect("each name of this file is registered once");
    collector
}

/// What the requests of one operation are counted with, made when they first need it.
#[derive(Debug, Default)]
pub struct Meter {
    sources: [Series; 3],
}

#[derive(Debug, Default)]
struct Series {
    /// The first status codes that came up; an operation has few.
    codes: [OnceLock<(u16, IntCounter)>; 6],
    duration: OnceLock<Histogram>,
}

impl Meter {
    pub fn count(&self, metrics: &Metrics, operation: &str, source: Source, code: u16, took: Duration) {
        let series = &self.sources[source as usize];
        let duration = series
            .duration
            .get_or_init(|| metrics.request_duration.with_label_values(&[operation, source.as_str()]));
        duration.observe(took.as_secs_f64());
        let counter = || metrics.requests.with_label_values(&[operation, source.as_str(), &code_label(code)]);
        for slot in &series.codes {
            let (known, requests) = slot.get_or_init(|| (code, counter()));
            if *known == code {
                requests.inc();
                return;
            }
        }
        counter().inc();
    }
}

/// A status from 100 to 599, else `other`.
fn code_label(code: u16) -> String {
    match code {
        100..=599 => code.to_string(),
        _ => "other".to_owned(),
    }
}

/// The meters of what is in force: one for each operation, and one for what no document lists.
#[derive(Debug)]
pub struct Meters {
    operations: Vec<Meter>,
    unlisted: Meter,
}

impl Meters {
    pub fn of(mocks: &Mocks) -> Self {
        Meters {
            operations: mocks.operations.iter().map(|_| Meter::default()).collect(),
            unlisted: Meter::default(),
        }
    }

    /// `operation` is its number in the mocks; none: unlisted.
    pub fn of_operation(&self, operation: Option<usize>) -> &Meter {
        operation.and_then(|number| self.operations.get(number)).unwrap_or(&self.unlisted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::violation::Place;

    #[test]
    fn a_request_is_counted_with_the_operation_s_label() {
        let metrics = Metrics::new();
        let meter = Meter::default();
        meter.count(&metrics, "createUser", Source::Mock, 201, Duration::from_millis(1));
        meter.count(&metrics, "createUser", Source::Mock, 201, Duration::from_millis(1));
        let (text, _) = metrics.text();
        let line = r#"standin_requests_total{code="201",operation="createUser",source="mock"} 2"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let metrics = Metrics::new();
        for operation in ["old", "new", UNLISTED] {
            Meter::default().count(&metrics, operation, Source::Mock, 200, Duration::ZERO);
            metrics.attempt(operation, "done", "200", 0.1);
            metrics.violated(operation, Side::Request, &[Violation::new(Place::Body, "", "type", "")]);
            metrics.validation_skipped(operation, Side::Response, "busy");
            metrics.outcome(operation, "done", Outcome::Delivered);
        }
        metrics.attempt("new", "old", "200", 0.1);
        metrics.undocumented("new", "old", "200");
        metrics.outcome("new", "old", Outcome::Delivered);
        for upstream in ["old", "new"] {
            metrics.upstream_answered(upstream, Instant::now());
            metrics.upstream_failed(upstream, "connect");
        }
        let server = |name: &str, healthy| (name.to_owned(), healthy);
        let before = vec![server("http://a", true), server("http://old", true)];
        metrics.upstreams_now(&[("old", before.clone()), ("new", before)].into());
        metrics.upstreams_now(&[("new", vec![server("http://a", false)])].into());
        let gone = |label: &str| label != "old";
        metrics.keep_only(gone, |operation, callback| gone(operation) && gone(callback), gone);
        let (text, _) = metrics.text();
        assert!(!text.contains("old\""), "{text}");
        let healthy = r#"standin_upstream_healthy{server="http://a",upstream="new"} 0"#;
        assert!(text.contains(healthy), "{text}");
        for kept in ["operation=\"new\"", "operation=\"unlisted\"", "upstream=\"new\""] {
            assert!(text.contains(kept), "{text}");
        }
    }

    #[test]
    fn more_codes_than_slots_are_counted_all_the_same() {
        let metrics = Metrics::new();
        let meter = Meter::default();
        for code in 200..220 {
            meter.count(&metrics, "a", Source::Upstream, code, Duration::ZERO);
        }
        let (text, _) = metrics.text();
        assert!(text.contains(r#"{code="219",operation="a",source="upstream"} 1"#), "{text}");
    }
}
