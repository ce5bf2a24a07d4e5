//! `GET /metrics`: Prometheus text. Gauges are read from the state at each scrape. They show the whole cluster, and are the same on all
//! nodes, but for those of [`raft`] and [`process`].

mod backups;
mod engines;
mod hosts;
mod process;
mod provisioning;
mod raft;
mod relay;
mod scrape;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use crate::http::answer::problem::Problem;
use crate::http::answer::snapshot::{Here, Snapshot};
use crate::http::app::App;
use crate::http::status::metrics::scrape::Scrape;
use crate::http::streams::model::Sums;
use crate::http::vpn::VpnFigures;
use crate::peers::NodeReport;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const MIB: f64 = 1_048_576.0;

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "status", operation_id = "metrics",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain"))
)]
pub(crate) async fn get(State(app): State<App>, Here(snapshot): Here) -> Result<Response, Problem> {
    // A thousand engines take milliseconds, and the figures of the process come from files.
    let written = tokio::task::spawn_blocking(move || (text(&app, &snapshot), snapshot)).await;
    // The task panicked; the panic is handled as that of a handler.
    let (text, snapshot) = written.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    match text {
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

fn from_state(app: &App, snapshot: &Snapshot) -> prometheus::Result<Vec<MetricFamily>> {
    let scrape = Scrape::default();
    engines::write(&scrape, app, snapshot)?;
    streams(&scrape, snapshot)?;
    weights(&scrape, snapshot)?;
    hosts::write(&scrape, snapshot)?;
    provisioning::write(&scrape, app, snapshot)?;
    vpn(&scrape, snapshot)?;
    reports(&scrape, app, snapshot)?;
    backups::write(&scrape, app.fleet())?;
    relay::write(&scrape, app.fleet().relay())?;
    raft::write(&scrape, app, snapshot)?;
    process::write(&scrape)?;
    if let Some(tls) = app.tls() {
        let until = tls.keeper.until() as f64;
        let help = "When the certificate of this node's API ends, seconds since 1970";
        scrape.gauge("acefleet_tls_certificate_end_timestamp_seconds", help, until)?;
    }
    let readers = app.feed().readers() as f64;
    scrape.gauge("acefleet_feed_readers", "Readers of /events/stream on this node", readers)?;
    let mut families = scrape.gather();
    families.push(raft::fsyncs(&app.fleet().cluster().fsync_times()));
    Ok(families)
}

fn streams(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let state = &snapshot.view.state;
    let (active, _) = state.stream_counts();
    let all = state.published_engines().flat_map(|engine| state.streams_of(engine.id));
    let sums = Sums::of(snapshot, all).unwrap_or_default();
    scrape.gauge("orch_streams_active", "Started streams", active as f64)?;
    scrape.gauge("orch_total_streams", "Started streams", active as f64)?;
    scrape.gauge("orch_total_peers", "Peers of all started streams", sums.peers as f64)?;
    let speed = |kb: i64| rounded(kb as f64 / 1024.0);
    let help = "of all started streams, MB/s (despite the name)";
    scrape.gauge(
        "orch_total_download_speed_mbps",
        &format!("Download speed {help}"),
        speed(sums.speed_down),
    )?;
    scrape.gauge("orch_total_upload_speed_mbps", &format!("Upload speed {help}"), speed(sums.speed_up))
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
