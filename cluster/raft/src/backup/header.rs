//! What a backup says about itself.

use acefleet_registry::{Level, WallMs};
use serde::{Deserialize, Serialize};

pub(crate) const FORMAT: u32 = 1;

/// What a backup says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// Of the file.
    pub format: u32,
    /// The cluster.
    pub cluster_id: String,
    /// Name of the node that made it.
    pub node: String,
    /// Id of that node.
    pub node_id: u64,
    /// When it was made, by the time of day that the cluster showed.
    pub taken_ms: WallMs,
    /// When the newest write that is in it was made.
    #[serde(default)]
    pub written_ms: Option<WallMs>,
    /// How long the node had had no leader: it may lack the writes of that time.
    #[serde(default)]
    pub leaderless_ms: u64,
    /// Revision of the state.
    pub revision: u64,
    /// The last entry of the log that is in it.
    pub applied_index: u64,
    /// Software version of the node.
    pub version: String,
    /// Level of the commands that the cluster used.
    pub level: Level,
    /// What identifies people was taken out: no cluster can be restored from it.
    pub redacted: bool,
    /// SHA-256, in hex, of the packed state.
    pub sha256: String,
}
