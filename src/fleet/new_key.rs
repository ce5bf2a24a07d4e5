//! Another key for the cluster, which only this host holds.

use std::io;
use std::path::Path;
use std::time::Instant;

use acefleet_registry::{Access, Command};
use tokio::sync::Mutex;

use crate::access::{self, NewKey};
use crate::fleet::{Code, Fleet, FleetError};

/// One new key at a time: a second one would overwrite the file of the first.
static REPLACING: Mutex<()> = Mutex::const_new(());

/// Puts a new key into force that only this host holds. After a failure one of the two files holds the key in force. The next call
/// completes an unfinished change.
///
/// # Errors
/// When the files cannot be written, or the cluster does not take the new hash in time: repeat it.
pub(crate) async fn replace_key(fleet: &Fleet, deadline: Instant) -> Result<(), FleetError> {
    let Ok(_alone) = tokio::time::timeout_at(deadline.into(), REPLACING.lock()).await else {
        return Err(FleetError::Pending("another new key is being made: ask again".to_owned()));
    };
    let dir = fleet.config().data_dir.clone();
    let in_force = fleet.view().state.access();
    let NewKey { hash, fresh } = on_disk(&dir, move |dir| access::new_key(dir, in_force)).await?;
    match fleet.write(Command::SetAccess(Access::Key(hash)), deadline).await {
        Ok(_) => on_disk(&dir, access::keep_new_key).await,
        Err(error) => {
            if fresh
                && let FleetError::Write(cause) = &error
                && cause.is_known_not_applied()
            {
                on_disk(&dir, access::drop_new_key).await?;
            }
            Err(error)
        }
    }
}

async fn on_disk<T: Send + 'static>(
    dir: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, FleetError> {
    let at = dir.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&at)).await;
    let error = match done {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Err(FleetError::Failed {
        code: Code::NotStored,
        message: format!("the key could not be stored in {}: {error}", dir.display()),
    })
}
