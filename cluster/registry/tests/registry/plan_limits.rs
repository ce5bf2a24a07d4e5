//! What keeps the plan from starting too much, stopping too soon, or waiting for nothing.

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::Health;
use acefleet_registry::lack::Lack;
use acefleet_registry::node::Wanted;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Plan, Wait, next};
use acefleet_registry::rules::standing::Keeps;
use acefleet_registry::{Command, Level, NodeId};

use crate::support::{World, failed, playing, watch};

fn world(nodes: u64) -> World {
    let mut world = World::new(nodes, 50);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

fn planned(world: &World) -> Plan {
    next(&world.state, &watch(&world.state, &world.eligible()), world.now)
}

/// Runs the plan once and says how many engines it starts.
fn starts(world: &mut World) -> usize {
    let commands = planned(world).commands;
    let reserves = commands.iter().filter(|command| matches!(command, Command::Reserve(_))).count();
    for command in commands {
        world.run(command);
    }
    reserves
}

#[test]
fn a_large_floor_is_started_in_portions() {
    let mut world = world(3);
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (60, 100));
    assert_eq!(
        [starts(&mut world), starts(&mut world)],
        [30, 0],
        "ten on each host, and no more before they run"
    );
    let reserved: Vec<_> = world.state.live_engines().map(|engine| engine.id).collect();
    reserved.iter().take(7).for_each(|id| drop(world.start(*id)));
    assert_eq!(starts(&mut world), 7);
}

#[test]
fn a_host_that_just_failed_rests_also_when_the_others_lack_the_image() {
    let mut world = world(2);
    world.policy(|policy| policy.min_replicas = 1);
    let lacking = world.reserve();
    world.run(Command::EngineLacks {
        engine: lacking.id,
        lack: Lack::Image("engine:1".to_owned()),
        message: "no such image".to_owned(),
    });
    // The other host is the only one that can start it, and fails. While it rests, nothing is tried there.
    for failures in 1..=2 {
        let sick = world.reserve();
        assert_ne!(sick.node, lacking.node);
        world.run(failed(sick.id));
        assert_eq!(
            world.state.breaker(acefleet_registry::breaker::BreakerKind::General).0.failure_count,
            failures
        );
        let plan = planned(&world);
        assert_eq!(plan.commands, vec![]);
        assert!(
            matches!(plan.waits[..], [Wait::Floor { missing: 1, why: Shortage::Pause { .. } }]),
            "{:?}",
            plan.waits
        );
    }
}

#[test]
fn engines_of_a_drained_host_that_is_down_are_kept_for_streams_that_may_still_play() {
    let mut world = world(2);
    let engine = world.running();
    world.begin(playing("k", "s", engine.ports.host_http));
    let within_ms = None;
    world.run(Command::NodeAvailability {
        node: engine.node,
        availability: Wanted::Draining { within_ms, returns: false },
    });
    world.wait_ms(60_000);
    world.run(Command::NodeDown { node: engine.node, down: true });
    let others = world.state.nodes().map(|node| node.info.id).filter(|id| *id != engine.node).collect();
    for _ in 0..2 {
        let plan = next(&world.state, &watch(&world.state, &others), world.now);
        assert_eq!(plan.commands, vec![]);
        assert!(
            plan.waits.contains(&Wait::Stop { engine: engine.id, why: Keeps::StreamsInDoubt }),
            "{:?}",
            plan.waits
        );
        world.wait_ms(100_000);
    }
    world.run(Command::NodeDown { node: engine.node, down: false });
    assert_eq!(planned(&world).commands, vec![], "its host has not asked it yet");
    world.wait_ms(16_000);
    let stop = Command::EngineStop { engine: engine.id, cause: Cause::Drained, when: StopWhen::Unused };
    assert_eq!(planned(&world).commands, vec![stop]);
}

#[test]
fn an_unlisted_engine_that_cannot_be_listed_again_does_not_count_against_the_maximum() {
    let mut world = world(1);
    world.policy(|policy| policy.max_replicas = 1);
    let sick = world.running();
    world.wait_ms(60_000);
    let stop = Command::EngineStop { engine: sick.id, cause: Cause::Idle, when: StopWhen::IdleFor(0) };
    world.run(stop);
    assert_eq!(world.state.engine_count(), 1);
    world.run(Command::EngineHealth { engine: sick.id, health: Health::Unhealthy, fault: None });
    assert_eq!(world.state.engine_count(), 0);
    assert_ne!(world.reserve().id, sick.id);
}

#[test]
fn where_a_floor_needs_every_engine_none_is_waited_for() {
    let mut world = world(1);
    world.policy(|policy| (policy.auto_delete, policy.grace_ms, policy.min_replicas) = (true, 12_000, 1));
    let engine = world.running();
    world.wait_ms(40_000);
    assert_eq!(planned(&world).waits, vec![]);
    world.policy(|policy| policy.min_replicas = 0);
    world.begin(playing("k", "s", engine.ports.host_http));
    world.finish("k|s");
    let waits = planned(&world).waits;
    assert!(matches!(waits[..], [Wait::Unlist { why: Keeps::NotIdle { .. }, .. }]), "{waits:?}");
}

#[test]
fn a_drained_leader_waits_for_its_transfer_only_when_somebody_can_take_over() {
    let mut world = world(2);
    let draining = |node| Command::NodeAvailability {
        node,
        availability: Wanted::Draining { within_ms: None, returns: false },
    };
    world.run(draining(NodeId(1)));
    let plan = |world: &World| {
        let seen = watch(&world.state, &world.eligible());
        next(&world.state, &acefleet_registry::plan::Watch { own: NodeId(1), ..seen }, world.now).waits
    };
    assert_eq!(plan(&world), vec![Wait::Transfer { node: NodeId(1) }]);
    world.run(draining(NodeId(2)));
    assert_eq!(plan(&world), vec![]);
}
