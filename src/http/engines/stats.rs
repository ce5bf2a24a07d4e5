//! `GET /engines/stats/all`, `GET /engines/stats/total`, `GET /engines/{container_id}/stats`: what engines use, as their hosts reported
//! it last.

use std::collections::BTreeMap;

use acefleet_registry::Engine;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::problem::{DetailBody, Problem};
use crate::http::answer::snapshot::Snapshot;
use crate::http::answer::time;
use crate::peers::EngineUsage;

/// What an engine uses. Its host counts every 5 s.
#[derive(Serialize, ToSchema)]
struct EngineStats {
    container_id: String,
    /// Percent of one core, as `docker stats` shows it: 150 is one and a half. 0 until it was counted twice.
    cpu_percent: f64,
    /// Bytes, without file caches that the kernel can drop at once.
    memory_usage: u64,
    /// Bytes; the memory of the host for an engine without a limit.
    memory_limit: u64,
    /// 0 without a limit.
    memory_percent: f64,
    /// Since the container was started. 0 for engines in the network of a VPN container, or of the host: they have no figures of their own.
    network_rx_bytes: u64,
    network_tx_bytes: u64,
    /// Bytes a second; null where not known.
    network_rx_bps: Option<u64>,
    network_tx_bps: Option<u64>,
    block_read_bytes: u64,
    block_write_bytes: u64,
    /// Beginning of the time that CPU and bytes a second are about; null until it was counted twice.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// When it was counted.
    #[schema(format = DateTime)]
    at: String,
}

impl EngineStats {
    fn of(container_id: &str, usage: &EngineUsage) -> Self {
        let (memory, limit) = (usage.memory_bytes.unwrap_or(0), usage.memory_limit_bytes.unwrap_or(0));
        let percent = if limit == 0 { 0.0 } else { memory as f64 * 100.0 / limit as f64 };
        Self {
            container_id: container_id.to_owned(),
            cpu_percent: usage.cpu_percent().unwrap_or(0.0),
            memory_usage: memory,
            memory_limit: limit,
            memory_percent: (percent * 100.0).round() / 100.0,
            network_rx_bytes: usage.rx_bytes.unwrap_or(0),
            network_tx_bytes: usage.tx_bytes.unwrap_or(0),
            network_rx_bps: usage.rx_bps,
            network_tx_bps: usage.tx_bps,
            block_read_bytes: usage.read_bytes,
            block_write_bytes: usage.written_bytes,
            since: usage.since_ms.map(time::zulu),
            at: time::zulu(usage.at_ms),
        }
    }
}

/// The sums of all engines. Zeros when nothing is known.
#[derive(Default, Serialize, ToSchema)]
struct TotalStats {
    /// Percent of one core.
    total_cpu_percent: f64,
    total_memory_usage: u64,
    total_network_rx_bytes: u64,
    total_network_tx_bytes: u64,
    total_block_read_bytes: u64,
    total_block_write_bytes: u64,
    /// Engines of which it is known.
    container_count: usize,
}

/// Engines of which it is known what they use: listed or not, on hosts that report.
fn known(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &EngineUsage)> {
    snapshot.view.state.published_engines().filter_map(|engine| usage(snapshot, engine))
}

fn usage<'a>(snapshot: &'a Snapshot, engine: &'a Engine) -> Option<(&'a str, &'a EngineUsage)> {
    Some((engine.container_id.as_deref()?, snapshot.usage_of(engine)?))
}

/// What all engines use
///
/// By container id. Engines of which nothing is known are missing: they have just started, or their host does not answer.
#[utoipa::path(
    get, path = "/engines/stats/all", tag = "engines", operation_id = "all_engine_stats",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "What they use", body = BTreeMap<String, EngineStats>))
)]
pub(crate) async fn all(snapshot: Snapshot) -> Response {
    let all: BTreeMap<&str, EngineStats> =
        known(&snapshot).map(|(id, usage)| (id, EngineStats::of(id, usage))).collect();
    snapshot.answer(&all)
}

/// What all engines use together
#[utoipa::path(
    get, path = "/engines/stats/total", tag = "engines", operation_id = "total_engine_stats",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "The sums", body = TotalStats))
)]
pub(crate) async fn total(snapshot: Snapshot) -> Response {
    let (mut total, mut centi) = (TotalStats::default(), 0);
    for (_, usage) in known(&snapshot) {
        centi += usage.cpu_centi_percent.unwrap_or(0);
        total.total_memory_usage += usage.memory_bytes.unwrap_or(0);
        total.total_network_rx_bytes += usage.rx_bytes.unwrap_or(0);
        total.total_network_tx_bytes += usage.tx_bytes.unwrap_or(0);
        total.total_block_read_bytes += usage.read_bytes;
        total.total_block_write_bytes += usage.written_bytes;
        total.container_count += 1;
    }
    total.total_cpu_percent = centi as f64 / 100.0;
    snapshot.answer(&total)
}

/// What an engine uses
///
/// As its host reported it last, at most some 10 s ago.
#[utoipa::path(
    get, path = "/engines/{container_id}/stats", tag = "engines", operation_id = "engine_stats",
    params(("container_id" = String, Path, description = "Id, prefix or name"), crate::http::docs::openapi::Freshness),
    responses(
        (status = 200, description = "What it uses", body = EngineStats),
        (status = 404, description = "No such engine, or nothing is known of it now", body = DetailBody),
    )
)]
pub(crate) async fn get(Path(id): Path<String>, snapshot: Snapshot) -> Result<Response, Problem> {
    let engine = snapshot.view.state.engine_by_container(&id);
    match engine.and_then(|engine| usage(&snapshot, engine)) {
        Some((id, usage)) => Ok(snapshot.answer(&EngineStats::of(id, usage))),
        None => Err(Problem::text(StatusCode::NOT_FOUND, "Container not found or stats unavailable")),
    }
}
