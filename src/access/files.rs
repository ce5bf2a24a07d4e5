//! Keys of the API in files of this host. A reader of these files may do everything, so only the user of the node can read them.
//!
//! - `api.key`: the key of the cluster, on the node that made it and nowhere else
//! - `api.key.new`: a key that is being put into force
//! - `local.token`: lets commands on this host call this node; another one at each start

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use acefleet_registry::{Access, KeyHash};
use zeroize::Zeroizing;

use crate::access::hash;
use crate::config::Secret;

const KEY: &str = "api.key";
const NEW_KEY: &str = "api.key.new";
const TOKEN: &str = "local.token";

/// A secret: a prefix that people and secret scanners recognise, and 180 random bits.
fn random(prefix: &str) -> Secret {
    let half = || Zeroizing::new(uuid::Uuid::new_v4().simple().to_string());
    let (one, two) = (half(), half());
    Secret::new(format!("{prefix}_{}{}", *one, &two[..16]))
}

/// A key that nobody has had before.
pub(crate) fn fresh_key() -> Secret {
    random("acefleet")
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
            let key = fresh_key();
            store(&path, &key)?;
            key
        }
    };
    Ok(hash(key.exposed().as_bytes()))
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

/// A key that is to be put into force.
pub(crate) struct NewKey {
    /// Its hash.
    pub hash: KeyHash,
    /// No earlier call tried to put it into force.
    pub fresh: bool,
}

/// The new key of an earlier call that may yet come into force, or else a fresh one. Blocks.
pub(crate) fn new_key(dir: &Path, in_force: Option<Access>) -> io::Result<NewKey> {
    if let Some(left) = read(&dir.join(NEW_KEY))? {
        let hash = hash(left.exposed().as_bytes());
        if in_force != Some(Access::Key(hash)) {
            return Ok(NewKey { hash, fresh: false });
        }
        keep_new_key(dir)?;
    }
    let key = fresh_key();
    store(&dir.join(NEW_KEY), &key)?;
    Ok(NewKey { hash: hash(key.exposed().as_bytes()), fresh: true })
}

/// The new key is in force: its file takes the place of the old one. Blocks.
pub(crate) fn keep_new_key(dir: &Path) -> io::Result<()> {
    fs::rename(dir.join(NEW_KEY), dir.join(KEY))?;
    File::open(dir)?.sync_all()
}

/// The new key did not come into force and never will. Blocks.
pub(crate) fn drop_new_key(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join(NEW_KEY))
}

fn read(path: &Path) -> io::Result<Option<Secret>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            Ok(Some(text.trim()).filter(|key| !key.is_empty()).map(|key| Secret::new(key.to_owned())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// Writes a temporary file, syncs and renames it. Others can read it at no moment.
fn store(path: &Path, secret: &Secret) -> io::Result<()> {
    let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(with_path(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary).map_err(with_path)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(with_path)?;
    writeln!(file, "{}", secret.exposed()).and_then(|()| file.sync_all()).map_err(with_path)?;
    fs::rename(&temporary, path).map_err(with_path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_plain_and_never_the_same() {
        let (one, two) = (random("acefleet"), random("acefleet"));
        let (one, two) = (one.exposed(), two.exposed());
        assert_ne!(one, two);
        assert!(one.starts_with("acefleet_") && one.len() == "acefleet_".len() + 48, "{one}");
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{one}");
        assert_eq!(crate::config::docker::key(one), Ok(one.to_owned()));
    }

    #[test]
    fn a_key_is_made_once_and_only_its_user_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = make_key(dir.path()).unwrap();
        assert_eq!(make_key(dir.path()).unwrap(), made, "an interrupted formation goes on with the same key");
        let keys = keys_here(dir.path()).unwrap();
        assert_eq!((keys.len(), hash(keys[0].exposed().as_bytes())), (1, made));
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
        let first = new_key(dir.path(), None).unwrap();
        assert!(first.fresh);
        let again = new_key(dir.path(), None).unwrap();
        assert_eq!((again.hash, again.fresh), (first.hash, false), "it may yet be put into force");
        let next = new_key(dir.path(), Some(Access::Key(first.hash))).unwrap();
        assert!(next.fresh && next.hash != first.hash);
        let here: Vec<KeyHash> =
            keys_here(dir.path()).unwrap().iter().map(|key| hash(key.exposed().as_bytes())).collect();
        assert_eq!(here, [first.hash, next.hash], "the key in force and the one to come");
    }

    #[test]
    fn unreadable_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(KEY)).unwrap();
        assert!(make_key(dir.path()).unwrap_err().to_string().contains("api.key"));
        assert!(keys_here(dir.path()).unwrap_err().to_string().contains("api.key"));
        assert_eq!(token_here(dir.path()).unwrap(), None);
    }
}
