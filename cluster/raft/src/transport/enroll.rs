//! Asks a member for the secret of its cluster, with a join token.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::Request;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;
use zeroize::Zeroizing;

use super::call_error::{CallError, bounded};
use super::pool::DialError;
use super::proto::guest_client::GuestClient;
use super::proto::{self, enroll_reply};
use super::ways::{Way, Ways};
use crate::tls::enroll::Entry;
use crate::tls::join_token::JoinToken;
use crate::tls::node_key::OwnKey;
use crate::tls::secret::ClusterSecret;

/// The member may have to find the leader, and writes down who came.
const ENROLL_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer in bytes: a secret, or why there is none.
const MAX_REPLY: usize = 8 << 10;

/// Why a member gave no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEnrolled {
    /// A repeat gives the same answer.
    #[error("{0}")]
    Refused(String),
    /// It was not asked, or its answer is not known; a repeat is safe.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It could not do it now; a repeat is safe.
    #[error("{0}")]
    Unknown(String),
}

/// A connection of somebody who has this token and nothing else.
pub(crate) fn channel(
    ways: Arc<dyn Ways>,
    address: &str,
    token: &JoinToken,
) -> Result<Channel, Box<dyn Error + Send + Sync>> {
    let entry = Entry::with(token)?;
    let way = Arc::new(Way::new(address.to_owned(), ways));
    let endpoint = Endpoint::from_static("http://acefleet.cluster");
    Ok(endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let (entry, way) = (entry.clone(), Arc::clone(&way));
        async move {
            let entered = async { entry.enter(way.dial().await?).await };
            entered.await.map(TokioIo::new).map_err(DialError::Failed)
        }
    })))
}

/// The secret of the cluster of the member at this address, for the node with this name and key.
pub(crate) async fn enroll(
    ways: Arc<dyn Ways>,
    address: &str,
    token: &JoinToken,
    name: &str,
    own: &OwnKey,
) -> Result<ClusterSecret, NotEnrolled> {
    let unusable =
        |why: &dyn std::fmt::Display| NotEnrolled::Refused(format!("the join token cannot be used: {why}"));
    let channel = channel(ways, address, token).map_err(|why| unusable(&why))?;
    let public = token.public().map_err(|why| unusable(&why))?;
    let (key, proof) = own.prove(&public).ok_or_else(|| unusable(&"the key of this node cannot sign"))?;
    let mut client = GuestClient::new(channel).max_decoding_message_size(MAX_REPLY);
    let request = proto::EnrollRequest {
        name: name.to_owned(),
        node_key: key.bytes().to_vec().into(),
        proof: proof.into(),
    };
    let reply = bounded(ENROLL_LIMIT, client.enroll(Request::new(request))).await?;
    match reply.outcome {
        Some(enroll_reply::Outcome::Secret(bytes)) => {
            let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
            ClusterSecret::parse(&text)
                .map_err(|why| NotEnrolled::Unknown(format!("its secret is none: {why}")))
        }
        Some(enroll_reply::Outcome::Refused(why)) => Err(NotEnrolled::Refused(why)),
        Some(enroll_reply::Outcome::Unknown(why)) => Err(NotEnrolled::Unknown(why)),
        None => Err(NotEnrolled::Unknown("its answer is empty".to_owned())),
    }
}
