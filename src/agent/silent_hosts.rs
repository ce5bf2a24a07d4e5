//! Engines of other hosts that are silent, or were: this node asks them over the network, as nobody on their host can say how they are.
//! What comes of it is shown by this node, and decided by if it leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::address::join;
use acefleet_registry::reach;
use acefleet_registry::rules::liveness::SUSPECT_AFTER;
use acefleet_registry::rules::lost_hosts::{self, TRIES, Tried, Tries};
use acefleet_registry::{Engine, EngineId, Node, NodeId, State};
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};
use url::Url;

use crate::agent::address;
use crate::agent::context::Context;
use crate::agent::probe_ask::{self, LIMIT, STATUS};
use crate::peers::SoftState;

/// Time between two looks at who is silent.
const LOOK: Duration = Duration::from_millis(250);
/// Time between two questions to one engine. Two whole ones fit between the moment at which a host is suspect and that at which it is
/// unavailable, as the second does not wait for the first.
const PERIOD: Duration = Duration::from_millis(500);
/// Questions to one engine at once. A verdict takes no more.
const AT_ONCE_TO_ONE: usize = TRIES as usize;
/// Questions at once. Those to a dead host take all of [`LIMIT`] and cost nothing but a socket each.
const AT_ONCE: usize = 512;

/// Engines to ask, and where; nowhere if their address is none.
type Targets = BTreeMap<EngineId, Option<Url>>;

/// Runs for ever.
pub(super) async fn run(ctx: Arc<Context>, client: reqwest::Client, soft: &SoftState) {
    let targets = || targets(&ctx.cluster.view().state, ctx.node, |id| ctx.cluster.silence(id));
    keep_asking(targets, |engine, url| ask(&ctx, &client, engine, url), soft).await;
}

/// Asks each engine at its own pace, so that none waits for those of a host that is dead. Tells each result as it comes.
async fn keep_asking<Answer: Future<Output = Option<bool>>>(
    targets: impl Fn() -> Targets,
    ask: impl Fn(EngineId, Url) -> Answer,
    soft: &SoftState,
) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut wanted, mut asked) = (Targets::new(), Asked::default());
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                wanted = targets();
                asked.retain(&wanted);
            }
            Some((engine, begun, answers)) = under_way.next() => {
                asked.told(engine, begun, answers);
                // Readers get what came together in one piece.
                while let Some(Some((engine, begun, answers))) = under_way.next().now_or_never() {
                    asked.told(engine, begun, answers);
                }
            }
        }
        let now = Instant::now();
        for (engine, url) in asked.due(&wanted, AT_ONCE.saturating_sub(under_way.len()), now) {
            let answer = ask(engine, url);
            under_way.push(async move { (engine, now, answer.await) });
        }
        soft.tried(asked.tries()).await;
    }
}

/// What has been asked.
#[derive(Debug, Default)]
struct Asked(BTreeMap<EngineId, Last>);

/// How an engine was asked last.
#[derive(Clone, Debug, Default)]
struct Last {
    /// When the last question began.
    begun: Option<Instant>,
    /// When those began that have no result yet.
    open: Vec<Instant>,
    /// When the newest began that was answered: what began before it and fails is out of date.
    answered: Option<Instant>,
    /// What it has come to; absent before the first result.
    tried: Option<Tried>,
}

impl Asked {
    /// Forgets engines that are not asked any more. Those that cannot be asked do not answer.
    fn retain(&mut self, targets: &Targets) {
        self.0.retain(|engine, _| targets.contains_key(engine));
        for (engine, _) in targets.iter().filter(|(_, url)| url.is_none()) {
            self.0.entry(*engine).or_default().tried = Some(Tried::Failed(TRIES));
        }
    }

    /// Engines to ask now, at most so many: first those that were never asked, then by how long ago that was.
    fn due(&mut self, targets: &Targets, room: usize, now: Instant) -> Vec<(EngineId, Url)> {
        let mut due: Vec<(Option<Instant>, EngineId, &Url)> = targets
            .iter()
            .filter_map(|(engine, url)| Some((*engine, url.as_ref()?)))
            .map(|(engine, url)| (self.0.get(&engine).and_then(|last| last.begun), engine, url))
            .filter(|(begun, engine, _)| {
                let is_over = begun.is_none_or(|begun| now.duration_since(begun) >= PERIOD);
                is_over && self.0.get(engine).is_none_or(|last| last.open.len() < AT_ONCE_TO_ONE)
            })
            .collect();
        due.sort_unstable();
        due.truncate(room);
        for (_, engine, _) in &due {
            let last = self.0.entry(*engine).or_default();
            last.begun = Some(now);
            last.open.push(now);
        }
        due.into_iter().map(|(_, engine, url)| (engine, url.clone())).collect()
    }

    /// Notes whether an engine answered the question that began then, unless this node could not ask it.
    fn told(&mut self, engine: EngineId, begun: Instant, answers: Option<bool>) {
        let Some(last) = self.0.get_mut(&engine) else { return };
        let Some(index) = last.open.iter().position(|at| *at == begun) else { return };
        last.open.swap_remove(index);
        let Some(answers) = answers else { return };
        if !answers && last.answered.is_some_and(|answered| answered > begun) {
            return;
        }
        // More than a verdict takes says nothing new.
        let next = |times: u32| times.saturating_add(1).min(TRIES);
        last.tried = Some(match (answers, last.tried) {
            (true, Some(Tried::Answered(times))) => Tried::Answered(next(times)),
            (true, _) => Tried::Answered(1),
            (false, Some(Tried::Failed(times))) => Tried::Failed(next(times)),
            (false, _) => Tried::Failed(1),
        });
        if answers {
            last.answered = last.answered.max(Some(begun));
        }
    }

    fn tries(&self) -> Tries {
        self.0.iter().filter_map(|(engine, last)| Some((*engine, last.tried?))).collect()
    }
}

/// Whether an engine answers; none when this node cannot ask.
async fn ask(ctx: &Context, client: &reqwest::Client, engine: EngineId, url: Url) -> Option<bool> {
    let Err(error) = probe_ask::status(client, url, LIMIT).await else { return Some(true) };
    if let Some(lack) = error.own_lack() {
        ctx.lacks.note(lack, "engines of a silent host", &error);
        return None;
    }
    tracing::debug!(%engine, %error, "an engine of a silent host does not answer");
    Some(false)
}

/// The engines of other hosts that are silent, and those that are lost until they answer, though their host does. Those of one that has said
/// that it stops are asked, too: its power may go with it, and asking takes nothing from anybody. A host that is down has lost them anyway.
fn targets(state: &State, own: NodeId, silence: impl Fn(NodeId) -> Duration) -> Targets {
    let others = state.nodes().filter(|node| node.info.id != own && node.down_since_ms.is_none());
    let of_host = |node: &Arc<Node>| {
        let (node, is_silent) = (Arc::clone(node), silence(node.info.id) >= SUSPECT_AFTER);
        let asked = lost_hosts::asked(state, node.info.id);
        let asked = asked.filter(move |engine| is_silent || state.is_lost(engine));
        asked.map(move |engine| (engine.id, url(&node, engine)))
    };
    others.flat_map(of_host).collect()
}

/// Where an engine of another host is asked.
fn url(node: &Node, engine: &Engine) -> Option<Url> {
    let host = reach::from_elsewhere(node, engine)?;
    address::rebase(&format!("http://{}", join(host, engine.ports.host_http)), STATUS)
}

#[cfg(test)]
#[path = "silent_hosts_tests.rs"]
mod tests;
