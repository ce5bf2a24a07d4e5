//! Many readers of the feed, and those who do not read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::event::KEPT_EACH;
use acefleet_registry::stream::{KeyType, StreamStart};
use acefleet_registry::{Command, Level};
use futures::future::join_all;
use serde_json::json;

use crate::api::feed::start;
use crate::bed::follow::Follower;
use crate::bed::{Bed, eventually};

/// A stream that plays.
fn playing(session: &str) -> Arc<StreamStart> {
    let key = "b".repeat(300);
    Arc::new(StreamStart {
        id: format!("{key}|{session}").into(),
        key_type: KeyType::ContentId,
        playback_session_id: session.to_owned(),
        stat_url: format!("http://localhost:901/ace/stat/{key}/{session}"),
        command_url: format!("http://localhost:901/ace/cmd/{key}/{session}"),
        key,
        is_live: true,
        engine_host: "localhost".to_owned(),
        engine_port: 901,
        container_id: None,
        labels: BTreeMap::new(),
    })
}

/// So many streams start at once. The numbers of streams begin with `from`.
async fn start_many(bed: &Bed, from: usize, count: usize) {
    let started = (from..from + count).map(|session| playing(&session.to_string())).collect();
    let batch = Command::EventBatch { started, ended: Vec::new() };
    bed.fleet.write(batch, Instant::now() + Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn what_a_reader_does_not_want_is_not_lost_for_it() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    eventually("events about streams have room of their own", async || {
        (bed.fleet.view().state.level() == Level::CURRENT).then_some(())
    })
    .await;
    let place = Follower::of(&bed, "kinds=event", None).await.next().await.unwrap().id;
    for from in [0, 3_000] {
        start_many(&bed, from, 3_000).await;
    }
    bed.post("/cluster/nodes/a/cordon", &json!({})).await;
    let resumed = async |parameters: &str| {
        let mut feed = Follower::of(&bed, parameters, place.as_deref()).await;
        let hello = feed.next().await.unwrap();
        assert_eq!(hello.data["resumed"], true);
        (hello.data["lost"].as_u64().unwrap(), feed)
    };
    let (lost, mut feed) = resumed("kinds=event&event_types=system").await;
    assert_eq!((lost, &feed.next_of("event").await.data["category"]), (0, &json!("cordoned")));
    assert_eq!(resumed("kinds=change,figures").await.0, 0);
    let (lost, mut feed) = resumed("kinds=event&event_types=stream,system").await;
    assert!(lost >= 1_000, "{lost}");
    // All that is left of it comes, in its order and without a gap.
    let mut streams = 0;
    loop {
        let event = feed.next_of("event").await.data;
        if event["category"] == "cordoned" {
            break;
        }
        streams += usize::from(event["event_type"] == "stream");
    }
    assert_eq!(streams, KEPT_EACH);
    bed.stop().await;
}

/// A number of the metrics.
async fn metric(bed: &Bed, name: &str) -> u64 {
    let metrics = bed.get("/metrics").await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[tokio::test]
async fn readers_who_come_and_go_cause_no_looks() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let mut stays = Follower::of(&bed, "", None).await;
    stays.next_of("snapshot").await;
    let (before, began) = (metric(&bed, "acefleet_feed_looks_total").await, Instant::now());
    for round in 0..5 {
        start(&bed, &round.to_string()).await;
        let readers = join_all((0..30).map(async |_| {
            let mut reader = Follower::of(&bed, "", None).await;
            let snapshot = reader.next_of("snapshot").await;
            assert_eq!(
                snapshot.data["streams"].as_array().unwrap().len(),
                round + 1,
                "what was written before"
            );
            reader
        }));
        drop(readers.await);
    }
    let looks = metric(&bed, "acefleet_feed_looks_total").await - before;
    let at_most = began.elapsed().as_millis() / 250 + 2;
    assert!(u128::from(looks) <= at_most, "{looks} looks, of {at_most}");
    bed.stop().await;
}
