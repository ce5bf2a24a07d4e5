//! `acefleet engine …`: engines on all hosts, by calls to a node.

mod list;

use std::path::Path;

use acefleet::counted::counted;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, show};
use super::ask::{Call, ask, at_one_of, wait};
use super::engine_logs::{self, Logs};
use super::failed::{Failed, Named, name};
use super::table::{Cell, Tint};
use super::target::Target;
use super::words::{Word, Words};
use super::{feed, output};
use list::Ls;

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
        Engines::Ls(args) => list::ls(file, args),
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

/// The objects of these types, by the feed.
pub(super) fn objects(file: Option<&Path>, target: &Target, types: &str) -> Result<Answer, Failed> {
    let nodes = target.nodes(file)?;
    wait(at_one_of(&nodes.urls, async |url| feed::snapshot(url, nodes.caller_for(url), types).await))
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
    pub fn cell(&self, other: Tint) -> Cell {
        match self {
            Self::Known(Health::Healthy) => Cell::of("healthy", Tint::Good),
            Self::Known(Health::Unhealthy) => Cell::of("unhealthy", Tint::Bad),
            Self::Other(word) => Cell::of(&word.to_string(), other),
        }
    }
}

/// A started engine.
#[derive(Deserialize)]
struct Started {
    container_id: String,
    container_name: Words,
    host_http_port: u16,
    container_http_port: u16,
    container_https_port: u16,
}

/// Where an engine is.
#[derive(Deserialize)]
struct Placement {
    node: Words,
}

fn start(file: Option<&Path>, args: &Start) -> u8 {
    let Start { node, image, target } = args;
    let mut body = json!({});
    for (field, value) in [("node", node), ("image", image)] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    let answer = ask(file, target, &Call::post(&["provision", "acestream"]).body(Some(body)));
    show(answer, target, |started| told(&started, || host_of(file, target, &started)))
}

/// The host of an engine, which the answer to its start does not name.
fn host_of(file: Option<&Path>, target: &Target, started: &Started) -> Result<Words, Failed> {
    let answer = ask(file, target, &Call::get(&["engines", &started.container_id, "placement"]))?;
    answer.read().map(|Placement { node }| node)
}

fn told(started: &Started, host: impl FnOnce() -> Result<Words, Failed>) -> String {
    let Started { container_name, host_http_port, container_http_port, container_https_port, .. } = started;
    let place = match host() {
        Ok(node) => format!(" on {node}"),
        Err(failed) => {
            output::complain(&format!("on which host it runs is not known: {failed}"));
            String::new()
        }
    };
    format!(
        "{container_name} runs{place}, at port {host_http_port}; in its container HTTP is at {container_http_port}, \
         HTTPS at {container_https_port}."
    )
}
