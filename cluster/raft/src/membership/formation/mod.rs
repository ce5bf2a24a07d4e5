//! How a cluster forms. The founder, the first listed name, binds every listed node to a fresh cluster id and starts the log.
//! An empty node never forms a cluster beside a live one.

pub(crate) mod accept;
mod founder;
pub(crate) mod step;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::step::Step;
use super::join;
use crate::replica::core::Core;

const ROUND: Duration = Duration::from_millis(200);
/// How often a founder logs what it waits for.
const REMINDER: Duration = Duration::from_secs(10);

/// Runs until the log of this node has begun or the node must stop.
pub(crate) async fn run(core: Arc<Core>) {
    let mut reminded = Instant::now();
    loop {
        if core.raft.is_initialized().await.unwrap_or(true) {
            tokio::select! {
                () = core.stop.cancelled() => {}
                () = join::remark(&core) => {}
            }
            return;
        }
        let step = match core.seeds().is_empty() {
            true => founder::round(&core).await,
            false => join::round(&core).await,
        };
        match step {
            Ok(Step::Begun) => return,
            Ok(Step::Wait(reason)) => {
                if reminded.elapsed() >= REMINDER {
                    reminded = Instant::now();
                    tracing::warn!(reason, "the cluster has not formed yet");
                } else {
                    tracing::debug!(reason, "the cluster has not formed yet");
                }
            }
            Err(failure) => return core.fail(failure),
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}
