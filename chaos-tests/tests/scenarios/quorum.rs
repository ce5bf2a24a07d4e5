//! Two of three nodes are down. Reads continue, events are queued and appear once, and provisioning is refused in the known form.
//! Probes tell balancers and supervisors what they need.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::common::{LATER, SOON, conclude, content, expect_provisioning, late, named, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Answer, NodeClient, StartedEvent};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Streams that begin and end while there is no majority.
const STREAMS: usize = 12;
/// Events that the outbox takes: starts, ends of every other one, and one repeat.
const EVENTS: usize = STREAMS + STREAMS / 2 + 1;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_reads_go_on_and_events_appear_once_afterwards() -> Result<()> {
    let _turn = turn().await?;
    let options = BedOptions::new(3).env("ACEFLEET_OUTBOX_MAX", &EVENTS.to_string());
    let bed = TestHosts::start(options).await?;
    conclude(bed, lone_survivor).await
}

async fn lone_survivor(bed: &TestHosts) -> Result<()> {
    for node in bed.nodes() {
        late::provision(bed, node).await?;
    }
    // The leader survives: what it had begun to write alone may be in its log and in its outbox.
    let leader = bed.wait_formed(LATER).await?;
    let survivor = named(bed, &leader)?;
    let dead: Vec<&Node> = bed.nodes().iter().filter(|node| node.name() != leader).collect();
    try_join_all(dead.iter().map(|node| node.kill())).await?;
    for node in &dead {
        node.client().live().await.expect_err("a killed node still answers");
    }

    // The first event comes while the survivor still believes that it leads.
    let engine = survivor.client().engines().await?.remove(0);
    let streams: Vec<StartedEvent> = (0..STREAMS)
        .map(|at| StartedEvent::new(&engine.host, engine.port, &content(at as u64), &format!("session{at}")))
        .collect();
    queued(survivor.client().stream_started(&streams[0]).await?)?;
    probes_and_reads(survivor.client()).await?;
    let refused = survivor.client().try_provision().await?.expect(StatusCode::SERVICE_UNAVAILABLE)?;
    ensure!(refused.headers.contains_key("retry-after"), "no Retry-After: {refused}");
    let detail = refused.detail()?;
    ensure!(detail.should_wait && detail.can_retry, "{detail:?}");
    expect_provisioning(survivor.client(), Some("no_leader")).await?;

    let (before, after) = streams.split_at(STREAMS / 2);
    for (at, stream) in before.iter().enumerate().skip(1) {
        send(survivor.client(), at, stream).await?;
    }
    let held = survivor.client().metric("acefleet_outbox_events").await?;
    survivor.kill().await?;
    survivor.start().await?;
    let found = survivor.client().metric("acefleet_outbox_events").await?;
    ensure!(found == held && held > 1.0, "{held} events were queued, {found} are there after kill -9");
    probes_and_reads(survivor.client()).await?;
    ensure!(survivor.client().engines().await?.len() == 3, "the survivor forgot engines");
    for (at, stream) in after.iter().enumerate() {
        send(survivor.client(), STREAMS / 2 + at, stream).await?;
    }
    // A start that is reported twice is one stream.
    queued(survivor.client().stream_started(&streams[STREAMS - 1]).await?)?;
    let found = survivor.client().metric("acefleet_outbox_events").await?;
    ensure!(found == EVENTS as f64, "{found} events are queued, not {EVENTS}");
    let full = survivor.client().stream_started(&streams[0]).await?;
    let full = full.expect(StatusCode::SERVICE_UNAVAILABLE)?;
    ensure!(full.detail()?.code == "outbox_full" && full.headers.contains_key("retry-after"), "{full}");

    dead.iter().try_for_each(|node| node.spawn())?;
    try_join_all(dead.iter().map(|node| node.wait_live())).await?;
    bed.wait_formed(LATER).await?;
    wait_for("the outbox to be empty", LATER, || async {
        let left = survivor.client().metric("acefleet_outbox_events").await?;
        ensure!(left == 0.0, "{left} events are left");
        Ok(())
    })
    .await?;
    bed.wait_working(LATER).await?;
    for node in bed.nodes() {
        let shown = || once_in_order(node.client(), &streams);
        wait_for("the queued events, once and in order", SOON, shown).await?;
        late::provision(bed, node).await?;
    }
    Ok(())
}

/// A start, and the end as well of every second stream.
async fn send(node: &NodeClient, at: usize, stream: &StartedEvent) -> Result<()> {
    queued(node.stream_started(stream).await?)?;
    if at % 2 == 1 {
        queued(node.stream_ended(&stream.stream_id(), "completed").await?)?;
    }
    Ok(())
}

fn queued(answer: Answer) -> Result<()> {
    let answer = answer.expect(StatusCode::ACCEPTED)?;
    ensure!(answer.json::<Value>()?["status"] == "queued", "{answer}");
    Ok(())
}

/// A node without a leader lives and serves readers; a balancer sends it nothing unless it wants readers only.
async fn probes_and_reads(node: &NodeClient) -> Result<()> {
    wait_for("a node without a leader to say so", SOON, || async {
        let ready = node.call(Method::GET, "/readyz", None).await?.expect(StatusCode::SERVICE_UNAVAILABLE)?;
        let reasons = ready.json::<Value>()?["reasons"].to_string();
        ensure!(reasons.contains("leader"), "{ready}");
        Ok(())
    })
    .await?;
    for path in ["/readyz?noleader", "/livez", "/health"] {
        node.call(Method::GET, path, None).await?.expect(StatusCode::OK)?;
    }
    let unconfirmed = node.call(Method::GET, "/streams?consistency=linearizable", None).await?;
    unconfirmed.expect(StatusCode::SERVICE_UNAVAILABLE)?;
    let mut oldest = Duration::ZERO;
    for path in ["/engines", "/streams?container_id=none&status=started", "/orchestrator/status"] {
        let since = age(node, path).await?;
        ensure!(since >= oldest, "answers of a node that is alone get younger: {oldest:?}, {since:?}");
        oldest = since;
    }
    wait_for("the age of answers to grow", SOON, || async {
        let now = age(node, "/engines").await?;
        ensure!(now > oldest, "it is {now:?}, as before");
        Ok(())
    })
    .await
}

/// The age that an answer states.
async fn age(node: &NodeClient, path: &str) -> Result<Duration> {
    let answer = node.call(Method::GET, path, None).await?.expect(StatusCode::OK)?;
    let age = answer.headers.get("x-acefleet-age-ms").with_context(|| format!("no age: {answer}"))?;
    Ok(Duration::from_millis(age.to_str()?.parse()?))
}

async fn once_in_order(node: &NodeClient, sent: &[StartedEvent]) -> Result<()> {
    for (status, odd) in [("started", 0), ("ended", 1)] {
        let shown: Vec<String> = node.streams(status).await?.into_iter().map(|stream| stream.id).collect();
        let expected: Vec<String> = sent.iter().skip(odd).step_by(2).map(StartedEvent::stream_id).collect();
        ensure!(shown == expected, "{} shows {status}: {shown:?}, expected {expected:?}", node.name());
    }
    Ok(())
}

/// A node whose disk takes no more cannot take part: the process ends and says so with its exit code, its engines run on, and
/// with room again everything that was acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_log_cannot_be_written_ends_and_loses_nothing() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start_docker(BedOptions::new(1)).await?;
    conclude(bed, no_room).await
}

async fn no_room(bed: &TestHosts) -> Result<()> {
    let node = &bed.nodes()[0];
    let recipe = node.process().recipe();
    // Files of this process end at half a megabyte; with the signal ignored, a longer write is an error like that of a full disk.
    let words = ["/bin/sh", "-c", "trap '' XFSZ; ulimit -f 1024; exec \"$@\"", "limited"].map(OsString::from);
    node.process().change(|limited| limited.command.splice(..0, words).for_each(drop));
    node.start().await?;
    bed.wait_formed(LATER).await?;
    bed.wait_working(LATER).await?;
    let engine = late::provision(bed, node).await?;
    let engine_host = node.address().to_string();

    let mut acknowledged = Vec::new();
    // Hundreds of writes, each of which waits for the disk.
    let until = Instant::now() + Duration::from_secs(180);
    let status = loop {
        let key = content(acknowledged.len() as u64);
        let stream = StartedEvent::new(&engine_host, engine.host_http_port, &key, &"s".repeat(900));
        if let Ok(answer) = node.client().stream_started(&stream).await {
            ensure!(!answer.status.is_client_error(), "{answer}");
            if answer.status.is_success() {
                acknowledged.push(stream.stream_id());
            }
        }
        if let Some(status) = node.process().exit_status() {
            break status;
        }
        ensure!(Instant::now() < until, "the process goes on after {} events", acknowledged.len());
    };
    assert_eq!(status.code(), Some(70), "end of its log:\n{}", node.process().log_tail());
    ensure!(!acknowledged.is_empty(), "it never worked");
    let containers = bed.hosts()[0].docker().running().await?;
    assert_eq!(containers, std::slice::from_ref(&engine.container_id), "the engine ended with its node");

    node.process().change(|unlimited| *unlimited = recipe.clone());
    node.start().await?;
    wait_for("what was acknowledged", LATER, || async {
        let streams = node.client().all_streams().await?;
        let lost: Vec<&String> = acknowledged.iter().filter(|id| !streams.contains_key(*id)).collect();
        ensure!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
        Ok(())
    })
    .await
}
