//! Can this cluster start an engine now, and if not, why. Judged by what decides reservations.

use std::time::Duration;

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::engine::EngineSpec;
use acefleet_registry::rules::hosts::Candidates;
use acefleet_registry::{Reserve, State};

use crate::fleet::{Blocked, Code, Fleet, hooks, provision};

/// A host that has been silent for so long is not expected back in a moment.
const LASTING_SILENCE: Duration = Duration::from_secs(2);

/// Whether an engine could be started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The general breaker.
    pub breaker: BreakerState,
    /// `None` when an engine can be started.
    pub blocked: Option<Blocked>,
}

impl Fleet {
    /// The hosts, sorted for a plain engine. The leader passes over a host at the first sign of silence; whoever asks here remembers
    /// the answer for longer than such a moment lasts, so only a silence that lasts counts. Other nodes may hear less than the
    /// leader, and believe what it has written.
    #[must_use]
    pub fn candidates(&self, state: &State) -> Candidates {
        let cluster = self.cluster();
        let leads = cluster.is_leader();
        hooks::candidates(state, &|id| leads && cluster.silence(id) >= LASTING_SILENCE)
    }

    /// Judged on this node's replica; never waits.
    #[must_use]
    pub fn admission(&self) -> Admission {
        let view = self.view();
        let state = &view.state;
        let now = self.cluster().moment();
        let breaker = state.breaker_state(BreakerKind::General, now);
        // Proxies ask twice a minute and refuse players until the next time: a moment without a leader must not be told.
        if self.is_leaderless() {
            let blocked = Blocked::new(Code::NoLeader, "the cluster has no leader".to_owned());
            return Admission { breaker, blocked: Some(blocked) };
        }
        let hosts = self.candidates(state);
        let eligible = hosts.reachable();
        let ask = Reserve { eligible, ..provision::plain(EngineSpec::acestream()) };
        let refusal = state.blocked(&ask, self.cluster().node_id(), now);
        Admission { breaker, blocked: refusal.map(|refusal| Blocked::refused(state, refusal, &hosts, now)) }
    }
}
