//! Settings belong to the cluster: any node shows and changes them, and all nodes act on them at once.

use std::time::{Duration, Instant};

use acefleet_registry::Policy;
use serde_json::{Value, json};

use crate::bed::{Answer, Bed, KEY, eventually};

/// Live on all nodes.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn patch(bed: &Bed, path: &str, body: &Value) -> Answer {
    bed.call("PATCH", path, body).await
}

/// The cluster has its first settings. Returns when every node has them.
async fn owned(beds: &[&Bed]) {
    for bed in beds {
        eventually("the cluster owns its settings", async || {
            (bed.fleet.view().state.settings().revision() == 1).then_some(())
        })
        .await;
    }
}

fn setting<'a>(settings: &'a Value, name: &str) -> &'a Value {
    let found = settings["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {settings}"))
}

async fn max_replicas(bed: &Bed) -> Value {
    setting(&bed.get("/settings").await.json(), "MAX_REPLICAS")["value"].clone()
}

async fn follower_and_leader(beds: &[Bed]) -> (usize, usize) {
    let leads = |bed: &Bed| bed.fleet.cluster().is_leader();
    let leader = eventually("a node leads", async || beds.iter().position(leads)).await;
    ((leader + 1) % beds.len(), leader)
}

#[tokio::test]
async fn a_form_can_be_drawn_from_what_is_shown() {
    let bed = Bed::with(&[("API_KEY", KEY), ("AUTO_DELETE", "true"), ("STARTUP_TIMEOUT_S", "1.5")]).await;
    owned(&[&bed]).await;
    let answer = bed.get("/settings").await;
    assert_eq!(answer.header("etag"), "\"1\"");
    let settings = answer.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&settings), "changed_at changed_by changed_on nodes revision settings");
    assert_eq!((&settings["revision"], &settings["changed_on"]), (&json!(1), &json!("a")));
    assert_eq!(settings["nodes"], json!([{"name": "a", "reported": true, "differing": []}]));
    assert_eq!(settings["settings"].as_array().unwrap().len(), Policy::default().values().len());
    let max = setting(&settings, "MAX_REPLICAS");
    let all = "accepted applies default description maximum minimum name section type unit value";
    assert_eq!(keys(max), all);
    let expected = json!({"value": 20, "default": 20, "type": "integer", "unit": "engines", "minimum": 1, "maximum": 65535, "applies": "live"});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(max[key], *value, "{key}");
    }
    assert_eq!(setting(&settings, "AUTO_DELETE")["value"], true);
    let timeout = setting(&settings, "STARTUP_TIMEOUT_S");
    assert_eq!(
        (&timeout["value"], &timeout["default"], &timeout["unit"]),
        (&json!(1.5), &json!(25), &json!("s"))
    );
    let ports = setting(&settings, "PORT_RANGE_HOST");
    assert_eq!(
        (&ports["value"], &ports["type"], &ports["applies"]),
        (&json!("900-999"), &json!("ports"), &json!("new_engines"))
    );
    bed.stop().await;
}

#[tokio::test]
async fn a_change_is_tried_then_made_then_undone() {
    let bed = Bed::new().await;
    owned(&[&bed]).await;
    for port in [901, 902, 903] {
        bed.engine(port).await;
    }
    let lower = json!({"MAX_REPLICAS": 1, "MIN_REPLICAS": "0", "revision": 1});
    let tried = patch(&bed, "/settings?dry_run=true", &lower).await.json();
    assert_eq!((&tried["revision"], &tried["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(tried["changes"], json!([{"name": "MAX_REPLICAS", "from": 20, "to": 1}]));
    let said = tried["consequences"][0].as_str().unwrap();
    assert!(said.starts_with("2 engines more than MAX_REPLICAS run; "), "{said}");
    let raise = json!({"MIN_REPLICAS": 5});
    let tried_more = patch(&bed, "/settings?dry_run=true", &raise).await.json();
    let started = "2 engines are started: 3 are there and MIN_REPLICAS is 5";
    assert_eq!(tried_more["consequences"], json!([started]));
    assert_eq!(max_replicas(&bed).await, 20, "nothing was written");

    let made = patch(&bed, "/settings", &lower).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (200, "\"2\""));
    let made = made.json();
    assert_eq!(
        (&made["revision"], &made["dry_run"], &made["changes"]),
        (&json!(2), &json!(false), &tried["changes"])
    );
    assert_eq!(bed.get("/orchestrator/status").await.json()["capacity"]["max_replicas"], 1);
    let same = patch(&bed, "/settings", &json!({"MAX_REPLICAS": 1})).await.json();
    assert_eq!((&same["revision"], &same["changes"]), (&json!(2), &json!([])));

    let back = bed.post("/settings/revert?dry_run=true", &json!({"revision": 1})).await.json();
    assert_eq!(back["changes"], json!([{"name": "MAX_REPLICAS", "from": 1, "to": 20}]));
    let back = bed.post("/settings/revert", &json!({"revision": 1})).await.json();
    assert_eq!((&back["revision"], max_replicas(&bed).await), (&json!(3), json!(20)));
    let unknown = bed.post("/settings/revert", &json!({"revision": 9})).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");

    let history = bed.get("/settings/history").await.json();
    let brief: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (&change["revision"], &change["reverts"], &change["node"]))
        .collect();
    let a = &json!("a");
    assert_eq!(
        brief,
        [(&json!(3), &json!(1), a), (&json!(2), &json!(null), a), (&json!(1), &json!(null), a)]
    );
    let newest = &history[0]["by"];
    assert_eq!(
        (&newest["name"], &newest["address"], &newest["node"]),
        (&json!("API key"), &json!("127.0.0.1"), a)
    );
    assert_eq!(history[2]["by"], json!(null), "nobody asked for the first values");
    let events = bed.get("/events?event_type=system&category=settings_changed").await.json();
    let said: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect();
    let expected = ["the settings are those of revision 1 again: MAX_REPLICAS 1 → 20", "MAX_REPLICAS 20 → 1"];
    assert_eq!(said[..2], expected);
    assert_eq!((said.len(), &events[0]["by"]), (3, newest));
    bed.stop().await;
}

#[tokio::test]
async fn wrong_changes_are_refused_by_name() {
    let bed = Bed::new().await;
    owned(&[&bed]).await;
    for (body, places) in [
        (
            json!({"MAX_REPLICAS": 0, "MAX_REPLICA": 3, "APP_PORT": 80}),
            vec!["APP_PORT", "MAX_REPLICA", "MAX_REPLICAS"],
        ),
        (json!({"MIN_REPLICAS": 30}), vec!["MIN_REPLICAS"]),
        // The floor is contradicted by what was sent.
        (
            json!({"MIN_REPLICAS": 5, "MIN_FREE_REPLICAS": 6, "MAX_REPLICAS": 4}),
            vec!["MIN_FREE_REPLICAS", "MIN_REPLICAS"],
        ),
        (json!({"MAX_REPLICAS": 200}), vec!["MAX_REPLICAS"]),
        (json!({"PORT_RANGE_HOST": "999-900"}), vec!["PORT_RANGE_HOST"]),
        (json!({"CONTAINER_LABEL": "x".repeat(2_000)}), vec!["CONTAINER_LABEL"]),
        (json!([1]), vec![]),
    ] {
        for path in ["/settings", "/settings?dry_run=true"] {
            let refused = patch(&bed, path, &body).await;
            assert_eq!(refused.status, 422, "{refused:?}");
            let detail = refused.json()["detail"].clone();
            let mut named: Vec<&str> =
                detail.as_array().unwrap().iter().filter_map(|wrong| wrong["loc"][1].as_str()).collect();
            named.sort_unstable();
            assert_eq!(named, places, "{detail}");
        }
    }
    let moved = patch(&bed, "/settings", &json!({"MAX_REPLICAS": 30, "revision": 0})).await;
    assert_eq!((moved.status.as_u16(), &moved.json()["revision"]), (409, &json!(1)));
    let key = ("authorization", format!("Bearer {KEY}"));
    let tagged = bed
        .send("PATCH", "/settings", &[(key.0, &key.1), ("if-match", "\"7\"")], r#"{"MAX_REPLICAS": 30}"#)
        .await;
    // A header is a condition of HTTP, the field of the body one of ours.
    assert_eq!((tagged.status.as_u16(), &tagged.json()["revision"]), (412, &json!(1)), "{tagged:?}");
    for tag in ["\"7\"", "\"1\""] {
        let body = r#"{"revision": 1}"#;
        let headers = [(key.0, key.1.as_str()), ("if-match", tag)];
        let reverted = bed.send("POST", "/settings/revert?dry_run=1", &headers, body).await;
        assert_eq!(reverted.status, if tag == "\"7\"" { 412 } else { 200 }, "{reverted:?}");
    }
    let both = [(key.0, key.1.as_str()), ("if-match", "\"7\"")];
    let both = bed.send("PATCH", "/settings", &both, r#"{"MAX_REPLICAS": 30, "revision": 7}"#).await;
    assert_eq!(both.status, 412, "{both:?}");
    for (tags, status) in [("\"1\", \"7\"", 200), ("W/\"1\"", 412), ("*", 200), ("1", 422)] {
        let headers = [(key.0, key.1.as_str()), ("if-match", tags)];
        let tried = bed.send("PATCH", "/settings?dry_run=true", &headers, r#"{"MAX_REPLICAS": 30}"#).await;
        assert_eq!(tried.status, status, "{tags}: {tried:?}");
    }
    for (method, path) in [("PATCH", "/settings"), ("POST", "/settings/revert")] {
        assert_eq!(bed.send(method, path, &[], r#"{"revision": 1}"#).await.status, 401, "{path}");
    }
    assert_eq!(bed.fleet.view().state.settings().revision(), 1);
    bed.stop().await;
}

#[tokio::test]
async fn a_change_on_a_follower_is_in_force_on_all_nodes_at_once_and_outlives_the_leader() {
    let beds =
        Bed::three_each([&[], &[("MAX_REPLICAS", "33")], &[("MAX_REPLICAS", "33"), ("AUTO_DELETE", "true")]])
            .await;
    owned(&beds.iter().collect::<Vec<_>>()).await;
    let (follower, leader) = follower_and_leader(&beds).await;
    let first = beds[leader].fleet.view().state.settings().changes().next().unwrap().origin;
    let first = beds.iter().find(|bed| bed.fleet.cluster().node_id() == first).unwrap();
    for bed in &beds {
        let (given, in_force) = (&first.fleet.config().policy, bed.fleet.view());
        assert_eq!(
            in_force.state.policy(),
            given,
            "the environment of the first leader gives the first values"
        );
    }
    let made = patch(&beds[follower], "/settings", &json!({"MAX_REPLICAS": 41})).await;
    assert_eq!(made.status, 200, "{made:?}");
    let deadline = Instant::now() + AT_ONCE;
    for bed in &beds {
        while max_replicas(bed).await != 41 {
            assert!(Instant::now() < deadline, "not in force everywhere");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let me = bed.fleet.cluster().node_id();
        eventually("the capacity of a host follows", async || {
            bed.fleet.view().state.node(me).is_some_and(|node| node.info.capacity == 41).then_some(())
        })
        .await;
    }
    // Each environment that sets it differs from what is in force, and says so on any node.
    let shown = eventually("all environments are known", async || {
        let nodes = beds[follower].get("/settings").await.json()["nodes"].clone();
        let says = |node: &Value, name: &str| {
            node["differing"].as_array().unwrap().iter().any(|own| own["name"] == name)
        };
        (says(&nodes[1], "MAX_REPLICAS") && says(&nodes[2], "MAX_REPLICAS")).then_some(nodes)
    })
    .await;
    assert_eq!(shown[0]["differing"], json!([]), "defaults are no wish");
    assert_eq!(shown[1]["differing"], json!([{"name": "MAX_REPLICAS", "value": 33, "in_force": 41}]));

    let mut beds = Vec::from(beds);
    beds.remove(leader).stop().await;
    let successor = eventually("another node leads", async || {
        beds.iter()
            .position(|bed| bed.fleet.cluster().is_leader() && bed.fleet.cluster().watching_since().is_some())
    })
    .await;
    eventually("the new leader has looked at the settings", async || {
        let plan = beds[successor].get("/orchestrator/plan").await;
        let own = &beds[successor].fleet.config().node_name;
        (plan.status == 200 && plan.json()["leader"] == own.as_str()).then_some(())
    })
    .await;
    assert_eq!(max_replicas(&beds[successor]).await, 41, "its environment is no rival");
    let made = patch(&beds[1 - successor], "/settings", &json!({"IDLE_TTL_S": 900})).await.json();
    assert_eq!((&made["revision"], max_replicas(&beds[successor]).await), (&json!(3), json!(41)));
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn of_changes_at_the_same_time_one_wins_and_the_others_are_told() {
    let beds = Bed::three().await;
    owned(&beds.iter().collect::<Vec<_>>()).await;
    let change = |bed: usize, max: u32| {
        let bed = &beds[bed];
        async move { patch(bed, "/settings", &json!({"MAX_REPLICAS": max, "revision": 1})).await }
    };
    let (a, b, c) = tokio::join!(change(0, 31), change(1, 32), change(2, 33));
    let mut codes: Vec<u16> = [&a, &b, &c].map(|answer| answer.status.as_u16()).to_vec();
    codes.sort_unstable();
    assert_eq!(codes, [200, 409, 409], "{a:?} {b:?} {c:?}");
    let won = [&a, &b, &c].into_iter().find(|answer| answer.status == 200).unwrap().json();
    for lost in [&a, &b, &c].into_iter().filter(|answer| answer.status == 409) {
        assert_eq!(lost.json()["revision"], 2, "{lost:?}");
    }
    for bed in &beds {
        eventually("the winner is in force", async || {
            (max_replicas(bed).await == won["changes"][0]["to"]).then_some(())
        })
        .await;
    }
    // Without a revision each builds on what is in force, so all of them are made.
    let (ttl, grace) = (json!({"IDLE_TTL_S": 700}), json!({"ENGINE_GRACE_PERIOD_S": 40}));
    let (a, b) = tokio::join!(patch(&beds[0], "/settings", &ttl), patch(&beds[1], "/settings", &grace));
    assert_eq!((a.status.as_u16(), b.status.as_u16()), (200, 200), "{a:?} {b:?}");
    let settings = eventually("both are in force", async || {
        let settings = beds[2].get("/settings").await.json();
        (settings["revision"] == 4).then_some(settings)
    })
    .await;
    assert_eq!(setting(&settings, "IDLE_TTL_S")["value"], 700);
    assert_eq!(setting(&settings, "ENGINE_GRACE_PERIOD_S")["value"], 40);
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn a_change_of_more_settings_than_there_are_is_refused_at_once() {
    let bed = Bed::new().await;
    let many: serde_json::Map<_, _> = (0..20_000).map(|n| (format!("MAX_REPLICA_{n}"), json!(1))).collect();
    let refused = patch(&bed, "/settings", &Value::Object(many)).await;
    assert_eq!(refused.status, 422, "{}", refused.text.chars().take(300).collect::<String>());
    let wrong = refused.json()["detail"].as_array().unwrap().clone();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0]["msg"].as_str().unwrap().contains("100 fields"), "{wrong:?}");
    bed.stop().await;
}
