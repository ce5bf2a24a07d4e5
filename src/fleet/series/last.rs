//! What stays of a stream when it has ended: its engine, its host, and how much it moved. Its figures end with it, and the registry forgets
//! engines sooner than streams. Every node keeps this in memory, by what it heard while the stream ran.

use std::collections::BTreeMap;
use std::sync::Arc;

use acefleet_registry::{Engine, State, Stream};

use crate::peers::SoftView;

/// Streams of which it is kept, the newest. Each takes about 150 bytes.
const MAX: usize = 20_000;

/// What was known last of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last {
    /// Name of its engine.
    pub engine: Option<String>,
    /// Name of the node on whose host that ran.
    pub node: Option<String>,
    /// Bytes downloaded in the session.
    pub downloaded: Option<i64>,
    /// Bytes uploaded in it.
    pub uploaded: Option<i64>,
}

/// The same of all streams, by their order of arrival.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lasts(BTreeMap<u64, Arc<Last>>);

impl Lasts {
    /// What is known now of the streams that the registry lists, and what was known before of those that have ended.
    pub(super) fn next(&self, state: &State, soft: &SoftView) -> Self {
        let mut next: BTreeMap<_, _> =
            state.streams().map(|stream| (stream.seq, self.renewed(state, soft, stream))).collect();
        while next.len() > MAX {
            next.pop_first();
        }
        Self(next)
    }

    fn renewed(&self, state: &State, soft: &SoftView, stream: &Stream) -> Arc<Last> {
        let known = self.0.get(&stream.seq);
        let engine = stream.engine.and_then(|id| state.engine(id));
        if let Some(known) = known.filter(|_| !stream.is_started() || engine.is_none()) {
            return Arc::clone(known);
        }
        let sample = engine.and_then(|engine| soft.stream(engine.node, &stream.start.id));
        let before = known.map(|known| (known.downloaded, known.uploaded)).unwrap_or_default();
        let (downloaded, uploaded) =
            sample.map_or((None, None), |sample| (sample.downloaded, sample.uploaded));
        let moved = (downloaded.or(before.0), uploaded.or(before.1));
        // Most streams are as they were; their names are not copied again.
        let is_same = |known: &&Arc<Last>| {
            moved == before && known.names() == Last::named(state, engine.map(Arc::as_ref))
        };
        if let Some(known) = known.filter(is_same) {
            return Arc::clone(known);
        }
        Arc::new(Last { downloaded: moved.0, uploaded: moved.1, ..Last::of_state(state, stream) })
    }

    /// What is known of a stream that has ended; of one that runs, its newest report says more.
    pub fn of(&self, state: &State, stream: &Stream) -> Option<Last> {
        if stream.is_started() {
            return None;
        }
        let kept = self.0.get(&stream.seq).map(|last| (**last).clone()).unwrap_or_default();
        let now = Last::of_state(state, stream);
        Some(Last { engine: now.engine.or(kept.engine), node: now.node.or(kept.node), ..kept })
    }
}

impl Last {
    /// What the registry says, as long as it has the engine.
    fn of_state(state: &State, stream: &Stream) -> Self {
        let engine = stream.engine.and_then(|id| state.engine(id));
        let (engine, node) = Self::named(state, engine.map(Arc::as_ref));
        Self { engine: engine.map(str::to_owned), node: node.map(str::to_owned), ..Self::default() }
    }

    /// Names of an engine and of its node.
    fn named<'a>(state: &'a State, engine: Option<&'a Engine>) -> (Option<&'a str>, Option<&'a str>) {
        let node = engine.and_then(|engine| state.node(engine.node));
        (engine.map(|engine| engine.container_name.as_str()), node.map(|node| node.info.name.as_str()))
    }

    fn names(&self) -> (Option<&str>, Option<&str>) {
        (self.engine.as_deref(), self.node.as_deref())
    }
}
