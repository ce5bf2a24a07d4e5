//! Three nodes that have something to show in every metric.

use acefleet::agent::runtime::VpnView;
use serde_json::json;
use tempfile::TempDir;

use crate::api::events::started;
use crate::bed::{Bed, KEY, eventually};

const SETTINGS: [(&str, &str); 6] = [
    ("API_KEY", KEY),
    ("GLUETUN_CONTAINER_NAME", "gluetun"),
    ("GLUETUN_PORT_RANGE_1", "900-909"),
    ("GLUETUN_HEALTH_CHECK_INTERVAL_S", "0.1"),
    // Nothing listens there.
    ("GLUETUN_API_PORT", "1"),
    ("MIN_REPLICAS", "0"),
];

/// A call was refused, a VPN is connected, each node has an engine and backups in the folder, and the third one drains, with a stream.
pub async fn busy() -> (TempDir, [Bed; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let place = [("ACEFLEET_BACKUP_TO", folder.path().to_str().unwrap())];
    let beds = Bed::three_with(&[&SETTINGS[..], &place].concat()).await;
    // No VPN is there yet.
    let refused = beds[0].post("/provision/acestream", &json!({})).await;
    assert_eq!(refused.json()["detail"]["code"], "vpn_disconnected", "{refused:?}");
    let gluetun = VpnView {
        id: format!("{:0>64}", 7),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        status: "running".to_owned(),
        running: true,
        health: Some("healthy".to_owned()),
        ..VpnView::default()
    };
    for (bed, port) in beds.iter().zip(911..) {
        bed.runtime.world().vpns.insert("gluetun".to_owned(), gluetun.clone());
        bed.engine(port).await;
    }
    for port in [911, 913] {
        let written = beds[0].post("/events/stream_started", &started("k", &port.to_string(), port)).await;
        assert_eq!(written.status, 200, "{written:?}");
    }
    beds[0].post("/cluster/nodes/c/drain", &json!({})).await;
    eventually("VPNs and the drain are known", async || {
        let metrics = beds[0].get("/metrics").await.text;
        let lines =
            ["acefleet_vpn_connected{vpn=\"c/gluetun\"} 1", "acefleet_host_drain_engines{node=\"c\"} 1"];
        lines.iter().all(|line| metrics.contains(line)).then_some(())
    })
    .await;
    (folder, beds)
}
