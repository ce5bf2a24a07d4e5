//! `POST /cluster/nodes/{name}/cordon`, `/uncordon`, `/drain`, `/adopt`, `DELETE /cluster/nodes/{name}`.

use acefleet_registry::node::Wanted;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::{Sight, written};
use crate::http::app::App;
use crate::http::cluster::{self, ClusterNode, Told};
use crate::http::request::call::{Caller, JsonCall};
use crate::http::request::query::Query;
use crate::http::request::validate::{Checker, Place};
use crate::peers::Adoption;

/// Longest deadline of a drain, seconds: a year.
const DEADLINE_MAX: i64 = 365 * 86_400;

/// Refusals of all operations on members.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
enum Refused {
    /// No such member
    #[response(status = 404)]
    Unknown(DetailBody),
}

async fn set(app: &App, name: &str, wanted: Wanted, caller: &Caller) -> Result<Response, Problem> {
    caller.fleet(app).set_availability(name, wanted, caller.arrival.write_deadline()).await?;
    show(app, name)
}

/// The member as it is now.
fn show(app: &App, name: &str) -> Result<Response, Problem> {
    let member = app.fleet().member(name)?;
    let sight = Sight::now(app);
    let candidates = app.fleet().candidates(&sight.view.state);
    let told = Told::of(&sight, app.fleet().cluster().status().leader, &member);
    let node = cluster::node(&sight.view.state, told, member, &candidates, &|at| sight.shown(at));
    Ok(written(sight.view.revision, &node))
}

/// Cordon a node
///
/// It gets no new engines; those that run stay and get streams.
#[utoipa::path(
    post, path = "/cluster/nodes/{name}/cordon", tag = "cluster", operation_id = "cordon_node",
    params(("name" = String, Path, description = "Name of the member")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The node as it is now", body = ClusterNode),
        Refused,
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn cordon(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    set(&app, &name, Wanted::Cordoned, &caller).await
}

/// Use a node again
///
/// Ends a cordon or a drain.
#[utoipa::path(
    post, path = "/cluster/nodes/{name}/uncordon", tag = "cluster", operation_id = "uncordon_node",
    params(("name" = String, Path, description = "Name of the member")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The node as it is now", body = ClusterNode),
        Refused,
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn uncordon(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    set(&app, &name, Wanted::Active, &caller).await
}

/// How to drain.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"deadline_seconds": 3600}))]
#[expect(dead_code, reason = "describes a body that is read by hand")]
struct DrainBody {
    /// Seconds from now after which remaining streams end. Without it there is no limit.
    #[schema(minimum = 0, example = 3600)]
    deadline_seconds: Option<i64>,
    /// Whether the node itself ends the drain when it has been started again, has caught up, and its Docker answers.
    #[schema(example = false)]
    returns: Option<bool>,
}

/// What a drain is to be, also without a body.
pub(in crate::http) fn drain_wanted(body: Option<&Value>) -> Result<Wanted, Problem> {
    let mut checker = Checker::default();
    let Some(body) = body.filter(|body| !body.is_null()) else {
        return Ok(Wanted::Draining { within_ms: None, returns: false });
    };
    let fields = Place::body(Some(body)).object(&mut checker);
    let place = fields.at("deadline_seconds");
    let seconds = place.optional_integer(&mut checker, 0..=DEADLINE_MAX);
    // Also takes true and false.
    let returns = fields.at("returns").optional_integer(&mut checker, 0..=1) == Some(1);
    checker.finish()?;
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(Wanted::Draining { within_ms: seconds.map(|seconds| seconds.saturating_mul(1_000)), returns })
}

/// Drain a node
///
/// It gets no new engines and no new streams. Each engine stops when its streams have ended, after replacements run elsewhere if the floors
/// need them, and not before 35 seconds, as clients may have just got it. Answers at once; `drain` in the node shows the progress. Repeat
/// the call to change the deadline.
#[utoipa::path(
    post, path = "/cluster/nodes/{name}/drain", tag = "cluster", operation_id = "drain_node",
    params(("name" = String, Path, description = "Name of the member")),
    request_body = Option<DrainBody>,
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The node as it is now", body = ClusterNode),
        Refused,
        (status = 422, description = "The body is wrong", body = InvalidBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn drain(
    State(app): State<App>,
    Path(name): Path<String>,
    call: JsonCall,
) -> Result<Response, Problem> {
    let (wanted, call) = call.read(drain_wanted)?;
    set(&app, &name, wanted, &call.caller).await
}

/// Let a node lead
///
/// Transfers leadership to it without an election: nobody waits for longer than a write takes. Of no use while it lags behind; the present
/// leader goes on then. Safe to repeat.
#[utoipa::path(
    post, path = "/cluster/nodes/{name}/lead", tag = "cluster", operation_id = "lead_node",
    params(("name" = String, Path, description = "Name of a member with a vote")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It leads", body = ClusterNode),
        (status = 409, description = "It has no vote yet", body = DetailBody),
        (status = 503, description = "No leader in time, or it did not take over", body = BlockedBody),
        Refused,
    )
)]
pub(crate) async fn lead(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.fleet(&app).transfer_leadership(&name, caller.arrival.write_deadline()).await?;
    show(&app, &name)
}

/// A removed member.
#[derive(Serialize, ToSchema)]
struct Removed {
    /// Its name, free again.
    removed: String,
    /// The votes before and after; null when it had none.
    #[schema(example = "voters: 3, alive 2, needed for a majority 2; without b: 2, alive 2, needed 2")]
    votes: Option<String>,
}

/// Remove a node
///
/// For good: its id never comes back, but the host can join again with an empty data directory. The removed node ends by itself with exit
/// code 77. A living node has to be drained first, and has to write its queued events. The last voter stays, and so does any without which
/// the others would be no majority. Safe to repeat.
#[utoipa::path(
    delete, path = "/cluster/nodes/{name}", tag = "cluster", operation_id = "remove_node",
    params(
        ("name" = String, Path, description = "Name of the member"),
        ("force" = Option<bool>, Query, description = "Even if it runs engines, has queued events, or has to vote itself out. \
            A majority that is not there cannot be forced"),
    ),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is no member any more", body = Removed),
        Refused,
        (status = 409, description = "Not safe; the text shows the votes", body = DetailBody),
        (status = 422, description = "`force` is neither true nor false", body = InvalidBody),
        (status = 503, description = "No leader in time, or not finished", body = BlockedBody),
    )
)]
pub(crate) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Result<Response, Problem> {
    let force = forced(query.as_deref())?;
    let votes = caller.fleet(&app).remove_member(&name, force, caller.arrival.patient_deadline(&app)).await?;
    Ok(written(app.fleet().view().revision, &Removed { removed: name, votes }))
}

/// Whether the query says `force`.
fn forced(query: Option<&str>) -> Result<bool, Problem> {
    let words = [("true", true), ("false", false), ("1", true), ("0", false), ("", true)];
    Ok(Query::parse(query).one_of("force", &words)?.unwrap_or(false))
}

/// Result of an adoption.
#[derive(Serialize, ToSchema)]
struct AdoptedEngine {
    /// Name of the container.
    #[schema(example = "acestream-3")]
    name: String,
    /// Why it was not adopted; null when it was.
    refused: Option<String>,
}

/// Adopt what was left behind
///
/// Adopts engines on the host of the node that carry the labels of another node or cluster, because the host lost its data directory or
/// its node had another name. `left_behind` in `/orchestrator/status` shows them. They keep their names and ports. An engine is refused if
/// its name or port is in use in this cluster. Without `force`, so is one that a node of another name made in another cluster. Safe to
/// repeat.
#[utoipa::path(
    post, path = "/cluster/nodes/{name}/adopt", tag = "cluster", operation_id = "adopt_left_behind",
    params(
        ("name" = String, Path, description = "Name of the member"),
        ("force" = Option<bool>, Query, description = "Also engines of another cluster, or of the orchestrator of before. If that lives, it loses them"),
    ),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Each engine that was found, with the result", body = [AdoptedEngine]),
        Refused,
        (status = 422, description = "`force` is neither true nor false", body = InvalidBody),
        (status = 503, description = "The node or its Docker does not answer", body = BlockedBody),
    )
)]
pub(crate) async fn adopt(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Result<Response, Problem> {
    let force = forced(query.as_deref())?;
    let adoptions =
        caller.fleet(&app).adopt_left_behind(&name, force, caller.arrival.patient_deadline(&app)).await?;
    let shown = |adoption: Adoption| AdoptedEngine { name: adoption.name, refused: adoption.refused };
    let adopted: Vec<AdoptedEngine> = adoptions.into_iter().map(shown).collect();
    Ok(written(app.fleet().view().revision, &adopted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_of_a_drain_is_optional_and_checked() {
        let drain = |within_ms, returns| Wanted::Draining { within_ms, returns };
        assert_eq!(drain_wanted(None).unwrap(), drain(None, false));
        for (body, expected) in [
            (json!(null), drain(None, false)),
            (json!({}), drain(None, false)),
            (json!({"deadline_seconds": null, "returns": null, "other": 1}), drain(None, false)),
            (json!({"deadline_seconds": 0}), drain(Some(0), false)),
            (json!({"deadline_seconds": 90, "returns": true}), drain(Some(90_000), true)),
        ] {
            assert_eq!(drain_wanted(Some(&body)).unwrap(), expected, "{body}");
        }
        for seconds in [json!(-1), json!(1.5), json!("soon"), json!([]), json!(DEADLINE_MAX + 1)] {
            assert!(drain_wanted(Some(&json!({"deadline_seconds": seconds}))).is_err(), "{seconds}");
        }
        assert!(drain_wanted(Some(&json!({"returns": "later"}))).is_err());
        assert!(drain_wanted(Some(&json!([]))).is_err());
    }
}
