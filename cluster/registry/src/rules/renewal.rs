//! Engines that are replaced although their network works: those that are older than the tunnel of their VPN, and those that were told
//! a forwarded port that it has not got any more. The replacement comes first, and for each VPN one engine is replaced after the other.

use std::collections::BTreeSet;

use crate::command::{RefusalCode, Reserve};
use crate::level::Level;
use crate::records::cause::Cause;
use crate::records::engine::{Engine, Health, Phase};
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::admission;
use crate::rules::engines::{Keeps, expected_for, in_use, unlisted};
use crate::rules::ports::fixed_http_port;
use crate::state::State;

/// True when an engine with this fault serves clients until its replacement answers.
pub(crate) fn is_renewal(fault: VpnFault) -> bool {
    matches!(fault, VpnFault::StalePort | VpnFault::Reconnected)
}

/// True for an engine whose replacement is to be started at `now_ms`.
pub(crate) fn is_due(state: &State, engine: &Engine, now_ms: Elapsed) -> bool {
    let has_fault = engine.phase < Phase::Stopping && state.vpn_fault(engine).is_some_and(is_renewal);
    has_fault
        && state.level() >= Level::REPLACES_BEFORE_LEAVING
        && in_use(state, engine, now_ms).is_none()
        && keeps_as_it_is(state, engine, now_ms).is_none()
        && state.replacement(engine.id).is_none()
        && being_renewed(state, engine).is_none()
}

/// What keeps an engine with such a fault on the list, on which no stream runs. It leaves when its replacement answers, and before
/// that only where it takes the room of its replacement.
pub(crate) fn keeps_until_replaced(state: &State, engine: &Engine, now_ms: Elapsed) -> Option<Keeps> {
    if let Some(keeps) = keeps_as_it_is(state, engine, now_ms) {
        return Some(keeps);
    }
    if let Some(replacement) = state.replacement(engine.id) {
        return (replacement.phase != Phase::Running).then_some(Keeps::NotReplaced);
    }
    if let Some(other) = being_renewed(state, engine) {
        return Some(Keeps::OtherFirst(other));
    }
    (!lacks_room(state, engine)).then_some(Keeps::NotReplaced)
}

/// What keeps it from being replaced at all.
fn keeps_as_it_is(state: &State, engine: &Engine, now_ms: Elapsed) -> Option<Keeps> {
    // Who fixed a port has to ask for it again.
    if fixed_http_port(&engine.spec).is_some() {
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
    let ask = Reserve {
        spec: engine.spec.clone(),
        eligible: state.docker_hosts().collect::<BTreeSet<NodeId>>(),
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
            None => engine.failing.is_none(),
        };
        let container = engine.vpn.as_deref().filter(|_| is_renewed)?;
        Some((engine.node, container))
    }
}
