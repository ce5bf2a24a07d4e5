//! `GET /orchestrator/plan`.

use axum::extract::State;
use axum::response::Response;

use crate::http::answer::problem::{BlockedBody, Problem};
use crate::http::answer::snapshot::written;
use crate::http::app::App;
use crate::peers::PlanView;

/// The leader's plan
///
/// What the leader decides at this moment, and what is due later with the reason why not now: engines that are missing, replacements,
/// engines that leave when their streams have ended, hosts that do not answer. Asked from the leader, whichever node answers.
#[utoipa::path(
    get, path = "/orchestrator/plan", tag = "status", operation_id = "plan",
    responses(
        (status = 200, description = "The plan", body = PlanView),
        (status = 503, description = "No leader, or it does not answer", body = BlockedBody),
    )
)]
pub(crate) async fn get(State(app): State<App>) -> Result<Response, Problem> {
    let plan = app.fleet().plan().await?;
    Ok(written(plan.revision, &plan))
}
