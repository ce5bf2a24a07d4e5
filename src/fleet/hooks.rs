//! Answers the cluster's calls: stamps reservations on the leader and serves questions of other nodes.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use acefleet_raft::Hooks;
use acefleet_registry::rules::hosts;
use acefleet_registry::{Command, KeyHash, NodeId, Proposal, State};
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::access;
use crate::fleet::Fleet;
use crate::peers::{Answer, Question, SoftState};

/// The node's side of the cluster's hooks. Made before the cluster, completed when the fleet is.
pub struct NodeHooks {
    soft: Arc<SoftState>,
    fleet: OnceLock<Fleet>,
    data_dir: PathBuf,
}

impl NodeHooks {
    /// Hooks without a fleet: questions are refused until [`Self::complete`].
    #[must_use]
    pub fn new(soft: Arc<SoftState>, data_dir: PathBuf) -> Self {
        Self { soft, fleet: OnceLock::new(), data_dir }
    }

    /// Names the fleet; later calls change nothing.
    pub fn complete(&self, fleet: Fleet) {
        let _ = self.fleet.set(fleet);
    }
}

impl Hooks for NodeHooks {
    fn prepare(&self, state: &State, is_silent: &dyn Fn(NodeId) -> bool, proposal: &mut Proposal) {
        if let Command::Reserve(reserve) = &mut proposal.command {
            let reachable = hosts::live(state, &reserve.spec, is_silent).reachable();
            // Callers name no hosts; the leader's plan may mean some of them alone.
            reserve.eligible = match reserve.eligible.is_empty() {
                true => reachable,
                false => &reserve.eligible & &reachable,
            };
        }
    }

    fn make_key(&self) -> std::io::Result<KeyHash> {
        access::make_key(&self.data_dir)
    }

    fn ask(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let soft = Arc::clone(&self.soft);
        let fleet = self.fleet.get().cloned();
        Box::pin(async move {
            let question: Question =
                serde_json::from_slice(&request).map_err(|e| format!("question not understood: {e}"))?;
            let answer = match (question, fleet) {
                (Question::Report(report), _) => {
                    if !soft.receive(from, report).await {
                        // It sends all of it next time.
                        return Err("this node does not know that report".to_owned());
                    }
                    Answer::Done
                }
                (Question::Foresee(_), Some(fleet)) if !fleet.cluster().is_leader() => {
                    return Err("this node does not lead".to_owned());
                }
                (Question::Foresee(claim), Some(fleet)) => Answer::Foreseen(fleet.foresee_for(from, &claim)),
                (Question::TakeBack(number), Some(fleet)) => {
                    fleet.take_back_for(from, number);
                    Answer::Done
                }
                (_, None) => return Err("this node is still starting".to_owned()),
                (question, Some(fleet)) => answer(&fleet, question).await.map_err(|e| format!("{e:#}"))?,
            };
            serde_json::to_vec(&answer).map(Bytes::from).map_err(|e| e.to_string())
        })
    }
}

/// Answers a question about this host's containers and streams, and about this node's plan.
pub(crate) async fn answer(fleet: &Fleet, question: Question) -> anyhow::Result<Answer> {
    let agent = fleet.agent();
    Ok(match question {
        Question::Plan => Answer::Plan(fleet.own_plan()),
        Question::OwnLog => Answer::OwnLog(fleet.own_log()),
        // Who asks counts for these; a node asks itself none of them.
        Question::Report(_) | Question::Foresee(_) | Question::TakeBack(_) => Answer::Done,
        Question::Lead(node) => {
            let leads = fleet.cluster().transfer_leadership(|id| id == node).await;
            // Once this node leads no more, who asks sees who leads then.
            anyhow::ensure!(leads || !fleet.cluster().is_leader(), "{}", not_led(fleet, node));
            Answer::Done
        }
        Question::Inspect(engine) => Answer::Container(agent.inspect(engine).await?),
        Question::Logs(id) => Answer::Logs(agent.logs(&id).await?),
        Question::Log { source, query } => Answer::Log(agent.log(&source, &query).await?),
        Question::ByLabel { key, value } => Answer::Containers(agent.by_label(&key, &value).await?),
        Question::AdoptLeftBehind { force, by } => {
            Answer::Adoptions(agent.adopt_left_behind(force, by).await?)
        }
        Question::StreamStats { stream, since_ms } => Answer::Samples(agent.samples(&stream, since_ms)),
        Question::StreamDetail { stream, detail } => {
            Answer::StreamDetail(agent.stream_detail(&stream, detail).await?)
        }
        Question::Series { of, since_s } => Answer::Series(fleet.own_series(&of, since_s)),
        Question::StopSession { engine, command_url } => {
            agent.stop_session(engine, &command_url).await?;
            Answer::Done
        }
    })
}

/// Why a member did not take over from this node, which goes on.
fn not_led(fleet: &Fleet, node: NodeId) -> &'static str {
    match fleet.cluster().is_silent(node) {
        true => "it does not answer the leader",
        false => "it did not complete the transfer in time, as one that lags behind does not",
    }
}

#[cfg(test)]
mod tests {
    use acefleet_registry::engine::EngineSpec;
    use acefleet_registry::node::DockerState;
    use acefleet_registry::{Elapsed, NodeInfo, OpId, Reserve, apply};

    use super::*;
    use crate::fleet::provision::plain;

    #[test]
    fn a_reservation_gets_the_hosts_that_answer_or_those_of_them_that_it_names() {
        let (mut state, mut n) = (State::default(), 0);
        let mut write = |command: Command| {
            n += 1;
            let proposal =
                Proposal { op_id: OpId(1, n), at_ms: Elapsed(n), origin: NodeId(1), by: None, command };
            apply(&mut state, &proposal, n);
        };
        for id in 1..=3 {
            write(Command::NodeUp(NodeInfo {
                id: NodeId(id),
                name: format!("node-{id}"),
                advertise_host: "b".into(),
                http_port: 8000,
                version: "1".into(),
                capacity: 3,
                docker_network: None,
                vpns: vec![],
                scheme: Default::default(),
            }));
            write(Command::NodeDocker { node: NodeId(id), docker: DockerState::Available });
        }
        let hooks = NodeHooks::new(Arc::default(), PathBuf::new());
        let stamped = |named: &[u64]| {
            let eligible = named.iter().map(|id| NodeId(*id)).collect();
            let command = Command::Reserve(Reserve { eligible, ..plain(EngineSpec::acestream()) });
            let (op_id, at_ms, origin) = (OpId(2, 1), Elapsed(9), NodeId(1));
            let mut proposal = Proposal { op_id, at_ms, origin, by: None, command };
            hooks.prepare(&state, &|id| id == NodeId(3), &mut proposal);
            let Command::Reserve(reserve) = proposal.command else { return vec![] };
            reserve.eligible.into_iter().map(|id| id.0).collect::<Vec<u64>>()
        };
        assert_eq!(stamped(&[]), [1, 2], "the third is silent");
        assert_eq!(stamped(&[2, 3]), [2]);
    }
}
