//! The agent's calls to engines: probes, figures of streams, stops. The engine is a small HTTP server
//! on the port that the engine's record leases; the registry is a real one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::bed::agent::{Node, until};
use crate::bed::fake::Fake;
use acefleet::config::Config;
use acefleet_registry::command::Adopt;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{EngineSpec, Health, Phase, Ports};
use acefleet_registry::health::HealthFault;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::{Command, Engine, Level, NodeId, WallMs};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// What the engine answers, by the beginning of the path and query.
#[derive(Default)]
struct Script {
    answers: Vec<(&'static str, u16, String)>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Script>>;

async fn answer(State(script): State<Shared>, uri: Uri) -> Response {
    let asked = uri.path_and_query().unwrap().to_string();
    let found = {
        let mut script = script.lock().unwrap();
        let found = script.answers.iter().rev().find(|(path, _, _)| asked.starts_with(path)).cloned();
        script.asked.push(asked);
        found
    };
    match found {
        Some((_, HANGS, _)) => std::future::pending().await,
        Some((_, 302, body)) => (StatusCode::FOUND, [(header::LOCATION, body)]).into_response(),
        Some((_, status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// In place of a status: no answer comes.
const HANGS: u16 = 0;
pub(super) const STATUS: &str = "/server/api?api_version=3&method=get_status";
/// What engines answer to it.
pub(super) const ALIVE: &str = r#"{"result":{"version":"3"},"error":null}"#;
const VERSION: &str = "/webui/api/service?method=get_version";
pub(super) const STAT: &str = "/ace/stat/";

pub(super) struct Stage {
    pub node: Node,
    pub engine: Arc<Engine>,
    pub fake: Arc<Fake>,
    script: Shared,
}

impl Stage {
    /// An engine that answers from the start, fast loops, and a list that never comes.
    async fn new() -> Self {
        Self::with_silence_after(Duration::from_secs(60)).await
    }

    /// The same; streams without figures for so long are silent.
    async fn with_silence_after(silent_after: Duration) -> Self {
        Self::with(|config| config.silent_after = silent_after).await
    }

    /// The same with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let script = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let fake = Fake::new();
        let mut node = Node::new(Arc::<Fake>::clone(&fake), |config| {
            config.health_interval = Duration::from_millis(50);
            config.health_failure_threshold = 3;
            config.collect_interval = Duration::from_millis(50);
            config.stats_history_max = 5;
            change(config);
        })
        .await;
        node.start().await;
        let spec = EngineSpec { host_port: Some(port), ..EngineSpec::acestream() };
        let id = node.reserve(spec).await.id;
        let engine = node.wait_phase(id, &[Phase::Starting, Phase::Running]).await;
        Self { node, engine, fake, script }
    }

    pub fn script(&self, path: &'static str, status: u16, body: impl Into<String>) {
        self.script.lock().unwrap().answers.push((path, status, body.into()));
    }

    pub fn asked(&self, path: &str) -> usize {
        self.script.lock().unwrap().asked.iter().filter(|asked| asked.starts_with(path)).count()
    }

    /// Waits for so many more requests of a path.
    pub async fn asked_more(&self, path: &str, times: usize) {
        let before = self.asked(path);
        until(&format!("{path} is asked"), async || self.asked(path) >= before + times).await;
    }

    async fn health(&self, wanted: Health) {
        let id = self.engine.id;
        self.node.wait(&format!("{wanted:?}"), |s| (s.engine(id)?.health == wanted).then_some(())).await;
    }

    pub async fn playing(&self, id: &str, session: &str) {
        self.script(STATUS, 200, ALIVE);
        self.node.play(&self.engine, id, session).await;
    }
}

#[tokio::test]
async fn health_follows_the_answers_and_only_flips_are_written() {
    let stage = Stage::new().await;
    stage.node.write(Command::RaiseLevel(Level::CURRENT)).await;
    stage.script(STATUS, 200, ALIVE);
    stage.script(VERSION, 200, r#"{"result":{"platform":"linux","version":"3.2.3","code":1},"error":null}"#);
    stage.health(Health::Healthy).await;
    stage.node.wait_phase(stage.engine.id, &[Phase::Running]).await;

    let revision = stage.node.cluster.view().revision;
    stage.asked_more(STATUS, 5).await;
    assert_eq!(stage.node.cluster.view().revision, revision, "probes are not written");

    until("the report", async || {
        let soft = stage.node.soft.view();
        let engine = soft.engine(stage.node.id(), stage.engine.id);
        engine.is_some_and(|e| e.version.as_deref() == Some("3.2.3") && e.last_health_check_ms.is_some())
    })
    .await;
    assert_eq!(stage.asked(VERSION), 1, "the version is asked for once");

    let faults = [
        (500, "{}", HealthFault::ErrorStatus),
        (200, "<html>", HealthFault::NotJson),
        (200, "null", HealthFault::NotJson),
        (200, r#"{"error":"not running","result":null}"#, HealthFault::ErrorStatus),
        (HANGS, "", HealthFault::NoAnswer),
    ];
    for (status, body, fault) in faults {
        stage.script(STATUS, status, body);
        stage.health(Health::Unhealthy).await;
        let state = &stage.node.cluster.view().state;
        assert_eq!(state.engine(stage.engine.id).unwrap().failing.unwrap().fault, fault);
        assert_eq!(state.listed_engines().count(), 0, "clients get it no more");
        stage.script(STATUS, 200, ALIVE);
        stage.health(Health::Healthy).await;
    }
}

#[tokio::test]
async fn an_engine_that_is_lost_with_its_host_is_given_back_by_an_answer_and_not_by_what_is_known_of_it() {
    let stage = Stage::new().await;
    stage.node.write(Command::RaiseLevel(Level::CURRENT)).await;
    stage.script(STATUS, 200, ALIVE);
    stage.health(Health::Healthy).await;
    let (node, engine) = (stage.node.id(), stage.engine.id);
    let lost = || Command::NodeUnavailable { node, answering: Some(BTreeSet::new()), is_back: false };
    let is_lost = |state: &acefleet_registry::State| state.engine(engine).is_some_and(|e| state.is_lost(e));
    // It was healthy, and is.
    stage.node.write(lost()).await;
    stage.node.wait("it to be given back", |state| (!is_lost(state)).then_some(())).await;
    // It was healthy, and nobody knows whether it is.
    stage.script(STATUS, HANGS, "");
    stage.asked_more(STATUS, 1).await;
    stage.node.write(lost()).await;
    stage.asked_more(STATUS, 2).await;
    assert!(is_lost(&stage.node.cluster.view().state));
    stage.health(Health::Unhealthy).await;
    assert!(is_lost(&stage.node.cluster.view().state));
    stage.script(STATUS, 200, ALIVE);
    stage.node.wait("it to be given back", |state| (!is_lost(state)).then_some(())).await;
}

#[tokio::test]
async fn figures_of_a_stream_are_signs_of_life() {
    let stage = Stage::new().await;
    stage.script(STATUS, 200, ALIVE);
    stage.health(Health::Healthy).await;
    let figures =
        r#"{"response":{"status":"dl","peers":3,"speedDown":7,"speed_up":0,"downloaded":100},"error":null}"#;
    stage.script(STAT, 200, figures);
    stage.playing("s", "1").await;
    stage.asked_more(STAT, 3).await;
    stage.script(STATUS, HANGS, "");
    stage.asked_more(STATUS, 6).await;
    let revision = stage.node.cluster.view().revision;
    assert_eq!(stage.node.cluster.view().state.engine(stage.engine.id).unwrap().health, Health::Healthy);
    stage.script(STAT, HANGS, "");
    stage.health(Health::Unhealthy).await;
    assert!(stage.node.cluster.view().revision > revision);
}

#[tokio::test]
async fn figures_are_sampled_into_a_bounded_ring() {
    let stage = Stage::new().await;
    stage.script(
        STAT,
        200,
        r#"{"response":{"status":"dl","peers":3,"speedDown":7,"speed_up":0,"downloaded":100},"error":null}"#,
    );
    stage.playing("s", "1").await;
    stage.asked_more(STAT, 8).await;
    let samples = stage.node.agent().samples("s", None);
    assert_eq!(samples.len(), 5);
    let last = samples.last().unwrap();
    assert_eq!((last.peers, last.speed_down, last.speed_up), (Some(3), Some(7), Some(0)));
    assert_eq!(stage.node.agent().samples("s", Some(WallMs(last.ts_ms.0 + 3_600_000))), []);
    until("the report", async || {
        let soft = stage.node.soft.view();
        let last = &soft.nodes[&stage.node.id()];
        last.report.streams.get("s").is_some_and(|s| s.downloaded == Some(100))
            && last.report.totals == (100, 0)
    })
    .await;
}

#[tokio::test]
async fn a_session_that_the_engine_denies_ends_and_frees_its_samples() {
    let stage = Stage::new().await;
    stage.script(STAT, 200, r#"{"response":null,"error":"unknown playback session id"}"#);
    stage.playing("s", "1").await;
    let ended = stage.node.wait("the end", |s| s.stream("s").filter(|s| !s.is_started()).cloned()).await;
    assert_eq!(ended.end_reason, Some(EndReason::Denied));
    until("the samples are gone", async || stage.node.agent().samples("s", None).is_empty()).await;
}

#[tokio::test]
async fn a_stream_that_ended_with_its_host_goes_on_when_its_engine_plays_it() {
    let stage = Stage::new().await;
    let plays = r#"{"response":{"status":"dl","peers":3,"downloaded":100},"error":null}"#;
    stage.script(STAT, 200, plays);
    stage.playing("s", "1").await;
    stage.playing("t", "2").await;
    let began = stage.node.cluster.view().state.stream("s").unwrap().started_at_ms;
    let verdict = |down| Command::NodeDown { node: stage.node.id(), down };
    stage.node.write(verdict(true)).await;
    stage.script("/ace/stat/k/2", 200, r#"{"response":null,"error":"unknown playback session id"}"#);
    stage.script("/ace/stat/k/1", 500, "");
    assert!(stage.node.cluster.view().state.streams().all(|stream| !stream.is_started()));
    stage.node.write(verdict(false)).await;
    stage.asked_more("/ace/stat/k/1", 2).await;
    assert!(
        !stage.node.cluster.view().state.stream("s").unwrap().is_started(),
        "its engine has not answered for it"
    );

    stage.script("/ace/stat/k/1", 200, plays);
    let again = stage.node.wait("the stream", |s| s.stream("s").filter(|s| s.is_started()).cloned()).await;
    assert_eq!(again.started_at_ms, began);
    until("its figures", async || !stage.node.agent().samples("s", None).is_empty()).await;
    let (denied, revision) = (stage.asked("/ace/stat/k/2"), stage.node.cluster.view().revision);
    stage.asked_more("/ace/stat/k/1", 5).await;
    assert!(
        !stage.node.cluster.view().state.stream("t").unwrap().is_started(),
        "its engine does not know it"
    );
    assert_eq!(stage.asked("/ace/stat/k/2"), denied, "it is asked for again and again");
    assert_eq!(stage.node.cluster.view().revision, revision, "something is written again and again");
}

#[tokio::test]
async fn nothing_else_ends_a_stream() {
    let stage = Stage::new().await;
    let away = "http://127.0.0.1:1/";
    stage.script(STAT, 200, "{}");
    stage.playing("s", "1").await;
    for (status, body) in [
        (404, ""),
        (500, "unknown playback session id"),
        (302, away),
        (200, "no json"),
        (200, r#"{"response":null,"error":"failed to load content"}"#),
        (200, r#"{"response":null,"error":null}"#),
        (200, r#"{"response":{"peers":1.5}}"#),
    ] {
        stage.script(STAT, status, body);
        stage.asked_more(STAT, 4).await;
        assert!(stage.node.cluster.view().state.stream("s").unwrap().is_started(), "{status} {body}");
    }
    until("errors are counted", async || {
        stage.node.soft.view().nodes[&stage.node.id()].report.collector_errors > 0
    })
    .await;
}

pub(super) const PLAYS: &str = r#"{"response":{"status":"dl","peers":3,"downloaded":100},"error":null}"#;

#[tokio::test]
async fn streams_without_figures_are_marked_and_polled_seldom_until_they_give_some() {
    let mut stage = Stage::with_silence_after(Duration::from_millis(300)).await;
    stage.node.write(Command::RaiseLevel(Level::CURRENT)).await;
    stage.script(STAT, 404, "");
    stage.script("/ace/stat/k/plays", 200, PLAYS);
    stage.playing("plays", "plays").await;
    stage.playing("s", "1").await;
    stage.playing("mute", "2").await;
    stage.script("/ace/stat/k/2", 200, "{}");
    let start = stage.node.cluster.view().state.stream("s").unwrap().start.clone();
    let nowhere = StreamStart { id: "nowhere".into(), stat_url: "mailto:me".to_owned(), ..(*start).clone() };
    stage.node.write(Command::StreamStarted(nowhere.into())).await;
    let since = |state: &acefleet_registry::State, id| state.stream(id).unwrap().silent_since_ms;
    for id in ["s", "mute", "nowhere"] {
        stage.node.wait(&format!("{id} is silent"), |state| since(state, id)).await;
    }
    let (asked, revision) = (stage.asked("/ace/stat/k/1"), stage.node.cluster.view().revision);
    stage.asked_more("/ace/stat/k/plays", 20).await;
    assert!(stage.asked("/ace/stat/k/1") <= asked + 1, "it is polled as often as before");
    assert_eq!(stage.node.cluster.view().revision, revision, "something is written again and again");
    assert!(since(&stage.node.cluster.view().state, "plays").is_none(), "a stream that answers is marked");
    assert_eq!(stage.node.cluster.view().state.stream_counts(), (4, 4), "silence ended a stream");

    // An event says that it plays, so it is polled at once.
    stage.playing("s", "1").await;
    assert!(since(&stage.node.cluster.view().state, "s").is_none());
    stage.asked_more("/ace/stat/k/1", 2).await;
    stage.node.wait("it is silent again", |state| since(state, "s")).await;
    // So do figures.
    stage.script("/ace/stat/k/1", 200, PLAYS);
    stage.node.stop_agent().await;
    stage.node.start_agent();
    stage.node.wait("it gives figures", |state| since(state, "s").is_none().then_some(())).await;
}

#[tokio::test]
async fn a_stream_that_plays_on_without_room_is_tried_from_time_to_time() {
    let stage = Stage::new().await;
    stage.script(STAT, 200, PLAYS);
    stage.playing("s", "1").await;
    stage.node.write(Command::NodeDown { node: stage.node.id(), down: true }).await;
    // Another host's engine, whose streams fill the registry.
    let mut info = stage.node.cluster.view().state.node(stage.node.id()).unwrap().info.clone();
    (info.id, info.name) = (NodeId(77), "beta".to_owned());
    stage.node.write(Command::NodeUp(info)).await;
    let adopt = Adopt {
        node: NodeId(77),
        container_id: "f".repeat(64),
        container_name: "acestream-77".to_owned(),
        image: "engine:1".to_owned(),
        variant: None,
        ports: Ports { host_http: 1, container_http: 1, container_https: 0, host_https: None },
        spec: EngineSpec::acestream(),
        address: None,
        vpn: None,
        forwarded_port: None,
    };
    stage.node.write(Command::Adopt(adopt)).await;
    let start = stage.node.cluster.view().state.stream("s").unwrap().start.clone();
    let heavy = |n: usize, bytes: usize| {
        let labels = (bytes > 0).then(|| ("x".to_owned(), "x".repeat(bytes))).into_iter().collect();
        let (id, container_id) = (format!("heavy-{n}").into(), Some("f".repeat(64)));
        let start = StreamStart { id, labels, container_id, engine_port: 1, ..(*start).clone() };
        Command::StreamStarted(start.into())
    };
    for (n, bytes) in
        [1_000_000, 100_000, 10_000, 1_000, 0].into_iter().flat_map(|bytes| [bytes; 32]).enumerate()
    {
        stage.node.write(heavy(n, bytes)).await;
    }
    stage.node.write(Command::NodeDown { node: stage.node.id(), down: false }).await;
    stage.asked_more(STAT, 2).await;
    let before = stage.node.cluster.view().revision;
    stage.asked_more(STAT, 40).await;
    let written = stage.node.cluster.view().revision - before;
    assert!(written <= 2, "{written} writes that are refused");
    assert!(!stage.node.cluster.view().state.stream("s").unwrap().is_started());
    let end = StreamEnd { stream_id: Some("heavy-0".to_owned()), ..StreamEnd::default() };
    stage.node.write(Command::StreamEnded(end)).await;
    stage.node.wait("the stream", |s| s.stream("s").filter(|s| s.is_started()).cloned()).await;
}

#[tokio::test]
async fn a_stop_reaches_only_the_engine_itself() {
    let stage = Stage::new().await;
    let (agent, id) = (stage.node.agent(), stage.engine.id);
    stage.script("/ace/cmd/", 200, r#"{"response":"ok","error":null}"#);
    agent.stop_session(id, "http://203.0.113.9:80/ace/cmd/k/1?method=pause").await.unwrap();
    assert_eq!(stage.asked("/ace/cmd/k/1?method=stop"), 1);

    stage.script("/ace/cmd/", 200, r#"{"response":null,"error":"unknown playback session id"}"#);
    agent.stop_session(id, "/ace/cmd/k/1").await.unwrap();
    stage.script("/ace/cmd/", 200, r#"{"response":null,"error":"not allowed"}"#);
    assert!(agent.stop_session(id, "/ace/cmd/k/1").await.is_err());
    stage.script("/ace/cmd/", 302, "http://127.0.0.1:1/");
    assert!(agent.stop_session(id, "/ace/cmd/k/1").await.is_err());
    assert!(agent.stop_session(id, "mailto:me").await.is_err());
    assert!(agent.stop_session(acefleet_registry::EngineId(99), "/ace/cmd/k/1").await.is_err());
}
