//! Polls the figures of the streams on this node's engines. It ends a stream only on the engine's own
//! repeated word that the session is unknown, and lets one go on that ended because this host was away, on the engine's word
//! that it plays; everything else is only recorded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::stream::StreamEnd;
use acefleet_registry::{Command, Engine, State, Stream};
use futures::StreamExt;
use tokio::time::MissedTickBehavior;
use url::Url;

use crate::agent::address;
use crate::agent::context::{Claim, Context};
use crate::agent::fetch::{self, FetchError};
use crate::agent::samples::{self, Answer};

/// Time for one answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Polls at once.
const AT_ONCE: usize = 32;
/// Reason of an end that nobody reported.
const STALE: &str = "stale_stream_detected";

/// A stream to poll.
struct Target {
    stream: Arc<Stream>,
    url: Url,
}

/// What the registry has to be told of a stream.
enum Found {
    /// It is over.
    Over(Arc<Stream>),
    /// It plays, although it was taken for ended.
    Plays(Arc<Stream>),
    /// It has ended, as it was taken for.
    Ended(Arc<Stream>),
}

/// Polls for ever.
pub(super) async fn run(ctx: Arc<Context>, client: reqwest::Client) {
    let mut ticks = tokio::time::interval(ctx.config.collect_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Those whose end is certain, of which `State::may_go_on` does not know it.
    let mut ended = BTreeSet::new();
    // The newest stream when this node had caught up: later ones began under its eyes.
    let mut known: Option<u64> = None;
    let recovered = ctx.cluster.recovered();
    tokio::pin!(recovered);
    loop {
        tokio::select! {
            biased;
            () = &mut recovered, if known.is_none() => {
                known = Some(ctx.cluster.view().state.streams().map(|stream| stream.seq).max().unwrap_or(0));
                continue;
            }
            _ = ticks.tick() => {}
        }
        let targets = targets(&ctx, &mut ended);
        let polls = futures::stream::iter(targets).map(|target| poll(&ctx, &client, target, known));
        let found: Vec<_> = polls.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
        for found in found {
            let task = Arc::clone(&ctx);
            let claim = |stream: &Stream| Claim::Stream(Arc::clone(&stream.start.id));
            match found {
                Found::Over(stream) => {
                    ctx.spawn(claim(&stream), async move { end(&task, &stream).await });
                }
                Found::Plays(stream) => {
                    ctx.spawn(claim(&stream), async move { go_on(&task, &stream).await });
                }
                Found::Ended(stream) => {
                    ended.insert(stream.seq);
                }
            }
        }
    }
}

/// Streams on own engines that name a stat URL and are started, or may still play; samples of all others are forgotten.
fn targets(ctx: &Context, ended: &mut BTreeSet<u64>) -> Vec<Target> {
    let view = ctx.cluster.view();
    let state = &view.state;
    ctx.samples.retain(|id| state.stream(id).is_some_and(|stream| stream.is_started()));
    let own = || state.published_engines().filter(|engine| engine.node == ctx.node);
    if !ended.is_empty() {
        let still: BTreeSet<u64> =
            own().flat_map(|engine| doubtful(state, engine)).map(|stream| stream.seq).collect();
        ended.retain(|seq| still.contains(seq));
    }
    let of_engine = own().flat_map(|engine| {
        let base = ctx.addresses.base(engine);
        let doubtful = doubtful(state, engine).into_iter().filter(|stream| !ended.contains(&stream.seq));
        let streams = state.streams_of(engine.id).chain(doubtful);
        let named = streams.filter(|stream| !stream.start.stat_url.is_empty());
        named.filter_map(move |stream| {
            let url = address::rebase(&base, &stream.start.stat_url)?;
            Some(Target { stream: Arc::clone(stream), url })
        })
    });
    of_engine.collect()
}

/// Streams of an engine that ended because this host was away, and may play.
fn doubtful<'a>(state: &'a State, engine: &Engine) -> Vec<&'a Arc<Stream>> {
    let id = engine.container_id.as_deref().unwrap_or_default();
    state.streams_of_container(id).filter(|stream| state.may_go_on(stream)).collect()
}

/// Polls one stream.
async fn poll(ctx: &Context, client: &reqwest::Client, target: Target, known: Option<u64>) -> Option<Found> {
    let Target { stream, url } = target;
    let id = &stream.start.id;
    let answer = match fetch::json(client, url, LIMIT).await {
        Ok(value) => samples::read(&value, ctx.cluster.wall_now()).map_err(str::to_owned),
        // Engines answer so while they boot or are overloaded: no figures, but no fault of the poll.
        Err(FetchError::Status(_)) => {
            ctx.samples.missed(id);
            return None;
        }
        Err(error) => Err(error.to_string()),
    };
    match answer {
        Ok(answer) if stream.is_started() => take_in(ctx, stream, &answer, known),
        Ok(answer) if answer.unknown_session => Some(Found::Ended(stream)),
        Ok(answer) => answer.plays().then_some(Found::Plays(stream)),
        Err(error) => {
            tracing::debug!(stream = &**id, error, "the figures of a stream could not be had");
            ctx.samples.missed(id);
            ctx.report.collector_failed();
            None
        }
    }
}

fn take_in(ctx: &Context, stream: Arc<Stream>, answer: &Answer, known: Option<u64>) -> Option<Found> {
    let id = &stream.start.id;
    let fresh = known.is_some_and(|known| stream.seq > known);
    let taken = ctx.samples.take(id, &stream.start.playback_session_id, answer, fresh);
    ctx.report.sampled(id, answer.sample.clone(), taken.moved);
    taken.stale.then_some(Found::Over(stream))
}

/// Ends a stream whose session the engine has forgotten, unless it has begun anew meanwhile.
async fn end(ctx: &Context, stream: &Stream) {
    if !is_same_session(&ctx.cluster.view().state, stream) {
        return;
    }
    let id = &stream.start.id;
    tracing::info!(stream = &**id, "the engine does not know the session any more; ending the stream");
    let end =
        StreamEnd { stream_id: Some(id.to_string()), container_id: None, reason: Some(STALE.to_owned()) };
    ctx.writer.settle(Command::StreamEnded(end)).await;
}

/// Starts a stream again that this host's engine still plays: it ended only because nobody heard this host.
async fn go_on(ctx: &Context, stream: &Stream) {
    let id = &stream.start.id;
    let may = |now: &Arc<Stream>| now.seq == stream.seq && ctx.cluster.view().state.may_go_on(now);
    if ctx.cluster.view().state.stream(id).is_some_and(may) {
        tracing::info!(stream = &**id, "the engine plays on; the stream is started again");
        ctx.writer.settle(Command::StreamStarted(Arc::clone(&stream.start))).await;
    }
}

fn is_same_session(state: &State, polled: &Stream) -> bool {
    state.stream(&polled.start.id).is_some_and(|now| {
        now.is_started() && now.start.playback_session_id == polled.start.playback_session_id
    })
}
