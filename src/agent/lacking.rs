//! Looks whether this host has what starts found missing by name, and says so: until then nothing that needs it is placed here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::Command;
use acefleet_registry::lack::Lack;
use tokio::time::Instant;

use crate::agent::context::Context;
use crate::agent::variant;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(2);
/// Between two attempts to fetch the configured image: nobody else asks for it while it keeps engines from starting.
const FETCH_EVERY: Duration = Duration::from_secs(60);

/// Looks for ever.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut changes = ctx.cluster.fleet_changes();
    let mut fetch_at: Option<Instant> = None;
    loop {
        changes.borrow_and_update();
        let lacks = lacks(&ctx);
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
            if !needed || matches!(ctx.runtime.has(&lack).await, Ok(true)) {
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
            for lack in &found {
                tracing::info!(name = lack.name(), "what was missing is there");
            }
            ctx.writer.settle(Command::Found { node: ctx.node, lacks: found }).await;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// What this host lacks, and whether only a caller named it.
fn lacks(ctx: &Context) -> Vec<(Lack, bool)> {
    let view = ctx.cluster.view();
    view.state.lacks_of(ctx.node).map(|(lack, lacking)| (lack.clone(), lacking.chosen)).collect()
}

/// Whether this node is still set up with it.
fn is_set_up(ctx: &Context, lack: &Lack) -> bool {
    match lack {
        Lack::Image(name) => *name == variant::image(&ctx.config),
        Lack::Network(name) => ctx.config.docker_network.as_ref() == Some(name),
    }
}
