//! What Acexy asks before each start of a stream: the engines once, then the streams of each of 50 engines in sequence.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use hyper::Uri;

use crate::bench::bare::Bare;
use crate::bench::client::{Ask, Connection};
use crate::bench::figures::{alternate, ms, quantile};
use crate::bench::fleet::Fleet;
use crate::bench::place::Place;
use crate::bench::table::Row;

const ENGINES: u32 = 50;
const FACTOR: f64 = 1.5;
const MEDIAN_MS: f64 = 15.0;
/// Selections in one run.
const RUN: usize = 25;

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let fleet = Fleet::start(place, ENGINES, &[]).await?;
    // Half of the engines are in use.
    fleet.play(0..ENGINES as usize / 2, ENGINES as usize).await?;
    fleet.leader().await?;
    let ours = fleet.follower().await?.http;
    let mut paths = vec![Uri::from_static("/engines")];
    for engine in &fleet.engines {
        paths.push(format!("/streams?container_id={}&status=started", engine.container_id).parse()?);
    }
    let bare = Bare::copy(place, ours, &paths).await?;
    let asks: Vec<Ask> = paths.into_iter().map(Ask::Get).collect();
    let rounds = place.effort.pick(4, 12);
    let pairs =
        alternate(rounds, async || run(ours, &asks).await, async || run(bare.http, &asks).await).await?;
    let (median, p99) = (|times: &Vec<f64>| quantile(times, 0.5), |times: &Vec<f64>| quantile(times, 0.99));
    let ratio = pairs.ratio(median, median);
    let row = Row::new(
        format!("one Acexy selection, 1 + {ENGINES} requests in sequence"),
        format!("p50 {:.2} ms, p99 {:.2} ms", pairs.ours(median), pairs.ours(p99)),
    )
    .beside(format!("bare hyper p50 {:.2} ms, p99 {:.2} ms", pairs.theirs(median), pairs.theirs(p99)))
    .ratio(ratio);
    let met = ratio <= FACTOR && pairs.ours(median) <= MEDIAN_MS;
    Ok(vec![row.goal(format!("≤ {FACTOR}, p50 ≤ {MEDIAN_MS:.0} ms"), met)])
}

/// Times of a few selections, milliseconds.
async fn run(target: SocketAddr, asks: &[Ask]) -> Result<Vec<f64>> {
    let mut connection = Connection::open(target, "").await?;
    let mut times = Vec::new();
    for _ in 0..RUN {
        let begun = Instant::now();
        for ask in asks {
            connection.ask(ask).await?;
        }
        times.push(ms(begun.elapsed()));
    }
    Ok(times)
}
