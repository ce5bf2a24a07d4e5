//! A new cluster of this node alone from a backup. The backup becomes the data directory of a survivor, with a snapshot far behind all that its cluster
//! can have written since, and that survivor is recovered. All of it happens beside the directory: a crash leaves one that no node starts on, or an
//! empty one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acefleet_registry::NodeId;

use super::recover::ask::ask;
use super::recover::{Answers, Asked, Said, alone, read};
use super::{give_to_owner, unbound};
use crate::backup::{Backup, Restorable};
use crate::errors::StartError;
use crate::options::Options;
use crate::snapshot::SnapshotDir;
use crate::store::{DirLock, Identity, IdentityFile, MARK_FILE, NODE_FILE, ROCKS_DIR, SNAPSHOT_DIR};
use crate::tls::enroll::NoTokens;
use crate::tls::node_key::OwnKey;
use crate::tls::{Door, kept};
use crate::types::{LogId, SnapshotMeta, StoredMembership};
use crate::util::files;

/// Below the data directory, until all of it is there.
const BESIDE: &str = "restoring";

/// A cluster that begins with the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Its id.
    pub cluster_id: String,
    /// Id of its only node.
    pub node_id: u64,
    /// Its first revision.
    pub revision: u64,
}

/// Who this node is in the cluster of the backup; none if it has no member of this name.
#[must_use]
pub fn own_place(options: &Options, backup: &Backup) -> Option<NodeId> {
    let named = backup.members().into_iter().find(|member| member.name == options.node_name);
    named.map(|member| member.id)
}

/// Asks the members of the backup's cluster whether they run, also the one whose place this node takes: it may run on another host. Takes at most four
/// seconds, and changes nothing.
///
/// # Errors
/// [`StartError::Config`] for wrong settings, [`StartError::Internal`] when this node cannot speak to any.
pub async fn ask_members(options: &Options, backup: &Backup) -> Result<Answers, StartError> {
    options.validate()?;
    let node_id = Identity::fresh(&options.node_name).node_id;
    let asker = Identity { node_id, ..identity(options, backup) };
    let asker = IdentityFile::foretold(&options.data_dir, asker);
    let mut asking = options.clone();
    let door = tokio::task::spawn_blocking(move || {
        if asking.secret.is_none() && kept::kept_secret(&asking.data_dir).ok().flatten().is_none() {
            // Members answer those who have theirs. Without it they still show that they are there.
            asking.secret = Some(kept::any()?);
        }
        Door::of(&asking, &OwnKey::any()?, || Ok(true), Arc::new(NoTokens))
    });
    let door = door.await.map_err(|e| StartError::Internal(format!("making a key panicked: {e}")))??;
    let mut answers = ask(options, &Arc::new(asker), &backup.members(), door).await;
    let own = own_place(options, backup);
    answers
        .members
        .retain(|Asked { member, said }| Some(member.id) != own || !matches!(said, Said::Nothing(_)));
    Ok(answers)
}

/// Why no second cluster should begin beside the first one, by the answers of its members.
#[must_use]
pub fn restore_objection(answers: &Answers) -> Option<String> {
    let member = answers.members.iter().find_map(|Asked { member, said }| match said {
        Said::Alive(_) | Said::Recovered(_) | Said::Unknown(_) => {
            Some(format!("{} at {} {said}", member.name, member.address))
        }
        Said::Other(_) | Said::Nothing(_) => None,
    });
    let elsewhere =
        || answers.elsewhere.first().map(|(address, who)| format!("somebody at {address}: {who}"));
    member.or_else(elsewhere)
}

/// Makes of an empty data directory that of the only member of a new cluster, with the state of the backup.
///
/// # Errors
/// [`StartError::Config`] when the directory is in use; [`StartError::Temporary`] while a node runs on it;
/// [`StartError::Internal`] when the disk does not take it.
pub async fn restore(options: &Options, backup: Restorable) -> Result<Restored, StartError> {
    options.validate()?;
    let dir = options.data_dir.clone();
    let beside = Options { data_dir: dir.join(BESIDE), ..options.clone() };
    let (lock, revision) = {
        let (options, beside) = (options.clone(), beside.clone());
        on_disk(move || {
            let lock = empty(&options)?;
            let revision = survivor(&beside, backup)?;
            Ok((lock, revision))
        })
        .await?
    };
    let recovery = read(&beside).await?;
    let node_id = recovery.node_id.0;
    let cluster_id = recovery.write().await?;
    on_disk(move || {
        moved(&beside.data_dir, &dir).map_err(|error| not_done(&dir, &error))?;
        drop(lock);
        Ok(())
    })
    .await?;
    Ok(Restored { cluster_id, node_id, revision })
}

/// The locked directory, if no node has ever run on it.
fn empty(options: &Options) -> Result<DirLock, StartError> {
    let dir = &options.data_dir;
    let (lock, _) = unbound(options)?;
    match [ROCKS_DIR, SNAPSHOT_DIR, MARK_FILE, NODE_FILE].iter().any(|name| dir.join(name).exists()) {
        true => Err(StartError::Config(format!(
            "a node has run on the data directory {}: move what it holds away, as a restore needs an empty one",
            dir.display()
        ))),
        false => Ok(lock),
    }
}

/// Who this node becomes: the member of its name, so that the engines of its host stay its own.
fn identity(options: &Options, backup: &Backup) -> Identity {
    let fresh = Identity::fresh(&options.node_name);
    Identity {
        node_id: own_place(options, backup).map_or(fresh.node_id, |id| id.0),
        cluster_id: Some(backup.header.cluster_id.clone()),
        former: backup.state.former_clusters().map(str::to_owned).collect(),
        ..fresh
    }
}

/// The directory of a node that has the state of the backup and nothing behind it. Returns the revision of that state.
fn survivor(options: &Options, backup: Restorable) -> Result<u64, StartError> {
    let dir = &options.data_dir;
    let revision = backup.first_revision((options.clock.0)().0);
    let (backup, last) = backup.into_parts();
    let own = identity(options, &backup);
    // Nodes that join get this snapshot. By the membership of the backup they would look for keys that went with the old directories.
    let membership = alone(options, own.node_id).map_err(|error| not_done(dir, &error))?;
    let identity = IdentityFile::foretold(dir, own);
    let mut state = backup.state;
    state.pass_over_events(revision);
    let meta = SnapshotMeta {
        last_log_id: Some(LogId { leader_id: last.leader_id, index: revision }),
        last_membership: StoredMembership::new(*backup.meta.last_membership.log_id(), membership),
    };
    let made = || {
        // What an earlier try left.
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(dir)
    };
    made().map_err(|error| not_done(dir, &error))?;
    let _lock = DirLock::acquire(dir)?;
    let stored = SnapshotDir::open(dir.join(SNAPSHOT_DIR), 1)
        .and_then(|snapshots| snapshots.store(&state, &meta, revision));
    stored.and_then(|_| identity.begin()).map_err(|error| not_done(dir, &error))?;
    Ok(revision)
}

/// Moves the finished directory into its place. Who the node is comes last: without it no node starts on the rest.
fn moved(beside: &Path, dir: &Path) -> io::Result<()> {
    for name in [SNAPSHOT_DIR, ROCKS_DIR, MARK_FILE, NODE_FILE] {
        fs::rename(beside.join(name), dir.join(name))?;
        files::sync_parent(&dir.join(name))?;
    }
    fs::remove_dir_all(beside)?;
    give_to_owner(dir)
}

fn not_done(dir: &Path, error: &io::Error) -> StartError {
    let dir: PathBuf = dir.into();
    StartError::Internal(format!(
        "the restore is not finished ({}: {error}): repair what it says, empty the data directory, and repeat it",
        dir.display()
    ))
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StartError::Internal(format!("the restore panicked: {error}")))?
}
