use std::sync::Mutex;

use acefleet_registry::Command;
use acefleet_registry::engine::Kind;
use acefleet_registry::node::DockerState;
use tokio::sync::oneshot;

use super::*;
use crate::agent::book::{Book, ME, OTHER};
use crate::agent::lock::unpoisoned;

/// Longer is a failure.
const SOON: Duration = Duration::from_secs(30);

/// Addresses of so many engines.
fn engines(ids: std::ops::Range<u64>) -> Targets {
    let url = |id: u64| format!("http://beta:{}/", 10_000 + id).parse().unwrap();
    ids.map(|id| (EngineId(id), url(id))).collect()
}

fn ids(due: &[(EngineId, Url)]) -> Vec<u64> {
    due.iter().map(|(id, _)| id.0).collect()
}

/// Engines that answer when the test says so, and what was asked of them.
#[derive(Default)]
struct Fleet {
    targets: Mutex<Targets>,
    asked: Mutex<BTreeMap<EngineId, oneshot::Sender<bool>>>,
}

impl Fleet {
    fn ask(&self, engine: EngineId) -> impl Future<Output = bool> + use<> {
        let (answer, answers) = oneshot::channel();
        assert!(unpoisoned(&self.asked).insert(engine, answer).is_none(), "{engine} is asked twice at once");
        async { answers.await.unwrap_or(false) }
    }

    fn answer(&self, engine: EngineId, answers: bool) {
        let asked = unpoisoned(&self.asked).remove(&engine).expect("it was asked");
        asked.send(answers).expect("somebody waits");
    }

    /// Waits until just these have been asked and have not answered.
    async fn are_asked(&self, engines: impl Iterator<Item = u64> + Clone) {
        let wanted: Vec<EngineId> = engines.map(EngineId).collect();
        while !unpoisoned(&self.asked).keys().eq(wanted.iter()) {
            tokio::task::yield_now().await;
        }
    }
}

async fn until(soft: &SoftState, engine: u64, failed: Option<u32>) {
    while soft.view().tries.get(&EngineId(engine)).copied() != failed {
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
        fleet.answer(EngineId(201), true);
        until(&soft, 201, Some(0)).await;
        fleet.answer(EngineId(7), false);
        until(&soft, 7, Some(1)).await;
        assert_eq!(soft.view().tries.len(), 2, "nothing is known of the others");
        fleet.are_asked(0..202).await;
        fleet.answer(EngineId(7), false);
        until(&soft, 7, Some(2)).await;
        fleet.are_asked(0..202).await;
        fleet.answer(EngineId(7), true);
        until(&soft, 7, Some(0)).await;
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
    asked.told(EngineId(0), true);
    asked.told(EngineId(2), false);
    assert_eq!(ids(&asked.due(&all, 9, at(20))), [4], "the others were asked just now");
    asked.told(EngineId(4), false);
    assert_eq!(ids(&asked.due(&all, 2, at(1_000))), [0, 2], "1 and 3 are still being asked");
    asked.told(EngineId(2), false);
    assert_eq!(ids(&asked.due(&all, 9, at(1_000))), [4]);
    assert_eq!(asked.tries(), [(EngineId(0), 0), (EngineId(2), 2), (EngineId(4), 1)].into());
    asked.retain(&engines(0..1));
    assert_eq!(asked.tries(), [(EngineId(0), 0)].into());
    asked.told(EngineId(4), true);
    assert_eq!(asked.tries().len(), 1, "an answer that comes too late is nobody's");
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
    let asked = |book: &Book, silence: Duration| -> Vec<EngineId> {
        targets(&book.state, ME, |_| silence).into_keys().collect()
    };
    assert_eq!(asked(&book, SUSPECT_AFTER - Duration::from_millis(1)), []);
    assert_eq!(asked(&book, SUSPECT_AFTER), [engine]);
    book.write(Command::NodeDocker { node: OTHER, docker: DockerState::Stopping });
    assert_eq!(asked(&book, SUSPECT_AFTER), [engine], "its power may go with its node");
    book.write(Command::NodeDown { node: OTHER, down: true });
    assert_eq!(asked(&book, SUSPECT_AFTER), []);
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
        let targets = targets(&book.state, ME, |_| SUSPECT_AFTER);
        let url = targets[&engine].as_str();
        assert_eq!(url, format!("http://{host}:{port}{STATUS}"));
    }
}
