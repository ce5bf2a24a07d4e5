//! Performs the plans, with one task at a time for each engine or container. It decides nothing.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::agent::context::{Context, Work};
use crate::agent::observe::Observation;
use crate::agent::plan::{self, Action};
use crate::agent::{ending, starting};

/// Follows the records and the containers until the node stops.
pub(super) async fn reconcile(ctx: Arc<Context>, mut observations: mpsc::Receiver<Observation>) {
    // Outdated records would create containers that are not wanted any more.
    ctx.cluster.recovered().await;
    let mut changes = ctx.cluster.fleet_changes();
    // The policy says which labels of a container are the caller's.
    while !ctx.cluster.view().state.has_policy() {
        if changes.changed().await.is_err() {
            return;
        }
    }
    loop {
        changes.borrow_and_update();
        // Busy before state: what a finished task wrote is in the state.
        let busy = ctx.busy();
        let now = ctx.cluster.view();
        perform(&ctx, plan::wanted(&now.state, ctx.node, &busy));
        tokio::select! {
            gone = changes.changed() => if gone.is_err() { return },
            () = ctx.replan.notified() => {}
            seen = observations.recv() => match seen {
                Some(seen) => drift(&ctx, &seen),
                None => return,
            },
        }
    }
}

fn drift(ctx: &Arc<Context>, seen: &Observation) {
    let busy = ctx.busy();
    let now = ctx.cluster.view();
    ctx.report.saw(&now.state, &seen.containers, ctx.cluster.wall_now());
    let mut actions = plan::drifted(&seen.before.state, &now.state, ctx.node, &seen.containers, &busy);
    actions.extend(plan::cut_off(&now.state, ctx.node, &seen.containers, &ctx.networks.all(), &busy));
    perform(ctx, actions);
}

fn perform(ctx: &Arc<Context>, actions: Vec<Action>) {
    for action in actions {
        let task = Arc::clone(ctx);
        match action {
            Action::Start(id) => {
                ctx.spawn(Work::Engine(id), async move { starting::start(&task, id).await });
            }
            Action::Stop(id) => {
                ctx.spawn(Work::Engine(id), async move { ending::stop(&task, id).await });
            }
            Action::Bury { engine, container, listed } => {
                ctx.spawn(Work::Engine(engine), async move {
                    ending::bury(&task, engine, &container, listed).await;
                });
            }
            Action::Adopt(found) => {
                let work = Work::Container(found.container_id.clone());
                ctx.spawn(work, async move { ending::adopt(&task, *found).await });
            }
            Action::CutOff(id) => {
                ctx.spawn(Work::Engine(id), async move { ending::cut_off(&task, id).await });
            }
            Action::Remove { container, why } => {
                let work = Work::Container(container.clone());
                ctx.spawn(work, async move { ending::clear(&task, &container, why).await });
            }
        }
    }
}
