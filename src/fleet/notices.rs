//! What operators have to know of a leader's plan, each once as a log line: floors that cannot be kept, and circuit breakers that open
//! and close.

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Plan, Wait};
use acefleet_registry::{Elapsed, RefusalCode, State};

const BREAKERS: [BreakerKind; 2] = [BreakerKind::General, BreakerKind::Replacement];

/// What was said last.
#[derive(Debug, Default)]
pub struct Notices {
    /// Why the floors are not kept.
    short: Option<RefusalCode>,
    open: [bool; BREAKERS.len()],
}

impl Notices {
    /// Logs what has changed since the last plan.
    pub fn note(&mut self, state: &State, plan: &Plan, now: Elapsed) {
        self.note_floors(&state.at(now), plan);
        for (kind, was_open) in BREAKERS.into_iter().zip(&mut self.open) {
            note_breaker(state, kind, was_open, now);
        }
    }

    fn note_floors(&mut self, state: &State, plan: &Plan) {
        let short = plan.waits.iter().find_map(|wait| match wait {
            Wait::Floor { missing, why: Shortage::Refused(refusal) } => Some((*missing, refusal)),
            _ => None,
        });
        match short {
            Some((missing, refusal)) if self.short != Some(refusal.code) => {
                self.short = Some(refusal.code);
                tracing::warn!(
                    missing,
                    reason = refusal.message,
                    "MIN_REPLICAS or MIN_FREE_REPLICAS cannot be kept"
                );
            }
            Some(_) => {}
            None if self.short.is_some() && is_kept(state) => {
                self.short = None;
                tracing::info!("MIN_REPLICAS and MIN_FREE_REPLICAS are kept again");
            }
            None => {}
        }
    }

    /// Forgets it: another node leads.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn is_kept(state: &State) -> bool {
    let policy = state.policy();
    state.supply() >= policy.min_replicas && state.free_supply() >= policy.min_free_replicas
}

/// What a breaker holds back.
fn what(kind: BreakerKind) -> &'static str {
    match kind {
        BreakerKind::General => "engine",
        BreakerKind::Replacement => "replacement",
    }
}

fn note_breaker(state: &State, kind: BreakerKind, was_open: &mut bool, now: Elapsed) {
    let (breaker, policy) = state.breaker(kind);
    match state.breaker_state(kind, now) {
        BreakerState::Open if !*was_open => {
            *was_open = true;
            tracing::warn!(
                breaker = kind.as_ref(),
                seconds = breaker.recovery_left_ms(policy, now).div_ceil(1_000),
                "the circuit breaker is open, no {} is started: {}",
                what(kind),
                breaker.story()
            );
        }
        BreakerState::Closed if *was_open => {
            *was_open = false;
            tracing::info!(breaker = kind.as_ref(), "the circuit breaker is closed again");
        }
        BreakerState::Open | BreakerState::Closed | BreakerState::HalfOpen => {}
    }
}
