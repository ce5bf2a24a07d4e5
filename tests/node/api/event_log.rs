//! The log of what happened: who made a change, filters, pages.

use acefleet_registry::Level;
use serde_json::{Value, json};

use crate::api::events::{ended, started};
use crate::bed::{Bed, eventually};

async fn at_current_level(bed: &Bed) {
    eventually("all members know the newest commands", async || {
        (bed.fleet.view().state.level() == Level::CURRENT).then_some(())
    })
    .await;
}

async fn log(bed: &Bed, parameters: &str) -> Vec<Value> {
    let answer = bed.get(&format!("/events?{parameters}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn the_log_says_who_changed_what_and_through_which_node() {
    let bed = Bed::new().await;
    at_current_level(&bed).await;
    assert_eq!(bed.post("/cluster/nodes/a/cordon", &json!({})).await.status, 200);
    let events = log(&bed, "category=cordoned").await;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event["by"], json!({"name": "API key", "address": "127.0.0.1", "node": "a"}));
    assert_eq!((&event["event_type"], &event["details"]), (&json!("system"), &json!({"node": "a"})));
    assert_eq!((&event["container_id"], &event["stream_id"]), (&Value::Null, &Value::Null));
    let joined = log(&bed, "category=node_joined").await;
    assert_eq!(joined[0]["by"], Value::Null, "the cluster did that by itself");
    assert_eq!(bed.post("/health/circuit-breaker/reset", &json!({})).await.status, 200);
    assert_eq!(log(&bed, "event_type=health").await[0]["category"], "reset");
}

#[tokio::test]
async fn the_log_is_filtered_and_paged_newest_first() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    at_current_level(&bed).await;
    for session in ["s1", "s2", "s3"] {
        bed.post("/events/stream_started", &started("k", session, 901)).await;
    }
    bed.post("/events/stream_ended", &ended("k", "s2")).await;
    let of_streams = log(&bed, "event_type=stream").await;
    let categories: Vec<&Value> = of_streams.iter().map(|event| &event["category"]).collect();
    assert_eq!(categories, ["ended", "started", "started", "started"]);
    assert_eq!(of_streams[0]["stream_id"], "k|s2");
    assert_eq!(
        (&of_streams[0]["container_id"], &of_streams[0]["details"]["node"]),
        (&json!(id), &json!("a"))
    );
    assert!(of_streams[0]["message"].as_str().unwrap().contains("client_disconnected"), "the reason");
    assert_eq!(log(&bed, "event_type=stream&limit=2&offset=1").await, of_streams[1..3]);
    let before = &of_streams[1]["id"];
    assert_eq!(log(&bed, &format!("event_type=stream&before={before}")).await, of_streams[2..]);
    assert_eq!(log(&bed, &format!("event_type=stream&after={before}")).await, of_streams[..1]);
    assert_eq!(log(&bed, "stream_id=k%7Cs2").await.len(), 2);
    assert_eq!(log(&bed, &format!("container_id={}&category=ended", &id[..12])).await.len(), 1);
    assert_eq!(log(&bed, "node=a&category=started").await.len(), 3);
    assert_eq!(log(&bed, "node=elsewhere").await.len(), 0);
    assert_eq!(log(&bed, "since=2100-01-01").await.len(), 0);
    assert_eq!(log(&bed, "since=2001-01-01&category=started").await.len(), 3);

    let stats = bed.get("/events/stats").await.json();
    assert_eq!(stats["by_type"]["stream"], 4);
    assert_eq!(stats["by_type"]["vpn"], 0);
    assert_eq!(stats["newest_id"], log(&bed, "limit=1").await[0]["id"]);
    assert_eq!(stats["newest"], log(&bed, "limit=1").await[0]["timestamp"]);
    assert!(stats["oldest"].as_str().unwrap() <= stats["newest"].as_str().unwrap());
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let bed = Bed::new().await;
    for wrong in
        ["limit=0", "limit=1001", "offset=-1", "event_type=nothing", "since=soon", "before=x", "after=-1"]
    {
        let answer = bed.get(&format!("/events?{wrong}")).await;
        assert_eq!(answer.status, 422, "{wrong}");
        let name = wrong.split('=').next().unwrap();
        assert_eq!(answer.json()["detail"][0]["loc"], json!(["query", name]), "{wrong}");
    }
}

#[tokio::test]
async fn a_wrong_time_is_refused_alike_everywhere() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let mut refusals = Vec::new();
    for path in ["/events", "/streams/k%7Cs/stats", "/series"] {
        let refused = bed.get(&format!("{path}?since=yesterday")).await;
        assert_eq!(refused.status, 422, "{path}");
        refusals.push(refused.json());
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    bed.stop().await;
}
