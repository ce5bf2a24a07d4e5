//! Corrects, on the leader, the time of day that the registry shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::{Elapsed, NodeId, OpId, Proposal};

use super::write;
use crate::replica::core::Core;

/// How often a leader judges the clocks.
const JUDGE_EVERY: Duration = Duration::from_millis(500);
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// A shorter step is what clocks drift and NTP sets: nobody has to know.
const TOLD_MS: u64 = 5_000;

/// Runs until the node stops; corrects while it leads.
pub(crate) async fn run(core: Arc<Core>) {
    let mut ticks = tokio::time::interval(JUDGE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some((term, command, by_ms)) = core.correction() else { continue };
        let op_id = OpId::from_u128(uuid::Uuid::now_v7().as_u128());
        let origin = NodeId(core.node_id());
        let proposal = Proposal { op_id, at_ms: Elapsed::ZERO, origin, by: None, command };
        match (write::decide(&core, term, proposal, Instant::now() + WRITE_WITHIN).await, by_ms) {
            (Ok(_), Some(by_ms)) if by_ms.unsigned_abs() < TOLD_MS => {
                tracing::debug!(by_ms, "the time of day that the cluster shows is corrected a little");
            }
            (Ok(_), Some(by_ms)) => {
                tracing::info!(by_s = by_ms / 1_000, "the time of day that the cluster shows is corrected");
            }
            (Ok(_), None) => {}
            (Err(error), _) => tracing::debug!(%error, "the time of day is not corrected yet"),
        }
    }
}
