//! Keys of the API on this host: the files that hold them, and what is said about them at start. Whoever may read these files
//! may do everything, so nobody but the user of the node may.
//!
//! - `api.key`: the key of the cluster, on the node that made it and nowhere else
//! - `api.key.new`: a key that is being put into force
//! - `local.token`: lets commands on this host call this node; another one at each start

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

use acefleet_registry::address::join;
use acefleet_registry::{Access, Command, KeyHash};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Secret};
use crate::fleet::{Code, Fleet, FleetError};

const KEY: &str = "api.key";
const NEW_KEY: &str = "api.key.new";
const TOKEN: &str = "local.token";

/// What recognises a key.
#[must_use]
pub fn hash(key: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(key).into())
}

/// What the settings of a node say about who may call it, if anything.
#[must_use]
pub fn of_settings(config: &Config) -> Option<Access> {
    match &config.api_key {
        Some(key) => Some(Access::Key(hash(key.0.as_bytes()))),
        None => config.open.then_some(Access::Open),
    }
}

/// A text that nobody guesses: 180 random bits behind a prefix by which people and secret scanners know it.
fn random(prefix: &str) -> Secret {
    let (one, two) = (uuid::Uuid::new_v4().simple().to_string(), uuid::Uuid::new_v4().simple().to_string());
    Secret(format!("{prefix}_{one}{}", &two[..16]))
}

/// Makes the key of a cluster that this node forms, or returns the one that it made before. Blocks.
///
/// # Errors
/// When the file cannot be read or written.
pub fn make_key(data_dir: &Path) -> io::Result<KeyHash> {
    let path = data_dir.join(KEY);
    let key = match read(&path)? {
        Some(key) => key,
        None => {
            let key = random("acefleet");
            store(&path, &key)?;
            key
        }
    };
    Ok(hash(key.0.as_bytes()))
}

/// Keys in the files of this host, the likely one first. Blocks.
///
/// # Errors
/// When a file is there and cannot be read, with its path.
pub fn keys_here(data_dir: &Path) -> io::Result<Vec<Secret>> {
    let keys = [KEY, NEW_KEY].map(|name| read(&data_dir.join(name)));
    keys.into_iter().filter_map(Result::transpose).collect()
}

/// The token with which commands on this host call the node here. Blocks.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn token_here(data_dir: &Path) -> io::Result<Option<Secret>> {
    read(&data_dir.join(TOKEN))
}

/// Makes the token of this run of the node. Blocks.
///
/// # Errors
/// When the file cannot be written.
pub fn make_token(data_dir: &Path) -> io::Result<Secret> {
    let token = random("local");
    store(&data_dir.join(TOKEN), &token)?;
    Ok(token)
}

/// One new key at a time: a second one would overwrite the file of the first.
static REPLACING: Mutex<()> = Mutex::const_new(());

/// Puts a new key into force that only this host holds. Whatever breaks off, one of its two files has the key in force: one whose
/// fate is unknown is not overwritten, but put into force by the next call.
///
/// # Errors
/// When the files cannot be written, or the cluster does not take the new hash in time: repeat it.
pub async fn replace_key(fleet: &Fleet, deadline: Instant) -> Result<(), FleetError> {
    let Ok(_alone) = tokio::time::timeout_at(deadline.into(), REPLACING.lock()).await else {
        return Err(FleetError::Pending("another new key is being made: ask again".to_owned()));
    };
    let dir = fleet.config().data_dir.clone();
    let in_force = fleet.view().state.access();
    let begun = on_disk(&dir, move |dir| begin(dir, in_force)).await?;
    match fleet.write(Command::SetAccess(Access::Key(begun.key)), deadline).await {
        Ok(_) => on_disk(&dir, settle).await,
        Err(error) => {
            if begun.fresh
                && let FleetError::Write(cause) = &error
                && cause.is_known_not_applied()
            {
                on_disk(&dir, |dir| fs::remove_file(dir.join(NEW_KEY))).await?;
            }
            Err(error)
        }
    }
}

/// A key that is to be put into force.
struct Begun {
    key: KeyHash,
    /// No earlier call tried the same.
    fresh: bool,
}

/// Takes up the key that an earlier call left behind, unless it is in force by now; else makes one.
fn begin(dir: &Path, in_force: Option<Access>) -> io::Result<Begun> {
    if let Some(left) = read(&dir.join(NEW_KEY))? {
        let key = hash(left.0.as_bytes());
        if in_force != Some(Access::Key(key)) {
            return Ok(Begun { key, fresh: false });
        }
        settle(dir)?;
    }
    let key = random("acefleet");
    store(&dir.join(NEW_KEY), &key)?;
    Ok(Begun { key: hash(key.0.as_bytes()), fresh: true })
}

/// The new key is in force.
fn settle(dir: &Path) -> io::Result<()> {
    fs::rename(dir.join(NEW_KEY), dir.join(KEY))?;
    File::open(dir)?.sync_all()
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
        message: format!("the key could not be kept in {}: {error}", dir.display()),
    })
}

fn read(path: &Path) -> io::Result<Option<Secret>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Secret(text.trim().to_owned())).filter(|key| !key.0.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// Written beside, synced, renamed; never readable by others, not even for a moment.
fn store(path: &Path, secret: &Secret) -> io::Result<()> {
    let said = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(said(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary).map_err(said)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(said)?;
    writeln!(file, "{}", secret.0).and_then(|()| file.sync_all()).map_err(said)?;
    fs::rename(&temporary, path).map_err(said)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Says, once the rule of the cluster is known, who may call this node.
pub async fn announce(fleet: Fleet, cancel: CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => return,
        () = fleet.cluster().recovered() => {}
    }
    // A terminal that is stopped takes nothing, and would stop whoever writes to it.
    let said = tokio::task::spawn_blocking(move || {
        let keys = keys_here(&fleet.config().data_dir).unwrap_or_default();
        tell(fleet.config(), fleet.view().state.access(), &keys);
    });
    // A panic has been reported where it happened.
    let _ = said.await;
}

fn tell(config: &Config, of_cluster: Option<Access>, keys: &[Secret]) {
    let settings = of_settings(config);
    match (settings, of_cluster) {
        (Some(Access::Open), _) => {
            tracing::warn!("ACEFLEET_OPEN=true: everybody who reaches this node may start and stop engines");
        }
        (Some(Access::Key(own)), Some(Access::Key(known))) if own != known => tracing::warn!(
            "API_KEY of this node is not the key of the cluster, which nodes without API_KEY ask for: this node takes its \
             own; give all nodes the same API_KEY"
        ),
        (Some(Access::Key(_)), _) => {}
        (None, None) => tracing::warn!(
            "the API is open: this cluster was formed without a key, and everybody who reaches a node may start and stop \
             engines; `acefleet key --new` gives it one, ACEFLEET_OPEN=true says that this is meant"
        ),
        (None, Some(Access::Open)) => tracing::warn!(
            "the API is open, as the cluster was formed with ACEFLEET_OPEN=true: everybody who reaches a node may start and \
             stop engines; `acefleet key --new` gives it a key"
        ),
        (None, Some(Access::Key(known))) => match keys.iter().find(|key| hash(key.0.as_bytes()) == known) {
            Some(key) if io::stderr().is_terminal() => show(config, key),
            Some(_) => {
                tracing::info!("callers need the key of the cluster: `acefleet key` on this host shows it")
            }
            None => tracing::info!(
                "callers need the key of the cluster: `acefleet key` shows it on the node that made it, and \
                     `acefleet key --new` on any node makes another one"
            ),
        },
    }
}

/// On a terminal, and nowhere else: logs are kept and sent around.
fn show(config: &Config, key: &Secret) {
    let port = config.http_bind.port();
    let host = match config.http_bind.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        ip => ip.to_string(),
    };
    let url = format!("http://{}", join(&host, port));
    // If nobody sees it, `acefleet key` shows it.
    let _ = writeln!(io::stderr(), "\n  API:  {url}\n  key:  {}\n  docs: {url}/docs\n", key.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_plain_and_never_the_same() {
        let (one, two) = (random("acefleet").0, random("acefleet").0);
        assert_ne!(one, two);
        assert!(one.starts_with("acefleet_") && one.len() == "acefleet_".len() + 48, "{one}");
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{one}");
        assert_eq!(crate::config::docker::key(&one), Ok(one.clone()));
    }

    #[test]
    fn a_key_is_made_once_and_for_one_reader() {
        let dir = tempfile::tempdir().unwrap();
        let made = make_key(dir.path()).unwrap();
        assert_eq!(
            make_key(dir.path()).unwrap(),
            made,
            "a formation that broke off goes on with the same key"
        );
        let keys = keys_here(dir.path()).unwrap();
        assert_eq!((keys.len(), hash(keys[0].0.as_bytes())), (1, made));
        make_token(dir.path()).unwrap();
        assert_ne!(make_token(dir.path()).unwrap(), make_token(dir.path()).unwrap());
        for file in [KEY, TOKEN] {
            let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_new_key_whose_fate_is_unknown_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let first = begin(dir.path(), None).unwrap();
        assert!(first.fresh);
        let again = begin(dir.path(), None).unwrap();
        assert_eq!((again.key, again.fresh), (first.key, false), "it may yet be put into force");
        let next = begin(dir.path(), Some(Access::Key(first.key))).unwrap();
        assert!(next.fresh && next.key != first.key);
        let here: Vec<KeyHash> =
            keys_here(dir.path()).unwrap().iter().map(|key| hash(key.0.as_bytes())).collect();
        assert_eq!(here, [first.key, next.key], "the key in force and the one to come");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(KEY)).unwrap();
        assert!(make_key(dir.path()).unwrap_err().to_string().contains("api.key"));
        assert!(keys_here(dir.path()).unwrap_err().to_string().contains("api.key"));
        assert_eq!(token_here(dir.path()).unwrap(), None);
    }
}
