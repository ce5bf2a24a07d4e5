//! `GET /metrics`: Prometheus text. Gauges are read from the state at each scrape. They show the whole cluster, and are the same on all
//! nodes.

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::mark::MarkKind;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use crate::http::answer::problem::Problem;
use crate::http::answer::snapshot::{Here, Snapshot};
use crate::http::app::App;
use crate::http::provision::circuit_word;
use crate::http::status::health::engine_counts;
use crate::http::status::host_metrics;
use crate::http::streams::model::sample_of;
use crate::http::vpn::VpnFigures;
use crate::peers::NodeReport;
use crate::relay::stats::{Stats, Trouble};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const MIB: f64 = 1_048_576.0;

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "status", operation_id = "metrics",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain"))
)]
pub(crate) async fn get(State(app): State<App>, Here(snapshot): Here) -> Result<Response, Problem> {
    match text(&app, &snapshot) {
        Ok(text) => {
            let mut response = ([(CONTENT_TYPE, TEXT)], text).into_response();
            snapshot.mark(response.headers_mut());
            Ok(response)
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            Err(Problem::text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written"))
        }
    }
}

fn text(app: &App, snapshot: &Snapshot) -> prometheus::Result<String> {
    let mut families = app.counters().gather(snapshot.view.state.events());
    families.extend(from_state(app, snapshot)?);
    families.sort_by(|a, b| a.name().cmp(b.name()));
    TextEncoder::new().encode_to_string(&families)
}

/// Two decimals, as clients expect of figures in megabytes.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Metrics of one answer.
pub(super) struct Scrape {
    registry: Registry,
}

impl Scrape {
    fn gauge(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.registry.register(Box::new(gauge))
    }

    fn counter(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        self.registry.register(Box::new(counter))
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> prometheus::Result<()> {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (word, value) in values {
            counters.with_label_values(&[word]).inc_by(*value);
        }
        self.registry.register(Box::new(counters))
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, f64)],
    ) -> prometheus::Result<()> {
        let gauges = GaugeVec::new(Opts::new(name, help), &[label])?;
        for (word, value) in values {
            gauges.with_label_values(&[word]).set(*value);
        }
        self.registry.register(Box::new(gauges))
    }

    /// One series for each word; the current one is 1.
    fn one_of(
        &self,
        name: &str,
        help: &str,
        label: &str,
        words: &[&str],
        now: &str,
    ) -> prometheus::Result<()> {
        let values: Vec<(&str, f64)> = words.iter().map(|word| (*word, f64::from(*word == now))).collect();
        self.gauges(name, help, label, &values)
    }
}

fn from_state(app: &App, snapshot: &Snapshot) -> prometheus::Result<Vec<MetricFamily>> {
    let scrape = Scrape { registry: Registry::new() };
    engines(&scrape, app, snapshot)?;
    streams(&scrape, snapshot)?;
    weights(&scrape, snapshot)?;
    host_metrics::write(&scrape, snapshot)?;
    vpn(&scrape, snapshot)?;
    reports(&scrape, app, snapshot)?;
    relay(&scrape, app.fleet().relay())?;
    raft(&scrape, app, snapshot)?;
    Ok(scrape.registry.gather())
}

fn engines(scrape: &Scrape, app: &App, snapshot: &Snapshot) -> prometheus::Result<()> {
    let state = &snapshot.view.state;
    let (total, healthy, unhealthy) = engine_counts(snapshot);
    let used = state.usable_engines().filter(|engine| state.active_streams(engine.id) > 0).count();
    let extra = state.usable_engines().count().saturating_sub(state.policy().min_replicas as usize);
    scrape.gauge("orch_healthy_engines", "Engines that answer their probes", healthy as f64)?;
    scrape.gauge("orch_unhealthy_engines", "Engines that fail their probes", unhealthy as f64)?;
    scrape.gauge("orch_used_engines", "Engines with at least one stream", used as f64)?;
    let now_ms = snapshot.moment();
    let marks: Vec<MarkKind> =
        state.usable_engines().filter_map(|engine| Some(state.mark(engine, now_ms)?.kind)).collect();
    let of_kind = |kind| marks.iter().filter(|known| **known == kind).count() as f64;
    let by_kind = MarkKind::ALL.each_ref().map(|kind| (kind.as_str(), of_kind(*kind)));
    let help = "Engines without a stream that count as taken";
    scrape.gauges("acefleet_marked_engines", help, "kind", &by_kind)?;
    scrape.gauge("orch_extra_engines", "Engines above MIN_REPLICAS", extra as f64)?;
    let unknown = total - healthy - unhealthy;
    let by_health =
        [("healthy", healthy as f64), ("unhealthy", unhealthy as f64), ("unknown", unknown as f64)];
    scrape.gauges("orch_engines_total", "Engines by health", "health_status", &by_health)?;
    let states = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen].map(circuit_word);
    let now = circuit_word(app.fleet().circuit());
    scrape.one_of("orch_circuit_state", "State of the general circuit breaker", "state", &states, now)
}

fn streams(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let state = &snapshot.view.state;
    let (active, _) = state.stream_counts();
    let (mut peers, mut down, mut up) = (0, 0, 0);
    for stream in state.published_engines().flat_map(|engine| state.streams_of(engine.id)) {
        if let Some(sample) = sample_of(snapshot, stream) {
            peers += sample.peers.unwrap_or(0);
            down += sample.speed_down.unwrap_or(0);
            up += sample.speed_up.unwrap_or(0);
        }
    }
    scrape.gauge("orch_streams_active", "Started streams", active as f64)?;
    scrape.gauge("orch_total_streams", "Started streams", active as f64)?;
    scrape.gauge("orch_total_peers", "Peers of all started streams", peers as f64)?;
    let speed = |kb: i64| rounded(kb as f64 / 1024.0);
    let help = "of all started streams, MB/s (despite the name)";
    scrape.gauge("orch_total_download_speed_mbps", &format!("Download speed {help}"), speed(down))?;
    scrape.gauge("orch_total_upload_speed_mbps", &format!("Upload speed {help}"), speed(up))
}

/// Size of the registry, by the parts that have limits.
fn weights(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let weights = snapshot.view.state.weights();
    let kinds = [
        ("events", weights.events),
        ("started_streams", weights.started_streams),
        ("ended_streams", weights.ended_streams),
        ("engines", weights.engines),
        ("ended_engines", weights.ended_engines),
        ("tombstones", weights.tombstones),
        ("remembered_writes", weights.remembered),
        (
            "other",
            weights.nodes
                + weights.vpns
                + weights.foreign
                + weights.lacks
                + weights.failing
                + weights.settings,
        ),
    ];
    let values = kinds.map(|(kind, bytes)| (kind, bytes as f64));
    scrape.gauges("acefleet_state_bytes", "Estimated size of the replicated state", "kind", &values)
}

fn vpn(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let figures = VpnFigures::of(snapshot);
    let words = ["healthy", "unhealthy", "unknown", "disabled", "starting"];
    let names = ["orch_vpn_health", "orch_vpn1_health", "orch_vpn2_health"];
    for (name, now) in names.into_iter().zip(figures.words) {
        scrape.one_of(name, "State of the VPN", name, &words, now)?;
    }
    let [first, second] = figures.engines;
    scrape.gauge("orch_vpn1_engines", "Engines behind the first VPN of their node", first as f64)?;
    scrape.gauge("orch_vpn2_engines", "Engines behind the second VPN of their node", second as f64)?;
    let connected: Vec<(&str, f64)> =
        figures.connected.iter().map(|(name, up)| (name.as_str(), f64::from(*up))).collect();
    scrape.gauges("acefleet_vpn_connected", "Whether a VPN (node/container) is connected", "vpn", &connected)
}

fn reports(scrape: &Scrape, app: &App, snapshot: &Snapshot) -> prometheus::Result<()> {
    let soft = &snapshot.soft;
    let sum = |of: fn(&NodeReport) -> u64| -> u64 { soft.nodes.values().map(|last| of(&last.report)).sum() };
    let (down, up) = (sum(|report| report.totals.0), sum(|report| report.totals.1));
    let help = "by all streams since the start of their nodes";
    scrape.gauge("orch_total_downloaded_bytes", &format!("Bytes downloaded {help}"), down as f64)?;
    scrape.gauge("orch_total_uploaded_bytes", &format!("Bytes uploaded {help}"), up as f64)?;
    scrape.gauge(
        "orch_total_downloaded_mb",
        &format!("MiB downloaded {help}"),
        rounded(down as f64 / MIB),
    )?;
    scrape.gauge("orch_total_uploaded_mb", &format!("MiB uploaded {help}"), rounded(up as f64 / MIB))?;
    let me = app.fleet().cluster().node_id();
    let errors = soft.nodes.get(&me).map_or(0, |last| last.report.collector_errors);
    for name in ["orch_collector_errors_total", "orch_collect_errors_total"] {
        scrape.counter(name, "Failed polls of stream figures on this node", errors)?;
    }
    Ok(())
}

fn relay(scrape: &Scrape, stats: &Stats) -> prometheus::Result<()> {
    let open = stats.connections() as f64;
    scrape.gauge("acefleet_relay_connections", "Connections that this node relays now", open)?;
    let total = stats.connections_total();
    scrape.counter("acefleet_relay_connections_total", "Connections that this node has relayed", total)?;
    let (to_engine, to_client) = stats.bytes();
    let bytes = [("to_engine", to_engine), ("to_client", to_client)];
    scrape.counters("acefleet_relay_bytes_total", "Bytes that this node has relayed", "direction", &bytes)?;
    let listeners = stats.listeners() as f64;
    scrape.gauge("acefleet_relay_listeners", "Ports of engines on other hosts, offered here", listeners)?;
    let waiting = stats.ports_waiting() as f64;
    scrape.gauge("acefleet_relay_ports_waiting", "Such ports that cannot be opened here", waiting)?;
    let errors = Trouble::ALL.map(|kind| (kind.word(), stats.troubles(kind)));
    scrape.counters("acefleet_relay_errors_total", "What went wrong in the relay", "kind", &errors)
}

fn raft(scrape: &Scrape, app: &App, snapshot: &Snapshot) -> prometheus::Result<()> {
    let status = app.fleet().cluster().status();
    let queued = app.fleet().cluster().outbox().len();
    let leads = status.leader == Some(status.node_id);
    scrape.gauges(
        "acefleet_build_info",
        "Software version",
        "version",
        &[(env!("CARGO_PKG_VERSION"), 1.0)],
    )?;
    for (name, help, value) in [
        ("acefleet_raft_term", "Newest term that this node has seen", status.term),
        ("acefleet_raft_is_leader", "1 on the leader", u64::from(leads)),
        ("acefleet_raft_has_leader", "1 when this node knows a leader", u64::from(status.leader.is_some())),
        ("acefleet_raft_voters", "Voters in the cluster", status.voters as u64),
        ("acefleet_raft_last_log_index", "Last log entry stored on this node", status.last_log),
        ("acefleet_raft_applied_index", "Last log entry applied on this node", status.last_applied),
        ("acefleet_raft_snapshot_index", "Log entries in the newest snapshot", status.snapshot_index),
        ("acefleet_outbox_events", "Events queued on this node until there is a leader", queued),
        ("acefleet_outbox_bytes", "Bytes of these events", app.fleet().cluster().outbox().bytes()),
        ("acefleet_revision", "Revision of the registry on this node", snapshot.view.revision),
        ("acefleet_staleness_ms", "How old answers of this node may be, ms", status.staleness_ms),
        (
            "acefleet_replicas_differing",
            "Members whose replica differs from this one",
            status.differing.len() as u64,
        ),
        (
            "acefleet_replica_disputed",
            "Replicas differ and no majority says which is right: 1",
            status.disputed.into(),
        ),
        ("acefleet_fsync_last_us", "Last sync of the log to disk, us", status.fsync_last_us.unwrap_or(0)),
    ] {
        scrape.gauge(name, help, value as f64)?;
    }
    if let Some(disk) = status.disk {
        let help = "of the file system that holds the data directory";
        scrape.gauge("acefleet_disk_free_bytes", &format!("Free bytes {help}"), disk.free_bytes as f64)?;
        scrape.gauge("acefleet_disk_total_bytes", &format!("Bytes {help}"), disk.total_bytes as f64)?;
        let low = f64::from(disk.is_low());
        scrape.gauge("acefleet_disk_low", "1 when free space runs short", low)?;
    }
    let contacts: Vec<(String, f64)> = status
        .members
        .iter()
        .filter_map(|member| Some((member.name.clone(), member.last_contact_ms? as f64)))
        .collect();
    let contacts: Vec<(&str, f64)> = contacts.iter().map(|(name, ms)| (name.as_str(), *ms)).collect();
    scrape.gauges(
        "acefleet_peer_last_contact_ms",
        "Time since the last contact with another node, ms",
        "node",
        &contacts,
    )?;
    let skews = app.fleet().cluster().clock_skews();
    let skew = |id| skews.iter().find(|(of, _)| *of == id).map(|(_, ms)| *ms as f64);
    let skews: Vec<(&str, f64)> =
        status.members.iter().filter_map(|member| Some((member.name.as_str(), skew(member.id)?))).collect();
    let help = "How far the clock of a node is ahead of the time of day that the cluster shows, ms";
    scrape.gauges("acefleet_clock_skew_ms", help, "node", &skews)
}
