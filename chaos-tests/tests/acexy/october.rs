//! The version of October, and the address that both versions keep in one place for all plays.

use std::time::Duration;

use acefleet_chaos::acexy::report::Via;
use acefleet_chaos::acexy::{Acexy, Call, Content, PlaySpec, Version};
use serde_json::{Value, json};

use crate::stub::{self, ENDED, ENGINES, PROVISION, STARTED, Stub, reply, short, text};

fn long() -> PlaySpec {
    PlaySpec::new(Content::Id("dd1e".into()), Duration::from_secs(600))
}

async fn october(stub: &Stub) -> Acexy {
    let mut config = stub.config();
    config.version = Version::October;
    stub::ready(config).await
}

async fn events(stub: &Stub, path: &str, count: usize) -> Vec<Value> {
    let arrived = async {
        while stub.seen(path).len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arrived).await.unwrap();
    stub.seen(path).iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect()
}

#[tokio::test]
async fn viewers_of_one_content_share_a_session_and_its_only_end() {
    let stub = Stub::start().await;
    let acexy = october(&stub).await;
    let first = tokio::spawn(acexy.play_task(long()));
    events(&stub, STARTED, 1).await;
    // The second viewer has to provision, and reports that engine beside the session of the first.
    stub.full();
    let second = acexy.play(short()).await;
    assert!(second.played() && second.complaints.is_empty(), "{second:?}");
    assert_eq!(stub.seen(PROVISION).len(), 1);
    let started = events(&stub, STARTED, 2).await;
    assert_eq!(started[0]["labels"], started[1]["labels"]);
    assert_eq!(started[0]["session"], started[1]["session"]);
    assert_eq!(started[1]["engine"], json!({"host": "localhost", "port": stub.engine.port()}));
    // It leaves first, and its end is the only one.
    assert_eq!(second.ended, Some("handler_exit"));
    assert!(!second.calls.iter().any(|call| call.call == Call::Stop), "somebody still watches");
    let third = acexy.play(short()).await;
    assert!(third.played() && third.ended.is_none(), "{third:?}");
    assert_eq!(events(&stub, ENDED, 1).await.len(), 1);
    first.abort();
}

#[tokio::test]
async fn the_last_viewer_stops_the_session() {
    let stub = Stub::start().await;
    let acexy = october(&stub).await;
    for _ in 0..2 {
        let report = acexy.play(short()).await;
        assert!(report.played() && report.complaints.is_empty(), "{report:?}");
        assert!(report.calls.iter().any(|call| call.call == Call::Playback));
        assert!(report.calls.iter().any(|call| call.call == Call::Stop));
    }
    let ids: Vec<Value> =
        events(&stub, STARTED, 2).await.iter().map(|event| event["labels"]["stream_id"].clone()).collect();
    assert_ne!(ids[0], ids[1], "each session has its id");
}

#[tokio::test]
async fn a_session_that_cannot_be_had_is_reported_under_one_id() {
    let stub = Stub::start().await;
    let http = reqwest::Client::new();
    let broken = json!({"endpoints": {"getstream": {"engine_error": true}}}).to_string();
    http.post(format!("http://{}/sim/control", stub.engine)).body(broken).send().await.unwrap();
    let acexy = october(&stub).await;
    for _ in 0..2 {
        assert!(!acexy.play(short()).await.played());
    }
    for path in [STARTED, ENDED] {
        for event in events(&stub, path, 2).await {
            let id = event.get("stream_id").unwrap_or(&event["labels"]["stream_id"]);
            assert_eq!(id, "dd1e|fetch_failed");
        }
    }
    assert_eq!(events(&stub, STARTED, 2).await[0]["session"]["stat_url"], "");
}

#[tokio::test]
async fn a_play_without_a_list_goes_where_another_one_plays() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    // The list of the first play must not serve the second one.
    config.timers.list_cache = Duration::ZERO;
    let acexy = stub::ready(config).await;
    let first = tokio::spawn(acexy.play_task(long()));
    events(&stub, STARTED, 1).await;
    stub.set(ENGINES, text(500, "broken"));
    let second = acexy.play(short()).await;
    assert!(second.played(), "{second:?}");
    let used = second.engine.unwrap();
    assert_eq!((used.via, used.port), (Via::Fallback, stub.engine.port()));
    first.abort();
    stub.set(ENGINES, reply(200, &json!([stub.engine_entry()])));
}
