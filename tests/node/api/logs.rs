//! Logs of containers on any host, through any node, once and as they come.

use serde_json::{Value, json};

use crate::bed::fake::LOG_BEGINS_NS;
use crate::bed::sse::Events;
use crate::bed::{Bed, eventually};

const NOTHING: Value = Value::Null;

/// Texts and ids of so many lines that come next.
async fn lines(events: &mut Events, count: usize) -> Vec<(String, String)> {
    let mut read = Vec::new();
    for _ in 0..count {
        let line = events.next().await.unwrap();
        assert_eq!(line.event, "line", "{line:?}");
        read.push((line.data["text"].as_str().unwrap().to_owned(), line.id.unwrap()));
    }
    read
}

fn texts(lines: &[(String, String)]) -> Vec<&str> {
    lines.iter().map(|(text, _)| text.as_str()).collect()
}

fn write(bed: &Bed, lines: &[&str]) {
    let mut world = bed.runtime.world();
    lines.iter().for_each(|line| world.log.push_str(&format!("{line}\n")));
}

#[tokio::test]
async fn the_newest_lines_are_given_with_their_times() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    bed.runtime.world().log = "one\n\u{1b}[31mtwo!\u{1b}[0m\u{1b}[2K\u{7}\n\n".to_owned();
    let path = "/containers/acestream-901/logs";
    let answer = bed.call("GET", path, &NOTHING).await.json();
    assert_eq!(
        answer,
        json!({"lines": ["one", "two!"], "entries": [
            {"at": "2025-10-09T08:53:20.000000Z", "stream": "stdout", "text": "one"},
            {"at": "2025-10-09T08:53:20.000001Z", "stream": "stderr", "text": "\u{1b}[31mtwo!\u{1b}[0m"},
            {"at": "2025-10-09T08:53:20.000002Z", "stream": "stdout", "text": ""},
        ]})
    );
    let entries = async |query: &str| {
        let answer = bed.call("GET", &format!("{path}?{query}"), &NOTHING).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["entries"].as_array().unwrap().len()
    };
    assert_eq!(entries("tail=2").await, 2);
    assert_eq!(entries("tail=0").await, 0);
    assert_eq!(entries("since=2025-10-09T08:53:20Z").await, 3);
    assert_eq!(entries(&format!("since={}", LOG_BEGINS_NS / 1_000_000_000 + 1)).await, 0);
    bed.runtime.world().log = "x\n".repeat(7_000);
    assert_eq!(entries("").await, 100);
    assert_eq!(entries("tail=5000").await, 5_000);
    bed.runtime.world().log = format!("{}\n", "x".repeat(10_000)).repeat(200);
    assert!((40..60).contains(&entries("tail=5000").await), "bounded in bytes");

    for (query, name) in [("tail=5001", "tail"), ("since=soon", "since"), ("follow=maybe", "follow")] {
        let answer = bed.call("GET", &format!("{path}?{query}"), &NOTHING).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["detail"][0]["loc"]),
            (422, &json!(["query", name]))
        );
    }
    let wrong = bed.stream(&format!("{path}?follow=true"), &[("last-event-id", "x")]).await.err().unwrap();
    assert_eq!(wrong.json()["detail"][0]["loc"], json!(["header", "last-event-id"]));
    let future = (LOG_BEGINS_NS * 2).to_string();
    for (query, header) in
        [(format!("?follow=true&last_event_id={future}"), None), ("?follow=true".to_owned(), Some(&future))]
    {
        let headers: Vec<(&str, &str)> =
            header.map(|id| ("last-event-id", id.as_str())).into_iter().collect();
        let refused = bed.stream(&format!("{path}{query}"), &headers).await.err().unwrap();
        assert!(refused.status == 400 && refused.text.contains("is in the future"), "{refused:?}");
    }
    assert_eq!(bed.get(&format!("{path}?follow=true")).await.status, 401);
    assert_eq!(bed.stream("/containers/nobody/logs?follow=true", &[]).await.err().unwrap().status, 404);
    bed.stop().await;
}

#[tokio::test]
async fn a_log_is_followed_through_another_node_and_resumed_without_a_gap() {
    let [a, b, c] = Bed::three().await;
    let id = b.engine(901).await;
    eventually("all know it", async || {
        let known = [&a, &b, &c].map(|bed| bed.fleet.view().state.engine_by_container(&id).is_some());
        known.iter().all(|known| *known).then_some(())
    })
    .await;
    b.runtime.world().log = "old\none\ntwo\n".to_owned();
    let path = "/containers/acestream-901/logs?follow=true";
    let mut through_a =
        a.stream(&format!("{path}&tail=2"), &[]).await.unwrap_or_else(|error| panic!("{error:?}"));
    let mut through_c =
        c.stream(&format!("{path}&tail=0"), &[]).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(texts(&lines(&mut through_a, 2).await), ["one", "two"]);
    write(&b, &["three", "four!"]);
    let followed = lines(&mut through_a, 2).await;
    assert_eq!(texts(&followed), ["three", "four!"]);
    assert_eq!(lines(&mut through_c, 2).await, followed, "the same ids on every node");

    // The node that served it dies; another one goes on where it was.
    drop(through_a);
    write(&b, &["five"]);
    let behind = [("last-event-id", followed[0].1.as_str())];
    let mut resumed = c.stream(path, &behind).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(texts(&lines(&mut resumed, 2).await), ["four!", "five"]);
    // One that was away for longer than the owner keeps lines reads them from Docker.
    let many: Vec<String> = (0..3_000).map(|n| format!("{n} {}", "x".repeat(100))).collect();
    write(&b, &many.iter().map(String::as_str).collect::<Vec<_>>());
    let mut late = a.stream(path, &behind).await.unwrap_or_else(|error| panic!("{error:?}"));
    let read = lines(&mut late, 3_002).await;
    assert_eq!(texts(&read)[2..], many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(b.runtime.world().followed, 1, "Docker is asked once for all of them");

    b.runtime.remove_by_hand(&id, false);
    let end = late.next().await.unwrap();
    assert_eq!((end.event.as_str(), &end.data), ("end", &json!({"reason": "the container is gone"})));
    assert_eq!(late.next().await, None, "the answer is over");
    for bed in [a, b, c] {
        bed.stop().await;
    }
}

#[tokio::test]
async fn a_log_that_docker_ends_is_opened_again_without_a_gap() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    bed.runtime.world().log = "zero\n".to_owned();
    let path = "/containers/acestream-901/logs?follow=true";
    let mut events = bed.stream(path, &[]).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(texts(&lines(&mut events, 1).await), ["zero"]);
    write(&bed, &["one"]);
    assert_eq!(texts(&lines(&mut events, 1).await), ["one"], "it is followed");
    for round in 1..=2 {
        // More than Docker is asked for at once, before anybody can look.
        let many: Vec<String> = (0..1_500).map(|n| format!("{round}-{n}")).collect();
        {
            let mut world = bed.runtime.world();
            world.cut += 1;
            many.iter().for_each(|line| world.log.push_str(&format!("{line}\n")));
        }
        let read = lines(&mut events, many.len()).await;
        assert_eq!(texts(&read), many.iter().map(String::as_str).collect::<Vec<_>>());
    }
    bed.runtime.world().cut += 1;
    write(&bed, &["last"]);
    assert_eq!(texts(&lines(&mut events, 1).await), ["last"]);
    bed.stop().await;
}

#[tokio::test]
async fn followers_are_limited_and_end_with_the_node() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    let path = "/containers/acestream-901/logs?follow=true&tail=1";
    let mut all = Vec::new();
    let busy = loop {
        match bed.stream(path, &[]).await {
            Ok(events) => all.push(events),
            Err(answer) => break answer,
        }
    };
    assert_eq!((busy.status.as_u16(), &busy.json()["detail"]["code"], all.len()), (503, &json!("busy"), 128));
    all.truncate(1);
    let mut again = eventually("those who went make room", async || bed.stream(path, &[]).await.ok()).await;
    assert_eq!(texts(&lines(&mut again, 1).await), ["sh: engine: not found"]);
    bed.begin_stop();
    let bye = again.next().await.unwrap();
    assert_eq!((bye.event.as_str(), &bye.data), ("bye", &json!({"reason": "stopping"})));
    assert_eq!(again.next().await, None);
    bed.stop().await;
}

#[tokio::test]
async fn vpn_containers_that_nodes_watch_have_logs_and_no_others() {
    let bed = Bed::with(&[("API_KEY", crate::bed::KEY), ("GLUETUN_CONTAINER_NAME", "gluetun")]).await;
    bed.runtime.world().vpns.insert("gluetun".to_owned(), Default::default());
    bed.runtime.world().vpns.insert("database".to_owned(), Default::default());
    for name in ["gluetun", "a%2Fgluetun"] {
        let answer = bed.call("GET", &format!("/containers/{name}/logs"), &NOTHING).await;
        assert_eq!(answer.json()["lines"], json!(["sh: engine: not found"]), "{answer:?}");
    }
    let mut events = bed.stream("/containers/a%2Fgluetun/logs?follow=true", &[]).await.ok().unwrap();
    lines(&mut events, 1).await;
    write(&bed, &["connected"]);
    assert_eq!(texts(&lines(&mut events, 1).await), ["connected"]);
    for name in ["database", "a%2Fdatabase", "b%2Fgluetun"] {
        assert_eq!(
            bed.call("GET", &format!("/containers/{name}/logs"), &NOTHING).await.status,
            404,
            "{name}"
        );
    }
    bed.stop().await;
}
