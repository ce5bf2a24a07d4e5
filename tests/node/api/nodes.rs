//! Cordon, drain and remove members.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::events::started;
use crate::api::queued::end;
use crate::bed::follow::Follower;
use crate::bed::{Bed, eventually};

const NOTHING: Value = Value::Null;

/// A node as `GET /cluster` shows it.
async fn node(bed: &Bed, name: &str) -> Option<Value> {
    let cluster = bed.get("/cluster").await.json();
    cluster["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).cloned()
}

/// Waits until a node has had recent contact with all others, so that it counts them as alive.
async fn contact_with_all(bed: &Bed) {
    eventually("recent contact with all others", async || {
        let cluster = bed.get("/cluster").await.json();
        let silent = |node: &Value| node["last_contact_ms"].as_u64().is_none_or(|ms| ms > 1_000);
        let silent = cluster["nodes"].as_array().unwrap().iter().filter(|node| silent(node)).count();
        // It has no such figure of itself.
        (silent == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_is_cordoned_and_uncordoned() {
    let bed = Bed::new().await;
    let engine = bed.engine(901).await;
    assert_eq!(node(&bed, "a").await.unwrap()["availability"], "active");
    let cordoned = bed.post("/cluster/nodes/a/cordon", &NOTHING).await;
    assert_eq!(cordoned.status, 200, "{cordoned:?}");
    assert_eq!(cordoned.json()["availability"], "cordoned");
    assert_eq!(cordoned.json()["drain"], NOTHING);
    assert!(cordoned.number("x-acefleet-revision") > 0);
    assert_eq!(node(&bed, "a").await.unwrap()["availability"], "cordoned");
    assert_eq!(bed.get("/engines").await.json()[0]["container_id"], engine, "its engines stay in use");
    let refused = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["detail"]["code"]), (503, &json!("no_host")));
    // All who are asked give the same reason.
    let why = "no host can start an engine now: a is cordoned";
    assert_eq!(refused.json()["detail"]["message"], why, "{refused:?}");
    let status = bed.get("/orchestrator/status").await.json();
    assert_eq!(status["provisioning"]["can_provision"], false);
    assert_eq!(status["provisioning"]["blocked_reason"], why);
    let passed_over = node(&bed, "a").await.unwrap()["passed_over"].clone();
    assert_eq!(passed_over, json!({"code": "cordoned", "message": "is cordoned"}));

    let active = bed.post("/api/v1/cluster/nodes/a/uncordon", &NOTHING).await;
    assert_eq!((active.status.as_u16(), &active.json()["availability"]), (200, &json!("active")));
    assert_eq!(active.json()["passed_over"], NOTHING);
    assert_eq!(bed.post("/provision/acestream", &json!({})).await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn a_draining_node_shows_its_progress() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    bed.engine(902).await;
    bed.post("/events/stream_started", &started("k", "s", 901)).await;
    let draining = bed.post("/cluster/nodes/a/drain", &json!({"deadline_seconds": 3600})).await;
    assert_eq!(draining.status, 200, "{draining:?}");
    assert_eq!(draining.json()["availability"], "draining");
    assert_eq!(draining.json()["drain"]["streams_left"], 1);
    assert!(draining.json()["drain"]["deadline"].as_str().unwrap().ends_with("+00:00"));
    assert_eq!(bed.get("/engines").await.text, "[]", "it is offered to nobody");
    // The idle one waits for clients that just got it.
    let open = bed.post("/cluster/nodes/a/drain", &NOTHING).await.json();
    assert_eq!(
        open["drain"],
        json!({"engines_left": 2, "streams_left": 1, "deadline": null, "returns": false})
    );
    bed.post("/cluster/nodes/a/drain", &json!({"deadline_seconds": 0})).await;
    eventually("the deadline ends the drain", async || {
        let drain = node(&bed, "a").await.unwrap()["drain"].clone();
        (drain["engines_left"] == 0 && drain["streams_left"] == 0).then_some(())
    })
    .await;
    assert_eq!(bed.get("/streams?status=started").await.text, "[]");
    assert_eq!(bed.runtime.count(), 0);
    bed.stop().await;
}

#[tokio::test]
async fn calls_are_checked() {
    let bed = Bed::new().await;
    for (method, path) in [
        ("POST", "/cluster/nodes/a/cordon"),
        ("POST", "/cluster/nodes/a/uncordon"),
        ("POST", "/cluster/nodes/a/drain"),
        ("DELETE", "/cluster/nodes/a"),
    ] {
        assert_eq!(bed.send(method, path, &[], "").await.status, 401, "{method} {path}");
        let unknown = bed.call(method, &path.replace("/a", "/nobody"), &NOTHING).await;
        assert_eq!(unknown.status, 404, "{unknown:?}");
        assert!(unknown.json()["detail"].as_str().unwrap().contains("nobody"), "{unknown:?}");
    }
    let early = bed.post("/cluster/nodes/a/drain", &json!({"deadline_seconds": -1})).await;
    assert_eq!(early.status, 422);
    assert_eq!(early.json()["detail"][0]["loc"], json!(["body", "deadline_seconds"]));
    assert_eq!(bed.call("DELETE", "/cluster/nodes/a?force=maybe", &NOTHING).await.status, 422);
    let last = bed.call("DELETE", "/cluster/nodes/a?force=true", &NOTHING).await;
    assert_eq!(last.status, 409);
    assert!(last.json()["detail"].as_str().unwrap().contains("the last voter"), "{last:?}");
    assert_eq!(node(&bed, "a").await.unwrap()["availability"], "active");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_knows_how_far_the_others_are() {
    let beds = Bed::three().await;
    let written = beds[0].fleet.view().applied_index;
    for bed in &beds {
        eventually("the position of each member, also of one that does not lead", async || {
            let leads = || bed.fleet.cluster().is_leader();
            let led = leads();
            let cluster = bed.get("/cluster").await.json();
            let nodes = cluster["nodes"].as_array().unwrap();
            let is_there = |node: &Value| {
                let has_synced = node["fsync_p99_ms"].as_f64().is_some_and(|ms| ms > 0.0);
                has_synced && node["applied_index"].as_u64().is_some_and(|index| index >= written)
            };
            if led || leads() {
                // Who leads knows it anyway; another one does next.
                bed.fleet.cluster().transfer_leadership(|_| true).await;
                return None;
            }
            (nodes.len() == 3 && nodes.iter().all(is_there)).then_some(())
        })
        .await;
        let mut feed = Follower::of(bed, "types=node", None).await;
        let snapshot = feed.next_of("snapshot").await;
        let nodes = snapshot.data["nodes"].as_array().unwrap();
        assert!(nodes.len() == 3 && nodes.iter().all(|node| node["fsync_p99_ms"].is_f64()), "{nodes:?}");
        let figures = feed.next_of("figures").await;
        let nodes = figures.data["nodes"].as_object().unwrap();
        assert!(nodes.values().all(|node| node["applied_index"].is_u64()), "{nodes:?}");
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_removed_until_the_last_voter() {
    let [a, b, c] = Bed::three().await;
    let detail = |answer: &crate::bed::Answer| answer.json()["detail"].as_str().unwrap().to_owned();
    let container = b.engine(901).await;
    b.post("/events/stream_started", &started("k", "s", 901)).await;
    eventually("a knows the engine", async || {
        a.get("/engines").await.text.contains(&container).then_some(())
    })
    .await;
    let busy = a.call("DELETE", "/cluster/nodes/b", &NOTHING).await;
    assert_eq!(busy.status, 409, "{busy:?}");
    assert!(detail(&busy).contains("drain it first"), "{busy:?}");
    let preview = a.get("/cluster/nodes/b/removal").await.json();
    assert_eq!(
        (&preview["node"], &preview["alive"], &preview["engines"]),
        (&json!("b"), &json!(true), &json!(1))
    );
    assert_eq!((&preview["refused"], &preview["refused_with_force"]), (&json!(detail(&busy)), &json!(null)));
    let before = json!({"voters": 3, "alive": 3, "needed": 2, "may_fail": 1});
    let after = json!({"voters": 2, "alive": 2, "needed": 2, "may_fail": 0});
    assert_eq!(preview["votes"], json!({"before": before, "after": after, "stop_keeps_majority": true}));
    let free = a.get("/cluster/nodes/c/removal").await.json();
    assert_eq!((&free["refused"], &free["queued_events"]), (&json!(null), &json!(0)));
    assert_eq!(a.get("/cluster/nodes/nobody/removal").await.status, 404);

    for bed in [&a, &b, &c] {
        contact_with_all(bed).await;
    }
    // A node asks for its own removal; whoever leads cleans up after it.
    let own = c.call("DELETE", "/cluster/nodes/c", &NOTHING).await;
    let votes = "voters: 3, alive 3, needed for a majority 2; without c: 2, alive 2, needed 2";
    assert_eq!((own.status.as_u16(), own.json()), (200, json!({"removed": "c", "votes": votes})));
    let c_id = c.fleet.cluster().node_id();
    eventually("c is gone from members and registry", async || {
        (node(&a, "c").await.is_none() && a.fleet.view().state.node(c_id).is_none()).then_some(())
    })
    .await;
    let failure = tokio::time::timeout(Duration::from_secs(60), c.fleet.cluster().failed()).await.unwrap();
    assert_eq!(failure.exit_code(), 77);

    contact_with_all(&a).await;
    let two = a.call("DELETE", "/cluster/nodes/b", &NOTHING).await;
    assert_eq!(two.status, 409, "{two:?}");
    let sum = "voters: 2, alive 2, needed for a majority 2; without b: 1, alive 1, needed 1";
    assert!(detail(&two).starts_with(sum), "{two:?}");
    let preview = a.get("/cluster/nodes/b/removal").await.json();
    assert_eq!(preview["refused"], detail(&two), "the same rule, in the same words");
    assert_eq!(preview["votes"]["stop_keeps_majority"], false);
    let forced = a.call("DELETE", "/cluster/nodes/b?force=true", &NOTHING).await;
    assert_eq!((forced.status.as_u16(), forced.json()), (200, json!({"removed": "b", "votes": sum})));
    eventually("b is gone with its engine and stream", async || {
        let gone = node(&a, "b").await.is_none()
            && a.get("/engines").await.text == "[]"
            && a.get("/streams?status=started").await.text == "[]";
        gone.then_some(())
    })
    .await;
    assert!(a.fleet.view().state.engine_by_container(&container).is_none());
    assert_eq!(b.runtime.count(), 1, "the container of a removed node is left alone");
    let last = a.call("DELETE", "/cluster/nodes/a?force=true", &NOTHING).await;
    assert_eq!(last.status, 409);
    let preview = a.get("/cluster/nodes/a/removal").await.json();
    assert_eq!(preview["refused_with_force"], detail(&last));
    assert_eq!(preview["votes"]["after"], json!({"voters": 0, "alive": 0, "needed": 1, "may_fail": 0}));
    assert_eq!(a.post("/gc", &NOTHING).await.status, 200, "the last voter takes writes");
    for bed in [a, b, c] {
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_queued_events_is_not_removed() {
    let [a, b, c] = Bed::three_holding_events().await;
    let a_id = a.fleet.cluster().node_id();
    let outbox = a.fleet.cluster().outbox();
    outbox.push(b"an event".to_vec(), 10).await.unwrap();
    let known = async || {
        let soft = b.fleet.soft();
        soft.nodes.get(&a_id).map(|last| last.report.queued_events)
    };
    eventually("a reports its queued event", async || (known().await == Some(1)).then_some(())).await;
    for asked in [&a, &b] {
        let refused = asked.call("DELETE", "/cluster/nodes/a", &NOTHING).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("has answered 1 event that") && detail.contains("use force"), "{detail}");
        let preview = asked.get("/cluster/nodes/a/removal").await.json();
        assert_eq!((&preview["refused"], &preview["queued_events"]), (&json!(detail), &json!(1)));
    }
    assert!(node(&b, "a").await.is_some());

    // It waits for those that are being written.
    let (removed, ()) = tokio::join!(a.call("DELETE", "/cluster/nodes/a", &NOTHING), async {
        let queued = outbox.behind(0, 10, usize::MAX).await.unwrap();
        outbox.remove(&queued.iter().map(|(number, _)| *number).collect::<Vec<_>>()).await.unwrap();
    });
    assert_eq!(removed.status, 200, "{removed:?}");
    let late = a.fleet.take_event(end("k|s"), Instant::now() + Duration::from_secs(5)).await;
    assert!(late.is_err(), "an event that it queues now would be lost: {late:?}");
    for bed in [a, b, c] {
        bed.stop().await;
    }
}
