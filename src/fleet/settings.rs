//! Changes of cluster-wide settings. They are judged here, so that each wrong one is named, and again when they are applied.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use acefleet_registry::command::ChangeSettings;
use acefleet_registry::plan::consequences::consequences;
use acefleet_registry::rules::settings::{Fault, Why, faults};
use acefleet_registry::settings::{Changed, Name, Value};
use acefleet_registry::{Command, Policy, RefusalCode, Reply, State};

use crate::fleet::{Fleet, FleetError};

/// How long a change on a revision that this node has not seen yet waits for it.
const CATCH_UP: Duration = Duration::from_millis(500);

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Other values.
    Set(BTreeMap<Name, Value>),
    /// The values of an earlier revision.
    Revert(u64),
}

/// How it is wanted.
#[derive(Clone, Debug)]
pub struct How {
    /// Only if one of these revisions is in force; whatever is in force otherwise.
    pub expected: Option<BTreeSet<u64>>,
    /// Nothing is written: what would change is the answer.
    pub dry_run: bool,
    /// When a leader has to have taken it.
    pub deadline: Instant,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The revision in force.
    pub revision: u64,
    /// What changed, or would.
    pub changes: Vec<Changed>,
    /// What follows from it, for people.
    pub consequences: Vec<String>,
}

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// They cannot be in force.
    #[error("the settings contradict each other or are out of bounds")]
    Invalid {
        /// Everything that is wrong.
        faults: Vec<Fault>,
        /// What they would be.
        wanted: Box<Policy>,
    },
    /// Another revision than the expected one is in force.
    #[error("{message}")]
    Moved {
        /// For people.
        message: String,
        /// The one in force.
        revision: u64,
    },
    /// The revision has never been, or is forgotten.
    #[error("the settings of revision {0} are not known: GET /settings/history lists those that are")]
    NoSuchRevision(u64),
    /// What the registry answered is no answer to a change of settings.
    #[error("the registry gave an unexpected reply: look at the settings before you repeat the change")]
    Unexpected,
    /// The write failed.
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

/// A change of the settings in force.
struct Draft {
    expected: u64,
    values: BTreeMap<Name, Value>,
    reverts: Option<u64>,
    wanted: Policy,
}

impl Fleet {
    /// Changes cluster-wide settings, all of them or none. Without an expected revision it builds on whatever is in force.
    ///
    /// # Errors
    /// See [`EditError`]. Nothing was changed, unless the outcome of the write is unknown.
    pub async fn edit_settings(&self, edit: &Edit, how: &How) -> Result<Edited, EditError> {
        self.catch_up(how).await;
        loop {
            let view = self.view();
            let state = view.state.at(self.cluster().moment());
            let draft = draft(&state, edit, how.expected.as_ref())?;
            let consequences = self.consequences(state.clone(), draft.wanted.clone()).await;
            if how.dry_run {
                let changes = state.policy().changes(&draft.wanted);
                return Ok(Edited { revision: draft.expected, changes, consequences });
            }
            let Draft { expected, values, reverts, .. } = draft;
            let command = Command::ChangeSettings(ChangeSettings { expected, values, reverts });
            match self.write(command, how.deadline).await?.reply {
                Reply::Settings { revision } => {
                    let changes = self.changes_of(revision, expected);
                    return Ok(Edited { revision, changes, consequences });
                }
                Reply::Refused(refusal) if refusal.code == RefusalCode::SettingsMoved => {
                    // This node has applied what refused it, so the next round builds on that, if it may.
                    if Instant::now() >= how.deadline {
                        let revision = self.view().state.settings().revision();
                        return Err(EditError::Moved { message: refusal.message, revision });
                    }
                }
                Reply::Refused(refusal) => return Err(FleetError::Refused(refusal).into()),
                other => {
                    tracing::error!(?other, "a change of settings was answered by something else");
                    return Err(EditError::Unexpected);
                }
            }
        }
    }

    /// What would come of other settings, computed outside the threads that carry the cluster's messages: the plan of many starts takes
    /// long.
    async fn consequences(&self, state: State, wanted: Policy) -> Vec<String> {
        let hosts = self.candidates(&state);
        let computed =
            tokio::task::spawn_blocking(move || consequences(&state, &hosts, &wanted, state.clock_ms()));
        match computed.await {
            Ok(consequences) => consequences,
            // The task panicked; the panic is handled as that of a handler.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Another node may have shown a revision to the caller that this one has not applied yet.
    async fn catch_up(&self, how: &How) {
        let Some(expected) = &how.expected else { return };
        let is_behind = || {
            let revision = self.view().state.settings().revision();
            expected.range(revision..).next().is_some_and(|_| !expected.contains(&revision))
        };
        let mut changes = self.cluster().changes();
        let caught_up = async {
            while is_behind() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let until = how.deadline.min(Instant::now() + CATCH_UP);
        // What it has not by then is refused as a revision that is not in force.
        let _ = tokio::time::timeout_at(until.into(), caught_up).await;
    }

    /// What a revision changed; nothing if it was in force already.
    fn changes_of(&self, revision: u64, before: u64) -> Vec<Changed> {
        let view = self.view();
        let mut newest = view.state.settings().changes().rev();
        let change = newest.find(|change| change.revision == revision).filter(|_| revision > before);
        change.map(|change| change.changes.clone()).unwrap_or_default()
    }
}

/// The change that is wanted, on top of what is in force.
fn draft(state: &State, edit: &Edit, expected: Option<&BTreeSet<u64>>) -> Result<Draft, EditError> {
    let in_force = state.policy();
    let revision = state.settings().revision();
    if let Some(expected) = expected.filter(|expected| !expected.contains(&revision)) {
        let expected: Vec<String> = expected.iter().map(u64::to_string).collect();
        let not = match expected.is_empty() {
            true => "no strong tag names it".to_owned(),
            false => format!("not at {}", expected.join(" or ")),
        };
        let message = format!(
            "the settings are at revision {revision} and {not}: look at them again, then repeat the change"
        );
        return Err(EditError::Moved { message, revision });
    }
    let (values, reverts) = match edit {
        Edit::Set(values) => (values.clone(), None),
        Edit::Revert(to) => {
            let target = state.settings().at(*to, in_force).ok_or(EditError::NoSuchRevision(*to))?;
            let changes = in_force.changes(&target).into_iter();
            (changes.map(|changed| (changed.name, changed.to)).collect(), Some(*to))
        }
    };
    let mut wanted = in_force.clone();
    let mut wrong = Vec::new();
    for (name, value) in &values {
        if wanted.set(*name, value).is_err() {
            wrong.push(Fault { name: *name, why: Why::OtherForm });
        }
    }
    wrong.extend(faults(&wanted));
    match wrong.is_empty() {
        true => Ok(Draft { expected: revision, values, reverts, wanted }),
        false => Err(EditError::Invalid { faults: wrong, wanted: Box::new(wanted) }),
    }
}
