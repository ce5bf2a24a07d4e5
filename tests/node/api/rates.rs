//! Limits of callers on real sockets. A trusted proxy says from which address a call comes.

use futures::{StreamExt, stream};
use serde_json::json;

use crate::bed::{Answer, Bed, KEY};

/// What calls of proxies have as a body here: nothing that anything can be done with.
const NOTHING: &str = "[1]";

async fn bed() -> Bed {
    Bed::with(&[("API_KEY", KEY), ("ACEFLEET_TRUSTED_PROXIES", "127.0.0.1")]).await
}

async fn call(bed: &Bed, method: &str, path: &str, from: &str, key: &str) -> Answer {
    let body = if method == "POST" { NOTHING } else { "" };
    bed.send(method, path, &[("x-forwarded-for", from), ("x-api-key", key)], body).await
}

fn assert_told_to_wait(refused: &Answer, least: u64) {
    assert_eq!(refused.status, 429, "{refused:?}");
    let detail = &refused.json()["detail"];
    assert_eq!((&detail["error"], &detail["code"]), (&json!("request_blocked"), &json!("rate_limited")));
    let wait = refused.number("retry-after");
    assert!(
        wait >= least && detail["recovery_eta_seconds"] == wait && detail["should_wait"] == true,
        "{detail}"
    );
}

async fn refusals(bed: &Bed, reason: &str) -> u64 {
    let metrics = bed.get("/metrics").await.text;
    let begin = format!("acefleet_callers_refused_total{{reason=\"{reason}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&begin)).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_key_after_another_is_answered_429_and_the_right_one_is_served() {
    let bed = bed().await;
    let guess = async |from: &str, key: &str| call(&bed, "GET", "/cluster/key", from, key).await;
    for number in 0..10 {
        let answer = guess("203.0.113.5", &format!("wrong-{number}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (403, &json!("invalid token")));
    }
    assert_told_to_wait(&guess("203.0.113.5", "wrong-10").await, 1);
    for _ in 0..50 {
        assert_eq!(guess("203.0.113.5", "wrong-3").await.status, 403, "an old key in somebody's settings");
    }
    assert_eq!(guess("203.0.113.5", KEY).await.status, 200);
    assert_eq!(guess("203.0.113.6", "wrong-10").await.status, 403);
    // One subscriber has the network.
    for number in 0..10 {
        guess(&format!("2001:db8:0:7::{number}"), &format!("wrong-{number}")).await;
    }
    assert_eq!(guess("2001:db8:0:7:ffff::1", "wrong-11").await.status, 429);
    assert_eq!((refusals(&bed, "many_keys").await, refusals(&bed, "many_calls").await), (2, 0));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_counted_where_a_read_needs_no_key_and_beside_a_key_that_is_good_for_less() {
    let bed = bed().await;
    bed.engine(901).await;
    let viewer = bed.post("/keys", &json!({"name": "guest", "role": "viewer"})).await;
    let viewer = viewer.json()["key"].as_str().unwrap().to_owned();
    // A right key shows the labels of callers.
    let labels = async |from: &str, key: &str| {
        let answer = call(&bed, "GET", "/engines", from, key).await;
        assert_eq!(answer.status, 200);
        answer.text.contains("blue")
    };
    assert!(labels("203.0.113.5", KEY).await);
    for number in 0..12 {
        assert!(!labels("203.0.113.5", &format!("wrong-{number}")).await);
    }
    assert_eq!((refusals(&bed, "wrong_key").await, refusals(&bed, "many_keys").await), (10, 2));
    assert!(!call(&bed, "GET", "/engines", "203.0.113.6", "").await.text.contains("blue"));
    assert_eq!(refusals(&bed, "wrong_key").await, 11, "an empty key is a wrong one");
    for number in 0..12 {
        let guess = format!("Bearer wrong-{number}");
        let headers =
            [("x-forwarded-for", "203.0.113.7"), ("authorization", &*guess), ("x-api-key", &*viewer)];
        let answer = bed.send("POST", "/gc", &headers, NOTHING).await;
        assert_eq!(answer.status, if number < 10 { 403 } else { 429 }, "{answer:?}");
    }
    assert_eq!((refusals(&bed, "wrong_key").await, refusals(&bed, "many_keys").await), (21, 4));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_chooses_the_address_that_is_counted() {
    let bed = Bed::new().await;
    for number in 0..30 {
        // The loopback is nobody's address alone, so it is not counted either.
        let answer = call(&bed, "GET", "/cluster/key", "203.0.113.5", &format!("wrong-{number}")).await;
        assert_eq!(answer.status, 403);
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_has_gone_mad_is_stopped_and_nobody_else() {
    let bed = bed().await;
    let gc = async |from: &str, key: &str| call(&bed, "POST", "/gc", from, key).await;
    let mut mad = stream::iter(0..2_000).map(|_| gc("203.0.113.5", KEY)).buffer_unordered(8);
    let refused = loop {
        let answer = mad.next().await.expect("there is a limit");
        if answer.status != 200 {
            break answer;
        }
    };
    drop(mad);
    assert_told_to_wait(&refused, 1);
    assert_eq!(gc("203.0.113.6", KEY).await.status, 200, "another one with the same key");
    assert!(refusals(&bed, "many_calls").await > 0);
    // What it does not do too often, it may.
    assert_ne!(call(&bed, "POST", "/provision/acestream", "203.0.113.5", KEY).await.status, 429);
    assert_eq!(call(&bed, "GET", "/cluster/key", "203.0.113.5", KEY).await.status, 200);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_at_once_pass_where_acexy_calls() {
    let bed = bed().await;
    let calls = [
        ("GET", "/orchestrator/status", 200),
        ("GET", "/engines", 200),
        ("GET", "/streams?container_id=x&status=started", 200),
        ("POST", "/provision/acestream", 422),
        ("POST", "/events/stream_started", 422),
        ("POST", "/events/stream_ended", 422),
    ];
    for (method, path, expected) in calls {
        let all = (0..1_000).map(|_| call(&bed, method, path, "203.0.113.5", KEY));
        let answers: Vec<Answer> = stream::iter(all).buffer_unordered(32).collect().await;
        for answer in answers {
            assert_eq!(answer.status, expected, "{method} {path}: {answer:?}");
        }
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_can_be_switched_off() {
    let settings =
        [("API_KEY", KEY), ("ACEFLEET_TRUSTED_PROXIES", "127.0.0.1"), ("ACEFLEET_RATE_FACTOR", "0")];
    let bed = Bed::with(&settings).await;
    for number in 0..30 {
        let answer = call(&bed, "GET", "/cluster/key", "203.0.113.5", &format!("wrong-{number}")).await;
        assert_eq!(answer.status, 403);
    }
    bed.stop().await;
}
