//! Answers questions of any node's API about this node's containers and engines. Read-only, except that it can stop a session.

use std::time::Duration;

use acefleet_registry::{Engine, EngineId, WallMs};
use anyhow::{Context as _, bail};
use futures::{StreamExt, TryStreamExt};

use crate::agent::runtime::{RuntimeError, Scope};
use crate::agent::{AgentHandle, address, fetch, samples};
use crate::peers::{ContainerView, StreamSample};

/// Time for the engine to answer a stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Inspections at once.
const AT_ONCE: usize = 8;

impl AgentHandle {
    /// The container of an engine of this node, as Docker shows it; `None` when there is none of ours.
    ///
    /// # Errors
    /// When Docker does not answer: retry.
    pub async fn inspect(&self, engine: EngineId) -> anyhow::Result<Option<ContainerView>> {
        let Some(scope) = self.scope() else { return Ok(None) };
        let Some(engine) = self.own(engine) else { return Ok(None) };
        let name = engine.container_id.as_deref().unwrap_or(&engine.container_name);
        match self.parts.runtime.inspect(name).await {
            Ok(found) => Ok(scope.covers(&found.view.id, &found.view.labels).then_some(found.view)),
            Err(RuntimeError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Containers of ours, whatever their status, whose label `key` is `value`, ordered by name. Those that vanish meanwhile are
    /// missing.
    ///
    /// # Errors
    /// When Docker does not answer: retry.
    pub async fn by_label(&self, key: &str, value: &str) -> anyhow::Result<Vec<ContainerView>> {
        let Some(scope) = self.scope() else { return Ok(Vec::new()) };
        let mut found = self.parts.runtime.list(&scope).await?;
        found.retain(|c| c.labels.get(key).is_some_and(|given| given == value));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let inspections = futures::stream::iter(found)
            .map(|c| async move { self.parts.runtime.inspect(&c.id).await })
            .buffered(AT_ONCE);
        let views = inspections.filter_map(|seen| async {
            match seen {
                Ok(seen) => Some(Ok(seen.view)),
                Err(RuntimeError::NotFound) => None,
                Err(error) => Some(Err(error)),
            }
        });
        Ok(views.try_collect().await?)
    }

    /// Samples of a stream that runs on this node, oldest first, from `since_ms` on.
    #[must_use]
    pub fn samples(&self, stream: &str, since_ms: Option<WallMs>) -> Vec<StreamSample> {
        self.parts.samples.since(stream, since_ms)
    }

    /// Tells an engine of this node to stop a session. The call goes to the engine's own address, with the path of `command_url`. A
    /// session that the engine does not know counts as stopped.
    ///
    /// # Errors
    /// When this node does not own the engine, the URL is invalid, or the engine refuses.
    pub async fn stop_session(&self, engine: EngineId, command_url: &str) -> anyhow::Result<()> {
        let Some(engine) = self.own(engine).filter(|e| e.is_published()) else {
            bail!("engine {engine} does not run on this node");
        };
        let base = self.parts.addresses.base(&engine);
        let url = address::stop_url(&base, command_url)
            .with_context(|| format!("the command URL {command_url:?} has no usable path"))?;
        let client = self.parts.client.as_ref().context("this node cannot make HTTP calls")?;
        let answer = fetch::json(client, url, STOP_LIMIT).await?;
        match answer.get("error").and_then(serde_json::Value::as_str) {
            Some(error) if !samples::is_of_unknown_session(error) => {
                bail!("the engine did not stop the session: {error}")
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn scope(&self) -> Option<Scope> {
        let cluster_id = self.parts.cluster.cluster_id()?;
        let view = self.parts.cluster.view();
        Some(Scope::new(&cluster_id, &view.state, &self.parts.config.node_name))
    }

    /// A live engine of this node.
    pub(super) fn own(&self, id: EngineId) -> Option<std::sync::Arc<Engine>> {
        let view = self.parts.cluster.view();
        let engine = view.state.engine(id)?;
        (engine.node == self.parts.cluster.node_id() && engine.phase.is_live()).then(|| engine.clone())
    }
}
