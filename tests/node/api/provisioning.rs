//! Starting engines: the five fields, the six keys, the headers.

use acefleet::agent::runtime::RuntimeError;
use acefleet_registry::lack::Lack;
use serde_json::{Value, json};

use crate::bed::{Answer, Bed, KEY, eventually};

/// Checks the shape that proxies decode and returns error, code and whether to wait.
fn blocked(answer: &Answer) -> (String, String, bool) {
    let body = answer.json();
    let detail = body["detail"].as_object().unwrap_or_else(|| panic!("{body}"));
    let mut keys: Vec<&str> = detail.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["can_retry", "code", "error", "message", "recovery_eta_seconds", "should_wait"]);
    assert!(detail["can_retry"].is_boolean() && !detail["message"].as_str().unwrap().is_empty(), "{body}");
    let wait = detail["should_wait"].as_bool().unwrap();
    match detail["recovery_eta_seconds"].as_u64() {
        Some(seconds) => assert_eq!(answer.number("retry-after"), seconds),
        None => assert!(!wait && detail["recovery_eta_seconds"].is_null(), "{body}"),
    }
    (detail["error"].as_str().unwrap().to_owned(), detail["code"].as_str().unwrap().to_owned(), wait)
}

fn is(error: &str, code: &str, wait: bool) -> (String, String, bool) {
    (error.to_owned(), code.to_owned(), wait)
}

#[tokio::test]
async fn an_engine_is_provisioned_and_listed() {
    let bed = Bed::new().await;
    let answer = bed.post("/provision/acestream", &json!({"labels": {"team": "red"}, "env": {}})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let engine = answer.json();
    let keys: Vec<&String> = engine.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["container_http_port", "container_https_port", "container_id", "container_name", "host_http_port"]
    );
    assert_eq!(engine["container_name"], "acestream-1");
    assert_eq!(engine["container_id"].as_str().unwrap().len(), 64);
    assert_eq!(engine["host_http_port"], engine["container_http_port"]);
    assert_eq!(answer.header("x-circuit-state"), "closed");
    assert_eq!(answer.number("x-ratelimit-provisioning-limit"), 5);
    assert_eq!(answer.number("x-ratelimit-provisioning-remaining"), 5);
    let listed = bed.get("/engines").await;
    assert!(listed.number("x-acefleet-revision") >= answer.number("x-acefleet-revision"));
    let listed = listed.json();
    assert_eq!(
        (&listed[0]["container_id"], &listed[0]["port"]),
        (&engine["container_id"], &engine["host_http_port"])
    );
    assert_eq!(bed.call("GET", "/engines", &Value::Null).await.json()[0]["labels"]["team"], "red");
    let fixed = bed.post("/provision/acestream", &json!({"host_port": "977"})).await.json();
    assert_eq!((&fixed["host_http_port"], &fixed["container_http_port"]), (&json!(977), &json!(977)));
    let taken = bed.post("/provision/acestream", &json!({"host_port": 977})).await;
    assert_eq!(
        (taken.status.as_u16(), blocked(&taken)),
        (409, is("provisioning_failed", "port_taken", false))
    );
    bed.stop().await;
}

#[tokio::test]
async fn a_generic_container_is_no_engine() {
    let bed = Bed::new().await;
    let body = json!({"image": "nginx", "ports": {"80": 40_001}, "name_prefix": "web"});
    let answer = bed.post("/provision", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let made = answer.json();
    assert_eq!((made.as_object().unwrap().len(), &made["container_name"]), (2, &json!("web-1")));
    assert_eq!(bed.get("/engines").await.text, "[]");
    let container = bed.get("/containers/web-1").await.json();
    assert_eq!((&container["id"], &container["image"]), (&made["container_id"], &json!("nginx")));
    assert_eq!(bed.call("DELETE", "/containers/web-1", &Value::Null).await.status, 200);
    bed.stop().await;
}

#[tokio::test]
async fn an_image_that_the_operator_has_not_allowed_is_refused_before_anything_is_written() {
    let settings = [("API_KEY", KEY), ("ACEFLEET_ALLOWED_IMAGES", "nginx:1.*,registry.example/team/*:*")];
    let bed = Bed::with(&settings).await;
    let before = bed.fleet.view().revision;
    for path in ["/provision", "/provision/acestream"] {
        for image in
            ["nginx", "nginx:2", "evil.example/nginx:1.2", "registry.example/team/a/b:1", "sha256:00"]
        {
            let answer = bed.post(path, &json!({"image": image})).await;
            assert_eq!(answer.status, 422, "{answer:?}");
            let found = &answer.json()["detail"][0];
            let told = (&found["type"], &found["loc"], &found["input"]);
            assert_eq!(told, (&json!("image_not_allowed"), &json!(["body", "image"]), &json!(image)));
            let setting = found["ctx"]["setting"].as_str();
            assert_eq!(setting, (image != "sha256:00").then_some("ACEFLEET_ALLOWED_IMAGES"), "{found}");
        }
    }
    assert_eq!(bed.fleet.view().revision, before);
    for image in ["nginx:1.27", "registry.example/team/a:9", "engine:test"] {
        let answer = bed.post("/provision", &json!({"image": image})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn what_would_reach_out_of_a_container_is_refused_field_by_field() {
    let bed = Bed::with(&[("API_KEY", KEY), ("ACEFLEET_ALLOWED_LABELS", "stream_id,team")]).await;
    let before = bed.fleet.view().revision;
    let node: u16 = bed.address.rsplit_once(':').unwrap().1.parse().unwrap();
    for (body, kind, place, setting) in [
        (json!({"labels": {"acefleet.node": "b"}}), "label_not_allowed", "labels/acefleet.node", None),
        (json!({"labels": {"host.http_port": "22"}}), "label_not_allowed", "labels/host.http_port", None),
        (
            json!({"labels": {"team": "red", "traefik.enable": "true"}}),
            "label_not_allowed",
            "labels/traefik.enable",
            Some("ACEFLEET_ALLOWED_LABELS"),
        ),
        (
            json!({"labels": {"com.docker.compose.project": "x"}}),
            "label_not_allowed",
            "labels/com.docker.compose.project",
            Some("ACEFLEET_ALLOWED_LABELS"),
        ),
        (
            json!({"env": {"VIRTUAL_HOST": "x"}}),
            "variable_not_allowed",
            "env/VIRTUAL_HOST",
            Some("ACEFLEET_ALLOWED_LABELS"),
        ),
        (json!({"host_port": 22}), "port_not_allowed", "host_port", Some("PORT_RANGE_HOST")),
        (json!({"host_port": node}), "port_not_allowed", "host_port", None),
        (json!({"env": {"CONF": "--http-port=80"}}), "port_not_allowed", "env/CONF", Some("PORT_RANGE_HOST")),
    ] {
        let answer = bed.post("/provision/acestream", &body).await;
        assert_eq!(answer.status, 422, "{body} {answer:?}");
        let answer = answer.json();
        let [found] = answer["detail"].as_array().unwrap().as_slice() else { panic!("{answer}") };
        let loc = found["loc"].as_array().unwrap()[1..].iter().map(|part| part.as_str().unwrap());
        let told = (found["type"].as_str().unwrap(), loc.collect::<Vec<_>>().join("/"));
        assert_eq!(told, (kind, place.to_owned()));
        assert_eq!(found["ctx"]["setting"].as_str(), setting, "{found}");
    }
    let port = bed.post("/provision", &json!({"image": "a:1", "ports": {"80/tcp": 80}})).await.json();
    assert_eq!(port["detail"][0]["type"], "port_not_allowed", "{port}");
    assert_eq!(bed.fleet.view().revision, before);
    let acexy = bed.post("/provision/acestream", &json!({"labels": {}, "env": {}})).await;
    assert_eq!(acexy.status, 200, "{acexy:?}");
    let labels = json!({"stream_id": "x", "orchestrator.managed": "another"});
    let made = bed.post("/provision/acestream", &json!({"labels": labels, "env": {"TZ": "UTC"}})).await;
    assert_eq!(made.status, 200, "{made:?}");
    bed.stop().await;
}

#[tokio::test]
async fn a_host_with_a_list_of_its_own_says_what_it_does_not_start() {
    let lax: &[(&str, &str)] = &[("API_KEY", KEY), ("ACEFLEET_ALLOWED_IMAGES", "any:1")];
    let strict: &[(&str, &str)] = &[("API_KEY", KEY), ("ACEFLEET_ALLOWED_IMAGES", "other:1")];
    let beds = Bed::three_each_with([lax, strict, strict]).await;
    eventually("all hosts are known", async || {
        (beds[0].fleet.view().state.docker_hosts().count() == 3).then_some(())
    })
    .await;
    let chosen = eventually("the host is asked", async || {
        let answer = beds[0].post("/provision/acestream", &json!({"image": "any:1", "node": "b"})).await;
        (answer.status == 500).then_some(answer)
    })
    .await;
    assert_eq!(blocked(&chosen), is("provisioning_failed", "not_allowed", false));
    let message = chosen.json()["detail"]["message"].as_str().unwrap().to_owned();
    for part in ["host b", "any:1", "ACEFLEET_ALLOWED_IMAGES"] {
        assert!(message.contains(part), "{message}");
    }
    // A call that chose no host goes on to one that starts it.
    let made = beds[0].post("/provision/acestream", &json!({"image": "any:1"})).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(beds.each_ref().map(|bed| bed.runtime.count()), [1, 0, 0]);
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn the_ceiling_holds_against_parallel_callers() {
    let bed = Bed::with(&[("API_KEY", KEY), ("MAX_REPLICAS", "3")]).await;
    let body = json!({});
    let calls = (0..12).map(|_| bed.post("/provision/acestream", &body));
    let answers = futures::future::join_all(calls).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(good.len(), 3);
    for answer in bad {
        assert_eq!(
            (answer.status.as_u16(), blocked(answer)),
            (503, is("provisioning_blocked", "max_capacity", true))
        );
    }
    assert_eq!(bed.runtime.count(), 3);
    let status = bed.get("/orchestrator/status").await.json();
    assert_eq!(status["status"], "healthy");
    assert_eq!(status["provisioning"]["can_provision"], false);
    assert_eq!(status["provisioning"]["blocked_reason_details"]["code"], "max_capacity");
    bed.stop().await;
}

#[tokio::test]
async fn failures_say_whether_to_wait_and_open_the_breaker() {
    let bed = Bed::with(&[("API_KEY", KEY), ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "2")]).await;
    bed.runtime.world().fails = Some(RuntimeError::Other("bad things".to_owned()));
    let broken = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(broken.status, 503);
    assert_eq!(blocked(&broken).0, "provisioning_failed");
    bed.post("/provision/acestream", &json!({})).await;
    let open = bed.post("/provision/acestream", &json!({})).await;
    assert!(open.text.contains("bad things"), "{open:?}");
    assert_eq!(
        (open.status.as_u16(), blocked(&open)),
        (503, is("provisioning_blocked", "circuit_breaker", true))
    );
    assert_eq!(open.header("x-circuit-state"), "open");
    let health = bed.get("/health/status").await.json();
    assert_eq!(health["circuit_breakers"]["general"]["state"], "open");
    assert_eq!(health["circuit_breakers"]["general"]["failure_count"], 2);
    assert!(health["circuit_breakers"]["general"]["last_failure_time"].as_str().unwrap().ends_with("+00:00"));

    let unknown = bed.post("/health/circuit-breaker/reset?operation_type=bogus", &json!(null)).await;
    assert_eq!(unknown.json(), json!({"message": "Circuit breaker for bogus reset successfully"}));
    assert_eq!(bed.get("/health/status").await.json()["circuit_breakers"]["general"]["state"], "open");
    let reset = bed.post("/health/circuit-breaker/reset", &json!(null)).await;
    assert_eq!(reset.json(), json!({"message": "Circuit breaker all reset successfully"}));
    bed.runtime.world().fails = None;
    assert_eq!(bed.post("/provision/acestream", &json!({})).await.status, 200);
    bed.stop().await;
}

async fn provisioning(bed: &Bed) -> Value {
    bed.get("/orchestrator/status").await.json()["provisioning"].clone()
}

#[tokio::test]
async fn a_missing_image_blocks_callers_that_need_it_until_it_is_there() {
    let settings = [("API_KEY", KEY), ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "2"), ("DOCKER_NETWORK", "ace")];
    let bed = Bed::with(&settings).await;
    let lacks = |lack| bed.runtime.lacks(lack);
    // A caller's own.
    for _ in 0..5 {
        lacks(Some(Lack::Image("string".to_owned())));
        let wrong = bed.post("/provision/acestream", &json!({"image": "string"})).await;
        assert_eq!(
            (wrong.status.as_u16(), blocked(&wrong)),
            (500, is("provisioning_failed", "image_missing", false))
        );
        assert!(wrong.json()["detail"]["message"].as_str().unwrap().contains("string"), "{wrong:?}");
        lacks(None);
        assert_eq!(provisioning(&bed).await["can_provision"], true);
        assert_eq!(bed.post("/provision/acestream", &json!({})).await.status, 200);
    }
    // That of everybody.
    for lack in [Lack::Image("engine:test".to_owned()), Lack::Network("ace".to_owned())] {
        let code = lack.cause();
        lacks(Some(lack));
        let missing = bed.post("/provision/acestream", &json!({})).await;
        assert_eq!(missing.json()["detail"]["code"], code.as_str(), "{missing:?}");
        let told = provisioning(&bed).await;
        assert_eq!(
            (&told["can_provision"], &told["blocked_reason_details"]["code"]),
            (&json!(false), &json!(code))
        );
        lacks(None);
        eventually("it is there again", async || {
            (provisioning(&bed).await["can_provision"] == true).then_some(())
        })
        .await;
        assert_eq!(bed.post("/provision/acestream", &json!({})).await.status, 200);
    }
    assert_eq!(provisioning(&bed).await["circuit_breaker_state"], "closed");
    bed.stop().await;
}

#[tokio::test]
async fn a_fresh_cluster_makes_no_more_engines_than_its_settings_say() {
    let settings = [
        ("API_KEY", KEY),
        ("MAX_REPLICAS", "10"),
        ("CONTAINER_LABEL", "own.label=yes"),
        ("PORT_RANGE_HOST", "800-849"),
    ];
    let beds = Bed::three_at_once(&settings).await;
    let bed = &beds[0];
    // From the first moment on: most of them come before anything is settled.
    eventually("all engines run", async || {
        let calls = (0..50).map(|n| {
            let bed = &beds[n % 3];
            async move { bed.post("/provision/acestream", &json!({})).await }
        });
        for answer in futures::future::join_all(calls).await {
            assert!(matches!(answer.status.as_u16(), 200 | 503), "{answer:?}");
        }
        let made: usize = beds.iter().map(|bed| bed.runtime.count()).sum();
        assert!(made <= 10, "{made} engines");
        (made == 10).then_some(())
    })
    .await;
    let engines = bed.get("/engines").await.json();
    for engine in engines.as_array().unwrap() {
        assert!((800..=849).contains(&engine["port"].as_u64().unwrap()), "{engine}");
    }
    for bed in &beds {
        assert!(
            bed.runtime.labels().iter().all(|labels| labels.get("own.label").is_some_and(|v| v == "yes"))
        );
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn a_slow_start_is_pending_and_the_next_call_gets_it() {
    let bed = Bed::new().await;
    let held = bed.runtime.hold();
    let pending = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(
        (pending.status.as_u16(), blocked(&pending)),
        (503, is("provisioning_blocked", "pending", true))
    );
    assert_eq!(pending.number("x-ratelimit-provisioning-remaining"), 4);
    eventually("the reservation is abandoned", async || {
        bed.fleet.view().state.live_engines().any(|engine| engine.abandoned).then_some(())
    })
    .await;
    drop(held);
    let got = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(bed.runtime.count(), 1);
    bed.stop().await;
}

#[tokio::test]
async fn scaling_answers_with_what_was_asked() {
    let bed = Bed::with(&[("API_KEY", KEY), ("MAX_REPLICAS", "2"), ("ENGINE_GRACE_PERIOD_S", "0")]).await;
    for (demand, count) in [("5", 2), ("-3", 0), ("%31", 1)] {
        let answer = bed.post(&format!("/scale/{demand}"), &json!(null)).await;
        let asked: i64 = if demand == "%31" { 1 } else { demand.parse().unwrap() };
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"scaled_to": asked})));
        // They have to answer before they are listed.
        assert_eq!(bed.fleet.view().state.supply(), count, "{demand}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn the_status_says_what_the_next_call_gets() {
    let settings = [
        ("API_KEY", KEY),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S", "1"),
    ];
    let bed = Bed::with(&settings).await;
    let told = async || provisioning(&bed).await;
    bed.runtime.world().fails.replace(RuntimeError::Other("no containers today".to_owned()));
    assert_eq!(bed.post("/provision/acestream", &json!({})).await.status, 503);
    let open = told().await;
    assert_eq!((&open["can_provision"], &open["circuit_breaker_state"]), (&json!(false), &json!("open")));
    eventually("the breaker is half open", async || {
        (told().await["circuit_breaker_state"] == "half_open").then_some(())
    })
    .await;
    // One probe may pass, and while it is under way no other.
    assert_eq!(told().await["can_provision"], true);
    bed.runtime.world().fails.take();
    let held = bed.runtime.hold();
    let body = json!({});
    let (probe, seen) = tokio::join!(bed.post("/provision/acestream", &body), async {
        let seen = eventually("the probe is under way", async || {
            let seen = told().await;
            (seen["can_provision"] == false).then_some(seen)
        })
        .await;
        let refused = bed.post("/provision/acestream", &json!({"labels": {"stream_id": "x"}})).await;
        assert_eq!(refused.json()["detail"]["code"], "circuit_breaker", "{refused:?}");
        drop(held);
        seen
    });
    assert_eq!(seen["blocked_reason_details"]["code"], "circuit_breaker");
    assert_eq!(seen["blocked_reason_details"]["can_retry"], true);
    assert_eq!(probe.status, 200, "{probe:?}");
    // Whether that start was a success is known when the engine has lived for a minute.
    assert_eq!(told().await["circuit_breaker_state"], "half_open");
    bed.post("/health/circuit-breaker/reset?operation_type=general", &json!(null)).await;
    assert_eq!(told().await["circuit_breaker_state"], "closed");
    bed.post("/cluster/nodes/a/cordon", &json!({})).await;
    let cordoned = told().await;
    assert_eq!(
        (&cordoned["can_provision"], &cordoned["blocked_reason_details"]["code"]),
        (&json!(false), &json!("no_host"))
    );
    bed.stop().await;
}
