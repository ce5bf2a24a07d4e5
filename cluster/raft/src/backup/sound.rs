//! Whether a cluster can begin from a backup. `backup verify` says it and `restore` goes by it, so it is judged here alone. The bytes are those that were
//! written: what is judged is what somebody made of them, or a fault of the node that did.

use std::collections::BTreeSet;

use acefleet_registry::Level;

use super::file::Backup;
use crate::types::{LogId, Membership};

/// Log entries that a cluster without any clock has not written behind a backup: a thousand a second for fifty days.
const PASSED_OVER: u64 = 1 << 32;
/// Revisions begin below, so that clients which take them for floating-point numbers can count on for long.
pub(crate) const BEGIN_MAX: u64 = 1 << 52;
/// Times of day are before it, so that their microseconds are such revisions: in the year 2112.
const WALL_MAX_MS: u64 = BEGIN_MAX / 1_000;
/// Ids of members and terms are below it.
const NUMBERS_MAX: u64 = 1 << 53;

/// Why no cluster can begin from a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// What would be needed is not in it.
    #[error(
        "no cluster can be restored from this backup, as what identifies people was taken out: take one that was made without --redact"
    )]
    Redacted,
    /// Its state may hold what this program does not understand.
    #[error(
        "its cluster used commands of level {level}, and acefleet {} knows those from {} to {}: restore it with acefleet {version} or a later version",
        env!("CARGO_PKG_VERSION"), Level::FIRST, Level::CURRENT
    )]
    Level {
        /// The level of the state.
        level: Level,
        /// The version that made it, as it says.
        version: String,
    },
    /// Its cluster has no id that a cluster can have.
    #[error("{0:?} is not the id of a cluster: take a backup that acefleet made and nobody has changed")]
    Cluster(String),
    /// Header and state are not of one moment.
    #[error(
        "what its header says of the {0} is not what its state says: take a backup that nobody has changed"
    )]
    OtherHeader(&'static str),
    /// No cluster can have these members.
    #[error("no cluster has had its members: {0}. Take a backup that nobody has changed")]
    Members(#[from] BadMembers),
    /// What follows could not be counted.
    #[error("a number in it is not believable: {what} {number}. Take a backup that nobody has changed")]
    Number {
        /// What it counts.
        what: &'static str,
        /// The number.
        number: u64,
    },
    /// The state contradicts itself.
    #[error(
        "its bytes are those that were written, but the state breaks a rule: {0}. The node that made it has or had a fault. Take an older backup; if there \
         is none, restore with --broken"
    )]
    Rule(String),
}

/// Why no cluster can have these members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMembers {
    /// Nobody could decide anything.
    #[error("nobody votes")]
    NoVoters,
    /// A voter without a name and an address.
    #[error("nothing is known of the voter {0}")]
    Unknown(u64),
    /// A node's id is not 0, and below 2⁵³.
    #[error("{0} is not the id of a node")]
    Id(u64),
    /// Members are told apart by their names.
    #[error("{0:?} is no name, or that of two members")]
    Name(String),
    /// They became members behind the end of the log, or without an entry of it.
    #[error("they are newer than the state")]
    Newer,
}

/// A backup from which a cluster can begin.
#[derive(Clone, Debug)]
pub struct Restorable {
    backup: Backup,
    last: LogId,
}

impl Backup {
    /// Whether a cluster can begin from it.
    ///
    /// # Errors
    /// Why not: the first thing that was found.
    pub fn sound(&self) -> Result<(), Unsound> {
        self.last_entry()?;
        self.state.check().map_err(Unsound::Rule)?;
        self.whole()
    }

    /// The same backup, known to be sound.
    ///
    /// # Errors
    /// As [`Backup::sound`].
    pub fn restorable(self) -> Result<Restorable, Unsound> {
        self.sound()?;
        self.despite_rules()
    }

    /// The same, even if its state contradicts itself: for those who have no other backup.
    ///
    /// # Errors
    /// As [`Backup::sound`], but never [`Unsound::Rule`].
    pub fn despite_rules(self) -> Result<Restorable, Unsound> {
        let last = self.last_entry()?;
        self.whole()?;
        Ok(Restorable { backup: self, last })
    }

    /// The entry with which its log ended, if a log can go on from it.
    fn last_entry(&self) -> Result<LogId, Unsound> {
        let Self { header, state, meta } = self;
        let level = state.level();
        if !(Level::FIRST..=Level::CURRENT).contains(&level) {
            return Err(Unsound::Level { level, version: header.version.clone() });
        }
        if header.level != level {
            return Err(Unsound::OtherHeader("level"));
        }
        if uuid::Uuid::try_parse(&header.cluster_id).is_err() {
            return Err(Unsound::Cluster(header.cluster_id.clone()));
        }
        let last = meta.last_log_id.ok_or(Unsound::OtherHeader("log"))?;
        let number = |what, number, limit| match number < limit {
            true => Ok(()),
            false => Err(Unsound::Number { what, number }),
        };
        number("index", last.index, BEGIN_MAX - PASSED_OVER)?;
        // Every revision is the index of an entry.
        number("revision", header.revision, last.index.saturating_add(1))?;
        number("term", last.leader_id.term, NUMBERS_MAX)?;
        number("time of day", header.taken_ms.0, WALL_MAX_MS)?;
        let wall = state.wall(state.clock_ms()).map_or(0, |wall| wall.0);
        number("time of day of the newest write", wall, WALL_MAX_MS)?;
        if let Some((what, number)) = state.cannot_go_on() {
            return Err(Unsound::Number { what, number });
        }
        members(meta.last_membership.membership())?;
        let is_newer = |since: LogId| since > last || since.index > last.index;
        if meta.last_membership.log_id().is_none_or(is_newer) {
            return Err(BadMembers::Newer.into());
        }
        Ok(last)
    }

    fn whole(&self) -> Result<(), Unsound> {
        if self.header.redacted { Err(Unsound::Redacted) } else { Ok(()) }
    }
}

impl Restorable {
    /// What is in it.
    #[must_use]
    pub fn backup(&self) -> &Backup {
        &self.backup
    }

    pub(crate) fn into_parts(self) -> (Backup, LogId) {
        (self.backup, self.last)
    }

    /// The first revision of a new cluster, given the host's time of day in milliseconds: greater than any that the cluster of the backup, or one that
    /// was restored from it before, has answered. Microseconds go on faster than writes; where the clock is behind, a fixed step has to do.
    pub(crate) fn first_revision(&self, now_ms: u64) -> u64 {
        let believable = Some(now_ms).filter(|now| *now < WALL_MAX_MS).unwrap_or_default();
        let by_time = believable.max(self.backup.header.taken_ms.0).saturating_mul(1_000);
        by_time.max(self.last.index.saturating_add(PASSED_OVER))
    }
}

/// Whether a cluster can have these members.
fn members(members: &Membership) -> Result<(), BadMembers> {
    let configs = members.get_joint_config();
    if configs.is_empty() || configs.iter().any(BTreeSet::is_empty) {
        return Err(BadMembers::NoVoters);
    }
    let unknown = members.voter_ids().find(|voter| members.get_node(voter).is_none());
    unknown.map_or(Ok(()), |voter| Err(BadMembers::Unknown(voter)))?;
    let mut names = BTreeSet::new();
    for (id, member) in members.nodes() {
        if *id == 0 || *id >= NUMBERS_MAX {
            return Err(BadMembers::Id(*id));
        }
        if member.name.is_empty() || !names.insert(&member.name) {
            return Err(BadMembers::Name(member.name.clone()));
        }
    }
    Ok(())
}
