//! `GET /streams?container_id=…` among 10,000 streams of 1,000 engines, beside a bare server that sends the same bytes.

use std::time::Duration;

use anyhow::Result;
use hyper::Uri;

use crate::bench::bare::Bare;
use crate::bench::client::{Ask, closed_loop};
use crate::bench::figures::alternate;
use crate::bench::fleet::Fleet;
use crate::bench::place::Place;
use crate::bench::table::Row;

/// Engines, and streams in all; one of each engine's streams runs.
pub(super) const ENGINES: u32 = 1_000;
pub(super) const STREAMS: usize = 10_000;
const CONNECTIONS: usize = 16;
const SHARE: f64 = 0.7;

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let fleet = Fleet::start(place, ENGINES, &[]).await?;
    fleet.play(0..STREAMS, ENGINES as usize).await?;
    let ours = fleet.follower().await?.http;
    let path = |query: &str| -> Result<Vec<Uri>> {
        let paths = fleet.engines.iter();
        paths
            .map(|engine| Ok(format!("/streams?container_id={}{query}", engine.container_id).parse()?))
            .collect()
    };
    let mut rows = Vec::new();
    for (what, query) in [("all of an engine", ""), ("started ones", "&status=started")] {
        let paths = path(query)?;
        let bare = Bare::copy(place, ours, &paths).await?;
        let (rounds, time) =
            place.effort.pick((3, Duration::from_millis(700)), (5, Duration::from_millis(1_500)));
        let run = async |target| {
            let asks: Vec<Ask> = paths.iter().cloned().map(Ask::Get).collect();
            // Each connection walks through all engines from a place of its own.
            let ask = move |client: usize, number: usize| asks[(client * 61 + number) % asks.len()].clone();
            closed_loop(target, CONNECTIONS, time, "", ask).await
        };
        let pairs = alternate(rounds, async || run(ours).await, async || run(bare.http).await).await?;
        let ratio = pairs.ratio(|run| run.rate, |run| run.rate);
        let row = Row::new(
            format!("GET /streams?container_id=…, {STREAMS} streams, {what}"),
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
    Ok(rows)
}
