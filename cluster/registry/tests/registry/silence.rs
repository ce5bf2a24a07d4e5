//! Streams whose engine gives no figures of them: they are marked, and nobody can ask about them until it does again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::end_reason::EndReason;
use acefleet_registry::stream::StreamStart;
use acefleet_registry::{Command, Engine, NodeId, OpId, Proposal, RefusalCode, Reply, Stream, apply};

use crate::support::{World, engine, invariants, playing, refusal};

const DAY_MS: u64 = 24 * 3_600_000;

fn mark(world: &mut World, silent: &[&Arc<Stream>]) -> Reply {
    let silent = silent.iter().map(|stream| stream.seq).collect();
    world.run(Command::StreamSilence { node: NodeId(1), silent, answering: BTreeSet::new() })
}

fn gives_figures(world: &mut World, stream: &Stream) {
    let answering = [stream.seq].into();
    world.run(Command::StreamSilence { node: NodeId(1), silent: BTreeSet::new(), answering });
}

fn now(world: &World, stream: &Stream) -> Arc<Stream> {
    Arc::clone(world.state.stream(&stream.start.id).unwrap())
}

fn touch(world: &mut World) {
    world.run(Command::ResetBreaker(None));
}

#[test]
fn a_silent_stream_ends_a_watched_day_after_it_fell_silent() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let stream = world.begin(playing("k", "s", port));
    let answers = world.begin(playing("k", "t", port));
    world.wait_ms(3 * DAY_MS);
    mark(&mut world, &[&stream]);
    assert_eq!(now(&world, &stream).unasked_since(), Some(world.now), "not since its start");
    world.wait_ms(DAY_MS);
    touch(&mut world);
    assert!(now(&world, &stream).is_started());
    world.wait_ms(1);
    touch(&mut world);
    assert_eq!(now(&world, &stream).end_reason, Some(EndReason::Unwatched));
    assert!(now(&world, &answers).is_started(), "a stream that answers ended");
}

#[test]
fn figures_and_events_end_the_silence() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let stream = world.begin(playing("k", "s", port));
    mark(&mut world, &[&stream]);
    gives_figures(&mut world, &stream);
    assert_eq!(now(&world, &stream).unasked_since(), None);
    world.wait_ms(2 * DAY_MS);
    touch(&mut world);
    assert!(now(&world, &stream).is_started());
    mark(&mut world, &[&stream]);
    world.begin(playing("k", "s", port));
    assert_eq!(now(&world, &stream).unasked_since(), None, "an event says that it plays");
}

#[test]
fn only_the_node_of_the_engine_knows_of_its_streams() {
    let mut world = World::new(2, 10);
    world.origin = NodeId(2);
    let other = engine(world.run(Command::Reserve(world.ask_on(2))));
    world.start(other.id);
    let stream = world.begin(playing("k", "s", other.ports.host_http));
    let foreign = world.begin(playing("k", "f", 1));
    mark(&mut world, &[&stream, &foreign]);
    assert_eq!(now(&world, &stream).silent_since_ms, None);
    assert_eq!(now(&world, &foreign).silent_since_ms, None);
    world.finish("k|s");
    let command =
        Command::StreamSilence { node: NodeId(2), silent: [stream.seq].into(), answering: [99].into() };
    assert_eq!(world.run(command), Reply::Done);
    assert_eq!(now(&world, &stream).silent_since_ms, None, "it has ended");
}

/// So many starts with a stat URL on an engine, without the invariants of each step.
fn flood(world: &mut World, of: &Engine, from: usize, count: usize) -> Vec<u64> {
    let start = |n: usize| StreamStart {
        stat_url: format!("http://localhost:{}/x", of.ports.host_http),
        ..playing("k", &format!("{n:06}"), of.ports.host_http)
    };
    let write = |n: usize| Proposal {
        op_id: OpId(1, n as u64 + 1_000_000),
        at_ms: world.now,
        origin: NodeId(1),
        by: None,
        command: Command::StreamStarted(start(n).into()),
    };
    let writes: Vec<_> = (from..from + count).map(write).collect();
    let taken = writes.iter().filter_map(|write| match apply(&mut world.state, write, 0) {
        Reply::StreamStarted(stream) => Some(stream.seq),
        _ => None,
    });
    taken.collect()
}

#[test]
fn an_engine_holds_some_thousand_silent_streams_and_the_oldest_of_them_end() {
    let mut world = World::new(1, 10);
    let running = world.running();
    let plays = world.begin(playing("k", "plays", running.ports.host_http));
    let mut left = flood(&mut world, &running, 0, 5_000);
    assert_eq!(world.state.active_streams(running.id), 5_001, "each may be asked about yet");
    while !left.is_empty() {
        let silent = left.drain(..left.len().min(1_000)).collect();
        world.run(Command::StreamSilence { node: NodeId(1), silent, answering: BTreeSet::new() });
    }
    invariants::check_state(&world.state).unwrap();
    assert_eq!(world.state.active_streams(running.id), 2_000);
    assert!(now(&world, &plays).is_started(), "a stream that answers ended");
    assert_eq!(world.state.stream("k|003000").unwrap().end_reason, Some(EndReason::CrowdedOut));
    assert!(world.state.stream("k|004999").unwrap().is_started(), "the oldest end first");
    flood(&mut world, &running, 5_000, 100);
    assert_eq!(world.state.active_streams(running.id), 2_000);
}

#[test]
fn silent_streams_make_room_for_others() {
    let mut world = World::new(1, 10);
    let running = world.running();
    let taken = flood(&mut world, &running, 0, 40_000);
    assert!((20_000..30_000).contains(&taken.len()), "{} taken", taken.len());
    let late = || Command::StreamStarted(playing("late", "s", running.ports.host_http).into());
    assert_eq!(refusal(world.run(late())), RefusalCode::NoRoom);
    let silent = taken[..10].iter().copied().collect();
    world.run(Command::StreamSilence { node: NodeId(1), silent, answering: BTreeSet::new() });
    assert!(matches!(world.run(late()), Reply::StreamStarted(stream) if stream.is_started()));
}

#[test]
fn nobody_can_ask_about_streams_that_start_on_a_host_that_is_down() {
    let mut world = World::new(2, 10);
    let running = engine(world.run(Command::Reserve(world.ask_on(2))));
    world.start(running.id);
    let port = running.ports.host_http;
    world.run(Command::NodeDown { node: NodeId(2), down: true });
    let begun = world.now;
    let stream = world.begin(playing("k", "s", port));
    assert_eq!((stream.engine, stream.unasked_since()), (Some(running.id), Some(begun)));
    world.wait_ms(DAY_MS);
    // A repeat is no answer of an engine.
    world.begin(playing("k", "s", port));
    assert_eq!(now(&world, &stream).unasked_since(), Some(begun));
    world.wait_ms(1);
    touch(&mut world);
    assert_eq!(now(&world, &stream).end_reason, Some(EndReason::Unwatched));
    // It gives figures again when the host is back.
    let stream = world.begin(playing("k", "t", port));
    world.run(Command::NodeDown { node: NodeId(2), down: false });
    assert!(now(&world, &stream).unasked_since().is_some(), "its engine has said nothing yet");
    let answering = [stream.seq].into();
    world.run(Command::StreamSilence { node: NodeId(2), silent: BTreeSet::new(), answering });
    assert_eq!(now(&world, &stream).unasked_since(), None);
}

#[test]
fn the_silence_of_a_stream_is_part_of_a_snapshot() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let stream = world.begin(StreamStart { labels, ..playing("k", "s", port) });
    mark(&mut world, &[&stream]);
    let bytes = rmp_serde::to_vec_named(&world.state).unwrap();
    let restored: acefleet_registry::State = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(restored, world.state);
    assert!(restored.indexes_are_true());
    assert_eq!(restored.stream("k|s").unwrap().silent_since_ms, Some(world.now));
}
