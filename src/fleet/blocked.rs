//! Why something is not done, and what a caller should do. Answers to calls and the status use this one table.

use std::borrow::Cow;

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::node::DockerState;
use acefleet_registry::rules::hosts::{Candidates, Obstacle};
use acefleet_registry::{Elapsed, NodeId, Refusal, State};

use crate::fleet::Code;

/// Seconds after which a node that is busy or late has gone on.
const MOMENT_S: u64 = 1;
/// Seconds after which an election or a Docker restart is usually over. Callers block their players for longer than the estimates
/// here.
const SOON_S: u64 = 2;
/// The same for what has no better estimate.
const LATER_S: u64 = 5;
/// The same for a member that has to be upgraded or started, and for a state that has to be stored.
const MEMBER_S: u64 = 10;
/// The same for a VPN.
const VPN_S: u64 = 60;

/// Why something is not done, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// For machines.
    pub code: Code,
    /// For people.
    pub message: String,
    /// Seconds until it is probably over; none where waiting does not help.
    pub eta_s: Option<u64>,
    /// A retry before that may succeed.
    pub can_retry: bool,
    /// The caller should wait rather than give up.
    pub should_wait: bool,
}

impl Blocked {
    /// A blocked reason with its usual estimate.
    #[must_use]
    pub fn new(code: Code, message: String) -> Self {
        let (usual_s, can_retry) = match &code {
            Code::Behind | Code::Busy | Code::UnknownOutcome => (Some(MOMENT_S), true),
            Code::NoLeader
            | Code::NoQuorum
            | Code::NotFormed
            | Code::ShuttingDown
            | Code::NoSettings
            | Code::DockerUnavailable
            | Code::NoHost
            | Code::Pending
            | Code::OutboxFull
            | Code::OwnerUnreachable
            | Code::Failed(_) => (Some(SOON_S), true),
            Code::HeldBack => (Some(MEMBER_S), true),
            Code::VpnDisconnected | Code::VpnError => (Some(VPN_S), true),
            Code::NetworkMissing | Code::ImagePulling | Code::RegistryFull => (Some(LATER_S), true),
            // The caller that is told so knows the time.
            Code::RateLimited => (Some(MOMENT_S), false),
            Code::MaxCapacity | Code::NoFreePorts | Code::CircuitBreaker => (Some(LATER_S), false),
            Code::ImageMissing
            | Code::NotAllowed
            | Code::PortTaken
            | Code::NotStored
            | Code::Internal
            | Code::SessionOver
            | Code::GeneralError => (None, false),
        };
        Self { code, message, eta_s: usual_s, can_retry, should_wait: usual_s.is_some() }
    }

    /// What these refusals mean now: what a call is refused with, then everything else.
    pub(crate) fn all(state: &State, refusals: Vec<Refusal>, hosts: &Candidates, now: Elapsed) -> Vec<Self> {
        let Some(first) = refusals.first() else { return Vec::new() };
        let first = Self::refused(state, first.clone(), hosts, now);
        let mut each = vec![first];
        for blocked in refusals.into_iter().map(|refusal| Self::plain(state, refusal, hosts, now)) {
            // Without any Docker no host takes engines: it is the same reason.
            if blocked.code == Code::NoHost && each[0].code == Code::DockerUnavailable {
                continue;
            }
            if each.iter().all(|known| known.code != blocked.code) {
                each.push(blocked);
            }
        }
        each
    }

    /// What this refusal means now, with the hosts in this state.
    #[must_use]
    pub fn refused(state: &State, refusal: Refusal, hosts: &Candidates, now: Elapsed) -> Self {
        let code = Code::from(refusal.code);
        // Whatever else is wrong too: it can be known only of hosts that answer.
        let of_hosts = Code::OF_STATUS.contains(&code) && code != Code::NoSettings;
        if of_hosts && state.docker_hosts().next().is_none() {
            return Self::new(Code::DockerUnavailable, docker_reason(state));
        }
        Self::plain(state, refusal, hosts, now)
    }

    fn plain(state: &State, refusal: Refusal, hosts: &Candidates, now: Elapsed) -> Self {
        let Refusal { code, message, retry_after_s } = refusal;
        let code = Code::from(code);
        let message = match code {
            Code::NoHost if hosts.reachable().is_empty() => passed_over(state, hosts).unwrap_or(message),
            Code::MaxCapacity if are_full(&state.at(now), hosts) => {
                passed_over(state, hosts).unwrap_or(message)
            }
            _ => message,
        };
        let blocked = Self::new(code, message);
        let probes = blocked.code == Code::CircuitBreaker
            && state.breaker_state(BreakerKind::General, now) == BreakerState::HalfOpen;
        let eta_s = blocked.eta_s.map(|usual_s| retry_after_s.unwrap_or(usual_s));
        Self { eta_s, can_retry: blocked.can_retry || probes, ..blocked }
    }
}

/// Whether `ACEFLEET_CAPACITY` of hosts is the limit that was reached, and not `MAX_REPLICAS`.
fn are_full(state: &State, hosts: &Candidates) -> bool {
    if state.engine_count() >= state.policy().max_replicas {
        return false;
    }
    let full = hosts.over(|obstacle| matches!(obstacle, Obstacle::Full { .. }));
    !full.is_empty() && hosts.able.is_empty() && hosts.due.is_empty()
}

/// Why hosts are passed over, with their names; `None` when none is.
fn passed_over(state: &State, hosts: &Candidates) -> Option<String> {
    let reason = |(id, obstacle): (&NodeId, &Obstacle)| {
        format!("{} {}", state.node_name(*id), obstacle.describe(state))
    };
    let reasons: Vec<String> = hosts.passed_over.iter().map(reason).collect();
    (!reasons.is_empty()).then(|| format!("no host can start an engine now: {}", reasons.join("; ")))
}

/// Why no Docker daemon can be used, in the words of its hosts.
fn docker_reason(state: &State) -> String {
    let reasons: Vec<Cow<'_, str>> = state
        .nodes()
        .filter_map(|node| match &node.docker {
            DockerState::Unavailable(why) => Some(format!("{}: {why}", node.info.name).into()),
            DockerState::Stopping => Some(format!("{} is being stopped", node.info.name).into()),
            DockerState::Unknown | DockerState::Available => None,
        })
        .collect();
    match reasons.is_empty() {
        true => "no host has said yet that its Docker daemon answers".to_owned(),
        false => format!("no Docker daemon answers ({})", reasons.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use acefleet_registry::cause::Cause;

    use super::*;

    #[test]
    fn the_documents_list_the_codes_of_the_status_in_their_order() {
        let codes: Vec<String> = Code::OF_STATUS.iter().map(|code| format!("`{}`", code.as_str())).collect();
        let table = include_str!("../../docs/HEALTH_MONITORING.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .filter_map(|line| line.split('|').nth(1))
            .flat_map(|cell| cell.split(", ").map(|code| code.trim().to_owned()));
        let listed: Vec<String> = table.filter(|code| !code.contains(' ')).collect();
        assert_eq!(listed, codes);
        let schema = include_str!("../../docs/openapi.json");
        assert!(schema.contains(&codes.join(", ")), "the API's description lists other codes");
    }

    #[test]
    fn callers_wait_for_what_passes_and_give_up_on_what_does_not() {
        for (cause, wait) in [
            (Cause::ImagePulling, true),
            (Cause::ImageMissing, false),
            (Cause::PortTaken, false),
            (Cause::DockerError, true),
            (Cause::Exited, true),
        ] {
            let blocked = Blocked::new(cause.clone().into(), String::new());
            assert_eq!((blocked.code.as_str(), blocked.should_wait), (cause.as_str(), wait));
            assert_eq!(blocked.eta_s.is_some(), wait, "{cause}");
        }
    }
}
