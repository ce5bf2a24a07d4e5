//! How far a node has come, as it tells the others, and what of it can never be gone again.

use serde::{Deserialize, Serialize};

use super::entry::{IdRecord, VoteRecord};
use super::position::Position;
use crate::types::{LogId, Vote};

/// What a node would still know after the power went this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its vote: term, candidate, and whether a majority gave it.
    pub vote: Option<Vote>,
    /// Its newest log entry.
    pub last: Option<LogId>,
    /// The newest of its entries that it knew to be committed: no leader ever takes that back.
    pub committed: Option<LogId>,
}

/// What a node has forgotten: what it had told, and what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It voted, and may vote again in the same term.
    Vote { told: Option<Vote>, has: Option<Vote> },
    /// It stored entries which it has no more.
    Entries { told: Option<LogId>, has: Option<LogId> },
}

impl Standing {
    /// That of a store whose snapshot ends at `snapshot`.
    pub fn new(position: &Position, snapshot: Option<LogId>) -> Self {
        let last = position.last.max(snapshot);
        // The commit mark is written apart from the entries.
        let committed = position.committed.filter(|committed| Some(*committed) <= last).max(snapshot);
        Self { vote: position.vote, last, committed }
    }

    /// Takes in what the same node told, in whatever order it arrives: nothing that it ever had is let go.
    pub fn learn(&mut self, told: &Self) {
        if told.vote > self.vote {
            (self.vote, self.last) = (told.vote, told.last);
        } else if told.vote == self.vote {
            self.last = self.last.max(told.last);
        }
        self.committed = self.committed.max(told.committed);
    }

    /// What a node that stands here has forgotten of what it once told.
    ///
    /// A later leader may rightly have replaced entries that were not committed. What stays is: votes only rise; committed
    /// entries are never replaced; and while the vote stays the same, no entry of that vote's leader is.
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
