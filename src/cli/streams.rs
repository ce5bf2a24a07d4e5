//! `acefleet stream …` and `acefleet vpn`: streams and VPN containers on all hosts, by calls to a node.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::answer::show;
use super::ask::{Call, ask};
use super::engines::{Health, objects};
use super::failed::{Named, name};
use super::table::{Cell, Tint, columns};
use super::target::Target;
use super::words::{Word, Words, or_dash};

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
        return show(ask(file, target, &Call::get(&["streams"]).with("status", "ended")), target, ended);
    }
    let streams = objects(file, target, "stream")
        .and_then(|snapshot| snapshot.part("streams")?.with("status", "started"));
    show(streams, target, running)
}

/// A stream that plays.
#[derive(Deserialize)]
struct Running {
    id: Words,
    container_id: Words,
    started_at: Words,
    speed_down: Option<i64>,
    speed_up: Option<i64>,
    peers: Option<i64>,
}

/// A stream that has ended.
#[derive(Deserialize)]
struct Ended {
    id: Words,
    started_at: Words,
    ended_at: Option<Words>,
    end_reason: Option<Words>,
}

fn running(streams: Vec<Running>) -> String {
    let titles = ["ID", "ENGINE", "SINCE", "DOWN KB/S", "UP KB/S", "PEERS"];
    let row = |stream: Running| {
        [
            stream.id.to_string(),
            stream.container_id.to_string().chars().take(12).collect(),
            stream.started_at.to_string(),
            or_dash(stream.speed_down),
            or_dash(stream.speed_up),
            or_dash(stream.peers),
        ]
    };
    columns(titles, streams.into_iter().map(row))
}

fn ended(streams: Vec<Ended>) -> String {
    let row = |Ended { id, started_at, ended_at, end_reason }| {
        [id.to_string(), started_at.to_string(), or_dash(ended_at), or_dash(end_reason)]
    };
    columns(["ID", "SINCE", "UNTIL", "REASON"], streams.into_iter().map(row))
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
