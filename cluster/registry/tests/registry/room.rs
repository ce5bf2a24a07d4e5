//! What happens when the state holds as many bytes as it may.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::command::Step;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::{Command, NodeId, OpId, Proposal, RefusalCode, Reply, apply, weight};

use crate::support::{World, engine, invariants, playing, refusal};

const LABEL: usize = 256 << 10;

/// A start with a label of 256 KiB.
fn heavy(session: &str, port: u16) -> StreamStart {
    let labels = BTreeMap::from([("large".to_owned(), "x".repeat(LABEL))]);
    StreamStart { labels, ..playing("k", session, port) }
}

/// The same of which nobody can be asked about.
fn unasked(session: &str, port: u16) -> StreamStart {
    StreamStart { stat_url: String::new(), ..heavy(session, port) }
}

/// Starts heavy streams until one is refused, and says how many were not.
fn fill(world: &mut World, port: u16) -> usize {
    (0..1_000)
        .take_while(|n| {
            let reply = world.run(Command::StreamStarted(heavy(&format!("full-{n}"), port).into()));
            matches!(reply, Reply::StreamStarted(_))
        })
        .count()
}

#[test]
fn starts_are_refused_when_what_plays_fills_its_budget_and_nothing_that_plays_is_lost() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let taken = fill(&mut world, port);
    assert!((100..120).contains(&taken), "{taken} of 256 KiB");
    assert_eq!(world.state.stream_counts(), (taken, taken));
    let reply = world.run(Command::StreamStarted(heavy("late", port).into()));
    let Reply::Refused(no_room) = reply else { panic!("{reply:?}") };
    assert_eq!((no_room.code, no_room.retry_after_s), (RefusalCode::NoRoom, Some(10)));
    let batch = Command::EventBatch { started: vec![heavy("late", port).into()], ended: vec![] };
    assert_eq!(refusal(world.run(batch)), RefusalCode::NoRoom);
    // What needs no more room goes on.
    world.begin(heavy("full-0", port));
    world.running();
    // An end makes room.
    assert!(world.finish("k|full-3"));
    assert!(world.begin(heavy("late", port)).is_started());
    assert_eq!(world.state.stream_counts().0, taken);
}

#[test]
fn a_start_that_needs_room_does_not_end_the_stream_that_it_names() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    fill(&mut world, port);
    let silence = |world: &mut World, ids: std::ops::Range<u64>| {
        let seq = |n| world.state.stream(&format!("k|full-{n}")).unwrap().seq;
        let silent = ids.map(seq).collect();
        world.run(Command::StreamSilence { node: NodeId(1), silent, answering: BTreeSet::new() });
    };
    silence(&mut world, 0..1);
    // A repeat with more to keep, and another session under the same id.
    let labels = BTreeMap::from([("large".to_owned(), "x".repeat(3 * LABEL))]);
    let larger = StreamStart { labels, ..heavy("full-0", port) };
    let next = StreamStart { playback_session_id: "next".into(), ..larger.clone() };
    for start in [larger.clone(), next] {
        assert_eq!(refusal(world.run(Command::StreamStarted(start.into()))), RefusalCode::NoRoom);
        assert!(world.state.stream("k|full-0").unwrap().is_started());
    }
    silence(&mut world, 1..4);
    assert!(world.begin(larger).is_started());
    assert_eq!(world.state.stream("k|full-1").unwrap().end_reason, Some(EndReason::CrowdedOut));
    invariants::check_state(&world.state).unwrap();
}

#[test]
fn a_refusal_for_want_of_room_is_not_remembered() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    fill(&mut world, port);
    let late = Proposal {
        op_id: OpId(9, 9),
        at_ms: world.now,
        origin: world.origin,
        by: None,
        command: Command::StreamStarted(heavy("late", port).into()),
    };
    assert_eq!(refusal(world.propose(&late)), RefusalCode::NoRoom);
    world.finish("k|full-0");
    assert!(matches!(world.propose(&late), Reply::StreamStarted(_)));
    assert!(matches!(world.propose(&late), Reply::StreamStarted(_)));
}

#[test]
fn kept_writes_without_room_wait_and_those_behind_them_do_not() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    fill(&mut world, port);
    let step = |n, command| Step { op_id: OpId(9, n), by: None, command };
    let small = playing("k", "small", port);
    let kept = vec![
        step(1, Command::StreamStarted(small.into())),
        step(2, Command::StreamStarted(heavy("late", port).into())),
        step(3, Command::StreamStarted(playing("k", "behind", port).into())),
    ];
    assert_eq!(refusal(world.run(Command::Sequence(kept.clone()))), RefusalCode::NoRoom);
    let known = |world: &World| [1, 2, 3].map(|n| world.state.remembered(OpId(9, n)).is_some());
    assert_eq!(known(&world), [true, false, true]);
    world.finish("k|full-0");
    assert_eq!(world.run(Command::Sequence(kept)), Reply::Done);
    assert_eq!(known(&world), [true; 3]);
    assert!(world.state.stream("k|late").unwrap().is_started());
}

fn end(id: &str) -> StreamEnd {
    StreamEnd { stream_id: Some(id.to_owned()), ..StreamEnd::default() }
}

fn batch(started: impl IntoIterator<Item = StreamStart>, ended: &[&str]) -> Command {
    let started = started.into_iter().map(Arc::new).collect();
    Command::EventBatch { started, ended: ended.iter().map(|id| end(id)).collect() }
}

/// Sessions of the streams that run.
fn running(world: &World) -> Vec<&str> {
    let started = world.state.streams().filter(|stream| stream.is_started());
    started.map(|stream| stream.start.playback_session_id.as_str()).collect()
}

#[test]
fn a_batch_is_judged_after_its_ends() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let taken = fill(&mut world, port) as u64;
    // As much goes as comes.
    let done = world.run(batch([heavy("a", port), heavy("b", port)], &["k|full-0", "k|full-1", "k|full-1"]));
    assert_eq!(done, Reply::Batch { started: 2, ended: 2 });
    // What it starts and ends itself needs nothing.
    let done = world.run(batch([heavy("passing", port)], &["k|passing"]));
    assert_eq!(done, Reply::Batch { started: 1, ended: 1 });
    // Too much all the same: all or nothing.
    let more = [heavy("c", port), heavy("d", port)];
    assert_eq!(refusal(world.run(batch(more.clone(), &["k|full-2", "k|unknown"]))), RefusalCode::NoRoom);
    assert!(world.state.stream("k|full-2").unwrap().is_started());
    assert_eq!(world.run(batch(more, &["k|full-2", "k|full-3"])), Reply::Batch { started: 2, ended: 2 });
    assert_eq!(world.state.stream_counts().0 as u64, taken);
}

#[test]
fn a_stream_that_a_batch_ends_is_not_crowded_out_before() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    world.begin(unasked("ends", port));
    world.begin(unasked("silent", port));
    fill(&mut world, port);
    world.finish("k|full-0");
    world.finish("k|full-1");
    world.begin(unasked("ends-2", port));
    world.begin(unasked("silent-2", port));
    world.run(batch([heavy("a", port), heavy("b", port)], &["k|ends-2"]));
    let why = |id: &str| world.state.stream(id).unwrap().end_reason.clone().unwrap();
    assert_eq!([why("k|ends-2"), why("k|silent-2")], [EndReason::Unknown, EndReason::CrowdedOut]);
}

#[test]
fn a_start_that_leaves_no_stream_running_needs_no_room() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let taken = fill(&mut world, port);
    // Its end came first.
    world.finish("k|late");
    assert!(!world.begin(heavy("late", port)).is_started());
    // Its session is over.
    world.finish("k|full-0");
    world.begin(heavy("next", port));
    assert!(!world.begin(heavy("full-0", port)).is_started());
    assert_eq!(world.state.stream_counts().0, taken);
}

#[test]
fn kept_starts_and_ends_of_a_stream_stay_together() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    fill(&mut world, port);
    let step = |n, command| Step { op_id: OpId(9, n), by: None, command };
    let known = |world: &World| [1, 2, 3, 4].map(|n| world.state.op(OpId(9, n)).is_some());
    // Without a session in its id nothing would remember the end for a start that comes later.
    let nameless = |port| StreamStart { id: "k|".into(), ..heavy("", port) };
    // With its end behind it a start needs no room.
    let pair = vec![
        step(1, Command::StreamStarted(nameless(port).into())),
        step(2, Command::StreamEnded(end("k|"))),
    ];
    assert_eq!(world.run(Command::Sequence(pair)), Reply::Done);
    assert!(!world.state.stream("k|").unwrap().is_started());
    // A batch that finds none keeps the end behind it back, and the start behind that.
    let other = |session| StreamStart { id: "x|".into(), ..heavy(session, port) };
    let kept = vec![
        step(3, batch([other(""), heavy("more", port)], &[])),
        step(4, Command::StreamEnded(end("x|"))),
        step(5, Command::StreamStarted(other("").into())),
        step(6, Command::StreamEnded(end("x|"))),
        step(7, Command::StreamEnded(end("k|unknown"))),
    ];
    assert_eq!(refusal(world.run(Command::Sequence(kept.clone()))), RefusalCode::NoRoom);
    assert_eq!(known(&world), [true, true, false, false]);
    assert_eq!([5, 6, 7].map(|n| world.state.op(OpId(9, n)).is_some()), [false, false, true]);
    world.finish("k|full-0");
    world.finish("k|full-1");
    assert_eq!(world.run(Command::Sequence(kept)), Reply::Done);
    assert!(running(&world).contains(&"more") && !world.state.stream("x|").unwrap().is_started());
}

#[test]
fn an_end_that_was_written_before_makes_no_room_for_its_start() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    fill(&mut world, port);
    let ended = Command::StreamEnded(end("k|"));
    let write = Proposal {
        op_id: OpId(9, 2),
        at_ms: world.now,
        origin: world.origin,
        by: None,
        command: ended.clone(),
    };
    world.propose(&write);
    let start = StreamStart { id: "k|".into(), ..heavy("", port) };
    let kept = vec![
        Step { op_id: OpId(9, 1), by: None, command: Command::StreamStarted(start.into()) },
        Step { op_id: OpId(9, 2), by: None, command: ended },
    ];
    assert_eq!(refusal(world.run(Command::Sequence(kept))), RefusalCode::NoRoom);
}

#[test]
fn streams_that_nobody_can_ask_about_make_room_for_others() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    world.begin(unasked("silent", port));
    world.begin(unasked("foreign", 1));
    let taken = fill(&mut world, port);
    for id in ["k|silent", "k|foreign"] {
        let stream = world.state.stream(id).unwrap();
        assert_eq!(stream.end_reason, Some(EndReason::CrowdedOut), "{id}");
    }
    assert_eq!(world.state.stream_counts(), (taken, taken + 2));
    // One that is refused all the same ends nobody.
    world.finish("k|full-0");
    world.begin(unasked("silent-2", port));
    assert_eq!(
        refusal(
            world.run(Command::StreamStarted(
                StreamStart {
                    labels: BTreeMap::from([("x".to_owned(), "x".repeat(3 * LABEL))]),
                    ..playing("k", "huge", port)
                }
                .into()
            ))
        ),
        RefusalCode::NoRoom
    );
    assert!(world.state.stream("k|silent-2").unwrap().is_started());
}

#[test]
fn streams_that_never_could_be_asked_about_fill_a_part_of_the_room_only() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let begin = |world: &mut World, n: usize| {
        // Elsewhere, and here without a way to ask.
        let (session, port) = (format!("nobody-{n}"), if n.is_multiple_of(2) { 1 } else { port });
        let start = world.begin(unasked(&session, port)).start.id.clone();
        assert!(world.state.stream(&start).unwrap().is_started(), "the newest goes");
    };
    (0..200).for_each(|n| begin(&mut world, n));
    let weights = world.state.weights();
    let counts = weight::UNASKABLE_STREAMS_MAX - (1 << 20)..=weight::UNASKABLE_STREAMS_MAX;
    assert!(counts.contains(&weights.unaskable_streams), "{weights:?}");
    assert_eq!(
        world.state.stream("k|nobody-0").map(|s| s.end_reason.clone()),
        None,
        "the oldest is forgotten by now"
    );
    let oldest = world.state.streams().find(|stream| !stream.is_started()).unwrap();
    assert_eq!(oldest.end_reason, Some(EndReason::CrowdedOut));
    // Those that are asked about have their room beside them.
    let before = world.state.stream_counts().0;
    (0..50).for_each(|n| assert!(world.begin(heavy(&format!("here-{n}"), port)).is_started()));
    assert_eq!(world.state.stream_counts().0, before + 50);
}

#[test]
fn old_events_go_first_then_ended_streams() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    fill(&mut world, port);
    world.finish("k|full-0");
    let mut ask = world.ask();
    ask.spec.env.insert("LARGE".to_owned(), "x".repeat(2 << 20));
    for _ in 0..2 {
        assert!(engine(world.run(Command::Reserve(ask.clone()))).phase.is_live());
    }
    // Streams come and go, each with a long id that events repeat, until what lives leaves no room for all of that.
    let long = |n: usize| format!("{n:04}{}", "y".repeat(40 << 10));
    let mut went = Vec::new();
    for n in 0..300 {
        let before = world.state.weights();
        let (events, id) = (world.state.events().clone(), long(n));
        world.begin(StreamStart { stat_url: String::new(), ..playing("e", &id, 1) });
        world.finish(&format!("e|{id}"));
        let after = world.state.weights();
        assert!(after.total() <= weight::STATE_MAX, "{after:?}");
        let kept: BTreeSet<u64> = world.state.events().iter().map(|event| event.id).collect();
        let lost_events = events.iter().any(|event| !kept.contains(&event.id));
        let lost_streams = after.ended_streams <= before.ended_streams;
        assert!(!lost_streams || lost_events || before.events == 0, "ended streams went before events");
        went.push(lost_streams);
    }
    assert!(!went[0] && went[299], "never full");
    assert!(world.state.stream(&format!("e|{}", long(0))).is_none(), "the oldest goes first");
    assert!(world.state.stream(&format!("e|{}", long(299))).is_some(), "the newest stays");
    assert!(world.state.stream("k|full-1").unwrap().is_started());
}

#[test]
fn an_engine_is_refused_when_engines_fill_their_budget() {
    let mut world = World::new(1, 100);
    world.policy(|policy| policy.max_replicas = 100);
    let mut ask = world.ask();
    ask.spec.env.insert("LARGE".to_owned(), "x".repeat(1 << 20));
    let mut made = 0;
    let reply = loop {
        match world.run(Command::Reserve(ask.clone())) {
            Reply::Engine(_) => made += 1,
            other => break other,
        }
    };
    assert_eq!((made, refusal(reply)), (5, RefusalCode::NoRoom));
    assert!(engine(world.run(Command::Reserve(world.ask()))).phase.is_live(), "a plain one finds room");
}

#[test]
fn an_engine_holds_some_thousand_streams_that_nobody_can_ask_about() {
    let mut world = World::new(1, 10);
    let running = world.running();
    let port = running.ports.host_http;
    let flood = |world: &mut World, from: usize, count: usize| {
        for n in from..from + count {
            let start = StreamStart { stat_url: String::new(), ..playing("k", &format!("{n:06}"), port) };
            let op_id = OpId(1, n as u64 + 1_000_000);
            let command = Command::StreamStarted(start.into());
            let proposal = Proposal { op_id, at_ms: world.now, origin: world.origin, by: None, command };
            let Reply::StreamStarted(stream) = apply(&mut world.state, &proposal, 0) else {
                panic!("refused")
            };
            assert!(stream.is_started());
        }
    };
    flood(&mut world, 0, 40_000);
    invariants::check_state(&world.state).unwrap();
    assert_eq!(world.state.active_streams(running.id), 2_000);
    assert_eq!(world.state.stream("k|037999").unwrap().end_reason, Some(EndReason::CrowdedOut));
    assert!(world.state.stream("k|038000").unwrap().is_started(), "the oldest end first");
    // One that its engine can be asked about stays, however many there are.
    world.begin(playing("k", "asked", port));
    flood(&mut world, 40_000, 3_000);
    assert!(world.state.stream("k|asked").unwrap().is_started());
    assert_eq!(world.state.active_streams(running.id), 2_000);
}

#[test]
fn what_is_remembered_of_writes_does_not_repeat_their_streams() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let before = world.state.weights().remembered;
    let start = Command::StreamStarted(heavy("one", port).into());
    let write =
        Proposal { op_id: OpId(9, 1), at_ms: world.now, origin: world.origin, by: None, command: start };
    world.propose(&write);
    assert!(world.state.weights().remembered - before < 1_024);
    // A repeat shows the stream as it is by then, and one that is forgotten as over.
    world.finish("k|one");
    let Reply::StreamStarted(again) = world.propose(&write) else { panic!("no stream") };
    assert!(!again.is_started());
    for n in 0..200 {
        world.begin(heavy(&format!("later-{n}"), port));
        world.finish(&format!("k|later-{n}"));
    }
    assert!(world.state.stream("k|one").is_none());
    let Reply::StreamStarted(again) = world.propose(&write) else { panic!("no stream") };
    assert_eq!((again.start.id.as_ref(), again.is_started()), ("k|one", false));
    assert!(world.state.stream("k|one").is_none(), "a repeat brought it back");
}
