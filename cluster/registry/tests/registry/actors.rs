//! Events say who made a change, and what they are about.

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::event::Event;
use acefleet_registry::node::Wanted;
use acefleet_registry::{Actor, Command, Credential, Level, NodeId, OpId, Proposal};

use crate::support::{World, playing};

fn operator() -> Actor {
    Actor::new(Credential::ApiKey, Some("198.51.100.7".to_owned()))
}

fn write(world: &mut World, n: u64, by: Option<Actor>, command: Command) {
    let proposal = Proposal { op_id: OpId(8, n), at_ms: world.now, origin: NodeId(2), by, command };
    world.propose(&proposal);
}

fn last(world: &World) -> Event {
    (**world.state.events().iter().next_back().unwrap()).clone()
}

fn cordon() -> Command {
    Command::NodeAvailability { node: NodeId(1), availability: Wanted::Cordoned }
}

#[test]
fn an_event_names_who_asked_for_the_change_and_the_node_that_took_the_call() {
    let mut world = World::new(2, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    write(&mut world, 1, Some(operator()), cordon());
    let event = last(&world);
    let by = event.by.unwrap();
    assert_eq!((by.actor, by.through), (operator(), NodeId(2)));
    assert_eq!((event.node, event.engine, event.vpn), (Some(NodeId(1)), None, None));
}

#[test]
fn what_the_cluster_does_by_itself_has_no_actor() {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.run(Command::NodeDown { node: NodeId(1), down: true });
    assert_eq!(last(&world).by, None);
}

#[test]
fn consequences_of_a_change_have_its_actor_and_events_before_it_keep_theirs() {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let engine = world.running();
    world.begin(playing("k", "s", engine.ports.host_http));
    let before = world.state.events().last_id();
    let gone = Command::EngineGone { engine: engine.id, cause: Cause::Deleted, message: None };
    write(&mut world, 1, Some(operator()), gone);
    let events = world.state.events();
    let behind = events.after(before);
    let categories: Vec<&str> = behind
        .iter()
        .map(|event| match &event.by {
            Some(_) => event.category.as_str(),
            None => "nobody",
        })
        .collect();
    assert_eq!(categories, ["ended", "deleted"]);
    assert!(events.iter().filter(|event| event.id <= before).all(|event| event.by.is_none()));
}

#[test]
fn engines_say_why_they_are_made_and_breakers_that_they_were_reset() {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let reserve = Command::Reserve(world.ask());
    write(&mut world, 1, Some(operator()), reserve);
    let event = last(&world);
    assert_eq!(event.category, "reserved");
    assert!(event.message.ends_with("a caller asks for it"), "{}", event.message);
    assert!(event.engine.is_some());
    write(&mut world, 2, Some(operator()), Command::ResetBreaker(None));
    assert_eq!((last(&world).category.as_str(), last(&world).by.is_some()), ("reset", true));
}

#[test]
fn members_that_do_not_know_actors_all_write_the_same() {
    let mut world = World::new(1, 10);
    let engine = world.running();
    let stop = Command::EngineStop { engine: engine.id, cause: Cause::Deleted, when: StopWhen::Always };
    write(&mut world, 1, Some(operator()), stop);
    let event = last(&world);
    assert_eq!((event.by, event.node, event.engine), (None, None, None));
    assert_ne!(event.category, "reserved");
}

#[test]
fn addresses_are_cut_at_a_whole_character() {
    let long = Actor::new(Credential::ApiKey, Some("\u{fc}".repeat(60)));
    assert_eq!(long.address.map(|address| address.len()), Some(64));
    let short = Actor::new(Credential::Nothing, Some("::1".to_owned()));
    assert_eq!(short.address.as_deref(), Some("::1"));
}
