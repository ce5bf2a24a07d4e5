//! Arbitrary commands over small sets of ids, so that they meet each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::breaker::BreakerKind;
use acefleet_registry::cause::Cause;
use acefleet_registry::command::{Adopt, ChangeSettings, InUse, Step, StopWhen, Taken};
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{EngineSpec, Health, Ports};
use acefleet_registry::health::HealthFault;
use acefleet_registry::join_token::PublicKey;
use acefleet_registry::lack::Lack;
use acefleet_registry::node::{DockerState, Wanted};
use acefleet_registry::policy::{BreakerPolicy, PortRange};
use acefleet_registry::settings::Name;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::vpn::{VpnHealth, VpnInfo, VpnStatus};
use acefleet_registry::{
    Command, Elapsed, EngineId, Level, NodeId, NodeInfo, OpId, Policy, Proposal, Reserve, Role,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::format::{create_key, create_token, use_token};

use super::{BEGIN_MS, docker_id, failed, generic, gone, node_info, playing, started, stop, with_conf};

const FIRST_PORT: u16 = 19_000;
const LAST_PORT: u16 = 19_011;

fn node_id() -> impl Strategy<Value = NodeId> {
    (1..=5u64).prop_map(NodeId)
}

fn in_use() -> impl Strategy<Value = InUse> {
    (engine_id(), option::of(1..30u64), any::<bool>()).prop_map(|(engine, plays, stays)| InUse {
        engine,
        plays,
        stays,
    })
}

fn engine_id() -> impl Strategy<Value = EngineId> {
    prop_oneof![12 => 1..=12u64, 1 => 13..=60u64].prop_map(EngineId)
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![8 => FIRST_PORT..=LAST_PORT, 1 => Just(0), 1 => 40_000..40_003u16]
}

fn hosts() -> impl Strategy<Value = BTreeSet<NodeId>> {
    prop_oneof![3 => Just((1..=5).map(NodeId).collect()), 1 => btree_set(node_id(), 0..5)]
}

fn container() -> impl Strategy<Value = String> {
    (1..=14u64).prop_map(docker_id)
}

fn spec() -> impl Strategy<Value = EngineSpec> {
    prop_oneof![
        8 => Just(EngineSpec::acestream()),
        1 => port().prop_map(|port| EngineSpec { host_port: Some(port), ..EngineSpec::acestream() }),
        1 => port().prop_map(|port| with_conf(&format!("--http-port={port}"))),
        1 => vec(port(), 0..3).prop_map(|ports| {
            let named: Vec<(String, u16)> =
                ports.iter().enumerate().map(|(i, port)| (format!("{i}/tcp"), *port)).collect();
            let named: Vec<(&str, u16)> = named.iter().map(|(name, port)| (name.as_str(), *port)).collect();
            generic(&named)
        }),
    ]
}

fn reserve() -> impl Strategy<Value = Reserve> {
    let exclude = prop_oneof![4 => Just(BTreeSet::new()), 1 => btree_set(node_id(), 0..4)];
    let only_below = prop_oneof![3 => Just(None), 1 => (0..8u32).prop_map(Some)];
    let patience_ms = prop_oneof![Just(None), (0..5_000u64).prop_map(Some)];
    (spec(), hosts(), exclude, only_below, any::<bool>(), patience_ms, any::<bool>()).prop_map(
        |(spec, eligible, exclude, only_below, claim_abandoned, patience_ms, automatic)| Reserve {
            spec,
            eligible,
            exclude,
            only_below,
            claim_abandoned,
            patience_ms,
            automatic,
            replaces: None,
        },
    )
}

fn lack() -> impl Strategy<Value = Lack> {
    prop_oneof![
        (1..3u32).prop_map(|n| Lack::Image(format!("engine:{n}"))),
        Just(Lack::Network("ace".to_owned())),
    ]
}

fn held(prefix: &str, numbers: BTreeSet<u32>) -> Taken {
    Taken::Names(numbers.into_iter().map(|n| format!("{prefix}-{n}")).collect())
}

fn taken() -> impl Strategy<Value = Taken> {
    prop_oneof![
        port().prop_map(Taken::HostPort),
        btree_set(1..6u32, 1..4).prop_map(|numbers| held("acestream", numbers)),
        btree_set(1..3u32, 1..2).prop_map(|numbers| held("svc", numbers)),
    ]
}

fn adopt() -> impl Strategy<Value = Adopt> {
    let kind = prop_oneof![4 => Just(EngineSpec::acestream()), 1 => Just(generic(&[("1/tcp", 40_000)]))];
    let network = option::of((0..2u16, option::of(50_000..50_002u16)));
    (node_id(), container(), 1..9u32, port(), option::of(port()), kind, network).prop_map(
        |(node, container_id, name, host_http, host_https, spec, network)| Adopt {
            node,
            container_id,
            container_name: format!("acestream-{name}"),
            image: "engine:1".to_owned(),
            variant: None,
            ports: Ports { host_http, container_http: host_http, container_https: 45_000, host_https },
            spec,
            address: None,
            vpn: network.map(|(n, _)| format!("gluetun-{n}")),
            forwarded_port: network.and_then(|(_, port)| port),
        },
    )
}

/// Ids with their session inside, ids that a label fixes for any session, and ids without a session.
fn start() -> impl Strategy<Value = StreamStart> {
    let host = prop_oneof![3 => Just("localhost"), 1 => Just("10.0.0.2"), 1 => Just("acestream-2"), 1 => Just("other")];
    (0..4u8, 0..3u8, port(), 0..8u8, host, option::weighted(0.2, container())).prop_map(
        |(key, session, port, shape, host, container_id)| {
            let session = if shape == 0 { String::new() } else { format!("s{session}") };
            let mut start = playing(&format!("k{key}"), &session, port);
            start.engine_host = host.to_owned();
            start.stat_url = start.stat_url.replace("localhost", host);
            start.container_id = container_id;
            if shape <= 2 && shape > 0 {
                start.id = format!("label-{key}").into();
                start.labels = BTreeMap::from([("stream_id".to_owned(), start.id.to_string())]);
            }
            if shape == 3 {
                start.stat_url = String::new();
            }
            start
        },
    )
}

fn end() -> impl Strategy<Value = StreamEnd> {
    let id = prop_oneof![
        6 => (0..4u8, 0..3u8).prop_map(|(key, session)| format!("k{key}|s{session}")),
        2 => (0..4u8).prop_map(|key| format!("label-{key}")),
        1 => (0..4u8).prop_map(|key| format!("k{key}|")),
        1 => Just(String::new()),
    ];
    let container = prop_oneof![
        3 => container(),
        1 => (1..6u32).prop_map(|n| format!("acestream-{n}")),
        1 => Just(format!("other:{FIRST_PORT}")),
        1 => Just(String::new()),
    ];
    (
        option::weighted(0.8, id),
        option::weighted(0.3, container),
        option::weighted(0.5, Just(EndReason::Said("eof".to_owned()))),
    )
        .prop_map(|(stream_id, container_id, reason)| StreamEnd { stream_id, container_id, reason })
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let floors = (0..4u32, 0..3u32, 0..12u32);
    let range = prop_oneof![
        6 => Just(PortRange { first: FIRST_PORT, last: LAST_PORT }),
        1 => Just(PortRange { first: FIRST_PORT, last: FIRST_PORT + 2 }),
        1 => Just(PortRange { first: LAST_PORT, last: FIRST_PORT }),
        1 => Just(PortRange { first: 0, last: 3 }),
    ];
    let times = (any::<bool>(), 0..60_000u64, 1..4u32, 1_000..120_000u64);
    let flags = (any::<bool>(), any::<bool>());
    (floors, range, flags, times).prop_map(|(floors, host_ports, (map_https, spare_for_host), times)| {
        Policy {
            spare_for_host,
            min_replicas: floors.0,
            min_free_replicas: floors.1,
            max_replicas: floors.2,
            host_ports,
            map_https,
            auto_delete: times.0,
            grace_ms: times.1,
            general_breaker: BreakerPolicy { failure_threshold: times.2, recovery_ms: times.3 },
            ..Policy::default()
        }
    })
}

fn docker() -> impl Strategy<Value = DockerState> {
    prop_oneof![
        Just(DockerState::Unknown),
        Just(DockerState::Available),
        Just(DockerState::Stopping),
        Just(DockerState::Unavailable("connection refused".to_owned())),
    ]
}

fn health_fault() -> impl Strategy<Value = Option<HealthFault>> {
    prop::option::of(prop_oneof![Just(HealthFault::NoAnswer), Just(HealthFault::PortClosed)])
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![1 => Just(Health::Unknown), 4 => Just(Health::Healthy), 2 => Just(Health::Unhealthy)]
}

fn when() -> impl Strategy<Value = StopWhen> {
    prop_oneof![
        2 => Just(StopWhen::Always),
        2 => (0..60_000u64).prop_map(StopWhen::IdleFor),
        1 => Just(StopWhen::Unused),
        1 => Just(StopWhen::OffVpn),
        1 => Just(StopWhen::Replaced),
    ]
}

fn breaker() -> impl Strategy<Value = Option<BreakerKind>> {
    option::of(prop_oneof![Just(BreakerKind::General), Just(BreakerKind::Replacement)])
}

fn availability() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        3 => Just(Wanted::Active),
        1 => Just(Wanted::Cordoned),
        1 => (option::of(0..600_000u64), any::<bool>())
            .prop_map(|(within_ms, returns)| Wanted::Draining { within_ms, returns }),
    ]
}

fn event() -> impl Strategy<Value = Command> {
    prop_oneof![
        start().prop_map(|start| Command::StreamStarted(start.into())),
        end().prop_map(Command::StreamEnded)
    ]
}

/// A node with so many VPN containers, whose ports are those of others, too.
fn behind(id: u64, capacity: u32, vpns: u16) -> NodeInfo {
    let vpn = |n: u16| VpnInfo {
        container: format!("gluetun-{n}"),
        ports: PortRange { first: FIRST_PORT + 4 * n, last: FIRST_PORT + 4 * n + 3 },
    };
    NodeInfo { vpns: (0..vpns).map(vpn).collect(), ..node_info(id, capacity) }
}

fn vpn_changed() -> impl Strategy<Value = Command> {
    let health = prop_oneof![
        4 => Just(VpnHealth::Healthy),
        2 => Just(VpnHealth::Unhealthy),
        1 => Just(VpnHealth::Unknown),
    ];
    let port = option::of(50_000..50_002u16);
    (node_id(), 0..2u16, health, port, any::<bool>()).prop_map(|(node, n, health, forwarded_port, renew)| {
        Command::VpnChanged {
            node,
            container: format!("gluetun-{n}"),
            status: VpnStatus { health, forwarded_port, ..VpnStatus::default() },
            renew,
        }
    })
}

pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (1..=5u64, 0..6u32).prop_map(|(id, capacity)| Command::NodeUp(node_info(id, capacity))),
        1 => (1..=5u64, 0..6u32, 0..3u16).prop_map(|(id, capacity, vpns)| Command::NodeUp(behind(id, capacity, vpns))),
        3 => vpn_changed(),
        1 => (node_id(), docker()).prop_map(|(node, docker)| Command::NodeDocker { node, docker }),
        1 => policy().prop_map(Command::SetPolicy),
        1 => (1..6u64, policy()).prop_map(|(expected, policy)| {
            let named = Name::ALL.into_iter().zip(policy.values());
            let values = named.filter(|(name, _)| *name <= Name::MaxReplicas).collect();
            Command::ChangeSettings(ChangeSettings { expected, values, reverts: None })
        }),
        24 => reserve().prop_map(Command::Reserve),
        3 => (engine_id(), taken()).prop_map(|(engine, taken)| Command::Conflict { engine, taken }),
        12 => engine_id().prop_map(|id| started(id, &docker_id(id.0))),
        2 => (engine_id(), container()).prop_map(|(id, container)| started(id, &container)),
        4 => engine_id().prop_map(failed),
        2 => (engine_id(), lack())
            .prop_map(|(engine, lack)| Command::EngineLacks { engine, lack, message: "missing".to_owned() }),
        1 => (node_id(), btree_set(lack(), 0..3)).prop_map(|(node, lacks)| Command::Found { node, lacks }),
        6 => (engine_id(), health(), health_fault())
            .prop_map(|(engine, health, fault)| Command::EngineHealth { engine, health, fault }),
        4 => (engine_id(), when()).prop_map(|(engine, when)| stop(engine, when)),
        4 => engine_id().prop_map(gone),
        4 => adopt().prop_map(Command::Adopt),
        4 => engine_id().prop_map(|engine| Command::Abandon { engine, by: None }),
        24 => start().prop_map(|start| Command::StreamStarted(start.into())),
        12 => end().prop_map(Command::StreamEnded),
        2 => (vec(start().prop_map(Arc::new), 0..4), vec(end(), 0..4))
            .prop_map(|(started, ended)| Command::EventBatch { started, ended }),
        4 => (node_id(), btree_set(1..30u64, 0..6), btree_set(1..30u64, 0..3))
            .prop_map(|(node, silent, answering)| Command::StreamSilence { node, silent, answering }),
        4 => (node_id(), btree_set(in_use(), 0..4), btree_set(1..30u64, 0..3))
            .prop_map(|(node, found, unviewed)| Command::StreamsSeen { node, found, unviewed }),
        1 => breaker().prop_map(Command::ResetBreaker),
        1 => (0..4u8, option::of(1..100_000u64))
            .prop_map(|(n, ttl_ms)| create_key(&format!("key-{n}"), Role::Viewer, ttl_ms)),
        1 => (0..4u8, 1..100_000u64, 0..3u32).prop_map(|(key, ttl_ms, uses)| create_token(key, ttl_ms, uses)),
        2 => (0..4u8, 0..4u8).prop_map(|(token, node)| use_token(token, node, &format!("node-{node}"))),
        1 => (0..4u8).prop_map(|key| Command::RevokeJoinToken { id: PublicKey([key; 32]).id() }),
        1 => any::<bool>().prop_map(|redacted| Command::BackupTaken { redacted }),
        1 => (0..4u8).prop_map(|n| Command::RevokeKey { name: format!("key-{n}").parse().unwrap() }),
        2 => (node_id(), availability())
            .prop_map(|(node, availability)| Command::NodeAvailability { node, availability }),
        1 => (node_id(), 0..5_000u64)
            .prop_map(|(node, since)| Command::NodeReturned { node, since_ms: Elapsed(since) }),
        1 => node_id().prop_map(|node| Command::NodeRemoved { node }),
        1 => (node_id(), node_id()).prop_map(|(old, new)| Command::NodeReplaced { old, new }),
        4 => (node_id(), option::of(btree_set(engine_id(), 0..4)), any::<bool>())
            .prop_map(|(node, answering, is_back)| Command::NodeUnavailable { node, answering, is_back }),
        2 => (node_id(), any::<bool>()).prop_map(|(node, down)| Command::NodeDown { node, down }),
        1 => node_id().prop_map(|survivor| {
            Command::Recovered { survivor, former_clusters: vec![format!("former-{survivor}")] }
        }),
        2 => vec((1..40u64, event()), 0..4).prop_map(|steps| {
            let step = |(op, command)| Step { op_id: OpId(7, op), by: None, command };
            Command::Sequence(steps.into_iter().map(step).collect())
        }),
    ]
}

/// What happens on two hosts behind VPNs that forward one of two ports: engines come, go, are found, and change hands.
pub fn vpn_command() -> impl Strategy<Value = Command> {
    let id = || 1..=2u64;
    prop_oneof![
        1 => (id(), 0..3u16).prop_map(|(id, vpns)| Command::NodeUp(behind(id, 9, vpns))),
        6 => (id(), vpn_changed()).prop_map(|(id, changed)| match changed {
            Command::VpnChanged { container, status, renew, .. } =>
                Command::VpnChanged { node: NodeId(id), container, status, renew },
            other => other,
        }),
        8 => any::<bool>().prop_map(|automatic| Command::Reserve(Reserve {
            automatic,
            ..super::ask(EngineSpec::acestream(), [NodeId(1), NodeId(2)].into())
        })),
        8 => engine_id().prop_map(|id| started(id, &docker_id(id.0))),
        2 => engine_id().prop_map(failed),
        6 => (engine_id(), when()).prop_map(|(engine, when)| stop(engine, when)),
        6 => engine_id().prop_map(gone),
        4 => engine_id().prop_map(|engine| Command::EngineStop {
            engine,
            cause: Cause::Idle,
            when: StopWhen::Always,
        }),
        4 => (id(), engine_id()).prop_map(|(node, engine)| Command::StreamsSeen {
            node: NodeId(node),
            found: [InUse::at_last(engine)].into(),
            unviewed: [].into(),
        }),
        6 => (id(), adopt()).prop_map(|(id, adopt)| Command::Adopt(Adopt { node: NodeId(id), ..adopt })),
        1 => (id(), 1..=3u64)
            .prop_map(|(old, new)| Command::NodeReplaced { old: NodeId(old), new: NodeId(new) }),
    ]
}

/// Histories of these, in a cluster of the present level whose VPNs are connected.
pub fn vpn_histories(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Proposal>> {
    vec((vpn_command(), 0..20_000u64), len).prop_map(|rest| {
        let ports = PortRange { first: FIRST_PORT, last: LAST_PORT };
        let policy = Policy { host_ports: ports, max_replicas: 20, ..Policy::default() };
        let mut first = vec![Command::RaiseLevel(Level::CURRENT), Command::SetPolicy(policy)];
        for id in 1..=2 {
            first.push(Command::NodeUp(behind(id, 9, 2)));
            for n in 0..2 {
                let (health, forwarded_port) = (VpnHealth::Healthy, Some(50_000));
                let status = VpnStatus { health, forwarded_port, ..VpnStatus::default() };
                let (node, container) = (NodeId(id), format!("gluetun-{n}"));
                first.push(Command::VpnChanged { node, container, status, renew: true });
            }
        }
        let all = first.into_iter().map(|command| (command, 0)).chain(rest);
        let mut at_ms = BEGIN_MS;
        let mut proposal = |(n, (command, step_ms)): (usize, (Command, u64))| {
            at_ms = at_ms.plus(step_ms);
            Proposal { op_id: OpId::from_u128(n as u128 + 1), at_ms, origin: NodeId(1), by: None, command }
        };
        all.enumerate().map(&mut proposal).collect()
    })
}

/// A leader's clock that mostly walks on, sometimes stands or falls back, and sometimes leaps.
fn step_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => 0..3_000i64,
        2 => -20_000..0i64,
        2 => 10_000..90_000i64,
        1 => Just(700_000i64),
    ]
}

/// Proposals whose op-ids are mostly fresh and sometimes those of an earlier one.
pub fn proposals(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Proposal>> {
    let step =
        (command(), step_ms(), node_id(), prop_oneof![9 => Just(None), 1 => any::<u16>().prop_map(Some)]);
    vec(step, len).prop_map(|steps| {
        let mut at_ms = BEGIN_MS;
        let mut proposals: Vec<Proposal> = Vec::new();
        for (n, (command, step_ms, origin, repeat)) in steps.into_iter().enumerate() {
            at_ms = Elapsed(at_ms.0.saturating_add_signed(step_ms));
            let of = repeat.and_then(|at| proposals.get(usize::from(at) % (n + 1)));
            let op_id = of.map_or(OpId::from_u128(n as u128 + 1), |earlier| earlier.op_id);
            proposals.push(Proposal { op_id, at_ms, origin, by: None, command });
        }
        proposals
    })
}

/// The same with a cluster that exists from the beginning.
pub fn histories(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Proposal>> {
    // Most rules have a newer form, which holds from the present level on.
    let raised = option::weighted(0.75, Just(Command::RaiseLevel(Level::CURRENT)));
    (1..=5u64, policy(), raised, proposals(len)).prop_map(|(nodes, policy, raised, rest)| {
        let ups = (1..=nodes).map(|id| Command::NodeUp(node_info(id, 4)));
        let policy = Command::SetPolicy(Policy { max_replicas: 10, ..policy });
        let first = ups.chain([policy.clone()]).chain(raised).chain([policy]);
        let opening = first.enumerate().map(|(n, command)| Proposal {
            op_id: OpId::from_u128((1 << 64) + n as u128),
            at_ms: BEGIN_MS,
            origin: NodeId(1),
            by: None,
            command,
        });
        opening.chain(rest).collect()
    })
}

/// Histories whose writes are mostly small, sometimes large, and together more than the state may hold.
pub fn heavy_histories(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Proposal>> {
    let bytes = prop_oneof![4 => 0..100usize, 2 => 10_000..100_000usize, 3 => 300_000..1_500_000usize];
    (histories(len.clone()), vec(bytes, len.end + 10)).prop_map(|(mut proposals, bytes)| {
        for (proposal, bytes) in proposals.iter_mut().zip(bytes) {
            swell(&mut proposal.command, bytes);
        }
        proposals
    })
}

fn swell(command: &mut Command, bytes: usize) {
    let text = || "x".repeat(bytes);
    let swollen = |start: &mut Arc<StreamStart>| {
        Arc::make_mut(start).labels.insert("large".to_owned(), text());
    };
    match command {
        Command::StreamStarted(start) => swollen(start),
        Command::EventBatch { started, .. } => started.iter_mut().for_each(swollen),
        Command::Reserve(reserve) => drop(reserve.spec.env.insert("LARGE".to_owned(), text())),
        Command::StreamEnded(end) if bytes.is_multiple_of(3) => end.stream_id = Some(text() + "|s"),
        Command::Sequence(steps) => steps.iter_mut().for_each(|step| swell(&mut step.command, bytes)),
        Command::EngineFailed { message, .. } => *message = text(),
        _ => {}
    }
}
