//! The standing of a node: its position as it tells others, and what of it cannot be lost rightly.

use serde::{Deserialize, Serialize};

use super::entry::{IdRecord, VoteRecord};
use super::position::Position;
use crate::types::{LogId, Vote};

/// What a node still knows after a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its vote: term, candidate, and whether a majority gave it.
    pub vote: Option<Vote>,
    /// Its newest log entry.
    pub last: Option<LogId>,
    /// Its newest entry known to be committed: no leader takes it back.
    pub committed: Option<LogId>,
}

/// What was lost: what the node told, and what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its vote: it may vote again in the same term.
    Vote { told: Option<Vote>, has: Option<Vote> },
    /// Stored entries.
    Entries { told: Option<LogId>, has: Option<LogId> },
}

impl Standing {
    /// Standing of a store with a snapshot up to `snapshot`.
    pub fn new(position: &Position, snapshot: Option<LogId>) -> Self {
        let last = position.last.max(snapshot);
        // The commit mark is written apart from the entries.
        let committed = position.committed.filter(|committed| Some(*committed) <= last).max(snapshot);
        Self { vote: position.vote, last, committed }
    }

    /// Merges what the same node told, in any order.
    pub fn learn(&mut self, told: &Self) {
        if told.vote > self.vote {
            (self.vote, self.last) = (told.vote, told.last);
        } else if told.vote == self.vote {
            self.last = self.last.max(told.last);
        }
        self.committed = self.committed.max(told.committed);
    }

    /// What a node with this standing has lost of what it told.
    ///
    /// A later leader may replace uncommitted entries. But votes only rise, committed entries stay, and under one vote so do
    /// entries of its leader.
    pub fn lost(&self, told: &Self) -> Option<Lost> {
        if self.vote < told.vote {
            return Some(Lost::Vote { told: told.vote, has: self.vote });
        }
        let leader = |standing: &Self| standing.vote.map(|vote| vote.leader_id);
        let kept = leader(self) == leader(told);
        let under_it = told.last.filter(|last| kept && Some(last.leader_id) == leader(told));
        let least = told.committed.max(under_it);
        (self.last < least).then_some(Lost::Entries { told: least, has: self.last })
    }
}

/// The form in the store.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StandingRecord {
    node: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vote: Option<VoteRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<IdRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committed: Option<IdRecord>,
}

impl StandingRecord {
    pub fn of(node: u64, standing: &Standing) -> Self {
        Self {
            node,
            vote: standing.vote.as_ref().map(VoteRecord::from),
            last: standing.last.as_ref().map(IdRecord::from),
            committed: standing.committed.as_ref().map(IdRecord::from),
        }
    }
}

impl From<StandingRecord> for (u64, Standing) {
    fn from(record: StandingRecord) -> Self {
        let StandingRecord { node, vote, last, committed } = record;
        let standing = Standing {
            vote: vote.map(Into::into),
            last: last.map(Into::into),
            committed: committed.map(Into::into),
        };
        (node, standing)
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
