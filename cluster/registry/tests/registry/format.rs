//! The format on disk and on the wire: MessagePack with named fields. What is pinned here was written by
//! an older version; it must stay readable, and as long as a record does not change, identical.
//!
//! After a wanted change: `TEST_BLESS=1 cargo test -p acefleet-registry format` rewrites the files.
//! A changed line means that old data must be read by new code: look at each one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use acefleet_registry::breaker::BreakerKind;
use acefleet_registry::cause::Cause;
use acefleet_registry::command::{Adopt, ChangeSettings, InUse, Step, StopWhen, Taken};
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{EngineSpec, Health, Ports};
use acefleet_registry::health::HealthFault;
use acefleet_registry::lack::Lack;
use acefleet_registry::node::{DockerState, Wanted};
use acefleet_registry::policy::{BreakerPolicy, PortRange};
use acefleet_registry::settings::{Name, Value};
use acefleet_registry::state::Tables;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::vpn::{PublicAddress, VpnHealth, VpnStatus};
use acefleet_registry::{
    Access, Command, Elapsed, Engine, EngineId, KeyHash, Level, NodeId, NodeInfo, OpId, Policy, Proposal,
    Reply, Reserve, State, Stream, apply,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::{
    World, behind_vpn, docker_id, failed, generic, gone, name_taken, node_info, playing, port_taken, started,
    stop,
};

/// The name of a command's line. A new variant does not compile until it has one; give it a sample too.
pub fn name(command: &Command) -> &'static str {
    match command {
        Command::NodeUp(_) => "node_up",
        Command::NodeDocker { .. } => "node_docker",
        Command::SetPolicy(_) => "set_policy",
        Command::ChangeSettings(_) => "change_settings",
        Command::Reserve(_) => "reserve",
        Command::Conflict { .. } => "conflict",
        Command::EngineStarted { .. } => "engine_started",
        Command::EngineFailed { .. } => "engine_failed",
        Command::EngineLacks { .. } => "engine_lacks",
        Command::Found { .. } => "found",
        Command::EngineHealth { .. } => "engine_health",
        Command::EngineStop { .. } => "engine_stop",
        Command::EngineGone { .. } => "engine_gone",
        Command::Adopt(_) => "adopt",
        Command::Abandon { .. } => "abandon",
        Command::StreamStarted(_) => "stream_started",
        Command::StreamEnded(_) => "stream_ended",
        Command::EventBatch { .. } => "event_batch",
        Command::ResetBreaker(_) => "reset_breaker",
        Command::NodeAvailability { .. } => "node_availability",
        Command::Sequence(_) => "sequence",
        Command::NodeRemoved { .. } => "node_removed",
        Command::NodeReplaced { .. } => "node_replaced",
        Command::NodeDown { .. } => "node_down",
        Command::NodeUnavailable { .. } => "node_unavailable",
        Command::VpnChanged { .. } => "vpn_changed",
        Command::Recovered { .. } => "recovered",
        Command::RaiseLevel(_) => "raise_level",
        Command::WallCorrected { .. } => "wall_corrected",
        Command::SetAccess(_) => "set_access",
        Command::Leads { .. } => "leads",
        Command::LeadWanted { .. } => "lead_wanted",
        Command::StreamSilence { .. } => "stream_silence",
        Command::StreamsSeen { .. } => "streams_seen",
    }
}

fn image(name: &str) -> Lack {
    Lack::Image(name.to_owned())
}

fn end() -> StreamEnd {
    StreamEnd {
        stream_id: Some("k|s".to_owned()),
        container_id: Some("c".to_owned()),
        reason: Some(EndReason::Said("eof".to_owned())),
    }
}

pub fn samples() -> Vec<Command> {
    let mut spec = EngineSpec::acestream();
    spec.image = Some("engine:2".to_owned());
    spec.env = BTreeMap::from([("CONF".to_owned(), "--http-port=6878".to_owned())]);
    spec.labels = BTreeMap::from([("stream_id".to_owned(), "x".to_owned())]);
    spec.host_port = Some(19_000);
    let reserve = Reserve {
        spec,
        eligible: [NodeId(1), NodeId(2)].into(),
        exclude: [NodeId(2)].into(),
        only_below: Some(3),
        claim_abandoned: true,
        patience_ms: Some(2_500),
        automatic: true,
        replaces: None,
    };
    let adopt = Adopt {
        node: NodeId(1),
        container_id: docker_id(7),
        container_name: "acestream-7".to_owned(),
        image: "engine:1".to_owned(),
        variant: Some("jopsis-amd64".to_owned()),
        ports: Ports {
            host_http: 19_007,
            container_http: 19_007,
            container_https: 45_007,
            host_https: Some(19_008),
        },
        spec: generic(&[("80/tcp", 8080)]),
        address: None,
        vpn: None,
        forwarded_port: None,
    };
    let id = EngineId(7);
    let node = NodeId(1);
    vec![
        Command::NodeUp(NodeInfo { docker_network: Some("ace".to_owned()), ..node_info(1, 10) }),
        Command::NodeDocker { node, docker: DockerState::Unavailable("refused".to_owned()) },
        Command::NodeDocker { node, docker: DockerState::Available },
        Command::NodeDocker { node, docker: DockerState::Unknown },
        Command::NodeDocker { node, docker: DockerState::Stopping },
        Command::SetPolicy(Policy::default()),
        Command::Reserve(reserve),
        port_taken(id, 19_007),
        name_taken(id, "acestream-7"),
        started(id, &docker_id(7)),
        failed(id),
        Command::EngineHealth { engine: id, health: Health::Healthy, fault: None },
        Command::EngineHealth { engine: id, health: Health::Unhealthy, fault: Some(HealthFault::NoAnswer) },
        stop(id, StopWhen::Always),
        stop(id, StopWhen::IdleFor(30_000)),
        gone(id),
        Command::Adopt(adopt),
        Command::Abandon { engine: id, by: Some(OpId::from_u128(7)) },
        Command::StreamStarted(playing("k", "s", 19_007).into()),
        Command::StreamEnded(end()),
        Command::EventBatch { started: vec![playing("k", "s", 19_007).into()], ended: vec![end()] },
        Command::ResetBreaker(None),
        Command::ResetBreaker(Some(BreakerKind::General)),
        stop(id, StopWhen::Unused),
        Command::NodeAvailability { node: NodeId(1), availability: Wanted::Cordoned },
        Command::NodeAvailability {
            node: NodeId(1),
            availability: Wanted::Draining { within_ms: Some(60_000) },
        },
        Command::Sequence(vec![Step { op_id: OpId(2, 3), by: None, command: Command::StreamEnded(end()) }]),
        Command::NodeRemoved { node },
        Command::NodeDown { node, down: true },
        Command::VpnChanged { node, container: "gluetun".to_owned(), status: vpn_status(), renew: false },
        stop(id, StopWhen::OffVpn),
        Command::NodeUp(behind_vpn(1)),
        Command::Recovered { survivor: node, former_clusters: vec!["0190a1b2".to_owned()] },
        Command::RaiseLevel(Level::CURRENT),
        Command::WallCorrected { from: Elapsed(60_000), offset_ms: 1_760_000_000_000 },
        Command::SetAccess(Access::Open),
        Command::Leads { node, term: 7 },
        Command::LeadWanted { node },
        stop(id, StopWhen::Replaced),
        Command::SetAccess(Access::Key(KeyHash([7; 32]))),
        Command::EngineLacks { engine: id, lack: image("engine:2"), message: "nobody has it".to_owned() },
        Command::Found { node, lacks: [image("engine:2"), Lack::Network("ace".to_owned())].into() },
        Command::NodeReplaced { old: node, new: NodeId(77) },
        Command::StreamSilence { node, silent: [7, 300].into(), answering: [8].into() },
        Command::StreamsSeen {
            node,
            found: [InUse::by_client(EngineId(7)), InUse::by_session(EngineId(8), 1)].into(),
            unviewed: [9].into(),
        },
        Command::EngineGone { engine: id, cause: Cause::Exited, message: Some("exit code 1".to_owned()) },
        Command::NodeUnavailable { node, answering: Some([id, EngineId(300)].into()), is_back: false },
        Command::NodeUnavailable { node, answering: None, is_back: false },
        Command::NodeUnavailable { node, answering: Some([id].into()), is_back: true },
        Command::SetPolicy(Policy { spare_for_host: true, ..Policy::default() }),
        Command::VpnChanged { node, container: "gluetun".to_owned(), status: vpn_status(), renew: true },
        Command::SetPolicy(Policy { down_after_ms: 90_000, ..Policy::default() }),
        Command::ChangeSettings(ChangeSettings {
            expected: 3,
            values: Name::ALL.into_iter().zip(other_settings().values()).collect(),
            reverts: None,
        }),
        Command::ChangeSettings(ChangeSettings {
            expected: 4,
            values: [(Name::MaxReplicas, Value::Count(21))].into(),
            reverts: Some(1),
        }),
    ]
}

/// Each with another value than the default.
fn other_settings() -> Policy {
    Policy {
        min_replicas: 1,
        min_free_replicas: 1,
        spare_for_host: true,
        max_replicas: 30,
        host_ports: PortRange { first: 20_000, last: 20_999 },
        https_ports: PortRange { first: 46_000, last: 46_999 },
        map_https: true,
        container_label: "orchestrator.managed=acestream".to_owned(),
        startup_timeout_ms: 30_500,
        down_after_ms: 90_000,
        auto_delete: true,
        grace_ms: 0,
        idle_ttl_ms: 900_000,
        general_breaker: BreakerPolicy { failure_threshold: 6, recovery_ms: 60_000 },
        replacement_breaker: BreakerPolicy { failure_threshold: 4, recovery_ms: 61_000 },
    }
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

#[test]
fn a_snapshot_with_settings_is_pinned_and_readable() {
    let state = settings_state();
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("settings.hex", &[("settings".to_owned(), bytes)]);
    let restored: State = rmp_serde::from_slice(&pinned[0]).unwrap();
    assert_eq!(restored, state);
    assert!(restored.indexes_are_true());
}

fn vpn_status() -> VpnStatus {
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

fn proposal(command: Command) -> Proposal {
    Proposal {
        op_id: OpId(1, u64::MAX),
        at_ms: Elapsed(1_760_000_000_000),
        origin: NodeId((1 << 53) - 1),
        by: None,
        command,
    }
}

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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Lines `name hex`, compared with those in the golden file; returns the bytes of the file.
fn golden(file: &str, lines: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/registry/golden").join(file);
    let now: Vec<String> = lines.iter().map(|(name, bytes)| format!("{name} {}", hex(bytes))).collect();
    if std::env::var_os("TEST_BLESS").is_some() {
        std::fs::write(&path, now.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let pinned: Vec<&str> = text.lines().collect();
    assert_eq!(pinned.len(), now.len(), "{file} has another number of lines");
    for (pinned, now) in pinned.iter().zip(&now) {
        let name = now.split(' ').next().unwrap();
        assert!(pinned == now, "{file}: the encoding of {name} changed");
    }
    pinned.iter().map(|line| unhex(line.split_once(' ').unwrap().1)).collect()
}

#[test]
fn every_command_is_pinned_and_readable() {
    let samples = samples();
    let names: BTreeSet<&str> = samples.iter().map(name).collect();
    assert_eq!(names.len(), 34, "a kind of command has no sample");
    let encode = |command: &Command| rmp_serde::to_vec_named(&proposal(command.clone())).unwrap();
    let lines: Vec<_> = samples.iter().map(|command| (name(command).to_owned(), encode(command))).collect();
    for (bytes, command) in golden("proposals.hex", &lines).iter().zip(samples) {
        assert_eq!(rmp_serde::from_slice::<Proposal>(bytes).unwrap(), proposal(command));
    }
}

#[test]
fn a_snapshot_is_pinned_and_readable() {
    let state = sample_state();
    let tables = Tables::from(state.clone());
    assert!(
        !tables.tombstones.is_empty()
            && !tables.foreign_ports.is_empty()
            && !tables.foreign_names.is_empty()
            && !tables.ops.is_empty()
    );
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("state.hex", &[("state".to_owned(), bytes)]);
    let restored: State = rmp_serde::from_slice(&pinned[0]).unwrap();
    assert_eq!(restored, state);
    assert!(restored.indexes_are_true());
}

#[test]
fn a_snapshot_with_vpns_is_pinned_and_readable() {
    let state = vpn_state();
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("vpn.hex", &[("vpn".to_owned(), bytes)]);
    assert_eq!(rmp_serde::from_slice::<State>(&pinned[0]).unwrap(), state);
}

/// The same with an engine that a caller was given.
fn marked_state() -> State {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    let call = Reserve { claim_abandoned: true, patience_ms: Some(2_400), ..world.ask() };
    let Reply::Engine(given) = world.run(Command::Reserve(call)) else { panic!("refused") };
    assert!(world.start(given.id).mark.is_some());
    world.state
}

#[test]
fn a_snapshot_with_a_mark_is_pinned_and_readable() {
    let state = marked_state();
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("marks.hex", &[("marks".to_owned(), bytes)]);
    assert_eq!(rmp_serde::from_slice::<State>(&pinned[0]).unwrap(), state);
}

/// Encodes `value` with a field that this version does not know in the record at `pointer`.
fn with_a_new_field<T: Serialize + DeserializeOwned>(value: &T, pointer: &str) -> T {
    let mut json = serde_json::to_value(value).unwrap();
    let record = json.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    record.insert("of_the_next_version".to_owned(), serde_json::json!({ "list": [1, null, "x"] }));
    rmp_serde::from_slice(&rmp_serde::to_vec_named(&json).unwrap()).unwrap()
}

/// Encodes `value` as a version that did not know `fields` did.
fn without_fields<T: Serialize + DeserializeOwned>(value: &T, fields: &[&str]) -> T {
    let mut json = serde_json::to_value(value).unwrap();
    let record = json.as_object_mut().unwrap();
    for field in fields {
        assert!(record.remove(*field).is_some(), "{field} is no field");
    }
    rmp_serde::from_slice(&rmp_serde::to_vec_named(&json).unwrap()).unwrap()
}

#[test]
fn fields_of_a_newer_version_are_ignored() {
    for command in samples() {
        let sample = proposal(command);
        assert_eq!(with_a_new_field(&sample, ""), sample);
    }
    let paths = [
        "/command/Reserve",
        "/command/Reserve/spec",
        "/command/Adopt/ports",
        "/command/StreamStarted",
        "/command/StreamEnded",
        "/command/SetPolicy",
        "/command/SetPolicy/general_breaker",
        "/command/NodeUp",
        "/command/EngineStarted",
        "/command/ChangeSettings",
    ];
    for path in paths {
        let of = path.split('/').nth(2).unwrap();
        let has_it = |sample: &Proposal| serde_json::to_value(sample).unwrap()["command"].get(of).is_some();
        let sample = samples().into_iter().map(proposal).find(has_it).unwrap();
        assert_eq!(with_a_new_field(&sample, path), sample, "{path}");
    }
    let state = sample_state();
    state.all_engines().for_each(|engine| assert_eq!(with_a_new_field::<Engine>(engine, ""), **engine));
    state.streams().for_each(|stream| assert_eq!(with_a_new_field::<Stream>(stream, "/start"), **stream));
}

#[test]
fn a_snapshot_with_a_table_of_a_newer_version_is_read() {
    #[derive(Serialize)]
    struct Newer {
        #[serde(flatten)]
        tables: Tables,
        table_of_the_next_version: BTreeMap<u64, String>,
    }
    let state = sample_state();
    let newer = Newer {
        tables: Tables::from(state.clone()),
        table_of_the_next_version: BTreeMap::from([(1, "x".to_owned())]),
    };
    let bytes = rmp_serde::to_vec_named(&newer).unwrap();
    assert_eq!(rmp_serde::from_slice::<State>(&bytes).unwrap(), state);
}

#[test]
fn records_of_an_older_version_get_defaults() {
    let state = sample_state();
    let engine = state.all_engines().next().unwrap();
    let older: Engine = without_fields(
        &**engine,
        &[
            "container_id",
            "image",
            "variant",
            "health",
            "started_at_ms",
            "abandoned",
            "awaited_until_ms",
            "placement",
            "ending",
        ],
    );
    assert_eq!((older.id, older.container_id, older.health), (engine.id, None, Health::Unknown));
    let stream = state.streams().next().unwrap();
    let older: Stream = without_fields(&**stream, &["end_reason", "past_sessions", "ended_at_ms"]);
    assert_eq!(
        older,
        Stream { end_reason: None, ended_at_ms: None, past_sessions: vec![], ..(**stream).clone() }
    );
    let policy = without_fields(&Policy::default(), &["map_https", "general_breaker", "idle_ttl_ms"]);
    assert_eq!(policy, Policy::default());
    let nothing: State =
        rmp_serde::from_slice(&rmp_serde::to_vec_named(&BTreeMap::<u8, u8>::new()).unwrap()).unwrap();
    assert_eq!(nothing, State::default());
}

#[test]
fn replies_survive_the_way_to_a_follower() {
    let mut state = sample_state();
    // Samples of changes build on the settings of this level.
    state = State::from(Tables { settings: Tables::from(settings_state()).settings, ..Tables::from(state) });
    let mut kinds = BTreeSet::new();
    for (n, command) in samples().into_iter().enumerate() {
        let op_id = OpId::from_u128((1 << 100) + n as u128);
        let reply = apply(&mut state, &Proposal { op_id, ..proposal(command) }, n as u64);
        kinds.insert(format!("{reply:?}").split(['(', ' ']).next().unwrap().to_owned());
        let bytes = rmp_serde::to_vec_named(&reply).unwrap();
        assert_eq!(rmp_serde::from_slice::<Reply>(&bytes).unwrap(), reply);
    }
    let all = ["Batch", "Done", "Engine", "Refused", "Settings", "StreamEnded", "StreamStarted"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn bytes_that_are_no_proposal_are_an_error_and_no_panic() {
    let bytes = rmp_serde::to_vec_named(&proposal(samples().remove(5))).unwrap();
    for len in 0..bytes.len() {
        assert!(rmp_serde::from_slice::<Proposal>(&bytes[..len]).is_err(), "{len} bytes were enough");
    }
    let taken = rmp_serde::to_vec_named(&Taken::HostPort(1)).unwrap();
    assert!(rmp_serde::from_slice::<Proposal>(&taken).is_err());
}
