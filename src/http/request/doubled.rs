//! What a request may say once only: a proxy before this node, or another part of it, may go by the other value.

use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};

use crate::http::answer::problem::Problem;
use crate::http::request::query::Query;

/// Longest name of a parameter in an answer.
const NAME_MAX: usize = 64;

/// Refuses a request with several hosts.
///
/// # Errors
/// 400.
pub(crate) fn host(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get_all(HOST).iter().count() {
        0 | 1 => Ok(()),
        _ => Err(refused("the request has several Host headers: send one")),
    }
}

/// Refuses a query that gives a parameter twice.
///
/// # Errors
/// 400 that names it.
pub(crate) fn parameter(uri: &Uri) -> Result<(), Problem> {
    let query = Query::parse(uri.query());
    let Some(name) = query.doubled() else { return Ok(()) };
    let name: String = name.chars().take(NAME_MAX).collect();
    Err(refused(&format!("the parameter {name:?} is given twice: give it once")))
}

fn refused(detail: &str) -> Problem {
    Problem::text(StatusCode::BAD_REQUEST, detail)
}
