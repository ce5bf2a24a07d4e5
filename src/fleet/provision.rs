//! Provisioning: reserve through the log, wait until the chosen host says that the container runs, try
//! the next host when it fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::cause::Cause;
use acefleet_registry::engine::{EngineSpec, Phase};
use acefleet_registry::{Command, Engine, EngineId, NodeId, OpId, Refusal, RefusalCode, Reply, Reserve};

use crate::fleet::{Code, Fleet, FleetError};
use crate::op_id::new_op_id;

/// A reservation that would leave less time than this to start the container is not worth making.
const START_AT_LEAST: Duration = Duration::from_millis(200);
/// Time to abandon an engine that is late, at the end of the caller's time. A slower write continues after the answer.
const GIVE_UP: Duration = Duration::from_millis(100);
/// How long this node looks for the reservation of a caller that has gone.
const ABANDON_WITHIN: Duration = Duration::from_secs(30);

/// An engine whose container runs, and the revision at which it does.
#[derive(Clone, Debug)]
pub struct Provisioned {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Revision of the registry that shows it running.
    pub revision: u64,
}

pub(super) enum Outcome {
    Serving(Provisioned),
    Failed(Arc<Engine>),
    /// It is still being started, probably for so many seconds.
    Late {
        left_s: u64,
    },
}

/// What a call for a container asks for at first.
pub(super) fn plain(spec: EngineSpec) -> Reserve {
    Reserve {
        spec,
        eligible: BTreeSet::new(),
        exclude: BTreeSet::new(),
        only_below: None,
        claim_abandoned: true,
        patience_ms: None,
        automatic: false,
        replaces: None,
    }
}

impl Fleet {
    /// Starts a container on this host, or on the least loaded one, and waits until it runs. A call that is dropped or
    /// runs into its deadline leaves its engine to the next call of the same kind.
    ///
    /// # Errors
    /// When the registry refuses, every host fails, no leader is found, or time runs out.
    pub async fn provision(
        &self,
        spec: EngineSpec,
        on: Option<NodeId>,
        deadline: Instant,
    ) -> Result<Provisioned, FleetError> {
        self.wait_settings(deadline).await;
        let mut exclude = BTreeSet::new();
        let mut failure = None;
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let reserve = Reserve {
                eligible: on.into_iter().collect(),
                exclude: exclude.clone(),
                claim_abandoned: exclude.is_empty(),
                patience_ms: u64::try_from(patience.as_millis()).ok(),
                ..plain(spec.clone())
            };
            match self.reserve_and_wait(reserve, deadline).await {
                Err(FleetError::Refused(refusal)) => {
                    let refusal = self.about_host(refusal, on);
                    let Some(failure) = failure else { return Err(FleetError::Refused(refusal)) };
                    tracing::info!(reason = refusal.message, "no further host is asked");
                    return Err(failure);
                }
                // What a host said of its failure tells more than that there was no time for another one.
                Err(error) => return Err(failure.unwrap_or(error)),
                Ok(Outcome::Serving(provisioned)) => return Ok(provisioned),
                Ok(Outcome::Late { left_s }) => return Err(FleetError::Starting { left_s }),
                Ok(Outcome::Failed(engine)) => {
                    let (cause, message) = match &engine.ending {
                        Some(ending) => (ending.cause.clone(), ending.message.clone()),
                        None => (Cause::StartupTimeout, "the host could not start it".to_owned()),
                    };
                    let node = self.view().state.node_name(engine.node);
                    tracing::warn!(
                        engine = %engine.id, name = engine.container_name, node, %cause, message, "host failed to start"
                    );
                    let others = cause.is_worth_another_host();
                    let error = FleetError::Failed { code: cause.into(), message };
                    let is_time_left = Instant::now() + START_AT_LEAST < deadline;
                    if !others || !is_time_left {
                        return Err(error);
                    }
                    failure = Some(error);
                    exclude.insert(engine.node);
                }
            }
        }
    }

    /// The refusal of a call that chose its host says what is wrong with that one.
    fn about_host(&self, refusal: Refusal, on: Option<NodeId>) -> Refusal {
        let view = self.view();
        let obstacle = |id: NodeId| Some((id, self.candidates(&view.state).obstacle(id)?));
        match on.and_then(obstacle).filter(|_| refusal.code == RefusalCode::NoHost) {
            Some((id, why)) => Refusal { message: format!("{} {why}", view.state.node_name(id)), ..refusal },
            None => refusal,
        }
    }

    /// Waits for the settings of a cluster that has just formed. When no leader writes them in time, the
    /// reservation is refused for want of them, or of a leader.
    pub(super) async fn wait_settings(&self, deadline: Instant) {
        let write_by = deadline.checked_sub(START_AT_LEAST).unwrap_or(deadline);
        let mut changes = self.cluster().changes();
        while !self.view().state.has_policy() {
            let changed = tokio::time::timeout_at(write_by.into(), changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return;
            }
        }
    }

    pub(super) async fn reserve_and_wait(
        &self,
        reserve: Reserve,
        deadline: Instant,
    ) -> Result<Outcome, FleetError> {
        let op_id = new_op_id();
        let began = Instant::now();
        let mut hold = CallerHold { fleet: self.clone(), op_id, engine: None, open: true };
        let write_by = deadline.checked_sub(START_AT_LEAST).unwrap_or(deadline);
        let written = self.write_as(op_id, Command::Reserve(reserve), write_by).await;
        let applied = match written {
            Ok(applied) => applied,
            Err(error) => {
                hold.open = !error.is_known_not_applied();
                return Err(error.into());
            }
        };
        let engine = match applied.reply {
            Reply::Engine(engine) => engine,
            Reply::Refused(refusal) => {
                hold.open = false;
                return Err(FleetError::Refused(refusal));
            }
            other => {
                hold.open = false;
                let message = format!("unexpected reply to a reservation: {other:?}");
                return Err(FleetError::Failed { code: Code::Internal, message });
            }
        };
        hold.engine = Some(engine.id);
        let reserved_ms = began.elapsed().as_millis();
        let wait_until = deadline.checked_sub(GIVE_UP).unwrap_or(deadline);
        let outcome = self.wait_started(op_id, &engine, wait_until).await;
        hold.open = match outcome {
            // Before the answer, so that a repeat of the call finds it, on whichever node.
            Outcome::Late { .. } => {
                let waited_ms = began.elapsed().as_millis();
                let state = &self.view().state;
                let engine = state.engine_of_caller(op_id, engine.id).unwrap_or(&engine);
                let node = state.node_name(engine.node);
                tracing::warn!(
                    engine = %engine.id, name = engine.container_name, node, reserved_ms,
                    waited_ms,
                    "the engine does not run in time"
                );
                hold.give_up(engine.id, deadline).await.is_err()
            }
            Outcome::Serving(_) | Outcome::Failed(_) => false,
        };
        Ok(outcome)
    }

    /// Waits until the engine that is meant for this caller runs. At first that is `reserved`; when another like it runs before, the
    /// callers may change places.
    async fn wait_started(&self, caller: OpId, reserved: &Engine, deadline: Instant) -> Outcome {
        let mut changes = self.cluster().changes();
        let mut id = reserved.id;
        loop {
            changes.mark_unchanged();
            let view = self.view();
            let engine = view.state.engine_of_caller(caller, id);
            id = engine.map_or(id, |engine| engine.id);
            match engine {
                Some(engine) if engine.phase.is_serving() => {
                    return Outcome::Serving(Provisioned {
                        engine: Arc::clone(engine),
                        revision: view.revision,
                    });
                }
                Some(engine) if engine.phase >= Phase::Stopping => {
                    return Outcome::Failed(Arc::clone(engine));
                }
                _ => {}
            }
            match tokio::time::timeout_at(deadline.into(), changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => {
                    let engine = engine.map_or(reserved, |engine| engine);
                    return Outcome::Late {
                        left_s: view.state.start_left_s(engine, self.cluster().moment()),
                    };
                }
            }
        }
    }

    /// The live engine that a write reserved, once this node has applied it.
    async fn reserved_by(&self, op_id: OpId, deadline: Instant) -> Option<EngineId> {
        let mut changes = self.cluster().changes();
        loop {
            changes.mark_unchanged();
            let view = self.view();
            if let Some(engine) = view.state.live_engines().find(|engine| engine.reserved_by == op_id) {
                return Some(engine.id);
            }
            tokio::time::timeout_at(deadline.into(), changes.changed()).await.ok()?.ok()?;
        }
    }
}

/// A caller's hold on the engine that it reserves. Dropped while open (the caller hung up, or time ran
/// out), it hands the engine to the next caller.
struct CallerHold {
    fleet: Fleet,
    op_id: OpId,
    engine: Option<EngineId>,
    open: bool,
}

impl CallerHold {
    async fn give_up(&self, engine: EngineId, deadline: Instant) -> Result<(), FleetError> {
        let abandon = Command::Abandon { engine, by: Some(self.op_id) };
        self.fleet.write(abandon, deadline).await.map(drop)
    }
}

impl Drop for CallerHold {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (engine, open) = (self.engine, false);
        let hold = CallerHold { fleet: self.fleet.clone(), op_id: self.op_id, engine, open };
        tokio::spawn(async move {
            let deadline = Instant::now() + ABANDON_WITHIN;
            let engine = match engine {
                Some(engine) => Some(engine),
                None => hold.fleet.reserved_by(hold.op_id, deadline).await,
            };
            let Some(engine) = engine else { return };
            match hold.give_up(engine, deadline).await {
                Ok(()) => tracing::info!(%engine, "its caller has gone: the next one gets this engine"),
                Err(error) => {
                    tracing::warn!(%engine, %error, "cannot abandon the engine of a caller that has gone")
                }
            }
        });
    }
}
