//! Metrics of engines: all of them counted, and each of the first thousand with series of its own.

use std::sync::Arc;

use acefleet_registry::engine::Health;
use acefleet_registry::mark::MarkKind;
use acefleet_registry::rules::engines::standing;
use acefleet_registry::rules::standing::Standing;
use acefleet_registry::{Engine, State};

use crate::http::answer::snapshot::Snapshot;
use crate::http::app::App;
use crate::http::provision::circuit_word;
use crate::http::status::health::{engine_counts, health_of};
use crate::http::status::metrics::provisioning::BREAKER_STATES;
use crate::http::status::metrics::scrape::Scrape;
use crate::http::streams::model::Sums;
use crate::peers::EngineUsage;

/// Engines with series of their own, the oldest first. More would burden a Prometheus rather than inform anybody.
const SERIES_MAX: usize = 1_000;
/// The figures of speed are KB/s.
const KB: f64 = 1024.0;
/// Hundredths of a percent of one core.
const CORE: f64 = 10_000.0;

/// What one engine has series of.
struct Figures<'a> {
    labels: [&'a str; 2],
    health: Option<bool>,
    listed: bool,
    streams: usize,
    /// Of its streams, if they are known.
    sums: Option<Sums>,
    usage: Option<&'a EngineUsage>,
}

impl<'a> Figures<'a> {
    fn of(snapshot: &'a Snapshot, engine: &'a Engine) -> Self {
        let state = &snapshot.view.state;
        let node = state.node(engine.node).map_or("", |node| node.info.name.as_str());
        Self {
            labels: [engine.container_name.as_str(), node],
            health: known_health(state, engine),
            listed: standing(state, engine) == Standing::Listed,
            streams: state.active_streams(engine.id),
            sums: Sums::of(snapshot, state.streams_of(engine.id)),
            usage: snapshot.usage_of(engine),
        }
    }
}

/// Whether it answers its probes; nobody knows that of one that is lost with its host.
fn known_health(state: &State, engine: &Engine) -> Option<bool> {
    match health_of(state, engine) {
        _ if state.is_lost(engine) => None,
        Health::Healthy => Some(true),
        Health::Unhealthy => Some(false),
        Health::Unknown => None,
    }
}

/// Engines counted, and series of each.
pub(super) fn write(scrape: &Scrape, app: &App, snapshot: &Snapshot) -> prometheus::Result<()> {
    counts(scrape, app, snapshot)?;
    let state = &snapshot.view.state;
    let published: Vec<&Arc<Engine>> = state.published_engines().collect();
    let left_out = published.len().saturating_sub(SERIES_MAX) as f64;
    let help = "Engines without series of their own: the first 1000 have some";
    scrape.gauge("acefleet_engines_without_series", help, left_out)?;
    let all: Vec<Figures> =
        published.into_iter().take(SERIES_MAX).map(|engine| Figures::of(snapshot, engine)).collect();
    let write = |name: &str, help: &str, value: &dyn Fn(&Figures) -> Option<f64>| {
        let values: Vec<_> = all.iter().filter_map(|of| Some((of.labels, value(of)?))).collect();
        scrape.series(name, help, ["engine", "node"], &values)
    };
    let help = "1 when an engine answers its probes, 0 when it fails them, nothing while nobody knows";
    write("acefleet_engine_healthy", help, &|of| of.health.map(f64::from))?;
    let help = "1 when clients get an engine";
    write("acefleet_engine_listed", help, &|of| Some(f64::from(of.listed)))?;
    write("acefleet_engine_streams", "Started streams of an engine", &|of| Some(of.streams as f64))?;
    write("acefleet_engine_peers", "Peers of the streams of an engine", &|of| Some(of.sums?.peers as f64))?;
    let help = "speed of the streams of an engine";
    let name = "acefleet_engine_download_bytes_per_second";
    write(name, &format!("Download {help}"), &|of| Some(of.sums?.speed_down as f64 * KB))?;
    let name = "acefleet_engine_upload_bytes_per_second";
    write(name, &format!("Upload {help}"), &|of| Some(of.sums?.speed_up as f64 * KB))?;
    let help = "Processor that an engine uses, in cores";
    write("acefleet_engine_cpu_cores", help, &|of| Some(of.usage?.cpu_centi_percent? as f64 / CORE))?;
    let help = "Memory of an engine without file caches";
    write("acefleet_engine_memory_bytes", help, &|of| Some(of.usage?.memory_bytes? as f64))?;
    let help = "Memory that an engine may have: that of its host without a limit";
    write("acefleet_engine_memory_limit_bytes", help, &|of| Some(of.usage?.memory_limit_bytes? as f64))?;
    let help = "network of an engine; nothing if it has none of its own";
    let name = "acefleet_engine_receive_bytes_per_second";
    write(name, &format!("Received by the {help}"), &|of| Some(of.usage?.rx_bps? as f64))?;
    let name = "acefleet_engine_transmit_bytes_per_second";
    write(name, &format!("Sent by the {help}"), &|of| Some(of.usage?.tx_bps? as f64))
}

fn counts(scrape: &Scrape, app: &App, snapshot: &Snapshot) -> prometheus::Result<()> {
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
    let is_reserved = |engine: &&Arc<Engine>| {
        let is_seated = state.seats(engine, now_ms).next().is_some();
        state.active_streams(engine.id) == 0 && state.mark(engine, now_ms).is_none() && is_seated
    };
    let reserved = state.usable_engines().filter(is_reserved).count() as f64;
    let by_kind: Vec<(&str, f64)> = MarkKind::ALL
        .iter()
        .map(|kind| (kind.as_str(), of_kind(*kind)))
        .chain([("reserved", reserved)])
        .collect();
    let help = "Engines without a stream that count as taken";
    scrape.gauges("acefleet_marked_engines", help, "kind", &by_kind)?;
    let help = "Choices of clients that this node foresaw, by how they ended";
    scrape.counters("acefleet_foreseen_total", help, "end", &app.fleet().foreseen_ends().counts())?;
    scrape.gauge("orch_extra_engines", "Engines above MIN_REPLICAS", extra as f64)?;
    let unknown = total - healthy - unhealthy;
    let by_health =
        [("healthy", healthy as f64), ("unhealthy", unhealthy as f64), ("unknown", unknown as f64)];
    scrape.gauges("orch_engines_total", "Engines by health", "health_status", &by_health)?;
    let states = BREAKER_STATES.map(circuit_word);
    let now = circuit_word(app.fleet().circuit());
    scrape.one_of("orch_circuit_state", "State of the general circuit breaker", "state", &states, now)
}
