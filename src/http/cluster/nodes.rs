//! `POST /cluster/nodes/{name}/cordon`, `/uncordon`, `/drain`, `/adopt`, `DELETE /cluster/nodes/{name}`. What may be
//! done is decided in the fleet, not here.

use acefleet_registry::node::Wanted;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::answer::snapshot::written;
use crate::http::app::App;
use crate::http::cluster::{self, ClusterNode};
use crate::http::request::call::{Arrival, Caller, JsonCall};
use crate::http::request::query::Query;
use crate::http::request::validate::{Checker, Place};
use crate::peers::Adoption;

/// Longest deadline of a drain, seconds: a year.
const DEADLINE_MAX: i64 = 365 * 86_400;

/// What every operation on a member may be refused with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
enum Refused {
    /// No key
    #[response(status = 401)]
    NoKey(DetailBody),
    /// Wrong key
    #[response(status = 403)]
    WrongKey(DetailBody),
    /// No such member
    #[response(status = 404)]
    Unknown(DetailBody),
}

async fn set(app: &App, name: &str, wanted: Wanted, arrival: Arrival) -> Result<Response, Problem> {
    app.fleet().set_availability(name, wanted, arrival.write_deadline()).await?;
    let member = app.fleet().member(name)?;
    let view = app.fleet().view();
    let candidates = app.fleet().candidates(&view.state);
    Ok(written(view.revision, &cluster::node(&view.state, member, &candidates, &|at| app.shown(at))))
}

/// Cordon a node
///
/// It takes no new engines; those that run stay and take streams.
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
    set(&app, &name, Wanted::Cordoned, caller.arrival).await
}

/// Take a node into use again
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
    set(&app, &name, Wanted::Active, caller.arrival).await
}

/// How to drain.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"deadline_seconds": 3600}))]
#[expect(dead_code, reason = "describes a body that is read by hand")]
struct DrainBody {
    /// Seconds from now after which streams that still run are cut off. Without it they may take as long
    /// as they like.
    #[schema(minimum = 0, example = 3600)]
    deadline_seconds: Option<i64>,
}

/// Seconds until streams are cut off, if at all. Without a body: never.
fn deadline_seconds(body: Option<&Value>) -> Result<Option<u64>, Problem> {
    let mut checker = Checker::default();
    let Some(body) = body.filter(|body| !body.is_null()) else { return Ok(None) };
    let fields = Place::body(Some(body)).object(&mut checker);
    let place = fields.at("deadline_seconds");
    let seconds = place.optional_integer(&mut checker, 0..=DEADLINE_MAX);
    checker.finish()?;
    Ok(seconds.and_then(|seconds| u64::try_from(seconds).ok()))
}

/// Drain a node
///
/// It takes no new engines and no new streams. Its engines leave when their streams have ended, after
/// their replacements run elsewhere as far as the floors need any, and not before 35 seconds: clients that
/// were just given one may be on their way to it. Answers at once; `drain` in the node says how far it is.
/// Repeat the call to change the deadline.
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
    let (seconds, call) = call.read(deadline_seconds)?;
    let within_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
    set(&app, &name, Wanted::Draining { within_ms }, call.arrival).await
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
/// For good: its id never comes back, the host can join again with an empty data directory. The removed
/// node ends by itself with exit code 77. A node that lives and runs engines has to be drained first, and one
/// that keeps events for want of a leader has to write them first. The last voter stays, and so does any without
/// which the others would be no majority. Safe to repeat.
#[utoipa::path(
    delete, path = "/cluster/nodes/{name}", tag = "cluster", operation_id = "remove_node",
    params(
        ("name" = String, Path, description = "Name of the member"),
        ("force" = Option<bool>, Query, description = "Although it runs engines, keeps events that are not written yet, or has to vote itself out. \
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
    let votes = app.fleet().remove_member(&name, force, caller.arrival.patient_deadline(&app)).await?;
    Ok(written(app.fleet().view().revision, &Removed { removed: name, votes }))
}

/// Whether the query says `force`.
fn forced(query: Option<&str>) -> Result<bool, Problem> {
    let words = [("true", true), ("false", false), ("1", true), ("0", false), ("", true)];
    Ok(Query::parse(query).one_of("force", &words)?.unwrap_or(false))
}

/// What came of an adoption.
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
/// Engines that run on the node's host and carry the labels of another node or cluster: an earlier life of the host, whose data
/// directory was lost or whose name was another one, left them behind. `left_behind` in `/orchestrator/status` shows them. They keep
/// their names and ports; one whose name or port is taken in this cluster is refused, and so is one that a node of another name made in
/// another cluster, unless `force` says that it is gone. Safe to repeat.
#[utoipa::path(
    post, path = "/cluster/nodes/{name}/adopt", tag = "cluster", operation_id = "adopt_left_behind",
    params(
        ("name" = String, Path, description = "Name of the member"),
        ("force" = Option<bool>, Query, description = "Also engines of another cluster. One that lives loses them"),
    ),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Each engine that was found, and what came of it", body = [AdoptedEngine]),
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
        app.fleet().adopt_left_behind(&name, force, caller.arrival.patient_deadline(&app)).await?;
    let told = |adoption: Adoption| AdoptedEngine { name: adoption.name, refused: adoption.refused };
    let told: Vec<AdoptedEngine> = adoptions.into_iter().map(told).collect();
    Ok(written(app.fleet().view().revision, &told))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_of_a_drain_is_optional_and_checked() {
        assert_eq!(deadline_seconds(None).unwrap(), None);
        for (body, expected) in [
            (json!(null), None),
            (json!({}), None),
            (json!({"deadline_seconds": null, "other": 1}), None),
            (json!({"deadline_seconds": 0}), Some(0)),
            (json!({"deadline_seconds": 90}), Some(90)),
        ] {
            assert_eq!(deadline_seconds(Some(&body)).unwrap(), expected, "{body}");
        }
        for seconds in [json!(-1), json!(1.5), json!("soon"), json!([]), json!(DEADLINE_MAX + 1)] {
            assert!(deadline_seconds(Some(&json!({"deadline_seconds": seconds}))).is_err(), "{seconds}");
        }
        assert!(deadline_seconds(Some(&json!([]))).is_err());
    }
}
