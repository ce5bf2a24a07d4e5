//! Why a call has no answer, and whether the peer may have handled it.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tonic::{Code, Response, Status};

use super::pool::dial_error;
use crate::tls::Unauthenticated;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing left this node.
    #[error("{0}")]
    NotSent(String),
    /// Nothing left this node: who answers there is no node with the secret of the cluster.
    #[error("cannot connect: {0}")]
    Unauthenticated(Unauthenticated),
    /// The peer refused before it looked at the payload: another cluster, another node, stopping.
    #[error("{0}")]
    Refused(String),
    /// No answer in time; the peer may have handled the request.
    #[error("no answer in {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection broke; the peer may have handled the request.
    #[error("{0}")]
    Broken(String),
}

impl CallError {
    /// Sorts the error of a finished call.
    pub(super) fn from_status(status: &Status) -> Self {
        if let Some(error) = dial_error(status) {
            return match error.unauthenticated() {
                Some(who) => Self::Unauthenticated(who),
                None => Self::NotSent(error.to_string()),
            };
        }
        let text = match innermost(status) {
            Some(cause) => format!("the connection broke: {cause}"),
            None => format!("{}: {}", status.code(), status.message()),
        };
        match status.code() {
            Code::FailedPrecondition | Code::PermissionDenied | Code::InvalidArgument => Self::Refused(text),
            _ => Self::Broken(text),
        }
    }
}

/// The local cause; none when the peer sent this status.
fn innermost(status: &Status) -> Option<&dyn Error> {
    let mut found = status.source()?;
    while let Some(cause) = found.source() {
        found = cause;
    }
    Some(found)
}

/// Awaits a call for at most `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(CallError::from_status(&status)),
        Err(_) => Err(CallError::Timeout(limit)),
    }
}
