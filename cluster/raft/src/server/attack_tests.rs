//! The attacks on the cluster port of somebody who has the secret of the cluster, each tried on real nodes: as nobody, as another node, as a
//! version without keys, as a learner, as a removed member.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use acefleet_registry::{Command, Elapsed, Level, Proposal};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::testing;
use crate::testing::lab::{self, Log, Node, PATIENCE, until};
use crate::tls::node_key::OwnKey;
use crate::transport::proto::{
    self, append_message, forward_client::ForwardClient, node_client::NodeClient, raft_client::RaftClient,
    snapshot_part, write_message,
};
use crate::transport::{append_message as wire_append, protocol};
use crate::types::{TypeConfig, Vote};
use crate::util::codec;
use crate::{MembershipChange, NodeId, OpId};

/// The id that the attacker has as a learner, and then as a former one.
const OWN_ID: u64 = 7;

pub(super) struct Lab {
    pub nodes: Vec<Node>,
    _dir: tempfile::TempDir,
}

impl Lab {
    /// Three nodes whose keys are noted.
    pub async fn formed() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nodes = lab::formed(dir.path(), &["a", "b", "c"]).await;
        let leader = &nodes[lab::leader(&nodes).await];
        let raise = Command::RaiseLevel(Level::CURRENT);
        leader.cluster().propose(OpId(1, 1), raise, Instant::now() + PATIENCE).await.unwrap();
        let lab = Self { nodes, _dir: dir };
        lab.noted(3).await;
        lab
    }

    /// Waits until all know the keys of so many members.
    async fn noted(&self, members: usize) {
        until("keys are noted", || {
            self.nodes.iter().all(|node| {
                let (_, known, _) = node.cluster().core().committed_members();
                known.len() == members && known.values().all(|member| member.key.is_some())
            })
        })
        .await;
    }

    pub fn leader(&self) -> &Node {
        self.nodes.iter().find(|node| node.cluster().is_leader()).unwrap()
    }

    pub fn follower(&self) -> &Node {
        self.nodes.iter().find(|node| !node.cluster().is_leader()).unwrap()
    }

    pub fn standing(&self) -> (BTreeSet<NodeId>, u64, Option<NodeId>) {
        let status = self.leader().cluster().status();
        let members = status.members.iter().map(|member| member.id).collect();
        (members, status.term, status.leader)
    }
}

/// Somebody with a connection, who calls as this node.
pub(super) struct Attacker {
    pub channel: Channel,
    pub id: u64,
}

impl Attacker {
    fn route(&self, target: &Node) -> Option<proto::Route> {
        let cluster = target.cluster();
        Some(proto::Route {
            cluster_id: cluster.cluster_id().unwrap(),
            from: self.id,
            to: cluster.node_id().0,
            version: String::new(),
            level: 3,
        })
    }

    fn raft<T: serde::Serialize>(&self, target: &Node, message: &T) -> Request<proto::RaftRequest> {
        let payload = codec::encode(message).unwrap().into();
        Request::new(proto::RaftRequest { route: self.route(target), payload, proof: None })
    }

    /// What only leaders and candidates do, with the highest term. Each with its answer.
    pub async fn leads(&self, target: &Node) -> Vec<(&'static str, Result<(), Status>)> {
        let mut client = RaftClient::new(self.channel.clone());
        let mut highest = Vote::new(u64::MAX - 1, self.id);
        let asks = VoteRequest::<TypeConfig>::new(highest, None);
        highest.committed = true;
        let beat = AppendEntriesRequest::<TypeConfig> {
            vote: highest,
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        let offers = TransferLeaderRequest::<TypeConfig>::new(highest, target.cluster().node_id().0, None);
        let head = proto::SnapshotHead {
            route: self.route(target),
            vote: codec::encode(&highest).unwrap().into(),
            size: 3,
        };
        let parts = [snapshot_part::Part::Head(head), snapshot_part::Part::Chunk((&b"abc"[..]).into())];
        let parts = parts.map(|part| proto::SnapshotPart { part: Some(part) });
        let route = append_message::Message::Route(self.route(target).unwrap());
        let entries = wire_append::encode(&beat, proto::Proof::default()).unwrap();
        let messages = [proto::AppendMessage { message: Some(route) }, entries];
        let appended = match client.append(tokio_stream::iter(messages)).await {
            Ok(answers) => answers.into_inner().message().await.map(drop),
            Err(refused) => Err(refused),
        };
        vec![
            ("heartbeat", client.heartbeat(self.raft(target, &beat)).await.map(drop)),
            ("vote", client.vote(self.raft(target, &asks)).await.map(drop)),
            ("pre-vote", client.pre_vote(self.raft(target, &asks)).await.map(drop)),
            ("transfer", client.transfer_leader(self.raft(target, &offers)).await.map(drop)),
            ("snapshot", client.snapshot(tokio_stream::iter(parts)).await.map(drop)),
            ("append", appended),
        ]
    }

    /// What only members do.
    pub async fn takes_part(&self, target: &Node, victim: &Node) -> Vec<(&'static str, Result<(), Status>)> {
        let (mut forward, mut node) =
            (ForwardClient::new(self.channel.clone()), NodeClient::new(self.channel.clone()));
        let proposal = Proposal {
            op_id: OpId(1, self.id),
            at_ms: Elapsed::ZERO,
            origin: NodeId(self.id),
            by: None,
            command: Command::ResetBreaker(None),
        };
        let write = proto::ForwardedWrite { id: 1, proposal: codec::encode(&proposal).unwrap().into() };
        let route = write_message::Message::Route(self.route(target).unwrap());
        let messages = [route, write_message::Message::Write(write)];
        let messages = messages.map(|message| proto::WriteMessage { message: Some(message) });
        let written = match forward.write(tokio_stream::iter(messages)).await {
            Ok(refusals) => refusals.into_inner().message().await.map(drop),
            Err(refused) => Err(refused),
        };
        let change = MembershipChange::Remove { id: victim.cluster().node_id() };
        let removes = proto::MembersRequest {
            route: self.route(target),
            change: codec::encode(&change).unwrap().into(),
            remaining_ms: 2_000,
        };
        let standing = proto::Standing {
            last: Some(proto::LogPoint { term: 99, node: 1, index: 1 << 40 }),
            ..Default::default()
        };
        let report = proto::ReportRequest { route: self.route(target), standing: Some(standing) };
        let ask = proto::AskRequest { route: self.route(target), ..Default::default() };
        vec![
            ("write", written),
            ("removal", forward.change_members(removes).await.map(drop)),
            ("report", node.report(report).await.map(drop)),
            ("question", node.ask(ask).await.map(drop)),
        ]
    }

    /// Asks for a member's address to become this one.
    async fn moves(&self, victim: &Node, address: &str) -> String {
        let request = proto::JoinRequest {
            node_id: victim.cluster().node_id().0,
            name: victim.options.node_name.clone(),
            address: address.to_owned(),
            cluster_id: victim.cluster().cluster_id(),
            protocol: Some(protocol::own()),
            level: 3,
            kind: proto::JoinKind::Move.into(),
            ..Default::default()
        };
        let reply = NodeClient::new(self.channel.clone()).join(request).await.unwrap().into_inner();
        match reply.outcome {
            Some(proto::join_reply::Outcome::Refused(why)) => why,
            other => panic!("it was not refused: {other:?}"),
        }
    }
}

pub(super) fn all_refused(who: &str, calls: Vec<(&'static str, Result<(), Status>)>) {
    all_answered(Code::PermissionDenied, who, calls);
}

pub(super) fn all_answered(code: Code, who: &str, calls: Vec<(&'static str, Result<(), Status>)>) {
    for (call, outcome) in calls {
        let refused = outcome.expect_err(&format!("{who}: {call} was taken"));
        assert_eq!(refused.code(), code, "{who}: {call}: {refused}");
    }
}

/// Nothing of a leader is taken of this attacker. The first call makes the node ask the others, and is to be repeated.
async fn leads_nobody(who: &str, attacker: &Attacker, target: &Node) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let calls = attacker.leads(target).await;
        let asks = |(_, outcome): &(_, Result<(), Status>)| {
            outcome.as_ref().is_err_and(|refused| refused.code() == Code::FailedPrecondition)
        };
        if !calls.iter().any(asks) {
            return all_refused(who, calls);
        }
        assert!(calls.iter().all(|(_, outcome)| outcome.is_err()), "{who}: {calls:?}");
        assert!(Instant::now() < deadline, "{who}: nobody could tell: {calls:?}");
    }
}

fn refusals(log: &Log) -> usize {
    log.count(&["the cluster port refuses a call"])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_secret_is_still_no_other_node() {
    let lab = Lab::formed().await;
    let before = lab.standing();
    let (leader, follower) = (lab.leader(), lab.follower());
    let leader_id = leader.cluster().node_id().0;
    let own = OwnKey::any().unwrap();
    for (target, who) in [(follower, "to a follower"), (leader, "to the leader")] {
        let address = &target.options.advertise;
        let channel = testing::channel_of(&own, address).await;
        let (nobody, impostor) =
            (Attacker { channel: channel.clone(), id: OWN_ID }, Attacker { channel, id: leader_id });
        leads_nobody(&format!("nobody {who}"), &nobody, target).await;
        all_refused(&format!("nobody {who}"), nobody.takes_part(target, follower).await);
        all_refused(&format!("an impostor {who}"), impostor.leads(target).await);
        all_refused(&format!("an impostor {who}"), impostor.takes_part(target, follower).await);
        let why = impostor.moves(follower, "127.0.0.1:9").await;
        assert!(why.contains("another key"), "{why}");
    }
    assert_eq!(lab.standing(), before, "the cluster was disturbed");
    for node in &lab.nodes {
        assert!(refusals(&node.log) <= 2, "one line of each kind: {:?}", node.log.lines());
    }
    assert!(refusals(&follower.log) > 0);
    follower.write().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_does_not_lead_and_a_removed_member_does_nothing() {
    let lab = Lab::formed().await;
    let (leader, follower) = (lab.leader(), lab.follower());
    let own = OwnKey::any().unwrap();
    let free = lab::free_address().await;
    let add = MembershipChange::Add { id: NodeId(OWN_ID), name: "learner".into(), address: free.to_string() };
    // It never catches up, so it stays without a vote.
    let brief = Instant::now() + Duration::from_millis(500);
    leader.cluster().change_members(add, brief).await.unwrap_err();
    let at_leader =
        Attacker { channel: testing::channel_of(&own, &leader.options.advertise).await, id: OWN_ID };
    let report =
        proto::ReportRequest { route: at_leader.route(leader), standing: Some(proto::Standing::default()) };
    NodeClient::new(at_leader.channel.clone()).report(report).await.unwrap();
    lab.noted(4).await;

    let before = lab.standing();
    leads_nobody("a learner", &at_leader, leader).await;
    let at_follower =
        Attacker { channel: testing::channel_of(&own, &follower.options.advertise).await, id: OWN_ID };
    leads_nobody("a learner", &at_follower, follower).await;
    for (attacker, target) in [(&at_leader, leader), (&at_follower, follower)] {
        let why = attacker.moves(target, "127.0.0.1:9").await;
        assert!(why.contains("another key"), "a learner moves a member: {why}");
    }
    assert_eq!(lab.standing(), before, "the cluster was disturbed");

    let remove = MembershipChange::Remove { id: NodeId(OWN_ID) };
    leader.cluster().change_members(remove, Instant::now() + PATIENCE).await.unwrap();
    lab.noted(3).await;
    let before = lab.standing();
    for (attacker, target) in [(&at_leader, leader), (&at_follower, follower)] {
        leads_nobody("a removed member", attacker, target).await;
        all_refused("a removed member", attacker.takes_part(target, follower).await);
        let why = attacker.moves(target, "127.0.0.1:9").await;
        assert!(why.contains("another key"), "a removed member moves another: {why}");
    }
    // It is told that it was removed, as any node that asks.
    let hello = NodeClient::new(at_follower.channel.clone()).hello(proto::HelloRequest::default()).await;
    assert_eq!(hello.unwrap().into_inner().members.len(), 3);
    assert_eq!(lab.standing(), before, "the cluster was disturbed");
    follower.write().await;
}
