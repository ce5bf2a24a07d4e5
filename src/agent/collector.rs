//! Polls the figures of the streams on this node's engines, and writes what they show:
//!
//! - The stream ends when the engine says repeatedly that it does not know the session.
//! - A stream that ended because this host was down starts again when the engine says that it plays.
//! - A stream without figures is marked as silent until it gives some, and ends when no client is connected to its engine.
//! - An engine that looks idle, and is in use by a client that stays connected, is reported; and a session that an engine plays although
//!   its stream was taken for ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use acefleet_registry::command::InUse;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::Health;
use acefleet_registry::rules::{engines, health};
use acefleet_registry::stream::StreamEnd;
use acefleet_registry::{Command, Engine, EngineId, Level, State, Stream};
use futures::StreamExt;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use url::Url;

use crate::agent::address;
use crate::agent::context::{Context, Work};
use crate::agent::contradicted::Contradicted;
use crate::agent::fetch::{self, FetchError};
use crate::agent::lock::unpoisoned;
use crate::agent::own_lack::OwnLack;
use crate::agent::resume;
use crate::agent::samples::{self, Answer};
use crate::agent::silence::{self, Silences};

/// Time for one answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Polls at once.
const AT_ONCE: usize = 32;
/// Longest round of polls; what is left waits for the next one.
const ROUND: Duration = Duration::from_secs(10);
/// An unhealthy engine that fails to answer this often in a round is not asked again in that round.
const HUNG_AFTER: u32 = 3;
/// An end of which its engine is asked. A session that plays on is listed long before.
const LATELY_MS: u64 = 600_000;
/// Ended streams of one engine that are asked about.
const ENDED_AT_ONCE: usize = 8;
/// Polls without figures after which a stream counts as one that gives none.
const GIVES_NONE: u32 = 3;
/// Streams that one write marks.
const MARKS_AT_ONCE: usize = 1_000;

/// A stream to poll.
struct Target {
    stream: Arc<Stream>,
    /// Where to ask; none when its stat URL is unusable.
    url: Option<Url>,
    /// Its engine, and whether its probes fail.
    engine: (EngineId, Health),
}

/// Why a poll brought no readable answer.
enum Unread {
    /// The poll failed.
    Fetch(FetchError),
    /// The answer has an unknown form.
    Form(&'static str),
    /// The engine hangs and was not asked.
    Hung,
    /// This node lacks something, and the engine was not asked.
    Own(OwnLack, FetchError),
}

/// Polls for ever.
pub(super) async fn run(ctx: Arc<Context>, client: reqwest::Client) {
    let mut ticks = tokio::time::interval(ctx.config.collect_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let silences = Silences::new(ctx.config.silent_after);
    let recovered = ctx.cluster.recovered();
    tokio::pin!(recovered);
    let mut collector = Collector {
        ctx: Arc::clone(&ctx),
        client,
        silences,
        ended: BTreeSet::new(),
        contradicted: Contradicted::new(ctx.config.use_after),
        known: None,
        marking: None,
        seeing: None,
        resuming: None,
    };
    loop {
        tokio::select! {
            biased;
            () = &mut recovered, if collector.known.is_none() => {
                let newest = ctx.cluster.view().state.streams().map(|stream| stream.seq).max();
                collector.known = Some(newest.unwrap_or(0));
                continue;
            }
            _ = ticks.tick() => {}
        }
        collector.round().await;
    }
}

struct Collector {
    ctx: Arc<Context>,
    client: reqwest::Client,
    silences: Silences,
    /// Streams that have certainly ended: their engine has denied their session since.
    ended: BTreeSet<u64>,
    /// Streams that were taken for ended, and are played.
    contradicted: Contradicted,
    /// The newest stream when this node had caught up. It has watched later ones from their start.
    known: Option<u64>,
    /// The running write of marks.
    marking: Option<JoinHandle<()>>,
    /// The running write of what is in use.
    seeing: Option<JoinHandle<()>>,
    /// The running writes that start streams again.
    resuming: Option<JoinHandle<()>>,
}

impl Collector {
    /// Polls every stream that is due, engine by engine in turns.
    async fn round(&mut self) {
        let targets = self.targets();
        let hung: BTreeMap<EngineId, AtomicU32> =
            targets.iter().map(|target| (target.engine.0, AtomicU32::new(0))).collect();
        let until = Instant::now() + ROUND;
        let (client, hung) = (self.client.clone(), &hung);
        let due = futures::stream::iter(targets).take_while(|_| std::future::ready(Instant::now() < until));
        let polls = due.map(|target| async {
            let answer = poll(&self.ctx, &client, &target, &hung[&target.engine.0]).await;
            (target.stream, answer)
        });
        let answers: Vec<_> = polls.buffer_unordered(AT_ONCE).collect().await;
        let (mut plays_on, mut answering) = (Vec::new(), BTreeSet::new());
        let (mut playing, mut found) = (BTreeSet::new(), BTreeSet::new());
        for (stream, answer) in answers {
            let now = Instant::now();
            if let Err(Unread::Own(lack, error)) = &answer {
                self.ctx.lacks.note(*lack, "engines about their streams", error);
                self.ctx.report.collector_failed();
                continue;
            }
            match &answer {
                Ok(answer) if answer.plays() => {
                    if let Some(engine) = stream.engine {
                        self.ctx.signs.note(engine, now);
                    }
                    self.silences.answered(stream.seq, now);
                    playing.extend(stream.engine.filter(|_| stream.is_started()));
                    if stream.silent_since_ms.is_some() {
                        answering.insert(stream.seq);
                    }
                }
                Ok(_) | Err(_) => self.silences.missed(stream.seq, now),
            }
            match answer {
                Ok(answer) if stream.is_started() => self.take_in(stream, &answer),
                Ok(answer) if answer.unknown_session => drop(self.ended.insert(stream.seq)),
                Ok(answer) if !answer.plays() => self.contradicted.is_silent_about(stream.seq),
                Ok(_) if self.ctx.cluster.view().state.may_go_on(&stream) => plays_on.push(stream),
                Ok(_) => found.extend(self.contradicts(&stream, Instant::now())),
                Err(error) => {
                    self.contradicted.is_silent_about(stream.seq);
                    self.miss(&stream, &error);
                }
            }
        }
        *unpoisoned(&self.ctx.playing) = playing;
        self.mark(answering);
        self.see(found);
        if !plays_on.is_empty() && self.resuming.as_ref().is_none_or(JoinHandle::is_finished) {
            let ctx = Arc::clone(&self.ctx);
            self.resuming = Some(self.ctx.background(async move { resume::all(&ctx, plays_on).await }));
        }
    }

    /// Streams on own engines that have a stat URL, are started or may still play, and are due. Forgets all others.
    fn targets(&mut self) -> Vec<Target> {
        let ctx = &self.ctx;
        let view = ctx.cluster.view();
        let state = &view.state;
        ctx.samples.retain(|id| state.stream(id).is_some_and(|stream| stream.is_started()));
        let mut targets = Vec::new();
        let (mut all, mut still_ended) = (BTreeSet::new(), BTreeSet::new());
        let now = Instant::now();
        for engine in state.published_engines().filter(|engine| engine.node == ctx.node) {
            let base = ctx.addresses.base(engine);
            let (denied, mut ended): (Vec<_>, Vec<_>) =
                recently_ended(state, engine).partition(|stream| self.ended.contains(&stream.seq));
            still_ended.extend(denied.iter().map(|stream| stream.seq));
            ended.truncate(ENDED_AT_ONCE);
            for stream in state.streams_of(engine.id).chain(doubtful(state, engine)).chain(ended) {
                if stream.start.stat_url.is_empty() {
                    continue;
                }
                if self.ended.contains(&stream.seq) && !stream.is_started() {
                    still_ended.insert(stream.seq);
                    continue;
                }
                all.insert(stream.seq);
                if stream.is_started() {
                    self.silences.note_mark(stream.seq, stream.silent_since_ms.is_some());
                }
                if self.silences.is_due(stream.seq, now) {
                    let url = address::rebase(&base, &stream.start.stat_url);
                    let (stream, engine) = (Arc::clone(stream), (engine.id, engine.health));
                    targets.push(Target { stream, url, engine });
                }
            }
        }
        self.ended = still_ended;
        self.silences.retain(|seq| all.contains(&seq));
        self.contradicted.retain(|seq| all.contains(&seq));
        silence::in_turns(targets, |target| self.silences.last(target.stream.seq), |target| target.engine.0)
    }

    fn take_in(&self, stream: Arc<Stream>, answer: &Answer) {
        let (ctx, id) = (&self.ctx, &stream.start.id);
        let fresh = self.known.is_some_and(|known| stream.seq > known);
        let recorded = ctx.samples.record(id, &stream.start.playback_session_id, answer, fresh);
        ctx.report.sampled(id, answer.sample.clone(), recorded.moved);
        if recorded.stale {
            let task = Arc::clone(ctx);
            ctx.spawn(Work::Stream(Arc::clone(id)), async move { end(&task, &stream).await });
        }
    }

    fn miss(&self, stream: &Stream, error: &Unread) {
        let id = &stream.start.id;
        self.ctx.samples.missed(id);
        let error: &dyn std::fmt::Display = match error {
            // Engines answer like this while they boot or are overloaded; the poll itself worked.
            Unread::Fetch(FetchError::Status(_)) | Unread::Hung => return,
            Unread::Fetch(error) | Unread::Own(_, error) => error,
            Unread::Form(why) => why,
        };
        tracing::debug!(stream = &**id, %error, "a poll of a stream failed");
        self.ctx.report.collector_failed();
    }

    /// Whether the engine plays a session that was taken for ended. Where it is seen that nobody stays connected, nobody watches it.
    fn contradicts(&mut self, stream: &Stream, now: Instant) -> Option<InUse> {
        let engine = stream.engine?;
        let plays = self.contradicted.plays(stream.seq, now);
        let is_watched = !unpoisoned(&self.ctx.clients).is_deserted(engine);
        (plays && is_watched).then_some(InUse::by_session(engine, stream.seq))
    }

    /// Reports engines in use on which no stream is listed, and streams without viewers. Skipped while the last such write is still
    /// running.
    fn see(&mut self, mut found: BTreeSet<InUse>) {
        if self.seeing.as_ref().is_some_and(|write| !write.is_finished()) {
            return;
        }
        let ctx = Arc::clone(&self.ctx);
        let view = ctx.cluster.view();
        let state = &view.state;
        if state.level() < Level::FINDS_STREAMS {
            return;
        }
        let mut unviewed = BTreeSet::new();
        {
            let clients = unpoisoned(&ctx.clients);
            for engine in state.published_engines().filter(|engine| engine.node == ctx.node) {
                let id = engine.id;
                if state.active_streams(id) == 0 {
                    let is_named = found.iter().any(|in_use| in_use.engine == id);
                    let is_listed = engines::unlisted(state, engine).is_none();
                    if !is_named
                        && !health::answers_nobody(state, engine)
                        && clients.uses(id, state.usage(id), is_listed)
                    {
                        found.insert(InUse::by_client(id));
                    }
                    continue;
                }
                let nobody = |polled| clients.without_clients_for(id, ctx.config.unviewed_after, polled);
                let gives_none = |stream: &&Arc<Stream>| match stream.can_be_asked() {
                    true => self.silences.misses(stream.seq) >= GIVES_NONE && nobody(true),
                    false => nobody(engine.health == Health::Unhealthy),
                };
                unviewed.extend(
                    state.streams_of(id).filter(gives_none).map(|stream| stream.seq).take(MARKS_AT_ONCE),
                );
            }
        }
        if found.is_empty() && unviewed.is_empty() {
            return;
        }
        self.seeing = Some(self.ctx.background(async move {
            for in_use in &found {
                let engine = view.state.engine_name(in_use.engine);
                let by =
                    if in_use.plays.is_some() { "a session that was taken for ended" } else { "a client" };
                tracing::info!(engine, by, "an engine is in use though no stream is listed on it");
            }
            for stream in unviewed.iter().filter_map(|seq| view.state.streams_behind(seq - 1).next()) {
                let stream = &*stream.start.id;
                tracing::info!(stream, "no figures, and no client at its engine; ending the stream");
            }
            let node = ctx.node;
            ctx.writer.settle(Command::StreamsSeen { node, found, unviewed }).await;
        }));
    }

    /// Marks streams that fell silent, and unmarks those that give figures again. Skipped while the last such write is still running:
    /// the next round finds the same.
    fn mark(&mut self, mut answering: BTreeSet<u64>) {
        if self.marking.as_ref().is_some_and(|write| !write.is_finished()) {
            return;
        }
        let ctx = Arc::clone(&self.ctx);
        let view = ctx.cluster.view();
        let own = view.state.published_engines().filter(|engine| engine.node == ctx.node);
        let asked = own.flat_map(|engine| view.state.streams_of(engine.id));
        let silent =
            asked.filter(|stream| stream.unasked_since().is_none() && self.silences.is_silent(stream.seq));
        let silent: BTreeSet<u64> = silent.map(|stream| stream.seq).take(MARKS_AT_ONCE).collect();
        while answering.len() > MARKS_AT_ONCE {
            answering.pop_last();
        }
        if silent.is_empty() && answering.is_empty() {
            return;
        }
        self.marking = Some(self.ctx.background(async move {
            let (fell_silent, answering_again) = (silent.len(), answering.len());
            let node = ctx.node;
            if ctx.writer.settle(Command::StreamSilence { node, silent, answering }).await.is_some() {
                tracing::info!(
                    fell_silent,
                    answering_again,
                    "streams changed between giving figures and giving none"
                );
            }
        }));
    }
}

/// Streams that have ended lately on an engine, the newest first: it may contradict their end. Others may run on it, as several viewers
/// share an engine.
fn recently_ended<'a>(state: &'a State, engine: &Engine) -> impl Iterator<Item = &'a Arc<Stream>> + use<'a> {
    let knows = state.level() >= Level::FINDS_STREAMS;
    let listed: BTreeSet<&str> =
        state.streams_of(engine.id).map(|stream| stream.start.playback_session_id.as_str()).collect();
    let is_lately = move |stream: &&Arc<Stream>| {
        let session = stream.start.playback_session_id.as_str();
        let ended = stream.ended_at_ms.is_some_and(|at| state.clock_ms().since(at) <= LATELY_MS);
        let was_denied = stream.end_reason == Some(EndReason::Denied);
        let is_open = !session.is_empty() && !listed.contains(session);
        knows && ended && !was_denied && is_open && !state.may_go_on(stream)
    };
    let id = engine.container_id.as_deref().unwrap_or_default();
    state.streams_of_container(id).rev().filter(is_lately)
}

/// Streams of an engine that ended because this host was down, and may still play.
fn doubtful<'a>(state: &'a State, engine: &Engine) -> Vec<&'a Arc<Stream>> {
    let id = engine.container_id.as_deref().unwrap_or_default();
    state.streams_of_container(id).filter(|stream| state.may_go_on(stream)).collect()
}

/// Polls one stream. `unanswered` counts the polls of its engine in this round that got no answer at all.
async fn poll(
    ctx: &Context,
    client: &reqwest::Client,
    target: &Target,
    unanswered: &AtomicU32,
) -> Result<Answer, Unread> {
    // Each poll would take until its timeout, and there may be thousands.
    if target.engine.1 == Health::Unhealthy && unanswered.load(Ordering::Relaxed) >= HUNG_AFTER {
        return Err(Unread::Hung);
    }
    let url = target.url.clone().ok_or(Unread::Fetch(FetchError::Nowhere))?;
    match fetch::json(client, url, LIMIT).await {
        Ok(value) => samples::read(&value, ctx.cluster.wall_now()).map_err(Unread::Form),
        Err(error) => {
            if let Some(lack) = error.own_lack() {
                return Err(Unread::Own(lack, error));
            }
            if matches!(error, FetchError::NoAnswer(_)) {
                unanswered.fetch_add(1, Ordering::Relaxed);
            }
            Err(Unread::Fetch(error))
        }
    }
}

/// Ends a stream whose session the engine does not know any more, unless it was reported anew meanwhile.
async fn end(ctx: &Context, stream: &Stream) {
    if !is_same_session(&ctx.cluster.view().state, stream) {
        return;
    }
    let id = &stream.start.id;
    tracing::info!(stream = &**id, "the engine does not know the session any more; ending the stream");
    let end =
        StreamEnd { stream_id: Some(id.to_string()), container_id: None, reason: Some(EndReason::Denied) };
    ctx.writer.settle(Command::StreamEnded(end)).await;
}

fn is_same_session(state: &State, polled: &Stream) -> bool {
    state.stream(&polled.start.id).is_some_and(|now| {
        now.is_started() && now.start.playback_session_id == polled.start.playback_session_id
    })
}
