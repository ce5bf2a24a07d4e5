//! Readers of the feed who do not read, or come too late.

use std::time::{Duration, Instant};

use acefleet_registry::event::KEPT_EACH;
use acefleet_registry::{Command, Elapsed};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::api::feed::{at_current_level, number, start};
use crate::api::feed_readers::{metric, start_many};
use crate::bed::follow::Follower;
use crate::bed::{Bed, eventually};

/// A reader with these parameters that does not read, behind a system that takes about so many bytes for it.
async fn unread(bed: &Bed, parameters: &str, room: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(room).unwrap();
    let mut stream = socket.connect(bed.address.parse().unwrap()).await.unwrap();
    let request = format!("GET /events/stream?{parameters} HTTP/1.1\r\nHost: {}\r\n\r\n", bed.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_reader_who_does_not_keep_up_is_told_so_and_dropped() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let mut slow = unread(&bed, "kinds=change,event", 4_096).await;
    // Far more than a node keeps for readers, and the system for sockets.
    for from in (0..4).map(|batch| batch * 1_500) {
        let before = metric(&bed, "acefleet_feed_looks_total").await;
        start_many(&bed, from, 1_500, 300).await;
        eventually("it is told", async || {
            (metric(&bed, "acefleet_feed_looks_total").await > before + 1).then_some(())
        })
        .await;
    }
    let mut read = Vec::new();
    let done = tokio::time::timeout(Duration::from_secs(20), async {
        while !read.ends_with(b"0\r\n\r\n") {
            assert_ne!(slow.read_buf(&mut read).await.unwrap(), 0, "the answer ends in the middle");
        }
    });
    done.await.expect("the reader is not dropped");
    let end = String::from_utf8_lossy(&read[read.len() - 200..]).into_owned();
    assert!(end.contains("event: bye\ndata: {\"reason\":\"too_slow\"}"), "{end}");
    eventually("its place is free", async || {
        (metric(&bed, "acefleet_feed_readers").await == 0).then_some(())
    })
    .await;
    bed.stop().await;
}

#[tokio::test]
async fn a_reader_who_is_slow_for_a_moment_outlasts_a_correction_of_the_time() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    // All of them are told again, which is more than a node keeps for readers.
    let streams = 1_200;
    for batch in 0..4 {
        start_many(&bed, batch * streams / 4, streams / 4, 2_000).await;
    }
    let mut slow = unread(&bed, "kinds=change,figures&types=stream", 256 << 10).await;
    slow.peek(&mut [0]).await.unwrap();
    let offset = bed.fleet.view().state.calendar().offset_ms().unwrap();
    let correction = Command::WallCorrected { from: Elapsed(0), offset_ms: offset - 86_400_000 };
    bed.fleet.write(correction, Instant::now() + Duration::from_secs(20)).await.unwrap();
    let before = metric(&bed, "acefleet_feed_looks_total").await;
    eventually("more is told", async || {
        (metric(&bed, "acefleet_feed_looks_total").await > before + 1).then_some(())
    })
    .await;
    let (mut text, mut told) = (Vec::new(), 0);
    let reads = tokio::time::timeout(Duration::from_secs(60), async {
        while told < streams {
            assert_ne!(slow.read_buf(&mut text).await.unwrap(), 0, "{told} of {streams} are told");
            let Some(end) = text.windows(2).rposition(|end| end == b"\n\n") else { continue };
            // A frame may go on in what is read next.
            let rest = text.split_off(end + 2);
            let read = String::from_utf8_lossy(&text).into_owned();
            assert!(!read.contains("too_slow"), "it is dropped when {told} of {streams} are told");
            told += read.matches("event: change\n").count();
            text = rest;
        }
    });
    reads.await.expect("not all are told again");
    bed.stop().await;
}

#[tokio::test]
async fn a_reader_is_told_of_a_gap_and_finds_everything_when_it_comes_again() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    at_current_level(&bed).await;
    // One that does not read keeps its place, so the feed goes on behind the gap and does not begin anew.
    let already = 450;
    start_many(&bed, 1_000_000, already, 2_000).await;
    let _stuck = unread(&bed, "kinds=change&types=stream", 4_096).await;
    eventually("it has a place", async || (metric(&bed, "acefleet_feed_readers").await == 1).then_some(()))
        .await;
    let mut feed = Follower::of(&bed, "kinds=change,event", None).await;
    let hello = feed.next().await.unwrap();
    let begin = hello.data["event"].as_u64().unwrap();
    // More events at once than the log keeps.
    let streams = KEPT_EACH + 200;
    start_many(&bed, 0, streams, 1).await;
    assert_eq!(feed.next_of("bye").await.data, json!({"reason": "gap"}));
    assert_eq!(feed.next().await, None, "nothing is told behind a gap");

    let parameters = "kinds=change,event&event_types=stream";
    let mut again = Follower::of(&bed, parameters, hello.id.as_deref()).await;
    let hello = again.next().await.unwrap();
    let lost = hello.data["lost"].as_u64().unwrap();
    assert_eq!((&hello.data["resumed"], lost >= 200), (&json!(true), true), "{hello:?}");
    let snapshot = again.next().await.unwrap();
    assert_eq!(snapshot.data["streams"].as_array().unwrap().len(), already + streams);
    assert!(number(&again.next_of("event").await) > begin + lost);
    // The feed goes on for all who come behind the gap.
    let mut new = Follower::of(&bed, "kinds=event&event_types=stream", None).await;
    assert_eq!(new.next().await.unwrap().event, "hello");
    start(&bed, "last").await;
    assert_eq!(new.next_of("event").await.data["stream_id"], "k|last");
    assert_eq!(metric(&bed, "acefleet_feed_readers").await, 3, "the one that does not read is there still");
    bed.stop().await;
}
