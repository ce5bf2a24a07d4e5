//! Cluster-wide settings: the first ones, and changes by operators.

use crate::apply::notes::{About, note};
use crate::apply::refused;
use crate::command::{ChangeSettings, Proposal};
use crate::level::Level;
use crate::records::event::EventType;
use crate::records::ids::NodeId;
use crate::records::policy::Policy;
use crate::records::settings::line;
use crate::records::settings_log::SettingsChange;
use crate::reply::{RefusalCode, Reply};
use crate::rules::settings::faults;
use crate::state::State;

const CATEGORY: &str = "settings_changed";

/// A leader's configuration gives the first values. A leader that decided so before it knew of another one's changes nothing.
pub(super) fn first(state: &mut State, policy: &Policy, origin: NodeId) -> Reply {
    if state.level() < Level::OWNS_SETTINGS {
        state.tables.policy = policy.clone();
        state.tables.policy_in_force = true;
        return Reply::Done;
    }
    if !state.settings().is_empty() {
        return refused(RefusalCode::SettingsMoved, "the cluster has its first settings already");
    }
    let changes = if state.has_policy() { state.policy().changes(policy) } else { Vec::new() };
    let of = match state.node(origin) {
        Some(node) => format!("the configuration of {} gives the settings of the cluster", node.info.name),
        None => "the configuration of the leader gives the settings of the cluster".to_owned(),
    };
    let message = if changes.is_empty() { of } else { format!("{of}: {}", line(&changes)) };
    let change = SettingsChange { changes, ..unchanged(state, origin) };
    put(state, policy.clone(), change, message)
}

/// All of the new values, or none.
pub(super) fn change(state: &mut State, change: &ChangeSettings, proposal: &Proposal) -> Reply {
    let ChangeSettings { expected, values, reverts } = change;
    let revision = state.settings().revision();
    if revision == 0 {
        return refused(RefusalCode::NoSettings, "the cluster has no settings yet: retry in a moment");
    }
    if *expected != revision {
        let message = format!(
            "the settings are at revision {revision} and not at {expected} any more: look at them again, then repeat the change"
        );
        return refused(RefusalCode::SettingsMoved, message);
    }
    let mut policy = state.policy().clone();
    for (name, value) in values {
        if let Err(error) = policy.set(*name, value) {
            return refused(RefusalCode::InvalidSettings, error.to_string());
        }
    }
    let quote = |name| format!("{name}={}", policy.get(name));
    let wrong: Vec<String> = faults(&policy).iter().map(|fault| fault.describe(&quote)).collect();
    if !wrong.is_empty() {
        return refused(RefusalCode::InvalidSettings, wrong.join("; "));
    }
    let changes = state.policy().changes(&policy);
    if changes.is_empty() {
        return Reply::Settings { revision };
    }
    let message = match reverts {
        Some(to) => format!("the settings are those of revision {to} again: {}", line(&changes)),
        None => line(&changes),
    };
    let (by, reverts) = (proposal.by.clone(), *reverts);
    let change = SettingsChange { changes, by, reverts, ..unchanged(state, proposal.origin) };
    put(state, policy, change, message)
}

/// A change of nothing, which has no number yet.
fn unchanged(state: &State, origin: NodeId) -> SettingsChange {
    let at_ms = state.clock_ms();
    SettingsChange { revision: 0, at_ms, origin, by: None, reverts: None, changes: Vec::new() }
}

fn put(state: &mut State, policy: Policy, change: SettingsChange, message: String) -> Reply {
    let revision = state.put_settings(policy, change).revision;
    note(state, EventType::System, CATEGORY, message, About::cluster());
    Reply::Settings { revision }
}
