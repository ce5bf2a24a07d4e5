//! What follows from the health of engines. One that fails its checks is taken from clients and replaced. When most engines of a
//! host fail at once, the host or its network is suspected instead: they stay listed, and are replaced a few at a time.

use std::fmt;

use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::state::State;

/// Engines that begin to fail within so long of each other fail at once.
const AT_ONCE_MS: u64 = 10_000;
/// Fewer engines of a host say nothing about the host.
const LEAST: usize = 3;
/// For so long a host is suspected: what fails for longer is judged for itself.
pub(crate) const SUSPECTED_MS: u64 = 60_000;

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

/// True for an engine that could serve clients if it were healthy. A VPN that is known to be sick is a cause of its own.
fn could_serve(state: &State, engine: &Engine) -> bool {
    engine.is_acestream() && engine.phase.is_serving() && state.vpn_fault(engine) != Some(VpnFault::Unhealthy)
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

/// Whether most engines of a host fail at once.
#[must_use]
pub fn host_failure(state: &State, node: NodeId) -> Option<MassFailure> {
    let mut failing = state.live_engines().filter(|engine| engine.failing.is_some() && engine.node == node);
    failing.find_map(|engine| mass_failure(state, engine).filter(|_| could_serve(state, engine)))
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
