//! Which settings were changed, by whom and when: the revision in force, and the changes that led to it.

use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::records::actor::Actor;
use crate::records::ids::NodeId;
use crate::records::policy::Policy;
use crate::records::settings::Changed;
use crate::records::time::Elapsed;
use crate::redacted::nameless;
use crate::weight::{SETTINGS_MAX, Weigh};

/// Newest changes that are kept.
pub const CHANGES_MAX: usize = 100;

/// One change of settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// The revision that it made.
    pub revision: u64,
    /// The moment.
    pub at_ms: Elapsed,
    /// The node on which it was asked for; of the first one, the node whose configuration gave the values.
    pub origin: NodeId,
    /// Who asked for it; none for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The revision whose values it brought back, if it is a revert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts: Option<u64>,
    /// What changed, by name.
    pub changes: Vec<Changed>,
}

/// The revision in force, and the newest changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsLog {
    revision: u64,
    #[serde(deserialize_with = "crate::records::cautious::vector")]
    changes: Vector<Arc<SettingsChange>>,
}

impl SettingsLog {
    /// Counts changes: 1 for the first values, 0 as long as each leader writes its own.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The log without the addresses of callers.
    pub(crate) fn without_callers(&self) -> Self {
        let changes = self.changes.iter().map(|change| {
            let by = change.by.as_ref().map(nameless);
            Arc::new(SettingsChange { by, ..(**change).clone() })
        });
        Self { changes: changes.collect(), ..self.clone() }
    }

    /// True as long as nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.revision == 0
    }

    /// The changes that are kept, oldest first.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = &Arc<SettingsChange>> {
        self.changes.iter()
    }

    /// The settings as they were at a revision, given those in force. `None` when it has never been, or what followed on it is
    /// forgotten.
    #[must_use]
    pub fn at(&self, revision: u64, in_force: &Policy) -> Option<Policy> {
        let oldest = self.changes.front()?.revision;
        if revision == 0 || revision > self.revision || revision + 1 < oldest {
            return None;
        }
        let mut policy = in_force.clone();
        for later in self.changes.iter().rev().take_while(|change| change.revision > revision) {
            for changed in &later.changes {
                policy.set(changed.name, &changed.from).ok()?;
            }
        }
        Some(policy)
    }

    /// Takes in the next change, numbers it, and returns what is forgotten for it.
    pub(crate) fn push(
        &mut self,
        mut change: SettingsChange,
    ) -> (Arc<SettingsChange>, Vec<Arc<SettingsChange>>) {
        self.revision += 1;
        change.revision = self.revision;
        let change = Arc::new(change);
        self.changes.push_back(Arc::clone(&change));
        let mut weight: u64 = self.changes.iter().map(|change| change.weight()).sum();
        let mut forgotten = Vec::new();
        while self.changes.len() > 1 && (self.changes.len() > CHANGES_MAX || weight > SETTINGS_MAX) {
            let Some(oldest) = self.changes.pop_front() else { break };
            weight -= oldest.weight();
            forgotten.push(oldest);
        }
        (change, forgotten)
    }
}
