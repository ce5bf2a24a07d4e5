//! Reads: conditional, ordered, as fresh as asked for.

use serde_json::json;

use crate::api::events::started;
use crate::bed::{Bed, eventually};

#[tokio::test]
async fn lists_have_tags_and_unchanged_ones_are_not_sent_again() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    for path in ["/engines", "/streams", "/api/v1/streams?status=started"] {
        let answer = eventually("an answer that stays true for a moment", async || {
            let first = bed.get(path).await;
            let again = bed.send("GET", path, &[("if-none-match", first.header("etag"))], "").await;
            assert_eq!(first.header("cache-control"), "no-cache");
            (again.status == 304).then_some(again)
        })
        .await;
        assert_eq!(answer.text, "");
        assert!(answer.header("etag").starts_with('"') && answer.number("x-acefleet-revision") > 0);
    }
    let before = bed.get("/streams").await;
    bed.post("/events/stream_started", &started("k", "s", 901)).await;
    let after = bed.send("GET", "/streams", &[("if-none-match", before.header("etag"))], "").await;
    assert_eq!(after.status, 200);
    assert_ne!(after.header("etag"), before.header("etag"));
    bed.stop().await;
}

#[tokio::test]
async fn a_rendered_answer_is_an_answer_like_any_other() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let counted = async || {
        let metrics = bed.get("/metrics").await.text;
        let line = "orch_api_requests_total{endpoint=\"/engines\",method=\"GET\",status=\"200\"} ";
        metrics.lines().find_map(|l| l.strip_prefix(line)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = counted().await;
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/engines", "/engines", "/engines", "/api/v1/engines", "/engines?consistency=linearizable"] {
        let answer = bed.send("GET", path, &[("x-request-id", "")], "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert!(answer.number("x-acefleet-age-ms") < 60_000, "{path}");
        assert!(ids.insert(answer.header("x-request-id").to_owned()), "{path}");
        let named = bed.send("GET", path, &[("x-request-id", "mine")], "").await;
        assert_eq!(named.header("x-request-id"), "mine", "{path}");
    }
    assert_eq!(counted().await, before + 10);
    bed.stop().await;
}

#[tokio::test]
async fn a_write_is_read() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    for i in 0..20 {
        let written = bed.post("/events/stream_started", &started("k", &format!("s{i}"), 901)).await;
        let revision = written.number("x-acefleet-revision");
        let read = bed.get(&format!("/streams?container_id={id}&status=started")).await;
        assert!(read.number("x-acefleet-revision") >= revision);
        assert_eq!(read.json().as_array().unwrap().len(), i + 1);
        let at = bed.get(&format!("/engines?min_revision={revision}")).await;
        assert!(at.number("x-acefleet-revision") >= revision);
    }
    for path in [
        "/engines?consistency=linearizable",
        "/streams?consistency=local",
        "/cluster?consistency=linearizable",
    ] {
        let answer = bed.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-acefleet-age-ms")), (200, "0"), "{path}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_read_waits_for_a_future_revision() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let next = bed.fleet.view().revision + 1;
    let path = format!("/streams?min_revision={next}");
    let event = started("k", "s", 901);
    let (read, written) = tokio::join!(bed.get(&path), bed.post("/events/stream_started", &event));
    assert_eq!((read.status, written.status.as_u16()), (reqwest::StatusCode::OK, 200));
    assert!(read.number("x-acefleet-revision") >= next);
    let never = bed.get("/streams?min_revision=1000000000").await;
    assert_eq!((never.status.as_u16(), never.json()["detail"]["code"].clone()), (503, json!("behind")));
    assert_eq!(never.number("retry-after"), 1);
    bed.stop().await;
}

#[tokio::test]
async fn streams_are_filtered_by_engine() {
    let bed = Bed::new().await;
    let (one, two) = (bed.engine(901).await, bed.engine(902).await);
    bed.post("/events/stream_started", &started("a", "1", 901)).await;
    bed.post("/events/stream_started", &started("b", "2", 902)).await;
    bed.post("/events/stream_started", &started("c", "3", 902)).await;
    bed.post("/events/stream_ended", &crate::api::events::ended("c", "3")).await;
    for (query, expected) in [
        (String::new(), vec!["a|1", "b|2", "c|3"]),
        ("status=started".to_owned(), vec!["a|1", "b|2"]),
        ("status=ended".to_owned(), vec!["c|3"]),
        (format!("container_id={one}"), vec!["a|1"]),
        (format!("container_id={two}&status=started"), vec!["b|2"]),
        ("container_id=acestream-902&status=ended".to_owned(), vec!["c|3"]),
        ("container_id=".to_owned(), vec![]),
        ("container_id=unknown|/x".to_owned(), vec![]),
    ] {
        let listed = bed.get(&format!("/streams?{query}")).await.json();
        let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let engines = bed.get("/engines").await.json();
    let ports: Vec<u64> = engines.as_array().unwrap().iter().map(|e| e["port"].as_u64().unwrap()).collect();
    assert_eq!(ports, [901, 902]);
    bed.stop().await;
}

#[tokio::test]
async fn unknown_parameters_cause_no_rendering() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    bed.post("/events/stream_started", &started("k", "s", 901)).await;
    let rendered = async || {
        let metrics = bed.get("/metrics").await.text;
        let line = metrics.lines().find_map(|l| l.strip_prefix("acefleet_answers_rendered_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    for path in [
        "/streams?",
        "/streams?status=started&",
        "/engines?",
        "/orchestrator/status?",
        &format!("/engines/{id}?"),
    ] {
        let expected = bed.get(path).await.text;
        let (before, first) = (rendered().await, bed.fleet.view().revision);
        for n in 0..200 {
            // Each is spelled in a way of its own.
            let answer = bed.get(&format!("{path}x={n}&consistency=local")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if path.starts_with("/streams") {
                assert_eq!(answer.text, expected, "{path}");
            }
        }
        // Probes, the seconds and what the agent reports move on meanwhile.
        let made = rendered().await - before;
        assert!(
            made < 100,
            "{path}: {made} renderings from revision {first} to {}",
            bed.fleet.view().revision
        );
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_whole_for_all_who_ask_at_once() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    for part in 0..7 {
        let events: Vec<_> = (0..100).map(|n| started("k", &format!("s{}", part * 100 + n), 901)).collect();
        let answer = bed.post("/events/batch", &json!({"started": events})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let asks = (0..8).map(async |n| {
        let path = format!("/streams?x={n}");
        bed.get(&path).await
    });
    for answer in futures::future::join_all(asks).await {
        assert_eq!((answer.status.as_u16(), answer.json().as_array().unwrap().len()), (200, 700));
    }
    let unchanged = eventually("the list is rendered", async || {
        let first = bed.get("/streams").await;
        let again = bed.send("GET", "/streams", &[("if-none-match", first.header("etag"))], "").await;
        (again.status == 304).then_some(again)
    })
    .await;
    assert_eq!(unchanged.text, "");
    bed.stop().await;
}
