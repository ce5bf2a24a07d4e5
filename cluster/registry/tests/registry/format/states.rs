//! States with something in every table.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{ChangeSettings, StopWhen};
use acefleet_registry::node::Wanted;
use acefleet_registry::settings::{Name, Value};
use acefleet_registry::stream::StreamStart;
use acefleet_registry::vpn::{PublicAddress, VpnHealth, VpnStatus};
use acefleet_registry::{
    Actor, Command, Credential, Elapsed, Level, NodeId, OpId, Proposal, Reply, Reserve, Role, State,
};

use crate::format::samples::{create_key, image, other_settings};
use crate::support::{World, behind_vpn, name_taken, playing, port_taken, stop};

/// A state with something in every table.
pub fn sample_state() -> State {
    let mut world = World::new(2, 10);
    world.policy(|policy| policy.min_replicas = 1);
    let running = world.running();
    world.begin(playing("k", "runs", running.ports.host_http));
    world.begin(playing("k", "ends", running.ports.host_http));
    world.finish("k|ends");
    world.finish("k|early");
    let label = |session: &str| StreamStart { id: "label".into(), ..playing("k", session, 1) };
    world.begin(label("a"));
    world.begin(label("b"));
    let moved = world.reserve();
    world.run(port_taken(moved.id, moved.ports.host_http));
    world.run(name_taken(moved.id, &moved.container_name));
    world.fail_one();
    let lacking = world.reserve().id;
    let message = "nobody has it".to_owned();
    world.run(Command::EngineLacks { engine: lacking, lack: image("engine:2"), message });
    let leaving = world.running();
    world.run(stop(leaving.id, StopWhen::Always));
    world.run(Command::Reserve(Reserve { eligible: BTreeSet::new(), ..world.ask() }));
    world.run(Command::EventBatch { started: vec![], ended: vec![] });
    world.state
}

/// A cluster that owns its settings, with a change and a revert.
pub fn settings_state() -> State {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let values: BTreeMap<Name, Value> = Name::ALL.into_iter().zip(other_settings().values()).collect();
    world.run(Command::ChangeSettings(ChangeSettings { expected: 1, values, reverts: None }));
    let values = BTreeMap::from([(Name::MaxReplicas, Value::Count(20))]);
    world.run(Command::ChangeSettings(ChangeSettings { expected: 2, values, reverts: Some(1) }));
    assert_eq!(world.state.settings().revision(), 3);
    world.state
}

/// A cluster with keys, one of which ends, and a change by a caller with one.
pub(super) fn keys_state() -> State {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.run(Command::WallCorrected { from: Elapsed(0), offset_ms: 1_760_000_000_000 });
    let mut write = |n: u64, credential: Credential, command: Command| {
        let by = Some(Actor::new(credential, Some("192.0.2.7".to_owned())));
        let (op_id, at_ms) = (OpId(8, n), world.now);
        world.propose(&Proposal { op_id, at_ms, origin: NodeId(1), by, command });
    };
    write(1, Credential::ApiKey, create_key("ops", Role::Operator, None));
    write(2, Credential::HostToken, create_key("grafana", Role::Viewer, Some(86_400_000)));
    let availability = Wanted::Cordoned;
    let by_name = Credential::Named("ops".parse().unwrap());
    write(3, by_name, Command::NodeAvailability { node: NodeId(1), availability });
    world.state
}

pub(super) fn vpn_status() -> VpnStatus {
    VpnStatus {
        health: VpnHealth::Healthy,
        reason: "none".to_owned(),
        forwarded_port: Some(51_413),
        public: Some(PublicAddress {
            ip: "203.0.113.24".to_owned(),
            country: Some("Netherlands".to_owned()),
            city: Some("Amsterdam".to_owned()),
            region: Some("North Holland".to_owned()),
        }),
    }
}

/// The same behind VPNs: in a file of its own, because older snapshots have none of it.
pub fn vpn_state() -> State {
    let mut world = World::new(1, 10);
    world.run(Command::NodeUp(behind_vpn(1)));
    let changed = |status| Command::VpnChanged {
        node: NodeId(1),
        container: "gluetun".to_owned(),
        status,
        renew: false,
    };
    world.run(changed(vpn_status()));
    let lost = world.running();
    assert_eq!(lost.forwarded_port, Some(51_413));
    let stop = Command::EngineStop { engine: lost.id, cause: Cause::VpnRecreated, when: StopWhen::Always };
    world.run(stop);
    world.run(Command::Reserve(Reserve { replaces: Some(lost.id), ..world.ask() }));
    world.state
}

/// The same with an engine that a caller was given.
pub(super) fn marked_state() -> State {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let call = Reserve { claim_abandoned: true, patience_ms: Some(2_400), ..world.ask() };
    let Reply::Engine(given) = world.run(Command::Reserve(call)) else { panic!("refused") };
    assert!(world.start(given.id).mark.is_some());
    world.state
}
