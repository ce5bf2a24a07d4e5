//! Checks for images and networks that starts did not find. Until they are there, no engine that needs them is placed on this host.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::lack::Lack;
use acefleet_registry::{Command, Elapsed, NodeId, State};
use tokio::time::Instant;

use crate::agent::context::Context;
use crate::agent::variant;

/// Pause between checks.
const PERIOD: Duration = Duration::from_secs(2);
/// Pause between pulls of the configured image: while it is missing, no start asks for it.
const FETCH_EVERY: Duration = Duration::from_secs(60);

/// Checks for ever.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut changes = ctx.cluster.fleet_changes();
    let mut fetch_at: Option<Instant> = None;
    loop {
        changes.borrow_and_update();
        let lacks = lacks(&ctx.cluster.view().state, ctx.node, ctx.cluster.moment());
        if lacks.is_empty() {
            fetch_at = None;
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let mut found = BTreeSet::new();
        for (lack, chosen) in lacks {
            let needed = chosen || is_set_up(&ctx, &lack);
            // What cannot be asked for is tried by the next start.
            if !needed {
                tracing::info!(
                    name = lack.name(),
                    "the settings name another image or network than the missing one"
                );
                found.insert(lack);
            } else if matches!(ctx.runtime.has(&lack).await, Ok(true)) {
                tracing::info!(name = lack.name(), "the missing image or network is there");
                found.insert(lack);
            } else if let (Lack::Image(image), false) = (&lack, chosen) {
                let due = *fetch_at.get_or_insert_with(|| Instant::now() + FETCH_EVERY);
                if Instant::now() >= due {
                    fetch_at = Some(Instant::now() + FETCH_EVERY);
                    ctx.pulls.fetch(image, Instant::now()).await;
                }
            }
        }
        if !found.is_empty() {
            ctx.writer.settle(Command::Found { node: ctx.node, lacks: found }).await;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// What this host lacks, and whether only a caller named it. Records of it may be outdated: an idle registry drops nothing.
fn lacks(state: &State, node: NodeId, now_ms: Elapsed) -> Vec<(Lack, bool)> {
    let lacks = state.lacks_of(node).filter(|(_, lacking)| !lacking.is_over(now_ms));
    lacks.map(|(lack, lacking)| (lack.clone(), lacking.chosen)).collect()
}

/// Whether the settings of this node still name it.
fn is_set_up(ctx: &Context, lack: &Lack) -> bool {
    match lack {
        Lack::Image(name) => *name == variant::image(&ctx.config),
        Lack::Network(name) => ctx.config.docker_network.as_ref() == Some(name),
    }
}

#[cfg(test)]
mod tests {
    use acefleet_registry::engine::EngineSpec;
    use acefleet_registry::node::DockerState;
    use acefleet_registry::{NodeInfo, OpId, Policy, Proposal, Reply, Reserve, apply};

    use super::*;

    #[test]
    fn what_a_caller_named_is_checked_for_ten_minutes_also_without_writes() {
        let node = NodeId(1);
        let mut state = State::default();
        let mut writes = 0;
        let mut write = |command| {
            writes += 1;
            let (op_id, at_ms) = (OpId::from_u128(writes), Elapsed(1_000));
            apply(&mut state, &Proposal { op_id, at_ms, origin: node, by: None, command }, 0)
        };
        write(Command::SetPolicy(Policy::default()));
        write(Command::NodeUp(NodeInfo {
            id: node,
            name: "alpha".to_owned(),
            advertise_host: "alpha".to_owned(),
            http_port: 8000,
            version: "0".to_owned(),
            capacity: 10,
            docker_network: None,
            vpns: vec![],
            scheme: Default::default(),
        }));
        write(Command::NodeDocker { node, docker: DockerState::Available });
        for image in [Some("named:1"), None] {
            let reserve = Reserve {
                spec: EngineSpec { image: image.map(str::to_owned), ..EngineSpec::acestream() },
                eligible: [node].into(),
                exclude: BTreeSet::new(),
                only_below: None,
                claim_abandoned: false,
                patience_ms: None,
                automatic: false,
                replaces: None,
            };
            let Reply::Engine(engine) = write(Command::Reserve(reserve)) else { panic!("refused") };
            let lack = Lack::Image(image.unwrap_or("configured:1").to_owned());
            write(Command::EngineLacks { engine: engine.id, lack, message: String::new() });
        }
        let looked_for = |now_ms: u64| -> Vec<String> {
            let lacks = lacks(&state, node, Elapsed(now_ms)).into_iter();
            lacks.map(|(lack, _)| lack.name().to_owned()).collect()
        };
        assert_eq!(looked_for(601_000), ["configured:1", "named:1"]);
        assert_eq!(looked_for(601_001), ["configured:1"]);
    }
}
