//! Viewers whose start was lost, viewers who share an id, and streams that nobody views. The connections are real ones.

use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::Phase;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::{Command, Level, State, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::engines::{ALIVE, PLAYS, STAT, STATUS, Stage};

const DENIED: &str = r#"{"response":null,"error":"unknown playback session id"}"#;

/// An engine that answers probes, and an agent that finds uses and absences in less than a second.
async fn stage() -> Stage {
    let stage = Stage::with(|config| {
        config.use_after = Duration::from_millis(400);
        config.unviewed_after = Duration::from_millis(800);
        (config.policy.min_replicas, config.policy.min_free_replicas) = (0, 0);
    })
    .await;
    stage.node.write(Command::RaiseLevel(Level::CURRENT)).await;
    stage.script(STATUS, 200, ALIVE);
    stage
}

async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(("127.0.0.1", stage.engine.ports.host_http)).await.unwrap()
}

async fn found(stage: &Stage) -> Arc<Stream> {
    stage.node.wait("a found stream", |s| s.streams().find(|stream| stream.found).cloned()).await
}

async fn ended(stage: &Stage, id: &str) -> Option<EndReason> {
    let is_over = |stream: &&Arc<Stream>| !stream.is_started();
    let stream = stage.node.wait("the end", |s| s.stream(id).filter(is_over).cloned()).await;
    stream.end_reason.clone()
}

/// A stream of which the engine cannot be asked.
async fn play_unasked(stage: &Stage, id: &str) {
    stage.playing(id, "1").await;
    let start = stage.node.cluster.view().state.stream(id).unwrap().start.clone();
    let unasked = StreamStart { stat_url: String::new(), ..(*start).clone() };
    stage.node.write(Command::StreamStarted(unasked.into())).await;
}

async fn finish(stage: &Stage, id: &str) {
    let end = StreamEnd { stream_id: Some(id.to_owned()), ..StreamEnd::default() };
    stage.node.write(Command::StreamEnded(end)).await;
}

#[tokio::test]
async fn a_viewer_whose_start_was_lost_is_found_merged_and_missed_when_gone() {
    let stage = stage().await;
    let viewer = connect(&stage).await;
    let lost = found(&stage).await;
    assert_eq!((lost.engine, lost.is_started()), (Some(stage.engine.id), true));
    let revision = stage.node.cluster.view().revision;
    stage.asked_more(STATUS, 40).await;
    assert_eq!(stage.node.cluster.view().revision, revision, "what does not change is written");
    stage.script(STAT, 200, PLAYS);
    stage.playing("s", "1").await;
    let state = Arc::clone(&stage.node.cluster.view());
    assert_eq!(state.state.stream_counts(), (1, 1), "it is listed twice");
    assert_eq!(state.state.stream("s").unwrap().started_at_ms, lost.started_at_ms);
    drop(viewer);

    let stage = self::stage().await;
    let viewer = connect(&stage).await;
    let lost = found(&stage).await;
    drop(viewer);
    assert_eq!(ended(&stage, &lost.start.id).await, Some(EndReason::Unviewed));
}

#[tokio::test]
async fn a_stream_that_cannot_be_asked_about_lasts_as_long_as_its_viewer() {
    let stage = stage().await;
    let viewer = connect(&stage).await;
    play_unasked(&stage, "s").await;
    stage.asked_more(STATUS, 40).await;
    assert!(stage.node.cluster.view().state.stream("s").unwrap().is_started());
    drop(viewer);
    assert_eq!(ended(&stage, "s").await, Some(EndReason::Unviewed));
}

#[tokio::test]
async fn a_stream_without_figures_ends_only_without_a_viewer() {
    for (status, body) in [(404, ""), (500, "x"), (200, "no json")] {
        let stage = stage().await;
        stage.script(STAT, status, body);
        let viewer = connect(&stage).await;
        stage.playing("s", "1").await;
        stage.asked_more(STAT, 40).await;
        assert!(stage.node.cluster.view().state.stream("s").unwrap().is_started(), "{status} {body}");
        drop(viewer);
        assert_eq!(ended(&stage, "s").await, Some(EndReason::Unviewed), "{status} {body}");
    }
}

#[tokio::test]
async fn a_stream_whose_clients_cannot_be_seen_goes_on() {
    let stage = stage().await;
    stage.script(STAT, 500, "");
    stage.fake.world().up = false;
    stage.playing("s", "1").await;
    stage.asked_more(STAT, 60).await;
    assert!(stage.node.cluster.view().state.stream("s").unwrap().is_started());
    stage.fake.world().up = true;
    assert_eq!(ended(&stage, "s").await, Some(EndReason::Unviewed));
}

#[tokio::test]
async fn an_end_that_the_engine_contradicts_does_not_stand() {
    let stage = stage().await;
    stage.script(STAT, 200, PLAYS);
    let viewer = connect(&stage).await;
    stage.playing("shared", "1").await;
    finish(&stage, "shared").await;
    let playing = found(&stage).await;
    let state = Arc::clone(&stage.node.cluster.view());
    let shared = state.state.stream("shared").unwrap();
    assert!(!shared.is_started(), "the ended record stays ended");
    assert_eq!(playing.start.stat_url, shared.start.stat_url);
    drop(viewer);
    stage.script(STAT, 200, DENIED);
    assert_eq!(ended(&stage, &playing.start.id).await, Some(EndReason::Denied));
    let asked = stage.asked(STAT);
    stage.asked_more(STATUS, 20).await;
    assert!(stage.asked(STAT) <= asked + 2, "an engine that has denied a session is asked again and again");
}

#[tokio::test]
async fn a_session_without_a_reader_contradicts_nothing() {
    let stage = stage().await;
    stage.script(STAT, 200, PLAYS);
    stage.playing("s", "1").await;
    finish(&stage, "s").await;
    stage.asked_more(STAT, 60).await;
    assert_eq!(stage.node.cluster.view().state.stream_counts(), (0, 1));
}

#[tokio::test]
async fn a_connection_that_a_stream_leaves_behind_is_no_viewer() {
    let stage = stage().await;
    stage.script(STAT, 200, PLAYS);
    stage.playing("s", "1").await;
    stage.asked_more(STAT, 20).await;
    let _pooled = connect(&stage).await;
    stage.script(STAT, 200, DENIED);
    finish(&stage, "s").await;
    stage.asked_more(STATUS, 60).await;
    assert_eq!(stage.node.cluster.view().state.stream_counts(), (0, 1));
}

#[tokio::test]
async fn the_viewer_of_a_session_that_gives_way_keeps_the_engine() {
    let stage = stage().await;
    stage.script(STAT, 200, PLAYS);
    let _viewers = [connect(&stage).await, connect(&stage).await];
    stage.playing("shared", "1").await;
    stage.playing("shared", "2").await;
    let first = found(&stage).await;
    assert_eq!(first.start.playback_session_id, "1");
    stage.script("/ace/stat/k/2", 200, DENIED);
    finish(&stage, "shared").await;
    stage.asked_more("/ace/stat/k/1", 20).await;
    assert_eq!(stage.node.cluster.view().state.active_streams(stage.engine.id), 1, "it counts as idle");
    let listed = stage.node.cluster.view().state.streams().filter(|stream| stream.found).count();
    assert_eq!(listed, 1, "it is listed again and again");
}

#[tokio::test]
async fn a_viewer_from_before_the_end_of_another_keeps_an_engine_that_is_about_to_stop() {
    let stage = stage().await;
    stage.script(STAT, 200, PLAYS);
    let _viewer = connect(&stage).await;
    stage.playing("other", "1").await;
    stage.asked_more(STAT, 20).await;
    stage.script(STAT, 200, DENIED);
    finish(&stage, "other").await;
    stage.asked_more(STATUS, 60).await;
    assert_eq!(stage.node.cluster.view().state.stream_counts(), (0, 1), "a pooled connection looks the same");
    let unlist =
        Command::EngineStop { engine: stage.engine.id, cause: Cause::IdleTtl, when: StopWhen::IdleFor(0) };
    stage.node.write(unlist).await;
    let viewed = found(&stage).await;
    assert!(viewed.is_started());
    let back = |s: &State| s.engine(stage.engine.id)?.taken_off.is_none().then_some(());
    stage.node.wait("the engine is listed again", back).await;
}

#[tokio::test]
async fn a_client_who_comes_before_the_stop_keeps_the_engine() {
    let stage = stage().await;
    let viewer = connect(&stage).await;
    let id = stage.engine.id;
    let idle = || Command::EngineStop { engine: id, cause: Cause::Idle, when: StopWhen::Always };
    stage.node.write(idle()).await;
    let kept = |s: &State| (s.engine(id)?.phase.is_serving() && s.active_streams(id) == 1).then_some(());
    stage.node.wait("the engine stays", kept).await;
    assert_eq!(stage.fake.world().containers.len(), 1);
    drop(viewer);
    let lost = found(&stage).await;
    assert_eq!(ended(&stage, &lost.start.id).await, Some(EndReason::Unviewed));
    stage.node.write(idle()).await;
    stage.node.wait_phase(id, &[Phase::Gone]).await;
}

#[tokio::test]
async fn a_client_of_an_engine_that_is_deleted_keeps_nothing() {
    let stage = stage().await;
    let _viewer = connect(&stage).await;
    let id = stage.engine.id;
    stage.node.write(Command::EngineStop { engine: id, cause: Cause::Deleted, when: StopWhen::Always }).await;
    stage.node.wait_phase(id, &[Phase::Gone]).await;
}

/// Fetches something over a connection that the engine closes, from another address than the node's.
async fn fetch_piece(port: u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    stream.write_all(b"GET /hls/piece HTTP/1.1\r\nhost: e\r\nconnection: close\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_viewer_who_opens_a_connection_for_each_piece_is_one() {
    let stage = stage().await;
    let port = stage.engine.ports.host_http;
    let viewer = tokio::spawn(async move {
        loop {
            fetch_piece(port).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    play_unasked(&stage, "s").await;
    stage.asked_more(STATUS, 60).await;
    assert!(stage.node.cluster.view().state.stream("s").unwrap().is_started());
    viewer.abort();
    assert_eq!(ended(&stage, "s").await, Some(EndReason::Unviewed));
}
