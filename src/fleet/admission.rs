//! Can this cluster start an engine now, and if not, why. Judged by what decides reservations.

use acefleet_registry::Reserve;
use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::engine::EngineSpec;

use crate::fleet::{Blocked, Code, Fleet, hooks, provision};

/// Whether an engine could be started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The general breaker.
    pub breaker: BreakerState,
    /// `None` when an engine can be started.
    pub blocked: Option<Blocked>,
}

impl Fleet {
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
        let eligible = hooks::eligible(state, |_| false);
        let ask = Reserve { eligible, ..provision::plain(EngineSpec::acestream()) };
        let refusal = state.blocked(&ask, self.cluster().node_id(), now);
        Admission { breaker, blocked: refusal.map(|refusal| Blocked::refused(state, refusal, now)) }
    }
}
