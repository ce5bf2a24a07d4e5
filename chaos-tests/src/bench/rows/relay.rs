//! Bytes a second from an engine on another host: directly, through a node's relay, and through HAProxy in TCP mode.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::bench::engine::FLOOD;
use crate::bench::figures::{Pairs, alternate, median};
use crate::bench::fleet::Fleet;
use crate::bench::place::Place;
use crate::bench::table::Row;
use crate::hosts::process::{Process, Recipe};
use crate::hosts::tools;
use crate::wait::wait_for;

const SHARE: f64 = 0.7;
const PORT: u16 = 17830;
const CHUNK: usize = 256 * 1024;
const START: Duration = Duration::from_secs(30);

/// HAProxy, ended when it is dropped.
struct Haproxy(Process);

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.0.discard();
    }
}

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let fleet = Fleet::start(place, 1, &[]).await?;
    let engine = fleet.engines.first().context("no engine")?;
    let direct: SocketAddr = format!("{}:{}", engine.host, engine.port).parse()?;
    let beside = fleet.nodes().iter().find(|node| node.http.ip() != direct.ip()).context("no other host")?;
    let relayed = SocketAddr::from((beside.relay, direct.port()));
    wait_for("the relay to offer the engine's port", START, || async {
        let name = beside.client.name();
        let opened = TcpStream::connect(relayed).await;
        opened.map(drop).with_context(|| format!("{name} does not listen on {relayed}"))
    })
    .await?;
    let net = place.net()?;
    let proxied = SocketAddr::from((net.address(1), PORT));
    let _haproxy = haproxy(&net.dir, proxied, direct).await?;
    let (rounds, time) =
        place.effort.pick((3, Duration::from_millis(800)), (7, Duration::from_millis(1_500)));
    let mut rows = Vec::new();
    for connections in [1, 100] {
        let pairs = alternate(
            rounds,
            async || flow(relayed, connections, time).await,
            async || Ok((flow(direct, connections, time).await?, flow(proxied, connections, time).await?)),
        )
        .await?;
        rows.extend(judge(&pairs, connections));
    }
    Ok(rows)
}

fn judge(pairs: &Pairs<f64, (f64, f64)>, connections: usize) -> [Row; 2] {
    let relay = median(&pairs.runs.iter().map(|(relay, _)| *relay).collect::<Vec<_>>());
    let work = format!("relay, {connections} connection{}", if connections == 1 { "" } else { "s" });
    let row = |beside: &str, rate: f64, ratio: f64, least: f64| {
        Row::new(format!("{work}, beside {beside}"), speed(relay))
            .beside(format!("{beside} {}", speed(rate)))
            .ratio(ratio)
            .goal(format!("≥ {least}"), ratio >= least)
    };
    [
        row(
            "direct",
            pairs.theirs(|(direct, _)| *direct),
            pairs.ratio(|it| *it, |(direct, _)| *direct),
            SHARE,
        ),
        row("HAProxy", pairs.theirs(|(_, proxy)| *proxy), pairs.ratio(|it| *it, |(_, proxy)| *proxy), 1.0),
    ]
}

fn speed(bytes: f64) -> String {
    format!("{:.0} MB/s", bytes / 1e6)
}

/// Bytes a second that arrive over so many connections.
async fn flow(target: SocketAddr, connections: usize, time: Duration) -> Result<f64> {
    let received = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(target).await?;
        stream.write_all(format!("GET {FLOOD} HTTP/1.1\r\nhost: engine\r\n\r\n").as_bytes()).await?;
        let received = Arc::clone(&received);
        readers.spawn(async move {
            let mut buffer = vec![0; CHUNK];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                received.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(time / 5).await;
    let (before, begun) = (received.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    let rate = (received.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    ensure!(readers.try_join_next().is_none(), "a connection to {target} ended by itself");
    readers.shutdown().await;
    Ok(rate)
}

async fn haproxy(dir: &Path, listen: SocketAddr, engine: SocketAddr) -> Result<Haproxy> {
    let program = tools::find("haproxy").context("haproxy is not installed (Debian package haproxy)")?;
    let file = dir.join("haproxy.cfg");
    let text = format!(
        "global\n  maxconn 1000\ndefaults\n  mode tcp\n  option splice-auto\n  timeout connect 3s\n  timeout client 1m\n  \
         timeout server 1m\nlisten engine\n  bind {listen}\n  server engine {engine}\n"
    );
    std::fs::write(&file, text)?;
    let process = Process::new(Recipe {
        name: "haproxy".to_owned(),
        namespace: None,
        command: vec![program.into(), "-db".into(), "-f".into(), file.into()],
        env: Default::default(),
        dir: dir.to_path_buf(),
        log: dir.join("haproxy.log"),
    });
    process.start()?;
    let haproxy = Haproxy(process);
    wait_for("HAProxy", START, || async {
        haproxy.0.expect_running()?;
        Ok(TcpStream::connect(listen).await.map(drop)?)
    })
    .await?;
    Ok(haproxy)
}
