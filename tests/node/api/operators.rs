//! What operators ask for by hand: another leader, an engine on a host of their choice, another engine in the place of one.

use acefleet_registry::Level;
use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::{Bed, eventually};

async fn at_current_level(bed: &Bed) {
    eventually("all members know the newest commands", async || {
        (bed.fleet.view().state.level() == Level::CURRENT).then_some(())
    })
    .await;
}

async fn newest(bed: &Bed, category: &str) -> Value {
    bed.get(&format!("/events?limit=1&category={category}")).await.json()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_member_leads_when_it_is_told_to() {
    let beds = Bed::three().await;
    at_current_level(&beds[0]).await;
    // A node may lead already before it is told to.
    for (name, through, is_moved) in [("b", 0, false), ("c", 1, true), ("c", 2, true), ("a", 1, true)] {
        let answer = beds[through].post(&format!("/cluster/nodes/{name}/lead"), &Value::Null).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!((&answer.json()["name"], &answer.json()["role"]), (&json!(name), &json!("leader")));
        let event = eventually("the log says who leads", async || {
            let event = newest(&beds[through], "leader_changed").await;
            (event["details"]["node"] == name).then_some(event)
        })
        .await;
        let (message, term) =
            (event["message"].as_str().unwrap(), event["details"]["term"].as_u64().unwrap());
        assert!(message.starts_with(&format!("{name} leads since term {term}")), "{message}");
        if is_moved {
            let details = &event["details"];
            let (reason, by) = (&details["reason"], &details["asked_by"]["name"]);
            assert_eq!((reason, by), (&json!("asked"), &json!("API key")), "{event}");
        }
    }
    let wanted = newest(&beds[0], "leadership_transfer").await;
    assert_eq!((&wanted["details"]["node"], &wanted["by"]["name"]), (&json!("a"), &json!("API key")));
    assert_eq!(beds[0].post("/cluster/nodes/nobody/lead", &Value::Null).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_take_over_is_named_and_so_is_the_leader_that_goes_on() {
    let mut beds: Vec<Bed> = Bed::three().await.into();
    at_current_level(&beds[0]).await;
    let leads = |bed: &Bed| bed.fleet.cluster().is_leader();
    let leader = eventually("a node leads", async || beds.iter().position(leads)).await;
    let name = |bed: &Bed| bed.fleet.config().node_name.clone();
    let gone = beds.remove((leader + 1) % 3);
    let (wanted, through) = (name(&gone), beds.iter().position(|bed| !leads(bed)).unwrap());
    let id = gone.fleet.cluster().node_id();
    gone.stop().await;
    let is_silent = || beds[1 - through].fleet.cluster().is_silent(id);
    eventually("the leader notices that it is gone", async || is_silent().then_some(())).await;
    let leader = name(&beds[1 - through]);
    let answer = beds[through].post(&format!("/cluster/nodes/{wanted}/lead"), &Value::Null).await;
    let message = answer.json()["detail"]["message"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 503, "{message}");
    let begin = format!("{wanted} did not take over from {leader}, which goes on: it ");
    assert!(message.starts_with(&begin) && !message.contains("127.0.0.1"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_starts_on_the_host_that_the_caller_chose() {
    let beds = Bed::three().await;
    at_current_level(&beds[0]).await;
    for name in ["c", "c", "b"] {
        let answer = beds[0].post("/provision/acestream", &json!({"node": name})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let id = answer.json()["container_id"].as_str().unwrap().to_owned();
        let placement = beds[0].get(&format!("/engines/{id}/placement")).await.json();
        assert_eq!(placement["node"], name);
    }
    let unknown = beds[0].post("/provision/acestream", &json!({"node": "nobody"})).await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json()["detail"][0]["loc"]),
        (422, &json!(["body", "node"]))
    );
    beds[0].post("/cluster/nodes/b/cordon", &Value::Null).await;
    let refused = beds[0].post("/provision/acestream", &json!({"node": "b"})).await;
    assert_eq!(refused.status, 503);
    let message = refused.json()["detail"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("b ") && message.contains("cordoned"), "{message}");
}

#[tokio::test]
async fn an_engine_is_replaced_and_says_how_many_streams_it_still_has() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    at_current_level(&bed).await;
    bed.post("/events/stream_started", &started("k", "s", 901)).await;
    let answer = bed.post(&format!("/engines/{id}/replace"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["streams"], 1);
    let listed = bed.get("/engines").await.json();
    assert!(listed.as_array().unwrap().iter().all(|engine| engine["container_id"] != json!(id)));
    let placement = eventually("another one is started in its place", async || {
        let placement = bed.get(&format!("/engines/{id}/placement")).await.json();
        placement["replaced_by"].is_string().then_some(placement)
    })
    .await;
    assert_eq!(placement["unlisted"]["code"], "taken_off");
    assert_eq!(bed.post("/engines/nothing/replace", &Value::Null).await.status, 404);
    let gone = bed.call("DELETE", &format!("/containers/{id}"), &Value::Null).await;
    assert_eq!(gone.json(), json!({"deleted": id, "streams": 1}));
}
