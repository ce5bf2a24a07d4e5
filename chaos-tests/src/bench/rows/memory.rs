//! Memory of a node with many engines and streams, and what it does when nobody asks anything.

use std::time::Duration;

use anyhow::Result;

use super::streams::{ENGINES, STREAMS};
use crate::bench::figures::median;
use crate::bench::fleet::Fleet;
use crate::bench::place::Place;
use crate::bench::table::Row;
use crate::bench::usage::{cpu_time, resident};

const MIB: f64 = 1024.0 * 1024.0;
const MEMORY_MIB: f64 = 64.0;
const CPU_SHARE: f64 = 0.02;

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let fleet = Fleet::start(place, ENGINES, &[]).await?;
    let (settle, watch) = place.effort.pick((5, 15), (20, 40));
    let (settle, watch) = (Duration::from_secs(settle), Duration::from_secs(watch));
    tokio::time::sleep(settle).await;
    let mut rows =
        vec![cpu_row(&format!("idle CPU of a node, {ENGINES} engines"), &fleet, watch, true).await?];
    fleet.play(0..STREAMS, ENGINES as usize).await?;
    fleet.leader().await?;
    tokio::time::sleep(settle).await;
    let what = format!("resident memory, {ENGINES} engines, {STREAMS} streams");
    rows.push(memory_row(format!("{what}, {ENGINES} running"), &fleet)?);
    rows.push(
        cpu_row(
            &format!("CPU of a node, {ENGINES} engines, {ENGINES} running streams"),
            &fleet,
            watch,
            false,
        )
        .await?,
    );
    // Besides, for those who wonder: as many again, and none of them ends.
    fleet.play(STREAMS..2 * STREAMS, STREAMS).await?;
    fleet.leader().await?;
    tokio::time::sleep(settle).await;
    let (work, size) = (format!("resident memory with {STREAMS} more, all running"), sizes(&fleet)?);
    rows.push(Row::new(work, size.1));
    Ok(rows)
}

/// The largest node counts.
fn memory_row(work: String, fleet: &Fleet) -> Result<Row> {
    let (largest, words) = sizes(fleet)?;
    Ok(Row::new(work, words).goal(format!("≤ {MEMORY_MIB:.0} MiB"), largest <= MEMORY_MIB))
}

/// Memory of the largest node in MiB, and in words.
fn sizes(fleet: &Fleet) -> Result<(f64, String)> {
    let mut sizes = Vec::new();
    for node in fleet.nodes() {
        sizes.push(resident(node.process.expect_running()?)? as f64 / MIB);
    }
    let largest = sizes.iter().copied().fold(0.0, f64::max);
    Ok((largest, format!("{largest:.0} MiB (median {:.0} MiB)", median(&sizes))))
}

/// Share of one core that the busiest node uses.
pub(super) async fn cpu_row(work: &str, fleet: &Fleet, watch: Duration, idle: bool) -> Result<Row> {
    let before = cpu_times(fleet)?;
    tokio::time::sleep(watch).await;
    let used = cpu_times(fleet)?
        .into_iter()
        .zip(before)
        .map(|(after, before)| (after - before) / watch.as_secs_f64());
    let used: Vec<f64> = used.collect();
    let most = used.iter().copied().fold(0.0, f64::max);
    let row = Row::new(work, format!("{:.2} % (median {:.2} %)", most * 100.0, median(&used) * 100.0));
    Ok(match idle {
        true => row.goal("< 2 %", most < CPU_SHARE),
        false => row,
    })
}

fn cpu_times(fleet: &Fleet) -> Result<Vec<f64>> {
    let times = fleet.nodes().iter().map(|node| cpu_time(node.process.expect_running()?));
    times.map(|time| time.map(|time| time.as_secs_f64())).collect()
}
