//! A node that cannot reach a majority: reads work, writes say when to come back.

use serde_json::json;

use crate::api::events::started;
use crate::bed::{Answer, Bed, eventually};

fn no_leader(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let detail = &answer.json()["detail"];
    assert_eq!(detail.as_object().unwrap().len(), 6);
    assert_eq!((&detail["code"], &detail["should_wait"]), (&json!("no_leader"), &json!(true)));
    assert_eq!(answer.number("retry-after"), detail["recovery_eta_seconds"].as_u64().unwrap());
}

#[tokio::test]
async fn reads_never_fail_without_a_leader() {
    let bed = Bed::alone_of_three().await;
    for path in [
        "/engines",
        "/streams",
        "/streams?container_id=x&status=started",
        "/orchestrator/status",
        "/health/status",
        "/vpn/status",
        "/metrics",
        "/cluster",
        "/livez",
        "/health",
        "/streams/x/stats",
    ] {
        let answer = bed.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    // An election would be over by then.
    let status = eventually("the status to say that there is no leader", async || {
        let status = bed.get("/orchestrator/status").await.json();
        let code = &status["provisioning"]["blocked_reason_details"]["code"];
        (*code == json!("no_leader")).then_some(status)
    })
    .await;
    assert_eq!(status["provisioning"]["can_provision"], false);
    let details = &status["provisioning"]["blocked_reason_details"];
    assert_eq!((&details["code"], &details["should_wait"]), (&json!("no_leader"), &json!(true)));
    assert!(details["recovery_eta_seconds"].is_u64());
    assert_eq!(bed.get("/cluster").await.json()["leader"], json!(null));
    for path in ["/readyz", "/health/ready"] {
        let answer = bed.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.json()["ready"].clone()), (503, json!(false)), "{path}");
    }
    no_leader(&bed.get("/engines?consistency=linearizable").await);
    bed.stop().await;
}

#[tokio::test]
async fn events_are_queued_and_answered() {
    let bed = Bed::alone_of_three().await;
    let event = started("k", "s", 901);
    let batch = json!({"started": [event], "ended": [{"stream_id": "x"}]});
    for (path, body) in [
        ("/events/stream_started", &event),
        ("/events/stream_ended", &json!({"stream_id": "x"})),
        ("/events/batch", &batch),
    ] {
        let answer = bed.post(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({"status": "queued"})), "{path}");
    }
    assert_eq!(bed.get("/streams").await.json(), json!([]), "nothing is shown that no majority has");
    assert!(bed.get("/metrics").await.text.contains("acefleet_outbox_events 3"));
    bed.stop().await;
}

#[tokio::test]
async fn writes_say_when_to_come_back() {
    let bed = Bed::alone_of_three().await;
    let (nothing, empty) = (json!({}), json!(null));
    let (provision, gc, reset) = tokio::join!(
        bed.post("/provision/acestream", &nothing),
        bed.post("/scale/1", &empty),
        bed.post("/health/circuit-breaker/reset", &empty),
    );
    for answer in [provision, gc, reset] {
        no_leader(&answer);
    }
    bed.stop().await;
}
