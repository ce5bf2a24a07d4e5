//! Who may call: made keys, open nodes, pages of others.

use std::os::unix::fs::PermissionsExt;

use acefleet::access::{hash, keys_here};
use acefleet_registry::Access;
use serde_json::json;

use crate::bed::Bed;

const GC: &str = "/gc";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_makes_a_key_that_only_one_node_has_and_all_know() {
    let beds = Bed::three_with(&[]).await;
    let dirs = beds.each_ref().map(|bed| bed.fleet.config().data_dir.clone());
    let keys: Vec<_> = dirs.iter().flat_map(|dir| keys_here(dir).unwrap()).collect();
    assert_eq!(keys.len(), 1, "one node holds it, and it travels to no other");
    let holder = dirs.iter().find(|dir| dir.join("api.key").exists()).unwrap();
    let mode = std::fs::metadata(holder.join("api.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = keys[0].exposed();
    let bearer = format!("Bearer {key}");
    for bed in &beds {
        assert_eq!(bed.fleet.view().state.access(), Some(Access::Key(hash(key.as_bytes()))));
        assert_eq!(bed.send("POST", GC, &[], "").await.status, 401);
        assert_eq!(bed.send("POST", GC, &[("x-api-key", "another")], "").await.status, 403);
        assert_eq!(bed.send("POST", GC, &[("authorization", &bearer)], "").await.status, 200);
        assert_eq!(bed.get("/engines").await.status, 200, "reads stay open");
        assert_eq!(
            bed.send("GET", "/cluster/key", &[("x-api-key", key)], "").await.json(),
            json!({"required": true, "name": "API key", "role": "admin", "session_ends_at": null})
        );
        // A new one is made on a host, not by whoever has the old one.
        let renewed = bed.send("POST", "/cluster/key", &[("x-api-key", key)], "").await;
        assert_eq!(renewed.status, 403, "{renewed:?}");
    }
    for bed in beds {
        bed.fleet.cluster().shutdown().await;
        holding(&bed.fleet.config().data_dir, key.as_bytes(), holder);
        bed.stop().await;
    }
}

/// No file has the key but the one of its holder.
fn holding(dir: &std::path::Path, key: &[u8], holder: &std::path::Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, key, holder);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(key.len()).any(|window| window == key);
        assert_eq!(found, path == holder.join("api.key"), "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_callers_are_refused_before_the_cluster_forms() {
    let bed = Bed::alone_with(&[]).await;
    let answer = bed.send("POST", GC, &[("x-api-key", "any")], "").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["detail"]["code"], "not_formed");
    assert_eq!(answer.json()["detail"]["can_retry"], true);
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!(bed.get("/engines").await.status, 200);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_node_answers_no_foreign_pages() {
    let bed = Bed::with(&[("ACEFLEET_OPEN", "true"), ("ACEFLEET_ALLOWED_HOSTS", "panel.example.org")]).await;
    let own = format!("http://{}", bed.address);
    let provision = r#"{"image": "evil"}"#;
    for (headers, status) in [
        (vec![], 200),
        (vec![("origin", own.as_str())], 200),
        (vec![("origin", "https://panel.example.org")], 200),
        (vec![("host", "panel.example.org")], 200),
        (vec![("host", "acefleet:8000")], 200),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("host", "evil.example")], 403),
        (vec![("host", "evil.example:8000"), ("origin", "http://evil.example:8000")], 403),
    ] {
        for path in ["/engines", "/streams", "/livez"] {
            // The second time from the rendered answers.
            for _ in 0..2 {
                let answer = bed.send("GET", path, &headers, "").await;
                assert_eq!(answer.status, status, "{path} {headers:?} {answer:?}");
            }
        }
        let gc = bed.send("POST", GC, &headers, "").await;
        assert_eq!(gc.status, status, "{headers:?} {gc:?}");
        if status == 403 {
            assert!(!gc.headers.contains_key("access-control-allow-origin"), "{gc:?}");
            assert!(gc.text.contains("ACEFLEET_ALLOWED_HOSTS"), "{gc:?}");
            let answer = bed.send("POST", "/provision", &headers, provision).await;
            assert_eq!(answer.status, 403);
        }
    }
    let asked = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    assert_eq!(bed.send("OPTIONS", "/provision", &asked, "").await.status, 403);
    assert_eq!(bed.fleet.view().state.live_engines().count(), 0);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_key_is_called_by_any_name_and_page() {
    let bed = Bed::new().await;
    let headers = [("host", "tv.example.org"), ("origin", "https://panel.example.org")];
    assert_eq!(bed.send("GET", "/engines", &headers, "").await.status, 200);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_say_that_they_are_json() {
    let bed = Bed::new().await;
    let body = json!({"stream_id": "a|b"}).to_string();
    let client = reqwest::Client::new();
    for (kind, status) in [
        (None, 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/json"), 200),
        (Some("application/json; charset=utf-8"), 200),
        (Some("application/vnd.acefleet+json"), 200),
    ] {
        let mut request = client.post(format!("http://{}/events/stream_ended", bed.address));
        request = request.bearer_auth(crate::bed::KEY).body(body.clone());
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{kind:?}");
        let text = response.text().await.unwrap();
        assert_eq!(status == 415, text.contains("Content-Type: application/json"), "{text}");
    }
    bed.stop().await;
}
