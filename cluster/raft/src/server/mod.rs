//! The services of the cluster listener. Each call is checked for cluster and target before its
//! payload is touched.

mod door;
mod receive;
mod streams;

#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::{Elapsed, NodeId, WallMs};
use futures::stream::BoxStream;
use openraft::errors::{Infallible, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::membership::access;
use crate::membership::admit;
use crate::membership::formation;
use crate::membership::reconfigure::{self, Changed};
use crate::proposals::read::{self, Confirmed};
use crate::replica::compare::message;
use crate::replica::core::Core;
use crate::replica::trust::Trust;
use crate::snapshot::Snapshot;
use crate::store::Standing;
use crate::transport::proto::{
    self, ask_reply, forward_server, members_reply, node_server, raft_server, read_index_reply,
};
use crate::transport::protocol;
use crate::transport::{CONNECTION_WINDOW, MAX_MESSAGE, STREAM_WINDOW};
use crate::types::TypeConfig;
use crate::util::codec;

/// Longest time that a caller may ask this node to keep trying.
const MAX_REMAINING: Duration = Duration::from_secs(60);

/// Serves until the node stops.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let service = Service(core.clone());
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .add_service(
            raft_server::RaftServer::new(service.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            forward_server::ForwardServer::new(service.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            node_server::NodeServer::new(service)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
        )
        .serve_with_incoming_shutdown(door::accept(listener), core.stop.clone().cancelled_owned())
        .await
}

#[derive(Clone)]
struct Service(Arc<Core>);

impl Service {
    /// Refuses a call of another cluster or for another node; returns the sender.
    fn check(&self, route: Option<&proto::Route>) -> Result<u64, Status> {
        let route = route.ok_or_else(|| Status::invalid_argument("the route is missing"))?;
        let identity = self.0.identity.load();
        match identity.cluster_id.as_deref() {
            None => Err(Status::failed_precondition(format!(
                "node {} belongs to no cluster yet",
                identity.node_name
            ))),
            Some(own) if own != route.cluster_id => Err(Status::permission_denied(format!(
                "node {} belongs to cluster {own}, the call is of cluster {}",
                identity.node_name, route.cluster_id
            ))),
            Some(_) if route.to != identity.node_id => Err(Status::failed_precondition(format!(
                "the call is for node id {}, but here is {} with node id {}",
                route.to, identity.node_name, identity.node_id
            ))),
            Some(_) => {
                // Others may call, with whatever id: a leader that this node does not know yet must get through.
                if self.0.is_recorded(route.from) {
                    self.0.wire.called_by(route.from, &route.version, route.level);
                }
                Ok(route.from)
            }
        }
    }

    /// The same for what leaders and candidates send, which a node refuses that has not compared its disk yet.
    fn check_part(&self, route: Option<&proto::Route>) -> Result<u64, Status> {
        let from = self.check(route)?;
        match *self.0.trust.borrow() {
            Trust::Sound => Ok(from),
            Trust::Waiting => Err(Status::failed_precondition(format!(
                "{} has not compared its disk with the other members yet; retry",
                self.0.options.node_name
            ))),
            Trust::Forgot => Err(Status::failed_precondition(format!(
                "the disk of {} has lost what it had acknowledged, and takes no part",
                self.0.options.node_name
            ))),
        }
    }

    /// Refuses what only members may ask for.
    fn member(&self, id: u64) -> Result<(), Status> {
        match self.0.is_recorded(id) {
            true => Ok(()),
            false => Err(Status::permission_denied(format!("node id {id} is not a member of this cluster"))),
        }
    }

    fn open<T: DeserializeOwned>(&self, request: &proto::RaftRequest) -> Result<T, Status> {
        self.check_part(request.route.as_ref())?;
        decode(&request.payload)
    }

    fn reply<T: Serialize>(&self, answer: &T) -> Result<Response<proto::RaftReply>, Status> {
        let payload = codec::encode(answer).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(proto::RaftReply {
            payload: payload.into(),
            version: self.0.wire.version().to_owned(),
            level: self.0.wire.level().0,
            clock: self.0.wire.contacts().clock(),
        }))
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    codec::decode(bytes).map_err(|e| Status::invalid_argument(format!("unreadable payload: {e}")))
}

/// The Raft core is gone; the process is about to end.
fn dead(error: &RaftError<TypeConfig, Infallible>) -> Status {
    Status::unavailable(error.to_string())
}

fn deadline(remaining_ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(remaining_ms).min(MAX_REMAINING)
}

#[tonic::async_trait]
impl raft_server::Raft for Service {
    type AppendStream = BoxStream<'static, Result<proto::AppendAnswer, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendMessage>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let mut messages = request.into_inner();
        let route = streams::append_route(&mut messages).await?;
        self.check_part(Some(&route))?;
        Ok(Response::new(streams::append(&self.0, messages)))
    }

    async fn heartbeat(
        &self,
        request: Request<proto::RaftRequest>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let heartbeat: AppendEntriesRequest<TypeConfig> = self.open(request.get_ref())?;
        let told = streams::told(&heartbeat, request.get_ref().proof);
        let answer = self.0.raft.append_entries(heartbeat).await.map_err(|e| dead(&e))?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.0.wire.contacts().heard_leader(&told, self.0.published.load().applied_index);
        }
        self.reply(&answer)
    }

    async fn vote(&self, request: Request<proto::RaftRequest>) -> Result<Response<proto::RaftReply>, Status> {
        let vote = self.0.raft.vote(self.open(request.get_ref())?).await;
        self.reply(&vote.map_err(|e| dead(&e))?)
    }

    async fn pre_vote(
        &self,
        request: Request<proto::RaftRequest>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let vote = self.0.raft.pre_vote(self.open(request.get_ref())?).await;
        self.reply(&vote.map_err(|e| dead(&e))?)
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::RaftRequest>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let transfer: TransferLeaderRequest<TypeConfig> = self.open(request.get_ref())?;
        let from = transfer.from_leader().leader_id;
        self.0.wire.contacts().offers(from.term, from.node_id);
        let answer = self
            .0
            .raft
            .handle_transfer_leader(transfer)
            .await
            .map_err(|e| Status::unavailable(e.to_string()))?;
        self.reply(&answer)
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::RaftReply>, Status> {
        let mut parts = request.into_inner();
        let head = receive::head(&mut parts).await?;
        self.check_part(head.route.as_ref())?;
        let vote = decode(&head.vote)?;
        let path = self.0.snapshots.temporary();
        let (guard, file) = receive::body(&head, &mut parts, path).await?;
        let snapshot = Snapshot { meta: file.header.meta(), snapshot: file };
        let raft = self.0.raft.clone();
        // A task of its own: a sender that gives up must not take the file away from the replica that is about to read it.
        let installed = tokio::spawn(async move {
            let answer = raft.install_full_snapshot(vote, snapshot).await;
            drop(guard);
            answer
        });
        let answer = installed
            .await
            .map_err(|e| Status::internal(e.to_string()))?
            .map_err(|e| Status::unavailable(e.to_string()))?;
        self.0.wire.contacts().led_at(Instant::now());
        self.reply(&answer)
    }
}

#[tonic::async_trait]
impl forward_server::Forward for Service {
    type WriteStream = BoxStream<'static, Result<proto::WriteRefused, Status>>;

    async fn write(
        &self,
        request: Request<Streaming<proto::WriteMessage>>,
    ) -> Result<Response<Self::WriteStream>, Status> {
        let mut messages = request.into_inner();
        let route = streams::write_route(&mut messages).await?;
        let from = self.check(Some(&route))?;
        Ok(Response::new(streams::writes(&self.0, from, messages)))
    }

    async fn change_members(
        &self,
        request: Request<proto::MembersRequest>,
    ) -> Result<Response<proto::MembersReply>, Status> {
        let request = request.into_inner();
        let from = self.check(request.route.as_ref())?;
        let change = decode(&request.change)?;
        self.member(from)?;
        let until = deadline(request.remaining_ms);
        let outcome = match reconfigure::change_here(&self.0, &change, until).await {
            Changed::Done => members_reply::Outcome::Done(proto::Done {}),
            Changed::NotLeader(leader) => members_reply::Outcome::NotLeader(proto::NotLeader { leader }),
            Changed::Refused(why) => members_reply::Outcome::Refused(why),
            Changed::Unknown(why) => members_reply::Outcome::Unknown(why),
        };
        Ok(Response::new(proto::MembersReply { outcome: Some(outcome) }))
    }

    async fn read_index(
        &self,
        request: Request<proto::ReadIndexRequest>,
    ) -> Result<Response<proto::ReadIndexReply>, Status> {
        let request = request.into_inner();
        self.check(request.route.as_ref())?;
        let outcome = match read::confirm(&self.0, deadline(request.remaining_ms)).await {
            Confirmed::Index(index) => read_index_reply::Outcome::Index(index),
            Confirmed::NotLeader(leader) => read_index_reply::Outcome::NotLeader(proto::NotLeader { leader }),
            Confirmed::NoQuorum(why) => read_index_reply::Outcome::NoQuorum(why),
        };
        Ok(Response::new(proto::ReadIndexReply { outcome: Some(outcome) }))
    }
}

#[tonic::async_trait]
impl node_server::Node for Service {
    async fn hello(
        &self,
        request: Request<proto::HelloRequest>,
    ) -> Result<Response<proto::HelloReply>, Status> {
        self.0.wire.called_from(&request.get_ref().address);
        let caller = request.get_ref().node_id;
        self.0.called_by(caller);
        let nonce = &request.get_ref().nonce;
        let (access, key_proof) = access::answer(self.0.options.access.as_ref(), nonce);
        let identity = self.0.identity.load();
        let live = self.0.raft.is_initialized().await.map_err(|e| Status::unavailable(e.to_string()))?;
        let (membership_index, members, voters) = self.0.committed_members();
        let members = if live {
            let infos = members.into_iter().map(|(id, member)| proto::MemberInfo {
                id,
                name: member.name,
                address: member.address,
                votes: voters.contains(&id),
            });
            infos.collect()
        } else {
            formation::infos(&identity.founders)
        };
        Ok(Response::new(proto::HelloReply {
            name: identity.node_name.clone(),
            node_id: identity.node_id,
            cluster_id: identity.cluster_id.clone(),
            live,
            members,
            membership_index,
            version: self.0.wire.version().to_owned(),
            protocol: Some(protocol::own()),
            level: self.0.wire.level().0,
            instance: self.0.instance,
            former_cluster_ids: self.0.published.load().state.former_clusters().map(str::to_owned).collect(),
            access: access.into(),
            key_proof: key_proof.into(),
            remembers: Some((&self.0.remembers(caller)).into()),
            trust: proto::Trust::from(*self.0.trust.borrow()).into(),
            leads: self.0.leads_with_majority(),
        }))
    }

    async fn farewell(
        &self,
        request: Request<proto::FarewellRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        self.check(request.get_ref().route.as_ref())?;
        self.0.doubt.notify_one();
        Ok(Response::new(proto::Done {}))
    }

    async fn report(&self, request: Request<proto::ReportRequest>) -> Result<Response<proto::Done>, Status> {
        let request = request.into_inner();
        let from = self.check(request.route.as_ref())?;
        self.member(from)?;
        let standing = request.standing.ok_or_else(|| Status::invalid_argument("the report is empty"))?;
        self.0.remembered.learn(from, &Standing::from(standing));
        Ok(Response::new(proto::Done {}))
    }

    async fn form(&self, request: Request<proto::FormRequest>) -> Result<Response<proto::FormReply>, Status> {
        formation::accept(&self.0, request.into_inner()).await.map_err(Status::failed_precondition)?;
        Ok(Response::new(proto::FormReply {}))
    }

    async fn join(&self, request: Request<proto::JoinRequest>) -> Result<Response<proto::JoinReply>, Status> {
        Ok(Response::new(admit::accept(&self.0, request.into_inner()).await))
    }

    async fn ask(&self, request: Request<proto::AskRequest>) -> Result<Response<proto::AskReply>, Status> {
        let request = request.into_inner();
        let from = self.check(request.route.as_ref())?;
        // A new member whose entry has not come here yet just asks again.
        self.member(from)?;
        if let Some(clock) = request.clock {
            self.0.hear_clock(from, Elapsed(clock.elapsed_ms), WallMs(clock.wall_ms));
        }
        self.0.comparison.told(from, message::decode(&request.points));
        let outcome = match self.0.hooks.ask(NodeId(from), request.request).await {
            Ok(reply) => ask_reply::Outcome::Reply(reply),
            Err(refused) => ask_reply::Outcome::Refused(refused),
        };
        Ok(Response::new(proto::AskReply { outcome: Some(outcome) }))
    }
}
