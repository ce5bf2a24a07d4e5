//! A backup of what this node has captured.

use std::sync::Arc;

use acefleet_registry::WallMs;

use super::Cluster;
use crate::backup::make::make;
use crate::backup::{BackupError, BackupHeader, Made};
use crate::util::blocking;
use crate::util::span::millis;

/// Backups that are made or read at the same time. Each is a file of the data directory.
pub(super) const MOST: usize = 2;

impl Cluster {
    /// A backup of what this node has applied, which any node can make, with a leader or without. `redacted`: without what identifies people.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn backup(&self, redacted: bool) -> Result<Made, BackupError> {
        let core = &self.core;
        let room = Arc::clone(&core.backups).try_acquire_owned().map_err(|_| BackupError::Busy)?;
        let cluster_id = self.cluster_id().ok_or(BackupError::NotFormed)?;
        // The state with its place in the log: the view that readers get lacks the term and the members.
        let mut captured = core
            .raft
            .with_state_machine(|machine| {
                let captured = machine.captured();
                Box::pin(async move { captured })
            })
            .await
            .map_err(|_| BackupError::Stopping)?;
        let Some(last) = captured.meta.last_log_id else { return Err(BackupError::NotFormed) };
        let wall = |at| core.wall_of(&captured.state, at);
        let (written_ms, taken_ms): (WallMs, WallMs) = (wall(captured.state.clock_ms()), self.wall_now());
        let (own, options) = (core.identity.load(), &core.options);
        let header = BackupHeader {
            format: crate::backup::FORMAT,
            cluster_id,
            node: own.node_name.clone(),
            node_id: own.node_id,
            taken_ms,
            written_ms: Some(written_ms),
            leaderless_ms: millis(self.leaderless()),
            revision: captured.revision,
            applied_index: last.index,
            version: options.version.clone(),
            level: captured.state.level(),
            redacted,
            sha256: String::new(),
        };
        let path = core.snapshots.temporary();
        blocking(move || {
            if redacted {
                captured.state = captured.state.redacted();
            }
            make(path, &captured, |sha256| BackupHeader { sha256, ..header }, room)
        })
        .await
        .map_err(BackupError::Disk)
    }
}
