//! Engines that have not answered yet: who gets them, and what it means when they never do, or stop doing so within a minute.

use std::collections::BTreeSet;

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::cause::Cause;
use acefleet_registry::engine::Health;
use acefleet_registry::group::Group;
use acefleet_registry::health::HealthFault;
use acefleet_registry::rules::engines::unlisted;
use acefleet_registry::rules::standing::Unlisted;
use acefleet_registry::{Command, EngineId, Reserve};

use crate::support::{World, engine, plan};
use crate::young::{MINUTE_MS, PLAIN, count, state, world};

/// The first verdict on an engine is that nothing listens on its port.
fn never_opens(world: &mut World, id: EngineId) {
    let (health, fault) = (Health::Unhealthy, Some(HealthFault::PortClosed));
    world.run(Command::EngineHealth { engine: id, health, fault });
}

#[test]
fn an_engine_of_a_floor_is_listed_when_it_has_answered() {
    let mut world = world(1);
    world.policy(|policy| policy.min_replicas = 1);
    let planned = plan(&world.state, &world.eligible(), world.now);
    let made = planned.into_iter().map(|command| engine(world.run(command)).id).next().expect("one");
    world.start(made);
    assert_eq!(world.state.listed_engines().count(), 0);
    let why = |world: &World| unlisted(&world.state, world.state.engine(made).expect("it is there"));
    assert_eq!(why(&world), Some(Unlisted::NotAnswered));
    world.run(Command::EngineHealth { engine: made, health: Health::Healthy, fault: None });
    assert_eq!(why(&world), None);
    // One that answered is listed for what it is.
    world.run(Command::EngineHealth { engine: made, health: Health::Unknown, fault: None });
    assert_eq!(why(&world), None);
}

#[test]
fn a_caller_finds_its_engine_on_the_list_before_it_answers() {
    let mut world = world(1);
    let ask = Reserve { claim_abandoned: true, patience_ms: Some(2_400), ..world.ask() };
    let given = engine(world.run(Command::Reserve(ask)));
    world.start(given.id);
    assert_eq!(world.state.listed_engines().map(|engine| engine.id).collect::<Vec<_>>(), [given.id]);
    // Its client may come at the last moment.
    world.wait_ms(20_000);
    assert_eq!(world.state.listed_engines().count(), 1);
    world.run(Command::Abandon { engine: given.id, by: None });
    assert_eq!(world.state.listed_engines().count(), 0, "it has given up");
    world.run(Command::EngineHealth { engine: given.id, health: Health::Healthy, fault: None });
    assert_eq!(world.state.listed_engines().count(), 1);
}

#[test]
fn an_engine_that_never_answers_has_failed_to_start_and_is_replaced_on_another_host() {
    let mut world = world(3);
    world.policy(|policy| policy.min_replicas = 3);
    let sound = [world.running(), world.running()];
    let deaf = world.reserve();
    world.start(deaf.id);
    world.wait_ms(30_000);
    never_opens(&mut world, deaf.id);
    let group = Group::Host(deaf.node);
    assert_eq!((count(&world, &group), count(&world, &PLAIN)), (1, 0));
    let story = world.state.breaker_over(&group, world.now).0.story();
    assert!(story.contains("it has not answered since its start"), "{story}");
    world.wait_ms(2_000);
    let planned = plan(&world.state, &world.eligible(), world.now);
    let replacements: Vec<_> = planned.into_iter().map(|command| engine(world.run(command))).collect();
    assert_eq!(replacements.len(), 1, "{replacements:?}");
    assert_ne!(replacements[0].node, deaf.node, "its host comes last");
    // The same verdict again, and one on an engine that had answered, say nothing of a start.
    never_opens(&mut world, deaf.id);
    world.wait_ms(30_000);
    never_opens(&mut world, sound[0].id);
    assert_eq!((count(&world, &group), count(&world, &PLAIN)), (1, 0));
    assert_eq!(count(&world, &Group::Host(sound[0].node)), 0);
}

#[test]
fn an_engine_that_hangs_within_a_minute_has_failed_to_start() {
    let mut world = world(1);
    for failures in 1..=5 {
        world.wait_ms(MINUTE_MS);
        let engine = world.running();
        world.wait_ms(4_000);
        never_opens(&mut world, engine.id);
        // Its end is no second failure.
        world.run(Command::EngineGone { engine: engine.id, cause: Cause::Exited, message: None });
        assert_eq!(count(&world, &PLAIN), failures);
    }
    assert_eq!(state(&world, &PLAIN), BreakerState::Open);
}

#[test]
fn engines_that_answer_nowhere_open_the_breaker_of_all() {
    let mut world = world(3);
    for round in 0..2 {
        assert_eq!(state(&world, &PLAIN), BreakerState::Closed, "round {round}");
        let deaf: Vec<_> = (0..3).map(|_| world.reserve()).collect();
        let hosts: BTreeSet<_> = deaf.iter().map(|engine| engine.node).collect();
        assert_eq!(hosts.len(), 3, "one on each");
        deaf.iter().for_each(|engine| drop(world.start(engine.id)));
        world.wait_ms(30_000);
        deaf.iter().for_each(|engine| never_opens(&mut world, engine.id));
    }
    assert_eq!(state(&world, &PLAIN), BreakerState::Open);
}

#[test]
fn what_was_counted_is_taken_back_when_the_host_is_suspected_or_the_engine_answers() {
    let mut world = world(1);
    let engines = [world.running(), world.running(), world.running()];
    never_opens(&mut world, engines[0].id);
    assert_eq!(count(&world, &PLAIN), 1);
    never_opens(&mut world, engines[1].id);
    assert_eq!(count(&world, &PLAIN), 0, "two of three fail at once");
    let recover = |world: &mut World, id| {
        world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
    };
    engines[..2].iter().for_each(|engine| recover(&mut world, engine.id));
    // One that answers now and then has not failed to start, however often.
    for _ in 0..6 {
        world.wait_ms(4_000);
        never_opens(&mut world, engines[2].id);
        assert_eq!(count(&world, &PLAIN), 1);
        recover(&mut world, engines[2].id);
        assert_eq!((count(&world, &PLAIN), state(&world, &PLAIN)), (0, BreakerState::Closed));
    }
}

#[test]
fn young_engines_that_fail_one_after_the_other_with_their_host_have_not_failed_to_start() {
    let mut world = world(1);
    let engines: Vec<_> = (0..12).map(|_| world.running().id).collect();
    for id in &engines {
        never_opens(&mut world, *id);
        world.wait_ms(200);
    }
    assert_eq!((count(&world, &PLAIN), state(&world, &PLAIN)), (0, BreakerState::Closed));
    world.wait_ms(60_000);
    for command in plan(&world.state, &world.eligible(), world.now) {
        world.run(command);
    }
    assert!(count(&world, &PLAIN) > 0, "a minute later each is judged for itself");
}
