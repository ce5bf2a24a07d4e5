//! Answers without an end, and the keys that let their readers in.

use std::time::{Duration, Instant};

use acefleet::access::hash;
use acefleet_registry::command::CreateKey;
use acefleet_registry::{Command, Level, Role};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::api::socket::Socket;
use crate::bed::sse::Events;
use crate::bed::{Bed, KEY, eventually};

async fn bed(reads: &str) -> Bed {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_READS", reads)]).await;
    eventually("all members know named keys", async || {
        (bed.fleet.view().state.level() >= Level::NAMED_KEYS).then_some(())
    })
    .await;
    bed
}

async fn make(bed: &Bed, name: &str) -> String {
    let made = bed.post("/keys", &json!({"name": name, "role": "viewer"})).await;
    made.json()["key"].as_str().unwrap().to_owned()
}

async fn revoke(bed: &Bed, name: &str) {
    assert_eq!(bed.call("DELETE", &format!("/keys/{name}"), &Value::Null).await.status, 200);
}

async fn follow(bed: &Bed, path: &str, key: &str) -> Events {
    let url = format!("http://{}{path}", bed.address);
    let response = reqwest::Client::new().get(url).header("x-api-key", key).send().await.unwrap();
    assert_eq!(response.status(), 200);
    Events::of(response)
}

/// The reason of the last event.
async fn reason(mut events: Events) -> Value {
    let mut last = events.next().await.expect("it ends without a word");
    while let Some(event) = events.next().await {
        last = event;
    }
    assert_eq!(last.event, "bye");
    last.data["reason"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_what_it_follows_and_nothing_else() {
    let bed = bed("key").await;
    bed.engine(901).await;
    bed.runtime.world().log = "old\n".to_owned();
    let (guest, other) = (make(&bed, "guest").await, make(&bed, "other").await);
    let feed = follow(&bed, "/events/stream", &guest).await;
    let log = follow(&bed, "/containers/acestream-901/logs?follow=true", &guest).await;
    let mut socket = Socket::to(&bed.address, "/ws/engines", &[("x-api-key", &guest)]).await.unwrap();
    let mut goes_on = follow(&bed, "/events/stream?kinds=event", &other).await;
    revoke(&bed, "guest").await;
    assert_eq!(reason(feed).await, "key_ended");
    assert_eq!(reason(log).await, "key_ended");
    let said = loop {
        let message = socket.json().await;
        if message["type"] == "bye" {
            break message;
        }
    };
    assert_eq!(said["data"], json!({"reason": "key_ended"}));
    assert_eq!(socket.closed().await, CloseCode::Policy);
    // What comes long behind that is told to the others.
    bed.call("POST", "/cluster/nodes/a/cordon", &Value::Null).await;
    while goes_on.next().await.expect("it is not its key").data["category"] != "cordoned" {}
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_ends_what_it_follows() {
    let bed = bed("key").await;
    let new = CreateKey {
        name: "guest".parse().unwrap(),
        role: Role::Viewer,
        hash: hash(b"the-guest"),
        ttl_ms: Some(2_000),
    };
    bed.fleet.write(Command::CreateKey(new), Instant::now() + Duration::from_secs(10)).await.unwrap();
    assert_eq!(reason(follow(&bed, "/events/stream", "the-guest").await).await, "key_ended");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_key_goes_on_without_it() {
    let bed = bed("open").await;
    let guest = make(&bed, "guest").await;
    let mut feed = follow(&bed, "/events/stream?kinds=figures", &guest).await;
    revoke(&bed, "guest").await;
    // They come once a second, which is how often keys are looked at.
    for _ in 0..4 {
        let event = feed.next().await.expect("nobody asked for the key");
        assert_ne!(event.event, "bye");
    }
    let last = tokio::spawn(reason(feed));
    bed.stop().await;
    assert_eq!(last.await.unwrap(), "stopping");
}
