//! Places on engines for clients that ask before they play.

use std::collections::BTreeMap;
use std::sync::Arc;

use acefleet_registry::command::Select;
use acefleet_registry::engine::Health;
use acefleet_registry::seat::Content;
use acefleet_registry::stream::{KeyType, StreamStart};
use acefleet_registry::{Command, Engine, EngineId, Level, OpId, RefusalCode, Reply};
use proptest::prelude::*;

use crate::support::{World, engine, playing, refusal};

fn world(engines: u32) -> World {
    let mut world = World::new(2, 50);
    world.run(Command::RaiseLevel(Level::CURRENT));
    for _ in 0..engines {
        world.running();
    }
    world
}

/// The key of a content.
fn key(n: u64) -> String {
    format!("{n:040x}")
}

fn select(world: &mut World, content: u64, max_streams: u32) -> Reply {
    let content = Content { key_type: KeyType::ContentId, key: key(content) };
    world.run(Command::Select(Select { content, max_streams, ttl_ms: 20_000 }))
}

/// The newest seat of an engine.
fn seat(engine: &Engine) -> OpId {
    engine.seats.last().unwrap().id
}

fn play(world: &mut World, content: u64, session: &str, on: &Engine) {
    world.begin(StreamStart {
        key: key(content).to_uppercase(),
        ..playing(&key(content), session, on.ports.host_http)
    });
}

#[test]
fn each_client_gets_a_place_of_its_own_until_all_are_taken() {
    let mut world = world(3);
    let mut taken = BTreeMap::new();
    for content in 0..6 {
        *taken.entry(engine(select(&mut world, content, 2)).id).or_insert(0) += 1;
    }
    assert_eq!(taken.into_values().collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(refusal(select(&mut world, 6, 2)), RefusalCode::MaxCapacity);
    let Reply::Refused(refused) = select(&mut world, 6, 2) else { panic!("a seventh") };
    assert_eq!(refused.retry_after_s, Some(20), "then the first ends");
    assert_eq!(world.state.free_supply(), 0);
    world.wait_ms(20_000);
    assert_eq!(world.state.at(world.now).free_supply(), 3);
    engine(select(&mut world, 6, 2));
}

#[test]
fn the_same_content_comes_to_the_engine_that_plays_it() {
    let mut world = world(5);
    let first = engine(select(&mut world, 7, 3));
    assert_eq!(engine(select(&mut world, 7, 3)).id, first.id, "somebody is about to");
    play(&mut world, 7, "s", &first);
    assert_eq!(world.engine(first.id).seats.len(), 1, "it has taken the place of the oldest one");
    world.wait_ms(20_000);
    let third = engine(select(&mut world, 7, 3));
    assert_eq!(third.id, first.id, "it plays");
    assert_eq!(world.state.taken(&third, world.now), 2, "seats that have ended do not count");
    play(&mut world, 8, "other", &first);
    assert_eq!(world.engine(first.id).seats.len(), 1, "another content takes no place of this one");
    assert_ne!(engine(select(&mut world, 7, 3)).id, first.id, "it is full");
}

#[test]
fn a_content_is_meant_for_the_same_engine_again_and_others_are_spread() {
    let mut world = world(10);
    let given = |world: &mut World, content| {
        let found = engine(select(world, content, 1));
        world.run(Command::ReleaseSeat { seat: seat(&found) });
        found.id
    };
    let of: Vec<EngineId> = (0..100).map(|content| given(&mut world, content)).collect();
    assert_eq!(of, (0..100).map(|content| given(&mut world, content)).collect::<Vec<_>>());
    let different: std::collections::BTreeSet<_> = of.iter().collect();
    assert!(different.len() >= 8, "{different:?}");
    // With one engine less, only its contents move.
    let gone = world.engine(of[0]);
    world.run(Command::EngineHealth { engine: gone.id, health: Health::Unhealthy, fault: None });
    for (content, before) in of.iter().enumerate().filter(|(_, id)| **id != gone.id) {
        assert_eq!(given(&mut world, content as u64), *before);
    }
}

#[test]
fn a_seat_is_given_back_once_and_a_repeat_of_the_call_is_the_same_one() {
    let mut world = world(1);
    let held = engine(select(&mut world, 1, 1));
    let (id, release) = (seat(&held), Command::ReleaseSeat { seat: seat(&held) });
    assert_eq!(world.run(release.clone()), Reply::Done);
    assert_eq!(refusal(world.run(release)), RefusalCode::NotFound);
    assert!(world.engine(held.id).seats.is_empty());
    let late = engine(select(&mut world, 1, 1));
    assert_ne!(seat(&late), id);
    world.wait_ms(20_000);
    assert_eq!(
        refusal(world.run(Command::ReleaseSeat { seat: seat(&late) })),
        RefusalCode::NotFound,
        "it has ended"
    );
}

#[test]
fn seats_are_bounded_in_bytes_and_make_room_when_they_end() {
    let mut world = world(1);
    let mut given = 0u64;
    let full = loop {
        match select(&mut world, given, u32::MAX) {
            Reply::Engine(_) => given += 1,
            refused => break refusal(refused),
        }
    };
    assert_eq!(full, RefusalCode::NoRoom);
    assert!((5_000..20_000).contains(&given), "{given}");
    world.wait_ms(20_000);
    assert_eq!(engine(select(&mut world, 0, 1)).seats.len(), 1);
}

#[test]
fn nobody_who_is_shown_a_redacted_state_sees_what_is_about_to_be_played() {
    let mut world = world(1);
    let held = engine(select(&mut world, 1, 1));
    assert!(world.state.redacted().engine(held.id).unwrap().seats.is_empty());
}

#[test]
fn without_an_engine_that_answers_there_is_none() {
    let mut world = world(0);
    assert_eq!(refusal(select(&mut world, 1, 1)), RefusalCode::NoHost);
    let id = world.running().id;
    world.run(Command::EngineHealth { engine: id, health: Health::Unhealthy, fault: None });
    assert_eq!(refusal(select(&mut world, 1, 1)), RefusalCode::NoHost);
}

#[test]
fn a_client_that_is_on_its_way_keeps_its_engine_and_nobody_else_is_given_it() {
    let mut world = world(1);
    world.policy(|policy| (policy.auto_delete, policy.grace_ms, policy.max_replicas) = (true, 0, 1));
    let held = engine(select(&mut world, 1, 1));
    assert_eq!(crate::support::plan(&world.state, &world.eligible(), world.now.plus(5_000)), vec![]);
    let call = world.ask();
    assert_eq!(refusal(world.run(Command::Reserve(call))), RefusalCode::MaxCapacity);
    let state = world.state.at(world.now.plus(20_000));
    assert!(!state.is_expecting(&held, world.now.plus(20_000)));
}

#[derive(Clone, Debug)]
enum Act {
    Select(u64, u32),
    Play(u64, usize),
    End(usize),
    Release(usize),
    Wait(u64),
    Sick(usize, bool),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0u64..6, 1u32..4).prop_map(|(content, max)| Act::Select(content, max)),
        3 => (0u64..6, 0usize..4).prop_map(|(content, engine)| Act::Play(content, engine)),
        2 => (0usize..20).prop_map(Act::End),
        2 => (0usize..20).prop_map(Act::Release),
        2 => (0u64..15_000).prop_map(Act::Wait),
        1 => (0usize..4, any::<bool>()).prop_map(|(engine, sick)| Act::Sick(engine, sick)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_selection_fills_an_engine_beyond_what_its_caller_allows(story in prop::collection::vec(acts(), 1..60)) {
        let mut world = world(4);
        let engines: Vec<Arc<Engine>> = world.state.live_engines().cloned().collect();
        let (mut seats, mut streams) = (Vec::new(), Vec::new());
        for (n, act) in story.into_iter().enumerate() {
            match act {
                Act::Select(content, max) => match select(&mut world, content, max) {
                    Reply::Engine(held) => {
                        prop_assert!(world.state.taken(&held, world.now) <= max as usize);
                        seats.push(seat(&held));
                    }
                    _ => {
                        let is_open = |e: &&Arc<Engine>| e.health != Health::Unhealthy && world.state.taken(e, world.now) < max as usize;
                        prop_assert!(!world.state.listed_engines().any(|e| is_open(&e)), "refused although one has room");
                    }
                },
                Act::Play(content, on) => {
                    play(&mut world, content, &format!("s{n}"), &engines[on]);
                    streams.push(format!("{}|s{n}", key(content)));
                }
                Act::End(which) if !streams.is_empty() => {
                    world.finish(&streams.remove(which % streams.len()));
                }
                Act::Release(which) if !seats.is_empty() => {
                    world.run(Command::ReleaseSeat { seat: seats.remove(which % seats.len()) });
                }
                Act::End(_) | Act::Release(_) => {}
                Act::Wait(ms) => world.wait_ms(ms),
                Act::Sick(on, is_sick) => {
                    let health = if is_sick { Health::Unhealthy } else { Health::Healthy };
                    world.run(Command::EngineHealth { engine: engines[on].id, health, fault: None });
                }
            }
        }
    }
}
