//! Users whom a proxy has signed in, on a real node behind a connection that is the proxy's.

use acefleet_registry::Level;
use serde_json::json;

use crate::bed::sse::Events;
use crate::bed::{Bed, KEY, eventually};

const ALICE: (&str, &str) = ("remote-user", "alice@example.org");

async fn bed(proxy: &str, role: &str) -> Bed {
    let bed = Bed::with(&[
        ("API_KEY", KEY),
        ("ACEFLEET_READS", "key"),
        ("ACEFLEET_TRUSTED_PROXIES", proxy),
        ("ACEFLEET_AUTH_HEADER", "Remote-User"),
        ("ACEFLEET_AUTH_ROLE", role),
    ])
    .await;
    eventually("all members know users", async || {
        (bed.fleet.view().state.level() >= Level::NAMES_USERS).then_some(())
    })
    .await;
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_a_trusted_proxy_may_what_the_role_says_and_is_named() {
    let bed = bed("127.0.0.1", "operator").await;
    let origin = format!("http://{}", bed.address);
    let own = [ALICE, ("origin", origin.as_str())];
    // The second time from the rendered answers.
    for _ in 0..2 {
        assert_eq!(bed.send("GET", "/engines", &[ALICE], "").await.status, 200);
        assert_eq!(bed.send("GET", "/engines", &[], "").await.status, 401);
    }
    let caller = bed.send("GET", "/cluster/key", &[ALICE], "").await.json();
    let expected =
        json!({"required": false, "name": "alice@example.org", "role": "operator", "session_ends_at": null});
    assert_eq!(caller, expected);
    let cordoned = bed.send("POST", "/cluster/nodes/a/cordon", &own, "").await;
    assert_eq!(cordoned.status, 200, "{cordoned:?}");
    let newest = bed.send("GET", "/events?limit=1&category=audit", &[ALICE], "").await.json();
    let by = &newest[0]["by"];
    assert_eq!(
        (&by["name"], &by["user"]),
        (&json!("alice@example.org"), &json!("alice@example.org")),
        "{by}"
    );
    assert!(by.get("key").is_none(), "{by}");
    let refused = bed.send("GET", "/keys", &[ALICE], "").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.text.contains("the user alice@example.org has the role operator"), "{refused:?}");
    let renewed = bed.send("POST", "/cluster/key", &own, "").await;
    assert_eq!(renewed.status, 403, "{renewed:?}");
    let session = bed.send("POST", "/session", &own, "").await.json();
    assert_eq!((&session["token"], &session["role"]), (&json!(null), &json!("operator")));
    // The greeting says to the panel that it need not ask.
    let url = format!("http://{}/events/stream", bed.address);
    let response = reqwest::Client::new().get(url).header(ALICE.0, ALICE.1).send().await.unwrap();
    let hello = Events::of(response).next().await.unwrap();
    assert_eq!((hello.event.as_str(), &hello.data["key_required"]), ("hello", &json!(false)));
    let named = bed.send("GET", "/engines", &[("remote-user", "not a name")], "").await;
    assert_eq!(named.status, 401);
    assert!(named.text.contains("the name of a user has"), "{named:?}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing_in_the_name_of_a_user() {
    let bed = bed("127.0.0.1", "admin").await;
    let origin = format!("http://{}", bed.address);
    for (headers, status) in [
        (vec![ALICE], 403),
        (vec![ALICE, ("origin", "https://evil.example")], 403),
        (vec![ALICE, ("origin", "null")], 403),
        (vec![ALICE, ("origin", "https://evil.example"), ("x-requested-with", "x")], 403),
        (vec![ALICE, ("origin", origin.as_str())], 200),
        (vec![ALICE, ("x-requested-with", "curl")], 200),
        (vec![ALICE, ("x-api-key", KEY), ("origin", "https://evil.example")], 200),
    ] {
        let answer = bed.send("POST", "/gc", &headers, "").await;
        assert_eq!(answer.status, status, "{headers:?} {answer:?}");
        assert!(status == 200 || answer.text.contains("ACEFLEET_ALLOWED_HOSTS"), "{answer:?}");
    }
    // A WebSocket is opened to any site, with what the browser keeps for it.
    let foreign = [ALICE, ("origin", "https://evil.example")];
    assert_eq!(bed.send("GET", "/engines", &foreign, "").await.status, 401);
    assert_eq!(bed.send("GET", "/ws/engines", &foreign, "").await.status, 401);
    let metrics = bed.send("GET", "/metrics", &[ALICE], "").await.text;
    assert!(metrics.contains("acefleet_callers_refused_total{reason=\"foreign_page\"} 4\n"));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_says_which_user_calls() {
    let bed = bed("10.9.9.9", "admin").await;
    for headers in [
        vec![ALICE],
        vec![ALICE, ("x-requested-with", "curl")],
        vec![ALICE, ("x-forwarded-for", "10.9.9.9"), ("x-requested-with", "curl")],
    ] {
        assert_eq!(bed.send("GET", "/engines", &headers, "").await.status, 401, "{headers:?}");
        let changed = bed.send("POST", "/gc", &headers, "").await;
        assert_eq!(
            (changed.status.as_u16(), &changed.json()["detail"]),
            (401, &json!("missing bearer token"))
        );
    }
    bed.stop().await;
}
