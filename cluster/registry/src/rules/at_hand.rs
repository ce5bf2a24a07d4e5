//! Which engine a reservation gets without starting one.

use std::sync::Arc;

use crate::command::Reserve;
use crate::level::Level;
use crate::records::engine::{Engine, Health, Phase};
use crate::reply::{Refusal, RefusalCode};
use crate::rules::engines::{expected_for, in_use, unlisted};
use crate::rules::standing::Unlisted;
use crate::state::State;

/// An engine that nobody needs: a caller asked for it in the same words and then stopped waiting for it, or it was not needed and was
/// taken off the list. Not one that would fail this call again.
pub(super) fn unclaimed(state: &State, ask: &Reserve) -> Option<Arc<Engine>> {
    let now = state.tables.clock_ms;
    let wanted = ask.replaces.is_none() && ask.only_below.is_none_or(|below| state.supply() < below);
    let unclaimed = |e: &Engine| {
        ask.claim_abandoned
            && e.taken_off.is_none()
            && e.is_unclaimed(now)
            && e.phase < Phase::Stopping
            && state.active_streams(e.id) == 0
    };
    let is_marked = |e: &Engine| state.is_expecting(e, now);
    let free = |e: &Engine| wanted && state.is_spare(e) || unclaimed(e);
    let found = state.live_engines().filter(|e| free(e) && !is_marked(e) && fits(state, ask, e));
    // One that runs before one that is being started.
    let is_late = |e: &Engine| e.phase == Phase::Reserved && state.level() >= Level::QUEUES_CALLERS;
    found.min_by_key(|e| (is_late(e), e.id)).cloned()
}

/// The engine that a caller gets in place of this refusal, where no other can be started: the one that has been idle for longest, else
/// one that the cluster has just started for itself, or is starting. What another caller was given a while ago comes last.
pub(super) fn instead(state: &State, ask: &Reserve, refusal: &Refusal) -> Option<Arc<Engine>> {
    let is_full = matches!(refusal.code, RefusalCode::MaxCapacity | RefusalCode::NoFreePorts);
    // What is on trial may end like those before it.
    let holds_starts_back = refusal.code == RefusalCode::CircuitBreaker;
    if !(is_full || holds_starts_back) || !is_call(ask) || state.level() < Level::HANDS_OUT_IDLE {
        return None;
    }
    let now = state.tables.clock_ms;
    let is_idle = |e: &Engine| in_use(state, e, now).is_none() && !state.is_expecting(e, now);
    let is_nobodys = |e: &Engine| e.awaited_until_ms.is_none() && !e.abandoned && e.taken_off.is_none();
    let is_offered = |e: &Engine| match e.phase {
        Phase::Running => e.health == Health::Healthy && unlisted(state, e).is_none(),
        Phase::Starting => {
            let is_sound = matches!(unlisted(state, e), None | Some(Unlisted::NotAnswered));
            is_full && is_nobodys(e) && is_sound
        }
        Phase::Reserved => is_full && is_nobodys(e) && state.level() >= Level::QUEUES_CALLERS,
        Phase::Stopping | Phase::Gone | Phase::Failed => false,
    };
    let offered = state.live_engines().filter(|e| is_offered(e) && is_idle(e) && fits(state, ask, e));
    let rank = |e: &Engine| match e.phase {
        Phase::Running => 0,
        Phase::Starting => 1,
        _ => 2,
    };
    offered.min_by_key(|e| (rank(e), expected_for(e, now).is_some(), state.idle_since_ms(e), e.id)).cloned()
}

/// True for a call from outside: what the cluster starts for itself must not take what it has.
fn is_call(ask: &Reserve) -> bool {
    !ask.automatic && ask.only_below.is_none() && ask.replaces.is_none()
}

/// It was asked for in these words, and would not fail this call.
fn fits(state: &State, ask: &Reserve, e: &Engine) -> bool {
    let host = ask.eligible.contains(&e.node) && !ask.exclude.contains(&e.node);
    host && state.is_of_use(e) && e.spec == ask.spec
}
