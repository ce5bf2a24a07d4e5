//! Engines of other hosts that are silent: this node asks them over the network, as nobody on their host can say how they are. What
//! comes of it is shown by this node, and decided by if it leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::address::{bare, is_loopback, join};
use acefleet_registry::rules::liveness::SUSPECT_AFTER;
use acefleet_registry::rules::lost_hosts::{self, Tries};
use acefleet_registry::{Engine, EngineId, Node, NodeId, State};
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};
use url::Url;

use crate::agent::address;
use crate::agent::context::Context;
use crate::agent::probe_ask::{self, STATUS};
use crate::peers::SoftState;

/// Time between two looks at who is silent. An engine is asked no more often.
const PERIOD: Duration = Duration::from_millis(250);
/// Two tries fit between the moment at which a host is suspect and that at which it is unavailable.
const LIMIT: Duration = Duration::from_secs(1);
/// Engines that are asked at once. Those of a dead host take all of [`LIMIT`] and cost nothing but a socket each.
const AT_ONCE: usize = 256;

/// Engines to ask, and where.
type Targets = BTreeMap<EngineId, Url>;

/// Runs for ever.
pub(super) async fn run(ctx: Arc<Context>, client: reqwest::Client, soft: &SoftState) {
    let targets = || targets(&ctx.cluster.view().state, ctx.node, |id| ctx.cluster.silence(id));
    keep_asking(targets, |engine, url| ask(&client, engine, url), soft).await;
}

/// Asks each engine at its own pace, so that none waits for those of a host that is dead. Tells each result as it comes.
async fn keep_asking<Answer: Future<Output = bool>>(
    targets: impl Fn() -> Targets,
    ask: impl Fn(EngineId, Url) -> Answer,
    soft: &SoftState,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut wanted, mut asked) = (Targets::new(), Asked::default());
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                wanted = targets();
                asked.retain(&wanted);
            }
            Some((engine, answers)) = under_way.next() => {
                asked.told(engine, answers);
                // Readers get what came together in one piece.
                while let Some(Some((engine, answers))) = under_way.next().now_or_never() {
                    asked.told(engine, answers);
                }
            }
        }
        for (engine, url) in asked.due(&wanted, AT_ONCE.saturating_sub(under_way.len()), Instant::now()) {
            let answer = ask(engine, url);
            under_way.push(async move { (engine, answer.await) });
        }
        soft.tried(asked.tries()).await;
    }
}

/// What has been asked.
#[derive(Debug, Default)]
struct Asked(BTreeMap<EngineId, Last>);

/// How an engine was asked last.
#[derive(Clone, Copy, Debug)]
struct Last {
    begun: Instant,
    is_under_way: bool,
    /// How often it has not answered, in a row; absent before the first result.
    failed: Option<u32>,
}

impl Asked {
    /// Forgets engines that are not asked any more.
    fn retain(&mut self, targets: &Targets) {
        self.0.retain(|engine, _| targets.contains_key(engine));
    }

    /// Engines to ask now, at most so many: first those that were never asked, then by how long ago that was.
    fn due(&mut self, targets: &Targets, room: usize, now: Instant) -> Vec<(EngineId, Url)> {
        let is_due = |last: &Last| !last.is_under_way && now.duration_since(last.begun) >= PERIOD;
        let mut due: Vec<(Option<Instant>, EngineId)> = targets
            .keys()
            .filter(|engine| self.0.get(engine).is_none_or(is_due))
            .map(|engine| (self.0.get(engine).map(|last| last.begun), *engine))
            .collect();
        due.sort_unstable();
        due.truncate(room);
        for (_, engine) in &due {
            let failed = self.0.get(engine).and_then(|last| last.failed);
            self.0.insert(*engine, Last { begun: now, is_under_way: true, failed });
        }
        due.iter().filter_map(|(_, engine)| Some((*engine, targets.get(engine)?.clone()))).collect()
    }

    /// Notes whether an engine answered.
    fn told(&mut self, engine: EngineId, answers: bool) {
        if let Some(last) = self.0.get_mut(&engine) {
            let failed = last.failed.unwrap_or_default().saturating_add(1);
            (last.is_under_way, last.failed) = (false, Some(if answers { 0 } else { failed }));
        }
    }

    fn tries(&self) -> Tries {
        self.0.iter().filter_map(|(engine, last)| Some((*engine, last.failed?))).collect()
    }
}

async fn ask(client: &reqwest::Client, engine: EngineId, url: Url) -> bool {
    let answer = probe_ask::status(client, url, LIMIT).await;
    if let Err(error) = &answer {
        tracing::debug!(%engine, %error, "an engine of a silent host does not answer");
    }
    answer.is_ok()
}

/// The engines of other hosts that are silent. Those of one that has said that it stops are asked, too: its power may go with it, and
/// asking takes nothing from anybody. A host that is down has lost them anyway.
fn targets(state: &State, own: NodeId, silence: impl Fn(NodeId) -> Duration) -> Targets {
    let is_asked = |node: &Node| {
        let is_other = node.info.id != own && node.down_since_ms.is_none();
        is_other && silence(node.info.id) >= SUSPECT_AFTER
    };
    let silent = state.nodes().filter(|node| is_asked(node));
    let engines =
        silent.flat_map(|node| lost_hosts::asked(state, node.info.id).map(move |engine| (node, engine)));
    engines.filter_map(|(node, engine)| Some((engine.id, url(node, engine)?))).collect()
}

/// Where the relays of other hosts reach an engine, too.
fn url(node: &Node, engine: &Engine) -> Option<Url> {
    let elsewhere = engine.address.as_deref().filter(|address| !is_loopback(address));
    let host = elsewhere.unwrap_or(&node.info.advertise_host);
    address::rebase(&format!("http://{}", join(bare(host), engine.ports.host_http)), STATUS)
}

#[cfg(test)]
#[path = "silent_hosts_tests.rs"]
mod tests;
