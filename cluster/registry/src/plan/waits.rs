//! What the leader will do later, and why not now.

use strum::AsRefStr;

use crate::records::ids::{EngineId, NodeId};
use crate::reply::Refusal;
use crate::rules::standing::Keeps;

/// Something that is due, and what it waits for. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum Wait {
    /// All decisions wait until these members have said whether their Docker answers and their VPNs are connected.
    Settling {
        /// Those that have not.
        nodes: Vec<NodeId>,
        /// The leader starts without them after so long.
        left_ms: u64,
    },
    /// A member that does not answer is unavailable after so long, or when it is known which of its engines answer.
    Unavailable {
        /// The member.
        node: NodeId,
        /// Until then.
        left_ms: u64,
    },
    /// A member answers others and not the leader. Nothing is decided of it before it answers the leader, or nobody.
    CutOff {
        /// The member.
        node: NodeId,
    },
    /// A member that does not answer is counted as down after so long.
    Silent {
        /// The member.
        node: NodeId,
        /// Until then.
        left_ms: u64,
    },
    /// A member that is down is expected back.
    Down {
        /// The member.
        node: NodeId,
    },
    /// The leader drains: it transfers leadership, and tries again when that fails.
    Transfer {
        /// The leader.
        node: NodeId,
    },
    /// A host starts an engine; the leader gives it up after so long.
    Start {
        /// The engine.
        engine: EngineId,
        /// Until then.
        left_ms: u64,
    },
    /// Engines are missing to a floor.
    Floor {
        /// So many.
        missing: u32,
        /// Why they are not started.
        why: Shortage,
    },
    /// A replacement is due.
    Replacement {
        /// The engine that was lost.
        lost: EngineId,
        /// Why it is not started.
        why: Shortage,
    },
    /// An engine that clients do not get any more stops when nothing keeps it.
    Stop {
        /// The engine.
        engine: EngineId,
        /// What keeps it.
        why: Keeps,
    },
    /// The same, when the engines that are being started run.
    StopForOthers {
        /// The engine.
        engine: EngineId,
    },
    /// An engine with a broken network leaves when nothing keeps it.
    Move {
        /// The engine.
        engine: EngineId,
        /// What keeps it.
        why: Keeps,
    },
    /// An engine that is older than the tunnel of its VPN, or has not its forwarded port, leaves when nothing keeps it.
    Renew {
        /// The engine.
        engine: EngineId,
        /// What keeps it.
        why: Keeps,
    },
    /// An engine behind an unhealthy VPN leaves if that lasts.
    Vpn {
        /// The engine.
        engine: EngineId,
        /// For so long.
        left_ms: u64,
    },
    /// The same, when a host has room for another.
    VpnWithoutRoom {
        /// The engine.
        engine: EngineId,
    },
    /// The same, when starts that would take its place do not rest any more after one that failed.
    VpnAfterFailure {
        /// The engine.
        engine: EngineId,
        /// For so long.
        left_ms: u64,
    },
    /// The same, when the VPN behind which it would move, or has been replaced, was not down lately.
    VpnElsewhereRests {
        /// The engine.
        engine: EngineId,
        /// For so long.
        left_ms: u64,
    },
    /// An engine without a stream is taken off the list when it was idle for long enough.
    Unlist {
        /// The engine.
        engine: EngineId,
        /// What keeps it.
        why: Keeps,
    },
    /// The same, when its host has answered for long enough.
    UnlistOnUnsteady {
        /// The engine.
        engine: EngineId,
    },
}

/// Why an engine that is wanted is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Its reservation would be refused.
    Refused(Refusal),
    /// The last start failed, and the next attempt is made after so many milliseconds.
    Pause {
        /// Until then.
        left_ms: u64,
    },
    /// The last start failed, and this one, which comes first, is under way.
    OtherFirst {
        /// The engine.
        engine: EngineId,
        /// It has probably started after so many milliseconds.
        left_ms: u64,
    },
    /// The engine serves clients until another takes its place behind its VPN, which cannot start one now.
    OnlyAtHome {
        /// Name of its host.
        host: String,
    },
    /// It is wanted for the loss of a host, and could be started on that host alone.
    OnlyThere {
        /// Name of the host.
        host: String,
    },
}

/// Whom a wait is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The cluster as a whole.
    Cluster,
    /// A member.
    Node(NodeId),
    /// An engine.
    Engine(EngineId),
}

impl Wait {
    /// The word for it, for machines.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }

    /// True when nothing else is decided before it is over.
    pub(crate) fn holds_all(&self) -> bool {
        matches!(self, Self::Settling { .. })
    }

    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Settling { .. } | Self::Floor { .. } => Subject::Cluster,
            Self::Unavailable { node, .. }
            | Self::CutOff { node }
            | Self::Silent { node, .. }
            | Self::Down { node }
            | Self::Transfer { node } => Subject::Node(*node),
            Self::Start { engine, .. }
            | Self::Replacement { lost: engine, .. }
            | Self::Stop { engine, .. }
            | Self::StopForOthers { engine }
            | Self::Move { engine, .. }
            | Self::Renew { engine, .. }
            | Self::Vpn { engine, .. }
            | Self::VpnWithoutRoom { engine }
            | Self::VpnAfterFailure { engine, .. }
            | Self::VpnElsewhereRests { engine, .. }
            | Self::Unlist { engine, .. }
            | Self::UnlistOnUnsteady { engine } => Subject::Engine(*engine),
        }
    }

    /// Milliseconds until it is over, where time alone ends it.
    #[must_use]
    pub fn left_ms(&self) -> Option<u64> {
        match self {
            Self::Settling { left_ms, .. }
            | Self::Unavailable { left_ms, .. }
            | Self::Silent { left_ms, .. }
            | Self::Start { left_ms, .. }
            | Self::Vpn { left_ms, .. }
            | Self::VpnAfterFailure { left_ms, .. }
            | Self::VpnElsewhereRests { left_ms, .. } => Some(*left_ms),
            Self::Floor { why, .. } | Self::Replacement { why, .. } => match why {
                Shortage::Pause { left_ms } | Shortage::OtherFirst { left_ms, .. } => Some(*left_ms),
                Shortage::OnlyThere { .. } | Shortage::OnlyAtHome { .. } => None,
                Shortage::Refused(refusal) => refusal.retry_after_s.map(|s| s.saturating_mul(1_000)),
            },
            Self::Stop { why, .. }
            | Self::Move { why, .. }
            | Self::Renew { why, .. }
            | Self::Unlist { why, .. } => match why {
                Keeps::ClientsComing { left_ms }
                | Keeps::NotIdle { left_ms }
                | Keeps::ReplacementUnsteady { left_ms }
                | Keeps::Suspected { left_ms } => Some(*left_ms),
                _ => None,
            },
            Self::Down { .. }
            | Self::CutOff { .. }
            | Self::Transfer { .. }
            | Self::StopForOthers { .. }
            | Self::VpnWithoutRoom { .. }
            | Self::UnlistOnUnsteady { .. } => None,
        }
    }
}
