//! `acefleet stream …` and `acefleet vpn`: streams and VPN containers on all hosts, by calls to a node.

use std::path::Path;

use acefleet_registry::container_id::stands_for;
use clap::{Args, Subcommand};
use serde::Deserialize;

use super::answer::{show, show_part};
use super::ask::{Call, ask};
use super::engines::{Health, objects};
use super::failed::{Named, name};
use super::table::{Cell, Tint, columns};
use super::target::Target;
use super::words::{Word, Words, or_dash, shown};

#[derive(Subcommand)]
pub enum Streams {
    /// List the streams that play.
    Ls(Ls),
    /// Stop a stream.
    Stop(Stop),
}

#[derive(Args)]
pub struct Ls {
    /// Those that have ended, with the reason.
    #[arg(long)]
    ended: bool,
    /// Only those on this engine, which may be gone: name, id, or the first 12 characters of the id of its container.
    #[arg(long, value_parser = name)]
    engine: Option<String>,
    /// Only those on this node.
    #[arg(long, value_parser = name)]
    node: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Stop {
    /// Its id.
    #[arg(value_parser = name)]
    stream: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Vpns {
    #[command(flatten)]
    target: Target,
}

/// Runs one of the commands.
pub fn run(file: Option<&Path>, command: &Streams) -> u8 {
    match command {
        Streams::Ls(args) => ls(file, args),
        Streams::Stop(Stop { stream, target }) => {
            let answer = ask(file, target, &Call::delete(&["streams", stream]))
                .map_err(|failed| failed.about(Named::Stream, stream));
            show(answer, target, |Stopped { stream_id }| format!("{stream_id} is stopped."))
        }
    }
}

/// A stopped stream.
#[derive(Deserialize)]
struct Stopped {
    stream_id: Words,
}

fn ls(file: Option<&Path>, args: &Ls) -> u8 {
    let target = &args.target;
    if args.ended {
        // All of them: the feed begins with the newest alone.
        let call = Call::get(&["streams"]).with("status", "ended");
        let answer = ask(file, target, &call).and_then(|mut answer| {
            let all: Vec<Ended> = answer.read()?;
            answer.keep(all.iter().map(|stream| stream.is_wanted(args)));
            Ok(answer)
        });
        return show(answer, target, ended);
    }
    let answer = objects(file, target, "engine,stream").and_then(|mut snapshot| {
        let Fleet { engines, .. } = snapshot.read()?;
        let is_wanted = |id: &str| {
            let engine = engines.iter().find(|engine| engine.container_id == id);
            args.engine.as_ref().is_none_or(|wanted| match engine {
                Some(engine) => engine.is(wanted),
                None => stands_for(wanted, id),
            }) && args.node.as_ref().is_none_or(|wanted| {
                engine.and_then(|engine| engine.node.as_ref()).is_some_and(|node| node.is(wanted))
            })
        };
        snapshot.retain("streams", |stream| {
            stream["status"] == "started" && is_wanted(stream["container_id"].as_str().unwrap_or_default())
        });
        Ok(snapshot)
    });
    show_part(answer, "streams", target, running)
}

/// Streams, and the engines on which they play.
#[derive(Deserialize)]
struct Fleet {
    engines: Vec<Engine>,
    streams: Vec<Running>,
}

#[derive(Deserialize)]
struct Engine {
    container_id: String,
    container_name: Option<Words>,
    node: Option<Words>,
}

impl Engine {
    fn is(&self, wanted: &str) -> bool {
        self.container_name.as_ref().is_some_and(|name| name.is(wanted))
            || stands_for(wanted, &self.container_id)
    }
}

/// A stream that plays.
#[derive(Deserialize)]
struct Running {
    id: Words,
    container_id: String,
    started_at: Words,
    speed_down: Option<i64>,
    speed_up: Option<i64>,
    peers: Option<i64>,
}

/// A stream that has ended.
#[derive(Deserialize)]
struct Ended {
    id: Words,
    #[serde(default)]
    container_id: String,
    /// Name of its engine, as long as it is known.
    engine: Option<Words>,
    node: Option<Words>,
    started_at: Words,
    ended_at: Option<Words>,
    end_reason: Option<Words>,
}

impl Ended {
    fn is_wanted(&self, args: &Ls) -> bool {
        let is = |name: Option<&Words>, wanted: &str| name.is_some_and(|name| name.is(wanted));
        args.engine
            .as_ref()
            .is_none_or(|wanted| is(self.engine.as_ref(), wanted) || stands_for(wanted, &self.container_id))
            && args.node.as_ref().is_none_or(|wanted| is(self.node.as_ref(), wanted))
    }
}

/// The name of an engine; else what is known of it: the beginning of the id of its container, or the address of one outside the cluster.
fn engine_name(name: Option<&Words>, container: &str) -> String {
    match name {
        Some(name) => name.to_string(),
        None if container.is_empty() => "-".to_owned(),
        None if container.contains(':') => shown(container),
        None => shown(&container.chars().take(12).collect::<String>()),
    }
}

fn running(Fleet { engines, streams }: Fleet) -> String {
    let titles = ["ID", "ENGINE", "NODE", "SINCE", "DOWN KB/S", "UP KB/S", "PEERS"];
    let row = |stream: Running| {
        let engine = engines.iter().find(|engine| engine.container_id == stream.container_id);
        let name = engine.and_then(|engine| engine.container_name.as_ref());
        [
            stream.id.to_string(),
            engine_name(name, &stream.container_id),
            or_dash(engine.and_then(|engine| engine.node.as_ref())),
            stream.started_at.to_string(),
            or_dash(stream.speed_down),
            or_dash(stream.speed_up),
            or_dash(stream.peers),
        ]
    };
    columns(titles, streams.into_iter().map(row))
}

fn ended(streams: Vec<Ended>) -> String {
    let row = |stream: Ended| {
        [
            stream.id.to_string(),
            engine_name(stream.engine.as_ref(), &stream.container_id),
            or_dash(stream.node),
            stream.started_at.to_string(),
            or_dash(stream.ended_at),
            or_dash(stream.end_reason),
        ]
    };
    columns(["ID", "ENGINE", "NODE", "SINCE", "UNTIL", "REASON"], streams.into_iter().map(row))
}

/// A VPN container.
#[derive(Deserialize)]
struct Vpn {
    container: Option<Words>,
    node: Words,
    health: Word<Health>,
    engines: u64,
    forwarded_port: Option<u16>,
    public_ip: Option<Words>,
    provider: Option<Words>,
    error: Option<Words>,
}

/// Prints the VPN containers.
pub fn vpns(file: Option<&Path>, args: &Vpns) -> u8 {
    let answer = ask(file, &args.target, &Call::get(&["vpn", "status"]));
    show(answer.and_then(|answer| answer.part("vpns")), &args.target, |vpns: Vec<Vpn>| {
        let titles = ["VPN", "NODE", "HEALTH", "ENGINES", "PORT", "ADDRESS", "PROVIDER", "WHAT IS WRONG"];
        let row = |vpn: Vpn| -> [Cell; 8] {
            [
                or_dash(vpn.container).into(),
                vpn.node.to_string().into(),
                vpn.health.cell(Tint::Odd),
                vpn.engines.to_string().into(),
                or_dash(vpn.forwarded_port).into(),
                or_dash(vpn.public_ip).into(),
                or_dash(vpn.provider).into(),
                or_dash(vpn.error).into(),
            ]
        };
        columns(titles, vpns.into_iter().map(row))
    })
}
