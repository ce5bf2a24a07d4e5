//! `acefleet engine …`: engines on all hosts, by calls to a node.

use std::path::Path;

use acefleet::counted::counted;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::answer::{Answer, show};
use super::ask::{Call, ask, at_one_of, wait};
use super::engine_logs::{self, Logs};
use super::failed::{Failed, Named, name};
use super::feed;
use super::table::{Cell, Tint, columns};
use super::target::{Nodes, Target};
use super::words::{Word, Words, or_dash};

#[derive(Subcommand)]
pub enum Engines {
    /// List the engines, also those that clients do not get, and why not.
    Ls(Ls),
    /// Start an engine.
    Start(Start),
    /// Stop an engine at once, and end its streams.
    Stop(One),
    /// Start another engine in the place of one, which stops when its streams have ended.
    Replace(One),
    /// Show what an engine, or a VPN container, writes.
    Logs(Logs),
}

#[derive(Args)]
pub struct Ls {
    /// Only those on this node.
    #[arg(long, value_parser = name)]
    node: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Start {
    /// On the host of this node, instead of the least loaded one.
    #[arg(long, value_parser = name)]
    node: Option<String>,
    /// With this image, instead of the configured one.
    #[arg(long)]
    image: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct One {
    /// Name, id, or the first 12 characters of the id of its container.
    #[arg(value_parser = name)]
    pub(super) engine: String,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Runs one of the commands.
pub fn run(file: Option<&Path>, command: &Engines) -> u8 {
    match command {
        Engines::Ls(args) => ls(file, args),
        Engines::Start(args) => start(file, args),
        Engines::Stop(One { engine, target }) => {
            let answer = ask(file, target, &Call::delete(&["containers", engine]).long())
                .map_err(|failed| failed.about(Named::Engine, engine));
            show(answer, target, |Stopped { streams }| {
                format!("{engine} is stopped; {} ended with it.", counted(streams, "stream"))
            })
        }
        Engines::Replace(One { engine, target }) => {
            let answer = ask(file, target, &Call::post(&["engines", engine, "replace"]))
                .map_err(|failed| failed.about(Named::Engine, engine));
            show(answer, target, |Replacing { replacing, streams }| {
                format!("{replacing} is off the list, and another starts; {} on it.", run_on(streams))
            })
        }
        Engines::Logs(args) => engine_logs::logs(file, args),
    }
}

/// A stopped engine.
#[derive(Deserialize)]
struct Stopped {
    streams: u64,
}

/// An engine whose place another one takes.
#[derive(Deserialize)]
struct Replacing {
    replacing: Words,
    streams: u64,
}

fn run_on(streams: u64) -> String {
    match streams {
        0 => "no stream runs".to_owned(),
        1 => "1 stream runs".to_owned(),
        _ => format!("{streams} streams run"),
    }
}

fn ls(file: Option<&Path>, args: &Ls) -> u8 {
    let answer = match &args.node {
        None => objects(file, &args.target, "engine").and_then(|snapshot| snapshot.part("engines")),
        Some(node) => of_member(file, &args.target, node),
    };
    show(answer, &args.target, table)
}

/// The engines of one member.
fn of_member(file: Option<&Path>, target: &Target, node: &str) -> Result<Answer, Failed> {
    let snapshot = objects(file, target, "engine,node")?;
    let Seen { nodes } = snapshot.read()?;
    if !nodes.iter().any(|member| member.name == node) {
        return Err(Failed::no_member(node));
    }
    snapshot.part("engines")?.with("node", node)
}

/// Members in a snapshot.
#[derive(Deserialize)]
struct Seen {
    nodes: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    name: String,
}

/// The objects of these types, by the feed.
pub(super) fn objects(file: Option<&Path>, target: &Target, types: &str) -> Result<Answer, Failed> {
    // The feed needs no key.
    let Nodes { urls, .. } = target.nodes(file)?;
    wait(at_one_of(&urls, async |url| feed::snapshot(url, types).await))
}

/// An engine in the list.
#[derive(Deserialize)]
struct Engine {
    container_name: Option<Words>,
    node: Option<Words>,
    phase: Word<Phase>,
    listed: bool,
    /// Why clients do not get it.
    unlisted: Option<Words>,
    health_status: Word<Health>,
    streams: Vec<IgnoredAny>,
    port: u16,
    vpn_container: Option<Words>,
    cpu_percent: Option<f64>,
    memory_bytes: Option<u64>,
}

/// Phases that are shown in another word.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Running,
}

/// States of health that have a colour.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Health {
    Healthy,
    Unhealthy,
}

impl Word<Health> {
    /// The cell of a table.
    pub fn cell(self, other: Tint) -> Cell {
        match self {
            Self::Known(Health::Healthy) => Cell::of("healthy", Tint::Good),
            Self::Known(Health::Unhealthy) => Cell::of("unhealthy", Tint::Bad),
            Self::Other(word) => Cell::of(&word.to_string(), other),
        }
    }
}

fn table(engines: Vec<Engine>) -> String {
    let titles =
        ["NAME", "NODE", "STATE", "HEALTH", "STREAMS", "PORT", "VPN", "CPU", "MEMORY", "NOT LISTED BECAUSE"];
    let row = |engine: Engine| {
        let state = match (engine.listed, engine.phase) {
            (true, _) => Cell::of("listed", Tint::Good),
            (false, Word::Known(Phase::Running)) => Cell::of("unlisted", Tint::Odd),
            (false, Word::Other(phase)) => Cell::of(&phase.to_string(), Tint::Odd),
        };
        [
            or_dash(engine.container_name).into(),
            or_dash(engine.node).into(),
            state,
            engine.health_status.cell(Tint::Plain),
            engine.streams.len().to_string().into(),
            engine.port.to_string().into(),
            or_dash(engine.vpn_container).into(),
            or_dash(engine.cpu_percent.map(|cpu| format!("{cpu:.1} %"))).into(),
            or_dash(engine.memory_bytes.map(memory)).into(),
            or_dash(engine.unlisted).into(),
        ]
    };
    columns(titles, engines.into_iter().map(row))
}

fn memory(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

/// A started engine.
#[derive(Deserialize)]
struct Started {
    container_name: Words,
    host_http_port: u16,
}

fn start(file: Option<&Path>, args: &Start) -> u8 {
    let mut body = json!({});
    for (field, value) in [("node", &args.node), ("image", &args.image)] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    let answer = ask(file, &args.target, &Call::post(&["provision", "acestream"]).body(Some(body)));
    show(answer, &args.target, |Started { container_name, host_http_port }| {
        format!("{container_name} runs, at port {host_http_port}.")
    })
}
