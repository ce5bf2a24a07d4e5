//! What happens when no engine has room.

use std::time::Duration;

use acefleet_chaos::acexy::report::Via;
use acefleet_chaos::acexy::{Call, Outcome, PlayReport};
use serde_json::{Value, json};

use crate::stub::{self, Answer, ENGINES, PROVISION, STARTED, STATUS, Stub, refusal, reply, short, text};

fn complained(report: &PlayReport) -> bool {
    assert!(report.complaints.iter().all(|c| c.call == Call::Provision), "{report:?}");
    !report.complaints.is_empty()
}

async fn full() -> Stub {
    let stub = Stub::start().await;
    stub.full();
    stub
}

#[tokio::test]
async fn the_new_engine_is_dialled_at_localhost() {
    let stub = full().await;
    let with_new = {
        let mut new = stub.engine_entry();
        new["container_id"] = json!("eng2");
        new["host"] = json!("203.0.113.9");
        json!([stub.engine_entry(), new])
    };
    let before = reply(200, &json!([stub.engine_entry()]));
    stub.script(ENGINES, vec![before, reply(200, &with_new)]);
    let report = stub.play().await;
    assert!(report.played() && report.complaints.is_empty(), "{report:?}");
    assert_eq!(report.listed_after_provisioning, Some(true));
    let used = report.engine.unwrap();
    assert_eq!((used.host.as_str(), used.port), ("localhost", stub.engine.port()));
    assert_eq!((used.via, used.container_id.as_str()), (Via::Provisioned, "eng2"));

    let posts = stub.seen(PROVISION);
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].body, r#"{"labels":{},"env":{}}"#);
    assert_eq!(posts[0].headers["authorization"], "Bearer sekrit");
    assert_eq!(posts[0].headers["content-type"], "application/json");
    let event: Value = serde_json::from_str(&stub.seen(STARTED)[0].body).unwrap();
    assert_eq!(event["engine"], json!({"host": "localhost", "port": stub.engine.port()}));
    // Before the POST and after it, not out of the cache.
    assert_eq!(stub.seen(ENGINES).len(), 2);
}

#[tokio::test]
async fn localhost_is_dialled_where_the_test_says() {
    let stub = full().await;
    let mut config = stub.config();
    // Nothing listens there.
    config.resolve.insert("localhost".into(), "127.0.0.77".parse().unwrap());
    let report = stub::ready(config).await.play(short()).await;
    assert!(matches!(report.outcome, Outcome::Failed { .. }), "{report:?}");
    assert_eq!(report.complaints[0].call, Call::Getstream);
    assert!(stub.seen(STARTED).is_empty(), "no event without a session");
}

#[tokio::test]
async fn refusals_that_are_understood() {
    for (eta, should_wait, posts, retry_after) in [
        (json!(4), true, 3, Some(4)),
        (json!(0), true, 3, None),
        (json!(null), true, 3, None),
        (json!(45), false, 1, Some(45)),
        (json!(null), false, 1, None),
    ] {
        let stub = full().await;
        stub.set(PROVISION, reply(503, &refusal(eta.clone(), should_wait)));
        let report = stub.play().await;
        assert!(!complained(&report), "{report:?}");
        assert_eq!(stub.seen(PROVISION).len(), posts, "{eta} {should_wait}");
        let text = "Service temporarily unavailable: System is recovering from errors".to_owned();
        let expected = Outcome::Unavailable { text, retry_after, json: true };
        assert_eq!(report.outcome, expected);
    }
}

#[tokio::test]
async fn waits_are_half_the_estimate_then_all_of_it() {
    let stub = full().await;
    let mut config = stub.config();
    config.timers.eta_second = Duration::from_millis(50);
    stub.set(PROVISION, reply(503, &refusal(json!(5), true)));
    let report = stub::ready(config).await.play(short()).await;
    let at: Vec<u64> = report.calls.iter().filter(|c| c.call == Call::Provision).map(|c| c.at_ms).collect();
    // At least 2 and 5 "seconds" of 50 ms; times are cut to whole milliseconds.
    assert!(at[1] - at[0] >= 99 && at[2] - at[1] >= 249, "{at:?}");
}

#[tokio::test]
async fn a_second_attempt_may_succeed() {
    let stub = full().await;
    let created = json!({"container_id": "eng2", "host_http_port": stub.engine.port()});
    let script = vec![reply(503, &refusal(json!(1), true)), reply(200, &created)];
    stub.script(PROVISION, script);
    let report = stub.play().await;
    assert!(report.played() && !complained(&report), "{report:?}");
    assert_eq!(stub.seen(PROVISION).len(), 2);
}

#[tokio::test]
async fn answers_that_are_not_understood() {
    let stub = full().await;
    let created = json!({"container_id": "eng2", "host_http_port": stub.engine.port()});
    let no_code = json!({"detail": {"message": "m", "should_wait": true}});
    for answer in [
        reply(201, &created),
        reply(202, &json!({"status": "provisioning"})),
        reply(422, &json!({"detail": [{"type": "missing"}]})),
        text(502, "<html>Bad Gateway</html>"),
        reply(503, &refusal(json!(5.5), true)),
        reply(503, &refusal(json!("5"), true)),
        reply(503, &refusal(json!(5), true)["detail"]),
        reply(503, &no_code),
        text(200, "created"),
        text(503, ""),
    ] {
        let before = stub.seen(PROVISION).len();
        stub.set(PROVISION, answer);
        let report = stub.play().await;
        assert!(complained(&report), "{report:?}");
        assert_eq!(stub.seen(PROVISION).len() - before, 3);
        assert!(matches!(report.outcome, Outcome::Fallback { .. }));
    }
}

#[tokio::test]
async fn answers_that_are_misread() {
    let stub = full().await;
    for answer in [
        reply(403, &json!({"detail": "invalid token"})),
        reply(503, &json!({"detail": "at capacity"})),
        reply(202, &refusal(json!(1), false)),
        reply(200, &json!({"host_http_port": stub.engine.port()})),
    ] {
        stub.set(PROVISION, answer);
        assert!(complained(&stub.play().await));
    }
    stub.set(PROVISION, reply(200, &json!({"container_id": "eng2"})));
    let report = stub.play().await;
    assert!(report.complaints.iter().any(|c| c.call == Call::Provision));
    assert!(matches!(report.outcome, Outcome::Failed { .. }), "localhost:0");
}

#[tokio::test]
async fn a_slow_orchestrator_gets_three_posts() {
    let stub = full().await;
    let mut config = stub.config();
    config.timers.call = Duration::from_secs(2);
    stub.set(PROVISION, Answer::Hang);
    config.fallback = Some(("127.0.0.1".into(), stub.engine.port()));
    let report = stub::ready(config).await.play(short()).await;
    assert_eq!(stub.seen(PROVISION).len(), 3);
    assert_eq!(report.complaints.len(), 3);
    assert!(complained(&report));
    // The player gets the stream of the fallback engine, and its events.
    assert!(report.played());
    assert_eq!(report.engine.unwrap().via, Via::Fallback);
    assert_eq!(stub.seen(STARTED).len(), 1);
}

#[tokio::test]
async fn the_polled_state_decides() {
    let stub = full().await;
    let details = json!({"code": "max_capacity", "message": "ignored", "recovery_eta_seconds": 30,
        "can_retry": false, "should_wait": true});
    let blocked = |details: &Value| {
        json!({"provisioning": {"can_provision": false, "blocked_reason": "Maximum capacity reached",
            "blocked_reason_details": details}})
    };
    for (details, retry_after, json) in [(details, Some(30), true), (Value::Null, None, false)] {
        stub.set(STATUS, reply(200, &blocked(&details)));
        let report = stub.play().await;
        let Outcome::Unavailable { retry_after: eta, json: is_json, .. } = report.outcome else {
            panic!("{report:?}");
        };
        assert_eq!((eta, is_json), (retry_after, json));
        assert!(report.complaints.is_empty());
    }
    assert!(stub.seen(PROVISION).is_empty());
}

#[tokio::test]
async fn a_client_that_dies_while_provisioning() {
    let stub = full().await;
    stub.set(PROVISION, Answer::Hang);
    let mut spec = short();
    spec.abort_provisioning = Some(Duration::from_secs(2));
    let report = stub.acexy().await.play(spec).await;
    assert_eq!(report.outcome, Outcome::Aborted);
    assert_eq!(stub.seen(PROVISION).len(), 1);
    assert!(!complained(&report), "the orchestrator did nothing wrong");
}
