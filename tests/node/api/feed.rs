//! The feed: objects as they are, then what changes, and each event of the log once, wherever a reader goes on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use acefleet::agent::runtime::RuntimeError;
use acefleet_registry::{Command, Elapsed, Level};
use serde_json::{Value, json};

use crate::api::events::{ended, started};
use crate::bed::follow::{Follower, Frame};
use crate::bed::{Bed, KEY, eventually};

/// Waits until all members know the newest commands.
pub async fn at_current_level(bed: &Bed) {
    eventually("all members know the newest commands", async || {
        (bed.fleet.view().state.level() == Level::CURRENT).then_some(())
    })
    .await;
}

/// A stream begins on the engine with port 901.
pub async fn start(bed: &Bed, session: &str) {
    let answer = bed.post("/events/stream_started", &started("k", session, 901)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// The number of an event.
pub fn number(frame: &Frame) -> u64 {
    frame.data["id"].as_u64().unwrap()
}

/// Ids of the events of the log behind this one, oldest first.
async fn log_behind(bed: &Bed, id: u64) -> Vec<u64> {
    let page = bed.get(&format!("/events?limit=1000&after={id}")).await.json();
    page.as_array().unwrap().iter().rev().map(|event| event["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_reader_gets_everything_first_and_then_what_changes() {
    let bed = Bed::new().await;
    let container = bed.engine(901).await;
    at_current_level(&bed).await;
    start(&bed, "s1").await;
    let mut feed = Follower::of(&bed, "", None).await;
    let hello = feed.next().await.unwrap();
    assert_eq!((hello.event.as_str(), &hello.data["node"]), ("hello", &json!("a")));
    assert_eq!((&hello.data["resumed"], &hello.data["lost"]), (&json!(false), &json!(0)));
    assert_eq!(
        hello.data["members"],
        json!([{"name": "a", "http": bed.address, "url": format!("http://{}", bed.address)}])
    );
    let snapshot = feed.next().await.unwrap();
    assert_eq!((snapshot.event.as_str(), &snapshot.id), ("snapshot", &None));
    let engine = &snapshot.data["engines"][0];
    assert_eq!((&engine["container_id"], &engine["listed"]), (&json!(container), &json!(true)));
    assert_eq!((&engine["unlisted"], &engine["unlisted_code"]), (&Value::Null, &Value::Null));
    assert_eq!((&engine["phase"], &engine["streams"]), (&json!("running"), &json!(["k|s1"])));
    assert_eq!(snapshot.data["streams"][0]["id"], "k|s1");
    assert_eq!(snapshot.data["nodes"][0]["name"], "a");
    assert_eq!((&snapshot.data["cluster"]["leader"], &snapshot.data["vpns"]), (&json!("a"), &json!([])));
    assert_eq!(snapshot.data["cluster"]["provisioning"]["can_provision"], true);
    let figures = feed.next().await.unwrap();
    assert_eq!((figures.event.as_str(), figures.id), ("figures", None));
    assert!(figures.data["nodes"]["a"]["outbox"].is_u64());

    start(&bed, "s2").await;
    let change = loop {
        let change = feed.next_of("change").await;
        if change.data["type"] == "stream" {
            break change;
        }
    };
    assert_eq!((&change.data["key"], &change.data["object"]["status"]), (&json!("k|s2"), &json!("started")));
    let event = feed.next_of("event").await;
    assert_eq!((&event.data["category"], &event.data["stream_id"]), (&json!("started"), &json!("k|s2")));
    assert_eq!(event.data["by"]["name"], "API key");
    let place = event.id.unwrap();
    let [cluster, revision, id] = place.split('-').collect::<Vec<_>>().try_into().unwrap();
    assert!(revision.parse::<u64>().unwrap() > 0);
    assert_eq!(id, event.data["id"].to_string());
    assert!(hello.data["cluster_id"].as_str().unwrap().starts_with(cluster), "{place}");
    bed.stop().await;
    assert_eq!(feed.next_of("bye").await.data, json!({"reason": "stopping"}));
    assert_eq!(feed.next().await, None);
}

#[tokio::test]
async fn an_object_that_changes_often_is_sent_at_last_as_it_is() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let mut feed = Follower::of(&bed, "kinds=change&types=engine", None).await;
    assert_eq!(feed.next_of("snapshot").await.data.get("streams"), None, "not asked for");
    for session in 0..200 {
        start(&bed, &session.to_string()).await;
    }
    let mut sent = 0;
    loop {
        let change = feed.next_of("change").await;
        assert_eq!(change.data["type"], "engine");
        sent += 1;
        if change.data["object"]["streams"].as_array().unwrap().len() == 200 {
            break;
        }
    }
    assert!(sent < 200, "each change was sent by itself");
}

#[tokio::test]
async fn an_open_breaker_is_told_once_and_not_each_second() {
    let bed = Bed::with(&[("API_KEY", KEY), ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1")]).await;
    bed.runtime.world().fails = Some(RuntimeError::Other("bad things".to_owned()));
    assert_eq!(bed.post("/provision/acestream", &json!({})).await.status, 503);
    let mut feed = Follower::of(&bed, "kinds=change,figures&types=cluster", None).await;
    let told = &feed.next_of("snapshot").await.data["cluster"]["provisioning"];
    assert_eq!(told["blocked_reason_details"]["code"], "circuit_breaker");
    // What it had to say of the call itself may come late.
    let mut changes = 0;
    for _ in 0..5 {
        while feed.next().await.unwrap().event == "change" {
            changes += 1;
        }
    }
    assert!(changes <= 1, "{changes} changes");
    bed.stop().await;
}

#[tokio::test]
async fn streams_are_told_again_when_the_time_of_day_is_corrected() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    start(&bed, "s1").await;
    let mut feed = Follower::of(&bed, "kinds=change&types=stream", None).await;
    let before = feed.next_of("snapshot").await.data["streams"][0]["started_at"].clone();
    assert!(before.is_string());
    let offset = bed.fleet.view().state.calendar().offset_ms().unwrap();
    let correction = Command::WallCorrected { from: Elapsed(0), offset_ms: offset - 86_400_000 };
    bed.fleet.write(correction, Instant::now() + Duration::from_secs(20)).await.unwrap();
    loop {
        let after = feed.next_of("change").await.data["object"]["started_at"].clone();
        // It may have changed before.
        if after != before {
            assert!(after.as_str() < before.as_str(), "{after} is no day before {before}");
            break;
        }
    }
    bed.stop().await;
}

#[tokio::test]
async fn readers_choose_kinds_and_types() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    at_current_level(&bed).await;
    let mut feed = Follower::of(&bed, "kinds=event&event_types=system&tail=1000", None).await;
    assert_eq!(feed.next().await.unwrap().event, "hello");
    start(&bed, "s1").await;
    bed.post("/cluster/nodes/a/cordon", &json!({})).await;
    loop {
        let frame = feed.next().await.unwrap();
        assert_eq!((frame.event.as_str(), &frame.data["event_type"]), ("event", &json!("system")));
        if frame.data["category"] == "cordoned" {
            break;
        }
    }
    let mut tail = Follower::of(&bed, "kinds=event&event_types=stream&tail=1", None).await;
    assert_eq!(
        tail.next_of("event").await.data["stream_id"],
        "k|s1",
        "the newest of its kind, though others are newer"
    );
    for wrong in ["kinds=all", "types=stream,x", "event_types=node", "tail=-1", "last_event_id=nothing"] {
        assert_eq!(bed.get(&format!("/events/stream?{wrong}")).await.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_place_of_another_log_is_told_from_one_that_this_node_has_not_reached() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let hello = Follower::of(&bed, "kinds=event", None).await.next().await.unwrap();
    let id = hello.id.unwrap();
    let cluster = id.split('-').next().unwrap();
    let ahead = bed.get(&format!("/events/stream?last_event_id={cluster}-99999999-1")).await;
    assert_eq!((ahead.status.as_u16(), &ahead.json()["detail"]["code"]), (503, &json!("behind")));
    // Of a cluster that was there before, at a higher revision, and of a log that was replaced by an older one.
    for other in ["00000000-99999999-7".to_owned(), format!("{cluster}-1-99999999")] {
        let mut feed = Follower::of(&bed, "kinds=event", Some(&other)).await;
        let hello = feed.next().await.unwrap();
        assert_eq!((&hello.data["resumed"], &hello.data["lost"]), (&json!(false), &Value::Null), "{other}");
        assert_eq!(hello.id.unwrap().split('-').next(), Some(cluster), "from here on it has a place");
        start(&bed, &other).await;
        feed.next_of("event").await;
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_at_another_node_without_gap_or_repeat() {
    let [a, b, c] = Bed::three().await;
    a.engine(901).await;
    at_current_level(&a).await;
    let mut feed = Follower::of(&a, "kinds=event", None).await;
    let begin = feed.next().await.unwrap().data["event"].as_u64().unwrap();
    let mut seen = Vec::new();
    let mut place = None;
    for session in 0..20 {
        start(&b, &session.to_string()).await;
        let frame = feed.next_of("event").await;
        place = frame.id.clone();
        seen.push(number(&frame));
    }
    drop(feed);
    for session in 0..20 {
        assert_eq!(c.post("/events/stream_ended", &ended("k", &session.to_string())).await.status, 200);
    }
    let mut feed = Follower::of(&c, "kinds=event", place.as_deref()).await;
    let hello = feed.next().await.unwrap();
    assert_eq!((&hello.data["resumed"], &hello.data["lost"]), (&json!(true), &json!(0)));
    assert_eq!(hello.data["node"], "c");
    // The cluster may have something to say for itself meanwhile.
    let expected = log_behind(&c, begin).await;
    while seen.last() < expected.last() {
        seen.push(number(&feed.next_of("event").await));
    }
    assert!(seen.len() >= 40 && seen.starts_with(&expected), "{seen:?} {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_through_a_change_of_the_leader() {
    let beds = Bed::three().await;
    beds[0].engine(901).await;
    at_current_level(&beds[0]).await;
    let leader = beds.iter().position(|bed| bed.fleet.cluster().is_leader()).unwrap();
    let mut beds: Vec<Bed> = beds.into();
    let old = beds.remove(leader);
    let mut feed = Follower::of(&beds[0], "kinds=event", None).await;
    let begin = feed.next().await.unwrap().data["event"].as_u64().unwrap();
    for session in 0..10 {
        start(&beds[1], &format!("before-{session}")).await;
    }
    // A busy machine may have elected another one meanwhile.
    eventually("the node leads that will be stopped", async || {
        if old.fleet.cluster().is_leader() {
            return Some(());
        }
        beds[1].post(&format!("/cluster/nodes/{}/lead", old.fleet.cluster().node_name()), &Value::Null).await;
        None
    })
    .await;
    old.stop().await;
    for session in 0..10 {
        eventually("another node leads, and the write is taken", async || {
            let event = started("k", &format!("after-{session}"), 901);
            (beds[1].post("/events/stream_started", &event).await.status == 200).then_some(())
        })
        .await;
    }
    // A leader takes writes before it has written down that it leads.
    eventually("the log says why another node leads", async || {
        let changes = beds[1].get("/events?category=leader_changed").await.json();
        let new = changes.as_array().unwrap().iter().filter(|event| event["id"].as_u64() > Some(begin));
        let reasons = new.filter_map(|event| event["details"]["reason"].as_str()).collect::<Vec<_>>();
        // On a busy machine a node may lose its lead before it has said that it stops.
        let known = ["leader_stopped", "unknown", "asked"];
        assert!(reasons.iter().all(|reason| known.contains(reason)), "{changes}");
        (!reasons.is_empty()).then_some(())
    })
    .await;
    let mut seen = Vec::new();
    let expected = log_behind(&beds[1], begin).await;
    while seen.last() < expected.last() {
        seen.push(number(&feed.next_of("event").await));
    }
    assert_eq!(seen, expected);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    assert!(seen.len() >= 20);
}
