//! Properties over arbitrary sequences of commands.

use std::collections::BTreeSet;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::EngineSpec;
use acefleet_registry::plan::waits::Shortage;
use acefleet_registry::plan::{Wait, Watch, next};
use acefleet_registry::rules::hosts;
use acefleet_registry::rules::lost_hosts::Tried;
use acefleet_registry::rules::standing::Keeps;
use acefleet_registry::{Command, Elapsed, EngineId, NodeId, OpId, Proposal, Reply, Reserve, State, apply};
use proptest::prelude::*;

use crate::support::arbitrary::{heavy_histories, histories, vpn_histories};
use crate::support::invariants::{History, check_state};
use crate::support::{World, ask, playing, watch};

/// As many cases as the everyday run can afford, unless `PROPTEST_CASES` asks for others.
pub fn cases(everyday: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(everyday),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub fn encoded(state: &State) -> Vec<u8> {
    rmp_serde::to_vec_named(state).unwrap()
}

pub fn decoded(bytes: &[u8]) -> State {
    rmp_serde::from_slice(bytes).unwrap()
}

fn replayed(proposals: &[Proposal]) -> State {
    let mut state = State::default();
    proposals.iter().enumerate().for_each(|(n, proposal)| {
        apply(&mut state, proposal, n as u64 + 1);
    });
    state
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_invariants_hold_after_every_command(proposals in histories(1..120)) {
        let mut state = State::default();
        let mut history = History::default();
        for (n, proposal) in proposals.iter().enumerate() {
            let before = state.clone();
            let reply = apply(&mut state, proposal, n as u64 + 1);
            let checked = history.check_step(&before, &state, proposal, &reply);
            prop_assert!(checked.is_ok(), "{:?} after {proposal:?}, reply {reply:?}", checked);
        }
    }

}

proptest! {
    #![proptest_config(cases(150))]

    /// Beside the invariants of every state, of which one is that no VPN has two forwarded engines: the plan that replaces engines
    /// one at a time for each VPN.
    #[test]
    fn a_vpn_has_one_forwarded_engine_at_the_most(proposals in vpn_histories(1..80)) {
        let mut state = State::default();
        let mut history = History::default();
        for (n, proposal) in proposals.iter().enumerate() {
            let before = state.clone();
            let reply = apply(&mut state, proposal, n as u64 + 1);
            let checked = history.check_step(&before, &state, proposal, &reply);
            prop_assert!(checked.is_ok(), "{:?} after {proposal:?}, reply {reply:?}", checked);
        }
        let hosts: BTreeSet<NodeId> = state.nodes().map(|node| node.info.id).collect();
        let commands = next(&state, &watch(&state, &hosts), state.clock_ms()).commands;
        let renewed = commands.iter().filter_map(|command| match command {
            Command::EngineStop { engine, cause: Cause::VpnReconnected, .. } => state.engine(*engine),
            _ => None,
        });
        let mut vpns = BTreeSet::new();
        for engine in renewed {
            prop_assert!(vpns.insert((engine.node, engine.vpn.clone())), "two leave at once: {engine:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn the_budgets_hold_after_every_command_of_any_size(
        proposals in heavy_histories(1..160),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut state = State::default();
        let mut history = History::default();
        let cut = cut.index(proposals.len());
        for (n, proposal) in proposals.iter().enumerate() {
            let before = state.clone();
            let reply = apply(&mut state, proposal, n as u64 + 1);
            let checked = history.check_step(&before, &state, proposal, &reply);
            prop_assert!(checked.is_ok(), "{:?} after {:?}", checked, proposal.op_id);
            if n == cut {
                let bytes = encoded(&state);
                let weights = state.weights();
                prop_assert!(bytes.len() as u64 <= weights.total() + 4_096, "{} in {weights:?}", bytes.len());
                state = decoded(&bytes);
                prop_assert_eq!(state.weights(), weights);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_replica_that_restores_a_snapshot_half_way_is_identical(
        proposals in histories(1..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let all = replayed(&proposals);
        let (prefix, rest) = proposals.split_at(cut.index(proposals.len() + 1));
        let snapshot = encoded(&replayed(prefix));
        let mut restored = decoded(&snapshot);
        prop_assert_eq!(&encoded(&restored), &snapshot);
        prop_assert!(restored.indexes_are_true());
        for (n, proposal) in rest.iter().enumerate() {
            apply(&mut restored, proposal, (prefix.len() + n) as u64 + 1);
        }
        prop_assert_eq!(encoded(&restored), encoded(&all));
    }

    #[test]
    fn two_replicas_have_the_same_bytes(proposals in histories(1..120)) {
        prop_assert_eq!(encoded(&replayed(&proposals)), encoded(&replayed(&proposals)));
    }

    #[test]
    fn a_repeat_of_any_remembered_write_changes_nothing(proposals in histories(1..80)) {
        let mut state = replayed(&proposals);
        let bytes = encoded(&state);
        for proposal in &proposals {
            let Some(done) = state.remembered(proposal.op_id) else { continue };
            let late = Proposal { at_ms: proposal.at_ms.plus(1_000_000), origin: NodeId(9), ..proposal.clone() };
            prop_assert_eq!(apply(&mut state, &late, 0), done);
        }
        prop_assert_eq!(encoded(&state), bytes);
    }

}

/// What asking an engine may come to.
pub fn tried() -> impl Strategy<Value = Tried> {
    prop_oneof![(1..4u32).prop_map(Tried::Answered), (1..4u32).prop_map(Tried::Failed)]
}

/// What a wait holds back, if it is a write that a refusal holds back.
fn early(state: &State, answering: &BTreeSet<NodeId>, wait: &Wait) -> Option<Command> {
    let reserve = |spec: EngineSpec, replaces| {
        // As the leader stamps it.
        let eligible = hosts::live(state, &spec, &|id| !answering.contains(&id)).reachable();
        let ask = ask(spec, eligible);
        Command::Reserve(Reserve { claim_abandoned: false, automatic: true, replaces, ..ask })
    };
    let stop = |engine: EngineId, when| Command::EngineStop { engine, cause: Cause::Idle, when };
    match wait {
        Wait::Floor { why: Shortage::Refused(_), .. } => Some(reserve(EngineSpec::acestream(), None)),
        Wait::Replacement { lost, why: Shortage::Refused(_) } => {
            Some(reserve(state.engine(*lost)?.spec.clone(), Some(*lost)))
        }
        Wait::Stop { engine, .. } | Wait::Unlist { engine, why: Keeps::Suspected { .. } } => {
            Some(stop(*engine, StopWhen::Unused))
        }
        Wait::Move { engine, .. } | Wait::Renew { engine, .. } => Some(stop(*engine, StopWhen::OffVpn)),
        Wait::Unlist { engine, .. } => Some(stop(*engine, StopWhen::IdleFor(state.policy().grace_ms))),
        _ => None,
    }
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn the_plan_is_never_refused_comes_to_rest_and_waits_for_what_would_be(
        proposals in prop_oneof![3 => histories(1..100), 2 => vpn_histories(1..100)],
        hosts in prop::collection::btree_set((1..=5u64).prop_map(NodeId), 0..=5),
        later_ms in prop_oneof![0..1_000u64, 20_000..400_000u64],
        silent_ms in prop_oneof![Just(1_000u64), Just(7_000u64)],
        tries in prop::collection::btree_map((1..=12u64).prop_map(EngineId), tried(), 0..12),
    ) {
        let watch = |state: &State| {
            let mut watch = watch(state, &hosts);
            for contact in watch.contacts.values_mut().filter(|contact| contact.is_unresponsive) {
                contact.silent_ms = silent_ms;
            }
            Watch { tries: tries.clone(), ..watch }
        };
        let mut state = replayed(&proposals);
        let now = Elapsed(state.clock_ms().plus(later_ms).0.saturating_sub(500));
        let mut op = 1u128 << 80;
        for _ in 0..12 {
            for command in next(&state, &watch(&state), now).commands {
                let forced = matches!(command, Command::EngineStop { when: StopWhen::Always, .. });
                prop_assert!(!forced, "the plan forces {command:?}");
                op += 1;
                let proposal = Proposal { op_id: OpId::from_u128(op), at_ms: now, origin: NodeId(1), by: None, command };
                let reply = apply(&mut state, &proposal, 0);
                prop_assert!(!matches!(reply, Reply::Refused(_)), "{proposal:?} was refused: {reply:?}");
            }
        }
        let rest = next(&state, &watch(&state), now);
        prop_assert_eq!(rest.commands, vec![]);
        prop_assert_eq!(check_state(&state), Ok(()));
        for wait in rest.waits {
            let Some(early) = early(&state, &hosts, &wait) else { continue };
            op += 1;
            let proposal = Proposal { op_id: OpId::from_u128(op), at_ms: now, origin: NodeId(1), by: None, command: early };
            let reply = apply(&mut state.clone(), &proposal, 0);
            prop_assert!(matches!(reply, Reply::Refused(_)), "{wait:?} waits for nothing: {reply:?}");
        }
    }

    #[test]
    fn reservations_spread_evenly_over_equal_hosts_whichever_node_receives_them(
        hosts in 1..=5u64,
        rounds in 1..=4usize,
        origins in prop::collection::vec(1..=5u64, 20),
    ) {
        let mut world = World::new(hosts, 10);
        for origin in origins.iter().take(rounds * hosts as usize) {
            world.origin = NodeId(*origin);
            world.reserve();
        }
        for host in 1..=hosts {
            let on_host = world.state.live_engines().filter(|e| e.node == NodeId(host)).count();
            prop_assert_eq!(on_host, rounds);
        }
    }

    #[test]
    fn the_order_and_the_number_of_events_do_not_matter(
        ended in prop::collection::vec(any::<bool>(), 6),
        order in Just((0..6usize).flat_map(|n| [(n, true), (n, false), (n, true), (n, false)]).collect::<Vec<_>>())
            .prop_shuffle(),
    ) {
        let mut world = World::new(1, 10);
        let port = world.running().ports.host_http;
        for (n, is_start) in order {
            let session = format!("s{n}");
            if is_start {
                world.begin(playing("k", &session, port));
            } else if ended[n] {
                world.finish(&format!("k|{session}"));
            }
        }
        for (n, ended) in ended.iter().enumerate() {
            let stream = world.state.stream(&format!("k|s{n}")).unwrap();
            prop_assert_eq!(stream.is_started(), !ended, "stream {}", n);
        }
        let running = ended.iter().filter(|ended| !**ended).count();
        prop_assert_eq!(world.state.stream_counts(), (running, 6));
    }
}
