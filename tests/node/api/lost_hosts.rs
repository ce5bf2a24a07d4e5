//! What the status of the others says when a node is gone without a word, and its engines with it.

use std::time::{Duration, Instant};

use acefleet_registry::engine::Health;
use acefleet_registry::node::{DockerState, Wanted};
use acefleet_registry::{Command, Level};
use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::{Bed, KEY, eventually};

async fn write(bed: &Bed, command: Command) {
    bed.fleet.write(command, Instant::now() + Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn engines_that_are_lost_with_their_host_are_no_capacity_and_are_marked() {
    let [a, b, c] = Bed::three_with(&[("API_KEY", KEY), ("MIN_REPLICAS", "0")]).await;
    eventually("the newest level", async || (a.fleet.view().state.level() >= Level::CURRENT).then_some(()))
        .await;
    let node = b.fleet.cluster().node_id();
    // Nobody listens there.
    let container = b.engine(19_321).await;
    let engine = a.fleet.view().state.engine_by_container(&container).unwrap().id;
    a.post("/events/stream_started", &started("k", "s", 19_321)).await;
    b.stop().await;
    // It is gone without a word, and what it said last is that its engine is healthy.
    write(&a, Command::EngineHealth { engine, health: Health::Healthy, fault: None }).await;
    write(&a, Command::NodeDocker { node, docker: DockerState::Available }).await;
    let before = a.get("/orchestrator/status").await.json();
    assert_eq!(
        (&before["engines"]["healthy"], &before["capacity"]["total"]),
        (&json!(1), &json!(1)),
        "{before}"
    );

    for bed in [&a, &c] {
        let health = eventually("the engine to be marked", async || {
            let health = bed.get("/health/status").await.json();
            (health["marked_for_replacement"] != json!([])).then_some(health)
        })
        .await;
        assert_eq!(
            (&health["healthy_engines"], &health["unhealthy_engines"]),
            (&json!(0), &json!(0)),
            "{health}"
        );
        let marked = &health["marked_for_replacement"][0];
        assert_eq!(marked["container_id"], container.as_str());
        assert_eq!((&marked["code"], &marked["node"]), (&json!("host_unavailable"), &json!("b")), "{marked}");
        assert_eq!((&marked["listed"], &marked["streams"]), (&json!(false), &json!(1)), "{marked}");

        let status = bed.get("/orchestrator/status").await.json();
        assert_eq!(status["engines"], json!({"total": 1, "running": 0, "healthy": 0, "unhealthy": 0}));
        let capacity: Vec<&Value> =
            ["total", "used", "marked", "available"].iter().map(|key| &status["capacity"][key]).collect();
        assert_eq!(capacity, [&json!(0); 4], "{status}");
        let metrics = bed.get("/metrics").await.text;
        let of_all = ["orch_healthy_engines 0", "orch_used_engines 0", "orch_extra_engines 0"];
        let of_b = ["unavailable{node=\"b\"} 1", "down{node=\"b\"} 0", "lost_engines{node=\"b\"} 1"];
        let of_b = of_b.map(|rest| format!("acefleet_host_{rest}"));
        for line in of_all.into_iter().chain(of_b.iter().map(String::as_str)) {
            assert!(metrics.lines().any(|found| found == line), "no {line}");
        }
    }

    // One that is down is no less in need of somebody's care.
    write(&a, Command::NodeDown { node, down: true }).await;
    eventually("the other node to know", async || c.fleet.view().state.is_down(node).then_some(())).await;
    for bed in [&a, &c] {
        let health = bed.get("/health/status").await.json();
        let hosts = health["hosts"].as_array().unwrap();
        let host = hosts.iter().find(|host| host["node"] == "b").unwrap();
        let why = "it is down: no member can reach it; its engine is lost, and its streams have ended";
        assert_eq!((&host["unavailable"], &host["engines"]), (&json!(why), &json!(1)), "{host}");
        let cluster = bed.get("/cluster").await.json();
        let members = cluster["nodes"].as_array().unwrap();
        let member = members.iter().find(|member| member["name"] == "b").unwrap();
        assert_eq!((&member["docker"], &member["unavailable"]), (&json!("unknown"), &json!(why)), "{member}");
        let metrics = bed.get("/metrics").await.text;
        for rest in ["unavailable{node=\"b\"} 0", "down{node=\"b\"} 1", "lost_engines{node=\"b\"} 1"] {
            let line = format!("acefleet_host_{rest}");
            assert!(metrics.lines().any(|found| found == line), "no {line}");
        }
    }
    for bed in [a, c] {
        bed.stop().await;
    }
}

#[tokio::test]
async fn engines_of_a_draining_host_are_no_capacity_and_healthy_all_the_same() {
    let bed = Bed::with(&[("API_KEY", KEY), ("MIN_REPLICAS", "0")]).await;
    let container = bed.engine(19_322).await;
    let engine = bed.fleet.view().state.engine_by_container(&container).unwrap().id;
    write(&bed, Command::EngineHealth { engine, health: Health::Healthy, fault: None }).await;
    bed.post("/events/stream_started", &started("k", "s", 19_322)).await;
    let capacity = async || {
        let status = bed.get("/orchestrator/status").await.json();
        (status["capacity"]["total"].clone(), status["capacity"]["used"].clone())
    };
    assert_eq!(capacity().await, (json!(1), json!(1)));
    let node = bed.fleet.cluster().node_id();
    write(
        &bed,
        Command::NodeAvailability {
            node,
            availability: Wanted::Draining { within_ms: None, returns: false },
        },
    )
    .await;
    assert_eq!(bed.get("/engines").await.json(), json!([]));
    assert_eq!(capacity().await, (json!(0), json!(0)), "no client gets it");
    assert_eq!(bed.get("/health/status").await.json()["healthy_engines"], json!(1));
    bed.stop().await;
}
