//! Containers by id, name or label, on whichever host they run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_raft::AskError;
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::{Command, Engine, EngineId, NodeId, RefusalCode, Reply};
use bytes::Bytes;
use futures::future::join_all;

use crate::fleet::provision::Provisioned;
use crate::fleet::{Fleet, FleetError, hooks};
use crate::peers::{Answer, ContainerView, Question};

/// Callers of the API give up after 3 s.
const ASK_WITHIN: Duration = Duration::from_secs(2);

impl Fleet {
    /// A managed container as Docker shows it. `id` is a full id, a prefix of 12 characters or more, or a
    /// name.
    ///
    /// # Errors
    /// When it is not known, or its host does not answer.
    pub async fn inspect(&self, id: &str) -> Result<ContainerView, FleetError> {
        let engine = self.find(id)?;
        match self.ask_owner(engine.node, Question::Inspect(engine.id), soon()).await? {
            Answer::Container(Some(container)) => Ok(container),
            Answer::Container(None) => Err(not_found()),
            _ => Err(self.unexpected(engine.node)),
        }
    }

    /// Managed containers of all hosts whose label has this value. Hosts that do not answer are left out, which the log says.
    pub async fn by_label(&self, key: &str, value: &str) -> Vec<ContainerView> {
        let nodes: Vec<NodeId> = self.view().state.nodes().map(|node| node.info.id).collect();
        let asks = nodes.into_iter().map(|node| {
            let question = Question::ByLabel { key: key.to_owned(), value: value.to_owned() };
            async move {
                let answer = self.ask_owner(node, question, soon()).await;
                let containers = answer.and_then(|answer| match answer {
                    Answer::Containers(containers) => Ok(containers),
                    _ => Err(self.unexpected(node)),
                });
                (node, containers)
            }
        });
        let mut found = Vec::new();
        for (node, answer) in join_all(asks).await {
            match answer {
                Ok(containers) => found.extend(containers),
                Err(error) => {
                    let node = self.view().state.node_name(node);
                    tracing::warn!(node, %error, "a host is missing from a search by label");
                }
            }
        }
        found
    }

    /// Stops and removes a managed container, and waits until it is gone. Returns how many streams ran on it.
    ///
    /// # Errors
    /// When it is not known, no leader is found, or it is not gone at the deadline.
    pub async fn delete_container(&self, id: &str, deadline: Instant) -> Result<usize, FleetError> {
        let engine = self.find(id)?;
        let streams = self.view().state.active_streams(engine.id);
        let stop = Command::EngineStop { engine: engine.id, cause: Cause::Deleted, when: StopWhen::Always };
        match self.write(stop, deadline).await?.reply {
            Reply::Refused(refusal) if refusal.code == RefusalCode::NotFound => Err(not_found()),
            Reply::Refused(refusal) => Err(FleetError::Refused(refusal)),
            _ => self.wait_gone(engine.id, deadline).await.map(|()| streams),
        }
    }

    /// Has another engine take the place of this one: clients get it no more, it stops when its streams have ended, and the leader starts
    /// another.
    ///
    /// # Errors
    /// When it is not known or still being started, or no leader is found in time.
    pub async fn replace_engine(&self, id: &str, deadline: Instant) -> Result<Provisioned, FleetError> {
        let engine = self.find(id)?;
        if !engine.is_acestream() {
            return Err(FleetError::NotFound(format!("{} is no engine", engine.container_name)));
        }
        let stop =
            Command::EngineStop { engine: engine.id, cause: Cause::Replaced, when: StopWhen::Replaced };
        let applied = self.write(stop, deadline).await?;
        match applied.reply {
            Reply::Refused(refusal) if refusal.code == RefusalCode::NotFound => Err(not_found()),
            Reply::Refused(refusal) => Err(FleetError::Refused(refusal)),
            _ => Ok(Provisioned { engine, revision: applied.revision }),
        }
    }

    /// Waits until an engine is no longer live on this node's replica.
    pub(crate) async fn wait_gone(&self, id: EngineId, deadline: Instant) -> Result<(), FleetError> {
        let mut changes = self.cluster().changes();
        loop {
            changes.mark_unchanged();
            if self.view().state.engine(id).is_none_or(|engine| !engine.phase.is_live()) {
                return Ok(());
            }
            let changed = tokio::time::timeout_at(deadline.into(), changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                let message = "the container is still being stopped; ask again to see when it is gone";
                return Err(FleetError::Pending(message.to_owned()));
            }
        }
    }

    pub(super) fn find(&self, id: &str) -> Result<Arc<Engine>, FleetError> {
        self.view().state.engine_by_container(id).cloned().ok_or_else(not_found)
    }

    /// Asks a member, such as the owner of an engine; this node asks its own agent.
    pub(crate) async fn ask_owner(
        &self,
        node: NodeId,
        question: Question,
        deadline: Instant,
    ) -> Result<Answer, FleetError> {
        let failed = |why| FleetError::Member { node: self.view().state.node_name(node), why };
        let refused = |message: String| failed(AskError::Refused(message));
        if node == self.cluster().node_id() {
            return match tokio::time::timeout_at(deadline.into(), hooks::answer(self, question)).await {
                Ok(answer) => answer.map_err(|e| refused(format!("{e:#}"))),
                Err(_) => Err(failed(AskError::Unknown("no answer in time".to_owned()))),
            };
        }
        let request = serde_json::to_vec(&question).map_err(|e| refused(e.to_string()))?;
        let reply = self.cluster().ask(node, Bytes::from(request), deadline).await.map_err(failed)?;
        serde_json::from_slice(&reply).map_err(|e| refused(format!("answer not understood: {e}")))
    }

    /// A node answered another question than the one that it was asked. What it said stays out of the error: it may be long, and have
    /// labels of callers in it.
    pub(super) fn unexpected(&self, node: NodeId) -> FleetError {
        let why = AskError::Refused("it answered another question".to_owned());
        FleetError::Member { node: self.view().state.node_name(node), why }
    }
}

/// Deadline for an answer.
pub(super) fn soon() -> Instant {
    Instant::now() + ASK_WITHIN
}

pub(super) fn not_found() -> FleetError {
    FleetError::NotFound("container not found".to_owned())
}
