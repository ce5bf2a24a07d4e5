//! Hosts that fall silent: what follows from how long a silence, and what comes back.

use std::collections::BTreeSet;
use std::sync::Arc;

use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::Health;
use acefleet_registry::health::HealthFault;
use acefleet_registry::node::DockerState;
use acefleet_registry::plan::{Plan, Wait, next};
use acefleet_registry::rules::engines::{Keeps, Unlisted, keeps_listed, unlisted};
use acefleet_registry::rules::hosts::{Demand, Observations, Obstacle, candidates};
use acefleet_registry::rules::liveness::Contact;
use acefleet_registry::rules::lost_hosts::{Standing, TRIES, Tries, standing};
use acefleet_registry::{Command, Engine, EngineId, Level, NodeId};
use proptest::prelude::*;

use crate::support::{World, perform, playing, watch};

const LOST: NodeId = NodeId(2);

/// What the leader sees of the lost host.
#[derive(Clone)]
struct Seen {
    silent_ms: u64,
    by_others: bool,
    led_ms: u64,
    tries: Tries,
}

fn seen(silent_ms: u64) -> Seen {
    Seen { silent_ms, by_others: false, led_ms: 3_600_000, tries: Tries::new() }
}

impl Seen {
    fn tried(mut self, engines: &[EngineId], count: u32) -> Self {
        self.tries.extend(engines.iter().map(|id| (*id, count)));
        self
    }
}

fn look(world: &World, seen: &Seen) -> Plan {
    let mut watch = watch(&world.state, &world.eligible());
    let contact = Contact {
        silent_ms: seen.silent_ms,
        answers_others: seen.by_others,
        is_unresponsive: seen.silent_ms >= 600,
        steady_ms: 0,
    };
    watch.contacts.insert(LOST, contact);
    (watch.led_ms, watch.tries) = (seen.led_ms, seen.tries.clone());
    next(&world.state, &watch, world.now)
}

/// Performs the plan until it is empty, and says what it wrote.
fn settle(world: &mut World, seen: &Seen) -> Vec<Command> {
    perform(world, |world| look(world, seen).commands)
}

fn marked(answering: &[EngineId]) -> Command {
    Command::NodeUnavailable { node: LOST, answering: Some(answering.iter().copied().collect()) }
}

/// Three hosts with two engines each, at the maximum, and those of the lost one.
fn world() -> (World, [EngineId; 2]) {
    let mut world = World::new(3, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (6, 6));
    settle(&mut world, &seen(0));
    let of_lost: Vec<EngineId> =
        world.state.published_engines().filter(|e| e.node == LOST).map(|e| e.id).collect();
    (world, of_lost.try_into().unwrap())
}

fn listed(world: &World) -> BTreeSet<EngineId> {
    world.state.listed_engines().map(|engine| engine.id).collect()
}

fn engine(world: &World, id: EngineId) -> Arc<Engine> {
    world.engine(id)
}

fn placed(commands: &[Command]) -> usize {
    commands.iter().filter(|command| matches!(command, Command::Reserve(_))).count()
}

fn unlisted_idle(command: &Command) -> Option<EngineId> {
    match command {
        Command::EngineStop { engine, when: StopWhen::IdleFor(_), .. } => Some(*engine),
        _ => None,
    }
}

#[test]
fn a_short_silence_makes_nothing_and_says_what_it_waits_for() {
    let (world, engines) = world();
    for ms in [2_000, 3_000, 4_000, 5_000, 5_999] {
        let plan = look(&world, &seen(ms).tried(&engines, 9));
        assert_eq!(plan.commands, vec![], "after {ms} ms");
        assert!(
            plan.waits.contains(&Wait::Unavailable { node: LOST, left_ms: 6_000 - ms }),
            "{:?}",
            plan.waits
        );
    }
}

#[test]
fn engines_that_do_not_answer_either_are_given_up_after_six_seconds() {
    let (mut world, engines) = world();
    let silent = seen(6_000).tried(&engines, TRIES);
    let stream = world.begin(playing("k", "s", engine(&world, engines[0]).ports.host_http));
    let written = settle(&mut world, &silent);
    assert_eq!(written[0], marked(&[]));
    assert_eq!(
        placed(&written),
        2,
        "capacity is made elsewhere, though MAX_REPLICAS was reached: {written:?}"
    );
    assert_eq!(unlisted(&world.state, &engine(&world, engines[0])), Some(Unlisted::HostUnavailable));
    assert_eq!((world.state.supply(), world.state.engine_count(), listed(&world).len()), (6, 6, 6));
    assert!(
        world.state.live_engines().filter(|e| e.node == LOST).count() == 2,
        "nobody stops what may still play"
    );
    assert!(world.state.stream(&stream.start.id).unwrap().is_started(), "its streams end when it is down");
    let kept = keeps_listed(&world.state, &engine(&world, engines[1]), 0, world.now);
    assert_eq!(kept, Some(Keeps::Unlisted));

    let down = settle(&mut world, &Seen { silent_ms: 60_000, ..silent.clone() });
    assert_eq!(down, [Command::NodeDown { node: LOST, down: true }]);
    assert!(!world.state.is_unavailable(LOST), "down says more");
    assert!(!world.state.stream(&stream.start.id).unwrap().is_started());
    assert_eq!(settle(&mut world, &seen(0))[0], Command::NodeDown { node: LOST, down: false });
    assert!(engines.iter().all(|id| listed(&world).contains(id)));
}

#[test]
fn engines_that_answer_another_host_stay_as_they_are() {
    let (mut world, engines) = world();
    let silent = seen(30_000).tried(&engines[..1], 0).tried(&engines[1..], TRIES);
    let written = settle(&mut world, &silent);
    assert_eq!((&written[0], placed(&written)), (&marked(&engines[..1]), 1));
    assert!(listed(&world).contains(&engines[0]) && !listed(&world).contains(&engines[1]));
    // What the host of an engine cannot say any more, others see.
    let written = settle(&mut world, &silent.clone().tried(&engines[..1], TRIES));
    assert_eq!((&written[0], placed(&written)), (&marked(&[]), 1));
    let since_ms = world.state.node(LOST).unwrap().unavailable.as_ref().unwrap().since_ms;
    world.wait_ms(5_000);
    let written = settle(&mut world, &silent.tried(&engines, 0));
    assert_eq!(written, [marked(&engines)]);
    assert_eq!(world.state.node(LOST).unwrap().unavailable.as_ref().unwrap().since_ms, since_ms);
}

#[test]
fn a_lost_engine_is_no_capacity_as_an_unhealthy_one_is_none() {
    let (mut world, engines) = world();
    let usable = |world: &World| -> Vec<EngineId> { world.state.usable_engines().map(|e| e.id).collect() };
    assert_eq!(usable(&world).len(), 6);
    world.run(marked(&engines[..1]));
    assert_eq!(usable(&world).len(), 5);
    assert!(usable(&world).contains(&engines[0]) && !usable(&world).contains(&engines[1]));
    let fault = Some(HealthFault::NoAnswer);
    world.run(Command::EngineHealth { engine: engines[0], health: Health::Unhealthy, fault });
    assert_eq!(usable(&world).len(), 4);
    assert_eq!(world.state.published_engines().count(), 6);
}

#[test]
fn nobody_is_judged_before_all_its_engines_were_asked_often_enough() {
    let (world, engines) = world();
    let judged = |tries: Seen| look(&world, &tries).commands;
    assert_eq!(judged(seen(9_000)), vec![], "not asked");
    assert_eq!(judged(seen(9_000).tried(&engines[..1], TRIES)), vec![], "one of two");
    assert_eq!(judged(seen(9_000).tried(&engines, TRIES - 1)), vec![], "one answer may be lost");
    let waits = look(&world, &seen(9_000)).waits;
    assert!(waits.contains(&Wait::Unavailable { node: LOST, left_ms: 0 }), "{waits:?}");
    assert_eq!(judged(seen(9_000).tried(&engines, TRIES)), [marked(&[])]);
}

#[test]
fn a_new_leader_that_has_asked_nobody_yet_leaves_a_mark_as_it_is() {
    let (mut world, engines) = world();
    settle(&mut world, &seen(7_000).tried(&engines[..1], 0).tried(&engines[1..], TRIES));
    for led_ms in [0, 900, 5_000] {
        let plan = look(&world, &Seen { led_ms, ..seen(8_000) });
        assert_eq!(plan.commands, vec![], "after {led_ms} ms");
    }
    let plan = look(&world, &seen(8_000).tried(&engines, 1));
    assert_eq!(plan.commands, vec![], "one answer that was lost changes nothing");
}

#[test]
fn an_election_does_not_restart_the_clocks_but_a_leader_needs_a_fresh_second() {
    let (world, engines) = world();
    let after = |silent_ms: u64, led_ms: u64| {
        look(&world, &Seen { led_ms, ..seen(silent_ms).tried(&engines, TRIES) }).commands
    };
    assert_eq!(after(7_000, 999), vec![], "it may have been paused");
    assert_eq!(after(7_000, 1_000), [marked(&[])]);
    assert_eq!(after(61_000, 999), vec![]);
    assert_eq!(after(61_000, 1_000), [Command::NodeDown { node: LOST, down: true }]);
}

#[test]
fn a_host_that_answers_another_member_is_neither_unavailable_nor_down() {
    let (mut world, engines) = world();
    let by_others = |ms| Seen { by_others: true, ..seen(ms).tried(&engines, TRIES) };
    for ms in [5_000, 9_000, 60_000, 10_000_000] {
        let plan = look(&world, &by_others(ms));
        assert_eq!((plan.commands, plan.waits), (vec![], vec![Wait::CutOff { node: LOST }]), "after {ms} ms");
    }
    // What they tell of may have been the last contact.
    let waits = look(&world, &by_others(4_000)).waits;
    assert!(waits.contains(&Wait::Unavailable { node: LOST, left_ms: 2_000 }), "{waits:?}");
    // A mark ends when it answers anybody, and so does a down.
    settle(&mut world, &seen(7_000).tried(&engines, TRIES));
    let back = look(&world, &by_others(9_000)).commands;
    assert_eq!(back, [Command::NodeUnavailable { node: LOST, answering: None }]);
    settle(&mut world, &seen(60_000).tried(&engines, TRIES));
    assert!(world.state.is_down(LOST));
    let back = look(&world, &by_others(70_000)).commands;
    assert_eq!(back, [Command::NodeDown { node: LOST, down: false }]);
}

#[test]
fn a_node_that_said_that_it_stops_has_a_minute() {
    let (mut world, engines) = world();
    world.run(Command::NodeDocker { node: LOST, docker: DockerState::Stopping });
    let after = |world: &World, ms| look(world, &seen(ms).tried(&engines, TRIES));
    let plan = after(&world, 59_000);
    assert_eq!(plan.commands, vec![]);
    assert!(plan.waits.contains(&Wait::Unavailable { node: LOST, left_ms: 1_000 }), "{:?}", plan.waits);
    assert_eq!(after(&world, 60_000).commands, [Command::NodeDown { node: LOST, down: true }]);
    // Where operators want a shorter time until a host is down, it holds for those that said nothing.
    let node = |world: &World| Arc::clone(world.state.node(LOST).unwrap());
    let contact = Contact { silent_ms: 10_000, answers_others: false, is_unresponsive: true, steady_ms: 0 };
    let is = |world: &World| standing(&world.state, &node(world), &contact, 4_000, &Tries::new());
    assert_eq!(is(&world), Standing::Silent { left_ms: 50_000 });
    world.run(Command::NodeDocker { node: LOST, docker: DockerState::Available });
    assert_eq!(is(&world), Standing::Down);
}

#[test]
fn a_host_that_is_back_keeps_what_plays_and_what_is_above_the_maximum_leaves_idle_first() {
    let (mut world, engines) = world();
    let plays = world.begin(playing("k", "s", engine(&world, engines[0]).ports.host_http));
    settle(&mut world, &seen(7_000).tried(&engines, TRIES));
    world.wait_ms(60_000);
    world.begin(playing("l", "t", engine(&world, engines[1]).ports.host_http));
    world.finish("l|t");
    let written = settle(&mut world, &seen(0));
    assert_eq!(written[0], Command::NodeUnavailable { node: LOST, answering: None });
    let left: Vec<EngineId> = written[1..].iter().filter_map(unlisted_idle).collect();
    assert_eq!((left.len(), written.len()), (2, 3), "{written:?}");
    assert_eq!(world.state.engine_count(), 8, "an unlisted engine counts while it can be listed again");
    assert_eq!((world.state.supply(), listed(&world).len()), (6, 6));
    assert!(engines.iter().all(|id| listed(&world).contains(id)), "the last to be used stay");
    assert!(world.state.stream(&plays.start.id).unwrap().is_started());
}

#[test]
fn an_unavailable_host_gets_no_engine_and_says_why() {
    let (mut world, engines) = world();
    settle(&mut world, &seen(7_000).tried(&engines, TRIES));
    let (spec, failed) = (acefleet_registry::engine::EngineSpec::acestream(), BTreeSet::new());
    let demand = Demand { spec: &spec, failed: &failed, observations: Observations::None };
    assert_eq!(candidates(&world.state, &demand).obstacle(LOST), Some(Obstacle::Unavailable));
}

#[test]
fn before_the_level_is_raised_nothing_is_given_up() {
    let mut world = World::new(2, 10);
    let engines: Vec<EngineId> = (0..4).map(|_| world.running().id).collect();
    let plan = look(&world, &seen(30_000).tried(&engines, TRIES));
    assert_eq!((plan.commands, plan.waits), (vec![], vec![Wait::Silent { node: LOST, left_ms: 30_000 }]));
}

#[test]
fn engines_that_are_none_of_the_host_are_not_remembered() {
    let (mut world, engines) = world();
    world.run(marked(&[engines[0], EngineId(900), EngineId(1)]));
    let known = world.state.node(LOST).unwrap().unavailable.clone().unwrap();
    assert_eq!(known.answering, [engines[0]].into());
    let bytes = rmp_serde::to_vec_named(&world.state).unwrap();
    assert_eq!(rmp_serde::from_slice::<acefleet_registry::State>(&bytes).unwrap(), world.state);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// Whatever the silence and its circumstances: a start needs six seconds in which the host answered nobody, and engines that do not answer.
    #[test]
    fn nothing_is_started_for_a_host_that_answers_anybody_or_whose_engines_answer(
        silent_ms in 0..60_000u64,
        led_ms in 0..120_000u64,
        by_others in any::<bool>(),
        stops in any::<bool>(),
        tries in prop::collection::vec(prop::option::of(0..4u32), 2),
    ) {
        let (mut world, engines) = world();
        if stops {
            world.run(Command::NodeDocker { node: LOST, docker: DockerState::Stopping });
        }
        let known = engines.iter().zip(&tries).filter_map(|(id, tries)| Some((*id, (*tries)?)));
        let seen = Seen { silent_ms, by_others, led_ms, tries: known.collect() };
        let is_judged = silent_ms >= 6_000 && led_ms >= 1_000 && !by_others && !stops;
        let silent = tries.iter().flatten().filter(|tries| **tries >= TRIES).count();
        let is_known = tries.iter().all(|tries| tries.is_some_and(|tries| tries != 1));
        let started = placed(&settle(&mut world, &seen));
        prop_assert_eq!(started, if is_judged && is_known { silent } else { 0 });
        prop_assert_eq!(world.state.supply(), 6);
    }
}
