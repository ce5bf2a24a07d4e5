//! How an empty node joins a running cluster: a member adds it as a learner, it binds itself to that cluster, and becomes a
//! voter once it has the log.

use std::time::Duration;

use acefleet_registry::NodeId;

use super::formation::step::{Step, bind};
use super::place::MAX_VOTERS;
use crate::errors::Failure;
use crate::membership::change::MembershipChange;
use crate::replica::core::Core;
use crate::store::Identity;
use crate::transport::proto::{HelloReply, JoinKind, JoinRequest, join_reply};
use crate::transport::protocol;
use crate::transport::{CALL_LIMIT, Wire};

/// The member may have to find the leader.
pub(crate) const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// What a greeting means for a node that wants to join.
pub(crate) enum Greeting {
    /// It is a member of this cluster.
    Open(String),
    /// No way into a cluster; the text says why.
    Closed(String),
    /// Not yet; the text says why.
    Later(String),
}

impl Greeting {
    /// Judges a greeting that came from this address.
    pub fn judge(own: &Identity, address: &str, hello: &HelloReply) -> Self {
        let name = &hello.name;
        if hello.node_id == own.node_id {
            return Self::Closed(format!("{address} is this node itself: name another member"));
        }
        if let Err(why) = protocol::check(name, &hello.version, hello.protocol.as_ref()) {
            return Self::Closed(why);
        }
        match (live_cluster(hello), &own.cluster_id) {
            (None, _) => Self::Later(format!("{name} at {address} runs no cluster yet")),
            (Some(theirs), Some(bound)) if theirs != bound => Self::Closed(format!(
                "{name} at {address} runs cluster {theirs}, and this node is to join {bound}: to join the other \
                 one, empty the data directory"
            )),
            (Some(theirs), _) => Self::Open(theirs.to_owned()),
        }
    }
}

fn live_cluster(hello: &HelloReply) -> Option<&str> {
    hello.cluster_id.as_deref().filter(|_| hello.live)
}

/// Answer of a member to a request.
pub(crate) enum JoinAnswer {
    Yes,
    No(String),
    /// The request may be repeated.
    Unknown(String),
}

/// Asks one member, which asks the leader.
pub(crate) async fn ask(wire: &Wire, address: &str, request: JoinRequest) -> JoinAnswer {
    match wire.join(address, request, JOIN_LIMIT).await.map(|reply| reply.outcome) {
        Ok(Some(join_reply::Outcome::Done(_))) => JoinAnswer::Yes,
        Ok(Some(join_reply::Outcome::Refused(why))) => JoinAnswer::No(why),
        Ok(Some(join_reply::Outcome::Unknown(why))) => JoinAnswer::Unknown(why),
        Ok(None) => JoinAnswer::Unknown("the reply is empty".into()),
        Err(error) => JoinAnswer::Unknown(error.to_string()),
    }
}

/// The request of the node with this identity.
pub(crate) fn request(own: &Identity, advertise: &str, wire: &Wire, kind: JoinKind) -> JoinRequest {
    JoinRequest {
        node_id: own.node_id,
        name: own.node_name.clone(),
        address: advertise.to_owned(),
        cluster_id: own.cluster_id.clone(),
        protocol: Some(protocol::own()),
        version: wire.version().to_owned(),
        level: wire.level().0,
        kind: kind.into(),
        replaces: own.replaces.unwrap_or_default(),
    }
}

/// One attempt with each known member.
pub(crate) async fn round(core: &Core) -> Result<Step, Failure> {
    let own = core.identity.load();
    let mut last = "no member is listed".to_owned();
    for address in core.seeds() {
        let hello = match core.wire.hello(&address, &core.options.advertise, CALL_LIMIT).await {
            Ok(hello) => hello,
            Err(error) => {
                last = format!("{address}: {error}");
                continue;
            }
        };
        let cluster_id = match Greeting::judge(&own, &address, &hello) {
            Greeting::Open(cluster_id) => cluster_id,
            Greeting::Closed(why) | Greeting::Later(why) => {
                last = why;
                continue;
            }
        };
        let advertise = &core.options.advertise;
        if !hello.members.iter().any(|member| member.id == own.node_id && member.address == *advertise) {
            let request = request(&own, advertise, &core.wire, JoinKind::Join);
            match ask(&core.wire, &address, request).await {
                JoinAnswer::Yes => {}
                JoinAnswer::No(why) => {
                    let (name, id) = (&own.node_name, own.node_id);
                    let refused = format!("the cluster does not take {name} (id {id}) in: {why}");
                    return Err(Failure::Refused(refused));
                }
                JoinAnswer::Unknown(why) => {
                    last = format!("{}: {why}", hello.name);
                    continue;
                }
            }
        }
        bind(core, &cluster_id, Vec::new()).await.map_err(Failure::Fatal)?;
        return Ok(Step::Wait(format!("joining the cluster of {}", hello.name)));
    }
    Ok(Step::Wait(format!("no member has taken this node in; {last}")))
}

/// Warns when the listed members belong to another cluster than this node.
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

/// The change that makes this learner a voter, while there is room, or the replacement of its former id.
pub(crate) fn promotion(core: &Core) -> Option<MembershipChange> {
    let metrics = core.metrics();
    let membership = &metrics.membership_config;
    let own = membership.get_node(&metrics.id)?;
    let replaces = core.identity.load().replaces;
    if let Some(old) = replaces.filter(|old| membership.get_node(old).is_some()) {
        return Some(MembershipChange::Replace { old: NodeId(old), new: NodeId(metrics.id) });
    }
    let votes = membership.voter_ids().any(|id| id == metrics.id);
    let room = membership.voter_ids().count() < MAX_VOTERS;
    (!votes && room).then(|| MembershipChange::Add {
        id: NodeId(metrics.id),
        name: own.name.clone(),
        address: own.address.clone(),
    })
}
