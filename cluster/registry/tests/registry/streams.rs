//! Stream events: each once, in any order, never a guess.

use acefleet_registry::command::StopWhen;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::{Command, Elapsed, Reply};

use crate::support::{World, docker_id, gone, playing, started, stop};

fn with_engine() -> (World, u16) {
    let mut world = World::new(2, 10);
    let port = world.running().ports.host_http;
    (world, port)
}

fn labelled(session: &str, port: u16) -> StreamStart {
    StreamStart { id: "label".into(), ..playing("k", session, port) }
}

fn on_container(id: &str) -> StreamEnd {
    StreamEnd { container_id: Some(id.to_owned()), ..StreamEnd::default() }
}

#[test]
fn a_repeated_start_refreshes_and_counts_once() {
    let (mut world, port) = with_engine();
    let first = world.begin(playing("k", "s", port));
    world.wait_ms(9_000);
    let mut again = playing("k", "s", port);
    again.labels.insert("viewer".to_owned(), "2".to_owned());
    let second = world.begin(again);
    assert_eq!((second.seq, second.started_at_ms), (first.seq, first.started_at_ms));
    assert_eq!(second.start.labels.len(), 1);
    assert_eq!(world.state.active_streams(first.engine.unwrap()), 1);
    assert_eq!(world.state.events().iter().filter(|e| e.category == "started").count(), 1);
}

#[test]
fn an_end_is_taken_in_once() {
    let (mut world, port) = with_engine();
    world.begin(playing("k", "s", port));
    world.wait_ms(1_000);
    assert!(world.finish("k|s"));
    let ended = world.state.stream("k|s").unwrap().clone();
    world.wait_ms(1_000);
    assert!(!world.finish("k|s"));
    assert_eq!(*world.state.stream("k|s").unwrap(), ended);
    assert_eq!(ended.ended_at_ms, Some(ended.started_at_ms.plus(1_000)));
}

#[test]
fn a_start_after_its_own_end_stays_ended() {
    let (mut world, port) = with_engine();
    world.begin(playing("k", "s", port));
    world.finish("k|s");
    assert!(!world.begin(playing("k", "s", port)).is_started());
}

#[test]
fn an_end_that_comes_first_ends_the_start_that_follows() {
    let (mut world, port) = with_engine();
    assert!(!world.finish("k|s"));
    world.wait_ms(500);
    let late = world.begin(playing("k", "s", port));
    assert!(!late.is_started());
    assert_eq!(late.started_at_ms, late.ended_at_ms.unwrap());
    assert!(!world.begin(playing("k", "s", port)).is_started(), "the repeat brought it back");
    assert!(world.begin(playing("k", "t", port)).is_started(), "another session was ended too");
}

#[test]
fn an_unknown_id_never_ends_another_stream() {
    let (mut world, port) = with_engine();
    let stream = world.begin(playing("k", "s", port));
    assert!(!world.finish("k|fetch_failed"));
    let both = StreamEnd {
        stream_id: Some("k|other".to_owned()),
        container_id: Some(stream.container_id.to_string()),
        reason: None,
    };
    assert!(!world.finish_by(both));
    assert!(world.state.stream("k|s").unwrap().is_started());
}

#[test]
fn an_event_that_names_nothing_ends_nothing() {
    let (mut world, port) = with_engine();
    world.begin(playing("k", "s", port));
    let empty = StreamEnd { stream_id: Some(String::new()), container_id: Some(String::new()), reason: None };
    for end in [StreamEnd::default(), empty] {
        assert!(!world.finish_by(end));
    }
    assert_eq!(world.state.stream_counts(), (1, 1));
}

#[test]
fn without_a_stream_id_the_newest_stream_of_the_named_engine_ends() {
    let (mut world, port) = with_engine();
    let other = world.running();
    let old = world.begin(playing("k", "1", port));
    world.begin(playing("k", "2", port));
    world.begin(playing("k", "3", other.ports.host_http));
    let container = old.container_id.clone();
    for (named, ended) in [(container.to_string(), "k|2"), ("acestream-1".to_owned(), "k|1")] {
        assert!(world.finish_by(on_container(&named)));
        assert!(!world.state.stream(ended).unwrap().is_started());
    }
    assert!(!world.finish_by(on_container(&container)));
    assert!(world.state.stream("k|3").unwrap().is_started());
}

#[test]
fn an_end_that_is_repeated_later_ends_no_other_stream() {
    let (mut world, port) = with_engine();
    let old = world.begin(playing("k", "1", port));
    let end = Command::StreamEnded(on_container(&old.container_id));
    let pinned = world.state.pinned(end.clone());
    assert!(world.finish_by(on_container(&old.container_id)));
    world.begin(playing("k", "2", port));
    let Command::StreamEnded(end) = pinned else { panic!("{pinned:?}") };
    assert!(!world.finish_by(end));
    assert!(world.state.stream("k|2").unwrap().is_started());

    // An end in a batch may mean a start of the same batch.
    let ended = vec![on_container(&old.container_id)];
    let batch = |started| Command::EventBatch { started, ended: ended.clone() };
    let both = batch(vec![playing("k", "3", port).into()]);
    assert_eq!(world.state.pinned(both.clone()), both);
    assert_ne!(world.state.pinned(batch(Vec::new())), batch(Vec::new()));
}

#[test]
fn a_new_session_under_the_same_id_replaces_the_old_one_for_good() {
    let (mut world, port) = with_engine();
    let first = world.begin(labelled("a", port));
    let second = world.begin(labelled("b", port));
    assert_ne!(first.seq, second.seq);
    assert_eq!(world.state.active_streams(first.engine.unwrap()), 1);
    let late_repeat = world.begin(labelled("a", port));
    assert_eq!(late_repeat.start.playback_session_id, "b");
    assert!(world.finish("label"));
    assert!(!world.begin(labelled("a", port)).is_started());
    assert!(!world.begin(labelled("b", port)).is_started());
    assert!(world.begin(labelled("c", port)).is_started());
}

#[test]
fn past_sessions_are_bounded() {
    let (mut world, port) = with_engine();
    for n in 0..100 {
        world.begin(labelled(&format!("s{n}"), port));
    }
    let stream = world.state.stream("label").unwrap();
    assert_eq!(stream.past_sessions.len(), 16);
    assert_eq!(stream.past_sessions.last().unwrap(), "s98");
}

#[test]
fn an_id_without_a_session_may_start_again() {
    let (mut world, port) = with_engine();
    assert!(!world.finish("k|"));
    assert!(world.begin(playing("k", "", port)).is_started(), "the end of an earlier playback ended it");
    assert!(world.finish("k|"));
    assert!(world.begin(playing("k", "", port)).is_started());
}

#[test]
fn the_engine_is_recognised_by_whatever_name_the_proxy_knows() {
    let mut world = World::new(3, 10);
    let running = world.running();
    let port = running.ports.host_http;
    let node = running.node;
    let container = running.container_id.clone().unwrap();
    let names = [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "host.docker.internal",
        "acestream-1",
        "ACESTREAM-1",
        &container[..12],
        &format!("10.0.0.{node}"),
        &format!("node-{node}"),
    ];
    for (n, name) in names.iter().enumerate() {
        let mut by_url = playing("url", &n.to_string(), port);
        by_url.stat_url = format!("http://{name}:{port}/ace/stat/x/y");
        (by_url.engine_host, by_url.engine_port) = ("elsewhere".to_owned(), 1);
        assert_eq!(world.begin(by_url).engine, Some(running.id), "{name} in stat_url");
        let mut by_host = playing("host", &n.to_string(), port);
        (by_host.stat_url, by_host.command_url) = (String::new(), String::new());
        by_host.engine_host = (*name).to_owned();
        assert_eq!(world.begin(by_host).engine, Some(running.id), "{name} as host");
    }
    let mut by_id = playing("id", "1", 1);
    by_id.container_id = Some(container.to_string());
    assert_eq!(world.begin(by_id).engine, Some(running.id));
}

#[test]
fn the_engine_is_recognised_when_another_node_relays_it() {
    let mut world = World::new(3, 10);
    let engines = [world.running(), world.running(), world.running()];
    let nodes: Vec<_> = world.state.nodes().cloned().collect();
    let mut n = 0;
    for engine in &engines {
        let port = engine.ports.host_http;
        for node in &nodes {
            for name in [&node.info.advertise_host, &node.info.name, "LOCALHOST", "127.0.0.1"] {
                n += 1;
                // Everything else about the event points elsewhere.
                let mut by_stat = playing("stat", &n.to_string(), 1);
                by_stat.stat_url = format!("http://{name}:{port}/ace/stat/x/y");
                assert_eq!(world.begin(by_stat).engine, Some(engine.id), "{name}:{port} in stat_url");
                let mut by_command = playing("command", &n.to_string(), 1);
                by_command.stat_url = String::new();
                by_command.command_url = format!("http://{name}:{port}/ace/cmd/x/y");
                assert_eq!(world.begin(by_command).engine, Some(engine.id), "{name}:{port} in command_url");
            }
        }
    }
}

#[test]
fn a_host_name_or_a_port_that_is_not_the_engines_means_an_engine_outside() {
    let (mut world, port) = with_engine();
    let engines = world.state.clone();
    let mut foreign = playing("k", "1", port);
    foreign.stat_url = format!("http://192.0.2.7:{port}/ace/stat/k/1");
    foreign.engine_host = "192.0.2.7".to_owned();
    foreign.container_id = Some("acexy-1".to_owned());
    let fallback = playing("k", "2", 6878);
    for (start, container) in
        [(foreign, format!("192.0.2.7:{port}")), (fallback, "localhost:6878".to_owned())]
    {
        let stream = world.begin(start);
        assert_eq!((stream.engine, &*stream.container_id), (None, container.as_str()));
        assert!(world.finish_by(on_container(&container)));
    }
    assert!(world.state.all_engines().eq(engines.all_engines()), "an event made or changed an engine");
}

#[test]
fn an_event_changes_nothing_of_an_engine_but_its_use() {
    let (mut world, port) = with_engine();
    let before = world.state.engine_by_port(port).unwrap().clone();
    world.wait_ms(5);
    world.begin(StreamStart { engine_host: "acestream-1".to_owned(), ..playing("k", "s", port) });
    let after = world.state.engine_by_port(port).unwrap();
    assert_eq!(world.state.usage(after.id).last_stream_start_ms, Some(world.now));
    assert_eq!(*after, before);
}

#[test]
fn a_stream_that_was_reported_before_its_engine_finds_it_on_the_next_report() {
    let mut world = World::new(1, 10);
    let reserved = world.reserve();
    let port = reserved.ports.host_http;
    assert_eq!(world.begin(playing("k", "s", port)).engine, None);
    world.run(started(reserved.id, &docker_id(5)));
    let found = world.begin(playing("k", "s", port));
    assert_eq!((found.engine, found.container_id.to_string()), (Some(reserved.id), docker_id(5)));
    assert_eq!(world.state.usage(reserved.id).last_stream_start_ms, Some(world.now));
    assert_eq!(world.state.active_streams(reserved.id), 1);
}

#[test]
fn a_stream_on_a_draining_engine_ends_with_it() {
    let (mut world, port) = with_engine();
    let id = world.state.engine_by_port(port).unwrap().id;
    world.run(stop(id, StopWhen::Always));
    assert_eq!(world.begin(playing("k", "s", port)).engine, Some(id));
    world.run(gone(id));
    assert!(!world.state.stream("k|s").unwrap().is_started());
}

#[test]
fn a_batch_takes_starts_before_ends() {
    let (mut world, port) = with_engine();
    let end = |id: &str| StreamEnd { stream_id: Some(id.to_owned()), ..StreamEnd::default() };
    let batch = Command::EventBatch {
        started: ["1", "2", "1"].map(|session| playing("k", session, port).into()).to_vec(),
        ended: vec![end("k|1"), end("k|1"), end("nothing|1")],
    };
    assert_eq!(world.run(batch), Reply::Batch { started: 3, ended: 1 });
    assert_eq!(world.state.stream_counts(), (1, 2));
}

#[test]
fn ended_before_started_never_happens_even_when_the_clock_falls_back() {
    let (mut world, port) = with_engine();
    world.begin(playing("k", "s", port));
    world.now = Elapsed(world.now.0 - 60_000);
    world.finish("k|s");
    let stream = world.state.stream("k|s").unwrap();
    assert_eq!(stream.ended_at_ms, Some(stream.started_at_ms));
}
