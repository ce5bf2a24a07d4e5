//! Decides, before the first start, which cluster a node is to be in.

use std::sync::Arc;

use super::give_to_owner;
use crate::errors::StartError;
use crate::membership::join::{self, Door, Verdict};
use crate::options::{Options, check_address};
use crate::store::{DirLock, IdentityFile, MemberRecord};
use crate::transport::CALL_LIMIT;
use crate::transport::Wire;
use crate::transport::contacts::Contacts;
use crate::transport::proto::JoinKind;

/// A cluster that begins with the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialized {
    /// Its id.
    pub cluster_id: String,
    /// Id of its only node.
    pub node_id: u64,
}

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

/// Prepares a data directory for a new cluster of this node alone, which others can join. Blocks.
///
/// # Errors
/// [`StartError::Config`] when the directory belongs to a cluster already or cannot be used;
/// [`StartError::Temporary`] while a node runs on it.
pub fn init(options: &Options) -> Result<Initialized, StartError> {
    options.validate()?;
    let (_lock, identity) = unbound(options)?;
    let own = identity.load();
    let cluster_id = uuid::Uuid::new_v4().to_string();
    let alone =
        MemberRecord { id: own.node_id, name: own.node_name.clone(), address: options.advertise.clone() };
    let stored = identity.bind(&cluster_id, vec![alone]).and_then(|()| give_to_owner(&options.data_dir));
    stored.map_err(|error| not_stored(options, &error))?;
    Ok(Initialized { cluster_id, node_id: own.node_id })
}

/// Prepares a data directory for joining the cluster of the member at this address, after that member has
/// said that the node would be taken in. The node becomes a member when it starts.
///
/// # Errors
/// [`StartError::Config`] when the directory belongs to a cluster already or the cluster does not take the
/// node; [`StartError::Temporary`] when the member does not answer or runs no cluster yet. Nothing has changed.
pub async fn join(options: &Options, address: &str) -> Result<Joining, StartError> {
    options.validate()?;
    check_address("address to join", address)?;
    let blocking = options.clone();
    let (_lock, identity) = tokio::task::spawn_blocking(move || unbound(&blocking))
        .await
        .map_err(|e| StartError::Internal(format!("opening the directory panicked: {e}")))??;
    let identity = Arc::new(identity);
    let own = identity.load();
    let contacts = Arc::new(Contacts::new(options.timing.clone()));
    let wire = Wire::new(identity.clone(), contacts, options.version.clone(), options.level);
    let hello = wire.hello_once(address, &options.advertise, CALL_LIMIT).await.map_err(|error| {
        StartError::Temporary(format!(
            "no member answers at {address}: {error}. Name the cluster port of any running member (8001 unless it \
             was changed, not the port of the API)"
        ))
    })?;
    let cluster_id = match Door::judge(&own, address, &hello) {
        Door::Open(cluster_id) => cluster_id,
        Door::Closed(why) => return Err(StartError::Config(why)),
        Door::Later(why) => return Err(StartError::Temporary(format!("{why}: start it first"))),
    };
    let check = join::request(&own, &options.advertise, &wire, JoinKind::Check);
    match join::ask(&wire, address, check).await {
        Verdict::Yes => {}
        Verdict::No(why) => return Err(StartError::Config(format!("{} refuses: {why}", hello.name))),
        Verdict::Unknown(why) => return Err(StartError::Temporary(format!("{}: {why}", hello.name))),
    }
    // The one that was named may be gone when the node starts.
    let mut seeds = vec![address.to_owned()];
    seeds.extend(
        hello
            .members
            .iter()
            .map(|member| member.address.clone())
            .filter(|seed| check_address("address of a member", seed).is_ok() && seed != address),
    );
    let (id, dir) = (cluster_id.clone(), options.data_dir.clone());
    let stored = tokio::task::spawn_blocking(move || {
        identity.prepare_join(&id, seeds).and_then(|()| give_to_owner(&dir))
    });
    let stored = stored.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    stored.map_err(|error| not_stored(options, &error))?;
    let members = hello.members.into_iter().map(|member| member.name).collect();
    Ok(Joining { cluster_id, node_id: own.node_id, members })
}

/// The directory, locked, if it belongs to no cluster yet.
fn unbound(options: &Options) -> Result<(DirLock, IdentityFile), StartError> {
    let dir = &options.data_dir;
    let lock = DirLock::acquire(dir)?;
    let identity = IdentityFile::peek(dir, &options.node_name)?;
    let own = identity.load();
    match &own.cluster_id {
        None => Ok((lock, identity)),
        Some(cluster) => Err(StartError::Config(format!(
            "the data directory {} belongs to cluster {cluster} already, as node {} (id {}): `acefleet serve` runs it \
             there. For another cluster, take it out of that one, if it runs (acefleet leave), and empty the directory",
            dir.display(),
            own.node_name,
            own.node_id
        ))),
    }
}

fn not_stored(options: &Options, error: &std::io::Error) -> StartError {
    StartError::Config(format!(
        "the data directory {} cannot be written: {error}",
        options.data_dir.display()
    ))
}
