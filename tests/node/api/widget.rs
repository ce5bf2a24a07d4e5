//! The flat object for dashboards of home servers.

use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::follow::Follower;
use crate::bed::{Bed, eventually};

#[tokio::test]
async fn the_widget_is_flat_and_counts() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    bed.engine(902).await;
    bed.post("/events/stream_started", &started("k", "s", 901)).await;
    let widget = bed.get("/api/v1/widget").await.json();
    let fields = widget.as_object().unwrap();
    assert!(
        fields.values().all(|value| !value.is_object() && !value.is_array() && !value.is_null()),
        "{widget}"
    );
    let expected = [
        "engines_healthy",
        "engines_total",
        "leader",
        "nodes_total",
        "nodes_up",
        "problem",
        "speed_down_mbit",
        "speed_up_mbit",
        "status",
        "streams",
        "version",
        "vpn_total",
        "vpn_up",
    ];
    assert_eq!(fields.keys().collect::<Vec<_>>(), expected);
    assert_eq!((&widget["leader"], &widget["version"]), (&json!("a"), &json!(env!("CARGO_PKG_VERSION"))));
    let numbers = ["nodes_up", "nodes_total", "engines_total", "streams", "vpn_total"];
    assert_eq!(numbers.map(|name| widget[name].as_u64()), [1, 1, 2, 1, 0].map(Some), "{widget}");
    bed.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_is_shown_so_at_once_everywhere() {
    let [a, b, c] = Bed::three().await;
    let beds = [&a, &b, &c];
    let leader =
        eventually("a node leads", async || beds.iter().position(|bed| bed.fleet.cluster().is_leader()))
            .await;
    let (leaver, other) = (beds[(leader + 1) % 3], beds[leader]);
    let name = leaver.fleet.config().node_name.clone();
    let state = async || {
        let cluster = other.get("/cluster").await.json();
        let nodes = cluster["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == name.as_str()).unwrap()["state"].clone()
    };
    assert_eq!(
        (state().await, other.get("/widget").await.json()["nodes_up"].clone()),
        (json!("up"), json!(3))
    );
    let mut feed = Follower::of(other, "kinds=change&types=node", None).await;
    leaver.begin_stop();
    loop {
        let change = feed.next_of("change").await.data;
        if change["key"] == name.as_str() && change["object"]["state"] != "up" {
            assert_eq!(change["object"]["state"], "stopping", "{change}");
            break;
        }
    }
    let widget = other.get("/widget").await.json();
    assert_eq!((&widget["nodes_up"], &widget["status"]), (&json!(2), &json!("degraded")), "{widget}");
    let metric = format!("acefleet_host_stopping{{node=\"{name}\"}} 1");
    assert!(other.get("/metrics").await.text.contains(&metric));
    eventually("its silence is seen", async || (state().await == "stopped").then_some(())).await;
    let widget = other.get("/widget").await.json();
    assert_eq!(widget["problem"], format!("{name} has been stopped."));
    for bed in [a, b, c] {
        bed.stop().await;
    }
}

#[tokio::test]
async fn the_widget_tells_of_a_leader_that_is_missing() {
    let bed = Bed::alone_of_three().await;
    let widget: Value = eventually("a widget without a leader", async || {
        let answer = bed.get("/widget").await;
        (answer.status == 200 && answer.json()["status"] == "critical").then(|| answer.json())
    })
    .await;
    assert_eq!((&widget["leader"], &widget["streams"]), (&json!(""), &json!(0)));
    assert!(widget["problem"].as_str().unwrap().contains("no leader"), "{widget}");
    bed.stop().await;
}
