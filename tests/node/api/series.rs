//! Figures of the last hour, of any host and through any node.

use serde_json::{Value, json};

use crate::bed::{Bed, eventually};

/// The newest point that has a figure in this field, with its time.
fn newest(series: &Value, field: &str) -> Option<(u64, f64)> {
    let fields = series["fields"].as_array()?;
    let at = 1 + fields.iter().position(|name| name == field)?;
    let points = series["points"].as_array()?;
    points.iter().rev().find_map(|point| Some((point[0].as_u64()?, point[at].as_f64()?)))
}

#[tokio::test]
async fn every_node_has_the_cluster_and_asks_the_owner_for_an_engine() {
    let [a, b, c] = Bed::three().await;
    let id = b.engine(901).await;
    b.post("/events/stream_started", &crate::api::events::started("k", "s", 901)).await;
    for bed in [&a, &b, &c] {
        let cluster = eventually("memory of an engine on another host", async || {
            let series = bed.get("/series").await.json();
            newest(&series, "memory_bytes").filter(|(_, bytes)| *bytes > 0.0).map(|_| series)
        })
        .await;
        assert_eq!((&cluster["of"], &cluster["step_s"]), (&json!("cluster"), &json!(5)));
        assert_eq!(cluster["fields"][0], "engines");
        assert_eq!(cluster["units"]["speed_down"], "KB/s");
        let figure = |field: &str| newest(&cluster, field).unwrap().1;
        let counts = ["engines", "in_use", "healthy", "streams"].map(figure);
        assert_eq!(counts, [1.0; 4]);
        let place = cluster["fields"].as_array().unwrap().iter().position(|field| field == "speed_down");
        // Before the stream was there, a point may have been recorded with no speed at all.
        let last = cluster["points"].as_array().unwrap().last().unwrap();
        assert_eq!(last[place.unwrap() + 1], json!(null), "the engine gives no figures of its stream");
        let host = bed.get("/series?of=host:b").await.json();
        assert_eq!(newest(&host, "memory_bytes").unwrap().1, f64::from(100 << 20));
        let idle = bed.get("/series?of=host:a").await.json();
        assert_eq!(
            (newest(&idle, "engines").unwrap().1, newest(&idle, "cpu_percent").unwrap().1),
            (0.0, 0.0)
        );
        for name in [&id, "acestream-901"] {
            let engine = bed.get(&format!("/series?of=engine:{name}")).await.json();
            let (at, streams) = newest(&engine, "streams").unwrap();
            assert_eq!((streams, at % 5), (1.0, 0));
            let since: jiff::Timestamp = engine["recorded_since"].as_str().unwrap().parse().unwrap();
            assert!(since.as_second() as u64 <= at);
            let later = bed.get(&format!("/series?of=engine:{name}&since={}", at + 1_000)).await.json();
            assert_eq!(later["points"], json!([]));
        }
    }
    for (of, status) in [
        ("host:nowhere", 404),
        ("engine:nobody", 404),
        ("stream:none", 404),
        ("stream:k%7Cs", 404),
        ("x", 422),
    ] {
        assert_eq!(a.get(&format!("/series?of={of}")).await.status, status, "{of}");
    }
    assert_eq!(a.get("/series?since=soon").await.status, 422);
    // The owner is gone: others know what it was like, and not what its engines were.
    b.stop().await;
    assert_eq!(newest(&a.get("/series?of=host:b").await.json(), "engines").unwrap().1, 1.0);
    assert_eq!(a.get("/series?of=engine:acestream-901").await.status, 503);
    for bed in [a, c] {
        bed.stop().await;
    }
}
