//! What a caller without TLS gets of a node that has it: where it has to call.

use axum::http::header::{CONNECTION, HOST, LOCATION, UPGRADE};
use axum::http::{HeaderValue, Method, Request, StatusCode};

use crate::http::answer::problem::Problem;

const SPEAKS_TLS: HeaderValue = HeaderValue::from_static("TLS/1.2, HTTP/1.1");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// 307 for the page of the panel, which people open by hand, and 426 for all else: a program that followed would send its key without
/// encryption each time. Not 308, which browsers remember when the certificate has gone.
pub(super) fn of<B>(request: &Request<B>) -> Problem {
    let secure = secure_url(request);
    let path = request.uri().path();
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
        && (path == "/" || path == "/panel" || path.starts_with("/panel/"));
    let close = (CONNECTION, CLOSE);
    if is_page && let Some(url) = secure.as_ref().and_then(|url| HeaderValue::try_from(url.as_str()).ok()) {
        let problem = Problem::text(StatusCode::TEMPORARY_REDIRECT, "this node speaks HTTPS");
        return problem.with_headers([(LOCATION, url), close]);
    }
    let place = secure.unwrap_or_else(|| "https:// at the same host and port".to_owned());
    let detail = format!(
        "this node speaks HTTPS: call {place}. A key in this call went unencrypted through the network; replace it if others may have seen it"
    );
    Problem::text(StatusCode::UPGRADE_REQUIRED, &detail).with_headers([(UPGRADE, SPEAKS_TLS), close])
}

/// The same address with TLS, if the caller says where it called.
fn secure_url<B>(request: &Request<B>) -> Option<String> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    // Whatever could lead elsewhere is no part of an address.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let is_address = !host.is_empty() && host.bytes().all(is_plain) && hosts.next().is_none();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    (is_address && path.starts_with('/')).then(|| format!("https://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(method: &str, host: &str, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).header(HOST, host).body(()).unwrap();
        let (status, body) = of(&request).status_and_body();
        (status.as_u16(), body["detail"].as_str().unwrap().to_owned())
    }

    #[test]
    fn people_are_sent_on_and_programs_are_told() {
        for path in ["/", "/panel", "/panel/", "/panel/assets/x.js?y"] {
            assert_eq!(advice("GET", "a:8000", path).0, 307, "{path}");
            assert_eq!(advice("POST", "a:8000", path).0, 426, "{path}");
        }
        let (status, detail) = advice("GET", "10.0.0.1:8000", "/engines?x=1");
        assert_eq!(status, 426);
        assert!(detail.contains("call https://10.0.0.1:8000/engines?x=1."), "{detail}");
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for host in ["", "a/b", "a@b", "a?b", "a#b", "a\\b", "a b"] {
            let (status, detail) = advice("GET", host, "/panel/");
            assert_eq!(status, 426, "{host}");
            assert!(detail.contains("https:// at the same host"), "{detail}");
        }
    }
}
