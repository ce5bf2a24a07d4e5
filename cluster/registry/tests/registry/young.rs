//! Engines that die young: what such a failure counts against, what that holds back, and how many containers a crash loop makes.

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{EngineSpec, Health, Phase};
use acefleet_registry::group::Group;
use acefleet_registry::health::HealthFault;
use acefleet_registry::node::DockerState;
use acefleet_registry::reply::Refusal;
use acefleet_registry::rules::hosts::{Obstacle, live};
use acefleet_registry::vpn::{VpnHealth, VpnStatus};
use acefleet_registry::{Command, Elapsed, Engine, EngineId, Level, NodeId, RefusalCode, Reply, Reserve};
use std::sync::Arc;

use acefleet_registry::event::{Event, EventType};
use proptest::prelude::*;

use crate::properties::cases;
use crate::support::{World, behind_vpn, engine, plan, playing, refusal, stop, with_conf};

pub(crate) const MINUTE_MS: u64 = 60_000;

pub(crate) fn world(nodes: u64) -> World {
    let mut world = World::new(nodes, 20);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

fn exits(world: &mut World, id: EngineId) {
    world.run(Command::EngineGone { engine: id, cause: Cause::Exited, message: None });
}

/// Starts an engine that answers, and ends it by itself.
fn die_one(world: &mut World) -> NodeId {
    let engine = world.running();
    exits(world, engine.id);
    engine.node
}

fn die(world: &mut World, times: usize) {
    for _ in 0..times {
        die_one(world);
    }
}

pub(crate) fn count(world: &World, group: &Group) -> u32 {
    world.state.breaker_over(group, world.now).0.failure_count
}

pub(crate) const PLAIN: Group = Group::Plain(BreakerKind::General);

pub(crate) fn state(world: &World, group: &Group) -> BreakerState {
    let (breaker, policy) = world.state.breaker_over(group, world.now);
    breaker.state(policy, world.now)
}

fn passed_over(world: &World, id: NodeId) -> Option<Obstacle> {
    live(&world.state, &EngineSpec::acestream(), &|_| false).obstacle(id)
}

#[test]
fn an_engine_that_ends_by_itself_within_a_minute_has_failed_although_it_had_answered() {
    let mut world = world(1);
    for failures in 1..=5 {
        die_one(&mut world);
        assert_eq!(count(&world, &PLAIN), failures);
    }
    assert_eq!(state(&world, &PLAIN), BreakerState::Open);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    let story = "the circuit breaker over general is open after 5 failures";
    let told = |event: &&Arc<Event>| event.category == "failed" && event.message.starts_with(story);
    assert_eq!(world.state.events().iter().filter(told).count(), 1);
}

#[test]
fn an_engine_that_is_older_or_was_ended_by_somebody_has_not_failed() {
    let mut world = world(1);
    let (old, removed) = (world.running(), world.running());
    world.run(stop(removed.id, StopWhen::Always));
    exits(&mut world, removed.id);
    assert_eq!(count(&world, &PLAIN), 0, "somebody removed it");
    world.wait_ms(MINUTE_MS);
    exits(&mut world, old.id);
    assert_eq!(count(&world, &PLAIN), 0, "it has lived for a minute");
    let lost = world.running();
    world.run(Command::EngineGone { engine: lost.id, cause: Cause::NodeRemoved, message: None });
    assert_eq!(count(&world, &PLAIN), 0, "its host has gone");
}

/// What the cluster asks for itself: it does not get what is there already.
fn own(world: &World) -> Reserve {
    Reserve { automatic: true, ..world.ask() }
}

#[test]
fn a_start_is_a_success_when_the_engine_has_lived_for_a_minute() {
    let mut world = world(1);
    die(&mut world, 4);
    world.wait_ms(1_000);
    let probe = world.running();
    world.wait_ms(MINUTE_MS - 1);
    assert_eq!(count(&world, &PLAIN), 4, "that it answers proves nothing");
    world.wait_ms(1);
    assert_eq!(count(&world, &PLAIN), 0, "nothing needs to be written for that");
    world.run(stop(probe.id, StopWhen::Always));
    assert_eq!(count(&world, &PLAIN), 0, "it has been proven before it left");
    assert!(world.state.breaker(BreakerKind::General).0.last_success_ms.is_some());
}

#[test]
fn an_open_breaker_lets_probes_through_one_by_one_until_one_has_lived_for_a_minute() {
    let mut world = world(1);
    die(&mut world, 5);
    world.wait_ms(300_000);
    assert_eq!(state(&world, &PLAIN), BreakerState::HalfOpen);
    let is_refused =
        |world: &mut World| refusal(world.run(Command::Reserve(own(world)))) == RefusalCode::CircuitBreaker;
    let probe = world.reserve();
    assert!(is_refused(&mut world), "it is reserved");
    world.start(probe.id);
    assert!(is_refused(&mut world), "it has not answered");
    world.run(Command::EngineHealth { engine: probe.id, health: Health::Healthy, fault: None });
    (0..4).for_each(|_| drop(world.running()));
    assert!(is_refused(&mut world), "five are on trial");
    exits(&mut world, probe.id);
    assert_eq!(state(&world, &PLAIN), BreakerState::Open);
    world.wait_ms(300_000);
    world.running();
    world.wait_ms(MINUTE_MS);
    world.reserve();
    let is_of_health = |event: &&Arc<Event>| event.event_type == EventType::Health;
    let last = world.state.events().iter().rfind(is_of_health).unwrap();
    assert_eq!((last.category.as_str(), state(&world, &PLAIN)), ("recovered", BreakerState::Closed));
}

#[test]
fn what_ends_with_its_docker_has_not_failed() {
    let mut world = world(1);
    let engine = world.running();
    for docker in [DockerState::Unavailable("it restarts".to_owned()), DockerState::Available] {
        world.wait_ms(1_000);
        world.run(Command::NodeDocker { node: NodeId(1), docker });
    }
    exits(&mut world, engine.id);
    assert_eq!(count(&world, &PLAIN), 0);
    die_one(&mut world);
    assert_eq!(count(&world, &PLAIN), 1);
}

#[test]
fn what_a_host_says_of_an_end_is_told() {
    let mut world = world(1);
    let id = world.running().id;
    let message = Some("exit code 3; its last lines: no licence".to_owned());
    world.run(Command::EngineGone { engine: id, cause: Cause::Exited, message });
    let ending = world.engine(id).ending.clone().unwrap();
    assert_eq!(ending.message, "exit code 3; its last lines: no licence");
    let events: Vec<&str> = world.state.events().iter().map(|event| event.message.as_str()).collect();
    assert!(
        events.contains(&"acestream-1 is gone (exited): exit code 3; its last lines: no licence"),
        "{events:?}"
    );
    let (breaker, _) = world.state.breaker_over(&PLAIN, world.now);
    assert!(
        breaker
            .story()
            .ends_with("acestream-1 on node-1: it ended after 0 s: exit code 3; its last lines: no licence"),
        "{}",
        breaker.story()
    );
}

#[test]
fn a_bad_host_of_three_holds_back_neither_of_the_others() {
    let mut world = world(3);
    let sound: Vec<_> = (0..3).map(|_| world.running()).collect();
    let bad = sound[0].node;
    world.run(stop(sound[0].id, StopWhen::Always));
    world.run(Command::EngineGone { engine: sound[0].id, cause: Cause::Stopped, message: None });
    let group = Group::Host(bad);
    for failures in 1..=5 {
        world.wait_ms(MINUTE_MS);
        assert_eq!(die_one(&mut world), bad, "it is the least loaded");
        assert_eq!((count(&world, &group), count(&world, &PLAIN)), (failures, 0));
        assert_ne!(world.running().node, bad, "it comes last for a minute");
        for engine in world.state.live_engines().skip(2).map(|e| e.id).collect::<Vec<_>>() {
            world.run(stop(engine, StopWhen::Always));
            world.run(Command::EngineGone { engine, cause: Cause::Stopped, message: None });
        }
    }
    assert_eq!(state(&world, &group), BreakerState::Open);
    assert!(
        matches!(passed_over(&world, bad), Some(Obstacle::Failing(why)) if why.contains("5 failures in a row"))
    );
    world.wait_ms(MINUTE_MS);
    assert_ne!(world.running().node, bad, "its breaker is open");
    // Nobody else can take it: its breaker is what refuses.
    let alone = world.ask_on(bad.0);
    assert_eq!(refusal(world.run(Command::Reserve(alone.clone()))), RefusalCode::CircuitBreaker);
    world.wait_ms(300_000);
    let probe = engine(world.run(Command::Reserve(alone.clone())));
    world.start(probe.id);
    assert_eq!(refusal(world.run(Command::Reserve(alone.clone()))), RefusalCode::CircuitBreaker, "one probe");
    world.run(Command::EngineHealth { engine: probe.id, health: Health::Healthy, fault: None });
    world.wait_ms(MINUTE_MS);
    engine(world.run(Command::Reserve(alone)));
    assert_eq!(count(&world, &group), 0);
}

#[test]
fn while_starts_are_held_back_a_call_gets_an_idle_engine() {
    let mut world = world(1);
    let idle = world.running();
    world.wait_ms(MINUTE_MS);
    for _ in 0..5 {
        let id = engine(world.run(Command::Reserve(own(&world)))).id;
        world.start(id);
        exits(&mut world, id);
    }
    assert_eq!(state(&world, &PLAIN), BreakerState::Open);
    assert_eq!(engine(world.run(Command::Reserve(world.ask()))).id, idle.id);
    world.begin(playing("k", "s", idle.ports.host_http));
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
}

#[test]
fn one_failure_on_the_last_sound_host_is_no_fault_of_all() {
    let mut world = world(2);
    let on = |world: &mut World, node: u64| {
        let id = engine(world.run(Command::Reserve(world.ask_on(node)))).id;
        let message = "Docker refused".to_owned();
        world.run(Command::EngineFailed { engine: id, cause: Cause::DockerError, message });
    };
    (0..5).for_each(|_| on(&mut world, 1));
    assert_eq!((count(&world, &Group::Host(NodeId(1))), count(&world, &PLAIN)), (5, 0));
    on(&mut world, 2);
    assert_eq!(count(&world, &PLAIN), 1);
    on(&mut world, 2);
    assert_eq!(count(&world, &PLAIN), 7, "all hosts fail");
}

#[test]
fn a_host_that_is_full_has_shown_that_it_is_sound() {
    let mut world = World::new(2, 1);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let full = world.running();
    let other = engine(world.run(Command::Reserve(world.ask())));
    assert_ne!(other.node, full.node);
    let message = "Docker refused".to_owned();
    world.run(Command::EngineFailed { engine: other.id, cause: Cause::DockerError, message });
    assert_eq!((count(&world, &Group::Host(other.node)), count(&world, &PLAIN)), (1, 0));
}

#[test]
fn a_choice_that_cannot_be_started_does_not_take_the_place_of_an_engine_that_can() {
    let mut world = world(1);
    world.policy(|policy| policy.min_free_replicas = 1);
    let chosen = with_conf("--broken");
    let sick = engine(world.run(Command::Reserve(world.ask_for(chosen)))).id;
    world.start(sick);
    let health = |world: &mut World, health, fault| {
        world.run(Command::EngineHealth { engine: sick, health, fault });
    };
    health(&mut world, Health::Healthy, None);
    world.begin(playing("k", "s", world.engine(sick).ports.host_http));
    world.wait_ms(2 * MINUTE_MS);
    health(&mut world, Health::Unhealthy, Some(HealthFault::NoAnswer));
    let mut replacements = 0;
    for _ in 0..40 {
        world.wait_ms(500);
        for command in plan(&world.state, &world.eligible(), world.now) {
            let Reply::Engine(reserved) = world.run(command) else { continue };
            if reserved.phase != Phase::Reserved {
                continue;
            }
            world.start(reserved.id);
            match reserved.replaces {
                Some(_) => {
                    replacements += 1;
                    exits(&mut world, reserved.id);
                }
                None => drop(world.run(Command::EngineHealth {
                    engine: reserved.id,
                    health: Health::Healthy,
                    fault: None,
                })),
            }
        }
    }
    assert!(replacements > 1, "one that dies young leaves its engine unreplaced");
    let plain = world.state.live_engines().filter(|e| !e.spec.is_chosen()).count();
    assert_eq!(plain, 1, "the floor waits for what cannot be had");
}

#[test]
fn what_a_caller_chose_holds_back_nobody_else() {
    let mut world = world(1);
    let chosen = with_conf("--broken");
    let die_of = |world: &mut World, spec: &EngineSpec| {
        let id = engine(world.run(Command::Reserve(world.ask_for(spec.clone())))).id;
        world.start(id);
        exits(world, id);
    };
    (0..5).for_each(|_| die_of(&mut world, &chosen));
    let refused = world.run(Command::Reserve(world.ask_for(chosen.clone())));
    let Reply::Refused(refused) = refused else { panic!("let through") };
    assert_eq!(refused.code, RefusalCode::CircuitBreaker);
    assert!(refused.message.contains("a caller's options"), "{}", refused.message);
    assert_eq!(world.state.node(NodeId(1)).unwrap().failed_start_ms, None);
    world.running();
    engine(world.run(Command::Reserve(world.ask_for(with_conf("--fine")))));
    // Nor does an open breaker of all others hold back what a caller chose.
    die(&mut world, 5);
    engine(world.run(Command::Reserve(world.ask_for(with_conf("--fine")))));
    // Choices are kept for a while, and not many of them.
    for n in 0..70 {
        die_of(&mut world, &with_conf(&format!("--{n}")));
    }
    assert_eq!(world.state.failing().count(), 64);
    world.wait_ms(300_000 + 600_001);
    world.run(Command::Abandon { engine: EngineId(1), by: None });
    assert_eq!(world.state.failing().count(), 0);
}

fn vpn(world: &mut World, container: &str, health: VpnHealth) {
    let status = VpnStatus { health, ..VpnStatus::default() };
    world.run(Command::VpnChanged { node: NodeId(1), container: container.to_owned(), status, renew: false });
}

#[test]
fn failures_for_a_vpn_count_against_it_until_it_has_another_tunnel() {
    let mut world = world(1);
    let mut info = behind_vpn(1);
    let mut second = info.vpns[0].clone();
    second.container = "other".to_owned();
    (second.ports.first, second.ports.last) = (19_500, 19_509);
    info.vpns.push(second);
    world.run(Command::NodeUp(info));
    vpn(&mut world, "gluetun", VpnHealth::Healthy);
    vpn(&mut world, "other", VpnHealth::Healthy);
    let bad = Group::Vpn(NodeId(1), "gluetun".to_owned());
    let fail = |world: &mut World| {
        let id = engine(world.run(Command::Reserve(world.ask()))).id;
        let message = "it lends no network".to_owned();
        world.run(Command::EngineFailed { engine: id, cause: Cause::VpnError, message });
    };
    fail(&mut world);
    assert_eq!((count(&world, &bad), count(&world, &PLAIN)), (1, 0));
    assert_eq!(world.reserve().vpn.as_deref(), Some("other"), "the other one comes first for a minute");
    for _ in 0..4 {
        world.wait_ms(MINUTE_MS);
        fail(&mut world);
    }
    assert_eq!(state(&world, &bad), BreakerState::Open);
    world.wait_ms(2 * MINUTE_MS);
    assert_eq!(world.running().vpn.as_deref(), Some("other"));
    vpn(&mut world, "other", VpnHealth::Unhealthy);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    vpn(&mut world, "gluetun", VpnHealth::Unhealthy);
    vpn(&mut world, "gluetun", VpnHealth::Healthy);
    assert_eq!(count(&world, &bad), 0);
    let lost = world.running();
    // What dies while its VPN is known to be sick does not count against the image.
    vpn(&mut world, "gluetun", VpnHealth::Unhealthy);
    exits(&mut world, lost.id);
    assert_eq!((count(&world, &bad), count(&world, &PLAIN)), (1, 0));
}

#[test]
fn a_reset_forgets_all_failures() {
    for kind in [None, Some(BreakerKind::General)] {
        let mut world = world(3);
        (0..2).for_each(|_| drop(world.running()));
        world.wait_ms(1_000);
        let bad = world.running();
        exits(&mut world, bad.id);
        assert_eq!(world.state.failing().count(), 1);
        world.run(Command::ResetBreaker(Some(BreakerKind::Replacement)));
        assert_eq!(world.state.failing().count(), 1);
        world.run(Command::ResetBreaker(kind));
        assert_eq!(world.state.failing().count(), 0);
    }
}

/// Lets engines of a floor die, each at an age of `lives`, in turn, and says how many containers were made in the first minute. Hosts
/// that are not `bad` keep theirs.
fn crash_loop(world: &mut World, floor: u32, lives: &[u64], bad: &[u64]) -> usize {
    world.policy(|policy| policy.min_replicas = floor);
    let begin = world.now;
    let mut made: Vec<(Engine, u64)> = Vec::new();
    while world.now.since(begin) < MINUTE_MS {
        for command in plan(&world.state, &world.eligible(), world.now) {
            let reply = world.run(command.clone());
            // Those that were planned together may have failed before it.
            let is_let_through =
                |refused: &Refusal| refused.code != RefusalCode::CircuitBreaker || !lives.contains(&0);
            let refused = matches!(&reply, Reply::Refused(refused) if is_let_through(refused));
            assert!(!refused, "{command:?} was refused: {reply:?}");
            let Reply::Engine(reserved) = reply else { continue };
            let life = lives[made.len() % lives.len()];
            world.wait_ms(40);
            made.push((Engine::clone(&reserved), life));
            match life {
                0 if bad.contains(&reserved.node.0) => {
                    let (cause, message) = (Cause::Exited, "it ended at once".to_owned());
                    world.run(Command::EngineFailed { engine: reserved.id, cause, message });
                }
                _ => drop(world.start(reserved.id)),
            }
        }
        world.wait_ms(250);
        for (made, life) in &made {
            let now = world.engine(made.id);
            let Some(age) = now.started_at_ms.filter(|_| now.phase.is_live()).map(|at| world.now.since(at))
            else {
                continue;
            };
            if age >= *life && bad.contains(&now.node.0) {
                exits(world, made.id);
            } else if age > 300 && now.phase == Phase::Starting {
                world.run(Command::EngineHealth { engine: made.id, health: Health::Healthy, fault: None });
            }
        }
    }
    made.len()
}

#[test]
fn a_bad_host_costs_a_floor_a_moment_and_no_breaker() {
    for (floor, life) in [(3, 0), (3, 1_000), (6, 5_000), (15, 2_000), (15, 0)] {
        let mut world = world(3);
        crash_loop(&mut world, floor, &[life], &[2]);
        assert_eq!(state(&world, &PLAIN), BreakerState::Closed, "floor {floor}, {life} ms");
        assert_eq!(world.state.supply(), floor, "floor {floor}, {life} ms");
        assert!(world.state.live_engines().all(|e| e.node != NodeId(2)));
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn a_crash_loop_makes_few_containers_in_its_first_minute(
        hosts in 1..=5u64,
        floor in 1..=5u32,
        lives in prop_oneof![
            (0..15_000u64).prop_map(|life| vec![life]),
            prop::collection::vec(0..15_000u64, 12),
        ],
    ) {
        let mut world = world(hosts);
        let made = crash_loop(&mut world, floor, &lives, &[1, 2, 3, 4, 5]);
        // Nine in one of some hundred mixes of lives, eight in all others.
        prop_assert!(made <= 9, "{made} containers");
    }
}

#[test]
fn moments_at_the_end_of_the_scale_overflow_nothing() {
    let mut world = world(1);
    world.now = Elapsed(u64::MAX - 1);
    die(&mut world, 5);
    assert_eq!(state(&world, &PLAIN), BreakerState::Open);
}
