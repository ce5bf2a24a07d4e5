//! Starts streams again that ended only because this host counted as down, and that its engines still play.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::{Command, Refusal, RefusalCode, Reply, Stream};
use futures::future::join_all;

use crate::agent::backoff::Backoff;
use crate::agent::context::Context;

/// Writes at once while the registry has room.
const AT_ONCE: usize = 32;
/// First pause when the registry has no room.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Starts them again. While the registry is full, one of them is tried from time to time. Skips those that end meanwhile.
pub(super) async fn all(ctx: &Context, streams: Vec<Arc<Stream>>) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut left: VecDeque<Arc<Stream>> = streams.into();
    let (mut at_once, mut full) = (AT_ONCE, false);
    while !left.is_empty() {
        let batch: Vec<_> = left.drain(..at_once.min(left.len())).collect();
        let refused: Vec<_> =
            join_all(batch.iter().map(|stream| go_on(ctx, stream))).await.into_iter().flatten().collect();
        if refused.is_empty() {
            backoff.reset();
            (at_once, full) = (AT_ONCE, false);
            continue;
        }
        let (stream, refusal) = &refused[0];
        if !full {
            let (streams, reason) = (refused.len() + left.len(), &refusal.message);
            let stream = &*stream.start.id;
            tracing::warn!(
                stream,
                streams,
                reason,
                "streams that play on find no room in the registry; this is tried again"
            );
        }
        (at_once, full) = (1, true);
        left.extend(refused.into_iter().map(|(stream, _)| stream));
        backoff.pause().await;
    }
}

/// Starts a stream again. Returns the stream and the refusal when there is no room for it.
async fn go_on(ctx: &Context, stream: &Arc<Stream>) -> Option<(Arc<Stream>, Refusal)> {
    let id = &stream.start.id;
    let may = |now: &Arc<Stream>| now.seq == stream.seq && ctx.cluster.view().state.may_go_on(now);
    if !ctx.cluster.view().state.stream(id).is_some_and(may) {
        return None;
    }
    match ctx.writer.settle(Command::StreamStarted(Arc::clone(&stream.start))).await {
        Some(Reply::Refused(refusal)) if refusal.code == RefusalCode::NoRoom => {
            Some((Arc::clone(stream), refusal))
        }
        Some(Reply::StreamStarted(now)) if now.is_started() => {
            tracing::info!(stream = &**id, "the engine plays on; the stream was started again");
            None
        }
        Some(reply) => {
            tracing::debug!(stream = &**id, ?reply, "a stream that plays on was not started again");
            None
        }
        // The node stops.
        None => None,
    }
}
