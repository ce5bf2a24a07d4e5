//! Stream events: idempotent, in any order, never about another stream.

use serde_json::{Value, json};

use crate::bed::Bed;

/// What the real proxy sends.
pub fn started(key: &str, session: &str, port: u16) -> Value {
    json!({
        "engine": {"host": "localhost", "port": port},
        "stream": {"key_type": "infohash", "key": key},
        "session": {
            "playback_session_id": session,
            "stat_url": format!("http://LOCALHOST:{port}/ace/stat/{key}/{session}"),
            "command_url": format!("http://localhost:{port}/ace/cmd/{key}/{session}"),
            "is_live": 1
        },
        "labels": {"stream_id": format!("{key}|{session}")}
    })
}

pub fn ended(key: &str, session: &str) -> Value {
    json!({"stream_id": format!("{key}|{session}"), "reason": "client_disconnected"})
}

#[tokio::test]
async fn a_stream_starts_and_ends_once() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    let first = bed.post("/events/stream_started", &started("k1", "s1", 901)).await;
    assert_eq!(first.status, 200);
    let stream = first.json();
    assert_eq!(stream["id"], "k1|s1");
    assert_eq!(stream["container_id"], id);
    assert_eq!(stream["status"], "started");
    assert_eq!(stream["is_live"], true);
    assert_eq!(stream["stat_url"], "http://localhost:901/ace/stat/k1/s1");
    assert_eq!(stream["ended_at"], Value::Null);
    let again = bed.post("/events/stream_started", &started("k1", "s1", 901)).await;
    assert_eq!(again.json()["started_at"], stream["started_at"]);
    assert!(again.number("x-acefleet-revision") > first.number("x-acefleet-revision"));
    let engines = bed.get("/engines").await.json();
    assert_eq!(engines[0]["streams"], json!(["k1|s1"]));
    assert!(engines[0]["last_stream_usage"].is_string());
    assert_eq!(engines[0]["host"], "127.0.0.1");

    let end = bed.post("/events/stream_ended", &ended("k1", "s1")).await.json();
    assert_eq!((&end["updated"], &end["stream"]["status"]), (&json!(true), &json!("ended")));
    assert!(end["stream"]["ended_at"].is_string());
    assert_eq!(end["stream"]["end_reason"], "client_disconnected");
    let repeat = bed.post("/events/stream_ended", &ended("k1", "s1")).await;
    assert_eq!((repeat.status.as_u16(), repeat.json()), (200, json!({"updated": false, "stream": null})));
    assert_eq!(bed.get("/engines").await.json()[0]["streams"], json!([]));
    let all = bed.get("/streams").await.json();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["status"]), (1, &json!("ended")));
    bed.stop().await;
}

#[tokio::test]
async fn an_end_never_ends_another_stream() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    bed.post("/events/stream_started", &started("k1", "s1", 901)).await;
    for body in [
        json!({}),
        json!({"reason": "x"}),
        json!({"stream_id": "", "container_id": ""}),
        json!({"stream_id": "k1|fetch_failed"}),
        json!({"stream_id": "unknown", "container_id": id}),
        json!({"container_id": "acexy-1"}),
    ] {
        let answer = bed.post("/events/stream_ended", &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["updated"].clone()), (200, json!(false)), "{body}");
    }
    assert_eq!(bed.get("/streams?status=started").await.json().as_array().unwrap().len(), 1);
    let by_engine = bed.post("/events/stream_ended", &json!({"container_id": id})).await.json();
    assert_eq!((&by_engine["updated"], &by_engine["stream"]["id"]), (&json!(true), &json!("k1|s1")));
    bed.stop().await;
}

#[tokio::test]
async fn an_end_before_its_start_counts() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let early = bed.post("/events/stream_ended", &ended("k2", "s2")).await;
    assert_eq!(early.json(), json!({"updated": false, "stream": null}));
    let late = bed.post("/events/stream_started", &started("k2", "s2", 901)).await;
    assert_eq!((late.status.as_u16(), late.json()["status"].clone()), (200, json!("ended")));
    assert_eq!(bed.get("/streams?status=started").await.text, "[]");
    bed.stop().await;
}

#[tokio::test]
async fn streams_of_unknown_engines_are_separate() {
    let bed = Bed::new().await;
    let mut event = started("k", "", 13_190);
    event["session"] = json!({"playback_session_id": "", "stat_url": "", "command_url": "", "is_live": true});
    event["labels"] = json!({});
    let answer = bed.post("/events/stream_started", &event).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let stream = answer.json();
    assert_eq!((&stream["id"], &stream["container_id"]), (&json!("k|"), &json!("localhost:13190")));
    assert_eq!(bed.get("/engines").await.text, "[]");
    let listed = bed.get("/streams?container_id=localhost:13190&status=started").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let status = bed.get("/orchestrator/status").await.json();
    assert_eq!(
        status["capacity"],
        json!({"total": 0, "used": 0, "marked": 0, "available": 0, "max_replicas": 20, "min_replicas": 0})
    );
    bed.stop().await;
}

#[tokio::test]
async fn a_batch_is_written_as_a_whole() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let batch = json!({
        "started": [started("k1", "s1", 901), started("k2", "s2", 901), started("k2", "s2", 901)],
        "ended": [ended("k1", "s1"), ended("k9", "s9"), {}]
    });
    let answer = bed.post("/events/batch", &batch).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"started": 3, "ended": 1})));
    let running = bed.get("/streams?status=started").await.json();
    assert_eq!((running.as_array().unwrap().len(), &running[0]["id"]), (1, &json!("k2|s2")));
    let nothing = bed.post("/events/batch", &json!({})).await;
    assert_eq!((nothing.status.as_u16(), nothing.json()), (200, json!({"started": 0, "ended": 0})));
    let half =
        bed.post("/events/batch", &json!({"started": [started("k3", "s3", 901), {}], "ended": 5})).await;
    assert_eq!(half.status, 422);
    assert_eq!(half.json()["detail"][0]["loc"], json!(["body", "started", 1, "engine"]));
    assert_eq!(bed.get("/streams?status=started").await.json().as_array().unwrap().len(), 1);
    bed.stop().await;
}

#[tokio::test]
async fn a_stream_is_stopped_by_hand() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let mut event = started("magnet:?xt=a/b", "s/1", 901);
    bed.post("/events/stream_started", &event).await;
    event["session"]["command_url"] = json!("");
    event["labels"] = json!({"stream_id": "mute"});
    bed.post("/events/stream_started", &event).await;
    let path = "/streams/magnet%3A%3Fxt%3Da%2Fb%7Cs%2F1";
    let stopped = bed.call("DELETE", path, &json!(null)).await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let expected = json!({"message": "Stream stopped successfully", "stream_id": "magnet:?xt=a/b|s/1"});
    assert_eq!(stopped.json(), expected);
    let again = bed.call("DELETE", path, &json!(null)).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.json(), json!({"detail": "Stream is not active (status: ended)"}));
    let mute = bed.call("DELETE", "/api/v1/streams/mute", &json!(null)).await;
    assert_eq!((mute.status.as_u16(), mute.json()), (400, json!({"detail": "Stream has no command URL"})));
    let unknown = bed.call("DELETE", "/streams/none|none", &json!(null)).await;
    assert_eq!((unknown.status.as_u16(), unknown.json()), (404, json!({"detail": "Stream not found"})));
    bed.stop().await;
}
