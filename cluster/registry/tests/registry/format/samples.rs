//! One command of each kind, and more of those with several forms.

use std::collections::BTreeMap;

use acefleet_registry::breaker::BreakerKind;
use acefleet_registry::cause::Cause;
use acefleet_registry::command::{
    Adopt, ChangeSettings, CreateJoinToken, CreateKey, InUse, Select, Step, StopWhen, UseJoinToken,
};
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{EngineSpec, Health, Ports};
use acefleet_registry::health::HealthFault;
use acefleet_registry::join_token::PublicKey;
use acefleet_registry::lack::Lack;
use acefleet_registry::node::{DockerState, Wanted};
use acefleet_registry::policy::{BreakerPolicy, PortRange};
use acefleet_registry::seat::Content;
use acefleet_registry::settings::{Name, Value};
use acefleet_registry::stream::{KeyType, StreamEnd};
use acefleet_registry::{
    Access, Command, Elapsed, EngineId, KeyHash, Level, NodeId, NodeInfo, OpId, Policy, Proposal, Reserve,
    Role,
};

use crate::format::states::vpn_status;
use crate::support::{
    behind_vpn, docker_id, failed, generic, gone, name_taken, node_info, playing, port_taken, started, stop,
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
        Command::Select(_) => "select",
        Command::ReleaseSeat { .. } => "release_seat",
        Command::StreamStarted(_) => "stream_started",
        Command::StreamEnded(_) => "stream_ended",
        Command::EventBatch { .. } => "event_batch",
        Command::ResetBreaker(_) => "reset_breaker",
        Command::NodeAvailability { .. } => "node_availability",
        Command::NodeReturned { .. } => "node_returned",
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
        Command::CreateKey(_) => "create_key",
        Command::RevokeKey { .. } => "revoke_key",
        Command::CreateJoinToken(_) => "create_join_token",
        Command::UseJoinToken(_) => "use_join_token",
        Command::RevokeJoinToken { .. } => "revoke_join_token",
        Command::BackupTaken { .. } => "backup_taken",
        Command::Leads { .. } => "leads",
        Command::LeadWanted { .. } => "lead_wanted",
        Command::RemovalWanted { .. } => "removal_wanted",
        Command::StreamSilence { .. } => "stream_silence",
        Command::StreamsSeen { .. } => "streams_seen",
    }
}

pub(super) fn image(name: &str) -> Lack {
    Lack::Image(name.to_owned())
}

/// A join token whose key is of this byte alone.
pub fn create_token(key: u8, ttl_ms: u64, uses: u32) -> Command {
    Command::CreateJoinToken(CreateJoinToken { key: PublicKey([key; 32]), ttl_ms, uses })
}

/// The use of one by a node whose key is of one byte, too.
pub fn use_token(token: u8, node: u8, name: &str) -> Command {
    let name = name.to_owned();
    Command::UseJoinToken(UseJoinToken { token: PublicKey([token; 32]), node: PublicKey([node; 32]), name })
}

/// A key that is told apart by its name, too.
pub fn create_key(name: &str, role: Role, ttl_ms: Option<u64>) -> Command {
    let mut hash = [0; 32];
    hash.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
    Command::CreateKey(CreateKey { name: name.parse().unwrap(), role, hash: KeyHash(hash), ttl_ms })
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
            availability: Wanted::Draining { within_ms: Some(60_000), returns: false },
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
        Command::RemovalWanted { node },
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
        create_key("acexy", Role::Proxy, None),
        create_key("grafana", Role::Viewer, Some(2_592_000_000)),
        Command::RevokeKey { name: "acexy".parse().unwrap() },
        create_token(1, 3_600_000, 2),
        use_token(1, 7, "node-d"),
        Command::RevokeJoinToken { id: PublicKey([1; 32]).id() },
        Command::BackupTaken { redacted: true },
        Command::NodeAvailability {
            node: NodeId(1),
            availability: Wanted::Draining { within_ms: None, returns: true },
        },
        Command::NodeReturned { node: NodeId(1), since_ms: Elapsed(60_000) },
        Command::Select(Select {
            content: Content { key_type: KeyType::Infohash, key: "0a".repeat(20) },
            max_streams: 2,
            ttl_ms: 20_000,
        }),
        Command::ReleaseSeat { seat: OpId(7, 8) },
    ]
}

/// Each with another value than the default.
pub(super) fn other_settings() -> Policy {
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

pub fn proposal(command: Command) -> Proposal {
    Proposal {
        op_id: OpId(1, u64::MAX),
        at_ms: Elapsed(1_760_000_000_000),
        origin: NodeId((1 << 53) - 1),
        by: None,
        command,
    }
}
