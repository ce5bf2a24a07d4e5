//! Whether a reservation gets an engine, and which: one order of checks for every way of creating one. The reservation decides by
//! it, the status says beforehand what it would decide, and the leader plans by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::command::Reserve;
use crate::level::Level;
use crate::records::engine::{Engine, EngineSpec, Health, Kind, Phase};
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::lack::Lack;
use crate::records::time::Elapsed;
use crate::reply::{Refusal, RefusalCode};
use crate::rules::at_hand;
use crate::rules::held::Held;
use crate::rules::hosts::{self, Candidates, Demand, Observations, Obstacle};
use crate::rules::placement;
use crate::rules::vpn::Haste;
use crate::state::State;
use crate::weight::{ENGINES_MAX, Weigh};

/// What the contract has callers wait for a VPN, in seconds.
const VPN_RETRY_S: u64 = 60;
/// A leader writes the settings as soon as it leads.
const SETTINGS_RETRY_S: u64 = 1;
/// Streams end and are forgotten all the time: callers that need room are told to come back after so many seconds.
const ROOM_RETRY_S: u64 = 10;

/// What a reservation gets.
pub(crate) struct Decision {
    /// The engine.
    pub(crate) engine: Engine,
    /// What its host is known to lack: it is tried, as a look whether that is there by now.
    lacking: Option<Refusal>,
}

impl Decision {
    /// Puts the engine into the tables.
    pub(crate) fn take(self, state: &mut State) -> Arc<Engine> {
        state.tables.last_engine = state.tables.last_engine.max(self.engine.id.0);
        state.put_engine(self.engine)
    }
}

/// A reservation and what it is judged by.
struct Case<'a> {
    state: &'a State,
    ask: &'a Reserve,
    found: &'a Candidates,
}

/// The checks in the order in which a refusal counts. Settings come before them, and an engine that need not be started.
const CHECKS: [fn(&Case<'_>) -> Option<Refusal>; 8] =
    [replaced_already, no_vpn, maximum, target, breaker, no_room_for_engine, no_ports, no_host];

impl State {
    /// What a reservation would be refused with at this moment, or what its start would fail for, as far as is known; `None` when
    /// it would get an engine.
    #[must_use]
    pub fn blocked(&self, ask: &Reserve, origin: NodeId, now_ms: Elapsed) -> Option<Refusal> {
        match decide(&mut self.at(now_ms), ask, OpId::from_u128(0), origin) {
            Ok(decision) => decision.lacking,
            Err(refusal) => Some(refusal),
        }
    }

    /// Everything for which it would be refused: [`Self::blocked`], and what would refuse it without that.
    #[must_use]
    pub fn all_blocks(&self, ask: &Reserve, origin: NodeId, now_ms: Elapsed) -> Vec<Refusal> {
        let Some(first) = self.blocked(ask, origin, now_ms) else { return Vec::new() };
        let then = self.at(now_ms);
        let found = found(&then, ask);
        let case = Case { state: &then, ask, found: &found };
        let others = CHECKS.iter().filter_map(|check| check(&case)).filter(|refusal| *refusal != first);
        let others: Vec<Refusal> =
            if first.code == RefusalCode::NoSettings { vec![] } else { others.collect() };
        std::iter::once(first).chain(others).collect()
    }

    /// This state at a later moment, as long as nothing is written.
    #[must_use]
    pub fn at(&self, now_ms: Elapsed) -> Self {
        let mut then = self.clone();
        then.tables.clock_ms = then.tables.clock_ms.max(now_ms);
        then
    }
}

/// What a reservation gets. In `state` only the marks for the next ports move.
pub(crate) fn decide(
    state: &mut State,
    ask: &Reserve,
    op_id: OpId,
    origin: NodeId,
) -> Result<Decision, Refusal> {
    // Ports, label and maximum would be those that nobody chose.
    if !state.has_policy() {
        let message =
            "the settings of the cluster are not in force yet: its leader writes them first".to_owned();
        let retry_after_s = Some(SETTINGS_RETRY_S);
        return Err(Refusal { code: RefusalCode::NoSettings, message, retry_after_s });
    }
    if let Some(engine) = at_hand::unclaimed(state, ask) {
        return Ok(claimed(state, ask, op_id, &engine));
    }
    // Who cannot get a new engine is better off with an idle one than with a refusal.
    new_engine(state, ask, op_id, origin).or_else(|refusal| match at_hand::instead(state, ask, &refusal) {
        Some(engine) => Ok(claimed(state, ask, op_id, &engine)),
        None => Err(refusal),
    })
}

/// An engine that exists goes to this caller.
fn claimed(state: &State, ask: &Reserve, op_id: OpId, engine: &Engine) -> Decision {
    let awaited_until_ms = awaited_until_ms(state, ask);
    let engine =
        Engine { reserved_by: op_id, abandoned: false, awaited_until_ms, taken_off: None, ..engine.clone() };
    let mark = state.hand_out(&engine);
    Decision { engine: Engine { mark, ..engine }, lacking: None }
}

/// An engine that is to be started. In `state` only the marks for the next ports move.
fn new_engine(state: &mut State, ask: &Reserve, op_id: OpId, origin: NodeId) -> Result<Decision, Refusal> {
    let found = found(state, ask);
    let case = Case { state, ask, found: &found };
    if let Some(refusal) = CHECKS.iter().find_map(|check| check(&case)) {
        return Err(refusal);
    }
    let id = EngineId(state.tables.last_engine + 1);
    let kind = &ask.spec.kind;
    // Full ones are counted where the choice is explained.
    let full = found.over(|obstacle| matches!(obstacle, Obstacle::Full { .. }));
    let choose = |able: &BTreeSet<NodeId>| placement::choose(state, &(able | &full), origin, id, kind);
    let choice = choose(&found.able).or_else(|| choose(&found.due));
    let choice = choice.ok_or_else(|| without_host(&case))?;
    let lacking = missing(state, &[choice.node].into(), &ask.spec);
    let haste = if ask.automatic { Haste::Patient } else { Haste::Waiting };
    let home = ask.replaces.and_then(|lost| state.home(lost)).filter(|(id, _)| *id == choice.node);
    let home = home.map(|(_, vpn)| vpn).filter(|_| state.level() >= Level::RENEWS_BEHIND_ITS_VPN);
    let slot = state.slot_at(choice.node, home, haste).filter(|_| *kind == Kind::Acestream);
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
        failing: None,
        start_failed: None,
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
        taken_off: None,
        mark: None,
        seats: Vec::new(),
        ending: None,
    };
    Ok(Decision { engine, lacking })
}

fn found(state: &State, ask: &Reserve) -> Candidates {
    let observations = Observations::Stamped(&ask.eligible);
    hosts::candidates(state, &Demand { spec: &ask.spec, failed: &ask.exclude, observations })
}

fn awaited_until_ms(state: &State, ask: &Reserve) -> Option<Elapsed> {
    ask.patience_ms.map(|patience| state.tables.clock_ms.plus(patience))
}

fn is_engine(ask: &Reserve) -> bool {
    ask.spec.kind == Kind::Acestream
}

fn replaced_already(case: &Case<'_>) -> Option<Refusal> {
    let id = case.ask.replaces.filter(|id| is_engine(case.ask) && case.state.replacement(*id).is_some())?;
    let message = format!("engine {id} has been replaced already");
    Some(Refusal { code: RefusalCode::WrongPhase, message, retry_after_s: None })
}

fn no_vpn(case: &Case<'_>) -> Option<Refusal> {
    let without_vpn = case.found.over(|obstacle| *obstacle == Obstacle::NoVpn);
    let refused = is_engine(case.ask) && !without_vpn.is_empty() && without_vpn == case.found.reachable();
    refused.then(|| Refusal {
        code: RefusalCode::VpnDisconnected,
        message: case.state.no_tunnel(&without_vpn),
        retry_after_s: Some(VPN_RETRY_S),
    })
}

fn maximum(case: &Case<'_>) -> Option<Refusal> {
    let maximum = case.state.policy().max_replicas;
    let reached = is_engine(case.ask) && case.state.engine_count() >= maximum;
    reached.then(|| limit_reached(case.state, maximum, "MAX_REPLICAS"))
}

fn target(case: &Case<'_>) -> Option<Refusal> {
    let below = case.ask.only_below.filter(|below| is_engine(case.ask) && case.state.supply() >= *below)?;
    Some(limit_reached(case.state, below, "the target"))
}

fn limit_reached(state: &State, limit: u32, name: &str) -> Refusal {
    let (policy, live) = (state.policy(), state.engine_count());
    Refusal {
        code: RefusalCode::MaxCapacity,
        message: format!("{live} engines exist, {name} is {limit}"),
        // Since idle engines are handed out, nobody has to wait until one leaves.
        retry_after_s: (policy.auto_delete && state.level() < Level::HANDS_OUT_IDLE)
            .then_some(policy.grace_ms / 1000),
    }
}

fn breaker(case: &Case<'_>) -> Option<Refusal> {
    let (state, ask) = (case.state, case.ask);
    if !is_engine(ask) {
        return None;
    }
    let held = state.held(&state.group(&ask.spec, ask.replaces));
    held.or_else(|| hosts_held(case)).map(|held| Refusal {
        code: RefusalCode::CircuitBreaker,
        message: held.why,
        retry_after_s: Some(held.retry_after_s),
    })
}

/// Why no host can be tried, if their failures keep some from it.
fn hosts_held(case: &Case<'_>) -> Option<Held> {
    let (state, found) = (case.state, case.found);
    if !found.able.is_empty() || !found.due.is_empty() {
        return None;
    }
    let failing = found.over(|obstacle| matches!(obstacle, Obstacle::Failing(_)));
    let held: Vec<Held> = failing.iter().filter_map(|id| state.next_held(*id)).collect();
    let why: Vec<&str> = held.iter().map(|held| held.why.as_str()).collect();
    let retry_after_s = held.iter().map(|held| held.retry_after_s).min()?;
    Some(Held { why: why.join("; "), retry_after_s })
}

fn no_room_for_engine(case: &Case<'_>) -> Option<Refusal> {
    let needed = case.state.index.weights.engines + case.ask.spec.weight();
    (needed > ENGINES_MAX).then(|| no_room("engines", ENGINES_MAX))
}

/// The refusal of what would make the state too large.
pub(crate) fn no_room(what: &str, max: u64) -> Refusal {
    Refusal {
        code: RefusalCode::NoRoom,
        message: format!("the registry holds {} MiB of {what}, as much as it may; end some", max >> 20),
        retry_after_s: Some(ROOM_RETRY_S),
    }
}

fn no_ports(case: &Case<'_>) -> Option<Refusal> {
    let reachable = case.found.reachable();
    let refused = !reachable.is_empty() && case.found.over(Obstacle::is_of_place) == reachable;
    // Behind tunnels that are down ports are nobody's concern.
    (refused && no_vpn(case).is_none()).then(|| case.state.no_ports_on(&reachable))
}

fn no_host(case: &Case<'_>) -> Option<Refusal> {
    let found = case.found;
    let is_told = || no_vpn(case).is_some() || no_ports(case).is_some();
    (found.able.is_empty() && found.due.is_empty() && !is_told()).then(|| without_host(case))
}

fn without_host(case: &Case<'_>) -> Refusal {
    let lacking = case.found.over(|obstacle| matches!(obstacle, Obstacle::Lacks(_)));
    let lacks = missing(case.state, &lacking, &case.ask.spec);
    lacks.unwrap_or_else(|| all_passed_over(case.state, case.found, case.ask))
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

fn all_passed_over(state: &State, found: &Candidates, ask: &Reserve) -> Refusal {
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
    let told = |of_host_only: bool, text: &dyn Fn(&Obstacle) -> String| {
        let passed_over =
            found.passed_over.iter().filter(|(_, obstacle)| obstacle.is_of_host() || !of_host_only);
        passed_over
            .map(|(id, obstacle)| format!("; {} {}", state.node_name(*id), text(obstacle)))
            .collect::<String>()
    };
    let message = match state.level() < Level::NAMES_BOUNDS {
        true => format!(
            "all {able} hosts that could run it have as many engines as their ACEFLEET_CAPACITY allows{}",
            told(true, &ToString::to_string)
        ),
        false => format!("no host can run one more{}", told(false, &|obstacle| obstacle.describe(state))),
    };
    Refusal { code: RefusalCode::MaxCapacity, message, retry_after_s: None }
}
