//! Engines without a sound network that can be had in a better one.

use std::collections::BTreeSet;

use crate::command::{Command, StopWhen};
use crate::plan::{Plan, Wait, replacements};
use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::engines::{Keeps, why_off_network};
use crate::rules::load::{self, Load};
use crate::state::State;

/// How long a VPN must be unhealthy before its engines move: tunnels that reconnect are back before.
const MOVE_AFTER_MS: u64 = 12_000;

/// Engines outside their VPN and those with an old forwarded port leave at once, those behind an unhealthy VPN when that lasts and
/// one of the `able` hosts has room for them. As many leave as there is room for: the others are of use when their VPN is back.
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
        vpn.map_or(MOVE_AFTER_MS, |vpn| vpn.since_ms.plus(MOVE_AFTER_MS).since(now_ms))
    };
    let mut plan = Plan::default();
    for engine in state.live_engines() {
        let (id, left_ms) = (engine.id, left_ms(engine));
        match why_off_network(state, engine, now_ms) {
            Ok(VpnFault::Unhealthy) if left_ms > 0 => plan.waits.push(Wait::Vpn { engine: id, left_ms }),
            Ok(VpnFault::Unhealthy) if !finds_room(engine) => {
                plan.waits.push(Wait::VpnWithoutRoom { engine: id })
            }
            Ok(fault) => plan.commands.push(Command::EngineStop {
                engine: id,
                cause: fault.cause(),
                when: StopWhen::OffVpn,
            }),
            // What an unlisted engine waits for is said where it stops.
            Err(why @ (Keeps::Streams(_) | Keeps::StreamsInDoubt)) if engine.taken_off.is_none() => {
                plan.waits.push(Wait::Move { engine: id, why });
            }
            Err(_) => {}
        }
    }
    plan
}
