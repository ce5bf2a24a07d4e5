//! What failures of starts count against, and what that holds back.
//!
//! A start has failed when the engine never ran, never answered, or ended by itself or got unhealthy within a minute. An engine that was started after the newest
//! failure and has lived for a minute proves that what it shares works. Time alone proves it, so nobody has to write that.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::level::Level;
use crate::records::breaker::{Breaker, BreakerState};
use crate::records::cause::{Blames, Cause};
use crate::records::engine::{Engine, EngineSpec, Health, Phase, StartFailed};
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId};
use crate::records::policy::BreakerPolicy;
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::hosts;
use crate::rules::load::{self, TROUBLED_MS};
use crate::rules::vpn::Haste;
use crate::state::State;

/// An engine that ends by itself before this age has failed to start.
const YOUNG_MS: u64 = 60_000;
/// Docker checks Gluetun every five seconds, and two results in a row are a verdict: engines may fail for so long before it.
const VPN_IS_SEEN_WITHIN_MS: u64 = 12_000;

/// True for an engine that had not lived for long enough at this moment to be a good one.
pub(crate) fn is_young(engine: &Engine, at_ms: Elapsed) -> bool {
    engine.started_at_ms.is_none_or(|started| at_ms.since(started) < YOUNG_MS)
}

/// True for an engine whose start has failed: it never ran, never answered, or ended by itself or failed its checks when it was young.
pub(crate) fn failed_to_start(state: &State, engine: &Engine) -> bool {
    let counts = state.level() >= Level::COUNTS_YOUNG_ENDS;
    let ended_young =
        |(cause, at_ms): (&Cause, Elapsed)| counts && cause.is_of_itself() && is_young(engine, at_ms);
    match engine.phase {
        _ if engine.start_failed.is_some() => true,
        Phase::Failed => true,
        Phase::Gone => engine.end_cause().is_some_and(ended_young),
        _ => false,
    }
}

/// For how long an engine lived that ends now by itself, if that was too short: its start has failed.
pub(crate) fn died_young(state: &State, engine: &Engine, cause: &Cause) -> Option<u64> {
    let started_at = engine.started_at_ms?;
    let lived_ms = state.clock_ms().since(started_at);
    // Docker was away meanwhile, and may have taken it along.
    let outlived_docker = state.node(engine.node).and_then(|node| node.docker_since_ms) > Some(started_at);
    // What was unhealthy has been counted as that.
    let by_itself =
        cause.is_of_itself() && engine.ending.is_none() && engine.failing.is_none() && !outlived_docker;
    (by_itself && lived_ms < YOUNG_MS).then_some(lived_ms)
}

/// True for a failure whose cause is the VPN of the engine. Others may have noticed it first.
pub(crate) fn blames_vpn(state: &State, engine: &Engine, cause: &Cause) -> bool {
    match cause.blames() {
        Blames::Nothing => false,
        Blames::Network => true,
        Blames::Host | Blames::Content => state.vpn_fault(engine) == Some(VpnFault::Unhealthy),
    }
}

/// True for an engine whose start failed so shortly before its VPN is known to be sick that it failed for that.
pub(crate) fn failed_with_vpn(engine: &Engine, now_ms: Elapsed) -> bool {
    let is_other = |group: &Group| Group::vpn_of(engine).as_ref() != Some(group);
    engine
        .start_failed
        .as_ref()
        .is_some_and(|failed| is_other(&failed.group) && now_ms.since(failed.at_ms) <= VPN_IS_SEEN_WITHIN_MS)
}

/// What a failure counts against. `lived_ms` is the age of the engine, 0 when it never ran.
pub(crate) fn blamed(state: &State, engine: &Engine, cause: &Cause, lived_ms: u64) -> Option<Group> {
    let of_spec = Group::of_spec(&engine.spec, engine.replaces);
    match cause.blames() {
        _ if blames_vpn(state, engine, cause) => Group::vpn_of(engine),
        Blames::Nothing | Blames::Network => None,
        // What a caller chose may be wrong wherever it is tried, and holds back nobody else.
        _ if engine.spec.is_chosen() => Some(of_spec),
        Blames::Host if hosts::has_sound_host(state) => Some(Group::Host(engine.node)),
        Blames::Content if works_elsewhere(state, engine, lived_ms) => Some(Group::Host(engine.node)),
        Blames::Host | Blames::Content => Some(of_spec),
    }
}

/// True for a failure that is one with that of another start: both were under way together, and failed for the same. What keeps a host or
/// a VPN from one keeps it from all that are asked for meanwhile. Containers that ran are counted one by one: each was made in vain.
pub(crate) fn joins_another(state: &State, engine: &Engine, failed: &StartFailed) -> bool {
    let is_of_place = |cause: &Cause| matches!(cause.blames(), Blames::Host | Blames::Network);
    let never_ran = |engine: &Engine| engine.started_at_ms.is_none();
    let others = || state.all_engines().filter(|other| other.id != engine.id && never_ran(other));
    never_ran(engine)
        && failed.cause.as_ref().is_some_and(is_of_place)
        && others().filter_map(|other| other.start_failed.as_ref()).any(|other| is_one(engine, failed, other))
}

/// The engine whose failure was taken as one with this failure of another one, which does not count any more, and with no other.
pub(crate) fn joined_by<'a>(state: &'a State, counted: &StartFailed) -> Option<&'a Arc<Engine>> {
    let joined =
        |e: &Engine, own: &StartFailed| own.joins && is_one(e, own, counted) && !joins_another(state, e, own);
    state.all_engines().find(|e| e.start_failed.as_ref().is_some_and(|own| joined(e, own)))
}

/// True when an engine was under way when another one failed for the same, and that failure counts.
fn is_one(engine: &Engine, failed: &StartFailed, counted: &StartFailed) -> bool {
    let is_same = (&counted.group, &counted.cause) == (&failed.group, &failed.cause);
    is_same && !counted.joins && counted.at_ms > engine.reserved_at_ms
}

/// True when a host without a failure runs a plain engine that is older by now than this one became.
fn works_elsewhere(state: &State, engine: &Engine, lived_ms: u64) -> bool {
    let sound = |id: NodeId| {
        id != engine.node
            && state.node(id).is_some_and(|node| !load::is_troubled(state, node) && !state.is_down(id))
    };
    let outlives = |e: &Engine| {
        let age_ms = e.started_at_ms.map_or(0, |at| state.clock_ms().since(at));
        e.phase.is_serving() && e.health != Health::Unhealthy && age_ms > lived_ms
    };
    let plain = |e: &Engine| e.is_acestream() && !e.spec.is_chosen();
    state.live_engines().any(|e| plain(e) && sound(e.node) && outlives(e))
}

impl State {
    /// What an engine of this kind has in common with others wherever it runs. Once, what callers chose had the breaker of all.
    #[must_use]
    pub fn group(&self, spec: &EngineSpec, replaces: Option<EngineId>) -> Group {
        let plain = || Group::of_spec(&EngineSpec::acestream(), replaces);
        if self.level() >= Level::COUNTS_YOUNG_ENDS { Group::of_spec(spec, replaces) } else { plain() }
    }

    /// Everything that starts have failed for, with what is counted of each.
    pub fn failing(&self) -> impl Iterator<Item = &Group> {
        self.tables.failing.keys()
    }

    /// The breaker over what starts share, as it is at a moment, and its settings.
    #[must_use]
    pub fn breaker_over(&self, group: &Group, now_ms: Elapsed) -> (Breaker, BreakerPolicy) {
        let (stored, policy) = match group {
            Group::Plain(kind) => {
                let (breaker, policy) = self.breaker(*kind);
                (Some(breaker), policy)
            }
            Group::Chosen(_) | Group::Host(_) | Group::Vpn(..) => {
                (self.tables.failing.get(group), self.tables.policy.general_breaker)
            }
        };
        let mut breaker = stored.cloned().unwrap_or_default();
        if let Some(at) = self.proof(group, &breaker, now_ms) {
            breaker.record_proof(at);
        }
        (breaker, policy)
    }

    /// When an engine proved that a group works, after its newest failure.
    fn proof(&self, group: &Group, breaker: &Breaker, now_ms: Elapsed) -> Option<Elapsed> {
        let failed_at = breaker.last_failure_ms.filter(|_| breaker.failure_count > 0)?;
        if self.level() < Level::COUNTS_YOUNG_ENDS {
            return None;
        }
        let works = |e: &Engine| e.phase == Phase::Running && e.failing.is_none();
        let tried = self.live_engines().filter(|e| works(e) && group.covers(e));
        let since = tried.filter_map(|e| e.started_at_ms).filter(|at| *at > failed_at).min()?;
        (now_ms.since(since) >= YOUNG_MS).then(|| since.plus(YOUNG_MS))
    }

    /// True for a host of which the next engine would get such a VPN.
    pub(crate) fn is_next_vpn_troubled(&self, node: NodeId) -> bool {
        let vpn_fails = |group: &Group| matches!(group, Group::Vpn(owner, _) if *owner == node);
        let slot = || self.slot(node, Haste::Waiting);
        self.failing().any(vpn_fails) && slot().is_some_and(|slot| self.is_vpn_troubled(node, &slot.vpn))
    }

    /// True for a VPN that engines have failed in lately: others on its host come first.
    pub(crate) fn is_vpn_troubled(&self, node: NodeId, container: &str) -> bool {
        let group = Group::Vpn(node, container.to_owned());
        if !self.tables.failing.contains_key(&group) {
            return false;
        }
        let (breaker, _) = self.breaker_over(&group, self.clock_ms());
        let lately = |at| self.clock_ms().since(at) < TROUBLED_MS;
        breaker.failure_count > 0 && breaker.last_failure_ms.is_some_and(lately)
            || self.has_open_breaker(&group)
    }

    /// True for what has failed too often in a row and has not proven itself since. It may be tried all the same.
    pub(crate) fn has_open_breaker(&self, group: &Group) -> bool {
        // Asked for every host of every placement, and mostly nothing has failed.
        if !self.tables.failing.contains_key(group) {
            return false;
        }
        let now_ms = self.clock_ms();
        let (breaker, policy) = self.breaker_over(group, now_ms);
        breaker.state(policy, now_ms) != BreakerState::Closed
    }

    /// Name of a group, for people.
    #[must_use]
    pub fn group_name(&self, group: &Group) -> String {
        match group {
            Group::Plain(kind) => kind.as_ref().to_owned(),
            Group::Chosen(recipe) => match (&recipe.image, recipe.options) {
                (Some(image), 0) => format!("the image {image}"),
                (Some(image), _) => format!("the image {image} with a caller's options"),
                (None, _) => "a caller's options".to_owned(),
            },
            Group::Host(node) => self.node_name(*node),
            Group::Vpn(node, container) => format!("the VPN {container} on {}", self.node_name(*node)),
        }
    }

    /// Failures of lately that hosts have.
    pub(crate) fn hosts_that_failed_lately(&self) -> BTreeSet<Group> {
        let lately = |at| self.clock_ms().since(at) < TROUBLED_MS;
        let of_hosts = self.tables.failing.iter().filter(|(group, _)| matches!(group, Group::Host(_)));
        let recent = of_hosts.filter(|(_, breaker)| breaker.last_failure_ms.is_some_and(lately));
        recent.map(|(group, _)| group.clone()).collect()
    }
}
