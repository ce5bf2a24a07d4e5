//! Reservations of places on engines.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::api::events::started;
use crate::bed::{Answer, Bed, KEY, eventually};

fn hash(n: usize) -> String {
    format!("{n:040x}")
}

async fn select(bed: &Bed, body: &Value) -> Answer {
    bed.post("/engines/select", body).await
}

/// What other clients see of an engine.
async fn shown(bed: &Bed, id: &str) -> Vec<Value> {
    bed.get(&format!("/streams?container_id={id}&status=started")).await.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn of_two_hundred_calls_at_once_over_three_nodes_each_engine_gets_as_many_as_it_may_have() {
    let beds = Bed::three_with(&[("API_KEY", KEY)]).await;
    for n in 0..40u16 {
        beds[usize::from(n) % 3].engine(9_000 + n).await;
    }
    for bed in &beds {
        eventually("all engines are listed", async || {
            (bed.get("/engines").await.json().as_array().unwrap().len() == 40).then_some(())
        })
        .await;
    }
    let calls = (0..200).map(|n| async move { (n % 3, json!({"infohash": hash(n), "max_streams": 4})) });
    let bodies = join_all(calls).await;
    let answers = join_all(bodies.iter().map(|(on, body)| select(&beds[*on], body))).await;
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers.iter().filter(|answer| answer.status == 200) {
        *places.entry(answer.json()["container_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!((places.len(), places.values().max()), (40, Some(&4)), "{places:?}");
    assert_eq!(places.values().sum::<usize>(), 160);
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(refused.len(), 40);
    for answer in refused {
        assert_eq!(
            (answer.status.as_u16(), answer.json()["detail"]["code"].as_str()),
            (503, Some("max_capacity"))
        );
        assert!(
            answer.number("retry-after") > 0 && answer.text.contains("POST /provision/acestream"),
            "{answer:?}"
        );
    }
    for bed in beds {
        bed.stop().await;
    }
}

#[tokio::test]
async fn a_reservation_is_seen_by_others_until_its_stream_comes_or_it_is_given_back() {
    let bed = Bed::with(&[("API_KEY", KEY)]).await;
    for port in [9_000, 9_001] {
        bed.engine(port).await;
    }
    let body = json!({"infohash": hash(1).to_uppercase(), "max_streams": 2, "ttl_s": 60});
    let first = select(&bed, &body).await.json();
    let id = first["container_id"].as_str().unwrap();
    assert_eq!((&first["already_playing"], &first["host"]), (&json!(false), &json!("127.0.0.1")));
    let again = select(&bed, &body).await.json();
    assert_eq!((&again["container_id"], &again["already_playing"]), (&json!(id), &json!(true)));
    let items = shown(&bed, id).await;
    assert_eq!(
        items.iter().map(|item| item["mark"].as_str().unwrap()).collect::<Vec<_>>(),
        ["reserved", "reserved"]
    );
    let capacity = bed.get("/orchestrator/status").await.json()["capacity"].clone();
    assert_eq!((&capacity["marked"], &capacity["available"]), (&json!(1), &json!(1)), "{capacity}");
    let scores = bed.get("/engines/health-score").await.json();
    let score = |at: usize| (scores[at]["container_id"].clone(), scores[at]["score"].as_i64().unwrap());
    assert_eq!((score(0).1, score(1)), (100, (json!(id), 70)), "{scores}");

    let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
    bed.post("/events/stream_started", &started(&hash(1), "s", port)).await;
    let marks: Vec<Value> = shown(&bed, id).await.iter().map(|item| item["mark"].clone()).collect();
    assert_eq!(marks, [Value::Null, json!("reserved")], "the stream has taken one place");
    // Which of both it took, nobody can tell: one is left.
    let path = |reservation: &Value| {
        format!("/engines/reservations/{}", reservation["reservation_id"].as_str().unwrap())
    };
    let gone = bed.call("DELETE", &path(&first), &json!({})).await;
    assert_eq!(gone.status, 404, "{gone:?}");
    assert_eq!(bed.call("DELETE", &path(&again), &json!({})).await.status, 200);
    assert_eq!(shown(&bed, id).await.len(), 1);
    bed.stop().await;
}

#[tokio::test]
async fn bad_bodies_and_ids_are_refused_with_the_reason() {
    let bed = Bed::with(&[("API_KEY", KEY)]).await;
    bed.engine(9_000).await;
    for (body, said) in [
        (json!({}), "one of infohash and content_id"),
        (json!({"infohash": hash(1), "content_id": hash(1)}), "one of infohash and content_id"),
        (json!({"infohash": "xyz"}), "40 hexadecimal digits"),
        (json!({"infohash": format!("{}é", &hash(1)[2..])}), "40 hexadecimal digits"),
        (json!({"infohash": hash(1), "max_streams": 0}), "max_streams"),
        (json!({"infohash": hash(1), "max_streams": 101}), "max_streams"),
        (json!({"infohash": hash(1), "ttl_s": 61}), "ttl_s"),
        (json!([]), "body"),
    ] {
        let answer = select(&bed, &body).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
        assert!(answer.text.contains(said), "{body}: {}", answer.text);
    }
    for id in ["x", &"f".repeat(32), &"+".repeat(32), &"é".repeat(16)] {
        let answer = bed.call("DELETE", &format!("/engines/reservations/{id}"), &json!({})).await;
        assert!(answer.status == 404, "{id}: {answer:?}");
    }
    let without_key = bed.send("POST", "/engines/select", &[("authorization", "Bearer wrong")], "{}").await;
    assert_eq!(without_key.status, 403);
    bed.stop().await;
}
