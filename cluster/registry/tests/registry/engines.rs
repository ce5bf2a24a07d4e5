//! The life of an engine: reserved, starting, running, draining, and its two ends.

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{Adopt, StopWhen};
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{EngineSpec, Health, Phase, Ports};
use acefleet_registry::{Command, EngineId, Level, NodeId, RefusalCode, Reply};

use crate::support::{World, docker_id, engine, failed, generic, gone, playing, refusal, started, stop};

fn found(container: u64, name: &str, port: u16) -> Adopt {
    Adopt {
        node: NodeId(1),
        container_id: docker_id(container),
        container_name: name.to_owned(),
        image: "engine:1".to_owned(),
        variant: None,
        ports: Ports { host_http: port, container_http: port, container_https: 45_000, host_https: None },
        spec: EngineSpec::acestream(),
        address: None,
        vpn: None,
        forwarded_port: None,
    }
}

#[test]
fn an_engine_walks_through_its_phases() {
    let mut world = World::new(1, 10);
    let reserved = world.reserve();
    assert_eq!((reserved.phase, reserved.is_published()), (Phase::Reserved, false));
    world.wait_ms(1_500);
    let starting = world.start(reserved.id);
    assert_eq!((starting.phase, starting.is_published()), (Phase::Starting, true));
    assert_eq!(starting.started_at_ms, Some(reserved.reserved_at_ms.plus(1_500)));
    assert_eq!(starting.image.as_deref(), Some("engine:1"));
    let health = |health| Command::EngineHealth { engine: reserved.id, health, fault: None };
    let sick = engine(world.run(health(Health::Unhealthy)));
    assert_eq!((sick.phase, sick.health), (Phase::Starting, Health::Unhealthy));
    assert_eq!(engine(world.run(health(Health::Healthy))).phase, Phase::Running);
    assert_eq!(engine(world.run(health(Health::Unhealthy))).phase, Phase::Running);
    let draining = engine(world.run(stop(reserved.id, StopWhen::Always)));
    assert_eq!((draining.phase, draining.is_published()), (Phase::Stopping, false));
    let ended = engine(world.run(gone(reserved.id)));
    assert_eq!((ended.phase, ended.ending.as_ref().unwrap().cause.as_str()), (Phase::Gone, "deleted"));
}

#[test]
fn it_is_listed_before_the_caller_hears_of_it() {
    let mut world = World::new(1, 10);
    let running = world.running();
    let listed: Vec<EngineId> = world.state.published_engines().map(|e| e.id).collect();
    assert_eq!(listed, [running.id]);
}

#[test]
fn a_start_that_is_reported_twice_is_one_start() {
    let mut world = World::new(1, 10);
    let running = world.running();
    world.wait_ms(5_000);
    let events = world.state.events().len();
    assert_eq!(engine(world.run(started(running.id, &docker_id(running.id.0)))), running);
    assert_eq!(world.state.events().len(), events);
}

#[test]
fn one_container_belongs_to_one_engine() {
    let mut world = World::new(1, 10);
    let first = world.running();
    let second = world.reserve();
    let container = first.container_id.clone().unwrap();
    assert_eq!(refusal(world.run(started(second.id, &container))), RefusalCode::WrongPhase);
    assert_eq!(refusal(world.run(started(first.id, &docker_id(99)))), RefusalCode::WrongPhase);
}

#[test]
fn what_has_ended_stays_ended() {
    let mut world = World::new(1, 10);
    let failed_one = world.reserve().id;
    world.run(failed(failed_one));
    let gone_one = world.running().id;
    world.run(gone(gone_one));
    for id in [failed_one, gone_one] {
        assert_eq!(refusal(world.run(started(id, &docker_id(50)))), RefusalCode::WrongPhase);
        assert_eq!(refusal(world.run(failed(id))), RefusalCode::WrongPhase);
        assert_eq!(refusal(world.run(gone(id))), RefusalCode::NotFound);
        assert_eq!(refusal(world.run(stop(id, StopWhen::Always))), RefusalCode::NotFound);
    }
    assert_eq!(refusal(world.run(failed(EngineId(77)))), RefusalCode::NotFound);
}

#[test]
fn a_start_after_the_stop_of_a_reservation_is_refused_so_that_the_agent_removes_it() {
    let mut world = World::new(1, 10);
    let id = world.reserve().id;
    world.run(stop(id, StopWhen::Always));
    assert_eq!(refusal(world.run(started(id, &docker_id(1)))), RefusalCode::WrongPhase);
    assert_eq!(engine(world.run(gone(id))).phase, Phase::Gone);
}

#[test]
fn a_second_stop_keeps_the_first_cause() {
    let mut world = World::new(1, 10);
    let id = world.running().id;
    let first = engine(world.run(stop(id, StopWhen::Always)));
    let idle = Command::EngineStop { engine: id, cause: Cause::Idle, when: StopWhen::IdleFor(0) };
    assert_eq!(engine(world.run(idle)), first);
    assert_eq!(first.ending.as_ref().unwrap().cause, Cause::Deleted);
}

#[test]
fn an_engine_in_use_is_stopped_by_force_only() {
    let mut world = World::new(1, 10);
    let running = world.running();
    world.begin(playing("k", "s", running.ports.host_http));
    world.wait_ms(3_600_000);
    assert_eq!(refusal(world.run(stop(running.id, StopWhen::IdleFor(0)))), RefusalCode::NotIdle);
    assert_eq!(engine(world.run(stop(running.id, StopWhen::Always))).phase, Phase::Stopping);
}

#[test]
fn idle_time_counts_from_the_last_end_of_a_stream() {
    let mut world = World::new(1, 10);
    let running = world.running();
    world.wait_ms(60_000);
    world.begin(playing("k", "s", running.ports.host_http));
    world.wait_ms(60_000);
    world.finish("k|s");
    world.wait_ms(29_999);
    assert_eq!(refusal(world.run(stop(running.id, StopWhen::IdleFor(30_000)))), RefusalCode::NotIdle);
    world.wait_ms(1);
    assert!(engine(world.run(stop(running.id, StopWhen::IdleFor(30_000)))).taken_off.is_some());
}

#[test]
fn floors_hold_against_idle_stops_but_not_against_force() {
    for (min, min_free) in [(2, 0), (0, 2)] {
        let mut world = World::new(1, 10);
        world.policy(|policy| (policy.min_replicas, policy.min_free_replicas) = (min, min_free));
        let ids: Vec<EngineId> = (0..3).map(|_| world.running().id).collect();
        assert!(engine(world.run(stop(ids[0], StopWhen::IdleFor(0)))).taken_off.is_some());
        assert_eq!(refusal(world.run(stop(ids[1], StopWhen::IdleFor(0)))), RefusalCode::NotIdle);
        assert_eq!(engine(world.run(stop(ids[1], StopWhen::Always))).phase, Phase::Stopping);
    }
}

#[test]
fn an_engine_that_goes_ends_its_streams_once() {
    let mut world = World::new(1, 10);
    let running = world.running();
    world.begin(playing("k", "a", running.ports.host_http));
    world.begin(playing("k", "b", running.ports.host_http));
    assert_eq!(world.state.active_streams(running.id), 2);
    world.wait_ms(1_000);
    let ended = engine(world.run(gone(running.id)));
    assert_eq!(world.state.usage(ended.id).last_stream_end_ms, Some(world.now));
    assert_eq!(world.state.stream_counts(), (0, 2));
    for stream in world.state.streams() {
        assert_eq!(stream.end_reason, Some(EndReason::EngineGone));
        assert_eq!(stream.ended_at_ms, Some(world.now));
    }
    assert!(!world.finish("k|a"));
    let ends = world.state.events().iter().filter(|e| e.category == "ended").count();
    assert_eq!(ends, 2);
}

#[test]
fn a_running_container_without_a_record_is_adopted_once() {
    let mut world = World::new(1, 10);
    let adopted = engine(world.run(Command::Adopt(found(7, "acestream-4", 19_003))));
    assert_eq!((adopted.phase, adopted.ports.host_http), (Phase::Starting, 19_003));
    assert_eq!(engine(world.run(Command::Adopt(found(7, "acestream-4", 19_003)))), adopted);
    assert_eq!(world.state.supply(), 1);
    let ports: Vec<u16> = (0..4).map(|_| world.reserve().ports.host_http).collect();
    assert_eq!(ports, [19_000, 19_001, 19_002, 19_004]);
}

#[test]
fn adoption_takes_neither_a_leased_port_nor_a_leased_name() {
    let mut world = World::new(2, 10);
    world.reserve();
    let port = found(7, "other", 19_000);
    assert_eq!(refusal(world.run(Command::Adopt(port))), RefusalCode::PortTaken);
    let name = found(7, "acestream-1", 19_500);
    assert_eq!(refusal(world.run(Command::Adopt(name))), RefusalCode::WrongPhase);
}

#[test]
fn engines_that_were_found_with_one_forwarded_port_share_it_until_the_level_forbids_that() {
    let mut world = World::new(1, 10);
    let with_port = |number, name: &str, port| Adopt {
        vpn: Some("gluetun".to_owned()),
        forwarded_port: Some(50_000),
        ..found(number, name, port)
    };
    let ids = [with_port(7, "acestream-7", 19_500), with_port(8, "acestream-8", 19_501)]
        .map(|adopt| engine(world.run(Command::Adopt(adopt))).id);
    let ports = |world: &World| ids.map(|id| world.engine(id).forwarded_port);
    assert_eq!(ports(&world), [Some(50_000); 2]);
    world.run(Command::RaiseLevel(Level::CURRENT));
    assert_eq!(ports(&world), [None, Some(50_000)]);
}

#[test]
fn adoption_is_possible_above_the_ceiling_because_the_container_exists() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.max_replicas = 1);
    world.reserve();
    engine(world.run(Command::Adopt(found(7, "acestream-9", 19_500))));
    assert_eq!(world.state.supply(), 2);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::MaxCapacity);
}

#[test]
fn an_engine_without_an_address_is_not_published() {
    let mut world = World::new(1, 10);
    let adopted = engine(world.run(Command::Adopt(found(7, "acestream-9", 0))));
    assert!(!adopted.is_published());
    assert_eq!(world.state.published_engines().count(), 0);
}

#[test]
fn engines_are_found_by_port_name_id_and_unambiguous_prefix() {
    let mut world = World::new(1, 10);
    let first = world.reserve();
    let second = world.reserve();
    world.run(started(first.id, &format!("{}1{}", "a".repeat(14), "0".repeat(49))));
    world.run(started(second.id, &format!("{}2{}", "a".repeat(14), "0".repeat(49))));
    let by = |text: &str| world.state.engine_by_container(text).map(|e| e.id);
    assert_eq!(by("acestream-2"), Some(second.id));
    assert_eq!(by(&format!("{}1", "a".repeat(14))), Some(first.id));
    assert_eq!(by(&"a".repeat(14)), None, "ambiguous");
    assert_eq!(by(&"a".repeat(11)), None, "too short");
    assert_eq!(by(""), None);
    assert_eq!(world.state.engine_by_port(19_001).map(|e| e.id), Some(second.id));
    assert!(world.state.engine_by_port(19_002).is_none());
}

#[test]
fn plain_containers_are_never_listed_as_engines() {
    let mut world = World::new(1, 10);
    let container = engine(world.run(Command::Reserve(world.ask_for(generic(&[("80/tcp", 8080)])))));
    world.start(container.id);
    assert_eq!(world.state.published_engines().count(), 0);
    assert_eq!(world.state.supply(), 0);
    assert!(world.state.engine_by_container("svc-1").is_some());
}

#[test]
fn a_container_is_adopted_by_one_node() {
    let mut world = World::new(2, 10);
    let adopt = |node| Command::Adopt(Adopt { node: NodeId(node), ..found(7, "acestream-7", 19_500) });
    let adopted = engine(world.run(adopt(1)));
    assert_eq!(engine(world.run(adopt(1))).id, adopted.id, "a repeat");
    let Reply::Refused(refused) = world.run(adopt(2)) else { panic!("two nodes have it") };
    assert_eq!(refused.code, RefusalCode::WrongPhase);
    assert!(refused.message.contains("node-1"), "{}", refused.message);
    assert_eq!(world.engine(adopted.id).node, NodeId(1));
}
