//! Many readers of the feed, who come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet::http;
use acefleet_registry::Command;
use acefleet_registry::event::KEPT_EACH;
use acefleet_registry::stream::{KeyType, StreamStart};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::feed::{at_current_level, start};
use crate::bed::follow::Follower;
use crate::bed::{Bed, eventually};

/// A stream that plays, with a key of this length.
fn playing(session: &str, length: usize) -> Arc<StreamStart> {
    let key = "b".repeat(length);
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

/// So many streams with keys of this length start at once. Their numbers begin with `from`.
pub async fn start_many(bed: &Bed, from: usize, count: usize, length: usize) {
    let started = (from..from + count).map(|session| playing(&session.to_string(), length)).collect();
    let batch = Command::EventBatch { started, ended: Vec::new() };
    bed.fleet.write(batch, Instant::now() + Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn what_a_reader_does_not_want_is_not_lost_for_it() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    at_current_level(&bed).await;
    let place = Follower::of(&bed, "kinds=event", None).await.next().await.unwrap().id;
    for from in [0, 3_000] {
        start_many(&bed, from, 3_000, 1).await;
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
pub async fn metric(bed: &Bed, name: &str) -> u64 {
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

#[tokio::test]
async fn a_node_has_so_many_readers_and_a_place_that_is_left_is_free() {
    let (bed, stop) = (Bed::new().await, CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let limits = http::Limits { shared: 4, loopback: 32, health: 2, idle_each: 4, readers: 2 };
    let api = http::Api::new(bed.fleet.clone(), None);
    let served = tokio::spawn(http::serve(listener, api, limits, stop.clone(), Duration::from_secs(5)));
    let client = reqwest::Client::new();
    let open = async || Follower::at(&client, &address, "kinds=event", None).await;
    let (first, mut second) = (open().await.unwrap(), open().await.unwrap());
    assert_eq!(open().await.err(), Some(503));
    assert_eq!(client.get(format!("http://{address}/cluster")).send().await.unwrap().status(), 200);
    drop(first);
    let mut third = eventually("a place is free", async || open().await.ok()).await;
    stop.cancel();
    for feed in [&mut second, &mut third] {
        assert_eq!(feed.next_of("bye").await.data, json!({"reason": "stopping"}));
    }
    served.await.unwrap().unwrap();
    bed.stop().await;
}

#[tokio::test]
async fn the_first_reader_after_the_last_one_finds_everything() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    for rests in [false, true] {
        let session = |part: &str| format!("{part}-{rests}");
        let mut feed = Follower::of(&bed, "", None).await;
        feed.next_of("snapshot").await;
        drop(feed);
        eventually("the last one has gone", async || {
            (metric(&bed, "acefleet_feed_readers").await == 0).then_some(())
        })
        .await;
        if rests {
            eventually("nothing looks any more", async || {
                let before = metric(&bed, "acefleet_feed_looks_total").await;
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                (metric(&bed, "acefleet_feed_looks_total").await == before).then_some(())
            })
            .await;
        }
        start(&bed, &session("unseen")).await;
        let mut feed = Follower::of(&bed, "kinds=change,event&types=stream", None).await;
        let hello = feed.next().await.unwrap();
        let streams = feed.next_of("snapshot").await.data["streams"].clone();
        let is_there = |stream: &Value| stream["id"] == format!("k|{}", session("unseen"));
        assert!(streams.as_array().unwrap().iter().any(is_there), "{streams}");
        start(&bed, &session("seen")).await;
        let change = feed.next_of("change").await;
        assert_eq!(
            change.data["key"],
            format!("k|{}", session("seen")),
            "what was in the snapshot is not told again"
        );
        let event = feed.next_of("event").await;
        assert_eq!(event.data["stream_id"], format!("k|{}", session("seen")));
        assert!(event.data["id"].as_u64() > hello.data["event"].as_u64());
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_reader_who_resumes_with_a_filter_gets_what_it_wants_and_all_of_that() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    start(&bed, "0").await;
    let mut feed = Follower::of(&bed, "kinds=event&event_types=stream&tail=1", None).await;
    let place = feed.next_of("event").await.id;
    drop(feed);
    for session in 1..30 {
        start(&bed, &session.to_string()).await;
        let to = if session % 2 == 1 { "cordon" } else { "uncordon" };
        assert_eq!(bed.post(&format!("/cluster/nodes/a/{to}"), &json!({})).await.status, 200);
    }
    let mut feed = Follower::of(&bed, "kinds=event&event_types=stream", place.as_deref()).await;
    let hello = feed.next().await.unwrap().data;
    assert_eq!((&hello["resumed"], &hello["lost"]), (&json!(true), &json!(0)));
    for session in 1..30 {
        let frame = feed.next().await.unwrap();
        assert_eq!(
            (frame.event.as_str(), &frame.data["stream_id"]),
            ("event", &json!(format!("k|{session}")))
        );
    }
    start(&bed, "last").await;
    assert_eq!(feed.next().await.unwrap().data["stream_id"], "k|last", "and goes on");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_answered_while_readers_come_all_at_once() {
    let beds = Bed::three().await;
    beds[0].engine(901).await;
    start_many(&beds[0], 0, 100, 1).await;
    let client = reqwest::Client::new();
    let readers = join_all((0..150).map(async |number: usize| {
        let types = ["", "types=stream", "types=engine,node", "kinds=event&tail=1000"][number % 4];
        let address = &beds[number % 3].address;
        Follower::at(&client, address, types, None).await.unwrap().next().await.unwrap().event
    }));
    let writes = async {
        for session in 0..10 {
            start(&beds[1], &session.to_string()).await;
        }
    };
    let (greetings, ()) = futures::join!(readers, writes);
    assert!(greetings.iter().all(|event| event == "hello"));
}
