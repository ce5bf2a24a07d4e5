//! Settings belong to the cluster: its first leader gives them, operators change them.

use std::collections::BTreeMap;

use acefleet_registry::command::{ChangeSettings, StopWhen};
use acefleet_registry::event::EventType;
use acefleet_registry::plan::consequences::consequences;
use acefleet_registry::plan::{Ahead, ahead, next};
use acefleet_registry::policy::PortRange;
use acefleet_registry::rules::hosts::Candidates;
use acefleet_registry::rules::settings::faults;
use acefleet_registry::settings::{Form, Name, Value};
use acefleet_registry::settings_log::CHANGES_MAX;
use acefleet_registry::{
    Actor, Command, Credential, Level, NodeId, OpId, Policy, Proposal, RefusalCode, Reply,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::properties::{cases, decoded, encoded};
use crate::support::{World, perform, plan, playing, watch};

/// A cluster of the present level with its first settings.
fn world() -> World {
    let mut world = World::new(2, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    assert_eq!(world.state.settings().revision(), 1);
    world
}

fn change(world: &mut World, expected: u64, values: &[(Name, Value)]) -> Reply {
    let values: BTreeMap<Name, Value> = values.iter().cloned().collect();
    world.run(Command::ChangeSettings(ChangeSettings { expected, values, reverts: None }))
}

/// As a node does it: the values in which that revision differs.
fn revert(world: &mut World, to: u64) -> Reply {
    let state = &world.state;
    let target = state.settings().at(to, state.policy()).unwrap();
    let values =
        state.policy().changes(&target).into_iter().map(|changed| (changed.name, changed.to)).collect();
    let expected = state.settings().revision();
    world.run(Command::ChangeSettings(ChangeSettings { expected, values, reverts: Some(to) }))
}

fn refusal(reply: Reply) -> (RefusalCode, String) {
    let Reply::Refused(refusal) = reply else { panic!("not refused: {reply:?}") };
    (refusal.code, refusal.message)
}

fn events(world: &World) -> Vec<String> {
    let events = world.state.events().iter().filter(|event| event.category == "settings_changed");
    events
        .map(|event| {
            assert_eq!(event.event_type, EventType::System);
            event.message.clone()
        })
        .collect()
}

const MAX: Name = Name::MaxReplicas;

#[test]
fn a_change_is_in_force_at_once_and_is_noted_once() {
    let mut world = world();
    let values = [
        (MAX, Value::Count(30)),
        (Name::AutoDelete, Value::Flag(true)),
        (Name::Grace, Value::Millis(30_000)),
    ];
    assert_eq!(change(&mut world, 1, &values), Reply::Settings { revision: 2 });
    assert_eq!((world.state.policy().max_replicas, world.state.policy().auto_delete), (30, true));
    assert_eq!(events(&world)[1..], ["MAX_REPLICAS 20 → 30, AUTO_DELETE false → true"]);
    let newest = world.state.settings().changes().next_back().unwrap();
    assert_eq!(newest.by, None);
    assert_eq!((newest.revision, newest.at_ms, newest.origin), (2, world.now, NodeId(1)));
    assert_eq!(newest.changes.len(), 2, "the grace period is what it was");
    assert_eq!(change(&mut world, 2, &values), Reply::Settings { revision: 2 }, "nothing is left to change");
    assert_eq!((events(&world).len(), world.state.settings().revision()), (2, 2));
}

#[test]
fn a_change_keeps_who_asked_for_it() {
    let mut world = world();
    let actor = Actor::new(Credential::ApiKey, Some("198.51.100.7".to_owned()));
    let values = BTreeMap::from([(MAX, Value::Count(30))]);
    let command = Command::ChangeSettings(ChangeSettings { expected: 1, values, reverts: None });
    let (op_id, by) = (OpId(5, 5), Some(actor.clone()));
    world.propose(&Proposal { op_id, at_ms: world.now, origin: NodeId(2), by, command });
    let newest = world.state.settings().changes().next_back().unwrap();
    assert_eq!((newest.by.as_ref(), newest.origin), (Some(&actor), NodeId(2)));
    let event = world.state.events().iter().next_back().unwrap();
    assert_eq!(event.by.as_ref().map(|by| &by.actor), Some(&actor));
}

#[test]
fn of_two_changes_on_one_revision_the_first_wins() {
    let mut world = world();
    assert_eq!(change(&mut world, 1, &[(MAX, Value::Count(30))]), Reply::Settings { revision: 2 });
    let (code, message) = refusal(change(&mut world, 1, &[(Name::MinReplicas, Value::Count(1))]));
    assert_eq!(code, RefusalCode::SettingsMoved);
    assert!(message.contains("at revision 2 and not at 1"), "{message}");
    assert_eq!((world.state.policy().max_replicas, world.state.policy().min_replicas), (30, 0));
}

#[test]
fn settings_are_judged_as_a_whole_and_nothing_of_a_wrong_change_is_in_force() {
    let mut world = world();
    let before = world.state.policy().clone();
    let range = |first, last| Value::Ports(PortRange { first, last });
    for (values, said) in [
        (vec![(MAX, Value::Count(0))], "MAX_REPLICAS=0 is out of bounds"),
        (vec![(MAX, Value::Flag(true))], "MAX_REPLICAS takes values of another form"),
        (vec![(Name::MinReplicas, Value::Count(21))], "MIN_REPLICAS=21 is above MAX_REPLICAS=20"),
        (
            vec![(Name::AutoDelete, Value::Flag(true)), (Name::MinFreeReplicas, Value::Count(99))],
            "MIN_FREE_REPLICAS=99",
        ),
        (
            vec![(Name::HostPorts, range(19_000, 19_009))],
            "PORT_RANGE_HOST=19000-19009 has 10 ports but MAX_REPLICAS=20 needs 20:",
        ),
        (
            vec![(MAX, Value::Count(600)), (Name::MapHttps, Value::Flag(true))],
            "needs 1200, two for each engine",
        ),
        (vec![(Name::HostPorts, range(2, 1))], "PORT_RANGE_HOST=2-1 is no range"),
        (vec![(Name::HttpsPorts, range(19_001, 19_001))], "ACE_HTTPS_RANGE=19001-19001 is a single port"),
        (vec![(Name::ContainerLabel, Value::Label("host.port=1".to_owned()))], "used for other labels"),
        (vec![(Name::ContainerLabel, Value::Label(format!("a={}", "x".repeat(1_024))))], "longer than 1024"),
        (vec![(Name::DownAfter, Value::Millis(999))], "seconds from 1 to 86400"),
    ] {
        let (code, message) = refusal(change(&mut world, 1, &values));
        assert_eq!(code, RefusalCode::InvalidSettings);
        assert!(message.contains(said), "{message}");
    }
    assert_eq!((world.state.policy(), events(&world).len()), (&before, 1));
    let both = [(Name::MinReplicas, Value::Count(25)), (MAX, Value::Count(25))];
    assert_eq!(change(&mut world, 1, &both), Reply::Settings { revision: 2 }, "together they are sound");
}

#[test]
fn a_revert_is_a_new_change_with_the_old_values() {
    let mut world = world();
    let first = world.state.policy().clone();
    change(&mut world, 1, &[(MAX, Value::Count(30))]);
    let second = world.state.policy().clone();
    change(&mut world, 2, &[(MAX, Value::Count(40)), (Name::AutoDelete, Value::Flag(true))]);
    assert_eq!(revert(&mut world, 1), Reply::Settings { revision: 4 });
    assert_eq!(*world.state.policy(), first);
    assert_eq!(
        events(&world)[3],
        "the settings are those of revision 1 again: MAX_REPLICAS 40 → 20, AUTO_DELETE true → false"
    );
    assert_eq!(world.state.settings().changes().next_back().unwrap().reverts, Some(1));
    assert_eq!(revert(&mut world, 2), Reply::Settings { revision: 5 });
    assert_eq!(*world.state.policy(), second);
    for never in [0, 6, 99] {
        assert_eq!(world.state.settings().at(never, world.state.policy()), None, "{never}");
    }
}

#[test]
fn the_newest_changes_are_kept_by_number_and_by_bytes() {
    let mut world = world();
    for n in 1..=CHANGES_MAX as u64 + 20 {
        assert_eq!(
            change(&mut world, n, &[(MAX, Value::Count(100 + n as u32))]),
            Reply::Settings { revision: n + 1 }
        );
    }
    let log = world.state.settings();
    assert_eq!(log.changes().count(), CHANGES_MAX);
    let oldest = log.changes().next().unwrap().revision;
    assert_eq!(log.at(oldest, world.state.policy()).unwrap().max_replicas, 100 + oldest as u32 - 1);
    assert_eq!(log.at(oldest - 1, world.state.policy()).unwrap().max_replicas, 100 + oldest as u32 - 2);
    assert_eq!(log.at(oldest - 2, world.state.policy()), None, "what followed on it is forgotten");
    let revision = log.revision();
    for n in 0..60 {
        let label = format!("key{n}={}", "x".repeat(1_000));
        change(&mut world, revision + n, &[(Name::ContainerLabel, Value::Label(label))]);
    }
    assert_eq!(world.state.settings().revision(), revision + 60);
    assert!(world.state.weights().settings <= acefleet_registry::weight::SETTINGS_MAX);
    assert!(world.state.settings().changes().count() < 60);
    assert!(world.state.indexes_are_true());
}

#[test]
fn a_leader_gives_its_own_settings_once() {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let mut leader = watch(&world.state, &world.eligible());
    leader.settings.max_replicas = 99;
    assert_eq!(next(&world.state, &leader, world.now).commands, [], "it is no rival");
    let late = world.run(Command::SetPolicy(Policy { max_replicas: 99, ..Policy::default() }));
    assert_eq!(refusal(late).0, RefusalCode::SettingsMoved, "two leaders found none at the same time");
    assert_eq!(world.state.policy().max_replicas, 20);
}

#[test]
fn below_the_level_each_leader_writes_its_own_and_the_last_one_gives_the_first_values() {
    let mut world = World::new(1, 10);
    let mut leader = watch(&world.state, &world.eligible());
    leader.settings =
        Policy { max_replicas: 30, down_after_ms: 90_000, spare_for_host: true, ..Policy::default() };
    let planned = next(&world.state, &leader, world.now).commands;
    let known = Policy { max_replicas: 30, ..Policy::default() };
    assert_eq!(planned, [Command::SetPolicy(known)], "what older members do not know is left out");
    world.run(planned[0].clone());
    assert_eq!((world.state.settings().revision(), events(&world).len()), (0, 0));
    assert_eq!(world.state.down_after_ms(&leader.settings), 90_000, "the leader's counts as long as it is");
    let held = world.run(Command::ChangeSettings(ChangeSettings {
        expected: 0,
        values: BTreeMap::new(),
        reverts: None,
    }));
    assert_eq!(refusal(held).0, RefusalCode::NoSettings);

    // What programs of that level wrote is read by this one.
    world.state = decoded(&encoded(&world.state));
    leader.members.iter_mut().for_each(|(_, level)| *level = Some(Level::CURRENT));
    let raises = next(&world.state, &leader, world.now).commands;
    assert_eq!(raises, [Command::RaiseLevel(Level::CURRENT)]);
    // Not by `run`, which acts as a leader after that.
    let state = &mut world.state;
    for (n, command) in raises.into_iter().enumerate() {
        let op_id = OpId(77, n as u64);
        let proposal = Proposal { op_id, at_ms: world.now, origin: NodeId(1), by: None, command };
        acefleet_registry::apply(state, &proposal, 1);
    }
    let planned = next(&world.state, &leader, world.now).commands;
    assert_eq!(planned, [Command::SetPolicy(leader.settings.clone())]);
    assert_eq!(world.run(planned[0].clone()), Reply::Settings { revision: 1 });
    let message = "the configuration of node-1 gives the settings of the cluster: ACEFLEET_SPARE_FOR_HOST false → true, \
        ACEFLEET_DOWN_AFTER_S 60 s → 90 s";
    assert_eq!(events(&world), [message]);
    assert_eq!(world.state.down_after_ms(&Policy::default()), 90_000, "another leader's counts no more");
    assert_eq!(next(&world.state, &watch(&world.state, &world.eligible()), world.now).commands, []);
}

fn hosts(world: &World) -> Candidates {
    watch(&world.state, &world.eligible()).candidates(&world.state)
}

#[test]
fn a_change_says_what_comes_of_it() {
    let mut world = world();
    let engines: Vec<_> = (0..5).map(|_| world.running()).collect();
    world.begin(playing("k", "s", engines[0].ports.host_http));
    world.wait_ms(120_000);
    let now = world.now;
    let said = |change: &dyn Fn(&mut Policy)| {
        let mut to = world.state.policy().clone();
        change(&mut to);
        consequences(&world.state, &hosts(&world), &to, now).join("; ")
    };
    assert_eq!(said(&|_| {}), "");
    assert_eq!(
        said(&|to| to.max_replicas = 2),
        "3 engines more than MAX_REPLICAS run; each leaves when nobody has used it for long; \
         3 engines that nobody has used for long leave now"
    );
    assert_eq!(said(&|to| to.min_replicas = 7), "2 engines are started: 5 are there and MIN_REPLICAS is 7");
    assert_eq!(
        said(&|to| to.min_free_replicas = 5),
        "1 engine is started: 4 are free and MIN_FREE_REPLICAS is 5"
    );
    // Two hosts with room for ten each.
    let too_many = said(&|to| (to.min_replicas, to.max_replicas) = (25, 25));
    assert!(
        too_many.starts_with("15 engines are started: 5 are there and MIN_REPLICAS is 25; 5 engines are missing to the floors: "),
        "{too_many}"
    );
    assert_eq!(said(&|to| to.auto_delete = true), "4 engines that nobody has used for long leave now");
    let keeps_three = |to: &mut Policy| (to.auto_delete, to.min_free_replicas) = (true, 3);
    assert_eq!(said(&keeps_three), "1 engine that nobody has used for long leaves now");
    let moved = |to: &mut Policy| to.host_ports = PortRange { first: 20_000, last: 20_100 };
    assert_eq!(said(&moved), "5 engines with ports outside of 20000-20100 keep them while they run");
    assert!(said(&|to| to.host_ports.first = 8_000).contains("on which node-1 has its API"));
    assert!(said(&|to| to.container_label = "a=b".to_owned()).contains("keep the label"));
    assert!(said(&|to| to.down_after_ms = 2_000).contains("loses its engines"));
    let mut failing = World::new(1, 10);
    failing.fail_one();
    failing.fail_one();
    failing.run(Command::RaiseLevel(Level::CURRENT));
    let strict = |to: &mut Policy| to.general_breaker.failure_threshold = 2;
    let mut to = failing.state.policy().clone();
    strict(&mut to);
    let said = consequences(&failing.state, &hosts(&failing), &to, failing.now);
    assert_eq!(said, ["the circuit breaker over new engines is open at once, as so many have failed"]);
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn what_is_said_beforehand_is_what_the_leader_does(
        engines in 0..8usize, streams in 0..4usize, idle in any::<bool>(),
        floors in (0..9u32, 0..9u32), max in 9..25u32, capacity in 2..12u32,
        deletes in any::<bool>(), spare in any::<bool>(),
    ) {
        let mut world = World::new(3, capacity);
        world.run(Command::RaiseLevel(Level::CURRENT));
        let running: Vec<_> = (0..engines.min(capacity as usize * 3)).map(|_| world.running()).collect();
        for (session, engine) in running.iter().take(streams).enumerate() {
            world.begin(playing("k", &session.to_string(), engine.ports.host_http));
        }
        if idle {
            world.wait_ms(3_600_000);
        }
        world.policy(|policy| {
            (policy.min_replicas, policy.min_free_replicas) = floors;
            (policy.max_replicas, policy.auto_delete, policy.spare_for_host) = (max, deletes, spare);
        });
        let said = ahead(&world.state, &hosts(&world), world.now);
        let written = perform(&mut world, |world| {
            let all = plan(&world.state, &world.eligible(), world.now);
            // What has left stops later, which is no part of it.
            let is_part = |command: &Command| match command {
                Command::Reserve(_) => true,
                Command::EngineStop { when, .. } => matches!(when, StopWhen::IdleFor(_)),
                _ => false,
            };
            all.into_iter().filter(is_part).collect()
        });
        let count = |of: &dyn Fn(&Command) -> bool| written.iter().filter(|command| of(command)).count() as u32;
        let reserved = count(&|command| matches!(command, Command::Reserve(_)));
        let left = count(&|command| matches!(command, Command::EngineStop { .. }));
        let Ahead { started, listed, leaving, .. } = said;
        prop_assert_eq!((started + listed, leaving), (reserved, left));
    }
}

fn value(name: Name) -> BoxedStrategy<Value> {
    let around = |min: u64, max: u64| {
        prop_oneof![
            6 => Just(min), 6 => Just(min + 1), 6 => Just(min + 17), 4 => Just(max), 1 => Just(max + 1), 1 => Just(min.saturating_sub(1)),
        ]
    };
    match name.form() {
        Form::Count { min, max } => around(min, max).prop_map(|n| Value::Count(n as u32)).boxed(),
        Form::Millis { min, max } => around(min, max).prop_map(Value::Millis).boxed(),
        Form::Flag => any::<bool>().prop_map(Value::Flag).boxed(),
        Form::Ports => (1_000..1_005u16, 0..80u16)
            .prop_map(|(first, more)| {
                Value::Ports(PortRange { first, last: first + more - u16::from(more == 79) * 90 })
            })
            .boxed(),
        Form::Label => prop_oneof![Just("a=b"), Just("c="), Just("no label"), Just("host.x=1")]
            .prop_map(|text| Value::Label(text.to_owned()))
            .boxed(),
    }
}

#[derive(Clone, Debug)]
enum Act {
    Change(Vec<(Name, Value)>),
    Stale(Vec<(Name, Value)>),
    Revert(u64),
    Rival,
}

fn act() -> impl Strategy<Value = Act> {
    let values = || {
        let one = (0..Name::ALL.len()).prop_flat_map(|at| (Just(Name::ALL[at]), value(Name::ALL[at])));
        vec(one, 0..4)
    };
    prop_oneof![
        8 => values().prop_map(Act::Change),
        1 => values().prop_map(Act::Stale),
        3 => (1..12u64).prop_map(Act::Revert),
        1 => Just(Act::Rival),
    ]
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn whatever_is_changed_and_reverted_settings_stay_sound(acts in vec(act(), 1..40)) {
        let mut world = world();
        let mut known = BTreeMap::from([(1, world.state.policy().clone())]);
        for act in acts {
            let revision = world.state.settings().revision();
            let before = world.state.policy().clone();
            let reply = match &act {
                Act::Change(values) => change(&mut world, revision, values),
                Act::Stale(values) => change(&mut world, revision - 1, values),
                Act::Revert(to) if *to <= revision => revert(&mut world, *to),
                Act::Revert(_) => continue,
                Act::Rival => world.run(Command::SetPolicy(Policy { max_replicas: 77, ..Policy::default() })),
            };
            let now = world.state.policy().clone();
            prop_assert_eq!(faults(&now), []);
            match reply {
                Reply::Settings { revision: made } => {
                    prop_assert!(!matches!(act, Act::Stale(_) | Act::Rival));
                    prop_assert_eq!(made > revision, now != before, "a revision for each change");
                    known.insert(made, now.clone());
                }
                Reply::Refused(_) => prop_assert_eq!(&now, &before),
                other => prop_assert!(false, "{:?}", other),
            }
            if let Act::Revert(to) = act {
                prop_assert_eq!(&now, &known[&to]);
            }
            for (revision, policy) in &known {
                let found = world.state.settings().at(*revision, &now);
                prop_assert_eq!(found.as_ref(), Some(policy), "revision {}", revision);
            }
        }
        prop_assert!(world.state.indexes_are_true());
    }
}
