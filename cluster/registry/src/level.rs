//! Which commands a program knows. A node that meets an entry it does not know must stop, so a command is written only when all
//! members know it.
//!
//! What was known before the first release is [`Level::FIRST`]: data directories and protocols of earlier programs are refused.
//!
//! To add a command: give its variant in [`Command`] a line in [`Command::level`], with a constant of its own and never [`Level::CURRENT`], which
//! moves on with the next release. Raise
//! [`Level::CURRENT`] by one only with the first command after a release; those of one release share their level. A new field
//! in an old command needs the same care when a node that skips it would come to another state: let [`Command::level`] look at
//! the field. The same goes for everything that `apply` writes in answer to an old command, texts for people included: replicas of one
//! level compare digests of their states ([`crate::digest`]), and a node that words one event otherwise is outvoted and ends. The
//! golden digests in `tests/registry/digests.rs` show such a change: raise the level, unless no release has the present one. The rest follows: each node tells its level with every call and answer, the leader writes
//! [`Command::RaiseLevel`] once all members have told a higher one, and refuses commands above the level in the state. That
//! level is replicated and never sinks, so a member that is away keeps nobody from what was allowed before. A node below it is
//! not taken in, and one that finds itself below it stops.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::command::{Command, StopWhen};
use crate::records::node::{DockerState, Wanted};
use crate::records::policy::Policy;
use crate::state::State;

/// How much a program knows: it applies every command up to its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Level(pub u32);

impl Level {
    /// What programs know that have never raised the level of their cluster: all that came before the first release.
    pub const FIRST: Self = Self(1);
    /// What the first release after it knows.
    pub const SECOND: Self = Self(2);
    /// From here on a host that lacks the image is none that could have taken the engine that failed on another.
    pub const LACKING_IS_UNSOUND: Self = Self(2);
    /// From here on the engines of a host that is down are kept for streams whose end nobody has seen.
    pub const DOUBTS_WHILE_DOWN: Self = Self(2);
    /// From here on an unlisted engine counts against the maximum only if it can be listed again.
    pub const COUNTS_WHAT_IS_AT_HAND: Self = Self(2);
    /// From here on an engine that fails its health checks is taken from clients and replaced.
    pub const REPLACES_UNHEALTHY: Self = Self(2);
    /// From here on a caller gets an idle engine where there is no room for another.
    pub const HANDS_OUT_IDLE: Self = Self(2);
    /// From here on an engine that a caller is given is marked.
    pub const MARKS_HAND_OUTS: Self = Self(2);
    /// From here on callers get engines in their order, and are told when by what starts took.
    pub const QUEUES_CALLERS: Self = Self(2);
    /// From here on a start on an engine that has ended is over, and an end that came first ends only its own session, or what no
    /// engine can be asked about.
    pub const LATE_STARTS_ARE_TOLD_APART: Self = Self(2);
    /// From here on a failure counts against one of the things that starts share, also when the engine ran for less than a minute.
    pub const COUNTS_YOUNG_ENDS: Self = Self(2);
    /// From here on the engines of a host that answers no member are given up before it is down.
    pub const GIVES_UP_LOST_ENGINES: Self = Self(2);
    /// From here on the fullest host can be a floor of free engines.
    pub const SPARES_FOR_HOST: Self = Self(2);
    /// From here on a host lists streams that no event reports.
    pub const FINDS_STREAMS: Self = Self(2);
    /// From here on an engine that is to stop for want of use stays if a client comes before its host begins with that.
    pub const KEEPS_VISITED: Self = Self(2);
    /// From here on a session that gives way to another under its id leaves a record, which its engine may contradict.
    pub const KEEPS_SUPERSEDED: Self = Self(2);
    /// From here on an engine that is being started lets no other one leave for want of use.
    pub const KEEPS_WHAT_IS_READY: Self = Self(2);
    /// From here on engines that ran before a long outage of their VPN are replaced when it is connected again.
    pub const RENEWS_ENGINES: Self = Self(2);
    /// From here on an engine that is found, or comes with a node's new id, has no forwarded port that another one has.
    pub const ONE_FORWARDED: Self = Self(2);
    /// From here on an engine that was given to nobody is listed when it has answered.
    pub const LISTS_WHAT_ANSWERS: Self = Self(2);
    /// From here on an engine with an old forwarded port, or from before its tunnel, leaves when its replacement answers.
    pub const REPLACES_BEFORE_LEAVING: Self = Self(2);
    /// From here on the replacement for a new port or tunnel is made behind the same VPN.
    pub const RENEWS_BEHIND_ITS_VPN: Self = Self(2);
    /// From here on an engine is replaced for a forwarded port that no engine has, and one whose port is back is listed again.
    pub const PASSES_PORTS_ON: Self = Self(2);
    /// From here on an engine that a VPN hides lets no other one leave for want of use.
    pub const COUNTS_WHAT_IS_SEEN: Self = Self(2);
    /// From here on an engine leaves a floor of free ones to others that have been free for as long.
    pub const KEEPS_FREE_ONES: Self = Self(2);
    /// From here on a VPN that was down lately is the last one to get new engines.
    pub const RESTS_VPNS: Self = Self(2);
    /// From here on an engine behind a VPN that stays down counts in no floor.
    pub const GIVES_UP_BEHIND_VPNS: Self = Self(2);
    /// From here on an open breaker lets one start through after each pause while nothing of a floor runs.
    pub const TRIES_FOR_EMPTY_FLOORS: Self = Self(2);
    /// From here on events about streams push no others out of the log.
    pub const KEEPS_MORE_EVENTS: Self = Self(2);
    /// From here on events say who made a change, and what they are about.
    pub const NAMES_ACTORS: Self = Self(2);
    /// From here on the log says who leads, and operators choose who does.
    pub const NOTES_LEADERS: Self = Self(2);
    /// From here on callers have engines replaced.
    pub const REPLACES_ON_DEMAND: Self = Self(2);
    /// From here on the settings belong to the cluster: a leader writes its own once, and then they are changed by command.
    pub const OWNS_SETTINGS: Self = Self(2);
    /// From here on a refusal for want of room names the setting that bounds each host.
    pub const NAMES_BOUNDS: Self = Self(2);
    /// From here on members show keys of their own, and the cluster notes them.
    pub const NODE_KEYS: Self = Self(3);
    /// From here on there are named keys, and who made a change with one is called by its name.
    pub const NAMED_KEYS: Self = Self(3);
    /// From here on nodes join with tokens.
    pub const JOIN_TOKENS: Self = Self(3);
    /// From here on the log notes who took a backup.
    pub const NOTES_BACKUPS: Self = Self(3);
    /// From here on who made a change may be a user whom a proxy has signed in.
    pub const NAMES_USERS: Self = Self(3);
    /// From here on nodes say whether their API speaks TLS.
    pub const API_SCHEMES: Self = Self(3);
    /// From here on the log says who removed a member.
    pub const NOTES_REMOVALS: Self = Self(3);
    /// From here on a node ends a drain by itself when it has been started again, where that is wanted.
    pub const RETURNS: Self = Self(3);
    /// From here on clients get a place on an engine before they play.
    pub const SEATS: Self = Self(3);
    /// What this program knows.
    pub const CURRENT: Self = Self(3);
}

impl Default for Level {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Command {
    /// The lowest level of a program that knows this command.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::NodeDocker { docker: DockerState::Stopping, .. }
            | Self::NodeReplaced { .. }
            | Self::StreamSilence { .. } => Level::SECOND,
            Self::NodeUp(info) if !info.scheme.is_http() => Level::API_SCHEMES,
            Self::NodeUnavailable { .. } => Level::GIVES_UP_LOST_ENGINES,
            Self::StreamsSeen { .. } => Level::FINDS_STREAMS,
            Self::EngineHealth { fault: Some(_), .. } => Level::REPLACES_UNHEALTHY,
            Self::VpnChanged { renew: true, .. } => Level::RENEWS_ENGINES,
            Self::Leads { .. } | Self::LeadWanted { .. } => Level::NOTES_LEADERS,
            Self::EngineStop { when: StopWhen::Replaced, .. } => Level::REPLACES_ON_DEMAND,
            Self::ChangeSettings(_) => Level::OWNS_SETTINGS,
            Self::CreateKey(_) | Self::RevokeKey { .. } => Level::NAMED_KEYS,
            Self::CreateJoinToken(_) | Self::UseJoinToken(_) | Self::RevokeJoinToken { .. } => {
                Level::JOIN_TOKENS
            }
            Self::Select(_) | Self::ReleaseSeat { .. } => Level::SEATS,
            Self::BackupTaken { .. } => Level::NOTES_BACKUPS,
            Self::RemovalWanted { .. } => Level::NOTES_REMOVALS,
            Self::NodeReturned { .. }
            | Self::NodeAvailability { availability: Wanted::Draining { returns: true, .. }, .. } => {
                Level::RETURNS
            }
            Self::SetPolicy(policy) if policy.down_after_ms != Policy::default().down_after_ms => {
                Level::OWNS_SETTINGS
            }
            Self::SetPolicy(policy) if policy.spare_for_host => Level::SPARES_FOR_HOST,
            Self::NodeUp(_)
            | Self::NodeDocker { .. }
            | Self::NodeAvailability { .. }
            | Self::NodeDown { .. }
            | Self::SetPolicy(_)
            | Self::Reserve(_)
            | Self::Conflict { .. }
            | Self::EngineStarted { .. }
            | Self::EngineFailed { .. }
            | Self::EngineHealth { .. }
            | Self::EngineStop { .. }
            | Self::EngineGone { .. }
            | Self::Adopt(_)
            | Self::Abandon { .. }
            | Self::StreamStarted(_)
            | Self::StreamEnded(_)
            | Self::EventBatch { .. }
            | Self::ResetBreaker(_)
            | Self::NodeRemoved { .. }
            | Self::VpnChanged { .. }
            | Self::Recovered { .. }
            | Self::WallCorrected { .. }
            | Self::SetAccess(_)
            | Self::EngineLacks { .. }
            | Self::Found { .. } => Level::FIRST,
            Self::Sequence(steps) => {
                steps.iter().map(|step| step.command.level()).max().unwrap_or(Level::FIRST)
            }
            // Written when all members know it already.
            Self::RaiseLevel(_) => Level::FIRST,
        }
    }
}

impl State {
    /// The highest level of commands that all members know.
    #[must_use]
    pub fn level(&self) -> Level {
        self.tables.level
    }

    /// The write that raises the level, given the levels of all members; none when there is nothing to raise. A member that has
    /// not told its level since this leader started keeps it where it is.
    #[must_use]
    pub fn raise_level(&self, members: impl IntoIterator<Item = Option<Level>>) -> Option<Command> {
        let mut lowest = Level::CURRENT;
        for told in members {
            lowest = lowest.min(told?);
        }
        (lowest > self.level()).then_some(Command::RaiseLevel(lowest))
    }
}
