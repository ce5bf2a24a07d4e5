//! Engines that die young: how many are made, what the status says, and who else is held back.

use acefleet_registry::event::EventType;
use serde_json::{Value, json};

use crate::bed::{Bed, KEY, eventually};

const NOTHING: Value = Value::Null;

async fn health(bed: &Bed) -> Value {
    bed.get("/health/status").await.json()
}

/// What the event log has of health.
fn told(bed: &Bed) -> Vec<String> {
    let view = bed.fleet.view();
    let events = view.state.events().iter().filter(|event| event.event_type == EventType::Health);
    events.map(|event| event.message.clone()).collect()
}

#[tokio::test]
async fn a_crash_loop_makes_few_containers_and_says_why() {
    let settings = [("API_KEY", KEY), ("MIN_REPLICAS", "5")];
    let bed = Bed::with(&settings).await;
    bed.runtime.world().log = "starting\n\u{1b}[31mpanic: no licence\n".to_owned();
    let first = eventually("five engines", async || {
        let view = bed.fleet.view();
        let run = view.state.live_engines().filter_map(|engine| engine.container_id.as_deref());
        let ids: Vec<&str> = run.collect();
        (ids.len() == 5).then(|| ids[0].to_owned())
    })
    .await;
    let open = eventually("the breaker is open", async || {
        bed.runtime.crash_all(137, true);
        let general = health(&bed).await["circuit_breakers"]["general"].clone();
        (general["state"] == "open").then_some(general)
    })
    .await;
    let why = open["last_failure"].as_str().unwrap();
    for part in [
        "acestream-",
        " on a: ",
        "code 137",
        "memory ran out",
        "its last lines: starting | panic: no licence",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let all = told(&bed);
    let opened: Vec<_> =
        all.iter().filter(|text| text.contains("the circuit breaker over general is open")).collect();
    assert!(matches!(opened[..], [text] if text.contains("no licence")), "{all:?}");
    eventually("the plan says what it waits for", async || {
        let plan = bed.get("/orchestrator/plan").await.json();
        let waits = plan["waits"].as_array()?;
        waits
            .iter()
            .find(|wait| wait["code"] == "floor" && wait["message"].as_str().unwrap().contains("no licence"))
            .cloned()
    })
    .await;
    assert!(bed.runtime.world().made <= 8, "{} containers", bed.runtime.world().made);

    let path = format!("/containers/{first}/logs");
    assert_eq!(bed.get(&path).await.status, 401);
    let log = bed.call("GET", &path, &NOTHING).await;
    assert_eq!((log.status.as_u16(), &log.json()["lines"]), (200, &json!(["starting", "panic: no licence"])));
    assert_eq!(log.json()["entries"][1]["text"], "\u{1b}[31mpanic: no licence");
    assert_eq!(bed.call("GET", "/containers/nobody/logs", &NOTHING).await.status, 404);
    bed.post("/health/circuit-breaker/reset", &NOTHING).await;
    eventually("the floor again", async || (bed.fleet.view().state.supply() == 5).then_some(())).await;
    bed.stop().await;
}

#[tokio::test]
async fn a_bad_host_of_three_holds_back_neither_of_the_others() {
    let settings = [("API_KEY", KEY), ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1")];
    let [a, b, c] = Bed::three_with(&settings).await;
    let provision = async |on: &Bed| {
        let host = on.fleet.config().node_name.clone();
        eventually(&format!("an engine on {host}"), async || {
            let answer = a.post("/provision/acestream", &json!({})).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let placed = answer.json()["container_id"].as_str().unwrap().to_owned();
            on.runtime.world().containers.contains_key(&placed).then_some(placed)
        })
        .await
    };
    for bed in [&a, &c] {
        provision(bed).await;
    }
    let victim = provision(&b).await;
    b.runtime.crash_all(1, false);
    let failing = eventually("a host has failed", async || {
        let failing = health(&a).await["failing"].clone();
        (!failing.as_array()?.is_empty()).then_some(failing)
    })
    .await;
    let [host] = &failing.as_array().unwrap()[..] else { panic!("{failing}") };
    assert_eq!(
        (&host["kind"], &host["name"], &host["state"]),
        (&json!("host"), &json!("b"), &json!("open")),
        "{host}"
    );
    assert!(host["last_failure"].as_str().unwrap().contains("code 1; its last lines: sh: engine"), "{host}");
    assert_eq!(health(&a).await["circuit_breakers"]["general"]["failure_count"], 0);
    let cluster = a.get("/cluster").await.json();
    let passed_over =
        cluster["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "b").unwrap()["passed_over"]
            .clone();
    assert_eq!(passed_over["code"], "failing", "{passed_over}");
    let made = b.runtime.world().made;
    for _ in 0..6 {
        let answer = c.post("/provision/acestream", &json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(b.runtime.world().made, made);
    // Any node answers for the host on which it ended.
    let log = c.call("GET", &format!("/containers/{victim}/logs"), &NOTHING).await;
    assert_eq!(log.json()["lines"], json!(["sh: engine: not found"]), "{log:?}");
    for bed in [a, b, c] {
        bed.stop().await;
    }
}
