//! What can be written: commands, the proposals that carry them, and their replies.

mod credentials;

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::records::access::Access;
use crate::records::actor::Actor;
use crate::records::breaker::BreakerKind;
use crate::records::cause::Cause;
use crate::records::engine::{EngineSpec, Health, Ports};
use crate::records::health::HealthFault;
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::join_token::TokenId;
use crate::records::key::KeyName;
use crate::records::lack::Lack;
use crate::records::node::{DockerState, NodeInfo, Wanted};
use crate::records::policy::Policy;
use crate::records::seat::Content;
use crate::records::settings::{Name, Value};
use crate::records::stream::{StreamEnd, StreamStart};
use crate::records::time::Elapsed;
use crate::records::vpn::VpnStatus;

pub use credentials::{CreateJoinToken, CreateKey, UseJoinToken};

/// One write: a command, the moment at which the leader took it, and the id under which a repeat is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Names this write for ever.
    pub op_id: OpId,
    /// The moment, stamped by the leader. `apply` never lets it go back.
    pub at_ms: Elapsed,
    /// The node on which the write arrived.
    pub origin: NodeId,
    /// Who asked for it; none for what the cluster does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// What to do.
    pub command: Command,
}

/// A change of the replicated state. Conditions are part of the command: a decision made on old
/// state is refused when it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A node describes itself; written when the description changed.
    NodeUp(NodeInfo),
    /// A node's Docker daemon appeared or went away.
    NodeDocker {
        /// The node.
        node: NodeId,
        /// Its daemon now.
        docker: DockerState,
    },
    /// An operator cordons, drains or reactivates a node.
    NodeAvailability {
        /// The node.
        node: NodeId,
        /// What is wanted of it.
        availability: Wanted,
    },
    /// A node that was drained until it returns has been started again: it takes engines. Nothing changes when an operator has
    /// wanted something else of it since.
    NodeReturned {
        /// The node.
        node: NodeId,
        /// Since when it drains, as it knows.
        since_ms: Elapsed,
    },
    /// The leader's verdict on a node: silent for too long, or back. Its engines keep their records and leases, as
    /// nobody has seen them end; their streams end.
    NodeDown {
        /// The node.
        node: NodeId,
        /// Whether it is down now.
        down: bool,
    },
    /// The leader's verdict on a node before it is down: it answers no member. Its engines that do not answer either are lost, each until
    /// it answers.
    NodeUnavailable {
        /// The node.
        node: NodeId,
        /// Its engines that answer another host; absent when the node answers again, and all of its engines do.
        answering: Option<BTreeSet<EngineId>>,
        /// The node answers again, and not all of its engines do yet. These are given back, and none is lost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_back: bool,
    },
    /// The cluster-wide settings, as the leader's configuration has them. From [`Level::OWNS_SETTINGS`] on once, for the first values.
    SetPolicy(Policy),
    /// Choose a host, lease ports and a name.
    Reserve(Reserve),
    /// The host found a leased port or name in use outside our control: lease another.
    Conflict {
        /// The engine, still `Reserved`.
        engine: EngineId,
        /// What is taken.
        taken: Taken,
    },
    /// Docker says that the container runs.
    EngineStarted {
        /// The engine.
        engine: EngineId,
        /// Full Docker id.
        container_id: String,
        /// Image in use.
        image: String,
        /// Engine variant, for engines.
        variant: Option<String>,
        /// Where clients reach it, when that is neither its host's address nor its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// The container never ran, or the reservation ran out.
    EngineFailed {
        /// The engine, still `Reserved`.
        engine: EngineId,
        /// For machines.
        cause: Cause,
        /// For people.
        message: String,
    },
    /// The container never ran, because its host lacks something by name.
    EngineLacks {
        /// The engine, still `Reserved`.
        engine: EngineId,
        /// What is missing.
        lack: Lack,
        /// For people.
        message: String,
    },
    /// A host has what it lacked, or needs it no more.
    Found {
        /// The host.
        node: NodeId,
        /// What it lacked.
        lacks: BTreeSet<Lack>,
    },
    /// A debounced change of an engine's health.
    EngineHealth {
        /// The engine.
        engine: EngineId,
        /// Its health now.
        health: Health,
        /// What is wrong with an unhealthy one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<HealthFault>,
    },
    /// Stop and remove an engine, or take it off the list first, as the condition says.
    EngineStop {
        /// The engine.
        engine: EngineId,
        /// For machines.
        cause: Cause,
        /// Under which condition.
        when: StopWhen,
    },
    /// The container is gone.
    EngineGone {
        /// The engine.
        engine: EngineId,
        /// For machines.
        cause: Cause,
        /// How it ended, for people: exit code, last lines of its log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// A container with our labels that the registry does not know.
    Adopt(Adopt),
    /// The caller that reserved an engine gave up waiting for it.
    Abandon {
        /// The engine.
        engine: EngineId,
        /// The write that reserved or claimed it for that caller; when another has claimed it since, nothing is to be
        /// given up.
        #[serde(default)]
        by: Option<OpId>,
    },
    /// A client wants a place on an engine before it plays. The seat has the id of this write.
    Select(Select),
    /// It does not want it any more.
    ReleaseSeat {
        /// The seat.
        seat: OpId,
    },
    /// A stream began.
    StreamStarted(Arc<StreamStart>),
    /// A stream ended.
    StreamEnded(StreamEnd),
    /// Many events in one entry, applied in order: starts first.
    EventBatch {
        /// Started events.
        started: Vec<Arc<StreamStart>>,
        /// Ended events.
        ended: Vec<StreamEnd>,
    },
    /// Close a breaker, or all.
    ResetBreaker(Option<BreakerKind>),
    /// Writes that a node kept while there was no leader, in the order in which it took them. Each is
    /// recognised by its own op-id; a sequence inside a sequence is passed over.
    Sequence(Vec<Step>),
    /// A node was removed from the cluster for good: its record goes, its engines are gone with their
    /// streams. Written after it has left the members.
    NodeRemoved {
        /// The node.
        node: NodeId,
    },
    /// A node's VPN container changed: its debounced health, its forwarded port or its public address.
    VpnChanged {
        /// The node.
        node: NodeId,
        /// Name of the container.
        container: String,
        /// What holds now.
        status: VpnStatus,
        /// Engines are to be replaced if it is connected again after a long outage (`VPN_RESTART_ENGINES_ON_RECONNECT`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        renew: bool,
    },
    /// The cluster was recovered from one survivor: all other nodes are gone for good, with their engines
    /// and streams.
    Recovered {
        /// The only member now.
        survivor: NodeId,
        /// Ids that the cluster had before. Containers keep the id under which they were made.
        former_clusters: Vec<String>,
    },
    /// All members know the commands up to this level.
    RaiseLevel(Level),
    /// The leader's finding that the time of day is another than the registry shows. Nothing but what people are shown depends
    /// on it.
    WallCorrected {
        /// From this moment on: since when the leader watches without a break.
        from: Elapsed,
        /// Milliseconds to be added to moments.
        offset_ms: i64,
    },
    /// Who may call from now on.
    SetAccess(Access),
    /// Callers with another key may do what its role says.
    CreateKey(CreateKey),
    /// A key is good for nothing any more.
    RevokeKey {
        /// Its name.
        name: KeyName,
    },
    /// Further nodes may join with a token.
    CreateJoinToken(CreateJoinToken),
    /// A node joins with one.
    UseJoinToken(UseJoinToken),
    /// A token is good for nothing any more.
    RevokeJoinToken {
        /// What it is called.
        id: TokenId,
    },
    /// Somebody takes a backup from a node. It changes nothing; the log says who.
    BackupTaken {
        /// Without what identifies people.
        redacted: bool,
    },
    /// A new leader says so: elections are not in the log.
    Leads {
        /// The leader.
        node: NodeId,
        /// Its term.
        term: u64,
    },
    /// An operator wants another member to lead.
    LeadWanted {
        /// That member.
        node: NodeId,
    },
    /// An operator wants a member out for good. It changes nothing; the log says who.
    RemovalWanted {
        /// That member.
        node: NodeId,
    },
    /// A node lost what its disk held and goes on under a new id: all that is known of it moves there. Written while both are
    /// members.
    NodeReplaced {
        /// Its former id, which never comes back.
        old: NodeId,
        /// Its id now.
        new: NodeId,
    },
    /// Which streams on a node's engines fell silent: asked for a while, they gave no figures. And which give figures again.
    /// Written in batches, and only for streams that change.
    StreamSilence {
        /// The node.
        node: NodeId,
        /// Numbers of streams that give none, [`crate::stream::Stream::seq`].
        silent: BTreeSet<u64>,
        /// The same of streams that do again.
        #[serde(rename = "heard")]
        answering: BTreeSet<u64>,
    },
    /// An operator changes cluster-wide settings.
    ChangeSettings(ChangeSettings),
    /// Who uses this node's engines, as the host sees it: streams that no event reports, and streams that nobody views. Written only for
    /// what changes.
    StreamsSeen {
        /// The node.
        node: NodeId,
        /// Engines in use on which no stream is listed.
        found: BTreeSet<InUse>,
        /// Numbers of streams that give no figures, on engines to which no client is connected.
        unviewed: BTreeSet<u64>,
    },
}

impl Command {
    /// Ids of the streams that it starts.
    pub fn started_streams(&self) -> impl Iterator<Item = &str> {
        let started = match self {
            Self::StreamStarted(start) => slice::from_ref(start),
            Self::EventBatch { started, .. } => started,
            _ => &[],
        };
        started.iter().map(|start| start.id.as_ref())
    }

    /// Ids of the streams that it starts or ends, as far as it names them.
    pub fn named_streams(&self) -> impl Iterator<Item = &str> {
        let ended = match self {
            Self::StreamEnded(end) => slice::from_ref(end),
            Self::EventBatch { ended, .. } => ended,
            _ => &[],
        };
        self.started_streams().chain(ended.iter().filter_map(StreamEnd::names))
    }
}

/// Other values of settings, all of them or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSettings {
    /// The revision on which it builds. Refused when another is in force.
    pub expected: u64,
    /// The values.
    pub values: BTreeMap<Name, Value>,
    /// The revision that has these values, if it brings them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts: Option<u64>,
}

/// Which place a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// What it is about to play.
    pub content: Content,
    /// The engine may have so many streams with it.
    pub max_streams: u32,
    /// For so many milliseconds it is kept.
    pub ttl_ms: u64,
}

/// An engine that is in use although no stream is listed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InUse {
    /// The engine.
    pub engine: EngineId,
    /// Number of a stream that was taken for ended, and whose session the engine still plays, [`crate::stream::Stream::seq`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plays: Option<u64>,
    /// Its host is to stop it for want of use, and has not begun with that: it stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

impl InUse {
    /// By a client, of which nothing else is known.
    #[must_use]
    pub fn by_client(engine: EngineId) -> Self {
        Self { engine, plays: None, stays: false }
    }

    /// By a session that was taken for ended; this is the number of its stream.
    #[must_use]
    pub fn by_session(engine: EngineId, stream: u64) -> Self {
        Self { plays: Some(stream), ..Self::by_client(engine) }
    }

    /// By a client that has come before the host of the engine has begun to stop it.
    #[must_use]
    pub fn at_last(engine: EngineId) -> Self {
        Self { stays: true, ..Self::by_client(engine) }
    }
}

/// One write of a [`Command::Sequence`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The op-id under which it was answered.
    pub op_id: OpId,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// What to do.
    pub command: Command,
}

impl Step {
    /// True for a sequence inside a sequence, which nobody writes.
    #[must_use]
    pub fn is_sequence(&self) -> bool {
        matches!(self.command, Command::Sequence(_))
    }
}

/// Arguments of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// What to run.
    pub spec: EngineSpec,
    /// Hosts that may take it now; stamped by the leader, which alone knows who is alive.
    #[serde(default)]
    pub eligible: BTreeSet<NodeId>,
    /// Hosts that have already failed for this call.
    #[serde(default)]
    pub exclude: BTreeSet<NodeId>,
    /// Refuse when this many engines are live already; how scaling avoids overshooting.
    #[serde(default)]
    pub only_below: Option<u32>,
    /// Take an engine whose first caller gave up, instead of making another.
    #[serde(default)]
    pub claim_abandoned: bool,
    /// How long the caller waits for the engine, milliseconds from now. What does not run by then is free for
    /// the next caller.
    #[serde(default)]
    pub patience_ms: Option<u64>,
    /// The cluster reserves for itself: nobody waits for the answer.
    #[serde(default)]
    pub automatic: bool,
    /// The engine that this one replaces: the replacement is made once, whoever asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<EngineId>,
}

/// Condition of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopWhen {
    /// Whatever runs on it.
    Always,
    /// No stream runs on it, the floors hold without it, and it has been idle for so many milliseconds: it is taken off the list.
    IdleFor(u64),
    /// Something is wrong with its network, see [`crate::records::vpn::VpnFault`], and no stream runs on it: it is taken off the
    /// list, or stops at once when its network does not work.
    OffVpn,
    /// It is off the list or its node is draining, no stream runs on it, and no client can be on its way to it; or the deadline of the
    /// drain has passed.
    Unused,
    /// Another one takes its place: it is taken off the list at once, and stops when nobody uses it.
    Replaced,
}

/// What a host found taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// A host port.
    HostPort(u16),
    /// Container names: that of the engine, and with it every other of the same prefix that containers outside our control hold
    /// on the host, so that no later engine tries them in turn.
    Names(BTreeSet<String>),
}

/// Facts of a container that carries our labels but has no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// The host on which it runs.
    pub node: NodeId,
    /// Full Docker id.
    pub container_id: String,
    /// Its name.
    pub container_name: String,
    /// Its image.
    pub image: String,
    /// Its variant label.
    pub variant: Option<String>,
    /// Its ports, from labels.
    pub ports: Ports,
    /// The spec as far as the container tells.
    pub spec: EngineSpec,
    /// Where clients reach it, when that is neither its host's address nor its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// VPN container in whose network it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpn: Option<String>,
    /// Forwarded port that it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_port: Option<u16>,
}
