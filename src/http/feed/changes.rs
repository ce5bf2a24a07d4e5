//! What has changed since the feed looked last, as frames. Objects are rendered and compared with what was sent of them: what they show
//! depends on much more than their own records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_raft::View;
use acefleet_registry::event::Event;
use bytes::Bytes;
use serde::Serialize;

use crate::http::answer::snapshot::{Sight, to_json};
use crate::http::answer::sse;
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::events::log::EventEntry;
use crate::http::feed::figures::Sent;
use crate::http::feed::objects::{self, Rendered};
use crate::http::feed::ring::Frame;
use crate::http::feed::wanted::{ObjectType, Place, Subject, Wanted};

/// Pause between figures.
const FIGURES_EVERY: Duration = Duration::from_millis(950);

/// What all readers of this node have been told.
pub(crate) struct Told {
    view: Arc<View>,
    event: u64,
    objects: BTreeMap<(ObjectType, String), Vec<u8>>,
    figures: Sent,
    figures_at: Instant,
    /// The snapshot of it for readers who want everything.
    snapshot: Option<Bytes>,
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
}

/// The last frame of a feed.
pub(crate) fn bye(reason: Bye) -> Bytes {
    #[derive(Serialize)]
    struct Data {
        reason: Bye,
    }
    sse::frame("bye", None, &Data { reason })
}

impl Told {
    /// The state now, as if all of it had been told.
    pub fn now(app: &App, sight: &Sight) -> Self {
        let mut figures = Sent::default();
        let _ = figures.next(app, sight);
        Self {
            view: Arc::clone(&sight.view),
            event: sight.view.state.events().last_id(),
            objects: objects::all(app, sight).into_iter().collect(),
            figures,
            figures_at: Instant::now(),
            snapshot: None,
        }
    }

    /// Where in the feed it is.
    pub fn place(&self) -> Place {
        Place { revision: self.view.revision, event: self.event }
    }

    /// What is new since the last time.
    pub fn next(&mut self, app: &App, sight: &Sight) -> Vec<Frame> {
        let mut frames = Vec::new();
        let before = self.place();
        let events = sight.view.state.events();
        let new = events.after(self.event);
        let is_behind = events.last_id() < self.event;
        if is_behind || events.last_id() - self.event > new.len() as u64 {
            *self = Self::now(app, sight);
            return vec![Frame { subject: Subject::Feed, text: bye(Bye::Gap) }];
        }
        let streams: Vec<_> = sight
            .view
            .state
            .changed_streams(&self.view.state)
            .map(|(id, stream)| (id.to_string(), stream.map(|stream| objects::stream(sight, stream))))
            .collect();
        self.view = Arc::clone(&sight.view);
        self.event = events.last_id();
        let place = self.place();
        self.note_objects(objects::all(app, sight), place, &mut frames);
        for (key, json) in streams {
            frames.push(change(place, ObjectType::Stream, &key, json.as_deref()));
        }
        frames.extend(new.iter().map(|event| of_event(sight, event)));
        if !frames.is_empty() || place != before {
            self.snapshot = None;
        }
        if self.figures_at.elapsed() >= FIGURES_EVERY {
            self.figures_at = Instant::now();
            let text = sse::frame("figures", None, &self.figures.next(app, sight));
            frames.push(Frame { subject: Subject::Figures, text });
        }
        frames
    }

    fn note_objects(&mut self, now: Vec<Rendered>, place: Place, frames: &mut Vec<Frame>) {
        let mut before = std::mem::take(&mut self.objects);
        for (key, json) in now {
            if before.remove(&key).as_ref() != Some(&json) {
                frames.push(change(place, key.0, &key.1, Some(&json)));
            }
            self.objects.insert(key, json);
        }
        frames.extend(before.keys().map(|(of, key)| change(place, *of, key, None)));
    }

    /// All objects that a reader wants, as one frame.
    pub fn snapshot(&mut self, app: &App, sight: &Sight, wanted: &Wanted) -> Bytes {
        if !wanted.types.is_empty() {
            return self.render_snapshot(app, sight, wanted);
        }
        if let Some(snapshot) = &self.snapshot {
            return snapshot.clone();
        }
        let snapshot = self.render_snapshot(app, sight, wanted);
        self.snapshot = Some(snapshot.clone());
        snapshot
    }

    fn render_snapshot(&self, app: &App, sight: &Sight, wanted: &Wanted) -> Bytes {
        let mut json = format!("{{\"revision\":{},\"at\":", self.view.revision).into_bytes();
        json.extend(to_json(&zulu(app.fleet().wall_now())));
        for (of, name) in
            [(ObjectType::Node, "nodes"), (ObjectType::Engine, "engines"), (ObjectType::Vpn, "vpns")]
        {
            if wanted.has_type(of) {
                let all = self.objects.iter().filter(|((kind, _), _)| *kind == of);
                array(&mut json, name, all.map(|(_, object)| object.as_slice()));
            }
        }
        if wanted.has_type(ObjectType::Stream) {
            let all: Vec<Vec<u8>> =
                objects::streams(sight).iter().map(|stream| objects::stream(sight, stream)).collect();
            array(&mut json, "streams", all.iter().map(Vec::as_slice));
        }
        if let Some(cluster) = self.objects.get(&(ObjectType::Cluster, String::new()))
            && wanted.has_type(ObjectType::Cluster)
        {
            json.extend(b",\"cluster\":");
            json.extend(cluster);
        }
        json.push(b'}');
        sse::frame_of_json("snapshot", None, &json)
    }

    /// All figures, for a reader who has none.
    pub fn figures(&self, app: &App, sight: &Sight) -> Bytes {
        sse::frame("figures", None, &self.figures.all(app, sight))
    }
}

/// The frame of an event. Only these have ids, as all that a reader misses of objects is in its next snapshot.
pub(crate) fn of_event(sight: &Sight, event: &Event) -> Frame {
    let place = Place { revision: sight.view.revision, event: event.id };
    let entry = EventEntry::of(event, &sight.view.state, zulu(sight.shown(event.at_ms)));
    let text = sse::frame("event", Some(&place.id()), &entry);
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

fn array<'a>(json: &mut Vec<u8>, name: &str, items: impl Iterator<Item = &'a [u8]>) {
    json.extend(format!(",\"{name}\":[").bytes());
    for (number, item) in items.enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.extend(item);
    }
    json.push(b']');
}
