//! The bounded log of what happened, for operators.

use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::records::time::Elapsed;

/// Newest events that are kept.
pub const EVENTS_MAX: usize = 2_000;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventType {
    /// Engines.
    Engine,
    /// Streams.
    Stream,
    /// VPN containers.
    Vpn,
    /// Health and breakers.
    Health,
    /// The cluster itself.
    System,
}

/// One entry of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counted up, never reused.
    pub id: u64,
    /// The moment.
    pub at_ms: Elapsed,
    /// Subject.
    pub event_type: EventType,
    /// E.g. `created`, `deleted`, `started`, `ended`.
    pub category: String,
    /// One sentence for people.
    pub message: String,
    /// Published engine id, if any.
    #[serde(default)]
    pub container_id: Option<Arc<str>>,
    /// Stream id, if any.
    #[serde(default)]
    pub stream_id: Option<Arc<str>>,
}

/// A ring of the newest events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLog {
    next_id: u64,
    ring: Vector<Arc<Event>>,
}

impl EventLog {
    /// The event that had to go for it, if one had to.
    pub(crate) fn push(&mut self, mut event: Event) -> Option<Arc<Event>> {
        self.next_id += 1;
        event.id = self.next_id;
        self.ring.push_back(Arc::new(event));
        if self.ring.len() > EVENTS_MAX { self.pop_oldest() } else { None }
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Arc<Event>> {
        self.ring.pop_front()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        self.ring.iter()
    }

    /// Number of events kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// True when nothing has happened yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}
