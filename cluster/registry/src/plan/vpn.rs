//! Engines without a sound network that can be had in a better one.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, Reserve, StopWhen};
use crate::plan::floors::{self, Missing};
use crate::plan::{Plan, Wait, replacements};
use crate::records::engine::{Ending, Engine, EngineSpec, Phase};
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::engines::why_off_network;
use crate::rules::outages::LONG_OUTAGE_MS;
use crate::rules::ports::fixed_http_port;
use crate::rules::renewal::{self, is_renewal};
use crate::rules::standing::Keeps;
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
            Ok(fault @ VpnFault::Unhealthy) => {
                let elsewhere = elsewhere.get_or_insert_with(|| Elsewhere::of(missing, active, now_ms));
                match elsewhere.is_had(engine) {
                    Ok(()) => plan.commands.push(stop(engine, fault)),
                    Err(NotHad::NoRoom) => plan.waits.push(Wait::VpnWithoutRoom { engine: id }),
                    Err(NotHad::AfterFailure { left_ms }) => {
                        plan.waits.push(Wait::VpnAfterFailure { engine: id, left_ms });
                    }
                    Err(NotHad::Rests { left_ms }) => {
                        plan.waits.push(Wait::VpnElsewhereRests { engine: id, left_ms });
                    }
                }
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
                | Keeps::ReplacementUnsteady { .. }
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

/// Why no other engine is had in the place of one that would leave.
#[derive(Clone, Copy)]
enum NotHad {
    NoRoom,
    /// Starts rest after one that failed.
    AfterFailure {
        left_ms: u64,
    },
    /// It would be behind a VPN that was down lately itself: two that go down in turn would throw every engine to and fro.
    Rests {
        left_ms: u64,
    },
}

/// Engines in the place of those that leave: whether one is had is decided as its reservation will be.
struct Elsewhere {
    /// The state as if those that were found had been started, and had their predecessors gone.
    then: State,
    plain: Reserve,
    now_ms: Elapsed,
    /// What was in vain on a host: no other engine of it that is alike is any better off.
    refused: BTreeMap<(NodeId, Option<String>, Group), NotHad>,
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
            floors::asks(&then, &ask, now_ms).iter().find(|ask| floors::is_had(&mut then, ask, now_ms));
        }
        Self { then, plain, now_ms, refused: BTreeMap::new() }
    }

    /// Whether another engine is had when this one has gone. One that has been replaced needs none. Who fixed a port has to ask for it
    /// again.
    fn is_had(&mut self, engine: &Engine) -> Result<(), NotHad> {
        let rests = |left_ms: u64| if left_ms > 0 { Err(NotHad::Rests { left_ms }) } else { Ok(()) };
        let replacement = self.then.replacement(engine.id);
        if let Some(replacement) = replacement.filter(|other| other.phase.is_live()) {
            return rests(renewal::rests_elsewhere(&self.then, engine, replacement, self.now_ms));
        }
        // In the place of one whose replacement has ended no other is owed, but one could be had.
        let replaces = replacement.is_none().then_some(engine.id);
        let group = self.then.group(&engine.spec, replaces);
        let alike = (engine.node, engine.spec.image.clone(), group);
        if fixed_http_port(&engine.spec).is_some() {
            return Err(NotHad::NoRoom);
        }
        if let Some(why) = self.refused.get(&alike) {
            return Err(*why);
        }
        let mut after = self.then.clone();
        let ending =
            Ending { cause: VpnFault::Unhealthy.cause(), message: String::new(), at_ms: self.now_ms };
        after.put_engine(Engine { phase: Phase::Gone, ending: Some(ending), ..engine.clone() });
        let ask = Reserve { spec: engine.spec.clone(), replaces, ..self.plain.clone() };
        let had = match floors::had(&mut after, &ask, self.now_ms) {
            Ok(other) => rests(after.waits_for_rest(engine, &other, self.now_ms)),
            Err(Some(left_ms)) => Err(NotHad::AfterFailure { left_ms }),
            Err(None) => Err(NotHad::NoRoom),
        };
        match had {
            Ok(()) => self.then = after,
            Err(why) => drop(self.refused.insert(alike, why)),
        }
        had
    }
}
