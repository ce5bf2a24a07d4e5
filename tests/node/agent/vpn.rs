//! Engines behind a VPN container: the agent on a container engine in memory, the control server on a real
//! socket.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::bed::agent::{Node, until};
use crate::bed::fake::Fake;
use acefleet::agent::runtime::VpnView;
use acefleet::agent::spec::{LABEL_FORWARDED, LABEL_VPN_RUN};
use acefleet_registry::cause::Cause;
use acefleet_registry::engine::{EngineSpec, Phase};
use acefleet_registry::vpn::{VpnHealth, VpnStatus};
use acefleet_registry::{Engine, State};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64_free::is_basic;

/// Comparing a header needs no decoder.
mod base64_free {
    /// `me:hunter2`, as RFC 7617 has it.
    pub fn is_basic(header: &str) -> bool {
        header == "Basic bWU6aHVudGVyMg=="
    }
}

const RANGE: (&str, &str) = ("GLUETUN_PORT_RANGE_1", "19000-19009");

/// What the control server answers with.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) port: u16,
    pub(super) port_route: &'static str,
    pub(super) auth: &'static str,
    /// What it says of its tunnel; an old one does not know the question.
    pub(super) tunnel: Option<&'static str>,
    /// How often it was asked for that.
    pub(super) asked: usize,
    /// How often it refused.
    pub(super) refused: usize,
    /// It does not allow that question, and how it refuses.
    pub(super) closed: Option<StatusCode>,
    /// How often it was asked for its port.
    pub(super) asked_port: usize,
    /// Routes that it closes.
    pub(super) closes: &'static [&'static str],
    /// It takes questions and answers none.
    pub(super) hangs: bool,
    /// Its public address; empty when it knows none.
    pub(super) address: &'static str,
}

impl Answers {
    /// A control server that is open to everybody, and says this of its tunnel.
    pub(super) fn open(tunnel: Option<&'static str>) -> Self {
        Self {
            port: 51_413,
            port_route: "/v1/portforward",
            auth: "none",
            tunnel,
            asked: 0,
            refused: 0,
            closed: None,
            asked_port: 0,
            closes: &[],
            hangs: false,
            address: "203.0.113.24",
        }
    }
}

/// A control server and its port.
pub(super) async fn control(answers: Answers) -> (u16, Arc<Mutex<Answers>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::new(Mutex::new(answers));
    let answers = Arc::clone(&shared);
    let app = Router::new().fallback(move |request: Request| {
        let mut answers = answers.lock().unwrap();
        answers.asked += usize::from(request.uri().path() == "/v1/vpn/status");
        answers.asked_port += usize::from(request.uri().path() == answers.port_route);
        let given = answer(&answers, &request);
        answers.refused += usize::from(given.status() == StatusCode::UNAUTHORIZED);
        let hangs = answers.hangs;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            given
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (port, shared)
}

fn answer(answers: &Answers, request: &Request) -> Response {
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let allowed = match answers.auth {
        "key" => header("x-api-key") == "0123abcd",
        "basic" => is_basic(header("authorization")),
        _ => true,
    };
    let path = request.uri().path();
    if !allowed || answers.closes.contains(&path) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match path {
        "/v1/publicip/ip" => {
            format!(r#"{{"public_ip":"{}","country":"Netherlands"}}"#, answers.address).into_response()
        }
        "/v1/vpn/status" if answers.closed.is_some() => answers.closed.unwrap_or_default().into_response(),
        "/v1/vpn/status" if answers.tunnel.is_some() => {
            format!(r#"{{"status":"{}"}}"#, answers.tunnel.unwrap_or_default()).into_response()
        }
        _ if path == answers.port_route => format!(r#"{{"port":{}}}"#, answers.port).into_response(),
        // As Gluetun up to 3.39.
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

pub(super) fn gluetun(health: &str) -> VpnView {
    VpnView {
        id: "a".repeat(64),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        status: "running".to_owned(),
        running: true,
        health: Some(health.to_owned()),
        addresses: vec!["127.0.0.1".to_owned()],
        published: (19_000..19_010).map(|port| (port, port)).collect::<BTreeMap<_, _>>(),
        provider: Some("protonvpn".to_owned()),
        forwards_port: true,
    }
}

pub(super) async fn node(fake: &Arc<Fake>, api_port: u16, more: &[(&str, &str)]) -> Node {
    let api_port = api_port.to_string();
    let mut settings = vec![
        RANGE,
        ("GLUETUN_CONTAINER_NAME", "gluetun"),
        ("GLUETUN_API_PORT", &api_port),
        ("GLUETUN_HEALTH_CHECK_INTERVAL_S", "0.1"),
        ("GLUETUN_PORT_CACHE_TTL_S", "0.1"),
        ("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0"),
    ];
    settings.extend_from_slice(more);
    let mut node = Node::with_settings(Arc::clone(fake) as _, &settings, |_| {}).await;
    node.start().await;
    node
}

/// A node whose VPN is connected and forwards a port.
async fn connected(more: &[(&str, &str)]) -> (Node, Arc<Fake>) {
    let (port, _) = control(Answers::open(None)).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, port, more).await;
    wait_health(&node, VpnHealth::Healthy).await;
    (node, fake)
}

pub(super) fn status(node: &Node, state: &State) -> VpnStatus {
    state.vpn(node.id(), "gluetun").map(|vpn| vpn.status.clone()).unwrap_or_default()
}

pub(super) async fn wait_health(node: &Node, health: VpnHealth) -> VpnStatus {
    let look = |state: &State| Some(status(node, state)).filter(|status| status.health == health);
    node.wait(&format!("a VPN that is {health:?}"), look).await
}

fn serving(state: &State, but: &Engine) -> Option<Arc<Engine>> {
    let mut others = state.live_engines().filter(|e| e.phase.is_serving() && e.id != but.id);
    others.next().cloned()
}

#[tokio::test]
async fn engines_join_the_network_and_one_gets_the_forwarded_port() {
    for (auth, route, settings) in [
        ("none", "/v1/portforward", &[][..]),
        ("key", "/v1/openvpn/portforwarded", &[("GLUETUN_API_KEY", "0123abcd")]),
        ("basic", "/v1/portforward", &[("GLUETUN_API_USERNAME", "me"), ("GLUETUN_API_PASSWORD", "hunter2")]),
    ] {
        let (port, answers) = control(Answers { port_route: route, auth, ..Answers::open(None) }).await;
        let fake = Fake::new();
        fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
        let node = node(&fake, port, settings).await;
        let status = wait_health(&node, VpnHealth::Healthy).await;
        assert_eq!(status.forwarded_port, Some(51_413), "{auth}");
        assert_eq!(status.public.unwrap().ip, "203.0.113.24");
        let (first, second) = (node.running().await, node.running().await);
        assert_eq!((first.forwarded_port, second.forwarded_port), (Some(51_413), None));
        let containers = fake.world().containers.clone();
        let of = |engine: &Engine| containers[engine.container_id.as_deref().unwrap()].clone();
        assert_eq!(of(&first).labels[LABEL_VPN_RUN], gluetun("healthy").instance());
        assert!(of(&first).ports.is_empty());
        assert!(
            of(&first).labels.contains_key(LABEL_FORWARDED)
                && !of(&second).labels.contains_key(LABEL_FORWARDED)
        );
        // Another port, and later none: the record follows.
        answers.lock().unwrap().port = 51_414;
        let look = |state: &State| (self::status(&node, state).forwarded_port == Some(51_414)).then_some(());
        node.wait("the new port", look).await;
        answers.lock().unwrap().port = 0;
        let look = |state: &State| self::status(&node, state).forwarded_port.is_none().then_some(());
        node.wait("no port", look).await;
    }
}

#[tokio::test]
async fn health_follows_the_container_and_stays_without_a_daemon() {
    let fake = Fake::new();
    let (port, _answers) = control(Answers { port: 1, ..Answers::open(None) }).await;
    let node = node(&fake, port, &[]).await;
    let missing = wait_health(&node, VpnHealth::Unhealthy).await;
    assert!(missing.reason.contains("no such container"), "{missing:?}");
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("starting"));
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    wait_health(&node, VpnHealth::Healthy).await;
    fake.world().up = false;
    let look = |state: &State| {
        let docker = &state.node(node.id()).unwrap().docker;
        matches!(docker, acefleet_registry::node::DockerState::Unavailable(_)).then_some(())
    };
    node.wait("Docker to be away", look).await;
    let revision = node.cluster.view().revision;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(status(&node, &node.cluster.view().state).health, VpnHealth::Healthy);
    assert_eq!(node.cluster.view().revision, revision, "something was written");
    fake.world().up = true;
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("unhealthy"));
    wait_health(&node, VpnHealth::Unhealthy).await;
    fake.world().vpns.get_mut("gluetun").unwrap().running = false;
    fake.world().vpns.get_mut("gluetun").unwrap().status = "exited".to_owned();
    node.wait("the reason", |state| status(&node, state).reason.contains("exited").then_some(())).await;
}

/// What `/vpn/status` says is wrong.
pub(super) fn error(node: &Node) -> Option<String> {
    node.soft.view().vpn(node.id(), "gluetun").and_then(|vpn| vpn.error.clone())
}

#[tokio::test]
async fn a_tunnel_that_somebody_stopped_is_not_restarted_and_one_that_crashed_is() {
    let (port, answers) = control(Answers::open(Some("running"))).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, port, &[("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0.3")]).await;
    wait_health(&node, VpnHealth::Healthy).await;
    answers.lock().unwrap().tunnel = Some("stopped");
    wait_health(&node, VpnHealth::Unhealthy).await;
    let before = answers.lock().unwrap().asked;
    until("many inspections", async || answers.lock().unwrap().asked >= before + 10).await;
    assert_eq!(fake.world().restarts, 0, "somebody wants it down");
    answers.lock().unwrap().tunnel = Some("crashed");
    until("a restart", async || fake.world().restarts == 1).await;
}

#[tokio::test]
async fn an_outage_is_no_time_without_a_port() {
    let (port, answers) = control(Answers::open(Some("running"))).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, port, &[]).await;
    assert_eq!(wait_health(&node, VpnHealth::Healthy).await.forwarded_port, Some(51_413));
    let before = answers.lock().unwrap().asked_port;
    answers.lock().unwrap().port = 0;
    until("it tells no port", async || answers.lock().unwrap().asked_port > before).await;
    answers.lock().unwrap().tunnel = Some("crashed");
    wait_health(&node, VpnHealth::Unhealthy).await;
    let down = std::time::Instant::now();
    until("more than five seconds", async || down.elapsed().as_secs() > 5).await;
    answers.lock().unwrap().tunnel = Some("running");
    let status = wait_health(&node, VpnHealth::Healthy).await;
    assert_eq!(status.forwarded_port, Some(51_413), "the outage counts");
}

#[tokio::test]
async fn engines_of_an_earlier_run_of_the_container_end() {
    let (node, fake) = connected(&[]).await;
    let engine = node.running().await;
    // The same container, started again.
    fake.world().vpns.get_mut("gluetun").unwrap().started_at = "2026-01-01T01:00:00Z".to_owned();
    let gone = node.wait_phase(engine.id, &[Phase::Gone]).await;
    assert_eq!(gone.ending.as_ref().unwrap().cause, Cause::VpnRecreated);
    let next = node.running().await;
    assert_eq!(next.forwarded_port, Some(51_413));
    // Another container of the same name.
    fake.world().vpns.get_mut("gluetun").unwrap().id = "b".repeat(64);
    node.wait_phase(next.id, &[Phase::Gone]).await;
    assert!(serving(&node.cluster.view().state, &next).is_none());
    assert!(fake.ids().is_empty());
}

#[tokio::test]
async fn a_new_run_of_the_container_has_no_port_until_it_tells_one() {
    let (api_port, answers) = control(Answers::open(None)).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
    let node = node(&fake, api_port, &[]).await;
    let status = wait_health(&node, VpnHealth::Healthy).await;
    assert_eq!(status.forwarded_port, Some(51_413));
    let port = |state: &State, wanted| (self::status(&node, state).forwarded_port == wanted).then_some(());
    // Nobody may ask it: what the same run has told stays true.
    let before = answers.lock().unwrap().refused;
    answers.lock().unwrap().auth = "key";
    until("a refusal", async || answers.lock().unwrap().refused > before).await;
    assert_eq!(port(&node.cluster.view().state, Some(51_413)), Some(()));
    fake.world().vpns.get_mut("gluetun").unwrap().started_at = "2026-01-01T01:00:00Z".to_owned();
    node.wait("no port", |state| port(state, None)).await;
    answers.lock().unwrap().auth = "none";
    fake.world().vpns.get_mut("gluetun").unwrap().started_at = "2026-01-01T02:00:00Z".to_owned();
    node.wait("its port", |state| port(state, Some(51_413))).await;
}

#[tokio::test]
async fn an_outage_that_lasts_has_the_container_restarted_once() {
    let (node, fake) = connected(&[("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0.3")]).await;
    for restarts in 1..=2 {
        fake.world().vpns.get_mut("gluetun").unwrap().health = Some("unhealthy".to_owned());
        wait_health(&node, VpnHealth::Unhealthy).await;
        wait_health(&node, VpnHealth::Healthy).await;
        assert_eq!(fake.world().restarts, restarts);
    }
}

#[tokio::test]
async fn a_vpn_is_looked_at_while_docker_restarts_its_container() {
    let (mut node, fake) = connected(&[("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0.3")]).await;
    fake.world().restarts_hang = true;
    for restarts in 1..=2 {
        fake.world().vpns.get_mut("gluetun").unwrap().health = Some("unhealthy".to_owned());
        wait_health(&node, VpnHealth::Unhealthy).await;
        wait_health(&node, VpnHealth::Healthy).await;
        assert_eq!(fake.world().restarts, restarts);
    }
    node.stop_agent().await;
}

#[tokio::test]
async fn a_reservation_without_a_network_fails_with_that_cause() {
    let (node, fake) = connected(&[]).await;
    // The monitor does not know yet that the container is another one.
    fake.world().vpns.get_mut("gluetun").unwrap().running = false;
    let id = node.reserve(EngineSpec::acestream()).await.id;
    let failed = node.wait_phase(id, &[Phase::Failed]).await;
    assert_eq!(failed.ending.as_ref().unwrap().cause, Cause::VpnError, "{failed:?}");
}

/// What an engine says of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Connected,
    CutOff,
    Nothing,
}

/// An engine that is healthy and says this of its network, on a port of its own, and how often it was asked for that.
async fn engine(says: Says) -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let app = Router::new().fallback(move |request: Request| {
        let is_asked = request.uri().query().is_some_and(|q| q.contains("get_network_connection_status"));
        count.fetch_add(usize::from(is_asked), Ordering::SeqCst);
        async move {
            if is_asked && says == Says::Nothing {
                std::future::pending::<()>().await;
            }
            format!(r#"{{"result":{{"connected":{}}},"error":null}}"#, says == Says::Connected)
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (port, asked)
}

#[tokio::test]
async fn a_connected_engine_overrules_docker_and_gluetun_overrules_the_engine() {
    for says in [Says::Connected, Says::CutOff, Says::Nothing] {
        let (api_port, answers) = control(Answers::open(Some("running"))).await;
        let (port, asked) = engine(says).await;
        let fake = Fake::new();
        fake.world().vpns.insert("gluetun".to_owned(), gluetun("healthy"));
        let range = format!("{port}-{port}");
        let node = node(&fake, api_port, &[("GLUETUN_PORT_RANGE_1", &range)]).await;
        wait_health(&node, VpnHealth::Healthy).await;
        assert_eq!(node.running().await.ports.host_http, port);
        assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody doubts its network");
        fake.world().vpns.insert("gluetun".to_owned(), gluetun("unhealthy"));
        if says == Says::Connected {
            until("the engine is asked", async || asked.load(Ordering::SeqCst) > 0).await;
            let before = answers.lock().unwrap().asked;
            until("many inspections", async || answers.lock().unwrap().asked >= before + 10).await;
            assert_eq!(status(&node, &node.cluster.view().state).health, VpnHealth::Healthy);
            let questions = asked.load(Ordering::SeqCst);
            assert!(questions < 5, "it was asked {questions} times, not every ten seconds");
            let soft = node.soft.view();
            let why = soft.vpn(node.id(), "gluetun").and_then(|vpn| vpn.overruled.clone());
            assert!(why.is_some_and(|why| why.contains("is connected")), "nobody says why");
            answers.lock().unwrap().tunnel = Some("stopped");
            let status = wait_health(&node, VpnHealth::Unhealthy).await;
            assert!(status.reason.contains("stopped"), "{status:?}");
        } else {
            let status = wait_health(&node, VpnHealth::Unhealthy).await;
            assert!(status.reason.contains("health check"), "{says:?}: {status:?}");
        }
    }
}

/// Why the VPN counts as healthy although Docker says otherwise.
fn overruled(node: &Node) -> Option<String> {
    node.soft.view().vpn(node.id(), "gluetun").and_then(|vpn| vpn.overruled.clone())
}

#[tokio::test]
async fn where_no_engine_can_be_asked_gluetun_overrules_docker_and_the_first_engine_is_the_test() {
    let (api_port, answers) = control(Answers { address: "", ..Answers::open(Some("running")) }).await;
    let (port, asked) = engine(Says::Connected).await;
    let fake = Fake::new();
    fake.world().vpns.insert("gluetun".to_owned(), gluetun("unhealthy"));
    let range = format!("{port}-{port}");
    let node = node(&fake, api_port, &[("GLUETUN_PORT_RANGE_1", &range)]).await;
    wait_health(&node, VpnHealth::Unhealthy).await;
    let before = answers.lock().unwrap().asked;
    until("many inspections", async || answers.lock().unwrap().asked >= before + 10).await;
    let status = status(&node, &node.cluster.view().state);
    assert_eq!(
        status.health,
        VpnHealth::Unhealthy,
        "it has no address, so nobody knows whether its tunnel was ever up"
    );
    // Another run tells one.
    answers.lock().unwrap().address = "203.0.113.24";
    fake.world().vpns.get_mut("gluetun").unwrap().started_at = "2026-01-01T01:00:00Z".to_owned();
    wait_health(&node, VpnHealth::Healthy).await;
    let says_so = async || overruled(&node).is_some_and(|why| why.contains("Gluetun says"));
    until("somebody to say why", says_so).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    node.running().await;
    let names_it = async || overruled(&node).is_some_and(|why| why.contains("is connected"));
    until("the engine to be believed instead", names_it).await;
    answers.lock().unwrap().tunnel = Some("crashed");
    wait_health(&node, VpnHealth::Unhealthy).await;
}
