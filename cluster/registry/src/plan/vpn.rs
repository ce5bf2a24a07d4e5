//! Engines without a sound network that can be had in a better one.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Reserve, StopWhen};
use crate::plan::floors::{self, Missing};
use crate::plan::{Plan, Wait};
use crate::records::engine::{Ending, Engine, EngineSpec, Phase};
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::engines::{Keeps, why_off_network};
use crate::rules::ports::fixed_http_port;
use crate::rules::vpn::LONG_OUTAGE_MS;
use crate::state::State;

/// Engines outside their VPN and those with an old forwarded port leave at once, those behind an unhealthy VPN when that lasts and
/// another can be had in their place. As many leave as that is true of: the others are of use when their VPN is back. Those
/// that are older than the tunnel are replaced one at a time for each VPN.
pub(super) fn off_vpn(state: &State, missing: &Missing, active: &BTreeSet<NodeId>, now_ms: Elapsed) -> Plan {
    let left_ms = |engine: &Engine| {
        let vpn = engine.vpn.as_deref().and_then(|container| state.vpn(engine.node, container));
        vpn.map_or(LONG_OUTAGE_MS, |vpn| vpn.since_ms.plus(LONG_OUTAGE_MS).since(now_ms))
    };
    let mut elsewhere: Option<Elsewhere> = None;
    let mut plan = Plan::default();
    let mut renewed: BTreeMap<(NodeId, Option<&str>), EngineId> = BTreeMap::new();
    for engine in state.live_engines() {
        let (id, left_ms) = (engine.id, left_ms(engine));
        let mut why = why_off_network(state, engine, now_ms);
        if why == Ok(VpnFault::Reconnected) {
            let first = *renewed.entry((engine.node, engine.vpn.as_deref())).or_insert(id);
            why = if first == id { why } else { Err(Keeps::OtherFirst(first)) };
        }
        match why {
            Ok(VpnFault::Unhealthy) if left_ms > 0 => plan.waits.push(Wait::Vpn { engine: id, left_ms }),
            Ok(VpnFault::Unhealthy)
                if !elsewhere
                    .get_or_insert_with(|| Elsewhere::of(missing, active, now_ms))
                    .is_had(engine) =>
            {
                plan.waits.push(Wait::VpnWithoutRoom { engine: id });
            }
            Ok(fault) => plan.commands.push(Command::EngineStop {
                engine: id,
                cause: fault.cause(),
                when: StopWhen::OffVpn,
            }),
            Err(
                why @ (Keeps::Streams(_)
                | Keeps::StreamsInDoubt
                | Keeps::ClientsComing { .. }
                | Keeps::OtherFirst(_)),
            ) if engine.taken_off.is_none() && state.vpn_fault(engine) == Some(VpnFault::Reconnected) => {
                plan.waits.push(Wait::Renew { engine: id, why });
            }
            // What an unlisted engine waits for is said where it stops.
            Err(why @ (Keeps::Streams(_) | Keeps::StreamsInDoubt)) if engine.taken_off.is_none() => {
                plan.waits.push(Wait::Move { engine: id, why });
            }
            Err(_) => {}
        }
    }
    plan
}

/// Engines in the place of those that leave: whether one is had is decided as its reservation will be.
struct Elsewhere {
    /// The state as if those that were found had been started, and had their predecessors gone.
    then: State,
    plain: Reserve,
    now_ms: Elapsed,
    /// What was in vain on a host: no other engine of it that is alike is any better off.
    refused: BTreeSet<(NodeId, Option<String>, Group)>,
}

impl Elsewhere {
    /// What left before has a right to its place.
    fn of(missing: &Missing, active: &BTreeSet<NodeId>, now_ms: Elapsed) -> Self {
        let mut then = missing.then.clone();
        let plain = floors::plain(active);
        let replacement = |(id, spec): &(EngineId, EngineSpec)| Reserve {
            spec: spec.clone(),
            replaces: Some(*id),
            ..plain.clone()
        };
        for ask in missing.owed.iter().map(replacement) {
            floors::is_had(&mut then, &ask, now_ms);
        }
        Self { then, plain, now_ms, refused: BTreeSet::new() }
    }

    /// Whether another engine is had when this one has gone. One that has been replaced needs none. Who fixed a port has to ask for it
    /// again.
    fn is_had(&mut self, engine: &Engine) -> bool {
        if self.then.replacement(engine.id).is_some() {
            return true;
        }
        let group = self.then.group(&engine.spec, Some(engine.id));
        let alike = (engine.node, engine.spec.image.clone(), group);
        if fixed_http_port(&engine.spec).is_some() || self.refused.contains(&alike) {
            return false;
        }
        let mut after = self.then.clone();
        let ending =
            Ending { cause: VpnFault::Unhealthy.cause(), message: String::new(), at_ms: self.now_ms };
        after.put_engine(Engine { phase: Phase::Gone, ending: Some(ending), ..engine.clone() });
        let ask = Reserve { spec: engine.spec.clone(), replaces: Some(engine.id), ..self.plain.clone() };
        let is_had = floors::is_had(&mut after, &ask, self.now_ms);
        match is_had {
            true => self.then = after,
            false => drop(self.refused.insert(alike)),
        }
        is_had
    }
}
