//! `acefleet engine …`: engines on all hosts, by calls to a node.

use std::path::Path;

use acefleet::peers::log::without_colours;
use clap::{Args, Subcommand};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::ask::{Target, address, ask, below, get, show, wait};
use super::exit_code::CONFIGURATION;
use super::failed::{Failed, Named, finish, name};
use super::feed;
use super::output::{self, Printed};
use super::table::{Cell, Tint, columns, text};

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
    engine: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    one: One,
    /// Go on with what it writes from now on.
    #[arg(short, long)]
    follow: bool,
    /// So many of the last lines.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    tail: u32,
    /// Nothing before this time: 2026-03-02T20:15:09Z, or seconds since 1970.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// Runs one of the commands.
pub fn run(file: Option<&Path>, command: &Engines) -> u8 {
    match command {
        Engines::Ls(args) => ls(file, args),
        Engines::Start(args) => start(file, args),
        Engines::Stop(One { engine, target }) => {
            let answer = ask(file, target, Method::DELETE, &["containers", engine], None, false)
                .map_err(|failed| failed.about(Named::Engine, engine));
            show(answer, target, |answer| {
                format!("{engine} is stopped; {} ended with it.", streams(&answer["streams"]))
            })
        }
        Engines::Replace(One { engine, target }) => {
            let answer = ask(file, target, Method::POST, &["engines", engine, "replace"], None, false)
                .map_err(|failed| failed.about(Named::Engine, engine));
            show(answer, target, |answer| {
                let name = text(&answer["replacing"]);
                format!("{name} is off the list, and another starts; {} on it.", run_on(&answer["streams"]))
            })
        }
        Engines::Logs(args) => {
            finish(logs(file, args).map_err(|failed| failed.about(Named::Container, &args.one.engine)))
        }
    }
}

fn streams(count: &Value) -> String {
    match count.as_u64() {
        Some(1) => "1 stream".to_owned(),
        Some(count) => format!("{count} streams"),
        None => "its streams".to_owned(),
    }
}

fn run_on(count: &Value) -> String {
    match count.as_u64() {
        Some(0) => "no stream runs".to_owned(),
        Some(1) => "1 stream runs".to_owned(),
        _ => format!("{} run", streams(count)),
    }
}

fn ls(file: Option<&Path>, args: &Ls) -> u8 {
    let answer = match &args.node {
        None => objects(file, &args.target, "engine", "engines"),
        Some(node) => of_node(file, &args.target, node),
    };
    show(answer.map(Value::Array), &args.target, |engines| {
        let engines = engines.as_array().map(Vec::as_slice).unwrap_or_default();
        table(engines)
    })
}

/// The engines of one member.
fn of_node(file: Option<&Path>, target: &Target, node: &str) -> Result<Vec<Value>, Failed> {
    let mut snapshot = snapshot(file, target, "engine,node")?;
    if !list(&mut snapshot, "nodes").iter().any(|member| member["name"] == node) {
        let why = format!("{node}: no member is named so; `acefleet members` lists them");
        return Err(Failed::new(CONFIGURATION, why));
    }
    let mut engines = list(&mut snapshot, "engines");
    engines.retain(|engine| engine["node"] == node);
    Ok(engines)
}

/// The objects of one type, by the feed.
pub(super) fn objects(
    file: Option<&Path>,
    target: &Target,
    of: &str,
    field: &str,
) -> Result<Vec<Value>, Failed> {
    Ok(list(&mut snapshot(file, target, of)?, field))
}

fn snapshot(file: Option<&Path>, target: &Target, types: &str) -> Result<Value, Failed> {
    let (base, _key) = address(file, target)?;
    wait(feed::snapshot(below(&base, &["events", "stream"]), types))
}

fn list(snapshot: &mut Value, field: &str) -> Vec<Value> {
    snapshot[field].take().as_array_mut().map(std::mem::take).unwrap_or_default()
}

fn table(engines: &[Value]) -> String {
    let titles =
        ["NAME", "NODE", "STATE", "HEALTH", "STREAMS", "PORT", "VPN", "CPU", "MEMORY", "NOT LISTED BECAUSE"];
    let row = |engine: &Value| {
        let state = match (engine["listed"].as_bool(), engine["phase"].as_str()) {
            (Some(true), _) => Cell::of("listed", Tint::Good),
            (_, Some("running")) => Cell::of("unlisted", Tint::Odd),
            (_, phase) => Cell::of(phase.unwrap_or("-"), Tint::Odd),
        };
        let health = match engine["health_status"].as_str() {
            Some("healthy") => Cell::of("healthy", Tint::Good),
            Some("unhealthy") => Cell::of("unhealthy", Tint::Bad),
            other => Cell::of(other.unwrap_or("-"), Tint::Plain),
        };
        let count = engine["streams"].as_array().map_or(0, Vec::len);
        let used = engine["memory_bytes"].as_u64().map_or_else(|| "-".to_owned(), memory);
        let cpu = engine["cpu_percent"].as_f64().map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1} %"));
        [
            text(&engine["container_name"]).into(),
            text(&engine["node"]).into(),
            state,
            health,
            count.to_string().into(),
            text(&engine["port"]).into(),
            text(&engine["vpn_container"]).into(),
            cpu.into(),
            used.into(),
            text(&engine["unlisted"]).into(),
        ]
    };
    columns(titles, engines.iter().map(row))
}

fn memory(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

fn start(file: Option<&Path>, args: &Start) -> u8 {
    let mut body = json!({});
    for (field, value) in [("node", &args.node), ("image", &args.image)] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    let answer = ask(file, &args.target, Method::POST, &["provision", "acestream"], Some(body), false);
    show(answer, &args.target, |answer| {
        let [name, port] = ["container_name", "host_http_port"].map(|field| text(&answer[field]));
        format!("{name} runs, at port {port}.")
    })
}

/// Prints the lines that there are, and with `--follow` those that come.
fn logs(file: Option<&Path>, args: &Logs) -> Result<u8, Failed> {
    let One { engine, target } = &args.one;
    let tail = args.tail.to_string();
    let mut query = vec![("tail", tail.as_str())];
    query.extend(args.since.as_deref().map(|since| ("since", since)));
    let path = ["containers", engine, "logs"];
    if args.follow {
        query.push(("follow", "true"));
        return follow(file, target, &path, &query);
    }
    let answer = get(file, target, &path, &query)?;
    let mut lines = answer["entries"].as_array().into_iter().flatten().map(|entry| line(target, entry));
    Ok(lines.find(|printed| *printed != Printed::Written).map_or(0, Printed::code))
}

fn follow(file: Option<&Path>, target: &Target, path: &[&str], query: &[(&str, &str)]) -> Result<u8, Failed> {
    let (base, key) = address(file, target)?;
    let mut url = below(&base, path);
    url.query_pairs_mut().extend_pairs(query);
    wait(async {
        let mut last = None;
        loop {
            let mut frames = Box::pin(feed::open(&url, key.as_deref(), last.as_deref()).await?);
            while let Some(frame) = frames.next().await {
                match frame.event.as_str() {
                    "line" => match line(target, &frame.data) {
                        Printed::Written => last = Some(frame.id),
                        printed => return Ok(printed.code()),
                    },
                    "end" => return Ok(0),
                    _ => {}
                }
            }
            tokio::time::sleep(feed::PAUSE).await;
        }
    })
}

fn line(target: &Target, entry: &Value) -> Printed {
    if target.wants_json() {
        return output::write(&entry.to_string());
    }
    let written = without_colours(entry["text"].as_str().unwrap_or_default());
    output::write(&format!("{}  {}", text(&entry["at"]), text(&Value::String(written))))
}
