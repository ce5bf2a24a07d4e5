//! Pushes this node's report to every other node, about once a second. It is also the only sign of life between nodes.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::NodeId;
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use crate::peers::{NodeReport, Question};

const PERIOD: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(800);
/// Every tenth push carries the report even if it is unchanged, for nodes that restarted.
const FULL_EVERY: u64 = 10;

/// The last report that each node received.
type Sent = BTreeMap<NodeId, Arc<NodeReport>>;

/// Runs until cancelled.
pub async fn run(fleet: Fleet, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Sent::new();
    // A new leader or member learns at once which nodes live.
    let mut leadership = fleet.cluster().leadership();
    for tick in 0u64.. {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
            changed = leadership.changed() => if changed.is_err() { return },
        }
        if tick % FULL_EVERY == 0 {
            sent.clear();
        }
        push(&fleet, &mut sent).await;
    }
}

async fn push(fleet: &Fleet, sent: &mut Sent) {
    let me = fleet.cluster().node_id();
    let soft = fleet.soft();
    let report = soft.nodes.get(&me).map(|last| Arc::clone(&last.report)).unwrap_or_default();
    let others: Vec<NodeId> =
        fleet.cluster().status().members.iter().map(|member| member.id).filter(|id| *id != me).collect();
    let deadline = Instant::now() + TIMEOUT;
    // Encoded once for all nodes: with many engines it is long.
    let full = LazyCell::new(|| encoded(Some(&report)));
    let pushes = others.into_iter().map(|to| {
        let unchanged = sent.get(&to).is_some_and(|known| Arc::ptr_eq(known, &report) || **known == *report);
        let bytes = if unchanged { encoded(None) } else { full.clone() };
        async move {
            let Some(bytes) = bytes else { return (to, false) };
            let result = fleet.cluster().ask(to, bytes, deadline).await;
            if let Err(error) = &result {
                tracing::debug!(node = %to, %error, "report not delivered");
            }
            (to, result.is_ok())
        }
    });
    for (to, delivered) in join_all(pushes).await {
        match delivered {
            true => sent.insert(to, Arc::clone(&report)),
            false => sent.remove(&to),
        };
    }
}

/// The question that carries a report, or says that it has not changed. `None` when it cannot be encoded.
fn encoded(report: Option<&Arc<NodeReport>>) -> Option<Bytes> {
    let question = Question::Report(report.cloned());
    let encoded = serde_json::to_vec(&question);
    let bytes = encoded.inspect_err(|error| tracing::error!(%error, "the report cannot be encoded"));
    bytes.ok().map(Bytes::from)
}
