//! Hosts that fall silent: what follows from how long a silence, and what comes back.

use std::collections::BTreeSet;
use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::Health;
use acefleet_registry::health::HealthFault;
use acefleet_registry::node::{DockerState, Wanted};
use acefleet_registry::plan::{Plan, Wait, next};
use acefleet_registry::rules::engines::{keeps_listed, unlisted};
use acefleet_registry::rules::hosts::{Demand, Observations, Obstacle, candidates};
use acefleet_registry::rules::liveness::Contact;
use acefleet_registry::rules::lost_hosts::{Standing, TRIES, Tried, Tries, standing};
use acefleet_registry::rules::standing::{Keeps, Unlisted};
use acefleet_registry::{Command, Engine, EngineId, Level, NodeId};
use proptest::prelude::*;

use crate::properties::{decoded, encoded, tried};
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
    fn failed(mut self, engines: &[EngineId], times: u32) -> Self {
        self.tries.extend(engines.iter().map(|id| (*id, Tried::Failed(times))));
        self
    }

    fn answered(mut self, engines: &[EngineId], times: u32) -> Self {
        self.tries.extend(engines.iter().map(|id| (*id, Tried::Answered(times))));
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
    let answering = Some(answering.iter().copied().collect());
    Command::NodeUnavailable { node: LOST, answering, is_back: false }
}

/// The host answers again, and these engines do.
fn back(answering: &[EngineId]) -> Command {
    let answering = Some(answering.iter().copied().collect());
    Command::NodeUnavailable { node: LOST, answering, is_back: true }
}

/// The host answers again with all of its engines.
const WHOLE: Command = Command::NodeUnavailable { node: LOST, answering: None, is_back: false };

fn lost(world: &World) -> BTreeSet<EngineId> {
    let mark = world.state.node(LOST).unwrap().unavailable.as_ref();
    mark.map(|mark| mark.lost.clone()).unwrap_or_default()
}

fn healthy(engine: EngineId) -> Command {
    Command::EngineHealth { engine, health: Health::Healthy, fault: None }
}

/// What the event log says of hosts since this many events.
fn noted(world: &World, since: usize) -> Vec<(String, String)> {
    let words = ["node_unavailable", "node_available", "engines_lost", "engines_back"];
    let events = world.state.events().iter().skip(since);
    let of_hosts = events.filter(|event| words.contains(&&*event.category));
    of_hosts.map(|event| (event.category.to_string(), event.message.to_string())).collect()
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
        let plan = look(&world, &seen(ms).failed(&engines, 9));
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
    let silent = seen(6_000).failed(&engines, TRIES);
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
    let up = Command::NodeDown { node: LOST, down: false };
    assert_eq!(settle(&mut world, &seen(0)), [up]);
    assert_eq!(lost(&world), engines.into(), "its host may be back without them");
    assert!(engines.iter().all(|id| !listed(&world).contains(id)));
    assert_eq!(settle(&mut world, &seen(0).answered(&engines, 1))[0], WHOLE);
    assert!(engines.iter().all(|id| listed(&world).contains(id)));
}

#[test]
fn engines_that_answer_another_host_stay_as_they_are() {
    let (mut world, engines) = world();
    let silent = seen(30_000).answered(&engines[..1], TRIES).failed(&engines[1..], TRIES);
    let written = settle(&mut world, &silent);
    assert_eq!((&written[0], placed(&written)), (&marked(&engines[..1]), 1));
    assert!(listed(&world).contains(&engines[0]) && !listed(&world).contains(&engines[1]));
    // What the host of an engine cannot say any more, others see.
    let written = settle(&mut world, &silent.clone().failed(&engines[..1], TRIES));
    assert_eq!((&written[0], placed(&written)), (&marked(&[]), 1));
    let since_ms = world.state.node(LOST).unwrap().unavailable.as_ref().unwrap().since_ms;
    world.wait_ms(5_000);
    let written = settle(&mut world, &silent.answered(&engines, TRIES));
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
    assert_eq!(judged(seen(9_000).failed(&engines[..1], TRIES)), vec![], "one of two");
    assert_eq!(judged(seen(9_000).failed(&engines, TRIES - 1)), vec![], "one answer may be lost");
    let waits = look(&world, &seen(9_000)).waits;
    assert!(waits.contains(&Wait::Unavailable { node: LOST, left_ms: 0 }), "{waits:?}");
    assert_eq!(judged(seen(9_000).failed(&engines, TRIES)), [marked(&[])]);
}

#[test]
fn a_new_leader_that_has_asked_nobody_yet_leaves_a_mark_as_it_is() {
    let (mut world, engines) = world();
    settle(&mut world, &seen(7_000).answered(&engines[..1], TRIES).failed(&engines[1..], TRIES));
    for led_ms in [0, 900, 5_000] {
        let plan = look(&world, &Seen { led_ms, ..seen(8_000) });
        assert_eq!(plan.commands, vec![], "after {led_ms} ms");
    }
    let plan = look(&world, &seen(8_000).failed(&engines, 1));
    assert_eq!(plan.commands, vec![], "one answer that was lost changes nothing");
}

#[test]
fn an_election_does_not_restart_the_clocks_but_a_leader_needs_a_fresh_second() {
    let (world, engines) = world();
    let after = |silent_ms: u64, led_ms: u64| {
        look(&world, &Seen { led_ms, ..seen(silent_ms).failed(&engines, TRIES) }).commands
    };
    assert_eq!(after(7_000, 999), vec![], "it may have been paused");
    assert_eq!(after(7_000, 1_000), [marked(&[])]);
    assert_eq!(after(61_000, 999), vec![]);
    assert_eq!(after(61_000, 1_000), [Command::NodeDown { node: LOST, down: true }]);
}

#[test]
fn a_host_that_answers_another_member_is_neither_unavailable_nor_down() {
    let (mut world, engines) = world();
    let by_others = |ms| Seen { by_others: true, ..seen(ms).failed(&engines, TRIES) };
    for ms in [5_000, 9_000, 60_000, 10_000_000] {
        let plan = look(&world, &by_others(ms));
        assert_eq!((plan.commands, plan.waits), (vec![], vec![Wait::CutOff { node: LOST }]), "after {ms} ms");
    }
    // What they tell of may have been the last contact.
    let waits = look(&world, &by_others(4_000)).waits;
    assert!(waits.contains(&Wait::Unavailable { node: LOST, left_ms: 2_000 }), "{waits:?}");
    // A host is back when it answers anybody, and what its engines do is asked all the same.
    settle(&mut world, &seen(7_000).failed(&engines, TRIES));
    assert_eq!(look(&world, &by_others(9_000)).commands, [back(&[])]);
    assert_eq!(look(&world, &by_others(9_000).answered(&engines, 1)).commands, [WHOLE]);
    settle(&mut world, &seen(60_000).failed(&engines, TRIES));
    assert!(world.state.is_down(LOST));
    let back = look(&world, &by_others(70_000)).commands;
    assert_eq!(back, [Command::NodeDown { node: LOST, down: false }]);
}

#[test]
fn a_node_that_said_that_it_stops_has_a_minute() {
    let (mut world, engines) = world();
    world.run(Command::NodeDocker { node: LOST, docker: DockerState::Stopping });
    let after = |world: &World, ms| look(world, &seen(ms).failed(&engines, TRIES));
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
    settle(&mut world, &seen(7_000).failed(&engines, TRIES));
    world.wait_ms(60_000);
    world.begin(playing("l", "t", engine(&world, engines[1]).ports.host_http));
    world.finish("l|t");
    let written = settle(&mut world, &seen(0).answered(&engines, 1));
    assert_eq!(written[0], WHOLE);
    let left: Vec<EngineId> = written[1..].iter().filter_map(unlisted_idle).collect();
    assert_eq!((left.len(), written.len()), (2, 3), "{written:?}");
    assert_eq!(world.state.engine_count(), 8, "an unlisted engine counts while it can be listed again");
    assert_eq!((world.state.supply(), listed(&world).len()), (6, 6));
    assert!(engines.iter().all(|id| listed(&world).contains(id)), "the last to be used stay");
    assert!(world.state.stream(&plays.start.id).unwrap().is_started());
}

#[test]
fn an_engine_is_given_back_when_it_answers_and_not_with_its_host() {
    let (mut world, engines) = world();
    let stream = world.begin(playing("k", "s", engine(&world, engines[1]).ports.host_http));
    settle(&mut world, &seen(7_000).failed(&engines, TRIES));
    let (before, others) = (world.state.events().len(), listed(&world));
    // The power is back, and with it the node. Nothing is known of its engines, or they refuse.
    for seen in [seen(0), seen(0).failed(&engines, TRIES)] {
        settle(&mut world, &seen);
        assert_eq!((listed(&world), lost(&world)), (others.clone(), engines.into()));
        assert_eq!((world.state.supply(), world.state.usable_engines().count()), (6, 6));
    }
    assert!(!world.state.is_unavailable(LOST), "it answers, and may get engines");
    assert_eq!(look(&world, &seen(0)).commands, vec![], "it is written once");
    let silent_again = seen(3_000).failed(&engines, TRIES);
    assert_eq!(look(&world, &silent_again).commands, vec![], "for too short a time");
    // One answers a member that asks, the other its own host.
    assert_eq!(settle(&mut world, &seen(0).answered(&engines[..1], 1))[0], back(&engines[..1]));
    assert_eq!(lost(&world), [engines[1]].into());
    world.run(healthy(engines[1]));
    assert_eq!(lost(&world), [].into());
    assert!(world.state.stream(&stream.start.id).unwrap().is_started());
    assert_eq!(settle(&mut world, &seen(0))[0], WHOLE);
    let said: Vec<String> = noted(&world, before).into_iter().map(|(word, _)| word).collect();
    assert_eq!(said, ["node_available", "engines_back"]);
}

#[test]
fn a_mark_ends_with_the_last_engine_that_is_lost() {
    let (mut world, engines) = world();
    world.policy(|policy| policy.max_replicas = 20);
    world.wait_ms(600_000);
    settle(&mut world, &seen(7_000).failed(&engines, TRIES));
    settle(&mut world, &seen(0).failed(&engines, TRIES));
    for id in engines {
        assert!(world.state.node(LOST).unwrap().unavailable.is_some());
        world.run(Command::EngineGone { engine: id, cause: Cause::Exited, message: None });
        assert_eq!(engine(&world, id).end_cause().unwrap().0, &Cause::HostSilent);
    }
    let written = settle(&mut world, &seen(0).failed(&engines, TRIES));
    assert_eq!((&written[0], placed(&written)), (&WHOLE, 0), "others have taken their place");
    assert_eq!(world.state.node(LOST).unwrap().unavailable, None);
}

#[test]
fn engines_that_fail_after_the_return_of_their_host_stay_lost_and_owe_nothing() {
    let mut world = World::new(3, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (9, 20));
    settle(&mut world, &seen(0));
    let engines: Vec<EngineId> =
        world.state.published_engines().filter(|e| e.node == LOST).map(|e| e.id).collect();
    assert_eq!(engines.len(), 3);
    engines.iter().for_each(|id| drop(world.run(healthy(*id))));
    settle(&mut world, &seen(7_000).failed(&engines, TRIES));
    settle(&mut world, &seen(0).failed(&engines, TRIES));
    let count = world.state.live_engines().count();
    for id in &engines {
        let fault = Some(HealthFault::PortClosed);
        world.run(Command::EngineHealth { engine: *id, health: Health::Unhealthy, fault });
    }
    // Its Docker is not up yet: three that fail at once would make the host the suspect, and be listed.
    let written = settle(&mut world, &seen(0).failed(&engines, TRIES));
    assert_eq!((placed(&written), world.state.live_engines().count()), (0, count), "{written:?}");
    assert!(engines.iter().all(|id| !listed(&world).contains(id)));
}

#[test]
fn what_starts_on_a_host_that_is_back_is_not_lost() {
    let (mut world, engines) = world();
    settle(&mut world, &seen(7_000).failed(&engines, TRIES));
    settle(&mut world, &seen(0).failed(&engines, TRIES));
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (9, 20));
    let written = settle(&mut world, &seen(0).failed(&engines, TRIES));
    assert_eq!(placed(&written), 3, "{written:?}");
    let fresh = world.state.live_engines().filter(|e| e.node == LOST && !engines.contains(&e.id)).count();
    assert!(fresh > 0, "the host takes part again");
    assert_eq!((world.state.supply(), lost(&world)), (9, engines.into()));
    // It falls silent again: that is another silence, with all that it runs.
    let since_ms = world.state.node(LOST).unwrap().unavailable.as_ref().unwrap().since_ms;
    world.wait_ms(20_000);
    let all: Vec<EngineId> =
        world.state.published_engines().filter(|e| e.node == LOST).map(|e| e.id).collect();
    settle(&mut world, &seen(7_000).failed(&all, TRIES));
    assert_eq!(lost(&world), all.into_iter().collect());
    assert!(world.state.node(LOST).unwrap().unavailable.as_ref().unwrap().since_ms > since_ms);
    assert_eq!(world.state.supply(), 9);
}

#[test]
fn events_say_what_has_changed_and_nothing_twice() {
    let (mut world, engines) = world();
    let before = world.state.events().len();
    let silent = seen(7_000);
    settle(&mut world, &silent.clone().failed(&engines[..1], TRIES).answered(&engines[1..], TRIES));
    settle(&mut world, &silent.clone().failed(&engines, TRIES));
    // One that answers now and then changes nothing.
    for tried in [Tried::Answered(1), Tried::Failed(1), Tried::Answered(1), Tried::Failed(TRIES)] {
        let tries = engines.iter().map(|id| (*id, tried)).collect();
        assert_eq!(settle(&mut world, &Seen { tries, ..silent.clone() }), [], "{tried:?}");
    }
    settle(&mut world, &silent.clone().answered(&engines, TRIES));
    settle(&mut world, &seen(0));
    let name = world.state.node_name(LOST);
    let told = [
        (
            "node_unavailable",
            "NAME is unavailable: it answers no member; one of its 2 engines does not answer either, and is lost",
        ),
        ("engines_lost", "one more engine of NAME does not answer, and is lost"),
        ("engines_back", "2 engines of NAME answer again"),
        ("node_available", "NAME answers again, and its engines count again"),
    ];
    let told = told.map(|(word, text)| (word.to_owned(), text.replace("NAME", &name)));
    assert_eq!(noted(&world, before), told);
}

#[test]
fn a_host_without_engines_is_unavailable_without_a_word_of_them() {
    let mut world = World::new(2, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let before = world.state.events().len();
    assert_eq!(settle(&mut world, &seen(7_000)), [marked(&[])]);
    let text =
        format!("{} is unavailable: it answers no member; it has no engines", world.state.node_name(LOST));
    assert_eq!(noted(&world, before), [("node_unavailable".to_owned(), text)]);
    assert_eq!(settle(&mut world, &seen(0)), [WHOLE]);
}

#[test]
fn capacity_is_what_a_client_could_get() {
    let (mut world, engines) = world();
    let others: Vec<EngineId> = listed(&world).into_iter().filter(|id| !engines.contains(id)).collect();
    let usable =
        |world: &World| -> BTreeSet<EngineId> { world.state.usable_engines().map(|e| e.id).collect() };
    world.policy(|policy| policy.min_replicas = 1);
    let stop = |engine, cause| Command::EngineStop { engine, cause, when: StopWhen::IdleFor(0) };
    world.wait_ms(100_000);
    world.run(stop(others[0], Cause::Idle));
    assert!(!listed(&world).contains(&others[0]));
    assert!(usable(&world).contains(&others[0]), "a call gets it at once");
    world.run(stop(others[1], Cause::Unhealthy));
    assert!(!usable(&world).contains(&others[1]), "another one has taken its place");
    let availability = Wanted::Draining { within_ms: None, returns: false };
    world.run(Command::NodeAvailability { node: LOST, availability });
    assert_eq!(usable(&world).len(), 3, "a draining host takes no streams");
    assert!(engines.iter().all(|id| !usable(&world).contains(id)));
}

#[test]
fn an_unavailable_host_gets_no_engine_and_says_why() {
    let (mut world, engines) = world();
    settle(&mut world, &seen(7_000).failed(&engines, TRIES));
    let (spec, failed) = (acefleet_registry::engine::EngineSpec::acestream(), BTreeSet::new());
    let demand = Demand { spec: &spec, failed: &failed, observations: Observations::None };
    assert_eq!(candidates(&world.state, &demand).obstacle(LOST), Some(Obstacle::Unavailable));
}

#[test]
fn before_the_level_is_raised_nothing_is_given_up() {
    let mut world = World::new(2, 10);
    let engines: Vec<EngineId> = (0..4).map(|_| world.running().id).collect();
    let plan = look(&world, &seen(30_000).failed(&engines, TRIES));
    assert_eq!((plan.commands, plan.waits), (vec![], vec![Wait::Silent { node: LOST, left_ms: 30_000 }]));
}

#[test]
fn engines_that_are_none_of_the_host_are_not_remembered() {
    let (mut world, engines) = world();
    world.run(marked(&[engines[0], EngineId(900), EngineId(1)]));
    assert_eq!(lost(&world), [engines[1]].into());
    assert_eq!(decoded(&encoded(&world.state)), world.state);
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
        tries in prop::collection::vec(prop::option::of(tried()), 2),
    ) {
        let (mut world, engines) = world();
        if stops {
            world.run(Command::NodeDocker { node: LOST, docker: DockerState::Stopping });
        }
        let known = engines.iter().zip(&tries).filter_map(|(id, tries)| Some((*id, (*tries)?)));
        let seen = Seen { silent_ms, by_others, led_ms, tries: known.collect() };
        let is_judged = silent_ms >= 6_000 && led_ms >= 1_000 && !by_others && !stops;
        let silent = tries.iter().flatten().filter(|tried| matches!(tried, Tried::Failed(TRIES..))).count();
        let is_known = tries.iter().all(|tried| tried.is_some_and(|tried| tried != Tried::Failed(1)));
        let started = placed(&settle(&mut world, &seen));
        prop_assert_eq!(started, if is_judged && is_known { silent } else { 0 });
        prop_assert_eq!(world.state.supply(), 6);
    }
}
