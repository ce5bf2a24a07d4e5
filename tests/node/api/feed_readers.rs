//! Many readers of the feed, and those who do not read.

use std::time::Instant;

use futures::future::join_all;

use crate::api::feed::start;
use crate::bed::Bed;
use crate::bed::follow::Follower;

/// A number of the metrics.
async fn metric(bed: &Bed, name: &str) -> u64 {
    let metrics = bed.get("/metrics").await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[tokio::test]
async fn readers_who_come_and_go_cause_no_looks() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let mut stays = Follower::of(&bed, "", None).await;
    stays.next_of("snapshot").await;
    let (before, began) = (metric(&bed, "acefleet_feed_looks_total").await, Instant::now());
    for round in 0..5 {
        start(&bed, &round.to_string()).await;
        let readers = join_all((0..30).map(async |_| {
            let mut reader = Follower::of(&bed, "", None).await;
            let snapshot = reader.next_of("snapshot").await;
            assert_eq!(
                snapshot.data["streams"].as_array().unwrap().len(),
                round + 1,
                "what was written before"
            );
            reader
        }));
        drop(readers.await);
    }
    let looks = metric(&bed, "acefleet_feed_looks_total").await - before;
    let at_most = began.elapsed().as_millis() / 250 + 2;
    assert!(u128::from(looks) <= at_most, "{looks} looks, of {at_most}");
    bed.stop().await;
}
