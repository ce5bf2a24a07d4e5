//! The API key: `Authorization: Bearer <key>` or `X-API-Key: <key>`.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;
use crate::http::problem::Problem;

const API_KEY_HEADER: &str = "x-api-key";

/// The key that callers must show. Only its digest is kept, so that neither its length nor a common
/// beginning can be measured.
pub(crate) struct ApiKey {
    digest: Option<[u8; 32]>,
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

impl ApiKey {
    /// No key, or an empty one, leaves everything open.
    pub fn new(key: Option<&Secret>) -> Self {
        let key = key.map(|secret| secret.0.as_bytes()).filter(|key| !key.is_empty());
        Self { digest: key.map(digest) }
    }

    /// Checks a caller's headers. Either header will do.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(expected) = &self.digest else { return Ok(()) };
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let own = headers.get(API_KEY_HEADER).map(|value| value.as_bytes());
        if bearer.is_none() && own.is_none() {
            return Err(Problem::text(StatusCode::UNAUTHORIZED, "missing bearer token"));
        }
        let matches = |token: &[u8]| bool::from(digest(token).ct_eq(expected));
        match bearer.is_some_and(matches) || own.is_some_and(matches) {
            true => Ok(()),
            false => Err(Problem::text(StatusCode::FORBIDDEN, "invalid token")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn status(key: Option<&str>, headers: &[(&'static str, &'static str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let secret = key.map(|key| Secret(key.to_owned()));
        match ApiKey::new(secret.as_ref()).check(&map) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn without_a_key_everything_is_open() {
        assert_eq!(status(None, &[]), 200);
        assert_eq!(status(Some(""), &[]), 200);
    }

    #[test]
    fn both_headers_are_taken_and_the_scheme_is_exact() {
        let key = Some("sekrit");
        for (headers, expected) in [
            (vec![], 401),
            (vec![("authorization", "sekrit")], 401),
            (vec![("authorization", "bearer sekrit")], 401),
            (vec![("authorization", "Basic sekrit")], 401),
            (vec![("authorization", "Bearer  sekrit")], 403),
            (vec![("authorization", "Bearer wrong")], 403),
            (vec![("authorization", "Bearer sekri")], 403),
            (vec![("x-api-key", "wrong")], 403),
            (vec![("authorization", "Bearer sekrit")], 200),
            (vec![("x-api-key", "sekrit")], 200),
            (vec![("authorization", "Basic x"), ("x-api-key", "sekrit")], 200),
        ] {
            assert_eq!(status(key, &headers), expected, "{headers:?}");
        }
    }
}
