//! Engines missing to `MIN_REPLICAS` and `MIN_FREE_REPLICAS`, and replacements: how many are started at this moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::command::{Command, Reserve};
use crate::plan::short::Short;
use crate::plan::suspected::Suspected;
use crate::plan::{Plan, replacements};
use crate::records::breaker::{BreakerKind, BreakerState, FIRST_REST_MS};
use crate::records::engine::{Engine, EngineSpec, Phase};
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::time::Elapsed;
use crate::rules::admission::{self, Decision};
use crate::rules::load::{self, Load};
use crate::state::State;

/// Starts under way at once, for each host: what a host makes one after the other within its time, also when Docker is slow. All at
/// once, the last ones would fail for having waited.
const AT_ONCE_ON_A_HOST: usize = 10;

/// Engines that shall be started.
pub(super) struct Missing {
    /// Reservations to make now, and why there are no more.
    pub(super) plan: Plan,
    /// More are wanted and could be had, but a breaker or a pause after a failure holds them back.
    pub(super) held_back: bool,
    /// The state as if these reservations had been made.
    pub(super) then: State,
    /// Engines that are to be replaced, and for which none of these reservations is.
    pub(super) owed: Vec<(EngineId, EngineSpec)>,
}

/// How many engines are wanted.
struct Wanted {
    /// To be taken back onto the list.
    at_hand: u32,
    /// To be started for floors.
    started: u32,
    /// To be started as replacements.
    owed: u32,
}

/// How many engines are started, of those that are wanted.
struct Count {
    /// Replacements.
    replacing: u32,
    /// Others, with those that are only taken back onto the list.
    others: u32,
    held_back: bool,
}

/// Reservations to be made. `reachable` are hosts that can start engines, `active` those of them with a network and ports.
pub(super) fn missing(
    state: &State,
    reachable: &BTreeSet<NodeId>,
    active: &BTreeSet<NodeId>,
    now_ms: Elapsed,
) -> Missing {
    // Reservations are judged by the moment of their entry.
    let mut then = state.at(now_ms);
    let state = &state.at(now_ms);
    let policy = state.policy();
    let supply = state.supply();
    let floor = policy.min_replicas.saturating_sub(supply);
    let free = state.free_missing();
    let mut owed = replacements::owed(state, now_ms);
    let mut suspected = Suspected::of(state, now_ms);
    suspected.limit_to(&mut owed, floor.max(free));
    // Those that are only not needed are there already.
    let at_hand = state.spare_engines(active).min(state.missing_on_list());
    replacements::add_given_up(state, &mut owed, floor.max(free).saturating_sub(at_hand), now_ms);
    let plain = plain(active);
    // Where something is missing by name, an attempt before its pause is over is refused.
    let may_be_tried = |spec: &EngineSpec| active.iter().any(|id| state.may_try(*id, spec));
    // What a caller chose, and cannot be started, must not take the place of an engine that can.
    let is_held = |id: EngineId, spec: &EngineSpec| {
        let group = state.group(spec, Some(id));
        spec.is_chosen() && (state.held(&group).is_some() || state.rests_for(&group, now_ms) > 0)
    };
    let is_ready = |(id, spec): &&(EngineId, EngineSpec)| {
        (spec.image.is_none() || may_be_tried(spec)) && !is_held(*id, spec)
    };
    let ready = owed.iter().filter(is_ready).filter(|(id, _)| suspected.may_replace(*id)).cloned();
    // They fill no floor: what they replace serves clients until then.
    let (renewals, ready): (Vec<_>, Vec<_>) = ready.partition(|(id, _)| waits_for_home(state, *id));
    // What waits for its turn is no gap that other starts fill meanwhile.
    let floor = floor.saturating_sub(suspected.waiting());
    let lacking = floor.max(free.saturating_sub(suspected.waiting_free(state)));
    let wanted = Wanted { at_hand, started: lacking.saturating_sub(at_hand), owed: ready.len() as u32 };
    let Count { replacing, others, held_back } = count(state, active, wanted, now_ms);
    let reserve = Reserve { only_below: Some(supply + replacing + others), ..plain.clone() };
    let replacement = |(id, spec)| Reserve { spec, replaces: Some(id), ..reserve.clone() };
    let replacing = ready.into_iter().take(replacing as usize).map(replacement);
    let others = std::iter::repeat_n(reserve.clone(), others as usize);
    // Where something is missing by name only one attempt is made at a time, whatever room there is.
    let wishes: Vec<Reserve> = replacing.chain(others).collect();
    let (mut reserves, mut held_back) = (Vec::new(), held_back);
    for ask in wishes {
        let made = asks(&then, &ask, now_ms).into_iter().find(|ask| match only_for_spare(&then, ask) {
            false => is_had(&mut then, ask, now_ms),
            true => helps_spare(&mut then, ask, now_ms),
        });
        held_back |= made.is_none() && !only_for_spare(&then, &ask);
        reserves.extend(made);
    }
    for (id, spec) in renewals {
        let ask = Reserve { spec, replaces: Some(id), ..plain.clone() };
        reserves.extend(asks(&then, &ask, now_ms).into_iter().find(|ask| is_had(&mut then, ask, now_ms)));
    }
    let short = Short { state, then: &then, reachable, plain: &plain, now_ms };
    let waits = short.waits(&owed, lacking, &reserves);
    owed.retain(|(id, _)| !reserves.iter().any(|ask| ask.replaces == Some(*id)));
    let commands = reserves.into_iter().map(Command::Reserve).collect();
    Missing { plan: Plan { commands, waits, ..Plan::default() }, held_back, then, owed }
}

/// What the leader asks for when one more engine is wanted, of those that `active` hosts can start.
pub(super) fn plain(active: &BTreeSet<NodeId>) -> Reserve {
    Reserve {
        spec: EngineSpec::acestream(),
        eligible: active.clone(),
        exclude: BTreeSet::new(),
        only_below: None,
        claim_abandoned: false,
        patience_ms: None,
        automatic: true,
        replaces: None,
    }
}

/// How many engines are started now.
fn count(state: &State, active: &BTreeSet<NodeId>, wanted: Wanted, now_ms: Elapsed) -> Count {
    let Wanted { at_hand, started, owed } = wanted;
    let left = state.policy().max_replicas.saturating_sub(state.engine_count());
    let wanted = started.max(owed).min(left);
    let plain = EngineSpec::acestream();
    let plain: BTreeSet<NodeId> = active.iter().copied().filter(|id| state.may_try(*id, &plain)).collect();
    if at_hand + wanted == 0 {
        return Count { replacing: 0, others: 0, held_back: false };
    }
    let loads = load::loads(state, &plain);
    let room = |of: &dyn Fn(&Load) -> bool| {
        let counted = loads.iter().filter(|load| of(load));
        counted.fold(0u32, |sum, load| sum.saturating_add(state.room_on(load)))
    };
    let under_way = state.live_engines().filter(|engine| engine.phase == Phase::Reserved).count();
    let portion = (AT_ONCE_ON_A_HOST * plain.len()).saturating_sub(under_way);
    let wanted = wanted.min(room(&|_| true)).min(state.engines_with_ports(&plain));
    let wanted = wanted.min(u32::try_from(portion).unwrap_or(u32::MAX));
    let at_once = wanted.min(room(&|load| host_rests_for(state, load.node, now_ms) == 0));
    // Those that a breaker holds back are not made as others meanwhile, or there would be one too many.
    let replacing = at_once.min(owed);
    let others = allowed(state, at_once.saturating_sub(owed), now_ms);
    Count { replacing, others: at_hand + others, held_back: replacing + others < wanted }
}

/// Whether this reservation would be had now, and nothing that it shares need rest; the state goes on as if it had been made.
pub(super) fn is_had(then: &mut State, ask: &Reserve, now_ms: Elapsed) -> bool {
    had(then, ask, now_ms).is_ok()
}

/// The same, with the engine that it would be.
///
/// # Errors
/// For how many milliseconds its start rests, or nothing when it is refused.
pub(super) fn had(then: &mut State, ask: &Reserve, now_ms: Elapsed) -> Result<Arc<Engine>, Option<u64>> {
    // Who is asked decides between equals only.
    let decided = admission::decide(then, ask, OpId::from_u128(0), NodeId(0));
    let decision = decided.map_err(|_| None)?;
    match start_rests_for(then, &decision, now_ms) {
        0 => Ok(decision.take(then)),
        left_ms => Err(Some(left_ms)),
    }
}

/// A reservation with the hosts that may take it, in order of preference.
pub(super) fn asks(then: &State, ask: &Reserve, now_ms: Elapsed) -> Vec<Reserve> {
    let among = |may: &dyn Fn(NodeId) -> bool| {
        let eligible = ask.eligible.iter().copied().filter(|id| may(*id)).collect();
        Reserve { eligible, ..ask.clone() }
    };
    let home = ask.replaces.and_then(|lost| then.home(lost));
    match home {
        Some((home, _)) if ask.replaces.is_some_and(|lost| waits_for_home(then, lost)) => {
            vec![among(&|id| id == home)]
        }
        Some((home, _)) => vec![among(&|id| id == home), ask.clone()],
        None if only_for_spare(then, ask) => {
            let lacks_most = then.spares(|_| true).missing().map(|(_, host)| host);
            vec![ask.clone(), among(&|id| Some(id) != lacks_most)]
        }
        // Where the host that would be chosen rests after a failure, another one need not.
        None => vec![ask.clone(), among(&|id| !is_resting(then, id, now_ms))],
    }
}

/// True for the replacement of an engine that serves clients until then: elsewhere it would be of no more use than that one.
pub(super) fn waits_for_home(then: &State, lost: EngineId) -> bool {
    then.engine(lost).is_some_and(|lost| lost.end_cause().is_none() && then.home(lost.id).is_some())
}

/// True for a host on which no start is made at this moment, as one has failed.
fn is_resting(then: &State, host: NodeId, now_ms: Elapsed) -> bool {
    host_rests_for(then, host, now_ms) > 0 || then.first_after_failure(&Group::Host(host), now_ms).is_some()
}

/// True for an engine that is wanted only as a spare for a host.
pub(super) fn only_for_spare(then: &State, ask: &Reserve) -> bool {
    let policy = then.policy();
    let is_kept = then.supply() >= policy.min_replicas && then.free_supply() >= policy.min_free_replicas;
    policy.spare_for_host && ask.replaces.is_none() && is_kept
}

/// The same as [`is_had`], if there is one more for the streams of some host then. On that host itself it would be of no use.
pub(super) fn helps_spare(then: &mut State, ask: &Reserve, now_ms: Elapsed) -> bool {
    let mut after = then.clone();
    let had = is_had(&mut after, ask, now_ms);
    let all = |state: &State| state.spares(|_| true).lacking();
    let on_list = |state: &State| state.spares(|engine| state.has_network(engine)).lacking();
    let helps = had && (all(&after) < all(then) || on_list(&after) < on_list(then));
    if helps {
        *then = after;
    }
    helps
}

/// Milliseconds for which a start rests after failures of others that share something with it, or waits for the first one after them.
/// One that is only listed again needs no start.
pub(super) fn start_rests_for(state: &State, decision: &Decision, now_ms: Elapsed) -> u64 {
    let engine = &decision.engine;
    if engine.phase != Phase::Reserved {
        return 0;
    }
    let first_ms = start_before(state, engine, now_ms).map(|(_, left_ms)| left_ms);
    let rests = groups(state, engine).map(|group| state.rests_for(&group, now_ms));
    rests.chain([host_rests_for(state, engine.node, now_ms)]).chain(first_ms).max().unwrap_or(0)
}

/// What the start of an engine shares with those of others.
fn groups(state: &State, engine: &Engine) -> impl Iterator<Item = Group> {
    let of_spec = state.group(&engine.spec, engine.replaces);
    [Some(of_spec), Group::vpn_of(engine), Some(Group::Host(engine.node))].into_iter().flatten()
}

/// The first start after failures, which the start of this engine waits for, and the milliseconds that it probably takes.
pub(super) fn start_before(state: &State, engine: &Engine, now_ms: Elapsed) -> Option<(EngineId, u64)> {
    let first = groups(state, engine).filter_map(|group| state.first_after_failure(&group, now_ms));
    let left = first.map(|first| (first.id, state.start_left_s(first, now_ms).saturating_mul(1_000)));
    left.max_by_key(|(_, left_ms)| *left_ms)
}

/// The same for the next start on a host, also after a failure that counted against something else.
fn host_rests_for(state: &State, host: NodeId, now_ms: Elapsed) -> u64 {
    let failed_at = state.node(host).and_then(|node| node.failed_start_ms);
    let moment_ms = failed_at.map_or(0, |at| at.plus(FIRST_REST_MS).since(now_ms));
    moment_ms.max(state.next_rests_for(host, now_ms))
}

/// How many of `wanted` plain starts their breaker lets pass.
fn allowed(state: &State, wanted: u32, now_ms: Elapsed) -> u32 {
    let group = Group::Plain(BreakerKind::General);
    let (breaker, policy) = state.breaker_over(&group, now_ms);
    match breaker.state(policy, now_ms) {
        BreakerState::Closed if state.rests_for(&group, now_ms) > 0 => 0,
        BreakerState::Closed => wanted,
        BreakerState::HalfOpen | BreakerState::Open if state.is_tried_for_floor(&group, now_ms) => {
            wanted.min(1)
        }
        BreakerState::HalfOpen if !state.probes_suffice(&group) => wanted.min(1),
        BreakerState::HalfOpen | BreakerState::Open => 0,
    }
}
