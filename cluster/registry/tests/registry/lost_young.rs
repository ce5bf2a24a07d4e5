//! Engines that are lost with their host: no failed start, one replacement, and nobody who uses them.

use acefleet_registry::Command;
use acefleet_registry::cause::Cause;
use acefleet_registry::engine::Health;
use acefleet_registry::group::Group;
use acefleet_registry::health::HealthFault;
use acefleet_registry::rules::health::answers_nobody;

use crate::support::{World, plan};
use crate::young::{PLAIN, count, world};

#[test]
fn an_engine_that_ended_with_the_power_of_its_host_has_not_failed() {
    let mut world = world(2);
    let engine = world.running();
    world.wait_ms(20_000);
    let (node, answering) = (engine.node, Some([].into()));
    world.run(Command::NodeUnavailable { node, answering: answering.clone(), is_back: false });
    world.run(Command::NodeUnavailable { node, answering, is_back: true });
    // Its probe may come before Docker's word.
    let (health, fault) = (Health::Unhealthy, Some(HealthFault::PortClosed));
    world.run(Command::EngineHealth { engine: engine.id, health, fault });
    world.run(Command::EngineGone { engine: engine.id, cause: Cause::Exited, message: None });
    assert!(!world.engine(engine.id).phase.is_live());
    assert_eq!((count(&world, &Group::Host(node)), count(&world, &PLAIN)), (0, 0));
    assert_eq!(world.state.node(node).unwrap().failed_start_ms, None);
}

#[test]
fn an_engine_that_hangs_since_the_return_of_its_host_is_replaced_once() {
    let mut world = world(2);
    world.policy(|policy| policy.min_replicas = 1);
    let lost = world.running();
    world.wait_ms(20_000);
    let (node, answering) = (lost.node, Some([].into()));
    world.run(Command::NodeUnavailable { node, answering: answering.clone(), is_back: false });
    let other = world.running();
    assert_ne!(other.node, node);
    world.run(Command::NodeUnavailable { node, answering, is_back: true });
    let (health, fault) = (Health::Unhealthy, Some(HealthFault::NoAnswer));
    world.run(Command::EngineHealth { engine: lost.id, health, fault });
    world.wait_ms(40_000);
    let stops = plan(&world.state, &world.eligible(), world.now);
    assert!(matches!(stops[..], [Command::EngineStop { engine, .. }] if engine == lost.id), "{stops:?}");
    stops.into_iter().for_each(|command| drop(world.run(command)));
    world.run(Command::EngineGone { engine: lost.id, cause: Cause::Stopped, message: None });
    for _ in 0..3 {
        for command in plan(&world.state, &world.eligible(), world.now) {
            assert!(!matches!(command, Command::Reserve(_)), "{command:?}");
            world.run(command);
        }
    }
}

#[test]
fn an_engine_that_hangs_or_is_lost_answers_nobody() {
    let mut world = world(2);
    let engine = world.running();
    let answers = |world: &World| !answers_nobody(&world.state, &world.engine(engine.id));
    let says = |world: &mut World, health, fault| {
        world.run(Command::EngineHealth { engine: engine.id, health, fault });
    };
    assert!(answers(&world));
    says(&mut world, Health::Unhealthy, Some(HealthFault::NoAnswer));
    assert!(!answers(&world));
    says(&mut world, Health::Healthy, None);
    says(&mut world, Health::Unhealthy, Some(HealthFault::ErrorStatus));
    assert!(answers(&world), "its streams may play");
    says(&mut world, Health::Healthy, None);
    let answering = Some([].into());
    world.run(Command::NodeUnavailable { node: engine.node, answering, is_back: false });
    assert!(!answers(&world));
    says(&mut world, Health::Healthy, None);
    assert!(answers(&world), "it is back");
}
