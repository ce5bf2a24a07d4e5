//! The OpenAPI document: what the handlers say of themselves, with what they have in common.

use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, Modify, OpenApi};

/// How fresh a read has to be.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are read by hand")]
pub(crate) struct Freshness {
    /// `local` (default): from this node's replica, at once. `linearizable`: with everything that was
    /// acknowledged before, confirmed by a majority; 503 when that cannot be had.
    consistency: Option<String>,
    /// Wait until this node has this revision (`X-Acefleet-Revision` of a write); 503 after 2.3 s.
    min_revision: Option<u64>,
}

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("`API_KEY`")).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let header = ApiKeyValue::with_description("X-API-Key", "`API_KEY`");
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
    tags(
        (name = "provisioning", description = "Start and stop engines"),
        (name = "engines", description = "Engines that clients may be sent to"),
        (name = "events", description = "What proxies report of streams"),
        (name = "streams", description = "Streams on engines"),
        (name = "containers", description = "Containers under our management"),
        (name = "status", description = "State of the whole cluster"),
        (name = "health", description = "For load balancers and supervisors"),
        (name = "cluster", description = "Members"),
    )
)]
struct Common;

/// What all operations have in common.
pub(crate) fn common() -> Document {
    Common::openapi()
}

/// The document as pretty JSON with a newline at its end.
///
/// # Panics
/// Never: the document is made of constants, and a test writes it.
#[must_use]
pub fn openapi_json() -> String {
    let (_, document) = super::operations().split_for_parts();
    // Plain data with string keys always has JSON.
    let mut json = document.to_pretty_json().expect("the OpenAPI document has JSON");
    json.push('\n');
    json
}
