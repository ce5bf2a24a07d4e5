//! Engines that clients are about to take are as good as taken for floors: the next player needs another free one, and a stream on them
//! is reported seconds later.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::records::engine::Engine;
use crate::records::ids::EngineId;
use crate::records::mark::{Mark, MarkKind};
use crate::records::time::Elapsed;
use crate::state::State;

/// The state as if these engines had been handed out at this moment.
pub(super) fn taken<'a>(state: &'a State, foreseen: &BTreeSet<EngineId>, now_ms: Elapsed) -> Cow<'a, State> {
    let mut then = Cow::Borrowed(state);
    let mark = Mark { kind: MarkKind::HandOut, since_ms: now_ms, until_ms: now_ms.plus(1) };
    for id in foreseen {
        let unmarked = state.engine(*id).filter(|engine| state.mark(engine, now_ms).is_none());
        if let Some(engine) = unmarked {
            then.to_mut().put_engine(Engine { mark: Some(mark), ..Engine::clone(engine) });
        }
    }
    then
}
