//! Several hosts on one machine, each with its own Docker and its own node, for trying things out (`make cluster`).

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use acefleet_chaos::hosts::state::BedNumber;
use acefleet_chaos::hosts::{BedOptions, TestHosts, bed, janitor};
use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;

/// How often the nodes are looked at.
const WATCH: Duration = Duration::from_secs(1);

/// Starts test hosts on this machine (network namespaces, one dockerd and one node each) and keeps them until Ctrl-C.
#[derive(Debug, Parser)]
struct Args {
    /// Number of hosts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    hosts: u8,
    /// Run this many nodes on one host with one Docker instead of one node per host.
    #[arg(long, value_name = "NODES", value_parser = clap::value_parser!(u8).range(1..=9))]
    shared_docker: Option<u8>,
    /// Hosts with Docker only, no node.
    #[arg(long, conflicts_with = "shared_docker")]
    docker_only: bool,
    /// Keep the nodes' data in this directory and use it again next time.
    #[arg(long, value_name = "DIR")]
    keep_data: Option<PathBuf>,
    /// The acefleet binary; default: NODE_BIN, else the one beside this program.
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// Tar of the engine image; default: TEST_ENGINE_SIM_TAR, else built by scripts/images.sh.
    #[arg(long, value_name = "FILE")]
    image_tar: Option<PathBuf>,
    /// API key of the nodes.
    #[arg(long, default_value = "acefleet-trial-key", env = "API_KEY")]
    api_key: String,
    /// A setting of all nodes, as in docs/CONFIG.md; may be given several times.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Remove what hosts left behind whose owner is gone, and start nothing.
    #[arg(long)]
    clean: bool,
    /// Leave the clearing away after a crash to the next start (for tests of exactly that).
    #[arg(long, hide = true)]
    no_reaper: bool,
    /// Wait for the end of standard input, then remove this bed if its owner is gone (started by every bed for itself).
    #[arg(long, value_name = "NUMBER", hide = true)]
    reap: Option<u8>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has to be NAME=VALUE, as MIN_REPLICAS=3".to_owned()),
    }
}

/// Prints a line; a reader that went away is no reason to take the hosts down.
macro_rules! say {
    ($($words:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster-up: {error:#}");
            ExitCode::from(70)
        }
    }
}

fn run(args: Args) -> Result<()> {
    if let Some(number) = args.reap {
        return janitor::reap(BedNumber(number));
    }
    if args.clean {
        let removed = bed::clean()?;
        say!("removed {} set(s) of test hosts whose owner was gone", removed.len());
        return Ok(());
    }
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(up(args))
}

async fn up(args: Args) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut options = match args.shared_docker {
        Some(nodes) => BedOptions::shared_docker(nodes),
        None if args.docker_only => BedOptions::docker_only(args.hosts),
        None => BedOptions::new(args.hosts),
    };
    options.keep_data = args.keep_data;
    options.bin = args.bin;
    options.image_tar = args.image_tar;
    options.api_key = args.api_key;
    options.reaper = !args.no_reaper;
    for (name, value) in &args.settings {
        options = options.env(name, value);
    }
    let key = options.api_key.clone();
    say!("starting hosts, Docker daemons and nodes …");
    // Dropping the future that starts the hosts removes what it has made so far.
    let hosts = tokio::select! {
        started = TestHosts::start(options) => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    print_urls(&hosts, &key);
    let mut watch = interval(WATCH);
    let mut down = vec![false; hosts.nodes().len()];
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = watch.tick() => report_ends(&hosts, &mut down),
        }
    }
    say!("\nstopping …");
    for node in hosts.nodes() {
        if node.process().pid().is_some()
            && let Err(error) = node.stop().await
        {
            eprintln!("{error:#}");
        }
    }
    hosts.finish().await?;
    say!("all hosts are removed");
    Ok(())
}

fn print_urls(hosts: &TestHosts, key: &str) {
    say!("\ntest hosts {}:", hosts.number().0);
    if hosts.nodes().is_empty() {
        for host in hosts.hosts() {
            say!("{}  {}   DOCKER_HOST={}", host.name(), host.address(), host.docker().url());
        }
    }
    for node in hosts.nodes() {
        let base = node.client().base();
        let host = hosts.host_of(node);
        say!("{}  panel {base}/panel/   docs {base}/docs   DOCKER_HOST={}", node.name(), host.docker().url());
        let process = node.process();
        let pid = process.pid().map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        say!("    process {pid}   namespace {}   log {}", host.namespace(), process.log_path().display());
    }
    if let Some(node) = hosts.nodes().first() {
        say!("\nAPI key: {key}");
        say!(
            "try:     curl -X POST -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{}}' {}/provision/acestream",
            node.client().base()
        );
        say!("on a host: nsenter --net=/run/netns/{} bash", hosts.host_of(node).namespace());
    }
    say!("Ctrl-C stops everything and removes it.");
}

fn report_ends(hosts: &TestHosts, down: &mut [bool]) {
    for (node, was_down) in hosts.nodes().iter().zip(down) {
        let is_down = node.process().pid().is_none();
        if is_down && !*was_down {
            eprintln!(
                "{} has ended ({:?}); end of its log:\n{}",
                node.name(),
                node.process().exit_status(),
                node.process().log_tail()
            );
        }
        *was_down = is_down;
    }
}
