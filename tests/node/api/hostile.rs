//! Hostile input gets its answer, and does not affect others.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::events::started;
use crate::bed::{Bed, KEY};

/// Sends bytes as they are and reads until the node closes.
pub async fn raw(bed: &Bed, request: &str) -> String {
    let mut stream = TcpStream::connect(&bed.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn bodies_are_bounded() {
    let bed = Bed::new().await;
    let big = json!({"reason": "x".repeat(5 << 20)});
    for path in ["/events/stream_ended", "/provision/acestream", "/events/batch"] {
        let answer = bed.post(path, &big).await;
        assert_eq!(answer.status, 413, "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("1048576 bytes"));
    }
    let anonymous = bed.send("POST", "/events/stream_ended", &[], &big.to_string()).await;
    assert_eq!(anonymous.status, 401);
    let waits = "POST /gc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: a-key-for-tests\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n";
    assert!(raw(&bed, &waits.replace("/gc", "/events/batch")).await.starts_with("HTTP/1.1 413"));
    let fits = json!({"reason": "x".repeat(1_000), "stream_id": "none"});
    assert_eq!(bed.post("/events/stream_ended", &fits).await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let bed = Bed::new().await;
    for request in [
        "\r\n\r\nnonsense\r\n\r\n",
        "GET /engines HTTP/9.9\r\n\r\n",
        "GET /eng ines HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /events/stream_ended HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /events/stream_ended HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let answer = raw(&bed, request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request:?}: {answer}");
    }
    let many: String = (0..200).map(|i| format!("X-{i}: y\r\n")).collect();
    let answer = raw(&bed, &format!("GET /engines HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("GET /engines HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let answer = raw(&bed, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(bed.get("/engines").await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn a_request_that_says_two_things_is_refused() {
    let bed = Bed::new().await;
    for path in [
        "/engines?consistency=local&consistency=local",
        "/streams?status=started&%73tatus=ended",
        "/livez?a=1&a=2",
        "/settings?min_revision=1&x=1&min_revision=2",
    ] {
        let answer = bed.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("is given twice"), "{answer:?}");
    }
    let twice = bed.call("PATCH", "/settings?dry_run=true&dry_run=false", &json!({"MAX_REPLICAS": 30})).await;
    assert_eq!(twice.status, 400);
    assert!(twice.json()["detail"].as_str().unwrap().contains("\"dry_run\""), "{twice:?}");
    for path in ["/engines", "/livez", "/settings"] {
        // An answer that is rendered already, too.
        assert_eq!(bed.get(path).await.status, 200);
        let hosts = format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(&bed, &hosts).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("several Host headers"), "{answer}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn odd_ids_come_back_as_they_went() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    for (id, path) in [
        ("a|b", "a|b"),
        ("a/b|c", "a%2Fb%7Cc"),
        ("magnet:?xt=urn:btih:x&tr=http://t/a|s", "magnet:%3Fxt=urn:btih:x&tr=http:%2F%2Ft%2Fa%7Cs"),
        ("100%|ü ", "100%25|%C3%BC%20"),
        ("a/b/stats", "a%2Fb%2Fstats"),
    ] {
        let mut event = started("k", "s", 901);
        event["labels"] = json!({"stream_id": id});
        assert_eq!(bed.post("/events/stream_started", &event).await.json()["id"], id);
        let stats =
            raw(&bed, &format!("GET /streams/{path}/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
                .await;
        assert!(stats.starts_with("HTTP/1.1 200") && stats.ends_with("[]"), "{id}: {stats}");
        let request = format!(
            "DELETE /api/v1/streams/{path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n"
        );
        let stopped = raw(&bed, &request).await;
        assert!(stopped.starts_with("HTTP/1.1 200"), "{id}: {stopped}");
    }
    assert_eq!(bed.get("/streams?status=started").await.text, "[]");
    bed.stop().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_and_slow_senders_disturb_nobody() {
    let bed = Bed::new().await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(&bed.address).await.unwrap());
    }
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&bed.address).await.unwrap();
        stream.write_all(b"GET /engines HTTP/1.1\r\nHost").await.unwrap();
        slow.push(stream);
    }
    let mut slow_body = TcpStream::connect(&bed.address).await.unwrap();
    slow_body
        .write_all(b"POST /events/stream_ended HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    for i in 0..100 {
        for stream in &mut slow {
            // On a slow machine the node may have lost its patience with them already.
            let _ = stream.write_all(b"x").await;
        }
        let event = started("k", &i.to_string(), 901);
        let (written, read) = tokio::join!(bed.post("/events/stream_started", &event), bed.get("/engines"));
        assert_eq!((written.status.as_u16(), read.status.as_u16()), (200, 200));
    }
    // The idle ones still work: none was closed in favour of others.
    for stream in &mut idle {
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    }
    for mut stream in idle {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_closes_the_rest() {
    let bed = Bed::new().await;
    let held = bed.runtime.hold();
    let mut idle = TcpStream::connect(&bed.address).await.unwrap();
    let address = bed.address.clone();
    let request = format!(
        "POST /provision/acestream HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let mut busy = TcpStream::connect(&address).await.unwrap();
    busy.write_all(request.as_bytes()).await.unwrap();
    crate::bed::eventually("the engine is reserved", async || {
        bed.fleet.view().state.live_engines().next().map(|_| ())
    })
    .await;
    drop(held);
    bed.stop().await;
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"container_name\":\"acestream-1\""),
        "{answer}"
    );
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(TcpStream::connect(&address).await.is_err());
}
