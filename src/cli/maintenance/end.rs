//! `acefleet maintenance end`.

use std::path::Path;

use clap::Args;

use super::seen::{Cluster, cluster};
use super::{Which, steps};
use crate::cli::answer::{Answer, show};
use crate::cli::ask::Call;
use crate::cli::failed::{Failed, Named};
use crate::cli::members::{CLUSTER, table};
use crate::cli::output;
use crate::cli::patience::{Found, Steps};
use crate::cli::words::shown;

#[derive(Args)]
pub struct End {
    #[command(flatten)]
    which: Which,
    /// Seconds that the command waits for at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    timeout: u64,
}

/// What came of it.
enum Done {
    /// The member is in use again.
    InUse(Answer),
    /// It was all the time: no maintenance was begun, or it has been ended.
    WasInUse(Answer),
    /// It would be.
    Planned(String),
}

/// Takes a node back, or says how.
pub(super) fn end(file: Option<&Path>, args: &End) -> Result<u8, Failed> {
    let target = &args.which.target;
    match steps(file, &args.which, args.timeout, async |steps, name| take_back(steps, name, args).await)? {
        Done::Planned(text) => Ok(output::print(&text)),
        Done::WasInUse(member) => Ok(show(Ok(member), target, |member| {
            let unchanged =
                "Nothing was begun, or it was ended before: the node is in use, and nothing was changed.";
            format!("{unchanged}\n{}", table(vec![member]))
        })),
        Done::InUse(member) => Ok(show(Ok(member), target, |member| table(vec![member]))),
    }
}

async fn take_back(steps: &Steps, name: String, args: &End) -> Result<Done, Failed> {
    let plain = shown(&name);
    if args.which.dry_run {
        let member = cluster(steps).await?.member(&name)?;
        let waits = match member.is_up() {
            true => String::new(),
            false => format!(
                ", once it answers ({} now), for which it waits {} s at the most",
                member.lacks(),
                args.timeout
            ),
        };
        return Ok(Done::Planned(match member.is_active() {
            true => format!("{plain} is in use{waits}: nothing would be changed"),
            false => format!("This would let {plain} get engines and streams again{waits}."),
        }));
    }
    steps.leaves(format!("{plain} is left as it is: repeat this when its node runs"));
    let call = Call::get(&CLUSTER);
    let look = |answer: Answer| {
        let member = answer.read::<Cluster>()?.member(&name)?;
        Ok(match member.is_up() {
            true => Found::There(member),
            false => Found::NotYet(format!("{name} is awaited: {}", member.lacks())),
        })
    };
    let member = steps.until(async || steps.ask(&call).await, look).await?;
    let was_in_use = member.is_active();
    if !was_in_use {
        steps.leaves(format!("{plain} may get no engines yet: repeat this"));
        let answer = steps.ask(&Call::post(&["cluster", "nodes", &name, "uncordon"])).await;
        answer.map_err(|failed| failed.about(Named::Member, &name))?;
    }
    let look = |answer: Answer| {
        let in_use = answer.read::<Cluster>()?.member(&name)?.is_active();
        let member = answer.part("nodes")?.with("name", &name)?.list()?.pop();
        Ok(match member.filter(|_| in_use) {
            Some(member) => Found::There(member),
            None => Found::NotYet(format!("{name} is not in use yet")),
        })
    };
    let done = if was_in_use { Done::WasInUse } else { Done::InUse };
    steps.until(async || steps.ask(&call).await, look).await.map(done)
}
