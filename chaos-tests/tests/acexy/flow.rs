//! The calls of a play: what is sent, in which order, and what the knobs change.

use std::io::Write as _;
use std::time::Duration;

use acefleet_chaos::acexy::{Call, Content, Load, PlaySpec, load};
use serde_json::{Value, json};

use crate::stub::{
    self, Answer, ENDED, ENGINES, PROVISION, STARTED, STATUS, STREAMS, Stub, redirect, reply, short,
};

#[tokio::test]
async fn a_play_from_start_to_end() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    config.container_id = Some("acexy-1".into());
    let report = stub::ready(config).await.play(short()).await;
    assert!(report.played() && report.complaints.is_empty(), "{report:?}");
    let order: Vec<Call> = report.calls.iter().map(|c| c.call).collect();
    let begin = [Call::Engines, Call::Streams, Call::Getstream, Call::StreamStarted, Call::Playback];
    assert_eq!(order[..5], begin);
    assert_eq!(order.len(), 7, "stop and ended in any order");
    assert_eq!(report.ended, Some("client_disconnected"));
    assert!(report.first_byte_ms.is_some());

    let streams = &stub.seen(STREAMS)[0];
    assert_eq!(streams.target, "/streams?container_id=eng1&status=started");
    for path in [ENGINES, STREAMS, STARTED, ENDED] {
        let seen = &stub.seen(path)[0];
        assert_eq!(seen.headers["authorization"], "Bearer sekrit", "{path}");
        assert_eq!(seen.headers["user-agent"], "Go-http-client/1.1");
        assert_eq!(seen.headers["accept-encoding"], "gzip");
        assert!(!seen.headers.contains_key("accept"));
    }
    assert!(!stub.seen(STATUS)[0].headers.contains_key("authorization"));

    let id = report.stream_id.unwrap();
    let session = id.strip_prefix("dd1e|").unwrap();
    let started: Value = serde_json::from_str(&stub.seen(STARTED)[0].body).unwrap();
    let url = |kind: &str| {
        let base = format!("http://127.0.0.1:{}/ace/{kind}/", stub.engine.port());
        let url = started["session"][format!("{kind}_url").replace("cmd", "command")].clone();
        let text = url.as_str().unwrap();
        assert!(text.starts_with(&base) && text.ends_with(session), "{text}");
        url
    };
    let expected = json!({
        "container_id": "acexy-1",
        "engine": {"host": "127.0.0.1", "port": stub.engine.port()},
        "stream": {"key_type": "content_id", "key": "dd1e"},
        "session": {"playback_session_id": session, "stat_url": url("stat"),
            "command_url": url("cmd"), "is_live": 1},
        "labels": {"stream_id": id},
    });
    assert_eq!(started, expected);
    let ended: Value = serde_json::from_str(&stub.seen(ENDED)[0].body).unwrap();
    let reason = "client_disconnected";
    assert_eq!(ended, json!({"container_id": "acexy-1", "stream_id": id, "reason": reason}));
}

#[tokio::test]
async fn without_own_container_id_the_field_is_absent() {
    let stub = Stub::start().await;
    let content = Content::Infohash("0123456789abcdef0123456789abcdef01234567".into());
    let spec = PlaySpec::new(content, Duration::from_millis(20));
    stub.acexy().await.play(spec).await;
    for path in [STARTED, ENDED] {
        let event: Value = serde_json::from_str(&stub.seen(path)[0].body).unwrap();
        assert!(event.get("container_id").is_none());
    }
    let event: Value = serde_json::from_str(&stub.seen(STARTED)[0].body).unwrap();
    assert_eq!(event["stream"]["key_type"], "infohash");
}

#[tokio::test]
async fn the_list_is_used_again_and_streams_are_not() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    config.timers.list_cache = Duration::from_secs(600);
    let acexy = stub::ready(config).await;
    acexy.play(short()).await;
    acexy.play(short()).await;
    assert_eq!((stub.seen(ENGINES).len(), stub.seen(STREAMS).len()), (1, 2));

    let mut config = stub.config();
    config.timers.list_cache = Duration::ZERO;
    let acexy = stub::ready(config).await;
    acexy.play(short()).await;
    acexy.play(short()).await;
    assert_eq!(stub.seen(ENGINES).len(), 3);
}

#[tokio::test]
async fn two_plays_on_one_engine_are_complained_about_when_the_answer_shows_room() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    config.timers.catch_up = Duration::ZERO;
    let acexy = stub::ready(config).await;
    let mut long = PlaySpec::new(Content::Id("long".into()), Duration::from_secs(600));
    long.crash = true;
    let first = tokio::spawn(acexy.play_task(long));
    let started = async {
        while stub.seen(STARTED).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), started).await.unwrap();
    // The stub shows no stream, whatever it was told. The answer to the first event may still be on its way.
    let complained = async {
        loop {
            let second = acexy.play(short()).await;
            let about = second.complaints.iter().find(|complaint| complaint.call == Call::Streams);
            if let Some(complaint) = about {
                return complaint.reason.clone();
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(20), complained).await.unwrap();
    assert!(reason.contains("would share it"), "{reason}");
    first.abort();
    let _ = first.await;
    assert!(acexy.play(short()).await.complaints.is_empty(), "nobody plays any more");
}

#[tokio::test]
async fn the_poll_repeats() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    config.timers.poll = Duration::from_millis(10);
    let _acexy = stub::ready(config).await;
    let polled = async {
        while stub.seen(STATUS).len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), polled).await.unwrap();
}

#[tokio::test]
async fn packed_answers_are_read() {
    let stub = Stub::start().await;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(json!([stub.engine_entry()]).to_string().as_bytes()).unwrap();
    let headers = vec![("content-encoding", "gzip".to_owned())];
    stub.set(ENGINES, Answer::Reply(200, headers, packer.finish().unwrap()));
    let report = stub.play().await;
    assert!(report.played() && report.complaints.is_empty(), "{report:?}");
}

#[tokio::test]
async fn redirects_by_the_rules_of_go() {
    let stub = Stub::start().await;
    let other = Stub::start().await;
    // The same name on another port: everything survives.
    stub.set(STARTED, redirect(307, format!("http://{}{STARTED}", other.addr)));
    let report = stub.play().await;
    assert!(report.complaints.is_empty(), "{report:?}");
    let seen = &other.seen(STARTED)[0];
    assert_eq!(seen.headers["authorization"], "Bearer sekrit");
    assert!(seen.body.contains("stream_id"));
    // Another name: the key is gone.
    let elsewhere = format!("http://localhost:{}{ENGINES}", other.addr.port());
    stub.set(ENGINES, redirect(307, elsewhere));
    let report = stub.play().await;
    assert!(report.complaints[0].reason.contains("Authorization"), "{report:?}");
    assert!(!other.seen(ENGINES)[0].headers.contains_key("authorization"));
    stub.set(ENGINES, reply(200, &json!([stub.engine_entry()])));
    // 303: the event becomes a GET without body.
    stub.set(STARTED, redirect(303, STARTED.to_owned() + "/seen"));
    stub.set("/events/stream_started/seen", stub::text(200, "{}"));
    let report = stub.play().await;
    assert!(report.complaints[0].reason.contains("GET"), "{report:?}");
    assert_eq!(stub.seen("/events/stream_started/seen")[0].method, "GET");
    // Round and round.
    stub.set(STARTED, redirect(307, STARTED.to_owned()));
    assert!(stub.play().await.complaints[0].reason.contains("10 redirects"));
}

#[tokio::test]
async fn an_engine_that_fails_gets_no_event() {
    let stub = Stub::start().await;
    let url = format!("http://{}/sim/control", stub.engine);
    let http = reqwest::Client::new();
    let fault = |fault: Value| {
        let body = json!({"reset": true, "endpoints": fault}).to_string();
        let request = http.post(&url).body(body);
        async move { assert_eq!(request.send().await.unwrap().status(), 200) }
    };
    for broken in [json!({"non_json": true}), json!({"engine_error": true})] {
        fault(json!({"getstream": broken})).await;
        let report = stub.play().await;
        assert_eq!(report.complaints[0].call, Call::Getstream);
        assert!(!report.played() && report.stream_id.is_none());
    }
    assert!(stub.seen(STARTED).is_empty());
    // What the playback gives is reported as a stream that was completed.
    for broken in [json!({"status": 404}), json!({"non_json": true})] {
        fault(json!({"playback": broken})).await;
        let report = stub.play().await;
        assert!(report.complaints.iter().all(|c| c.call == Call::Playback));
        assert_eq!(report.ended, Some("completed"));
        assert!(!report.complaints.is_empty() && !report.played());
    }
    fault(json!({"cmd": {"status": 500}})).await;
    let report = stub.play().await;
    assert_eq!(report.complaints[0].call, Call::Stop);
    assert!(report.played());
}

#[tokio::test]
async fn a_stream_that_falls_silent() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    config.timers.empty = Duration::from_millis(200);
    let http = reqwest::Client::new();
    let stall = http.post(format!("http://{}/sim/control", stub.engine));
    stall.body(r#"{"stall":true}"#).send().await.unwrap();
    let report = stub::ready(config).await.play(short()).await;
    assert_eq!(report.ended, Some("empty_timeout"));
    assert_eq!(report.complaints[0].call, Call::Playback);
}

#[tokio::test]
async fn knobs_of_a_misbehaving_client() {
    let stub = Stub::start().await;
    let acexy = stub.acexy().await;
    let spec = |change: fn(&mut PlaySpec)| {
        let mut spec = short();
        change(&mut spec);
        spec
    };
    let crashed = acexy.play(spec(|s| s.crash = true)).await;
    assert!(crashed.played() && crashed.ended.is_none());
    assert_eq!((stub.seen(STARTED).len(), stub.seen(ENDED).len()), (1, 0));
    assert!(!crashed.calls.iter().any(|c| c.call == Call::Stop));

    acexy.play(spec(|s| s.duplicate_started = true)).await;
    let (first, second) = (&stub.seen(STARTED)[1], &stub.seen(STARTED)[2]);
    assert_eq!(first.body, second.body);

    let report = acexy.play(spec(|s| s.ended_first = true)).await;
    let order: Vec<Call> = report.calls.iter().map(|c| c.call).collect();
    let position = |call: Call| order.iter().position(|c| *c == call).unwrap();
    assert!(position(Call::StreamEnded) < position(Call::StreamStarted));
    assert_eq!(stub.seen(ENDED).len(), 3, "the regular one follows");
}

#[tokio::test]
async fn a_load_of_streams() {
    let stub = Stub::start().await;
    let load = Load {
        streams: 20,
        ramp: Duration::ZERO,
        spec: PlaySpec::new(Content::Id("chan-".into()), Duration::from_millis(50)),
        same_content: false,
        deadline: Duration::from_secs(60),
    };
    let report = load::run(&stub.acexy().await, load.clone()).await;
    assert!(report.ok(), "{report:?}");
    assert_eq!(report.played(), 20);
    assert_eq!((stub.seen(STARTED).len(), stub.seen(ENDED).len()), (20, 20));

    // A refusal is a correct answer, and still no stream.
    stub.full();
    stub.set(PROVISION, reply(503, &stub::refusal(json!(9), false)));
    let report = load::run(&stub.acexy().await, Load { streams: 2, ..load.clone() }).await;
    assert_eq!((report.refused(), report.complaints().count()), (2, 0));
    assert!(!report.ok());

    // The deadline cuts plays off.
    stub.set(PROVISION, Answer::Hang);
    let short = Load { streams: 2, deadline: Duration::from_millis(100), ..load };
    let report = load::run(&stub.acexy().await, short).await;
    assert_eq!((report.unfinished, report.plays.len(), report.ok()), (2, 0, false));
}
