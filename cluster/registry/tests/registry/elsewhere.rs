//! Where engines are started when the first choice cannot have them: renewals that wait for their host, hosts that rest, VPNs that rest.

use acefleet_registry::cause::Cause;
use acefleet_registry::engine::{Health, Phase};
use acefleet_registry::node::Wanted;
use acefleet_registry::vpn::{VpnHealth, VpnStatus};
use acefleet_registry::{Command, EngineId, Level, NodeId, NodeInfo};

use crate::renew::second;
use crate::support::{World, behind_vpn, engine, gone, reserved};
use crate::vpn::settle;
use crate::vpn_pairs::{behind, tell_second, with_two};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

/// Two hosts at the present level, the first of them behind a VPN.
fn two_hosts(capacity: u32) -> World {
    let mut world = World::new(2, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.run(Command::NodeUp(NodeInfo { capacity, ..behind_vpn(1) }));
    tell(&mut world, VpnHealth::Healthy);
    world
}

fn tell(world: &mut World, health: VpnHealth) {
    let status = VpnStatus { health, ..VpnStatus::default() };
    world.run(Command::VpnChanged { node: A, container: "gluetun".to_owned(), status, renew: true });
}

fn outage(world: &mut World, ms: u64) {
    tell(world, VpnHealth::Unhealthy);
    world.wait_ms(ms);
    tell(world, VpnHealth::Healthy);
}

fn on(world: &mut World, node: NodeId) -> EngineId {
    let id = engine(world.run(Command::Reserve(world.ask_on(node.0)))).id;
    world.start(id);
    world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
    id
}

/// Writes what the leader plans; the hosts of what it reserved.
fn planned(world: &mut World) -> Vec<NodeId> {
    reserved(world).into_iter().map(|engine| engine.node).collect()
}

#[test]
fn a_renewal_that_its_host_cannot_have_holds_up_no_floor() {
    let mut world = two_hosts(10);
    world.policy(|policy| policy.min_replicas = 3);
    for _ in 0..2 {
        on(&mut world, A);
    }
    let last = on(&mut world, B);
    world.wait_ms(120_000);
    outage(&mut world, 15_000);
    world.run(Command::NodeAvailability { node: A, availability: Wanted::Cordoned });
    assert_eq!(planned(&mut world), [], "engines of a cordoned host stay as they are");
    world.run(gone(last));
    assert_eq!(planned(&mut world), [B]);
}

#[test]
fn an_engine_of_a_full_host_leaves_before_its_replacement_though_another_host_has_room() {
    let mut world = two_hosts(1);
    let old = on(&mut world, A);
    world.wait_ms(120_000);
    outage(&mut world, 15_000);
    (0..5).for_each(|_| drop(second(&mut world)));
    assert_eq!(world.engine(old).end_cause().unwrap().0, &Cause::VpnReconnected);
    (0..60).for_each(|_| drop(second(&mut world)));
    // Its host is full until it has stopped, so another one has its replacement.
    let renewed = world.state.replacement(old).unwrap();
    assert_eq!((renewed.node, renewed.phase), (B, Phase::Running));
}

#[test]
fn engines_move_behind_a_vpn_that_rests_when_their_own_has_been_down_for_as_long() {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    with_two(&mut world, 1, 10);
    tell(&mut world, VpnHealth::Healthy);
    tell_second(&mut world, 1, VpnHealth::Healthy, None);
    (0..4).for_each(|_| drop(world.running()));
    let flap = |world: &mut World| {
        tell_second(world, 1, VpnHealth::Unhealthy, None);
        world.wait_ms(3_000);
        tell_second(world, 1, VpnHealth::Healthy, None);
    };
    (0..4).for_each(|_| flap(&mut world));
    tell(&mut world, VpnHealth::Unhealthy);
    for _ in 0..4 {
        world.wait_ms(60_000);
        flap(&mut world);
        settle(&mut world);
        assert_eq!(behind(&world, "gluetun"), 2, "the other one may fall next");
    }
    world.wait_ms(60_000);
    settle(&mut world);
    assert_eq!(behind(&world, "gluetun"), 0, "it has been down for longer than any rest");
}

#[test]
fn a_host_that_waits_for_its_first_start_after_a_failure_holds_up_no_other() {
    let mut world = two_hosts(10);
    on(&mut world, B);
    let failed = engine(world.run(Command::Reserve(world.ask_on(A.0)))).id;
    let (cause, message) = (Cause::StartupTimeout, "it failed".to_owned());
    world.run(Command::EngineFailed { engine: failed, cause, message });
    world.wait_ms(180_000);
    world.policy(|policy| policy.min_replicas = 5);
    let mut hosts = planned(&mut world);
    hosts.sort();
    assert_eq!(hosts, [A, B, B, B], "one start shows whether the first works again");
}

#[test]
fn the_start_for_an_empty_floor_goes_to_a_host_that_has_not_failed() {
    let mut world = two_hosts(10);
    world.policy(|policy| policy.min_replicas = 1);
    let last = on(&mut world, B);
    for _ in 0..5 {
        let failed = engine(world.run(Command::Reserve(world.ask_on(A.0)))).id;
        let (cause, message) = (Cause::StartupTimeout, "it failed".to_owned());
        world.run(Command::EngineFailed { engine: failed, cause, message });
        world.wait_ms(61_000);
    }
    world.run(gone(last));
    assert_eq!(planned(&mut world), [B]);
}

#[test]
fn the_replacement_for_a_new_port_is_made_behind_its_vpn_though_that_rests() {
    let mut world = World::new(2, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let told = |world: &mut World, node: NodeId, health: VpnHealth, port: u16| {
        let status = VpnStatus { health, forwarded_port: Some(port), ..VpnStatus::default() };
        world.run(Command::VpnChanged { node, container: "gluetun".to_owned(), status, renew: true });
    };
    for node in [A, B] {
        world.run(Command::NodeUp(behind_vpn(node.0)));
        told(&mut world, node, VpnHealth::Healthy, 51_413);
    }
    told(&mut world, A, VpnHealth::Unhealthy, 51_413);
    world.wait_ms(3_000);
    told(&mut world, A, VpnHealth::Healthy, 51_413);
    let holder = on(&mut world, A);
    assert_eq!(world.engine(holder).forwarded_port, Some(51_413));
    for _ in 0..3 {
        on(&mut world, B);
    }
    world.wait_ms(2_000);
    told(&mut world, A, VpnHealth::Healthy, 51_500);
    assert_eq!(planned(&mut world), [A]);
}
