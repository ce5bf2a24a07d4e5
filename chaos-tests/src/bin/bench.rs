//! Measures release binaries and prints a table (`make bench`). Ends with 1 when something could not be measured; a missed goal
//! is a line in the table, not a failure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use acefleet_chaos::bench::place::{Effort, Place};
use acefleet_chaos::bench::rows::GROUPS;
use acefleet_chaos::bench::{bare, table, usage};
use acefleet_chaos::hosts::artifacts;
use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Benchmarks of acefleet beside bare hyper, etcd, Docker and HAProxy.
///
/// BENCH=quick takes a few minutes, BENCH=full watches the idle cluster for ten. BENCH_DIR names a directory on the
/// disk to use.
#[derive(Debug, Parser)]
struct Args {
    /// Groups of rows to measure; all without any.
    groups: Vec<String>,
    /// The acefleet binary; default: NODE_BIN, else the one beside this program.
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// Print the names of all groups.
    #[arg(long)]
    list: bool,
    /// Serve the answers in this file (started by the benchmarks themselves).
    #[arg(long, value_name = "FILE", hide = true, requires = "listen")]
    serve_pages: Option<PathBuf>,
    /// Where to serve them.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    listen: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(70)
        }
    }
}

fn run(args: Args) -> Result<bool> {
    if args.list {
        println!("{}", GROUPS.map(|(name, _)| name).join("\n"));
        return Ok(true);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    if let (Some(pages), Some(listen)) = (args.serve_pages, args.listen) {
        return runtime.block_on(bare::serve(&pages, listen)).map(|()| true);
    }
    if let Some(unknown) = args.groups.iter().find(|group| GROUPS.iter().all(|(name, _)| name != *group)) {
        bail!("no group {unknown}; there are {}", GROUPS.map(|(name, _)| name).join(", "));
    }
    let place = Place::new(artifacts::acefleet(args.bin.as_deref())?, Effort::from_env()?)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Dropping the measurement ends every process that it has started.
        tokio::select! {
            measured = measure(&place, &args.groups) => measured,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("told to stop"),
        }
    })
}

/// True when everything could be measured.
async fn measure(place: &Place, groups: &[String]) -> Result<bool> {
    println!("{}\n\n{}", usage::machine(place.dir())?, table::head());
    let begun = Instant::now();
    let mut troubles = Vec::new();
    let (mut met, mut missed) = (0, 0);
    for (name, measure) in GROUPS {
        if !groups.is_empty() && groups.iter().all(|group| group != name) {
            continue;
        }
        match measure(place).await {
            Ok(rows) => {
                for row in rows {
                    println!("{}", row.line());
                    met += usize::from(row.met == Some(true));
                    missed += usize::from(row.met == Some(false));
                }
            }
            Err(error) => {
                println!("{}", table::Row::new(name, "not measured").line());
                troubles.push(format!("{name}: {error:#}"));
            }
        }
    }
    println!("\n{met} goals met, {missed} missed, in {:.0} s", begun.elapsed().as_secs_f64());
    for trouble in &troubles {
        eprintln!("not measured: {trouble}");
    }
    Ok(troubles.is_empty())
}
