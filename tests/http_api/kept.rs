//! Events that were kept while the cluster did not take them, and those that come after it does again.

use std::time::{Duration, Instant};

use acefleet::fleet::outbox;
use acefleet_registry::Command;
use acefleet_registry::stream::StreamEnd;
use tokio_util::sync::CancellationToken;

use crate::bed::Bed;
use crate::events::started;

/// Keeps the end of a stream: its caller has no time for anything else.
async fn keep(bed: &Bed, stream: &str) {
    let end = StreamEnd { stream_id: Some(stream.to_owned()), container_id: None, reason: None };
    let taken = bed.fleet.take_event(Command::StreamEnded(end), Instant::now()).await.unwrap();
    assert!(matches!(taken, outbox::Taken::Kept), "{taken:?}");
}

#[tokio::test]
async fn what_is_kept_holds_up_its_own_stream_alone() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    keep(&bed, "k|kept").await;
    // Nothing writes what is kept in this bed: the overload never ends, as far as it is concerned.
    for session in 0..20 {
        let answer = bed.post("/events/stream_started", &started("k", &session.to_string(), 901)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let behind = bed.post("/events/stream_started", &started("k", "kept", 901)).await;
    assert_eq!(behind.status, 202, "its end has to go first: {behind:?}");

    let cancel = CancellationToken::new();
    let writing = tokio::spawn(outbox::run(bed.fleet.clone(), cancel.clone()));
    let again = bed.post("/events/stream_started", &started("k", "kept", 901)).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json()["status"], "ended", "in the order in which they came");
    cancel.cancel();
    writing.await.unwrap();
    bed.stop().await;
}

#[tokio::test]
async fn an_event_waits_for_those_that_go_first_and_not_longer() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    for _ in 0..50 {
        keep(&bed, "k|one").await;
    }
    let cancel = CancellationToken::new();
    let writing = tokio::spawn(outbox::run(bed.fleet.clone(), cancel.clone()));
    let patience = Instant::now() + Duration::from_secs(20);
    let end = StreamEnd { stream_id: Some("k|one".to_owned()), container_id: None, reason: None };
    let taken = bed.fleet.take_event(Command::StreamEnded(end), patience).await.unwrap();
    assert!(matches!(taken, outbox::Taken::Applied(_)), "{taken:?}");
    assert!(bed.fleet.cluster().outbox().is_empty());
    cancel.cancel();
    writing.await.unwrap();
    bed.stop().await;
}
