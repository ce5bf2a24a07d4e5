//! Every field that clients decode, in the type that they decode it into.

use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::{Bed, eventually};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

/// Microseconds and the given zone.
fn is_time(value: &Value, zone: &str) -> bool {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let parsed: jiff::Timestamp = text.parse().unwrap();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    parsed.as_second() > 1_600_000_000 && shape == format!("0000-00-00T00:00:00.000000{zone}")
}

#[tokio::test]
async fn what_engines_use_is_known_to_every_node() {
    let [a, b, c] = Bed::three().await;
    let id = b.engine(901).await;
    let path = format!("/engines/{id}/stats");
    let used = eventually("it was counted twice", async || {
        let answer = a.get(&path).await;
        (answer.status == 200 && !answer.json()["since"].is_null()).then(|| answer.json())
    })
    .await;
    let mut expected = vec![
        "container_id",
        "cpu_percent",
        "memory_usage",
        "memory_limit",
        "memory_percent",
        "network_rx_bytes",
        "network_tx_bytes",
        "network_rx_bps",
        "network_tx_bps",
        "block_read_bytes",
        "block_write_bytes",
        "since",
        "at",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&used), expected);
    assert!(is_time(&used["since"], "Z") && is_time(&used["at"], "Z"));
    assert!(used["cpu_percent"].as_f64().is_some_and(|percent| percent > 0.0), "{used}");
    assert_eq!((&used["memory_percent"], &used["network_rx_bps"]), (&json!(9.77), &json!(0)));
    let all = c.get("/engines/stats/all").await.json();
    assert_eq!((keys(&all), &all[&id]["memory_usage"]), (vec![id.as_str()], &json!(100 << 20)));
    let total = c.get("/engines/stats/total").await.json();
    assert_eq!(
        total,
        json!({"total_cpu_percent": all[&id]["cpu_percent"], "total_memory_usage": 100 << 20,
            "total_network_rx_bytes": 5_000, "total_network_tx_bytes": 7_000, "total_block_read_bytes": 1,
            "total_block_write_bytes": 2, "container_count": 1})
    );
    let unknown = a.get("/engines/nobody/stats").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()),
        (404, json!({"detail": "Container not found or stats unavailable"}))
    );
    b.runtime.remove_by_hand(&id, false);
    eventually("nothing is left of it", async || {
        (a.get("/engines/stats/total").await.json()["container_count"] == 0).then_some(())
    })
    .await;
    for bed in [a, b, c] {
        bed.stop().await;
    }
}

#[tokio::test]
async fn engines_and_streams_have_all_fields() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    bed.post("/events/stream_started", &started("k", "s", 901)).await;
    let engine = bed.get(&format!("/engines/{id}")).await.json();
    assert_eq!(keys(&engine), ["engine", "streams"]);
    assert_eq!(engine["streams"][0]["id"], "k|s");
    let engine = &bed.get("/engines").await.json()[0];
    let mut expected = vec![
        "container_id",
        "container_name",
        "host",
        "port",
        "labels",
        "first_seen",
        "last_seen",
        "streams",
        "health_status",
        "last_health_check",
        "last_stream_usage",
        "last_cache_cleanup",
        "cache_size_bytes",
        "forwarded",
        "vpn_container",
        "engine_variant",
        "platform",
        "version",
        "forwarded_port",
        "node",
    ];
    expected.sort_unstable();
    assert_eq!(keys(engine), expected);
    assert!(is_time(&engine["first_seen"], "Z") && is_time(&engine["last_seen"], "Z"));
    assert!(is_time(&engine["last_stream_usage"], "Z"));
    assert_eq!((&engine["forwarded"], &engine["vpn_container"]), (&json!(false), &json!(null)));
    assert_eq!((&engine["engine_variant"], &engine["node"]), (&json!("krinkuto11-amd64"), &json!("a")));
    let labels = engine["labels"].as_object().unwrap();
    assert!(labels.values().all(Value::is_string));
    for (name, value) in [
        ("orchestrator.managed", "acestream"),
        ("acestream.http_port", "901"),
        ("acestream.https_port", "45001"),
        ("host.http_port", "901"),
    ] {
        assert_eq!(labels[name], value, "{name}");
    }
    assert_eq!(labels.get("team"), None, "a reader without the key sees what a caller chose");
    let stream = &bed.get("/streams").await.json()[0];
    let mut expected = vec![
        "id",
        "key_type",
        "key",
        "container_id",
        "playback_session_id",
        "stat_url",
        "command_url",
        "is_live",
        "started_at",
        "ended_at",
        "status",
        "peers",
        "speed_down",
        "speed_up",
        "downloaded",
        "uploaded",
    ];
    expected.sort_unstable();
    assert_eq!(keys(stream), expected);
    assert!(is_time(&stream["started_at"], "Z") && stream["is_live"].is_boolean());
    let unknown = bed.get("/engines/none").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()),
        (404, json!({"detail": "engine not found", "error": "not found"}))
    );
    for path in ["/streams/none/stats", "/streams/k%7Cs/stats?since=2020-01-01", "/streams/a/b|c/stats"] {
        let stats = bed.get(path).await;
        assert_eq!((stats.status.as_u16(), stats.text.as_str()), (200, "[]"), "{path}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn the_status_has_exactly_its_keys() {
    let bed = Bed::new().await;
    let empty = bed.get("/orchestrator/status").await.json();
    assert_eq!(
        (&empty["status"], &empty["provisioning"]["can_provision"]),
        (&json!("unavailable"), &json!(true))
    );
    bed.engine(901).await;
    bed.engine(902).await;
    for session in ["1", "2"] {
        bed.post("/events/stream_started", &started("k", session, 901)).await;
    }
    let status = bed.get("/orchestrator/status").await.json();
    assert_eq!(
        keys(&status),
        [
            "capacity",
            "config",
            "engines",
            "left_behind",
            "provisioning",
            "status",
            "streams",
            "timestamp",
            "vpn"
        ]
    );
    assert_eq!(status["status"], "healthy");
    assert_eq!((&status["engines"]["total"], &status["engines"]["running"]), (&json!(2), &json!(2)));
    assert_eq!(status["streams"], json!({"active": 2, "total": 2}));
    let capacity =
        json!({"total": 2, "used": 1, "marked": 0, "available": 1, "max_replicas": 20, "min_replicas": 0});
    assert_eq!(status["capacity"], capacity);
    let vpn = json!({"enabled": false, "connected": false, "health": "unknown", "container": null, "forwarded_port": null});
    assert_eq!(status["vpn"], vpn);
    assert_eq!(
        keys(&status["provisioning"]),
        [
            "blocked_reason",
            "blocked_reason_details",
            "blocked_reasons",
            "can_provision",
            "circuit_breaker_state",
            "last_failure",
            "replacement_breaker_state"
        ]
    );
    assert_eq!(keys(&status["config"]), ["auto_delete", "debug_mode", "engine_variant", "grace_period_s"]);
    assert!(is_time(&status["timestamp"], "+00:00"));
    bed.stop().await;
}

#[tokio::test]
async fn health_cluster_and_vpn_have_their_shapes() {
    let bed = Bed::new().await;
    let health = bed.get("/health/status").await.json();
    assert_eq!(
        keys(&health),
        [
            "circuit_breakers",
            "failing",
            "health_check_interval",
            "healthy_engines",
            "hosts",
            "marked_for_replacement",
            "minimum_required",
            "total_engines",
            "unhealthy_engines"
        ]
    );
    let closed = json!({
        "state": "closed", "failure_count": 0, "failure_threshold": 3, "last_failure_time": null,
        "last_success_time": null, "recovery_timeout": 180, "last_failure": null
    });
    assert_eq!(health["circuit_breakers"]["replacement"], closed);
    let ready = bed.get("/health/ready").await.json();
    assert_eq!(keys(&ready), ["active_streams", "circuit_state", "engines", "ready", "timestamp"]);
    assert_eq!((&ready["ready"], &ready["circuit_state"]), (&json!(true), &json!("closed")));
    assert_eq!(bed.get("/readyz").await.json(), json!({"ready": true, "reasons": []}));
    assert_eq!(bed.get("/livez").await.json()["status"], "ok");
    let vpn = bed.get("/vpn/status").await.json();
    assert_eq!(
        (&vpn["status"], &vpn["mode"], &vpn["connected"]),
        (&json!("disabled"), &json!("disabled"), &json!(false))
    );
    let calm = json!({"active": false, "failed_vpn": null, "healthy_vpn": null, "duration_seconds": 0});
    assert_eq!(vpn["emergency_mode"], calm);
    assert!(
        vpn.get("vpn1").is_some_and(Value::is_null) && vpn.get("last_check_at").is_some_and(Value::is_null)
    );

    let cluster = bed.get("/cluster").await.json();
    assert_eq!((&cluster["leader"], &cluster["voters"]), (&json!("a"), &json!(1)));
    assert!(cluster["term"].as_u64().unwrap() > 0 && !cluster["cluster_id"].as_str().unwrap().is_empty());
    let node = &cluster["nodes"][0];
    assert_eq!(
        (&node["name"], &node["role"], &node["docker"]),
        (&json!("a"), &json!("leader"), &json!("available"))
    );
    assert_eq!(node["http_address"], bed.address);
    assert_eq!(node["id"].as_u64().unwrap(), bed.fleet.cluster().node_id().0);
    assert!(node["applied_index"].as_u64().unwrap() >= cluster["revision"].as_u64().unwrap());
    bed.stop().await;
}

#[tokio::test]
async fn metrics_are_read_from_the_state() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    for _ in 0..3 {
        bed.post("/events/stream_started", &started("k", "s", 901)).await;
    }
    bed.post("/events/stream_started", &started("k", "s2", 901)).await;
    bed.post("/events/stream_ended", &crate::api::events::ended("k", "s2")).await;
    bed.post("/events/stream_ended", &crate::api::events::ended("k", "s2")).await;
    bed.get("/streams/x%2Fy/stats").await;
    bed.get("/made-up").await;
    let metrics = bed.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "orch_streams_active 1",
        "orch_total_streams 1",
        "orch_used_engines 1",
        "orch_extra_engines 1",
        "orch_events_started_total 4",
        "orch_events_ended_total 1",
        "orch_collector_errors_total 0",
        "orch_collect_errors_total 0",
        "orch_stale_streams_detected_total 0",
        "orch_provision_total{kind=\"acestream\"} 0",
        "orch_circuit_state{state=\"closed\"} 1",
        "orch_vpn_health{orch_vpn_health=\"disabled\"} 1",
        "orch_vpn1_engines 0",
        "orch_total_downloaded_bytes 0",
        "orch_total_upload_speed_mbps 0",
        "orch_total_peers 0",
        "acefleet_raft_is_leader 1",
        "orch_api_requests_total{endpoint=\"/streams/{stream_id}/stats\",method=\"GET\",status=\"200\"} 1",
        "orch_api_requests_total{endpoint=\"unmatched\",method=\"GET\",status=\"404\"} 1",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "no {line:?} in\n{}", metrics.text);
    }
    for name in [
        "orch_engines_total{health_status=\"unknown\"}",
        "orch_api_duration_seconds_bucket{endpoint=\"/events/",
    ] {
        assert!(
            metrics.text.lines().any(|found| found.starts_with(name)),
            "no {name:?} in\n{}",
            metrics.text
        );
    }
    bed.stop().await;
}
