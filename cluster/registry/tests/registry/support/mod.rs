//! A small cluster in memory. Every command that a story runs is also checked against the invariants.

pub mod arbitrary;
pub mod invariants;

use std::collections::BTreeSet;
use std::sync::Arc;

use acefleet_registry::breaker::{BreakerKind, BreakerState};
use acefleet_registry::cause::Cause;
use acefleet_registry::command::{StopWhen, Taken};
use acefleet_registry::engine::{EngineSpec, Health, Kind, Phase};
use acefleet_registry::node::DockerState;
use acefleet_registry::plan::{Watch, next};
use acefleet_registry::policy::PortRange;
use acefleet_registry::rules::liveness::Contact;
use acefleet_registry::rules::lost_hosts::Tries;
use acefleet_registry::state::Tables;
use acefleet_registry::stream::{KeyType, StreamEnd, StreamStart};
use acefleet_registry::vpn::VpnInfo;
use acefleet_registry::{
    Command, Elapsed, Engine, EngineId, Level, NodeId, NodeInfo, OpId, Policy, Proposal, RefusalCode, Reply,
    Reserve, State, Stream, apply,
};

/// Where stories begin; any moment would do.
pub const BEGIN_MS: Elapsed = Elapsed(1_760_000_000_000);

/// A leader that has led for long and to which these hosts answer; others have been silent for a second.
pub fn watch(state: &State, answering: &BTreeSet<NodeId>) -> Watch {
    let answers = Contact { silent_ms: 0, answers_others: false, is_unresponsive: false, steady_ms: 60_000 };
    let silent = Contact { silent_ms: 1_000, answers_others: false, is_unresponsive: true, steady_ms: 0 };
    let nodes = || state.nodes().map(|node| node.info.id);
    Watch {
        own: NodeId(99),
        settings: state.policy().clone(),
        members: nodes().map(|id| (id, Some(state.level()))).collect(),
        contacts: nodes().map(|id| (id, if answering.contains(&id) { answers } else { silent })).collect(),
        tries: Tries::new(),
        foreseen: BTreeSet::new(),
        led_ms: 3_600_000,
        heartbeat_ms: 100,
    }
}

/// What such a leader writes.
pub fn plan(state: &State, answering: &BTreeSet<NodeId>, now: Elapsed) -> Vec<Command> {
    next(state, &watch(state, answering), now).commands
}

pub struct World {
    pub state: State,
    /// The moment.
    pub now: Elapsed,
    /// The node on which the next commands arrive.
    pub origin: NodeId,
    history: invariants::History,
    ops: u128,
    index: u64,
}

impl World {
    /// `nodes` equal hosts, numbered from 1, with room for `capacity` engines each.
    pub fn new(nodes: u64, capacity: u32) -> Self {
        let mut world = Self {
            state: State::default(),
            now: BEGIN_MS,
            origin: NodeId(1),
            history: invariants::History::default(),
            ops: 0,
            index: 0,
        };
        world.run(Command::SetPolicy(Policy::default()));
        for id in 1..=nodes {
            world.run(Command::NodeUp(node_info(id, capacity)));
            world.run(Command::NodeDocker { node: NodeId(id), docker: DockerState::Available });
        }
        world
    }

    pub fn policy(&mut self, change: impl FnOnce(&mut Policy)) {
        let mut policy = self.state.policy().clone();
        change(&mut policy);
        if self.state.settings().is_empty() {
            self.run(Command::SetPolicy(policy));
            return;
        }
        // Stories begin with settings that nobody could change to, such as more engines than ports.
        let tables = Tables { policy, ..Tables::from(self.state.clone()) };
        self.state = State::from(tables);
    }

    pub fn wait_ms(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
    }

    pub fn run(&mut self, command: Command) -> Reply {
        self.ops += 1;
        let op_id = OpId::from_u128(self.ops);
        let raises = matches!(command, Command::RaiseLevel(_));
        let reply =
            self.propose(&Proposal { op_id, at_ms: self.now, origin: self.origin, by: None, command });
        if raises && self.state.level() >= Level::OWNS_SETTINGS && self.state.settings().is_empty() {
            // As every leader does at once.
            self.run(Command::SetPolicy(self.state.policy().clone()));
        }
        reply
    }

    pub fn propose(&mut self, proposal: &Proposal) -> Reply {
        self.index += 1;
        let before = self.state.clone();
        let reply = apply(&mut self.state, proposal, self.index);
        let checked = self.history.check_step(&before, &self.state, proposal, &reply);
        checked.unwrap_or_else(|broken| panic!("{broken}\nafter {proposal:?}\nreply {reply:?}"));
        reply
    }

    /// All members, as a leader that sees everybody alive stamps them.
    pub fn eligible(&self) -> BTreeSet<NodeId> {
        self.state.nodes().map(|node| node.info.id).collect()
    }

    pub fn ask(&self) -> Reserve {
        self.ask_for(EngineSpec::acestream())
    }

    pub fn ask_for(&self, spec: EngineSpec) -> Reserve {
        ask(spec, self.eligible())
    }

    /// For an engine on this host alone.
    pub fn ask_on(&self, node: u64) -> Reserve {
        Reserve { eligible: [NodeId(node)].into(), ..self.ask() }
    }

    pub fn reserve(&mut self) -> Arc<Engine> {
        engine(self.run(Command::Reserve(self.ask())))
    }

    pub fn start(&mut self, id: EngineId) -> Arc<Engine> {
        engine(self.run(started(id, &docker_id(id.0))))
    }

    /// An engine that runs and has answered a probe.
    pub fn running(&mut self) -> Arc<Engine> {
        let id = self.reserve().id;
        self.start(id);
        engine(self.run(Command::EngineHealth { engine: id, health: Health::Healthy, fault: None }))
    }

    /// Lets the next engine fail on its host.
    pub fn fail_one(&mut self) {
        let id = self.reserve().id;
        self.run(failed(id));
    }

    pub fn begin(&mut self, start: StreamStart) -> Arc<Stream> {
        match self.run(Command::StreamStarted(start.into())) {
            Reply::StreamStarted(stream) => stream,
            other => panic!("not a stream: {other:?}"),
        }
    }

    pub fn finish(&mut self, id: &str) -> bool {
        let end = StreamEnd { stream_id: Some(id.to_owned()), ..StreamEnd::default() };
        self.finish_by(end)
    }

    pub fn finish_by(&mut self, end: StreamEnd) -> bool {
        match self.run(Command::StreamEnded(end)) {
            Reply::StreamEnded { updated, stream } => {
                assert_eq!(updated, stream.is_some());
                updated
            }
            other => panic!("not an end: {other:?}"),
        }
    }

    pub fn engine(&self, id: EngineId) -> Arc<Engine> {
        Arc::clone(self.state.engine(id).unwrap())
    }

    pub fn general(&self) -> BreakerState {
        self.state.breaker_state(BreakerKind::General, self.now)
    }
}

/// For an engine on one of these hosts, without any condition.
pub fn ask(spec: EngineSpec, eligible: BTreeSet<NodeId>) -> Reserve {
    Reserve {
        spec,
        eligible,
        exclude: BTreeSet::new(),
        only_below: None,
        claim_abandoned: false,
        patience_ms: None,
        automatic: false,
        replaces: None,
    }
}

pub fn node_info(id: u64, capacity: u32) -> NodeInfo {
    NodeInfo {
        id: NodeId(id),
        name: format!("node-{id}"),
        advertise_host: format!("10.0.0.{id}"),
        http_port: 8000,
        version: "0.1.0".to_owned(),
        capacity,
        docker_network: None,
        vpns: vec![],
        scheme: Default::default(),
    }
}

/// A node whose engines run behind one VPN container, on ports of its own.
pub fn behind_vpn(id: u64) -> NodeInfo {
    let first = 19_000 + 100 * u16::try_from(id).unwrap();
    let ports = PortRange { first, last: first + 9 };
    NodeInfo { vpns: vec![VpnInfo { container: "gluetun".to_owned(), ports }], ..node_info(id, 10) }
}

/// A full Docker id: 64 hexadecimal digits, different from others in the first ones.
pub fn docker_id(n: u64) -> String {
    format!("{n:063x}c").chars().rev().collect()
}

pub fn generic(ports: &[(&str, u16)]) -> EngineSpec {
    let ports = ports.iter().map(|(inside, host)| ((*inside).to_owned(), *host)).collect();
    EngineSpec { kind: Kind::Generic { ports }, name_prefix: "svc".to_owned(), ..EngineSpec::acestream() }
}

pub fn with_conf(conf: &str) -> EngineSpec {
    let mut spec = EngineSpec::acestream();
    spec.env.insert("CONF".to_owned(), conf.to_owned());
    spec
}

pub fn started(engine: EngineId, container_id: &str) -> Command {
    Command::EngineStarted {
        engine,
        container_id: container_id.to_owned(),
        image: "engine:1".to_owned(),
        variant: Some("jopsis-amd64".to_owned()),
        address: None,
    }
}

pub fn failed(engine: EngineId) -> Command {
    Command::EngineFailed { engine, cause: Cause::DockerError, message: "no such image".to_owned() }
}

pub fn gone(engine: EngineId) -> Command {
    Command::EngineGone { engine, cause: Cause::Vanished, message: None }
}

pub fn stop(engine: EngineId, when: StopWhen) -> Command {
    Command::EngineStop { engine, cause: Cause::Deleted, when }
}

pub fn port_taken(engine: EngineId, port: u16) -> Command {
    Command::Conflict { engine, taken: Taken::HostPort(port) }
}

pub fn name_taken(engine: EngineId, name: &str) -> Command {
    Command::Conflict { engine, taken: Taken::Names([name.to_owned()].into()) }
}

/// A start as the proxy sends it: the engine is `localhost` and its host port.
pub fn playing(key: &str, session: &str, port: u16) -> StreamStart {
    StreamStart {
        id: format!("{key}|{session}").into(),
        key_type: KeyType::ContentId,
        key: key.to_owned(),
        playback_session_id: session.to_owned(),
        stat_url: format!("http://localhost:{port}/ace/stat/{key}/{session}"),
        command_url: format!("http://localhost:{port}/ace/cmd/{key}/{session}"),
        is_live: true,
        engine_host: "localhost".to_owned(),
        engine_port: port,
        container_id: None,
        labels: std::collections::BTreeMap::new(),
    }
}

pub fn engine(reply: Reply) -> Arc<Engine> {
    match reply {
        Reply::Engine(engine) => engine,
        other => panic!("not an engine: {other:?}"),
    }
}

pub fn refusal(reply: Reply) -> RefusalCode {
    match reply {
        Reply::Refused(refusal) => {
            assert!(!refusal.message.is_empty());
            refusal.code
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Writes what the leader plans once; the engines that it reserved.
pub fn reserved(world: &mut World) -> Vec<Arc<Engine>> {
    let commands = plan(&world.state, &world.eligible(), world.now);
    let replies: Vec<Reply> = commands.into_iter().map(|command| world.run(command)).collect();
    let reserved = replies.into_iter().filter_map(|reply| match reply {
        Reply::Engine(engine) if engine.phase == Phase::Reserved => Some(engine),
        _ => None,
    });
    reserved.collect()
}

/// Performs a plan until it is empty, and says what it wrote. What it starts answers at once.
pub fn perform(world: &mut World, planned: impl Fn(&World) -> Vec<Command>) -> Vec<Command> {
    let mut written = Vec::new();
    for _ in 0..50 {
        let commands = planned(world);
        if commands.is_empty() {
            return written;
        }
        for command in commands {
            let reply = world.run(command.clone());
            assert!(!matches!(reply, Reply::Refused(_)), "{command:?} was refused: {reply:?}");
            if let Reply::Engine(engine) = reply
                && matches!(command, Command::Reserve(_))
            {
                world.start(engine.id);
                world.run(Command::EngineHealth { engine: engine.id, health: Health::Healthy, fault: None });
            }
            written.push(command);
        }
    }
    panic!("the plan never comes to rest");
}
