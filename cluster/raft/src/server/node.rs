//! Calls between nodes that are no part of Raft: greetings, formation, joining, reports, questions.

use std::time::Duration;

use acefleet_registry::{Elapsed, NodeId, WallMs};
use tonic::{Request, Response, Status};

use super::Service;
use super::check::origin;
use crate::membership::formation::accept;
use crate::membership::speaks::Part;
use crate::membership::{access, admit};
use crate::replica::compare::message;
use crate::store::Standing;
use crate::transport::proto::{self, ask_reply, node_server};
use crate::transport::protocol;

/// A leader is silent for less: an election would have replaced it.
const LED_LATELY: Duration = Duration::from_secs(2);

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
                key: member.key.map(|key| key.bytes().to_vec().into()).unwrap_or_default(),
            });
            infos.collect()
        } else {
            accept::infos(&identity.founders)
        };
        let contacts = self.0.wire.contacts();
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
            led: contacts.has_had_leader() && contacts.leader_age() < LED_LATELY,
        }))
    }

    async fn farewell(
        &self,
        request: Request<proto::FarewellRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        self.check(origin(&request), request.get_ref().route.as_ref(), Part::Any)?;
        self.0.doubt.notify_one();
        Ok(Response::new(proto::Done {}))
    }

    async fn report(&self, request: Request<proto::ReportRequest>) -> Result<Response<proto::Done>, Status> {
        let origin = origin(&request);
        let request = request.into_inner();
        let from = self.check(origin, request.route.as_ref(), Part::Member)?.id;
        let standing = request.standing.ok_or_else(|| Status::invalid_argument("the report is empty"))?;
        self.0.remembered.learn(from, &Standing::from(standing));
        Ok(Response::new(proto::Done {}))
    }

    async fn form(&self, request: Request<proto::FormRequest>) -> Result<Response<proto::FormReply>, Status> {
        accept::accept(&self.0, request.into_inner()).await.map_err(Status::failed_precondition)?;
        Ok(Response::new(proto::FormReply {}))
    }

    async fn join(&self, request: Request<proto::JoinRequest>) -> Result<Response<proto::JoinReply>, Status> {
        let shown = origin(&request).shown;
        Ok(Response::new(admit::accept(&self.0, request.into_inner(), shown).await))
    }

    async fn ask(&self, request: Request<proto::AskRequest>) -> Result<Response<proto::AskReply>, Status> {
        let origin = origin(&request);
        let request = request.into_inner();
        // A new member that is not recorded here yet asks again.
        let from = self.check(origin, request.route.as_ref(), Part::Member)?.id;
        if let Some(clock) = request.clock {
            self.0.learn_clock(from, Elapsed(clock.elapsed_ms), WallMs(clock.wall_ms));
        }
        self.0.comparison.told(from, message::decode(&request.points));
        let outcome = match self.0.hooks.ask(NodeId(from), request.request).await {
            Ok(reply) => ask_reply::Outcome::Reply(reply),
            Err(refused) => ask_reply::Outcome::Refused(refused),
        };
        Ok(Response::new(proto::AskReply { outcome: Some(outcome) }))
    }
}
