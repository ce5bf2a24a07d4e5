//! Who is connected to this node's engines, as the host sees it. Bytes are not counted: the traffic between peers does not stop when
//! nobody watches.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{Engine, Usage};
use acefleet_registry::{EngineId, State};

use crate::agent::context::Context;
use crate::agent::lock::unpoisoned;
use crate::agent::runtime::RuntimeError;
use crate::agent::sockets::{Peer, Sockets};

/// Looks take up to a fiftieth of the time: a processor is busy meanwhile, as the kernel goes through all connections of the host, for 3 to 12 ms
/// where somebody is connected.
const REST: u32 = 50;
/// After the end of a stream a proxy may keep its connection for the next one: 90 s by default.
const LINGERS: Duration = Duration::from_secs(95);

/// What was seen of the clients of each engine. No IO, no clock.
#[derive(Debug)]
pub struct Clients {
    /// A connection that has lasted for so long is a client's: probes and polls are shorter.
    lasts: Duration,
    seen: HashMap<EngineId, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Those who are connected, since when.
    peers: HashMap<Peer, Instant>,
    /// Those whose connection was over when it was looked at last.
    gone: BTreeSet<Peer>,
    usage: Usage,
    /// The last end of a stream that happened meanwhile, if somebody saw it.
    ended: Option<Instant>,
    /// Since when nobody is connected, and since when nobody for long.
    quiet: Option<Instant>,
    deserted: Option<Instant>,
    last: Instant,
}

impl Seen {
    fn new(usage: Usage, now: Instant) -> Self {
        Self {
            peers: HashMap::new(),
            gone: BTreeSet::new(),
            usage,
            ended: None,
            quiet: None,
            deserted: None,
            last: now,
        }
    }
}

impl Clients {
    /// Connections that last for so long are those of clients.
    #[must_use]
    pub fn new(lasts: Duration) -> Self {
        Self { lasts, seen: HashMap::new() }
    }

    /// An engine gives figures of a stream and is not looked at.
    pub fn passed(&mut self, engine: EngineId, usage: Usage, now: Instant) {
        self.seen.insert(engine, Seen::new(usage, now));
    }

    /// Takes in who is connected to an engine, whose connections are over, and when streams last used it. Asks whether somebody saw the
    /// last end of one.
    pub fn saw(
        &mut self,
        engine: EngineId,
        (peers, gone): (BTreeSet<Peer>, BTreeSet<Peer>),
        usage: Usage,
        was_seen: impl FnOnce() -> bool,
        now: Instant,
    ) {
        let (lasts, unbroken) = (self.lasts, self.lasts * 6);
        let seen = self.seen.entry(engine).or_insert_with(|| Seen::new(usage, now));
        if now.saturating_duration_since(seen.last) > unbroken {
            *seen = Seen::new(usage, now);
        }
        if seen.usage.last_stream_end_ms != usage.last_stream_end_ms && was_seen() {
            seen.ended = Some(now);
        }
        // Whoever starts a stream may be about to connect.
        let begins = seen.usage.last_stream_start_ms != usage.last_stream_start_ms;
        let since = |silence: Option<Instant>, holds: bool| match holds {
            true if begins => Some(now),
            true => silence.or(Some(now)),
            false => None,
        };
        let mut before = std::mem::take(&mut seen.peers);
        seen.peers = peers
            .into_iter()
            .map(|peer| (before.remove(&peer).unwrap_or(now), peer))
            .map(|(since, peer)| (peer, since))
            .collect();
        let is_client = |first: &Instant| now.saturating_duration_since(*first) >= lasts;
        // One who opens a connection for each piece was here since the last look.
        let was_here = !gone.is_subset(&seen.gone);
        seen.quiet = since(seen.quiet, seen.peers.is_empty() && !was_here);
        seen.deserted = since(seen.deserted, !seen.peers.values().any(is_client) && !was_here);
        (seen.gone, seen.usage, seen.last) = (gone, usage, now);
    }

    /// It could not be seen who is connected.
    pub fn missed(&mut self, engine: EngineId) {
        self.seen.remove(&engine);
    }

    /// Forgets engines.
    pub fn retain(&mut self, keep: impl Fn(EngineId) -> bool) {
        self.seen.retain(|engine, _| keep(*engine));
    }

    /// Whether a client uses an engine on which no stream is listed, whose streams last used it as `usage` says. A look from before the
    /// end of one tells nothing. What is left of it is no use while the engine `is_listed`. One that may stop at any moment is not
    /// stopped for such a guess: another viewer may have been there before that end.
    #[must_use]
    pub fn uses(&self, engine: EngineId, usage: Usage, is_listed: bool) -> bool {
        let Some(seen) = self.seen.get(&engine).filter(|seen| seen.usage == usage) else { return false };
        let is_left_over = |first: &Instant| {
            seen.ended
                .is_some_and(|ended| *first <= ended && seen.last.saturating_duration_since(ended) < LINGERS)
        };
        let lasts = |first: &Instant| seen.last.saturating_duration_since(*first) >= self.lasts;
        seen.peers.values().any(|first| lasts(first) && !(is_listed && is_left_over(first)))
    }

    /// Whether it is certain that no client has a connection that lasts.
    #[must_use]
    pub fn is_deserted(&self, engine: EngineId) -> bool {
        self.seen.get(&engine).is_some_and(|seen| seen.deserted.is_some())
    }

    /// Whether it is certain that no client has been connected for so long. While an engine is polled in vain (`polled`), the calls of
    /// this node are not taken for clients.
    #[must_use]
    pub fn without_clients_for(&self, engine: EngineId, so_long: Duration, polled: bool) -> bool {
        let Some(seen) = self.seen.get(&engine) else { return false };
        let since = if polled { seen.deserted } else { seen.quiet };
        since.is_some_and(|since| seen.last.saturating_duration_since(since) >= so_long)
    }
}

/// Looks for ever at the connections of engines, except of those that give figures of a stream.
pub(super) async fn watch(ctx: Arc<Context>) {
    let mut warned = false;
    // Where nobody can be seen, Docker is not asked with each look.
    let mut unseen: HashMap<String, Instant> = HashMap::new();
    loop {
        let view = ctx.cluster.view();
        let playing = unpoisoned(&ctx.playing).clone();
        let own: Vec<&Arc<Engine>> = view.state.published_engines().filter(|e| e.node == ctx.node).collect();
        unpoisoned(&ctx.clients).retain(|id| own.iter().any(|engine| engine.id == id));
        let (passed, watched): (Vec<_>, Vec<_>) = own.into_iter().partition(|e| playing.contains(&e.id));
        for engine in passed {
            unpoisoned(&ctx.clients).passed(engine.id, view.state.usage(engine.id), Instant::now());
        }
        // Engines in the network of one VPN container are looked at together.
        let mut networks: HashMap<&str, Sockets> = HashMap::new();
        let began = Instant::now();
        unseen.retain(|_, since| since.elapsed() < ctx.config.unviewed_after);
        for engine in &watched {
            let container = engine.container_id.as_deref().unwrap_or_default();
            let network = engine.vpn.as_deref().unwrap_or(container);
            if unseen.contains_key(network) {
                unpoisoned(&ctx.clients).missed(engine.id);
                continue;
            }
            if !networks.contains_key(network) {
                match ctx.runtime.sockets(container).await {
                    Ok(sockets) => drop(networks.insert(network, sockets)),
                    // It has just ended: that says nothing of the others in its network.
                    Err(RuntimeError::NotFound) => {
                        unpoisoned(&ctx.clients).missed(engine.id);
                        continue;
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut warned, true) {
                            tracing::info!(
                                engine = engine.container_name,
                                %error,
                                "cannot see who is connected to an engine: a viewer whose start is lost is not found"
                            );
                        }
                        unseen.insert(network.to_owned(), Instant::now());
                        unpoisoned(&ctx.clients).missed(engine.id);
                        continue;
                    }
                }
            }
            let port = engine.ports.container_http;
            let seen = networks.get(network).map(|sockets| (sockets.peers(port), sockets.gone(port)));
            let usage = view.state.usage(engine.id);
            let was_seen = || was_last_end_seen(&view.state, engine);
            unpoisoned(&ctx.clients).saw(
                engine.id,
                seen.unwrap_or_default(),
                usage,
                was_seen,
                Instant::now(),
            );
        }
        let period = (ctx.config.use_after / 2).max((began.elapsed() * REST).min(ctx.config.unviewed_after));
        tokio::time::sleep(period).await;
    }
}

/// Whether somebody saw the last end of a stream on an engine. A rule that ends one disconnects nobody.
fn was_last_end_seen(state: &State, engine: &Engine) -> bool {
    let of_it = state.streams_of_container(engine.container_id.as_deref().unwrap_or_default());
    let last = of_it.filter(|stream| !stream.is_started()).max_by_key(|stream| stream.ended_at_ms);
    last.and_then(|stream| stream.end_reason.as_ref()).is_none_or(EndReason::is_seen)
}

/// What the loops of the agent share of it.
pub(super) type Shared = Mutex<Clients>;

#[cfg(test)]
mod tests {
    use acefleet_registry::Elapsed;

    use super::*;

    const E: EngineId = EngineId(3);
    const LASTS: Duration = Duration::from_secs(10);

    struct Stage {
        clients: Clients,
        begin: Instant,
        usage: Usage,
        seen: bool,
    }

    impl Stage {
        fn new() -> Self {
            Self { clients: Clients::new(LASTS), begin: Instant::now(), usage: Usage::default(), seen: true }
        }

        /// Looks every five seconds from one second to another.
        fn look(&mut self, seconds: std::ops::RangeInclusive<u64>, peers: &[&str]) {
            self.look_back(seconds, peers, |_| Vec::new());
        }

        /// The same; these connections are over at each moment.
        fn look_back(
            &mut self,
            seconds: std::ops::RangeInclusive<u64>,
            peers: &[&str],
            gone: impl Fn(u64) -> Vec<String>,
        ) {
            for at in seconds.step_by(5) {
                let peers = peers.iter().map(|peer| (*peer).to_owned()).collect();
                let now = self.begin + Duration::from_secs(at);
                self.clients.saw(E, (peers, gone(at).into_iter().collect()), self.usage, || self.seen, now);
            }
        }

        fn uses(&self) -> bool {
            self.clients.uses(E, self.usage, true)
        }

        fn ends(&mut self, at: u64) {
            self.usage.last_stream_end_ms = Some(Elapsed(at));
        }
    }

    #[test]
    fn a_connection_that_lasts_is_a_client() {
        let mut stage = Stage::new();
        stage.look(0..=5, &["a"]);
        assert!(!stage.uses(), "a probe may take as long");
        stage.look(10..=10, &["a"]);
        assert!(stage.uses());
        stage.look(15..=15, &["b"]);
        assert!(!stage.uses(), "it has gone");
    }

    #[test]
    fn what_is_left_of_a_stream_is_no_client_for_a_while() {
        let mut stage = Stage::new();
        stage.clients.passed(E, stage.usage, stage.begin + Duration::from_secs(10));
        stage.ends(1);
        stage.look(15..=100, &["pooled"]);
        assert!(!stage.uses(), "the connection of a stream that has ended is taken for a viewer");
        assert!(stage.clients.uses(E, stage.usage, false), "another viewer's engine may stop");
        stage.look(105..=110, &["pooled", "new"]);
        stage.look(115..=115, &["pooled", "new"]);
        assert!(stage.uses(), "a new connection is one");
        stage.look(120..=120, &["pooled"]);
        assert!(stage.uses(), "no proxy keeps one for so long");
    }

    #[test]
    fn an_end_that_nobody_saw_leaves_its_viewer() {
        let mut stage = Stage::new();
        stage.look(0..=10, &["a"]);
        stage.seen = false;
        stage.ends(12);
        stage.look(15..=15, &["a"]);
        assert!(stage.uses(), "a rule that ends a stream disconnects nobody");
    }

    #[test]
    fn a_look_from_before_an_end_finds_nobody() {
        let mut stage = Stage::new();
        stage.look(0..=10, &["a"]);
        assert!(stage.uses());
        stage.ends(12);
        assert!(!stage.uses(), "who was there before the end is taken for a new viewer");
        stage.look(15..=15, &[]);
        assert!(!stage.uses());
    }

    #[test]
    fn nobody_is_there_only_if_that_was_seen_without_a_break() {
        let mut stage = Stage::new();
        let gone =
            |stage: &Stage, polled| stage.clients.without_clients_for(E, Duration::from_secs(30), polled);
        stage.look(0..=25, &[]);
        assert!(!gone(&stage, false));
        stage.look(30..=30, &[]);
        assert!(gone(&stage, false));
        stage.usage.last_stream_start_ms = Some(Elapsed(7));
        stage.look(35..=60, &[]);
        assert!(!gone(&stage, false), "a viewer who starts has no time to connect");
        stage.look(65..=65, &[]);
        assert!(gone(&stage, false));
        stage.clients.missed(E);
        assert!(!gone(&stage, false), "what is not seen is taken for nobody");
        stage.look(70..=70, &[]);
        stage.look(150..=150, &[]);
        assert!(!gone(&stage, false), "a pause counts as a watch");
        stage.look(155..=200, &["stays"]);
        assert!(!gone(&stage, false) && !gone(&stage, true));
    }

    #[test]
    fn who_opens_a_connection_for_each_piece_is_there() {
        let mut stage = Stage::new();
        let left = |stage: &Stage| {
            [false, true].map(|polled| stage.clients.without_clients_for(E, Duration::from_secs(30), polled))
        };
        // A piece every ten seconds, of which the kernel remembers those of the last minute.
        let pieces = |until: u64| {
            move |at: u64| {
                (at.saturating_sub(60)..=at.min(until))
                    .filter(|s| s % 10 == 0)
                    .map(|s| s.to_string())
                    .collect()
            }
        };
        stage.look_back(0..=120, &[], pieces(120));
        assert_eq!(left(&stage), [false; 2]);
        assert!(!stage.clients.is_deserted(E), "the last piece was fetched since the last look");
        stage.look_back(125..=145, &[], pieces(120));
        assert_eq!(left(&stage), [false; 2]);
        stage.look_back(150..=155, &[], pieces(120));
        assert_eq!(left(&stage), [true; 2], "what the kernel remembers keeps who has gone");
    }

    #[test]
    fn polls_of_this_node_are_no_clients() {
        let mut stage = Stage::new();
        for at in (0..=40).step_by(5) {
            stage.look(at..=at, &[&format!("poll-{at}")]);
        }
        assert!(stage.clients.without_clients_for(E, Duration::from_secs(30), true));
        assert!(!stage.clients.without_clients_for(E, Duration::from_secs(30), false));
    }
}
