//! Engines that an operator has replaced.

use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::rules::engines::{standing, unlisted};
use acefleet_registry::rules::standing::{Standing, Unlisted};
use acefleet_registry::{Command, EngineId, Level, RefusalCode, Reserve};

use crate::support::{World, plan, playing, refusal};

fn world() -> World {
    let mut world = World::new(2, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

fn replace(engine: EngineId) -> Command {
    Command::EngineStop { engine, cause: Cause::Replaced, when: StopWhen::Replaced }
}

/// What the leader would write now.
fn planned(world: &World) -> Vec<Command> {
    plan(&world.state, &world.eligible(), world.now)
}

#[test]
fn another_engine_takes_its_place_while_its_streams_play_on() {
    let mut world = world();
    let engine = world.running();
    world.begin(playing("k", "s", engine.ports.host_http));
    world.run(replace(engine.id));
    let now = world.state.engine(engine.id).unwrap();
    let expected = Unlisted::TakenOff { cause: Cause::Replaced, may_stay: false };
    assert_eq!(unlisted(&world.state, now), Some(expected));
    let starts: Vec<Command> = planned(&world);
    let [Command::Reserve(Reserve { replaces, .. })] = starts.as_slice() else { panic!("{starts:?}") };
    assert_eq!(*replaces, Some(engine.id));
    for start in starts {
        world.run(start);
    }
    assert_eq!(planned(&world), [], "it is replaced once");
    assert_eq!(world.state.active_streams(engine.id), 1);
    world.finish("k|s");
    world.wait_ms(120_000);
    let fresh = world.state.replacement(engine.id).unwrap().id;
    world.start(fresh);
    let stops =
        |command: &Command| matches!(command, Command::EngineStop { engine: id, .. } if *id == engine.id);
    assert!(planned(&world).iter().any(stops), "{:?}", planned(&world));
}

#[test]
fn a_stream_that_begins_on_it_does_not_bring_it_back() {
    let mut world = world();
    let engine = world.running();
    world.run(replace(engine.id));
    world.begin(playing("k", "s", engine.ports.host_http));
    let now = world.state.engine(engine.id).unwrap();
    assert!(matches!(standing(&world.state, now), Standing::Unlisted(_)));
    world.run(replace(engine.id));
    assert_eq!(world.state.active_streams(engine.id), 1);
}

#[test]
fn what_does_not_run_yet_is_not_replaced() {
    let mut world = world();
    let engine = world.reserve();
    assert_eq!(refusal(world.run(replace(engine.id))), RefusalCode::WrongPhase);
}
