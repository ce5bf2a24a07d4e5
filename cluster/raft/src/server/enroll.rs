//! The only call of nodes that have a join token and nothing else of the cluster: it gives them the secret. All other services refuse them.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use acefleet_registry::command::UseJoinToken;
use acefleet_registry::join_token::PublicKey;
use acefleet_registry::rules::join_tokens::may_use;
use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, Reply};
use tonic::{Request, Response, Status};

use super::Service;
use super::check::origin;
use crate::options::check_name;
use crate::proposals::write;
use crate::tls::Shown;
use crate::tls::enroll::prover;
use crate::transport::proto::{self, enroll_reply::Outcome, guest_server};

/// How long a use may take to be written.
const WRITE_WITHIN: Duration = Duration::from_secs(4);
/// Largest request in bytes: a name, a key and a signature.
pub(super) const MAX_REQUEST: usize = 1 << 10;

/// Refuses callers that have a token and nothing else.
pub(super) fn nodes_alone(request: Request<()>) -> Result<Request<()>, Status> {
    match origin(&request).shown {
        Shown::Token(token) => Err(Status::permission_denied(format!(
            "the join token {} is good for asking for the secret of the cluster, and for nothing else",
            token.id()
        ))),
        Shown::Node(_) | Shown::Secret | Shown::Nothing => Ok(request),
    }
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
