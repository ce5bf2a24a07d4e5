//! `stream_started`, answered when a majority has it on disk, beside puts of the same bytes into etcd.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures::future::try_join_all;
use hyper::Uri;

use crate::bench::client::{Ask, Tally, closed_loop};
use crate::bench::etcd::{Etcd, EtcdClient};
use crate::bench::figures::{alternate, ms};
use crate::bench::fleet::Fleet;
use crate::bench::place::Place;
use crate::bench::table::Row;
use crate::node::{Engine, StartedEvent};

const ENGINES: u32 = 10;
const RATE_FACTOR: f64 = 1.5;
const TIME_FACTOR: f64 = 1.3;
/// Every event is of a session of its own.
static SESSION: AtomicU64 = AtomicU64::new(1_000_000);

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    // Tens of thousands of streams begin and end within seconds. Their figures are not read meanwhile: engines that could not
    // have them would be asked for them by the thousand.
    let fleet = Fleet::start(place, ENGINES, &[("COLLECT_INTERVAL_S", "86400")]).await?;
    let etcd = Etcd::start(place).await?;
    let mut rows = Vec::new();
    for clients in [64, 1] {
        for (role, offset) in [("leader", 0), ("follower", 1)] {
            rows.push(compare(place, &fleet, &etcd, clients, (role, offset)).await?);
        }
    }
    Ok(rows)
}

async fn compare(
    place: &Place,
    fleet: &Fleet,
    etcd: &Etcd,
    clients: usize,
    (role, offset): (&str, usize),
) -> Result<Row> {
    let (rounds, time) = place.effort.pick((3, Duration::from_secs(1)), (5, Duration::from_millis(1_500)));
    let node = fleet.nodes()[(fleet.leader().await? + offset) % fleet.nodes().len()].http;
    let member = etcd.members()[(etcd.leader().await? + offset) % etcd.members().len()].address;
    let ours = async || {
        let first = SESSION.load(Ordering::Relaxed);
        let tally = post(fleet, node, clients, time).await?;
        let last = SESSION.load(Ordering::Relaxed);
        fleet.end((first..last).map(|number| event(&fleet.engines, number).stream_id())).await?;
        Ok(tally)
    };
    let pairs = alternate(rounds, ours, async || put(&fleet.engines, member, clients, time).await).await?;
    let (rate, median) = (|run: &Tally| run.rate, |run: &Tally| run.quantile(0.5));
    let p99 = |run: &Tally| run.quantile(0.99);
    let figures = |rate: f64, p50: f64, p99: f64| match clients {
        1 => format!("p50 {p50:.2} ms, p99 {p99:.2} ms"),
        _ => format!("{rate:.0}/s, p99 {p99:.1} ms"),
    };
    let row = Row::new(
        format!("stream_started on the {role}, {clients} client{}", if clients == 1 { "" } else { "s" }),
        figures(pairs.ours(rate), pairs.ours(median), pairs.ours(p99)),
    )
    .beside(format!("etcd {}", figures(pairs.theirs(rate), pairs.theirs(median), pairs.theirs(p99))));
    Ok(match clients {
        1 => {
            let ratio = pairs.ratio(median, median);
            row.ratio(ratio).goal(format!("≤ {TIME_FACTOR}"), ratio <= TIME_FACTOR)
        }
        _ => {
            let ratio = pairs.ratio(rate, rate);
            row.ratio(ratio).goal(format!("≥ {RATE_FACTOR}"), ratio >= RATE_FACTOR)
        }
    })
}

/// An event as Acexy sends it.
fn event(engines: &[Engine], number: u64) -> StartedEvent {
    let engine = &engines[number as usize % engines.len()];
    StartedEvent::new(&engine.host, engine.port, &format!("{number:040x}"), &format!("{number:032x}"))
}

fn next(engines: &[Engine]) -> (String, Bytes) {
    let event = event(engines, SESSION.fetch_add(1, Ordering::Relaxed));
    (event.stream_id(), event.body().to_string().into())
}

async fn post(fleet: &Fleet, node: SocketAddr, clients: usize, time: Duration) -> Result<Tally> {
    let engines = fleet.engines.clone();
    let path = Uri::from_static("/events/stream_started");
    closed_loop(node, clients, time, crate::bench::fleet::KEY, move |_, _| {
        Ask::Post(path.clone(), next(&engines).1)
    })
    .await
}

/// The same events as values under their stream ids, each client on a connection of its own.
async fn put(engines: &[Engine], member: SocketAddr, clients: usize, time: Duration) -> Result<Tally> {
    let opened = try_join_all((0..clients).map(|_| EtcdClient::open(member))).await?;
    let begun = Instant::now();
    let tasks = opened.into_iter().map(|mut client| {
        let engines = engines.to_vec();
        tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let (key, value) = next(&engines);
                let asked = Instant::now();
                client.put(key.into(), value).await?;
                times.push(ms(asked.elapsed()));
            }
            anyhow::Ok(times)
        })
    });
    let times = try_join_all(tasks.collect::<Vec<_>>()).await?;
    let took = begun.elapsed();
    let times: Vec<f64> = times.into_iter().collect::<Result<Vec<_>>>()?.concat();
    Ok(Tally { rate: times.len() as f64 / took.as_secs_f64(), times })
}
