//! The key of one node. The secret says that somebody is a node of the cluster; this says which. It is made once, never leaves the data
//! directory, and the cluster notes its public half in the list of members.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use acefleet_registry::join_token::PublicKey;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::errors::StartError;
use crate::store::{self, Act};
use crate::util::files;

/// In the data directory. Whoever reads it, and has the secret, may speak for this node.
const FILE: &str = "node.key";
/// DER of a public Ed25519 key (RFC 8410) up to its 32 bytes.
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Bytes that people compare.
const SHOWN_BYTES: usize = 8;

/// The public key of a node (Ed25519).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// The key in the DER of a certificate; none for a key of another kind.
    pub(super) fn of_der(der: &[u8]) -> Option<Self> {
        der.strip_prefix(&SPKI_ED25519)?.try_into().ok().map(Self)
    }

    /// The key of these bytes, as nodes send it; none for any other number of bytes.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The same for the registry.
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.0)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(crate) fn of_test(byte: u8) -> Self {
        Self([byte; 32])
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(SHOWN_BYTES).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({self})")
    }
}

/// The key of this node: PKCS #8 (RFC 8410).
pub(crate) struct OwnKey(pub(super) Zeroizing<Vec<u8>>);

impl OwnKey {
    /// A key that is not kept, for a program that asks and is no member.
    ///
    /// # Errors
    /// [`StartError::Internal`] when this host gives no random numbers.
    pub fn any() -> Result<Self, StartError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| StartError::Internal("this host gives no random numbers".to_owned()))?;
        Ok(Self(Zeroizing::new(made.as_ref().to_vec())))
    }

    /// The public half: there is one of every key that was made or read here.
    pub(super) fn public(&self) -> Option<NodeKey> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.0).ok()?;
        NodeKey::of_bytes(pair.public_key().as_ref())
    }

    /// The key of the node with this data directory, which is made when there is none. Blocks.
    ///
    /// # Errors
    /// [`StartError::Config`] for a file that is no key; otherwise when the disk does not take it.
    pub fn kept(data_dir: &Path) -> Result<Self, StartError> {
        let path = data_dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                match Ed25519KeyPair::from_pkcs8(&bytes) {
                    Ok(_) => Ok(Self(bytes)),
                    Err(why) => Err(StartError::Config(format!(
                        "{} is damaged ({why}): restore it. Without it, remove this node from the cluster and let it join with an \
                         empty data directory",
                        path.display()
                    ))),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Self::any()?;
                files::write_atomically_for_owner(&path, &made.0)
                    .map_err(|error| store::unusable(&path, Act::Sync, &error))?;
                Ok(made)
            }
            Err(error) => Err(store::unusable(&path, Act::Use, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_node_keeps_the_key_that_it_made_where_only_its_user_reads() {
        let dir = tempfile::tempdir().unwrap();
        let made = OwnKey::kept(dir.path()).unwrap();
        assert_eq!(*made.0, *OwnKey::kept(dir.path()).unwrap().0);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(*made.0, *OwnKey::any().unwrap().0);
    }

    #[test]
    fn a_damaged_key_is_told_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        OwnKey::kept(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(40);
        fs::write(&path, bytes).unwrap();
        let refused = OwnKey::kept(dir.path()).err().unwrap();
        assert_eq!(refused.exit_code(), 64);
        assert!(refused.to_string().contains("node.key is damaged"), "{refused}");
    }
}
