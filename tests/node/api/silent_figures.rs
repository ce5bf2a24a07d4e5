//! What engines of a host use is not known any more when the host falls silent: by metrics, the feed and the API alike.

use serde_json::json;

use crate::bed::follow::Follower;
use crate::bed::{Bed, eventually};

/// The value of a metric of the engine, if there is one.
async fn metric(bed: &Bed, name: &str) -> Option<String> {
    let text = bed.get("/metrics").await.text;
    let begin = format!("acefleet_engine_{name}{{engine=\"acestream-901\"");
    let line = text.lines().find(|line| line.starts_with(&begin))?;
    line.rsplit_once(' ').map(|(_, value)| value.to_owned())
}

#[tokio::test]
async fn figures_of_a_silent_host_are_not_known_to_anybody() {
    let [a, b, c] = Bed::three().await;
    let container = b.engine(901).await;
    b.post("/events/stream_started", &crate::api::events::started("k", "s", 901)).await;
    let memory = (100 << 20).to_string();
    eventually("the figures of the engine come", async || {
        (metric(&a, "memory_bytes").await? == memory).then_some(())
    })
    .await;
    let engine = a.fleet.view().state.engine_by_container(&container).map(|engine| engine.id.to_string());
    let engine = engine.unwrap();
    let mut feed = Follower::of(&a, "kinds=figures", None).await;
    let first = feed.next_of("figures").await.data["engines"][&engine].clone();
    assert_eq!(first["memory_bytes"], json!(100 << 20));
    assert_eq!(a.get("/engines/acestream-901/stats").await.status, 200);
    b.stop().await;
    eventually("nobody knows what the engine uses", async || {
        (a.get("/engines/acestream-901/stats").await.status == 404).then_some(())
    })
    .await;
    assert_eq!(metric(&a, "memory_bytes").await, None, "as for stats");
    assert_eq!(metric(&a, "download_bytes_per_second").await, None, "of its stream nothing is known");
    assert_eq!(metric(&a, "streams").await.as_deref(), Some("1"), "the engine itself is known");
    let last = eventually("the feed says so", async || {
        let engines = feed.next_of("figures").await.data["engines"].clone();
        engines.get(&engine).cloned()
    })
    .await;
    assert_eq!((&last["memory_bytes"], &last["cpu_percent"]), (&json!(null), &json!(null)), "{last}");
    assert!(last["last_seen"].is_string(), "{last}");
    for bed in [a, c] {
        bed.stop().await;
    }
}
