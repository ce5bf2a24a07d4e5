//! Room in the state, in bytes. What is over a budget goes in this order: old events, then ended streams, the oldest first. What
//! lives is never taken away for others, except streams that nobody can ask about; then writes that need room are refused.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use crate::apply::fate::{self, Fate};
use crate::apply::streams;
use crate::command::Command;
use crate::records::end_reason::EndReason;
use crate::records::stream::{Stream, StreamEnd, StreamStart};
use crate::reply::Refusal;
use crate::rules::admission::no_room;
use crate::state::State;
use crate::weight::{
    ENDED_ENGINES_MAX, ENDED_STREAMS_MAX, ENGINES_MAX, EVENTS_MAX, REMEMBERED_MAX, STARTED_STREAMS_MAX,
    STATE_MAX, TOMBSTONES_MAX, Weigh,
};

/// Ids of streams that end.
pub(super) type Ended<'a> = BTreeSet<&'a str>;

/// What members and hosts have, which has no budget, usually weighs less.
const OTHERS: u64 = 3 << 20;
// Whatever is evicted, what is not must fit: then only the budget of its own kind refuses a write.
const _: () = assert!(
    STARTED_STREAMS_MAX + ENGINES_MAX + ENDED_ENGINES_MAX + TOMBSTONES_MAX + REMEMBERED_MAX + OTHERS
        <= STATE_MAX
);
// Streams alone, however many, leave the log of what happened alone.
const _: () = assert!(STARTED_STREAMS_MAX + ENDED_STREAMS_MAX + EVENTS_MAX + OTHERS <= STATE_MAX);

/// Makes room for what a command adds, or says why there is none. Streams that end `anyhow`, by a later step of the same entry,
/// need none.
pub(super) fn make(state: &mut State, command: &Command, anyhow: &Ended<'_>) -> Result<(), Refusal> {
    match command {
        Command::StreamStarted(start) => for_streams(state, slice::from_ref(start), anyhow),
        Command::EventBatch { started, ended } => {
            let mut over = anyhow.clone();
            over.extend(ended.iter().filter_map(StreamEnd::names));
            for_streams(state, started, &over)
        }
        // Whatever else adds to the state is bounded by what hosts run.
        _ => Ok(()),
    }
}

/// How much heavier started streams become by a start.
fn growth(state: &State, start: &StreamStart) -> u64 {
    let heavier = |known: &Stream| {
        let sessions: usize = known.past_sessions.iter().map(String::len).sum();
        let replaced = if known.is_started() { known.weight() } else { 0 };
        (start.weight() + sessions as u64).saturating_sub(replaced)
    };
    match fate::of_start(state, start) {
        Fate::Late(_) | Fate::Over(_) => 0,
        Fate::Begins { before: None } => start.weight(),
        Fate::GoesOn(known) => known.weight(),
        Fate::Repeats(known) | Fate::Begins { before: Some(known) } => heavier(&known),
    }
}

/// Judges what is left of these starts when the streams in `over` have ended: ends make room for the starts beside them.
fn for_streams(state: &mut State, started: &[Arc<StreamStart>], over: &Ended<'_>) -> Result<(), Refusal> {
    let lasting = started.iter().filter(|start| !over.contains(start.id.as_ref()));
    let needed: u64 = lasting.map(|start| growth(state, start)).sum();
    let ending = over.iter().filter_map(|id| state.stream(id)).filter(|stream| stream.is_started());
    let freed: u64 = ending.map(|stream| stream.weight()).sum();
    let needed = needed.saturating_sub(freed);
    let mut surplus = (state.index.weights.started_streams + needed).saturating_sub(STARTED_STREAMS_MAX);
    if needed == 0 || surplus == 0 {
        return Ok(());
    }
    let mut crowded_out = Vec::new();
    if surplus <= state.index.weights.unasked_streams {
        // Those whose start is about to be answered stay, too: what they free is counted with what they need.
        let kept: BTreeSet<&str> = started.iter().map(|start| start.id.as_ref()).collect();
        let goes = |stream: &&Arc<Stream>| {
            let id = stream.start.id.as_ref();
            !over.contains(id) && !kept.contains(id)
        };
        let oldest = state.index.unwatched.iter().filter_map(|(_, seq)| state.index.by_seq.get(seq));
        for stream in oldest.filter(goes) {
            surplus = surplus.saturating_sub(stream.weight());
            crowded_out.push(Arc::clone(stream));
            if surplus == 0 {
                break;
            }
        }
    }
    if surplus > 0 {
        return Err(no_room("started streams", STARTED_STREAMS_MAX));
    }
    for stream in crowded_out {
        streams::end(state, &stream, EndReason::CrowdedOut);
    }
    Ok(())
}

/// Forgets what is over the budgets. Not ended engines: callers wait for what became of those that this command ended, so they go
/// with the next write (`retention.rs`).
pub(super) fn fit(state: &mut State) {
    while state.index.weights.remembered > REMEMBERED_MAX
        && state.tables.op_order.len() > 1
        && state.forget_oldest_op()
    {}
    while state.index.weights.events > EVENTS_MAX && state.forget_oldest_event() {}
    while state.index.weights.ended_streams > ENDED_STREAMS_MAX && state.forget_oldest_ended_stream() {}
    while state.index.weights.tombstones > TOMBSTONES_MAX {
        let Some((_, id)) = state.index.tombstones.get_min().cloned() else { break };
        state.drop_tombstone(&id);
    }
    while state.weights().total() > STATE_MAX
        && (state.forget_oldest_event() || state.forget_oldest_ended_stream())
    {}
}
