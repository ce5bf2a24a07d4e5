//! `acefleet engine ls`: all engines, by host.

use std::path::Path;

use clap::Args;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Health, objects};
use crate::cli::answer::{Answer, show_part};
use crate::cli::failed::{Failed, name};
use crate::cli::table::{Cell, Tint, columns};
use crate::cli::target::Target;
use crate::cli::words::{Word, Words, or_dash};

#[derive(Args)]
pub struct Ls {
    /// Only those on this node.
    #[arg(long, value_parser = name)]
    node: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Lists the engines.
pub(super) fn ls(file: Option<&Path>, args: &Ls) -> u8 {
    show_part(listed(file, args), "engines", &args.target, table)
}

/// The engines that are asked for, with the members.
fn listed(file: Option<&Path>, args: &Ls) -> Result<Answer, Failed> {
    let mut snapshot = objects(file, &args.target, "engine,node")?;
    if let Some(node) = &args.node {
        let Members { nodes } = snapshot.read()?;
        if !nodes.iter().any(|member| member.name.is(node)) {
            return Err(Failed::no_member(node));
        }
        snapshot.retain("engines", |engine| engine["node"] == node.as_str());
    }
    Ok(snapshot)
}

/// Engines and their hosts.
#[derive(Deserialize)]
struct Fleet {
    engines: Vec<Engine>,
    nodes: Vec<Member>,
}

#[derive(Deserialize)]
struct Members {
    nodes: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    name: Words,
    /// What has become of its node; members of the first versions do not say it.
    state: Option<Word<Presence>>,
    /// It has sent no report for a while.
    #[serde(default)]
    suspect: bool,
}

/// States of a member that say something of its engines.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Presence {
    Stopped,
    Unavailable,
    Down,
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
    /// The same for programs.
    unlisted_code: Option<Word<Unlisted>>,
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

/// Reasons that say that nothing is known of the engine itself.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unlisted {
    HostDown,
    HostUnavailable,
}

/// What is known of the health of an engine. Where its host is away, what was known before says nothing.
fn health(engine: &Engine, host: Option<&Member>) -> Cell {
    let presence = host.and_then(|host| match &host.state {
        Some(Word::Known(presence)) => Some(presence),
        _ => None,
    });
    let is_healthy = matches!(engine.health_status, Word::Known(Health::Healthy));
    match (&engine.unlisted_code, presence) {
        (Some(Word::Known(Unlisted::HostDown)), _) | (_, Some(Presence::Down)) => {
            Cell::of("host down", Tint::Bad)
        }
        (Some(Word::Known(Unlisted::HostUnavailable)), _) => Cell::of("host unavailable", Tint::Bad),
        // Engines outlive their node: all others ask them while it is silent.
        _ if engine.listed && is_healthy => engine.health_status.cell(Tint::Plain),
        (_, Some(Presence::Unavailable)) => Cell::of("host unavailable", Tint::Bad),
        (_, Some(Presence::Stopped)) => Cell::of("node stopped", Tint::Odd),
        _ if host.is_some_and(|host| host.suspect) => Cell::of("host silent", Tint::Odd),
        _ => engine.health_status.cell(Tint::Plain),
    }
}

/// By host, and there by number: `engine-2` stands before `engine-11`.
fn place(engine: &Engine) -> (String, String, u64) {
    let name = or_dash(engine.container_name.as_ref());
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[prefix.len()..].parse().unwrap_or(u64::MAX);
    (or_dash(engine.node.as_ref()), prefix.to_owned(), number)
}

fn table(Fleet { mut engines, nodes }: Fleet) -> String {
    engines.sort_by_cached_key(place);
    let titles =
        ["NAME", "NODE", "STATE", "HEALTH", "STREAMS", "PORT", "VPN", "CPU", "MEMORY", "NOT LISTED BECAUSE"];
    let row = |engine: Engine| {
        let host = nodes.iter().find(|member| engine.node.as_ref() == Some(&member.name));
        let health = health(&engine, host);
        let state = match (engine.listed, engine.phase) {
            (true, _) => Cell::of("listed", Tint::Good),
            (false, Word::Known(Phase::Running)) => Cell::of("unlisted", Tint::Odd),
            (false, Word::Other(phase)) => Cell::of(&phase.to_string(), Tint::Odd),
        };
        [
            or_dash(engine.container_name).into(),
            or_dash(engine.node).into(),
            state,
            health,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn engine(name: &str, node: &str) -> Value {
        json!({"container_name": name, "node": node, "phase": "running", "listed": true,
            "health_status": "healthy", "streams": [], "port": 19000})
    }

    fn rows(engines: Vec<Value>, nodes: Value) -> Vec<String> {
        let table = table(serde_json::from_value(json!({"engines": engines, "nodes": nodes})).unwrap());
        table.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn rows_are_sorted_by_host_and_by_number() {
        let of = |(name, node)| engine(name, node);
        let engines = [("e-11", "a"), ("e-1", "b"), ("e-2", "a"), ("e-1", "a"), ("own", "a"), ("d-12", "a")];
        let rows = rows(engines.map(of).to_vec(), json!([]));
        let names = rows.iter().map(|row| row.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
        let expected = ["d-12 a", "e-1 a", "e-2 a", "e-11 a", "own a", "e-1 b"];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_is_healthy_on_a_host_that_is_away() {
        let up = json!({"name": "a", "state": "up", "suspect": false});
        let with = |changes: Value| {
            let mut member = up.clone();
            member.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            member
        };
        let listed = json!({});
        let off = |code: &str| json!({"listed": false, "unlisted_code": code, "unlisted": "why"});
        let unknown = json!({"health_status": "unknown"});
        for (member, changes, expected) in [
            (with(json!({})), &listed, "healthy"),
            (with(json!({})), &json!({"health_status": "unhealthy"}), "unhealthy"),
            (with(json!({"state": "down"})), &off("host_down"), "host down"),
            (with(json!({"state": "down"})), &off("taken_off"), "host down"),
            (with(json!({"state": "up"})), &off("host_down"), "host down"),
            (with(json!({"state": "unavailable"})), &off("host_unavailable"), "host unavailable"),
            (with(json!({"state": "unavailable"})), &off("taken_off"), "host unavailable"),
            // It answers another member.
            (with(json!({"state": "unavailable"})), &listed, "healthy"),
            (with(json!({"state": "stopped", "suspect": true})), &listed, "healthy"),
            (with(json!({"state": "stopped", "suspect": true})), &unknown, "node stopped"),
            (with(json!({"suspect": true})), &listed, "healthy"),
            (with(json!({"suspect": true})), &unknown, "host silent"),
            (with(json!({"state": "on the moon"})), &unknown, "unknown"),
            (json!({"name": "a"}), &listed, "healthy"),
        ] {
            let mut engine = engine("e-1", "a");
            engine.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            let engine: Engine = serde_json::from_value(engine).unwrap();
            let host: Member = serde_json::from_value(member.clone()).unwrap();
            assert_eq!(health(&engine, Some(&host)).text(), expected, "{member} {changes}");
        }
    }
}
