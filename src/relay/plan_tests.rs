use std::collections::BTreeSet;
use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{Adopt, StopWhen};
use acefleet_registry::engine::{EngineSpec, Kind, Ports};
use acefleet_registry::node::NodeInfo;
use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart};
use acefleet_registry::vpn::VpnInfo;
use acefleet_registry::{Command, Elapsed, OpId, Policy, Proposal, Reply, Reserve};

use super::*;

const ME: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const THIRD: NodeId = NodeId(3);

/// A registry with three nodes, this one first.
struct World {
    state: State,
    writes: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self { state: State::default(), writes: 0 };
        world.write(Command::SetPolicy(Policy::default()));
        for (node, host) in [(ME, "10.0.0.1"), (OTHER, "10.0.0.2"), (THIRD, "host-c.example")] {
            world.node(node, host);
        }
        world
    }

    fn write(&mut self, command: Command) -> Reply {
        self.writes += 1;
        let proposal = Proposal {
            op_id: OpId::from_u128(u128::from(self.writes)),
            at_ms: Elapsed(1_000 * self.writes),
            origin: ME,
            by: None,
            command,
        };
        acefleet_registry::apply(&mut self.state, &proposal, self.writes)
    }

    fn node(&mut self, node: NodeId, host: &str) {
        self.node_with(node, host, vec![]);
    }

    fn node_with(&mut self, node: NodeId, host: &str, vpns: Vec<VpnInfo>) {
        self.write(Command::NodeUp(NodeInfo {
            id: node,
            name: format!("node-{node}"),
            advertise_host: host.to_owned(),
            http_port: 8000,
            version: "1".to_owned(),
            capacity: 10,
            docker_network: None,
            vpns,
            scheme: Default::default(),
        }));
    }

    fn reserve(&mut self, node: NodeId) -> Arc<Engine> {
        self.reserve_port(node, None)
    }

    fn reserve_port(&mut self, node: NodeId, host_port: Option<u16>) -> Arc<Engine> {
        match self.write(Command::Reserve(Reserve {
            spec: EngineSpec { host_port, ..EngineSpec::acestream() },
            eligible: BTreeSet::from([node]),
            exclude: BTreeSet::new(),
            only_below: None,
            claim_abandoned: false,
            patience_ms: None,
            automatic: false,
            replaces: None,
        })) {
            Reply::Engine(engine) => engine,
            other => panic!("{other:?}"),
        }
    }

    fn start(&mut self, engine: &Engine) {
        self.write(Command::EngineStarted {
            address: None,
            engine: engine.id,
            container_id: format!("{:064x}", engine.ports.host_http),
            image: "image".to_owned(),
            variant: None,
        });
    }

    /// A published engine on this node; its port.
    fn running(&mut self, node: NodeId) -> (u16, EngineId) {
        let engine = self.reserve(node);
        self.start(&engine);
        (engine.ports.host_http, engine.id)
    }

    fn play(&mut self, port: u16) {
        let start = StreamStart {
            id: "k|s".into(),
            key_type: KeyType::Infohash,
            key: "k".to_owned(),
            container_id: None,
            engine_host: "localhost".to_owned(),
            engine_port: port,
            playback_session_id: "s".to_owned(),
            stat_url: format!("http://localhost:{port}/ace/stat/k/s"),
            command_url: format!("http://localhost:{port}/ace/cmd/k/s"),
            is_live: true,
            labels: Default::default(),
        };
        self.write(Command::StreamStarted(start.into()));
    }

    fn finish(&mut self) {
        let end = StreamEnd { stream_id: Some("k|s".to_owned()), ..StreamEnd::default() };
        self.write(Command::StreamEnded(end));
    }

    fn wanted(&self, own: &Own) -> Vec<(u16, EngineId, String)> {
        wanted(&self.state, own).into_iter().map(|(port, w)| (port, w.engine, w.host.to_owned())).collect()
    }
}

fn own() -> Own {
    Own { node: ME, advertise_host: "10.0.0.1".to_owned(), docker_host: None }
}

fn target(engine: u64, host: &str) -> Target {
    Target { engine: EngineId(engine), host: host.to_owned() }
}

#[test]
fn engines_of_other_hosts_are_wanted_and_own_ones_are_not() {
    let mut world = World::new();
    world.running(ME);
    let (port, engine) = world.running(OTHER);
    let (third_port, third) = world.running(THIRD);
    assert_eq!(
        world.wanted(&own()),
        [(port, engine, "10.0.0.2".to_owned()), (third_port, third, "host-c.example".to_owned())]
    );
}

#[test]
fn a_port_is_wanted_from_the_start_of_the_container_to_its_end() {
    let mut world = World::new();
    let engine = world.reserve(OTHER);
    assert_eq!(world.wanted(&own()), [], "reserved");
    world.start(&engine);
    assert_eq!(world.wanted(&own()).len(), 1, "started");
    world.write(Command::EngineGone { engine: engine.id, cause: Cause::Vanished, message: None });
    assert_eq!(world.wanted(&own()), [], "gone");
}

#[test]
fn a_draining_engine_keeps_its_port_while_streams_run_on_it() {
    let mut world = World::new();
    let (port, engine) = world.running(OTHER);
    world.play(port);
    assert_eq!(world.state.active_streams(engine), 1);
    world.write(Command::EngineStop { engine, cause: Cause::Deleted, when: StopWhen::Always });
    assert_eq!(world.state.engine(engine).unwrap().phase, Phase::Stopping);
    assert_eq!(world.state.active_streams(engine), 1);
    assert_eq!(world.wanted(&own()), [(port, engine, "10.0.0.2".to_owned())]);
    world.finish();
    assert_eq!(world.wanted(&own()), []);
}

#[test]
fn generic_containers_are_not_relayed() {
    let mut world = World::new();
    let adopted = Command::Adopt(Adopt {
        address: None,
        node: OTHER,
        container_id: format!("{:064x}", 7),
        container_name: "generic".to_owned(),
        image: "image".to_owned(),
        variant: None,
        ports: Ports::default(),
        spec: EngineSpec {
            kind: Kind::Generic { ports: [("80/tcp".to_owned(), 19_500)].into() },
            ..EngineSpec::acestream()
        },
        vpn: None,
        forwarded_port: None,
    });
    world.write(adopted);
    assert_eq!(world.state.live_engines().count(), 1);
    assert_eq!(world.wanted(&own()), []);
}

#[test]
fn an_engine_with_its_own_address_is_dialled_there_unless_it_is_on_a_loopback() {
    for (address, dialled) in [
        ("172.30.0.7", "172.30.0.7"),
        ("192.0.2.4", "192.0.2.4"),
        ("127.0.0.1", "10.0.0.2"),
        ("::1", "10.0.0.2"),
    ] {
        let mut world = World::new();
        let engine = world.reserve(OTHER);
        world.write(Command::EngineStarted {
            address: Some(address.to_owned()),
            engine: engine.id,
            container_id: format!("{:064x}", 7),
            image: "image".to_owned(),
            variant: None,
        });
        assert_eq!(
            world.wanted(&own()),
            [(engine.ports.host_http, engine.id, dialled.to_owned())],
            "{address}"
        );
        // On its own host it needs no relay, whatever its address.
        assert_eq!(
            world.wanted(&Own { node: OTHER, advertise_host: "10.0.0.2".to_owned(), docker_host: None }),
            []
        );
    }
}

#[test]
fn nodes_on_the_same_host_need_no_relay() {
    let mut world = World::new();
    let (port, engine) = world.running(OTHER);
    for (theirs, ours, relayed) in [
        ("10.0.0.1", "10.0.0.1", false),
        ("HOST-a", "host-A", false),
        ("[fd00::1]", "fd00::1", false),
        ("127.0.0.2", "127.0.0.1", true),
    ] {
        world.node(OTHER, theirs);
        let own = Own { advertise_host: ours.to_owned(), ..own() };
        let expected = if relayed { vec![(port, engine, theirs.to_owned())] } else { Vec::new() };
        assert_eq!(world.wanted(&own), expected, "{theirs} {ours}");
    }
    world.node(OTHER, "[fd00::2]");
    assert_eq!(world.wanted(&own()), [(port, engine, "fd00::2".to_owned())]);
}

#[test]
fn ports_that_a_vpn_of_this_host_publishes_are_not_relayed() {
    let mut world = World::new();
    let (port, engine) = world.running(OTHER);
    let (free, third) = world.running(OTHER);
    let vpn = VpnInfo { container: "gluetun".to_owned(), ports: PortRange { first: port, last: port } };
    let (kept, elsewhere) =
        ([(free, third, "10.0.0.2".to_owned())], Own { docker_host: Some("d".into()), ..own() });
    for node in [ME, THIRD] {
        // The third is another node on this host.
        world.node_with(node, "10.0.0.1", vec![vpn.clone()]);
        assert_eq!(world.wanted(&own()), kept);
        assert_eq!(world.wanted(&elsewhere)[0].1, engine, "its Gluetun publishes them on another machine");
        world.node_with(node, "10.0.0.1", vec![]);
        assert_eq!(world.wanted(&own()).len(), 2);
    }
    world.node_with(THIRD, "10.0.0.3", vec![vpn]);
    assert_eq!(world.wanted(&own()).len(), 2, "the VPN of another host");
}

#[test]
fn own_engines_on_a_remote_docker_daemon_are_relayed_from_there() {
    let mut world = World::new();
    let (port, engine) = world.running(ME);
    let remote = Own { docker_host: Some("[fd00::9]".to_owned()), ..own() };
    assert_eq!(world.wanted(&remote), [(port, engine, "fd00::9".to_owned())]);
    assert_eq!(world.wanted(&own()), []);
}

#[test]
fn a_port_that_this_node_leases_next_is_closed_when_it_is_reserved() {
    let mut world = World::new();
    let (port, engine) = world.running(OTHER);
    let held = [(port, target(engine.0, "10.0.0.2"))];
    world.write(Command::EngineGone { engine, cause: Cause::Vanished, message: None });
    let reserve = world.reserve_port(ME, Some(port));
    assert_eq!((reserve.ports.host_http, reserve.phase), (port, Phase::Reserved));
    let own = own();
    let wanted = wanted(&world.state, &own);
    let plan = plan(&wanted, held.iter().map(|(port, target)| (*port, target)));
    assert_eq!(plan, Plan { close: vec![port], ..Plan::default() });
}

#[test]
fn the_plan_is_the_difference_between_held_and_wanted() {
    let wanted_of = |list: &[(u16, u64, &'static str)]| -> BTreeMap<u16, Wanted<'static>> {
        list.iter().map(|(port, engine, host)| (*port, Wanted { engine: EngineId(*engine), host })).collect()
    };
    let (one, two) = ((1, 1, "b"), (2, 2, "c"));
    type Listed<'a> = &'a [(u16, u64, &'static str)];
    let table: [(Listed<'_>, Listed<'_>, Plan); 6] = [
        (&[], &[], Plan::default()),
        (&[], &[one], Plan { open: vec![(1, target(1, "b"))], ..Plan::default() }),
        (&[one, two], &[one, two], Plan::default()),
        (&[one, two], &[two], Plan { close: vec![1], ..Plan::default() }),
        // The same engine at a new address: its connections stay.
        (&[one], &[(1, 1, "d")], Plan { retarget: vec![(1, target(1, "d"))], ..Plan::default() }),
        // Another engine under the same port: connections of the old one do not.
        (&[one], &[(1, 9, "b")], Plan { close: vec![1], open: vec![(1, target(9, "b"))], ..Plan::default() }),
    ];
    for (held, wanted, expected) in table {
        let held: Vec<_> = held.iter().map(|(port, engine, host)| (*port, target(*engine, host))).collect();
        let found = plan(&wanted_of(wanted), held.iter().map(|(port, target)| (*port, target)));
        assert_eq!(found, expected, "{held:?} -> {wanted:?}");
    }
}
