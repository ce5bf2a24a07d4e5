//! Lets this node take part once its disk was compared.

use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use crate::replica::core::Core;
use crate::replica::trust::Trust;

impl Core {
    /// Lets this node take part, unless its disk has lost data.
    pub fn take_part(&self) {
        self.inquired.store(true, Ordering::Relaxed);
        self.trust.send_if_modified(|state| {
            let waits = *state == Trust::Waiting;
            if waits {
                *state = Trust::Sound;
            }
            waits
        });
        if *self.trust.borrow() == Trust::Sound {
            self.raft.runtime_config().elect(true);
        }
    }

    /// Whether this node leads and a majority has confirmed it lately.
    pub fn leads_with_majority(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let alone = metrics.membership_config.voter_ids().count() <= 1;
        let lease = Duration::from_millis(self.options.timing.election_max_ms);
        let confirmed = metrics.last_quorum_acked.is_some_and(|acked| acked.elapsed() <= lease);
        metrics.state.is_leader() && (alone || confirmed)
    }
}
