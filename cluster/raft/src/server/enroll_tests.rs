//! What the holder of a join token gets from real nodes: the secret, as often as the token says, and nothing else.

use std::sync::Arc;
use std::time::Instant;

use acefleet_registry::command::CreateJoinToken;
use acefleet_registry::join_token::PublicKey;
use acefleet_registry::{Command, Reply};
use tonic::Code;

use super::attack_tests::{Attacker, Lab, all_answered};
use crate::OpId;
use crate::testing::lab::{self, Node, PATIENCE, until};
use crate::testing::{self, SECRET};
use crate::tls::Unauthenticated;
use crate::tls::join_token::JoinToken;
use crate::tls::node_key::OwnKey;
use crate::transport::enroll::{NotEnrolled, channel, enroll};
use crate::transport::proto::guest_client::GuestClient;
use crate::transport::proto::node_client::NodeClient;
use crate::transport::{CallError, System, proto};

/// A token that so many nodes may use, and that all members know.
async fn token(lab: &Lab, uses: u32) -> (JoinToken, PublicKey) {
    let cluster = lab.leader().cluster();
    until("the time of day is known", || {
        let view = cluster.view();
        view.state.wall(view.state.clock_ms()).is_some()
    })
    .await;
    let token = cluster.new_join_token().unwrap();
    let key = token.public().unwrap();
    let create = Command::CreateJoinToken(CreateJoinToken { key, ttl_ms: 600_000, uses });
    let made = cluster.propose(OpId(9, uses.into()), create, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(made.reply, Reply::Done);
    until("all members know the token", || {
        lab.nodes.iter().all(|node| node.cluster().view().state.join_token(&key).is_some())
    })
    .await;
    (token, key)
}

async fn ask(node: &Node, token: &JoinToken, name: &str, own: &OwnKey) -> Result<Vec<u8>, NotEnrolled> {
    let secret = enroll(Arc::new(System), &node.options.advertise, token, name, own).await;
    secret.map(|secret| secret.exposed().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_nodes_get_the_secret_as_the_token_says() {
    let lab = Lab::formed().await;
    let (token, key) = token(&lab, 2).await;
    let (one, other, third) = (OwnKey::any().unwrap(), OwnKey::any().unwrap(), OwnKey::any().unwrap());
    let (leader, follower) = (lab.leader(), lab.follower());
    assert_eq!(ask(follower, &token, "d", &one).await.unwrap(), SECRET.as_bytes());
    assert_eq!(ask(leader, &token, "d", &one).await.unwrap(), SECRET.as_bytes(), "its answer may be lost");
    assert_eq!(ask(leader, &token, "e", &other).await.unwrap(), SECRET.as_bytes());
    let refused = ask(follower, &token, "f", &third).await.unwrap_err();
    assert!(matches!(&refused, NotEnrolled::Refused(why) if why.contains("used up")), "{refused:?}");
    assert_eq!(ask(follower, &token, "e", &other).await.unwrap(), SECRET.as_bytes());
    let refused = ask(follower, &token, "e\nleader", &other).await.unwrap_err();
    assert!(refused.to_string().contains("name of the node"), "{refused}");
    let used: Vec<_> =
        follower.cluster().view().state.join_token(&key).unwrap().used.values().cloned().collect();
    assert!(used.len() == 2 && used.contains(&"d".to_owned()) && used.contains(&"e".to_owned()), "{used:?}");

    // Two nodes come with a token for one, to two members at the same time. One that could not join before does not use it up.
    let (single, single_key) = self::token(&lab, 1).await;
    let taken = leader.options.node_name.clone();
    let refused = ask(follower, &single, &taken, &third).await.unwrap_err();
    let says = format!("the name {taken} belongs to member");
    assert!(matches!(&refused, NotEnrolled::Refused(why) if why.starts_with(&says)), "{refused:?}");
    assert!(follower.cluster().view().state.join_token(&single_key).unwrap().used.is_empty());
    let (first, second) = tokio::join!(ask(leader, &single, "g", &third), ask(follower, &single, "h", &one));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");

    // A token that no member knows, and one that is known of another cluster.
    let unknown = leader.cluster().new_join_token().unwrap();
    let refused = ask(leader, &unknown, "d", &one).await.unwrap_err();
    let other_secret = |refused: &NotEnrolled| {
        matches!(refused, NotEnrolled::Call(CallError::Unauthenticated(Unauthenticated::OtherSecret)))
    };
    assert!(other_secret(&refused), "{refused:?}");
    let text = token.exposed();
    let elsewhere = format!("acefleet-join-{}{}", "0".repeat(32), &text[text.len() - 32..]);
    let refused = ask(leader, &JoinToken::parse(&elsewhere).unwrap(), "d", &one).await.unwrap_err();
    assert!(other_secret(&refused), "who answers does not prove the key that the token names: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_secret_joins_at_its_first_start_and_needs_the_token_never_again() {
    let lab = Lab::formed().await;
    let (token, _) = token(&lab, 1).await;
    let (dir, bind, nobody) =
        (tempfile::tempdir().unwrap(), lab::free_address().await, lab::free_address().await);
    let mut joiner = Node::new(dir.path(), "d", bind, bind.to_string(), Vec::new());
    joiner.options.secret = None;
    joiner.options.join_token = Some(token);
    let refused = joiner.try_start().await.unwrap_err();
    assert_eq!(refused.exit_code(), 64);
    assert!(refused.to_string().contains("ACEFLEET_JOIN"), "it is no cluster of its own: {refused}");
    joiner.options.join = vec![nobody.to_string()];
    let refused = joiner.try_start().await.unwrap_err();
    assert_eq!(refused.exit_code(), 75, "{refused}");
    let known = joiner.options.join_token.replace(lab.leader().cluster().new_join_token().unwrap());
    joiner.options.join.insert(0, lab.follower().options.advertise.clone());
    let refused = joiner.try_start().await.unwrap_err();
    assert_eq!(refused.exit_code(), 75, "the member may learn of it yet: {refused}");
    let lacks = refused.to_string();
    assert!(
        lacks.contains("does not know this join token") && lacks.contains("no member answers"),
        "{lacks}"
    );
    (joiner.options.join_token, joiner.options.join) = (known, vec![nobody.to_string()]);
    joiner.options.join.push(lab.follower().options.advertise.clone());
    joiner.start().await;
    let votes = |lab: &Lab| lab.leader().cluster().status().voters == 4;
    until("it votes", || votes(&lab)).await;
    joiner.stop().await;
    (joiner.options.join_token, joiner.options.join) = (None, Vec::new());
    joiner.start().await;
    until("it is back", || joiner.cluster().status().leader.is_some()).await;
    joiner.write().await;
    let kept = crate::kept_secret(&joiner.options.data_dir).unwrap().unwrap();
    assert_eq!(*kept, *SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_of_a_token_is_no_node_and_nobody_comes_in_the_place_of_another() {
    let lab = Lab::formed().await;
    let (token, key) = token(&lab, 1).await;
    let before = lab.standing();
    let leader_id = lab.leader().cluster().node_id().0;
    for target in &lab.nodes {
        let channel = channel(Arc::new(System), &target.options.advertise, &token).unwrap();
        let holder = Attacker { channel: channel.clone(), id: leader_id };
        all_answered(Code::Unimplemented, "the holder of a token", holder.leads(target).await);
        all_answered(
            Code::Unimplemented,
            "the holder of a token",
            holder.takes_part(target, lab.follower()).await,
        );
        let mut node = NodeClient::new(channel.clone());
        let refused = [
            ("hello", node.hello(proto::HelloRequest::default()).await.map(drop)),
            ("form", node.form(proto::FormRequest::default()).await.map(drop)),
            ("join", node.join(proto::JoinRequest::default()).await.map(drop)),
            ("farewell", node.farewell(proto::FarewellRequest::default()).await.map(drop)),
        ];
        all_answered(Code::Unimplemented, "the holder of a token", refused.into());
    }
    assert_eq!(lab.standing(), before, "the cluster was disturbed");

    // The key of a node that has used it is no secret. Its signature is.
    let own = OwnKey::any().unwrap();
    ask(lab.leader(), &token, "d", &own).await.unwrap();
    let (node_key, proof) = own.prove(&key).unwrap();
    let (_, of_another) = OwnKey::any().unwrap().prove(&key).unwrap();
    let (_, for_another) = own.prove(&PublicKey([7; 32])).unwrap();
    let channel = channel(Arc::new(System), &lab.leader().options.advertise, &token).unwrap();
    let mut guest = GuestClient::new(channel);
    for proof in [Vec::new(), vec![0; 64], of_another, for_another] {
        let request = proto::EnrollRequest {
            name: "d".into(),
            node_key: node_key.bytes().to_vec().into(),
            proof: proof.into(),
        };
        assert_eq!(guest.enroll(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let long = proto::EnrollRequest {
        name: "d".repeat(2_000),
        node_key: node_key.bytes().to_vec().into(),
        proof: proof.into(),
    };
    assert_eq!(guest.enroll(long).await.unwrap_err().code(), Code::OutOfRange, "it is not even read");
    // Who has the secret asks for nothing.
    let mut node = GuestClient::new(testing::channel(&lab.leader().options.advertise).await);
    let refused = node.enroll(proto::EnrollRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}
