//! What a connection holds: its slot, and its place among those that the node waits for when it stops. A connection that becomes a WebSocket
//! outlives the task that served it, and holds the same.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::http::answer::problem::Problem;
use crate::http::connections::slots::Slot;
use crate::http::connections::stall::{Handling, Phase};

/// The hold on a connection. It ends with the last clone.
#[derive(Clone)]
pub(crate) struct Held(Arc<Inner>);

struct Inner {
    phase: Phase,
    _slot: Slot,
    _waited_for: TaskTrackerToken,
}

impl Held {
    /// A connection in this slot, of which the node waits for the end.
    pub fn new(slot: Slot, phase: Phase, waited_for: TaskTrackerToken) -> Self {
        Self(Arc::new(Inner { phase, _slot: slot, _waited_for: waited_for }))
    }

    /// The connection is in use from now on, and not closed for others, until the guard is dropped.
    pub fn in_use(&self) -> Handling {
        self.0.phase.handling()
    }
}

impl<S: Sync> FromRequestParts<S> for Held {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || Problem::text(StatusCode::INTERNAL_SERVER_ERROR, "the connection is not known");
        parts.extensions.get().cloned().ok_or_else(missing)
    }
}
