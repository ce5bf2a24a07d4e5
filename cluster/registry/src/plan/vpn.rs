//! Engines without a sound network that can be had in a better one.

use std::collections::BTreeSet;

use crate::command::{Command, Reserve, StopWhen};
use crate::plan::floors::{self, Missing};
use crate::plan::{Plan, Wait, replacements};
use crate::records::engine::{Ending, Engine, EngineSpec, Phase};
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::engines::{Keeps, why_off_network};
use crate::rules::ports::fixed_http_port;
use crate::rules::renewal::{self, is_renewal};
use crate::rules::vpn::LONG_OUTAGE_MS;
use crate::state::State;

/// Engines outside their VPN leave at once, those behind an unhealthy VPN when that lasts and another can be had in their place. As many
/// leave as that is true of: the others are of use when their VPN is back. Those with an old forwarded port, or from before the tunnel,
/// leave when their replacements answer, see [`crate::rules::renewal`].
pub(super) fn off_vpn(state: &State, missing: &Missing, active: &BTreeSet<NodeId>, now_ms: Elapsed) -> Plan {
    let left_ms = |engine: &Engine| {
        let vpn = engine.vpn.as_deref().and_then(|container| state.vpn(engine.node, container));
        vpn.map_or(LONG_OUTAGE_MS, |vpn| vpn.since_ms.plus(LONG_OUTAGE_MS).since(now_ms))
    };
    let mut elsewhere: Option<Elsewhere> = None;
    let mut plan = Plan::default();
    let next = replacements::renewed_next(state, now_ms);
    // Engines that leave before their replacements are there, because those lack room: one at a time, as it makes room for others, too.
    let mut makes_room = None;
    for engine in state.live_engines() {
        let (id, left_ms) = (engine.id, left_ms(engine));
        let mut why = why_off_network(state, engine, now_ms);
        let fault = renewal::fault(state, engine, now_ms).filter(|fault| is_renewal(*fault));
        let comes_first = fault.is_some() && state.replacement(id).is_none();
        if let Some(first) = next.get(&(engine.node, engine.vpn.as_deref())).filter(|first| **first != id)
            && comes_first
            && matches!(why, Ok(_) | Err(Keeps::NotReplaced))
        {
            why = Err(Keeps::OtherFirst(*first));
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
            Ok(fault) if comes_first => drop(makes_room.get_or_insert((engine, fault))),
            Ok(fault) => plan.commands.push(stop(engine, fault)),
            // Any other engine of its VPN will do as well.
            Err(Keeps::Streams(_) | Keeps::StreamsInDoubt | Keeps::ClientsComing { .. })
                if fault == Some(VpnFault::Portless) => {}
            Err(
                why @ (Keeps::Streams(_)
                | Keeps::StreamsInDoubt
                | Keeps::ClientsComing { .. }
                | Keeps::OtherFirst(_)
                | Keeps::NotReplaced),
            ) if engine.taken_off.is_none() && fault.is_some() => {
                plan.waits.push(Wait::Renew { engine: id, why });
            }
            // What an unlisted engine waits for is said where it stops.
            Err(why @ (Keeps::Streams(_) | Keeps::StreamsInDoubt)) if engine.taken_off.is_none() => {
                plan.waits.push(Wait::Move { engine: id, why });
            }
            Err(_) => {}
        }
    }
    if plan.commands.is_empty()
        && let Some((engine, fault)) = makes_room
    {
        plan.commands.push(stop(engine, fault));
    }
    plan
}

fn stop(engine: &Engine, fault: VpnFault) -> Command {
    Command::EngineStop { engine: engine.id, cause: fault.cause(), when: StopWhen::OffVpn }
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
