//! What new readers begin with: all that has been told. It is rendered for the first of them, and shared.

use std::sync::{Arc, OnceLock};

use acefleet_registry::event::{Event, EventLog};
use bytes::Bytes;

use crate::http::answer::snapshot::{Sight, to_json};
use crate::http::answer::sse;
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::feed::changes::{Objects, of_event};
use crate::http::feed::figures::Sent;
use crate::http::feed::hello::{self, Hello};
use crate::http::feed::objects;
use crate::http::feed::ring::{Batch, Frame};
use crate::http::feed::wanted::{FrameKind, ObjectType, Place, Subject, Wanted};

/// All that has been told with one look.
pub(crate) struct Present {
    /// Where in the feed it is.
    pub place: Place,
    /// Batch behind which its readers go on.
    pub behind: u64,
    pub(super) sight: Arc<Sight>,
    pub(super) objects: Arc<Objects>,
    pub(super) figures: Arc<Sent>,
    /// All objects, for readers who want everything.
    pub(super) snapshot: Arc<OnceLock<Bytes>>,
}

impl Present {
    /// The first frames of a reader. Takes time in proportion to what the cluster has.
    pub fn begin(&self, app: &App, wanted: &Wanted) -> Vec<Bytes> {
        let log = self.sight.view.state.events();
        let newest = self.place;
        // What lies ahead of this log was in another one.
        let last = wanted.last.filter(|last| last.event <= newest.event);
        let from = last.map_or_else(|| before_tail(log, wanted).unwrap_or(newest.event), |last| last.event);
        let missed = log.after(from);
        let lost = match (wanted.last, last) {
            (Some(_), None) => None,
            (Some(_), Some(last)) => Some(newest.event - last.event - missed.len() as u64),
            (None, _) => Some(0),
        };
        let place = Place { revision: newest.revision, event: from };
        let mut text = vec![hello::frame(&Hello::of(app, &self.sight, place, last.is_some(), lost))];
        if wanted.has(FrameKind::Change) {
            text.push(self.snapshot(app, wanted));
        }
        if wanted.has(FrameKind::Figures) {
            text.push(self.figures.frame(app, &self.sight));
        }
        let missed: Vec<Frame> = missed.iter().map(|event| of_event(&self.sight, event)).collect();
        let missed = Batch::of(&missed).text(wanted);
        if !missed.is_empty() {
            text.push(missed);
        }
        text
    }

    /// All objects that a reader wants, as one frame.
    fn snapshot(&self, app: &App, wanted: &Wanted) -> Bytes {
        match wanted.types.is_empty() {
            true => self.snapshot.get_or_init(|| self.render_snapshot(app, wanted)).clone(),
            false => self.render_snapshot(app, wanted),
        }
    }

    fn render_snapshot(&self, app: &App, wanted: &Wanted) -> Bytes {
        let mut json = format!("{{\"revision\":{},\"at\":", self.place.revision).into_bytes();
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
            let all: Vec<Vec<u8>> = objects::streams(&self.sight)
                .iter()
                .map(|stream| objects::stream(&self.sight, stream))
                .collect();
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
}

/// Where the newest events begin that a reader wants first; none when it wants none, or there are none.
fn before_tail(log: &EventLog, wanted: &Wanted) -> Option<u64> {
    let takes = |event: &&Arc<Event>| wanted.takes(Subject::Event(event.event_type));
    let tail = usize::try_from(wanted.tail).unwrap_or(usize::MAX);
    log.iter().rev().filter(takes).take(tail).last().map(|event| event.id.saturating_sub(1))
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
