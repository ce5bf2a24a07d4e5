//! The entry of every request: a rendered answer is sent at once, everything else goes through the router. Both get the same headers,
//! log lines and counts.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::http::header::{CONNECTION, IF_NONE_MATCH};
use axum::http::{HeaderValue, Method, Response};
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::{Either, Full};
use ipnet::IpNet;
use tower::ServiceExt;
use tracing::Instrument;

use crate::config::Secret;
use crate::fleet::Fleet;
use crate::fleet::foresee::Reading;
use crate::http::answer::cors;
use crate::http::answer::headers::DISPUTED;
use crate::http::answer::methods;
use crate::http::answer::packed;
use crate::http::answer::problem::Problem;
use crate::http::answer::rendered::Moment;
use crate::http::answer::snapshot::Current;
use crate::http::app::App;
use crate::http::connections::stall::Wanted;
use crate::http::observe::{self, Endpoint, Seen};
use crate::http::request::call::Arrival;
use crate::http::request::refusals::Reason;
use crate::http::request::{doubled, forwarded, origin, path, visitors};
use crate::http::{roles, routes, streams};
use crate::tls::Tls;

/// A rendered answer, or the body of a handler.
pub(crate) type AnswerBody = Either<Full<Bytes>, Body>;

/// The whole API. Clones share it.
#[derive(Clone)]
pub struct Api {
    parts: Arc<Parts>,
}

struct Parts {
    app: App,
    routed: Router,
}

impl Api {
    /// The API of this node; commands on its host may use the token, see [`crate::access`].
    #[must_use]
    pub fn new(fleet: Fleet, token: Option<&Secret>) -> Self {
        let app = App::new(fleet, token);
        let routed = routes::routes(app.clone());
        Self { parts: Arc::new(Parts { app, routed }) }
    }

    /// The same with TLS. What was set first stays.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        self.parts.app.set_tls(tls);
        self
    }

    /// TLS of this node, if it has any.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.parts.app.tls()
    }

    /// Proxies that may have any number of idle connections.
    pub(crate) fn trusted_proxies(&self) -> &[IpNet] {
        &self.parts.app.fleet().config().trusted_proxies
    }

    /// So many may follow the feed at once.
    pub(crate) fn limit_readers(&self, max: usize) {
        self.parts.app.feed().limit(max);
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, mut request: hyper::Request<Wanted>) -> Response<AnswerBody> {
        let seen = Seen::now(&request);
        let clear = doubled::host(request.headers()).and_then(|()| self.clear_user(&mut request));
        if let Some(problem) = clear.err().or_else(|| self.foreign_page(&request)) {
            return self.turn_away(&seen, request.uri().path(), problem).map(Either::Right);
        }
        let reading = self.reading(&request);
        let mut response = match self.cached(&seen, &request, &reading) {
            Some(answer) => answer.map(Either::Left),
            None => {
                request.extensions_mut().insert(reading);
                // Boxed, so that the future of a rendered answer stays small.
                Box::pin(self.handle(seen, request.map(Body::new))).await.map(Either::Right)
            }
        };
        if self.parts.app.fleet().cluster().is_disputed() {
            response.headers_mut().insert(DISPUTED, HeaderValue::from_static("true"));
        }
        response
    }

    /// Why an open node refuses this request, if it does.
    fn foreign_page<B>(&self, request: &hyper::Request<B>) -> Option<Problem> {
        let app = &self.parts.app;
        if !app.key().is_open() {
            return None;
        }
        let problem = visitors::refused(
            app.fleet().config(),
            &app.fleet().view().state,
            request.uri(),
            request.headers(),
        )?;
        let from = origin::address_of(request.extensions(), request.headers(), app);
        app.refusals().note(Reason::ForeignPage, from, "", None);
        Some(problem)
    }

    /// Leaves the name of a user where a proxy is to be believed about it; behind this, all do.
    fn clear_user<B>(&self, request: &mut hyper::Request<B>) -> Result<(), Problem> {
        let app = &self.parts.app;
        let config = app.fleet().config();
        if config.users.is_none() {
            return Ok(());
        }
        let (method, uri, extensions) =
            (request.method().clone(), request.uri().clone(), request.extensions().clone());
        forwarded::clear(config, &method, &uri, &extensions, request.headers_mut()).inspect_err(|_| {
            let from = origin::address_of(&extensions, request.headers(), app);
            app.refusals().note(Reason::ForeignPage, from, "", None);
        })
    }

    /// Turns a caller without TLS down, before anything is looked at.
    pub(crate) fn turn_down(
        &self,
        request: &hyper::Request<Wanted>,
        problem: Problem,
    ) -> Response<AnswerBody> {
        let app = &self.parts.app;
        let from = origin::address_of(request.extensions(), request.headers(), app);
        app.refusals().note(Reason::NoTls, from, "", None);
        let mut response = self.turn_away(&Seen::now(request), request.uri().path(), problem);
        cors::mark(response.headers_mut());
        response.map(Either::Right)
    }

    fn turn_away(&self, seen: &Seen, path: &str, problem: Problem) -> Response<Body> {
        let mut response = problem.into_response();
        let took = seen.began.elapsed();
        seen.count(self.parts.app.counters(), None, response.status(), took);
        seen.log(|| seen.span(path), response.status(), took);
        seen.mark(response.headers_mut());
        response
    }

    /// Answers a request on a connection that is reserved for health checks.
    pub(crate) async fn answer_for_health(&self, request: hyper::Request<Wanted>) -> Response<AnswerBody> {
        let mut response = match path::is_of_health(request.uri().path()) {
            true => self.answer(request).await,
            false => {
                let seen = Seen::now(&request);
                let mut response =
                    Problem::busy("this node works on as many requests as it can").into_response();
                seen.count(self.parts.app.counters(), None, response.status(), seen.began.elapsed());
                cors::mark(response.headers_mut());
                seen.mark(response.headers_mut());
                response.map(Either::Right)
            }
        };
        // The slot is for the next health check.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// To which choice of a client a read belongs. Only the exact request of clients that choose engines counts, without a tag: those that
    /// follow a list have one.
    fn reading<B>(&self, request: &hyper::Request<B>) -> Reading {
        let app = &self.parts.app;
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let Some(container) = streams::asked_by_choosers(target) else { return Reading::Alone };
        if request.method() != Method::GET || request.headers().contains_key(IF_NONE_MATCH) {
            return Reading::Alone;
        }
        match origin::address_of(request.extensions(), request.headers(), app) {
            Some(from) => app.fleet().foresee_read(from, container),
            None => Reading::Alone,
        }
    }

    /// The rendered answer to this request for the current state. It is found under the canonical path and parameters; other spellings
    /// find it behind the router.
    fn cached<B>(
        &self,
        seen: &Seen,
        request: &hyper::Request<B>,
        reading: &Reading,
    ) -> Option<Response<Full<Bytes>>> {
        if request.method() != Method::GET {
            return None;
        }
        let app = &self.parts.app;
        let target = request.uri().path_and_query()?.as_str();
        let current = Current::now(app, seen.began);
        let page = match reading {
            Reading::Alone | Reading::GoesOn(0) => app.rendered().find(&current.key, target)?,
            Reading::GoesOn(more) => {
                app.rendered().find(&current.key, &format!("{target}{}", streams::with_foreseen(*more)))?
            }
            Reading::Begins { .. } | Reading::Waits(..) => return None,
        };
        if page.wants_packing(request.headers()) {
            return None;
        }
        // The router says why.
        let needs = roles::needs(&Method::GET, page.hits.endpoint())?;
        app.key().let_in(needs, request.headers()).ok()?;
        // Labels of callers, or a guess to be counted.
        if page.by_key
            && (app.key().who(request.headers()).is_ok() || !app.key().unknown(request.headers()).is_empty())
        {
            return None;
        }
        let is_of_now = |moment| moment == Moment::at(app.fleet().wall_now());
        if !page.moment.is_none_or(is_of_now) || page.is_over(|| app.fleet().cluster().moment()) {
            return None;
        }
        page.note_reader(app, request.headers(), || {
            origin::address_of(request.extensions(), request.headers(), app)
        });
        let mut response = page.answer(request.headers(), app.age());
        let took = seen.began.elapsed();
        app.counters().hit(&page.hits, response.status(), took);
        seen.log(|| seen.span(request.uri().path()), response.status(), took);
        seen.mark(response.headers_mut());
        Some(response)
    }

    /// All other answers, even when a handler panics.
    async fn handle(&self, seen: Seen, mut request: Request) -> Response<Body> {
        let span = seen.span(request.uri().path());
        request.extensions_mut().insert(Arrival::at(seen.began));
        let mut response = match cors::preflight(&request) {
            Some(response) => response,
            None => {
                let (method, packs) = (request.method().clone(), packed::is_accepted(request.headers()));
                let mut response = observe::caught(self.dispatch(request)).instrument(span.clone()).await;
                if packs {
                    response = packed::pack_answer(response).await;
                }
                if method == Method::HEAD {
                    response = methods::without_body(response);
                }
                cors::mark(response.headers_mut());
                response
            }
        };
        let took = seen.began.elapsed();
        let endpoint = response.extensions_mut().remove::<Endpoint>();
        seen.count(self.parts.app.counters(), endpoint.as_ref(), response.status(), took);
        seen.log(|| span, response.status(), took);
        seen.mark(response.headers_mut());
        response
    }

    /// Makes the path canonical, then routes.
    async fn dispatch(&self, mut request: Request) -> Response<Body> {
        let method = request.method().clone();
        let asked = request.uri().clone();
        let read = path::canonicalize(&method, request.uri_mut());
        if let Err(problem) = read.and_then(|()| doubled::parameter(request.uri())) {
            return problem.into_response();
        }
        if method == Method::OPTIONS && asked.path() == "*" {
            return methods::of_server();
        }
        if method == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        request.extensions_mut().insert(OriginalUri(asked));
        let response = match self.parts.routed.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        methods::tidy(&method, response)
    }
}
