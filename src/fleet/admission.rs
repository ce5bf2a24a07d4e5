//! Can this cluster start an engine now, and if not, why. The same order of reasons as in the contract.

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::engine::EngineSpec;
use acefleet_registry::node::DockerState;
use acefleet_registry::{Refusal, RefusalCode, Reserve, State};

use crate::fleet::{Fleet, hooks, provision};

/// Seconds after which an election or a Docker restart is usually over.
const SOON_S: u64 = 2;
/// The same for a VPN.
const VPN_S: u64 = 60;

/// Why provisioning is blocked, in the words of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// `no_leader`, `no_settings`, `docker_unavailable`, `no_host`, `vpn_disconnected`, `image_missing`, `network_missing`,
    /// `no_free_ports`, `registry_full`, `circuit_breaker` or `max_capacity`.
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

impl Blocked {
    fn until(code: &'static str, message: String, eta_s: Option<u64>, can_retry: bool) -> Self {
        Self { code, message, eta_s, can_retry, should_wait: true }
    }
}

impl Fleet {
    /// Judged on this node's replica, by what decides reservations; never waits.
    #[must_use]
    pub fn admission(&self) -> Admission {
        let view = self.view();
        let state = &view.state;
        let now = self.cluster().moment();
        let breaker = state.breaker_state(BreakerKind::General, now);
        // Proxies ask twice a minute and refuse players until the next time: a moment without a leader must not be told.
        if self.is_leaderless() {
            let message = "the cluster has no leader".to_owned();
            let blocked = Blocked::until("no_leader", message, Some(SOON_S), true);
            return Admission { breaker, blocked: Some(blocked) };
        }
        let hosts = hooks::eligible(state, |_| false);
        let ask = Reserve { eligible: hosts.clone(), ..provision::plain(EngineSpec::acestream()) };
        let refusal = state.refusal(&ask, self.cluster().node_id(), now);
        let blocked = match refusal {
            Some(refusal) => Some(self.blocked(state, refusal, breaker)),
            // It is tried now and then, and in vain as long as nobody has seen what is missing.
            None => state.lacking_everywhere(&hosts, &ask.spec).map(|(lack, lacking)| {
                let eta_s = lacking.rest_left_ms(now).div_ceil(1000).max(SOON_S);
                Blocked::until(lack.cause(), lacking.message.clone(), Some(eta_s), true)
            }),
        };
        Admission { breaker, blocked }
    }

    fn blocked(&self, state: &State, refusal: Refusal, breaker: BreakerState) -> Blocked {
        let Refusal { code, message, retry_after_s } = refusal;
        let soon = |otherwise| Some(retry_after_s.unwrap_or(otherwise));
        if code != RefusalCode::NoSettings && state.docker_hosts().next().is_none() {
            return Blocked::until("docker_unavailable", self.docker_reason(), Some(SOON_S), true);
        }
        match code {
            RefusalCode::NoSettings => Blocked::until("no_settings", message, soon(SOON_S), true),
            RefusalCode::MaxCapacity => Blocked::until("max_capacity", message, retry_after_s, false),
            RefusalCode::NoFreePorts => Blocked::until("no_free_ports", message, retry_after_s, false),
            RefusalCode::VpnDisconnected => Blocked::until("vpn_disconnected", message, soon(VPN_S), true),
            RefusalCode::ImageMissing => Blocked::until("image_missing", message, soon(SOON_S), true),
            RefusalCode::NetworkMissing => Blocked::until("network_missing", message, soon(SOON_S), true),
            RefusalCode::CircuitBreaker => {
                let probes = breaker == BreakerState::HalfOpen;
                Blocked::until("circuit_breaker", message, soon(SOON_S), probes)
            }
            RefusalCode::NoRoom => Blocked::until("registry_full", message, soon(SOON_S), true),
            RefusalCode::NoHost => Blocked::until("no_host", message, soon(SOON_S), true),
            // A plain engine has no port of its own and replaces nothing.
            RefusalCode::PortTaken
            | RefusalCode::NotFound
            | RefusalCode::WrongPhase
            | RefusalCode::NotIdle => Blocked::until("general_error", message, retry_after_s, false),
        }
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
