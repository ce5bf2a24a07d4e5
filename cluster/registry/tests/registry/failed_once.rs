//! One failed start, one count: engines that fail before it is known that their VPN is sick, and those whose host is suspected later.

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::Health;
use acefleet_registry::group::Group;
use acefleet_registry::health::HealthFault;
use acefleet_registry::vpn::{VpnHealth, VpnStatus};
use acefleet_registry::{Command, EngineId, NodeId, Reserve};

use crate::support::{World, behind_vpn, plan, stop};
use crate::young::{MINUTE_MS, PLAIN, count, state, world};

fn fail(world: &mut World, id: EngineId) {
    let fault = Some(HealthFault::PortClosed);
    world.run(Command::EngineHealth { engine: id, health: Health::Unhealthy, fault });
}

fn exit(world: &mut World, id: EngineId) {
    world.run(Command::EngineGone { engine: id, cause: Cause::Exited, message: None });
}

fn vpn(world: &mut World, health: VpnHealth) {
    let status = VpnStatus { health, ..VpnStatus::default() };
    let (node, container) = (NodeId(1), "gluetun".to_owned());
    world.run(Command::VpnChanged { node, container, status, renew: false });
}

fn of_vpn() -> Group {
    Group::Vpn(NodeId(1), "gluetun".to_owned())
}

const HOST: Group = Group::Host(NodeId(1));

/// Two hosts, of which the first has a VPN, and an engine on each. That of the second is older.
fn two_hosts() -> (World, EngineId) {
    let mut world = world(2);
    world.run(Command::NodeUp(behind_vpn(1)));
    vpn(&mut world, VpnHealth::Healthy);
    let ask = world.ask_on(2);
    let older = crate::support::engine(world.run(Command::Reserve(ask))).id;
    world.start(older);
    world.run(Command::EngineHealth { engine: older, health: Health::Healthy, fault: None });
    world.wait_ms(1_000);
    let engine = behind(&mut world);
    (world, engine)
}

/// A healthy engine behind the VPN.
fn behind(world: &mut World) -> EngineId {
    let ask = world.ask_on(1);
    let engine = crate::support::engine(world.run(Command::Reserve(ask)));
    assert_eq!(engine.vpn.as_deref(), Some("gluetun"));
    world.start(engine.id);
    world.run(Command::EngineHealth { engine: engine.id, health: Health::Healthy, fault: None });
    engine.id
}

fn is_troubled(world: &World) -> bool {
    world.state.node(NodeId(1)).unwrap().failed_start_ms.is_some()
}

#[test]
fn what_fails_shortly_before_its_vpn_failed_for_it() {
    for end in [fail, exit] {
        let (mut world, engine) = two_hosts();
        end(&mut world, engine);
        assert_eq!((count(&world, &HOST), count(&world, &of_vpn())), (1, 0));
        assert!(is_troubled(&world));
        world.wait_ms(3_000);
        vpn(&mut world, VpnHealth::Unhealthy);
        assert_eq!((count(&world, &HOST), count(&world, &of_vpn()), count(&world, &PLAIN)), (0, 1, 0));
        vpn(&mut world, VpnHealth::Healthy);
        assert_eq!(count(&world, &of_vpn()), 0);
        assert!(!is_troubled(&world), "the host comes last for what its VPN did");
    }
}

#[test]
fn what_fails_behind_a_sick_vpn_says_nothing_of_the_host() {
    let (mut world, engine) = two_hosts();
    vpn(&mut world, VpnHealth::Unhealthy);
    exit(&mut world, engine);
    vpn(&mut world, VpnHealth::Healthy);
    assert!(!is_troubled(&world) && count(&world, &HOST) == 0);
}

#[test]
fn what_failed_long_before_its_vpn_failed_for_itself() {
    let (mut world, engine) = two_hosts();
    fail(&mut world, engine);
    world.wait_ms(13_000);
    vpn(&mut world, VpnHealth::Unhealthy);
    assert_eq!((count(&world, &HOST), count(&world, &of_vpn())), (1, 0));
}

#[test]
fn others_that_failed_for_themselves_still_count() {
    let (mut world, first) = two_hosts();
    let second = behind(&mut world);
    fail(&mut world, first);
    let failed_at = world.state.node(NodeId(1)).unwrap().failed_start_ms;
    world.wait_ms(20_000);
    fail(&mut world, second);
    vpn(&mut world, VpnHealth::Unhealthy);
    assert_eq!((count(&world, &HOST), count(&world, &of_vpn())), (1, 1));
    assert_eq!(world.state.node(NodeId(1)).unwrap().failed_start_ms, failed_at);
    assert_eq!(world.state.breaker_over(&HOST, world.now).0.last_failure_ms, failed_at);
}

#[test]
fn a_breaker_that_a_vpn_opened_over_all_closes() {
    let mut world = world(1);
    world.run(Command::NodeUp(behind_vpn(1)));
    vpn(&mut world, VpnHealth::Healthy);
    let engines: Vec<EngineId> = (0..5).map(|_| behind(&mut world)).collect();
    engines.into_iter().for_each(|id| exit(&mut world, id));
    assert_eq!(state(&world, &PLAIN), BreakerState::Open);
    vpn(&mut world, VpnHealth::Unhealthy);
    assert_eq!((count(&world, &PLAIN), count(&world, &of_vpn())), (0, 5));
    let told = |text: &str| world.state.events().iter().any(|event| event.message.starts_with(text));
    assert!(told("the circuit breaker over general is closed"));
}

#[test]
fn what_fails_as_its_vpn_container_is_made_anew_counts_against_nothing() {
    let (mut world, engine) = two_hosts();
    fail(&mut world, engine);
    let (cause, when) = (Cause::VpnRecreated, StopWhen::Always);
    world.run(Command::EngineStop { engine, cause, when });
    assert_eq!((count(&world, &HOST), count(&world, &of_vpn())), (0, 0));
    assert!(!is_troubled(&world));
}

#[test]
fn a_replacement_that_did_not_fail_of_itself_is_made_up_for_once() {
    let (mut world, lost) = two_hosts();
    world.wait_ms(MINUTE_MS);
    fail(&mut world, lost);
    let replace = |world: &mut World, host| {
        let ask = Reserve { replaces: Some(lost), ..world.ask_on(host) };
        let id = crate::support::engine(world.run(Command::Reserve(ask))).id;
        world.start(id);
        world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
        id
    };
    let first = replace(&mut world, 1);
    fail(&mut world, first);
    replace(&mut world, 2);
    // What failed was its network.
    world.run(Command::EngineStop { engine: first, cause: Cause::VpnRecreated, when: StopWhen::Always });
    let planned = plan(&world.state, &world.eligible(), world.now);
    let reserves = planned.iter().filter(|command| matches!(command, Command::Reserve(_))).count();
    assert_eq!(reserves, 0, "one for one: {planned:?}");
}

#[test]
fn an_engine_counts_once_also_when_its_host_is_suspected_later() {
    let mut world = world(1);
    let engines: Vec<EngineId> = (0..3).map(|_| world.running().id).collect();
    fail(&mut world, engines[0]);
    assert_eq!(count(&world, &PLAIN), 1, "at its verdict");
    fail(&mut world, engines[1]);
    fail(&mut world, engines[2]);
    assert_eq!(count(&world, &PLAIN), 0, "the host is suspected");
    world.wait_ms(MINUTE_MS + 1_000);
    for (left, id) in engines.iter().enumerate() {
        world.run(stop(*id, StopWhen::Unused));
        assert!(world.engine(*id).taken_off.is_some(), "it leaves the list");
        assert_eq!(count(&world, &PLAIN), [1, 2, 3][left]);
    }
}

#[test]
fn an_engine_that_recovers_and_ends_counts_once() {
    let mut world = world(1);
    let id = world.running().id;
    fail(&mut world, id);
    world.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None });
    exit(&mut world, id);
    assert_eq!(count(&world, &PLAIN), 1);
}
