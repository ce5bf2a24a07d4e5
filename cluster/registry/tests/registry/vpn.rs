//! Engines behind VPN containers.

use std::collections::BTreeSet;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{InUse, StopWhen};
use acefleet_registry::engine::Phase;
use acefleet_registry::state::Tables;
use acefleet_registry::vpn::{VpnFault, VpnHealth, VpnStatus};
use acefleet_registry::{Command, Engine, EngineId, Level, NodeId, NodeInfo, RefusalCode, Reply, Reserve};

use crate::support::{
    World, behind_vpn, engine, generic, gone, node_info, plan, playing, refusal, stop, with_conf,
};

/// `nodes` hosts with a VPN each, all healthy, without forwarded ports.
pub fn world(nodes: u64) -> World {
    let mut world = World::new(nodes, 10);
    for id in 1..=nodes {
        world.run(Command::NodeUp(behind_vpn(id)));
        tell(&mut world, id, VpnHealth::Healthy, None);
    }
    world
}

pub fn tell(world: &mut World, node: u64, health: VpnHealth, forwarded_port: Option<u16>) {
    let reason = if health == VpnHealth::Unhealthy { "the tunnel is down" } else { "" };
    let status = VpnStatus { health, reason: reason.to_owned(), forwarded_port, public: None };
    world.run(Command::VpnChanged {
        node: NodeId(node),
        container: "gluetun".to_owned(),
        status,
        renew: true,
    });
}

/// Runs the plan until it is empty; reserved engines start and stopped ones go at once.
pub fn settle(world: &mut World) {
    for _ in 0..20 {
        let commands = plan(&world.state, &world.eligible(), world.now);
        let of = |phase| move |e: &&std::sync::Arc<Engine>| e.phase == phase;
        let reserved: Vec<_> = world.state.live_engines().filter(of(Phase::Reserved)).map(|e| e.id).collect();
        let leaving: Vec<_> = world.state.live_engines().filter(of(Phase::Stopping)).map(|e| e.id).collect();
        if commands.is_empty() && reserved.is_empty() && leaving.is_empty() {
            return;
        }
        for command in commands {
            let reply = world.run(command.clone());
            assert!(!matches!(reply, Reply::Refused(_)), "{command:?} was refused: {reply:?}");
        }
        reserved.into_iter().for_each(|id| drop(world.start(id)));
        leaving.into_iter().for_each(|id| drop(world.run(gone(id))));
    }
    panic!("the plan never comes to rest");
}

pub fn listed(world: &World) -> Vec<EngineId> {
    world.state.listed_engines().map(|e| e.id).collect()
}

pub fn serving(world: &World) -> Vec<Engine> {
    world.state.live_engines().filter(|e| e.phase.is_serving()).map(|e| (**e).clone()).collect()
}

#[test]
fn engines_lease_the_ports_that_their_vpn_publishes() {
    let mut world = world(2);
    world.policy(|policy| policy.map_https = true);
    for _ in 0..4 {
        let engine = world.running();
        assert_eq!(engine.vpn.as_deref(), Some("gluetun"));
        let ports = engine.ports;
        assert_eq!(u64::from(ports.host_http / 100), 190 + engine.node.0, "{engine:?}");
        assert_eq!((ports.container_http, ports.host_https), (ports.host_http, None));
    }
}

#[test]
fn a_port_that_the_vpn_does_not_publish_is_refused() {
    let mut world = world(1);
    let fixed = Command::Reserve(world.ask_for(with_conf("--http-port=19105")));
    assert_eq!(engine(world.run(fixed)).ports.host_http, 19_105);
    let outside = Command::Reserve(world.ask_for(with_conf("--http-port=6878")));
    assert_eq!(refusal(world.run(outside)), RefusalCode::PortTaken);
    // A fixed host port means nothing there.
    let mut spec = acefleet_registry::engine::EngineSpec::acestream();
    spec.host_port = Some(40_000);
    let ignored = Command::Reserve(world.ask_for(spec));
    assert_eq!(engine(world.run(ignored)).ports.host_http / 100, 191);
}

#[test]
fn a_used_up_range_sends_engines_to_another_host_and_then_says_so() {
    let mut world = world(2);
    let small = NodeInfo { capacity: 1_000, ..behind_vpn(1) };
    world.run(Command::NodeUp(small));
    for _ in 0..20 {
        world.running();
    }
    assert_eq!(world.state.live_engines().filter(|e| e.node == NodeId(1)).count(), 10);
    world.policy(|policy| policy.max_replicas = 100);
    let ask = Command::Reserve(world.ask());
    assert_eq!(refusal(world.run(ask)), RefusalCode::NoFreePorts);
}

#[test]
fn hosts_without_a_vpn_keep_off_the_ports_that_one_publishes() {
    let mut world = World::new(2, 10);
    world.run(Command::NodeUp(behind_vpn(2)));
    let range = acefleet_registry::policy::PortRange { first: 19_198, last: 19_212 };
    world.policy(|policy| policy.host_ports = range);
    // 19,200 to 19,209 are published on the other host.
    let mut ports: Vec<u16> = (0..5).map(|_| world.running().ports.host_http).collect();
    ports.sort_unstable();
    assert_eq!(ports, [19_198, 19_199, 19_210, 19_211, 19_212]);
    let ask = Command::Reserve(world.ask());
    assert_eq!(refusal(world.run(ask)), RefusalCode::NoFreePorts);
    tell(&mut world, 2, VpnHealth::Healthy, None);
    assert_eq!(world.running().node, NodeId(2));
}

#[test]
fn a_host_without_a_healthy_vpn_takes_no_engines() {
    let mut world = world(2);
    tell(&mut world, 1, VpnHealth::Unhealthy, None);
    for _ in 0..3 {
        assert_eq!(world.running().node, NodeId(2));
    }
    world.run(Command::NodeUp(NodeInfo { vpns: vec![], ..behind_vpn(2) }));
    assert_eq!(world.running().vpn, None);
    world.run(Command::NodeUp(behind_vpn(2)));
    // Its record went with the setting: it is unknown now, which is not good enough either.
    let ask = Command::Reserve(world.ask());
    let Reply::Refused(refusal) = world.run(ask) else { panic!("not refused") };
    assert_eq!((refusal.code, refusal.retry_after_s), (RefusalCode::VpnDisconnected, Some(60)));
    assert!(refusal.message.contains("VPN") && refusal.message.contains("tunnel is down"), "{refusal:?}");
    let all = world.state.all_blocks(&world.ask(), NodeId(1), world.now);
    assert_eq!(all, [refusal], "ports are free, and no host is full");
    let other = Command::Reserve(world.ask_for(generic(&[])));
    assert_eq!(engine(world.run(other)).vpn, None, "other containers need no VPN");
}

#[test]
fn engines_behind_a_sick_vpn_are_hidden_and_come_back() {
    let mut world = world(1);
    let engine = world.running();
    for (health, shown) in [
        (VpnHealth::Unhealthy, false),
        (VpnHealth::Healthy, true),
        (VpnHealth::Unknown, true),
        (VpnHealth::Unhealthy, false),
    ] {
        tell(&mut world, 1, health, None);
        assert_eq!(listed(&world).contains(&engine.id), shown, "{health:?}");
        // Alone in the world it is kept: there is nothing better.
        world.wait_ms(3_600_000);
        settle(&mut world);
        assert_eq!(world.engine(engine.id).phase, Phase::Running);
    }
    let kinds: Vec<_> = world.state.events().iter().map(|e| e.category.as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "disconnected").count(), 2, "{kinds:?}");
}

#[test]
fn a_lasting_outage_moves_idle_engines_to_another_host() {
    let mut world = world(2);
    let mut engines = [world.running(), world.running()];
    engines.sort_by_key(|e| e.node);
    let busy = world.running();
    world.begin(playing("k", "s", busy.ports.host_http));
    let sick = busy.node;
    tell(&mut world, sick.0, VpnHealth::Unhealthy, None);
    world.wait_ms(10_000);
    settle(&mut world);
    assert_eq!(world.state.engines_behind(sick, "gluetun").count(), 2, "it moved too soon");
    world.wait_ms(2_000);
    settle(&mut world);
    let left: Vec<_> = world.state.engines_behind(sick, "gluetun").map(|e| e.id).collect();
    assert_eq!(left, [busy.id], "what plays stays, the idle one moved");
    let moved = serving(&world).into_iter().find(|e| e.replaces.is_some()).unwrap();
    assert_ne!(moved.node, sick);
    assert_eq!(serving(&world).len(), 3);
    world.finish("k|s");
    settle(&mut world);
    assert_eq!(world.state.engines_behind(sick, "gluetun").count(), 0);
    assert_eq!(serving(&world).len(), 3);
}

#[test]
fn as_many_engines_move_as_there_is_room_for() {
    let mut world = world(2);
    for (node, capacity) in [(1, 10), (2, 1)] {
        world.run(Command::NodeUp(NodeInfo { capacity, ..behind_vpn(node) }));
    }
    tell(&mut world, 2, VpnHealth::Unhealthy, None);
    let engines = [world.running(), world.running(), world.running()];
    assert!(engines.iter().all(|engine| engine.node == NodeId(1)), "{engines:?}");
    tell(&mut world, 2, VpnHealth::Healthy, None);
    tell(&mut world, 1, VpnHealth::Unhealthy, None);
    world.wait_ms(12_000);
    settle(&mut world);
    assert_eq!(world.state.engines_behind(NodeId(1), "gluetun").count(), 2, "what has no place stays");
    assert_eq!(world.state.engines_behind(NodeId(2), "gluetun").count(), 1);
    tell(&mut world, 1, VpnHealth::Healthy, None);
    assert_eq!(listed(&world).len(), 3);
}

#[test]
fn the_second_vpn_of_a_full_host_takes_the_engines_of_the_first() {
    let mut world = World::new(1, 2);
    let mut info = NodeInfo { capacity: 2, ..behind_vpn(1) };
    info.vpns.push(acefleet_registry::vpn::VpnInfo {
        container: "gluetun-2".to_owned(),
        ports: acefleet_registry::policy::PortRange { first: 19_200, last: 19_209 },
    });
    world.run(Command::NodeUp(info));
    tell(&mut world, 1, VpnHealth::Healthy, None);
    let first = [world.running(), world.running()];
    assert!(first.iter().all(|engine| engine.vpn.as_deref() == Some("gluetun")), "{first:?}");
    let status = VpnStatus { health: VpnHealth::Healthy, ..VpnStatus::default() };
    world.run(Command::VpnChanged {
        node: NodeId(1),
        container: "gluetun-2".to_owned(),
        status,
        renew: false,
    });
    tell(&mut world, 1, VpnHealth::Unhealthy, None);
    world.wait_ms(12_000);
    settle(&mut world);
    assert_eq!(world.state.engines_behind(NodeId(1), "gluetun-2").count(), 2);
    assert_eq!(world.state.engines_behind(NodeId(1), "gluetun").count(), 0);
}

#[test]
fn engines_of_a_dead_network_are_made_anew_once_their_vpn_is_back() {
    let mut world = world(1);
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_000));
    let mut ask = world.ask();
    ask.spec.labels.insert("stream_id".to_owned(), "x".to_owned());
    let id = engine(world.run(Command::Reserve(ask))).id;
    world.start(id);
    let other = world.running();
    tell(&mut world, 1, VpnHealth::Unhealthy, Some(50_000));
    for lost in [id, other.id] {
        let cause = Cause::VpnRecreated;
        world.run(Command::EngineStop { engine: lost, cause, when: StopWhen::Always });
    }
    settle(&mut world);
    assert_eq!(world.state.live_engines().count(), 0, "there is no network yet");
    world.wait_ms(60_000);
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_000));
    settle(&mut world);
    let now = serving(&world);
    assert_eq!(now.len(), 2);
    assert!(now.iter().any(|e| e.spec.labels.contains_key("stream_id")), "its labels were lost");
    assert_eq!(now.iter().filter(|e| e.forwarded_port == Some(50_000)).count(), 1);
    assert_eq!(now.iter().filter_map(|e| e.replaces).collect::<BTreeSet<_>>(), [id, other.id].into());
}

#[test]
fn one_engine_has_the_forwarded_port_and_is_replaced_when_it_changes() {
    let mut world = world(1);
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_000));
    let (first, second) = (world.running(), world.running());
    assert_eq!((first.forwarded_port, second.forwarded_port), (Some(50_000), None));
    assert_eq!(world.state.forwarded_port(&first), Some(50_000));
    world.begin(playing("k", "s", first.ports.host_http));
    tell(&mut world, 1, VpnHealth::Healthy, None);
    assert_eq!(world.state.forwarded_port(&first), None, "the VPN has no port");
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_001));
    assert_eq!(world.state.forwarded_port(&first), None, "it was told another port");
    assert_eq!(world.state.vpn_fault(&first), Some(VpnFault::StalePort));
    settle(&mut world);
    assert_eq!(serving(&world).len(), 2, "it plays, so it stays");
    assert!(listed(&world).contains(&first.id));
    world.finish("k|s");
    settle(&mut world);
    assert!(!listed(&world).contains(&first.id));
    assert_eq!((listed(&world).len(), serving(&world).len()), (2, 3), "a client may still come to it");
    world.wait_ms(35_000);
    settle(&mut world);
    let now = serving(&world);
    assert_eq!(now.len(), 2);
    let replacement = now.iter().find(|e| e.replaces == Some(first.id)).unwrap();
    assert_eq!(world.state.forwarded_port(replacement), Some(50_001));
}

#[test]
fn a_changed_port_stays_in_use_where_another_host_has_fewer_engines() {
    let mut world = World::new(2, 10);
    (1..=2).for_each(|id| drop(world.run(Command::NodeUp(behind_vpn(id)))));
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_000));
    let (first, other) = (world.running(), world.running());
    assert_eq!((first.node, other.node, first.forwarded_port), (NodeId(1), NodeId(1), Some(50_000)));
    tell(&mut world, 2, VpnHealth::Healthy, None);
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_001));
    settle(&mut world);
    let now = serving(&world);
    let replacement = now.iter().find(|e| e.replaces == Some(first.id)).unwrap();
    assert_eq!((replacement.node, world.state.forwarded_port(replacement)), (NodeId(1), Some(50_001)));
}

#[test]
fn a_forwarded_port_is_passed_on_when_its_engine_has_gone() {
    let mut world = world(1);
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_000));
    let first = world.running();
    world.run(stop(first.id, StopWhen::Always));
    // Somebody waits for this one, and the port is still listened on.
    assert_eq!(world.reserve().forwarded_port, None);
    let patient = acefleet_registry::Reserve { automatic: true, ..world.ask() };
    let replacement = engine(world.run(Command::Reserve(patient)));
    assert_eq!(replacement.forwarded_port, Some(50_000));
    assert_eq!(world.state.port_predecessor(&replacement).map(|e| e.id), Some(first.id));
    world.run(gone(first.id));
    assert_eq!(world.state.port_predecessor(&replacement), None);
}

#[test]
fn an_engine_that_stays_at_last_keeps_its_forwarded_port() {
    let mut world = world(1);
    world.run(Command::RaiseLevel(Level::CURRENT));
    tell(&mut world, 1, VpnHealth::Healthy, Some(50_000));
    let first = world.running();
    assert_eq!(first.forwarded_port, Some(50_000));
    let idle = Command::EngineStop { engine: first.id, cause: Cause::Idle, when: StopWhen::Always };
    world.run(idle.clone());
    let waiting = engine(world.run(Command::Reserve(Reserve { automatic: true, ..world.ask() })));
    assert_eq!(waiting.forwarded_port, Some(50_000), "it starts when the first has gone");
    let found = [InUse::at_last(first.id)].into();
    world.run(Command::StreamsSeen { node: NodeId(1), found, unviewed: [].into() });
    let ports = |world: &World| [first.id, waiting.id].map(|id| world.engine(id).forwarded_port);
    assert_eq!(ports(&world), [Some(50_000), None]);
    // One that was started meanwhile listens on it.
    world.run(idle);
    world.start(waiting.id);
    let third = engine(world.run(Command::Reserve(Reserve { automatic: true, ..world.ask() })));
    world.start(third.id);
    let found = [InUse::at_last(first.id)].into();
    world.run(Command::StreamsSeen { node: NodeId(1), found, unviewed: [].into() });
    assert_eq!(ports(&world), [None, None]);
    assert_eq!(world.engine(third.id).forwarded_port, Some(50_000));
}

#[test]
fn engines_outside_the_vpn_are_hidden_and_replaced() {
    let mut world = World::new(1, 10);
    let outside = world.running();
    world.run(Command::NodeUp(behind_vpn(1)));
    assert_eq!(world.state.vpn_fault(&outside), Some(VpnFault::Misplaced));
    assert_eq!(listed(&world), []);
    tell(&mut world, 1, VpnHealth::Healthy, None);
    settle(&mut world);
    let replacement = world.state.listed_engines().next().unwrap().clone();
    assert_eq!((replacement.vpn.as_deref(), replacement.replaces), (Some("gluetun"), Some(outside.id)));
    world.wait_ms(35_000);
    settle(&mut world);
    assert_eq!(serving(&world).iter().map(|e| e.id).collect::<Vec<_>>(), [replacement.id]);
    world.run(Command::NodeUp(node_info(1, 10)));
    assert!(Tables::from(world.state.clone()).vpns.is_empty());
    settle(&mut world);
    world.wait_ms(35_000);
    settle(&mut world);
    let now = serving(&world);
    assert_eq!((now.len(), now[0].vpn.as_deref(), now[0].replaces), (1, None, Some(replacement.id)));
}

#[test]
fn a_vpn_that_went_away_is_not_held_against_docker() {
    let mut world = world(1);
    for _ in 0..10 {
        let id = world.reserve().id;
        let (cause, message) = (Cause::VpnError, "the VPN went away".to_owned());
        world.run(Command::EngineFailed { engine: id, cause, message });
    }
    world.running();
}

#[test]
fn what_is_not_set_up_is_not_recorded() {
    let mut world = world(1);
    let status = VpnStatus::default();
    for (node, container) in [(1, "other"), (9, "gluetun")] {
        let (node, container) = (NodeId(node), container.to_owned());
        let told = Command::VpnChanged { node, container, status: status.clone(), renew: false };
        assert_eq!(refusal(world.run(told)), RefusalCode::NotFound);
    }
    let before = world.state.events().len();
    tell(&mut world, 1, VpnHealth::Healthy, None);
    assert_eq!(world.state.events().len(), before, "nothing has changed");
    world.run(Command::NodeRemoved { node: NodeId(1) });
    assert!(Tables::from(world.state.clone()).vpns.is_empty());
}
