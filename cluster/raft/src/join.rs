//! How an empty node gets into a cluster that runs: it asks any member to take it in as a learner, binds
//! itself to that cluster, and becomes a voter once it has the log. It never starts a cluster.

use std::time::{Duration, Instant};

use acefleet_registry::NodeId;

use crate::errors::{Failure, MembershipError};
use crate::formation::{Step, bind};
use crate::members::{self, MAX_VOTERS, MembershipChange};
use crate::shared::Core;
use crate::transport::proto::{HelloReply, JoinReply, JoinRequest, join_reply};

const CALL_LIMIT: Duration = Duration::from_secs(1);
/// A member may have to find the leader first.
const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// One attempt with each of the listed members.
pub(crate) async fn round(core: &Core) -> Result<Step, Failure> {
    let own = core.identity.load();
    let mut last = "no member is listed".to_owned();
    for address in &core.options.join {
        let hello = match core.wire.hello(address, &core.options.advertise, CALL_LIMIT).await {
            Ok(hello) if hello.node_id == own.node_id => {
                last = format!("{address} is this node itself: list another member");
                continue;
            }
            Ok(hello) => hello,
            Err(error) => {
                last = format!("{address}: {error}");
                continue;
            }
        };
        match live_cluster(&hello) {
            Some(theirs) if own.cluster_id.as_deref().is_some_and(|bound| bound != theirs) => {
                last = format!("{} runs another cluster than the one that took this node in", hello.name);
            }
            Some(theirs) if hello.members.iter().any(|member| member.id == own.node_id) => {
                bind(core, theirs, Vec::new()).await.map_err(Failure::Fatal)?;
                return Ok(Step::Wait(format!("joining the cluster of {}", hello.name)));
            }
            Some(theirs) => match ask(core, address).await? {
                None => {
                    bind(core, theirs, Vec::new()).await.map_err(Failure::Fatal)?;
                    return Ok(Step::Wait(format!("joining the cluster of {}", hello.name)));
                }
                Some(why) => last = format!("{}: {why}", hello.name),
            },
            None => last = format!("{} at {address} runs no cluster yet", hello.name),
        }
    }
    Ok(Step::Wait(format!("no member has taken this node in; {last}")))
}

/// Says so when the listed members belong to another cluster than this node, which then does not join.
pub(crate) async fn remark(core: &Core) {
    let own = core.identity.load();
    for address in &core.options.join {
        let Ok(hello) = core.wire.hello(address, &core.options.advertise, CALL_LIMIT).await else { continue };
        if let Some(theirs) = live_cluster(&hello)
            && own.cluster_id.as_deref() != Some(theirs)
        {
            tracing::warn!(
                address,
                theirs,
                own = own.cluster_id,
                "this node belongs to another cluster than the one it is to join, and stays in it: to join, empty its data directory"
            );
        }
    }
}

fn live_cluster(hello: &HelloReply) -> Option<&str> {
    hello.cluster_id.as_deref().filter(|_| hello.live)
}

/// Asks one member. Nothing when this node is a learner now, else why it has to try again.
async fn ask(core: &Core, address: &str) -> Result<Option<String>, Failure> {
    let request = JoinRequest {
        node_id: core.node_id(),
        name: core.options.node_name.clone(),
        address: core.options.advertise.clone(),
    };
    match core.wire.join(address, request, JOIN_LIMIT).await.map(|reply| reply.outcome) {
        Ok(Some(join_reply::Outcome::Done(_))) => Ok(None),
        Ok(Some(join_reply::Outcome::Refused(why))) => Err(Failure::Refused(format!(
            "the cluster does not take {} (id {}) in: {why}",
            core.options.node_name,
            core.node_id()
        ))),
        Ok(Some(join_reply::Outcome::Unknown(why))) => Ok(Some(why)),
        Ok(None) => Ok(Some("the reply is empty".into())),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Takes a node in on behalf of it; any member can do that.
pub(crate) async fn accept(core: &Core, request: JoinRequest) -> JoinReply {
    let JoinRequest { node_id, name, address } = request;
    let change = MembershipChange::Learn { id: NodeId(node_id), name, address };
    let outcome = match members::change(core, &change, Instant::now() + JOIN_LIMIT).await {
        Ok(()) => join_reply::Outcome::Done(crate::transport::proto::Done {}),
        Err(MembershipError::Refused(why)) => join_reply::Outcome::Refused(why),
        Err(error) => join_reply::Outcome::Unknown(error.to_string()),
    };
    JoinReply { outcome: Some(outcome) }
}

/// The change that makes this learner a voter, while there is room for one.
pub(crate) fn promotion(core: &Core) -> Option<MembershipChange> {
    let metrics = core.metrics();
    let membership = &metrics.membership_config;
    let own = membership.get_node(&metrics.id)?;
    let votes = membership.voter_ids().any(|id| id == metrics.id);
    let room = membership.voter_ids().count() < MAX_VOTERS;
    (!votes && room).then(|| MembershipChange::Add {
        id: NodeId(metrics.id),
        name: own.name.clone(),
        address: own.address.clone(),
    })
}
