//! Starts that fail together for one cause, hosts that fail alike, and floors of which nothing runs.

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::Health;
use acefleet_registry::group::Group;
use acefleet_registry::health::HealthFault;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Wait, next};
use acefleet_registry::vpn::{VpnHealth, VpnStatus};
use acefleet_registry::{Command, EngineId, NodeId, RefusalCode};

use crate::support::{World, behind_vpn, engine, refusal, reserved, watch};
use crate::vpn::tell;
use crate::vpn_pairs::{behind, tell_second, with_two};
use crate::young::{MINUTE_MS, PLAIN, count, state, world};

const REPLACEMENTS: Group = Group::Plain(BreakerKind::Replacement);

/// Writes what the leader plans, and says what it reserved.
fn planned(world: &mut World) -> Vec<EngineId> {
    reserved(world).into_iter().map(|engine| engine.id).collect()
}

fn fail(world: &mut World, engine: EngineId, cause: Cause) {
    world.run(Command::EngineFailed { engine, cause, message: "it failed".to_owned() });
}

fn exit(world: &mut World, id: EngineId) {
    world.run(Command::EngineGone { engine: id, cause: Cause::Exited, message: None });
}

fn answer(world: &mut World, id: EngineId) {
    world.start(id);
    world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
}

/// A floor of four, of which all are made anew with their VPN: their replacements.
fn recreated() -> (World, Vec<EngineId>) {
    let mut world = world(1);
    world.policy(|policy| policy.min_replicas = 4);
    let lost: Vec<EngineId> = (0..4).map(|_| world.running().id).collect();
    for engine in lost {
        world.run(Command::EngineStop { engine, cause: Cause::VpnRecreated, when: StopWhen::Always });
        world.run(Command::EngineGone { engine, cause: Cause::Stopped, message: None });
    }
    let replacing = planned(&mut world);
    assert_eq!(replacing.len(), 4);
    (world, replacing)
}

#[test]
fn starts_that_hang_together_are_one_failure() {
    let (mut world, hanging) = recreated();
    world.wait_ms(25_000);
    for id in hanging {
        fail(&mut world, id, Cause::StartupTimeout);
        world.wait_ms(40);
    }
    assert_eq!((count(&world, &REPLACEMENTS), state(&world, &REPLACEMENTS)), (1, BreakerState::Closed));
    assert_eq!(planned(&mut world), []);
    world.wait_ms(2_000);
    let first = planned(&mut world);
    assert_eq!(first.len(), 1, "the others wait to see whether it runs");
    world.wait_ms(500);
    assert_eq!(planned(&mut world), []);
    let waits = next(&world.state, &watch(&world.state, &world.eligible()), world.now).waits;
    let is_told = |wait: &&Wait| matches!(wait, Wait::Replacement { why: Shortage::OtherFirst { engine, .. }, .. } if *engine == first[0]);
    assert_eq!(waits.iter().filter(is_told).count(), 3, "{waits:?}");
    world.start(first[0]);
    assert_eq!(planned(&mut world).len(), 3);
}

#[test]
fn one_that_was_asked_for_after_a_failure_fails_for_itself() {
    let (mut world, hanging) = recreated();
    world.wait_ms(25_000);
    let (early, late) = hanging.split_at(2);
    early.iter().for_each(|id| fail(&mut world, *id, Cause::StartupTimeout));
    world.wait_ms(5_000);
    let again = planned(&mut world);
    assert_eq!(again.len(), 1);
    late.iter().for_each(|id| fail(&mut world, *id, Cause::StartupTimeout));
    assert_eq!(count(&world, &REPLACEMENTS), 1, "they were under way with the first ones");
    fail(&mut world, again[0], Cause::StartupTimeout);
    assert_eq!(count(&world, &REPLACEMENTS), 2);
}

#[test]
fn what_fails_together_for_something_else_counts_for_itself() {
    let (mut world, hanging) = recreated();
    let causes = [Cause::StartupTimeout, Cause::DockerError, Cause::Exited, Cause::Exited];
    for (n, (id, cause)) in hanging.into_iter().zip(causes).enumerate() {
        fail(&mut world, id, cause);
        assert_eq!(count(&world, &REPLACEMENTS), n as u32 + 1);
    }
}

#[test]
fn starts_that_failed_together_before_their_vpn_was_found_sick_are_one_failure_of_it() {
    let mut world = world(1);
    world.run(Command::NodeUp(behind_vpn(1)));
    let vpn = |world: &mut World, health| {
        let (status, container) = (VpnStatus { health, ..VpnStatus::default() }, "gluetun".to_owned());
        world.run(Command::VpnChanged { node: NodeId(1), container, status, renew: false });
    };
    vpn(&mut world, VpnHealth::Healthy);
    world.policy(|policy| policy.min_replicas = 3);
    let failing = planned(&mut world);
    assert_eq!(failing.len(), 3);
    world.wait_ms(5_000);
    failing.iter().for_each(|id| fail(&mut world, *id, Cause::StartupTimeout));
    assert_eq!(count(&world, &PLAIN), 1);
    vpn(&mut world, VpnHealth::Unhealthy);
    let of_vpn = Group::Vpn(NodeId(1), "gluetun".to_owned());
    assert_eq!((count(&world, &PLAIN), count(&world, &of_vpn)), (0, 1));
}

#[test]
fn a_failure_that_was_one_with_that_of_a_sick_vpn_counts_for_itself() {
    let mut world = world(1);
    with_two(&mut world, 1, 10);
    tell(&mut world, 1, VpnHealth::Healthy, None);
    tell_second(&mut world, 1, VpnHealth::Healthy, None);
    world.policy(|policy| policy.min_replicas = 4);
    let failing = planned(&mut world);
    assert_eq!((behind(&world, "gluetun"), behind(&world, "gluetun-2")), (2, 2));
    world.wait_ms(5_000);
    for id in failing {
        fail(&mut world, id, Cause::StartupTimeout);
        world.wait_ms(40);
    }
    assert_eq!(count(&world, &PLAIN), 1);
    let of_vpn = |name: &str| Group::Vpn(NodeId(1), name.to_owned());
    tell(&mut world, 1, VpnHealth::Unhealthy, None);
    let counts = |world: &World| [PLAIN, of_vpn("gluetun"), of_vpn("gluetun-2")].map(|g| count(world, &g));
    assert_eq!(counts(&world), [1, 1, 0], "two of them hung behind a sound VPN");
    tell_second(&mut world, 1, VpnHealth::Unhealthy, None);
    assert_eq!(counts(&world), [0, 1, 1]);
}

#[test]
fn a_failure_that_is_taken_back_leaves_another_one_alone() {
    let mut world = world(1);
    let [first, joins, deaf] = [(); 3].map(|()| world.reserve().id);
    world.start(deaf);
    world.wait_ms(25_000);
    fail(&mut world, first, Cause::StartupTimeout);
    fail(&mut world, joins, Cause::StartupTimeout);
    assert_eq!(count(&world, &PLAIN), 1);
    world.wait_ms(6_000);
    let (health, fault) = (Health::Unhealthy, Some(HealthFault::PortClosed));
    world.run(Command::EngineHealth { engine: deaf, health, fault });
    assert_eq!(count(&world, &PLAIN), 2);
    world.run(Command::EngineHealth { engine: deaf, health: Health::Healthy, fault: None });
    assert_eq!(count(&world, &PLAIN), 1, "it answers after all");
}

#[test]
fn what_fails_on_several_hosts_is_not_made_up_for_at_once() {
    let on = |world: &mut World, node: u64| {
        let id = engine(world.run(Command::Reserve(world.ask_on(node)))).id;
        answer(world, id);
        id
    };
    let three = || {
        let mut world = world(3);
        on(&mut world, 3);
        world.wait_ms(1_000);
        let (first, second) = (on(&mut world, 1), on(&mut world, 2));
        world.policy(|policy| policy.min_replicas = 3);
        (world, first, second)
    };
    let hosts = |world: &World| [1, 2].map(|node| count(world, &Group::Host(NodeId(node))));
    let (mut world, first, second) = three();
    exit(&mut world, first);
    assert_eq!(planned(&mut world).len(), 1, "one host alone has failed");
    exit(&mut world, second);
    assert_eq!((hosts(&world), count(&world, &PLAIN)), ([1, 1], 0));
    assert_eq!(planned(&mut world), []);
    world.wait_ms(3_900);
    assert_eq!(planned(&mut world), []);
    world.wait_ms(100);
    assert_eq!(planned(&mut world).len(), 1, "two failures are rested for");
    // What Docker did on one host says nothing of what fails on another.
    let (mut world, _, second) = three();
    let refused = engine(world.run(Command::Reserve(world.ask_on(1)))).id;
    fail(&mut world, refused, Cause::DockerError);
    exit(&mut world, second);
    assert_eq!(hosts(&world), [1, 1]);
    assert_eq!(planned(&mut world).len(), 1);
}

#[test]
fn two_bad_hosts_of_three_hold_back_the_third_for_a_minute_at_the_most() {
    let mut world = world(3);
    let older = engine(world.run(Command::Reserve(world.ask_on(3)))).id;
    answer(&mut world, older);
    world.wait_ms(1_000);
    world.policy(|policy| policy.min_replicas = 15);
    let begin = world.now;
    while world.state.supply() < 15 || world.now == begin {
        for id in planned(&mut world) {
            answer(&mut world, id);
        }
        world.wait_ms(1_000);
        let is_bad = |node: NodeId| node != NodeId(3);
        let bad: Vec<EngineId> =
            world.state.live_engines().filter(|e| is_bad(e.node)).map(|e| e.id).collect();
        bad.into_iter().for_each(|id| exit(&mut world, id));
        assert!(world.now.since(begin) < 70_000, "{} of 15", world.state.supply());
    }
    assert_eq!(state(&world, &PLAIN), BreakerState::Closed);
}

/// A floor of one, of which each engine ends at once, until its breaker is open.
fn nothing_runs() -> World {
    let mut world = world(1);
    world.policy(|policy| policy.min_replicas = 1);
    while state(&world, &PLAIN) != BreakerState::Open {
        for id in planned(&mut world) {
            answer(&mut world, id);
            exit(&mut world, id);
        }
        world.wait_ms(250);
    }
    world
}

#[test]
fn a_floor_of_which_nothing_runs_is_tried_while_its_breaker_is_open() {
    let mut world = nothing_runs();
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    for failures in [5, 6] {
        assert_eq!(count(&world, &PLAIN), failures);
        world.wait_ms(30_000);
        assert_eq!(planned(&mut world), [], "after {failures} failures");
        world.wait_ms(30_000);
        let tried = planned(&mut world);
        assert_eq!(tried.len(), 1, "after {failures} failures");
        assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
        answer(&mut world, tried[0]);
        exit(&mut world, tried[0]);
    }
    world.policy(|policy| policy.min_replicas = 3);
    world.wait_ms(60_000);
    let tried = planned(&mut world);
    assert_eq!(tried.len(), 1, "whatever is missing");
    answer(&mut world, tried[0]);
    world.wait_ms(MINUTE_MS - 1_000);
    assert_eq!((planned(&mut world), state(&world, &PLAIN)), (vec![], BreakerState::Open));
    world.wait_ms(1_000);
    assert_eq!((planned(&mut world).len(), state(&world, &PLAIN)), (2, BreakerState::Closed));
}

#[test]
fn without_a_floor_an_open_breaker_lets_nothing_through() {
    let mut world = nothing_runs();
    world.policy(|policy| policy.min_replicas = 0);
    world.wait_ms(200_000);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
}

#[test]
fn replacements_that_hang_again_and_again_leave_no_floor_empty_for_long() {
    let (mut world, mut hanging) = recreated();
    let mut rounds = 0;
    while state(&world, &REPLACEMENTS) != BreakerState::Open {
        world.wait_ms(25_000);
        hanging.drain(..).for_each(|id| fail(&mut world, id, Cause::StartupTimeout));
        while hanging.is_empty() && state(&world, &REPLACEMENTS) != BreakerState::Open {
            world.wait_ms(250);
            hanging = planned(&mut world);
        }
        rounds += 1;
        assert!(rounds <= 3, "its breaker stays closed");
    }
    assert_eq!(rounds, 3);
    world.wait_ms(8_000);
    let tried = planned(&mut world);
    assert_eq!(tried.len(), 1);
    answer(&mut world, tried[0]);
    world.wait_ms(MINUTE_MS);
    assert_eq!(planned(&mut world).len(), 3);
}
