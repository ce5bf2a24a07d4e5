//! `POST /scale/{demand}`, `POST /gc`.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, InvalidBody, Problem};
use crate::http::answer::snapshot::written;
use crate::http::app::App;
use crate::http::request::call::Caller;
use crate::http::request::validate::{Checker, parse_integer};

/// What was asked for.
#[derive(Serialize, ToSchema)]
struct Scaled {
    /// The requested number, which may be beyond the limits.
    scaled_to: i64,
}

/// Scale to a number of engines
///
/// Within `MIN_REPLICAS` and `MAX_REPLICAS`. Engines with streams, and those idle for less than `ENGINE_GRACE_PERIOD_S`, stay. Answers when
/// the new containers run, or after 2.4 s while some are still starting, or when removed engines are unlisted. These stop 35 s later,
/// unless a client that got one plays on it.
#[utoipa::path(
    post, path = "/scale/{demand}", tag = "provisioning", operation_id = "scale",
    params(("demand" = i64, Path, description = "Engines in the whole cluster; negative counts as 0")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Done, as far as hosts allowed", body = Scaled),
        (status = 422, description = "Not a number", body = InvalidBody),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn scale(
    State(app): State<App>,
    caller: Caller,
    Path(demand): Path<String>,
) -> Result<Response, Problem> {
    let demand = match parse_integer(&demand) {
        Ok(number) => number,
        Err((kind, msg)) => {
            let mut checker = Checker::default();
            checker.add(kind, &[json!("path"), json!("demand")], msg, &json!(demand), None);
            checker.finish()?;
            0
        }
    };
    caller.fleet(&app).scale(demand, caller.arrival.provision_deadline()).await?;
    Ok(written(app.fleet().view().revision, &Scaled { scaled_to: demand }))
}

/// A word.
#[derive(Serialize, ToSchema)]
struct Status {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Remove idle engines
///
/// Those idle for `IDLE_TTL_S`, as far as `MIN_REPLICAS` and `MIN_FREE_REPLICAS` allow. Answers when they are unlisted; they stop 35 s
/// later.
#[utoipa::path(
    post, path = "/gc", tag = "provisioning", operation_id = "collect_garbage",
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "Done", body = Status),
        (status = 503, description = "No leader took the write in time", body = BlockedBody),
    )
)]
pub(crate) async fn gc(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.fleet(&app).collect_garbage(caller.arrival.write_deadline()).await?;
    Ok(written(app.fleet().view().revision, &Status { status: "ok" }))
}
