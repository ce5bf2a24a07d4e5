//! What all endpoints have in common: paths, methods, keys, CORS, errors.

use serde_json::json;

use crate::bed::{Bed, KEY};

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
    for path in
        ["/", "/nothing", "/api/v1", "/engines/a/b", "/streams/x", "/docs/no-such-file", "/api/v2/engines"]
    {
        let answer = bed.get(path).await;
        let expected = if path == "/streams/x" { 405 } else { 404 };
        assert_eq!(answer.status, expected, "{path}");
        if expected == 404 {
            assert_eq!(answer.json(), json!({"detail": "Not Found"}), "{path}");
        }
    }
    for (method, path, allow) in [
        ("POST", "/engines", "GET"),
        ("DELETE", "/engines", "GET"),
        ("GET", "/provision", "POST"),
        ("PUT", "/containers/x", "DELETE, GET"),
        ("OPTIONS", "/engines", "GET"),
        ("PATCH", "/api/v1/streams/x", "DELETE"),
    ] {
        let answer = bed.send(method, path, &[], "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
        let mut allowed: Vec<&str> = answer.header("allow").split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(", "), allow, "{method} {path}");
    }
    let head = bed.send("HEAD", "/engines", &[], "").await;
    assert_eq!((head.status.as_u16(), head.header("allow")), (405, "GET"));
    assert_eq!(bed.send("HEAD", "/nothing", &[], "").await.status, 404);
    for path in ["/engines/%zz", "/engines/%", "/streams/%ff/stats"] {
        let raw = crate::hostile::raw(
            &bed,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert!(raw.starts_with("HTTP/1.1 400") && raw.contains("\"detail\""), "{path}: {raw}");
    }
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
async fn a_body_is_parsed_before_the_key_and_validated_after() {
    let bed = Bed::new().await;
    let broken = bed.send("POST", "/events/stream_ended", &[], "{\"a\":").await;
    assert_eq!(broken.status, 422);
    assert_eq!(broken.json()["detail"][0]["type"], "json_invalid");
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
