//! Entries of the log of what happened.

use std::sync::Arc;

use jiff::Timestamp;

use crate::level::Level;
use crate::records::engine::Engine;
use crate::records::event::{Event, EventType};
use crate::records::ids::{EngineId, NodeId};
use crate::records::stream::Stream;
use crate::records::time::WallMs;
use crate::state::State;

/// What an event is about.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    node: Option<NodeId>,
    engine: Option<EngineId>,
    container_id: Option<Arc<str>>,
    stream_id: Option<Arc<str>>,
    vpn: Option<String>,
    term: Option<u64>,
}

impl About {
    pub fn cluster() -> Self {
        Self::default()
    }

    pub fn node(node: NodeId) -> Self {
        Self { node: Some(node), ..Self::default() }
    }

    pub fn leader(node: NodeId, term: u64) -> Self {
        Self { term: Some(term), ..Self::node(node) }
    }

    pub fn vpn(node: NodeId, container: &str) -> Self {
        Self { vpn: Some(container.to_owned()), ..Self::node(node) }
    }

    pub fn engine(engine: &Engine) -> Self {
        let container_id = engine.container_id.clone();
        Self { engine: Some(engine.id), container_id, ..Self::node(engine.node) }
    }

    pub fn stream(state: &State, stream: &Stream) -> Self {
        let engine = stream.engine.and_then(|id| state.engine(id));
        Self {
            container_id: Some(Arc::clone(&stream.container_id)),
            stream_id: Some(Arc::clone(&stream.start.id)),
            ..engine.map_or_else(Self::default, |engine| Self::engine(engine))
        }
    }
}

/// Until when something is good, in the words of events: whoever reads them later does not know from when on a duration counted.
pub(super) fn until(end: WallMs) -> String {
    let at = i64::try_from(end.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("until {:.0}", at.unwrap_or(Timestamp::MAX))
}

pub(super) fn note(state: &mut State, event_type: EventType, category: &str, message: String, about: About) {
    let names_more = state.level() >= Level::NAMES_ACTORS;
    let event = Event {
        id: 0,
        at_ms: state.tables.clock_ms,
        event_type,
        category: category.to_owned(),
        message,
        container_id: about.container_id,
        stream_id: about.stream_id,
        engine: about.engine.filter(|_| names_more),
        node: about.node.filter(|_| names_more),
        vpn: about.vpn.filter(|_| names_more),
        term: about.term,
        by: None,
    };
    state.push_event(event);
}
