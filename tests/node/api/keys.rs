//! Named keys on real nodes: made, used, ended, revoked, and what of them is left where.

use std::path::Path;
use std::time::{Duration, Instant};

use acefleet::access::hash;
use acefleet_registry::command::CreateKey;
use acefleet_registry::{Command, Level, Role};
use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::{Bed, eventually};

async fn ready(bed: &Bed) {
    eventually("all members know named keys", async || {
        (bed.fleet.view().state.level() >= Level::NAMED_KEYS).then_some(())
    })
    .await;
}

async fn make(bed: &Bed, name: &str, role: &str) -> String {
    let made = bed.post("/keys", &json!({"name": name, "role": role})).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.header("cache-control"), "no-store");
    made.json()["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_on_all_nodes_until_it_is_revoked() {
    let beds = Bed::three().await;
    for bed in &beds {
        ready(bed).await;
    }
    let made = beds[0].post("/keys", &json!({"name": "ops", "role": "operator"})).await;
    let (key, revision) =
        (made.json()["key"].as_str().unwrap().to_owned(), made.number("x-acefleet-revision"));
    assert!(key.starts_with("acefleet_") && key.len() > 40, "{key}");
    for bed in &beds {
        bed.get(&format!("/cluster?min_revision={revision}")).await;
        let asked = bed.send("GET", "/cluster/key", &[("x-api-key", &key)], "").await;
        let caller = json!({"required": true, "name": "ops", "role": "operator", "session_ends_at": null});
        assert_eq!((asked.status.as_u16(), asked.json()), (200, caller));
        assert_eq!(bed.send("POST", "/gc", &[("x-api-key", &key)], "").await.status, 200);
        assert_eq!(
            bed.send("POST", "/keys", &[("x-api-key", &key)], r#"{"name":"x","role":"admin"}"#).await.status,
            403
        );
    }
    let listed = beds[2].call("GET", "/keys", &Value::Null).await;
    let entry = &listed.json()[0];
    assert_eq!(
        (&entry["name"], &entry["role"], &entry["ended"], &entry["ends_at"], &entry["created_by"]["node"]),
        (&json!("ops"), &json!("operator"), &json!(false), &Value::Null, &json!("a"))
    );
    assert!(!listed.text.contains(&key), "nobody keeps it");
    let again = beds[1].post("/keys", &json!({"name": "ops", "role": "admin"})).await;
    assert_eq!(again.status, 409, "{again:?}");
    let revoked = beds[1].call("DELETE", "/keys/ops", &Value::Null).await;
    assert_eq!(revoked.json(), json!({"revoked": "ops"}));
    let revision = revoked.number("x-acefleet-revision");
    for bed in &beds {
        bed.get(&format!("/cluster?min_revision={revision}")).await;
        assert_eq!(bed.send("POST", "/gc", &[("x-api-key", &key)], "").await.status, 403);
    }
    for (name, status) in [("ops", 404), ("no%20name", 404), ("a%2Fb", 404), ("%00", 404)] {
        let answer = beds[0].call("DELETE", &format!("/keys/{name}"), &Value::Null).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    for bed in beds {
        let dir = bed.fleet.config().data_dir.clone();
        bed.fleet.cluster().shutdown().await;
        never_holds(&dir, key.as_bytes());
        bed.stop().await;
    }
}

/// No file has these bytes.
fn never_holds(dir: &Path, secret: &[u8]) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            never_holds(&path, secret);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_ended_says_so() {
    let bed = Bed::new().await;
    ready(&bed).await;
    let made = bed.post("/keys", &json!({"name": "month", "role": "viewer", "ttl_seconds": 2_592_000})).await;
    let ends_at = made.json()["ends_at"].as_str().unwrap().to_owned();
    assert!(ends_at.ends_with('Z'), "{ends_at}");
    let new = CreateKey {
        name: "guest".parse().unwrap(),
        role: Role::Viewer,
        hash: hash(b"the-guest"),
        ttl_ms: Some(1),
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    bed.fleet.write(Command::CreateKey(new), deadline).await.unwrap();
    let refused = eventually("it ends", async || {
        let answer = bed.send("GET", "/by-label?key=a&value=b", &[("x-api-key", "the-guest")], "").await;
        (answer.status == 401).then_some(answer)
    })
    .await;
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("the key guest ended at 20"), "{detail}");
    let listed = bed.call("GET", "/keys", &Value::Null).await.json();
    let ended: Vec<_> = listed.as_array().unwrap().iter().map(|key| (&key["name"], &key["ended"])).collect();
    assert_eq!(ended, [(&json!("guest"), &json!(true)), (&json!("month"), &json!(false))]);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_keys_and_finds_what_somebody_did() {
    let bed = Bed::new().await;
    ready(&bed).await;
    bed.engine(901).await;
    let (ops, acexy) = (make(&bed, "ops", "operator").await, make(&bed, "acexy", "proxy").await);
    let cordoned = bed.send("POST", "/cluster/nodes/a/cordon", &[("x-api-key", &ops)], "").await;
    assert_eq!(cordoned.status, 200, "{cordoned:?}");
    let body = started("k", "s", 901).to_string();
    let began = bed.send("POST", "/events/stream_started", &[("x-api-key", &acexy)], &body).await;
    assert_eq!(began.status, 200, "{began:?}");
    let audit = bed.get("/events?category=audit").await.json();
    let audit = audit.as_array().unwrap();
    let told: Vec<_> = audit
        .iter()
        .map(|event| (event["category"].as_str().unwrap(), event["by"]["key"].as_str()))
        .collect();
    let keys = [("key_created", None), ("key_created", None)];
    assert_eq!(told, [&[("cordoned", Some("ops"))], &keys[..], &[("node_joined", None)]].concat());
    let newest = bed.get("/events?limit=1&event_type=stream").await.json();
    assert_eq!(
        (&newest[0]["category"], &newest[0]["by"]["key"], &newest[0]["by"]["name"]),
        (&json!("started"), &json!("acexy"), &json!("acexy"))
    );
    let id = began.json()["id"].as_str().unwrap().replace('|', "%7C");
    let stopped = bed.send("DELETE", &format!("/streams/{id}"), &[("x-api-key", &ops)], "").await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let newest = bed.get("/events?limit=1&category=audit").await.json();
    assert_eq!((&newest[0]["category"], &newest[0]["by"]["key"]), (&json!("ended"), &json!("ops")));
    let backup = bed.call("GET", "/cluster/backup", &Value::Null).await;
    for place in [&bed.get("/events").await.text, &bed.get("/metrics").await.text, &backup.text] {
        assert!(!place.contains(&ops) && !place.contains(&acexy));
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_are_not_let_in_are_counted_by_reason() {
    let bed = Bed::new().await;
    ready(&bed).await;
    let viewer = make(&bed, "grafana", "viewer").await;
    bed.send("POST", "/gc", &[], "").await;
    for _ in 0..2 {
        bed.send("POST", "/gc", &[("x-api-key", "a-guess-that-is-wrong")], "").await;
    }
    for _ in 0..3 {
        bed.send("POST", "/gc", &[("x-api-key", &viewer)], "").await;
    }
    let metrics = bed.get("/metrics").await.text;
    for (reason, times) in
        [("no_key", 1), ("wrong_key", 2), ("role", 3), ("ended_key", 0), ("foreign_page", 0)]
    {
        let line = format!("acefleet_callers_refused_total{{reason=\"{reason}\"}} {times}\n");
        assert!(metrics.contains(&line), "{line}");
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_cluster_has_no_use_for_keys() {
    let bed = Bed::with(&[("ACEFLEET_OPEN", "true")]).await;
    let answer = bed.send("POST", "/keys", &[], r#"{"name":"a","role":"viewer"}"#).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.text.contains("acefleet key --new"), "{answer:?}");
    bed.stop().await;
}
