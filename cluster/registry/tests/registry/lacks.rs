//! What is missing by name on a host, and what a caller chose: neither concerns anybody else.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::engine::{EngineSpec, Phase};
use acefleet_registry::lack::Lack;
use acefleet_registry::{Command, Engine, NodeId, RefusalCode, Reply, Reserve};

use crate::support::{World, behind_vpn, docker_id, engine, failed, generic, node_info, plan, refusal};

fn image(name: &str) -> Lack {
    Lack::Image(name.to_owned())
}

fn network() -> Lack {
    Lack::Network("ace".to_owned())
}

fn of_image(name: &str) -> EngineSpec {
    EngineSpec { image: Some(name.to_owned()), ..EngineSpec::acestream() }
}

/// A start for `spec` that fails because of `lack`.
fn fall_short(world: &mut World, spec: &EngineSpec, lack: Lack) -> NodeId {
    let reserved = engine(world.run(Command::Reserve(world.ask_for(spec.clone()))));
    let message = format!("{} is not there", lack.name());
    let cause = lack.cause();
    let ended = engine(world.run(Command::EngineLacks { engine: reserved.id, lack, message }));
    assert_eq!((ended.phase, ended.ending.as_ref().unwrap().cause.clone()), (Phase::Failed, cause));
    ended.node
}

fn reserve(world: &mut World, spec: &EngineSpec) -> Reply {
    world.run(Command::Reserve(world.ask_for(spec.clone())))
}

fn found(world: &mut World, node: NodeId, lack: Lack) {
    world.run(Command::Found { node, lacks: BTreeSet::from([lack]) });
}

#[test]
fn a_wrong_image_of_one_caller_is_nobody_elses_trouble() {
    let mut world = World::new(1, 10);
    let wrong = of_image("string");
    for _ in 0..10 {
        fall_short(&mut world, &wrong, image("string"));
        world.wait_ms(60_000);
    }
    assert_eq!(world.general(), BreakerState::Closed);
    assert_eq!(world.state.node(NodeId(1)).unwrap().failed_start_ms, None, "the host counts as troubled");
    world.running();
    engine(reserve(&mut world, &of_image("another")));
}

#[test]
fn what_a_caller_chose_for_the_container_is_not_held_against_the_host() {
    let mut world = World::new(1, 10);
    let mut spec = EngineSpec::acestream();
    spec.env = BTreeMap::from([("CONF".to_owned(), "--no-such-flag".to_owned())]);
    for _ in 0..10 {
        let id = engine(reserve(&mut world, &spec)).id;
        world.run(failed(id));
    }
    assert_eq!(world.state.breaker(BreakerKind::General).0.failure_count, 0);
    assert_eq!(world.state.node(NodeId(1)).unwrap().failed_start_ms, None);
    world.fail_one();
    assert_eq!(world.state.breaker(BreakerKind::General).0.failure_count, 1, "a plain engine says something");
}

#[test]
fn what_is_missing_is_named_and_tried_again_after_a_pause() {
    for (spec, lack, code) in [
        (of_image("x:1"), image("x:1"), RefusalCode::ImageMissing),
        (EngineSpec::acestream(), image("configured:1"), RefusalCode::ImageMissing),
        (EngineSpec::acestream(), network(), RefusalCode::NetworkMissing),
        (generic(&[]), network(), RefusalCode::NetworkMissing),
    ] {
        let mut world = World::new(1, 10);
        for pause_ms in [2_000, 4_000, 8_000] {
            fall_short(&mut world, &spec, lack.clone());
            let Reply::Refused(refused) = reserve(&mut world, &spec) else { panic!("tried again at once") };
            assert_eq!((refused.code, refused.retry_after_s), (code, Some(pause_ms / 1000)));
            assert_eq!(refused.message, format!("{} is not there", lack.name()));
            world.wait_ms(pause_ms - 1);
            assert_eq!(refusal(reserve(&mut world, &spec)), code);
            world.wait_ms(1);
        }
        // One attempt shows whether it is there; the others need not fail with it.
        let attempt = engine(reserve(&mut world, &spec));
        assert_eq!(refusal(reserve(&mut world, &spec)), code);
        run_from(&mut world, &attempt, &lack);
        engine(reserve(&mut world, &spec));
        engine(reserve(&mut world, &spec));
    }
}

/// A container that was made from the image that was missing, or is in the network that was, runs.
fn run_from(world: &mut World, reserved: &Engine, lack: &Lack) {
    let image = match lack {
        Lack::Image(name) => name.clone(),
        Lack::Network(_) => "engine:1".to_owned(),
    };
    let (engine, container_id) = (reserved.id, docker_id(reserved.id.0));
    world.run(Command::EngineStarted { engine, container_id, image, variant: None, address: None });
}

#[test]
fn a_container_that_runs_shows_that_its_image_is_there_and_nothing_of_others() {
    let mut world = World::new(2, 10);
    world.origin = NodeId(1);
    let spec = of_image("x:1");
    assert_eq!(fall_short(&mut world, &spec, image("x:1")), NodeId(1));
    let lacks = |world: &World| world.state.lack(NodeId(1), &spec).is_some();
    // Elsewhere, and of another image.
    let elsewhere = engine(reserve(&mut world, &spec));
    assert_eq!(elsewhere.node, NodeId(2));
    run_from(&mut world, &elsewhere, &image("x:1"));
    let other = engine(world.run(Command::Reserve(world.ask_on(1))));
    run_from(&mut world, &other, &image("x:2"));
    assert!(lacks(&world), "another container showed that x:1 is there");
    world.wait_ms(2_000);
    let here = Reserve { eligible: [NodeId(1)].into(), ..world.ask_for(spec.clone()) };
    let attempt = engine(world.run(Command::Reserve(here)));
    run_from(&mut world, &attempt, &image("x:1"));
    assert!(!lacks(&world));
}

#[test]
fn what_is_missing_is_named_when_the_other_hosts_are_full() {
    let mut world = World::new(2, 10);
    world.run(Command::NodeUp(node_info(2, 1)));
    world.origin = NodeId(1);
    let plain = EngineSpec::acestream();
    assert_eq!(fall_short(&mut world, &plain, image("configured:1")), NodeId(1));
    assert_eq!(world.running().node, NodeId(2));
    let Reply::Refused(refused) = reserve(&mut world, &plain) else { panic!("no host has room and image") };
    assert_eq!((refused.code, refused.retry_after_s), (RefusalCode::ImageMissing, Some(2)));
    assert!(refused.message.contains("configured:1"), "{}", refused.message);
    // A full host that lacks it is full first of all.
    world.run(Command::NodeUp(node_info(1, 0)));
    assert_eq!(refusal(reserve(&mut world, &plain)), RefusalCode::MaxCapacity);
}

#[test]
fn what_can_be_had_without_a_start_lacks_nothing() {
    let mut world = World::new(1, 10);
    let blocked = |world: &World| {
        let ask = Reserve { claim_abandoned: true, ..world.ask() };
        world.state.blocked(&ask, NodeId(1), world.now).map(|refusal| refusal.code)
    };
    let spare = world.running();
    fall_short(&mut world, &EngineSpec::acestream(), image("configured:1"));
    assert_eq!(blocked(&world), Some(RefusalCode::ImageMissing));
    world.wait_ms(2_000);
    assert_eq!(blocked(&world), Some(RefusalCode::ImageMissing), "the attempt is expected to fail");
    world.run(Command::Abandon { engine: spare.id, by: None });
    assert_eq!(blocked(&world), None, "an engine is there that nobody uses");
    assert_eq!(
        engine(world.run(Command::Reserve(Reserve { claim_abandoned: true, ..world.ask() }))).id,
        spare.id
    );
}

#[test]
fn what_a_caller_named_concerns_nobody_after_ten_minutes_without_a_write() {
    let mut world = World::new(1, 10);
    fall_short(&mut world, &of_image("x:1"), image("x:1"));
    fall_short(&mut world, &EngineSpec::acestream(), image("configured:1"));
    let over = |world: &World| -> Vec<String> {
        let lacks = world.state.lacks_of(NodeId(1)).filter(|(_, lacking)| lacking.is_over(world.now));
        lacks.map(|(lack, _)| lack.name().to_owned()).collect()
    };
    world.wait_ms(600_000);
    assert_eq!(over(&world), Vec::<String>::new());
    world.wait_ms(1);
    assert_eq!(over(&world), ["x:1"]);
}

#[test]
fn it_ends_when_the_host_has_it() {
    let mut world = World::new(1, 10);
    for lack in [image("configured:1"), network()] {
        fall_short(&mut world, &EngineSpec::acestream(), lack.clone());
        refusal(reserve(&mut world, &EngineSpec::acestream()));
        found(&mut world, NodeId(1), lack);
        world.running();
    }
}

#[test]
fn a_lack_concerns_what_needs_it_on_its_host() {
    let mut world = World::new(2, 10);
    world.origin = NodeId(1);
    let plain = EngineSpec::acestream();
    assert_eq!(fall_short(&mut world, &plain, network()), NodeId(1));
    for _ in 0..5 {
        assert_eq!(engine(reserve(&mut world, &plain)).node, NodeId(2), "node 1 lacks its network");
    }
    let blocked = |ask: Reserve| world.state.blocked(&ask, NodeId(1), world.now).map(|refusal| refusal.code);
    assert_eq!(blocked(world.ask()), None);
    assert_eq!(blocked(world.ask_on(1)), Some(RefusalCode::NetworkMissing));
    let nowhere = Reserve { eligible: BTreeSet::new(), ..world.ask() };
    assert_eq!(blocked(nowhere), Some(RefusalCode::NoHost), "nobody lacks anything");
    // Engines behind a VPN join its network instead; another image is another question.
    world.run(Command::NodeUp(behind_vpn(1)));
    assert!(world.state.lack(NodeId(1), &plain).is_none());
    assert!(world.state.lack(NodeId(1), &generic(&[])).is_some());
    world.run(Command::NodeRemoved { node: NodeId(1) });
    assert_eq!(world.state.lacks_of(NodeId(1)).count(), 0);
}

#[test]
fn the_plan_rests_while_its_image_is_missing_and_no_longer() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.min_replicas = 2);
    let wanted = |world: &World| plan(&world.state, &world.eligible(), world.now).len();
    assert_eq!(wanted(&world), 2);
    fall_short(&mut world, &EngineSpec::acestream(), image("configured:1"));
    assert_eq!(wanted(&world), 0);
    let before = world.state.clone();
    found(&mut world, NodeId(1), image("configured:1"));
    assert_eq!(wanted(&world), 2);
    // Nobody said that it is there, but it may be had by now.
    world.state = before;
    world.wait_ms(2_000);
    assert_eq!(wanted(&world), 1, "one attempt shows whether it does");
}

#[test]
fn the_plan_tries_one_engine_where_something_is_missing() {
    let mut world = World::new(1, 10);
    world.policy(|policy| policy.min_replicas = 3);
    fall_short(&mut world, &EngineSpec::acestream(), image("configured:1"));
    world.wait_ms(60_000);
    let commands = plan(&world.state, &world.eligible(), world.now);
    assert_eq!(commands.len(), 1, "the others would be refused: {commands:?}");
    for command in commands {
        engine(world.run(command));
    }
}

#[test]
fn what_would_be_refused_is_known_before_and_changes_nothing() {
    let mut world = World::new(1, 10);
    let before = world.state.clone();
    let foretold = |world: &World| world.state.blocked(&world.ask(), NodeId(1), world.now);
    assert_eq!(foretold(&world), None);
    assert!(world.state == before);
    (0..5).for_each(|_| world.fail_one());
    let Reply::Refused(refused) = world.run(Command::Reserve(world.ask())) else { panic!("let through") };
    assert_eq!(foretold(&world), Some(refused));
    world.wait_ms(300_000);
    assert_eq!(foretold(&world), None, "half open, and no probe under way");
    engine(world.run(Command::Reserve(world.ask())));
    assert_eq!(foretold(&world).map(|refusal| refusal.code), Some(RefusalCode::CircuitBreaker));
}

#[test]
fn what_callers_name_is_forgotten_and_bounded() {
    let mut world = World::new(1, 1_000);
    for n in 0..100 {
        fall_short(&mut world, &of_image(&format!("x:{n}")), image(&format!("x:{n}")));
        world.wait_ms(1);
    }
    fall_short(&mut world, &EngineSpec::acestream(), image("configured:1"));
    assert_eq!(world.state.lacks_of(NodeId(1)).count(), 65);
    assert!(world.state.lack(NodeId(1), &of_image("x:99")).is_some());
    assert!(world.state.lack(NodeId(1), &of_image("x:0")).is_none());
    world.wait_ms(600_001);
    world.run(Command::ResetBreaker(None));
    let left: Vec<_> = world.state.lacks_of(NodeId(1)).map(|(lack, _)| lack.clone()).collect();
    assert_eq!(left, [image("configured:1")], "what the host itself is set up with stays");
}

#[test]
fn an_open_breaker_says_what_failed_last() {
    let mut world = World::new(1, 10);
    (0..5).for_each(|_| world.fail_one());
    let Reply::Refused(refused) = world.run(Command::Reserve(world.ask())) else { panic!("let through") };
    assert_eq!(refused.code, RefusalCode::CircuitBreaker);
    for part in ["5 failures in a row", "acestream-1 on node-1", "no such image"] {
        assert!(refused.message.contains(part), "{}", refused.message);
    }
}
