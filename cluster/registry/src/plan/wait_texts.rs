//! What the leader waits for, in sentences for people.

use crate::plan::waits::{Shortage, Wait};
use crate::records::ids::{EngineId, NodeId};
use crate::state::State;

impl Wait {
    /// One sentence for people, with names.
    #[must_use]
    pub fn describe(&self, state: &State) -> String {
        let node = |id: &NodeId| state.node_name(*id);
        let engine = |id: &EngineId| state.engine_name(*id);
        let s = |ms: &u64| ms.div_ceil(1_000);
        match self {
            Self::Settling { nodes, left_ms } => {
                let names: Vec<String> = nodes.iter().map(node).collect();
                format!(
                    "{} have not said yet whether their Docker answers and their VPNs are connected; the leader goes on without them in {} s",
                    names.join(", "),
                    s(left_ms)
                )
            }
            Self::Unavailable { node: id, left_ms } => {
                format!(
                    "{} does not answer; others take the place of its engines that do not answer in {} s",
                    node(id),
                    s(left_ms)
                )
            }
            Self::CutOff { node: id } => {
                format!(
                    "{} does not answer the leader, but other members; its engines and streams stay as they are until it does",
                    node(id)
                )
            }
            Self::Silent { node: id, left_ms } => {
                format!("{} does not answer; it counts as down in {} s", node(id), s(left_ms))
            }
            Self::Down { node: id } => {
                format!("{} is down; its engines count again when it answers", node(id))
            }
            Self::Transfer { node: id } => {
                format!("{} leads and is draining; it transfers leadership to another voter", node(id))
            }
            Self::Start { engine: id, left_ms } => {
                format!("{} is being started; it is given up in {} s", engine(id), s(left_ms))
            }
            Self::Floor { missing, why } => {
                format!("{missing} engines are missing to the floors: {}", why.text(state))
            }
            Self::Replacement { lost, why } => {
                format!("a replacement of {} is due: {}", engine(lost), why.text(state))
            }
            Self::Stop { engine: id, why } => format!("{} stops later: {why}", engine(id)),
            Self::StopForOthers { engine: id } => {
                format!("{} stops when the engines that are being started run", engine(id))
            }
            Self::Move { engine: id, why } => {
                format!("the network of {} is broken; it stops later: {why}", engine(id))
            }
            Self::Renew { engine: id, why } => {
                format!("{} is replaced later, for the tunnel or the port of its VPN: {why}", engine(id))
            }
            Self::Vpn { engine: id, left_ms } => {
                format!(
                    "the VPN of {} is unhealthy; it is replaced if that lasts for another {} s",
                    engine(id),
                    s(left_ms)
                )
            }
            Self::VpnWithoutRoom { engine: id } => {
                format!("the VPN of {} is unhealthy, and no other host has room for it", engine(id))
            }
            Self::VpnAfterFailure { engine: id, left_ms } => {
                format!(
                    "the VPN of {} is unhealthy; the last start failed, and the one in its place comes in {} s",
                    engine(id),
                    s(left_ms)
                )
            }
            Self::VpnElsewhereRests { engine: id, left_ms } => {
                format!(
                    "the VPN of {} is unhealthy, and the other one was down lately; it is a better place in {} s",
                    engine(id),
                    s(left_ms)
                )
            }
            Self::Unlist { engine: id, why } => format!("{} is taken off the list later: {why}", engine(id)),
            Self::UnlistOnUnsteady { engine: id } => {
                format!("{} is taken off the list when its host has answered for a few seconds", engine(id))
            }
        }
    }
}

impl Shortage {
    fn text(&self, state: &State) -> String {
        match self {
            Self::Refused(refusal) => refusal.message.clone(),
            Self::Pause { left_ms } => {
                format!("the last start failed, the next attempt comes in {} s", left_ms.div_ceil(1_000))
            }
            Self::OtherFirst { engine, .. } => format!(
                "the last start failed, so starts come one by one; {} is being started",
                state.engine_name(*engine)
            ),
            Self::OnlyThere { host } => {
                format!("only {host} could start it, and it is wanted for the loss of {host}")
            }
            Self::OnlyAtHome { host } => {
                format!("it is to be started behind its VPN on {host}, where none can be started now")
            }
        }
    }
}
