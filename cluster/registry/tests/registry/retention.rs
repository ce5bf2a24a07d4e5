//! What is forgotten, and what is not.

use acefleet_registry::breaker::BreakerKind;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::event::{EVENTS_MAX, EventType, KEPT_EACH};
use acefleet_registry::node::Wanted;
use acefleet_registry::state::Tables;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::{Command, Elapsed, Level, NodeId, OpId, Proposal, State, apply};

use crate::support::{World, failed, gone, invariants, playing};

const MINUTE_MS: u64 = 60_000;
const NOTHING: Command = Command::ResetBreaker(Some(BreakerKind::Replacement));

/// Applies without the checks of every step, for long runs, and checks the result.
fn flood(world: &mut World, commands: impl Iterator<Item = Command>) {
    for (n, command) in commands.enumerate() {
        let op_id = OpId::from_u128((1 << 100) + n as u128);
        apply(
            &mut world.state,
            &Proposal { op_id, at_ms: world.now, origin: NodeId(1), by: None, command },
            0,
        );
    }
    invariants::check_state(&world.state).unwrap();
}

fn tombstones(state: &State) -> usize {
    Tables::from(state.clone()).tombstones.len()
}

#[test]
fn ended_streams_are_kept_for_an_hour_and_started_ones_for_ever() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    world.begin(playing("k", "runs", port));
    world.begin(playing("k", "ends", port));
    world.finish("k|ends");
    world.wait_ms(60 * MINUTE_MS);
    world.run(NOTHING);
    assert_eq!(world.state.stream_counts(), (1, 2));
    world.wait_ms(1);
    world.run(NOTHING);
    assert_eq!(world.state.stream_counts(), (1, 1));
    world.wait_ms(1_000_000 * MINUTE_MS);
    world.run(NOTHING);
    assert!(world.state.stream("k|runs").unwrap().is_started());
}

#[test]
fn streams_that_nobody_can_ask_about_end_after_a_day_wherever_they_are() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    world.begin(playing("k", "external", 1));
    world.begin(StreamStart { stat_url: String::new(), ..playing("k", "silent", port) });
    world.begin(playing("k", "ours", port));
    world.wait_ms(24 * 60 * MINUTE_MS);
    // A repeat of the event is no sign that it is watched: it keeps the time of its start.
    world.begin(playing("k", "external", 1));
    assert!(world.state.stream("k|external").unwrap().is_started());
    world.wait_ms(1);
    world.run(NOTHING);
    for id in ["k|external", "k|silent"] {
        let ended = world.state.stream(id).unwrap();
        assert_eq!(
            (ended.is_started(), ended.end_reason.clone()),
            (false, Some(EndReason::Unwatched)),
            "{id}"
        );
        assert_eq!(ended.ended_at_ms, Some(world.state.clock_ms()));
    }
    assert!(world.state.stream("k|ours").unwrap().is_started());
    invariants::check_state(&world.state).unwrap();
}

#[test]
fn a_flood_of_starts_of_other_engines_is_bounded() {
    let mut world = World::new(1, 10);
    flood(
        &mut world,
        (0..10_100).map(|n| Command::StreamStarted(playing("k", &format!("{n:05}"), 1).into())),
    );
    world.run(NOTHING);
    assert_eq!(world.state.stream_counts(), (10_000, 10_100));
    assert!(!world.state.stream("k|00099").unwrap().is_started(), "the oldest go first");
    assert!(world.state.stream("k|00100").unwrap().is_started());
}

#[test]
fn the_oldest_ended_streams_go_first_when_there_are_too_many() {
    let mut world = World::new(1, 10);
    let sessions = || (0..10_050).map(|n| format!("{n:05}"));
    flood(&mut world, sessions().map(|s| Command::StreamStarted(playing("k", &s, 1).into())));
    let end = |s| StreamEnd { stream_id: Some(format!("k|{s}")), ..StreamEnd::default() };
    let batch = Command::EventBatch { started: vec![], ended: sessions().map(end).collect() };
    world.run(batch);
    world.run(NOTHING);
    assert_eq!(world.state.stream_counts(), (0, 10_000));
    assert!(world.state.stream("k|00049").is_none());
    assert!(world.state.stream("k|00050").is_some());
}

#[test]
fn ends_without_a_start_are_remembered_for_ten_minutes() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    world.finish("k|early");
    world.finish("k|lost");
    world.wait_ms(10 * MINUTE_MS);
    assert!(!world.begin(playing("k", "early", port)).is_started());
    assert_eq!(tombstones(&world.state), 1);
    world.wait_ms(1);
    world.run(NOTHING);
    assert_eq!(tombstones(&world.state), 0);
    assert!(world.begin(playing("k", "lost", port)).is_started());
}

#[test]
fn a_flood_of_ends_without_starts_is_bounded() {
    let mut world = World::new(1, 10);
    let end = |n: usize| StreamEnd { stream_id: Some(format!("x|{n}")), ..StreamEnd::default() };
    flood(&mut world, (0..10_100).map(|n| Command::StreamEnded(end(n))));
    world.run(NOTHING);
    assert_eq!(tombstones(&world.state), 10_000);
}

#[test]
fn ended_engines_are_kept_for_ten_minutes() {
    let mut world = World::new(1, 10);
    let id = world.running().id;
    world.run(gone(id));
    world.wait_ms(10 * MINUTE_MS);
    world.run(NOTHING);
    assert!(world.state.engine(id).is_some());
    world.wait_ms(1);
    world.run(NOTHING);
    assert!(world.state.engine(id).is_none());
    assert!(world.reserve().id > id, "an id was used twice");
}

#[test]
fn a_loop_of_failing_engines_leaves_a_bounded_trace() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.general_breaker.failure_threshold = u32::MAX);
    let mut ids = 1u64..;
    let ask = Command::Reserve(world.ask());
    let rounds = (0..1_100).flat_map(|_| {
        let id = acefleet_registry::EngineId(ids.next().unwrap());
        [ask.clone(), failed(id)]
    });
    flood(&mut world, rounds);
    world.run(NOTHING);
    assert_eq!(world.state.all_engines().count(), 1_000);
    assert_eq!(world.state.live_engines().count(), 0);
}

#[test]
fn writes_are_remembered_for_ten_minutes_and_not_without_end() {
    let mut world = World::new(1, 10);
    let op = OpId::from_u128(1 << 90);
    let reserve = Command::Reserve(world.ask());
    let write = Proposal { op_id: op, at_ms: world.now, origin: NodeId(1), by: None, command: reserve };
    world.propose(&write);
    world.wait_ms(10 * MINUTE_MS);
    world.run(NOTHING);
    assert!(world.state.op(op).is_some());
    world.wait_ms(1);
    world.run(NOTHING);
    assert!(world.state.op(op).is_none());
    flood(&mut world, (0..9_000).map(|_| NOTHING));
    assert_eq!(invariants::remembered(&world.state).len(), 8_192);
}

#[test]
fn the_event_log_keeps_the_newest() {
    let mut world = World::new(1, 10);
    flood(&mut world, (0..2_500).map(|n| Command::StreamStarted(playing("k", &n.to_string(), 1).into())));
    assert_eq!(world.state.events().len(), EVENTS_MAX);
    let newest = world.state.events().iter().next_back().unwrap();
    assert_eq!(newest.message, "stream k|2499 started");
    assert_eq!(newest.stream_id.as_deref(), Some("k|2499"));
}

#[test]
fn streams_do_not_push_what_else_happened_out_of_the_log() {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.run(Command::NodeAvailability { node: NodeId(1), availability: Wanted::Cordoned });
    flood(&mut world, (0..6_000).map(|n| Command::StreamStarted(playing("k", &n.to_string(), 1).into())));
    let events = world.state.events();
    let of_streams = events.iter().filter(|event| event.event_type == EventType::Stream);
    assert_eq!(of_streams.count(), KEPT_EACH);
    assert!(events.iter().any(|event| event.category == "cordoned"));
    let since = events.after(events.last_id() - 3);
    assert_eq!(since.iter().map(|event| events.last_id() - event.id).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(events.after(0).len(), events.len(), "those that are lost are left out");
    assert_eq!(events.after(u64::MAX).len(), 0);
    let stored = rmp_serde::to_vec_named(&world.state).unwrap();
    assert_eq!(rmp_serde::from_slice::<State>(&stored).unwrap(), world.state);
}

#[test]
fn a_clock_that_falls_back_forgets_nothing_early() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    world.begin(playing("k", "s", port));
    world.finish("k|s");
    let log_time = world.state.clock_ms();
    world.now = Elapsed(world.now.0 - 48 * 60 * MINUTE_MS);
    world.run(NOTHING);
    assert_eq!(world.state.clock_ms(), log_time);
    assert!(world.state.stream("k|s").is_some());
}
