//! What follows from the health of engines. One that fails its checks is taken from clients and replaced. When most engines of a
//! host fail at once, the host or its network is suspected instead: they stay listed, and are replaced a few at a time. That is decided with
//! the verdict that makes them most, and with an answer that makes them fewer: what others do meanwhile changes nothing.

use std::fmt;
use std::sync::Arc;

use crate::records::engine::{Engine, Phase};
use crate::records::health::{Failing, HealthFault, Suspicion};
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::engines;
use crate::state::State;

/// Engines that begin to fail within so long of each other fail at once.
const AT_ONCE_MS: u64 = 10_000;
/// Fewer engines of a host say nothing about the host.
const LEAST: usize = 3;
/// For so long a host is suspected: what fails for longer is judged for itself.
const SUSPECTED_MS: u64 = 60_000;

/// Most engines of a host fail at once, for no cause that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassFailure {
    /// Those that fail.
    pub failing: usize,
    /// Of so many.
    pub engines: usize,
}

impl fmt::Display for MassFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} engines fail their health checks at once: the host or its network is suspected, they stay listed and are replaced \
             a few at a time",
            self.failing, self.engines
        )
    }
}

/// True for an engine that has served clients, and could if it were healthy: one that never answered says nothing about its host.
/// One that is being stopped because it failed goes on counting. What has a cause of its own does not.
fn has_a_say(state: &State, engine: &Engine) -> bool {
    let could_serve = match engine.phase {
        Phase::Running => true,
        Phase::Stopping => engine.failing.is_some() && engine.start_failed.is_none(),
        Phase::Reserved | Phase::Starting | Phase::Gone | Phase::Failed => false,
    };
    engine.is_acestream() && could_serve && !has_known_cause(state, engine)
}

/// True for an engine that fails, if it does, for what is known to be wrong with it, or with its VPN.
fn has_known_cause(state: &State, engine: &Engine) -> bool {
    has_sick_vpn(state, engine) || engine.failing.is_some_and(|failing| failing.fault == HealthFault::Paused)
}

fn has_sick_vpn(state: &State, engine: &Engine) -> bool {
    state.vpn_fault(engine) == Some(VpnFault::Unhealthy)
}

/// How many engines of a host fail together, of those that have a say.
fn together(state: &State, node: NodeId, fails: impl Fn(&Failing) -> bool) -> MassFailure {
    let mut found = MassFailure { failing: 0, engines: 0 };
    let of_host = state.live_engines().filter(|engine| engine.node == node);
    for engine in of_host.filter(|engine| has_a_say(state, engine)) {
        found.engines += 1;
        found.failing += usize::from(engine.failing.as_ref().is_some_and(&fails));
    }
    found
}

/// Engines of a host that stay listed, because with the verdict at `since_ms` most of its engines fail at once. None when they do not.
pub(crate) fn suspects(state: &State, node: NodeId, since_ms: Elapsed) -> Vec<Arc<Engine>> {
    let fails = |its: &Failing| its.suspicion == Some(Suspicion::Lasts) || at_once(its.since_ms, since_ms);
    let found = together(state, node, fails);
    if found.engines < LEAST || 2 * found.failing <= found.engines {
        return Vec::new();
    }
    let stays = |engine: &&Arc<Engine>| {
        let is_at_hand = engine.phase == Phase::Running && engine.taken_off.is_none();
        let fails = engine.failing.as_ref().is_some_and(fails);
        engine.node == node && is_at_hand && fails && has_a_say(state, engine)
    };
    state.live_engines().filter(stays).cloned().collect()
}

/// Engines of a suspected host that are judged for themselves, because an engine of it has answered and most do not fail any more.
pub(crate) fn suspects_no_more(state: &State, node: NodeId) -> Vec<Arc<Engine>> {
    let found = together(state, node, |its| its.suspicion == Some(Suspicion::Lasts));
    if found.failing == 0 || 2 * found.failing > found.engines {
        return Vec::new();
    }
    let of_host = state.live_engines().filter(|engine| engine.node == node);
    of_host.filter(|engine| fails_with_host(engine)).cloned().collect()
}

fn fails_with_host(engine: &Engine) -> bool {
    engine.failing.is_some_and(|failing| failing.suspicion == Some(Suspicion::Lasts))
}

/// True for an engine that answers nobody: it hangs, or is lost with its host. What is connected to it need not be there any more, as who lost
/// his power tells nobody, and an engine that sends nothing never finds out.
#[must_use]
pub fn answers_nobody(state: &State, engine: &Engine) -> bool {
    state.is_lost(engine) || engine.failing.is_some_and(|failing| failing.fault == HealthFault::NoAnswer)
}

/// True for an engine that fails, and that clients get all the same, because its host is suspected.
pub(crate) fn is_suspect(state: &State, engine: &Engine) -> bool {
    fails_with_host(engine)
        && engine.phase == Phase::Running
        && !has_sick_vpn(state, engine)
        && engines::replaced(state, engine).is_none()
}

/// Whether most engines of a host failed at once, and clients still get them.
#[must_use]
pub fn host_failure(state: &State, node: NodeId) -> Option<MassFailure> {
    let mut of_host = state.live_engines().filter(|engine| engine.node == node);
    let is_suspected = of_host.any(|engine| is_suspect(state, engine));
    is_suspected.then(|| together(state, node, |its| its.suspicion == Some(Suspicion::Lasts)))
}

/// Whether an engine that is listed only because its host is suspected has failed for so long that it is judged for itself.
#[must_use]
pub(crate) fn outlasts_suspicion(engine: &Engine, now_ms: Elapsed) -> bool {
    let fails_long = engine.failing.is_some_and(|failing| now_ms.since(failing.since_ms) >= SUSPECTED_MS);
    fails_long && engine.taken_off.is_none() && fails_with_host(engine)
}

/// Milliseconds for which an engine stays listed that fails, because its host is suspected.
pub(crate) fn suspected_for(engine: &Engine, now_ms: Elapsed) -> Option<u64> {
    let failing = engine.failing.filter(|_| fails_with_host(engine))?;
    Some(failing.since_ms.plus(SUSPECTED_MS).since(now_ms))
}

/// Since when an engine is off the list because it fails; `None` while it does not, or its host is suspected.
#[must_use]
pub(crate) fn unlisted_since(engine: &Engine) -> Option<Elapsed> {
    let failing = engine.failing?;
    match failing.suspicion {
        None => Some(failing.since_ms),
        Some(Suspicion::EndedAt(ended_ms)) => Some(ended_ms),
        Some(Suspicion::Lasts) => None,
    }
}

fn at_once(a: Elapsed, b: Elapsed) -> bool {
    a.since(b).max(b.since(a)) <= AT_ONCE_MS
}

/// How many unhealthy engines may exist above a maximum, so that another one is started before they leave.
#[must_use]
pub(crate) fn surplus(maximum: u32) -> u32 {
    (maximum / 10).max(1)
}
