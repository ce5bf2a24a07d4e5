//! Whether a key may be made.

use crate::command::CreateKey;
use crate::records::access::Access;
use crate::records::key::{KEYS_MAX, KeyName};
use crate::records::time::WallMs;
use crate::state::State;

/// Why a key is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// Another key has the name, be it an ended one.
    #[error("there is a key {0} already: choose another name, or revoke it first")]
    Taken(KeyName),
    /// It could not be told apart from another one.
    #[error("the key {0} is this one: make a new one")]
    Known(KeyName),
    /// It could not be told apart from the key of the cluster.
    #[error("this is the API key of the cluster: make a new one")]
    IsTheClusters,
    /// There are as many as there may be.
    #[error("the cluster has {KEYS_MAX} keys, and no more: revoke one first; `acefleet key ls` lists them")]
    TooMany,
    /// It is to end, and nobody has said what time it is.
    #[error("the cluster does not know the time of day yet, so no key can have an end: retry in a moment")]
    NoTime,
}

/// When the key will end, if it does.
///
/// # Errors
/// Why it cannot be made.
pub fn end_of_new(state: &State, new: &CreateKey) -> Result<Option<WallMs>, NoKey> {
    if state.key(&new.name).is_some() {
        return Err(NoKey::Taken(new.name.clone()));
    }
    if let Some((name, _)) = state.keys().find(|(_, key)| key.hash == new.hash) {
        return Err(NoKey::Known(name.clone()));
    }
    if state.access() == Some(Access::Key(new.hash)) {
        return Err(NoKey::IsTheClusters);
    }
    if state.keys().count() >= KEYS_MAX {
        return Err(NoKey::TooMany);
    }
    let Some(ttl_ms) = new.ttl_ms else { return Ok(None) };
    let now = state.wall(state.clock_ms()).ok_or(NoKey::NoTime)?;
    Ok(Some(WallMs(now.0.saturating_add(ttl_ms))))
}
