//! Soft state: the last report of every node. It is not replicated, and no correct decision after a restart may need it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use acefleet_registry::rules::liveness::SUSPECT_AFTER;
use acefleet_registry::rules::lost_hosts::{Tried, Tries};
use acefleet_registry::{EngineId, NodeId};
use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::peers::report::{EngineSoft, NodeReport, StreamSample, VpnSoft};

/// The last report of a node.
#[derive(Clone, Debug)]
pub struct LastReport {
    /// When it came, by this node's monotonic clock.
    pub at: Instant,
    /// The report.
    pub report: Arc<NodeReport>,
}

/// All last reports at a moment.
#[derive(Clone, Debug)]
pub struct SoftView {
    /// When this node started to receive reports.
    pub since: Instant,
    /// Grows when any report shows something else; part of the key of rendered answers. What engines use does not count.
    pub epoch: u64,
    /// Newest report of each node, this one included.
    pub nodes: BTreeMap<NodeId, LastReport>,
    /// What asking the engines of silent hosts has come to.
    pub tries: Tries,
}

impl Default for SoftView {
    fn default() -> Self {
        Self { since: Instant::now(), epoch: 0, nodes: BTreeMap::new(), tries: Tries::new() }
    }
}

impl SoftView {
    /// Whether a node has sent no report for [`SUSPECT_AFTER`], counted from the start of this process at the earliest.
    #[must_use]
    pub fn is_suspect(&self, node: NodeId, now: Instant) -> bool {
        let last = self.nodes.get(&node).map_or(self.since, |last| last.at);
        now.saturating_duration_since(last) >= SUSPECT_AFTER
    }

    /// Whether a member other than `me` has lately had contact with this one, by the reports that came lately. What nobody says is not
    /// concluded.
    #[must_use]
    pub fn answers_others(&self, node: NodeId, me: NodeId, now: Instant) -> bool {
        self.nodes.keys().any(|id| *id != me && self.names(*id, node, now))
    }

    /// Members that have contact with one with which the leader has none, by the reports that came lately; none if the leader has, or
    /// has not said.
    #[must_use]
    pub fn answered_but_the_leader(&self, node: NodeId, leader: NodeId, now: Instant) -> Vec<NodeId> {
        let is_known = self.nodes.contains_key(&leader) && !self.is_suspect(leader, now);
        if node == leader || !is_known || self.names(leader, node, now) {
            return Vec::new();
        }
        self.nodes.keys().copied().filter(|id| self.names(*id, node, now)).collect()
    }

    /// Whether a member that is not suspect tells of contact with another one.
    fn names(&self, member: NodeId, other: NodeId, now: Instant) -> bool {
        let report = self.nodes.get(&member).map(|last| &last.report);
        member != other
            && report.is_some_and(|report| report.in_contact.contains(&other))
            && !self.is_suspect(member, now)
    }

    /// Whether an engine did not answer this node when it was asked last, because its host is silent.
    #[must_use]
    pub fn has_failed(&self, engine: EngineId) -> bool {
        matches!(self.tries.get(&engine), Some(Tried::Failed(_)))
    }

    /// Soft state of an engine of a node.
    #[must_use]
    pub fn engine(&self, node: NodeId, engine: EngineId) -> Option<&EngineSoft> {
        self.nodes.get(&node)?.report.engines.get(&engine)
    }

    /// Soft state of a VPN container of a node.
    #[must_use]
    pub fn vpn(&self, node: NodeId, container: &str) -> Option<&VpnSoft> {
        self.nodes.get(&node)?.report.vpns.get(container)
    }

    /// Newest sample of a stream that runs on an engine of a node.
    #[must_use]
    pub fn stream(&self, node: NodeId, stream: &str) -> Option<&StreamSample> {
        self.nodes.get(&node)?.report.streams.get(stream)
    }
}

/// The newest report of each node. Readers never wait.
#[derive(Debug, Default)]
pub struct SoftState {
    view: ArcSwap<SoftView>,
    writing: Mutex<()>,
}

impl SoftState {
    /// The newest view.
    #[must_use]
    pub fn view(&self) -> Arc<SoftView> {
        self.view.load_full()
    }

    /// Forgets nodes that are no members any more, with all that they counted.
    pub async fn retain(&self, is_member: impl Fn(NodeId) -> bool) {
        let _writing = self.writing.lock().await;
        let now = self.view.load();
        if now.nodes.keys().all(|id| is_member(*id)) {
            return;
        }
        let mut view = SoftView::clone(&now);
        view.nodes.retain(|id, _| is_member(*id));
        view.epoch += 1;
        self.view.store(Arc::new(view));
    }

    /// Notes what asking the engines of silent hosts has come to. Answers change only when another engine fails, or one less.
    pub async fn tried(&self, tries: Tries) {
        let _writing = self.writing.lock().await;
        let now = self.view.load();
        if now.tries == tries {
            return;
        }
        let failing = |tries: &Tries| -> Vec<EngineId> {
            let failed = tries.iter().filter(|(_, tried)| matches!(tried, Tried::Failed(_)));
            failed.map(|(id, _)| *id).collect()
        };
        let mut view = SoftView::clone(&now);
        view.epoch += u64::from(failing(&view.tries) != failing(&tries));
        view.tries = tries;
        self.view.store(Arc::new(view));
    }

    /// Receives a node's report. `None` means that the node lives and its report has not changed. False when that report never came
    /// here, so that all of it is wanted.
    pub async fn receive(&self, node: NodeId, report: Option<Arc<NodeReport>>) -> bool {
        let _writing = self.writing.lock().await;
        let mut view = SoftView::clone(&self.view.load());
        let now = Instant::now();
        let known = view.nodes.get(&node).map(|last| Arc::clone(&last.report));
        let is_known = report.is_some() || known.is_some();
        let report = match (report, known) {
            (Some(new), Some(old)) if old == new => old,
            (Some(new), old) => {
                view.epoch += u64::from(!old.is_some_and(|old| old.is_shown_like(&new)));
                new
            }
            (None, Some(old)) => old,
            (None, None) => Arc::default(),
        };
        view.nodes.insert(node, LastReport { at: now, report });
        self.view.store(Arc::new(view));
        is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::EngineUsage;

    #[tokio::test]
    async fn reports_of_former_members_are_forgotten() {
        let soft = SoftState::default();
        for node in [1, 2] {
            let report = NodeReport { totals: (10, 1), ..NodeReport::default() };
            soft.receive(NodeId(node), Some(Arc::new(report))).await;
        }
        let before = soft.view().epoch;
        soft.retain(|_| true).await;
        assert_eq!((soft.view().nodes.len(), soft.view().epoch), (2, before));
        soft.retain(|id| id == NodeId(2)).await;
        let view = soft.view();
        assert_eq!(view.nodes.keys().copied().collect::<Vec<_>>(), [NodeId(2)]);
        assert!(view.epoch > before, "answers depend on it");
    }

    #[tokio::test]
    async fn what_engines_use_is_known_and_makes_no_answer_anew() {
        let soft = SoftState::default();
        let receive = async |memory: u64, checked: u64| {
            let usage = Some(EngineUsage { memory_bytes: Some(memory), ..EngineUsage::default() });
            let last_health_check_ms = Some(acefleet_registry::WallMs(checked));
            let engine = EngineSoft { usage, last_health_check_ms, ..EngineSoft::default() };
            let engines = [(EngineId(1), engine)].into();
            soft.receive(NodeId(1), Some(Arc::new(NodeReport { engines, ..NodeReport::default() }))).await;
            let view = soft.view();
            let usage = view.engine(NodeId(1), EngineId(1)).unwrap().usage.clone().unwrap();
            (view.epoch, usage.memory_bytes)
        };
        assert_eq!(receive(5, 1).await, (1, Some(5)));
        assert_eq!(receive(6, 1).await, (1, Some(6)));
        assert_eq!(receive(6, 2).await, (2, Some(6)));
    }

    #[tokio::test]
    async fn a_member_answers_others_as_long_as_another_one_names_it() {
        let soft = SoftState::default();
        let [me, away, other] = [1, 2, 3].map(NodeId);
        let names = |ids: &[NodeId]| {
            let in_contact = ids.iter().copied().collect();
            Some(Arc::new(NodeReport { in_contact, ..NodeReport::default() }))
        };
        let answers = || soft.view().answers_others(away, me, Instant::now());
        soft.receive(me, names(&[away])).await;
        soft.receive(away, names(&[away, me])).await;
        assert!(!answers(), "nobody else has said anything");
        soft.receive(other, names(&[me])).await;
        assert!(!answers(), "one that has just started names nobody, and says nothing of them by that");
        soft.receive(other, names(&[me, away])).await;
        assert!(answers());
        let later = Instant::now() + SUSPECT_AFTER;
        assert!(!soft.view().answers_others(away, me, later), "what it said is too old");
        soft.receive(other, names(&[me])).await;
        assert!(!answers());
    }

    #[tokio::test]
    async fn a_link_to_the_leader_that_is_broken_is_seen_by_what_the_others_say() {
        let soft = SoftState::default();
        let [leader, away, other] = [1, 2, 3].map(NodeId);
        let says = async |id: NodeId, names: &[NodeId]| {
            let in_contact = names.iter().copied().collect();
            soft.receive(id, Some(Arc::new(NodeReport { in_contact, ..NodeReport::default() }))).await;
        };
        let now = Instant::now();
        let by = || soft.view().answered_but_the_leader(away, leader, now);
        says(other, &[leader, away]).await;
        assert_eq!(by(), [], "the leader has said nothing");
        says(leader, &[other]).await;
        says(away, &[away, other]).await;
        assert_eq!(by(), [other]);
        assert_eq!(soft.view().answered_but_the_leader(leader, leader, now), []);
        assert_eq!(soft.view().answered_but_the_leader(away, leader, now + SUSPECT_AFTER * 2), []);
        says(leader, &[other, away]).await;
        assert_eq!(by(), []);
    }

    #[tokio::test]
    async fn a_report_that_never_came_says_nothing_and_is_wanted() {
        let soft = SoftState::default();
        let [me, away, other] = [1, 2, 3].map(NodeId);
        assert!(!soft.receive(other, None).await, "all of it is wanted");
        assert!(!soft.view().answers_others(away, me, Instant::now()));
        assert!(soft.receive(other, Some(Arc::default())).await && soft.receive(other, None).await);
    }

    #[tokio::test]
    async fn answers_change_with_the_engines_that_fail_and_not_with_each_try() {
        let soft = SoftState::default();
        let epochs = |tries: &[(u64, Tried)]| {
            let tries: Tries = tries.iter().map(|(id, tried)| (EngineId(*id), *tried)).collect();
            let soft = &soft;
            async move {
                soft.tried(tries).await;
                soft.view().epoch
            }
        };
        let answered = Tried::Answered(1);
        assert_eq!(epochs(&[(1, answered), (2, answered)]).await, 0);
        assert_eq!(epochs(&[(1, answered), (2, Tried::Failed(1))]).await, 1);
        assert!(soft.view().has_failed(EngineId(2)) && !soft.view().has_failed(EngineId(1)));
        assert_eq!(epochs(&[(1, Tried::Answered(2)), (2, Tried::Failed(2))]).await, 1);
        assert_eq!(epochs(&[]).await, 2);
    }
}
