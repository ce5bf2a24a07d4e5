//! What all endpoints have in common: paths, methods, keys, CORS, errors.

use std::collections::BTreeSet;

use serde_json::json;

use crate::bed::{Answer, Bed, KEY};

#[tokio::test]
async fn every_spelling_of_a_path_is_the_same_resource() {
    let bed = Bed::new().await;
    for path in [
        "/engines",
        "/engines/",
        "//engines",
        "/api/v1/engines",
        "/api/v1/engines/",
        "//api/v1//engines//",
        "/api/v1/engines?x=1",
    ] {
        let answer = bed.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "[]"), "{path}");
    }
    for path in ["/metrics", "/metrics/", "/api/v1/metrics"] {
        assert_eq!(bed.get(path).await.status, 200, "{path}");
    }
    let posted = bed.post("/api/v1/gc/", &json!(null)).await;
    assert_eq!((posted.status.as_u16(), posted.json()), (200, json!({"status": "ok"})));
    bed.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_in_json() {
    let bed = Bed::new().await;
    for path in ["/nothing", "/engines/a/b", "/streams/x", "/docs/no-such-file", "/api/v2/engines"] {
        let answer = bed.get(path).await;
        let expected = if path == "/streams/x" { 405 } else { 404 };
        assert_eq!(answer.status, expected, "{path}");
        if expected == 404 {
            assert_eq!(answer.json(), json!({"detail": "Not Found"}), "{path}");
        }
    }
    for (method, path, allow) in [
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("POST", "/engines", "GET, HEAD, OPTIONS"),
        ("DELETE", "/engines", "GET, HEAD, OPTIONS"),
        ("GET", "/provision", "OPTIONS, POST"),
        ("PUT", "/containers/x", "DELETE, GET, HEAD, OPTIONS"),
        ("PATCH", "/api/v1/streams/x", "DELETE, OPTIONS"),
    ] {
        let answer = bed.send(method, path, &[], "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    for path in ["/engines/%zz", "/engines/%", "/streams/%ff/stats"] {
        let raw = crate::api::hostile::raw(
            &bed,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert!(raw.starts_with("HTTP/1.1 400") && raw.contains("\"detail\""), "{path}: {raw}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn each_file_of_the_panel_has_one_path_and_a_tag_of_its_content() {
    let bed = Bed::new().await;
    for path in ["/panel/", "/panel/index.html", "/api/v1//panel/", "//panel/"] {
        let plain = bed.get(path).await;
        let packed = bed.send("GET", path, &[("accept-encoding", "gzip")], "").await;
        assert_eq!((plain.status.as_u16(), packed.status.as_u16()), (200, 200), "{path}");
        assert!(plain.header("etag").starts_with("W/\""), "packed bytes differ: {plain:?}");
        assert_eq!(packed.header("etag"), plain.header("etag"), "{path}");
        assert_eq!(packed.header("vary"), "accept-encoding", "{path}");
        let known = bed.send("GET", path, &[("if-none-match", plain.header("etag"))], "").await;
        assert_eq!((known.status.as_u16(), known.header("etag")), (304, plain.header("etag")), "{path}");
    }
    for path in ["/panel//", "/panel/index.html/", "/panel//index.html", "/api/v1/panel//", "/docs//"] {
        assert_eq!(bed.get(path).await.status, 404, "{path}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let bed = Bed::new().await;
    for path in [
        "/engines",
        "/livez",
        "/",
        "/openapi.json",
        "/docs/",
        "/panel/",
        "/nothing",
        "/provision",
        "/engines/none",
    ] {
        let (get, head) = (bed.get(path).await, bed.send("HEAD", path, &[], "").await);
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        let names =
            |answer: &Answer| answer.headers.keys().map(|name| name.to_string()).collect::<BTreeSet<_>>();
        assert_eq!(names(&head), names(&get), "{path}");
        for name in ["content-length", "content-type", "etag", "allow"] {
            assert_eq!(head.headers.get(name), get.headers.get(name), "{path}: {name}");
        }
    }
    bed.stop().await;
}

#[tokio::test]
async fn options_says_what_may_be_asked() {
    let bed = Bed::new().await;
    for (path, allow) in [
        ("/", "GET, HEAD, OPTIONS"),
        ("/engines", "GET, HEAD, OPTIONS"),
        ("/api/v1/gc", "OPTIONS, POST"),
        ("/livez", "GET, HEAD, OPTIONS"),
    ] {
        let answer = bed.send("OPTIONS", path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
    assert_eq!(bed.send("OPTIONS", "/nothing", &[], "").await.status, 404);
    // As HAProxy asks by itself, and as a monitor asks of the server.
    for request in
        ["OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
    {
        let answer = crate::api::hostile::raw(&bed, request).await;
        assert!(answer.starts_with("HTTP/1.1 204") || answer.starts_with("HTTP/1.0 204"), "{answer}");
        assert!(answer.to_lowercase().contains("allow: "), "{answer}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn the_root_redirects_browsers_and_identifies_itself_to_programs() {
    let bed = Bed::new().await;
    for (path, below) in [("/", ""), ("/api/v1", "v1/"), ("/api/v1/", "")] {
        let page = bed.send("GET", path, &[("accept", "text/html,application/xhtml+xml;q=0.9")], "").await;
        assert_eq!(
            (page.status.as_u16(), page.header("location")),
            (307, format!("{below}panel/").as_str()),
            "{path}"
        );
        let about = bed.get(path).await;
        assert_eq!((about.status.as_u16(), about.header("vary")), (200, "accept"), "{path}");
        let about = about.json();
        assert_eq!((&about["name"], &about["node"]), (&json!("acefleet"), &json!("a")));
        assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(about["openapi"], format!("{below}openapi.json"));
    }
    bed.stop().await;
}

#[tokio::test]
async fn larger_answers_are_compressed_for_clients_that_accept_it() {
    let bed = Bed::new().await;
    for port in 901..931 {
        bed.engine(port).await;
    }
    let takes = [("accept-encoding", "gzip")];
    for path in ["/openapi.json", "/engines", "/engines"] {
        let plain = bed.get(path).await;
        assert!(!plain.headers.contains_key("content-encoding"), "{path}");
        let packed = bed.send("GET", path, &takes, "").await;
        assert_eq!(
            (packed.header("content-encoding"), packed.header("vary")),
            ("gzip", "accept-encoding"),
            "{path}"
        );
        let length = |answer: &Answer| answer.number("content-length");
        assert!(length(&packed) < length(&plain) / 4, "{path}");
        let tag = |answer: &Answer| answer.headers.get("etag").cloned();
        assert!(tag(&packed).is_none() || tag(&packed) != tag(&plain), "{path}");
    }
    assert!(!bed.send("GET", "/livez", &takes, "").await.headers.contains_key("content-encoding"));
    bed.stop().await;
}

#[tokio::test]
async fn writes_need_the_key_and_reads_do_not() {
    let bed = Bed::new().await;
    let event = json!({});
    for (method, path) in [
        ("POST", "/provision"),
        ("POST", "/provision/acestream"),
        ("POST", "/scale/1"),
        ("POST", "/gc"),
        ("DELETE", "/containers/x"),
        ("POST", "/events/stream_started"),
        ("POST", "/events/stream_ended"),
        ("POST", "/events/batch"),
        ("GET", "/by-label?key=a&value=b"),
        ("POST", "/health/circuit-breaker/reset"),
        ("DELETE", "/streams/x"),
    ] {
        let body = if method == "POST" { event.to_string() } else { String::new() };
        let without = bed.send(method, path, &[], &body).await;
        assert_eq!(without.status, 401, "{method} {path}");
        assert_eq!(without.json(), json!({"detail": "missing bearer token"}));
        assert!(!without.headers.contains_key("www-authenticate"));
        let wrong = bed.send(method, path, &[("authorization", "Bearer wrong")], &body).await;
        assert_eq!((wrong.status.as_u16(), wrong.json()), (403, json!({"detail": "invalid token"})));
    }
    for path in [
        "/engines",
        "/streams",
        "/vpn/status",
        "/health",
        "/health/ready",
        "/health/status",
        "/metrics",
        "/cluster",
        "/orchestrator/status",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/docs/",
    ] {
        assert_eq!(bed.get(path).await.status, 200, "{path}");
    }
    let own_header = bed.send("POST", "/gc", &[("x-api-key", KEY)], "").await;
    assert_eq!(own_header.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn the_key_is_checked_before_anything_else() {
    let bed = Bed::new().await;
    let broken = "{\"a\":";
    assert_eq!(bed.send("POST", "/events/stream_ended", &[], broken).await.status, 401);
    let broken = bed.send("POST", "/events/stream_ended", &[("x-api-key", KEY)], broken).await;
    assert_eq!((broken.status.as_u16(), &broken.json()["detail"][0]["type"]), (422, &json!("json_invalid")));
    let wrong_types = bed.send("POST", "/events/stream_ended", &[], "{\"stream_id\": 5}").await;
    assert_eq!(wrong_types.status, 401);
    let path = bed.send("POST", "/scale/abc", &[], "").await;
    assert_eq!(path.status, 401);
    let query = bed.send("GET", "/by-label", &[], "").await;
    assert_eq!(query.status, 401);
    bed.stop().await;
}

#[tokio::test]
async fn an_open_node_needs_no_key() {
    let bed = Bed::with(&[("ACEFLEET_OPEN", "true")]).await;
    assert_eq!(bed.send("POST", "/gc", &[], "").await.status, 200);
    assert_eq!(bed.send("POST", "/events/stream_ended", &[], "{}").await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn any_page_may_call() {
    let bed = Bed::new().await;
    for path in ["/engines", "/nothing", "/gc"] {
        let answer = bed.send("GET", path, &[("origin", "http://panel.example")], "").await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
    let asks = [
        ("origin", "http://panel.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, x-own"),
    ];
    let preflight = bed.send("OPTIONS", "/api/v1/provision/acestream", &asks, "").await;
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    );
    assert_eq!(preflight.header("access-control-allow-headers"), "authorization, x-own");
    assert_eq!(preflight.header("access-control-max-age"), "600");
    bed.stop().await;
}

#[tokio::test]
async fn requests_have_ids() {
    let bed = Bed::new().await;
    let given = bed.send("GET", "/health", &[("x-request-id", "abc-1")], "").await;
    assert_eq!(given.header("x-request-id"), "abc-1");
    let bad = bed.send("GET", "/health", &[("x-request-id", "a b\"c")], "").await;
    assert_eq!(bad.header("x-request-id").len(), 32);
    bed.stop().await;
}
