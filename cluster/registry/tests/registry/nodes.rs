//! Members and their Docker daemons.

use std::collections::BTreeSet;
use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::Phase;
use acefleet_registry::node::{Availability, DockerState, Wanted};
use acefleet_registry::plan::{Wait, next};
use acefleet_registry::rules::liveness::Contact;
use acefleet_registry::state::Tables;
use acefleet_registry::stream::StreamEnd;
use acefleet_registry::{Command, Engine, Level, NodeId, NodeInfo, RefusalCode, Reply, Reserve};

use crate::support::{BEGIN_MS, World, engine, failed, node_info, plan, playing, port_taken, refusal, watch};

#[test]
fn a_member_joins_once_and_may_change_its_description() {
    let mut world = World::new(1, 10);
    world.wait_ms(5_000);
    world.run(Command::NodeUp(node_info(1, 3)));
    let node = world.state.node(NodeId(1)).unwrap();
    assert_eq!((node.info.capacity, node.joined_at_ms), (3, BEGIN_MS));
    assert_eq!(node.docker, DockerState::Available, "a new description forgot the daemon");
    assert_eq!(world.state.events().iter().filter(|e| e.category == "node_joined").count(), 1);
}

#[test]
fn transitions_of_docker_are_noted_and_repeats_are_not() {
    let mut world = World::new(1, 10);
    let away = DockerState::Unavailable("connection refused".to_owned());
    for _ in 0..3 {
        world.run(Command::NodeDocker { node: NodeId(1), docker: away.clone() });
    }
    assert_eq!(world.state.node(NodeId(1)).unwrap().docker, away);
    let noted: Vec<_> = world.state.events().iter().filter(|e| e.category == "docker_unavailable").collect();
    assert_eq!(noted.len(), 1);
    assert!(noted[0].message.contains("node-1") && noted[0].message.contains("connection refused"));
}

#[test]
fn a_node_that_has_not_registered_has_no_docker() {
    let mut world = World::new(1, 10);
    let unknown = Command::NodeDocker { node: NodeId(9), docker: DockerState::Available };
    assert_eq!(refusal(world.run(unknown)), RefusalCode::NotFound);
}

fn want(world: &mut World, node: u64, availability: Wanted) {
    world.run(Command::NodeAvailability { node: NodeId(node), availability });
}

/// Runs the leader's plan until it is empty; reserved engines start at once.
fn settle(world: &mut World) {
    for _ in 0..50 {
        let commands = plan(&world.state, &world.eligible(), world.now);
        let reserved: Vec<_> =
            world.state.live_engines().filter(|e| e.phase == Phase::Reserved).map(|e| e.id).collect();
        if commands.is_empty() && reserved.is_empty() {
            return;
        }
        for command in commands {
            let reply = world.run(command.clone());
            assert!(!matches!(reply, Reply::Refused(_)), "{command:?} was refused: {reply:?}");
        }
        reserved.into_iter().for_each(|id| drop(world.start(id)));
    }
    panic!("the plan never comes to rest");
}

#[test]
fn a_cordoned_node_keeps_its_engines_and_gets_no_new_ones() {
    let mut world = World::new(2, 10);
    let kept = world.running();
    want(&mut world, kept.node.0, Wanted::Cordoned);
    for _ in 0..3 {
        assert_ne!(world.reserve().node, kept.node);
    }
    settle(&mut world);
    assert!(world.state.listed_engines().any(|e| e.id == kept.id));
    want(&mut world, kept.node.0, Wanted::Active);
    assert_eq!(world.reserve().node, kept.node, "the least loaded node takes engines again");
}

#[test]
fn a_draining_node_loses_idle_engines_after_the_floor_is_filled_elsewhere() {
    let mut world = World::new(2, 10);
    world.policy(|policy| policy.min_replicas = 2);
    settle(&mut world);
    let leaving = world.state.published_engines().find(|e| e.node == NodeId(1)).unwrap().clone();
    world.begin(playing("k", "s", leaving.ports.host_http));
    want(&mut world, 1, Wanted::Draining { within_ms: None, returns: false });
    assert!(world.state.listed_engines().all(|e| e.node == NodeId(2)), "it is offered to nobody");
    settle(&mut world);
    assert_eq!(world.state.listed_engines().count(), 2);
    assert!(world.engine(leaving.id).phase.is_serving(), "its stream goes on");
    world.finish("k|s");
    world.wait_ms(35_000);
    settle(&mut world);
    assert_eq!(world.engine(leaving.id).phase, Phase::Stopping);
}

#[test]
fn a_drain_waits_for_clients_that_were_told_of_an_engine() {
    let mut world = World::new(2, 10);
    let told = world.running();
    let here = Reserve { eligible: [told.node].into(), ..world.ask() };
    let answer = engine(world.run(Command::Reserve(here)));
    want(&mut world, told.node.0, Wanted::Draining { within_ms: None, returns: false });
    world.wait_ms(2_000);
    world.start(answer.id);
    world.wait_ms(30_000);
    let within_ms = Some(600_000);
    want(&mut world, told.node.0, Wanted::Draining { within_ms, returns: false });
    world.wait_ms(2_999);
    settle(&mut world);
    assert!(world.engine(told.id).phase.is_serving(), "one that read the list before the drain may come");
    world.wait_ms(1);
    settle(&mut world);
    assert_eq!(world.engine(told.id).phase, Phase::Stopping, "another deadline begins nothing anew");
    assert!(world.engine(answer.id).phase.is_serving(), "its caller was answered during the drain");
    world.begin(playing("k", "s", answer.ports.host_http));
    world.wait_ms(60_000);
    settle(&mut world);
    assert!(world.engine(answer.id).phase.is_serving(), "its stream goes on");
    world.finish("k|s");
    settle(&mut world);
    assert_eq!(world.engine(answer.id).phase, Phase::Stopping);
}

#[test]
fn engines_of_a_draining_node_wait_for_replacements_that_are_held_back() {
    let mut world = World::new(2, 10);
    // None is to be had beside those that leave, for all that MAX_REPLICAS says.
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (2, 2));
    settle(&mut world);
    let leaving = world.state.listed_engines().find(|e| e.node == NodeId(1)).unwrap().id;
    want(&mut world, 1, Wanted::Draining { within_ms: None, returns: false });
    world.wait_ms(60_000);
    let owed = plan(&world.state, &world.eligible(), world.now);
    let [owed @ Command::Reserve(_)] = owed.as_slice() else { panic!("not one reservation: {owed:?}") };
    let first = engine(world.run(owed.clone()));
    world.run(failed(first.id));
    let rest = plan(&world.state, &world.eligible(), world.now);
    assert_eq!(rest, vec![], "it is tried again in a moment");
    world.wait_ms(2_000);
    settle(&mut world);
    assert_eq!(world.engine(leaving).phase, Phase::Stopping);
    assert_eq!(world.state.listed_engines().count(), 2);
}

#[test]
fn a_drain_with_a_deadline_cuts_streams_off() {
    let mut world = World::new(1, 10);
    let busy = world.running();
    world.begin(playing("k", "s", busy.ports.host_http));
    want(&mut world, 1, Wanted::Draining { within_ms: Some(60_000), returns: false });
    settle(&mut world);
    assert!(world.engine(busy.id).phase.is_serving());
    world.wait_ms(60_000);
    settle(&mut world);
    assert_eq!(world.engine(busy.id).phase, Phase::Stopping);
}

#[test]
fn with_every_node_cordoned_nothing_starts_and_the_refusal_says_why() {
    let mut world = World::new(1, 10);
    want(&mut world, 1, Wanted::Cordoned);
    let reply = world.run(Command::Reserve(world.ask()));
    assert_eq!(refusal(reply), RefusalCode::NoHost);
    world.policy(|policy| policy.min_replicas = 1);
    assert_eq!(plan(&world.state, &world.eligible(), world.now), vec![]);
}

#[test]
fn a_removed_node_takes_its_engines_and_streams_with_it() {
    let mut world = World::new(2, 10);
    let (lost, kept) = (world.running(), world.running());
    assert_ne!(lost.node, kept.node);
    for engine in [&lost, &kept] {
        world.begin(playing("k", &engine.id.to_string(), engine.ports.host_http));
    }
    let reserved = loop {
        let engine = world.reserve();
        if engine.node == lost.node {
            break engine;
        }
    };
    world.run(port_taken(reserved.id, reserved.ports.host_http));
    assert_eq!(world.run(Command::NodeRemoved { node: lost.node }), Reply::Done);
    assert!(world.state.node(lost.node).is_none());
    for id in [lost.id, reserved.id] {
        let engine = world.engine(id);
        assert_eq!(
            (engine.phase, &engine.ending.as_ref().unwrap().cause),
            (Phase::Gone, &Cause::NodeRemoved)
        );
    }
    assert!(!world.state.stream(&format!("k|{}", lost.id)).unwrap().is_started());
    assert!(
        world.state.stream(&format!("k|{}", kept.id)).unwrap().is_started(),
        "another node lost a stream"
    );
    assert!(world.engine(kept.id).phase.is_serving());
    let freed = world.state.engine_by_port(lost.ports.host_http);
    assert!(freed.is_none(), "the lease of {} is still held", lost.ports.host_http);
    let tables = Tables::from(world.state.clone());
    assert!(tables.foreign_ports.is_empty(), "ports of a host that is no more are avoided");

    let again = world.run(Command::NodeRemoved { node: lost.node });
    assert_eq!(refusal(again), RefusalCode::NotFound);
    assert_eq!(world.state.events().iter().filter(|e| e.category == "node_removed").count(), 1);
}

#[test]
fn a_node_with_a_new_id_keeps_its_engines_ports_and_streams() {
    for registered in [false, true] {
        let mut world = World::new(2, 10);
        let (own, other) = (world.running(), world.running());
        world.begin(playing("k", "s", own.ports.host_http));
        let reserved = loop {
            let engine = world.reserve();
            if engine.node == own.node {
                break engine;
            }
        };
        world.run(port_taken(reserved.id, reserved.ports.host_http));
        want(&mut world, own.node.0, Wanted::Cordoned);
        let before = world.state.node(own.node).unwrap().clone();
        let (old, new) = (own.node, NodeId(77));
        if registered {
            world.run(Command::NodeUp(NodeInfo { id: new, capacity: 7, ..before.info.clone() }));
        }
        assert_eq!(world.run(Command::NodeReplaced { old, new }), Reply::Done);
        assert!(world.state.node(old).is_none());
        let node = world.state.node(new).unwrap();
        let capacity = if registered { 7 } else { before.info.capacity };
        assert_eq!((&node.info.name, node.info.capacity), (&before.info.name, capacity));
        assert_eq!((node.availability, node.joined_at_ms), (before.availability, before.joined_at_ms));
        assert_eq!(node.docker, DockerState::Unknown, "it has to say so itself");
        let engine = world.engine(own.id);
        assert_eq!((engine.node, engine.phase, engine.ports), (new, own.phase, own.ports));
        assert_eq!(engine.container_id, own.container_id);
        assert_eq!(world.engine(other.id).node, other.node);
        assert_eq!(world.state.active_streams(own.id), 1, "its stream ended");
        let tables = Tables::from(world.state.clone());
        assert!(!tables.foreign_ports.is_empty(), "ports that were taken are forgotten");
        assert!(tables.foreign_ports.keys().all(|(owner, _)| *owner == new));
        assert!(world.state.indexes_are_true());
        let again = world.run(Command::NodeReplaced { old, new });
        assert_eq!(refusal(again), RefusalCode::NotFound);
    }
}

#[test]
fn a_node_that_is_down_is_replaced_and_comes_back_with_what_it_runs() {
    let mut world = World::new(3, 10);
    world.policy(|policy| (policy.min_replicas, policy.max_replicas) = (3, 3));
    settle(&mut world);
    let lost = world.state.published_engines().find(|e| e.node == NodeId(2)).unwrap().clone();
    world.begin(playing("k", "s", lost.ports.host_http));
    let silent = |world: &World, ms| {
        let mut watch = watch(&world.state, &world.eligible());
        let contact =
            Contact { silent_ms: ms, answers_others: false, is_unresponsive: ms >= 600, steady_ms: 0 };
        watch.contacts.insert(NodeId(2), contact);
        next(&world.state, &watch, world.now)
    };
    let almost = silent(&world, 59_000);
    let wait = Wait::Silent { node: NodeId(2), left_ms: 1_000 };
    assert_eq!((almost.commands, almost.waits), (vec![], vec![wait]));
    let down = silent(&world, 60_000).commands;
    assert_eq!(down, [Command::NodeDown { node: NodeId(2), down: true }]);
    down.iter().for_each(|command| drop(world.run(command.clone())));
    let after = silent(&world, 70_000);
    assert!(after.commands.iter().all(|command| !matches!(command, Command::NodeDown { .. })), "one verdict");
    assert!(after.waits.contains(&Wait::Down { node: NodeId(2) }), "{:?}", after.waits);
    let stream = world.state.stream("k|s").unwrap();
    assert_eq!((stream.is_started(), stream.end_reason.clone()), (false, Some(EndReason::HostDown)));
    assert!(world.state.listed_engines().all(|e| e.id != lost.id), "it is offered to clients");

    // Its capacity is replaced although MAX_REPLICAS was reached, on hosts that answer.
    let eligible: BTreeSet<NodeId> = [NodeId(1), NodeId(3)].into();
    let commands = plan(&world.state, &eligible, world.now);
    assert_eq!(commands.len(), 1, "{commands:?}");
    let Reply::Engine(replacement) = world.run(commands[0].clone()) else { panic!("refused") };
    world.start(replacement.id);
    assert_ne!(replacement.ports.host_http, lost.ports.host_http, "a lost engine keeps its lease");
    assert_eq!(world.state.supply(), 3);

    world.run(silent(&world, 0).commands[0].clone());
    assert_eq!(world.state.listed_engines().count(), 4, "what it still runs is listed again");
    assert!(!world.state.stream("k|s").unwrap().is_started(), "a stream ends once");
    assert!(world.state.indexes_are_true());
    let idle_since = world.state.idle_since_ms(&world.engine(lost.id));
    assert_eq!(idle_since, world.state.clock_ms(), "it is taken away before its host has asked it");
}

#[test]
fn a_stream_goes_on_when_its_host_is_back_and_says_so() {
    let mut world = World::new(2, 10);
    let engine = world.running();
    let start = Arc::new(playing("k", "s", engine.ports.host_http));
    world.run(Command::StreamStarted(Arc::clone(&start)));
    let began = world.state.stream("k|s").unwrap().clone();
    let verdict = |down| Command::NodeDown { node: engine.node, down };
    world.run(verdict(true));
    world.run(Command::StreamStarted(Arc::clone(&start)));
    assert!(!world.state.stream("k|s").unwrap().is_started(), "its host is down");
    world.run(verdict(false));
    world.run(Command::StreamStarted(Arc::clone(&start)));
    assert_eq!(world.state.stream("k|s"), Some(&began), "it is the same stream");
    assert_eq!(world.state.active_streams(engine.id), 1);
    assert_eq!(world.state.events().iter().filter(|e| e.category == "resumed").count(), 1);

    // An end that is reported while the host is away is one, in the client's own words.
    world.run(verdict(true));
    let end = StreamEnd {
        stream_id: Some("k|s".to_owned()),
        reason: Some(EndReason::HostDown),
        ..StreamEnd::default()
    };
    assert!(!world.finish_by(end), "it ended with its host");
    world.run(verdict(false));
    world.run(Command::StreamStarted(Arc::clone(&start)));
    assert!(!world.state.stream("k|s").unwrap().is_started());

    // So is one that is reported at any other time.
    let engine = world.running();
    let start = Arc::new(playing("l", "s", engine.ports.host_http));
    world.run(Command::StreamStarted(Arc::clone(&start)));
    let verdict = |down| Command::NodeDown { node: engine.node, down };
    assert!(world.finish("l|s"));
    for down in [true, false] {
        world.run(verdict(down));
    }
    world.run(Command::StreamStarted(start));
    assert!(!world.state.stream("l|s").unwrap().is_started());
    assert!(world.state.indexes_are_true());
}

#[test]
fn a_drain_waits_for_what_plays_on_after_its_host_was_away() {
    let mut world = World::new(2, 10);
    let engine = world.running();
    world.begin(playing("k", "s", engine.ports.host_http));
    want(&mut world, engine.node.0, Wanted::Draining { within_ms: None, returns: false });
    world.wait_ms(60_000);
    for down in [true, false] {
        world.run(Command::NodeDown { node: engine.node, down });
    }
    world.wait_ms(14_999);
    settle(&mut world);
    assert!(world.engine(engine.id).phase.is_serving(), "nobody has asked it whether it plays");
    world.wait_ms(1);
    settle(&mut world);
    assert_eq!(world.engine(engine.id).phase, Phase::Stopping);
}

#[test]
fn a_recovered_cluster_keeps_what_the_survivor_has_and_nothing_else() {
    let mut world = World::new(3, 10);
    let engines = [world.running(), world.running(), world.running()];
    for engine in &engines {
        world.begin(playing("k", &engine.id.to_string(), engine.ports.host_http));
    }
    let [kept, lost @ ..] = &engines;
    let survivor = kept.node;
    let recovered = |ids: &[&str]| Command::Recovered {
        survivor,
        former_clusters: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    assert_eq!(world.run(recovered(&["one"])), Reply::Done);
    assert_eq!(world.state.nodes().map(|node| node.info.id).collect::<Vec<_>>(), [survivor]);
    assert!(world.engine(kept.id).phase.is_serving());
    assert!(world.state.stream(&format!("k|{}", kept.id)).unwrap().is_started());
    for engine in lost {
        assert_eq!(world.engine(engine.id).phase, Phase::Gone);
        assert!(!world.state.stream(&format!("k|{}", engine.id)).unwrap().is_started());
    }
    let next = world.reserve();
    assert!(next.id.0 > engines[2].id.0 + 1, "an id that a lost member may have given out is given again");
    // Their hosts may run them still, and bring them when they join.
    let clashes = |made: &Engine| {
        let is = |engine: &Engine| {
            engine.ports.host_http == made.ports.host_http || engine.container_name == made.container_name
        };
        lost.iter().any(|engine| is(engine))
    };
    assert!(!clashes(&next), "{next:?}");
    world.wait_ms(24 * 3_600_000);
    let made: Vec<_> = (0..4).map(|_| world.reserve()).collect();
    assert!(made.iter().any(|engine| clashes(engine)), "what nobody brought is held for ever: {made:?}");
    assert_eq!(world.state.events().iter().filter(|e| e.category == "cluster_recovered").count(), 1);

    world.run(recovered(&["one", "two"]));
    assert_eq!(world.state.former_clusters().collect::<Vec<_>>(), ["one", "two"]);
    assert!(world.engine(next.id).phase.is_live());
}

#[test]
fn the_level_rises_when_all_members_have_told_a_higher_one_and_never_sinks() {
    let mut world = World::new(1, 10);
    assert_eq!(world.state.level(), Level::FIRST);
    let raise = |world: &World, told: &[Option<u32>]| {
        world.state.raise_level(told.iter().map(|level| level.map(Level)))
    };
    assert_eq!(raise(&world, &[Some(2), None]), None, "one has not said yet");
    assert_eq!(raise(&world, &[Some(2), Some(1)]), None, "one does not know it");
    let wanted = raise(&world, &[Some(9), Some(9)]);
    assert_eq!(wanted, Some(Command::RaiseLevel(Level::CURRENT)), "no further than this program knows");
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.run(Command::RaiseLevel(Level::FIRST));
    assert_eq!(world.state.level(), Level::CURRENT);
    assert_eq!(raise(&world, &[Some(2), Some(1)]), None);
    assert_eq!(world.state.events().iter().filter(|e| e.category == "level_raised").count(), 1);
}

#[test]
fn a_node_that_was_drained_until_it_returns_ends_that_itself() {
    let mut world = World::new(2, 10);
    let drain = Wanted::Draining { within_ms: None, returns: true };
    let since = |world: &World| world.state.node(NodeId(1)).unwrap().drains_until_return();
    let back = |since_ms| Command::NodeReturned { node: NodeId(1), since_ms };
    want(&mut world, 1, drain);
    let first = since(&world).unwrap();
    for other in [Wanted::Cordoned, Wanted::Draining { within_ms: None, returns: false }] {
        want(&mut world, 1, other);
        let wanted = world.state.node(NodeId(1)).unwrap().availability;
        world.run(back(first));
        assert_eq!(world.state.node(NodeId(1)).unwrap().availability, wanted, "an operator wanted it since");
    }
    want(&mut world, 1, Wanted::Active);
    world.wait_ms(1_000);
    want(&mut world, 1, drain);
    let second = since(&world).unwrap();
    world.run(back(first));
    assert_eq!(since(&world), Some(second), "that was another maintenance");
    world.run(back(second));
    assert_eq!(world.state.node(NodeId(1)).unwrap().availability, Availability::Active);
    let told = (**world.state.events().iter().next_back().unwrap()).clone();
    assert!(told.message.contains("has returned and takes new engines again"), "{}", told.message);
    assert_eq!(
        refusal(world.run(Command::NodeReturned { node: NodeId(9), since_ms: first })),
        RefusalCode::NotFound
    );
}
