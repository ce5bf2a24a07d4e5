//! Calls that other nodes forward to the leader.

use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::check::origin;
use super::{Service, decode, streams};
use crate::membership::change::{Changed, MembershipChange};
use crate::membership::reconfigure;
use crate::membership::speaks::Part;
use crate::proposals::read::{self, Confirmed};
use crate::transport::proto::{self, forward_server, members_reply, read_index_reply};

/// Longest time that a caller may ask this node to keep trying.
const MAX_REMAINING: Duration = Duration::from_secs(60);

fn deadline(remaining_ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(remaining_ms).min(MAX_REMAINING)
}

#[tonic::async_trait]
impl forward_server::Forward for Service {
    type WriteStream = BoxStream<'static, Result<proto::WriteRefused, Status>>;

    async fn write(
        &self,
        request: Request<Streaming<proto::WriteMessage>>,
    ) -> Result<Response<Self::WriteStream>, Status> {
        let origin = origin(&request);
        let mut messages = request.into_inner();
        let route = streams::write_route(&mut messages).await?;
        // A node that is no member gets its answer when it writes.
        let from = self.check(origin, Some(&route), Part::Any)?;
        Ok(Response::new(streams::writes(self, from, messages)))
    }

    async fn change_members(
        &self,
        request: Request<proto::MembersRequest>,
    ) -> Result<Response<proto::MembersReply>, Status> {
        let origin = origin(&request);
        let request = request.into_inner();
        let from = self.check(origin, request.route.as_ref(), Part::Member)?;
        let change: MembershipChange = decode(&request.change)?;
        change.check_sender(from.id).map_err(Status::permission_denied)?;
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
        let origin = origin(&request);
        let request = request.into_inner();
        self.check(origin, request.route.as_ref(), Part::Member)?;
        let outcome = match read::confirm(&self.0, deadline(request.remaining_ms)).await {
            Confirmed::Index(index) => read_index_reply::Outcome::Index(index),
            Confirmed::NotLeader(leader) => read_index_reply::Outcome::NotLeader(proto::NotLeader { leader }),
            Confirmed::NoQuorum(why) => read_index_reply::Outcome::NoQuorum(why),
        };
        Ok(Response::new(proto::ReadIndexReply { outcome: Some(outcome) }))
    }
}
