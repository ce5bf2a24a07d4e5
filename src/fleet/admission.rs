//! Can this cluster start an engine now, and if not, why. Judged by what decides reservations.

use std::time::Instant;

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::engine::EngineSpec;
use acefleet_registry::rules::hosts::{self, Candidates};
use acefleet_registry::rules::liveness::SILENT_AFTER;
use acefleet_registry::{Reserve, State};

use crate::fleet::{Blocked, Code, Fleet, provision};

/// What the status says then, and what somebody does about it when it does not pass.
const NO_LEADER: &str = "the cluster has no leader; when that does not pass, follow docs/OPERATIONS.md, \"The day the quorum is lost\"";

/// Whether an engine could be started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The general breaker.
    pub breaker: BreakerState,
    /// Why not; the first one is what a call would be refused with. Empty when an engine can be started.
    pub blocked: Vec<Blocked>,
}

impl Fleet {
    /// The hosts, sorted for a plain engine. Callers remember the answer, so only a silence of [`SILENT_AFTER`] counts here; placement
    /// passes a host over sooner. Other nodes use what the leader reports.
    #[must_use]
    pub fn candidates(&self, state: &State) -> Candidates {
        let cluster = self.cluster();
        if cluster.is_leader() {
            return hosts::live(state, &EngineSpec::acestream(), &|id| cluster.silence(id) >= SILENT_AFTER);
        }
        let (soft, now) = (self.soft(), Instant::now());
        let leader = cluster.status().leader.filter(|leader| !soft.is_suspect(*leader, now));
        let report = leader.and_then(|leader| soft.nodes.get(&leader)).map(|last| &last.report);
        // Without a leader each node knows what it sees itself.
        hosts::live(state, &EngineSpec::acestream(), &|id| match report {
            Some(report) => report.silent.contains(&id),
            None => soft.is_suspect(id, now),
        })
    }

    /// State of the general breaker.
    #[must_use]
    pub fn circuit(&self) -> BreakerState {
        self.view().state.breaker_state(BreakerKind::General, self.cluster().moment())
    }

    /// State of the breaker over replacements, which holds back no call.
    #[must_use]
    pub fn replacement_circuit(&self) -> BreakerState {
        self.view().state.breaker_state(BreakerKind::Replacement, self.cluster().moment())
    }

    /// Judged on this node's replica; never waits.
    #[must_use]
    pub fn admission(&self) -> Admission {
        let view = self.view();
        let state = &view.state;
        let now = self.cluster().moment();
        let breaker = state.breaker_state(BreakerKind::General, now);
        // Proxies ask twice a minute and refuse players until the next time: a moment without a leader is not shown.
        if self.is_leaderless() {
            let blocked = Blocked::new(Code::NoLeader, NO_LEADER.to_owned());
            return Admission { breaker, blocked: vec![blocked] };
        }
        let hosts = self.candidates(state);
        let eligible = hosts.reachable();
        let ask = Reserve { eligible, ..provision::plain(EngineSpec::acestream()) };
        let refusals = state.all_blocks(&ask, self.cluster().node_id(), now);
        Admission { breaker, blocked: Blocked::all(state, refusals, &hosts, now) }
    }
}
