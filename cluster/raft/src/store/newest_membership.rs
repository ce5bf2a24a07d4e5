//! The members as the newest entry of this disk has them, committed or not.

use std::io;

use openraft::EntryPayload;

use super::log::LogStore;
use crate::types::{LogId, Membership};

/// Bytes of entries that are read at once.
const PIECE: usize = 4 << 20;

impl LogStore {
    /// The members, given those of the state, whose last entry is `applied`. Reads the log behind it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn newest_membership(&self, applied: Option<LogId>, of_state: &Membership) -> io::Result<Membership> {
        let mut membership = of_state.clone();
        let mut next = applied.map_or(0, |id| id.index + 1);
        let Some(last) = self.last_entry()? else { return Ok(membership) };
        while next <= last.index {
            let piece = self.read(next, last.index + 1, PIECE)?;
            let Some(newest) = piece.last() else { break };
            next = newest.log_id.index + 1;
            let newer = piece.into_iter().rev().find_map(|entry| match entry.payload {
                EntryPayload::Membership(newer) => Some(newer),
                EntryPayload::Blank | EntryPayload::Normal(_) => None,
            });
            membership = newer.unwrap_or(membership);
        }
        Ok(membership)
    }
}
