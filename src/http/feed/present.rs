//! What new readers begin with: all that has been told. It is rendered for the first of them, and shared.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use acefleet_registry::event::{Event, EventLog};
use bytes::Bytes;

use crate::http::answer::problem::Problem;
use crate::http::answer::snapshot::{Sight, to_json};
use crate::http::answer::sse;
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::feed::backlog::Backlog;
use crate::http::feed::changes::Objects;
use crate::http::feed::figures::Sent;
use crate::http::feed::hello::{self, Hello};
use crate::http::feed::objects;
use crate::http::feed::wanted::{FrameKind, ObjectType, Place, Subject, Wanted};

/// Snapshots of one state for readers who want the same types. An old one is dropped for a new one.
pub(crate) type Snapshots = Mutex<VecDeque<(BTreeSet<ObjectType>, Bytes)>>;
/// Snapshots of one state that are kept.
const SNAPSHOTS: usize = 8;

/// What a reader gets at its beginning.
pub(crate) struct Begin {
    /// Its first frames.
    pub text: Vec<Bytes>,
    /// Events that follow them.
    pub backlog: Backlog,
}

/// All that has been told with one look.
pub(crate) struct Present {
    /// When it was looked at.
    pub at: Instant,
    /// Where in the feed it is.
    pub place: Place,
    /// Batch behind which its readers go on.
    pub behind: u64,
    pub(super) sight: Arc<Sight>,
    pub(super) objects: Arc<Objects>,
    pub(super) figures: Arc<Sent>,
    pub(super) snapshots: Arc<Snapshots>,
}

impl Present {
    /// The first frames of a reader. Takes time in proportion to what the cluster has.
    ///
    /// # Errors
    /// 503 when something has to be rendered for it while slow readers hold too much.
    pub fn begin(&self, app: &App, wanted: &Wanted) -> Result<Begin, Problem> {
        let log = self.sight.view.state.events();
        let newest = self.place;
        let given = wanted.last.as_ref();
        // What lies ahead of this log was in another one.
        let last = given.and_then(|last| last.within(self.sight.cluster_id()));
        let last = last.filter(|last| last.event <= newest.event);
        let from = last.map_or_else(|| before_tail(log, wanted).unwrap_or(newest.event), |last| last.event);
        let backlog = Backlog::of(log, from, newest.event);
        let lost = match (given, last) {
            (Some(_), None) => None,
            (Some(_), Some(last)) => Some(log.lost(last.event, |of| wanted.takes(Subject::Event(of)))),
            (None, _) => Some(0),
        };
        let place = Place { revision: newest.revision, event: from };
        let mut text =
            vec![hello::frame(&Hello::of(app, &self.sight, place, last.is_some(), lost, wanted.keyless))];
        if wanted.has(FrameKind::Change) {
            text.push(self.snapshot(app, wanted)?);
        }
        if wanted.has(FrameKind::Figures) {
            text.push(self.figures.frame(app, &self.sight)?);
        }
        Ok(Begin { text, backlog })
    }

    /// Whether all that takes long has been done for another reader.
    pub fn is_rendered(&self, wanted: &Wanted) -> bool {
        let has_snapshot = || self.kept().iter().any(|(types, _)| *types == wanted.types);
        wanted.tail == 0
            && (!wanted.has(FrameKind::Change) || has_snapshot())
            && (!wanted.has(FrameKind::Figures) || self.figures.is_rendered())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(BTreeSet<ObjectType>, Bytes)>> {
        // Held for moments, and each change is complete before anything can panic.
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All objects that a reader wants, as one frame.
    fn snapshot(&self, app: &App, wanted: &Wanted) -> Result<Bytes, Problem> {
        if let Some((_, snapshot)) = self.kept().iter().find(|(types, _)| *types == wanted.types) {
            return Ok(snapshot.clone());
        }
        let live = app.feed().beginnings();
        live.room()?;
        let snapshot = live.hold(self.render_snapshot(app, wanted));
        let mut kept = self.kept();
        if kept.len() >= SNAPSHOTS {
            kept.pop_front();
        }
        kept.push_back((wanted.types.clone(), snapshot.clone()));
        Ok(snapshot)
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
