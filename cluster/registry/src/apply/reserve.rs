//! The reservation of an engine: an abandoned one is taken up, or a new one admitted and placed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::room;
use crate::command::{Refusal, RefusalCode, Reply, Reserve};
use crate::records::breaker::{BreakerKind, BreakerState};
use crate::records::engine::{Engine, EngineSpec, Health, Kind, Phase};
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::lack::Lack;
use crate::records::time::Elapsed;
use crate::rules::hosts::{self, Candidates, Observations, Obstacle, Wanted};
use crate::rules::placement;
use crate::rules::vpn::Haste;
use crate::state::State;

/// What the contract has callers wait for a VPN, in seconds.
const VPN_RETRY_S: u64 = 60;
/// A leader writes the settings as soon as it leads.
const SETTINGS_RETRY_S: u64 = 1;

pub(super) fn reserve(state: &mut State, ask: &Reserve, op_id: OpId, origin: NodeId) -> Reply {
    match decide(state, ask, op_id, origin) {
        Ok(decision) => Reply::Engine(take(state, decision.engine)),
        Err(refusal) => Reply::Refused(refusal),
    }
}

/// The engine that a reservation gets.
struct Decision {
    engine: Engine,
    /// What its host is known to lack: it is tried, as a look whether that is there by now.
    lacking: Option<Refusal>,
}

impl State {
    /// What a reservation would be refused with at this moment, or what its start would fail for, as far as is known; none when it
    /// would get an engine. Decided by what decides the reservation itself.
    #[must_use]
    pub fn blocked(&self, ask: &Reserve, origin: NodeId, now_ms: Elapsed) -> Option<Refusal> {
        match decide(&mut self.at(now_ms), ask, OpId::from_u128(0), origin) {
            Ok(decision) => decision.lacking,
            Err(refusal) => Some(refusal),
        }
    }

    /// This state at a later moment, as long as nothing is written.
    pub(crate) fn at(&self, now_ms: Elapsed) -> Self {
        let mut then = self.clone();
        then.tables.clock_ms = then.tables.clock_ms.max(now_ms);
        then
    }

    /// True for a reservation that would be had now; the state goes on as if it had been.
    pub(crate) fn would_have(&mut self, ask: &Reserve) -> bool {
        // Who is asked decides between equals only.
        let decided = decide(self, ask, OpId::from_u128(0), NodeId(0));
        decided.map(|decision| take(self, decision.engine)).is_ok()
    }
}

fn take(state: &mut State, engine: Engine) -> Arc<Engine> {
    state.tables.last_engine = state.tables.last_engine.max(engine.id.0);
    state.put_engine(engine)
}

/// What a reservation gets; only marks for the next ports are moved for it.
fn decide(state: &mut State, ask: &Reserve, op_id: OpId, origin: NodeId) -> Result<Decision, Refusal> {
    // Ports, label and maximum would be those that nobody chose.
    if !state.has_policy() {
        let message =
            "the settings of the cluster are not in force yet: its leader writes them first".to_owned();
        let retry_after_s = Some(SETTINGS_RETRY_S);
        return Err(Refusal { code: RefusalCode::NoSettings, message, retry_after_s });
    }
    if let Some(engine) = at_hand(state, ask) {
        let awaited_until_ms = awaited_until_ms(state, ask);
        let engine =
            Engine { reserved_by: op_id, abandoned: false, awaited_until_ms, retiring: None, ..engine };
        return Ok(Decision { engine, lacking: None });
    }
    let observations = Observations::Stamped(&ask.eligible);
    let found = hosts::candidates(state, &Wanted { spec: &ask.spec, failed: &ask.exclude, observations });
    let reachable = found.reachable();
    admit(state, ask, &found)?;
    room::for_engine(state, &ask.spec)?;
    let id = EngineId(state.tables.last_engine + 1);
    let is_engine = ask.spec.kind == Kind::Acestream;
    if !reachable.is_empty() && found.over(Obstacle::is_of_place) == reachable {
        return Err(state.no_free_ports(&state.port_ranges(&reachable)));
    }
    // Full ones are counted where the choice is explained.
    let full = found.over(|obstacle| matches!(obstacle, Obstacle::Full { .. }));
    let (whole, lacking): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
        full.into_iter().partition(|id| state.lack(*id, &ask.spec).is_none());
    let again = || lacking.iter().copied().filter(|id| state.may_try(*id, &ask.spec)).collect();
    let choose = |able: &BTreeSet<NodeId>, full: BTreeSet<NodeId>| {
        placement::choose(state, &(able | &full), origin, id, &ask.spec.kind)
    };
    let Some(choice) = choose(&found.able, whole).or_else(|| choose(&found.due, again())) else {
        let lacking = found.over(|obstacle| matches!(obstacle, Obstacle::Lacks(_)));
        return Err(missing(state, &lacking, &ask.spec).unwrap_or_else(|| no_host(state, &found, ask)));
    };
    let lacking = missing(state, &[choice.node].into(), &ask.spec);
    let haste = if ask.automatic { Haste::Patient } else { Haste::Waiting };
    let slot = state.slot(choice.node, haste).filter(|_| is_engine);
    let ports = state.choose_ports(choice.node, slot.as_ref(), &ask.spec)?;
    let engine = Engine {
        id,
        node: choice.node,
        phase: Phase::Reserved,
        container_name: state.free_name(choice.node, &ask.spec.name_prefix),
        spec: ask.spec.clone(),
        ports,
        container_id: None,
        image: None,
        variant: None,
        health: Health::Unknown,
        reserved_at_ms: state.tables.clock_ms,
        started_at_ms: None,
        reserved_by: op_id,
        abandoned: false,
        awaited_until_ms: awaited_until_ms(state, ask),
        placement: choice.why,
        address: None,
        forwarded_port: slot.as_ref().and_then(|slot| slot.forwarded_port),
        vpn: slot.map(|slot| slot.vpn),
        replaces: ask.replaces,
        retiring: None,
        ending: None,
    };
    Ok(Decision { engine, lacking })
}

fn awaited_until_ms(state: &State, ask: &Reserve) -> Option<Elapsed> {
    ask.patience_ms.map(|patience| state.tables.clock_ms.plus(patience))
}

/// An engine that can be had without starting one: a caller asked for it in the same words and then stopped waiting for it, or
/// it retires for want of use. Not one for which this call would only wait in vain again.
fn at_hand(state: &State, ask: &Reserve) -> Option<Engine> {
    let now = state.tables.clock_ms;
    let wanted = ask.replaces.is_none() && ask.only_below.is_none_or(|below| state.supply() < below);
    let unclaimed = |e: &Engine| {
        ask.claim_abandoned
            && e.retiring.is_none()
            && e.is_unclaimed(now)
            && e.phase < Phase::Draining
            && state.active_streams(e.id) == 0
    };
    let free = |e: &Engine| wanted && state.is_spare(e) || unclaimed(e);
    let able =
        |e: &Engine| ask.eligible.contains(&e.node) && !ask.exclude.contains(&e.node) && state.is_of_use(e);
    let mut candidates = state.live_engines().filter(|e| free(e) && able(e) && e.spec == ask.spec);
    candidates.next().map(|e| (**e).clone())
}

/// The one admission rule for every way of creating an engine.
fn admit(state: &State, ask: &Reserve, found: &Candidates) -> Result<(), Refusal> {
    if ask.spec.kind != Kind::Acestream {
        return Ok(());
    }
    if let Some(id) = ask.replaces.filter(|id| state.replacement(*id).is_some()) {
        let message = format!("engine {id} has been replaced already");
        return Err(Refusal { code: RefusalCode::WrongPhase, message, retry_after_s: None });
    }
    let without_vpn = found.over(|obstacle| *obstacle == Obstacle::NoVpn);
    if !without_vpn.is_empty() && without_vpn == found.reachable() {
        let message = state.no_tunnel(&without_vpn);
        return Err(Refusal {
            code: RefusalCode::VpnDisconnected,
            message,
            retry_after_s: Some(VPN_RETRY_S),
        });
    }
    let policy = state.policy();
    let live = state.engine_count();
    let reached = |limit: u32, name: &str| Refusal {
        code: RefusalCode::MaxCapacity,
        message: format!("{live} engines exist, {name} is {limit}"),
        retry_after_s: policy.auto_delete.then_some(policy.grace_ms / 1000),
    };
    if live >= policy.max_replicas {
        return Err(reached(policy.max_replicas, "MAX_REPLICAS"));
    }
    if let Some(below) = ask.only_below.filter(|below| state.supply() >= *below) {
        return Err(reached(below, "the target"));
    }
    let now = state.tables.clock_ms;
    let kind = BreakerKind::over(ask.replaces);
    let probing = state.is_reserving(kind);
    let (breaker, breaker_policy) = state.breaker(kind);
    match breaker.state(breaker_policy, now) {
        BreakerState::Closed => Ok(()),
        BreakerState::HalfOpen if !probing => Ok(()),
        BreakerState::HalfOpen => Err(Refusal {
            code: RefusalCode::CircuitBreaker,
            message: "the circuit breaker is half open and its one probe is under way".to_owned(),
            retry_after_s: Some(2),
        }),
        BreakerState::Open => Err(Refusal {
            code: RefusalCode::CircuitBreaker,
            message: format!("the circuit breaker is open after {}", breaker.story()),
            retry_after_s: Some(breaker.recovery_left_ms(breaker_policy, now).div_ceil(1000)),
        }),
    }
}

/// What these hosts lack for it, as one of them said last; none when no host lacks anything.
fn missing(state: &State, hosts: &BTreeSet<NodeId>, spec: &EngineSpec) -> Option<Refusal> {
    let lacks = || hosts.iter().filter_map(|id| state.lack(*id, spec));
    let (lack, lacking) = lacks().max_by_key(|(_, lacking)| lacking.last_ms)?;
    let code = match lack {
        Lack::Image(_) => RefusalCode::ImageMissing,
        Lack::Network(_) => RefusalCode::NetworkMissing,
    };
    let rest_ms = lacks().map(|(_, lacking)| lacking.rest_left_ms(state.clock_ms())).min();
    let retry_after_s = rest_ms.map(|ms| ms.div_ceil(1000).max(1));
    Some(Refusal { code, message: lacking.message.clone(), retry_after_s })
}

fn no_host(state: &State, found: &Candidates, ask: &Reserve) -> Refusal {
    let able = found.reachable().len();
    if able == 0 {
        let message = match ask.exclude.is_empty() {
            true => {
                "no host can start engines now: Docker or the node does not answer, or it is cordoned or draining"
            }
            false => "every host that could start an engine has failed for this call",
        };
        return Refusal { code: RefusalCode::NoHost, message: message.to_owned(), retry_after_s: None };
    }
    let name = |id: NodeId| state.node(id).map_or_else(|| id.to_string(), |node| node.info.name.clone());
    let others = found.passed_over.iter().filter(|(_, obstacle)| obstacle.is_of_host());
    let others: String = others.map(|(id, obstacle)| format!("; {} {obstacle}", name(*id))).collect();
    let message = format!(
        "all {able} hosts that could run it have as many engines as their ACEFLEET_CAPACITY allows{others}"
    );
    Refusal { code: RefusalCode::MaxCapacity, message, retry_after_s: None }
}
