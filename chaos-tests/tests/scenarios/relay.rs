//! Reachable as localhost: engines that land on another host, and calls that are repeated because their caller gave up.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::common::{
    LATER, SOON, acexy, come_back_while, conclude, content, expect_engines_everywhere, late, turn,
};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why a call has to be repeated whose engine a Docker that stands still did not start.
const LATE: [&str; 2] = ["pending", "docker_unavailable"];
/// Length of an MPEG-TS packet, and its first byte.
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Bytes that a slow reader takes at a time.
const SIP: usize = 4096;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_on_another_host_is_reached_as_localhost() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(2)).await?;
    conclude(bed, elsewhere).await
}

async fn elsewhere(bed: &TestHosts) -> Result<()> {
    let [asked, other] = bed.nodes() else { bail!("two nodes, not {}", bed.nodes().len()) };
    asked.client().operate(asked.name(), "cordon", None).await?;

    // The Acexy beside the first node has an engine made and dials `localhost`.
    let play = acexy::run(bed, asked, "relayed-", &["--streams", "1", "--hold", "4s"]);
    let relayed = async {
        wait_for("a connection through the relay", LATER, || async {
            let open = asked.client().metric("acefleet_relay_connections").await?;
            ensure!(open >= 1.0, "{open} are open");
            Ok(())
        })
        .await
    };
    let since = late::Since::now(bed)?;
    let (report, ()) = tokio::try_join!(play, relayed)?;
    since.check(bed, report.told_to_wait()?).await?;
    let play = &report.plays[0];
    let engine = play.engine.as_ref().context("no engine")?;
    assert_eq!((engine.via.as_str(), engine.host.as_str()), ("provisioned", "localhost"));
    assert_eq!(play.listed_after_provisioning, Some(true));
    ensure!(
        bed.host_of(asked).docker().running().await?.is_empty(),
        "it runs beside the node that was asked"
    );
    assert_eq!(bed.host_of(other).docker().running().await?, std::slice::from_ref(&engine.container_id));
    let moved = asked.client().metric("acefleet_relay_bytes_total{direction=\"to_client\"}").await?;
    ensure!(moved >= play.bytes as f64, "{moved} bytes relayed, {} played", play.bytes);
    let connections = asked.client().metric("acefleet_relay_connections_total").await?;
    ensure!(connections >= 2.0, "{connections} connections relayed");
    wait_for("what the client reported", SOON, || report.expect_ended(other.client())).await?;

    half_closed(bed, asked, engine.port).await?;
    let slow = slow_reader(bed, asked, engine.port).await?;
    dies_with_its_engine(bed, asked, other, slow, &engine.container_id, engine.port).await?;
    repeats(bed).await
}

/// Opens a connection beside a node to the relayed port.
async fn connect(bed: &TestHosts, beside: &Node, port: u16) -> Result<TcpStream> {
    bed.host_of(beside).connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SOON).await
}

/// A client that has said all it has to say still gets its whole answer.
async fn half_closed(bed: &TestHosts, beside: &Node, port: u16) -> Result<()> {
    let mut stream = connect(bed, beside, port).await?;
    let path = "/server/api?api_version=3&method=get_status";
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await??;
    ensure!(answer.starts_with("HTTP/1.") && answer.contains(" 200 "), "the answer was {answer:?}");
    Ok(())
}

/// A client that reads in sips loses nothing; returns the connection, which plays on.
async fn slow_reader(bed: &TestHosts, beside: &Node, port: u16) -> Result<TcpStream> {
    let opened = format!("/ace/getstream?format=json&id={}&pid={}", content(7), uuid::Uuid::new_v4());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (status, body) = bed.host_of(beside).get(address, &opened, SOON).await?;
    ensure!(status == 200, "{status} {body}");
    let body: Value = serde_json::from_str(&body)?;
    let url = body["response"]["playback_url"].as_str().context("no playback_url")?;
    let path = url::Url::parse(url)?.path().to_owned();

    let mut stream = connect(bed, beside, port).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, stream.read_u8()).await??);
    }
    let sent = async || beside.client().metric("acefleet_relay_bytes_total{direction=\"to_client\"}").await;
    // What the engine sends meanwhile waits in the relay and in the system.
    let before = sent().await?;
    wait_for("bytes to wait for the slow reader", SOON, || async {
        let now = sent().await?;
        ensure!(now > before + 10.0 * SIP as f64, "{} more", now - before);
        Ok(())
    })
    .await?;
    let mut at = 0;
    let mut sip = [0; SIP];
    while at < 100 * SIP {
        let read = timeout(SOON, stream.read(&mut sip)).await??;
        ensure!(read > 0, "the stream ended after {at} bytes");
        let first = (PACKET - at % PACKET) % PACKET;
        let broken = sip[..read].iter().skip(first).step_by(PACKET).any(|byte| *byte != SYNC);
        ensure!(!broken, "bytes were lost or changed near {at}");
        at += read;
    }
    Ok(stream)
}

/// The engine is killed: its connections end, and its port is given back.
async fn dies_with_its_engine(
    bed: &TestHosts,
    beside: &Node,
    owner: &Node,
    mut stream: TcpStream,
    container: &str,
    port: u16,
) -> Result<()> {
    bed.host_of(owner).docker().call(&["kill", container]).await?;
    let ended = timeout(SOON, async {
        let mut rest = vec![0; 65_536];
        while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    });
    ended.await.context("the connection outlived its engine")?;
    expect_engines_everywhere(bed, &BTreeSet::new()).await?;
    wait_for("the port to be given back", SOON, || async {
        ensure!(connect(bed, beside, port).await.is_err(), "somebody still accepts at {port}");
        Ok(())
    })
    .await
}

/// Calls whose caller gave up, repeated on the same and on the other node.
async fn repeats(bed: &TestHosts) -> Result<()> {
    let [one, two] = bed.nodes() else { bail!("two nodes, not {}", bed.nodes().len()) };
    one.client().operate(one.name(), "uncordon", None).await?;
    let mut known = BTreeSet::new();
    for (first, second) in [(one, two), (two, two)] {
        // The answer comes in time and says that the engine is not there yet.
        docker_stands_still(bed).await?;
        let late = first.client().try_provision().await;
        docker_goes_on(bed)?;
        let late = late?.expect(reqwest::StatusCode::SERVICE_UNAVAILABLE)?;
        // A Docker that stands still for as long as the call waits may count as away.
        ensure!(LATE.contains(&late.detail()?.code.as_str()), "{late}");
        ensure!(late.headers.contains_key("retry-after"), "{late}");
        let (engine, _) = come_back_while(second.client(), &LATE).await?;
        ensure!(known.insert(engine.container_id), "an engine was given twice");
        only(bed, &known).await?;
    }
    // The caller hangs up.
    docker_stands_still(bed).await?;
    let reserved = engines_under_way(two.client()).await?;
    let call = tokio::spawn({
        let client = one.client().clone();
        async move { client.try_provision().await }
    });
    let seen = wait_for("the reservation", SOON, || async {
        let now = engines_under_way(two.client()).await?;
        ensure!(now > reserved, "{now} are under way");
        Ok(())
    })
    .await;
    call.abort();
    // Before that is written, the first caller counts as one who waits, and the second gets an engine of its own.
    let left = wait_for("the node to see that its caller has gone", SOON, || async {
        ensure!(one.process().log()?.contains("its caller has gone"), "nothing of it in the log");
        Ok(())
    })
    .await;
    docker_goes_on(bed)?;
    seen.and(left)?;
    ensure!(call.await.is_err_and(|error| error.is_cancelled()), "the call was answered after all");
    let (engine, _) = come_back_while(two.client(), &LATE).await?;
    ensure!(known.insert(engine.container_id), "an engine was given twice");
    only(bed, &known).await
}

/// Containers that the members run or are about to.
async fn engines_under_way(node: &NodeClient) -> Result<u64> {
    let view: Value = node.get("/cluster").await?;
    let members = view["nodes"].as_array().context("no members")?;
    Ok(members.iter().filter_map(|member| member["engines"].as_u64()).sum())
}

async fn docker_stands_still(bed: &TestHosts) -> Result<()> {
    for host in bed.hosts() {
        host.docker().daemon().pause().await?;
    }
    Ok(())
}

fn docker_goes_on(bed: &TestHosts) -> Result<()> {
    bed.hosts().iter().try_for_each(|host| host.docker().daemon().resume())
}

/// These engines and no other, on the hosts and in every list.
async fn only(bed: &TestHosts, ids: &BTreeSet<String>) -> Result<()> {
    expect_engines_everywhere(bed, ids).await?;
    wait_for("exactly these containers", Duration::from_secs(30), || async {
        let mut running = BTreeSet::new();
        for host in bed.hosts() {
            running.extend(host.docker().containers("acefleet.node").await?);
        }
        ensure!(running == *ids, "containers: {running:?}, engines: {ids:?}");
        let listed: Vec<Engine> = bed.nodes()[0].client().engines().await?;
        ensure!(listed.len() == ids.len(), "{listed:?}");
        Ok(())
    })
    .await
}
