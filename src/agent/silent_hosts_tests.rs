use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use acefleet_registry::engine::Kind;
use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, Level};
use tokio::sync::oneshot;

use super::*;
use crate::agent::book::{Book, ME, OTHER};
use crate::agent::lock::unpoisoned;

/// Longer is a failure.
const SOON: Duration = Duration::from_secs(30);

/// Addresses of so many engines.
fn engines(ids: std::ops::Range<u64>) -> Targets {
    let url = |id: u64| format!("http://beta:{}/", 10_000 + id).parse().unwrap();
    ids.map(|id| (EngineId(id), Some(url(id)))).collect()
}

fn ids(due: &[(EngineId, Url)]) -> Vec<u64> {
    due.iter().map(|(id, _)| id.0).collect()
}

/// Engines that answer when the test says so, and what was asked of them, the oldest question first.
#[derive(Default)]
struct Fleet {
    targets: Mutex<Targets>,
    asked: Mutex<BTreeMap<EngineId, VecDeque<oneshot::Sender<Option<bool>>>>>,
}

impl Fleet {
    fn ask(&self, engine: EngineId) -> impl Future<Output = Option<bool>> + use<> {
        let (answer, answers) = oneshot::channel();
        let mut asked = unpoisoned(&self.asked);
        let of_engine = asked.entry(engine).or_default();
        of_engine.push_back(answer);
        assert!(of_engine.len() <= AT_ONCE_TO_ONE, "{engine} is asked too often at once");
        async { answers.await.unwrap_or(Some(false)) }
    }

    fn answer(&self, engine: EngineId, answers: Option<bool>) {
        let mut asked = unpoisoned(&self.asked);
        let oldest = asked.get_mut(&engine).and_then(VecDeque::pop_front).expect("it was asked");
        oldest.send(answers).expect("somebody waits");
    }

    /// Waits until just these have been asked and have not answered.
    async fn are_asked(&self, engines: impl Iterator<Item = u64> + Clone) {
        let wanted: Vec<EngineId> = engines.map(EngineId).collect();
        let are_asked = || {
            let asked = unpoisoned(&self.asked);
            asked.iter().filter(|(_, open)| !open.is_empty()).map(|(id, _)| id).eq(wanted.iter())
        };
        while !are_asked() {
            tokio::task::yield_now().await;
        }
    }
}

async fn until(soft: &SoftState, engine: u64, tried: Option<Tried>) {
    while soft.view().tries.get(&EngineId(engine)).copied() != tried {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_engine_waits_for_those_that_do_not_answer() {
    let (fleet, soft) = (Fleet::default(), SoftState::default());
    *unpoisoned(&fleet.targets) = engines(0..200);
    let asking = keep_asking(|| unpoisoned(&fleet.targets).clone(), |engine, _| fleet.ask(engine), &soft);
    let test = async {
        fleet.are_asked(0..200).await;
        // Another host falls silent, while all of the first still hang.
        unpoisoned(&fleet.targets).extend(engines(200..202));
        fleet.are_asked(0..202).await;
        fleet.answer(EngineId(201), Some(true));
        until(&soft, 201, Some(Tried::Answered(1))).await;
        fleet.answer(EngineId(7), Some(false));
        until(&soft, 7, Some(Tried::Failed(1))).await;
        assert_eq!(soft.view().tries.len(), 2, "nothing is known of the others");
        fleet.are_asked(0..202).await;
        fleet.answer(EngineId(7), Some(false));
        until(&soft, 7, Some(Tried::Failed(2))).await;
        fleet.are_asked(0..202).await;
        fleet.answer(EngineId(7), Some(true));
        until(&soft, 7, Some(Tried::Answered(1))).await;
        // The first host answers again.
        *unpoisoned(&fleet.targets) = engines(200..202);
        until(&soft, 7, None).await;
    };
    tokio::select! {
        () = asking => unreachable!("it runs for ever"),
        done = tokio::time::timeout(SOON, test) => done.expect("it goes on"),
    }
}

#[test]
fn those_that_were_asked_longest_ago_come_first_and_none_at_once_again() {
    let (mut asked, now) = (Asked::default(), Instant::now());
    let at = |ms: u64| now + Duration::from_millis(ms);
    let all = engines(0..5);
    assert_eq!(ids(&asked.due(&all, 2, at(0))), [0, 1]);
    assert_eq!(ids(&asked.due(&all, 2, at(10))), [2, 3]);
    asked.told(EngineId(0), at(0), Some(true));
    asked.told(EngineId(2), at(10), Some(false));
    assert_eq!(ids(&asked.due(&all, 9, at(20))), [4], "the others were asked just now");
    asked.told(EngineId(4), at(20), Some(false));
    assert_eq!(ids(&asked.due(&all, 3, at(1_000))), [0, 1, 2], "the question to 1 is under way");
    asked.told(EngineId(2), at(1_000), Some(false));
    assert_eq!(ids(&asked.due(&all, 9, at(1_100))), [3, 4]);
    assert_eq!(ids(&asked.due(&all, 9, at(1_600))), [0, 2, 4], "two to 1 and to 3 are");
    let tries = [(0, Tried::Answered(1)), (2, Tried::Failed(2)), (4, Tried::Failed(1))];
    assert_eq!(asked.tries(), tries.map(|(id, tried)| (EngineId(id), tried)).into());
    asked.told(EngineId(3), at(1_100), None);
    asked.told(EngineId(2), at(1_600), None);
    let same = tries.map(|(id, tried)| (EngineId(id), tried)).into();
    assert_eq!(asked.tries(), same, "what this node cannot ask is no failure, nor an answer");
    asked.retain(&engines(0..1));
    assert_eq!(asked.tries().len(), 1);
    asked.told(EngineId(4), at(1_100), Some(true));
    assert_eq!(asked.tries().len(), 1, "an answer that comes too late is nobody's");
}

#[test]
fn a_question_that_fails_after_a_newer_one_was_answered_says_nothing() {
    let (mut asked, now) = (Asked::default(), Instant::now());
    let at = |ms: u64| now + Duration::from_millis(ms);
    let (one, id) = (engines(7..8), EngineId(7));
    for ms in [0, 500] {
        assert_eq!(ids(&asked.due(&one, 1, at(ms))), [7]);
    }
    asked.told(id, at(500), Some(true));
    asked.told(id, at(0), Some(false));
    assert_eq!(asked.tries()[&id], Tried::Answered(1));
    for ms in [1_000, 1_500, 2_000] {
        asked.due(&one, 1, at(ms));
        asked.told(id, at(ms), Some(true));
    }
    assert_eq!(asked.tries()[&id], Tried::Answered(TRIES), "more says nothing new");
}

#[test]
fn an_engine_that_cannot_be_asked_does_not_answer() {
    let mut asked = Asked::default();
    let targets: Targets = [(EngineId(1), None)].into();
    asked.retain(&targets);
    assert_eq!(asked.due(&targets, 9, Instant::now()), []);
    assert_eq!(asked.tries(), [(EngineId(1), Tried::Failed(TRIES))].into());
    let (book, engine) = book(Some("fe80::1%eth0"));
    assert_eq!(targets_of(&book, Duration::MAX), [(engine, None)].into());
}

fn targets_of(book: &Book, silence: Duration) -> Targets {
    targets(&book.state, ME, |_| silence)
}

/// A registry with an engine on each of the two hosts, that of the other one at this address.
fn book(address: Option<&str>) -> (Book, EngineId) {
    let mut book = Book::new();
    let own = book.reserve(ME, Kind::Acestream);
    book.started(own, "own");
    let engine = book.reserve(OTHER, Kind::Acestream);
    book.started_at(engine, "other", address);
    (book, engine)
}

#[test]
fn engines_of_other_hosts_are_asked_once_they_are_silent_and_until_they_are_down() {
    let (mut book, engine) = book(None);
    let asked = |book: &Book, silence| -> Vec<EngineId> { targets_of(book, silence).into_keys().collect() };
    assert_eq!(asked(&book, SUSPECT_AFTER - Duration::from_millis(1)), []);
    assert_eq!(asked(&book, SUSPECT_AFTER), [engine]);
    book.write(Command::NodeDocker { node: OTHER, docker: DockerState::Stopping });
    assert_eq!(asked(&book, SUSPECT_AFTER), [engine], "its power may go with its node");
    book.write(Command::NodeDown { node: OTHER, down: true });
    assert_eq!(asked(&book, SUSPECT_AFTER), []);
}

#[test]
fn engines_that_are_lost_are_asked_until_they_answer_though_their_host_does() {
    let (mut book, engine) = book(None);
    book.write(Command::RaiseLevel(Level::CURRENT));
    let other = book.reserve(OTHER, Kind::Acestream);
    book.started(other, "another");
    let asked = |book: &Book| -> Vec<EngineId> { targets_of(book, Duration::ZERO).into_keys().collect() };
    let mark = |answering: &[EngineId], is_back| {
        let answering: BTreeSet<EngineId> = answering.iter().copied().collect();
        Command::NodeUnavailable { node: OTHER, answering: Some(answering), is_back }
    };
    assert_eq!(asked(&book), []);
    book.write(mark(&[other], false));
    assert_eq!(asked(&book), [engine]);
    book.write(mark(&[other], true));
    assert_eq!(asked(&book), [engine], "its host answers, and nobody knows whether it does");
    book.write(mark(&[engine, other], true));
    assert_eq!(asked(&book), []);
    // Nobody asked while it was down.
    book.write(Command::NodeDown { node: OTHER, down: true });
    book.write(Command::NodeDown { node: OTHER, down: false });
    assert_eq!(asked(&book), [engine, other]);
}

#[test]
fn an_engine_is_asked_where_other_hosts_reach_it() {
    for (address, host) in [
        (None, "beta"),
        (Some("127.0.0.1"), "beta"),
        (Some("10.9.8.7"), "10.9.8.7"),
        (Some("fd00::7"), "[fd00::7]"),
    ] {
        let (book, engine) = book(address);
        let port = book.state.engine(engine).unwrap().ports.host_http;
        let url = targets_of(&book, SUSPECT_AFTER)[&engine].clone().unwrap();
        assert_eq!(url.as_str(), format!("http://{host}:{port}{STATUS}"));
    }
}
