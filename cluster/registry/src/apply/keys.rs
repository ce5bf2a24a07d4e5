//! Named keys: made and revoked. The keys themselves are nobody's business.

use crate::apply::notes::{About, note, until};
use crate::apply::refused;
use crate::command::{CreateKey, Proposal};
use crate::records::event::{By, EventType};
use crate::records::key::{KeyCategory, KeyName, NamedKey};
use crate::reply::{RefusalCode, Reply};
use crate::rules::keys;
use crate::state::State;

pub(super) fn create(state: &mut State, new: &CreateKey, proposal: &Proposal) -> Reply {
    let ends_at = match keys::end_of_new(state, new) {
        Ok(ends_at) => ends_at,
        Err(why) => return refused(RefusalCode::KeyRefused, why.to_string()),
    };
    let CreateKey { name, role, hash, ttl_ms: _ } = new;
    let through = proposal.origin;
    let created_by = proposal.by.clone().map(|actor| By { actor, through });
    let created_at_ms = state.clock_ms();
    let key = NamedKey { role: *role, hash: *hash, created_at_ms, created_by, ends_at };
    state.tables.keys.insert(name.clone(), key);
    let until = ends_at.map_or_else(|| "until it is revoked".to_owned(), until);
    let message = format!("the key {name} was made with the role {role}, {until}");
    note(state, EventType::System, KeyCategory::KeyCreated.into(), message, About::cluster());
    Reply::Done
}

pub(super) fn revoke(state: &mut State, name: &KeyName) -> Reply {
    if state.tables.keys.remove(name).is_none() {
        let message = format!("there is no key {name}: `acefleet key ls` lists them");
        return refused(RefusalCode::NotFound, message);
    }
    let message = format!("the key {name} was revoked");
    note(state, EventType::System, KeyCategory::KeyRevoked.into(), message, About::cluster());
    Reply::Done
}
