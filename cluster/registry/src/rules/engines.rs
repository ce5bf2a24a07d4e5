//! What an engine is to clients, and what keeps it. An engine that clients may use is taken off the list first. It stops when
//! nobody uses it and no client that was given it can still be on the way.

use crate::level::Level;
use crate::queries::ended_by_guess;
use crate::records::cause::Cause;
use crate::records::engine::{Engine, Phase};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::health;
use crate::rules::renewal::{self, is_renewal, keeps_until_replaced};
use crate::rules::standing::{Keeps, Leaves, Standing, Unlisted};
use crate::state::State;

/// For so long after the return of a host its engines may not have said yet which of their streams play.
const DOUBT_MS: u64 = 15_000;

/// For so long after a client was given an engine it may come to it. Acexy waits up to 10 s after provisioning, its session may
/// take 20 s to open, and only then it reports the stream.
const COMES_WITHIN_MS: u64 = 35_000;

/// Engines that fail together do so within this time of each other: none of them makes room before it is known.
const TOGETHER_WITHIN_MS: u64 = 5_000;

/// Where an engine is in its life.
#[must_use]
pub fn standing(state: &State, engine: &Engine) -> Standing {
    let cause = || engine.end_cause().map_or(Cause::Stopped, |(cause, _)| cause.clone());
    match engine.phase {
        Phase::Reserved => Standing::Reserved,
        Phase::Starting | Phase::Running => match unlisted(state, engine) {
            None => Standing::Listed,
            Some(why) => Standing::Unlisted(why),
        },
        Phase::Stopping => Standing::Stopping(cause()),
        Phase::Gone | Phase::Failed => Standing::Ended(cause()),
    }
}

/// Why clients do not get a live engine; `None` for one that they get. Of one that is still reserved: why they would not.
#[must_use]
pub fn unlisted(state: &State, engine: &Engine) -> Option<Unlisted> {
    let has_address = engine.container_id.is_some() && engine.ports.host_http != 0;
    if !engine.is_acestream() {
        return Some(Unlisted::NotAnEngine);
    }
    let of_network = || match state.vpn_fault(engine) {
        Some(fault @ (VpnFault::Misplaced | VpnFault::Unhealthy)) => Some(Unlisted::Network(fault)),
        Some(VpnFault::StalePort | VpnFault::Reconnected | VpnFault::Portless) | None => None,
    };
    let of_address = || (!has_address).then_some(Unlisted::NoAddress);
    let of_start = || awaits_first_answer(state, engine).then_some(Unlisted::NotAnswered);
    let own = || unhealthy(engine).or_else(of_address).or_else(of_start);
    replaced(state, engine).or_else(of_network).or_else(own)
}

/// True for an engine that may never answer. The client for whom one was made reads it on the list before it answers.
fn awaits_first_answer(state: &State, engine: &Engine) -> bool {
    let is_given = engine.awaited_until_ms.is_some() && !engine.abandoned || engine.mark.is_some();
    let is_nobodys = !is_given && state.active_streams(engine.id) == 0;
    engine.phase == Phase::Starting && is_nobodys && state.level() >= Level::LISTS_WHAT_ANSWERS
}

/// An engine that fails its health checks, unless most engines of its host do: then it may be the host.
fn unhealthy(engine: &Engine) -> Option<Unlisted> {
    health::unlisted_since(engine)?;
    engine.failing.map(|failing| Unlisted::Unhealthy(failing.fault))
}

/// The reasons for which another engine is started before this one leaves.
pub(crate) fn replaced(state: &State, engine: &Engine) -> Option<Unlisted> {
    if state.is_down(engine.node) {
        return Some(Unlisted::HostDown);
    }
    if state.is_lost(engine) {
        return Some(Unlisted::HostUnavailable);
    }
    if state.is_draining(engine.node) {
        return Some(Unlisted::HostDraining);
    }
    let taken_off = engine.taken_off.as_ref()?;
    Some(Unlisted::TakenOff { cause: taken_off.cause.clone(), may_stay: taken_off.may_stay })
}

/// What keeps an engine on the list although it is to be unlisted after `idle_ms` without a stream: the rule of scaling down, of
/// `AUTO_DELETE` and of `/gc`. `None` when it may be unlisted at `now_ms`.
#[must_use]
pub fn keeps_listed(state: &State, engine: &Engine, idle_ms: u64, now_ms: Elapsed) -> Option<Keeps> {
    keeps_in_use(state, engine, idle_ms, now_ms)
        .or_else(|| above_floors(state, idle_ms, now_ms).err())
        .or_else(|| state.ready_spares().needed(engine.node).map(Keeps::SpareForHost))
}

/// The same without the floors, which need engines and not this one.
pub(crate) fn keeps_in_use(state: &State, engine: &Engine, idle_ms: u64, now_ms: Elapsed) -> Option<Keeps> {
    let streams = state.active_streams(engine.id);
    let idle_for = now_ms.since(state.idle_since_ms(engine));
    if engine.phase >= Phase::Stopping {
        return Some(Keeps::Stopping);
    }
    let is_unlisted = engine.taken_off.is_some()
        || engine.failing.is_some()
        || state.is_lost(engine)
        || state.is_given_up(engine);
    if !engine.is_published() || is_unlisted || state.is_draining(engine.node) {
        return Some(Keeps::Unlisted);
    }
    if streams > 0 {
        return Some(Keeps::Streams(streams));
    }
    if let Some(left_ms) = expected_for(engine, now_ms) {
        return Some(Keeps::ClientsComing { left_ms });
    }
    (idle_for < idle_ms).then(|| Keeps::NotIdle { left_ms: idle_ms - idle_for })
}

/// How many engines that have been free for `idle_ms` may leave before a floor needs the next one, wherever they are. Those that do not
/// answer yet cannot stand in for one that does. One that a player has just left stands in for none either: the next player takes it, and
/// the one that left would be wanted back.
///
/// # Errors
/// The floor that needs every engine that there is.
pub(crate) fn above_floors(state: &State, idle_ms: u64, now_ms: Elapsed) -> Result<u32, Keeps> {
    let min_replicas = state.policy().min_replicas;
    let idle_ms = if state.level() >= Level::KEEPS_FREE_ONES { idle_ms } else { 0 };
    let (ready, ready_free) = state.ready_supply(idle_ms, now_ms);
    let surplus = match min_replicas {
        // Nothing has to be there, so one that does not answer may leave, too.
        0 => state.supply(),
        floor => ready.saturating_sub(floor),
    };
    if surplus == 0 {
        return Err(Keeps::MinReplicas(min_replicas));
    }
    match state.policy().min_free_replicas {
        0 => Ok(surplus),
        floor if ready_free <= floor => Err(Keeps::MinFreeReplicas(floor)),
        floor => Ok(surplus.min(ready_free - floor)),
    }
}

/// What is wrong with the network of an engine that may leave for that at `now_ms`, or what keeps it. One whose network works
/// is taken off the list, another one stops.
///
/// # Errors
/// What keeps it.
pub fn why_off_network(state: &State, engine: &Engine, now_ms: Elapsed) -> Result<VpnFault, Keeps> {
    if engine.phase >= Phase::Stopping {
        return Err(Keeps::Stopping);
    }
    let fault = renewal::fault(state, engine, now_ms).ok_or(Keeps::Network)?;
    if fault != VpnFault::Unhealthy && engine.taken_off.is_some() {
        return Err(Keeps::Unlisted);
    }
    if let Some(keeps) = in_use(state, engine, now_ms) {
        return Err(keeps);
    }
    let comes_first = is_renewal(fault) && state.level() >= Level::REPLACES_BEFORE_LEAVING;
    let keeps = if comes_first { keeps_until_replaced(state, engine, fault, now_ms) } else { None };
    keeps.map_or(Ok(fault), Err)
}

/// What becomes of an engine that clients do not get any more, or shall not, at `now_ms`.
///
/// # Errors
/// What keeps it as it is.
pub(crate) fn leaves(state: &State, engine: &Engine, now_ms: Elapsed) -> Result<Leaves, Keeps> {
    if engine.phase < Phase::Stopping && health::outlasts_suspicion(engine, now_ms) {
        return Ok(Leaves::List);
    }
    keeps_running(state, engine, now_ms).map_or(Ok(Leaves::Host), Err)
}

/// What keeps an engine from being stopped because clients do not get it any more. `None` when it may stop at `now_ms`.
#[must_use]
pub fn keeps_running(state: &State, engine: &Engine, now_ms: Elapsed) -> Option<Keeps> {
    if engine.phase >= Phase::Stopping {
        return Some(Keeps::Stopping);
    }
    if state.drain_is_over(engine.node, now_ms) {
        return None;
    }
    let Some(until) = listed_until_ms(state, engine) else {
        let suspected = || health::suspected_for(engine, now_ms).map(|left_ms| Keeps::Suspected { left_ms });
        let away = is_away(state, engine).then_some(Keeps::HostAway);
        return Some(away.or_else(suspected).unwrap_or(Keeps::Listed));
    };
    // Another engine can only be had in the place of one that clients could not use anyway.
    let makes_room = engine.failing.is_some() && state.lacks_room();
    let stays_ms = if makes_room { TOGETHER_WITHIN_MS } else { COMES_WITHIN_MS };
    let left_ms = until.plus(stays_ms).since(now_ms).max(marked_for(engine, now_ms));
    let coming = (left_ms > 0).then_some(Keeps::ClientsComing { left_ms });
    in_use(state, engine, now_ms).or(coming)
}

/// True for an engine that clients do not get because of its host, and that nothing else is wrong with.
fn is_away(state: &State, engine: &Engine) -> bool {
    let knows_lost = state.level() >= Level::GIVES_UP_LOST_ENGINES;
    knows_lost && (state.is_lost(engine) || state.is_down(engine.node))
}

/// Whether an engine that its host is to stop leaves only because nobody uses it: a client that comes before the host begins with that
/// keeps it.
///
/// # Errors
/// The cause for which it stops in any case.
pub fn stops_unused(state: &State, engine: &Engine, now_ms: Elapsed) -> Result<(), Cause> {
    if engine.phase != Phase::Stopping || !engine.is_acestream() || state.level() < Level::KEEPS_VISITED {
        return Err(Cause::Stopped);
    }
    if state.drain_is_over(engine.node, now_ms) {
        return Err(Cause::Drained);
    }
    if engine.failing.is_some() {
        return Err(Cause::Unhealthy);
    }
    match engine.ending.as_ref().map(|ending| &ending.cause) {
        Some(cause) if cause.is_of_disuse() => Ok(()),
        Some(cause) => Err(cause.clone()),
        None => Err(Cause::Stopped),
    }
}

/// Until when an engine was listed; `None` while it still is, or is off the list for its host alone.
fn listed_until_ms(state: &State, engine: &Engine) -> Option<Elapsed> {
    let drain = state.node(engine.node).filter(|node| state.is_draining(node.info.id));
    let drain_since_ms = drain.map(|node| node.availability_since_ms);
    let taken_off_since_ms = engine.taken_off.as_ref().map(|taken_off| taken_off.since_ms);
    let off = [drain_since_ms, taken_off_since_ms, health::unlisted_since(engine)];
    let unlisted_since_ms = off.into_iter().flatten().min()?;
    // A call of before may have been answered later.
    let answered_ms = engine.started_at_ms.max(engine.awaited_until_ms).unwrap_or_default();
    Some(unlisted_since_ms.max(answered_ms))
}

/// Streams that run on an engine, or may, because they were taken for ended while its host was down.
pub(crate) fn in_use(state: &State, engine: &Engine, now_ms: Elapsed) -> Option<Keeps> {
    let streams = state.active_streams(engine.id);
    if streams > 0 {
        return Some(Keeps::Streams(streams));
    }
    let ended = state.usage(engine.id).last_stream_end_ms.unwrap_or_default();
    let container = engine.container_id.as_deref().unwrap_or_default();
    let mut streams = state.streams_of_container(container);
    let in_doubt = match state.is_down(engine.node) && state.level() >= Level::DOUBTS_WHILE_DOWN {
        true => streams.any(|stream| ended_by_guess(stream)),
        false => now_ms.since(ended) < DOUBT_MS && streams.any(|stream| state.may_go_on(stream)),
    };
    in_doubt.then_some(Keeps::StreamsInDoubt)
}

/// Milliseconds for which the one for whom an engine was made, or who claimed it, may be on the way to it.
pub(crate) fn expected_for(engine: &Engine, now_ms: Elapsed) -> Option<u64> {
    let waited_ms = engine.awaited_until_ms.map_or(0, |until| until.plus(COMES_WITHIN_MS).since(now_ms));
    let left_ms = waited_ms.max(marked_for(engine, now_ms));
    (left_ms > 0).then_some(left_ms)
}

/// The same by its mark, which outlasts the stream of another client, and by its seats.
fn marked_for(engine: &Engine, now_ms: Elapsed) -> u64 {
    let seats = engine.seats.iter().map(|seat| seat.until_ms);
    let until = engine.mark.map(|mark| mark.until_ms).into_iter().chain(seats);
    until.map(|until| until.since(now_ms)).max().unwrap_or(0)
}
