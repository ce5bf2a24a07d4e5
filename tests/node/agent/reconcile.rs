//! The agent with a container engine in memory and a real registry: after every failure, records and containers agree again, and foreign
//! containers are untouched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::bed::agent::{Node, container, generic, until};
use crate::bed::fake::{Box, Fake, IMAGE_LABEL};
use acefleet::agent::spec::{self, LABEL_CLUSTER, LABEL_NODE};
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{EngineSpec, Phase};
use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, Engine, Policy, Reply};

const IMAGE: &str = "ghcr.io/krinkuto11/acestream-http-proxy:latest";
pub(super) const SERVING: [Phase; 2] = [Phase::Starting, Phase::Running];

/// A node whose agent sees changes by events alone: the periodic list never comes.
async fn node(fake: &Arc<Fake>) -> Node {
    let mut node =
        Node::new(fake.clone(), |config| config.monitor_interval = Duration::from_secs(3_600)).await;
    node.start().await;
    node
}

fn labels(node: &Node, engine: &str) -> BTreeMap<String, String> {
    let cluster = node.cluster.cluster_id().unwrap();
    let port = (19_500 + engine.len()).to_string();
    [
        (LABEL_CLUSTER, cluster.as_str()),
        (LABEL_NODE, "alpha"),
        (spec::LABEL_ENGINE, engine),
        (spec::LABEL_HTTP, &port),
        (spec::LABEL_HTTPS, "45500"),
        (spec::LABEL_HOST_HTTP, &port),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

pub(super) fn ending(engine: &Engine) -> (&str, &str) {
    let ending = engine.ending.as_ref().unwrap();
    (ending.cause.as_str(), &ending.message)
}

#[tokio::test]
async fn a_reservation_becomes_a_running_container() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let engine = node.running().await;
    let world = fake.world();
    let made = &world.containers[engine.container_id.as_deref().unwrap()];
    assert_eq!(made.name, "acestream-1");
    let cluster = node.cluster.cluster_id().unwrap();
    let mut labels = made.labels.clone();
    labels.remove(IMAGE_LABEL);
    assert_eq!(labels, spec::labels(&engine, &node.config.policy, &cluster, "alpha"));
    assert_eq!((engine.image.as_deref(), engine.variant.as_deref()), (Some(IMAGE), Some("krinkuto11-amd64")));
}

#[tokio::test]
async fn many_reservations_become_as_many_containers() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let mut engines = Vec::new();
    for _ in 0..10 {
        engines.push(node.reserve(EngineSpec::acestream()).await.id);
    }
    for id in engines {
        node.wait_phase(id, &SERVING).await;
    }
    let world = fake.world();
    assert_eq!((world.made, world.containers.len()), (10, 10));
}

#[tokio::test]
async fn docker_away_changes_nothing_and_comes_back() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let engine = node.running().await;
    let docker = |state: &acefleet_registry::State| state.node(node.id()).map(|n| n.docker.clone());
    node.wait("Docker is announced", |s| (docker(s)? == DockerState::Available).then_some(())).await;

    // Docker goes away while it starts an engine.
    let held = fake.hold();
    let late = node.reserve(EngineSpec::acestream()).await;
    fake.world().up = false;
    let why = node.wait("its absence is announced", |s| match docker(s)? {
        DockerState::Unavailable(why) => Some(why),
        _ => None,
    });
    assert_eq!(why.await, "Docker does not answer: switched off");
    let late = node.wait_phase(late.id, &[Phase::Failed]).await;
    assert_eq!(ending(&late).0, "docker_unavailable");
    assert!(node.cluster.view().state.engine(engine.id).unwrap().phase.is_serving());

    fake.world().up = true;
    drop(held);
    node.wait("its return is announced", |s| (docker(s)? == DockerState::Available).then_some(())).await;
    let next = node.running().await;
    assert!(node.cluster.view().state.engine(engine.id).unwrap().phase.is_serving());
    assert_eq!(fake.ids(), [container(&engine), container(&next)]);
}

#[tokio::test]
async fn a_drained_engine_is_removed() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let (engine, other) = (node.running().await, node.running().await);
    let stop = Command::EngineStop { engine: engine.id, cause: Cause::Deleted, when: StopWhen::Always };
    node.write(stop).await;
    let gone = node.wait_phase(engine.id, &[Phase::Gone]).await;
    assert_eq!(ending(&gone).0, "deleted");
    assert_eq!(fake.ids(), [container(&other)]);
}

#[tokio::test]
async fn a_removal_by_hand_is_noticed_by_its_event() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let engine = node.running().await;
    node.play(&engine, "s", "1").await;
    fake.remove_by_hand(engine.container_id.as_deref().unwrap(), false);
    let gone = node.wait_phase(engine.id, &[Phase::Gone]).await;
    assert_eq!(ending(&gone).0, "vanished");
    assert!(!node.cluster.view().state.stream("s").unwrap().is_started());
}

#[tokio::test]
async fn a_removal_without_an_event_is_noticed_by_the_list() {
    let fake = Fake::new();
    let mut node =
        Node::new(fake.clone(), |config| config.monitor_interval = Duration::from_millis(50)).await;
    node.start().await;
    let engine = node.running().await;
    fake.remove_by_hand(engine.container_id.as_deref().unwrap(), true);
    let gone = node.wait_phase(engine.id, &[Phase::Gone]).await;
    assert_eq!(ending(&gone).0, "vanished");
}

#[tokio::test]
async fn a_wrong_empty_list_ends_no_engine() {
    let fake = Fake::new();
    let mut node =
        Node::new(fake.clone(), |config| config.monitor_interval = Duration::from_millis(20)).await;
    node.start().await;
    let engines = [node.running().await, node.running().await];
    node.play(&engines[0], "s", "1").await;
    fake.world().lists_nothing = true;
    until("several lists are empty", async || fake.world().empty_lists >= 10).await;
    let state = Arc::clone(&node.cluster.view());
    assert!(state.state.stream("s").unwrap().is_started());
    assert!(engines.iter().all(|engine| state.state.engine(engine.id).unwrap().phase.is_serving()));
    assert_eq!(fake.ids(), engines.each_ref().map(|engine| container(engine)));
    // One that is removed indeed is noticed nevertheless.
    fake.remove_by_hand(&container(&engines[1]), true);
    let gone = node.wait_phase(engines[1].id, &[Phase::Gone]).await;
    assert_eq!(ending(&gone).0, "vanished");
    assert!(node.cluster.view().state.engine(engines[0].id).unwrap().phase.is_serving());
}

#[tokio::test]
async fn a_dead_container_is_reported_with_its_cause_and_removed() {
    let fake = Fake::new();
    let node = node(&fake).await;
    for (oom_killed, cause) in [(false, "exited"), (true, "oom")] {
        let engine = node.running().await;
        fake.change(engine.container_id.as_deref().unwrap(), |c| {
            c.status = "exited".to_owned();
            c.oom_killed = oom_killed;
        });
        let gone = node.wait_phase(engine.id, &[Phase::Gone]).await;
        assert_eq!(ending(&gone).0, cause);
        assert_eq!(fake.ids(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_foreign_container_keeps_its_name() {
    let fake = Fake::new();
    let foreign =
        fake.put(Box { name: "acestream-1".to_owned(), status: "running".to_owned(), ..Box::default() });
    let node = node(&fake).await;
    let engine = node.running().await;
    assert_eq!(engine.container_name, "acestream-2");
    assert!(fake.ids().contains(&foreign));
}

#[tokio::test]
async fn any_number_of_foreign_names_costs_one_attempt() {
    let fake = Fake::new();
    for n in 1..=110 {
        fake.put(Box { name: format!("acestream-{n}"), status: "created".to_owned(), ..Box::default() });
    }
    let node = node(&fake).await;
    let mut names = Vec::new();
    for _ in 0..5 {
        names.push(node.running().await.container_name.clone());
    }
    let wanted: Vec<String> = (111..=115).map(|n| format!("acestream-{n}")).collect();
    assert_eq!(names, wanted);
    assert_eq!(fake.world().tried, 6, "five engines and one name that was taken");
}

#[tokio::test]
async fn ports_of_other_programs_are_avoided() {
    let fake = Fake::new();
    fake.world().taken_ports.extend([19_000, 19_001, 19_002]);
    let node = node(&fake).await;
    let engine = node.running().await;
    let ports = engine.ports;
    assert_eq!((ports.host_http, ports.container_http), (19_003, 19_003));
    assert_eq!(fake.world().made, 1);
    let fixed = EngineSpec { host_port: Some(19_001), ..EngineSpec::acestream() };
    let fixed = node.reserve(fixed).await;
    let failed = node.wait_phase(fixed.id, &[Phase::Failed]).await;
    assert_eq!(ending(&failed).0, "port_taken");
}

#[tokio::test]
async fn an_engine_fails_after_too_many_conflicts() {
    let fake = Fake::new();
    fake.world().taken_ports.extend(19_000..19_999);
    let node = node(&fake).await;
    let id = node.reserve(EngineSpec::acestream()).await.id;
    let failed = node.wait_phase(id, &[Phase::Failed]).await;
    assert_eq!(ending(&failed).0, "conflict");
}

#[tokio::test]
async fn a_container_from_before_a_crash_is_used() {
    let fake = Fake::new();
    let mut node = Node::new(fake.clone(), |_| {}).await;
    node.register().await;
    // The crash: the container was made, nothing was reported.
    let engine = node.reserve(EngineSpec::acestream()).await;
    let cluster = node.cluster.cluster_id().unwrap();
    let started =
        fake.put_spec(&spec::container(&engine, &node.config, &node.config.policy, &cluster, None).unwrap());
    node.start_agent();
    let engine = node.wait_phase(engine.id, &SERVING).await;
    assert_eq!(container(&engine), started);
    assert_eq!(fake.world().made, 0);
    assert_eq!(fake.ids(), [started]);
}

#[tokio::test]
async fn half_made_remains_of_a_crash_are_replaced() {
    replaced(|remains| remains.status = "created".to_owned()).await;
}

#[tokio::test]
async fn a_container_with_an_earlier_lease_is_replaced() {
    let earlier = |remains: &mut Box| {
        remains.labels.insert(spec::LABEL_HOST_HTTP.to_owned(), "18999".to_owned());
    };
    replaced(earlier).await;
}

/// The crash left the engine's own container, but not as it is wanted now.
async fn replaced(change: impl Fn(&mut Box)) {
    let fake = Fake::new();
    let mut node = Node::new(fake.clone(), |_| {}).await;
    node.register().await;
    let engine = node.reserve(EngineSpec::acestream()).await;
    let cluster = node.cluster.cluster_id().unwrap();
    let remains =
        fake.put_spec(&spec::container(&engine, &node.config, &node.config.policy, &cluster, None).unwrap());
    fake.change(&remains, |c| change(c));
    node.start_agent();
    let engine = node.wait_phase(engine.id, &SERVING).await;
    assert_ne!(container(&engine), remains);
    assert_eq!(fake.ids(), [container(&engine)]);
}

#[tokio::test]
async fn a_lost_answer_leaves_no_second_container() {
    let fake = Fake::new();
    let node = node(&fake).await;
    fake.world().lose_answers = 1;
    let id = node.reserve(EngineSpec::acestream()).await.id;
    let failed = node.wait_phase(id, &[Phase::Failed]).await;
    assert_eq!(ending(&failed).0, "docker_unavailable");
    // The next engine's start makes the agent look; what the lost call made is cleared away.
    let next = node.running().await;
    let only = container(&next);
    until("the remains are gone", async || fake.ids() == [only.clone()]).await;
}

#[tokio::test]
async fn a_container_that_came_too_late_is_removed() {
    let fake = Fake::new();
    let node = node(&fake).await;
    fake.gate.forget_permits(1_000);
    let id = node.reserve(EngineSpec::acestream()).await.id;
    let failed = Command::EngineFailed { engine: id, cause: Cause::StartupTimeout, message: String::new() };
    assert!(matches!(node.write(failed).await, Reply::Engine(_)));
    fake.gate.add_permits(1);
    until("the container was made", async || fake.world().made == 1).await;
    until("and removed", async || fake.ids().is_empty()).await;
    assert_eq!(node.cluster.view().state.engine(id).unwrap().phase, Phase::Failed);
}

#[tokio::test]
async fn running_containers_of_ours_are_adopted_and_others_left_alone() {
    let fake = Fake::new();
    let mut node = Node::new(fake.clone(), |_| {}).await;
    let put = |name: &str, status: &str, labels: BTreeMap<String, String>| {
        fake.put(Box { name: name.to_owned(), status: status.to_owned(), labels, ..Box::default() })
    };
    let ours = put("acestream-9", "running", labels(&node, "99"));
    let dead = put("acestream-8", "exited", labels(&node, "199"));
    let elsewhere = [(LABEL_CLUSTER, "other"), (LABEL_NODE, "beta")].map(|(label, value)| {
        let mut labels = labels(&node, "99");
        labels.insert(label.to_owned(), value.to_owned());
        put(value, "exited", labels)
    });
    node.start().await;
    let adopted = node.wait("adoption", |s| s.engine_by_container(&ours).cloned()).await;
    assert!(adopted.phase.is_serving());
    assert_eq!(adopted.ports.host_http, 19_502);
    until("the dead one is cleared away", async || !fake.ids().contains(&dead)).await;
    assert!(elsewhere.iter().all(|id| fake.ids().contains(id)));
}

#[tokio::test]
async fn a_container_whose_port_is_leased_to_another_is_not_kept() {
    let fake = Fake::new();
    let mut node = Node::new(fake.clone(), |_| {}).await;
    node.start().await;
    let engine = node.running().await;
    let mut labels = labels(&node, "99");
    labels.insert(spec::LABEL_HOST_HTTP.to_owned(), engine.ports.host_http.to_string());
    let twin =
        fake.put(Box { name: "twin".to_owned(), status: "running".to_owned(), labels, ..Box::default() });
    fake.change(&twin, |_| {});
    until("the twin is gone", async || !fake.ids().contains(&twin)).await;
    assert_eq!(fake.ids(), [container(&engine)]);
}

#[tokio::test]
async fn engines_outlive_the_agent() {
    let fake = Fake::new();
    let mut node = node(&fake).await;
    let engine = node.running().await;
    node.play(&engine, "s", "1").await;
    node.stop_agent().await;
    let before = node.cluster.view().revision;
    node.start_agent();
    let next = node.running().await;
    let ids = [container(&engine), container(&next)];
    assert_eq!(fake.ids(), ids);
    let view = node.cluster.view();
    assert!(view.state.stream("s").unwrap().is_started());
    // The reservation, the start, and at most one announcement of Docker.
    assert!(view.revision <= before + 3, "{} writes", view.revision - before);
}

#[tokio::test]
async fn a_missing_image_is_pulled_or_named() {
    let fake = Fake::new();
    fake.world().missing_images.insert("here:1".to_owned(), Ok(()));
    fake.world().missing_images.insert("away:1".to_owned(), Err("no route to the registry".to_owned()));
    let node = node(&fake).await;
    let here = node.reserve(generic("here:1")).await.id;
    node.wait_phase(here, &SERVING).await;
    let away = node.reserve(generic("away:1")).await.id;
    let failed = node.wait_phase(away, &[Phase::Failed]).await;
    let (cause, message) = ending(&failed);
    assert_eq!(cause, "image_missing");
    for part in ["away:1", "no route to the registry", "`docker pull away:1`"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(fake.world().pulls, ["here:1", "away:1"]);
}

#[tokio::test]
async fn a_slow_pull_is_neither_a_missing_image_nor_a_reason_to_stop_trying() {
    let fake = Fake::new();
    fake.world().missing_images.insert("slow:1".to_owned(), Ok(()));
    let spec = || EngineSpec { image: Some("slow:1".to_owned()), ..EngineSpec::acestream() };
    let node = node(&fake).await;
    node.write(Command::SetPolicy(Policy { startup_timeout_ms: 100, ..Policy::default() })).await;
    let slow = fake.slow_registry.lock().await;
    for _ in 0..6 {
        let id = node.reserve(spec()).await.id;
        let failed = node.wait_phase(id, &[Phase::Failed]).await;
        let (cause, message) = ending(&failed);
        assert_eq!(cause, "image_pulling");
        assert!(message.contains("slow:1"), "{message}");
    }
    drop(slow);
    node.write(Command::SetPolicy(Policy::default())).await;
    let id = node.reserve(spec()).await.id;
    node.wait_phase(id, &SERVING).await;
    assert_eq!(fake.world().pulls, ["slow:1"], "all wait for one pull");
}

#[tokio::test]
async fn a_container_that_ends_at_once_is_a_failure() {
    let fake = Fake::new();
    fake.world().born = "exited";
    let node = node(&fake).await;
    let id = node.reserve(EngineSpec::acestream()).await.id;
    let failed = node.wait_phase(id, &[Phase::Failed]).await;
    let wanted = "the container ended at once with code 127; its last lines: sh: engine: not found";
    assert_eq!(ending(&failed), ("exited", wanted));
    assert_eq!(fake.ids(), Vec::<String>::new());
}

#[tokio::test]
async fn an_engine_whose_container_never_runs_fails() {
    let fake = Fake::new();
    fake.world().born = "created";
    let node = node(&fake).await;
    let policy = Policy { startup_timeout_ms: 300, ..Policy::default() };
    node.write(Command::SetPolicy(policy)).await;
    let id = node.reserve(EngineSpec::acestream()).await.id;
    let failed = node.wait_phase(id, &[Phase::Failed]).await;
    assert_eq!(ending(&failed).0, "startup_timeout");
    until("it is removed", async || fake.ids().is_empty()).await;
}

#[tokio::test]
async fn containers_are_shown_only_when_they_are_ours() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let engine = node.running().await;
    let container = container(&engine);
    let labels = BTreeMap::from([("host.http_port".to_owned(), "19000".to_owned())]);
    fake.put(Box { name: "foreign".to_owned(), status: "running".to_owned(), labels, ..Box::default() });
    let agent = node.agent();
    assert_eq!(agent.inspect(engine.id).await.unwrap().unwrap().id, container);
    assert_eq!(agent.inspect(acefleet_registry::EngineId(99)).await.unwrap(), None);
    let found = agent.by_label("host.http_port", "19000").await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), [container.as_str()]);
    assert_eq!(agent.by_label("host.http_port", "1").await.unwrap(), []);
    fake.world().up = false;
    assert!(agent.inspect(engine.id).await.is_err());
    assert!(agent.by_label("a", "b").await.is_err());
}

#[tokio::test]
async fn what_killed_an_engine_is_written_before_its_container_is_removed() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let engine = node.running().await;
    fake.world().removals_hang = true;
    assert_eq!(fake.crash_all(137, true), 1);
    let gone = node.wait_phase(engine.id, &[Phase::Gone]).await;
    assert_eq!(ending(&gone).0, "oom");
    assert_eq!(fake.ids(), [container(&engine)], "it was removed");
}

#[tokio::test]
async fn remains_of_an_engine_that_has_ended_leave_their_name_to_the_next() {
    let fake = Fake::new();
    let node = node(&fake).await;
    let ended = node.running().await;
    let remains = fake.world().containers[&container(&ended)].clone();
    fake.crash_all(1, false);
    node.wait_phase(ended.id, &[Phase::Gone]).await;
    until("the container to be removed", async || fake.count() == 0).await;
    // No list shows what is left of it.
    fake.world().lists_nothing = true;
    let held = fake.hold();
    let next = node.reserve(EngineSpec::acestream()).await;
    let name = next.container_name.clone();
    fake.put(Box { name: name.clone(), status: "exited".to_owned(), ..remains });
    drop(held);
    let next = node.wait_phase(next.id, &SERVING).await;
    assert_eq!(next.container_name, name, "it took another name");
    assert_eq!(fake.ids(), [container(&next)]);
}
