//! Every answer the real client rejects gives a complaint about the right call; every answer it
//! takes gives none.

use std::time::Duration;

use acefleet_chaos::acexy::{Call, Complaint, Outcome, PlayReport};
use serde_json::{Value, json};

use crate::stub::{self, Answer, ENDED, ENGINES, STARTED, STATUS, STREAMS, Stub, reply, short, text};

fn calls(complaints: &[Complaint]) -> Vec<Call> {
    let mut calls: Vec<Call> = complaints.iter().map(|c| c.call).collect();
    calls.dedup();
    calls
}

/// A play with one value of the engine's entry changed.
async fn with_engine(stub: &Stub, field: &str, value: Value) -> PlayReport {
    let mut entry = stub.engine_entry();
    entry[field] = value;
    stub.set(ENGINES, reply(200, &json!([entry])));
    stub.play().await
}

#[tokio::test]
async fn engine_values_that_are_fine() {
    let stub = Stub::start().await;
    for (field, value) in [
        ("last_seen", json!(null)),
        ("last_seen", json!("2026-01-01T00:00:00Z")),
        ("last_seen", json!("2026-01-01T00:00:00+00:00")),
        ("last_seen", json!("2026-01-01T00:00:00.123456Z")),
        ("labels", json!(null)),
        ("streams", json!(null)),
        ("health_status", json!(null)),
        ("health_status", json!("unhealthy")),
        ("cache_size_bytes", json!(12)),
        ("node", json!({"extra": [1.5]})),
    ] {
        let report = with_engine(&stub, field, value.clone()).await;
        assert!(report.played(), "{field} {value}: {report:?}");
        assert!(report.complaints.is_empty(), "{field} {value}: {report:?}");
    }
    let least = json!([{"container_id": "e", "host": "127.0.0.1", "port": stub.engine.port()}]);
    stub.set(ENGINES, reply(200, &least));
    assert!(stub.play().await.complaints.is_empty());
}

#[tokio::test]
async fn engine_values_that_are_fatal() {
    let stub = Stub::start().await;
    for (field, value) in [
        ("last_seen", json!("2026-01-01T00:00:00.123")),
        ("last_seen", json!("2026-01-01 00:00:00+00:00")),
        ("last_seen", json!(1_700_000_000)),
        ("last_seen", json!("")),
        ("port", json!("13101")),
        ("labels", json!({"a": 1})),
        ("cache_size_bytes", json!(1.5)),
    ] {
        let report = with_engine(&stub, field, value.clone()).await;
        assert_eq!(calls(&report.complaints), [Call::Engines], "{field} {value}");
        assert!(report.complaints[0].reason.contains(field), "{report:?}");
        assert!(matches!(report.outcome, Outcome::Fallback { .. }));
    }
}

#[tokio::test]
async fn engine_values_that_decode_and_cannot_work() {
    let stub = Stub::start().await;
    for (field, value) in [
        ("container_id", json!("a b")),
        ("container_id", json!("a&b")),
        ("container_id", json!("")),
        ("host", json!("::1")),
        ("host", json!(null)),
        ("port", json!(0)),
    ] {
        let report = with_engine(&stub, field, value.clone()).await;
        assert!(calls(&report.complaints).contains(&Call::Engines), "{field} {value}");
    }
    let twice = json!([stub.engine_entry(), stub.engine_entry()]);
    stub.set(ENGINES, reply(200, &twice));
    assert_eq!(calls(&stub.play().await.complaints), [Call::Engines]);
}

#[tokio::test]
async fn engine_lists_that_are_fatal() {
    let stub = Stub::start().await;
    let list = json!([stub.engine_entry()]);
    for answer in [
        reply(200, &json!({"engines": list})),
        reply(201, &list),
        reply(206, &list),
        text(204, ""),
        reply(401, &json!({"detail": "missing bearer token"})),
        reply(500, &list),
        reply(503, &stub::refusal(json!(4), true)),
        text(200, "<html></html>"),
        text(200, ""),
    ] {
        stub.set(ENGINES, answer);
        let report = stub.play().await;
        assert_eq!(calls(&report.complaints), [Call::Engines], "{report:?}");
        assert!(matches!(report.outcome, Outcome::Fallback { .. }));
        assert!(!report.played());
    }
}

#[tokio::test]
async fn an_empty_list_leads_to_provisioning() {
    let stub = Stub::start().await;
    for list in ["[]", "null"] {
        stub.set(ENGINES, text(200, list));
        let report = stub.play().await;
        assert!(report.played() && report.complaints.is_empty(), "{report:?}");
        assert_eq!(report.listed_after_provisioning, Some(false));
    }
}

#[tokio::test]
async fn streams_that_are_fine() {
    let stub = Stub::start().await;
    for (body, full) in [
        ("null", false),
        ("[]", false),
        (r#"[{"status":"started"}]"#, true),
        (r#"[{"status":"ended","is_live":false,"ended_at":"2026-01-01T00:00:00Z"}]"#, false),
    ] {
        stub.set(STREAMS, text(200, body));
        let provisioned = stub.seen(stub::PROVISION).len();
        let report = stub.play().await;
        assert!(report.played() && report.complaints.is_empty(), "{body}: {report:?}");
        let asked = stub.seen(stub::PROVISION).len() > provisioned;
        assert_eq!(asked, full, "{body}");
    }
}

#[tokio::test]
async fn streams_that_skip_the_engine() {
    let stub = Stub::start().await;
    for answer in [
        text(200, r#"[{"status":"started","is_live":1}]"#),
        text(200, r#"[{"started_at":"2026-01-01T00:00:00"}]"#),
        text(200, r#"[{"id":5}]"#),
        text(200, r#"{"streams":[]}"#),
        text(404, "[]"),
        text(500, "[]"),
    ] {
        stub.set(STREAMS, answer);
        let report = stub.play().await;
        assert_eq!(calls(&report.complaints), [Call::Streams], "{report:?}");
        // The only engine is skipped, so one more is asked for.
        assert_eq!(report.engine.unwrap().host, "localhost");
    }
    // Streams of others are counted for this engine.
    let foreign = r#"[{"status":"started","container_id":"eng9"}]"#;
    stub.set(STREAMS, text(200, foreign));
    assert_eq!(calls(&stub.play().await.complaints), [Call::Streams]);
}

#[tokio::test]
async fn status_polls() {
    let stub = Stub::start().await;
    let mut fractional = stub::healthy_status();
    fractional["provisioning"]["blocked_reason_details"] = json!({"recovery_eta_seconds": 5.5});
    let blocked = json!({"provisioning": {"can_provision": false, "blocked_reason": "full",
        "blocked_reason_details": {"code": "max_capacity", "recovery_eta_seconds": 5, "should_wait": true}}});
    for (answer, fine) in [
        (reply(200, &stub::healthy_status()), true),
        (reply(200, &blocked), true),
        (reply(503, &stub::healthy_status()), true),
        (reply(200, &json!({"provisioning": {"can_provision": true}})), true),
        (reply(200, &fractional), false),
        (text(200, "[]"), false),
        (text(200, "<html>"), false),
        (reply(401, &json!({"detail": "missing bearer token"})), false),
        (reply(404, &stub::healthy_status()), false),
        (reply(200, &json!({"provisioning": {"can_provision": false}})), false),
    ] {
        stub.set(STATUS, answer);
        let complaints = stub.acexy().await.poll_complaints();
        assert_eq!(complaints.is_empty(), fine, "{complaints:?}");
        assert!(complaints.iter().all(|c| c.call == Call::Status));
    }
}

#[tokio::test]
async fn events_that_are_lost() {
    let stub = Stub::start().await;
    for (path, call) in [(STARTED, Call::StreamStarted), (ENDED, Call::StreamEnded)] {
        for status in [200, 201, 202, 204] {
            stub.set(path, text(status, ""));
            assert!(stub.play().await.complaints.is_empty(), "{path} {status}");
        }
        for status in [401, 404, 422, 500, 503] {
            stub.set(path, text(status, "{}"));
            let report = stub.play().await;
            assert_eq!(calls(&report.complaints), [call], "{path} {status}");
            assert!(report.played(), "the player sees nothing of it");
        }
        stub.set(path, text(204, ""));
    }
}

#[tokio::test]
async fn answers_that_do_not_come_in_time() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    config.timers.call = Duration::from_millis(200);
    for (path, call) in [
        (STATUS, Call::Status),
        (ENGINES, Call::Engines),
        (STREAMS, Call::Streams),
        (STARTED, Call::StreamStarted),
        (ENDED, Call::StreamEnded),
    ] {
        let stub = Stub::start().await;
        stub.set(path, Answer::Hang);
        let mut config = config.clone();
        config.url = format!("http://{}", stub.addr);
        let acexy = stub::ready(config).await;
        let report = acexy.play(short()).await;
        let complaints = [acexy.poll_complaints(), report.complaints].concat();
        assert_eq!(calls(&complaints), [call], "{path}");
        assert!(complaints.iter().all(|c| c.status.is_none()));
    }
}

#[tokio::test]
async fn nobody_there() {
    let stub = Stub::start().await;
    let mut config = stub.config();
    config.url = "http://127.0.0.1:1".into();
    let acexy = stub::ready(config).await;
    let report = acexy.play(short()).await;
    assert_eq!(calls(&report.complaints), [Call::Engines]);
    assert_eq!(calls(&acexy.poll_complaints()), [Call::Status]);
}
