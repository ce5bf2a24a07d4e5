//! Sessions on real nodes: begun with a key on one, good on all, and over with their key.

use std::time::Duration;

use acefleet_registry::Level;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::bed::sse::Events;
use crate::bed::{Answer, Bed, KEY, eventually};

async fn ready(bed: &Bed) {
    eventually("all members know named keys, and what time it is", async || {
        let state = &bed.fleet.view().state;
        let is_ready = state.level() >= Level::NAMED_KEYS && !state.calendar().is_empty();
        is_ready.then_some(())
    })
    .await;
}

/// What a node answers who signs in with this key or token.
async fn sign_in(bed: &Bed, shown: &str) -> Answer {
    bed.send("POST", "/session", &[("authorization", &format!("Bearer {shown}"))], "").await
}

async fn token(bed: &Bed, shown: &str) -> String {
    let answer = sign_in(bed, shown).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn make(bed: &Bed, name: &str, role: &str) -> String {
    let made = bed.post("/keys", &json!({"name": name, "role": role})).await;
    assert_eq!(made.status, 200, "{made:?}");
    made.json()["key"].as_str().unwrap().to_owned()
}

async fn with(bed: &Bed, method: &str, path: &str, shown: &str) -> Answer {
    bed.send(method, path, &[("authorization", &format!("Bearer {shown}"))], "").await
}

fn assert_over(answer: &Answer) {
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["detail"]["code"]),
        (401, &json!("session_over")),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_good_at_every_node_and_does_what_its_key_may() {
    let beds = Bed::three().await;
    for bed in &beds {
        ready(bed).await;
    }
    let key = make(&beds[0], "ops", "operator").await;
    eventually("all nodes have the key", async || {
        beds.iter().all(|bed| bed.fleet.view().state.keys().count() == 1).then_some(())
    })
    .await;
    let began = sign_in(&beds[0], &key).await;
    assert_eq!((began.status.as_u16(), began.header("cache-control")), (200, "no-store"));
    let said = began.json();
    assert_eq!((&said["role"], &said["name"]), (&json!("operator"), &json!("ops")));
    let left = said["ends_in_seconds"].as_u64().unwrap();
    assert!((43_100..=43_200).contains(&left) && said["ends_at"].as_str().unwrap().ends_with('Z'), "{said}");
    let token = said["token"].as_str().unwrap();
    assert!(token.starts_with("acefleet_session_") && !token.contains(&key));
    for bed in &beds {
        assert_eq!(with(bed, "POST", "/gc", token).await.status, 200);
        let caller = with(bed, "GET", "/cluster/key", token).await.json();
        assert_eq!(
            (&caller["required"], &caller["name"], &caller["role"], &caller["session_ends_at"]),
            (&json!(true), &json!("ops"), &json!("operator"), &said["ends_at"])
        );
        let refused = with(bed, "GET", "/keys", token).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        // Either header is enough, as for keys.
        assert_eq!(bed.send("POST", "/gc", &[("x-api-key", token)], "").await.status, 200);
        let renewed = sign_in(bed, token).await.json();
        assert_eq!(renewed["name"], "ops");
        assert_eq!(with(&beds[0], "POST", "/gc", renewed["token"].as_str().unwrap()).await.status, 200);
    }
    let cordoned = with(&beds[1], "POST", "/cluster/nodes/a/cordon", token).await;
    assert_eq!(cordoned.status, 200, "{cordoned:?}");
    let newest = beds[1].get("/events?limit=1&category=audit").await.json();
    assert_eq!((&newest[0]["category"], &newest[0]["by"]["key"]), (&json!("cordoned"), &json!("ops")));
    for bed in &beds {
        for path in ["/events", "/metrics"] {
            assert!(!bed.get(path).await.text.contains("acefleet_session_"), "{path}");
        }
    }
    let revoked = beds[2].call("DELETE", "/keys/ops", &Value::Null).await;
    let revision = revoked.number("x-acefleet-revision");
    make(&beds[2], "ops", "operator").await;
    for bed in &beds {
        bed.get(&format!("/cluster?min_revision={}", revision + 1)).await;
        assert_over(&with(bed, "POST", "/gc", token).await);
        assert_over(&sign_in(bed, token).await);
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_key_knows_no_session_of_the_first() {
    let other = [("API_KEY", "another-key-for-tests")];
    let (one, two) = (Bed::new().await, Bed::with(&other).await);
    let token = token(&one, KEY).await;
    assert_eq!(with(&one, "GET", "/keys", &token).await.status, 200);
    assert_over(&with(&two, "GET", "/keys", &token).await);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_by_a_session_ends_with_its_key() {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_READS", "key")]).await;
    ready(&bed).await;
    let key = make(&bed, "guest", "viewer").await;
    let token = token(&bed, &key).await;
    let url = format!("http://{}/events/stream", bed.address);
    let response = reqwest::Client::new().get(url).bearer_auth(&token).send().await.unwrap();
    let mut events = Events::of(response);
    assert_eq!(events.next().await.unwrap().event, "hello");
    assert_eq!(bed.call("DELETE", "/keys/guest", &Value::Null).await.status, 200);
    let mut last = events.next().await.expect("it ends without a word");
    while let Some(event) = events.next().await {
        last = event;
    }
    assert_eq!((last.event.as_str(), &last.data["reason"]), ("bye", &json!("key_ended")));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_node_says_that_nobody_has_to_sign_in() {
    let bed = Bed::with(&[("ACEFLEET_OPEN", "true")]).await;
    let answer = bed.send("POST", "/session", &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = answer.json();
    assert_eq!(
        (&said["token"], &said["name"], &said["role"]),
        (&Value::Null, &json!("no key"), &json!("admin"))
    );
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_counted_where_people_sign_in() {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let from = async |key: &str| {
        let headers = [("x-forwarded-for", "203.0.113.5"), ("x-api-key", key)];
        bed.send("POST", "/session", &headers, "").await
    };
    for number in 0..10 {
        assert_eq!(from(&format!("wrong-{number}")).await.status, 403);
    }
    let refused = from("wrong-10").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["detail"]["code"]), (429, &json!("rate_limited")));
    assert!(refused.number("retry-after") > 0);
    assert_eq!(from(KEY).await.status, 200, "a right key is always let in");
    // A session that is over is no guess: whoever had one signs in again.
    let over = format!("acefleet_session_{}", "01".repeat(49));
    for _ in 0..3 {
        assert_over(&from(&over).await);
    }
    assert_eq!(bed.send("POST", "/session", &[], "").await.status, 401);
    let metrics = bed.get("/metrics").await.text;
    for (reason, times) in [("wrong_key", 10), ("many_keys", 1), ("ended_session", 3), ("no_key", 1)] {
        let line = format!("acefleet_callers_refused_total{{reason=\"{reason}\"}} {times}\n");
        assert!(metrics.contains(&line), "{line}");
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_has_the_limit_of_changes() {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let headers = [("x-forwarded-for", "203.0.113.5"), ("x-api-key", KEY)];
    let mut mad =
        stream::iter(0..2_000).map(|_| bed.send("POST", "/session", &headers, "")).buffer_unordered(8);
    let refused = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let answer = mad.next().await.expect("there is a limit");
            if answer.status != 200 {
                return answer;
            }
        }
    });
    assert_eq!(refused.await.expect("it takes seconds").status, 429);
    drop(mad);
    bed.stop().await;
}
