//! What other clients see between the answer to a call for an engine and the stream on it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use acefleet_registry::Command;
use acefleet_registry::engine::Health;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::api::events::{ended, started};
use crate::bed::{Answer, Bed, KEY, eventually};

/// What a client asks about an engine before it chooses one.
fn question(engine: &Value) -> String {
    format!("/streams?container_id={}&status=started", engine["container_id"].as_str().unwrap())
}

fn count(answer: &Answer) -> usize {
    answer.json().as_array().unwrap().len()
}

async fn provision(bed: &Bed) -> Value {
    let answer = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn an_engine_that_was_given_to_a_caller_looks_taken_on_every_node_and_in_no_view_of_ours() {
    let beds = Bed::three_with(&[("API_KEY", KEY)]).await;
    let engine = provision(&beds[0]).await;
    let path = question(&engine);
    for bed in &beds {
        let item = eventually("the mark", async || {
            let listed = bed.get(&path).await;
            (count(&listed) == 1).then(|| listed.json()[0].clone())
        })
        .await;
        // What strict clients decode.
        for key in ["id", "key", "playback_session_id", "stat_url", "command_url", "key_type"] {
            assert!(item[key].is_string(), "{key} of {item}");
        }
        assert_eq!((&item["container_id"], &item["status"]), (&engine["container_id"], &json!("started")));
        assert_eq!((&item["is_live"], &item["ended_at"]), (&json!(true), &Value::Null));
        assert!(item["started_at"].as_str().unwrap().ends_with('Z'), "{item}");
        assert_eq!(item["mark"], "hand_out");
        // It is no stream.
        for others in ["/streams", "/streams?status=started", &path.replace("&status=started", "")] {
            assert_eq!(bed.get(others).await.text, "[]", "{others}");
        }
        let status = bed.get("/orchestrator/status").await.json();
        assert_eq!(status["streams"], json!({"active": 0, "total": 0}));
        let capacity = &status["capacity"];
        let counts = ["total", "used", "marked", "available"].map(|key| capacity[key].as_u64().unwrap());
        assert_eq!(counts, [1, 0, 1, 0], "{status}");
        let metrics = bed.get("/metrics").await.text;
        for line in
            ["orch_streams_active 0", "orch_used_engines 0", "acefleet_marked_engines{kind=\"hand_out\"} 1"]
        {
            assert!(metrics.lines().any(|known| known == line), "{line} in {metrics}");
        }
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn the_end_of_a_mark_changes_the_answer_and_its_tag_without_a_write() {
    let bed = Bed::with(&[("API_KEY", KEY)]).await;
    let engine = provision(&bed).await;
    let path = question(&engine);
    let port = u16::try_from(engine["host_http_port"].as_u64().unwrap()).unwrap();
    bed.post("/events/stream_started", &started("k", "s", port)).await;
    let playing = bed.get(&path).await.json();
    assert_eq!((playing[0]["id"].as_str(), playing.as_array().unwrap().len()), (Some("k|s"), 1), "{playing}");
    bed.post("/events/stream_ended", &ended("k", "s")).await;
    let mut marked = bed.get(&path).await;
    assert_eq!(marked.json()[0]["mark"], "hand_out", "its caller may still be on the way: {marked:?}");
    let until = bed.fleet.view().state.engine_by_port(port).unwrap().mark.unwrap().until_ms;
    let free = eventually("the end of the mark", async || {
        let is_over = until <= bed.fleet.cluster().moment();
        let now = bed.send("GET", &path, &[("if-none-match", marked.header("etag"))], "").await;
        match (now.status.as_u16(), now.text.as_str()) {
            (200, "[]") => Some(now),
            _ if is_over => panic!("the mark has ended: {now:?}"),
            (304, _) => None,
            _ => {
                marked = now;
                None
            }
        }
    })
    .await;
    assert_ne!(free.header("etag"), marked.header("etag"));
    assert_eq!(
        free.number("x-acefleet-revision"),
        marked.number("x-acefleet-revision"),
        "nothing was written"
    );
    bed.stop().await;
}

#[tokio::test]
async fn of_fifty_calls_with_room_for_ten_each_engine_goes_to_one_caller_or_its_repeat() {
    let beds = Bed::three_with(&[("API_KEY", KEY), ("MAX_REPLICAS", "10")]).await;
    let mut given: Vec<String> = Vec::new();
    let body = json!({});
    // No host starts anything until the first callers have given up.
    let held = [0, 1, 2].map(|n| beds[n].runtime.hold());
    let late = join_all((0..50).map(|n| beds[n % 3].post("/provision/acestream", &body))).await;
    assert!(late.iter().all(|answer| answer.status == 503), "{late:?}");
    drop(held);
    eventually("all engines are given", async || {
        for answer in join_all((0..50).map(|n| beds[n % 3].post("/provision/acestream", &body))).await {
            match answer.status.as_u16() {
                200 => given.push(answer.json()["container_name"].as_str().unwrap().to_owned()),
                _ => assert_eq!(answer.status, 503, "{answer:?}"),
            }
        }
        (given.len() >= 10).then_some(())
    })
    .await;
    let names: BTreeSet<&String> = given.iter().collect();
    assert_eq!((given.len(), names.len()), (10, 10), "{given:?}");
    let made: usize = beds.iter().map(|bed| bed.runtime.count()).sum();
    assert_eq!(made, 10);
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn a_waiting_call_gets_the_engine_of_another_that_runs_first() {
    let [a, b, c] = Bed::three_with(&[("API_KEY", KEY)]).await;
    let (body, names) = (json!({}), ["a", "b", "c"]);
    let beds = [&a, &b, &c];
    // The host that gets the first engine starts nothing; the next one gets the second.
    let held = beds.map(|bed| bed.runtime.hold());
    let reserved = async |count: usize| {
        eventually("the reservation", async || {
            let view = a.fleet.view();
            let hosts = view.state.live_engines().map(|engine| view.state.node_name(engine.node));
            let hosts: Vec<String> = hosts.collect();
            (hosts.len() == count).then(|| hosts[count - 1].clone())
        })
        .await
    };
    let (first, second, ()) = tokio::join!(
        a.post("/provision/acestream", &body),
        async {
            reserved(1).await;
            b.post("/provision/acestream", &body).await
        },
        async {
            let host = reserved(2).await;
            let quick = names.iter().position(|name| *name == host).unwrap();
            // The permits that the hold took.
            beds[quick].runtime.gate.add_permits(1);
        }
    );
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.json()["container_name"], "acestream-2");
    assert_eq!(second.json()["detail"]["code"], "pending", "{second:?}");
    drop(held);
    for bed in [a, b, c] {
        bed.stop().await;
    }
}

#[tokio::test]
async fn where_there_is_no_room_each_caller_gets_an_idle_engine_of_its_own() {
    let bed = Bed::with(&[("API_KEY", KEY), ("MAX_REPLICAS", "2")]).await;
    let mut given = Vec::new();
    for _ in 0..2 {
        given.push(provision(&bed).await["container_name"].clone());
    }
    assert_ne!(given[0], given[1]);
    // One plays and stops: the only one that nobody is on the way to, once it has answered.
    let engines = bed.get("/engines").await.json();
    let first = engines.as_array().unwrap().iter().find(|e| e["container_name"] == given[0]).unwrap();
    let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
    bed.post("/events/stream_started", &started("k", "s", port)).await;
    let refused = bed.post("/provision/acestream", &json!({})).await;
    assert_eq!(refused.json()["detail"]["code"], "max_capacity", "{refused:?}");
    bed.post("/events/stream_ended", &ended("k", "s")).await;
    let engine = bed.fleet.view().state.engine_by_port(port).unwrap().id;
    let got = eventually("the idle engine", async || {
        // Nothing listens on its port, so its host says otherwise from time to time.
        let healthy = Command::EngineHealth { engine, health: Health::Healthy, fault: None };
        bed.fleet.write(healthy, Instant::now() + Duration::from_secs(5)).await.unwrap();
        let answer = bed.post("/provision/acestream", &json!({})).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(got["container_name"], given[0]);
    assert_eq!(bed.runtime.count(), 2);
    bed.stop().await;
}
