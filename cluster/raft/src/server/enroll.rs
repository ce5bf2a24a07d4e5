//! The only call of nodes that have a join token and nothing else of the cluster: it gives them the secret. They get to no other service.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use acefleet_registry::command::UseJoinToken;
use acefleet_registry::join_token::PublicKey;
use acefleet_registry::rules::join_tokens::may_use;
use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, Reply};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::Service;
use super::check::origin;
use super::door::{Callers, GUESTS_STAY};
use crate::membership::commit::members;
use crate::membership::place::name_is_free;
use crate::options::check_name;
use crate::proposals::write;
use crate::tls::Shown;
use crate::tls::enroll::prover;
use crate::transport::proto::{self, enroll_reply::Outcome, guest_server};
use crate::types::Member;

/// How long a use may take to be written.
const WRITE_WITHIN: Duration = Duration::from_secs(4);
/// Largest request in bytes: a name, a key and a signature.
const MAX_REQUEST: usize = 1 << 10;

/// Bytes of the headers of a call, and of what may be on its way before it is read.
const HEADERS_MAX: u32 = 4 << 10;
const WINDOW: u32 = 64 << 10;

/// Serves callers that have a token and nothing else of the cluster, until the node stops. They get to no other service, and make one call at a
/// time, so that the processor and the memory of the node stay with the nodes.
pub(super) async fn serve(
    service: Service,
    guests: impl Callers,
    stopped: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .max_concurrent_streams(Some(1))
        .concurrency_limit_per_connection(1)
        .http2_max_header_list_size(Some(HEADERS_MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_max_pending_accept_reset_streams(Some(1))
        .timeout(GUESTS_STAY)
        .add_service(guest_server::GuestServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .serve_with_incoming_shutdown(guests, stopped)
        .await
}

#[tonic::async_trait]
impl guest_server::Guest for Service {
    async fn enroll(
        &self,
        request: Request<proto::EnrollRequest>,
    ) -> Result<Response<proto::EnrollReply>, Status> {
        let from = origin(&request);
        let Shown::Token(token) = from.shown else {
            return Err(Status::permission_denied(
                "a caller without a join token has nothing to ask for here",
            ));
        };
        let proto::EnrollRequest { name, node_key, proof } = request.into_inner();
        let node = prover(&token, &node_key, &proof)
            .ok_or_else(|| Status::invalid_argument("the node does not prove its key"))?;
        check_name("name of the node", &name).map_err(|why| Status::invalid_argument(why.to_string()))?;
        let outcome = self.take(token, node, &name).await;
        match &outcome {
            Outcome::Secret(_) => tracing::info!(
                address = from.address.map(|address| address.to_string()),
                "{name} gets the secret of the cluster with the join token {}",
                token.id()
            ),
            Outcome::Refused(why) | Outcome::Unknown(why) => {
                if let Some(times) =
                    self.0.refused_tokens.lock().unwrap_or_else(PoisonError::into_inner).due()
                {
                    let address = from.address.map(|address| address.to_string());
                    tracing::warn!(address, why, times, "{name} does not get the secret of the cluster");
                }
            }
        }
        Ok(Response::new(proto::EnrollReply { outcome: Some(outcome) }))
    }
}

impl Service {
    /// Uses a token for a node, and gives the secret when the cluster has noted that.
    async fn take(&self, token: PublicKey, node: PublicKey, name: &str) -> Outcome {
        let core = &self.0;
        let view = core.published.load();
        // What would be refused costs no write. The time is that of the log, as when it is written: the clock of one host refuses no token that
        // the cluster takes.
        let now = view.state.wall(view.state.clock_ms());
        if let Err(why) = may_use(&view.state, &token, &node, now) {
            return Outcome::Refused(why.to_string());
        }
        drop(view);
        // Nor is a token used up by a node that could not join then.
        let (members, _) = members(core);
        let is_itself = |known: &Member| known.key.is_some_and(|key| key.public() == node);
        let others = members.iter().filter(|(_, known)| !is_itself(known));
        if let Err(why) = name_is_free(others, name) {
            return Outcome::Refused(why);
        }
        let proposal = Proposal {
            op_id: OpId::from_u128(uuid::Uuid::now_v7().as_u128()),
            at_ms: Elapsed::ZERO,
            origin: NodeId(core.node_id()),
            by: None,
            command: Command::UseJoinToken(UseJoinToken { token, node, name: name.to_owned() }),
        };
        match write::propose(core, proposal, Instant::now() + WRITE_WITHIN).await.map(|applied| applied.reply)
        {
            Ok(Reply::Refused(refusal)) => Outcome::Refused(refusal.message),
            Ok(_) => Outcome::Secret(core.wire.door().secret().exposed().to_vec().into()),
            Err(error) => Outcome::Unknown(error.to_string()),
        }
    }
}
