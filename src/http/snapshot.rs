//! Reads: which state they see, how fresh it has to be, and the headers that say so. Nothing here leaves
//! the node unless the caller asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_raft::View;
use acefleet_registry::NodeId;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::rendered::{Key, Page, Rendering};
use crate::soft::SoftView;

/// Revision of the registry that an answer shows, or that a write made.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("x-acefleet-revision");
/// How old an answer may be, milliseconds.
pub(crate) const AGE: HeaderName = HeaderName::from_static("x-acefleet-age-ms");

/// A read that asks for freshness waits so long for it.
const FRESH_WITHIN: Duration = Duration::from_millis(2_300);
/// A node that has not reported for so long has its engines listed last.
const SILENT_AFTER: Duration = Duration::from_secs(5);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Caches may keep answers but have to ask whether they are still true: a stale list of engines sends
/// players to dead ones.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(Clone, Copy)]
enum Consistency {
    Local,
    Linearizable,
}

/// The state that one read sees, and how its answer is sent.
pub(crate) struct Snapshot {
    /// Replicated state.
    pub view: Arc<View>,
    /// Reported state.
    pub soft: Arc<SoftView>,
    /// Parameters of the request.
    pub query: Query,
    /// What answers for this state are kept under.
    key: Key,
    cluster_id: String,
    age_ms: u64,
    if_none_match: Option<HeaderValue>,
}

impl FromRequestParts<App> for Snapshot {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::parse(parts.uri.query());
        let words = [("local", Consistency::Local), ("linearizable", Consistency::Linearizable)];
        let consistency = query.one_of("consistency", &words)?;
        let min_revision = query.unsigned("min_revision")?;
        let deadline = Instant::now() + FRESH_WITHIN;
        let cluster = app.fleet().cluster();
        if let Some(Consistency::Linearizable) = consistency {
            cluster.read_barrier(deadline).await?;
        }
        if let Some(min) = min_revision
            && app.fleet().view().revision < min
            && !cluster.wait_revision(min, deadline).await
        {
            return Err(Problem::behind(min, app.fleet().view().revision));
        }
        Ok(Self::now(app, query, parts.headers.get(IF_NONE_MATCH).cloned()))
    }
}

impl Snapshot {
    fn now(app: &App, query: Query, if_none_match: Option<HeaderValue>) -> Self {
        let view = app.fleet().view();
        let soft = app.fleet().soft();
        let me = app.fleet().cluster().node_id();
        let silent = silent_nodes(&view, &soft, me);
        let key = Key { revision: view.revision, epoch: soft.epoch, silent };
        let cluster_id = app.fleet().cluster().cluster_id().unwrap_or_default();
        Self { view, soft, query, key, cluster_id, age_ms: app.age_ms(), if_none_match }
    }

    /// The cluster; empty until it has formed.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Whether a node has stopped reporting, as far as this node knows.
    pub fn is_silent(&self, node: NodeId) -> bool {
        self.key.silent.contains(&node)
    }

    /// Sends an answer that is the same for everyone who asks for this page of this state, or 304 to
    /// those who have it.
    pub fn page(&self, app: &App, page: &Page, render: impl FnOnce() -> Vec<u8>) -> Response {
        let Rendering { body, etag } = app.rendered().get(&self.key, page, render);
        let known = self.if_none_match.as_ref().is_some_and(|known| matches(known, &etag));
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => ([(CONTENT_TYPE, JSON)], Body::from(body)).into_response(),
        };
        response.headers_mut().insert(ETAG, etag);
        self.mark(response.headers_mut());
        response
    }

    /// Sends an answer that is made for this request alone.
    pub fn answer(&self, body: &impl Serialize) -> Response {
        self.answer_with(StatusCode::OK, body)
    }

    /// The same with a status.
    pub fn answer_with(&self, status: StatusCode, body: &impl Serialize) -> Response {
        let mut response = (status, [(CONTENT_TYPE, JSON)], Body::from(to_json(body))).into_response();
        self.mark(response.headers_mut());
        response
    }

    /// Says which state the answer shows.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(REVISION, HeaderValue::from(self.view.revision));
        headers.insert(AGE, HeaderValue::from(self.age_ms));
        headers.insert(CACHE_CONTROL, REVALIDATE);
    }
}

/// JSON of an answer. Our own types always have one.
pub(crate) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        b"null".to_vec()
    })
}

/// The answer to a write: the body, and the revision that holds what was written.
pub(crate) fn written(revision: u64, body: &impl Serialize) -> Response {
    ([(CONTENT_TYPE, JSON), (REVISION, HeaderValue::from(revision))], Body::from(to_json(body)))
        .into_response()
}

fn silent_nodes(view: &View, soft: &SoftView, me: NodeId) -> Vec<NodeId> {
    let silent = |id: &NodeId| {
        let heard = soft.nodes.get(id);
        *id != me && heard.is_none_or(|heard| heard.at.elapsed() > SILENT_AFTER)
    };
    view.state.nodes().map(|node| node.info.id).filter(silent).collect()
}

/// Whether a list of entity tags names this one.
fn matches(list: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(list), Ok(etag)) = (list.to_str(), etag.to_str()) else { return false };
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_compared() {
        let etag = HeaderValue::from_static("\"abc\"");
        for (list, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"abd\"", false),
            ("abc", false),
            ("", false),
        ] {
            assert_eq!(matches(&HeaderValue::from_static(list), &etag), expected, "{list}");
        }
    }
}
