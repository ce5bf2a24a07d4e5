//! Circuit breakers: counted by the log, read as a function of time.

use serde::{Deserialize, Serialize};

use crate::ids::EngineId;
use crate::policy::BreakerPolicy;
use crate::time::Elapsed;

/// The breakers, by what they guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerKind {
    /// Every creation of an engine that is no replacement.
    General,
    /// Replacements of engines that lost their network.
    Replacement,
}

impl BreakerKind {
    /// Which breaker a creation has to pass and feeds, by the engine in whose stead it is.
    #[must_use]
    pub fn over(replaces: Option<EngineId>) -> Self {
        match replaces {
            Some(_) => Self::Replacement,
            None => Self::General,
        }
    }
}

/// State of a breaker at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open,
    /// The recovery time is over: one probe may pass.
    HalfOpen,
}

/// Failures in a row and when they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Failures since the last success or reset.
    pub failure_count: u32,
    /// The newest failure.
    #[serde(default)]
    pub last_failure_ms: Option<Elapsed>,
    /// The newest success.
    #[serde(default)]
    pub last_success_ms: Option<Elapsed>,
}

impl Breaker {
    /// The state at `now_ms`. Opening is by count, half-opening by time alone, so nobody has to ask.
    #[must_use]
    pub fn state(&self, policy: BreakerPolicy, now_ms: Elapsed) -> BreakerState {
        if self.failure_count < policy.failure_threshold.max(1) {
            return BreakerState::Closed;
        }
        match self.recovery_left_ms(policy, now_ms) {
            0 => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }

    /// Milliseconds until a probe may pass; 0 when it may.
    #[must_use]
    pub fn recovery_left_ms(&self, policy: BreakerPolicy, now_ms: Elapsed) -> u64 {
        let failed_at = self.last_failure_ms.unwrap_or_default();
        failed_at.plus(policy.recovery_ms).since(now_ms)
    }

    pub(crate) fn record_failure(&mut self, now_ms: Elapsed) {
        self.failure_count = self.failure_count.saturating_add(1);
        self.last_failure_ms = Some(now_ms);
    }

    /// A success closes the breaker unless it is open: what was begun before it opened proves nothing.
    pub(crate) fn record_success(&mut self, policy: BreakerPolicy, now_ms: Elapsed) {
        self.last_success_ms = Some(now_ms);
        if self.state(policy, now_ms) != BreakerState::Open {
            self.failure_count = 0;
        }
    }

    pub(crate) fn reset(&mut self) {
        self.failure_count = 0;
    }
}
