//! What this node reports of itself, about once a second. It changes as seldom as possible, because every change makes all nodes
//! render their answers anew.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acefleet_raft::Cluster;
use acefleet_registry::rules::liveness::{SILENT_AFTER, SUSPECT_AFTER};
use acefleet_registry::{EngineId, NodeId, State, WallMs};
use tokio::time::MissedTickBehavior;

use crate::agent::fsync_lately::Lately;
use crate::agent::lock::unpoisoned;
use crate::agent::runtime::Observed;
use crate::config::{Config, shared};
use crate::peers::{EngineSoft, EngineUsage, LeftBehind, NodeReport, SoftState, StreamSample, VpnSoft};

/// Period of publication.
const PERIOD: Duration = Duration::from_secs(1);
/// Time stamps advance in steps of at least this, in milliseconds.
const COARSE_MS: u64 = 5_000;

/// This node's own report.
#[derive(Debug)]
pub(super) struct LocalReport {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    report: NodeReport,
    fsyncs: Lately,
    dirty: bool,
}

impl LocalReport {
    /// The report of a node with these settings.
    pub(super) fn of(config: &Config) -> Self {
        let settings = config.given().map(|(name, value)| (name.to_string(), shared::to_json(&value)));
        let report = NodeReport { settings: settings.collect(), ..NodeReport::default() };
        Self { inner: Mutex::new(Inner { report, fsyncs: Lately::default(), dirty: true }) }
    }

    fn change(&self, change: impl FnOnce(&mut NodeReport) -> bool) {
        let mut inner = unpoisoned(&self.inner);
        let changed = change(&mut inner.report);
        inner.dirty |= changed;
    }

    /// Notes a list of containers: the running ones were seen now.
    pub(super) fn saw(&self, state: &State, containers: &[Observed], now: WallMs) {
        let alive: BTreeSet<&str> =
            containers.iter().filter(|c| c.is_alive()).map(|c| c.id.as_str()).collect();
        let seen =
            state.live_engines().filter(|e| e.container_id.as_deref().is_some_and(|id| alive.contains(id)));
        for engine in seen {
            self.engine(engine.id, |soft| refresh(&mut soft.last_seen_ms, now));
        }
    }

    /// Notes a probe.
    pub(super) fn probed(&self, engine: EngineId, now: WallMs) {
        self.engine(engine, |soft| refresh(&mut soft.last_health_check_ms, now));
    }

    /// Notes what an engine says of itself.
    pub(super) fn version(&self, engine: EngineId, platform: Option<String>, version: Option<String>) {
        self.engine(engine, |soft| {
            let changed = soft.platform != platform || soft.version != version;
            soft.platform = platform;
            soft.version = version;
            changed
        });
    }

    /// Notes what engines use.
    pub(super) fn used(&self, all: Vec<(EngineId, EngineUsage)>) {
        for (id, usage) in all {
            self.engine(id, |soft| {
                soft.usage = Some(usage);
                true
            });
        }
    }

    /// Notes the state of a VPN container.
    pub(super) fn vpn(&self, container: &str, seen: VpnSoft) {
        self.change(|report| {
            let known = report.vpns.entry(container.to_owned()).or_default();
            let mut last_check_ms = known.last_check_ms;
            let fresh = refresh(&mut last_check_ms, seen.last_check_ms.unwrap_or_default());
            let seen = VpnSoft { last_check_ms, ..seen };
            let changed = fresh || *known != seen;
            *known = seen;
            changed
        });
    }

    /// Notes the engines that an earlier life of this host left behind.
    pub(super) fn left_behind(&self, found: &[LeftBehind]) {
        self.change(|report| {
            let changed = report.left_behind != found;
            if changed {
                report.left_behind = found.to_vec();
            }
            changed
        });
    }

    fn engine(&self, id: EngineId, change: impl FnOnce(&mut EngineSoft) -> bool) {
        self.change(|report| change(report.engines.entry(id).or_default()));
    }

    /// Notes a stream's newest sample and the bytes that it moved since the last one.
    pub(super) fn sampled(&self, stream: &str, sample: StreamSample, moved: (u64, u64)) {
        self.change(|report| {
            report.totals.0 += moved.0;
            report.totals.1 += moved.1;
            report.streams.insert(stream.to_owned(), sample);
            true
        });
    }

    /// Counts a failed poll.
    pub(super) fn collector_failed(&self) {
        self.change(|report| {
            report.collector_errors += 1;
            true
        });
    }

    /// Forgets engines and streams that have ended or are not on this node. Returns the report if it changed since the last call.
    fn take(&self, cluster: &Cluster, node: NodeId) -> Option<Arc<NodeReport>> {
        let view = cluster.view();
        let state = &view.state;
        let owns = |id: &EngineId| state.engine(*id).is_some_and(|e| e.node == node && e.phase.is_live());
        let runs = |id: &str| {
            state.stream(id).is_some_and(|s| s.is_started() && s.engine.is_some_and(|engine| owns(&engine)))
        };
        let fsyncs = unpoisoned(&self.inner).fsyncs.judge(cluster.fsync_times(), Instant::now());
        self.change(|report| {
            let before = (report.engines.len(), report.streams.len(), report.queued_events);
            let silent_before = std::mem::replace(&mut report.silent, silent(cluster, state));
            let contact_before =
                std::mem::replace(&mut report.in_contact, in_contact(state, |id| cluster.last_contact(id)));
            report.engines.retain(|id, _| owns(id));
            report.streams.retain(|id, _| runs(id));
            report.queued_events = cluster.outbox().len();
            let applied_before = report.applied_index.replace(view.applied_index);
            let fsync_before = std::mem::replace(&mut report.fsync_p99_us, fsyncs.p99_us);
            let slow_before = std::mem::replace(&mut report.slow_disk, fsyncs.is_slow);
            let secrets_before = std::mem::replace(&mut report.secrets, cluster.secrets());
            (applied_before, fsync_before, slow_before)
                != (report.applied_index, report.fsync_p99_us, report.slow_disk)
                || secrets_before != report.secrets
                || silent_before != report.silent
                || contact_before != report.in_contact
                || before != (report.engines.len(), report.streams.len(), report.queued_events)
        });
        let mut inner = unpoisoned(&self.inner);
        std::mem::take(&mut inner.dirty).then(|| Arc::new(inner.report.clone()))
    }
}

/// Members that have not answered this node for [`SILENT_AFTER`], if it is the leader. Other nodes rely on it.
fn silent(cluster: &Cluster, state: &State) -> BTreeSet<NodeId> {
    if !cluster.is_leader() {
        return BTreeSet::new();
    }
    members(state).filter(|id| cluster.silence(*id) >= SILENT_AFTER).collect()
}

/// Members with which this node has had contact lately. The leader believes it. So a node that has just started, and has had contact with
/// nobody, names nobody.
fn in_contact(state: &State, last_contact: impl Fn(NodeId) -> Option<Duration>) -> BTreeSet<NodeId> {
    let has_contact = |id: &NodeId| last_contact(*id).is_some_and(|ago| ago < SUSPECT_AFTER);
    members(state).filter(has_contact).collect()
}

fn members(state: &State) -> impl Iterator<Item = NodeId> {
    state.nodes().map(|node| node.info.id)
}

/// Advances a stamp by [`COARSE_MS`] or more, or not at all. True when it changed.
fn refresh(stamp: &mut Option<WallMs>, now: WallMs) -> bool {
    let stale = stamp.is_none_or(|old| old.0.saturating_add(COARSE_MS) <= now.0 || old > now);
    if stale {
        *stamp = Some(now);
    }
    stale
}

/// Publishes the report for ever, also unchanged, as a sign of life. Forgets the reports of nodes that are no members any more.
pub(super) async fn publish(cluster: &Cluster, node: NodeId, own: &LocalReport, soft: &SoftState) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        soft.receive(node, own.take(cluster, node)).await;
        let members = cluster.status().members;
        soft.retain(|id| id == node || members.iter().any(|member| member.id == id)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::book::{Book, ME, OTHER};

    #[test]
    fn only_members_that_this_node_has_had_contact_with_lately_are_named() {
        let state = Book::new().state;
        let named = |ago: Option<Duration>| in_contact(&state, |id| ago.filter(|_| id == OTHER));
        assert_eq!(named(None), BTreeSet::new(), "this node has just started");
        assert_eq!(named(Some(Duration::ZERO)), [OTHER].into());
        assert_eq!(named(Some(SUSPECT_AFTER)), BTreeSet::new());
        assert!(state.node(ME).is_some(), "it needs no contact with itself");
    }

    #[test]
    fn a_stamp_moves_only_when_it_is_worth_a_change() {
        let mut stamp = None;
        assert!(refresh(&mut stamp, WallMs(10_000)));
        assert!(!refresh(&mut stamp, WallMs(14_999)));
        assert_eq!(stamp, Some(WallMs(10_000)));
        assert!(refresh(&mut stamp, WallMs(15_000)));
        assert!(refresh(&mut stamp, WallMs(9_000)), "the clock was set back");
        assert_eq!(stamp, Some(WallMs(9_000)));
    }
}
