//! From SIGKILL of the leader to the next write that another node acknowledges, beside etcd with its defaults.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use hyper::Uri;
use serde_json::json;

use crate::bench::client::{Ask, Connection};
use crate::bench::etcd::{Etcd, EtcdClient};
use crate::bench::figures::{ms, quantile};
use crate::bench::fleet::{Fleet, KEY};
use crate::bench::place::Place;
use crate::bench::table::Row;

const P99_MS: f64 = 1_500.0;
/// A write that nobody acknowledges within this time is a failure of the whole measurement.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Pause after a refusal.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let kills = place.effort.pick(8, 30);
    let ours = fleet_kills(place, kills).await?;
    let theirs = etcd_kills(place, kills).await?;
    let figures =
        |times: &[f64]| format!("p50 {:.0} ms, p99 {:.0} ms", quantile(times, 0.5), quantile(times, 0.99));
    let (p50, p99) = (quantile(&ours, 0.5), quantile(&ours, 0.99));
    let ratio = p50 / quantile(&theirs, 0.5);
    let met = ratio < 1.0 && p99 < quantile(&theirs, 0.99) && p99 <= P99_MS;
    let row = Row::new(format!("leader SIGKILL to next acknowledged write, {kills} kills"), figures(&ours))
        .beside(format!("etcd {}", figures(&theirs)))
        .ratio(ratio);
    Ok(vec![row.goal("< 1, p99 ≤ 1.5 s", met)])
}

/// Times in milliseconds.
async fn fleet_kills(place: &Place, kills: usize) -> Result<Vec<f64>> {
    let fleet = Fleet::start(place, 3, &[]).await?;
    let mut times = Vec::new();
    for number in 0..kills {
        let leader = fleet.leader().await?;
        any_moment().await;
        let killed = &fleet.nodes()[leader].process;
        let others: Vec<SocketAddr> = (1..fleet.nodes().len())
            .map(|step| fleet.nodes()[(leader + step) % fleet.nodes().len()].http)
            .collect();
        let body = json!({"stream_id": format!("kill|{number}"), "reason": "test"}).to_string();
        let ask = Ask::Post(Uri::from_static("/events/stream_ended"), body.into());
        let begun = Instant::now();
        killed.kill().await?;
        let write = async |target: SocketAddr| Connection::open(target, KEY).await?.ask(&ask).await;
        times.push(until_written(begun, &others, write).await?);
        killed.start()?;
    }
    Ok(times)
}

async fn etcd_kills(place: &Place, kills: usize) -> Result<Vec<f64>> {
    let etcd = Etcd::start(place).await?;
    let mut times = Vec::new();
    for number in 0..kills {
        let leader = etcd.leader().await?;
        any_moment().await;
        let killed = &etcd.members()[leader].process;
        let others: Vec<SocketAddr> = (1..etcd.members().len())
            .map(|step| etcd.members()[(leader + step) % etcd.members().len()].address)
            .collect();
        let begun = Instant::now();
        killed.kill().await?;
        let write = async |target: SocketAddr| {
            EtcdClient::open(target).await?.put(format!("kill|{number}").into(), "test".into()).await
        };
        times.push(until_written(begun, &others, write).await?);
        killed.start()?;
    }
    Ok(times)
}

/// Milliseconds until one of the targets, asked in turn, acknowledges a write.
async fn until_written(
    begun: Instant,
    targets: &[SocketAddr],
    write: impl AsyncFn(SocketAddr) -> Result<()>,
) -> Result<f64> {
    let mut last = None;
    for target in targets.iter().cycle() {
        match write(*target).await {
            Ok(()) => return Ok(ms(begun.elapsed())),
            Err(error) => last = Some(error),
        }
        if begun.elapsed() > GIVE_UP {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("no write was acknowledged within {GIVE_UP:?} after the leader was killed; lastly: {last:?}")
}

/// Kills come at any moment between two heartbeats, not always soon after one.
async fn any_moment() {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(200 + u64::from(clock.subsec_micros() % 300))).await;
}
