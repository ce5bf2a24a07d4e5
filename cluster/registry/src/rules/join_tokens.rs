//! Whether a token may be made, and whether a node may join with one.

use crate::command::CreateJoinToken;
use crate::records::join_token::{JoinToken, PublicKey, TOKENS_MAX, TTL_MAX_MS, TokenId, USES_MAX};
use crate::records::time::WallMs;
use crate::state::State;

/// Why a token is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// It could not be told apart from another one.
    #[error("there is a token {0} already: make another one")]
    Known(TokenId),
    /// There are as many as there may be.
    #[error(
        "the cluster has {TOKENS_MAX} join tokens, and no more: revoke one, or wait until one ends; `acefleet token ls` lists them"
    )]
    TooMany,
    /// It would let in no node, or too many.
    #[error("a token lets 1 to {USES_MAX} nodes join")]
    Uses,
    /// It would last for too long.
    #[error("a token lasts for a week at the most")]
    TooLong,
    /// Nobody has said what time it is.
    #[error("the cluster does not know the time of day yet, so no token can have an end: retry in a moment")]
    NoTime,
}

/// When the token will end.
///
/// # Errors
/// Why it cannot be made.
pub fn end_of_new(state: &State, new: &CreateJoinToken) -> Result<WallMs, NoToken> {
    if let Some((key, _)) = state.join_tokens().find(|(key, _)| key.id() == new.key.id()) {
        return Err(NoToken::Known(key.id()));
    }
    if !(1..=USES_MAX).contains(&new.uses) {
        return Err(NoToken::Uses);
    }
    if new.ttl_ms > TTL_MAX_MS {
        return Err(NoToken::TooLong);
    }
    let now = state.wall(state.clock_ms()).ok_or(NoToken::NoTime)?;
    if state.join_tokens().filter(|(_, token)| token.ends_at > now).count() >= TOKENS_MAX {
        return Err(NoToken::TooMany);
    }
    Ok(WallMs(now.0.saturating_add(new.ttl_ms)))
}

/// What the use of a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The first of this node.
    First,
    /// The node has used it before: the answer may not have reached it.
    Again,
}

/// Why nobody joins with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoUse {
    /// It was revoked, or it is a token of another cluster.
    #[error(
        "the cluster does not know this join token, or not any more: make one with `acefleet token create`"
    )]
    Unknown,
    /// Its time is over.
    #[error("the join token {0} has ended: make one with `acefleet token create`")]
    Ended(TokenId),
    /// As many nodes as it lets in have used it.
    #[error(
        "the join token {0} is used up: make one with `acefleet token create`, or let it count for more nodes with `--uses`"
    )]
    UsedUp(TokenId),
}

/// Whether the node with this key may join with a token, at this time of day of the cluster.
///
/// # Errors
/// Why not.
pub fn may_use(
    state: &State,
    token: &PublicKey,
    node: &PublicKey,
    now: Option<WallMs>,
) -> Result<Use, NoUse> {
    let Some(JoinToken { ends_at, uses, used, .. }) = state.join_token(token) else {
        return Err(NoUse::Unknown);
    };
    // A token has an end, so its cluster knows the time of day.
    if now.is_none_or(|now| *ends_at <= now) {
        return Err(NoUse::Ended(token.id()));
    }
    match used.contains_key(node) {
        true => Ok(Use::Again),
        false if used.len() < *uses as usize => Ok(Use::First),
        false => Err(NoUse::UsedUp(token.id())),
    }
}
