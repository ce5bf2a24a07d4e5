//! Engines of other hosts that are silent: this node asks them over the network, as nobody on their host can say how they are. What
//! comes of it is shown by this node, and decided by if it leads.

use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::address::{bare, is_loopback, join};
use acefleet_registry::rules::liveness::{SUSPECT_AFTER, UNAVAILABLE_AFTER};
use acefleet_registry::rules::lost_hosts::{self, Tries};
use acefleet_registry::{Engine, EngineId, Node, State};
use futures::future::join_all;
use tokio::time::MissedTickBehavior;
use url::Url;

use crate::agent::address;
use crate::agent::context::Context;
use crate::agent::fetch;
use crate::agent::probe_ask::STATUS;
use crate::peers::SoftState;

/// Pause between two rounds.
const PERIOD: Duration = Duration::from_millis(250);
/// Two rounds fit between the moment at which a host is suspect and that at which it is unavailable.
const LIMIT: Duration = Duration::from_secs(1);
/// Engines that are asked at once.
const AT_ONCE: usize = 64;

/// Runs for ever.
pub(super) async fn run(ctx: Arc<Context>, client: reqwest::Client, soft: &SoftState) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tries = Tries::new();
    loop {
        ticks.tick().await;
        let view = ctx.cluster.view();
        let targets = targets(&view.state, |node| node.info.id != ctx.node && is_silent(&ctx, node));
        tries.retain(|id, _| targets.iter().any(|(engine, _)| engine == id));
        for some in targets.chunks(AT_ONCE) {
            for (engine, answers) in
                join_all(some.iter().map(|(id, url)| ask(&client, *id, url.clone()))).await
            {
                let failed = tries.entry(engine).or_default();
                *failed = if answers { 0 } else { failed.saturating_add(1) };
            }
        }
        soft.tried(tries.clone()).await;
    }
}

async fn ask(client: &reqwest::Client, engine: EngineId, url: Url) -> (EngineId, bool) {
    let answer = fetch::json(client, url, LIMIT).await;
    if let Err(error) = &answer {
        tracing::debug!(%engine, %error, "an engine of a silent host does not answer");
    }
    (engine, answer.is_ok())
}

/// Whether a host has been silent so long that it may soon be unavailable.
fn is_silent(ctx: &Context, node: &Node) -> bool {
    // How long until it is down makes no difference here.
    let (unavailable_ms, _) = lost_hosts::limits(node, u64::MAX);
    let ask_after = Duration::from_millis(unavailable_ms).saturating_sub(UNAVAILABLE_AFTER - SUSPECT_AFTER);
    ctx.cluster.silence(node.info.id) >= ask_after
}

/// The engines of these hosts, with what is asked of them, unless the host is down: those are lost anyway.
fn targets(state: &State, is_silent: impl Fn(&Node) -> bool) -> Vec<(EngineId, Url)> {
    let silent = state.nodes().filter(|node| node.down_since_ms.is_none() && is_silent(node));
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
