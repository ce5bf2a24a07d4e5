//! VPNs that were down lately, and engines behind those that stay down.

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::Health;
use acefleet_registry::plan::{Wait, next, off_network_wait};
use acefleet_registry::vpn::VpnHealth;
use acefleet_registry::{
    Command, EngineId, Level, NodeId, NodeInfo, OpId, Proposal, RefusalCode, Reply, Reserve, apply,
};

use crate::renew::second;
use crate::support::{World, behind_vpn, engine, node_info, plan, playing, watch};
use crate::vpn::{listed, settle, tell, world};
use crate::vpn_pairs::{behind, tell_second, with_two};

const DOWN: VpnHealth = VpnHealth::Unhealthy;
const UP: VpnHealth = VpnHealth::Healthy;

/// So many hosts with a VPN each, at the present level.
fn raised(nodes: u64) -> World {
    let mut world = world(nodes);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

/// One host with two VPNs, at the present level.
fn pair() -> World {
    let mut world = raised(1);
    with_two(&mut world, 1, 10);
    tell_second(&mut world, 1, UP, None);
    world
}

fn on(world: &mut World, node: u64) -> EngineId {
    let id = engine(world.run(Command::Reserve(world.ask_on(node)))).id;
    world.start(id);
    world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
    id
}

fn play(world: &mut World, id: EngineId) {
    let port = world.engine(id).ports.host_http;
    world.begin(playing("k", &format!("s{id}"), port));
}

fn waits(world: &World) -> Vec<Wait> {
    next(&world.state, &watch(&world.state, &world.eligible()), world.now).waits
}

fn created(world: &World) -> usize {
    world.state.events().iter().filter(|event| event.category == "created").count()
}

fn seconds(world: &mut World, count: u32) {
    (0..count).for_each(|_| drop(second(world)));
}

/// The first VPN of host 1 is down for so long.
fn outage(world: &mut World, ms: u64) {
    tell(world, 1, DOWN, None);
    world.wait_ms(ms);
    tell(world, 1, UP, None);
}

/// Which host the next engine would get.
fn next_host(world: &World) -> NodeId {
    let command = Command::Reserve(world.ask());
    let proposal =
        Proposal { op_id: OpId(77, 77), at_ms: world.now, origin: world.origin, by: None, command };
    engine(apply(&mut world.state.clone(), &proposal, 0)).node
}

#[test]
fn new_engines_go_to_a_vpn_that_was_not_down_lately() {
    let mut world = raised(2);
    for _ in 0..3 {
        on(&mut world, 2);
    }
    assert_eq!(next_host(&world), NodeId(1));
    outage(&mut world, 3_000);
    assert_eq!(next_host(&world), NodeId(2), "it was down a moment ago");
    world.wait_ms(59_999);
    assert_eq!(next_host(&world), NodeId(2));
    world.wait_ms(1);
    assert_eq!(next_host(&world), NodeId(1), "a minute is enough");
    // Where no other is able, it is good enough.
    outage(&mut world, 3_000);
    tell(&mut world, 2, DOWN, None);
    assert_eq!(next_host(&world), NodeId(1));
}

#[test]
fn a_vpn_rests_for_longer_with_each_outage_that_follows_shortly() {
    let mut world = raised(2);
    on(&mut world, 2);
    for rests_ms in [60_000, 120_000, 240_000, 300_000, 300_000] {
        outage(&mut world, 1_000);
        world.wait_ms(rests_ms - 1);
        assert_eq!(next_host(&world), NodeId(2), "{rests_ms}");
        world.wait_ms(1);
        assert_eq!(next_host(&world), NodeId(1), "{rests_ms}");
    }
    world.wait_ms(300_000);
    outage(&mut world, 1_000);
    world.wait_ms(60_000);
    assert_eq!(next_host(&world), NodeId(1), "it held for ten minutes");
}

#[test]
fn a_vpn_that_is_being_started_and_one_of_an_older_program_rest_for_nothing() {
    let mut world = world(2);
    on(&mut world, 2);
    outage(&mut world, 3_000);
    assert_eq!(next_host(&world), NodeId(1));
    let mut world = raised(1);
    world.run(Command::NodeUp(behind_vpn(2)));
    on(&mut world, 1);
    tell(&mut world, 2, DOWN, None);
    world.wait_ms(20_000);
    tell(&mut world, 2, UP, None);
    assert_eq!(next_host(&world), NodeId(2));
}

#[test]
fn two_vpns_that_go_down_in_turn_keep_their_engines() {
    for floor in [0, 6] {
        let mut world = pair();
        let info = world.state.node(NodeId(1)).unwrap().info.clone();
        world.run(Command::NodeUp(NodeInfo { capacity: 20, ..info }));
        let engines: Vec<EngineId> = (0..6).map(|_| world.running().id).collect();
        play(&mut world, engines[0]);
        play(&mut world, engines[1]);
        world.policy(|policy| {
            policy.min_replicas = floor;
            policy.max_replicas = 20;
        });
        let mut before = created(&world);
        for turn in 0..7 {
            let mut fewest = usize::MAX;
            for n in 0..32 {
                match n {
                    0 => tell(&mut world, 1, DOWN, None),
                    15 => tell(&mut world, 1, UP, None),
                    16 => tell_second(&mut world, 1, DOWN, None),
                    31 => tell_second(&mut world, 1, UP, None),
                    _ => {}
                }
                second(&mut world);
                fewest = fewest.min(listed(&world).len());
            }
            let made = created(&world) - before;
            before = created(&world);
            // At first the floor has others started behind each of them; later one at a time is replaced for the new tunnel.
            let most = if turn == 0 { 2 + floor as usize } else { 1 };
            assert!(made <= most, "floor {floor}, turn {turn}: {made}");
            assert!(turn == 0 || fewest >= floor as usize, "floor {floor}, turn {turn}: {fewest} are listed");
        }
        assert!(engines[..2].iter().all(|id| world.engine(*id).phase.is_serving()), "a viewer was cut");
    }
}

#[test]
fn no_engine_moves_behind_a_vpn_that_rests_and_the_plan_says_so() {
    let mut world = pair();
    let engines: Vec<EngineId> = (0..4).map(|_| world.running().id).collect();
    tell_second(&mut world, 1, DOWN, None);
    world.wait_ms(1_000);
    tell_second(&mut world, 1, UP, None);
    world.wait_ms(10_000);
    tell(&mut world, 1, DOWN, None);
    world.wait_ms(12_000);
    assert_eq!(plan(&world.state, &world.eligible(), world.now), []);
    let wait = Wait::VpnElsewhereRests { engine: engines[0], left_ms: 38_000 };
    let said = waits(&world);
    assert!(said.contains(&wait), "{said:?}");
    let hosts = watch(&world.state, &world.eligible()).candidates(&world.state);
    let told = |engine: EngineId| off_network_wait(&world.state, &hosts, engine, world.now);
    assert_eq!(told(engines[0]), Some(wait), "the API says the same");
    assert_eq!(told(engines[1]), None, "nothing is wrong with its network");
    world.wait_ms(38_000);
    settle(&mut world);
    assert_eq!((behind(&world, "gluetun"), behind(&world, "gluetun-2")), (0, 4));
}

#[test]
fn engines_behind_a_vpn_that_stays_down_count_in_no_floor() {
    let mut world = raised(2);
    let busy: Vec<EngineId> = (0..3).map(|_| on(&mut world, 1)).collect();
    on(&mut world, 2);
    busy.iter().for_each(|id| play(&mut world, *id));
    world.policy(|policy| {
        policy.min_replicas = 3;
        policy.min_free_replicas = 1;
        policy.max_replicas = 8;
        policy.auto_delete = true;
        policy.grace_ms = 8_000;
    });
    tell(&mut world, 1, DOWN, None);
    seconds(&mut world, 11);
    assert_eq!((listed(&world).len(), world.state.live_engines().count()), (1, 4), "a flap starts nothing");
    seconds(&mut world, 4);
    assert_eq!(listed(&world).len(), 3);
    assert_eq!(world.state.at(world.now).supply(), 3);
    seconds(&mut world, 60);
    assert_eq!(listed(&world).len(), 3, "it comes to rest");
    // When it is back, what is too many leaves, and no viewer is cut.
    tell(&mut world, 1, UP, None);
    assert_eq!(listed(&world).len(), 6);
    seconds(&mut world, 60);
    let left = listed(&world);
    assert!(busy.iter().all(|id| left.contains(id)), "{left:?}");
    assert_eq!(left.len(), 4, "one is free");
    for id in &busy {
        world.finish(&format!("k|s{id}"));
    }
    seconds(&mut world, 180);
    assert_eq!((listed(&world).len(), world.state.live_engines().count()), (3, 3));
}

#[test]
fn an_engine_whose_replacement_has_ended_leaves_as_any_other() {
    let mut world = raised(2);
    let busy = on(&mut world, 1);
    play(&mut world, busy);
    world.policy(|policy| policy.min_replicas = 1);
    tell(&mut world, 1, DOWN, None);
    seconds(&mut world, 15);
    let replacement = world.state.replacement(busy).unwrap().id;
    world.run(Command::EngineStop { engine: replacement, cause: Cause::Stopped, when: StopWhen::Always });
    world.run(Command::EngineGone { engine: replacement, cause: Cause::Stopped, message: None });
    seconds(&mut world, 5);
    assert!(world.engine(busy).phase.is_serving(), "a viewer was cut");
    assert_eq!(listed(&world).len(), 1, "the floor has another one");
    world.finish(&format!("k|s{busy}"));
    seconds(&mut world, 5);
    let said = waits(&world);
    assert!(!said.iter().any(|wait| matches!(wait, Wait::VpnWithoutRoom { .. })), "{said:?}");
    assert!(!world.engine(busy).phase.is_live());
    assert_eq!((listed(&world).len(), world.state.live_engines().count()), (1, 1));
}

#[test]
fn an_engine_that_moves_fills_the_gap_that_it_leaves() {
    let mut world = raised(2);
    let idle: Vec<EngineId> = (0..4).map(|_| on(&mut world, 1)).collect();
    on(&mut world, 2);
    world.policy(|policy| policy.min_replicas = 5);
    let before = created(&world);
    tell(&mut world, 1, DOWN, None);
    seconds(&mut world, 30);
    assert_eq!((created(&world) - before, listed(&world).len()), (4, 5), "one for one");
    assert_eq!(world.state.live_engines().count(), 5);
    tell(&mut world, 1, UP, None);
    seconds(&mut world, 60);
    assert_eq!((created(&world) - before, listed(&world).len()), (4, 5));
    assert!(idle.iter().all(|id| !world.engine(*id).phase.is_live()));
}

#[test]
fn of_engines_behind_a_vpn_that_stays_down_a_tenth_does_not_count_against_the_maximum() {
    let mut world = raised(2);
    let busy: Vec<EngineId> = (0..4).map(|_| on(&mut world, 1)).collect();
    busy.iter().for_each(|id| play(&mut world, *id));
    world.policy(|policy| {
        policy.min_replicas = 4;
        policy.max_replicas = 4;
    });
    tell(&mut world, 1, DOWN, None);
    seconds(&mut world, 30);
    assert_eq!((listed(&world).len(), world.state.live_engines().count()), (1, 5));
    // When it is back, the free one above the maximum leaves.
    tell(&mut world, 1, UP, None);
    seconds(&mut world, 600);
    assert_eq!((listed(&world), world.state.live_engines().count()), (busy, 4));
}

#[test]
fn a_level_below_counts_what_a_vpn_hides() {
    let mut world = world(2);
    let busy = on(&mut world, 1);
    play(&mut world, busy);
    world.policy(|policy| policy.min_replicas = 1);
    tell(&mut world, 1, DOWN, None);
    world.wait_ms(60_000);
    assert_eq!(world.state.at(world.now).supply(), 1);
    assert_eq!(plan(&world.state, &world.eligible(), world.now), []);
}

#[test]
fn ports_behind_a_vpn_that_is_down_are_no_ports_and_it_is_named() {
    let mut world = pair();
    with_two(&mut world, 1, 2);
    (0..2).for_each(|_| drop(world.reserve()));
    tell(&mut world, 1, DOWN, None);
    let port =
        |world: &mut World| match world.run(Command::Reserve(Reserve { automatic: true, ..world.ask() })) {
            Reply::Engine(engine) => Ok(engine.ports.host_http),
            Reply::Refused(refusal) => Err((refusal.code, refusal.message)),
            other => panic!("{other:?}"),
        };
    let first = port(&mut world);
    assert!(matches!(first, Ok(19_500..=19_501)), "{first:?}");
    let (code, message) = port(&mut world).unwrap_err();
    assert_eq!(code, RefusalCode::NoFreePorts);
    for part in ["gluetun on node-1: the tunnel is down", "19500-19501"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("191") && !message.contains("widen"), "{message}");
    tell(&mut world, 1, UP, None);
    world.run(Command::Reserve(Reserve { automatic: true, ..world.ask() }));
    assert_eq!(behind(&world, "gluetun"), 2);
}

#[test]
fn a_new_leader_waits_for_a_word_of_vpns_as_it_does_for_docker() {
    let mut world = World::new(3, 10);
    (1..=2).for_each(|id| drop(world.run(Command::NodeUp(behind_vpn(id)))));
    world.policy(|policy| policy.min_replicas = 6);
    let settling = |world: &World, led_ms: u64| {
        let watch = acefleet_registry::plan::Watch { led_ms, ..watch(&world.state, &world.eligible()) };
        let plan = next(&world.state, &watch, world.now);
        let nodes = plan.waits.iter().find_map(|wait| match wait {
            Wait::Settling { nodes, .. } => Some(nodes.clone()),
            _ => None,
        });
        assert!(nodes.is_none() || plan.commands.is_empty(), "{plan:?}");
        nodes.unwrap_or_default()
    };
    assert_eq!(settling(&world, 900), [NodeId(1), NodeId(2)]);
    assert_eq!(settling(&world, 5_000), [], "it goes on without them");
    tell(&mut world, 1, DOWN, None);
    assert_eq!(settling(&world, 900), [NodeId(2)], "a bad word is one, too");
    tell(&mut world, 2, UP, None);
    assert_eq!(settling(&world, 900), []);
    // What cannot be asked is not waited for.
    world.run(Command::NodeUp(node_info(2, 10)));
    assert_eq!(settling(&world, 900), []);
}
