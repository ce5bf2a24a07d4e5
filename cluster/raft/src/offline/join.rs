//! Prepares a data directory for a place in a cluster that runs.

use std::sync::Arc;

use super::{give_to_owner, not_stored, unbound};
use crate::errors::StartError;
use crate::membership::enroll;
use crate::membership::join::{self, Greeting, JoinAnswer};
use crate::options::{Options, check_address};
use crate::tls::enroll::NoTokens;
use crate::tls::node_key::OwnKey;
use crate::tls::{Door, Unauthenticated, kept};
use crate::transport::contacts::Contacts;
use crate::transport::proto::JoinKind;
use crate::transport::{CALL_LIMIT, CallError, System, Wire};

/// A place in a cluster that is taken with the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// The cluster.
    pub cluster_id: String,
    /// Id of this node.
    pub node_id: u64,
    /// Names of the members now.
    pub members: Vec<String>,
}

/// Prepares a data directory for joining the cluster of the member at this address, which has agreed. The node becomes a member
/// when it starts.
///
/// # Errors
/// [`StartError::Config`] when the directory belongs to a cluster already or the cluster does not take the
/// node; [`StartError::Temporary`] when the member does not answer or runs no cluster yet. The directory belongs to no cluster then.
pub async fn join(options: &Options, address: &str) -> Result<Joining, StartError> {
    options.validate()?;
    check_address("address to join", address)?;
    let blocking = options.clone();
    let opened = move || {
        let (lock, identity) = unbound(&blocking)?;
        // Its own, so that a token that was used for it can be used again by it.
        let own = OwnKey::kept(&blocking.data_dir)?;
        give_to_owner(&blocking.data_dir).map_err(|error| not_stored(&blocking, &error))?;
        Ok::<_, StartError>((lock, identity, own, enroll::is_due(&blocking)?))
    };
    let panicked = |e| StartError::Internal(format!("opening the directory panicked: {e}"));
    let (_lock, identity, own_key, asks) = tokio::task::spawn_blocking(opened).await.map_err(panicked)??;
    let options = &match asks {
        true => {
            enroll::with_secret(Arc::new(System), options.clone(), &own_key, &[address.to_owned()]).await?
        }
        false => options.clone(),
    };
    let blocking = options.clone();
    let made = move || Door::of(&blocking, &own_key, || Ok(true), Arc::new(NoTokens));
    let door = tokio::task::spawn_blocking(made).await.map_err(panicked)??;
    let identity = Arc::new(identity);
    let own = identity.load();
    let contacts = Arc::new(Contacts::new(options.timing.clone()));
    let wire = Wire::new(door, identity.clone(), contacts, options.version.clone(), options.level);
    let hello = wire.hello_once(address, &options.advertise, CALL_LIMIT).await.map_err(|error| match error {
        CallError::Unauthenticated(Unauthenticated::OtherSecret) => StartError::Config(format!(
            "the node at {address} has another ACEFLEET_CLUSTER_SECRET than this one: give the one that `acefleet secret` prints on its host"
        )),
        error => StartError::Temporary(format!(
            "no member answers at {address}: {error}. Name the cluster port of any running member (8001 unless it \
             was changed, not the port of the API)"
        )),
    })?;
    let cluster_id = match Greeting::judge(&own, address, &hello) {
        Greeting::Open(cluster_id) => cluster_id,
        Greeting::Closed(why) => return Err(StartError::Config(why)),
        Greeting::Later(why) => return Err(StartError::Temporary(format!("{why}: start it first"))),
    };
    let check = join::request(&own, &options.advertise, &wire, JoinKind::Check);
    match join::ask(&wire, address, check).await {
        JoinAnswer::Yes => {}
        JoinAnswer::No(why) => return Err(StartError::Config(format!("{} refuses: {why}", hello.name))),
        JoinAnswer::Unknown(why) => return Err(StartError::Temporary(format!("{}: {why}", hello.name))),
    }
    // The named member may be gone when the node starts.
    let mut seeds = vec![address.to_owned()];
    seeds.extend(
        hello
            .members
            .iter()
            .map(|member| member.address.clone())
            .filter(|seed| check_address("address of a member", seed).is_ok() && seed != address),
    );
    let (id, dir, secret) = (cluster_id.clone(), options.data_dir.clone(), options.secret.clone());
    let stored = tokio::task::spawn_blocking(move || {
        // So that the node starts without the setting.
        let kept = secret.map_or(Ok(()), |secret| kept::keep(&dir, &secret));
        let prepared = kept.and_then(|()| identity.prepare_join(&id, seeds));
        // Also what was written before it failed.
        give_to_owner(&dir).and(prepared)
    });
    let stored = stored.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    stored.map_err(|error| not_stored(options, &error))?;
    let members = hello.members.into_iter().map(|member| member.name).collect();
    Ok(Joining { cluster_id, node_id: own.node_id, members })
}
