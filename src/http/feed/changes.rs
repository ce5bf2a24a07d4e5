//! What has changed since the feed looked last, as frames. Objects are rendered and compared with what was sent of them: what they show
//! depends on much more than their own records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::Stream;
use acefleet_registry::event::Event;
use bytes::Bytes;
use serde::Serialize;

use crate::http::answer::snapshot::{Sight, to_json};
use crate::http::answer::sse;
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::connections::answering::Closed;
use crate::http::events::log::EventEntry;
use crate::http::feed::figures::Sent;
use crate::http::feed::objects::{self, Rendered};
use crate::http::feed::present::{Present, Snapshots};
use crate::http::feed::ring::Frame;
use crate::http::feed::wanted::{ObjectType, Place, Subject};

/// Pause between figures.
const FIGURES_EVERY: Duration = Duration::from_millis(950);

/// Bytes of streams that one look tells again, which the last of them may exceed. With four looks a second all of them take half a
/// minute, and a reader that gets 2 MiB/s keeps up.
const AGAIN_BYTES: usize = 512 << 10;

/// Objects as they were told, without streams.
pub(crate) type Objects = BTreeMap<(ObjectType, String), Vec<u8>>;

/// What all readers of this node have been told.
pub(crate) struct Told {
    sight: Arc<Sight>,
    event: u64,
    objects: Arc<Objects>,
    figures: Arc<Sent>,
    figures_at: Instant,
    snapshots: Arc<Snapshots>,
    /// Streams that are told again, as the times that are shown of them have changed. There may be more than readers can take at once.
    again: VecDeque<Arc<str>>,
}

/// Why the feed ends.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bye {
    /// The node stops.
    Stopping,
    /// The reader did not keep up.
    TooSlow,
    /// The log has lost events before they could be sent.
    Gap,
    /// The key of the reader was revoked or replaced, or has ended.
    KeyEnded,
}

impl From<Closed> for Bye {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Draining => Self::Stopping,
            Closed::KeyEnded => Self::KeyEnded,
        }
    }
}

/// The last frame of a feed.
pub(crate) fn bye(reason: impl Into<Bye>) -> Bytes {
    #[derive(Serialize)]
    struct Data {
        reason: Bye,
    }
    sse::frame("bye", None, &Data { reason: reason.into() })
}

impl Told {
    /// The state now, as if all of it had been told.
    pub fn now(app: &App, sight: Arc<Sight>) -> Self {
        Self {
            event: sight.view.state.events().last_id(),
            objects: Arc::new(objects::all(app, &sight).into_iter().collect()),
            figures: Arc::new(Sent::now(app, &sight)),
            figures_at: Instant::now(),
            snapshots: Arc::default(),
            again: VecDeque::new(),
            sight,
        }
    }

    /// Whether there is more to tell than what changes.
    pub fn has_more(&self) -> bool {
        !self.again.is_empty()
    }

    fn place(&self) -> Place {
        Place { revision: self.sight.view.revision, event: self.event }
    }

    /// What a reader begins with that goes on behind the batch of this number.
    pub fn present(&self, behind: u64, at: Instant) -> Present {
        Present {
            at,
            place: self.place(),
            behind,
            sight: Arc::clone(&self.sight),
            objects: Arc::clone(&self.objects),
            figures: Arc::clone(&self.figures),
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    /// What is new since the last time.
    pub fn next(&mut self, app: &App, sight: Arc<Sight>) -> Vec<Frame> {
        let mut frames = Vec::new();
        let before = self.place();
        let events = sight.view.state.events();
        let new = events.after(self.event);
        let is_behind = events.last_id() < self.event;
        if is_behind || events.last_id() - self.event > new.len() as u64 {
            *self = Self::now(app, sight);
            return vec![Frame { subject: Subject::Feed, text: bye(Bye::Gap) }];
        }
        let last = Arc::clone(&self.sight);
        self.event = events.last_id();
        self.sight = Arc::clone(&sight);
        let place = self.place();
        self.note_objects(objects::all(app, &sight), place, &mut frames);
        let tell = |id: &str, stream: Option<&Stream>| {
            let json = stream.map(|stream| objects::stream(&sight, stream));
            change(place, ObjectType::Stream, id, json.as_deref())
        };
        let (was, is) = (&last.view.state, &sight.view.state);
        // A correction of the calendar changes no stream, but the times that are shown of all.
        let is_corrected = !was.calendar().agrees(is.calendar(), was.clock_ms());
        if is_corrected {
            self.again = objects::streams(&sight).iter().map(|stream| Arc::clone(&stream.start.id)).collect();
        }
        let mut told = BTreeSet::new();
        for (id, stream) in is.changed_streams(was) {
            frames.push(tell(id, stream.map(|stream| &**stream)));
            told.insert(id);
        }
        let mut room = AGAIN_BYTES;
        while room > 0
            && let Some(id) = self.again.pop_front()
        {
            // One that has changed was told just now, and one that is gone before.
            if let Some(stream) = is.stream(&id).filter(|_| !told.contains(&id)) {
                let frame = tell(&id, Some(stream));
                room = room.saturating_sub(frame.text.len());
                frames.push(frame);
            }
        }
        frames.extend(new.iter().map(|event| of_event(&sight, event)));
        if !frames.is_empty() || place != before {
            self.snapshots = Arc::default();
        }
        if self.figures_at.elapsed() >= FIGURES_EVERY {
            self.figures_at = Instant::now();
            let figures = Sent::now(app, &sight);
            let text = sse::frame("figures", None, &figures.since(&self.figures, app, &sight));
            self.figures = Arc::new(figures);
            frames.push(Frame { subject: Subject::Figures, text });
        }
        frames
    }

    fn note_objects(&mut self, now: Vec<Rendered>, place: Place, frames: &mut Vec<Frame>) {
        let (before, now) = (Arc::clone(&self.objects), Objects::from_iter(now));
        let changed = now.iter().filter(|(key, json)| before.get(*key) != Some(*json));
        frames.extend(changed.map(|((of, key), json)| change(place, *of, key, Some(json))));
        let gone = before.keys().filter(|key| !now.contains_key(*key));
        frames.extend(gone.map(|(of, key)| change(place, *of, key, None)));
        self.objects = Arc::new(now);
    }
}

/// The frame of an event. Only these have ids, as all that a reader misses of objects is in its next snapshot.
pub(crate) fn of_event(sight: &Sight, event: &Event) -> Frame {
    let place = Place { revision: sight.view.revision, event: event.id };
    let entry = EventEntry::of(event, &sight.view.state, zulu(sight.shown(event.at_ms)));
    let text = sse::frame("event", Some(&place.id(sight.cluster_id())), &entry);
    Frame { subject: Subject::Event(event.event_type), text }
}

fn change(place: Place, of: ObjectType, key: &str, object: Option<&[u8]>) -> Frame {
    let mut json =
        format!("{{\"revision\":{},\"type\":\"{}\",\"key\":", place.revision, of.as_ref()).into_bytes();
    json.extend(to_json(&key));
    json.extend(b",\"object\":");
    json.extend(object.unwrap_or(b"null"));
    json.push(b'}');
    let text = sse::frame_of_json("change", None, &json);
    Frame { subject: Subject::Change(of), text }
}
