//! The secret that the nodes of a cluster share. Whoever has it may speak to the cluster port; it is never sent.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

/// Shortest secret, in bytes: `openssl rand -hex 32` makes 64.
const SHORTEST: usize = 32;
/// Longest, in bytes.
const LONGEST: usize = 1_024;
/// Different bytes of a secret at least: 32 random hexadecimal digits have fewer than that once in ten million times.
const DIFFERENT: usize = 8;
/// What keys of this purpose are derived with. Other purposes and later schemes get other keys.
const SALT: &[u8] = b"acefleet cluster port v1";

pub(super) struct Seed;

impl KeyType for Seed {
    fn len(&self) -> usize {
        32
    }
}

/// The secret of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(Arc<Zeroizing<Vec<u8>>>);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// It can be guessed.
    #[error("it has {0} bytes and needs at least {SHORTEST}: make one with `openssl rand -hex 32`")]
    Short(usize),
    /// Shells, units and files read it differently.
    #[error(
        "it has a blank or a character that is not printable ASCII in it: make one with `openssl rand -hex 32`"
    )]
    Odd,
    /// It is no secret but something else.
    #[error("it has {0} bytes, more than {LONGEST}: make one with `openssl rand -hex 32`")]
    Long(usize),
    /// It can be guessed.
    #[error(
        "it consists of {0} different characters, so it can be guessed: make one with `openssl rand -hex 32`"
    )]
    Plain(usize),
}

impl ClusterSecret {
    /// The secret that this text is; blanks around it do not count.
    ///
    /// # Errors
    /// [`WeakSecret`], with a command that makes a good one.
    pub fn parse(text: &str) -> Result<Self, WeakSecret> {
        let bytes = text.trim().as_bytes();
        let different = bytes.iter().collect::<BTreeSet<_>>().len();
        match bytes.len() {
            short if short < SHORTEST => Err(WeakSecret::Short(short)),
            long if long > LONGEST => Err(WeakSecret::Long(long)),
            _ if !bytes.iter().all(u8::is_ascii_graphic) => Err(WeakSecret::Odd),
            _ if different < DIFFERENT => Err(WeakSecret::Plain(different)),
            _ => Ok(Self(Arc::new(Zeroizing::new(bytes.to_vec())))),
        }
    }

    /// The secret itself, to write it where nobody else reads.
    pub fn exposed(&self) -> &[u8] {
        &self.0
    }

    /// The seed of the key with which nodes prove to each other that they have the secret.
    ///
    /// # Errors
    /// Never for this length.
    pub(super) fn seed(&self) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
        let mut seed = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, SALT).extract(&self.0).expand(&[b"ed25519"], Seed)?.fill(&mut *seed)?;
        Ok(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_refused_with_a_command() {
        for (text, weak) in [
            ("", WeakSecret::Short(0)),
            ("  0123456789abcdef0123456789abcde\n", WeakSecret::Short(31)),
            (&"x".repeat(2_000), WeakSecret::Long(2_000)),
            (&"abc".repeat(20), WeakSecret::Plain(3)),
            ("0123456789abcdef 0123456789abcdef", WeakSecret::Odd),
            ("0123456789abcdef0123456789abcd\u{e9}f", WeakSecret::Odd),
        ] {
            assert_eq!(ClusterSecret::parse(text).unwrap_err(), weak);
            assert!(weak.to_string().contains("openssl rand -hex 32"));
        }
    }

    #[test]
    fn blanks_do_not_count_and_each_secret_has_its_own_key() {
        let secret = |text: &str| ClusterSecret::parse(text).unwrap();
        let (one, other) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdeg");
        let seed = |text: &str| *secret(text).seed().unwrap();
        assert_eq!(seed(one), seed(&format!(" {one}\n")));
        assert_ne!(seed(one), seed(other));
        assert!(!format!("{:?}", secret(one)).contains("0123"));
    }
}
