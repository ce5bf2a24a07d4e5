//! The state that all handlers share: settings, faults, sessions, counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::faults::Faults;
use crate::sessions::Sessions;

/// What ends the process; tests put something else in its place.
pub type Exit = Box<dyn Fn(i32) + Send + Sync>;

/// One simulated engine.
pub struct Engine {
    /// Settings of the process.
    pub config: Config,
    /// When the engine came up.
    pub started: Instant,
    faults: Mutex<Faults>,
    sessions: Mutex<Sessions>,
    calls: [AtomicU64; Endpoint::ALL.len()],
    exit: Exit,
}

impl Engine {
    /// A fresh engine; `exit` is called to die.
    pub fn new(config: Config, exit: Exit) -> Self {
        Self {
            started: Instant::now(),
            faults: Mutex::new(config.faults.clone()),
            sessions: Mutex::new(Sessions::default()),
            calls: Default::default(),
            exit,
            config,
        }
    }

    /// The faults in force. Not to be held across an await.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        // A panic elsewhere cannot leave these half changed, so poisoning is of no interest.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions, the expired ones removed. Not to be held across an await.
    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        let ttl = self.faults().session_ttl();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.expire(Instant::now(), ttl);
        sessions
    }

    /// Counts a call.
    pub fn count(&self, endpoint: Endpoint) {
        self.calls[endpoint as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Calls so far, per endpoint.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        Endpoint::ALL
            .into_iter()
            .map(|e| (e.name(), self.calls[e as usize].load(Ordering::Relaxed)))
            .collect()
    }

    /// Ends the engine with this exit code.
    pub fn die(&self, code: i32) {
        (self.exit)(code);
    }
}
