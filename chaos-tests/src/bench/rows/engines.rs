//! `GET /engines` of a fleet with 50 engines, beside a bare server that sends the same bytes.

use std::time::Duration;

use anyhow::Result;
use hyper::Uri;

use crate::bench::bare::Bare;
use crate::bench::client::{Ask, closed_loop};
use crate::bench::figures::alternate;
use crate::bench::fleet::Fleet;
use crate::bench::open_loop::open_loop;
use crate::bench::place::Place;
use crate::bench::table::Row;

const ENGINES: u32 = 50;
const SHARE: f64 = 0.8;
/// Questions a second of the open loop, over so many connections.
const RATE: u32 = 2_000;
const CONNECTIONS: usize = 64;
const P99_MS: f64 = 2.0;

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let fleet = Fleet::start(place, ENGINES, &[]).await?;
    let ours = fleet.follower().await?.http;
    let path = Uri::from_static("/engines");
    let bare = Bare::copy(place, ours, std::slice::from_ref(&path)).await?;
    let ask = Ask::Get(path);
    let (rounds, time) =
        place.effort.pick((3, Duration::from_millis(700)), (7, Duration::from_millis(1_200)));
    let mut rows = Vec::new();
    for connections in [1, 16, 64] {
        let run = async |target| {
            let ask = ask.clone();
            closed_loop(target, connections, time, "", move |_, _| ask.clone()).await
        };
        let pairs = alternate(rounds, async || run(ours).await, async || run(bare.http).await).await?;
        let ratio = pairs.ratio(|run| run.rate, |run| run.rate);
        let row = Row::new(
            format!("GET /engines, {ENGINES} engines, {connections} connections"),
            format!("{:.0}/s, p99 {:.2} ms", pairs.ours(|r| r.rate), pairs.ours(|r| r.quantile(0.99))),
        )
        .beside(format!(
            "bare hyper {:.0}/s, p99 {:.2} ms",
            pairs.theirs(|r| r.rate),
            pairs.theirs(|r| r.quantile(0.99))
        ))
        .ratio(ratio);
        rows.push(row.goal(format!("≥ {SHARE}"), ratio >= SHARE));
    }
    let time = place.effort.pick(Duration::from_secs(2), Duration::from_secs(4));
    let run = async |target| open_loop(target, CONNECTIONS, RATE, time, ask.clone()).await;
    let pairs = alternate(rounds.min(5), async || run(ours).await, async || run(bare.http).await).await?;
    let p99 = pairs.ours(|run| run.quantile(0.99));
    let row = Row::new(
        format!("GET /engines at {RATE}/s, open loop"),
        format!("p50 {:.2} ms, p99 {p99:.2} ms", pairs.ours(|run| run.quantile(0.5))),
    )
    .beside(format!(
        "bare hyper p50 {:.2} ms, p99 {:.2} ms",
        pairs.theirs(|run| run.quantile(0.5)),
        pairs.theirs(|run| run.quantile(0.99))
    ))
    .ratio(pairs.ratio(|run| run.quantile(0.99), |run| run.quantile(0.99)));
    rows.push(row.goal(format!("p99 ≤ {P99_MS:.0} ms"), p99 <= P99_MS));
    Ok(rows)
}
