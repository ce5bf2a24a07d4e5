use acefleet_registry::command::Adopt;
use acefleet_registry::engine::{EngineSpec, Ports};
use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart};
use acefleet_registry::{Command, OpId, Proposal, Reply, apply};

use super::*;

const ME: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

/// A registry with engines, and its clock.
struct World {
    state: State,
    at: u64,
}

impl World {
    fn with_engines(count: u16) -> (Self, Vec<EngineId>) {
        let mut world = Self { state: State::default(), at: 0 };
        let engines = (0..count).map(|n| world.adopt(9_000 + n)).collect();
        (world, engines)
    }

    fn write(&mut self, command: Command) -> Reply {
        self.at += 1;
        let (op_id, at_ms) = (OpId(1, self.at), Elapsed(self.at));
        let proposal = Proposal { op_id, at_ms, origin: ME, by: None, command };
        apply(&mut self.state, &proposal, self.at)
    }

    fn adopt(&mut self, port: u16) -> EngineId {
        let reply = self.write(Command::Adopt(Adopt {
            node: ME,
            container_id: format!("{port:064x}"),
            container_name: format!("acestream-{port}"),
            image: "image".to_owned(),
            variant: None,
            ports: Ports { host_http: port, container_http: port, container_https: 45_001, host_https: None },
            spec: EngineSpec::acestream(),
            address: None,
            vpn: None,
            forwarded_port: None,
        }));
        let Reply::Engine(engine) = reply else { panic!("{reply:?}") };
        engine.id
    }

    fn play(&mut self, n: u16, session: &str) {
        let port = 9_000 + n;
        self.write(Command::StreamStarted(
            StreamStart {
                id: format!("k|{session}").into(),
                key_type: KeyType::Infohash,
                key: "k".to_owned(),
                container_id: None,
                engine_host: "localhost".to_owned(),
                engine_port: port,
                playback_session_id: session.to_owned(),
                stat_url: format!("http://localhost:{port}/ace/stat/k/{session}"),
                command_url: String::new(),
                is_live: true,
                labels: BTreeMap::new(),
            }
            .into(),
        ));
    }

    fn finish(&mut self, session: &str) {
        let stream_id = Some(format!("k|{session}"));
        self.write(Command::StreamEnded(StreamEnd { stream_id, ..StreamEnd::default() }));
    }

    fn moment(&self) -> Elapsed {
        Elapsed(self.at)
    }
}

fn claim(number: u64, engines: &[EngineId]) -> Claim {
    let candidates =
        engines.iter().map(|engine| Candidate { engine: *engine, is_healthy: true, streams: 0 }).collect();
    Claim { number, candidates, plays: true, own: Vec::new() }
}

#[test]
fn each_claim_gets_an_engine_of_its_own_while_there_are_some_and_sees_the_others() {
    let (world, engines) = World::with_engines(3);
    let (mut marks, now) = (Marks::default(), Instant::now());
    let mut got = Vec::new();
    for n in 0..3 {
        let foreseen = marks.claim(ME, &claim(n, &engines), |_| 0, (world.moment(), 1), now, None).unwrap();
        assert_eq!(foreseen.others, got.iter().map(|id| (*id, 1)).collect::<Vec<_>>());
        got.push(foreseen.engine);
    }
    assert_eq!(got, engines, "in the order of the client");
    let more = marks.claim(ME, &claim(3, &engines), |_| 0, (world.moment(), 1), now, None).unwrap();
    assert_eq!(more.engine, engines[0]);
    assert!(!more.others.iter().any(|(id, _)| *id == more.engine), "one engine shows its true count");
    assert!(marks.claim(ME, &claim(4, &[]), |_| 0, (world.moment(), 1), now, None).is_none());
}

#[test]
fn a_stream_that_starts_takes_the_place_of_one_mark() {
    let (mut world, engines) = World::with_engines(1);
    let (mut marks, now) = (Marks::default(), Instant::now());
    world.play(0, "before");
    world.finish("before");
    world.at += 1;
    for n in 0..2 {
        marks.claim(ME, &claim(n, &engines), |_| 0, (world.moment(), 1), now, None).unwrap();
    }
    assert_eq!(marks.settle(&world.state, now).len(), 0, "the stream of before is another client's");
    world.play(0, "one");
    let ends =
        |over: Vec<(Mark, End)>| over.into_iter().map(|(mark, end)| (mark.number, end)).collect::<Vec<_>>();
    assert_eq!(ends(marks.settle(&world.state, now)), [(0, End::Taken)]);
    assert_eq!(
        ends(marks.settle(&world.state, now)),
        [],
        "one start stands for one mark, however often one looks"
    );
    // A stream that has ended by now came all the same.
    world.play(0, "two");
    world.finish("two");
    assert_eq!(ends(marks.settle(&world.state, now)), [(1, End::Taken)]);
    assert!(marks.came.is_empty(), "nothing is kept for an engine without marks");
}

#[test]
fn marks_end_after_their_time_and_with_their_engine() {
    let (mut world, engines) = World::with_engines(2);
    let (mut marks, now) = (Marks::default(), Instant::now());
    marks.claim(ME, &claim(0, &engines), |_| 0, (world.moment(), 1), now, None).unwrap();
    let late = now + STANDS;
    assert_eq!(marks.settle(&world.state, late - Duration::from_millis(1)).len(), 0);
    assert_eq!(marks.settle(&world.state, late)[0].1, End::Lapsed);
    marks.claim(ME, &claim(1, &engines), |_| 0, (world.moment(), 1), now, None).unwrap();
    let emptied = State::default();
    assert_eq!(marks.settle(&emptied, now)[0].1, End::Gone);
    world.play(0, "s");
    assert_eq!(marks.settle(&world.state, late).len(), 0, "nothing is left");
}

#[test]
fn a_new_leader_learns_what_a_node_has_marked_before() {
    let (world, engines) = World::with_engines(2);
    let (mut own, mut leader, now) = (Marks::default(), Marks::default(), Instant::now());
    own.claim(OTHER, &claim(7, &engines), |_| 0, (world.moment(), 1), now, None).unwrap();
    let mut next = claim(8, &engines);
    next.own = own.told_by(OTHER, now);
    let led = leader.claim(OTHER, &next, |_| 0, (world.moment(), 1), now, None).unwrap();
    assert_eq!((led.engine, led.others), (engines[1], vec![(engines[0], 1)]));
    // Told again, it counts once.
    next.number = 9;
    assert_eq!(leader.claim(OTHER, &next, |_| 0, (world.moment(), 1), now, None).unwrap().others.len(), 1);
    assert!(leader.take_back(OTHER, 7) && !leader.take_back(ME, 8));
}

#[test]
fn what_a_node_tells_is_bounded() {
    let (world, engines) = World::with_engines(1);
    let (mut marks, now) = (Marks::default(), Instant::now());
    let told =
        |number| ToldMark { number, engine: engines[0], since: Elapsed(1), plays: true, left_ms: u64::MAX };
    for from in 0..10u64 {
        let own = (0..2_000).map(told).collect();
        let claim = Claim { number: 5_000, own, ..claim(0, &engines) };
        marks.claim(NodeId(from), &claim, |_| 0, (world.moment(), 1), now, None).unwrap();
    }
    assert_eq!(marks.marks.len(), MARKS_MAX);
    assert!(marks.marks.iter().all(|mark| mark.until <= now + STANDS), "none stands for longer");
}
