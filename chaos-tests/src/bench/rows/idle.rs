//! What an idle cluster with 60 engines adds to its log.

use anyhow::Result;
use serde_json::Value;

use super::memory::cpu_row;
use crate::bench::fleet::Fleet;
use crate::bench::place::Place;
use crate::bench::table::Row;

const ENGINES: u32 = 60;

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let fleet = Fleet::start(place, ENGINES, &[]).await?;
    let watch = place.effort.idle();
    let before = newest(&fleet).await?;
    let cpu = cpu_row(&format!("idle CPU of a node, {ENGINES} engines"), &fleet, watch, true).await?;
    let added = newest(&fleet).await? - before;
    let work = format!("log entries added by {} idle seconds, {ENGINES} engines", watch.as_secs());
    Ok(vec![Row::new(work, added.to_string()).goal("0", added == 0), cpu])
}

/// Newest log index that the leader has applied.
async fn newest(fleet: &Fleet) -> Result<u64> {
    let leader = fleet.leader().await?;
    let client = &fleet.nodes()[leader].client;
    let view: Value = client.get("/cluster").await?;
    let members = view["nodes"].as_array().into_iter().flatten();
    let applied = members.filter_map(|member| member["applied_index"].as_u64()).max().unwrap_or_default();
    Ok(applied.max(view["revision"].as_u64().unwrap_or_default()))
}
