//! `acefleet recover`: shows what one survivor has, asks, and forms a new cluster from it.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use acefleet::counted::counted;
use acefleet_raft::offline::{self, Answers, Asked, Recovery};
use acefleet_registry::{NodeId, WallMs};
use clap::Args;
use jiff::Timestamp;

use super::exit_code::CONFIGURATION;
use super::{output, prepare};

#[derive(Args)]
pub struct Recover {
    /// Only print what it has and what may be lost.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Make a second cluster even if the first one lives or could. Both run their own engines from then on, and the second one lacks
    /// all writes of the first one that are not on this disk.
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
}

/// The effect of a recovery beside a living cluster.
const FORCED: &str =
    "a recovery would make a second cluster beside it, without the writes that are not on this disk";

/// Recovers the cluster from the node here.
pub fn recover(file: Option<&Path>, args: &Recover) -> u8 {
    let options = match prepare::options(file) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let outcome = prepare::run(async {
        let recovery = offline::recover(&options).await?;
        let answers = recovery.ask_members().await?;
        let printed = output::print(&report(&recovery, &answers, acefleet_raft::host_clock()));
        if args.dry_run || printed != 0 {
            let objection = recovery.objection(&answers);
            recovery.close().await;
            return Ok(match objection {
                Some(why) if printed == 0 => {
                    output::complain(&format!("{why}. A recovery here is refused"));
                    CONFIGURATION
                }
                _ => printed,
            });
        }
        match recovery.objection(&answers) {
            Some(why) if !args.force => {
                recovery.close().await;
                output::complain(&format!("{why}. Nothing was changed; {FORCED}, and --force does that"));
                return Ok(CONFIGURATION);
            }
            Some(why) => output::complain(&format!("{why}. Forced: {FORCED}")),
            None => {}
        }
        if !args.yes
            && let Err(why) = confirmed(&recovery.node_name, "recover the cluster from it")
        {
            recovery.close().await;
            output::complain(&why);
            return Ok(CONFIGURATION);
        }
        let cluster_id = recovery.write().await?;
        Ok(output::print(&format!(
            "\n{name} is the only member of the new cluster {cluster_id}.\nStart it: acefleet serve\nOn every other host, \
             with an empty data directory: the line that `acefleet token create` prints here once it runs, then acefleet serve",
            name = options.node_name
        )))
    });
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => prepare::refuse(&error),
        Err(code) => code,
    }
}

/// Asks for the name of the node as a confirmation. `to` says of what.
pub(super) fn confirmed(name: &str, to: &str) -> Result<(), String> {
    let unchanged = "nothing was changed";
    if !std::io::stdin().is_terminal() {
        return Err(format!("nobody can be asked here, {unchanged}: give --yes to go on without"));
    }
    let mut terminal = std::io::stderr().lock();
    // A question that cannot be shown gets no answer below.
    let _ = write!(terminal, "\nType the name of this node, {name}, to {to}: ");
    let _ = terminal.flush();
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) if answer.trim() == name => Ok(()),
        Ok(_) => Err(format!("that is not its name, {unchanged}")),
        Err(error) => Err(format!("the answer cannot be read, {unchanged}: {error}")),
    }
}

/// What the node has, and what may be lost.
fn report(recovery: &Recovery, Answers { members: asked, elsewhere }: &Answers, now: WallMs) -> String {
    let mut text = String::new();
    let mut line = |title: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<22}{value}", format!("{title}:"));
    };
    line("node", format!("{} (id {})", recovery.node_name, recovery.node_id));
    line("cluster", recovery.cluster_id.clone());
    line("newest entry here", format!("{} of term {}", recovery.last_index, recovery.last_term));
    line("written", age(recovery.state.wall(recovery.state.clock_ms()), now));
    let unsure = recovery.last_index.saturating_sub(recovery.committed_index);
    line(
        "known committed",
        match unsure {
            0 => "all of it".to_owned(),
            _ => format!(
                "{} and before; those after it ({unsure}) are kept, though some may never have been acknowledged",
                recovery.committed_index
            ),
        },
    );
    let queued = counted(recovery.queued_writes, "event");
    line("queued here", format!("{queued}, to be written when there is a leader"));
    for member in &recovery.members {
        let (engines, streams) = load(recovery, member.id);
        let vote = if member.votes { "voter" } else { "learner" };
        let fate = if member.id == recovery.node_id { "stays" } else { "DROPPED" };
        let said = asked.iter().find(|asked| asked.member.id == member.id);
        let said = said.map(|asked| format!("; {}", asked.said)).unwrap_or_default();
        let (engines, streams) = (counted(engines, "engine"), counted(streams, "stream"));
        let has = format!("{fate}: {vote} at {}, {engines}, {streams}{said}", member.address);
        line(&format!("member {}", member.name), has);
    }
    let newer = |asked: &&Asked| !recovery.members.iter().any(|member| member.id == asked.member.id);
    for Asked { member, said } in asked.iter().filter(newer) {
        line(&format!("came later: {}", member.name), format!("at {}; {said}", member.address));
    }
    for (address, who) in elsewhere {
        line("somebody", format!("at {address}; answers, but not to this node ({who})"));
    }
    let _ = write!(
        text,
        "\nLost is whatever the others stored after entry {} and this node did not, and the engines and streams of\n\
         dropped members. Containers on their hosts run on; they are taken up when a node with the same\n\
         name joins from there.\n\
         If a majority of the voters can be started again, start them instead: then nothing is lost. If several\n\
         survived, recover from the one whose newest entry has the highest term and, in that, the highest number.",
        recovery.last_index
    );
    text
}

fn load(recovery: &Recovery, node: NodeId) -> (u64, u64) {
    let engines: Vec<_> = recovery.state.live_engines().filter(|engine| engine.node == node).collect();
    let streams: usize = engines.iter().map(|engine| recovery.state.active_streams(engine.id)).sum();
    (engines.len() as u64, streams as u64)
}

/// When the newest write was made, by the time of day that the cluster showed.
fn age(written: Option<WallMs>, now: WallMs) -> String {
    written.and_then(|written| moment(written, now)).map_or_else(
        || "unknown".to_owned(),
        |written| format!("{written}, the last time when this node certainly received writes of the others"),
    )
}

/// A time of day, and how long ago it was.
pub(super) fn moment(wall: WallMs, now: WallMs) -> Option<String> {
    let at = Timestamp::from_millisecond(i64::try_from(wall.0).ok()?).ok()?;
    let seconds = now.0.saturating_sub(wall.0) / 1_000;
    let ago = match seconds {
        0..120 => counted(seconds, "second"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    Some(format!("{at:.0}, {ago} ago"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_fitting_units() {
        let now = WallMs(1_760_000_000_000);
        for (before_s, expected) in [
            (1, "1 second ago"),
            (5, "5 seconds ago"),
            (600, "10 minutes ago"),
            (36_000, "10 hours ago"),
            (864_000, "10 days ago"),
        ] {
            let text = age(Some(WallMs((1_760_000_000 - before_s) * 1_000)), now);
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(age(None, now), "unknown");
        assert_eq!(age(Some(WallMs(u64::MAX)), now), "unknown");
    }
}
