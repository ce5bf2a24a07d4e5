//! Engines without a sound network that can be had in a better one.

use std::collections::BTreeSet;

use crate::command::{Command, StopWhen};
use crate::plan::{Plan, Wait};
use crate::records::engine::Engine;
use crate::records::ids::NodeId;
use crate::records::time::Elapsed;
use crate::records::vpn::VpnFault;
use crate::rules::engines::{Keeps, why_off_network};
use crate::rules::load::{self, Load};
use crate::state::State;

/// How long a VPN must be unhealthy before its engines move: tunnels that reconnect are back before.
const MOVE_AFTER_MS: u64 = 15_000;

/// Engines outside their VPN and those with an old forwarded port leave at once, those behind an unhealthy VPN when that lasts and
/// one of the `able` hosts has room for them.
pub(super) fn off_vpn(state: &State, able: &BTreeSet<NodeId>, now_ms: Elapsed) -> Plan {
    let has_room = load::loads(state, able).iter().any(Load::has_room);
    let left_ms = |engine: &Engine| {
        let vpn = engine.vpn.as_deref().and_then(|container| state.vpn(engine.node, container));
        vpn.map_or(MOVE_AFTER_MS, |vpn| vpn.since_ms.plus(MOVE_AFTER_MS).since(now_ms))
    };
    let mut plan = Plan::default();
    for engine in state.live_engines() {
        let (id, left_ms) = (engine.id, left_ms(engine));
        match why_off_network(state, engine, now_ms) {
            Ok(VpnFault::Unhealthy) if left_ms > 0 => plan.waits.push(Wait::Vpn { engine: id, left_ms }),
            Ok(VpnFault::Unhealthy) if !has_room => plan.waits.push(Wait::VpnWithoutRoom { engine: id }),
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
