//! `acefleet maintenance begin`.

use std::fmt::Write as _;
use std::path::Path;

use acefleet::counted::counted;
use clap::Args;
use serde_json::json;

use super::seen::{Cluster, Member, Prediction, cluster, prediction};
use super::{Which, steps};
use crate::cli::answer::{Answer, show};
use crate::cli::ask::Call;
use crate::cli::exit_code::CONFIGURATION;
use crate::cli::failed::{Failed, Named};
use crate::cli::members::{CLUSTER, emptied, table};
use crate::cli::output;
use crate::cli::patience::{Found, Steps};
use crate::cli::words::shown;

#[derive(Args)]
pub struct Begin {
    #[command(flatten)]
    which: Which,
    /// End streams that still run after so many seconds; without it there is no limit.
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u32>,
    /// Seconds that the command waits for at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout: u64,
    /// Have the node end its maintenance itself when it has been started again and its Docker answers.
    #[arg(long = "return")]
    returns: bool,
    /// Even if no majority is left while the node is away, as in a cluster of one or two.
    #[arg(long)]
    force: bool,
}

/// What came of it.
enum Done {
    /// The member is empty, with what is left of the votes.
    Empty(Answer, String),
    /// It would be made so.
    Planned(String),
}

/// Empties a node, or says how.
pub(super) fn begin(file: Option<&Path>, args: &Begin) -> Result<u8, Failed> {
    let target = &args.which.target;
    match steps(file, &args.which, args.timeout, async |steps, name| empty(steps, name, args).await)? {
        Done::Planned(text) => Ok(output::print(&text)),
        Done::Empty(member, next) => {
            Ok(show(Ok(member), target, |member| format!("{}\n{next}", table(vec![member]))))
        }
    }
}

async fn empty(steps: &Steps, name: String, args: &Begin) -> Result<Done, Failed> {
    let seen = cluster(steps).await?;
    let member = seen.member(&name)?;
    let votes = prediction(steps, &name).await?;
    let refused = votes.refused(&name, &seen.leaving_beside(&name)).filter(|_| !args.force);
    if args.which.dry_run {
        let plan = plan(&seen, &member, &votes, args);
        return match refused {
            Some(why) => {
                Err(Failed::new(CONFIGURATION, format!("it would be refused: {why}, or use --force")))
            }
            None => Ok(Done::Planned(plan)),
        };
    }
    if let Some(why) = refused {
        return Err(Failed::new(CONFIGURATION, format!("{why}, or use --force")));
    }
    drain(steps, &member, args).await?;
    if !votes.alive && member.engines > 0 {
        let why = format!("{} does not answer, so nobody can empty it", shown(&name));
        return Err(Failed::new(CONFIGURATION, why));
    }
    emptied(steps, &name).await?;
    hand_over(steps, &name).await?;
    // Another voter may have failed during the wait, or somebody empties it, too.
    let (votes, seen) = (prediction(steps, &name).await?, cluster(steps).await?);
    if let Some(why) = votes.refused(&name, &seen.leaving_beside(&name)).filter(|_| !args.force) {
        return Err(Failed::new(CONFIGURATION, format!("do not stop it now: {why}, or use --force")));
    }
    let next = next(&name, &votes, seen.member(&name)?.returns());
    Ok(Done::Empty(emptied(steps, &name).await?, next))
}

/// Nothing more comes to the node. A drain with another deadline changes that one.
async fn drain(steps: &Steps, member: &Member, args: &Begin) -> Result<(), Failed> {
    let name = &member.name;
    let left = format!(
        "{0} is left draining: repeat this to go on, or take it back with `acefleet maintenance end {0}`",
        shown(name)
    );
    if !member.is_draining() || args.deadline.is_some() || args.returns && !member.returns() {
        let body = json!({ "deadline_seconds": args.deadline, "returns": args.returns || member.returns() });
        // Whether it was done is not known until it is answered.
        steps.leaves(left.replacen("is left", "may be", 1));
        let answer = steps.ask(&Call::post(&["cluster", "nodes", name, "drain"]).body(Some(body))).await;
        answer.map_err(|failed| failed.about(Named::Member, name))?;
    }
    steps.leaves(left);
    steps.say(&format!("{name} gets no new engines and streams"));
    Ok(())
}

/// Lets another node lead, if this one does: a drain has it do so by itself, and somebody may have let it lead again.
async fn hand_over(steps: &Steps, name: &str) -> Result<(), Failed> {
    let ask = async || {
        let seen = cluster(steps).await?;
        if let Some(successor) = seen.successor(name).filter(|_| seen.leader.as_deref() == Some(name)) {
            steps.say(&format!("{successor} is to lead instead of {name}"));
            steps.ask(&Call::post(&["cluster", "nodes", successor, "lead"])).await?;
        }
        steps.ask(&Call::get(&CLUSTER)).await
    };
    let look = |answer: Answer| {
        let seen: Cluster = answer.read()?;
        Ok(match seen.leader.as_deref() {
            Some(leader) if leader != name => Found::There(true),
            Some(_) if seen.successor(name).is_none() => Found::There(false),
            _ => Found::NotYet("no other node leads yet".to_owned()),
        })
    };
    if !steps.until(ask, look).await? {
        steps.say(&format!("no other voter can lead: there is no leader while {name} is away"));
    }
    Ok(())
}

/// What the operator does now.
fn next(name: &str, votes: &Prediction, returns: bool) -> String {
    let name = shown(name);
    let afterwards = match returns {
        true => "It is used again when its node has started".to_owned(),
        false => format!("Afterwards: acefleet maintenance end {name}"),
    };
    format!(
        "Nothing runs on {name} any more: {}.\nStop the node or reboot its host now. {afterwards}",
        votes.while_stopped(&name)
    )
}

fn plan(seen: &Cluster, member: &Member, votes: &Prediction, args: &Begin) -> String {
    let name = shown(&member.name);
    let (engines, streams) = (counted(member.engines, "engine"), counted(member.streams, "stream"));
    let mut text = "This would:\n".to_owned();
    let mut step = 0;
    let mut add = |line: String| {
        step += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {step}. {line}");
    };
    add(match (member.is_draining(), args.deadline) {
        (true, None) => format!("leave {name} draining, as it is"),
        (_, None) => format!("drain {name}: no new engines or streams"),
        (_, Some(seconds)) => {
            format!("drain {name}: no new engines or streams; streams end after {seconds} s")
        }
    });
    add(format!("wait until {engines} with {streams} have left, for {} s at the most", args.timeout));
    if seen.leader.as_deref() == Some(member.name.as_str()) {
        add(match seen.successor(&member.name) {
            Some(successor) => format!("let another node lead, such as {}", shown(successor)),
            None => "leave the cluster without a leader while it is away: no other voter can lead".to_owned(),
        });
    }
    if args.returns || member.returns() {
        add("use it again when its node has been stopped and started, and its Docker answers".to_owned());
    }
    let _ = write!(text, "Then: {}.", votes.while_stopped(&member.name));
    text
}
