//! Every operation with every role, through the real router. What is expected is the table of docs/SECURITY.md, which a unit test keeps.

use serde_json::{Value, json};

use crate::bed::{Answer, Bed, KEY};

/// Who calls: the columns of the table.
const CALLERS: [&str; 5] = ["no key", "viewer", "proxy", "operator", "admin"];

/// When a caller is let in, as the table says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    Always,
    WhileReadsAreOpen,
    Never,
}

struct Operation {
    method: String,
    path: String,
    may: [May; CALLERS.len()],
}

fn table() -> Vec<Operation> {
    let text = include_str!("../../../docs/SECURITY.md");
    let rows = text.split("<!-- roles -->").nth(1).unwrap().split("<!-- end of roles -->").next().unwrap();
    let mut lines = rows.trim().lines();
    let titles: Vec<_> = lines.next().unwrap().split('|').map(str::trim).collect();
    assert_eq!(titles[2..7], CALLERS);
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let (method, path) = cells[1].trim_matches('`').split_once(' ').unwrap();
        let may = |cell: &str| match cell {
            "yes" => May::Always,
            "while reads are open" => May::WhileReadsAreOpen,
            // Keys of the API are of no use there: the host has a token.
            "" | "on the host" => May::Never,
            other => panic!("{other}"),
        };
        let may = [2, 3, 4, 5, 6].map(|at| may(cells[at]));
        Operation { method: method.to_owned(), path: path.to_owned(), may }
    };
    lines.skip(1).map(row).collect()
}

/// A key for each role.
async fn keys(bed: &Bed) -> [Option<String>; CALLERS.len()] {
    let mut keys = [const { None }; CALLERS.len()];
    for (role, key) in CALLERS.into_iter().zip(&mut keys).skip(1) {
        let body = json!({"name": format!("the-{role}"), "role": role});
        let made = bed.post("/keys", &body).await;
        assert_eq!(made.status, 200, "{made:?}");
        *key = Some(made.json()["key"].as_str().unwrap().to_owned());
    }
    keys
}

async fn call(bed: &Bed, method: &str, path: &str, key: Option<&String>) -> Answer {
    // It is nothing that anything can be done with.
    let body = if matches!(method, "POST" | "PATCH") { "[1]" } else { "" };
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers = bearer.as_deref().map(|bearer| ("authorization", bearer));
    bed.send(method, path, headers.as_slice(), body).await
}

/// What the guard says of a caller that it does not let in.
fn refusal(caller: &str, answer: &Answer) -> Option<String> {
    let detail = || {
        serde_json::from_str::<Value>(&answer.text).unwrap_or_default()["detail"].as_str().map(str::to_owned)
    };
    match answer.status.as_u16() {
        401 => {
            assert_eq!(caller, "no key", "{answer:?}");
            assert_eq!(detail().as_deref(), Some("missing bearer token"));
            Some(String::new())
        }
        403 => detail().filter(|detail| {
            if detail.ends_with("acefleet key --new") {
                return caller == "admin";
            }
            let begins = detail.strip_prefix("this needs a key with the role ");
            begins.is_some_and(|rest| {
                rest.ends_with(&format!(", and the key the-{caller} has the role {caller}"))
            })
        }),
        _ => None,
    }
}

async fn each_cell(reads: &str) {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_READS", reads)]).await;
    let keys = keys(&bed).await;
    let mut wrong = Vec::new();
    let operations = table();
    assert!(operations.len() > 50);
    for Operation { method, path, may } in &operations {
        let filled = path
            .replace("{container_id}", "nothing")
            .replace("{stream_id}", "no%7Cthing")
            .replace("{name}", "nobody")
            .replace("{demand}", "x");
        for ((caller, key), may) in CALLERS.into_iter().zip(&keys).zip(may) {
            let is_let_in = *may == May::Always || *may == May::WhileReadsAreOpen && reads == "open";
            let other = format!("/api/v1{filled}/");
            // The second time from the rendered answers.
            let mut calls = vec![(method.as_str(), filled.as_str()), (method.as_str(), filled.as_str())];
            if method == "GET" {
                calls.extend([("HEAD", filled.as_str()), ("GET", other.as_str())]);
            }
            for (method, target) in calls {
                let answer = call(&bed, method, target, key.as_ref()).await;
                let is_refused = match method {
                    "HEAD" => matches!(answer.status.as_u16(), 401 | 403),
                    _ => refusal(caller, &answer).is_some(),
                };
                if is_refused == is_let_in {
                    wrong.push(format!("{method} {target} by {caller}: {} {}", answer.status, answer.text));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "reads {reads}: {wrong:#?}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_the_table_says() {
    each_cell("open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_the_table_says_where_reads_need_a_key() {
    each_cell("key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_reads_leave_open_what_programs_and_browsers_begin_with() {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_READS", "key")]).await;
    for path in
        ["/livez", "/readyz", "/health", "/orchestrator/status", "/panel/", "/docs/", "/openapi.json", "/"]
    {
        for _ in 0..2 {
            assert_eq!(bed.get(path).await.status, 200, "{path}");
        }
    }
    for path in ["/engines", "/cluster", "/events", "/events/stream", "/metrics", "/widget", "/settings"] {
        assert_eq!(bed.get(path).await.status, 401, "{path}");
        assert_eq!(bed.send("GET", path, &[("x-api-key", "wrong")], "").await.status, 403, "{path}");
        let answer = bed.call("GET", path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{path}");
        // Rendered for somebody with a key, and kept.
        assert_eq!(bed.get(path).await.status, 401, "{path}");
        assert_eq!(bed.send("HEAD", path, &[], "").await.status, 401, "{path}");
        let known = answer.headers.get("etag").map(|tag| tag.to_str().unwrap());
        if let Some(tag) = known {
            assert_eq!(bed.send("GET", path, &[("if-none-match", tag)], "").await.status, 401, "{path}");
        }
    }
    let socket = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(bed.send("GET", "/ws/engines", &socket, "").await.status, 401);
    assert_eq!(bed.send("OPTIONS", "/engines", &[], "").await.status, 204);
    assert_eq!(bed.send("PUT", "/engines", &[], "").await.status, 405);
    assert_eq!(bed.get("/no-such-path").await.status, 404);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_only_a_star_allows_are_for_admins() {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_ALLOWED_IMAGES", "named/image:1,*")]).await;
    let keys = keys(&bed).await;
    for (path, image, caller, is_let_in) in [
        ("/provision", "named/image:1", "operator", true),
        ("/provision", "other/image:1", "operator", false),
        ("/provision", "other/image:1", "admin", true),
        ("/provision/acestream", "other/image:1", "proxy", false),
        ("/provision/acestream", "other/image:1", "operator", false),
        ("/provision/acestream", "other/image:1", "admin", true),
        ("/provision/acestream", "named/image:1", "proxy", true),
        ("/provision/acestream", "engine:test", "proxy", true),
    ] {
        let at = CALLERS.into_iter().position(|name| name == caller).unwrap();
        let body = json!({"image": image}).to_string();
        let answer = bed.send("POST", path, &[("x-api-key", keys[at].as_ref().unwrap())], &body).await;
        assert_eq!(answer.status == 403, !is_let_in, "{path} {image} {caller}: {answer:?}");
        if !is_let_in {
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("allowed by * alone") && detail.contains("role admin"), "{detail}");
            assert!(detail.contains(&format!("the key the-{caller} has the role {caller}")), "{detail}");
        }
    }
    bed.stop().await;
}
