//! What operators have to know of a leader's plan, each once as a log line: floors that cannot be kept, circuit breakers that open
//! and close, and members that answer others but not the leader.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::group::Group;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Plan, Wait};
use acefleet_registry::rules::floors_missed::FloorMissed;
use acefleet_registry::rules::liveness::SUSPECT_AFTER;
use acefleet_registry::{Elapsed, EngineId, NodeId, Refusal, RefusalCode, State};

const PLAIN: [Group; 2] = [Group::Plain(BreakerKind::General), Group::Plain(BreakerKind::Replacement)];

/// What was said last.
#[derive(Debug, Default)]
pub struct Notices {
    /// Floors that are not kept, by their settings, and why.
    short: Option<(String, RefusalCode)>,
    /// Breakers that are open.
    open: BTreeSet<Group>,
    /// Members that do not answer the leader, but others: since when, and whether that was said.
    cut_off: BTreeMap<NodeId, (Elapsed, bool)>,
}

impl Notices {
    /// Logs what has changed since the last plan.
    pub fn note(&mut self, state: &State, plan: &Plan, now: Elapsed) {
        self.note_floors(&state.at(now), plan);
        self.note_cut_off(state, plan, now);
        let groups: BTreeSet<Group> =
            PLAIN.into_iter().chain(state.failing().cloned()).chain(self.open.iter().cloned()).collect();
        self.open =
            groups.into_iter().filter(|g| note_breaker(state, g, self.open.contains(g), now)).collect();
    }

    fn note_floors(&mut self, state: &State, plan: &Plan) {
        let short = unkept(state, plan);
        let missed = state.floors_missed();
        let settings: Vec<&str> = missed.iter().map(FloorMissed::setting).collect();
        match (short, &self.short) {
            (Some((missing, refusal)), _) => {
                let short = (settings.join(" and "), refusal.code);
                if self.short.as_ref() != Some(&short) {
                    let settings = &short.0;
                    tracing::warn!(missing, reason = refusal.message, "{settings} cannot be kept");
                    self.short = Some(short);
                }
            }
            (None, Some((settings, _))) if missed.is_empty() => {
                tracing::info!("what could not be kept is kept again: {settings}");
                self.short = None;
            }
            (None, _) => {}
        }
    }

    /// Names members that stay as they are for as long as only others have contact with them, which may be for ever.
    fn note_cut_off(&mut self, state: &State, plan: &Plan, now: Elapsed) {
        let ids = plan.waits.iter().filter_map(|wait| match wait {
            Wait::CutOff { node } => Some(*node),
            _ => None,
        });
        let known = std::mem::take(&mut self.cut_off);
        self.cut_off = ids.map(|id| (id, known.get(&id).copied().unwrap_or((now, false)))).collect();
        for (id, (since, is_said)) in &mut self.cut_off {
            let lasts = u128::from(now.since(*since)) >= SUSPECT_AFTER.as_millis();
            if lasts && !*is_said {
                *is_said = true;
                let name = state.node_name(*id);
                tracing::warn!(
                    node = name,
                    "{name} answers other members, but not this node, which leads: the network between the two is broken. \
                     Its engines and streams stay as they are, and it gets no new ones"
                );
            }
        }
        let was_said = known.iter().filter(|(_, (_, is_said))| *is_said);
        for id in was_said.map(|(id, _)| *id).filter(|id| !self.cut_off.contains_key(id)) {
            let name = state.node_name(id);
            tracing::info!(node = name, "{name} is cut off from this node no more, or from all members");
        }
    }

    /// Forgets it: another node leads.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// How many engines are missing to floors, and why they are refused. Those behind a VPN that stays down count in no floor, and have
/// replacements of their own.
fn unkept<'a>(state: &State, plan: &'a Plan) -> Option<(u32, &'a Refusal)> {
    let is_given_up = |id: EngineId| state.engine(id).is_some_and(|engine| state.is_given_up(engine));
    let of_floor = plan.waits.iter().filter_map(|wait| match wait {
        Wait::Floor { missing, why: Shortage::Refused(refusal) } => Some((*missing, refusal)),
        _ => None,
    });
    let of_given_up = plan.waits.iter().filter_map(|wait| match wait {
        Wait::Replacement { lost, why: Shortage::Refused(refusal) } if is_given_up(*lost) => {
            Some((1, refusal))
        }
        _ => None,
    });
    let all = of_floor.chain(of_given_up);
    all.reduce(|(missing, refusal), (more, _)| (missing.saturating_add(more), refusal))
}

/// What a breaker holds back.
fn what(state: &State, group: &Group) -> String {
    match group {
        Group::Plain(BreakerKind::General) => "no engine is started".to_owned(),
        Group::Plain(BreakerKind::Replacement) => "no replacement is started".to_owned(),
        Group::Chosen(_) => format!("no engine is started with {}", state.group_name(group)),
        Group::Host(_) => format!("no engine is started on {}", state.group_name(group)),
        Group::Vpn(..) => format!("no engine is started behind {}", state.group_name(group)),
    }
}

/// Says that a breaker is open, or closed again; returns whether it counts as open from now on.
fn note_breaker(state: &State, group: &Group, was_open: bool, now: Elapsed) -> bool {
    let (breaker, policy) = state.breaker_over(group, now);
    match breaker.state(policy, now) {
        BreakerState::Open if !was_open => {
            tracing::warn!(
                breaker = state.group_name(group),
                seconds = breaker.recovery_left_ms(policy, now).div_ceil(1_000),
                "the circuit breaker is open, {}: {}",
                what(state, group),
                breaker.story()
            );
            true
        }
        BreakerState::Closed if was_open => {
            tracing::info!(breaker = state.group_name(group), "the circuit breaker is closed again");
            false
        }
        BreakerState::Open | BreakerState::Closed | BreakerState::HalfOpen => was_open,
    }
}

#[cfg(test)]
mod tests {
    use acefleet_registry::command::Reserve;
    use acefleet_registry::engine::EngineSpec;
    use acefleet_registry::policy::PortRange;
    use acefleet_registry::vpn::{VpnHealth, VpnInfo, VpnStatus};
    use acefleet_registry::{Command, Level, NodeInfo, OpId, Policy, Proposal, apply};

    use super::*;
    use crate::fleet::provision::plain;

    /// An engine behind a VPN that was connected until the last moment.
    fn behind_a_dead_vpn() -> State {
        let (node, container) = (NodeId(7), "gluetun".to_owned());
        let vpn = |health| Command::VpnChanged {
            node,
            container: container.clone(),
            status: VpnStatus { health, ..VpnStatus::default() },
            renew: false,
        };
        let ports = PortRange { first: 19_000, last: 19_009 };
        let commands = [
            Command::SetPolicy(Policy { min_replicas: 1, ..Policy::default() }),
            Command::RaiseLevel(Level::CURRENT),
            Command::NodeUp(NodeInfo {
                id: node,
                name: "node-b".into(),
                advertise_host: "b".into(),
                http_port: 8000,
                version: "1".into(),
                capacity: 3,
                docker_network: None,
                vpns: vec![VpnInfo { container: container.clone(), ports }],
                scheme: Default::default(),
            }),
            Command::NodeDocker { node, docker: acefleet_registry::node::DockerState::Available },
            vpn(VpnHealth::Healthy),
            Command::Reserve(Reserve { eligible: [node].into(), ..plain(EngineSpec::acestream()) }),
            vpn(VpnHealth::Unhealthy),
        ];
        let mut state = State::default();
        for (n, command) in commands.into_iter().enumerate() {
            let n = n as u64 + 1;
            let proposal = Proposal { op_id: OpId(1, n), at_ms: Elapsed(n), origin: node, by: None, command };
            apply(&mut state, &proposal, n);
        }
        state
    }

    #[test]
    fn replacements_that_are_refused_count_for_floors_only_when_what_they_replace_is_given_up() {
        let state = behind_a_dead_vpn();
        let lost = state.live_engines().next().expect("an engine").id;
        let refusal =
            Refusal { code: RefusalCode::MaxCapacity, message: "no room".to_owned(), retry_after_s: None };
        let waits = vec![Wait::Replacement { lost, why: Shortage::Refused(refusal) }];
        let plan = Plan { waits, ..Plan::default() };
        let missing = |ms| unkept(&state.at(Elapsed(ms)), &plan).map(|(missing, _)| missing);
        assert_eq!(missing(11_000), None, "it may be a flap");
        assert_eq!(missing(13_000), Some(1));
    }

    #[test]
    fn a_member_that_answers_only_others_is_named_once_and_when_that_lasts() {
        let (state, id) = (State::default(), NodeId(2));
        let cut_off = Plan { waits: vec![Wait::CutOff { node: id }], ..Plan::default() };
        let mut notices = Notices::default();
        let mut said = |plan: &Plan, ms: u64| {
            notices.note_cut_off(&state, plan, Elapsed(ms));
            notices.cut_off.get(&id).copied()
        };
        assert_eq!(said(&cut_off, 1_000), Some((Elapsed(1_000), false)));
        assert_eq!(said(&cut_off, 3_999), Some((Elapsed(1_000), false)), "it may have been the last contact");
        assert_eq!(said(&cut_off, 4_000), Some((Elapsed(1_000), true)));
        assert_eq!(said(&cut_off, 90_000), Some((Elapsed(1_000), true)));
        assert_eq!(said(&Plan::default(), 91_000), None);
        assert_eq!(said(&cut_off, 92_000), Some((Elapsed(92_000), false)));
    }
}
