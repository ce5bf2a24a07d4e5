//! Room in the state, in bytes. What is over a budget goes in this order: old events, then ended streams, the oldest first. What
//! lives is never taken away for others, except streams that nobody can ask about; then writes that need room are refused.

use crate::apply::streams;
use crate::command::{Command, Refusal, RefusalCode};
use crate::engine::EngineSpec;
use crate::state::State;
use crate::stream::{CROWDED_OUT, StreamStart};
use crate::weight::{
    ENDED_ENGINES_MAX, ENDED_STREAMS_MAX, ENGINES_MAX, EVENTS_MAX, REMEMBERED_MAX, STARTED_STREAMS_MAX,
    STATE_MAX, TOMBSTONES_MAX, Weigh,
};

/// Streams end and are forgotten all the time; callers that need room are told to come back after so many seconds.
const RETRY_S: u64 = 10;

// Whatever is evicted, what is not must fit: then only the budget of its own kind refuses a write.
const _: () = assert!(
    STARTED_STREAMS_MAX + ENGINES_MAX + ENDED_ENGINES_MAX + TOMBSTONES_MAX + REMEMBERED_MAX <= STATE_MAX
);

/// Makes room for what a command adds, or says why there is none.
pub(super) fn make(state: &mut State, command: &Command) -> Result<(), Refusal> {
    match command {
        Command::StreamStarted(start) => for_streams(state, growth(state, start)),
        Command::EventBatch { started, .. } => {
            let needed = started.iter().map(|start| growth(state, start)).sum();
            for_streams(state, needed)
        }
        // Whatever else adds to the state is bounded by what hosts run.
        _ => Ok(()),
    }
}

/// How much heavier started streams become by a start.
fn growth(state: &State, start: &StreamStart) -> u64 {
    let known = state.stream(&start.id);
    let sessions: usize = known.map_or(0, |known| known.past_sessions.iter().map(String::len).sum());
    let replaced = known.filter(|known| known.is_started()).map_or(0, |known| known.weight());
    (start.weight() + sessions as u64).saturating_sub(replaced)
}

fn for_streams(state: &mut State, needed: u64) -> Result<(), Refusal> {
    let weights = state.index.weights;
    let over = (weights.started_streams + needed).saturating_sub(STARTED_STREAMS_MAX);
    if needed > 0 && over > weights.unasked_streams {
        return Err(no_room("started streams", STARTED_STREAMS_MAX));
    }
    while state.index.weights.started_streams + needed > STARTED_STREAMS_MAX {
        let oldest = state.index.unwatched.get_min().map(|(_, seq)| *seq);
        let Some(stream) = oldest.and_then(|seq| state.index.by_seq.get(&seq).cloned()) else { break };
        streams::end(state, &stream, CROWDED_OUT);
    }
    Ok(())
}

/// Whether an engine as asked for may be added.
pub(super) fn for_engine(state: &State, spec: &EngineSpec) -> Result<(), Refusal> {
    match state.index.weights.engines + spec.weight() > ENGINES_MAX {
        true => Err(no_room("engines", ENGINES_MAX)),
        false => Ok(()),
    }
}

fn no_room(what: &str, max: u64) -> Refusal {
    Refusal {
        code: RefusalCode::NoRoom,
        message: format!("the registry holds {} MiB of {what}, as much as it may; end some", max >> 20),
        retry_after_s: Some(RETRY_S),
    }
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
