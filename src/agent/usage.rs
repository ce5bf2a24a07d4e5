//! What engines of this host use: CPU, memory, network. Docker is asked for its counters, and the rates are the differences between two
//! answers. It could give rates itself, but waits another second for its second look. An answer takes up to a second in any case: Docker
//! looks at all containers that it is asked about once a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use acefleet_raft::Seldom;
use acefleet_registry::{EngineId, WallMs};
use futures::StreamExt;
use tokio::time::{Instant, MissedTickBehavior};

use crate::agent::context::Context;
use crate::agent::runtime::{Counters, RuntimeError};
use crate::peers::EngineUsage;

/// Every engine is asked for once in this time.
const PERIOD: Duration = Duration::from_secs(5);
/// The questions begin one after the other within this time, so that the last one is answered within the period.
const SPREAD: Duration = Duration::from_millis(3_800);
/// Questions at once: most of them only wait.
const AT_ONCE: usize = 32;
/// Longest wait for all answers of a period.
const ROUND: Duration = Duration::from_secs(20);
/// A guard in front of Docker that forbids the call is not asked again before.
const FORBIDDEN_FOR: Duration = Duration::from_secs(300);

/// Counters of one engine when it was asked last.
struct Last {
    container: Arc<str>,
    at: Instant,
    wall: WallMs,
    counters: Counters,
}

/// Asks for ever.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: BTreeMap<EngineId, Last> = BTreeMap::new();
    let mut failing = Seldom::default();
    loop {
        ticks.tick().await;
        match round(&ctx, &mut known).await {
            None => {}
            Some(RuntimeError::Forbidden(why)) => {
                tracing::warn!(why, "what engines use is not known");
                tokio::time::sleep(FORBIDDEN_FOR).await;
            }
            Some(error) => {
                if let Some(times) = failing.due() {
                    tracing::debug!(%error, times, "Docker does not say what an engine uses");
                }
            }
        }
    }
}

/// Asks for all engines, spread over the period. The last error, if there was one.
async fn round(ctx: &Context, known: &mut BTreeMap<EngineId, Last>) -> Option<RuntimeError> {
    let view = ctx.cluster.view();
    let own = view.state.published_engines().filter(|engine| engine.node == ctx.node);
    let engines: Vec<(EngineId, Arc<str>)> =
        own.filter_map(|engine| Some((engine.id, engine.container_id.as_deref()?.into()))).collect();
    drop(view);
    known.retain(|id, last| engines.iter().any(|(own, container)| own == id && *container == last.container));
    let began = Instant::now();
    let step = SPREAD / u32::try_from(engines.len().max(1)).unwrap_or(u32::MAX);
    let asks = engines.into_iter().zip(0u32..).map(|((id, container), nth)| async move {
        tokio::time::sleep_until(began + step * nth).await;
        (id, ctx.runtime.counters(&container).await, container)
    });
    let mut answers = std::pin::pin!(futures::stream::iter(asks).buffer_unordered(AT_ONCE));
    let (mut used, mut failed) = (Vec::new(), None);
    while let Ok(Some((id, answer, container))) = tokio::time::timeout_at(began + ROUND, answers.next()).await
    {
        let (at, wall) = (Instant::now(), ctx.cluster.wall_now());
        match answer {
            Ok(counters) => {
                let last = Last { container, at, wall, counters };
                used.push((id, usage(known.get(&id), &last)));
                known.insert(id, last);
            }
            Err(RuntimeError::NotFound) => drop(known.remove(&id)),
            Err(RuntimeError::Forbidden(why)) => {
                failed = Some(RuntimeError::Forbidden(why));
                break;
            }
            Err(error) => failed = Some(error),
        }
    }
    // At once for all, so that the report changes once.
    ctx.report.used(used);
    failed
}

/// What an engine uses, by its counters now and before.
fn usage(before: Option<&Last>, now: &Last) -> EngineUsage {
    let counters = &now.counters;
    // A counter that fell began anew with its container.
    let before = before.filter(|before| before.counters.cpu_ns <= counters.cpu_ns && before.at < now.at);
    let per_second = |grown: Option<u64>, scale: f64| -> Option<u64> {
        let seconds = now.at.duration_since(before?.at).as_secs_f64();
        Some((grown? as f64 * scale / seconds).round() as u64)
    };
    let rate = |of: fn(&Counters) -> Option<u64>| {
        let grown = before.and_then(|before| of(counters)?.checked_sub(of(&before.counters)?));
        per_second(grown, 1.0)
    };
    let cpu = before.map(|before| counters.cpu_ns - before.counters.cpu_ns);
    EngineUsage {
        since_ms: before.map(|before| before.wall),
        at_ms: now.wall,
        // Nanoseconds of a second are percent of a core times ten million.
        cpu_centi_percent: per_second(cpu, 1e-5),
        memory_bytes: counters.memory_bytes,
        memory_limit_bytes: counters.memory_limit_bytes,
        rx_bytes: counters.rx_bytes,
        tx_bytes: counters.tx_bytes,
        rx_bps: rate(|counters| counters.rx_bytes),
        tx_bps: rate(|counters| counters.tx_bytes),
        read_bytes: counters.read_bytes,
        written_bytes: counters.written_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_and_a_counter_that_fell_gives_none() {
        let at = Instant::now();
        let last = |seconds: u64, cpu_ns: u64, rx: Option<u64>| Last {
            container: "c".into(),
            at: at + Duration::from_secs(seconds),
            wall: WallMs(seconds * 1_000),
            counters: Counters { cpu_ns, rx_bytes: rx, tx_bytes: Some(9), ..Counters::default() },
        };
        let first = last(10, 4_000_000_000, Some(100));
        let alone = usage(None, &first);
        assert_eq!((alone.cpu_centi_percent, alone.rx_bps, alone.rx_bytes), (None, None, Some(100)));
        // 7.5 s of CPU in 5 s are one and a half cores.
        let second = usage(Some(&first), &last(15, 11_500_000_000, Some(1_100)));
        assert_eq!(
            (second.cpu_centi_percent, second.rx_bps, second.tx_bps),
            (Some(15_000), Some(200), Some(0))
        );
        assert_eq!((second.since_ms, second.at_ms), (Some(WallMs(10_000)), WallMs(15_000)));
        let fell = usage(Some(&first), &last(15, 4_000_000_000, Some(3)));
        assert_eq!((fell.cpu_centi_percent, fell.rx_bps, fell.rx_bytes), (Some(0), None, Some(3)));
        let again = usage(Some(&first), &last(15, 1_000, Some(300)));
        assert_eq!((again.cpu_centi_percent, again.rx_bps), (None, None), "the container was started again");
        let hidden = usage(Some(&first), &last(15, 4_000_000_000, None));
        assert_eq!((hidden.rx_bytes, hidden.rx_bps), (None, None));
    }
}
