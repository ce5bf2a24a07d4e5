//! The parts of the OpenAPI document that all operations have in common.

use axum::http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, PathItem, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, Modify, OpenApi, ToSchema};

use crate::config::Reads;
use crate::http::events::log::EventEntry;
use crate::http::feed::figures::{EngineFigures, Figures, NodeFigures, StreamFigures};
use crate::http::feed::hello::Hello;
use crate::http::feed::objects::{FeedChange, FeedSnapshot};
use crate::http::feed::socket::EnginesMessage;
use crate::http::roles::{self, Needs};

/// Words of `consistency`.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes words that are read by hand")]
enum Consistency {
    Local,
    Linearizable,
}

/// Freshness of a read.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are read by hand")]
pub(crate) struct Freshness {
    /// `local` (default): from this node's replica, at once. `linearizable`: with all writes that were acknowledged before, confirmed by
    /// a majority; 503 when that fails.
    #[param(inline)]
    consistency: Option<Consistency>,
    /// Wait until this node has this revision (`X-Acefleet-Revision` of a write); 503 after 2.3 s.
    min_revision: Option<u64>,
}

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("`API_KEY`, or a named key"))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let header = ApiKeyValue::with_description("X-API-Key", "`API_KEY`, or a named key");
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(header)));
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Acefleet",
        description = "Highly available orchestrator for AceStream engines. Every node answers every call for \
            the whole cluster. Each path also works below `/api/v1`."
    ),
    servers((url = ".", description = "This node")),
    modifiers(&Security),
    components(schemas(Hello, FeedSnapshot, FeedChange, EnginesMessage, EventEntry, Figures, NodeFigures, EngineFigures, StreamFigures)),
    tags(
        (name = "provisioning", description = "Start and stop engines"),
        (name = "engines", description = "Engines that clients may be sent to"),
        (name = "events", description = "What proxies report of streams, and the log of what happened"),
        (name = "streams", description = "Streams on engines"),
        (name = "containers", description = "Containers under our management"),
        (name = "status", description = "State of the whole cluster"),
        (name = "health", description = "For load balancers and supervisors"),
        (name = "cluster", description = "Members"),
        (name = "settings", description = "Settings of the cluster"),
        (name = "keys", description = "Named keys of the API"),
    )
)]
struct Common;

/// The common parts.
pub(crate) fn common() -> Document {
    Common::openapi()
}

/// Adds the common answers to all operations.
pub(crate) fn completed(mut document: Document) -> Document {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(operation, roles::needs(&method, path));
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, post, delete, patch, .. } = item;
    let all = [(Method::GET, get), (Method::POST, post), (Method::DELETE, delete), (Method::PATCH, patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn answer(description: &str, kind: &str, schema: &str) -> Response {
    let schema = Ref::from_schema_name(schema);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content(kind, content).build()
}

/// Adds the common answers of an operation, unless it describes them itself, and marks open operations.
fn complete(operation: &mut Operation, needs: Option<Needs>) {
    const JSON: &str = "application/json";
    let protected = !operation.security.get_or_insert_default().is_empty();
    let named = |name: &str| {
        operation
            .parameters
            .iter()
            .flatten()
            .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == name))
    };
    let is_read = !protected && needs.is_some_and(|needs| needs.a_key(Reads::Key));
    let role = match needs.and_then(Needs::role) {
        _ if needs == Some(Needs::Host) => {
            "Wrong key, or a call from elsewhere than the host of the node".to_owned()
        }
        Some(role) => format!("Wrong key, or one without the role {role}"),
        None => "Wrong key".to_owned(),
    };
    let (has_body, has_freshness) = (operation.request_body.is_some(), named("consistency"));
    let bug =
        ContentBuilder::new().schema(Some(utoipa::openapi::Object::with_type(utoipa::openapi::Type::String)));
    let bug = ResponseBuilder::new()
        .description("A bug; the log has the `X-Request-Id`")
        .content("text/plain", bug.build());
    for (applies, status, response) in [
        (
            true,
            "400",
            answer(
                "Malformed percent-encoding, a parameter or `Host` that is given twice, or an incomplete body",
                JSON,
                "DetailBody",
            ),
        ),
        (
            protected,
            "401",
            answer(
                "No key, or one that has ended; a session that is over has the code `session_over`, as six keys",
                JSON,
                "DetailBody",
            ),
        ),
        (protected, "403", answer(&role, JSON, "DetailBody")),
        (
            is_read,
            "401",
            answer("`ACEFLEET_READS=key`, and no key, or one that has ended", JSON, "DetailBody"),
        ),
        (true, "403", answer("The node is open, and Origin or Host is not its own", JSON, "DetailBody")),
        (has_body, "408", answer("The body took too long", JSON, "DetailBody")),
        (has_body, "413", answer("Body larger than 1 MiB", JSON, "DetailBody")),
        (has_body, "415", answer("The body is not declared as JSON", JSON, "DetailBody")),
        (has_body, "422", answer("The body is wrong", JSON, "InvalidBody")),
        (has_freshness, "422", answer("A parameter is wrong", JSON, "InvalidBody")),
        (
            protected || is_read,
            "429",
            answer(
                "Too many such calls, or different wrong keys; `Retry-After` says when to go on",
                JSON,
                "BlockedBody",
            ),
        ),
        (true, "500", bug.build()),
        (has_freshness, "503", answer("The requested freshness is not available now", JSON, "BlockedBody")),
        (true, "503", answer("Too busy; nothing was done", JSON, "BlockedBody")),
    ] {
        if applies {
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
        }
    }
}
