//! Can this cluster start an engine now, and if not, why. The same order of reasons as in the contract.

use std::collections::BTreeSet;

use acefleet_registry::NodeId;
use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::engine::EngineSpec;
use acefleet_registry::node::DockerState;
use acefleet_registry::placement::{self, Load};

use crate::fleet::Fleet;

/// Seconds after which an election or a Docker restart is usually over.
const SOON_S: u64 = 2;
/// The same for a VPN.
const VPN_S: u64 = 60;

/// Why provisioning is blocked, in the words of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// `no_leader`, `no_settings`, `docker_unavailable`, `vpn_disconnected`, `image_missing`, `network_missing`, `circuit_breaker` or
    /// `max_capacity`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Seconds until it is probably over.
    pub eta_s: Option<u64>,
    /// A retry before that may succeed.
    pub can_retry: bool,
    /// The caller should wait rather than give up.
    pub should_wait: bool,
}

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
        let live = state.engine_count();
        let policy = state.policy();
        let hosts: BTreeSet<NodeId> = state.docker_hosts().filter(|id| state.takes_engines(*id)).collect();
        let block = |code, message, eta_s, can_retry| {
            Some(Blocked { code, message, eta_s, can_retry, should_wait: true })
        };
        // Proxies ask twice a minute and refuse players until the next time: a moment without a leader must not be told.
        let blocked = if self.is_leaderless() {
            block("no_leader", "the cluster has no leader".to_owned(), Some(SOON_S), true)
        } else if !state.has_policy() {
            block(
                "no_settings",
                "the settings of the cluster are not in force yet".to_owned(),
                Some(SOON_S),
                true,
            )
        } else if state.docker_hosts().next().is_none() {
            block("docker_unavailable", self.docker_reason(), Some(SOON_S), true)
        } else if let Some(message) = state.no_tunnel(&hosts) {
            block("vpn_disconnected", message, Some(VPN_S), true)
        } else if let Some((lack, lacking)) = state.lacking_everywhere(&hosts, &EngineSpec::acestream()) {
            let eta_s = lacking.rest_left_ms(now).div_ceil(1000).max(SOON_S);
            block(lack.cause(), lacking.message.clone(), Some(eta_s), true)
        } else if breaker == BreakerState::Open
            || breaker == BreakerState::HalfOpen && state.is_reserving(BreakerKind::General)
        {
            let (record, breaker_policy) = state.breaker(BreakerKind::General);
            let eta_s = record.recovery_left_ms(breaker_policy, now).div_ceil(1000);
            let message = format!("provisioning pauses after {}", record.story());
            block("circuit_breaker", message, Some(eta_s), breaker == BreakerState::HalfOpen)
        } else if live >= policy.max_replicas && state.spare_engines(&hosts) == 0 {
            let message = format!("{live} engines exist, MAX_REPLICAS is {}", policy.max_replicas);
            block("max_capacity", message, policy.auto_delete.then_some(policy.grace_ms / 1000), false)
        } else if !hosts.is_empty()
            && !placement::loads(state, &hosts).iter().any(Load::has_room)
            && state.spare_engines(&hosts) == 0
        {
            let message = "all hosts run as many engines as their ACEFLEET_CAPACITY allows".to_owned();
            block("max_capacity", message, policy.auto_delete.then_some(policy.grace_ms / 1000), false)
        } else {
            None
        };
        Admission { breaker, blocked }
    }

    fn docker_reason(&self) -> String {
        let view = self.view();
        let reasons: Vec<String> = view
            .state
            .nodes()
            .filter_map(|node| match &node.docker {
                DockerState::Unavailable(why) => Some(format!("{}: {why}", node.info.name)),
                DockerState::Unknown | DockerState::Available => None,
            })
            .collect();
        match reasons.is_empty() {
            true => "no host has said yet that its Docker daemon answers".to_owned(),
            false => format!("no Docker daemon answers ({})", reasons.join("; ")),
        }
    }
}
