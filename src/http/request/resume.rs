//! Where a reader of server-sent events goes on.

use axum::http::HeaderMap;
use serde_json::json;

use crate::http::answer::problem::Problem;
use crate::http::request::query::Query;
use crate::http::request::validate::Checker;

/// The header with which readers resume. Browsers send it by themselves.
const HEADER: &str = "last-event-id";
/// The parameter for those who cannot send it.
const PARAMETER: &str = "last_event_id";

/// What the id of the last frame says that a reader has; none if it gives none. Browsers keep the parameter when they connect again, so
/// the header is the newer one.
///
/// # Errors
/// 422 of this kind that says `msg`, when `parse` cannot read the id.
pub(crate) fn last_event_id<T>(
    query: &Query,
    headers: &HeaderMap,
    kind: &str,
    msg: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    if let Some(header) = headers.get(HEADER).filter(|header| !header.is_empty()) {
        let parsed = header.to_str().ok().and_then(parse);
        return parsed.map(Some).ok_or_else(|| {
            let given = String::from_utf8_lossy(header.as_bytes());
            let mut checker = Checker::default();
            checker.add(kind, &[json!("header"), json!(HEADER)], msg, &json!(given), None);
            checker.problem()
        });
    }
    let Some(text) = query.get(PARAMETER) else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| query.wrong(PARAMETER, kind, msg, None))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_header_is_newer_than_the_parameter_and_none_when_it_is_empty() {
        let read = |query: &str, header: Option<&'static [u8]>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(HEADER, HeaderValue::from_bytes(header).unwrap());
            }
            let query = Query::parse(Some(query));
            last_event_id(&query, &headers, "int_parsing", "a number", |id| id.parse::<u64>().ok()).ok()
        };
        assert_eq!(read("", None), Some(None));
        assert_eq!(read("last_event_id=7", None), Some(Some(7)));
        assert_eq!(read("last_event_id=7", Some(b"8")), Some(Some(8)));
        assert_eq!(read("last_event_id=7", Some(b"")), Some(Some(7)));
        for (query, header) in
            [("last_event_id=x", None), ("last_event_id=7", Some(&b"x"[..])), ("", Some(b"\xff"))]
        {
            assert_eq!(read(query, header), None, "{query} {header:?}");
        }
    }
}
