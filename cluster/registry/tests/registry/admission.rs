//! How many engines there may be, and who may take one that nobody waits for.

use std::collections::BTreeSet;

use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{EngineSpec, Health};
use acefleet_registry::policy::PortRange;
use acefleet_registry::{
    Command, EngineId, Level, NodeId, OpId, Policy, Proposal, RefusalCode, Reply, Reserve, State, apply,
};

use crate::support::{BEGIN_MS, World, engine, generic, gone, node_info, playing, refusal, stop};

#[test]
fn nothing_is_reserved_before_the_settings_are_in_force() {
    let mut state = State::default();
    let mut ops = 0;
    let mut write = |state: &mut State, command| {
        ops += 1;
        apply(
            state,
            &Proposal { op_id: OpId::from_u128(ops), at_ms: BEGIN_MS, origin: NodeId(1), by: None, command },
            1,
        )
    };
    write(&mut state, Command::NodeUp(node_info(1, 10)));
    let reserve = |spec| {
        let mut ask = World::new(1, 10).ask();
        ask.spec = spec;
        Command::Reserve(ask)
    };
    for spec in [EngineSpec::acestream(), generic(&[("80/tcp", 19_000)])] {
        assert!(!state.has_policy());
        let Reply::Refused(refused) = write(&mut state, reserve(spec)) else { panic!("reserved") };
        assert_eq!((refused.code, refused.retry_after_s), (RefusalCode::NoSettings, Some(1)));
    }
    // Also where they are the defaults, somebody has to say so.
    let host_ports = PortRange { first: 21_000, last: 21_009 };
    write(&mut state, Command::SetPolicy(Policy { host_ports, ..Policy::default() }));
    let first = engine(write(&mut state, reserve(EngineSpec::acestream())));
    assert_eq!(first.ports.host_http, 21_000);
}

fn claiming(world: &World) -> Reserve {
    Reserve { claim_abandoned: true, ..world.ask() }
}

#[test]
fn fifty_calls_with_room_for_ten_make_exactly_ten() {
    let mut world = World::new(3, 10);
    world.policy(|policy| policy.max_replicas = 10);
    let replies: Vec<Reply> = (0..50).map(|_| world.run(Command::Reserve(world.ask()))).collect();
    let made = replies.iter().filter(|reply| matches!(reply, Reply::Engine(_))).count();
    assert_eq!(made, 10);
    assert_eq!(world.state.supply(), 10);
    let refused = replies.into_iter().filter(|reply| matches!(reply, Reply::Refused(_)));
    refused.for_each(|reply| assert_eq!(refusal(reply), RefusalCode::MaxCapacity));
}

#[test]
fn a_draining_engine_keeps_its_place_until_it_is_gone() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.max_replicas = 1);
    let only = world.running();
    world.run(stop(only.id, StopWhen::Always));
    assert_eq!(world.state.supply(), 0);
    assert_eq!(refusal(world.run(Command::Reserve(world.ask()))), RefusalCode::MaxCapacity);
    world.run(gone(only.id));
    world.reserve();
}

#[test]
fn plain_containers_neither_count_as_engines_nor_are_limited_by_them() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.max_replicas = 1);
    world.reserve();
    engine(world.run(Command::Reserve(world.ask_for(generic(&[])))));
    assert_eq!(world.state.supply(), 1);
    assert_eq!(world.state.live_engines().count(), 2);
}

#[test]
fn scaling_to_a_target_does_not_overshoot_however_often_it_is_asked() {
    let mut world = World::new(3, 10);
    let ask = Reserve { only_below: Some(4), automatic: true, ..world.ask() };
    let made =
        (0..9).filter(|_| matches!(world.run(Command::Reserve(ask.clone())), Reply::Engine(_))).count();
    assert_eq!(made, 4);
}

#[test]
fn nobody_waits_until_an_engine_leaves_where_idle_ones_are_handed_out() {
    let mut world = World::new(1, 10);
    world.policy(|policy| (policy.max_replicas, policy.auto_delete, policy.grace_ms) = (0, true, 30_000));
    let hint = |world: &mut World| match world.run(Command::Reserve(world.ask())) {
        Reply::Refused(refusal) => refusal.retry_after_s,
        other => panic!("{other:?}"),
    };
    assert_eq!(hint(&mut world), Some(30), "before all members do so");
    world.run(Command::RaiseLevel(Level::CURRENT));
    assert_eq!(hint(&mut world), None);
}

#[test]
fn a_repeated_call_takes_the_engine_that_its_first_try_made() {
    let mut world = World::new(2, 10);
    let first = world.reserve();
    world.run(Command::Abandon { engine: first.id, by: None });
    world.start(first.id);
    world.origin = NodeId(2);
    let claimed = engine(world.run(Command::Reserve(claiming(&world))));
    assert_eq!(claimed.id, first.id);
    assert!(!claimed.abandoned);
    let other = engine(world.run(Command::Reserve(claiming(&world))));
    assert_ne!(other.id, first.id, "one engine was given to two callers");
}

#[test]
fn a_caller_who_was_answered_too_early_or_never_gets_its_engine_by_a_repeat() {
    let mut world = World::new(2, 10);
    let patient = |world: &World| Reserve { patience_ms: Some(2_500), ..claiming(world) };
    let first = engine(world.run(Command::Reserve(patient(&world))));
    world.wait_ms(2_000);
    let meanwhile = engine(world.run(Command::Reserve(patient(&world))));
    assert_ne!(meanwhile.id, first.id, "its caller waits still");
    world.start(meanwhile.id);
    world.wait_ms(501);
    // The second one ran in time, so its caller has it.
    let repeat = engine(world.run(Command::Reserve(patient(&world))));
    assert_eq!(repeat.id, first.id);
    // Its first caller gives up late, and has nothing to give up any more.
    let late = Command::Abandon { engine: first.id, by: Some(first.reserved_by) };
    assert_eq!(refusal(world.run(late)), RefusalCode::WrongPhase);
    world.start(first.id);
    world.wait_ms(10_000);
    let other = engine(world.run(Command::Reserve(patient(&world))));
    assert!(other.id != first.id && other.id != meanwhile.id, "one engine was given to two callers");
    // What runs too late is free as well.
    world.wait_ms(2_501);
    world.start(other.id);
    assert_eq!(engine(world.run(Command::Reserve(patient(&world)))).id, other.id);
}

#[test]
fn of_two_repeats_each_takes_one() {
    let mut world = World::new(2, 10);
    let made: BTreeSet<EngineId> = (0..2).map(|_| world.reserve().id).collect();
    made.iter().for_each(|id| drop(world.run(Command::Abandon { engine: *id, by: None })));
    let claimed: BTreeSet<EngineId> =
        (0..2).map(|_| engine(world.run(Command::Reserve(claiming(&world)))).id).collect();
    assert_eq!(claimed, made);
}

#[test]
fn claiming_is_possible_when_nothing_more_may_be_made() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.max_replicas = 1);
    let first = world.reserve();
    world.run(Command::Abandon { engine: first.id, by: None });
    assert_eq!(engine(world.run(Command::Reserve(claiming(&world)))).id, first.id);
}

#[test]
fn what_is_not_abandoned_or_not_the_same_or_in_use_is_not_claimed() {
    let mut world = World::new(2, 10);
    let awaited = world.reserve();
    let fixed = engine(world.run(Command::Reserve({
        let mut ask = world.ask();
        ask.spec.host_port = Some(19_500);
        ask
    })));
    world.run(Command::Abandon { engine: fixed.id, by: None });
    let used = world.running();
    world.run(Command::Abandon { engine: used.id, by: None });
    world.begin(playing("k", "s", used.ports.host_http));
    let leaving = world.running();
    world.run(Command::Abandon { engine: leaving.id, by: None });
    world.run(stop(leaving.id, StopWhen::Always));
    let sick = world.running();
    world.run(Command::Abandon { engine: sick.id, by: None });
    world.run(Command::EngineHealth { engine: sick.id, health: Health::Unhealthy, fault: None });
    let made = engine(world.run(Command::Reserve(claiming(&world))));
    for old in [awaited, fixed, used, leaving, sick] {
        assert_ne!(made.id, old.id);
    }
}

#[test]
fn an_abandoned_engine_on_a_host_that_is_silent_or_has_failed_is_not_waited_for_again() {
    let mut world = World::new(2, 10);
    world.origin = NodeId(1);
    let stuck = world.reserve();
    assert_eq!(stuck.node, NodeId(1));
    world.run(Command::Abandon { engine: stuck.id, by: None });
    let silent = Reserve { eligible: [NodeId(2)].into(), ..claiming(&world) };
    let failed = Reserve { exclude: [NodeId(1)].into(), ..claiming(&world) };
    for ask in [silent, failed] {
        assert_eq!(engine(world.run(Command::Reserve(ask))).node, NodeId(2));
    }
}

#[test]
fn an_ended_engine_cannot_be_abandoned() {
    let mut world = World::new(1, 10);
    let id = world.running().id;
    world.run(gone(id));
    assert_eq!(refusal(world.run(Command::Abandon { engine: id, by: None })), RefusalCode::NotFound);
}
