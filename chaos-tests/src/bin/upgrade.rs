//! Three nodes change their version one after the other, under load, and a table says whether anybody noticed (`make upgrade`).

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use acefleet_chaos::upgrade::nodes::{Nodes, Programs, Speech};
use acefleet_chaos::upgrade::{Run, table};
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Starts three nodes of the old version on the loopback and upgrades them one by one, goes back, and goes on, while others write
/// and read. Fails when any call to a node that lives failed, or something acknowledged is lost.
#[derive(Debug, Parser)]
struct Args {
    /// The program that is there before.
    #[arg(long, value_name = "FILE")]
    old: PathBuf,
    /// The program that takes its place.
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    /// How long the load goes on between two rounds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    hold: u64,
    /// The old version speaks without TLS between nodes.
    #[arg(long)]
    plain: bool,
    /// Where data and logs of the nodes go, and stay; default: a directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upgrade: {error:#}");
            ExitCode::from(70)
        }
    }
}

fn run(args: &Args) -> Result<()> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(upgrade(args))
}

async fn upgrade(args: &Args) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let programs = Programs { old: program(&args.old)?, new: program(&args.new)? };
    let temporary = tempfile::tempdir()?;
    let dir = match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            std::path::absolute(dir)?
        }
        None => temporary.path().to_owned(),
    };
    let speech = if args.plain { Speech::PlainBefore } else { Speech::Tls };
    let nodes = Nodes::prepare(&dir, programs, speech)?;
    let hold = Duration::from_secs(args.hold);
    // Dropping the future ends the nodes.
    let rows = tokio::select! {
        rows = async { Run::start(nodes, hold).await?.all_steps().await } => rows?,
        _ = interrupt.recv() => bail!("it was interrupted"),
        _ = terminate.recv() => bail!("it was told to stop"),
    };
    print!("{}", table::text(&rows));
    println!("nobody noticed");
    Ok(())
}

fn program(path: &PathBuf) -> Result<PathBuf> {
    let path = std::path::absolute(path)?;
    ensure!(path.is_file(), "there is no program {}", path.display());
    Ok(path)
}
