//! What a change of settings does to engines that exist, for people who are about to make it.

use crate::plan::ahead::ahead;
use crate::records::breaker::{BreakerKind, BreakerState};
use crate::records::policy::{Policy, PortRange};
use crate::records::time::Elapsed;
use crate::rules::hosts::Candidates;
use crate::state::State;

/// A shorter silence than that comes with networks that fail for a moment.
const SHORT_SILENCE_MS: u64 = 6_000;

/// What will come of other settings, as sentences for people, at this moment. How many engines come and go is what the leader would plan
/// with these hosts.
#[must_use]
pub fn consequences(state: &State, hosts: &Candidates, to: &Policy, now: Elapsed) -> Vec<String> {
    let from = state.policy();
    let mut then = state.clone();
    then.tables.policy = to.clone();
    let mut said = Vec::new();
    ceiling(&then, from, to, &mut said);
    engines_to_come_and_go(state, &then, hosts, now, &mut said);
    ports(state, from, to, &mut said);
    if from.container_label != to.container_label {
        said.push("containers that exist keep the label that they were made with".to_owned());
    }
    if from.down_after_ms != to.down_after_ms && to.down_after_ms < SHORT_SILENCE_MS {
        said.push("a host that is silent for a few seconds loses its engines and streams".to_owned());
    }
    for (kind, what) in [(BreakerKind::General, "new engines"), (BreakerKind::Replacement, "replacements")] {
        let (before, after) = (state.breaker_state(kind, now), then.breaker_state(kind, now));
        match after {
            BreakerState::Open if before != after => {
                said.push(format!("the circuit breaker over {what} is open at once, as so many have failed"));
            }
            BreakerState::Closed if before != after => {
                said.push(format!("the circuit breaker over {what} closes"))
            }
            _ => {}
        }
    }
    said
}

fn ceiling(then: &State, from: &Policy, to: &Policy, said: &mut Vec<String>) {
    let over = then.engine_count().saturating_sub(to.max_replicas);
    if from.max_replicas != to.max_replicas && over > 0 {
        let engines = engines(over);
        said.push(format!(
            "{engines} more than MAX_REPLICAS run; each leaves when nobody has used it for long"
        ));
    }
}

/// What the leader would do that it would not do now.
fn engines_to_come_and_go(
    state: &State,
    then: &State,
    hosts: &Candidates,
    now: Elapsed,
    said: &mut Vec<String>,
) {
    let (before, after) = (ahead(state, hosts, now), ahead(then, hosts, now));
    let started = after.started.saturating_sub(before.started);
    if started > 0 {
        let missed: Vec<String> = then.floors_missed().iter().map(|missed| missed.describe(then)).collect();
        let verb = is(started);
        said.push(format!("{} {verb} started: {}", engines(started), missed.join("; ")));
    }
    let listed = after.listed.saturating_sub(before.listed);
    if listed > 0 {
        said.push(format!("{} {} taken back onto the list", engines(listed), is(listed)));
    }
    let short = after.short.iter().filter(|wait| !before.short.contains(wait));
    said.extend(short.map(|wait| wait.describe(then)));
    let leaving = after.leaving.saturating_sub(before.leaving);
    if leaving > 0 {
        let leave = if leaving == 1 { "leaves" } else { "leave" };
        said.push(format!("{} that nobody has used for long {leave} now", engines(leaving)));
    }
}

fn is(count: u32) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn ports(state: &State, from: &Policy, to: &Policy, said: &mut Vec<String>) {
    let PortRange { first, last } = to.host_ports;
    if from.host_ports != to.host_ports {
        let behind_vpn = |id| state.node(id).is_some_and(|node| !node.info.vpns.is_empty());
        let own = state.live_engines().filter(|engine| engine.is_acestream() && !behind_vpn(engine.node));
        let outside = own.filter(|engine| !to.host_ports.contains(engine.ports.host_http)).count();
        if let Ok(outside @ 1..) = u32::try_from(outside) {
            said.push(format!(
                "{} with ports outside of {first}-{last} keep them while they run",
                engines(outside)
            ));
        }
        for node in state.nodes().filter(|node| to.host_ports.contains(node.info.http_port)) {
            let (name, port) = (&node.info.name, node.info.http_port);
            said.push(format!(
                "{first}-{last} has port {port}, on which {name} has its API: no engine can have it there"
            ));
        }
    }
    let others = from.https_ports != to.https_ports || from.map_https != to.map_https;
    if others && state.live_engines().any(|engine| engine.is_acestream()) {
        said.push("engines that exist keep their HTTPS ports".to_owned());
    }
}

fn engines(count: u32) -> String {
    if count == 1 { "1 engine".to_owned() } else { format!("{count} engines") }
}
