//! What is left after the power goes. A child process works on a disk that holds only what was synced (`lossy-fs`,
//! preloaded), says what was acknowledged to it, and is killed; then its disk is opened again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use acefleet_registry::{NodeId, OpId};
use openraft::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;

use crate::cluster::Cluster;
use crate::options::Options;
use crate::replica::hooks::NoHooks;
use crate::store::{Db, Flusher, LogStore};
use crate::testing::node_up;
use crate::types::{Entry, LeaderId, LogId, TypeConfig, Vote};
use crate::util::files;

const CHILD: &str = "testing::power_cut_tests::child";
/// What a sync takes: time enough to tell an answer before it from one after it.
const SYNC_MS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the child does, one acknowledged step after the other.
#[derive(Clone, Copy, Debug)]
enum Work {
    Start,
    Writes,
    Votes,
    Cuts,
    Outbox,
}

impl Work {
    const ALL: [Self; 5] = [Self::Start, Self::Writes, Self::Votes, Self::Cuts, Self::Outbox];

    fn name(self) -> String {
        format!("{self:?}")
    }
}

/// Where the power goes.
enum Cut {
    /// After so many steps.
    Steps(usize),
    /// At the sync of this number.
    Sync(u64),
}

/// The preloaded library, built as this test was.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let output = own.parent().and_then(Path::parent).unwrap();
        let profile = match output.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--package", "lossy-fs", "--quiet", "--profile", profile, "--target-dir"])
            .arg(output.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "the library to preload was not built");
        output.join("liblossy_fs.so")
    })
}

/// A directory, the disk below it, and what was found on the disk.
struct Bed {
    place: tempfile::TempDir,
    cuts: usize,
}

impl Bed {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("live")).unwrap();
        std::fs::create_dir(place.path().join("disk")).unwrap();
        Self { place, cuts: 0 }
    }

    /// Lets the child work until the power goes. Returns the steps that it was told were done, and whether it ended by
    /// itself before.
    fn run(&self, work: Work, cut: &Cut) -> (Vec<u64>, bool) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"])
            .env("POWER_CUT_WORK", work.name())
            .env("LD_PRELOAD", shim())
            .env("LOSSY_FS_ROOT", self.place.path().join("live"))
            .env("LOSSY_FS_DISK", self.place.path().join("disk"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let limit = match cut {
            Cut::Steps(steps) => {
                child.env("LOSSY_FS_DELAY_MS", SYNC_MS.to_string());
                *steps
            }
            Cut::Sync(number) => {
                child.env("LOSSY_FS_CUT_AT", number.to_string());
                usize::MAX
            }
        };
        let mut child = child.spawn().unwrap();
        let (mut done, mut said) = (Vec::new(), String::new());
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.strip_prefix("done ") {
                Some(step) => done.push(step.parse().unwrap()),
                None => said += &format!("{line}\n"),
            }
            if done.len() == limit {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{work:?} failed: {status}\n{said}");
        (done, status.success())
    }

    /// What a machine would find after the cut.
    fn found(&mut self) -> PathBuf {
        self.cuts += 1;
        let to = self.place.path().join(format!("found-{}", self.cuts));
        copy(&self.place.path().join("disk/root"), &to);
        to
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        // Links to the names of a directory are followed.
        match std::fs::metadata(entry.path()).unwrap().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(std::fs::copy(entry.path(), place).unwrap()),
        }
    }
}

async fn start(dir: &Path) -> Cluster {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut options = Options::new(dir.join("data"), "a".into(), address);
    // Short enough for several snapshots and cuts of the log in one run.
    options.snapshot.entries = 20;
    match crate::start(options, listener, Arc::new(NoHooks)).await {
        Ok(cluster) => cluster,
        Err(error) => panic!("{} does not start: {error}", dir.display()),
    }
}

fn mark(number: u64) -> acefleet_registry::Command {
    node_up(NodeId(number), format!("mark-{number}"))
}

fn marks(cluster: &Cluster) -> BTreeSet<u64> {
    cluster.view().state.nodes().map(|node| node.info.id.0).collect()
}

fn log_in(dir: &Path) -> LogStore {
    let rocks = dir.join("rocks");
    let db = Arc::new(Db::create(&rocks).unwrap());
    files::sync_parent(&rocks).unwrap();
    let (flusher, _closed) = Flusher::spawn(db.clone(), Arc::default()).unwrap();
    LogStore::new(db, flusher)
}

fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    let id = |index| LogId { leader_id: LeaderId { term, node_id: 7 }, index };
    indexes.map(|index| Entry { log_id: id(index), payload: EntryPayload::Blank }).collect()
}

async fn append(log: &mut LogStore, entries: Vec<Entry>) {
    let (sender, done) = TypeConfig::oneshot();
    log.append(entries, IOFlushed::signal(sender)).await.unwrap();
    done.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other tests run it in a process of its own"]
async fn child() {
    let Ok(wanted) = std::env::var("POWER_CUT_WORK") else { return };
    let work = Work::ALL.into_iter().find(|work| work.name() == wanted).unwrap();
    let dir = PathBuf::from(std::env::var_os("LOSSY_FS_ROOT").unwrap());
    match work {
        Work::Start => start(&dir).await.shutdown().await,
        Work::Writes => {
            let cluster = start(&dir).await;
            for step in 1..=150 {
                let deadline = Instant::now() + PATIENCE;
                cluster.propose(OpId(0xace, step), mark(step), deadline).await.unwrap();
                eprintln!("done {step}");
            }
            cluster.shutdown().await;
        }
        Work::Votes => {
            let mut log = log_in(&dir);
            for term in 1..=1_000 {
                let leader_id = LeaderId { term, node_id: 7 };
                log.save_vote(&Vote { leader_id, committed: false }).await.unwrap();
                eprintln!("done {term}");
            }
        }
        Work::Cuts => {
            let mut log = log_in(&dir);
            let kept = entries(1, 1..=5);
            append(&mut log, kept.clone()).await;
            for term in 2..=1_000 {
                append(&mut log, entries(term, 6..=9)).await;
                log.truncate_after(kept.last().map(|entry| entry.log_id)).await.unwrap();
                eprintln!("done {term}");
            }
        }
        Work::Outbox => {
            let outbox = start(&dir).await.outbox();
            for step in 1..=1_000_u64 {
                outbox.push(step.to_string().into_bytes(), 1_000).await.unwrap();
                eprintln!("done {step}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_power_cut() {
    // The second outlasts several marks.
    for steps in [1, 100] {
        let mut bed = Bed::new();
        let (done, _) = bed.run(Work::Writes, &Cut::Steps(steps));
        let cluster = start(&bed.found()).await;
        cluster.read_barrier(Instant::now() + PATIENCE).await.unwrap();
        let kept = marks(&cluster);
        let lost: Vec<_> = done.iter().filter(|step| !kept.contains(step)).collect();
        assert!(done.len() >= steps && lost.is_empty(), "acknowledged and gone: {lost:?} of {done:?}");
        cluster.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_that_was_given_survives_a_power_cut() {
    for steps in [1, 5] {
        let mut bed = Bed::new();
        let (done, _) = bed.run(Work::Votes, &Cut::Steps(steps));
        let db = Db::create(&bed.found().join("rocks")).unwrap();
        let term = db.positions().durable().vote.map(|vote| vote.leader_id.term);
        assert!(
            done.len() >= steps && term >= done.last().copied(),
            "voted in {done:?}, remembered {term:?}"
        );
    }
}

/// A snapshot that takes their place may be on the disk by then.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_cut_off_do_not_come_back_after_a_power_cut() {
    for steps in [1, 5] {
        let mut bed = Bed::new();
        let (done, _) = bed.run(Work::Cuts, &Cut::Steps(steps));
        let db = Db::create(&bed.found().join("rocks")).unwrap();
        let last = db.last_entry().unwrap().unwrap();
        let newer = done.last().is_some_and(|term| last.leader_id.term > *term);
        assert!(done.len() >= steps && (last.index == 5 || newer), "cut in {done:?}, found {last:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_outbox_took_survives_a_power_cut() {
    for steps in [1, 5] {
        let mut bed = Bed::new();
        let (done, _) = bed.run(Work::Outbox, &Cut::Steps(steps));
        let cluster = start(&bed.found()).await;
        let kept = cluster.outbox().behind(0, usize::MAX, usize::MAX).await.unwrap();
        let kept: BTreeSet<u64> =
            kept.into_iter().map(|(_, record)| String::from_utf8(record).unwrap().parse().unwrap()).collect();
        let lost: Vec<_> = done.iter().filter(|step| !kept.contains(step)).collect();
        assert!(done.len() >= steps && lost.is_empty(), "taken and gone: {lost:?} of {done:?}");
        cluster.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_sync_of_the_first_start_leaves_a_directory_that_starts() {
    let mut ended = false;
    let mut number = 0;
    while !ended {
        number += 1;
        assert!(number < 300, "the first start never ends");
        let mut bed = Bed::new();
        (_, ended) = bed.run(Work::Start, &Cut::Sync(number));
        start(&bed.found()).await.shutdown().await;
    }
    assert!(number > 10, "the syncs of the first start were not seen: {number}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_between_snapshots_and_cuts_of_the_log_loses_nothing() {
    let mut ended = false;
    let mut number = 60;
    while !ended {
        let mut bed = Bed::new();
        let (done, whole) = bed.run(Work::Writes, &Cut::Sync(number));
        let cluster = start(&bed.found()).await;
        cluster.read_barrier(Instant::now() + PATIENCE).await.unwrap();
        let kept = marks(&cluster);
        assert!(done.iter().all(|step| kept.contains(step)), "sync {number}: {done:?}, kept {kept:?}");
        cluster.shutdown().await;
        ended = whole;
        number += 41;
    }
}
