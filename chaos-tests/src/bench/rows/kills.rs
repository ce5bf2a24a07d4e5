//! From SIGKILL of the leader to the next write that another node acknowledges, beside etcd with its defaults.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use hyper::Uri;
use serde_json::json;
use tokio::task::JoinSet;

use crate::bench::client::{Ask, Connection};
use crate::bench::etcd::{Etcd, EtcdClient};
use crate::bench::figures::{ms, quantile};
use crate::bench::fleet::{Fleet, KEY};
use crate::bench::place::Place;
use crate::bench::table::Row;

const P99_MS: f64 = 1_500.0;
/// A write that nobody acknowledges within this time is a failure of the whole measurement.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Between two writes.
const BEAT: Duration = Duration::from_millis(10);

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
        let write = |target: SocketAddr| {
            let ask = ask.clone();
            async move { Connection::open(target, KEY).await?.ask(&ask).await }
        };
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
        let write = |target: SocketAddr| async move {
            EtcdClient::open(target).await?.put(format!("kill|{number}").into(), "test".into()).await
        };
        times.push(until_written(begun, &others, write).await?);
        killed.start()?;
    }
    Ok(times)
}

/// Milliseconds until a write is acknowledged. A new one begins every few milliseconds, on each target in turn, whatever became of
/// those before: some systems hold a write until there is a leader, others lose it and say so seconds later.
async fn until_written<W>(
    begun: Instant,
    targets: &[SocketAddr],
    write: impl Fn(SocketAddr) -> W,
) -> Result<f64>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let mut last = None;
    let mut writes = JoinSet::new();
    let mut targets = targets.iter().cycle();
    let mut beats = tokio::time::interval(BEAT);
    while begun.elapsed() < GIVE_UP {
        tokio::select! {
            _ = beats.tick() => drop(targets.next().map(|target| writes.spawn(write(*target)))),
            Some(written) = writes.join_next() => match written? {
                Ok(()) => return Ok(ms(begun.elapsed())),
                Err(error) => last = Some(error),
            },
        }
    }
    bail!("no write was acknowledged within {GIVE_UP:?} after the leader was killed; lastly: {last:?}")
}

/// Kills come at any moment between two heartbeats, not always soon after one.
#[expect(clippy::disallowed_methods, reason = "a die")]
async fn any_moment() {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(200 + u64::from(clock.subsec_micros() % 300))).await;
}
