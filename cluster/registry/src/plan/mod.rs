//! What the leader does by itself: a pure function from state, observations and time to commands, and to what it waits for. It
//! proposes nothing that would be refused, so an idle cluster writes nothing.
//!
//! - `members`: levels, settings, former members; `liveness`: who is down, and what that strands
//! - `reservations`: those that their hosts do not start in time
//! - `floors`, `replacements`: engines to be started; `short`: why not; `foreseen`: engines that are about to be taken
//! - `idle`, `unlisted`, `vpn`: engines that leave
//! - `ahead`: what these steps come to; [`consequences()`](consequences::consequences): what other settings would change of that
//! - [`waits`]: what is due later, and why not now; `wait_texts`: the same for people

mod ahead;
pub mod consequences;
mod floors;
mod foreseen;
mod idle;
mod liveness;
mod members;
mod replacements;
mod reservations;
mod short;
mod suspected;
mod unlisted;
mod vpn;
mod wait_texts;
pub mod waits;

use std::collections::BTreeSet;

use crate::command::Command;
use crate::level::Level;
use crate::plan::floors::Missing;
use crate::records::engine::EngineSpec;
use crate::records::ids::{EngineId, NodeId};
use crate::records::policy::Policy;
use crate::records::time::Elapsed;
use crate::rules::hosts::{self, Candidates, Obstacle};
use crate::rules::liveness::{Contact, Contacts};
use crate::rules::lost_hosts::Tries;
use crate::state::State;

pub use ahead::{Ahead, ahead};
pub use idle::stop_idle;
pub use waits::{Subject, Wait};

/// What the leader sees beside the state.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The leader.
    pub own: NodeId,
    /// The settings of its configuration: the first values, and what counts until the cluster owns its settings.
    pub settings: Policy,
    /// Members of the cluster, with the level that each has told.
    pub members: Vec<(NodeId, Option<Level>)>,
    /// When each member answered last.
    pub contacts: Contacts,
    /// What asking the engines of silent hosts has come to.
    pub tries: Tries,
    /// Engines that clients are about to take.
    pub foreseen: BTreeSet<EngineId>,
    /// Milliseconds for which it has led and watched without a break.
    pub led_ms: u64,
    /// Milliseconds between two heartbeats.
    pub heartbeat_ms: u64,
}

impl Watch {
    /// What is known of a member, as far as it counts for this leader. One that is unknown has been silent all the time.
    fn contact(&self, id: NodeId) -> Contact {
        let never =
            Contact { silent_ms: u64::MAX, answers_others: false, is_unresponsive: true, steady_ms: 0 };
        self.contacts.get(&id).copied().unwrap_or(never).within(self.led_ms)
    }

    /// The hosts, sorted for a plain engine.
    #[must_use]
    pub fn candidates(&self, state: &State) -> Candidates {
        hosts::live(state, &EngineSpec::acestream(), &|id| self.contact(id).is_unresponsive)
    }
}

/// What the leader does now, and what it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be written, in any order.
    pub commands: Vec<Command>,
    /// What is due later, and why not now.
    pub waits: Vec<Wait>,
    /// The leader is drained: another member should lead.
    pub transfers: bool,
}

impl Plan {
    fn of(commands: Vec<Command>) -> Self {
        Self { commands, ..Self::default() }
    }
}

/// A step of the plan. What it writes or waits for would change what the next ones see, so they come later.
type Step = fn(&State, &Watch, Elapsed) -> Plan;

/// The steps, in their order.
const STEPS: [Step; 7] = [
    members::level,
    members::settings,
    members::settling,
    members::former,
    liveness::verdicts,
    liveness::stranded,
    reservations::expired,
];

/// The plan for this moment.
#[must_use]
pub fn next(state: &State, watch: &Watch, now_ms: Elapsed) -> Plan {
    // Commands are judged by the moment of their entry, which is never behind the state.
    let now_ms = now_ms.max(state.clock_ms());
    let mut plan = Plan { transfers: state.is_draining(watch.own), ..Plan::default() };
    let takes_over = |(id, _): &(NodeId, Option<Level>)| *id != watch.own && !state.is_draining(*id);
    if plan.transfers && watch.members.iter().any(takes_over) {
        plan.waits.push(Wait::Transfer { node: watch.own });
    }
    for step in STEPS {
        let Plan { commands, waits, .. } = step(state, watch, now_ms);
        let ends = !commands.is_empty() || waits.iter().any(Wait::holds_all);
        plan.waits.extend(waits);
        plan.commands = commands;
        if ends {
            return plan;
        }
    }
    let Plan { commands, waits, .. } = engines(state, watch, now_ms);
    plan.waits.extend(waits);
    plan.commands = commands;
    plan
}

/// What an engine waits for that is to leave because something is wrong with its network, if these hosts can be had. `None` when it leaves
/// now, or stays.
#[must_use]
pub fn off_network_wait(
    state: &State,
    hosts: &Candidates,
    engine: EngineId,
    now_ms: Elapsed,
) -> Option<Wait> {
    let now_ms = now_ms.max(state.clock_ms());
    let (missing, active) = starts(state, hosts, now_ms);
    let waits = vpn::off_vpn(state, &missing, &active, now_ms).waits;
    waits.into_iter().find(|wait| wait.subject() == Subject::Engine(engine))
}

/// Engines to be started, and the hosts that have a network and ports for them.
fn starts(state: &State, hosts: &Candidates, now_ms: Elapsed) -> (Missing, BTreeSet<NodeId>) {
    let reachable = hosts.reachable();
    let active: BTreeSet<NodeId> = &reachable - &hosts.over(Obstacle::is_of_place);
    (floors::missing(state, &reachable, &active, now_ms), active)
}

/// Engines to be started, and engines that leave.
fn engines(state: &State, watch: &Watch, now_ms: Elapsed) -> Plan {
    let state = &*foreseen::taken(state, &watch.foreseen, now_ms);
    let (missing, active) = starts(state, &watch.candidates(state), now_ms);
    let starting = missing.held_back || !missing.plan.commands.is_empty() || state.has_reservations();
    let off_vpn = vpn::off_vpn(state, &missing, &active, now_ms);
    let mut plan = missing.plan;
    let mut add = |step: Plan| {
        plan.commands.extend(step.commands);
        plan.waits.extend(step.waits);
    };
    add(unlisted::unused(state, starting, now_ms));
    if off_vpn.commands.is_empty() {
        // How many idle ones are to spare is known again when those have left the supply.
        add(idle::idle(state, watch, now_ms));
    }
    add(off_vpn);
    plan
}
