//! Each fault, by environment and at run time, over real sockets.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{DEADLINE, HASH, read, read_to_end, start, unknown_session};
use serde_json::{Value, json};
use tokio::time::timeout;

#[tokio::test]
async fn a_hang_never_answers_and_hits_only_its_endpoint() {
    let sim = start(&[("SIM_HANG", "getstream")]).await;
    let path = format!("/ace/getstream?format=json&infohash={HASH}");
    let call = tokio::spawn({
        let (http, url) = (sim.http.clone(), sim.url(&path));
        async move { http.get(url).send().await }
    });
    // The call has been taken …
    let taken = async {
        while sim.state().await["calls"]["getstream"] != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, taken).await.unwrap();
    // … others are served, and so is this one once the fault is gone, but not the call that hangs.
    assert_eq!(sim.json("/server/api?method=get_status").await["error"], Value::Null);
    sim.control(json!({"endpoints": {"getstream": {}}})).await;
    sim.open("p").await;
    assert!(!call.is_finished());
    call.abort();
}

#[tokio::test]
async fn broken_answers() {
    let sim = start(&[("SIM_STATUS", "500"), ("SIM_NON_JSON", "stat")]).await;
    for path in ["/ace/getstream?id=a", "/server/api?method=get_status", "/webui/api/service"] {
        assert_eq!(sim.get(path).await.status(), 500, "{path}");
    }
    let change = json!({"endpoints": {
        "server_api": {"non_json": true}, "getstream": {"engine_error": true}, "webui_api": {"status": 404},
    }});
    assert_eq!(sim.control(change).await.status(), 200);
    let html = sim.get("/server/api?method=get_status").await;
    assert_eq!(html.status(), 200);
    assert!(html.text().await.unwrap().starts_with("<html>"));
    let error = sim.json("/ace/getstream?format=json&id=a").await;
    assert_eq!(error["error"], "failed to load content");
    assert_eq!(sim.get("/webui/api/service").await.status(), 404);
    // Back to the faults of the start.
    sim.control(json!({"reset": true})).await;
    assert_eq!(sim.get("/server/api?method=get_status").await.status(), 500);
}

#[tokio::test]
async fn a_delay_comes_first() {
    let sim = start(&[("SIM_GETSTREAM_DELAY_MS", "200")]).await;
    let begin = std::time::Instant::now();
    sim.open("p").await;
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_stall_keeps_the_reader_connected() {
    let sim = start(&[]).await;
    let session = sim.open("p").await;
    let mut stream = sim.play(&session).await;
    read(&mut stream, 188).await;
    sim.control(json!({"stall": true})).await;
    // At most what was already on its way, then silence.
    while let Ok(chunk) = timeout(Duration::from_millis(300), stream.chunk()).await {
        assert!(chunk.unwrap().is_some(), "the stream must not end");
    }
    assert_eq!(sim.state().await["sessions"][0]["has_reader"], true);
    sim.control(json!({"stall": false})).await;
    read(&mut stream, 188).await;
}

#[tokio::test]
async fn the_bitrate_changes_while_playing() {
    let sim = start(&[("SIM_BITRATE_KBPS", "1"), ("SIM_PREBUF_MS", "0")]).await;
    let session = sim.open("p").await;
    let mut stream = sim.play(&session).await;
    sim.control(json!({"bitrate_kbps": 50000})).await;
    // At 1 kbit/s this would take more than two hours.
    let bytes = read(&mut stream, 1_000_000).await;
    assert!(bytes.chunks_exact(188).all(|packet| packet[0] == 0x47));
}

#[tokio::test]
async fn sessions_get_lost() {
    let sim = start(&[]).await;
    let (one, two) = (sim.open("1").await, sim.open("2").await);
    let mut stream = sim.play(&one).await;
    sim.control(json!({"lose_session": one["playback_session_id"]})).await;
    read_to_end(&mut stream).await;
    assert_eq!(sim.json_at(&one["stat_url"]).await, unknown_session());
    assert_eq!(sim.json_at(&two["stat_url"]).await["error"], Value::Null);
    sim.control(json!({"lose_all_sessions": true})).await;
    assert_eq!(sim.json_at(&two["stat_url"]).await, unknown_session());
    let missing = sim.control(json!({"lose_session": "nobody"})).await;
    assert_eq!(missing.status(), 400);
}

#[tokio::test]
async fn death_on_demand() {
    let mut sim = start(&[]).await;
    assert_eq!(sim.control(json!({"die": 137})).await.status(), 200);
    assert_eq!(timeout(DEADLINE, sim.deaths.recv()).await.unwrap(), Some(137));
}

#[tokio::test]
async fn control_shows_and_refuses() {
    let sim = start(&[("CONF", "--http-port=40001\n--https-port=45001"), ("TAG", "x")]).await;
    sim.json("/server/api?method=get_status").await;
    let state = sim.state().await;
    assert_eq!((&state["http_port"], &state["https_port"]), (&json!(40001), &json!(45001)));
    assert_eq!(state["calls"]["server_api"], 1);
    assert_eq!(state["environment"]["TAG"], "x");
    for bad in [
        json!([]),
        json!({"stal": true}),
        json!({"bitrate_kbps": 0}),
        json!({"endpoints": {"getsteam": {}}}),
        json!({"endpoints": {"stat": {"status": 42}}}),
        json!({"die": 256}),
    ] {
        let answer = sim.control(bad.clone()).await;
        assert_eq!(answer.status(), 400, "{bad}");
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string());
    }
    assert_eq!(sim.state().await["faults"], state["faults"]);
}
