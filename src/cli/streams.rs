//! `acefleet stream …` and `acefleet vpn`: streams and VPN containers on all hosts, by calls to a node.

use std::path::Path;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::ask::{Target, ask, get, show};
use super::engines::objects;
use super::failed::{Named, name};
use super::table::{Cell, Tint, columns, text};

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
            let answer = ask(file, target, Method::DELETE, &["streams", stream], None, false)
                .map_err(|failed| failed.about(Named::Stream, stream));
            show(answer, target, |answer| format!("{} is stopped.", text(&answer["stream_id"])))
        }
    }
}

fn ls(file: Option<&Path>, args: &Ls) -> u8 {
    let target = &args.target;
    if args.ended {
        // All of them: the feed begins with the newest alone.
        let answer = get(file, target, &["streams"], &[("status", "ended")]);
        return show(answer, target, |streams| ended(list(streams)));
    }
    let started = |stream: &Value| stream["status"] == "started";
    let streams = objects(file, target, "stream", "streams")
        .map(|streams| Value::Array(streams.into_iter().filter(started).collect()));
    show(streams, target, |streams| running(list(streams)))
}

fn list(streams: &Value) -> &[Value] {
    streams.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn running(streams: &[Value]) -> String {
    let titles = ["ID", "ENGINE", "SINCE", "DOWN KB/S", "UP KB/S", "PEERS"];
    let row = |stream: &Value| {
        let fields = ["id", "container_id", "started_at", "speed_down", "speed_up", "peers"];
        fields.map(|field| match field {
            "container_id" => Cell::from(text(&stream[field]).chars().take(12).collect::<String>()),
            _ => Cell::from(text(&stream[field])),
        })
    };
    columns(titles, streams.iter().map(row))
}

fn ended(streams: &[Value]) -> String {
    let row = |stream: &Value| {
        ["id", "started_at", "ended_at", "end_reason"].map(|field| Cell::from(text(&stream[field])))
    };
    columns(["ID", "SINCE", "UNTIL", "REASON"], streams.iter().map(row))
}

/// Prints the VPN containers.
pub fn vpns(file: Option<&Path>, args: &Vpns) -> u8 {
    let answer = ask(file, &args.target, Method::GET, &["vpn", "status"], None, false);
    show(answer.map(|mut answer| answer["vpns"].take()), &args.target, |vpns| {
        let titles = ["VPN", "NODE", "HEALTH", "ENGINES", "PORT", "ADDRESS", "PROVIDER", "WHAT IS WRONG"];
        let row = |vpn: &Value| {
            let health = match vpn["health"].as_str() {
                Some("healthy") => Cell::of("healthy", Tint::Good),
                Some("unhealthy") => Cell::of("unhealthy", Tint::Bad),
                other => Cell::of(other.unwrap_or("-"), Tint::Odd),
            };
            let cell = |field: &str| Cell::from(text(&vpn[field]));
            [
                cell("container"),
                cell("node"),
                health,
                cell("engines"),
                cell("forwarded_port"),
                cell("public_ip"),
                cell("provider"),
                cell("error"),
            ]
        };
        columns(titles, vpns.as_array().into_iter().flatten().map(row))
    })
}
