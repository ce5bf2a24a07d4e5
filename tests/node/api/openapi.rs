//! The description of the API: current, complete, served offline.

use acefleet::agent::runtime::RuntimeError;
use serde_json::Value;

use crate::bed::{Bed, KEY};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

#[test]
fn the_committed_document_is_current() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap();
    assert!(
        committed == acefleet::http::openapi_json(),
        "docs/openapi.json is not what the handlers say: run `cargo run -- openapi > docs/openapi.json`"
    );
}

#[test]
fn every_operation_says_who_may_call_it_and_what_it_answers() {
    let document: Value = serde_json::from_str(&acefleet::http::openapi_json()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
            let secret = [
                "/by-label",
                "/cluster/backup",
                "/cluster/key",
                "/cluster/tokens",
                "/containers/{container_id}/logs",
                "/cluster/nodes/{name}/log",
                "/keys",
            ];
            let is_secret = secret.contains(&path.as_str());
            let changes = method != "get" || is_secret;
            let schemes = operation["security"].as_array().unwrap_or_else(|| panic!("{method} {path}")).len();
            assert_eq!(schemes, if changes { 2 } else { 0 }, "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            let succeeds = if path == "/ws/engines" { "101" } else { "200" };
            assert!(
                responses.contains_key(succeeds) && (!changes || responses.contains_key("401")),
                "{method} {path}"
            );
            assert!(
                operation["summary"].is_string() && operation["operationId"].is_string(),
                "{method} {path}"
            );
        }
    }
    assert!(operations >= 36, "operations are missing: {operations}");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let names = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
    let missing: Vec<&str> = names.filter(|name| !schemas.contains_key(*name)).collect();
    assert!(missing.is_empty(), "no such schemas: {missing:?}");
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert!(schemes.contains_key("bearer") && schemes.contains_key("api_key"));
}

#[test]
fn documents_name_each_read_that_needs_the_key() {
    let document: Value = serde_json::from_str(&acefleet::http::openapi_json()).unwrap();
    let reads = document["paths"].as_object().unwrap().iter().filter_map(|(path, item)| {
        let is_secret = item["get"]["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
        is_secret.then(|| format!("`GET {path}`"))
    });
    let reads: Vec<String> = reads.collect();
    assert!(reads.len() >= 3, "{reads:?}");
    for name in ["API.md", "SECURITY.md"] {
        let text = std::fs::read_to_string(format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let unnamed: Vec<_> = reads.iter().filter(|read| !text.contains(*read)).collect();
        assert!(unnamed.is_empty(), "{name} does not say that the key is needed for {unnamed:?}");
    }
}

/// What may be wrong with a call, and what is right with it.
const QUERIES: [&str; 5] =
    ["", "?consistency=x", "?consistency=linearizable", "?min_revision=-1", "?min_revision=99999999"];
const BODIES: [&str; 5] =
    ["", "{}", "[1]", "{\"", "{\"engine\":1,\"image\":\"string\",\"env\":{\"\":\"\"},\"started\":[{}]}"];

#[tokio::test]
async fn nothing_is_answered_that_is_not_described() {
    let bed = Bed::new().await;
    bed.runtime.world().fails.replace(RuntimeError::Other("no containers today".to_owned()));
    let document: Value = serde_json::from_str(&acefleet::http::openapi_json()).unwrap();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let concrete = path
                .replace("{container_id}", "nothing")
                .replace("{stream_id}", "no%7Cthing")
                .replace("{name}", "nobody")
                .replace("{demand}", "x");
            let described = &operation["responses"];
            for query in QUERIES {
                for body in if operation["requestBody"].is_object() { &BODIES[..] } else { &[""] } {
                    for key in [None, Some("wrong"), Some(KEY)] {
                        let target = format!("{concrete}{query}");
                        calls.push((method.to_uppercase(), target, *body, key, described));
                    }
                }
            }
        }
    }
    let answers = calls.iter().map(async |(method, target, body, key, described)| {
        let key = key.map(|key| ("x-api-key", key));
        let answer = bed.send(method, target, key.as_slice(), body).await;
        let status = answer.status.as_str();
        let response = &described[status];
        assert!(response.is_object(), "{method} {target} {body}: {status} is not described: {}", answer.text);
        let kind = answer.headers.get("content-type").map(|kind| kind.to_str().unwrap());
        let kinds = response["content"].as_object();
        let described = kinds.is_none_or(|kinds| {
            kind.is_some_and(|kind| kinds.keys().any(|described| kind.starts_with(described)))
        });
        assert!(described, "{method} {target}: {status} comes as {kind:?}");
    });
    // Some of them wait for seconds.
    let answers: Vec<_> = answers.collect();
    assert!(answers.len() > 500, "{}", answers.len());
    futures::future::join_all(answers).await;
    bed.stop().await;
}

#[tokio::test]
async fn the_docs_work_offline_and_below_any_path() {
    let bed = Bed::new().await;
    for path in ["/openapi.json", "/api/v1/openapi.json"] {
        assert_eq!(bed.get(path).await.text, acefleet::http::openapi_json(), "{path}");
    }
    for path in ["/docs", "/api/v1/docs"] {
        let answer = bed.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (307, "docs/"), "{path}");
    }
    let page = bed.get("/api/v1/docs/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html"));
    assert!(!page.text.contains("src=\"http") && !page.text.contains("src=\"/"));
    let config = bed.get("/docs/swagger-initializer.js").await;
    assert!(config.text.contains("\"../openapi.json\""), "{}", config.text);
    assert_eq!(bed.get("/docs/swagger-ui.css").await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn the_panel_works_below_any_path_and_loads_nothing_from_elsewhere() {
    let bed = Bed::new().await;
    for path in ["/panel", "/api/v1/panel"] {
        let answer = bed.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (307, "panel/"), "{path}");
    }
    for path in ["/panel/", "/api/v1/panel/"] {
        let page = bed.get(path).await;
        assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, "no-cache"), "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        for outside in ["src=\"http", "src=\"/", "href=\"http", "href=\"/", "<style", "style=\""] {
            assert!(!page.text.contains(outside), "{path}: {outside}");
        }
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self'; connect-src 'self' http://"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(page.header(name), value, "{path}");
        }
        let again = bed.send("GET", path, &[("if-none-match", page.header("etag"))], "").await;
        assert_eq!(again.status, 304, "{path}");
    }
    assert_eq!(bed.get("/panel/no-such-file").await.status, 404);
    bed.stop().await;
}

#[tokio::test]
async fn the_examples_of_the_page_work_as_they_are() {
    let bed = Bed::new().await;
    let document: Value = serde_json::from_str(&acefleet::http::openapi_json()).unwrap();
    // Something to select.
    bed.engine(9_000).await;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let body_of = |method| Some((method, item[method]["requestBody"].as_object()?));
        let Some((method, body)) = ["post", "patch"].into_iter().find_map(body_of) else { continue };
        let mut schema = &body["content"]["application/json"]["schema"];
        // A body that may be left out is one of several.
        if let Some(one_of) = schema["oneOf"].as_array() {
            schema = one_of.iter().find(|one| one["$ref"].is_string()).unwrap();
        }
        let reference = schema["$ref"].as_str().unwrap_or_else(|| panic!("{path}: {body:?}"));
        let described = document.pointer(reference.trim_start_matches('#')).unwrap();
        let example = &described["example"];
        assert!(example.is_object(), "{path} has no example, and the page makes one up");
        let answer = bed.call(&method.to_uppercase(), &path.replace("{name}", "a"), example).await;
        assert_eq!(answer.status, 200, "{path} {example}: {}", answer.text);
        // One of them drains the node.
        bed.post("/cluster/nodes/a/uncordon", &Value::Null).await;
        tried += 1;
    }
    assert_eq!(tried, 11);
    bed.stop().await;
}
