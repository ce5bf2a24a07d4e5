//! The breaker over creations: opened by count, half-opened by time, one probe.

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::node::Wanted;
use acefleet_registry::{Command, Elapsed, Engine, NodeId, RefusalCode, Reply, Reserve};

use crate::support::{World, engine, failed, generic, gone, plan, refusal};

const RECOVERY_MS: u64 = 300_000;

fn broken() -> World {
    let mut world = World::new(1, 10);
    (0..5).for_each(|_| world.fail_one());
    world
}

#[test]
fn five_failures_in_a_row_open_it_and_four_do_not() {
    let mut world = World::new(1, 10);
    (0..4).for_each(|_| world.fail_one());
    assert_eq!(world.general(), BreakerState::Closed);
    world.running();
    (0..4).for_each(|_| world.fail_one());
    assert_eq!(world.general(), BreakerState::Closed);
    world.fail_one();
    assert_eq!(world.general(), BreakerState::Open);
}

#[test]
fn an_image_that_takes_long_to_fetch_is_not_held_against_docker() {
    let mut world = World::new(3, 10);
    for _ in 0..10 {
        let id = world.reserve().id;
        let (cause, message) = (Cause::ImagePulling, "it is being pulled".to_owned());
        world.run(Command::EngineFailed { engine: id, cause, message });
    }
    assert_eq!(world.general(), BreakerState::Closed);
    world.running();
}

#[test]
fn an_open_breaker_refuses_and_says_when_to_come_back() {
    let mut world = broken();
    world.wait_ms(RECOVERY_MS - 1_500);
    let Reply::Refused(refused) = world.run(Command::Reserve(world.ask())) else { panic!("let through") };
    assert_eq!((refused.code, refused.retry_after_s), (RefusalCode::CircuitBreaker, Some(2)));
}

#[test]
fn it_becomes_half_open_by_time_alone_and_lets_one_probe_through() {
    let mut world = broken();
    world.wait_ms(RECOVERY_MS);
    assert_eq!(world.general(), BreakerState::HalfOpen);
    let replies: Vec<Reply> = (0..50).map(|_| world.run(Command::Reserve(world.ask()))).collect();
    let probes = replies.iter().filter(|reply| matches!(reply, Reply::Engine(_))).count();
    assert_eq!(probes, 1);
    assert!(matches!(replies[0], Reply::Engine(_)));
    assert_eq!(refusal(replies[49].clone()), RefusalCode::CircuitBreaker);
}

#[test]
fn what_a_caller_chose_is_no_probe() {
    let mut world = broken();
    world.wait_ms(RECOVERY_MS);
    let mut chosen = world.ask();
    chosen.spec.env.insert("CONF".to_owned(), "--verbose".to_owned());
    engine(world.run(Command::Reserve(chosen)));
    assert_eq!(world.general(), BreakerState::HalfOpen);
    // Its failure would say nothing, so that others need not wait for its end.
    engine(world.run(Command::Reserve(world.ask())));
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
}

#[test]
fn a_probe_that_succeeds_closes_it() {
    let mut world = broken();
    world.wait_ms(RECOVERY_MS);
    world.running();
    assert_eq!(world.general(), BreakerState::Closed);
    world.reserve();
    world.reserve();
}

#[test]
fn a_probe_that_fails_opens_it_for_the_whole_time_again() {
    let mut world = broken();
    world.wait_ms(RECOVERY_MS);
    world.fail_one();
    world.wait_ms(RECOVERY_MS - 1);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    world.wait_ms(1);
    world.reserve();
}

#[test]
fn a_success_from_before_it_opened_leaves_it_open() {
    let mut world = World::new(1, 10);
    let early = world.reserve();
    (0..5).for_each(|_| world.fail_one());
    world.start(early.id);
    assert_eq!(world.general(), BreakerState::Open);
}

#[test]
fn a_reset_closes_it_at_once() {
    for kind in [None, Some(BreakerKind::General)] {
        let mut world = broken();
        world.run(Command::ResetBreaker(Some(BreakerKind::Replacement)));
        assert_eq!(world.general(), BreakerState::Open);
        world.run(Command::ResetBreaker(kind));
        assert_eq!(world.general(), BreakerState::Closed);
        world.reserve();
    }
}

#[test]
fn plain_containers_neither_feed_it_nor_obey_it() {
    let mut world = broken();
    let Reply::Engine(container) = world.run(Command::Reserve(world.ask_for(generic(&[])))) else {
        panic!("refused")
    };
    let count = world.state.breaker(BreakerKind::General).0.failure_count;
    world.run(failed(container.id));
    assert_eq!(world.state.breaker(BreakerKind::General).0.failure_count, count);
}

#[test]
fn a_clock_that_falls_back_does_not_shorten_the_recovery() {
    let mut world = broken();
    world.now = Elapsed(world.now.0 - 10 * RECOVERY_MS);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    assert_eq!(world.state.clock_ms(), crate::support::BEGIN_MS);
}

#[test]
fn times_at_the_end_of_the_scale_overflow_nothing() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.general_breaker.recovery_ms = u64::MAX);
    world.now = Elapsed(u64::MAX - 1);
    (0..5).for_each(|_| world.fail_one());
    assert_eq!(world.general(), BreakerState::Open);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    world.now = Elapsed(u64::MAX);
    world.reserve();
}

/// Replacements that the plan wants started, which it reserves.
fn replacements(world: &mut World) -> Vec<Engine> {
    let commands = plan(&world.state, &world.eligible(), world.now);
    let replacing =
        |command: &Command| matches!(command, Command::Reserve(Reserve { replaces: Some(_), .. }));
    let replies: Vec<Reply> =
        commands.into_iter().filter(replacing).map(|command| world.run(command)).collect();
    let engine = |reply| match reply {
        Reply::Engine(engine) => (*engine).clone(),
        other => panic!("no engine: {other:?}"),
    };
    replies.into_iter().map(engine).collect()
}

#[test]
fn replacements_have_a_breaker_of_their_own() {
    let mut world = World::new(1, 10);
    let state = |world: &World| world.state.breaker_state(BreakerKind::Replacement, world.now);
    let (lost, later) = (world.running(), world.running());
    let lose = |world: &mut World, engine: &Engine| {
        let cause = Cause::VpnRecreated;
        world.run(Command::EngineStop { engine: engine.id, cause, when: StopWhen::Always });
        world.run(gone(engine.id));
    };
    lose(&mut world, &lost);
    // Each failure is rested from, longer each time.
    for failures in 1..=3 {
        let tried = replacements(&mut world);
        assert_eq!(tried.len(), 1, "after {} failures", failures - 1);
        world.run(failed(tried[0].id));
        assert_eq!(replacements(&mut world), []);
        let open = if failures == 3 { BreakerState::Open } else { BreakerState::Closed };
        assert_eq!(state(&world), open);
        world.wait_ms(10_000);
    }
    assert_eq!(world.general(), BreakerState::Closed, "callers wait because replacements fail");
    world.running();
    assert_eq!(state(&world), BreakerState::Open, "another engine says nothing of it");
    let ask = Reserve { replaces: Some(lost.id), ..world.ask() };
    assert_eq!(refusal(world.run(Command::Reserve(ask))), RefusalCode::CircuitBreaker);

    lose(&mut world, &later);
    world.wait_ms(180_000);
    assert_eq!(state(&world), BreakerState::HalfOpen);
    let probe = replacements(&mut world);
    assert_eq!(probe.len(), 1, "one probe");
    assert_eq!(replacements(&mut world), []);
    world.start(probe[0].id);
    assert_eq!(state(&world), BreakerState::Closed);
    assert_eq!(replacements(&mut world).len(), 1);
}

#[test]
fn a_replacement_that_is_held_back_is_not_made_as_another_engine() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.min_replicas = 2);
    let (lost, _) = (world.running(), world.running());
    let cause = Cause::VpnRecreated;
    world.run(Command::EngineStop { engine: lost.id, cause, when: StopWhen::Always });
    world.run(gone(lost.id));
    let tried = replacements(&mut world);
    assert_eq!(tried.len(), 1);
    world.run(failed(tried[0].id));
    assert_eq!(plan(&world.state, &world.eligible(), world.now), vec![]);
    world.wait_ms(10_000);
    assert_eq!(replacements(&mut world).len(), 1);
}

#[test]
fn a_host_that_cannot_start_engines_comes_last_and_opens_no_breaker_while_others_can() {
    let mut world = World::new(2, 10);
    let sick = world.reserve();
    world.run(failed(sick.id));
    for _ in 0..4 {
        assert_ne!(world.running().node, sick.node, "it has just failed");
    }
    assert_eq!(world.state.breaker(BreakerKind::General).0.failure_count, 0);
    world.wait_ms(60_000);
    let again = world.reserve();
    assert_eq!(again.node, sick.node, "it gets another chance");
    world.run(failed(again.id));
    world.run(Command::NodeAvailability { node: NodeId(3 - sick.node.0), availability: Wanted::Cordoned });
    let last = world.reserve();
    assert_eq!(last.node, sick.node, "there is no other");
    world.run(failed(last.id));
    assert_eq!(world.state.breaker(BreakerKind::General).0.failure_count, 1, "nobody else can");
    let last = world.reserve();
    world.start(last.id);
    world.run(Command::NodeAvailability { node: NodeId(3 - sick.node.0), availability: Wanted::Active });
    assert_eq!(world.reserve().node, sick.node, "it is sound again, and less loaded");
}

#[test]
fn docker_that_went_away_is_no_failure_to_start() {
    let mut world = World::new(1, 10);
    for _ in 0..10 {
        let engine = world.reserve().id;
        let cause = Cause::DockerUnavailable;
        world.run(Command::EngineFailed { engine, cause, message: String::new() });
    }
    assert_eq!(world.general(), BreakerState::Closed);
}
