//! What a VPN's control server answers, refuses or keeps to itself.

use acefleet_registry::State;
use acefleet_registry::vpn::VpnHealth;
use axum::http::StatusCode;

use crate::agent::vpn::{Answers, control, error, gluetun, node, status, wait_health};
use crate::bed::agent::until;
use crate::bed::fake::Fake;

#[tokio::test]
async fn what_gluetun_says_of_its_tunnel_counts_before_docker_sees_it() {
    let (port, answers) = control(Answers::open(Some("running"))).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, port, &[]).await;
    wait_health(&node, VpnHealth::Healthy).await;
    answers.lock().unwrap().tunnel = Some("crashed");
    let status = wait_health(&node, VpnHealth::Unhealthy).await;
    assert!(status.reason.contains("crashed"), "{status:?}");
    let look = |state: &State| (self::status(&node, state).forwarded_port == Some(51_414)).then_some(());
    answers.lock().unwrap().tunnel = Some("running");
    answers.lock().unwrap().port = 51_414;
    node.wait("the new port", look).await;
}

#[tokio::test]
async fn a_control_server_that_tells_nothing_of_its_tunnel_is_named_and_decides_nothing() {
    for (tunnel, closed, told, questions) in [
        (Some("ok"), None, Some("\"ok\""), 10..),
        (Some("running"), Some(StatusCode::UNAUTHORIZED), Some("401 for /v1/vpn/status"), 1..),
        (Some("running"), Some(StatusCode::FORBIDDEN), Some("403 for /v1/vpn/status"), 1..),
        // Older than the question.
        (Some("running"), Some(StatusCode::NOT_FOUND), None, 1..),
        (None, None, None, 1..),
    ] {
        let (port, answers) = control(Answers { closed, ..Answers::open(tunnel) }).await;
        let fake = Fake::new();
        fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
        let node = node(&fake, port, &[]).await;
        wait_health(&node, VpnHealth::Healthy).await;
        let before = answers.lock().unwrap().asked_port;
        until("many inspections", async || answers.lock().unwrap().asked_port >= before + 10).await;
        let asked = answers.lock().unwrap().asked;
        assert!(questions.contains(&asked), "{closed:?}: asked {asked} times");
        assert!(questions.start > 1 || asked <= 2, "{closed:?}: asked {asked} times");
        let error = error(&node);
        assert_eq!(error.is_some(), told.is_some(), "{closed:?}: {error:?}");
        assert!(told.is_none_or(|told| error.as_ref().is_some_and(|why| why.contains(told))), "{error:?}");
        assert_eq!(status(&node, &node.cluster.view().state).health, VpnHealth::Healthy);
        if closed.is_none_or(|status| status != StatusCode::UNAUTHORIZED) {
            continue;
        }
        // Another run reads its role file anew.
        answers.lock().unwrap().closed = None;
        fake.world().vpns.get_mut("gluetun").unwrap().started_at = "2026-01-01T01:00:00Z".to_owned();
        until("no complaint", async || self::error(&node).is_none()).await;
    }
}

#[tokio::test]
async fn a_closed_route_of_the_port_is_named_whatever_the_other_route_answers() {
    const NEW: &str = "/v1/portforward";
    const OLD: &str = "/v1/openvpn/portforwarded";
    for (closes, told) in [(&[NEW][..], NEW), (&[OLD], OLD), (&[NEW, OLD], NEW)] {
        // It knows neither route.
        let (port, _) = control(Answers { closes, port_route: "/none", ..Answers::open(None) }).await;
        let fake = Fake::new();
        fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
        let node = node(&fake, port, &[]).await;
        wait_health(&node, VpnHealth::Healthy).await;
        let wanted = format!("401 for {told}:");
        let says = async || error(&node).is_some_and(|why| why.contains(&wanted));
        until(&format!("{closes:?}: {wanted}"), says).await;
    }
    // Nobody listens: the whole reason is told.
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, 1, &[]).await;
    wait_health(&node, VpnHealth::Healthy).await;
    until("the reason", async || error(&node).is_some_and(|why| why.contains("Connection refused"))).await;
}

#[tokio::test]
async fn a_control_server_that_hangs_holds_up_no_inspection() {
    let (port, answers) = control(Answers::open(Some("running"))).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, port, &[("GLUETUN_PORT_CACHE_TTL_S", "1")]).await;
    wait_health(&node, VpnHealth::Healthy).await;
    answers.lock().unwrap().hangs = true;
    until("the reason", async || error(&node).is_some_and(|why| why.contains("timed out"))).await;
    let (asked, looks) = (answers.lock().unwrap().asked, fake.world().vpn_looks);
    until("many inspections", async || fake.world().vpn_looks >= looks + 20).await;
    let questions = answers.lock().unwrap().asked - asked;
    assert!(questions <= 3, "{questions} of 20 inspections have waited for it");
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("unhealthy"));
    let status = wait_health(&node, VpnHealth::Unhealthy).await;
    assert_eq!(status.forwarded_port, Some(51_413), "nobody has said anything else");
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    wait_health(&node, VpnHealth::Healthy).await;
    answers.lock().unwrap().hangs = false;
    until("no complaint", async || error(&node).is_none()).await;
}

#[tokio::test]
async fn a_forwarded_port_on_which_something_else_listens_is_told_to_no_engine() {
    let (api_port, answers) = control(Answers { port: 19_003, ..Answers::open(None) }).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, api_port, &[]).await;
    let status = wait_health(&node, VpnHealth::Healthy).await;
    assert_eq!(status.forwarded_port, None);
    let engine = node.running().await;
    assert_eq!(engine.forwarded_port, None);
    let says = |what: &'static str| {
        let node = &node;
        async move || error(node).is_some_and(|why| why.contains(what))
    };
    until("the reason", says("19003: it is among the ports of its engines")).await;
    answers.lock().unwrap().port = api_port;
    until("the control server to be named", says("control server listens")).await;
    answers.lock().unwrap().port = engine.ports.container_https;
    until("the engine to be named", says(engine.container_name.clone().leak())).await;
    answers.lock().unwrap().port = 51_413;
    node.wait("a port that can be used", |state| self::status(&node, state).forwarded_port).await;
    until("no complaint", async || error(&node).is_none()).await;
}
