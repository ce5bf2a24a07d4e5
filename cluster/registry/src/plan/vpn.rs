//! Engines without a sound network that can be had in a better one.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, StopWhen};
use crate::plan::{Plan, Wait, replacements};
use crate::records::engine::Engine;
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::engines::{Keeps, why_off_network};
use crate::rules::load::{self, Load};
use crate::rules::vpn::LONG_OUTAGE_MS;
use crate::state::State;

/// Engines outside their VPN and those with an old forwarded port leave at once, those behind an unhealthy VPN when that lasts and
/// one of the `able` hosts has room for them. As many leave as there is room for: the others are of use when their VPN is back. Those
/// that are older than the tunnel are replaced one at a time for each VPN.
pub(super) fn off_vpn(state: &State, able: &BTreeSet<NodeId>, now_ms: Elapsed) -> Plan {
    let free = |load: &Load| load.capacity.saturating_sub(load.engines);
    let room: u32 = load::loads(state, able).iter().map(free).fold(0, u32::saturating_add);
    // What left before has a right to its place.
    let owed = replacements::owed(state, now_ms).len() as u32;
    let mut room = room.saturating_sub(owed);
    // Beside another VPN of its host an engine takes the room that it leaves.
    let mut finds_room = |engine: &Engine| {
        let found = able.contains(&engine.node) || room > 0;
        room = if able.contains(&engine.node) { room } else { room.saturating_sub(1) };
        found
    };
    let left_ms = |engine: &Engine| {
        let vpn = engine.vpn.as_deref().and_then(|container| state.vpn(engine.node, container));
        vpn.map_or(LONG_OUTAGE_MS, |vpn| vpn.since_ms.plus(LONG_OUTAGE_MS).since(now_ms))
    };
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
            Ok(VpnFault::Unhealthy) if !finds_room(engine) => {
                plan.waits.push(Wait::VpnWithoutRoom { engine: id })
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
