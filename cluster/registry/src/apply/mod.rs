//! The only way to change the state. Pure: the same proposals in the same order give the same state on
//! every node. It never fails; a refusal is a reply.

mod backups;
mod engines;
mod failures;
mod fate;
mod found;
mod join_tokens;
mod keys;
mod lacks;
mod lost_hosts;
mod nodes;
mod notes;
mod reserve;
mod retention;
mod room;
mod seats;
mod sequence;
mod settings;
mod starts;
mod streams;
mod vpn;

use crate::apply::room::Ended;
use crate::command::{Command, Proposal};
use crate::level::Level;
use crate::records::event::By;
use crate::records::stream::Stream;
use crate::records::time::Elapsed;
use crate::reply::{Refusal, RefusalCode, Reply};
use crate::state::State;

/// Applies one proposal at log index `index` and says what came of it. A proposal whose op-id was
/// applied before changes nothing and gets the first reply again.
pub fn apply(state: &mut State, proposal: &Proposal, _index: u64) -> Reply {
    once(state, proposal, &Ended::new())
}

/// The same for one of several writes that share an entry: these streams end by a later one.
fn once(state: &mut State, proposal: &Proposal, ended_later: &Ended<'_>) -> Reply {
    if let Some(done) = state.tables.ops.get(&proposal.op_id) {
        let started_at = done.at_ms;
        return state.remembered(proposal.op_id).unwrap_or_else(|| forgotten(proposal, started_at));
    }
    state.tables.clock_ms = state.tables.clock_ms.max(proposal.at_ms);
    retention::evict(state);
    let last = state.tables.events.last_id();
    let reply = match room::make(state, &proposal.command, ended_later) {
        Ok(()) => dispatch(state, proposal),
        Err(refusal) => Reply::Refused(refusal),
    };
    attribute(state, proposal, last);
    if !reply.finds_no_room() {
        state.remember(proposal.op_id, &reply);
    }
    room::fit(state);
    reply
}

/// Events of a write say who asked for it, those of its consequences included.
fn attribute(state: &mut State, proposal: &Proposal, last: u64) {
    if let Some(actor) = &proposal.by
        && state.level() >= Level::NAMES_ACTORS
    {
        state.attribute_events(last, &By { actor: actor.clone(), through: proposal.origin });
    }
}

/// The answer to the repeat of a start whose stream is forgotten: it is over.
fn forgotten(proposal: &Proposal, started_at: Elapsed) -> Reply {
    match &proposal.command {
        Command::StreamStarted(start) => Reply::StreamStarted(streams::over(start, started_at)),
        _ => Reply::Done,
    }
}

fn dispatch(state: &mut State, proposal: &Proposal) -> Reply {
    match &proposal.command {
        Command::NodeUp(info) => nodes::up(state, info),
        Command::NodeDocker { node, docker } => nodes::docker(state, *node, docker),
        Command::NodeAvailability { node, availability } => nodes::availability(state, *node, *availability),
        Command::NodeReturned { node, since_ms } => nodes::returned(state, *node, *since_ms),
        Command::NodeUnavailable { node, answering, is_back } => {
            lost_hosts::unavailable(state, *node, answering.as_ref(), *is_back)
        }
        Command::NodeDown { node, down } => nodes::down(state, *node, *down),
        Command::NodeRemoved { node } => nodes::removed(state, *node),
        Command::NodeReplaced { old, new } => nodes::replaced(state, *old, *new),
        Command::VpnChanged { node, container, status, renew } => {
            vpn::changed(state, *node, container, status, *renew)
        }
        Command::Recovered { survivor, former_clusters } => {
            nodes::recovered(state, *survivor, former_clusters)
        }
        Command::SetPolicy(policy) => settings::first(state, policy, proposal.origin),
        Command::ChangeSettings(change) => settings::change(state, change, proposal),
        Command::SetAccess(access) => nodes::access(state, *access),
        Command::CreateKey(new) => keys::create(state, new, proposal),
        Command::RevokeKey { name } => keys::revoke(state, name),
        Command::CreateJoinToken(new) => join_tokens::create(state, new, proposal),
        Command::UseJoinToken(by) => join_tokens::used(state, by),
        Command::RevokeJoinToken { id } => join_tokens::revoke(state, *id),
        Command::BackupTaken { redacted } => backups::taken(state, *redacted, proposal.origin),
        Command::Leads { node, term } => nodes::leads(state, *node, *term),
        Command::LeadWanted { node } => nodes::lead_wanted(state, *node),
        Command::RemovalWanted { node } => nodes::removal_wanted(state, *node),
        Command::Reserve(reserve) => reserve::reserve(state, reserve, proposal.op_id, proposal.origin),
        Command::Select(ask) => seats::select(state, ask, proposal.op_id),
        Command::ReleaseSeat { seat } => seats::release(state, *seat),
        Command::Conflict { engine, taken } => starts::conflict(state, *engine, taken),
        Command::EngineStarted { engine, container_id, image, variant, address } => {
            let (variant, address) = (variant.as_deref(), address.as_deref());
            starts::started(state, *engine, container_id, image, variant, address)
        }
        Command::EngineFailed { engine, cause, message } => starts::failed(state, *engine, cause, message),
        Command::EngineLacks { engine, lack, message } => starts::lacks(state, *engine, lack, message),
        Command::Found { node, lacks } => nodes::found(state, *node, lacks),
        Command::EngineHealth { engine, health, fault } => engines::health(state, *engine, *health, *fault),
        Command::EngineStop { engine, cause, when } => engines::stop(state, *engine, cause, *when),
        Command::EngineGone { engine, cause, message } => {
            engines::gone(state, *engine, cause, message.as_deref())
        }
        Command::Adopt(adopt) => engines::adopt(state, adopt, proposal.op_id),
        Command::Abandon { engine, by } => engines::abandon(state, *engine, *by),
        Command::StreamStarted(start) => {
            Reply::StreamStarted(Stream::as_reported(streams::started(state, start)))
        }
        Command::StreamEnded(end) => {
            let stream = streams::ended(state, end).map(Stream::as_reported);
            Reply::StreamEnded { updated: stream.is_some(), stream }
        }
        Command::EventBatch { started, ended } => {
            for start in started {
                streams::started(state, start);
            }
            let ended = ended.iter().filter_map(|end| streams::ended(state, end)).count();
            Reply::Batch { started: started.len() as u64, ended: ended as u64 }
        }
        Command::StreamSilence { node, silent, answering } => {
            streams::silence(state, *node, silent, answering)
        }
        Command::StreamsSeen { node, found, unviewed } => found::seen(state, *node, found, unviewed),
        Command::RaiseLevel(level) => nodes::raise_level(state, *level),
        Command::WallCorrected { from, offset_ms } => {
            let from = (*from).min(state.tables.clock_ms);
            state.tables.calendar.correct(from, *offset_ms);
            Reply::Done
        }
        Command::ResetBreaker(kind) => nodes::reset_breakers(state, *kind),
        Command::Sequence(steps) => sequence::apply(state, proposal, steps),
    }
}

fn refused(code: RefusalCode, message: impl Into<String>) -> Reply {
    Reply::Refused(Refusal { code, message: message.into(), retry_after_s: None })
}
