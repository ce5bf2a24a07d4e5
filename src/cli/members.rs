//! `acefleet status`, `members`, `cordon`, `uncordon`, `drain`, `remove`, `leave`, `adopt`: calls to the HTTP API of a node, by default
//! the one that runs here.

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::ask::{Target, ask, show};
use super::exit_code::{CONFIGURATION, INTERNAL, TEMPORARY};
use super::failed::{Failed, name};
use super::output;
use super::table::{table, text};

/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct Look {
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Node {
    /// Name of the member.
    #[arg(value_parser = name)]
    node: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Drain {
    #[command(flatten)]
    node: Node,
    /// End streams that still run after so many seconds; without it there is no limit.
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u32>,
    /// Wait until the node is empty, and say how far it is.
    #[arg(long)]
    wait: bool,
}

#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    node: Node,
    #[command(flatten)]
    force: Force,
}

#[derive(Args)]
pub struct Adopt {
    /// Name of the member on whose host they run; else the node that is asked.
    #[arg(value_parser = name)]
    node: Option<String>,
    /// Also those that a node of another name made in another cluster. If that cluster lives, it loses them.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Leave {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    force: Force,
}

#[derive(Args)]
struct Force {
    /// Even if it runs engines, has queued events, or has to vote itself out. Nothing can force a missing majority.
    #[arg(long)]
    force: bool,
}

/// Prints the cluster and its members.
pub fn status(file: Option<&Path>, look: &Look) -> u8 {
    let target = &look.target;
    show(ask(file, target, Method::GET, &["cluster"], None, false), target, |answer| {
        format!("{}\n{}{}", summary(answer), table(nodes(answer)), left_behind(answer))
    })
}

/// Prints the members.
pub fn members(file: Option<&Path>, look: &Look) -> u8 {
    let target = &look.target;
    let answer = ask(file, target, Method::GET, &["cluster"], None, false);
    show(answer.map(|mut answer| answer["nodes"].take()), target, |nodes| {
        table(nodes.as_array().map(Vec::as_slice).unwrap_or_default())
    })
}

/// Lets a node adopt the engines that an earlier life of its host left behind.
pub fn adopt(file: Option<&Path>, args: &Adopt) -> u8 {
    let Adopt { node, force, target } = args;
    let name = match node {
        Some(node) => Ok(node.clone()),
        None => own_name(file, target),
    };
    let answer = name.and_then(|name| {
        ask(file, target, Method::POST, &["cluster", "nodes", &name, "adopt"], None, *force)
    });
    show(answer, target, adopted)
}

fn adopted(answer: &Value) -> String {
    let engines = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let lines = engines.iter().map(|engine| match &engine["refused"] {
        Value::Null => format!("{} is an engine of this cluster now.", text(&engine["name"])),
        why => format!("{} was not adopted: {}", text(&engine["name"]), text(why)),
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { "No engine was left behind there.".to_owned() } else { lines.join("\n") }
}

/// Engines that were left behind, below the table of members.
fn left_behind(answer: &Value) -> String {
    let engines = answer["left_behind"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines = engines.iter().map(|left| {
        let [node, name, why] = ["node", "name", "why"].map(|field| text(&left[field]));
        format!("\nleft behind on {node}: {name}: {why} (acefleet adopt {node})")
    });
    lines.collect()
}

/// Performs `cordon` or `uncordon` and prints the member.
pub fn set(file: Option<&Path>, node: &Node, action: &str) -> u8 {
    let path = ["cluster", "nodes", &node.node, action];
    let answer = ask(file, &node.target, Method::POST, &path, None, false);
    show(answer, &node.target, |answer| table(std::slice::from_ref(answer)))
}

/// Begins a drain and prints the member.
pub fn drain(file: Option<&Path>, args: &Drain) -> u8 {
    let Node { node, target } = &args.node;
    let body = args.deadline.map(|seconds| json!({ "deadline_seconds": seconds }));
    let answer = ask(file, target, Method::POST, &["cluster", "nodes", node, "drain"], body, false);
    let answer = match args.wait {
        true => answer.and_then(|_| drained(file, target, node)),
        false => answer,
    };
    show(answer, target, |answer| table(std::slice::from_ref(answer)))
}

/// Waits until nothing runs on a member any more, or somebody ends the drain.
fn drained(file: Option<&Path>, target: &Target, name: &str) -> Result<Value, Failed> {
    let mut said = String::new();
    loop {
        let answer = match ask(file, target, Method::GET, &["cluster"], None, false) {
            // The node that is asked may be away for a while.
            Err(failed) if failed.code == TEMPORARY => {
                say(&mut said, failed.why);
                thread::sleep(LOOK_EVERY);
                continue;
            }
            answer => answer?,
        };
        let member = nodes(&answer).iter().find(|member| member["name"] == name);
        let Some(member) = member.cloned() else {
            return Err(Failed::new(CONFIGURATION, format!("{name} is no member any more")));
        };
        let drain = &member["drain"];
        let (engines, streams) = (drain["engines_left"].as_u64(), drain["streams_left"].as_u64());
        match (engines, streams) {
            (Some(0), _) => return Ok(member),
            (Some(engines), Some(streams)) => {
                say(&mut said, format!("{name} drains: {engines} engines with {streams} streams are left"));
            }
            _ => {
                let why = format!("{name} does not drain any more: somebody ended that");
                return Err(Failed::new(CONFIGURATION, why));
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Says something that was not said last.
fn say(said: &mut String, line: String) {
    if *said != line {
        output::complain(&line);
        *said = line;
    }
}

/// Removes a member.
pub fn remove(file: Option<&Path>, args: &Remove) -> u8 {
    let Node { node, target } = &args.node;
    show(delete(file, target, node, &args.force), target, removed)
}

/// Removes the node that is asked.
pub fn leave(file: Option<&Path>, args: &Leave) -> u8 {
    let Leave { target, force } = args;
    let answer = own_name(file, target).and_then(|name| delete(file, target, &name, force));
    show(answer, target, removed)
}

/// Name of the node that is asked.
fn own_name(file: Option<&Path>, target: &Target) -> Result<String, Failed> {
    let answer = ask(file, target, Method::GET, &["cluster"], None, false)?;
    let name = answer["node"].as_str();
    let name = name.ok_or_else(|| Failed::new(INTERNAL, "the node does not say its name"))?;
    Ok(name.to_owned())
}

fn delete(file: Option<&Path>, target: &Target, node: &str, force: &Force) -> Result<Value, Failed> {
    ask(file, target, Method::DELETE, &["cluster", "nodes", node], None, force.force)
}

fn removed(answer: &Value) -> String {
    let removed = format!("{} is no member any more.", text(&answer["removed"]));
    match &answer["votes"] {
        Value::String(votes) => format!("{removed}\n{votes}"),
        _ => removed,
    }
}

fn nodes(answer: &Value) -> &[Value] {
    answer["nodes"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn summary(answer: &Value) -> String {
    let mut lines = String::new();
    for (title, field) in [
        ("cluster", "cluster_id"),
        ("leader", "leader"),
        ("term", "term"),
        ("revision", "revision"),
        ("voters", "voters"),
        ("answered by", "node"),
        ("answers are old by", "staleness_ms"),
    ] {
        let unit = if field == "staleness_ms" { " ms" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{:<20}{}{unit}", format!("{title}:"), text(&answer[field]));
    }
    lines
}
