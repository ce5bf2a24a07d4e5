//! Tokens by which further nodes join. The registry never holds a token, only the public key of it.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::records::event::By;
use crate::records::time::{Elapsed, WallMs};

/// Tokens that a cluster has at the most, used ones included until they end.
pub const TOKENS_MAX: usize = 16;
/// Nodes that may join with one token at the most.
pub const USES_MAX: u32 = 100;
/// Longest life of a token in milliseconds: a week.
pub const TTL_MAX_MS: u64 = 604_800_000;
/// Bytes of the key that tell tokens apart for people.
const ID_BYTES: usize = 8;

/// What happened to a token. The words stand in the log and in the API, so they stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TokenCategory {
    /// It was made.
    JoinTokenCreated,
    /// A node got the secret of the cluster with it.
    JoinTokenUsed,
    /// It is good for nothing any more.
    JoinTokenRevoked,
}

/// The public key of a token (Ed25519), or of a node that uses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// What people call a token with this key.
    #[must_use]
    pub fn id(&self) -> TokenId {
        let mut id = [0; ID_BYTES];
        id.iter_mut().zip(self.0).for_each(|(to, byte)| *to = byte);
        TokenId(id)
    }
}

/// What people call a token: the first bytes of its public key, in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId([u8; ID_BYTES]);

/// A text that is not what tokens are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens are called by 16 hexadecimal digits, as `acefleet token ls` lists them")]
pub struct BadTokenId;

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for TokenId {
    type Err = BadTokenId;

    fn from_str(text: &str) -> Result<Self, BadTokenId> {
        if text.len() != 2 * ID_BYTES
            || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(BadTokenId);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| BadTokenId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl TryFrom<String> for TokenId {
    type Error = BadTokenId;

    fn try_from(text: String) -> Result<Self, BadTokenId> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        let mut text = Self::with_capacity(2 * ID_BYTES);
        // Writing to a string does not fail.
        let _ = write!(text, "{id}");
        text
    }
}

/// A token, beside its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// When it was made.
    pub created_at_ms: Elapsed,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<By>,
    /// The time of day of the cluster from which on it is good for nothing.
    pub ends_at: WallMs,
    /// Nodes that may use it.
    pub uses: u32,
    /// Names of those that have, by the keys that they proved. Each may come again with its key: its answer may have been lost.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    #[serde(deserialize_with = "crate::records::cautious::map")]
    pub used: OrdMap<PublicKey, String>,
}
