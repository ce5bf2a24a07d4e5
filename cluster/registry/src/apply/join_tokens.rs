//! Tokens by which nodes join: made, used, revoked.

use imbl::OrdMap;

use crate::apply::notes::{About, note, until};
use crate::apply::refused;
use crate::command::{CreateJoinToken, Proposal, UseJoinToken};
use crate::records::event::{By, EventType};
use crate::records::join_token::{JoinToken, TokenCategory, TokenId};
use crate::reply::{RefusalCode, Reply};
use crate::rules::join_tokens::{Use, end_of_new, may_use};
use crate::state::State;

pub(super) fn create(state: &mut State, new: &CreateJoinToken, proposal: &Proposal) -> Reply {
    let ends_at = match end_of_new(state, new) {
        Ok(ends_at) => ends_at,
        Err(why) => return refused(RefusalCode::TokenRefused, why.to_string()),
    };
    let now = state.wall(state.clock_ms());
    let live = |token: &JoinToken| now.is_none_or(|now| token.ends_at > now);
    let kept = state.tables.join_tokens.iter().filter(|(_, token)| live(token));
    state.tables.join_tokens = kept.map(|(key, token)| (*key, token.clone())).collect();
    let CreateJoinToken { key, uses, ttl_ms: _ } = new;
    let through = proposal.origin;
    let token = JoinToken {
        created_at_ms: state.clock_ms(),
        created_by: proposal.by.clone().map(|actor| By { actor, through }),
        ends_at,
        uses: *uses,
        used: OrdMap::new(),
    };
    state.tables.join_tokens.insert(*key, token);
    let nodes = if *uses == 1 { "one node".to_owned() } else { format!("{uses} nodes") };
    let message = format!("the join token {} was made for {nodes}, {}", key.id(), until(ends_at));
    note(state, EventType::System, TokenCategory::JoinTokenCreated.into(), message, About::cluster());
    Reply::Done
}

pub(super) fn used(state: &mut State, UseJoinToken { token, node, name }: &UseJoinToken) -> Reply {
    match may_use(state, token, node, state.wall(state.clock_ms())) {
        Err(why) => return refused(RefusalCode::TokenRefused, why.to_string()),
        Ok(Use::Again) => return Reply::Done,
        Ok(Use::First) => {}
    }
    if let Some(known) = state.tables.join_tokens.get_mut(token) {
        known.used.insert(*node, name.clone());
    }
    let message = format!("{name} got the secret of the cluster with the join token {}", token.id());
    note(state, EventType::System, TokenCategory::JoinTokenUsed.into(), message, About::cluster());
    Reply::Done
}

pub(super) fn revoke(state: &mut State, id: TokenId) -> Reply {
    let Some(key) = state.join_tokens().map(|(key, _)| *key).find(|key| key.id() == id) else {
        let message = format!("there is no join token {id}: `acefleet token ls` lists them");
        return refused(RefusalCode::NotFound, message);
    };
    state.tables.join_tokens.remove(&key);
    let message = format!("the join token {id} was revoked");
    note(state, EventType::System, TokenCategory::JoinTokenRevoked.into(), message, About::cluster());
    Reply::Done
}
