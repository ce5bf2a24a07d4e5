//! Asks the engines behind a VPN whether they are connected to their network.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::{Engine, EngineId, WallMs};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::agent::address;
use crate::agent::context::Context;
use crate::agent::fetch::{self, FetchError};
use crate::agent::vpn::opinion::Answers;

const CONNECTION: &str = "/server/api?api_version=3&method=get_network_connection_status";
/// Time for all of them together, which an inspection waits for.
const LIMIT: Duration = Duration::from_millis(1_500);
/// Engines that are asked.
const MOST: usize = 32;
/// An engine that was started while the health check failed has so long to connect before its no counts.
const CONNECTS_WITHIN: Duration = Duration::from_secs(30);
/// An engine whose stream got data within this time has a tunnel.
pub(super) const PLAYS_WITHIN: Duration = Duration::from_secs(15);

/// What the engines in the network of this VPN container say by the end of the time that they have, when Docker's health check has failed
/// for so long. Nothing when none is connected and this node could not ask all of them.
pub(super) async fn ask(
    ctx: &Context,
    client: &reqwest::Client,
    container: &str,
    fails_for: Duration,
) -> Option<Answers> {
    let deadline = Instant::now() + LIMIT;
    let view = ctx.cluster.view();
    let behind = view.state.engines_behind(ctx.node, container);
    let running: Vec<&Arc<Engine>> = behind.filter(|engine| engine.is_published()).take(MOST).collect();
    let is_young = |engine: &Engine| {
        let age = engine.started_at_ms.map(|at| Duration::from_millis(ctx.cluster.moment().since(at)));
        age.is_some_and(|age| age < fails_for.min(CONNECTS_WITHIN))
    };
    let mut asked: FuturesUnordered<_> =
        running.iter().map(|engine| connected(ctx, client, engine)).collect();
    let (mut answers, mut is_whole) = (Answers::default(), true);
    // Decided once: the question takes time, in which one may come of age.
    let young: BTreeSet<EngineId> = running.iter().filter(|e| is_young(e)).map(|e| e.id).collect();
    let is_young = |engine: &Engine| young.contains(&engine.id);
    let mut young_and_connected = 0;
    while let Ok(Some((engine, connected))) = timeout_at(deadline, asked.next()).await {
        match connected {
            Err(error) => {
                if let Some(lack) = error.own_lack() {
                    ctx.lacks.note(lack, "the engines behind a VPN", &error);
                    is_whole = false;
                }
            }
            Ok(Some(true)) => {
                answers.connected += 1;
                young_and_connected += usize::from(is_young(engine));
                answers.witness.get_or_insert_with(|| engine.container_name.clone());
            }
            Ok(Some(false)) => answers.cut_off += usize::from(!is_young(engine)),
            Ok(None) => {}
        }
    }
    answers.young = young.len() - young_and_connected;
    answers.silent = running.len() - answers.connected - answers.cut_off - answers.young;
    (is_whole || answers.connected > 0).then_some(answers)
}

/// An engine behind this VPN container whose stream has got data within this time: a better proof of the tunnel than any question.
pub(super) fn that_plays(ctx: &Context, container: &str, within: Duration) -> Option<String> {
    let view = ctx.cluster.view();
    let since = ctx.cluster.wall_now().0.saturating_sub(within.as_millis() as u64);
    let plays = |engine: &&Arc<Engine>| {
        view.state.streams_of(engine.id).any(|stream| {
            let downloaded = ctx
                .samples
                .since(&stream.start.id, Some(WallMs(since)))
                .into_iter()
                .filter_map(|s| s.downloaded);
            let downloaded: Vec<i64> = downloaded.collect();
            downloaded.windows(2).any(|pair| pair[1] > pair[0])
        })
    };
    let mut behind = view.state.engines_behind(ctx.node, container);
    behind.find(plays).map(|engine| engine.container_name.clone())
}

async fn connected<'a>(
    ctx: &Context,
    client: &reqwest::Client,
    engine: &'a Engine,
) -> (&'a Engine, Result<Option<bool>, FetchError>) {
    let Some(url) = address::rebase(&ctx.addresses.base(engine), CONNECTION) else {
        return (engine, Ok(None));
    };
    (engine, fetch::json(client, url, LIMIT).await.map(|answer| is_connected(&answer)))
}

/// Nothing for an answer that does not say so in the right words.
fn is_connected(answer: &Value) -> Option<bool> {
    answer.get("result")?.get("connected")?.as_bool()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_read_with_care() {
        for (body, said) in [
            (json!({"result": {"connected": true}, "error": null}), Some(true)),
            (json!({"result": {"connected": false}}), Some(false)),
            (json!({"result": {"connected": "true"}}), None),
            (json!({"result": {"connected": 1}}), None),
            (json!({"result": null, "error": "unknown method"}), None),
            (json!([true]), None),
        ] {
            assert_eq!(is_connected(&body), said, "{body}");
        }
    }
}
