//! The breaker over creations: opened by count, half-opened by time, one probe.

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::{Command, RefusalCode, Reply};

use crate::support::{World, failed, generic, refusal};

const RECOVERY_MS: u64 = 300_000;

fn broken() -> World {
    let mut world = World::new(3, 10);
    (0..5).for_each(|_| world.fail_one());
    world
}

#[test]
fn five_failures_in_a_row_open_it_and_four_do_not() {
    let mut world = World::new(3, 10);
    (0..4).for_each(|_| world.fail_one());
    assert_eq!(world.general(), BreakerState::Closed);
    world.running();
    (0..4).for_each(|_| world.fail_one());
    assert_eq!(world.general(), BreakerState::Closed);
    world.fail_one();
    assert_eq!(world.general(), BreakerState::Open);
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
    let mut world = World::new(3, 10);
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
    world.now -= 10 * RECOVERY_MS;
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    assert_eq!(world.state.clock_ms(), crate::support::BEGIN_MS);
}

#[test]
fn times_at_the_end_of_the_scale_overflow_nothing() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.general_breaker.recovery_ms = u64::MAX);
    world.now = u64::MAX - 1;
    (0..5).for_each(|_| world.fail_one());
    assert_eq!(world.general(), BreakerState::Open);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::CircuitBreaker);
    world.now = u64::MAX;
    world.reserve();
}
