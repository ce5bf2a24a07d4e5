//! Answers the cluster's calls: stamps reservations on the leader and serves questions of other nodes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use acefleet_raft::Hooks;
use acefleet_registry::engine::EngineSpec;
use acefleet_registry::rules::hosts::{self, Candidates, Observations, Wanted};
use acefleet_registry::{Command, KeyHash, NodeId, Proposal, State};
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::access;
use crate::agent::AgentHandle;
use crate::ask::{Answer, Question};
use crate::soft::SoftState;

/// The node's side of the cluster's hooks. Made before the cluster, completed when the agent runs.
pub struct NodeHooks {
    soft: Arc<SoftState>,
    agent: OnceLock<AgentHandle>,
    data_dir: PathBuf,
}

impl NodeHooks {
    /// Hooks without an agent: questions about containers are refused until [`Self::complete`].
    #[must_use]
    pub fn new(soft: Arc<SoftState>, data_dir: PathBuf) -> Self {
        Self { soft, agent: OnceLock::new(), data_dir }
    }

    /// Names the agent; later calls change nothing.
    pub fn complete(&self, agent: AgentHandle) {
        let _ = self.agent.set(agent);
    }
}

/// Hosts that can start an engine now, whether they have room for it or not.
#[must_use]
pub fn eligible(state: &State, is_silent: impl Fn(NodeId) -> bool) -> BTreeSet<NodeId> {
    candidates(state, &is_silent).reachable()
}

/// The hosts, sorted for a plain engine.
#[must_use]
pub fn candidates(state: &State, is_silent: &dyn Fn(NodeId) -> bool) -> Candidates {
    let (spec, failed) = (EngineSpec::acestream(), BTreeSet::new());
    let observations = Observations::Live(is_silent);
    hosts::candidates(state, &Wanted { spec: &spec, failed: &failed, observations })
}

impl Hooks for NodeHooks {
    fn prepare(&self, state: &State, is_silent: &dyn Fn(NodeId) -> bool, proposal: &mut Proposal) {
        if let Command::Reserve(reserve) = &mut proposal.command {
            reserve.eligible = eligible(state, is_silent);
        }
    }

    fn make_key(&self) -> std::io::Result<KeyHash> {
        access::make_key(&self.data_dir)
    }

    fn ask(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let soft = Arc::clone(&self.soft);
        let agent = self.agent.get().cloned();
        Box::pin(async move {
            let question: Question =
                serde_json::from_slice(&request).map_err(|e| format!("question not understood: {e}"))?;
            let answer = match (question, agent) {
                (Question::Report(report), _) => {
                    soft.hear(from, report).await;
                    Answer::Done
                }
                (_, None) => return Err("this node is still starting".to_owned()),
                (question, Some(agent)) => answer(&agent, question).await.map_err(|e| format!("{e:#}"))?,
            };
            serde_json::to_vec(&answer).map(Bytes::from).map_err(|e| e.to_string())
        })
    }
}

/// Answers a question about this host's containers and streams.
pub(crate) async fn answer(agent: &AgentHandle, question: Question) -> anyhow::Result<Answer> {
    Ok(match question {
        Question::Report(_) => Answer::Done,
        Question::Inspect(engine) => Answer::Container(agent.inspect(engine).await?),
        Question::ByLabel { key, value } => Answer::Containers(agent.by_label(&key, &value).await?),
        Question::AdoptLeftBehind { force } => Answer::Adoptions(agent.adopt_left_behind(force).await?),
        Question::StreamStats { stream, since_ms } => Answer::Samples(agent.samples(&stream, since_ms)),
        Question::StopSession { engine, command_url } => {
            agent.stop_session(engine, &command_url).await?;
            Answer::Done
        }
    })
}
