//! What is written of named keys and join tokens.

use serde::{Deserialize, Serialize};

use crate::records::access::KeyHash;
use crate::records::join_token::PublicKey;
use crate::records::key::{KeyName, Role};

/// A key to be made. Its text never leaves the node that makes it, but in the answer to who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateKey {
    /// What it is called.
    pub name: KeyName,
    /// What its callers may do.
    pub role: Role,
    /// By what it is recognised.
    pub hash: KeyHash,
    /// Milliseconds from now until it ends, in the time of day of the cluster. Without them it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// A token to be made. Its text never leaves the node that makes it, but in the answer to who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateJoinToken {
    /// Its public key.
    pub key: PublicKey,
    /// Milliseconds from now until it ends, in the time of day of the cluster.
    pub ttl_ms: u64,
    /// Nodes that may join with it.
    pub uses: u32,
}

/// A node that has proved to have a token, and a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseJoinToken {
    /// Public key of the token.
    pub token: PublicKey,
    /// Public key of the node.
    pub node: PublicKey,
    /// Name of the node.
    pub name: String,
}
