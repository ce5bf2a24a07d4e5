//! Two VPNs on one host, and engines that one of several VPNs hides.

use std::collections::BTreeSet;

use acefleet_registry::engine::Health;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Wait, next};
use acefleet_registry::policy::PortRange;
use acefleet_registry::vpn::{VpnHealth, VpnInfo, VpnStatus};
use acefleet_registry::{Command, Level, NodeId, Reserve};

use crate::support::{World, behind_vpn, engine, failed, plan, watch, with_conf};
use crate::vpn::{listed, serving, settle, tell, world};

#[test]
fn two_vpns_of_a_host_share_its_engines() {
    let mut world = World::new(1, 10);
    let mut info = behind_vpn(1);
    let second = acefleet_registry::vpn::VpnInfo {
        container: "gluetun-2".to_owned(),
        ports: acefleet_registry::policy::PortRange { first: 19_200, last: 19_209 },
    };
    info.vpns.push(second);
    world.run(Command::NodeUp(info));
    let tell = |world: &mut World, container: &str, health| {
        let status = VpnStatus { health, ..VpnStatus::default() };
        world.run(Command::VpnChanged {
            node: NodeId(1),
            container: container.to_owned(),
            status,
            renew: false,
        });
    };
    tell(&mut world, "gluetun", VpnHealth::Healthy);
    assert_eq!(world.running().vpn.as_deref(), Some("gluetun"), "the only one that is known to be up");
    tell(&mut world, "gluetun-2", VpnHealth::Healthy);
    for wanted in ["gluetun-2", "gluetun", "gluetun-2"] {
        let engine = world.running();
        assert_eq!(engine.vpn.as_deref(), Some(wanted));
    }
    tell(&mut world, "gluetun", VpnHealth::Unhealthy);
    assert_eq!(listed(&world).len(), 2);
    world.wait_ms(20_000);
    settle(&mut world);
    assert_eq!(world.state.engines_behind(NodeId(1), "gluetun-2").count(), 4);
    assert_eq!(world.state.engines_behind(NodeId(1), "gluetun").count(), 0);
}

/// A host with two VPNs, of which the second publishes so many ports.
pub fn with_two(world: &mut World, node: u64, ports: u16) {
    let mut info = behind_vpn(node);
    info.vpns.push(VpnInfo {
        container: "gluetun-2".to_owned(),
        ports: PortRange { first: 19_500, last: 19_499 + ports },
    });
    world.run(Command::NodeUp(info));
}

pub fn tell_second(world: &mut World, node: u64, health: VpnHealth, forwarded_port: Option<u16>) {
    let status = VpnStatus { health, forwarded_port, ..VpnStatus::default() };
    let (node, container) = (NodeId(node), "gluetun-2".to_owned());
    world.run(Command::VpnChanged { node, container, status, renew: true });
}

pub fn behind(world: &World, container: &str) -> usize {
    world.state.engines_behind(NodeId(1), container).count()
}

#[test]
fn as_many_engines_move_to_the_other_vpn_as_it_has_ports() {
    let mut world = world(1);
    with_two(&mut world, 1, 5);
    tell_second(&mut world, 1, VpnHealth::Healthy, None);
    (0..8).for_each(|_| drop(world.running()));
    assert_eq!((behind(&world, "gluetun"), behind(&world, "gluetun-2")), (4, 4));
    tell(&mut world, 1, VpnHealth::Unhealthy, None);
    world.wait_ms(12_000);
    settle(&mut world);
    assert_eq!((behind(&world, "gluetun"), behind(&world, "gluetun-2")), (3, 5));
    tell(&mut world, 1, VpnHealth::Healthy, None);
    assert_eq!(listed(&world).len(), 8);
}

#[test]
fn engines_stay_where_starts_elsewhere_fail_or_their_port_is_fixed() {
    let mut world = world(2);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let fixed = Reserve { eligible: [NodeId(1)].into(), ..world.ask_for(with_conf("--http-port=19105")) };
    let fixed = engine(world.run(Command::Reserve(fixed))).id;
    world.start(fixed);
    let engines: Vec<_> = (0..3).map(|_| engine(world.run(Command::Reserve(world.ask_on(1)))).id).collect();
    engines.iter().for_each(|id| drop(world.start(*id)));
    for _ in 0..5 {
        let id = engine(world.run(Command::Reserve(world.ask_on(2)))).id;
        world.run(failed(id));
    }
    tell(&mut world, 1, VpnHealth::Unhealthy, None);
    world.wait_ms(12_000);
    assert_eq!(plan(&world.state, &world.eligible(), world.now), [], "no start on the other host is allowed");
    let waits = next(&world.state, &watch(&world.state, &world.eligible()), world.now).waits;
    for id in &engines {
        assert!(waits.contains(&Wait::VpnWithoutRoom { engine: *id }), "{waits:?}");
    }
    world.run(Command::ResetBreaker(None));
    world.wait_ms(60_000);
    settle(&mut world);
    let left: Vec<_> = world.state.engines_behind(NodeId(1), "gluetun").map(|e| e.id).collect();
    assert_eq!(left, [fixed], "nobody asks for its port again");
}

/// So many hosts, the first with two VPNs, of which the second forwards a port.
fn forwarding(nodes: u64) -> World {
    let mut world = world(nodes);
    world.run(Command::RaiseLevel(Level::CURRENT));
    with_two(&mut world, 1, 5);
    tell_second(&mut world, 1, VpnHealth::Healthy, Some(50_000));
    world
}

#[test]
fn a_replacement_for_a_new_port_is_made_behind_the_same_vpn() {
    let mut world = forwarding(1);
    let engines: Vec<_> = (0..4).map(|_| world.running()).collect();
    assert_eq!((behind(&world, "gluetun"), behind(&world, "gluetun-2")), (2, 2));
    let old = engines.iter().find(|e| e.forwarded_port == Some(50_000)).unwrap();
    assert_eq!(old.vpn.as_deref(), Some("gluetun-2"));
    tell_second(&mut world, 1, VpnHealth::Healthy, Some(50_001));
    settle(&mut world);
    let renewed = serving(&world).into_iter().find(|e| e.replaces == Some(old.id)).unwrap();
    assert_eq!((renewed.vpn.as_deref(), renewed.forwarded_port), (Some("gluetun-2"), Some(50_001)));
}

#[test]
fn a_replacement_for_a_new_port_waits_for_its_host() {
    let mut world = forwarding(2);
    let mut made = || {
        let ask = world.ask_on(1);
        let made = engine(world.run(Command::Reserve(ask)));
        world.start(made.id);
        world.run(Command::EngineHealth { engine: made.id, health: Health::Healthy, fault: None });
        made
    };
    let made = [made(), made()];
    let old = made.iter().find(|engine| engine.forwarded_port == Some(50_000)).unwrap();
    tell_second(&mut world, 1, VpnHealth::Healthy, Some(50_001));
    // The other host has room, and the new port is of no use there.
    let others = BTreeSet::from([NodeId(2)]);
    let plan = next(&world.state, &watch(&world.state, &others), world.now);
    assert_eq!(plan.commands, vec![]);
    let why = Shortage::OnlyAtHome { host: world.state.node_name(NodeId(1)) };
    assert!(plan.waits.contains(&Wait::Replacement { lost: old.id, why }), "{:?}", plan.waits);
}

#[test]
fn an_engine_that_a_vpn_hides_lets_no_other_one_leave_and_no_spare_one_wait() {
    let mut world = world(2);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.policy(|policy| {
        policy.auto_delete = true;
        policy.grace_ms = 30_000;
        policy.min_free_replicas = 1;
    });
    let [hidden, shown] = [1, 2].map(|node| {
        let id = engine(world.run(Command::Reserve(world.ask_on(node)))).id;
        world.start(id);
        engine(world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None })).id
    });
    // A spare one, which the other host makes unneeded.
    world.wait_ms(30_000);
    for command in plan(&world.state, &world.eligible(), world.now) {
        world.run(command);
    }
    assert_eq!(listed(&world), [shown]);
    world.run(Command::VpnChanged {
        node: NodeId(2),
        container: "gluetun".to_owned(),
        status: VpnStatus { health: VpnHealth::Unhealthy, ..VpnStatus::default() },
        renew: true,
    });
    for command in plan(&world.state, &world.eligible(), world.now) {
        world.run(command);
    }
    assert_eq!(listed(&world), [hidden], "the spare one stayed away");
    assert_eq!(world.state.live_engines().count(), 2, "a flap starts nothing");
    // The only one that clients get stays, although another one is idle, too.
    for _ in 0..11 {
        world.wait_ms(1_000);
        assert_eq!(plan(&world.state, &world.eligible(), world.now), []);
    }
}
