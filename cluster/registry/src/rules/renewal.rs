//! Engines that are replaced although their network works: those that are older than the tunnel of their VPN, those that were told a
//! forwarded port that it has not got any more, and one behind a VPN whose port nobody has. The replacement comes first, and behind each VPN one
//! engine is replaced after the other.

use std::collections::BTreeSet;

use crate::command::Reserve;
use crate::level::Level;
use crate::records::cause::Cause;
use crate::records::engine::{Engine, Health, Phase};
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::time::Elapsed;
use crate::records::vpn::{VpnFault, VpnHealth};
use crate::reply::RefusalCode;
use crate::rules::admission;
use crate::rules::engines::{expected_for, in_use, unlisted};
use crate::rules::ports::fixed_http_port;
use crate::rules::standing::Keeps;
use crate::rules::vpn::Haste;
use crate::state::State;

/// A forwarded port that no engine has is worth the replacement of one after so long: by then others have started that could have it.
const UNCLAIMED_MS: u64 = 60_000;

/// True when an engine with this fault serves clients until its replacement answers.
pub(crate) fn is_renewal(fault: VpnFault) -> bool {
    matches!(fault, VpnFault::StalePort | VpnFault::Reconnected | VpnFault::Portless)
}

/// What is wrong with the network of a live engine at `now_ms`, if only that another one is wanted in its place.
pub(crate) fn fault(state: &State, engine: &Engine, now_ms: Elapsed) -> Option<VpnFault> {
    let known = state.vpn_fault(engine);
    known.or_else(|| is_portless(state, engine, now_ms).then_some(VpnFault::Portless))
}

/// True when the VPN of an engine has a port that no engine has been told for a while, or only the replacement of this one.
fn is_portless(state: &State, engine: &Engine, now_ms: Elapsed) -> bool {
    let vpn = engine.vpn.as_deref().and_then(|container| state.vpn(engine.node, container));
    let Some(vpn) = vpn.filter(|vpn| vpn.status.health == VpnHealth::Healthy && !vpn.port_passed_on) else {
        return false;
    };
    let (Some(since_ms), None) = (vpn.port_since_ms, engine.forwarded_port) else { return false };
    let is_told = |e: &Engine| {
        (e.node, &e.vpn, e.forwarded_port) == (engine.node, &engine.vpn, vpn.status.forwarded_port)
    };
    let lately = |at_ms: Elapsed| now_ms.since(at_ms) < UNCLAIMED_MS;
    let claims = |e: &Engine| e.phase.is_live() || e.end_cause().is_some_and(|(_, at_ms)| lately(at_ms));
    let has_no_holder = || !lately(since_ms) && !state.all_engines().any(|e| is_told(e) && claims(e));
    engine.is_acestream()
        && (state.replacement(engine.id).is_some_and(|other| is_told(other)) || has_no_holder())
}

/// True for an engine whose replacement is to be started at `now_ms`.
pub(crate) fn is_due(state: &State, engine: &Engine, now_ms: Elapsed) -> bool {
    let fault = fault(state, engine, now_ms).filter(|fault| is_renewal(*fault));
    engine.phase < Phase::Stopping
        && state.level() >= Level::REPLACES_BEFORE_LEAVING
        && fault.is_some_and(|fault| keeps_as_it_is(state, engine, fault, now_ms).is_none())
        && in_use(state, engine, now_ms).is_none()
        && state.replacement(engine.id).is_none()
        && being_renewed(state, engine).is_none()
}

/// What keeps an engine with such a fault on the list, on which no stream runs. It leaves when its replacement answers, and before
/// that only where it takes the room of its replacement.
pub(crate) fn keeps_until_replaced(
    state: &State,
    engine: &Engine,
    fault: VpnFault,
    now_ms: Elapsed,
) -> Option<Keeps> {
    if let Some(keeps) = keeps_as_it_is(state, engine, fault, now_ms) {
        return Some(keeps);
    }
    if let Some(replacement) = state.replacement(engine.id) {
        let answers = replacement.phase == Phase::Running && state.has_network(replacement);
        let left_ms = rests_elsewhere(state, engine, replacement, now_ms);
        let unsteady = (left_ms > 0).then_some(Keeps::ReplacementUnsteady { left_ms });
        return (!answers).then_some(Keeps::NotReplaced).or(unsteady);
    }
    if let Some(other) = being_renewed(state, engine) {
        return Some(Keeps::OtherFirst(other));
    }
    (!lacks_room(state, engine)).then_some(Keeps::NotReplaced)
}

/// Milliseconds for which another VPN than its own, behind which its replacement runs, still rests: as long as the two go down in turn,
/// both are of use.
pub(crate) fn rests_elsewhere(state: &State, engine: &Engine, replacement: &Engine, now_ms: Elapsed) -> u64 {
    let is_other = (replacement.node, &replacement.vpn) != (engine.node, &engine.vpn);
    if is_other && replacement.phase.is_live() {
        state.waits_for_rest(engine, replacement, now_ms)
    } else {
        0
    }
}

/// What keeps it from being replaced at all.
fn keeps_as_it_is(state: &State, engine: &Engine, fault: VpnFault, now_ms: Elapsed) -> Option<Keeps> {
    // Who fixed a port has to ask for it again.
    if fixed_http_port(&engine.spec).is_some() {
        return Some(Keeps::Network);
    }
    // Without a port to be had it is as good as any other.
    let has_holder = || {
        let vpn = engine.vpn.as_deref();
        vpn.is_none_or(|vpn| state.unclaimed_port(engine.node, vpn, Haste::Patient).is_none())
    };
    if fault == VpnFault::StalePort && state.replacement(engine.id).is_none() && has_holder() {
        return Some(Keeps::Network);
    }
    if unlisted(state, engine).is_some() {
        return Some(Keeps::Unlisted);
    }
    expected_for(engine, now_ms).map(|left_ms| Keeps::ClientsComing { left_ms })
}

/// The engine of the same VPN that is being replaced: the others wait until its replacement answers and it has left. One that is in use
/// again holds up nobody.
fn being_renewed(state: &State, engine: &Engine) -> Option<EngineId> {
    let of_vpn = state.all_engines().filter(|e| e.node == engine.node && e.vpn == engine.vpn);
    let replacements: Vec<&Engine> = state.replacements().map(AsRef::as_ref).collect();
    let is_replaced = |id: EngineId, counts: &dyn Fn(&Engine) -> bool| {
        replacements.iter().any(|other| other.replaces == Some(id) && counts(other))
    };
    let is_under_way = |e: &Engine| match e.end_cause() {
        Some((Cause::VpnReconnected | Cause::VpnPortChanged, _)) => {
            let stays = e.phase < Phase::Stopping && state.active_streams(e.id) == 0;
            stays || !is_replaced(e.id, &has_answered)
        }
        Some(_) => false,
        None => is_replaced(e.id, &|other| other.phase < Phase::Running),
    };
    of_vpn.filter(|e| e.id != engine.id).find(|e| is_under_way(e)).map(|e| e.id)
}

/// True for an engine that has ever answered, if it has been stopped since.
fn has_answered(engine: &Engine) -> bool {
    match engine.phase {
        Phase::Reserved | Phase::Starting | Phase::Failed => false,
        Phase::Running => true,
        Phase::Stopping | Phase::Gone => engine.health != Health::Unknown,
    }
}

/// True when the replacement of an engine would have to wait for the room, or the port, that the engine takes.
fn lacks_room(state: &State, engine: &Engine) -> bool {
    // As the plan asks for it.
    let home = state.home(engine.id).map(|(home, _)| home);
    let eligible = state.docker_hosts().filter(|host| home.is_none_or(|home| *host == home));
    let ask = Reserve {
        spec: engine.spec.clone(),
        eligible: eligible.collect::<BTreeSet<NodeId>>(),
        exclude: BTreeSet::new(),
        only_below: None,
        claim_abandoned: false,
        patience_ms: None,
        automatic: true,
        replaces: Some(engine.id),
    };
    let decided = admission::decide(&mut state.clone(), &ask, OpId::from_u128(0), NodeId(0));
    decided.is_err_and(|refusal| matches!(refusal.code, RefusalCode::MaxCapacity | RefusalCode::NoFreePorts))
}

impl State {
    /// The host and the VPN behind which the replacement of an engine is of more use than elsewhere, because the VPN of that engine works:
    /// the port that it forwards is of use there alone, and nobody has it when the engine with its last one has left.
    #[must_use]
    pub(crate) fn home(&self, lost: EngineId) -> Option<(NodeId, &str)> {
        let engine = self.engine(lost)?;
        let is_renewed = match engine.end_cause() {
            Some((cause, _)) => matches!(cause, Cause::VpnPortChanged | Cause::VpnReconnected),
            None => engine.failing.is_none() && self.has_network(engine),
        };
        let container = engine.vpn.as_deref().filter(|_| is_renewed)?;
        Some((engine.node, container))
    }
}
