//! Where backups are kept.

use std::fmt::{self, Display, Formatter};

use acefleet_raft::backup::Made;

use super::bucket::Bucket;
use super::folder::Folder;
use super::keep::Kept;
use super::name::{Name, Owner};
use crate::config::BackupPlace;

/// Why a backup was not kept, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept(pub String);

impl Display for Unkept {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a backup was not written.
#[derive(Debug)]
pub enum Unwritten {
    /// The place has no room for it. Here it is for another attempt.
    Full(Box<Made>, Unkept),
    /// Anything else.
    Other(Unkept),
}

impl From<Unkept> for Unwritten {
    fn from(why: Unkept) -> Self {
        Self::Other(why)
    }
}

/// Where backups are kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a folder of this host.
    Folder(Folder),
    /// In a bucket.
    Bucket(Bucket),
}

impl Place {
    /// The place that the settings name.
    ///
    /// # Errors
    /// When the environment says something of a bucket that cannot be.
    pub fn of(place: &BackupPlace) -> Result<Self, Unkept> {
        match place {
            BackupPlace::Folder(path) => Ok(Self::Folder(Folder(path.clone()))),
            BackupPlace::Bucket { bucket, prefix } => {
                Bucket::of_environment(bucket, prefix).map(Self::Bucket)
            }
        }
    }

    /// The backups that are there.
    ///
    /// # Errors
    /// When the place is not there.
    pub async fn list(&self) -> Result<Vec<Kept>, Unkept> {
        match self.clone() {
            Self::Folder(folder) => blocking(move || folder.list()).await,
            Self::Bucket(bucket) => bucket.list().await,
        }
    }

    /// Writes a backup, whole or not at all.
    ///
    /// # Errors
    /// When the place does not take it.
    pub async fn write(&self, name: &Name, owner: &Owner, made: Made) -> Result<(), Unwritten> {
        let (name, owner) = (name.clone(), owner.clone());
        match self.clone() {
            Self::Folder(folder) => blocking(move || folder.write(&name, &owner, made)).await,
            Self::Bucket(bucket) => bucket.write(&name, made).await.map_err(Unwritten::Other),
        }
    }

    /// The first of these that reads back whole, and the bytes that are free beside it, if the place tells. Only a folder is ever full: buckets grow.
    pub async fn whole(&self, newest_first: Vec<Name>) -> Option<(Name, Option<u64>)> {
        match self.clone() {
            Self::Folder(folder) => blocking(move || folder.whole(newest_first)).await,
            Self::Bucket(_) => None,
        }
    }

    /// Deletes a backup.
    ///
    /// # Errors
    /// When the place does not let it go.
    pub async fn remove(&self, name: &Name) -> Result<(), Unkept> {
        let name = name.clone();
        match self.clone() {
            Self::Folder(folder) => blocking(move || folder.remove(&name)).await,
            Self::Bucket(bucket) => bucket.remove(&name).await,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    // The task panicked; the panic goes on here.
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
