//! What is forgotten, by watched time and by count. Runs with every write, so an idle cluster keeps what it
//! has and writes nothing.

use crate::apply::{failures, streams};
use crate::records::end_reason::EndReason;
use crate::state::State;
use crate::weight;

/// Ended streams stay listed for an hour.
const ENDED_STREAM_MS: u64 = 3_600_000;
/// Ended streams that stay listed at the most.
const ENDED_STREAMS_MAX: usize = 10_000;
/// A stream that nobody can ask about would be listed for ever without an end event.
const UNWATCHED_MS: u64 = 24 * 3_600_000;
/// Ended engines stay for ten minutes, for callers that still wait and for people who ask why.
const ENDED_ENGINE_MS: u64 = 600_000;
/// Ended engines that stay at the most.
const ENDED_ENGINES_MAX: usize = 1_000;
/// An end without a start is remembered for ten minutes.
const TOMBSTONE_MS: u64 = 600_000;
/// Tombstones kept at the most.
const TOMBSTONES_MAX: usize = 10_000;
/// A write may be repeated for ten minutes.
const OP_MS: u64 = 600_000;
/// Remembered writes at the most. Stream events are idempotent without it; it is for the others.
const OPS_MAX: usize = 8_192;

pub(super) fn evict(state: &mut State) {
    let now = state.tables.clock_ms;
    failures::settle(state);
    while let Some(oldest) = state.tables.op_order.front().copied() {
        let expired = state.tables.ops.get(&oldest).is_none_or(|op| now.since(op.at_ms) > OP_MS);
        if !expired && state.tables.op_order.len() < OPS_MAX {
            break;
        }
        state.forget_oldest_op();
    }
    while let Some((at, seq)) = state.index.unwatched.get_min().copied() {
        if now.since(at) <= UNWATCHED_MS {
            break;
        }
        match state.index.by_seq.get(&seq).cloned() {
            Some(stream) => streams::end(state, &stream, EndReason::Unwatched),
            None => break,
        };
    }
    while let Some((at, _)) = state.index.ended_streams.get_min().copied() {
        let few = state.index.ended_streams.len() <= ENDED_STREAMS_MAX;
        if few && now.since(at) <= ENDED_STREAM_MS || !state.forget_oldest_ended_stream() {
            break;
        }
    }
    while let Some((at, id)) = state.index.ended_engines.get_min().copied() {
        let few = state.index.ended_engines.len() <= ENDED_ENGINES_MAX;
        let light = state.index.weights.ended_engines <= weight::ENDED_ENGINES_MAX;
        if now.since(at) <= ENDED_ENGINE_MS && few && light {
            break;
        }
        state.drop_engine(id);
    }
    while let Some((at, id)) = state.index.tombstones.get_min().cloned() {
        if now.since(at) <= TOMBSTONE_MS && state.index.tombstones.len() <= TOMBSTONES_MAX {
            break;
        }
        state.drop_tombstone(&id);
    }
    state.forget_lacks();
    if state.tables.foreign_ports.values().any(|until| *until <= now) {
        let kept = state.tables.foreign_ports.iter().filter(|(_, until)| **until > now);
        state.tables.foreign_ports = kept.map(|(key, until)| (*key, *until)).collect();
    }
    if state.tables.foreign_names.values().any(|foreign| foreign.until_ms <= now) {
        let kept = state.tables.foreign_names.iter().filter(|(_, foreign)| foreign.until_ms > now);
        state.tables.foreign_names = kept.map(|(key, foreign)| (key.clone(), foreign.clone())).collect();
    }
}
