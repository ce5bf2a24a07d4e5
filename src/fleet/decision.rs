//! What a leader decided, as one line for people: names instead of ids, and why. Nothing that a caller sent, as labels
//! and environments may hold secrets.

use std::collections::BTreeMap;

use acefleet_registry::command::StopWhen;
use acefleet_registry::engine::Phase;
use acefleet_registry::node::{Availability, Node};
use acefleet_registry::rules::lost_hosts;
use acefleet_registry::settings::line;
use acefleet_registry::{Command, Elapsed, NodeId, Policy, Reply, Reserve, State};

/// Says what a command does to this state. Only what a leader decides by itself has words of its own.
#[must_use]
pub fn describe(state: &State, command: &Command) -> String {
    match command {
        Command::SetPolicy(policy) => settings(state, policy),
        Command::Reserve(reserve) => start(true, 1, &why(state, reserve)),
        Command::EngineFailed { engine, message, .. } => {
            format!("gives {} up: {message}", state.engine_name(*engine))
        }
        Command::EngineStop { engine, cause, when } => {
            let name = state.engine_name(*engine);
            match when {
                StopWhen::IdleFor(ms) => {
                    format!("takes {name} off the list: {cause}, idle for {} s", ms / 1000)
                }
                StopWhen::OffVpn => format!("moves {name} off its VPN: {cause}"),
                StopWhen::Unused => match state.active_streams(*engine) {
                    0 => format!("stops {name}: {cause}, and nobody uses it"),
                    cut => format!(
                        "stops {name}: {cause}, and its deadline has passed; {cut} streams are cut off"
                    ),
                },
                StopWhen::Always => format!("stops {name}: {cause}"),
                StopWhen::Replaced => format!("takes {name} off the list: {cause}"),
            }
        }
        Command::NodeDown { node, down: true } => {
            let own = state.live_engines().filter(|engine| engine.node == *node);
            let streams: usize = own.map(|engine| state.active_streams(engine.id)).sum();
            let name = state.node_name(*node);
            match streams {
                0 => format!("counts {name} as down: it has been silent for too long"),
                1 => format!("counts {name} as down: it has been silent for too long, and its stream ends"),
                _ => format!(
                    "counts {name} as down: it has been silent for too long, and its {streams} streams end"
                ),
            }
        }
        Command::NodeDown { node, down: false } => {
            format!("counts {} as up: it answers again", state.node_name(*node))
        }
        Command::NodeUnavailable { node, answering, is_back } => {
            let changes = |node| lost_hosts::changes(state, node, answering.as_ref(), *is_back);
            let changes = state.node(*node).map(|node| changes(node)).unwrap_or_default();
            let found: Vec<String> = changes.into_iter().map(|(_, text)| text).collect();
            match found.is_empty() {
                true => {
                    format!("finds that what was lost of {} is back, or has ended", state.node_name(*node))
                }
                false => format!("finds that {}", found.join(", and that ")),
            }
        }
        Command::NodeRemoved { node } => {
            format!(
                "forgets {} with its engines and streams: it is no member any more",
                state.node_name(*node)
            )
        }
        Command::Leads { term, .. } => format!("writes down that it leads since term {term}"),
        Command::RaiseLevel(level) => {
            format!("lets the commands of level {level} be used: all members know them")
        }
        // Agents and callers write these.
        _ => "writes what its agent found".to_owned(),
    }
}

/// The engine that a leader's command is about.
#[must_use]
pub fn engine_of(command: &Command) -> Option<u64> {
    match command {
        Command::EngineFailed { engine, .. } | Command::EngineStop { engine, .. } => Some(engine.0),
        _ => None,
    }
}

/// What a leader did.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The engine that it is about, if it is about one.
    pub engine: Option<u64>,
    /// For people.
    pub text: String,
    /// A host is lost: somebody has to look after it.
    pub is_loss: bool,
}

/// Says what came of commands that were written together, each thing once: several engines have one reason.
#[must_use]
pub fn written(state: &State, done: &[(Command, Reply)]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut starts: BTreeMap<(bool, String), usize> = BTreeMap::new();
    for (command, reply) in done {
        match command {
            Command::Reserve(reserve) => {
                let is_new = !matches!(reply, Reply::Engine(engine) if engine.phase != Phase::Reserved);
                *starts.entry((is_new, why(state, reserve))).or_default() += 1;
            }
            _ => {
                let (engine, text) = (engine_of(command), describe(state, command));
                lines.push(Line { engine, text, is_loss: is_loss(state, command) });
            }
        }
    }
    let started = |((is_new, why), count): ((bool, String), usize)| start(is_new, count, &why);
    lines.extend(starts.into_iter().map(|starts| Line {
        engine: None,
        text: started(starts),
        is_loss: false,
    }));
    lines
}

fn is_loss(state: &State, command: &Command) -> bool {
    match command {
        Command::NodeDown { down, .. } => *down,
        Command::NodeUnavailable { node, is_back: false, answering: Some(_) } => !state.is_unavailable(*node),
        _ => false,
    }
}

fn start(is_new: bool, count: usize, why: &str) -> String {
    let engines = if count == 1 { "an engine".to_owned() } else { format!("{count} engines") };
    match is_new {
        true => format!("starts {engines}{why}"),
        false => format!("lists {engines} again{why}"),
    }
}

/// Why an engine is wanted, as the end of a sentence.
fn why(state: &State, reserve: &Reserve) -> String {
    match (reserve.replaces, state.floors_missed().first()) {
        (Some(lost), _) => format!(" in place of {}", state.engine_name(lost)),
        (None, Some(missed)) => format!(": {}", missed.describe(state)),
        (None, None) => String::new(),
    }
}

fn settings(state: &State, policy: &Policy) -> String {
    if !state.has_policy() {
        return "puts the settings of the cluster into force for the first time".to_owned();
    }
    match state.policy().changes(policy) {
        same if same.is_empty() => {
            "hands its settings over to the cluster, which are in force already".to_owned()
        }
        changes => format!("puts its settings into force: {}", line(&changes)),
    }
}

fn wish(availability: Availability, now: Elapsed) -> String {
    match availability {
        Availability::Active => "in service again".to_owned(),
        Availability::Cordoned => "cordoned, takes no new engines".to_owned(),
        Availability::Draining { deadline_ms, returns } => {
            let until = if returns { " until it returns" } else { "" };
            match deadline_ms {
                None => format!("draining{until}, its engines leave when their streams have ended"),
                Some(at) => {
                    let seconds = at.since(now) / 1000;
                    format!("draining{until}, its streams are cut off in {seconds} s at the latest")
                }
            }
        }
    }
}

/// What operators want of the nodes, as far as the log says it.
#[derive(Debug, Default)]
pub struct Wishes(Option<Vec<(NodeId, Availability)>>);

impl Wishes {
    /// Writes which nodes were cordoned, drained or reactivated since the last look; nothing at the first one.
    pub fn note(&mut self, state: &State) {
        let now: Vec<(NodeId, Availability)> =
            state.nodes().map(|node: &std::sync::Arc<Node>| (node.info.id, node.availability)).collect();
        if let Some(before) = &self.0 {
            for (id, availability) in &now {
                let known = before.iter().find(|(known, _)| known == id).map(|(_, known)| *known);
                if known.unwrap_or_default() != *availability {
                    let name = state.node_name(*id);
                    tracing::info!(
                        node = name,
                        "an operator wants {name} {}",
                        wish(*availability, state.clock_ms())
                    );
                }
            }
        }
        self.0 = Some(now);
    }

    /// Forgets what was seen: another node leads.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use acefleet_registry::engine::EngineSpec;
    use acefleet_registry::{Engine, NodeInfo, OpId, Proposal, apply};

    use super::*;

    fn state() -> State {
        let mut state = State::default();
        let mut write = |n: u64, command: Command| {
            let proposal =
                Proposal { op_id: OpId(1, n), at_ms: Elapsed(n), origin: NodeId(1), by: None, command };
            apply(&mut state, &proposal, n);
        };
        let info = NodeInfo {
            id: NodeId(7),
            name: "node-b".into(),
            advertise_host: "b".into(),
            http_port: 8000,
            version: "1".into(),
            capacity: 3,
            docker_network: None,
            vpns: vec![],
            scheme: Default::default(),
        };
        write(1, Command::SetPolicy(Policy { min_replicas: 2, ..Policy::default() }));
        write(2, Command::NodeUp(info));
        state
    }

    #[test]
    fn engines_that_are_started_together_have_one_line() {
        let state = state();
        let reserve = Command::Reserve(Reserve {
            spec: EngineSpec::acestream(),
            eligible: [NodeId(7)].into(),
            exclude: Default::default(),
            only_below: None,
            claim_abandoned: false,
            patience_ms: None,
            automatic: true,
            replaces: None,
        });
        let mut after = state.clone();
        let proposal = Proposal {
            op_id: OpId(2, 1),
            at_ms: Elapsed(10),
            origin: NodeId(1),
            by: None,
            command: reserve.clone(),
        };
        let Reply::Engine(new) = apply(&mut after, &proposal, 10) else { panic!("nothing is reserved") };
        let listed = std::sync::Arc::new(Engine { phase: Phase::Running, ..(*new).clone() });
        let down = Command::NodeDown { node: NodeId(7), down: true };
        let done = [
            (reserve.clone(), Reply::Engine(new.clone())),
            (down.clone(), Reply::Done),
            (reserve.clone(), Reply::Engine(new)),
            (reserve, Reply::Engine(listed)),
        ];
        let lines = written(&state, &done);
        let losses: Vec<bool> = lines.iter().map(|line| line.is_loss).collect();
        assert_eq!(losses, [true, false, false]);
        let lines: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        let why = "0 are there and MIN_REPLICAS is 2";
        let wanted = [
            describe(&state, &down),
            format!("lists an engine again: {why}"),
            format!("starts 2 engines: {why}"),
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn lines_have_names_and_nothing_that_a_caller_sent() {
        let state = state();
        let mut spec = EngineSpec::acestream();
        spec.env.insert("PASSWORD".into(), "secret-value".into());
        let reserve = Reserve {
            spec,
            eligible: Default::default(),
            exclude: Default::default(),
            only_below: Some(3),
            claim_abandoned: false,
            patience_ms: None,
            automatic: true,
            replaces: None,
        };
        let started = describe(&state, &Command::Reserve(reserve));
        assert_eq!(started, "starts an engine: 0 are there and MIN_REPLICAS is 2");
        let down = describe(&state, &Command::NodeDown { node: NodeId(7), down: true });
        assert!(down.starts_with("counts node-b as down"), "{down}");
        let policy = Policy { max_replicas: 40, min_replicas: 2, ..Policy::default() };
        let set = describe(&state, &Command::SetPolicy(policy));
        assert_eq!(set, "puts its settings into force: MAX_REPLICAS 20 → 40");
        for line in [started, down, set] {
            assert!(!line.contains("secret-value") && !line.contains('{') && !line.contains('\n'), "{line}");
        }
    }
}
