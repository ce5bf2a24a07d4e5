//! Bodies must be declared as JSON: pages of other sites can send all other types without a preflight.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};

use crate::http::answer::problem::Problem;

/// Refuses a body of another type, or of none.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    match named.is_some_and(is_json) {
        true => Ok(()),
        false => Err(Problem::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body has to be JSON and to say so: send Content-Type: application/json",
        )),
    }
}

fn is_json(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("application", subtype)) => subtype == "json" || subtype.ends_with("+json"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_types_are_accepted_and_those_of_forms_are_not() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"] {
            assert!(is_json(good), "{good}");
        }
        let bad = [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "text/json",
            "application/jsonp",
        ];
        for bad in bad {
            assert!(!is_json(bad), "{bad}");
        }
        assert!(check(&HeaderMap::new()).is_err());
    }
}
