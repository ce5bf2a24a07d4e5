//! What the leader does and waits for, as any node tells it.

use std::sync::Arc;

use acefleet_raft::View;
use acefleet_registry::plan::Plan;
use acefleet_registry::plan::waits::Subject;
use acefleet_registry::{State, plan};

use crate::fleet::containers::soon;
use crate::fleet::{Fleet, FleetError, decision};
use crate::peers::{Answer, PlanView, Question, WaitView};

/// Longest list of what is waited for; in a large fleet most of it is one idle engine after the other.
const WAITS_MAX: usize = 500;

/// The plan of a leader, and the state for which it was made.
#[derive(Debug)]
pub struct Planned {
    /// What is to be done, and what is waited for.
    pub plan: Plan,
    /// The state.
    pub view: Arc<View>,
    /// The term that this node leads.
    pub term: u64,
}

impl Fleet {
    /// The leader's plan, asked from the leader.
    ///
    /// # Errors
    /// When there is no leader, or it does not answer. Retry.
    pub async fn plan(&self) -> Result<PlanView, FleetError> {
        if self.is_leaderless() {
            return Err(FleetError::NoLeader);
        }
        let leader = self.cluster().status().leader.ok_or(FleetError::NoLeader)?;
        match self.ask_owner(leader, Question::Plan, soon()).await? {
            Answer::Plan(Some(plan)) => Ok(plan),
            // It leads no more, or not yet.
            Answer::Plan(None) => Err(FleetError::NoLeader),
            _ => Err(self.unexpected(leader)),
        }
    }

    /// This node's plan, if it leads.
    pub(crate) fn own_plan(&self) -> Option<PlanView> {
        let planned = self.parts.planned.load_full()?;
        let Planned { plan, view, term } = &*planned;
        let state = view.state.at(self.cluster().moment());
        let waits = plan.waits.iter().take(WAITS_MAX).map(|wait| shown(&state, wait)).collect();
        Some(PlanView {
            leader: self.config().node_name.clone(),
            term: *term,
            revision: view.revision,
            decisions: plan.commands.iter().map(|command| decision::describe(&state, command)).collect(),
            waits,
            waits_left_out: plan.waits.len().saturating_sub(WAITS_MAX),
        })
    }
}

fn shown(state: &State, wait: &plan::Wait) -> WaitView {
    let (subject, name) = match wait.subject() {
        Subject::Cluster => ("cluster", None),
        Subject::Node(id) => ("node", Some(state.node_name(id))),
        Subject::Engine(id) => {
            let name = state.engine(id).map(|engine| engine.container_name.clone());
            ("engine", Some(name.unwrap_or_else(|| id.to_string())))
        }
    };
    WaitView {
        subject: subject.to_owned(),
        name,
        code: wait.as_str().to_owned(),
        message: wait.describe(state),
        seconds_left: wait.left_ms().map(|ms| ms.div_ceil(1_000)),
    }
}
