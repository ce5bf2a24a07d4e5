//! One op-id, one effect.

use acefleet_registry::command::Step;
use acefleet_registry::stream::StreamEnd;
use acefleet_registry::{Command, NodeId, OpId, Proposal, RefusalCode, Reply};

use crate::support::{World, engine, gone, playing, refusal};

fn write(world: &World, op: u128, command: Command) -> Proposal {
    Proposal { op_id: OpId::from_u128(op), at_ms: world.now, origin: NodeId(1), by: None, command }
}

#[test]
fn a_retried_reservation_is_one_engine_whatever_the_new_leader_stamps() {
    let mut world = World::new(3, 10);
    let first = write(&world, 1 << 90, Command::Reserve(world.ask()));
    let made = engine(world.propose(&first));
    world.wait_ms(2_000);
    let mut ask = world.ask();
    ask.eligible = [NodeId(3)].into();
    let again = Proposal { origin: NodeId(2), ..write(&world, 1 << 90, Command::Reserve(ask)) };
    assert_eq!(engine(world.propose(&again)), made);
    assert_eq!(world.state.supply(), 1);
}

#[test]
fn the_first_answer_is_given_again_even_when_the_engine_has_moved_on() {
    let mut world = World::new(1, 10);
    let reserve = write(&world, 1 << 90, Command::Reserve(world.ask()));
    let made = engine(world.propose(&reserve));
    world.start(made.id);
    world.run(gone(made.id));
    assert_eq!(engine(world.propose(&reserve)), made);
    assert_eq!(world.state.supply(), 0);
}

#[test]
fn a_refusal_is_remembered_too() {
    let mut world = World::new(1, 0);
    let reserve = write(&world, 1 << 90, Command::Reserve(world.ask()));
    let first = world.propose(&reserve);
    assert_eq!(refusal(first.clone()), RefusalCode::MaxCapacity);
    world.run(Command::NodeUp(crate::support::node_info(1, 5)));
    assert_eq!(world.propose(&reserve), first);
    assert_eq!(world.state.supply(), 0);
}

#[test]
fn the_id_counts_and_not_the_content() {
    let mut world = World::new(1, 10);
    let id = world.running().id;
    let first = write(&world, 1 << 90, Command::Abandon { engine: id, by: None });
    world.propose(&first);
    let other = write(&world, 1 << 90, gone(id));
    assert!(matches!(world.propose(&other), Reply::Engine(_)));
    assert!(world.engine(id).phase.is_live());
}

#[test]
fn the_same_content_under_another_id_is_another_write() {
    let mut world = World::new(1, 10);
    assert_ne!(world.reserve().id, world.reserve().id);
}

#[test]
fn a_repeat_does_not_move_log_time() {
    let mut world = World::new(1, 10);
    let first = write(&world, 1 << 90, Command::ResetBreaker(None));
    world.propose(&first);
    let clock = world.state.clock_ms();
    world.propose(&Proposal { at_ms: clock.plus(1_000_000), ..first });
    assert_eq!(world.state.clock_ms(), clock);
}

#[test]
fn queued_events_apply_once_each_in_order() {
    let mut world = World::new(1, 10);
    let step = |n, command| Step { op_id: OpId(9, n), by: None, command };
    let end = |id: &str| StreamEnd { stream_id: Some(id.to_owned()), ..StreamEnd::default() };
    let kept = vec![
        step(1, Command::StreamStarted(playing("k", "one", 1).into())),
        step(2, Command::StreamEnded(end("k|one"))),
        step(3, Command::StreamStarted(playing("k", "two", 1).into())),
    ];
    world.run(Command::Sequence(kept.clone()));
    world.run(Command::Sequence(kept));
    let streams: Vec<_> = world.state.streams().map(|s| (s.start.id.to_string(), s.is_started())).collect();
    assert_eq!(streams, [("k|one".to_owned(), false), ("k|two".to_owned(), true)]);
    let inside = Command::Sequence(vec![step(4, Command::Sequence(vec![]))]);
    assert_eq!(world.run(inside), Reply::Done);
    assert!(world.state.op(OpId(9, 4)).is_none());
}
