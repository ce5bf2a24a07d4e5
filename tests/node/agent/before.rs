//! Engines of the orchestrator that ran here before: nothing touches them until they are adopted, and then they are engines like others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use acefleet::agent::DockerRuntime;
use acefleet::agent::runtime::{ContainerRuntime, Scope};
use acefleet::agent::spec;
use acefleet::config::{Host, Sources, resolve};
use acefleet::peers::LeftBehind;
use acefleet_registry::engine::Phase;
use axum::Router;
use axum::http::Uri;
use axum::response::IntoResponse;
use serde_json::json;

use super::reconcile::SERVING;
use crate::bed::agent::{Node, until};
use crate::bed::fake::{Box, Fake};

const PORT: u16 = 19_706;

/// An engine as the orchestrator of before made it: with its labels, and none of a cluster.
fn old_engine(fake: &Fake) -> String {
    let port = PORT.to_string();
    let labels = [
        ("ondemand.app", "myservice"),
        (spec::LABEL_HTTP, &port),
        (spec::LABEL_HTTPS, "45706"),
        (spec::LABEL_HOST_HTTP, &port),
        ("stream_id", "abc|1"),
    ];
    fake.put(Box {
        name: "acestream-7".to_owned(),
        image: "ghcr.io/krinkuto11/acestream-http-proxy:latest".to_owned(),
        status: "running".to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ports: [(format!("{PORT}/tcp"), PORT)].into(),
        ..Box::default()
    })
}

async fn node(fake: &Arc<Fake>) -> Node {
    let mut node =
        Node::new(fake.clone(), |config| config.monitor_interval = Duration::from_millis(200)).await;
    node.start().await;
    node
}

/// What the node reports as left behind.
fn shown(node: &Node) -> Vec<LeftBehind> {
    let soft = node.soft.view();
    soft.nodes.get(&node.id()).map(|last| last.report.left_behind.clone()).unwrap_or_default()
}

#[tokio::test]
async fn nothing_touches_an_engine_of_before_until_it_is_adopted_by_force() {
    let fake = Fake::new();
    let old = old_engine(&fake);
    let other = fake.put(Box { name: "web".to_owned(), status: "running".to_owned(), ..Box::default() });
    let mut node = node(&fake).await;
    // A whole life of an engine goes by, with many lists; then the agent starts again.
    node.running().await;
    until("it is shown as left behind", async || !shown(&node).is_empty()).await;
    let left = shown(&node);
    assert_eq!(left.iter().map(|left| left.name.as_str()).collect::<Vec<_>>(), ["acestream-7"]);
    assert!(left[0].why.contains("ondemand.app=myservice") && left[0].why.contains("--force"), "{left:?}");
    node.stop_agent().await;
    node.start_agent();
    node.running().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let is_untouched = |node: &Node| {
        fake.ids().contains(&old) && node.cluster.view().state.engine_by_container(&old).is_none()
    };
    assert!(is_untouched(&node));

    let refused = node.agent().adopt_left_behind(false, None).await.unwrap();
    assert!(refused.len() == 1 && refused[0].refused.as_ref().unwrap().contains("--force"), "{refused:?}");
    assert!(is_untouched(&node));
    let adopted = node.agent().adopt_left_behind(true, None).await.unwrap();
    assert!(adopted.len() == 1 && adopted[0].refused.is_none(), "{adopted:?}");
    assert!(fake.ids().contains(&other));
}

#[tokio::test]
async fn an_adopted_engine_of_before_keeps_name_port_labels_and_its_stream() {
    let fake = Fake::new();
    let old = old_engine(&fake);
    let mut node = node(&fake).await;
    node.agent().adopt_left_behind(true, None).await.unwrap();
    let engine = node.wait("adoption", |s| s.engine_by_container(&old).cloned()).await;
    assert!(SERVING.contains(&engine.phase));
    assert_eq!((engine.container_name.as_str(), engine.ports.host_http), ("acestream-7", PORT));
    assert_eq!(engine.spec.labels, BTreeMap::from([("stream_id".to_owned(), "abc|1".to_owned())]));
    node.play(&engine, "abc|1", "1").await;
    // Lists and a new agent know it by its id, as it has no label of this node.
    for _ in 0..2 {
        fake.change(&old, |_| {});
        node.running().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let view = node.cluster.view();
        assert!(SERVING.contains(&view.state.engine(engine.id).unwrap().phase));
        assert!(view.state.stream("abc|1").unwrap().is_started() && fake.ids().contains(&old));
        node.stop_agent().await;
        node.start_agent();
    }
    let again = node.agent().adopt_left_behind(true, None).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
    // Its end is seen like that of any other.
    fake.change(&old, |container| container.status = "exited".to_owned());
    node.wait_phase(engine.id, &[Phase::Gone]).await;
    until("its remains are gone", async || !fake.ids().contains(&old)).await;
}

/// A daemon that filters as Docker does: one container, which has no label of a node.
async fn daemon(id: &'static str) -> u16 {
    let answer = move |uri: Uri| async move {
        if uri.path().ends_with("/version") {
            return axum::Json(json!({"ApiVersion": "1.43", "MinAPIVersion": "1.24", "Version": "24.0"}))
                .into_response();
        }
        if !uri.path().ends_with("/containers/json") {
            return "OK".into_response();
        }
        let query = uri.query().unwrap_or_default();
        let found = match query.contains("label") || !query.contains(id) {
            true => json!([]),
            false => json!([{"Id": id, "Names": ["/acestream-7"], "State": "running", "Labels": {}}]),
        };
        axum::Json(found).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    port
}

#[tokio::test]
async fn lists_of_docker_have_an_adopted_container_without_our_label() {
    const ID: &str = "4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e6d7c8b9a4f5e";
    let at = format!("http://127.0.0.1:{}", daemon(ID).await);
    let settings = [("DOCKER_HOST", at.as_str()), ("ACEFLEET_DATA_DIR", "/nonexistent")];
    let host = Host { name: Some("alpha".into()), ..Host::default() };
    let config = resolve(Sources::from_maps(&settings, &[], "", host)).unwrap().config;
    let runtime = DockerRuntime::new(&config);
    let scope = |engines: BTreeSet<String>| Scope {
        cluster_ids: vec!["c".to_owned()],
        node_name: "alpha".to_owned(),
        engines,
    };
    assert!(runtime.list(&scope(BTreeSet::new())).await.unwrap().is_empty());
    let found = runtime.list(&scope([ID.to_owned()].into())).await.unwrap();
    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["acestream-7"]);
}

#[tokio::test]
async fn one_outside_of_the_vpn_of_its_host_is_not_adopted_to_be_stopped() {
    let fake = Fake::new();
    let old = old_engine(&fake);
    // Nothing answers there, so its VPN is not connected.
    let node = super::vpn::node(&fake, 9, &[]).await;
    until("it is shown as left behind", async || !shown(&node).is_empty()).await;
    let refused = node.agent().adopt_left_behind(true, None).await.unwrap();
    assert!(
        refused.len() == 1 && refused[0].refused.as_ref().unwrap().contains(spec::LABEL_VPN),
        "{refused:?}"
    );
    assert!(fake.ids().contains(&old) && node.cluster.view().state.engine_by_container(&old).is_none());
}
