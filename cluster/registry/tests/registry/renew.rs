//! Engines that ran before their VPN was connected again after a long outage.

use std::collections::BTreeSet;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::{Health, Phase};
use acefleet_registry::health::HealthFault;
use acefleet_registry::plan::{Wait, next};
use acefleet_registry::rules::standing::Keeps;
use acefleet_registry::vpn::{VpnFault, VpnHealth, VpnStatus};
use acefleet_registry::{Command, Elapsed, Engine, EngineId, Level, NodeId, Reply, Reserve};

use crate::support::{World, behind_vpn, engine, gone, plan, playing, stop, watch, with_conf};

const PORT: u16 = 50_000;

/// A host with a VPN that forwards a port.
fn world(level: Level) -> World {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(level));
    world.run(Command::NodeUp(behind_vpn(1)));
    tell(&mut world, VpnHealth::Healthy, true);
    world
}

fn tell(world: &mut World, health: VpnHealth, renew: bool) {
    let status = VpnStatus { health, forwarded_port: Some(PORT), ..VpnStatus::default() };
    world.run(Command::VpnChanged { node: NodeId(1), container: "gluetun".to_owned(), status, renew });
}

/// The VPN is gone for so long.
fn outage(world: &mut World, ms: u64, renew: bool) {
    tell(world, VpnHealth::Unhealthy, renew);
    world.wait_ms(ms);
    tell(world, VpnHealth::Healthy, renew);
}

/// One round of the leader's plan: engines that start answer a second later, and stopped ones go.
pub fn second(world: &mut World) -> Vec<Command> {
    let of = |world: &World, phase| -> Vec<EngineId> {
        world.state.live_engines().filter(|e| e.phase == phase).map(|e| e.id).collect()
    };
    let [reserved, starting, leaving] =
        [Phase::Reserved, Phase::Starting, Phase::Stopping].map(|phase| of(world, phase));
    world.wait_ms(1_000);
    for id in reserved {
        world.start(id);
    }
    for id in starting {
        world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
    }
    for id in leaving {
        world.run(gone(id));
    }
    let commands = plan(&world.state, &world.eligible(), world.now);
    for command in &commands {
        let reply = world.run(command.clone());
        assert!(!matches!(reply, Reply::Refused(_)), "{command:?} was refused: {reply:?}");
    }
    commands
}

fn tell_port(world: &mut World, port: u16) {
    let status = VpnStatus { health: VpnHealth::Healthy, forwarded_port: Some(port), ..VpnStatus::default() };
    let (node, container) = (NodeId(1), "gluetun".to_owned());
    world.run(Command::VpnChanged { node, container, status, renew: true });
}

/// Listed engines that have the port of their VPN.
fn forwarded(world: &World) -> Vec<EngineId> {
    let has_port = |e: &&std::sync::Arc<Engine>| world.state.forwarded_port(e).is_some();
    world.state.listed_engines().filter(has_port).map(|e| e.id).collect()
}

fn listed(world: &World) -> BTreeSet<EngineId> {
    world.state.listed_engines().map(|e| e.id).collect()
}

fn live(world: &World) -> BTreeSet<EngineId> {
    world.state.live_engines().map(|e| e.id).collect()
}

#[test]
fn idle_engines_are_replaced_one_after_the_other_and_those_with_streams_when_they_end() {
    let mut world = world(Level::CURRENT);
    let old: Vec<_> = (0..4).map(|_| world.running()).collect();
    let busy = &old[3];
    world.begin(playing("k", "s", busy.ports.host_http));
    let before = live(&world);
    outage(&mut world, 12_000, true);
    assert_eq!(listed(&world), before, "all of them play");
    for _ in 0..180 {
        second(&mut world);
        let leaving = world.state.live_engines().filter(|e| e.taken_off.is_some()).count();
        assert!(leaving <= 1, "{leaving} engines leave at once");
        assert!(listed(&world).len() >= 3 && live(&world).len() <= 5, "{:?}", live(&world));
        assert!(listed(&world).contains(&busy.id), "a viewer was cut");
    }
    let kept: Vec<_> = live(&world).intersection(&before).copied().collect();
    assert_eq!((kept, live(&world).len()), (vec![busy.id], 4));
    assert!(old[..3].iter().all(|e| world.engine(e.id).end_cause().unwrap().0 == &Cause::VpnReconnected));
    let forwarded = world.state.live_engines().filter(|e| e.forwarded_port.is_some()).count();
    assert_eq!(forwarded, 1, "the port was passed on");
    world.finish("k|s");
    for _ in 0..60 {
        second(&mut world);
    }
    assert_eq!((live(&world).intersection(&before).count(), listed(&world).len()), (0, 4));
    // Nothing is left to be done, and the new ones stay.
    assert_eq!(second(&mut world), vec![]);
}

/// The same for so many seconds, in which clients always get an engine.
fn seconds(world: &mut World, count: u32) {
    for n in 0..count {
        second(world);
        assert!(!listed(world).is_empty(), "nothing is listed after {n} s");
    }
}

#[test]
fn the_next_one_waits_for_the_replacement_of_the_one_before() {
    let mut world = world(Level::CURRENT);
    let (first, second) = (world.running(), world.running());
    outage(&mut world, 60_000, true);
    for command in plan(&world.state, &world.eligible(), world.now) {
        world.run(command);
    }
    // Its replacement never starts: an hour later both are still there.
    for _ in 0..3_600 {
        world.wait_ms(1_000);
        let commands = plan(&world.state, &world.eligible(), world.now);
        for command in commands.into_iter().filter(|c| !matches!(c, Command::Reserve(_))) {
            world.run(command);
        }
        assert_eq!(listed(&world), [first.id, second.id].into());
    }
    let waits = next(&world.state, &watch(&world.state, &world.eligible()), world.now).waits;
    for (engine, why) in [(first.id, Keeps::NotReplaced), (second.id, Keeps::OtherFirst(first.id))] {
        assert!(waits.contains(&Wait::Renew { engine, why }), "{waits:?}");
    }
}

#[test]
fn the_only_engine_is_listed_until_its_replacement_answers() {
    let mut world = world(Level::CURRENT);
    let old = world.running();
    outage(&mut world, 14_000, true);
    seconds(&mut world, 50);
    let renewed = world.state.live_engines().next().unwrap().clone();
    assert_eq!((live(&world).len(), renewed.replaces), (1, Some(old.id)));
    assert_eq!(world.engine(old.id).end_cause().unwrap().0, &Cause::VpnReconnected);
}

#[test]
fn the_only_engine_is_listed_until_one_with_the_new_port_answers() {
    let mut world = world(Level::CURRENT);
    let old = world.running();
    tell_port(&mut world, PORT + 1);
    assert_eq!(listed(&world), [old.id].into());
    seconds(&mut world, 3);
    assert_eq!(forwarded(&world).len(), 1);
    seconds(&mut world, 40);
    assert_eq!((live(&world).len(), forwarded(&world).len()), (1, 1));
    assert_eq!(world.engine(old.id).end_cause().unwrap().0, &Cause::VpnPortChanged);
}

#[test]
fn a_replacement_that_never_answers_costs_no_engine() {
    let mut world = world(Level::CURRENT);
    let (first, second) = (world.running(), world.running());
    outage(&mut world, 60_000, true);
    for _ in 0..600 {
        for command in plan(&world.state, &world.eligible(), world.now) {
            world.run(command);
        }
        world.wait_ms(1_000);
        let of = |phase| {
            let engines = world.state.live_engines().filter(move |e| e.phase == phase);
            engines.map(|e| (e.id, e.started_at_ms)).collect::<Vec<_>>()
        };
        let [reserved, starting, leaving] = [Phase::Reserved, Phase::Starting, Phase::Stopping].map(of);
        reserved.iter().for_each(|(id, _)| drop(world.start(*id)));
        let is_late = |at: &Option<Elapsed>| at.is_some_and(|at| world.now.since(at) >= 30_000);
        let late: Vec<_> = starting.iter().filter(|(_, at)| is_late(at)).map(|(id, _)| *id).collect();
        for engine in late {
            let fault = Some(HealthFault::NoAnswer);
            world.run(Command::EngineHealth { engine, health: Health::Unhealthy, fault });
        }
        leaving.iter().for_each(|(id, _)| drop(world.run(gone(*id))));
        assert_eq!(listed(&world), [first.id, second.id].into());
        assert!(live(&world).len() <= 5, "{:?}", live(&world));
    }
}

#[test]
fn an_engine_that_takes_the_room_of_its_replacement_leaves_before() {
    let mut world = world(Level::CURRENT);
    let old = world.running();
    world.policy(|policy| policy.max_replicas = 1);
    outage(&mut world, 14_000, true);
    second(&mut world);
    assert_eq!(world.engine(old.id).taken_off.as_ref().unwrap().cause, Cause::VpnReconnected);
    (0..3).for_each(|_| drop(second(&mut world)));
    let now = world.state.listed_engines().next().unwrap().clone();
    assert_eq!(now.replaces, Some(old.id));
}

#[test]
fn a_replacement_that_was_stopped_before_it_answered_uses_up_no_engine() {
    let mut world = world(Level::CURRENT);
    let (first, other) = (world.running(), world.running());
    world.policy(|policy| policy.max_replicas = 2);
    outage(&mut world, 14_000, true);
    (0..2).for_each(|_| drop(second(&mut world)));
    assert!(world.engine(first.id).taken_off.is_some(), "it takes the room of its replacement");
    let replacement = world.state.replacement(first.id).unwrap().id;
    world.start(replacement);
    world.run(stop(replacement, StopWhen::Always));
    world.run(gone(replacement));
    for _ in 0..120 {
        second(&mut world);
        assert!(listed(&world).contains(&other.id), "the next one has left for nothing");
    }
}

#[test]
fn a_port_that_changes_all_the_time_replaces_one_engine_after_the_other() {
    let mut world = world(Level::CURRENT);
    (0..3).for_each(|_| drop(world.running()));
    let before = world.state.events().iter().filter(|e| e.category == "created").count();
    for n in 1..=40u16 {
        tell_port(&mut world, PORT + n);
        (0..3).for_each(|_| drop(second(&mut world)));
        assert!(live(&world).len() <= 4 && listed(&world).len() >= 3, "{:?}", live(&world));
    }
    let created = world.state.events().iter().filter(|e| e.category == "created").count() - before;
    assert!((2..=5).contains(&created), "{created} engines in two minutes");
    (0..100).for_each(|_| drop(second(&mut world)));
    assert_eq!((live(&world).len(), forwarded(&world).len()), (3, 1));
    assert_eq!(second(&mut world), vec![]);
}

#[test]
fn a_short_outage_another_setting_and_an_older_program_replace_nothing() {
    for (level, ms, renew) in
        [(Level::CURRENT, 11_999, true), (Level::CURRENT, 60_000, false), (Level::FIRST, 60_000, true)]
    {
        let mut world = world(level);
        let engine = world.running();
        outage(&mut world, ms, renew);
        assert_eq!(world.state.vpn_fault(&engine), None);
        for _ in 0..60 {
            assert_eq!(second(&mut world), vec![], "{level:?} {ms} {renew}");
        }
    }
}

#[test]
fn an_engine_that_starts_later_and_one_with_a_fixed_port_stay() {
    let mut world = world(Level::CURRENT);
    let fixed = Command::Reserve(world.ask_for(with_conf("--http-port=19105")));
    let fixed = engine(world.run(fixed)).id;
    world.start(fixed);
    outage(&mut world, 60_000, true);
    let late = world.running();
    for id in [fixed, late.id] {
        assert_eq!(world.state.vpn_fault(&world.engine(id)), None);
    }
}

#[test]
fn an_engine_to_which_a_client_is_on_the_way_waits() {
    let mut world = world(Level::CURRENT);
    let asked = Reserve { patience_ms: Some(10_000), ..world.ask() };
    let id = engine(world.run(Command::Reserve(asked))).id;
    world.start(id);
    outage(&mut world, 12_000, true);
    assert_eq!(world.state.vpn_fault(&world.engine(id)), Some(VpnFault::Reconnected));
    assert_eq!(second(&mut world), vec![]);
    let waits = next(&world.state, &watch(&world.state, &world.eligible()), world.now).waits;
    let is_kept = |wait: &Wait| matches!(wait, Wait::Renew { engine, why: Keeps::ClientsComing { .. } } if *engine == id);
    assert!(waits.iter().any(is_kept), "{waits:?}");
}

#[test]
fn an_engine_whose_port_is_back_is_listed_again() {
    let mut world = world(Level::CURRENT);
    let first = world.running();
    (0..2).for_each(|_| drop(world.running()));
    tell_port(&mut world, PORT + 1);
    (0..4).for_each(|_| drop(second(&mut world)));
    let renewed = forwarded(&world);
    assert_eq!((renewed.len(), renewed.contains(&first.id)), (1, false));
    tell_port(&mut world, PORT);
    assert_eq!((forwarded(&world), listed(&world).len()), (vec![first.id], 3));
    (0..120).for_each(|_| drop(second(&mut world)));
    assert_eq!((forwarded(&world), live(&world).len()), (vec![first.id], 3));
    assert_eq!(second(&mut world), vec![]);
    // It can be replaced another time.
    tell_port(&mut world, PORT + 2);
    (0..4).for_each(|_| drop(second(&mut world)));
    assert_eq!((forwarded(&world).len(), listed(&world).contains(&first.id)), (1, false));
}

#[test]
fn a_port_that_no_engine_has_is_worth_one_replacement() {
    let mut world = world(Level::CURRENT);
    let old = world.running();
    outage(&mut world, 14_000, true);
    seconds(&mut world, 40);
    assert!(!live(&world).contains(&old.id));
    assert_eq!(forwarded(&world), [], "it had left too late for its replacement");
    seconds(&mut world, 120);
    assert_eq!((forwarded(&world).len(), live(&world).len()), (1, 1));
    // Whoever ends the one that has it now, another one is replaced no more.
    let holder = forwarded(&world)[0];
    let other = world.running();
    world.run(stop(holder, StopWhen::Always));
    seconds(&mut world, 180);
    assert_eq!((listed(&world), forwarded(&world)), ([other.id].into(), vec![]));
    tell_port(&mut world, PORT + 1);
    seconds(&mut world, 59);
    assert_eq!(listed(&world), [other.id].into(), "one may start for another reason");
    seconds(&mut world, 60);
    assert_eq!((forwarded(&world).len(), live(&world).len()), (1, 1));
}
