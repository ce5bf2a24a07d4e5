//! What follows from the health of engines. One that fails its checks is taken from clients and replaced. When most engines of a
//! host fail at once, the host or its network is suspected instead: they stay listed, and are replaced a few at a time.

use std::fmt;

use crate::records::engine::{Engine, Phase};
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
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
/// A VPN that is known to be sick is a cause of its own.
fn could_serve(state: &State, engine: &Engine) -> bool {
    engine.is_acestream()
        && engine.phase == Phase::Running
        && state.vpn_fault(engine) != Some(VpnFault::Unhealthy)
}

/// Whether this engine fails together with most engines of its host.
#[must_use]
pub fn mass_failure(state: &State, engine: &Engine) -> Option<MassFailure> {
    let since_ms = engine.failing?.since_ms;
    let (mut engines, mut failing) = (0, 0);
    let of_host = state.live_engines().filter(|other| other.node == engine.node);
    for other in of_host.filter(|other| could_serve(state, other)) {
        engines += 1;
        failing += usize::from(other.failing.is_some_and(|its| at_once(its.since_ms, since_ms)));
    }
    is_most(failing, engines).then_some(MassFailure { failing, engines })
}

/// Whether most engines of a host fail at once, and clients still get them.
#[must_use]
pub fn host_failure(state: &State, node: NodeId) -> Option<MassFailure> {
    let failing = state.live_engines().filter(|engine| engine.failing.is_some() && engine.node == node);
    let mut listed = failing.filter(|engine| engine.taken_off.is_none() && could_serve(state, engine));
    listed.find_map(|engine| mass_failure(state, engine))
}

/// Whether most engines of a host fail at once, also those that clients do not get any more.
pub(crate) fn is_suspected(state: &State, node: NodeId) -> bool {
    let mut of_host = state.live_engines().filter(|engine| engine.node == node);
    of_host.any(|engine| mass_failure(state, engine).is_some())
}

/// Whether an engine that is listed only because its host is suspected has failed for so long that it is judged for itself.
#[must_use]
pub(crate) fn outlasts_suspicion(state: &State, engine: &Engine, now_ms: Elapsed) -> bool {
    let fails_long = engine.failing.is_some_and(|failing| now_ms.since(failing.since_ms) >= SUSPECTED_MS);
    fails_long && engine.taken_off.is_none() && mass_failure(state, engine).is_some()
}

/// Since when an engine is off the list because it fails; `None` while it does not, or its host is suspected.
#[must_use]
pub(crate) fn unlisted_since(state: &State, engine: &Engine) -> Option<Elapsed> {
    let failing = engine.failing.filter(|_| mass_failure(state, engine).is_none())?;
    // Until others of its host answered again it was listed with them.
    let suspected_until = state.node(engine.node).and_then(|node| node.suspected_until_ms);
    let with_others = suspected_until.map(|until| until.min(failing.since_ms.plus(SUSPECTED_MS)));
    Some(failing.since_ms.max(with_others.unwrap_or_default()))
}

fn at_once(a: Elapsed, b: Elapsed) -> bool {
    a.since(b).max(b.since(a)) <= AT_ONCE_MS
}

fn is_most(failing: usize, engines: usize) -> bool {
    engines >= LEAST && 2 * failing > engines
}

/// How many unhealthy engines may exist above a maximum, so that another one is started before they leave.
#[must_use]
pub(crate) fn surplus(maximum: u32) -> u32 {
    (maximum / 10).max(1)
}
