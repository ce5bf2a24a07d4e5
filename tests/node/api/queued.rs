//! Events that are queued while the cluster does not take them, and those that follow.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acefleet::fleet::{outbox, outbox_reader};
use acefleet_registry::Command;
use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::events::started;
use crate::api::room::{ends, fill, listed};
use crate::bed::{Bed, eventually};

/// Queues an event: its deadline has passed.
async fn queue(bed: &Bed, command: Command) {
    let delivery = bed.fleet.take_event(command, Instant::now()).await.unwrap();
    assert!(matches!(delivery, outbox::Delivery::Queued), "{delivery:?}");
}

pub fn end(stream: &str) -> Command {
    Command::StreamEnded(end_of(stream))
}

fn end_of(stream: &str) -> StreamEnd {
    StreamEnd { stream_id: Some(stream.to_owned()), container_id: None, reason: None }
}

/// A start of `k|` and this session that needs some 18 KiB of room.
fn heavy(session: &str) -> Arc<StreamStart> {
    let text = "x".repeat(8_000);
    Arc::new(StreamStart {
        id: format!("k|{session}").into(),
        key_type: KeyType::Infohash,
        key: "k".to_owned(),
        playback_session_id: session.to_owned(),
        stat_url: format!("http://localhost:19001/ace/stat/k/{session}"),
        command_url: String::new(),
        is_live: true,
        engine_host: "localhost".to_owned(),
        engine_port: 19_001,
        container_id: None,
        labels: [("a".to_owned(), text.clone()), ("b".to_owned(), text)].into(),
    })
}

/// Writes the queued events of a bed until stopped.
struct Writing {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Writing {
    fn of(bed: &Bed) -> Self {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(outbox_reader::run(bed.fleet.clone(), cancel.clone()));
        Self { cancel, task }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

async fn queued_are(bed: &Bed, count: u64) {
    eventually(&format!("{count} are queued"), async || {
        (bed.fleet.cluster().outbox().len() == count).then_some(())
    })
    .await;
}

/// What `/streams` says of a stream's status.
async fn status(bed: &Bed, id: &str) -> Option<String> {
    let streams = listed(bed, "/streams").await.json();
    let stream = streams.as_array().unwrap().iter().find(|stream| stream["id"] == id)?;
    Some(stream["status"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_queued_event_holds_up_its_own_stream_alone() {
    let bed = Bed::holding_events().await;
    bed.engine(901).await;
    queue(&bed, end("k|queued")).await;
    // Nothing writes queued events in this bed, as during a long overload.
    for session in 0..20 {
        let answer = bed.post("/events/stream_started", &started("k", &session.to_string(), 901)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let behind = bed.post("/events/stream_started", &started("k", "queued", 901)).await;
    assert_eq!(behind.status, 202, "its end has to go first: {behind:?}");

    let writing = Writing::of(&bed);
    let again = bed.post("/events/stream_started", &started("k", "queued", 901)).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json()["status"], "ended", "in the order in which they came");
    writing.stop().await;
    bed.stop().await;
}

#[tokio::test]
async fn an_event_waits_for_those_that_go_first_and_not_longer() {
    let bed = Bed::holding_events().await;
    bed.engine(901).await;
    for _ in 0..50 {
        queue(&bed, end("k|one")).await;
    }
    let writing = Writing::of(&bed);
    let patience = Instant::now() + Duration::from_secs(20);
    let delivery = bed.fleet.take_event(end("k|one"), patience).await.unwrap();
    assert!(matches!(delivery, outbox::Delivery::Applied(_)), "{delivery:?}");
    assert!(bed.fleet.cluster().outbox().is_empty());
    writing.stop().await;
    bed.stop().await;
}

#[tokio::test]
async fn starts_without_room_hold_up_no_other_stream_and_are_written_when_there_is_room() {
    let bed = Bed::holding_events().await;
    let (taken, _) = fill(&bed).await;
    // More streams than an event may name.
    let started = (0..20).map(|n| heavy(&format!("late-{n}"))).collect();
    queue(&bed, Command::EventBatch { started, ended: Vec::new() }).await;
    let writing = Writing::of(&bed);
    let other = json!({"stream_id": "of another"});
    eventually("ends of other streams are taken", async || {
        (bed.post("/events/stream_ended", &other).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(bed.fleet.cluster().outbox().len(), 1);
    let behind = bed.post("/events/stream_ended", &json!({"stream_id": "k|late-19"})).await;
    assert_eq!(behind.status, 202, "{behind:?}");
    queued_are(&bed, 2).await;
    let room = json!({"started": [], "ended": ends(0..30)});
    assert_eq!(bed.post("/events/batch", &room).await.json()["ended"], 30);
    queued_are(&bed, 0).await;
    assert_eq!(status(&bed, "k|late-0").await.as_deref(), Some("started"));
    assert_eq!(status(&bed, "k|late-19").await.as_deref(), Some("ended"));
    let list = listed(&bed, "/streams?status=started").await.json();
    assert_eq!(list.as_array().unwrap().len(), taken - 30 + 19);
    writing.stop().await;
    bed.stop().await;
}

#[tokio::test]
async fn an_end_is_written_with_its_start_that_found_no_room() {
    let bed = Bed::holding_events().await;
    fill(&bed).await;
    // No record is left of an end without a session in its id.
    for session in ["", "one", "two"] {
        queue(&bed, Command::StreamStarted(heavy(session))).await;
    }
    queue(&bed, end("k|")).await;
    let writing = Writing::of(&bed);
    queued_are(&bed, 2).await;
    assert_eq!(status(&bed, "k|").await.as_deref(), Some("ended"));
    // The end comes when its start has waited for long.
    for (session, left) in [("two", 1), ("one", 0)] {
        queue(&bed, end(&format!("k|{session}"))).await;
        queued_are(&bed, left).await;
        assert_eq!(status(&bed, &format!("k|{session}")).await.as_deref(), Some("ended"));
    }
    writing.stop().await;
    bed.stop().await;
}

#[tokio::test]
async fn starts_without_room_are_tried_ever_more_seldom() {
    let bed = Bed::holding_events().await;
    fill(&bed).await;
    for n in 0..60 {
        queue(&bed, Command::StreamStarted(heavy(&format!("late-{n}")))).await;
    }
    let writing = Writing::of(&bed);
    let before = bed.fleet.view().revision;
    eventually("they were tried", async || (bed.fleet.view().revision > before).then_some(())).await;
    // A slow machine tries less often.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let tried = bed.fleet.view().revision - before;
    assert!((2..=8).contains(&tried), "{tried} writes in 8 s");
    assert_eq!(bed.fleet.cluster().outbox().len(), 60);
    writing.stop().await;
    bed.stop().await;
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn queued_events_that_cannot_be_written_are_warned_of_once_in_a_while() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let bed = Bed::holding_events().await;
    queue(&bed, end("k|one")).await;
    // Its store is closed.
    bed.fleet.cluster().shutdown().await;
    let writing = Writing::of(&bed);
    let said = || {
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains("events of the outbox cannot be written")).count()
    };
    eventually("it is said", async || (said() > 0).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(said(), 1);
    writing.stop().await;
    bed.stop().await;
}
