//! The state that a read sees, its freshness, and the headers that say so. Reads stay on this node unless the caller asks for a fresher
//! state.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use acefleet_raft::{Applied, Cluster, View};
use acefleet_registry::{Elapsed, Engine, NodeId, Reply, Stream, WallMs};
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::fleet::series::{Last, Lasts};
use crate::http::answer::headers::{AGE, JSON, REVALIDATE, REVISION};
use crate::http::answer::problem::Problem;
use crate::http::answer::rendered::{Key, Moment, Page, Rendering};
use crate::http::app::App;
use crate::http::request::call::Arrival;
use crate::http::request::query::Query;
use crate::http::request::{guesses, origin};
use crate::peers::{EngineUsage, NodeReport, SoftView, StreamSample};

/// Parameters of an answer for callers with the key. No request can have them, as no address has a space in it.
pub(crate) const WITH_KEY: &str = " with the key";

#[derive(Clone, Copy)]
enum Consistency {
    Local,
    Linearizable,
}

/// The newest state of this node.
pub(crate) struct Current {
    /// Replicated state.
    pub view: Arc<View>,
    /// Reported state.
    pub soft: Arc<SoftView>,
    /// Key of rendered answers for this state.
    pub key: Key,
}

impl Current {
    /// The state now.
    pub fn now(app: &App, now: Instant) -> Self {
        let view = app.fleet().view();
        let soft = app.fleet().soft();
        let silent = silent_nodes(&view, &soft, app.fleet().cluster().node_id(), now);
        let is_leaderless = app.is_leaderless();
        let key = Key { revision: view.revision, epoch: soft.epoch, silent, is_leaderless };
        Self { view, soft, key }
    }
}

/// What this node sees of the cluster at one moment: enough to show any object of it.
pub(crate) struct Sight {
    /// Replicated state.
    pub view: Arc<View>,
    /// Reported state.
    pub soft: Arc<SoftView>,
    key: Key,
    lasts: Arc<Lasts>,
    cluster: Cluster,
    cluster_id: String,
}

impl Sight {
    /// The sight now.
    pub fn now(app: &App) -> Self {
        let Current { view, soft, key } = Current::now(app, Instant::now());
        let cluster = app.fleet().cluster().clone();
        let cluster_id = cluster.cluster_id().unwrap_or_default();
        let lasts = app.fleet().series().lasts();
        Self { view, soft, key, lasts, cluster, cluster_id }
    }

    /// The cluster; empty until it has formed.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The moment now.
    pub fn moment(&self) -> Elapsed {
        self.cluster.moment()
    }

    /// The time of day at a moment of this state.
    pub fn shown(&self, at: Elapsed) -> WallMs {
        self.cluster.wall_of(&self.view.state, at)
    }

    /// Whether a node has stopped reporting, as far as this node knows.
    pub fn is_silent(&self, node: NodeId) -> bool {
        self.key.silent.contains(&node)
    }

    /// Whether the cluster has no leader, as far as this node knows. Nobody declares hosts away then.
    pub fn is_leaderless(&self) -> bool {
        self.key.is_leaderless
    }

    /// What a node tells of itself. Of one that is silent nothing is known any more.
    pub fn told_by(&self, node: NodeId) -> Option<&NodeReport> {
        self.soft.nodes.get(&node).filter(|_| !self.is_silent(node)).map(|last| &*last.report)
    }

    /// What an engine uses, if its host tells it.
    pub fn usage_of(&self, engine: &Engine) -> Option<&EngineUsage> {
        self.told_by(engine.node)?.engines.get(&engine.id)?.usage.as_ref()
    }

    /// What this node knew last of a stream that has ended.
    pub fn last_of(&self, stream: &Stream) -> Option<Last> {
        self.lasts.of(&self.view.state, stream)
    }

    /// Newest figures of a stream, if its host tells them.
    pub fn sample_of(&self, stream: &Stream) -> Option<&StreamSample> {
        let engine = self.view.state.engine(stream.engine?)?;
        self.told_by(engine.node)?.streams.get(&*stream.start.id)
    }
}

/// The state that one read sees, and how its answer is sent.
pub(crate) struct Snapshot {
    sight: Sight,
    /// Parameters of the request.
    pub query: Query,
    age: HeaderValue,
    uri: Uri,
    endpoint: Option<MatchedPath>,
    asked: HeaderMap,
    /// Address of the caller.
    from: Option<IpAddr>,
}

impl FromRequestParts<App> for Snapshot {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::parse(parts.uri.query());
        let words = [("local", Consistency::Local), ("linearizable", Consistency::Linearizable)];
        let consistency = query.one_of("consistency", &words)?;
        let min_revision = query.unsigned("min_revision")?;
        let deadline = Arrival::of(parts).write_deadline();
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
        Ok(Self::of(parts, app, query))
    }
}

/// The state now, without a wait for freshness: for answers about the node itself.
pub(crate) struct Here(pub Snapshot);

impl FromRequestParts<App> for Here {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(Snapshot::of(parts, app, Query::parse(parts.uri.query()))))
    }
}

impl Deref for Snapshot {
    type Target = Sight;

    fn deref(&self) -> &Sight {
        &self.sight
    }
}

impl Snapshot {
    fn of(parts: &Parts, app: &App, query: Query) -> Self {
        Self {
            sight: Sight::now(app),
            query,
            age: app.age(),
            uri: parts.uri.clone(),
            endpoint: parts.extensions.get().cloned(),
            asked: parts.headers.clone(),
            from: origin::address_of(&parts.extensions, &parts.headers, app),
        }
    }

    /// Whether the caller has the key, or none is needed. A wrong one is counted, as the answer may tell that it is wrong.
    pub fn has_key(&self, app: &App) -> bool {
        let has_key = app.key().who(&self.asked).is_ok();
        let unknown = if has_key { Vec::new() } else { app.key().unknown(&self.asked) };
        if !unknown.is_empty() {
            let route = self.endpoint.as_ref().map(MatchedPath::as_str).unwrap_or_default();
            guesses::wrong_key(app, self.from, unknown, route);
        }
        has_key
    }

    /// The same request, to the state now.
    pub fn renew(&mut self, app: &App) {
        self.sight = Sight::now(app);
        self.age = app.age();
    }

    /// Sends an answer and stores it for other requests to the same state. These may have no key, so nothing secret may be in it, unless
    /// its parameters are [`WITH_KEY`]. `parameters` are the canonical parameters that it depends on, `moment` the time, if it depends on that.
    pub fn page<P: Into<Page>>(
        &self,
        app: &App,
        parameters: &str,
        moment: Option<Moment>,
        render: impl FnOnce(&Self) -> P,
    ) -> Response {
        let target = self.target(parameters);
        let is_true = |stored: &Arc<Rendering>| stored.moment == moment && !stored.is_over(|| self.moment());
        let stored = app.rendered().find(&self.key, &target).filter(is_true);
        let rendering = match stored {
            Some(stored) => stored,
            None => {
                if let Err(full) = app.rendered().room() {
                    return full.into_response();
                }
                let hits = app.counters().hits(self.endpoint.as_ref().map_or("", MatchedPath::as_str));
                let mut made = Rendering::new(render(self), self.view.revision, hits, app.rendered().live());
                made.moment = moment;
                app.counters().rendered();
                let made = Arc::new(made);
                app.rendered().keep(&self.key, &target, &made);
                made
            }
        };
        if rendering.wants_packing(&self.asked) {
            rendering.pack();
        }
        rendering.note_reader(app, &self.asked, || self.from);
        rendering.answer(&self.asked, self.age.clone()).map(Body::new)
    }

    /// The same for a list. Long ones are rendered one at a time, outside the threads that carry the cluster's messages.
    pub async fn list_page<P: Into<Page>>(
        mut self,
        app: &App,
        parameters: String,
        is_long: bool,
        render: impl FnOnce(&Self) -> P + Send + 'static,
    ) -> Response {
        let stored = app.rendered().find(&self.key, &self.target(&parameters));
        if !is_long || stored.is_some_and(|stored| !stored.wants_packing(&self.asked)) {
            return self.page(app, &parameters, None, render);
        }
        let turn = app.rendered().turn().await;
        // All requests that waited share one answer for the newest state.
        self.renew(app);
        let app = app.clone();
        let rendered = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            self.page(&app, &parameters, None, render)
        });
        match rendered.await {
            Ok(response) => response,
            // The task panicked; the panic is handled as that of a handler.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn target(&self, parameters: &str) -> String {
        match parameters {
            "" => self.uri.path().to_owned(),
            _ => format!("{}?{parameters}", self.uri.path()),
        }
    }

    /// Sends an answer to this request alone.
    pub fn answer(&self, body: &impl Serialize) -> Response {
        self.answer_with(StatusCode::OK, body)
    }

    /// The same with a status.
    pub fn answer_with(&self, status: StatusCode, body: &impl Serialize) -> Response {
        let mut response = (status, [(CONTENT_TYPE, JSON)], Body::from(to_json(body))).into_response();
        self.mark(response.headers_mut());
        response
    }

    /// Adds the headers that identify the state.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(REVISION, HeaderValue::from(self.view.revision));
        headers.insert(AGE, self.age.clone());
        headers.insert(CACHE_CONTROL, REVALIDATE);
    }
}

/// JSON of an answer; our own types always encode.
pub(crate) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        b"null".to_vec()
    })
}

/// The revision of a write that was not refused.
///
/// # Errors
/// Why it was refused.
pub(crate) fn done(written: Applied) -> Result<u64, Problem> {
    match written.reply {
        Reply::Refused(refusal) => Err(refusal.into()),
        _ => Ok(written.revision),
    }
}

/// The answer to a write, with the revision that contains it.
pub(crate) fn written(revision: u64, body: &impl Serialize) -> Response {
    ([(CONTENT_TYPE, JSON), (REVISION, HeaderValue::from(revision))], Body::from(to_json(body)))
        .into_response()
}

fn silent_nodes(view: &View, soft: &SoftView, me: NodeId, now: Instant) -> Vec<NodeId> {
    let silent = |id: &NodeId| *id != me && soft.is_suspect(*id, now);
    view.state.nodes().map(|node| node.info.id).filter(silent).collect()
}
