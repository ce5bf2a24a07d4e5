//! The engine API over real sockets.
#![allow(clippy::unwrap_used)]

mod common;

use common::{DEADLINE, HASH, read, read_to_end, start, unknown_session};
use serde_json::{Value, json};

#[tokio::test]
async fn a_session_from_start_to_stop() {
    let sim = start(&[("SIM_BITRATE_KBPS", "20000")]).await;
    let session = sim.open("p1").await;
    let id = session["playback_session_id"].as_str().unwrap();
    for (field, kind) in [("playback_url", "r"), ("stat_url", "stat"), ("command_url", "cmd")] {
        assert_eq!(session[field], sim.url(&format!("/ace/{kind}/{HASH}/{id}")));
    }
    assert_eq!(session["infohash"], HASH);
    assert_eq!(session["is_live"], 1);
    assert!(session["client_session_id"].is_i64() && session["is_encrypted"].is_i64());

    let mut stream = sim.play(&session).await;
    assert_eq!(stream.headers()["content-type"], "video/mp2t");
    let bytes = read(&mut stream, 188 * 500).await;
    assert!(bytes.chunks(188).all(|packet| packet[0] == 0x47));

    let stat = sim.json_at(&session["stat_url"]).await["response"].clone();
    assert_eq!(stat["status"], "dl");
    assert_eq!(stat["speed_down"], 2500);
    assert!(stat["downloaded"].as_u64().unwrap() > 0);
    assert!(stat["livepos"]["pos"].is_string() && stat["peers"].is_u64());

    let stop = format!("{}?method=stop", session["command_url"].as_str().unwrap());
    let stopped = sim.json_at(&json!(stop)).await;
    assert_eq!(stopped, json!({"response": "ok", "error": null}));
    read_to_end(&mut stream).await;
    assert_eq!(sim.json_at(&session["stat_url"]).await, unknown_session());
    assert_eq!(sim.json_at(&json!(stop)).await, unknown_session());
    assert_eq!(sim.play(&session).await.status(), 404);
}

#[tokio::test]
async fn urls_carry_the_address_that_was_asked() {
    let sim = start(&[]).await;
    let url = sim.url(&format!("/ace/getstream?format=json&infohash={HASH}"));
    let request = sim.http.get(url).header("host", "node-b.example:40007");
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let stat = answer["response"]["stat_url"].as_str().unwrap();
    assert!(stat.starts_with("http://node-b.example:40007/ace/stat/"), "{stat}");
}

#[tokio::test]
async fn the_same_player_takes_its_session_over() {
    let sim = start(&[]).await;
    let first = sim.open("p1").await;
    let mut reader = sim.play(&first).await;
    read(&mut reader, 188).await;

    let other = sim.open("p2").await;
    assert_ne!(first["playback_session_id"], other["playback_session_id"]);
    read(&mut reader, 188).await;

    let again = sim.open("p1").await;
    assert_eq!(first["playback_session_id"], again["playback_session_id"]);
    read_to_end(&mut reader).await;
    let mut second = sim.play(&again).await;
    read(&mut second, 188).await;
    let mut third = sim.play(&again).await;
    read(&mut third, 188).await;
    read_to_end(&mut second).await;
}

#[tokio::test]
async fn a_session_without_reader_ends() {
    let sim = start(&[]).await;
    let watched = sim.open("watched").await;
    let mut reader = sim.play(&watched).await;
    read(&mut reader, 188).await;
    sim.control(json!({"session_ttl_s": 0.2})).await;
    let idle = sim.open("idle").await;
    let ended = async {
        // Asking for statistics must not keep it alive.
        while sim.json_at(&idle["stat_url"]).await != unknown_session() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.unwrap();
    assert_eq!(sim.json_at(&watched["stat_url"]).await["error"], Value::Null);

    drop(reader);
    let ended = async {
        while sim.state().await["sessions"] != json!([]) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.unwrap();
}

#[tokio::test]
async fn bytes_without_json() {
    let sim = start(&[]).await;
    let mut stream = sim.get("/ace/getstream?content_id=abc&pid=1").await;
    assert_eq!(stream.status(), 200);
    assert_eq!(read(&mut stream, 376).await[188], 0x47);
    for path in ["/ace/getstream", "/ace/getstream?format=json&infohash=short"] {
        let answer = sim.json(path).await;
        assert_eq!(answer, json!({"response": null, "error": "failed to load content"}));
    }
}

#[tokio::test]
async fn statistics_begin_with_prebuf() {
    let sim = start(&[("SIM_PREBUF_MS", "600000")]).await;
    let session = sim.open("p").await;
    let stat = sim.json_at(&session["stat_url"]).await["response"].clone();
    assert_eq!((&stat["status"], &stat["downloaded"]), (&json!("prebuf"), &json!(0)));
}

#[tokio::test]
async fn hls_playlist_and_segments() {
    let sim = start(&[]).await;
    let path = format!("/ace/manifest.m3u8?infohash={HASH}&pid=1&format=json");
    let answer = sim.json(&path).await;
    let url = answer["response"]["playback_url"].as_str().unwrap();
    assert!(url.ends_with(".m3u8"));
    let direct = sim.get(&path.replace("&format=json", "")).await;
    for playlist in [sim.http.get(url).send().await.unwrap(), direct] {
        assert_eq!(playlist.headers()["content-type"], "application/x-mpegURL");
        let text = playlist.text().await.unwrap();
        assert!(text.starts_with("#EXTM3U\n"));
        let segment = text.lines().find(|line| line.ends_with(".ts")).unwrap();
        let bytes = sim.http.get(segment).send().await.unwrap().bytes().await.unwrap();
        assert!(bytes.len() > 188 * 100 && bytes.chunks(188).all(|p| p.len() == 188 && p[0] == 0x47));
    }
    let stop = answer["response"]["command_url"].as_str().unwrap();
    sim.json_at(&json!(format!("{stop}?method=stop"))).await;
    assert_eq!(sim.http.get(url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn what_orchestrators_probe() {
    let sim = start(&[]).await;
    let api = |method: &str| format!("/server/api?api_version=3&method={method}");
    let status = sim.json(&api("get_status")).await;
    assert!(status["result"]["version"].is_object() && status["error"].is_null());
    let connected = |yes: bool| json!({"result": {"connected": yes}, "error": null});
    let network = api("get_network_connection_status");
    assert_eq!(sim.json(&network).await, connected(true));
    sim.control(json!({"network_connected": false})).await;
    assert_eq!(sim.json(&network).await, connected(false));
    let version = sim.json("/webui/api/service?method=get_version").await["result"].clone();
    assert!(version["platform"].is_string() && version["code"].is_u64());
    let query = format!("{}&query=acestream:%3Finfohash%3D{HASH}", api("analyze_content"));
    assert_eq!(sim.json(&query).await["result"]["infohash"], HASH);
    assert_eq!(sim.json(&api("nothing")).await["result"], Value::Null);
    assert_eq!(sim.get("/nothing").await.status(), 404);
}
