//! Why an engine is where it is, why none can be started, and what the leader waits for.

use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::{Bed, KEY, eventually};

#[tokio::test]
async fn an_engine_says_why_it_is_where_it_is_and_what_keeps_it() {
    let bed = Bed::with(&[("API_KEY", KEY), ("ENGINE_GRACE_PERIOD_S", "30")]).await;
    let made = bed.post("/provision/acestream", &json!({})).await.json();
    let path = "/engines/acestream-1/placement";
    let placed = bed.get(path).await.json();
    assert_eq!((&placed["container_id"], &placed["standing"]), (&made["container_id"], &json!("listed")));
    assert!(placed["why"].as_str().unwrap().contains("engines"), "{placed}");
    assert_eq!((&placed["unlisted"], &placed["replaces"]), (&Value::Null, &Value::Null));
    assert_eq!(placed["kept_by"]["code"], "clients_coming", "its caller is on the way: {placed}");
    assert_eq!(
        (&placed["hosts"][0]["engines"], &placed["hosts"][0]["passed_over"]),
        (&json!(1), &Value::Null)
    );

    let port = u16::try_from(made["host_http_port"].as_u64().unwrap()).unwrap();
    bed.post("/events/stream_started", &started("k", "s", port)).await;
    let node = bed.get("/cluster").await.json()["node"].as_str().unwrap().to_owned();
    assert_eq!(bed.post(&format!("/cluster/nodes/{node}/drain"), &Value::Null).await.status, 200);
    let drained = bed.get(path).await.json();
    assert_eq!(
        (&drained["standing"], &drained["unlisted"]["code"]),
        (&json!("unlisted"), &json!("host_draining"))
    );
    assert_eq!(drained["kept_by"], json!({"code": "streams", "message": "a stream runs on it"}));
    assert_eq!(drained["hosts"][0]["passed_over"]["code"], "draining");
    assert_eq!(bed.get("/engines/nobody/placement").await.status, 404);
    bed.stop().await;
}

#[tokio::test]
async fn the_leader_says_on_every_node_what_it_waits_for() {
    let beds = Bed::three_with(&[("API_KEY", KEY), ("MIN_REPLICAS", "1")]).await;
    let engine = eventually("an engine", async || {
        let view = beds[0].fleet.view();
        let mut run = view.state.live_engines().filter(|engine| engine.container_id.is_some());
        run.next().map(|engine| engine.container_name.clone())
    })
    .await;
    let placed = beds[0].get(&format!("/engines/{engine}/placement")).await.json();
    let host = placed["node"].as_str().unwrap().to_owned();
    assert_eq!(beds[1].post(&format!("/cluster/nodes/{host}/drain"), &Value::Null).await.status, 200);
    for bed in &beds {
        let wait = eventually("the plan to wait for clients of the drained engine", async || {
            let answer = bed.get("/orchestrator/plan").await;
            let plan = answer.json();
            let waits = plan["waits"].as_array()?.clone();
            waits.into_iter().find(|wait| wait["name"] == engine.as_str() && wait["code"] == "stop")
        })
        .await;
        assert_eq!(wait["subject"], "engine");
        assert!(wait["message"].as_str().unwrap().contains(&engine), "{wait}");
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn a_plan_without_a_leader_says_when_to_come_back() {
    let bed = Bed::alone_of_three().await;
    let answer = bed.get("/orchestrator/plan").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["detail"]["code"]), (503, &json!("no_leader")));
    bed.stop().await;
}

#[tokio::test]
async fn the_status_lists_every_reason_and_the_call_is_refused_with_the_first() {
    let bed = Bed::with(&[("API_KEY", KEY), ("MAX_REPLICAS", "1")]).await;
    assert_eq!(bed.get("/orchestrator/status").await.json()["provisioning"]["blocked_reasons"], json!([]));
    assert_eq!(bed.post("/provision/acestream", &json!({})).await.status, 200);
    let node = bed.get("/cluster").await.json()["node"].as_str().unwrap().to_owned();
    bed.post(&format!("/cluster/nodes/{node}/cordon"), &Value::Null).await;
    let status = bed.get("/orchestrator/status").await.json();
    let reasons = status["provisioning"]["blocked_reasons"].as_array().unwrap().clone();
    let codes: Vec<&str> = reasons.iter().map(|reason| reason["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["max_capacity", "no_host"], "{status}");
    assert!(reasons[1]["message"].as_str().unwrap().contains("is cordoned"), "{status}");
    let refused = bed.post("/provision/acestream", &json!({})).await.json();
    assert_eq!(refused["detail"]["message"], reasons[0]["message"]);
    assert_eq!(status["provisioning"]["blocked_reason"], reasons[0]["message"]);
    let told = &status["provisioning"]["blocked_reason_details"];
    assert!(told["recovery_eta_seconds"].is_u64(), "{status}");
    for key in ["code", "message", "recovery_eta_seconds", "can_retry", "should_wait"] {
        assert_eq!(refused["detail"][key], told[key], "{key}");
    }
    bed.stop().await;
}
