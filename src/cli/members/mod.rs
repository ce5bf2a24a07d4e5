//! `acefleet status`, `members`, `cordon`, `uncordon`, `drain`, `remove`, `leave`, `adopt`: calls to the HTTP API of a node, by default
//! the one that runs here.

mod text;

use std::path::Path;

use acefleet::counted::counted;
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, show};
use super::ask::{Call, ask, wait};
use super::exit_code::CONFIGURATION;
use super::failed::{Failed, Named, name};
use super::patience::{Found, Steps};
use super::target::Target;
use text::{Adopted, Drain as Left, adopted, is_refused, removed};
pub(super) use text::{Member, table};

/// Path of the members.
pub(super) const CLUSTER: [&str; 1] = ["cluster"];

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
    /// Also those that the orchestrator of before, or a node of another name in another cluster made. If that lives, it loses them.
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
    show(ask(file, target, &Call::get(&CLUSTER)), target, text::status)
}

/// Prints the members.
pub fn members(file: Option<&Path>, look: &Look) -> u8 {
    let target = &look.target;
    let answer = ask(file, target, &Call::get(&CLUSTER));
    show(answer.and_then(|answer| answer.part("nodes")), target, table)
}

/// Lets a node adopt the engines that an earlier life of its host left behind. The exit code says whether it has adopted all of them.
pub fn adopt(file: Option<&Path>, args: &Adopt) -> u8 {
    let Adopt { node, force, target } = args;
    let (name, target) = match node {
        Some(node) => (Ok(node.clone()), target),
        None => (own_name(file, target), &target.first()),
    };
    let answer = name.and_then(|name| {
        let call = Call::post(&["cluster", "nodes", &name, "adopt"]).forced(*force).long();
        ask(file, target, &call).map_err(|failed| failed.about(Named::Member, &name))
    });
    let refused = match answer.as_ref().map(Answer::read::<Vec<Adopted>>) {
        Ok(Ok(engines)) => engines.iter().any(is_refused),
        Ok(Err(_)) | Err(_) => false,
    };
    match show(answer, target, adopted) {
        0 if refused => CONFIGURATION,
        code => code,
    }
}

/// Performs `cordon` or `uncordon` and prints the member.
pub fn set(file: Option<&Path>, node: &Node, action: &str) -> u8 {
    let Node { node, target } = node;
    let answer = ask(file, target, &Call::post(&["cluster", "nodes", node, action]));
    let answer = answer.map_err(|failed| failed.about(Named::Member, node));
    show(answer, target, |member| table(vec![member]))
}

/// Begins a drain and prints the member.
pub fn drain(file: Option<&Path>, args: &Drain) -> u8 {
    let Node { node, target } = &args.node;
    let body = args.deadline.map(|seconds| json!({ "deadline_seconds": seconds }));
    let answer = ask(file, target, &Call::post(&["cluster", "nodes", node, "drain"]).body(body));
    let answer = answer.map_err(|failed| failed.about(Named::Member, node));
    let answer = match args.wait {
        true => answer.and_then(|_| drained(file, target, node)),
        false => answer,
    };
    show(answer, target, |member| table(vec![member]))
}

/// Waits until nothing runs on a member any more, or somebody ends the drain.
fn drained(file: Option<&Path>, target: &Target, name: &str) -> Result<Answer, Failed> {
    let steps = Steps::new(target.nodes(file)?);
    steps.leaves(format!("{name} goes on draining, which `acefleet uncordon` ends"));
    wait(steps.run(None, emptied(&steps, name)))
}

/// The member once nothing runs on it any more.
///
/// # Errors
/// When somebody ended the drain, or it is no member any more.
pub(super) async fn emptied(steps: &Steps, name: &str) -> Result<Answer, Failed> {
    let call = Call::get(&CLUSTER);
    let look = |answer: Answer| {
        let member = answer.part("nodes")?.with("name", name)?.list()?.pop();
        let Some(member) = member else {
            return Err(Failed::new(CONFIGURATION, format!("{name} is no member any more")));
        };
        Ok(match member.read::<Member>()?.drain {
            Some(Left { engines_left: 0, .. }) => Found::There(member),
            Some(Left { engines_left, streams_left, .. }) => {
                let (engines, streams) = (counted(engines_left, "engine"), counted(streams_left, "stream"));
                Found::NotYet(format!("{name} drains: {engines} with {streams} left"))
            }
            None => {
                let why = format!("{name} does not drain any more: somebody ended that");
                return Err(Failed::new(CONFIGURATION, why));
            }
        })
    };
    steps.until(async || steps.ask(&call).await, look).await
}

/// Removes a member.
pub fn remove(file: Option<&Path>, args: &Remove) -> u8 {
    let Node { node, target } = &args.node;
    show(delete(file, target, node, &args.force), target, removed)
}

/// Removes the node that is asked.
pub fn leave(file: Option<&Path>, args: &Leave) -> u8 {
    let Leave { target, force } = args;
    let target = &target.first();
    let answer = own_name(file, target).and_then(|name| delete(file, target, &name, force));
    show(answer, target, removed)
}

/// What a node says of itself.
#[derive(Deserialize)]
struct Own {
    node: String,
}

/// Name of the node that is asked: the first one, as another one would name itself.
fn own_name(file: Option<&Path>, target: &Target) -> Result<String, Failed> {
    let answer = ask(file, &target.first(), &Call::get(&CLUSTER))?;
    answer.read::<Own>().map(|own| own.node)
}

fn delete(file: Option<&Path>, target: &Target, node: &str, force: &Force) -> Result<Answer, Failed> {
    let call = Call::delete(&["cluster", "nodes", node]).forced(force.force).long();
    ask(file, target, &call).map_err(|failed| failed.about(Named::Member, node))
}
