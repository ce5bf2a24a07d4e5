//! Ports and names: unique in the cluster while in use, back when they are not.

use std::collections::BTreeSet;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{StopWhen, Taken};
use acefleet_registry::engine::Phase;
use acefleet_registry::policy::PortRange;
use acefleet_registry::state::Tables;
use acefleet_registry::{Command, NodeId, RefusalCode, Reserve};

use crate::support::{
    World, engine, failed, generic, gone, name_taken, port_taken, refusal, stop, with_conf,
};

const FOREIGN_MS: u64 = 600_000;

fn narrow(world: &mut World, last: u16) {
    world.policy(|policy| policy.host_ports = PortRange { first: 19_000, last });
}

#[test]
fn ports_are_unique_in_the_cluster_not_only_on_a_host() {
    let mut world = World::new(3, 10);
    let ports: BTreeSet<u16> = (0..12).map(|_| world.reserve().ports.host_http).collect();
    assert_eq!(ports.len(), 12);
}

#[test]
fn container_and_host_port_are_equal_and_https_differs() {
    let mut world = World::new(1, 10);
    let ports = world.reserve().ports;
    assert_eq!((ports.host_http, ports.container_http), (19_000, 19_000));
    assert_eq!((ports.container_https, ports.host_https), (45_000, None));
}

#[test]
fn a_published_https_port_is_a_lease_of_its_own() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.map_https = true);
    let (first, second) = (world.reserve().ports, world.reserve().ports);
    assert_eq!((first.host_http, first.host_https), (19_000, Some(19_001)));
    assert_eq!((second.host_http, second.host_https), (19_002, Some(19_003)));
}

#[test]
fn a_released_port_rests_before_it_is_leased_again() {
    let mut world = World::new(1, 10);
    let first = world.running();
    world.run(gone(first.id));
    assert_eq!(world.reserve().ports.host_http, 19_001);
}

#[test]
fn every_way_to_end_gives_the_port_and_the_name_back() {
    let mut world = World::new(1, 10);
    narrow(&mut world, 19_000);
    for round in 0..4 {
        let reserved = world.reserve();
        assert_eq!((reserved.ports.host_http, reserved.container_name.as_str()), (19_000, "acestream-1"));
        assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::NoFreePorts);
        match round {
            0 => drop(world.run(failed(reserved.id))),
            1 => drop(world.run(gone(reserved.id))),
            2 => {
                world.start(reserved.id);
                world.run(gone(reserved.id));
            }
            _ => {
                world.start(reserved.id);
                world.run(stop(reserved.id, StopWhen::Always));
                assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::NoFreePorts);
                world.run(gone(reserved.id));
            }
        }
    }
}

#[test]
fn names_take_the_lowest_free_number() {
    let mut world = World::new(1, 10);
    let ids: Vec<_> = (0..3).map(|_| world.reserve()).collect();
    let names: Vec<&str> = ids.iter().map(|e| e.container_name.as_str()).collect();
    assert_eq!(names, ["acestream-1", "acestream-2", "acestream-3"]);
    world.run(failed(ids[1].id));
    assert_eq!(world.reserve().container_name, "acestream-2");
    let other = engine(world.run(Command::Reserve(world.ask_for(generic(&[])))));
    assert_eq!(other.container_name, "svc-1");
}

#[test]
fn a_fixed_port_is_leased_like_any_other() {
    let mut world = World::new(1, 10);
    let fixed = |port| {
        let mut spec = with_conf("");
        spec.host_port = Some(port);
        spec
    };
    let first = engine(world.run(Command::Reserve(world.ask_for(fixed(19_000)))));
    assert_eq!(first.ports.host_http, 19_000);
    assert_eq!(world.reserve().ports.host_http, 19_001);
    for port in [19_000, 19_001, 0] {
        assert_eq!(refusal(world.run(Command::Reserve(world.ask_for(fixed(port))))), RefusalCode::PortTaken);
    }
}

#[test]
fn ports_in_conf_fix_the_container_and_without_more_the_host() {
    let mut world = World::new(1, 10);
    let spec = with_conf("--http-port=6878\n--https-port=6879\n--bind-all");
    let ports = engine(world.run(Command::Reserve(world.ask_for(spec.clone())))).ports;
    assert_eq!((ports.host_http, ports.container_http, ports.container_https), (6878, 6878, 6879));
    let mut mapped = spec.clone();
    mapped.host_port = Some(19_700);
    let ports = engine(world.run(Command::Reserve(world.ask_for(mapped)))).ports;
    assert_eq!((ports.host_http, ports.container_http), (19_700, 6878));
    assert_eq!(refusal(world.run(Command::Reserve(world.ask_for(spec)))), RefusalCode::PortTaken);
}

#[test]
fn ports_of_plain_containers_are_leased_too() {
    let mut world = World::new(2, 10);
    let first = engine(world.run(Command::Reserve(world.ask_for(generic(&[("80/tcp", 19_000)])))));
    assert_eq!(world.reserve().ports.host_http, 19_001);
    let again = generic(&[("81/tcp", 19_000)]);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask_for(again.clone())))), RefusalCode::PortTaken);
    world.run(failed(first.id));
    engine(world.run(Command::Reserve(world.ask_for(again))));
}

#[test]
fn a_port_in_use_on_the_host_is_replaced_and_avoided_on_that_host_for_a_while() {
    let mut world = World::new(2, 10);
    narrow(&mut world, 19_002);
    world.origin = NodeId(1);
    let reserved = world.reserve();
    let moved = engine(world.run(port_taken(reserved.id, 19_000)));
    assert_eq!((moved.id, moved.phase), (reserved.id, Phase::Reserved));
    assert_eq!((moved.ports.host_http, moved.ports.container_http), (19_001, 19_001));
    assert_eq!(
        engine(world.run(port_taken(reserved.id, 19_000))).ports,
        moved.ports,
        "a stale conflict moved it"
    );
    world.origin = NodeId(2);
    let elsewhere = [world.reserve(), world.reserve()].map(|e| (e.node, e.ports.host_http));
    assert_eq!(elsewhere[0], (NodeId(2), 19_002));
    assert_eq!(elsewhere[1], (NodeId(2), 19_000), "the port is in use on node 1 only");
}

#[test]
fn a_foreign_port_is_tried_again_after_ten_minutes() {
    let mut world = World::new(1, 10);
    narrow(&mut world, 19_001);
    let reserved = world.reserve();
    world.run(port_taken(reserved.id, 19_000));
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::NoFreePorts);
    world.wait_ms(FOREIGN_MS - 1);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::NoFreePorts);
    world.wait_ms(1);
    assert_eq!(world.reserve().ports.host_http, 19_000);
}

#[test]
fn a_published_https_port_in_use_is_replaced_alone() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.map_https = true);
    let reserved = world.reserve();
    let moved = engine(world.run(port_taken(reserved.id, 19_001))).ports;
    assert_eq!((moved.host_http, moved.container_http, moved.host_https), (19_000, 19_000, Some(19_002)));
}

#[test]
fn a_port_that_the_caller_fixed_is_not_replaced_and_is_no_fault_of_the_host() {
    let mut fixed = with_conf("");
    fixed.host_port = Some(19_000);
    for spec in [fixed, with_conf("--http-port=19000"), generic(&[("80/tcp", 19_000)])] {
        let mut world = World::new(1, 10);
        let reserved = engine(world.run(Command::Reserve(world.ask_for(spec))));
        let ended = engine(world.run(port_taken(reserved.id, 19_000)));
        assert_eq!(ended.phase, Phase::Failed);
        assert_eq!(ended.ending.as_ref().unwrap().cause, Cause::PortTaken);
        let breaker = world.state.breaker(acefleet_registry::breaker::BreakerKind::General).0;
        assert_eq!(breaker.failure_count, 0);
    }
}

#[test]
fn a_conflict_without_another_port_ends_the_reservation() {
    let mut world = World::new(1, 10);
    narrow(&mut world, 19_000);
    let reserved = world.reserve();
    let ended = engine(world.run(port_taken(reserved.id, 19_000)));
    assert_eq!(
        (ended.phase, ended.ending.as_ref().unwrap().cause.as_str()),
        (Phase::Failed, "no_free_ports")
    );
}

#[test]
fn names_that_others_hold_on_a_host_are_avoided_there_for_a_while() {
    let mut world = World::new(2, 200);
    world.origin = NodeId(1);
    let id = world.reserve().id;
    let held = (1..=110).map(|n| format!("acestream-{n}")).collect();
    let moved = engine(world.run(Command::Conflict { engine: id, taken: Taken::Names(held) }));
    assert_eq!((moved.phase, moved.container_name.as_str()), (Phase::Reserved, "acestream-111"));
    let stale = engine(world.run(name_taken(id, "acestream-1")));
    assert_eq!(stale.container_name, "acestream-111", "a stale conflict renamed it");
    let there = engine(world.run(Command::Reserve(world.ask_on(1))));
    assert_eq!(there.container_name, "acestream-112", "each engine tries them again");
    let elsewhere = engine(world.run(Command::Reserve(world.ask_on(2))));
    assert_eq!(elsewhere.container_name, "acestream-1", "the names are taken on node 1 only");
    let other = Reserve { spec: generic(&[]), ..world.ask_on(1) };
    assert_eq!(engine(world.run(Command::Reserve(other))).container_name, "svc-1");
    world.wait_ms(FOREIGN_MS);
    let later = engine(world.run(Command::Reserve(world.ask_on(1))));
    assert_eq!(later.container_name, "acestream-2", "those who held them may be gone");
    world.run(Command::NodeRemoved { node: NodeId(1) });
    assert!(Tables::from(world.state).foreign_names.is_empty());
}

#[test]
fn a_conflict_after_the_start_is_refused() {
    let mut world = World::new(1, 10);
    let running = world.running();
    assert_eq!(refusal(world.run(port_taken(running.id, 19_000))), RefusalCode::WrongPhase);
}

#[test]
fn a_range_with_swapped_bounds_or_port_zero_leases_nothing_wrong() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.host_ports = PortRange { first: 19_001, last: 19_000 });
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::NoFreePorts);
    world.policy(|policy| policy.host_ports = PortRange { first: 0, last: 1 });
    assert_eq!(world.reserve().ports.host_http, 1);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::NoFreePorts);
}

#[test]
fn a_refused_call_does_not_use_up_ports() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.map_https = true);
    narrow(&mut world, 19_002);
    let first = world.reserve();
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::NoFreePorts);
    world.run(failed(first.id));
    let ask = Reserve { automatic: true, ..world.ask() };
    assert_eq!(engine(world.run(Command::Reserve(ask))).ports.host_http, 19_002);
}
