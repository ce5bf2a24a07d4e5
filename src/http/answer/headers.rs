//! Headers and content types of answers that show a state.

use axum::http::{HeaderName, HeaderValue};

/// Revision of the registry that an answer shows, or that a write made.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("x-acefleet-revision");
/// How old an answer may be, milliseconds.
pub(crate) const AGE: HeaderName = HeaderName::from_static("x-acefleet-age-ms");
/// Replicas differ, and no majority says which is right.
pub(crate) const DISPUTED: HeaderName = HeaderName::from_static("x-acefleet-disputed");

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Caches must revalidate answers: a stale list of engines sends players to dead ones.
/// What answers depend on that are others for callers with the key.
pub(crate) const BY_KEY: HeaderValue = HeaderValue::from_static("authorization, x-api-key");
pub(crate) const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
