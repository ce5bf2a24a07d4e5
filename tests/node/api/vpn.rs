//! VPN containers as the API shows them, and what they mean for engines.

use std::time::{Duration, Instant};

use acefleet::agent::runtime::VpnView;
use acefleet_registry::Command;
use serde_json::{Value, json};

use crate::bed::{Bed, KEY, eventually};

const SETTINGS: [(&str, &str); 7] = [
    ("API_KEY", KEY),
    ("GLUETUN_CONTAINER_NAME", "gluetun"),
    ("GLUETUN_PORT_RANGE_1", "900-909"),
    ("GLUETUN_HEALTH_CHECK_INTERVAL_S", "0.1"),
    // Nothing listens there.
    ("GLUETUN_API_PORT", "1"),
    ("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0"),
    ("MIN_REPLICAS", "0"),
];

/// Lets a VPN container exist with this health.
fn put(bed: &Bed, name: &str, health: &str) {
    let view = VpnView {
        id: format!("{:0>64}", name.len()),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        status: "running".to_owned(),
        running: true,
        health: Some(health.to_owned()),
        provider: Some("protonvpn".to_owned()),
        ..VpnView::default()
    };
    bed.runtime.world().vpns.insert(name.to_owned(), view);
}

async fn health(bed: &Bed, wanted: &str) -> Value {
    eventually(&format!("a VPN that is {wanted}"), async || {
        let status = bed.get("/vpn/status").await.json();
        (status["health"] == wanted).then_some(status)
    })
    .await
}

async fn listed(bed: &Bed) -> Vec<Value> {
    bed.get("/engines").await.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn a_vpn_comes_up_goes_down_and_comes_back() {
    let bed = Bed::with(&SETTINGS).await;
    put(&bed, "gluetun", "starting");
    let starting = health(&bed, "starting").await;
    assert_eq!((&starting["enabled"], &starting["connected"]), (&json!(true), &json!(false)));
    assert_eq!((&starting["mode"], &starting["status"]), (&json!("single"), &json!("running")));
    let refused = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let detail = &refused.json()["detail"];
    assert_eq!(detail["code"], "vpn_disconnected");
    assert_eq!((&detail["recovery_eta_seconds"], &detail["should_wait"]), (&json!(60), &json!(true)));
    assert_eq!((&detail["can_retry"], &detail["error"]), (&json!(true), &json!("provisioning_blocked")));
    assert!(detail["message"].as_str().unwrap().contains("VPN"), "{detail}");

    put(&bed, "gluetun", "healthy");
    let up = health(&bed, "healthy").await;
    assert_eq!(up["provider"], "ProtonVPN");
    assert_eq!(up["vpn1"]["container_name"], "gluetun");
    assert_eq!((&up["vpn2"], &up["emergency_mode"]["active"]), (&json!(null), &json!(false)));
    let made = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(made.status, 200, "{made:?}");
    let engines = listed(&bed).await;
    assert_eq!(engines.len(), 1);
    assert_eq!((&engines[0]["vpn_container"], &engines[0]["host"]), (&json!("gluetun"), &json!("127.0.0.1")));
    assert_eq!((&engines[0]["forwarded"], &engines[0]["forwarded_port"]), (&json!(false), &json!(null)));
    assert!((900..910).contains(&engines[0]["port"].as_u64().unwrap()));
    let status = bed.get("/orchestrator/status").await.json();
    assert_eq!((&status["vpn"]["connected"], &status["vpn"]["container"]), (&json!(true), &json!("gluetun")));

    put(&bed, "gluetun", "unhealthy");
    let down = health(&bed, "unhealthy").await;
    assert!(down["error"].as_str().unwrap().contains("tunnel"), "{down}");
    assert_eq!(down["vpns"][0]["engines"], 1);
    assert_eq!(listed(&bed).await, Vec::<Value>::new());
    let status = bed.get("/orchestrator/status").await.json();
    assert_eq!(status["provisioning"]["blocked_reason_details"]["code"], "vpn_disconnected");
    let metrics = bed.get("/metrics").await.text;
    for line in [
        "orch_vpn_health{orch_vpn_health=\"unhealthy\"} 1",
        "orch_vpn2_health{orch_vpn2_health=\"disabled\"} 1",
        "orch_vpn1_engines 1",
        "acefleet_vpn_connected{vpn=\"a/gluetun\"} 0",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line} in {metrics}");
    }
    let address = bed.get("/vpn/publicip").await;
    assert_eq!(
        (address.status.as_u16(), address.json()),
        (503, json!({"detail": "Unable to retrieve VPN public IP"}))
    );

    put(&bed, "gluetun", "healthy");
    health(&bed, "healthy").await;
    assert_eq!(listed(&bed).await.len(), 1);
    bed.stop().await;
}

#[tokio::test]
async fn two_vpns_of_a_node() {
    let more = [
        ("VPN_MODE", "redundant"),
        ("GLUETUN_CONTAINER_NAME_2", "gluetun-2"),
        ("GLUETUN_PORT_RANGE_2", "910-919"),
    ];
    let bed = Bed::with(&[&SETTINGS[..], &more].concat()).await;
    put(&bed, "gluetun", "healthy");
    put(&bed, "gluetun-2", "healthy");
    let both = eventually("both VPNs", async || {
        let status = bed.get("/vpn/status").await.json();
        (status["vpn1"]["connected"] == true && status["vpn2"]["connected"] == true).then_some(status)
    })
    .await;
    assert_eq!(both["mode"], "redundant");
    for _ in 0..2 {
        let made = bed.post("/provision/acestream", &json!({})).await;
        assert_eq!(made.status, 200, "{made:?}");
    }
    let behind =
        |engines: &[Value], name: &str| engines.iter().filter(|e| e["vpn_container"] == name).count();
    let engines = listed(&bed).await;
    assert_eq!((behind(&engines, "gluetun"), behind(&engines, "gluetun-2")), (1, 1));
    put(&bed, "gluetun", "unhealthy");
    let emergency = eventually("emergency mode", async || {
        let status = bed.get("/vpn/status").await.json();
        (status["emergency_mode"]["active"] == true).then_some(status)
    })
    .await;
    assert_eq!(emergency["emergency_mode"]["failed_vpn"], "gluetun");
    assert_eq!(emergency["emergency_mode"]["healthy_vpn"], "gluetun-2");
    assert_eq!((&emergency["connected"], &emergency["container"]), (&json!(true), &json!("gluetun-2")));
    assert_eq!(behind(&listed(&bed).await, "gluetun"), 0);
    let made = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(behind(&listed(&bed).await, "gluetun-2"), 2);
    bed.stop().await;
}

#[tokio::test]
async fn nothing_is_known_of_the_vpns_of_a_host_that_is_down() {
    let more = [
        ("VPN_MODE", "redundant"),
        ("GLUETUN_CONTAINER_NAME_2", "gluetun-2"),
        ("GLUETUN_PORT_RANGE_2", "910-919"),
    ];
    let mut beds = Vec::from(Bed::three_with(&[&SETTINGS[..], &more].concat()).await);
    for bed in &beds {
        put(bed, "gluetun", "healthy");
        put(bed, "gluetun-2", "healthy");
    }
    let all = |status: &Value, test: &dyn Fn(&Value) -> bool| {
        let vpns = status["vpns"].as_array().unwrap();
        vpns.len() == 6 && vpns.iter().all(test)
    };
    let seen = eventually("six VPNs", async || {
        let status = beds[0].get("/vpn/status").await.json();
        all(&status, &|vpn| vpn["connected"] == true).then_some(status)
    })
    .await;
    let first = seen["vpns"][0]["node"].clone();
    let lost = beds.iter().position(|bed| first == bed.fleet.config().node_name.as_str()).unwrap();
    put(&beds[lost], "gluetun-2", "unhealthy");
    eventually("emergency mode", async || {
        let status = beds[0].get("/vpn/status").await.json();
        (status["emergency_mode"]["active"] == true && status["container"] == "gluetun").then_some(())
    })
    .await;
    let lost = beds.remove(lost);
    let node = lost.fleet.cluster().node_id();
    lost.stop().await;
    for bed in &beds {
        let (status, metrics) = eventually("the host to be down", async || {
            // The leader takes that back for as long as it heard of the host a moment ago.
            let down = Command::NodeDown { node, down: true };
            bed.fleet.write(down, Instant::now() + Duration::from_secs(20)).await.unwrap();
            let status = bed.get("/vpn/status").await.json();
            let metrics = bed.get("/metrics").await.text;
            let stays = bed.fleet.view().state.is_down(node);
            (status["emergency_mode"]["active"] == false && stays).then_some((status, metrics))
        })
        .await;
        assert_eq!((&status["connected"], &status["health"]), (&json!(true), &json!("healthy")), "{status}");
        for vpn in status["vpns"].as_array().unwrap() {
            let is_lost = vpn["node"] == first;
            assert_eq!(vpn["connected"], json!(!is_lost), "{vpn}");
            assert_eq!(vpn["health"], if is_lost { "unknown" } else { "healthy" }, "{vpn}");
            assert_eq!(vpn["error"].as_str().is_some_and(|why| why.contains("is down")), is_lost, "{vpn}");
            let name = vpn["node"].as_str().unwrap();
            let line = format!("acefleet_vpn_connected{{vpn=\"{name}/gluetun\"}} {}", i32::from(!is_lost));
            assert!(metrics.lines().any(|found| found == line), "no {line} in {metrics}");
        }
    }
    for bed in beds {
        bed.stop().await;
    }
}
