//! Streams that no event reports, and those that nobody views.

use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{InUse, StopWhen};
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{Health, Phase};
use acefleet_registry::node::Wanted;
use acefleet_registry::plan::stop_idle;
use acefleet_registry::rules::engines::{keeps_listed, keeps_running};
use acefleet_registry::rules::standing::Keeps;
use acefleet_registry::stream::{StreamEnd, StreamStart, is_given_by_cluster};
use acefleet_registry::{
    Command, Engine, EngineId, Level, NodeId, OpId, Proposal, RefusalCode, Reply, Stream, apply,
};

use crate::support::{World, playing, refusal, stop};

fn world() -> World {
    let mut world = World::new(2, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

fn find(world: &mut World, engine: &Engine, session: Option<u64>) {
    see(world, engine.node, &[(engine.id, session)], &[]);
}

fn see(world: &mut World, node: NodeId, found: &[(EngineId, Option<u64>)], unviewed: &[u64]) {
    let in_use =
        |(engine, plays): &(EngineId, Option<u64>)| InUse { plays: *plays, ..InUse::by_client(*engine) };
    let found = found.iter().map(in_use).collect();
    let unviewed = unviewed.iter().copied().collect();
    world.run(Command::StreamsSeen { node, found, unviewed });
}

fn found(world: &World) -> Vec<Arc<Stream>> {
    world.state.streams().filter(|stream| stream.found).cloned().collect()
}

#[test]
fn an_engine_in_use_is_not_idle_though_no_event_says_so() {
    let mut world = world();
    let engine = world.running();
    world.wait_ms(60_000);
    let idle = |world: &World| keeps_listed(&world.state, &world.engine(engine.id), 30_000, world.now);
    assert_eq!(idle(&world), None);
    find(&mut world, &engine, None);
    assert_eq!(idle(&world), Some(Keeps::Streams(1)));
    assert_eq!(stop_idle(&world.state, 0, &Cause::IdleTtl, world.now), []);
    assert_eq!(refusal(world.run(stop(engine.id, StopWhen::IdleFor(0)))), RefusalCode::NotIdle);
    assert_eq!(world.state.free_supply(), 0, "an engine in use is counted as free");
    let [stream] = &found(&world)[..] else { panic!("{:?}", found(&world)) };
    assert_eq!((stream.is_started(), &stream.container_id), (true, &engine.container_id.clone().unwrap()));
    // It is seen again and again, and written once.
    find(&mut world, &engine, None);
    assert_eq!(found(&world).len(), 1);
    see(&mut world, engine.node, &[], &[stream.seq]);
    assert_eq!(found(&world)[0].end_reason, Some(EndReason::Unviewed));
    world.wait_ms(30_000);
    assert_eq!(idle(&world), None);
}

#[test]
fn an_engine_that_was_taken_off_the_list_comes_back_when_it_is_found_in_use() {
    let mut world = world();
    let engine = world.running();
    world.run(stop(engine.id, StopWhen::IdleFor(0)));
    assert!(world.engine(engine.id).may_stay());
    find(&mut world, &engine, None);
    assert_eq!(world.engine(engine.id).taken_off, None);
    world.wait_ms(3_600_000);
    assert_eq!(refusal(world.run(stop(engine.id, StopWhen::Unused))), RefusalCode::NotIdle);
}

/// A client comes to an engine that its host is to stop, before the host has begun with that.
fn come(world: &mut World, engine: &Engine) -> Engine {
    let (node, unviewed) = (engine.node, [].into());
    world.run(Command::StreamsSeen { node, found: [InUse::at_last(engine.id)].into(), unviewed });
    (*world.engine(engine.id)).clone()
}

#[test]
fn an_engine_stays_if_a_client_comes_before_it_is_stopped() {
    let mut world = world();
    let engine = world.running();
    world.run(Command::EngineHealth { engine: engine.id, health: Health::Healthy, fault: None });
    world.run(stop(engine.id, StopWhen::IdleFor(0)));
    world.wait_ms(3_600_000);
    let unused = Command::EngineStop { engine: engine.id, cause: Cause::Idle, when: StopWhen::Unused };
    world.run(unused.clone());
    assert_eq!(world.engine(engine.id).phase, Phase::Stopping);
    find(&mut world, &engine, None);
    assert_eq!(world.engine(engine.id).phase, Phase::Stopping, "its host may have begun");
    let kept = come(&mut world, &engine);
    assert_eq!((kept.phase, kept.ending, kept.taken_off), (Phase::Running, None, None));
    assert_eq!(world.state.active_streams(engine.id), 1);
    assert_eq!(refusal(world.run(unused)), RefusalCode::NotIdle);
    come(&mut world, &engine);
    assert_eq!(found(&world).len(), 1);
}

#[test]
fn no_client_keeps_an_engine_that_stops_in_any_case() {
    let unused = |cause: Cause| (cause, StopWhen::Unused);
    for (index, stops) in [
        vec![(Cause::Deleted, StopWhen::Always)],
        vec![unused(Cause::Idle), (Cause::Deleted, StopWhen::Always)],
        vec![unused(Cause::Unhealthy)],
        vec![(Cause::VpnUnhealthy, StopWhen::Always)],
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = world();
        let engine = world.running();
        world.run(stop(engine.id, StopWhen::IdleFor(0)));
        world.wait_ms(3_600_000);
        for (cause, when) in stops {
            world.run(Command::EngineStop { engine: engine.id, cause, when });
        }
        assert_eq!(come(&mut world, &engine).phase, Phase::Stopping, "{index}");
        assert_eq!(found(&world), [], "{index}");
    }
    let mut world = world();
    let engine = world.running();
    let within_ms = Some(60_000);
    let availability = Wanted::Draining { within_ms, returns: false };
    world.run(Command::NodeAvailability { node: engine.node, availability });
    world.wait_ms(50_000);
    world.run(Command::EngineStop { engine: engine.id, cause: Cause::Drained, when: StopWhen::Unused });
    assert_eq!(come(&mut world, &engine).phase, Phase::Running, "there is time");
    world.wait_ms(10_000);
    world.run(Command::EngineStop { engine: engine.id, cause: Cause::Drained, when: StopWhen::Unused });
    assert_eq!(come(&mut world, &engine).phase, Phase::Stopping, "the deadline is over");
}

#[test]
fn a_found_stream_is_merged_when_its_event_comes() {
    let mut world = world();
    let engine = world.running();
    find(&mut world, &engine, None);
    let since = found(&world)[0].started_at_ms;
    world.wait_ms(4_000);
    let stream = world.begin(playing("k", "s", engine.ports.host_http));
    assert_eq!((stream.started_at_ms, stream.found), (since, false));
    assert_eq!(world.state.stream_counts(), (1, 1), "it is listed twice");
    let second = world.begin(playing("k", "t", engine.ports.host_http));
    assert_eq!(second.started_at_ms, world.now, "another viewer's");
    assert!(world.finish("k|s") && world.finish("k|t"));
}

#[test]
fn only_the_host_of_an_engine_finds_and_only_where_nothing_is_listed() {
    let mut world = world();
    let [engine, other, leaving] = [world.running(), world.running(), world.running()];
    world.begin(playing("k", "s", engine.ports.host_http));
    world.run(stop(leaving.id, StopWhen::Always));
    find(&mut world, &engine, None);
    find(&mut world, &leaving, None);
    let elsewhere = if other.node == NodeId(1) { NodeId(2) } else { NodeId(1) };
    see(&mut world, elsewhere, &[(other.id, None), (EngineId(99), None)], &[7, 99]);
    assert_eq!(found(&world), []);
    assert_eq!(world.state.stream_counts(), (1, 1));
}

#[test]
fn an_end_that_the_engine_contradicts_does_not_free_it() {
    let mut world = world();
    let engine = world.running();
    let shared = world.begin(playing("k", "s", engine.ports.host_http));
    assert!(world.finish("k|s"));
    world.wait_ms(15_000);
    find(&mut world, &engine, Some(shared.seq));
    let [stream] = &found(&world)[..] else { panic!("{:?}", found(&world)) };
    let wanted = StreamStart { id: Arc::clone(&stream.start.id), ..(*shared.start).clone() };
    assert_eq!(*stream.start, wanted, "it cannot be asked about");
    assert!(stream.can_be_asked());
    assert!(!world.state.stream("k|s").unwrap().is_started(), "the ended record stays ended");
    // The next viewer of the same session is reported under the same id.
    assert!(!world.begin(playing("k", "s", engine.ports.host_http)).is_started());
    assert_eq!(world.state.active_streams(engine.id), 1);
    // One of another session is another stream.
    world.begin(playing("k", "t", engine.ports.host_http));
    assert_eq!(world.state.active_streams(engine.id), 2);
}

#[test]
fn a_session_that_gives_way_to_another_can_be_contradicted() {
    let mut world = world();
    let [first, second] = [world.running(), world.running()];
    let start = |session: &str, engine: &Engine| StreamStart {
        id: "X".into(),
        ..playing("k", session, engine.ports.host_http)
    };
    let viewed = world.begin(start("a", &first));
    world.begin(start("b", &second));
    let aside = world.state.streams_of_container(first.container_id.as_deref().unwrap()).next().cloned();
    let aside = aside.expect("nobody can ask about the first session");
    assert_eq!((aside.seq, aside.is_started()), (viewed.seq, false));
    assert_eq!(aside.end_reason, Some(EndReason::Superseded));
    assert_eq!(aside.start.stat_url, viewed.start.stat_url);
    assert!(world.state.indexes_are_true());
    assert_eq!(world.state.stream("X").unwrap().engine, Some(second.id));
    find(&mut world, &first, Some(aside.seq));
    assert_eq!(world.state.active_streams(first.id), 1, "the engine counts as idle");
    // The late repeat of its start and the end of its id mean what they meant before.
    assert_eq!(world.begin(start("a", &first)).engine, Some(second.id));
    assert!(world.finish("X"));
    assert_eq!(world.state.active_streams(first.id), 1);
}

#[test]
fn a_session_that_plays_beside_others_is_listed_once() {
    let mut world = world();
    let engine = world.running();
    let start = |session| StreamStart { id: "X".into(), ..playing("k", session, engine.ports.host_http) };
    let viewed = world.begin(start("a"));
    world.begin(start("b"));
    (0..2).for_each(|_| find(&mut world, &engine, Some(viewed.seq)));
    assert_eq!(world.state.active_streams(engine.id), 2);
    assert!(world.finish("X"));
    assert_eq!(world.state.active_streams(engine.id), 1, "a viewer is cut when the newest of an id leaves");
}

#[test]
fn a_session_that_its_engine_has_denied_leaves_no_record() {
    let mut world = world();
    let engine = world.running();
    let start = |session| StreamStart { id: "X".into(), ..playing("k", session, engine.ports.host_http) };
    world.begin(start("a"));
    let denied =
        StreamEnd { stream_id: Some("X".to_owned()), container_id: None, reason: Some(EndReason::Denied) };
    world.run(Command::StreamEnded(denied));
    world.begin(start("b"));
    assert_eq!(world.state.stream_counts(), (1, 1));
}

#[test]
fn a_stream_that_nobody_views_ends_with_its_reason() {
    let mut world = world();
    let engine = world.running();
    let nowhere = StreamStart { stat_url: String::new(), ..playing("k", "s", engine.ports.host_http) };
    let stream = world.begin(nowhere);
    see(&mut world, engine.node, &[], &[stream.seq]);
    let ended = world.state.stream("k|s").unwrap();
    assert_eq!((ended.is_started(), ended.end_reason.clone()), (false, Some(EndReason::Unviewed)));
}

#[test]
fn a_session_that_was_only_guessed_to_be_over_goes_on_beside_the_one_that_has_its_id() {
    let mut world = world();
    let [first, second] = [world.running(), world.running()];
    assert_ne!(first.node, second.node);
    let start = |session: &str, engine: &Engine| StreamStart {
        id: "X".into(),
        ..playing("k", session, engine.ports.host_http)
    };
    world.begin(start("a", &first));
    let down = |down| Command::NodeDown { node: first.node, down };
    world.run(down(true));
    world.begin(start("b", &second));
    let aside = |world: &World| {
        let container = first.container_id.as_deref().unwrap();
        world.state.streams_of_container(container).next().cloned().unwrap()
    };
    assert_eq!(aside(&world).end_reason, Some(EndReason::HostDown));
    world.wait_ms(660_000);
    world.run(down(false));
    assert!(world.state.may_go_on(&aside(&world)), "nobody asks whether it plays");
    assert_eq!(in_use(&world, first.id), Some(Keeps::StreamsInDoubt));
    let start = Arc::clone(&aside(&world).start);
    world.run(Command::StreamStarted(start));
    assert_eq!((world.state.active_streams(first.id), world.state.active_streams(second.id)), (1, 1));
    assert!(world.finish("X"));
    assert_eq!((world.state.active_streams(first.id), world.state.active_streams(second.id)), (1, 0));
}

/// What keeps an engine from stopping although nobody gets it.
fn in_use(world: &World, id: EngineId) -> Option<Keeps> {
    let mut state = world.state.clone();
    let stop = Command::NodeAvailability {
        node: world.engine(id).node,
        availability: Wanted::Draining { within_ms: None, returns: false },
    };
    let op_id = OpId(77, 77);
    apply(&mut state, &Proposal { op_id, at_ms: world.now, origin: NodeId(1), by: None, command: stop }, 0);
    keeps_running(&state, state.engine(id).unwrap(), world.now)
}

#[test]
fn a_repeat_of_a_start_is_answered_with_its_id_when_another_session_has_that() {
    let mut world = world();
    let engine = world.running();
    let write = |n, session| Proposal {
        op_id: OpId(7, n),
        at_ms: world.now,
        origin: NodeId(1),
        by: None,
        command: Command::StreamStarted(
            StreamStart { id: "X".into(), ..playing("k", session, engine.ports.host_http) }.into(),
        ),
    };
    let (first, second) = (write(1, "a"), write(2, "b"));
    world.propose(&first);
    world.propose(&second);
    let Reply::StreamStarted(told) = world.propose(&first) else { panic!("another reply") };
    assert_eq!(
        (&*told.start.id, told.start.playback_session_id.as_str(), told.is_started()),
        ("X", "a", false)
    );
    let kept: Vec<_> = world.state.streams().map(|stream| stream.start.id.to_string()).collect();
    assert_eq!(kept.iter().filter(|id| is_given_by_cluster(id)).count(), 1, "{kept:?}");
}
