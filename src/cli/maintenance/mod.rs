//! `acefleet maintenance begin` and `end`: a node before and after work on its host, in one step each.
//!
//! - [`begin`] and [`end`]: the steps; [`seen`]: what they go by

mod begin;
mod end;
mod seen;

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::answer::Answer;
use super::ask::{Call, wait};
use super::failed::{Failed, finish, name};
use super::members::CLUSTER;
use super::patience::{Found, Steps};
use super::target::Target;

#[derive(Subcommand)]
pub enum Maintenance {
    /// Empty a node, so that it can be stopped or its host rebooted: drain it, wait until nothing runs on it, and let another node lead.
    ///
    /// Refused when no majority would be left while the node is stopped. Safe to repeat: a repeat goes on where the first one ended. Ctrl-C ends the wait
    /// and leaves the node draining.
    Begin(begin::Begin),
    /// Take a node back: wait until it answers, and give it engines and streams again.
    ///
    /// Safe to repeat. Ctrl-C ends the wait and leaves the node as it is.
    End(end::End),
}

/// Which node, and for how long the command waits.
#[derive(Args)]
struct Which {
    /// Name of the member; else the node that is asked.
    #[arg(value_parser = name)]
    node: Option<String>,
    /// Say what would be done and what follows from it, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

/// Performs a `maintenance` command.
pub fn maintenance(file: Option<&Path>, command: &Maintenance) -> u8 {
    finish(match command {
        Maintenance::Begin(args) => begin::begin(file, args),
        Maintenance::End(args) => end::end(file, args),
    })
}

/// Runs steps for the node that is meant.
fn steps<T>(
    file: Option<&Path>,
    which: &Which,
    seconds: u64,
    work: impl AsyncFn(&Steps, String) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let steps = Steps::new(which.target.nodes(file)?);
    let all = async {
        let name = match &which.node {
            Some(name) => name.clone(),
            None => own_name(&steps).await?,
        };
        work(&steps, name).await
    };
    wait(steps.run(Some(Duration::from_secs(seconds)), all))
}

/// Name of the node that is asked, which may be starting.
async fn own_name(steps: &Steps) -> Result<String, Failed> {
    let call = Call::get(&CLUSTER);
    let look = |answer: Answer| Ok(Found::There(answer.read::<seen::Cluster>()?.node));
    steps.until(async || steps.ask_first(&call).await, look).await
}
