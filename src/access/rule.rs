//! What the settings of a node say about who may call it.

use acefleet_registry::{Access, KeyHash};
use sha2::{Digest, Sha256};

use crate::config::Config;

/// The hash by which a key is recognised.
#[must_use]
pub fn hash(key: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(key).into())
}

/// What the settings of a node say about who may call it, if anything.
#[must_use]
pub fn of_settings(config: &Config) -> Option<Access> {
    match &config.api_key {
        Some(key) => Some(Access::Key(hash(key.exposed().as_bytes()))),
        None => config.open.then_some(Access::Open),
    }
}
