//! What `apply` makes of every command, pinned as digests. Replicas of one level compare such digests, so a program that comes to
//! another state, be it by one word of an event, is outvoted in a rolling upgrade and ends.
//!
//! When a digest changes, raise `Level::CURRENT` (`src/level.rs` says how), unless no release has that level yet. Then
//! `TEST_BLESS=1 cargo test -p acefleet-registry digests` pins the new ones.

use std::path::PathBuf;

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::command::StopWhen;
use acefleet_registry::{
    Actor, Command, Credential, Digest, EngineId, Level, NodeId, OpId, Proposal, Reserve, State, apply,
};

use crate::format::{name, sample_state, samples, settings_state, vpn_state};
use crate::support::{World, gone, playing, stop};

/// The engine that samples are about.
const SAMPLED: u64 = 7;

/// States in which a command may find the cluster.
fn scenes() -> Vec<(&'static str, State)> {
    let mut world = World::new(2, 10);
    world.policy(|policy| policy.max_replicas = 100);
    while world.reserve().id.0 < SAMPLED {}
    let mut scenes = vec![
        ("nothing", State::default()),
        ("all", sample_state()),
        ("vpn", vpn_state()),
        ("settings", settings_state()),
        ("reserved", world.state.clone()),
    ];
    let running = world.start(EngineId(SAMPLED));
    let stream = playing("k", "s", running.ports.host_http);
    world.begin(stream.clone());
    scenes.push(("playing", world.state.clone()));
    world.finish(&stream.id);
    scenes.push(("idle", world.state.clone()));
    world.run(stop(running.id, StopWhen::Always));
    scenes.push(("draining", world.state.clone()));
    world.run(gone(running.id));
    scenes.push(("gone", world.state.clone()));
    let mut failing = World::new(1, 10);
    while failing.general() == BreakerState::Closed {
        failing.fail_one();
    }
    scenes.push(("breaker", failing.state));
    scenes
}

/// Who asks: the cluster itself, or somebody outside, whom events and settings name.
fn callers() -> [(&'static str, Option<Actor>); 2] {
    let caller = Actor::new(Credential::ApiKey, Some("192.0.2.7".to_owned()));
    [("", None), ("-by-a-caller", Some(caller))]
}

/// A line for each command of each caller in each scene, with a reservation after it, which is refused for different reasons.
fn lines() -> Vec<String> {
    let mut lines = vec![format!("level {}", Level::CURRENT)];
    for (scene, before) in scenes() {
        let commands = samples().into_iter().enumerate();
        let asked = commands.flat_map(|sample| callers().map(|caller| (sample.clone(), caller)));
        for ((n, command), (asked, by)) in asked {
            let mut state = before.clone();
            let label = format!("{scene}/{n}-{}{asked}", name(&command));
            let ask = Reserve { eligible: [NodeId(1), NodeId(2)].into(), ..World::new(0, 0).ask() };
            for (op, command) in [command, Command::Reserve(ask)].into_iter().enumerate() {
                let at_ms = before.clock_ms().plus(1_000);
                let op_id = OpId(99, op as u64);
                let proposal = Proposal { op_id, at_ms, origin: NodeId(1), by: by.clone(), command };
                apply(&mut state, &proposal, 1);
            }
            let digest: Digest = state.digest().unwrap();
            lines.push(format!("{label} {digest:032x}"));
        }
    }
    lines
}

#[test]
fn apply_comes_to_the_same_states_as_long_as_the_level_is_the_same() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/registry/golden/digests.txt");
    let now = lines();
    if std::env::var_os("TEST_BLESS").is_some() {
        std::fs::write(&path, now.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let pinned: Vec<&str> = text.lines().collect();
    let other = now.iter().zip(&pinned).find(|(now, pinned)| now != *pinned);
    let other =
        other.map(|(now, _)| now.as_str()).or((now.len() != pinned.len()).then_some("the number of lines"));
    assert!(
        other.is_none(),
        "{}: apply writes something else than it did, and texts count. A node of this program is outvoted by others of level {}: raise \
         Level::CURRENT (src/level.rs), unless no release has this level; then run this test with TEST_BLESS=1",
        other.unwrap_or_default(),
        Level::CURRENT
    );
}
