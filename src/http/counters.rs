//! Counters of this process: requests, events, provisioning. All other metrics are read from the state at each scrape.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use acefleet_registry::end_reason::EndReason;
use acefleet_registry::event::EventLog;
use axum::http::StatusCode;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::fleet::Code;

/// Counters of this process since its start.
pub(crate) struct Counters {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    started: IntCounter,
    ended: IntCounter,
    provisions: IntCounterVec,
    provision_durations: HistogramVec,
    refusals: IntCounterVec,
    communication_errors: IntCounterVec,
    stale: IntCounter,
    rendered: IntCounter,
    feed_looks: IntCounter,
    /// Newest event that was checked for stale streams.
    seen: Mutex<u64>,
}

/// Counters of one route's `GET`s.
#[derive(Debug)]
pub(crate) struct Hits {
    endpoint: String,
    ok: IntCounter,
    took: Histogram,
}

pub(crate) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = made.expect("names and labels are constants of this file, and a test makes all of them");
    let registered = registry.register(Box::new(collector.clone()));
    registered.expect("names are constants of this file, each its own, and a test registers all of them");
    collector
}

fn newest(events: &EventLog) -> u64 {
    events.iter().next_back().map_or(0, |event| event.id)
}

impl Hits {
    /// The route.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Counters {
    /// Counters at zero. Stale streams count from now on.
    pub fn new(events: &EventLog) -> Self {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help));
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(&registry, HistogramVec::new(opts, labels))
        };
        let api = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let provision = [0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 25.0];
        let made = Self {
            requests: counters(
                "orch_api_requests_total",
                "API requests answered",
                &["endpoint", "method", "status"],
            ),
            durations: histogram(
                "orch_api_duration_seconds",
                "Time from request to answer",
                &["endpoint", "method"],
                &api,
            ),
            started: counter("orch_events_started_total", "Started events accepted by this node"),
            ended: counter("orch_events_ended_total", "Ended events on this node that ended a stream"),
            provisions: counters("orch_provision_total", "Containers requested from this node", &["kind"]),
            provision_durations: histogram(
                "orch_provision_duration_seconds",
                "Time from request for a container to answer",
                &["success"],
                &provision,
            ),
            refusals: counters(
                "acefleet_provisioning_refused_total",
                "Calls for a container that this node answered with an error, by its code",
                &["code"],
            ),
            communication_errors: counters(
                "orch_communication_errors_total",
                "Calls that failed because another part did not answer",
                &["source", "error_type"],
            ),
            stale: counter(
                "orch_stale_streams_detected_total",
                "Streams ended because their engine does not know them any more",
            ),
            rendered: counter(
                "acefleet_answers_rendered_total",
                "Answers rendered; all others were reused from the same state",
            ),
            feed_looks: counter(
                "acefleet_feed_looks_total",
                "Times that what has changed was looked for, for all readers of /events/stream",
            ),
            seen: Mutex::new(newest(events)),
            registry: registry.clone(),
        };
        for kind in ["acestream", "generic"] {
            made.provisions.with_label_values(&[kind]);
        }
        for code in Code::OF_STATUS {
            made.refusals.with_label_values(&[code.as_str()]);
        }
        made
    }

    /// Where further counters of this process are kept.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A request was answered. `endpoint` is a route, not a path.
    pub fn request(&self, endpoint: &str, method: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[endpoint, method, &status.to_string()]).inc();
        self.durations.with_label_values(&[endpoint, method]).observe(took.as_secs_f64());
    }

    /// Counters of one route's `GET`s, looked up once for many requests.
    pub fn hits(&self, endpoint: &str) -> Hits {
        Hits {
            endpoint: endpoint.to_owned(),
            ok: self.requests.with_label_values(&[endpoint, "GET", "200"]),
            took: self.durations.with_label_values(&[endpoint, "GET"]),
        }
    }

    /// A `GET` of that route was answered.
    pub fn hit(&self, hits: &Hits, status: StatusCode, took: Duration) {
        match status {
            StatusCode::OK => {
                hits.ok.inc();
                hits.took.observe(took.as_secs_f64());
            }
            _ => self.request(&hits.endpoint, "GET", status.as_u16(), took),
        }
    }

    /// Started events were accepted.
    pub fn started(&self, events: u64) {
        self.started.inc_by(events);
    }

    /// Ended events ended streams.
    pub fn ended(&self, events: u64) {
        self.ended.inc_by(events);
    }

    /// A call for a container was answered.
    pub fn provisioned(&self, kind: &str, success: bool, took: Duration) {
        self.provisions.with_label_values(&[kind]).inc();
        let success = if success { "true" } else { "false" };
        self.provision_durations.with_label_values(&[success]).observe(took.as_secs_f64());
    }

    /// A call for a container got an error with this code, which is a word of ours.
    pub fn refused(&self, code: &str) {
        self.refusals.with_label_values(&[code]).inc();
    }

    /// A part of the cluster did not answer.
    pub fn communication_error(&self, source: &str, error_type: &str) {
        self.communication_errors.with_label_values(&[source, error_type]).inc();
    }

    /// An answer was rendered.
    pub fn rendered(&self) {
        self.rendered.inc();
    }

    /// What has changed was looked for, for all readers of the feed.
    pub fn feed_looked(&self) {
        self.feed_looks.inc();
    }

    /// All counters, with stale streams up to the end of the event log.
    pub fn gather(&self, events: &EventLog) -> Vec<MetricFamily> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = events.iter().rev().take_while(|event| event.id > *seen);
        let denied = format!("({})", EndReason::Denied);
        self.stale.inc_by(fresh.filter(|event| event.message.ends_with(&denied)).count() as u64);
        *seen = newest(events).max(*seen);
        self.registry.gather()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_counters_are_well_formed_and_distinct() {
        let events = EventLog::default();
        let counters = Counters::new(&events);
        counters.request("/engines", "GET", 200, Duration::from_millis(1));
        let hits = counters.hits("/engines");
        counters.hit(&hits, StatusCode::OK, Duration::from_millis(1));
        counters.hit(&hits, StatusCode::NOT_MODIFIED, Duration::from_millis(1));
        assert_eq!(hits.ok.get(), 2);
        assert_eq!(hits.took.get_sample_count(), 3);
        counters.provisioned("acestream", true, Duration::from_secs(1));
        counters.communication_error("registry", "no_leader");
        counters.started(2);
        let families = counters.gather(&events);
        assert_eq!(families.len(), 11);
    }
}
