//! `GET /engines` of a node that 100 panels read at the same time, beside the same node without any.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use hyper::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::bench::client::Ask;
use crate::bench::figures::alternate;
use crate::bench::fleet::Fleet;
use crate::bench::open_loop::open_loop;
use crate::bench::place::Place;
use crate::bench::table::Row;

const ENGINES: u32 = 50;
const STREAMS: usize = 100;
const PANELS: usize = 100;
/// Streams that end and begin each second while it is measured, in the same number.
const CHANGES: u64 = 10;
/// Questions a second, over so many connections.
const RATE: u32 = 500;
const CONNECTIONS: usize = 16;
const RATIO: f64 = 1.2;

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let fleet = Fleet::start(place, ENGINES, &[]).await?;
    fleet.play(0..STREAMS, STREAMS).await?;
    let target = fleet.follower().await?.http;
    let ask = Ask::Get(Uri::from_static("/engines"));
    let (rounds, time) = place.effort.pick((3, Duration::from_secs(2)), (7, Duration::from_secs(4)));
    let run = async || open_loop(target, CONNECTIONS, RATE, time, ask.clone()).await;
    let with_panels = async || {
        let panels = Panels::open(target).await?;
        let tally = run().await?;
        panels.close().await?;
        Ok(tally)
    };
    let measured = alternate(rounds, with_panels, run);
    let pairs = tokio::select! {
        pairs = measured => pairs?,
        failed = change(&fleet) => return failed,
    };
    let ratio = pairs.ratio(|run| run.quantile(0.99), |run| run.quantile(0.99));
    let row = Row::new(
        format!("GET /engines at {RATE}/s, {PANELS} panels open"),
        format!(
            "p50 {:.2} ms, p99 {:.2} ms",
            pairs.ours(|run| run.quantile(0.5)),
            pairs.ours(|run| run.quantile(0.99))
        ),
    )
    .beside(format!(
        "without p50 {:.2} ms, p99 {:.2} ms",
        pairs.theirs(|run| run.quantile(0.5)),
        pairs.theirs(|run| run.quantile(0.99))
    ))
    .ratio(ratio);
    Ok(vec![row.goal(format!("≤ {RATIO}"), ratio <= RATIO)])
}

/// Lets streams end and begin for as long as it is polled.
async fn change(fleet: &Fleet) -> Result<Vec<Row>> {
    let mut beat = interval(Duration::from_millis(1_000 / CHANGES));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in STREAMS.. {
        beat.tick().await;
        // It begins, and ends with the same call.
        fleet.play(number..number + 1, 0).await?;
    }
    unreachable!("numbers do not end")
}

/// Readers of the feed, as many as there are panels.
struct Panels(JoinSet<Result<u64>>);

impl Panels {
    /// Opens all and waits until each has begun to read.
    async fn open(target: SocketAddr) -> Result<Self> {
        let mut readers = JoinSet::new();
        for mut panel in try_join_all((0..PANELS).map(|_| begin(target))).await? {
            readers.spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                let mut bytes = 0;
                loop {
                    let read = panel.read(&mut buffer).await?;
                    ensure!(read > 0, "the feed ended after {bytes} bytes");
                    bytes += read as u64;
                }
            });
        }
        Ok(Self(readers))
    }

    /// Closes all; an error when one was ended by the node before.
    async fn close(mut self) -> Result<()> {
        match self.0.try_join_next() {
            Some(ended) => ended?.map(drop),
            None => Ok(()),
        }
    }
}

async fn begin(target: SocketAddr) -> Result<TcpStream> {
    let mut panel = TcpStream::connect(target).await?;
    let request = format!(
        "GET /events/stream?tail=300 HTTP/1.1\r\nHost: {target}\r\nAccept: text/event-stream\r\n\r\n"
    );
    panel.write_all(request.as_bytes()).await?;
    let mut head = vec![0; 4096];
    let read = panel.read(&mut head).await?;
    let head = String::from_utf8_lossy(head.get(..read).context("a short read")?).into_owned();
    ensure!(head.starts_with("HTTP/1.1 200"), "the feed is refused: {head}");
    Ok(panel)
}
