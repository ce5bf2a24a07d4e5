//! What the listener refuses before it looks at a payload.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::Elapsed;
use tokio::net::TcpListener;
use tonic::{Code, Request};

use crate::testing;
use crate::tls::node_key::OwnKey;
use crate::transport::proto::{
    self, forward_client::ForwardClient, node_client::NodeClient, raft_client::RaftClient,
};
use crate::{AskError, Cluster, ClusterSecret, NoHooks, NodeId, Options};

pub(super) struct Alone {
    pub cluster: Cluster,
    pub address: String,
    _dir: tempfile::TempDir,
}

impl Alone {
    /// A connection of the node to itself.
    pub async fn channel(&self) -> tonic::transport::Channel {
        testing::channel_of(&OwnKey::kept(self._dir.path()).unwrap(), &self.address).await
    }
}

/// A node alone, its cluster formed.
pub(super) async fn alone(name: &str) -> Alone {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut options = Options::new(dir.path().into(), name.into(), address.clone());
    options.secret = Some(ClusterSecret::parse(testing::SECRET).unwrap());
    let cluster = crate::start(options, listener, Arc::new(NoHooks)).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    cluster.read_barrier(deadline).await.unwrap();
    Alone { cluster, address, _dir: dir }
}

pub(super) fn route(of: &Cluster, to: &Cluster) -> proto::Route {
    proto::Route {
        cluster_id: of.cluster_id().unwrap(),
        from: of.node_id().0,
        to: to.node_id().0,
        version: String::new(),
        level: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_another_cluster_or_for_another_node_are_refused() {
    let (one, two) = (alone("one").await, alone("two").await);
    let channel = two.channel().await;
    let mut raft = RaftClient::new(channel.clone());
    let foreign = proto::RaftRequest { route: Some(route(&one.cluster, &two.cluster)), ..Default::default() };
    for (refused, method) in [
        (raft.heartbeat(Request::new(foreign.clone())).await, "heartbeat"),
        (raft.vote(Request::new(foreign.clone())).await, "vote"),
        (raft.pre_vote(Request::new(foreign.clone())).await, "pre-vote"),
        (raft.transfer_leader(Request::new(foreign)).await, "transfer"),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{method}");
        assert!(refused.message().contains(&one.cluster.cluster_id().unwrap()), "{refused}");
    }

    let mut wrong_node = route(&two.cluster, &two.cluster);
    wrong_node.to += 1;
    let mut forward = ForwardClient::new(channel.clone());
    let misdirected = proto::ReadIndexRequest { route: Some(wrong_node), remaining_ms: 100 };
    let refused = forward.read_index(Request::new(misdirected)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);

    let garbage = proto::RaftRequest {
        route: Some(route(&two.cluster, &two.cluster)),
        payload: vec![0xc1, 1, 2, 3].into(),
        ..Default::default()
    };
    let refused = raft.vote(Request::new(garbage)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let head = proto::SnapshotHead { route: Some(route(&one.cluster, &two.cluster)), ..Default::default() };
    let parts = [proto::SnapshotPart { part: Some(proto::snapshot_part::Part::Head(head)) }];
    let refused = raft.snapshot(tokio_stream::iter(parts)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(two.cluster.status().running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_not_compared_its_disk_takes_nothing_from_leaders_and_candidates() {
    use crate::replica::trust::Trust;

    let node = alone("node").await;
    let channel = node.channel().await;
    let mut raft = RaftClient::new(channel.clone());
    let own = route(&node.cluster, &node.cluster);
    let request = proto::RaftRequest { route: Some(own.clone()), ..Default::default() };
    for (state, said) in [(Trust::Waiting, "has not compared"), (Trust::Forgot, "has lost")] {
        node.cluster.core().trust.send_replace(state);
        let head = proto::SnapshotHead { route: Some(own.clone()), ..Default::default() };
        let parts = [proto::SnapshotPart { part: Some(proto::snapshot_part::Part::Head(head)) }];
        let append = routed(own.clone()).0;
        for (refused, method) in [
            (raft.heartbeat(Request::new(request.clone())).await.map(drop), "heartbeat"),
            (raft.vote(Request::new(request.clone())).await.map(drop), "vote"),
            (raft.pre_vote(Request::new(request.clone())).await.map(drop), "pre-vote"),
            (raft.transfer_leader(Request::new(request.clone())).await.map(drop), "transfer"),
            (raft.snapshot(tokio_stream::iter(parts)).await.map(drop), "snapshot"),
            (raft.append(tokio_stream::iter([append])).await.map(drop), "append"),
        ] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition, "{method}: {refused}");
            assert!(refused.message().contains(said), "{method}: {refused}");
        }
        // Another node that compares is answered all the same.
        let mut client = NodeClient::new(channel.clone());
        let hello = client.hello(Request::new(proto::HelloRequest::default())).await.unwrap().into_inner();
        assert_eq!(Trust::from(hello.trust()), state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_say_how_far_they_have_come() {
    let node = alone("node").await;
    let mut client = NodeClient::new(node.channel().await);
    let member = route(&node.cluster, &node.cluster);
    let last = Some(proto::LogPoint { term: 9, node: 7, index: 9 });
    let standing = Some(proto::Standing { last, ..Default::default() });
    for outsider in 1..=20 {
        let route = Some(proto::Route { from: outsider, ..member.clone() });
        let refused = client.report(Request::new(proto::ReportRequest { route, standing })).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        assert_eq!(node.cluster.core().remembers(outsider), crate::store::Standing::default());
    }
    client
        .report(Request::new(proto::ReportRequest { route: Some(member.clone()), standing }))
        .await
        .unwrap();
    assert_eq!(node.cluster.core().remembers(member.from).last.map(|id| id.index), Some(9));
}

fn routed(route: proto::Route) -> (proto::AppendMessage, proto::WriteMessage) {
    use proto::{append_message, write_message};
    let append = proto::AppendMessage { message: Some(append_message::Message::Route(route.clone())) };
    (append, proto::WriteMessage { message: Some(write_message::Message::Route(route)) })
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_outsiders_are_refused_and_garbage_ends_a_stream() {
    let (one, two) = (alone("one").await, alone("two").await);
    let channel = two.channel().await;
    let mut raft = RaftClient::new(channel.clone());
    let mut forward = ForwardClient::new(channel);

    let (append, write) = routed(route(&one.cluster, &two.cluster));
    let refused = raft.append(tokio_stream::iter([append])).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = forward.write(tokio_stream::iter([write])).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let mut misdirected = route(&two.cluster, &two.cluster);
    misdirected.to += 1;
    let (append, write) = routed(misdirected);
    let refused = raft.append(tokio_stream::iter([append])).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let refused = forward.write(tokio_stream::iter([write])).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);

    let unrouted = proto::AppendMessage {
        message: Some(proto::append_message::Message::Request(proto::AppendRequest::default())),
    };
    let refused = raft.append(tokio_stream::iter([unrouted.clone()])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let (append, write) = routed(route(&two.cluster, &two.cluster));
    let mut answers = raft.append(tokio_stream::iter([append, unrouted])).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument, "an empty head");
    let garbage = proto::WriteMessage {
        message: Some(proto::write_message::Message::Write(proto::ForwardedWrite {
            id: 1,
            proposal: vec![0xc1].into(),
        })),
    };
    let mut refusals = forward.write(tokio_stream::iter([write, garbage])).await.unwrap().into_inner();
    assert_eq!(refusals.message().await.unwrap_err().code(), Code::InvalidArgument);
    assert!(two.cluster.status().running);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_a_node_that_is_no_member_are_refused() {
    let node = alone("node").await;
    let mut forward = ForwardClient::new(node.channel().await);
    let mut outsider = route(&node.cluster, &node.cluster);
    outsider.from += 1;
    let proposal = acefleet_registry::Proposal {
        op_id: crate::OpId(1, 1),
        at_ms: Elapsed::ZERO,
        origin: NodeId(outsider.from),
        by: None,
        command: acefleet_registry::Command::ResetBreaker(None),
    };
    let write =
        proto::ForwardedWrite { id: 1, proposal: crate::util::codec::encode(&proposal).unwrap().into() };
    let write = proto::WriteMessage { message: Some(proto::write_message::Message::Write(write)) };
    let messages = [routed(outsider).1, write];
    let mut refusals = forward.write(tokio_stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!(refusals.message().await.unwrap_err().code(), Code::PermissionDenied);
    assert!(node.cluster.view().state.remembered(crate::OpId(1, 1)).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn outsiders_get_no_answer_and_leave_no_trace() {
    let node = alone("node").await;
    let mut client = NodeClient::new(node.channel().await);
    let member = route(&node.cluster, &node.cluster);
    let contacts = node.cluster.core().wire.contacts();
    for outsider in 1..=20 {
        let route = Some(proto::Route { from: outsider, ..member.clone() });
        let refused = client
            .ask(Request::new(proto::AskRequest {
                route,
                request: "?".into(),
                clock: None,
                points: Vec::new(),
            }))
            .await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        assert!(contacts.last_contact(outsider).is_none(), "a node that is no member is remembered");
    }
    let asked = proto::AskRequest {
        route: Some(member.clone()),
        request: "?".into(),
        clock: None,
        points: Vec::new(),
    };
    let answer = client.ask(Request::new(asked)).await.unwrap().into_inner();
    assert!(matches!(answer.outcome, Some(proto::ask_reply::Outcome::Refused(_))), "{answer:?}");
    assert!(contacts.last_contact(member.from).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_not_what_was_announced_is_refused() {
    let node = alone("node").await;
    let mut raft = RaftClient::new(node.channel().await);
    let vote = crate::types::Vote::new_committed(1, node.cluster.node_id().0);
    let head = proto::SnapshotHead {
        route: Some(route(&node.cluster, &node.cluster)),
        vote: crate::util::codec::encode(&vote).unwrap().into(),
        size: 3,
    };
    // The sender looks at its file again after each of these.
    for chunk in [&b"abc"[..], b"ab", b"abcd"] {
        let parts =
            [proto::snapshot_part::Part::Head(head.clone()), proto::snapshot_part::Part::Chunk(chunk.into())];
        let parts = parts.map(|part| proto::SnapshotPart { part: Some(part) });
        let refused = raft.snapshot(tokio_stream::iter(parts)).await.unwrap_err();
        assert_eq!(refused.code(), Code::DataLoss, "{refused}");
    }
    let left = std::fs::read_dir(node._dir.path().join("snapshots")).unwrap();
    assert_eq!(left.count(), 0, "a refused snapshot stayed on disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formed_node_cannot_be_bound_again() {
    let node = alone("node").await;
    let mut client = NodeClient::new(node.channel().await);
    let request = proto::FormRequest {
        cluster_id: uuid::Uuid::new_v4().to_string(),
        members: Vec::new(),
        from: 1,
        to: node.cluster.node_id().0,
    };
    let refused = client.form(Request::new(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_a_member_is_refused_and_leaves_no_trace() {
    let node = alone("node").await;
    let mut client = NodeClient::new(node.channel().await);
    let good = proto::JoinRequest {
        node_id: 7,
        name: "b".into(),
        address: node.address.clone().replace("127.0.0.1", "localhost"),
        cluster_id: node.cluster.cluster_id(),
        protocol: Some(crate::transport::protocol::own()),
        ..Default::default()
    };
    let other = uuid::Uuid::new_v4().to_string();
    let newer = proto::Protocol { oldest: 99, newest: 100 };
    for (request, why) in [
        (proto::JoinRequest { cluster_id: Some(other), ..good.clone() }, "belongs to cluster"),
        (proto::JoinRequest { cluster_id: Some("\n".repeat(9)), ..good.clone() }, "belongs to cluster"),
        (proto::JoinRequest { protocol: None, ..good.clone() }, "too old"),
        (proto::JoinRequest { protocol: Some(newer), ..good.clone() }, "too new"),
        (proto::JoinRequest { name: "node".into(), ..good.clone() }, "acefleet remove node"),
        (proto::JoinRequest { address: node.address.clone(), ..good.clone() }, "belongs to member node"),
        (proto::JoinRequest { name: "x".repeat(1 << 20), ..good.clone() }, "the name"),
        (proto::JoinRequest { node_id: u64::MAX, ..good.clone() }, "the id"),
        (proto::JoinRequest { kind: 77, ..good.clone() }, "does not know"),
        (proto::JoinRequest { kind: proto::JoinKind::Move.into(), ..good.clone() }, "is no member"),
        // Another node answers there than the one that asks.
        (good.clone(), "with id"),
    ] {
        let reply = client.join(Request::new(request)).await.unwrap().into_inner();
        match reply.outcome {
            Some(proto::join_reply::Outcome::Refused(said)) => assert!(said.contains(why), "{why}: {said}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    let may = proto::JoinRequest { kind: proto::JoinKind::Check.into(), ..good };
    let reply = client.join(Request::new(may)).await.unwrap().into_inner();
    assert!(matches!(reply.outcome, Some(proto::join_reply::Outcome::Done(_))), "{reply:?}");
    assert_eq!(node.cluster.status().members.len(), 1);

    // A farewell is checked with the other members, and there are none.
    let farewell = proto::FarewellRequest { route: Some(route(&node.cluster, &node.cluster)) };
    client.farewell(Request::new(farewell)).await.unwrap();
    let mut forward = ForwardClient::new(node.channel().await);
    let change = crate::MembershipChange::Remove { id: node.cluster.node_id() };
    let mut from_nobody = route(&node.cluster, &node.cluster);
    from_nobody.from = 7;
    let change = proto::MembersRequest {
        route: Some(from_nobody),
        change: crate::util::codec::encode(&change).unwrap().into(),
        remaining_ms: 100,
    };
    let refused = forward.change_members(Request::new(change)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    node.cluster.read_barrier(Instant::now() + Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_question_ends_with_the_reason() {
    let node = alone("node").await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let own = node.cluster.ask(node.cluster.node_id(), "?".into(), deadline).await;
    assert!(matches!(own, Err(AskError::Refused(_))), "{own:?}");
    let outsider = node.cluster.ask(NodeId(1), "?".into(), deadline).await;
    assert_eq!(outsider, Err(AskError::NotAMember(1)));
}

#[tokio::test]
async fn a_closed_port_is_known_as_not_sent() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let identity = Arc::new(crate::store::IdentityFile::open(dir.path(), "a").unwrap());
    let contacts = Arc::new(crate::transport::contacts::Contacts::new(crate::Timing::default()));
    let door = testing::door(testing::SECRET, crate::Plain::Refused);
    let wire = crate::transport::Wire::new(
        door,
        identity,
        contacts,
        String::new(),
        acefleet_registry::Level::CURRENT,
    );
    for address in [free.to_string(), "no-such-host.invalid:1".to_owned()] {
        let error = wire.hello(&address, "x:1", Duration::from_secs(30)).await.unwrap_err();
        assert!(matches!(error, crate::transport::CallError::NotSent(_)), "{error:?}");
    }
}

#[tokio::test]
async fn who_has_no_secret_reaches_no_call() {
    let node = alone("node").await;
    let plain = NodeClient::connect(format!("http://{}", node.address)).await;
    let refused = match plain {
        Ok(mut client) => client.hello(Request::new(proto::HelloRequest::default())).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "a call without TLS was answered");
    let other = testing::door("what-the-nodes-of-another-cluster-share-01", crate::Plain::Refused);
    let identity = Arc::new(crate::store::IdentityFile::open(node._dir.path(), "node").unwrap());
    let contacts = Arc::new(crate::transport::contacts::Contacts::new(crate::Timing::default()));
    let wire = crate::transport::Wire::new(
        other,
        identity,
        contacts,
        String::new(),
        acefleet_registry::Level::CURRENT,
    );
    let outsider = wire.hello(&node.address, "x:1", Duration::from_secs(30)).await.unwrap_err();
    assert!(matches!(outsider, crate::transport::CallError::Unauthenticated(_)), "{outsider:?}");
    let mut known = NodeClient::new(node.channel().await);
    known.hello(Request::new(proto::HelloRequest::default())).await.unwrap();
}
