//! `acefleet restore`: shows what is in a backup and what is lost, asks, and makes a new cluster of this node from it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use acefleet::counted::counted;
use acefleet_raft::backup::{Backup, Unsound};
use acefleet_raft::offline::{self, Asked};
use acefleet_raft::{Options, StartError, host_clock};
use clap::Args;

use super::backup::compare::Differences;
use super::backup::save::fetched;
use super::backup::summary::Summary;
use super::backup::{json, read};
use super::exit_code::CONFIGURATION;
use super::failed::{Failed, finish};
use super::recover::{confirmed, moment};
use super::target::Target;
use super::words::shown;
use super::{output, prepare};

#[derive(Args)]
pub struct Restore {
    /// The backup.
    file: PathBuf,
    /// Change nothing. Print what is in the backup and what may be lost; with --url or ACEFLEET_URL, compare it with the cluster that runs there.
    #[arg(long, conflicts_with_all = ["yes", "force"])]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Make a second cluster even if members of the first one run. Both run their own engines from then on.
    #[arg(long)]
    force: bool,
    /// Restore a state that breaks a rule, too. The new cluster may fail where that matters: only when there is no other backup.
    #[arg(long)]
    broken: bool,
    #[command(flatten)]
    target: Target,
}

/// Restores the cluster on the node here.
pub fn restore(settings: Option<&Path>, args: &Restore) -> u8 {
    finish(read(&args.file).and_then(|backup| match args.dry_run {
        true => rehearsed(settings, args, &backup),
        false => restored(settings, args, backup),
    }))
}

/// Shows what would happen, and what differs now.
fn rehearsed(settings: Option<&Path>, args: &Restore, backup: &Backup) -> Result<u8, Failed> {
    let differences = match args.target.is_named() {
        true => Some(Differences::of(backup, &fetched(settings, &args.target)?)),
        false => None,
    };
    let printed = match (&differences, args.target.wants_json()) {
        (Some(differences), true) => json(differences)?,
        (None, true) => json(&Summary::of(backup))?,
        (differences, false) => output::print(&rehearsal(settings, backup, differences.as_ref())),
    };
    match backup.sound() {
        Err(why) if !args.allows(&why) => Err(unusable(&why)),
        Err(_) | Ok(()) => Ok(printed),
    }
}

/// What is in the backup, what differs, and what would become of this node.
fn rehearsal(settings: Option<&Path>, backup: &Backup, differences: Option<&Differences>) -> String {
    let mut text = Summary::of(backup).text(host_clock());
    text = match differences {
        Some(differences) => format!("{text}\n{}", differences.text()),
        None => format!("{text}\nNothing was compared: --url names a node of a cluster that runs.\n"),
    };
    // The node that a comparison is about may have no settings here.
    match prepare::options(settings) {
        Ok(options) => format!("{text}\n{}", outcome(&options, backup)),
        Err(_) => text,
    }
}

impl Restore {
    fn allows(&self, why: &Unsound) -> bool {
        self.broken && matches!(why, Unsound::Rule(_))
    }
}

fn unusable(why: &Unsound) -> Failed {
    Failed::new(CONFIGURATION, shown(&why.to_string()))
}

fn restored(settings: Option<&Path>, args: &Restore, backup: Backup) -> Result<u8, Failed> {
    if let Err(why) = backup.sound() {
        if !args.allows(&why) {
            return Err(unusable(&why));
        }
        output::complain(&format!("warning: {}", shown(&why.to_string())));
    }
    let options = match prepare::options(settings) {
        Ok(options) => options,
        Err(code) => return Ok(code),
    };
    let asked = done(prepare::run(offline::ask_members(&options, &backup)))?;
    let printed = output::print(&format!(
        "{}{}\n{}",
        Summary::of(&backup).text(host_clock()),
        answers(&asked.members),
        outcome(&options, &backup)
    ));
    if printed != 0 {
        return Ok(printed);
    }
    match offline::restore_objection(&asked) {
        Some(why) if !args.force => {
            let why = format!(
                "the cluster of the backup lives, or could: {why}. Nothing was changed. Stop its nodes, or, if this is to be a second cluster beside \
                 it, give --force"
            );
            return Err(Failed::new(CONFIGURATION, why));
        }
        Some(why) => {
            output::complain(&format!("forced: a second cluster is made beside the first one: {why}"))
        }
        None => {}
    }
    if !args.yes {
        confirmed(&options.node_name, "restore the cluster on it")
            .map_err(|why| Failed::new(CONFIGURATION, why))?;
    }
    let judged = if args.broken { backup.despite_rules() } else { backup.restorable() };
    let backup = judged.map_err(|why| unusable(&why))?;
    let restored = done(prepare::run(offline::restore(&options, backup)))?;
    Ok(output::print(&format!(
        "\n{name} is the only member of the new cluster {cluster}, from revision {revision} on.\nStart it: acefleet serve\nOn every other \
         host, with an empty data directory: the line that `acefleet token create` prints here once it runs, then acefleet serve",
        name = options.node_name,
        cluster = restored.cluster_id,
        revision = restored.revision
    )))
}

/// What the members said that were asked whether they run.
fn answers(asked: &[Asked]) -> String {
    let mut text = String::new();
    for Asked { member, said } in asked {
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{:<18}{}", format!("now, {}:", shown(&member.name)), shown(&said.to_string()));
    }
    text
}

/// What becomes of this node, and what is lost.
fn outcome(options: &Options, backup: &Backup) -> String {
    let name = &options.node_name;
    let place = match offline::own_place(options, backup) {
        Some(id) => {
            let own: Vec<_> = backup.state.live_engines().filter(|engine| engine.node == id).collect();
            let streams: usize = own.iter().map(|engine| backup.state.active_streams(engine.id)).sum();
            format!(
                "{name} takes its place again, with {} and {}; those that still run go on.",
                counted(own.len() as u64, "engine"),
                counted(streams as u64, "stream")
            )
        }
        None => {
            let names: Vec<_> = backup.members().into_iter().map(|member| member.name).collect();
            format!(
                "No member of the backup is named {name}: it begins without engines. With the name of one ({}) it would take the place of that one.",
                shown(&names.join(", "))
            )
        }
    };
    let since = moment(backup.header.taken_ms, host_clock()).unwrap_or_else(|| "an unknown time".into());
    format!(
        "{place}\nLost is what was written after {since}: streams, engines, settings and events of that time, and the engines and streams of all \
         other\nmembers. Containers on their hosts run on; they are taken up when a node with the same name joins from there."
    )
}

/// What came of work on the data directory.
fn done<T>(outcome: Result<Result<T, StartError>, u8>) -> Result<T, Failed> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failed::new(error.exit_code(), error.to_string())),
        Err(code) => Err(Failed::new(code, "it could not be begun")),
    }
}
