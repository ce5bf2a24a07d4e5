//! The bounded log of what happened, for operators.

use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::records::actor::Actor;
use crate::records::category::MemberCategory;
use crate::records::end_reason::EndReason;
use crate::records::ids::{EngineId, NodeId};
use crate::records::join_token::TokenCategory;
use crate::records::time::Elapsed;

/// Newest events that are kept below [`Level::KEEPS_MORE_EVENTS`](crate::Level::KEEPS_MORE_EVENTS).
pub const EVENTS_MAX: usize = 2_000;
/// Newest events about streams that are kept from there on, and as many about all else.
pub const KEPT_EACH: usize = 5_000;

/// What an event is about.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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
    /// Engine, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineId>,
    /// Member that it is about, or on whose host it happened, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// VPN container on that host, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpn: Option<String>,
    /// Term of the leader that it is about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// Who made the change from outside; none for what the cluster does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

impl Event {
    /// As [`is_audited`].
    #[must_use]
    pub fn is_audited(&self) -> bool {
        is_audited(self.event_type == EventType::Stream, &self.category, &self.message, self.by.is_some())
    }
}

/// Whether somebody outside did what an event tells, other than a proxy that reports a stream. `is_named`: the event says who did it. Who joins has no
/// name yet but that of the node or the token.
#[must_use]
pub fn is_audited(of_stream: bool, category: &str, message: &str, is_named: bool) -> bool {
    let joins = [TokenCategory::JoinTokenUsed.into(), MemberCategory::NodeJoined.into()];
    let by_hand = || message.ends_with(&format!("({})", EndReason::StoppedByApi));
    joins.contains(&category) || is_named && (!of_stream || by_hand())
}

/// Who made a change, and through which member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The member that took the call.
    pub through: NodeId,
}

/// How many events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// The newest ones, whatever they are about: [`EVENTS_MAX`].
    Newest,
    /// The newest about streams and the newest about all else, [`KEPT_EACH`] of each. Streams come and go too often to be let push out
    /// what explains last night.
    Each,
}

/// The newest events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct EventLog {
    next_id: u64,
    ring: Vector<Arc<Event>>,
    /// Ids of those in the ring that are about streams, oldest first.
    streams: Vector<u64>,
}

/// The log as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename = "EventLog")]
struct Stored {
    next_id: u64,
    #[serde(deserialize_with = "crate::records::cautious::vector")]
    ring: Vector<Arc<Event>>,
}

impl From<Stored> for EventLog {
    fn from(Stored { next_id, ring }: Stored) -> Self {
        let of_streams = ring.iter().filter(|event| event.event_type == EventType::Stream);
        let streams = of_streams.map(|event| event.id).collect();
        Self { next_id, ring, streams }
    }
}

impl From<EventLog> for Stored {
    fn from(log: EventLog) -> Self {
        Self { next_id: log.next_id, ring: log.ring }
    }
}

impl EventLog {
    /// The event that had to go for it, if one had to.
    pub(crate) fn push(&mut self, mut event: Event, keeps: Keeps) -> Option<Arc<Event>> {
        self.next_id += 1;
        event.id = self.next_id;
        let is_of_stream = event.event_type == EventType::Stream;
        if is_of_stream {
            self.streams.push_back(event.id);
        }
        self.ring.push_back(Arc::new(event));
        let (streams, others) = (self.streams.len(), self.ring.len() - self.streams.len());
        match keeps {
            Keeps::Newest if self.ring.len() > EVENTS_MAX => self.remove(0),
            Keeps::Each if is_of_stream && streams > KEPT_EACH => self.pop_stream(),
            Keeps::Each if !is_of_stream && others > KEPT_EACH => self.pop_other(),
            Keeps::Newest | Keeps::Each => None,
        }
    }

    /// Drops the oldest event of what there is more of: events about streams or others.
    pub(crate) fn pop_oldest(&mut self) -> Option<Arc<Event>> {
        match self.streams.len() * 2 > self.ring.len() {
            true => self.pop_stream(),
            false => self.pop_other(),
        }
    }

    fn pop_stream(&mut self) -> Option<Arc<Event>> {
        let oldest = *self.streams.front()?;
        self.remove(self.place(oldest))
    }

    fn pop_other(&mut self) -> Option<Arc<Event>> {
        let place = self.ring.iter().position(|event| event.event_type != EventType::Stream)?;
        self.remove(place)
    }

    fn remove(&mut self, place: usize) -> Option<Arc<Event>> {
        if place >= self.ring.len() {
            return None;
        }
        let event = self.ring.remove(place);
        if self.streams.front() == Some(&event.id) {
            self.streams.pop_front();
        }
        Some(event)
    }

    /// Where the first event from this id on is in the ring.
    fn place(&self, id: u64) -> usize {
        self.ring.binary_search_by(|event| event.id.cmp(&id)).unwrap_or_else(|place| place)
    }

    /// Gives the next event a greater id than this one.
    pub(crate) fn pass_over(&mut self, id: u64) {
        self.next_id = self.next_id.max(id);
    }

    /// The log with another event in the place of each.
    pub(crate) fn each(&self, other: impl Fn(&Event) -> Event) -> Self {
        let ring = self.ring.iter().map(|event| Arc::new(other(event))).collect();
        Self { ring, ..self.clone() }
    }

    /// Id of the newest event that was ever pushed; 0 before the first.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.next_id
    }

    /// The events behind this one that are kept, oldest first. Ids are counted without gaps, so what is missing is lost.
    #[must_use]
    pub fn after(&self, id: u64) -> Vector<Arc<Event>> {
        self.ring.skip(self.place(id.saturating_add(1)))
    }

    /// At most so many of the events behind this one that are wanted are not kept any more. Those that are gone have left nothing but a
    /// gap between ids, so they count for all types that they may have had.
    #[must_use]
    pub fn lost(&self, after: u64, is_wanted: impl Fn(EventType) -> bool) -> u64 {
        let is_of_stream = |of: EventType| of == EventType::Stream;
        // Of events about streams, and of all others, the oldest go first: nothing is gone behind the oldest one that is kept.
        let whole_from = [true, false].into_iter().filter_map(|streams| {
            EventType::VARIANTS.iter().find(|of| is_of_stream(**of) == streams && is_wanted(**of))?;
            let oldest = self.ring.iter().find(|event| is_of_stream(event.event_type) == streams);
            Some(oldest.map_or(self.next_id + 1, |event| event.id))
        });
        let (first, end) = (after.saturating_add(1), whole_from.max().unwrap_or_default());
        let kept = self.place(end).saturating_sub(self.place(first));
        end.saturating_sub(first).saturating_sub(kept as u64)
    }

    /// The events before this one that are kept, newest first.
    pub fn before(&self, id: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.ring.focus().narrow(..self.place(id)).into_iter().rev()
    }

    /// Says who made the changes behind this event.
    pub(crate) fn attribute(&mut self, after: u64, by: &By) {
        for place in self.place(after.saturating_add(1))..self.ring.len() {
            if let Some(event) = self.ring.get_mut(place) {
                Arc::make_mut(event).by = Some(by.clone());
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: EventType) -> Event {
        Event {
            id: 0,
            at_ms: Elapsed(0),
            event_type,
            category: "x".to_owned(),
            message: String::new(),
            container_id: None,
            stream_id: None,
            engine: None,
            node: None,
            vpn: None,
            term: None,
            by: None,
        }
    }

    #[test]
    fn only_events_that_may_have_been_wanted_are_lost() {
        let mut log = EventLog::default();
        log.push(event(EventType::System), Keeps::Each);
        let streams = KEPT_EACH as u64;
        for _ in 0..streams + 1_000 {
            log.push(event(EventType::Stream), Keeps::Each);
        }
        log.push(event(EventType::Health), Keeps::Each);
        let of = |wanted: &'static [EventType]| move |of: EventType| wanted.contains(&of);
        assert_eq!(log.lost(1, |_| true), 1_000);
        assert_eq!(log.lost(1, of(&[EventType::Stream])), 1_000);
        assert_eq!(log.lost(501, of(&[EventType::Stream, EventType::System])), 500);
        assert_eq!(log.lost(1_001, |_| true), 0);
        assert_eq!(log.lost(0, of(&[EventType::System, EventType::Vpn])), 0, "none of these is gone");
        assert_eq!(log.lost(0, |_| false), 0);
        assert_eq!(log.lost(u64::MAX, |_| true), 0);
        for _ in 0..KEPT_EACH {
            log.push(event(EventType::System), Keeps::Each);
        }
        // The first one and that about health are gone, and nobody knows what else was between them.
        assert_eq!(log.lost(0, of(&[EventType::Health])), 1_002);
        assert_eq!(log.lost(streams, of(&[EventType::Health])), 1);
    }
}
