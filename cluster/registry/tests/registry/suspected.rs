//! Hosts whose engines fail together: what the floors, a maximum, a loss of the host and other engines make of that.

use std::collections::BTreeSet;

use acefleet_registry::engine::{Health, Phase};
use acefleet_registry::health::HealthFault;
use acefleet_registry::plan::{Wait, next};
use acefleet_registry::rules::engines::keeps_running;
use acefleet_registry::rules::health::host_failure;
use acefleet_registry::rules::lost_hosts::Tried;
use acefleet_registry::rules::standing::Keeps;
use acefleet_registry::{Command, EngineId, Level, NodeId, Reply};

use crate::support::{self, World, gone};

fn world(nodes: u64, capacity: u32) -> World {
    let mut world = World::new(nodes, capacity);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

fn fail(world: &mut World, id: EngineId) {
    let (health, fault) = (Health::Unhealthy, Some(HealthFault::NoAnswer));
    world.run(Command::EngineHealth { engine: id, health, fault });
}

fn answer(world: &mut World, id: EngineId) {
    world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
}

/// Engines on a host, older than a minute.
fn engines_on(world: &mut World, host: u64, count: usize) -> Vec<EngineId> {
    let reserve = |world: &mut World| match world.run(Command::Reserve(world.ask_on(host))) {
        Reply::Engine(engine) => engine.id,
        other => panic!("{other:?}"),
    };
    let ids: Vec<EngineId> = (0..count).map(|_| reserve(world)).collect();
    for id in &ids {
        world.start(*id);
        answer(world, *id);
    }
    world.wait_ms(60_000);
    ids
}

fn planned(world: &World) -> Vec<Command> {
    support::plan(&world.state, &world.eligible(), world.now)
}

/// Performs the plan of this moment; what is started answers at once.
fn perform(world: &mut World) -> (usize, usize) {
    let (mut started, mut stopped) = (0, 0);
    for command in planned(world) {
        let stops = matches!(command, Command::EngineStop { .. });
        let Reply::Engine(engine) = world.run(command) else { continue };
        match engine.phase {
            Phase::Reserved => {
                world.start(engine.id);
                answer(world, engine.id);
                started += 1;
            }
            Phase::Stopping => {
                world.run(gone(engine.id));
                stopped += 1;
            }
            _ => stopped += usize::from(stops && engine.taken_off.is_some()),
        }
    }
    (started, stopped)
}

fn listed(world: &World) -> BTreeSet<EngineId> {
    world.state.listed_engines().map(|engine| engine.id).collect()
}

#[test]
fn a_floor_replaces_idle_engines_of_a_suspected_host_at_the_same_pace() {
    let mut world = world(2, 20);
    world.policy(|policy| {
        (policy.auto_delete, policy.grace_ms, policy.min_replicas) = (true, 30_000, 6);
    });
    let engines = engines_on(&mut world, 1, 6);
    engines.iter().for_each(|id| fail(&mut world, *id));
    assert!(host_failure(&world.state, NodeId(1)).is_some());
    let mut started = 0;
    for second in 0..20 {
        started += perform(&mut world).0;
        assert!(started <= 1 + second / 5, "{started} after {second} s");
        world.wait_ms(1_000);
    }
    assert_eq!(started, 4, "one each five seconds");
}

#[test]
fn engines_that_somebody_paused_say_nothing_of_their_host() {
    let mut world = world(2, 20);
    let engines = engines_on(&mut world, 1, 4);
    for id in &engines[..3] {
        let (health, fault) = (Health::Unhealthy, Some(HealthFault::Paused));
        world.run(Command::EngineHealth { engine: *id, health, fault });
    }
    assert_eq!(host_failure(&world.state, NodeId(1)), None);
    assert_eq!(listed(&world), [engines[3]].into());
}

#[test]
fn an_engine_that_is_to_spare_is_listed_again_whoever_waits_for_its_turn() {
    let mut world = world(2, 20);
    world.policy(|policy| {
        (policy.auto_delete, policy.grace_ms, policy.min_replicas) = (true, 30_000, 3);
    });
    let engines = engines_on(&mut world, 1, 3);
    let spare = engines_on(&mut world, 2, 1)[0];
    let when = acefleet_registry::command::StopWhen::IdleFor(0);
    world.run(support::stop(spare, when));
    assert!(!listed(&world).contains(&spare));
    engines.iter().for_each(|id| fail(&mut world, *id));
    perform(&mut world);
    assert!(listed(&world).contains(&spare));
}

#[test]
fn engines_of_a_suspected_host_that_is_lost_are_replaced_at_once() {
    let mut world = world(3, 20);
    world.policy(|policy| policy.min_replicas = 10);
    let engines = engines_on(&mut world, 1, 10);
    engines.iter().for_each(|id| fail(&mut world, *id));
    assert!(host_failure(&world.state, NodeId(1)).is_some());
    let seen = |world: &World| {
        let mut watch = support::watch(&world.state, &[NodeId(2), NodeId(3)].into());
        watch.contacts.get_mut(&NodeId(1)).expect("a member").silent_ms = 7_000;
        watch.tries.extend(engines.iter().map(|id| (*id, Tried::Failed(2))));
        next(&world.state, &watch, world.now).commands
    };
    let given_up = seen(&world);
    assert!(matches!(&given_up[..], [Command::NodeUnavailable { answering: Some(_), .. }]), "{given_up:?}");
    world.run(given_up[0].clone());
    assert_eq!(host_failure(&world.state, NodeId(1)), None);
    assert_eq!(seen(&world).len(), 10, "all of them, now");
}

#[test]
fn at_the_maximum_engines_that_fail_one_after_the_other_all_stay() {
    let mut world = world(1, 20);
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (6, 6));
    let engines = engines_on(&mut world, 1, 6);
    let stays = |world: &World, id: &EngineId| {
        world.state.engine(*id).is_some_and(|engine| engine.phase == Phase::Running)
    };
    // Each verdict is followed by a plan.
    for id in &engines {
        fail(&mut world, *id);
        perform(&mut world);
        world.wait_ms(300);
        assert!(engines.iter().all(|id| stays(&world, id)));
    }
    assert!(host_failure(&world.state, NodeId(1)).is_some());
    // Its first replacement does not end a suspicion.
    for _ in 0..10 {
        perform(&mut world);
        world.wait_ms(1_000);
    }
    let left = engines.iter().filter(|id| stays(&world, id)).count();
    assert!(left >= 4, "{left} of six stay while their host may be back in a moment");
}

#[test]
fn the_replacement_comes_first_at_the_maximum_too() {
    let mut world = world(1, 20);
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (6, 6));
    let engines = engines_on(&mut world, 1, 6);
    fail(&mut world, engines[0]);
    let [Command::Reserve(reserve)] = &planned(&world)[..] else { panic!("{:?}", planned(&world)) };
    assert_eq!(reserve.replaces, Some(engines[0]));
    world.run(Command::Reserve(reserve.clone()));
    world.wait_ms(20_000);
    assert_eq!(planned(&world), vec![], "it may answer again before the other one does");
}

#[test]
fn what_left_the_list_does_not_come_back_because_others_leave() {
    let mut world = world(1, 20);
    let engines = engines_on(&mut world, 1, 6);
    for id in &engines[..3] {
        fail(&mut world, *id);
    }
    assert_eq!(listed(&world).len(), 3, "three of six are no majority");
    world.run(support::stop(engines[5], acefleet_registry::command::StopWhen::Always));
    assert_eq!(listed(&world), engines[3..5].iter().copied().collect());
    assert_eq!(host_failure(&world.state, NodeId(1)), None);
}

#[test]
fn a_suspect_says_for_how_long_it_stays_listed() {
    let mut world = world(2, 10);
    let ids = engines_on(&mut world, 1, 3);
    ids.iter().for_each(|id| fail(&mut world, *id));
    world.wait_ms(20_000);
    let why = Keeps::Suspected { left_ms: 40_000 };
    let engine = |world: &World| world.engine(ids[0]);
    assert_eq!(keeps_running(&world.state, &engine(&world), world.now), Some(why.clone()));
    let plan = next(&world.state, &support::watch(&world.state, &world.eligible()), world.now);
    assert!(plan.waits.contains(&Wait::Unlist { engine: ids[0], why }), "{:?}", plan.waits);
    world.wait_ms(40_000);
    let leaves =
        |command: &Command| matches!(command, Command::EngineStop { engine, .. } if *engine == ids[0]);
    assert!(planned(&world).iter().any(leaves));
}
