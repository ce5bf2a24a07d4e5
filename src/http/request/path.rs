//! The canonical form of a path: without `/api/v1`, slashes at the end and doubled slashes at the beginning. A stream id may contain
//! `/`.

use std::borrow::Cow;

use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode, Uri};

use crate::http::answer::problem::Problem;

const PREFIX: &str = "/api/v1";
const STREAMS: &str = "/streams/";
/// Paths below a stream id.
const OF_STREAM: [&str; 1] = ["/stats"];

/// Makes the path of a request canonical.
///
/// # Errors
/// 400 when the path is not valid percent-encoded UTF-8.
pub(crate) fn canonicalize(method: &Method, uri: &mut Uri) -> Result<(), Problem> {
    let path = uri.path();
    if !is_well_encoded(path) {
        let detail = "the path is not valid percent-encoded UTF-8; encode a literal % as %25";
        return Err(Problem::text(StatusCode::BAD_REQUEST, detail));
    }
    let canonical = canonical(method, path);
    if canonical == path {
        return Ok(());
    }
    let target = match uri.query() {
        Some(query) => format!("{canonical}?{query}"),
        None => canonical.into_owned(),
    };
    let target = PathAndQuery::try_from(target).map_err(|_| Problem::not_found())?;
    *uri = Uri::from(target);
    Ok(())
}

/// Whether this path is a health check, in any spelling.
pub(crate) fn is_of_health(path: &str) -> bool {
    matches!(&*canonical(&Method::GET, path), "/health" | "/health/ready" | "/livez" | "/readyz")
}

fn is_well_encoded(path: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = path.as_bytes();
    let percents = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    percents.into_iter().all(|(at, _)| hex(bytes.get(at + 1)) && hex(bytes.get(at + 2)))
        && percent_encoding::percent_decode_str(path).decode_utf8().is_ok()
}

fn canonical<'a>(method: &Method, path: &'a str) -> Cow<'a, str> {
    let path = trim(path);
    let path = match path.strip_prefix(PREFIX) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => trim(rest),
        _ => path,
    };
    match path.strip_prefix(STREAMS) {
        Some(rest) => stream_path(method, path, rest),
        None => Cow::Borrowed(path),
    }
}

/// Pages with files of their own. Their links are relative to the last slash, so each of their paths has one spelling.
const PAGES: [&str; 2] = ["docs/", "panel/"];

fn is_of_page(path: &str) -> bool {
    let path = path.strip_prefix(PREFIX).unwrap_or(path).trim_start_matches('/');
    PAGES.iter().any(|page| path.starts_with(page))
}

/// One leading slash, and none at the end but for pages.
fn trim(path: &str) -> &str {
    let body = path.trim_start_matches('/');
    if body.is_empty() {
        return "/";
    }
    // Request targets begin with a slash.
    let path = &path[path.len() - body.len() - usize::from(path.len() > body.len())..];
    match is_of_page(path) {
        true => path,
        false => path.trim_end_matches('/'),
    }
}

/// Encodes slashes in a stream id, which some clients and proxies do not.
fn stream_path<'a>(method: &Method, path: &'a str, rest: &str) -> Cow<'a, str> {
    let tail = match *method == Method::DELETE {
        true => "",
        false => OF_STREAM.into_iter().find(|tail| rest.ends_with(tail)).unwrap_or_default(),
    };
    let id = rest.strip_suffix(tail).unwrap_or(rest);
    let names_a_stream = *method == Method::DELETE || !tail.is_empty();
    match names_a_stream && id.contains('/') {
        true => Cow::Owned(format!("{STREAMS}{}{tail}", id.replace('/', "%2F"))),
        false => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_the_canonical_path() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/engines", "/engines"),
            ("/engines/", "/engines"),
            ("//engines", "/engines"),
            ("///engines//", "/engines"),
            ("/api/v1/engines", "/engines"),
            ("/api/v1//engines/", "/engines"),
            ("//api/v1/engines", "/engines"),
            ("/api/v1", "/"),
            ("/api/v1/", "/"),
            ("/api/v10/engines", "/api/v10/engines"),
            ("/api/v1/api/v1/engines", "/api/v1/engines"),
            ("/docs", "/docs"),
            ("/docs/", "/docs/"),
            ("/api/v1/docs/", "/docs/"),
            ("/panel/", "/panel/"),
            ("/api/v1/panel/", "/panel/"),
            ("/docs/index.css", "/docs/index.css"),
            ("/panel//", "/panel//"),
            ("//panel/index.html/", "/panel/index.html/"),
            ("/api/v1/docs/index.css/", "/docs/index.css/"),
            ("/api/v1//panel/", "/panel/"),
            ("/panels//", "/panels"),
            ("/streams/a|b/stats", "/streams/a|b/stats"),
            ("/streams/a%2Fb%7Cc/stats/", "/streams/a%2Fb%7Cc/stats"),
            ("/streams/a/b|c/stats", "/streams/a%2Fb|c/stats"),
            ("/streams/a/b", "/streams/a/b"),
        ] {
            assert_eq!(canonical(&Method::GET, path), expected, "{path}");
        }
        for (path, expected) in [
            ("/streams/a/b|c", "/streams/a%2Fb|c"),
            ("/streams/a/stats", "/streams/a%2Fstats"),
            ("/streams/a%2Fb", "/streams/a%2Fb"),
        ] {
            assert_eq!(canonical(&Method::DELETE, path), expected, "{path}");
        }
    }

    #[test]
    fn health_checks_are_recognised_in_every_spelling() {
        for path in ["/livez", "/readyz/", "//health", "/api/v1/health/ready"] {
            assert!(is_of_health(path), "{path}");
        }
        for path in ["/", "/health/circuit-breaker/reset", "/engines", "/livez/x"] {
            assert!(!is_of_health(path), "{path}");
        }
    }

    #[test]
    fn broken_encoding_is_refused() {
        for path in ["/a%", "/a%2", "/a%zz", "/a%2x/b", "/%ff", "/%c3%28"] {
            let mut uri: Uri = path.parse().unwrap();
            assert!(canonicalize(&Method::GET, &mut uri).is_err(), "{path}");
        }
        for path in ["/a%25", "/%C3%A9", "/%7c", "/a?x=%zz"] {
            let mut uri: Uri = path.parse().unwrap();
            assert!(canonicalize(&Method::GET, &mut uri).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_query_stays() {
        let mut uri: Uri = "http://host/api/v1/streams/?container_id=a%2Fb&x".parse().unwrap();
        assert!(canonicalize(&Method::GET, &mut uri).is_ok());
        assert_eq!(uri.to_string(), "/streams?container_id=a%2Fb&x");
    }
}
