//! Where a node that is to join, and was given a join token in the place of the secret, gets the secret from.

use std::path::Path;
use std::sync::Arc;

use crate::errors::StartError;
use crate::options::Options;
use crate::tls::Unauthenticated;
use crate::tls::kept;
use crate::tls::node_key::OwnKey;
use crate::transport::enroll::{NotEnrolled, enroll};
use crate::transport::{CallError, Ways};

/// Whether a node has to ask for the secret: it has a token, and no secret. Blocks.
///
/// # Errors
/// [`StartError::Config`] when what it keeps cannot be read.
pub(crate) fn is_due(options: &Options) -> Result<bool, StartError> {
    let unreadable =
        |dir: &Path, error| StartError::Config(format!("{} cannot be read: {error}", dir.display()));
    let kept = kept::kept_secret(&options.data_dir).map_err(|error| unreadable(&options.data_dir, error))?;
    Ok(options.join_token.is_some() && options.secret.is_none() && kept.is_none())
}

/// The same settings with the secret that a member at one of these addresses gives for the token.
///
/// # Errors
/// [`StartError::Config`] when the cluster refuses the token or no member is named, [`StartError::Temporary`] when a repeat may get it: a member
/// does not answer, cannot do it now, or does not know the token yet. It says what each of them lacked.
pub(crate) async fn with_secret(
    ways: Arc<dyn Ways>,
    options: Options,
    own: &OwnKey,
    members: &[String],
) -> Result<Options, StartError> {
    let Some(token) = &options.join_token else { return Ok(options) };
    if members.is_empty() {
        return Err(StartError::Config(
            "a join token was given (ACEFLEET_JOIN_TOKEN), and no member to go to with it: name some in ACEFLEET_JOIN".to_owned(),
        ));
    }
    let mut lacks = Vec::new();
    for address in members {
        let why = match enroll(Arc::clone(&ways), address, token, &options.node_name, own).await {
            Ok(secret) => return Ok(Options { secret: Some(secret), ..options }),
            Err(NotEnrolled::Refused(why)) => {
                return Err(StartError::Config(format!("{address} refuses: {why}")));
            }
            Err(NotEnrolled::Call(CallError::Refused(why))) => {
                return Err(StartError::Config(format!("{address} refuses the call: {why}")));
            }
            Err(NotEnrolled::Call(CallError::Unauthenticated(Unauthenticated::OtherSecret))) => format!(
                "the node at {address} does not know this join token, or not yet: it may be of another cluster, or its secret was changed since. \
                 If a repeat does not help, make a token with `acefleet token create` there"
            ),
            Err(NotEnrolled::Unknown(why)) => format!("the member at {address} cannot do it now: {why}"),
            Err(NotEnrolled::Call(why)) => format!(
                "no member answers at {address}: {why}. Name the cluster port of any running member (8001 unless it was \
                 changed, not the port of the API)"
            ),
        };
        lacks.push(why);
    }
    Err(StartError::Temporary(lacks.join("; ")))
}
