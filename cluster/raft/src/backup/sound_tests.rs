//! Real backups, edited: what is called sound restores, starts and leads, and nothing else restores.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::state::Tables;
use acefleet_registry::{Elapsed, Level, NodeId, OpId, Proposal, State, WallMs, apply};
use tokio::sync::Semaphore;

use super::make::make;
use super::{Backup, BackupHeader, BadMembers, Unsound, read};
use crate::cluster::Cluster;
use crate::offline;
use crate::options::Options;
use crate::replica::hooks::NoHooks;
use crate::snapshot::Captured;
use crate::testing::lab::until;
use crate::testing::{log_id, node_up, single_node};
use crate::types::{LeaderId, LogId, Member, Membership, StoredMembership};

/// The first index that leaves no room.
const INDEX_MAX: u64 = (1 << 52) - (1 << 32);
/// The first id, term or number that leaves none.
const NUMBER_MAX: u64 = 1 << 53;
/// The first time of day that is not believable.
const WALL_MAX: u64 = (1 << 52) / 1_000;

async fn wrote(cluster: &Cluster, n: u64) {
    let name = format!("mark-{n}");
    let deadline = Instant::now() + Duration::from_secs(60);
    cluster.propose(OpId(0xbac, n), node_up(NodeId(100 + n), &name), deadline).await.unwrap();
}

/// What a file with this in it, and with the right hashes, is read as.
fn through_a_file(dir: &Path, backup: &Backup) -> Backup {
    let Backup { header, state, meta } = backup.clone();
    let captured = Captured { state, revision: header.revision, meta };
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let header = |sha256| BackupHeader { sha256, ..header };
    let mut made = make(dir.join("made"), &captured, header, room).unwrap();
    let mut file = tempfile::NamedTempFile::new_in(dir).unwrap();
    std::io::Write::write_all(&mut file, &made.front).unwrap();
    std::io::copy(&mut made.file, &mut file).unwrap();
    read(file.path()).unwrap()
}

async fn saved(dir: &Path, cluster: &Cluster) -> Backup {
    let mut made = cluster.backup(false).await.unwrap();
    let mut file = tempfile::NamedTempFile::new_in(dir).unwrap();
    std::io::Write::write_all(&mut file, &made.front).unwrap();
    std::io::copy(&mut made.file, &mut file).unwrap();
    read(file.path()).unwrap()
}

/// A backup of a node that has written something.
pub(super) async fn real(dir: &Path) -> Backup {
    let cluster = single_node(dir).await;
    until("it leads", || cluster.is_leader()).await;
    wrote(&cluster, 1).await;
    let backup = saved(dir, &cluster).await;
    cluster.shutdown().await;
    backup
}

fn tables(backup: &mut Backup, edit: impl FnOnce(&mut Tables)) {
    let mut tables = Tables::from(backup.state.clone());
    edit(&mut tables);
    backup.state = State::from(tables);
}

/// Members, by what a file says of voters and names.
fn members(backup: &mut Backup, voters: &str, names: &[(u64, &str)]) {
    let known: BTreeMap<u64, Member> =
        names.iter().map(|(id, name)| (*id, Member::new(*name, format!("{name}:8001")))).collect();
    let nodes = serde_json::to_string(&known).unwrap();
    let text = format!("{{\"configs\":{voters},\"nodes\":{nodes}}}");
    let members: Membership = serde_json::from_str(&text).unwrap();
    backup.meta.last_membership = StoredMembership::new(*backup.meta.last_membership.log_id(), members);
}

fn ends_at(backup: &mut Backup, last: LogId) {
    backup.meta.last_log_id = Some(last);
    backup.header.applied_index = last.index;
}

fn level(backup: &mut Backup, level: Level) {
    backup.header.level = level;
    tables(backup, |tables| tables.level = level);
}

type Edit = (&'static str, fn(&mut Backup));

const SOUND: [Edit; 9] = [
    ("as it is", |_| {}),
    ("of another node", |b| members(b, "[[7]]", &[(7, "z")])),
    ("of two, one of which is no voter", |b| members(b, "[[7]]", &[(7, "a"), (8, "b")])),
    ("in the middle of a change of members", |b| members(b, "[[7,8],[8]]", &[(7, "a"), (8, "b")])),
    ("the last index", |b| ends_at(b, log_id(INDEX_MAX - 1))),
    ("the last term", |b| {
        ends_at(b, LogId { leader_id: LeaderId { term: NUMBER_MAX - 1, node_id: 7 }, index: 1 << 40 });
    }),
    ("the last time of day", |b| b.header.taken_ms = WallMs(WALL_MAX - 1)),
    ("the last engine and the last moment", |b| {
        tables(b, |tables| (tables.last_engine, tables.clock_ms) = (NUMBER_MAX - 1, Elapsed(NUMBER_MAX - 1)));
    }),
    ("the first level", |b| level(b, Level::FIRST)),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_sound_restores_starts_and_leads() {
    let dir = tempfile::tempdir().unwrap();
    let whole = real(dir.path()).await;
    for (n, (what, edit)) in SOUND.into_iter().enumerate() {
        let mut backup = whole.clone();
        edit(&mut backup);
        let backup = through_a_file(dir.path(), &backup);
        assert_eq!(backup.sound(), Ok(()), "{what}");
        let (index, taken) = (backup.header.applied_index, backup.header.taken_ms);
        let place = dir.path().join(format!("restored-{n}"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::fs::create_dir(&place).unwrap();
        let options = Options::new(place.join("data"), "a".into(), address);
        let restored = offline::restore(&options, backup.restorable().unwrap()).await;
        let restored = restored.unwrap_or_else(|why| panic!("{what}: {why}"));
        assert!(restored.revision > index && restored.revision >= taken.0 * 1_000, "{what}: {restored:?}");
        let cluster = crate::start(options, listener, Arc::new(NoHooks)).await.unwrap();
        until(what, || cluster.is_leader()).await;
        wrote(&cluster, 2).await;
        let again = saved(dir.path(), &cluster).await;
        assert_eq!(again.state.check(), Ok(()), "{what}");
        if n < 4 {
            assert_eq!(again.sound(), Ok(()), "{what}: the next backup");
        }
        cluster.shutdown().await;
    }
}

type Forgery = (&'static str, fn(&mut Backup), fn(&Unsound) -> bool);

fn is_number(why: &Unsound, of: &str) -> bool {
    matches!(why, Unsound::Number { what, .. } if what.contains(of))
}

const UNSOUND: [Forgery; 26] = [
    (
        "a set of no voters",
        |b| members(b, "[[]]", &[(7, "a")]),
        |why| *why == Unsound::Members(BadMembers::NoVoters),
    ),
    (
        "no sets of voters",
        |b| members(b, "[]", &[(7, "a")]),
        |why| *why == Unsound::Members(BadMembers::NoVoters),
    ),
    (
        "half of a change without voters",
        |b| members(b, "[[7],[]]", &[(7, "a")]),
        |why| *why == Unsound::Members(BadMembers::NoVoters),
    ),
    (
        "an unknown voter",
        |b| members(b, "[[7,9]]", &[(7, "a")]),
        |why| *why == Unsound::Members(BadMembers::Unknown(9)),
    ),
    ("no id", |b| members(b, "[[0]]", &[(0, "a")]), |why| *why == Unsound::Members(BadMembers::Id(0))),
    (
        "a huge id",
        |b| members(b, "[[9007199254740992]]", &[(NUMBER_MAX, "a")]),
        |why| *why == Unsound::Members(BadMembers::Id(NUMBER_MAX)),
    ),
    (
        "no name",
        |b| members(b, "[[7]]", &[(7, "")]),
        |why| *why == Unsound::Members(BadMembers::Name(String::new())),
    ),
    (
        "one name twice",
        |b| members(b, "[[7]]", &[(7, "a"), (8, "a")]),
        |why| *why == Unsound::Members(BadMembers::Name("a".into())),
    ),
    (
        "members of later",
        |b| {
            let members = b.meta.last_membership.membership().clone();
            b.meta.last_membership = StoredMembership::new(Some(log_id(1 << 40)), members);
        },
        |why| *why == Unsound::Members(BadMembers::Newer),
    ),
    (
        "members of no entry",
        |b| {
            let members = b.meta.last_membership.membership().clone();
            b.meta.last_membership = StoredMembership::new(None, members);
        },
        |why| *why == Unsound::Members(BadMembers::Newer),
    ),
    ("a huge index", |b| ends_at(b, log_id(INDEX_MAX)), |why| is_number(why, "index")),
    ("the last of all indexes", |b| ends_at(b, log_id(u64::MAX)), |why| is_number(why, "index")),
    (
        "a revision of later",
        |b| b.header.revision = b.header.applied_index + 1,
        |why| is_number(why, "revision"),
    ),
    (
        "the last of all terms",
        |b| ends_at(b, LogId { leader_id: LeaderId { term: u64::MAX, node_id: 7 }, index: 1 << 40 }),
        |why| is_number(why, "term"),
    ),
    ("a huge time", |b| b.header.taken_ms = WallMs(WALL_MAX), |why| is_number(why, "time of day")),
    ("the last of all times", |b| b.header.taken_ms = WallMs(u64::MAX), |why| is_number(why, "time of day")),
    ("no level", |b| level(b, Level(0)), |why| matches!(why, Unsound::Level { .. })),
    ("a later level", |b| level(b, Level(Level::CURRENT.0 + 1)), |why| matches!(why, Unsound::Level { .. })),
    (
        "another level in the header",
        |b| b.header.level = Level(0),
        |why| *why == Unsound::OtherHeader("level"),
    ),
    ("no cluster", |b| b.header.cluster_id.clear(), |why| *why == Unsound::Cluster(String::new())),
    ("a huge engine", |b| tables(b, |tables| tables.last_engine = u64::MAX), |why| is_number(why, "engine")),
    (
        "a huge moment",
        |b| tables(b, |tables| tables.clock_ms = Elapsed(u64::MAX)),
        |why| is_number(why, "moment"),
    ),
    (
        "a huge member of the state",
        |b| {
            let command = node_up(NodeId(u64::MAX), "huge");
            let at_ms = b.state.clock_ms();
            let proposal = Proposal { op_id: OpId(9, 9), at_ms, origin: NodeId(7), by: None, command };
            apply(&mut b.state, &proposal, 9);
        },
        |why| is_number(why, "member"),
    ),
    (
        "a member under another id",
        |b| {
            tables(b, |tables| {
                let node = tables.nodes.values().next().unwrap().clone();
                tables.nodes.insert(NodeId(4_711), node);
            });
        },
        |why| matches!(why, Unsound::Rule(_)),
    ),
    (
        "writes without an order",
        |b| tables(b, |tables| tables.op_order.clear()),
        |why| matches!(why, Unsound::Rule(_)),
    ),
    ("without what identifies people", |b| b.header.redacted = true, |why| *why == Unsound::Redacted),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_no_cluster_can_have_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let whole = real(dir.path()).await;
    for (what, edit, is_it) in UNSOUND {
        let mut backup = whole.clone();
        edit(&mut backup);
        let backup = through_a_file(dir.path(), &backup);
        let why = backup.sound().expect_err(what);
        assert!(is_it(&why), "{what}: {why}");
        assert_eq!(backup.clone().restorable().unwrap_err(), why, "{what}");
        let is_rule = matches!(why, Unsound::Rule(_));
        assert_eq!(backup.despite_rules().is_ok(), is_rule, "{what}: only rules of the state are waived");
    }
}
