//! The secret that a node keeps in its data directory: one that was given, else one that it makes while it is alone, so that its cluster port is
//! closed to all others.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::secret::ClusterSecret;
use crate::errors::StartError;
use crate::options::Options;
use crate::store::{self, Act};
use crate::util::files;

/// In the data directory. Whoever reads it may speak on the cluster port.
const FILE: &str = "cluster.secret";

/// The secret with which this node speaks to others. `has_others`: there are some, whatever the settings say. Blocks.
///
/// # Errors
/// [`StartError::Config`] for a node that has to speak to others and was given none.
pub(crate) fn secret(
    options: &Options,
    has_others: impl FnOnce() -> Result<bool, StartError>,
) -> Result<ClusterSecret, StartError> {
    let path = options.data_dir.join(FILE);
    let unusable = |error: io::Error| store::unusable(&path, Act::Use, &error);
    if let Some(secret) = &options.secret {
        return Ok(secret.clone());
    }
    let parsed = |text: &str| {
        ClusterSecret::parse(text).map_err(|error| StartError::Config(format!("{}: {error}", path.display())))
    };
    match fs::read_to_string(&path) {
        Ok(text) => parsed(&Zeroizing::new(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if has_known_others(options) || has_others()? {
                return Err(StartError::Config(MISSING.to_owned()));
            }
            let secret = parsed(&made().map_err(unusable)?)?;
            keep(&options.data_dir, &secret).map_err(unusable)?;
            Ok(secret)
        }
        Err(error) => Err(unusable(error)),
    }
}

/// Keeps the secret that a node was given, with which it runs from now on: it counts without the setting, too, and for the command that
/// shows it. Blocks.
pub(crate) fn keep_given(options: &Options) -> Result<(), StartError> {
    let Some(given) = &options.secret else { return Ok(()) };
    let path = options.data_dir.join(FILE);
    let unusable = |error: io::Error| store::unusable(&path, Act::Use, &error);
    let kept = kept_secret(&options.data_dir).map_err(unusable)?;
    match kept.is_some_and(|kept| kept.as_bytes() == given.exposed()) {
        true => Ok(()),
        false => keep(&options.data_dir, given).map_err(unusable),
    }
}

/// A secret that nobody else has, and that is not kept.
///
/// # Errors
/// [`StartError::Internal`] when this host gives no random numbers.
pub(crate) fn any() -> Result<ClusterSecret, StartError> {
    let failed =
        |error: &dyn std::fmt::Display| StartError::Internal(format!("no secret can be made: {error}"));
    ClusterSecret::parse(&made().map_err(|error| failed(&error))?).map_err(|error| failed(&error))
}

/// Keeps a secret in a data directory, readable for its owner alone. Blocks.
pub(crate) fn keep(data_dir: &Path, secret: &ClusterSecret) -> io::Result<()> {
    files::write_atomically_for_owner(&data_dir.join(FILE), secret.exposed())
}

fn has_known_others(options: &Options) -> bool {
    options.peers.len() > 1 || !options.join.is_empty()
}

/// Why a node with these settings does not start, if it needs a secret and has none. Blocks.
pub fn missing_secret(options: &Options) -> Option<&'static str> {
    let is_missing = options.secret.is_none()
        && options.join_token.is_none()
        && has_known_others(options)
        && !options.data_dir.join(FILE).exists();
    is_missing.then_some(MISSING)
}

/// What a node without one says.
const MISSING: &str = "ACEFLEET_CLUSTER_SECRET is missing: nodes prove to each other that they belong to the cluster by a secret that all of them \
    have. To join, take a token of `acefleet token create` on a member (ACEFLEET_JOIN_TOKEN), or the secret, which `acefleet secret` prints on the host of a running node; for a new cluster make one with \
    `openssl rand -hex 32`. ACEFLEET_CLUSTER_SECRET_FILE names a file that holds it";

/// 256 random bits, as `openssl rand -hex 32` writes them.
fn made() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| io::Error::other("this host gives no random numbers"))?;
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes.iter() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// The secret with which the node with this data directory ran last, or joined; none before. Blocks.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn kept_secret(data_dir: &Path) -> io::Result<Option<Zeroizing<String>>> {
    match fs::read_to_string(data_dir.join(FILE)) {
        Ok(text) => Ok(Some(Zeroizing::new(text.trim().to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::options::Peer;

    fn options(dir: &Path) -> Options {
        Options::new(dir.to_owned(), "a".into(), "a:8001".into())
    }

    #[test]
    fn a_node_alone_makes_a_secret_once_that_only_its_user_reads() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(kept_secret(dir.path()).unwrap(), None);
        secret(&options(dir.path()), || Ok(false)).unwrap();
        let first = kept_secret(dir.path()).unwrap().unwrap();
        secret(&options(dir.path()), || Ok(true)).unwrap();
        assert_eq!(kept_secret(dir.path()).unwrap(), Some(first.clone()));
        assert_eq!(first.len(), 64);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_node_that_has_others_to_speak_to_must_be_given_one() {
        let dir = tempfile::tempdir().unwrap();
        let peer = |name: &str| Peer { name: name.into(), addr: format!("{name}:8001") };
        let formed = Options { peers: vec![peer("a"), peer("b")], ..options(dir.path()) };
        let joined = Options { join: vec!["b:8001".into()], ..options(dir.path()) };
        for (options, has_others) in [(formed, false), (joined, false), (options(dir.path()), true)] {
            let refused = secret(&options, || Ok(has_others)).unwrap_err().to_string();
            assert!(refused.contains("openssl rand -hex 32"), "{refused}");
            let given = ClusterSecret::parse("0123456789abcdef0123456789abcdef").unwrap();
            let with = |given| Options { secret: Some(given), ..options.clone() };
            secret(&with(given.clone()), || Ok(has_others)).unwrap();
            assert_eq!(kept_secret(dir.path()).unwrap(), None, "who only asks keeps nothing");
            keep_given(&with(given)).unwrap();
            // From now on it needs no setting.
            secret(&options, || Ok(has_others)).unwrap();
            let new = ClusterSecret::parse("fedcba9876543210fedcba9876543210").unwrap();
            keep_given(&with(new)).unwrap();
            assert!(kept_secret(dir.path()).unwrap().unwrap().starts_with("fedcba"));
            fs::remove_file(dir.path().join(FILE)).unwrap();
        }
        let alone = Options { peers: vec![peer("a")], ..options(dir.path()) };
        secret(&alone, || Ok(false)).unwrap();
    }

    #[test]
    fn a_damaged_file_is_told_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "short").unwrap();
        let refused = secret(&options(dir.path()), || Ok(false)).unwrap_err().to_string();
        assert!(refused.contains("cluster.secret") && refused.contains("5 bytes"), "{refused}");
    }
}
