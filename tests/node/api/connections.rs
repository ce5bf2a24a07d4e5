//! Many clients: bodies without a key, idle connections, calls that come at once.

use std::time::{Duration, Instant};

use acefleet::http;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use crate::api::hostile::raw;
use crate::api::socket::Socket;
use crate::bed::{Bed, KEY, eventually};

const LIMITS: http::Limits = http::Limits { shared: 4, loopback: 4, health: 2, idle_each: 4, readers: 16 };

/// The API of a bed behind a second listener with few slots.
async fn narrow(bed: &Bed, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let api = http::Api::new(bed.fleet.clone(), None);
    tokio::spawn(http::serve(listener, api, LIMITS, stop.clone(), Duration::from_secs(5)));
    address
}

/// A connection that has sent so much.
async fn sent(address: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn rest_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(address: &str, path: &str) -> String {
    rest_of(sent(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await)
        .await
}

#[tokio::test]
async fn without_a_key_no_body_is_read() {
    let bed = Bed::new().await;
    for (key, expected) in [("", "HTTP/1.1 401"), ("X-API-Key: wrong\r\n", "HTTP/1.1 403")] {
        for path in ["/events/batch", "/provision", "/cluster/nodes/a/drain"] {
            // The body never comes.
            let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 1000000\r\n\r\n");
            let answer = raw(&bed, &request).await;
            assert!(answer.starts_with(expected), "{path}: {answer}");
        }
    }
    // A body that does come is discarded, so that its sender can read the answer.
    let request = format!(
        "POST /events/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(1_000_000)
    );
    assert!(raw(&bed, &request).await.starts_with("HTTP/1.1 401"));
    // With the key it is waited for, but not for longer than the caller has.
    let began = Instant::now();
    let slow =
        format!("POST /events/batch HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: 9\r\n\r\n{{");
    assert!(raw(&bed, &slow).await.starts_with("HTTP/1.1 408"));
    assert!(began.elapsed() >= Duration::from_secs(2));
    bed.stop().await;
}

#[tokio::test]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let (bed, stop) = (Bed::new().await, CancellationToken::new());
    let address = narrow(&bed, &stop).await;
    let mut idle = Vec::new();
    for _ in 0..LIMITS.loopback + LIMITS.shared {
        idle.push(TcpStream::connect(&address).await.unwrap());
        // So that it is the next one in order of age, too.
        assert!(ask_on(idle.last_mut().unwrap()).await.starts_with("HTTP/1.1 200"));
    }
    // One that is used is not idle for longest any more.
    assert!(ask_on(&mut idle[0]).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&address, "/engines").await.starts_with("HTTP/1.1 200"));
    let closed = idle.remove(1);
    assert_eq!(rest_of(closed).await, "", "it was closed with an answer");
    for stream in &mut idle {
        assert!(ask_on(stream).await.starts_with("HTTP/1.1 200"));
    }
    stop.cancel();
    bed.stop().await;
}

#[tokio::test]
async fn an_answer_that_streams_is_not_idle() {
    let (bed, stop) = (Bed::new().await, CancellationToken::new());
    bed.engine(901).await;
    let address = narrow(&bed, &stop).await;
    let path = "/containers/acestream-901/logs?follow=true";
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    let mut followed = sent(&address, &request).await;
    let mut read = Vec::new();
    until(&mut followed, &mut read, ": beat").await;
    // More than there are slots: all that are idle are closed for others.
    let mut others = Vec::new();
    for _ in 0..2 * (LIMITS.loopback + LIMITS.shared) {
        others.push(TcpStream::connect(&address).await.unwrap());
        assert!(ask_on(others.last_mut().unwrap()).await.starts_with("HTTP/1.1 200"));
    }
    bed.runtime.world().log.push_str("still here\n");
    until(&mut followed, &mut read, "still here").await;
    // It ends by itself when the server stops.
    stop.cancel();
    until(&mut followed, &mut read, "event: bye").await;
    read.extend(rest_of(followed).await.into_bytes());
    assert!(read.ends_with(b"\r\n0\r\n\r\n"), "the answer is complete");
    bed.stop().await;
}

#[tokio::test]
async fn a_websocket_keeps_its_slot_and_ends_with_the_server() {
    let (bed, stop) = (Bed::new().await, CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let api = http::Api::new(bed.fleet.clone(), None);
    let long = Duration::from_secs(60);
    let serving = tokio::spawn(http::serve(listener, api, LIMITS, stop.clone(), long));
    let mut sockets = Vec::new();
    for _ in 0..LIMITS.loopback + LIMITS.shared - 1 {
        let mut socket = Socket::to(&address, "/ws/engines", &[]).await.unwrap();
        assert_eq!(socket.json().await["type"], "snapshot");
        sockets.push(socket);
    }
    // All but one slot are in use: idle connections are closed for each other, and none of the WebSockets.
    for _ in 0..LIMITS.loopback + LIMITS.shared {
        assert!(ask(&address, "/engines").await.starts_with("HTTP/1.1 200"));
    }
    sockets.push(Socket::to(&address, "/ws/engines", &[]).await.unwrap());
    eventually("only health to be answered", async || {
        ask(&address, "/engines").await.starts_with("HTTP/1.1 503").then_some(())
    })
    .await;
    // The slot is free when the reader has gone.
    drop(sockets.pop());
    eventually("the slot to be free", async || {
        ask(&address, "/engines").await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    stop.cancel();
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, CloseCode::Away);
    }
    // The server waits for all of them, and not for the end of its patience.
    tokio::time::timeout(long / 2, serving).await.unwrap().unwrap().unwrap();
    bed.stop().await;
}

/// Reads until this text has come.
async fn until(stream: &mut TcpStream, read: &mut Vec<u8>, text: &str) {
    while !String::from_utf8_lossy(read).contains(text) {
        let more = tokio::time::timeout(Duration::from_secs(20), stream.read_buf(read)).await;
        assert_ne!(more.unwrap().unwrap(), 0, "no {text} in {}", String::from_utf8_lossy(read));
    }
}

/// A call on a connection that stays.
async fn ask_on(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_buf(&mut answer)).await;
        if read.unwrap().unwrap() == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn health_checks_are_answered_when_requests_have_all_slots() {
    let (bed, stop) = (Bed::new().await, CancellationToken::new());
    let address = narrow(&bed, &stop).await;
    let far = "GET /engines?min_revision=99999999 HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..LIMITS.loopback + LIMITS.shared {
        waiting.push(sent(&address, far).await);
    }
    eventually("only health to be answered", async || {
        let refused = ask(&address, "/engines").await;
        (refused.starts_with("HTTP/1.1 503") && refused.contains("\"code\":\"busy\"")).then_some(refused)
    })
    .await;
    for path in ["/livez", "/readyz", "/api/v1/health"] {
        let answer = ask(&address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    stop.cancel();
    bed.stop().await;
}

#[tokio::test]
async fn every_call_is_answered_while_its_caller_waits() {
    let settings = [("API_KEY", KEY), ("MAX_REPLICAS", "200"), ("PORT_RANGE_HOST", "600-999")];
    let bed = Bed::with(&settings).await;
    // No container ever runs.
    let held = bed.runtime.hold();
    let calls = (0..120).map(|i| {
        let bed = &bed;
        async move {
            let path = if i % 2 == 0 { "/provision" } else { "/provision/acestream" };
            let body = json!({"image": "x:y", "name_prefix": "web", "labels": {"n": i.to_string()}});
            let answer = bed.post(path, &body).await;
            (path, answer)
        }
    });
    for (path, answer) in futures::future::join_all(calls).await {
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        let detail = &answer.json()["detail"];
        assert!(matches!(detail["code"].as_str(), Some("pending" | "unknown_outcome")), "{path}: {detail}");
    }
    drop(held);
    bed.stop().await;
}
