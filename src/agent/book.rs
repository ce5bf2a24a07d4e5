//! A registry without a cluster, for tests of all layers from here on: two nodes, one of which is this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{Adopt, StopWhen};
use acefleet_registry::engine::{EngineSpec, Health, Kind, Ports};
use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart};
use acefleet_registry::{
    Command, Elapsed, EngineId, NodeId, NodeInfo, OpId, Policy, Proposal, Reply, Reserve, State, apply,
};

pub(crate) const ME: NodeId = NodeId(1);
pub(crate) const OTHER: NodeId = NodeId(2);

/// A registry without a cluster.
#[derive(Clone, Default)]
pub(crate) struct Book {
    pub state: State,
    writes: u64,
    /// Milliseconds that went by beside those of the writes.
    waited: u64,
}

impl Book {
    pub fn new() -> Self {
        let mut book = Self::default();
        book.write(Command::SetPolicy(Policy::default()));
        for (id, name) in [(ME, "alpha"), (OTHER, "beta")] {
            book.write(Command::NodeUp(NodeInfo {
                id,
                name: name.to_owned(),
                advertise_host: name.to_owned(),
                http_port: 8000,
                version: "0".to_owned(),
                capacity: 10,
                docker_network: None,
                vpns: vec![],
                scheme: Default::default(),
            }));
        }
        book
    }

    pub fn write(&mut self, command: Command) -> Reply {
        self.writes += 1;
        let op_id = OpId::from_u128(self.writes.into());
        apply(
            &mut self.state,
            &Proposal { op_id, at_ms: Elapsed(self.writes + self.waited), origin: ME, by: None, command },
            self.writes,
        )
    }

    pub fn reserve(&mut self, node: NodeId, kind: Kind) -> EngineId {
        let reply = self.write(Command::Reserve(Reserve {
            spec: EngineSpec { kind, ..EngineSpec::acestream() },
            eligible: BTreeSet::from([node]),
            exclude: BTreeSet::new(),
            only_below: None,
            claim_abandoned: false,
            patience_ms: None,
            automatic: false,
            replaces: None,
        }));
        let Reply::Engine(engine) = reply else { panic!("{reply:?}") };
        engine.id
    }

    pub fn started(&mut self, id: EngineId, container: &str) {
        self.started_at(id, container, None);
    }

    pub fn started_at(&mut self, id: EngineId, container: &str, address: Option<&str>) {
        self.write(Command::EngineStarted {
            engine: id,
            container_id: container.to_owned(),
            image: "i".to_owned(),
            variant: None,
            address: address.map(str::to_owned),
        });
    }

    pub fn running(&mut self, container: &str) -> EngineId {
        let id = self.reserve(ME, Kind::Acestream);
        self.started(id, container);
        id
    }

    pub fn stop(&mut self, id: EngineId) {
        self.write(Command::EngineStop { engine: id, cause: Cause::Deleted, when: StopWhen::Always });
    }

    pub fn gone(&mut self, id: EngineId) {
        self.write(Command::EngineGone { engine: id, cause: Cause::Vanished, message: None });
    }

    /// An engine is gone for so long that the registry does not know it any more.
    pub fn forgotten(&mut self, id: EngineId) {
        self.gone(id);
        self.waited += 1_000_000;
        self.write(Command::SetPolicy(Policy::default()));
        assert!(self.state.engine(id).is_none());
    }

    /// An engine that runs on a node and answers its probes, with its host port.
    pub fn listed(&mut self, node: NodeId, port: u16) -> EngineId {
        let written = self.write(Command::Adopt(Adopt {
            node,
            container_id: format!("{port:064x}"),
            container_name: format!("acestream-{port}"),
            image: "i".to_owned(),
            variant: None,
            ports: Ports { host_http: port, container_http: port, container_https: 1, host_https: None },
            spec: EngineSpec::acestream(),
            address: None,
            vpn: None,
            forwarded_port: None,
        }));
        let Reply::Engine(engine) = written else { panic!("{written:?}") };
        self.write(Command::EngineHealth { engine: engine.id, health: Health::Healthy, fault: None });
        engine.id
    }

    /// A stream on the engine with this host port.
    pub fn begin(&mut self, id: &str, port: u16) {
        self.write(Command::StreamStarted(Arc::new(StreamStart {
            id: id.into(),
            key_type: KeyType::Infohash,
            key: id.to_owned(),
            playback_session_id: "s".to_owned(),
            stat_url: String::new(),
            command_url: String::new(),
            is_live: true,
            engine_host: "localhost".to_owned(),
            engine_port: port,
            container_id: None,
            labels: BTreeMap::new(),
        })));
    }

    pub fn end(&mut self, id: &str) {
        let stream_id = Some(id.to_owned());
        self.write(Command::StreamEnded(StreamEnd { stream_id, container_id: None, reason: None }));
    }
}
