//! What a reader of the feed wants, and from where on.

use std::collections::BTreeSet;
use std::str::FromStr;

use acefleet_registry::event::EventType;
use axum::http::HeaderMap;
use serde_json::json;
use strum::{AsRefStr, EnumString, VariantNames};

use crate::http::answer::problem::Problem;
use crate::http::request::query::Query;
use crate::http::request::resume::last_event_id;

/// Newest events of the log that a reader may ask for at its beginning.
const TAIL_MAX: u64 = 1_000;

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, AsRefStr, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum ObjectType {
    /// The cluster as a whole.
    Cluster,
    /// A member.
    Node,
    /// An engine.
    Engine,
    /// A stream.
    Stream,
    /// A VPN container.
    Vpn,
}

/// Kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, AsRefStr, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum FrameKind {
    /// Objects: all of them first, then each that changes.
    Change,
    /// Entries of the log.
    Event,
    /// Speeds and the like.
    Figures,
}

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An object of this type.
    Change(ObjectType),
    /// An entry of the log.
    Event(EventType),
    /// Figures.
    Figures,
    /// The end of the feed, which everybody gets.
    Feed,
}

/// A place in the feed of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Revision of the registry.
    pub revision: u64,
    /// Newest event of the log.
    pub event: u64,
}

/// Characters of a cluster's id that frames have. Two clusters in one place never had the same ones by chance alone.
const CLUSTER: usize = 8;

fn short(cluster_id: &str) -> &str {
    cluster_id.get(..CLUSTER).unwrap_or(cluster_id)
}

impl Place {
    /// The id of a frame. It names the cluster, as each one counts from the beginning.
    pub fn id(self, cluster_id: &str) -> String {
        format!("{}-{}-{}", short(cluster_id), self.revision, self.event)
    }
}

/// The id of a frame that a reader sends back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    cluster: String,
    place: Place,
}

impl Last {
    fn parse(text: &str) -> Option<Self> {
        let (rest, event) = text.trim().rsplit_once('-')?;
        let (cluster, revision) = rest.rsplit_once('-')?;
        let place = Place { revision: revision.parse().ok()?, event: event.parse().ok()? };
        Some(Self { cluster: cluster.to_owned(), place })
    }

    /// The place, if it is one of this cluster.
    pub fn within(&self, cluster_id: &str) -> Option<Place> {
        (self.cluster == short(cluster_id)).then_some(self.place)
    }
}

/// What one reader wants. Empty sets stand for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Kinds of frames.
    pub kinds: BTreeSet<FrameKind>,
    /// Types of objects.
    pub types: BTreeSet<ObjectType>,
    /// Types of events.
    pub event_types: BTreeSet<EventType>,
    /// So many of the newest events are sent first.
    pub tail: u64,
    /// Changes and logs need no key: a proxy has signed the reader in.
    pub keyless: bool,
    /// Behind this frame; none to begin with the present.
    pub last: Option<Last>,
}

impl Wanted {
    /// Reads parameters and headers.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn read(query: &Query, headers: &HeaderMap) -> Result<Self, Problem> {
        let msg = "Input should be the id of a frame of this feed, like 9d1f3c0a-4711-918";
        let last = last_event_id(query, headers, "place_parsing", msg, Last::parse)?;
        Ok(Self {
            kinds: words(query, "kinds", FrameKind::VARIANTS, |text| FrameKind::from_str(text).ok())?,
            types: words(query, "types", ObjectType::VARIANTS, |text| ObjectType::from_str(text).ok())?,
            event_types: words(query, "event_types", EventType::VARIANTS, |text| {
                EventType::from_str(text).ok()
            })?,
            tail: query.unsigned_within("tail", 0..=TAIL_MAX)?.unwrap_or_default(),
            keyless: false,
            last,
        })
    }

    /// Whether it wants frames of this kind.
    pub fn has(&self, kind: FrameKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Whether it wants objects of this type.
    pub fn has_type(&self, object: ObjectType) -> bool {
        self.has(FrameKind::Change) && (self.types.is_empty() || self.types.contains(&object))
    }

    /// Whether it wants a frame about this.
    pub fn takes(&self, subject: Subject) -> bool {
        match subject {
            Subject::Change(object) => self.has_type(object),
            Subject::Event(of) => {
                let is_wanted = self.event_types.is_empty() || self.event_types.contains(&of);
                self.has(FrameKind::Event) && is_wanted
            }
            Subject::Figures => self.has(FrameKind::Figures),
            Subject::Feed => true,
        }
    }
}

/// A list of words with commas between.
fn words<T: Ord>(
    query: &Query,
    name: &str,
    known: &[&str],
    read: impl Fn(&str) -> Option<T>,
) -> Result<BTreeSet<T>, Problem> {
    let Some(text) = query.get(name) else { return Ok(BTreeSet::new()) };
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(read).collect::<Option<_>>().ok_or_else(|| {
        let msg = format!("Input should be a list of these words with commas between: {}", known.join(", "));
        query.wrong(name, "enum", &msg, Some(json!({ "expected": known })))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, header: Option<&str>) -> Result<Wanted, Problem> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("last-event-id", header.parse().unwrap());
        }
        Wanted::read(&Query::parse(Some(query)), &headers)
    }

    #[test]
    fn parameters_choose_frames() {
        assert_eq!(read("", None).unwrap(), Wanted::default());
        let wanted = read("kinds=change,%20event&types=engine,vpn&event_types=health&tail=7", None).unwrap();
        assert!(
            wanted.takes(Subject::Change(ObjectType::Vpn))
                && !wanted.takes(Subject::Change(ObjectType::Node))
        );
        assert!(wanted.takes(Subject::Event(EventType::Health)));
        assert!(!wanted.takes(Subject::Event(EventType::Stream)) && !wanted.takes(Subject::Figures));
        assert!(wanted.takes(Subject::Feed) && wanted.tail == 7);
        for wrong in [
            "kinds=changes",
            "types=x",
            "event_types=node",
            "tail=1001",
            "last_event_id=7",
            "last_event_id=7-8",
            "last_event_id=9d1f3c0a-b-1",
        ] {
            assert!(read(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reader_resumes_by_header_or_parameter() {
        let cluster = "9d1f3c0a-1b2c-4d5e-8f90-a1b2c3d4e5f6";
        let place = Place { revision: 4_711, event: 918 };
        let id = place.id(cluster);
        assert_eq!(id, "9d1f3c0a-4711-918");
        let last = |query: &str, header: Option<&str>| read(query, header).unwrap().last.unwrap();
        assert_eq!(last("", Some(&id)).within(cluster), Some(place));
        let parameter = format!("last_event_id={id}");
        assert_eq!(last(&parameter, None).within(cluster), Some(place));
        assert_eq!(last("last_event_id=x-1-1", Some(&id)).within(cluster), Some(place));
        assert_eq!(last(&parameter, Some("")).within(cluster), Some(place));
        assert_eq!(last(&parameter, None).within("9d1f3c0b"), None, "of another cluster");
        assert_eq!(Last::parse(&place.id("")).unwrap().within(""), Some(place), "before there is a cluster");
        assert!(read("", Some("4711")).is_err());
    }
}
