//! Circuit breakers: counted by the log, read as a function of time.

use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use crate::records::ids::EngineId;
use crate::records::lack::clipped;
use crate::records::policy::BreakerPolicy;
use crate::records::time::Elapsed;

/// Pause after a first failure; it doubles with each one in a row.
pub(crate) const FIRST_REST_MS: u64 = 2_000;
/// Longest pause after a failure.
const LONGEST_REST_MS: u64 = 60_000;

/// Pause after so many failures in a row.
pub(crate) fn rest_ms(failures: u32) -> u64 {
    match failures {
        0 => 0,
        _ => FIRST_REST_MS.saturating_mul(1 << (failures - 1).min(10)).min(LONGEST_REST_MS),
    }
}

/// The breakers, by what they guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum BreakerKind {
    /// Every creation of an engine that is no replacement.
    General,
    /// Replacements of engines that lost their network.
    Replacement,
}

impl BreakerKind {
    /// Which breaker a creation has to pass and feeds, by the engine that it replaces.
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
    /// What failed then, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
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

    /// How many failures in a row, and what the last one was.
    #[must_use]
    pub fn story(&self) -> String {
        let count = self.failure_count;
        match &self.last_failure {
            Some(last) => format!("{count} failures in a row, lastly: {last}"),
            None => format!("{count} failures in a row"),
        }
    }

    pub(crate) fn record_failure(&mut self, now_ms: Elapsed, message: &str) {
        self.last_failure = Some(clipped(message));
        self.failure_count = self.failure_count.saturating_add(1);
        self.last_failure_ms = Some(now_ms);
    }

    /// A failure of this moment was none, or that of something else. `before` is when the newest of the others was, as far as it is known.
    pub(crate) fn take_back(&mut self, at_ms: Elapsed, before: Option<Elapsed>) {
        self.failure_count = self.failure_count.saturating_sub(1);
        if self.failure_count == 0 {
            (self.last_failure_ms, self.last_failure) = (None, None);
        } else if self.last_failure_ms == Some(at_ms) {
            self.last_failure_ms = before.or(self.last_failure_ms);
            self.last_failure = None;
        }
    }

    /// The failure of this moment was none, and one of another moment counts in its place.
    pub(crate) fn pass_on(&mut self, at_ms: Elapsed, to_ms: Elapsed) {
        if self.last_failure_ms == Some(at_ms) {
            (self.last_failure_ms, self.last_failure) = (Some(to_ms), None);
        }
    }

    /// A success closes the breaker unless it is open: what was begun before it opened proves nothing.
    pub(crate) fn record_success(&mut self, policy: BreakerPolicy, now_ms: Elapsed) {
        self.last_success_ms = Some(now_ms);
        if self.state(policy, now_ms) != BreakerState::Open {
            self.failure_count = 0;
        }
    }

    /// An engine that was started after the newest failure has lived long enough.
    pub(crate) fn record_proof(&mut self, at_ms: Elapsed) {
        self.last_success_ms = self.last_success_ms.max(Some(at_ms));
        self.failure_count = 0;
    }

    pub(crate) fn reset(&mut self) {
        self.failure_count = 0;
    }
}
