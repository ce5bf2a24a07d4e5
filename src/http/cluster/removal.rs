//! `GET /cluster/nodes/{name}/removal`: what `DELETE /cluster/nodes/{name}` would do.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::removal::Sum;
use crate::http::answer::problem::{DetailBody, Problem};
use crate::http::answer::snapshot::written;
use crate::http::app::App;

/// Votes at one moment.
#[derive(Serialize, ToSchema)]
struct VoteSum {
    /// Voters, dead ones included.
    #[schema(example = 3)]
    voters: usize,
    /// Those that answer now.
    #[schema(example = 3)]
    alive: usize,
    /// So many have to answer for anything to be written.
    #[schema(example = 2)]
    needed: usize,
    /// So many of those that answer may fail, and the rest still suffices.
    #[schema(example = 1)]
    may_fail: usize,
}

impl From<Sum> for VoteSum {
    fn from(sum: Sum) -> Self {
        let Sum { voters, alive, needed } = sum;
        Self { voters, alive, needed, may_fail: sum.may_fail() }
    }
}

/// Votes before and after a removal.
#[derive(Serialize, ToSchema)]
struct RemovalVotes {
    before: VoteSum,
    after: VoteSum,
    /// Whether the cluster goes on while the member is only stopped: it counts as a voter then. `acefleet maintenance begin` goes by it.
    stop_keeps_majority: bool,
}

/// What the removal of a member would do.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovalPreview {
    /// The member.
    node: String,
    /// It answers.
    alive: bool,
    /// Null when it has no vote.
    votes: Option<RemovalVotes>,
    /// Containers that run on its host. With `force` they leave the registry and stay there.
    engines: usize,
    /// Events that it has answered and not written yet. A removal gives it five seconds for them.
    queued_events: u64,
    /// Why it would be refused; null when it would be made.
    refused: Option<String>,
    /// Why it would be refused with `force`; null when that would make it.
    refused_with_force: Option<String>,
}

/// What a removal would do
///
/// The votes before and after, how many voters may fail, and why it would be refused, by the rules of `DELETE /cluster/nodes/{name}` at
/// this moment. Nothing is changed.
#[utoipa::path(
    get, path = "/cluster/nodes/{name}/removal", tag = "cluster", operation_id = "preview_removal",
    params(("name" = String, Path, description = "Name of the member")),
    responses(
        (status = 200, description = "What it would do", body = RemovalPreview),
        (status = 404, description = "No such member", body = DetailBody),
    )
)]
pub(crate) async fn get(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Problem> {
    let removal = app.fleet().removal(&name).await?;
    let preview = RemovalPreview {
        node: name,
        alive: removal.lives,
        votes: removal.votes.map(|votes| RemovalVotes {
            before: votes.before().into(),
            after: votes.after().into(),
            stop_keeps_majority: votes.stop_keeps_majority(),
        }),
        engines: removal.engines,
        queued_events: removal.queued_events,
        refused: removal.check(false).err(),
        refused_with_force: removal.check(true).err(),
    };
    Ok(written(app.fleet().view().revision, &preview))
}
