//! Throughput of the relay beside a direct connection and HAProxy in TCP mode, on the loopback.
//! Prints medians and asserts nothing. Each proxy is a process of its own.
//!
//! `cargo run --release --example relay_throughput -- [SECONDS_PER_RUN] [ROUNDS]`

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use acefleet::relay::{Plan, Relay, Settings, Stats, Target};
use acefleet_registry::EngineId;
use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The engine is here; the proxies offer its port on the usual loopback address.
const ENGINE: &str = "127.0.0.2";
const CHUNK: usize = 256 * 1024;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, port] = args.as_slice()
        && word == "relay"
    {
        return relay(port.parse()?);
    }
    let number = |at: usize, default: f64| args.get(at).map_or(Ok(default), |text| text.parse());
    compare(Duration::from_secs_f64(number(0, 2.0)?), number(1, 5.0)? as usize)
}

/// The relay alone, as the node has it, until standard input ends.
#[tokio::main]
async fn relay(port: u16) -> Result<()> {
    let settings = Settings { bind: vec!["127.0.0.1".parse()?], max_connections: 10_000 };
    let mut relay = Relay::new(settings, Arc::new(Stats::default()));
    let target = Target { engine: EngineId(1), host: ENGINE.to_owned() };
    relay.apply(Plan { open: vec![(port, target)], ..Plan::default() }).await;
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    relay.close().await;
    Ok(())
}

#[tokio::main]
async fn compare(time: Duration, rounds: usize) -> Result<()> {
    let engine = TcpListener::bind((ENGINE, 0)).await?;
    let port = engine.local_addr()?.port();
    tokio::spawn(source(engine));
    let _relay = start_relay(port)?;
    let dir = tempfile::tempdir()?;
    let plain = start_haproxy(dir.path(), port, false).await;
    let spliced = start_haproxy(dir.path(), port, true).await;
    let mut paths = vec![("direct", ENGINE.to_owned(), port), ("relay", "127.0.0.1".to_owned(), port)];
    for (name, proxy) in [("HAProxy", &plain), ("HAProxy, splice-auto", &spliced)] {
        match proxy {
            Ok((_, at)) => paths.push((name, "127.0.0.1".to_owned(), *at)),
            Err(error) => println!("{name}: not measured: {error:#}"),
        }
    }
    println!("median of {rounds} runs of {time:?} each, alternating; MB/s, share of direct");
    for connections in [1, 100] {
        let mut found = vec![Vec::new(); paths.len()];
        for _ in 0..rounds {
            for (at, (name, host, port)) in paths.iter().enumerate() {
                found[at]
                    .push(run(host, *port, connections, time).await.with_context(|| (*name).to_owned())?);
            }
        }
        let medians: Vec<f64> = found.into_iter().map(median).collect();
        for ((name, ..), rate) in paths.iter().zip(&medians) {
            let share = 100.0 * rate / medians[0];
            println!("{connections:>4} connections  {name:<22} {:>9.0} {share:>5.0} %", rate / 1e6);
        }
    }
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Sends without end to everybody.
async fn source(listener: TcpListener) {
    let bytes: &'static [u8] = vec![0x47; CHUNK].leak();
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move { while stream.write_all(bytes).await.is_ok() {} });
    }
}

/// Bytes a second that arrive over so many connections.
async fn run(host: &str, port: u16, connections: usize, time: Duration) -> Result<f64> {
    let received = Arc::new(AtomicU64::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect((host, port)).await?;
        let received = Arc::clone(&received);
        readers.spawn(async move {
            let mut buffer = vec![0; CHUNK];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                received.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(time / 5).await;
    let (before, began) = (received.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    let rate = (received.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    if readers.try_join_next().is_some() {
        bail!("a connection ended by itself");
    }
    readers.shutdown().await;
    Ok(rate)
}

/// Ends a process with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_relay(port: u16) -> Result<Process> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["relay", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().context("no standard output")?;
    let child = Process(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    if line.trim() != "ready" {
        bail!("the relay did not start");
    }
    Ok(child)
}

async fn start_haproxy(dir: &std::path::Path, engine: u16, splice: bool) -> Result<(Process, u16)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let path = dir.join(format!("haproxy-{splice}.cfg"));
    let option = if splice { "option splice-auto" } else { "" };
    write!(
        std::fs::File::create(&path)?,
        "global\n maxconn 1000\ndefaults\n mode tcp\n timeout connect 3s\n timeout client 1m\n timeout server 1m\n {option}\n\
         frontend f\n bind 127.0.0.1:{port}\n default_backend b\nbackend b\n server e {ENGINE}:{engine}\n"
    )?;
    let child = Command::new("haproxy").arg("-f").arg(&path).stderr(Stdio::null()).spawn();
    let child = Process(child.context("haproxy (Debian: apt install haproxy)")?);
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if Instant::now() > deadline {
            bail!("HAProxy does not listen");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((child, port))
}
