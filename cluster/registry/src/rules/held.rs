//! What failures of starts hold back: while a breaker is open nothing is started that shares what failed, and after each failure it rests.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::level::Level;
use crate::records::breaker::{BreakerState, rest_ms};
use crate::records::cause::Blames;
use crate::records::engine::{Engine, Phase};
use crate::records::group::Group;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::rules::load::TROUBLED_MS;
use crate::rules::vpn::Haste;
use crate::state::State;

/// Why nothing is started that shares something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// For people.
    pub(crate) why: String,
    /// Seconds after which a retry makes sense.
    pub(crate) retry_after_s: u64,
}

/// Failures of lately that hosts have for what they run, and the newest of them, if several hosts do. It may be no fault of a host then.
fn failures_of_several_hosts(state: &State, now_ms: Elapsed) -> Option<(u32, Elapsed)> {
    let fails = |host: &NodeId| {
        let breaker = state.tables.failing.get(&Group::Host(*host));
        breaker.is_some_and(|breaker| breaker.failure_count > 0)
    };
    let failing = state.tables.failing.keys().filter(|group| matches!(group, Group::Host(_)));
    if failing.count() < 2 {
        return None;
    }
    let mut hosts = BTreeSet::new();
    let (mut failures, mut newest_ms) = (0u32, Elapsed::default());
    for failed in state.all_engines().filter_map(|engine| engine.start_failed.as_ref()) {
        let is_of_content = failed.cause.as_ref().is_some_and(|cause| cause.blames() == Blames::Content);
        if let Group::Host(host) = failed.group
            && is_of_content
            && fails(&host)
            && now_ms.since(failed.at_ms) < TROUBLED_MS
        {
            hosts.insert(host);
            failures += 1;
            newest_ms = newest_ms.max(failed.at_ms);
        }
    }
    (hosts.len() > 1).then_some((failures, newest_ms))
}

impl State {
    /// Why nothing is started now that shares this.
    pub(crate) fn held(&self, group: &Group) -> Option<Held> {
        let now = self.clock_ms();
        let (breaker, policy) = self.breaker_over(group, now);
        let over = match group {
            Group::Plain(_) => String::new(),
            _ => format!(" over {}", self.group_name(group)),
        };
        match breaker.state(policy, now) {
            BreakerState::HalfOpen | BreakerState::Open if self.is_tried_for_floor(group, now) => None,
            BreakerState::HalfOpen if self.probes_suffice(group) => Some(Held {
                why: format!("the circuit breaker{over} is half open and its one probe is under way"),
                retry_after_s: self.probe_left_s(group),
            }),
            BreakerState::Closed | BreakerState::HalfOpen => None,
            BreakerState::Open => Some(Held {
                why: format!("the circuit breaker{over} is open after {}", breaker.story()),
                retry_after_s: breaker.recovery_left_ms(policy, now).div_ceil(1000),
            }),
        }
    }

    /// True when a start is let through whatever its breaker says: nothing of a floor runs or is on its way, and the pause after the last
    /// failure is over. To have nothing for the whole time of recovery would be worse than one more that fails.
    pub(crate) fn is_tried_for_floor(&self, group: &Group, now_ms: Elapsed) -> bool {
        let policy = self.policy();
        self.level() >= Level::TRIES_FOR_EMPTY_FLOORS
            && policy.min_replicas.max(policy.min_free_replicas) > 0
            && !matches!(group, Group::Chosen(_))
            && self.supply() == 0
            && self.rests_for(group, now_ms) == 0
    }

    /// The start that the leader waits for before it makes another one that shares this: after a failure they come one by one until one
    /// runs.
    pub(crate) fn first_after_failure(&self, group: &Group, now_ms: Elapsed) -> Option<&Arc<Engine>> {
        let (_, failed_at) = self.failures_in_a_row(group, now_ms)?;
        let sharing = || self.live_engines().filter(|e| group.covers(e));
        let runs_since = |e: &Engine| e.started_at_ms.is_some_and(|at| at > failed_at);
        let is_first = |e: &Engine| e.phase == Phase::Reserved && e.reserved_at_ms > failed_at;
        if sharing().any(|e| runs_since(e)) { None } else { sharing().find(|e| is_first(e)) }
    }

    /// True when a half-open breaker lets no further start through: one is on its way, or as many are on trial as failures would
    /// have opened it. What callers chose says nothing of the plain ones.
    pub(crate) fn probes_suffice(&self, group: &Group) -> bool {
        let (breaker, policy) = self.breaker_over(group, self.clock_ms());
        let failed_at = breaker.last_failure_ms.unwrap_or_default();
        let sharing = || self.live_engines().filter(|e| group.covers(e));
        let counts = self.level() >= Level::COUNTS_YOUNG_ENDS;
        let is_on_trial = |e: &Engine| counts && e.started_at_ms.is_some_and(|at| at > failed_at);
        let on_trial = || sharing().filter(|e| e.phase.is_serving() && is_on_trial(e));
        sharing().any(|e| e.phase == Phase::Reserved)
            || on_trial().any(|e| e.phase == Phase::Starting)
            || on_trial().count() >= policy.failure_threshold.max(1) as usize
    }

    /// Seconds until the probe of a half-open breaker has probably started.
    fn probe_left_s(&self, group: &Group) -> u64 {
        let mut sharing = self.live_engines().filter(|e| group.covers(e));
        match sharing.find(|e| e.phase == Phase::Reserved) {
            Some(probe) if self.level() >= Level::QUEUES_CALLERS => self.start_left_s(probe, self.clock_ms()),
            _ => 2,
        }
    }

    /// What the next engine on a host would share with others there.
    fn next_groups(&self, node: NodeId) -> impl Iterator<Item = Group> {
        let vpn = self.slot(node, Haste::Waiting).map(|slot| Group::Vpn(node, slot.vpn));
        std::iter::once(Group::Host(node)).chain(vpn)
    }

    /// Why the next engine is not started on a host, for the failures of others.
    pub(crate) fn next_held(&self, node: NodeId) -> Option<Held> {
        // Mostly nothing has failed, and no VPN is looked for.
        if self.tables.failing.is_empty() {
            return None;
        }
        self.next_groups(node).find_map(|group| self.held(&group))
    }

    /// Milliseconds for which the leader starts nothing on a host, for the failures of others.
    pub(crate) fn next_rests_for(&self, node: NodeId, now_ms: Elapsed) -> u64 {
        if self.tables.failing.is_empty() {
            return 0;
        }
        self.next_groups(node).map(|group| self.rests_for(&group, now_ms)).max().unwrap_or(0)
    }

    /// Milliseconds for which the leader starts nothing that shares this, longer with each failure in a row: what cannot start
    /// engines now must not use up the patience of its breaker within a second.
    pub(crate) fn rests_for(&self, group: &Group, now_ms: Elapsed) -> u64 {
        let failed = self.failures_in_a_row(group, now_ms);
        failed.map_or(0, |(failures, at_ms)| at_ms.plus(rest_ms(failures)).since(now_ms))
    }

    /// How many failures the leader rests for, and when the newest was. Those that several hosts have are looked at together: while
    /// it is not known whose fault that is, starts on one host are not made up for on the next.
    fn failures_in_a_row(&self, group: &Group, now_ms: Elapsed) -> Option<(u32, Elapsed)> {
        let (breaker, _) = self.breaker_over(group, now_ms);
        let own = breaker.last_failure_ms.filter(|_| breaker.failure_count > 0);
        let own = own.map(|at_ms| (breaker.failure_count, at_ms));
        let of_hosts = match group {
            Group::Plain(_) => failures_of_several_hosts(self, now_ms),
            Group::Chosen(_) | Group::Host(_) | Group::Vpn(..) => None,
        };
        match (own, of_hosts) {
            (Some((own, at_ms)), Some((others, then_ms))) => {
                Some((own.saturating_add(others), at_ms.max(then_ms)))
            }
            (own, of_hosts) => own.or(of_hosts),
        }
    }
}
