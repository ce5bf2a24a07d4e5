//! Streams of log entries and snapshots to a member that refuses them or is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::{Level, State};
use futures::{FutureExt, StreamExt, stream};
use openraft::errors::{ReplicationClosed, StreamingError};
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::{RaftNetworkFactory, RaftNetworkV2};

use super::Wire;
use super::network::Network;
use super::peer::PeerClient;
use crate::Cluster;
use crate::membership::introduction::Said;
use crate::membership::speaks::Known;
use crate::options::Timing;
use crate::replica::trust::Trust;
use crate::snapshot::{Snapshot, SnapshotDir, SnapshotFile};
use crate::store::IdentityFile;
use crate::testing::{single_node, snapshot_meta};
use crate::transport::contacts::Contacts;
use crate::types::{Member, TypeConfig, Vote};

/// A pause after this many failures outlasts the test.
const FAILURES: usize = 6;

/// A member that is known by another node.
struct Bed {
    member: Cluster,
    id: u64,
    record: Member,
    /// The wire of the other node.
    wire: Arc<Wire>,
    dir: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let member = single_node(dir.path()).await;
        member.read_barrier(Instant::now() + Duration::from_secs(60)).await.unwrap();
        let id = member.node_id().0;
        let record = Member::new("a", member.core().options.advertise.clone());
        let own = dir.path().join("own");
        std::fs::create_dir(&own).unwrap();
        let identity = IdentityFile::open(&own, "b").unwrap();
        identity.bind(&member.cluster_id().unwrap(), Vec::new()).unwrap();
        let sender = Said::Member(Known { key: None, votes: true });
        member.core().introductions.told(identity.load().node_id, sender, member.core().members_index());
        let contacts = Arc::new(Contacts::new(Timing::default()));
        let door = crate::testing::door(crate::testing::SECRET, crate::Plain::Refused);
        let wire = Arc::new(Wire::new(door, Arc::new(identity), contacts, String::new(), Level::CURRENT));
        wire.set_members(BTreeMap::from([(id, record.clone())]));
        Self { member, id, record, wire, dir }
    }

    /// Whether a stream may be opened now.
    fn may(&self) -> bool {
        self.wire.reach(&self.record.address).ready().now_or_never().is_some()
    }

    fn snapshot(&self) -> SnapshotFile {
        let snapshots = SnapshotDir::open(self.dir.path().join("snapshots"), 2).unwrap();
        snapshots.store(&State::default(), &snapshot_meta(1), 1).unwrap()
    }
}

/// The first answer on a stream of log entries; false when there is none.
async fn append(peer: &mut PeerClient) -> bool {
    let request: AppendEntriesRequest<TypeConfig> = AppendEntriesRequest {
        vote: Vote::new_committed(0, peer.wire.node_id()),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let option = RPCOption::new(Duration::from_secs(1));
    let mut answers = peer.stream_append(stream::iter([request]), option).await.unwrap();
    answers.next().await.unwrap().is_ok()
}

async fn send(peer: &mut PeerClient, file: &SnapshotFile) -> StreamingError<TypeConfig> {
    let snapshot = Snapshot { meta: file.header.meta(), snapshot: file.clone() };
    let never = std::future::pending::<ReplicationClosed>();
    let option = RPCOption::new(Duration::from_secs(10));
    let vote = Vote::new_committed(0, peer.wire.node_id());
    peer.full_snapshot(vote, snapshot, never, option).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_a_member_refuses_become_rare_until_it_calls_or_answers() {
    let bed = Bed::new().await;
    let mut peer = Network(bed.wire.clone()).new_client(bed.id, &bed.record).await;
    assert!(append(&mut peer).await, "it takes streams");
    bed.member.core().trust.send_replace(Trust::Waiting);
    for _ in 0..FAILURES {
        assert!(!append(&mut peer).await);
    }
    assert!(!bed.may());
    bed.wire.called_by(bed.id, "", 0);
    assert!(bed.may(), "the member has called");
    for _ in 0..FAILURES {
        assert!(!append(&mut peer).await);
    }
    assert!(!bed.may());
    bed.wire.member_answered(bed.id, &bed.record.address, "", 0, 0);
    assert!(bed.may(), "the member has answered in another lane");
    bed.member.core().trust.send_replace(Trust::Sound);
    assert!(append(&mut peer).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_a_member_refuses_become_rare_until_it_calls() {
    let bed = Bed::new().await;
    let file = bed.snapshot();
    bed.member.core().trust.send_replace(Trust::Waiting);
    let mut peer = Network(bed.wire.clone()).new_snapshot_client(bed.id, &bed.record).await;
    for _ in 0..FAILURES {
        let refused = send(&mut peer, &file).await;
        assert!(refused.to_string().contains("has not compared its disk"), "{refused}");
    }
    assert!(!bed.may());
    assert!(!file.is_doubted());
    bed.wire.called_by(bed.id, "", 0);
    assert!(bed.may());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_for_a_member_that_is_away() {
    let bed = Bed::new().await;
    let file = bed.snapshot();
    // No file is read.
    std::fs::remove_file(&file.path).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = Member::new("c", free.to_string());
    let mut peer = Network(bed.wire.clone()).new_snapshot_client(bed.id + 1, &away).await;
    let failed = send(&mut peer, &file).await;
    assert!(failed.to_string().contains("cannot connect"), "{failed}");
    assert!(!file.is_doubted());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_member_finds_damaged_is_verified_before_it_is_sent_again() {
    let bed = Bed::new().await;
    let file = bed.snapshot();
    let mut bytes = std::fs::read(&file.path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file.path, bytes).unwrap();
    let mut peer = Network(bed.wire.clone()).new_snapshot_client(bed.id, &bed.record).await;
    let failed = send(&mut peer, &file).await;
    assert!(failed.to_string().contains("the body hash differs"), "{failed}");
    assert!(file.is_doubted());
}
