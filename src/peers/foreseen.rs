//! How nodes tell the leader which engine a client is about to take ([ADR 0049](../../docs/adr/0049-the-next-engine-is-foreseen.md)).

use acefleet_registry::{Elapsed, EngineId};
use serde::{Deserialize, Serialize};

/// An engine that a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The engine.
    pub engine: EngineId,
    /// Whether its list showed it as healthy.
    pub is_healthy: bool,
    /// Started streams that its answer would show without any foreseen one.
    pub streams: u32,
}

/// A mark that the asking node made before, for a leader that does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldMark {
    /// Its number at that node.
    pub number: u64,
    /// The engine that it is on.
    pub engine: EngineId,
    /// Since when.
    pub since: Elapsed,
    /// Whether its client has reported streams before.
    #[serde(default)]
    pub plays: bool,
    /// For so many more milliseconds.
    pub left_ms: u64,
}

/// A client of the asking node is about to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The asking node's number for the mark.
    pub number: u64,
    /// What the client chooses from. Of two that are equally healthy and busy it takes the earlier one.
    pub candidates: Vec<Candidate>,
    /// Whether the client has reported streams before.
    #[serde(default)]
    pub plays: bool,
    /// Marks that the asking node has made and that still stand.
    pub own: Vec<ToldMark>,
}

/// The engine that the client is led to, and what it must not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// The engine.
    pub engine: EngineId,
    /// Since when it is marked.
    pub since: Elapsed,
    /// Revision of the leader's registry: a stream that has taken the place of a mark is in it.
    pub revision: u64,
    /// Marks of others, by engine.
    pub others: Vec<(EngineId, u32)>,
}
