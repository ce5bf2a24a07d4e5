//! Elections that no client notices: the leader is killed again and again while Acexys work through the other nodes.
//!
//! `TEST_LEADER_KILLS` says how many kills.

use std::collections::BTreeSet;

use crate::common::clients::{Clients, an_engine_each, others, remove_others};
use crate::common::{LATER, SOON, conclude, content, named, running, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{NodeClient, StartedEvent};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Kills in a test run that is one of many.
const KILLS: usize = 8;
/// Rounds that may come to nothing because leadership moved by itself before the kill.
const SPARE: usize = 3;

/// A client of a killed node sees refused connections, whatever anybody does. So each client works through one node for its
/// life, as the real one does, and lives for one kill of another node.
#[tokio::test(flavor = "multi_thread")]
async fn no_client_notices_that_the_leader_is_killed() -> Result<()> {
    let kills = match std::env::var("TEST_LEADER_KILLS") {
        Ok(kills) => kills.parse().context("TEST_LEADER_KILLS is no number")?,
        Err(_) => KILLS,
    };
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, async |bed| kill_leaders(bed, kills).await).await
}

async fn kill_leaders(bed: &TestHosts, kills: usize) -> Result<()> {
    let engines = an_engine_each(bed).await?;
    let containers = running(bed).await?;
    let mut clients = Clients::default();
    let (mut killed, mut spared) = (0, 0);
    while killed < kills {
        let round = killed + spared + 1;
        let leader = bed.wait_formed(LATER).await?;
        let (victim, others) = (named(bed, &leader)?, others(bed, &leader)?);
        let kill = async {
            let before = others[0].client().cluster().await?;
            if before.leader.as_deref() != Some(victim.name()) {
                return Ok(false);
            }
            victim.kill().await?;
            let next = bed.wait_leader(&others, LATER).await?;
            let after = others[0].client().cluster().await?;
            ensure!(next != leader && after.term > before.term, "no election: {before:?}, {after:?}");
            Ok(true)
        };
        if clients.during(bed, others, &format!("kill-{round}"), kill).await? {
            killed += 1;
            victim.start().await?;
        } else {
            spared += 1;
            ensure!(spared <= SPARE, "leadership moves by itself again and again");
        }
        bed.wait_formed(LATER).await?;
        remove_others(bed, &engines).await?;
    }
    clients.check(bed).await?;
    assert_eq!(running(bed).await?, containers, "an engine noticed what happened to its node");
    Ok(())
}

/// A leader that stood still for seconds, and one that is cut off: neither decides nor answers for a term that is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_leader_decides_nothing_and_confirms_no_read() -> Result<()> {
    let _turn = turn().await?;
    // The old leader stands still for as long as it takes; its engine is not to be given up for that.
    let options = BedOptions::new(3).env("MIN_REPLICAS", "3").env("ACEFLEET_DOWN_AFTER_S", "600");
    let bed = TestHosts::start(options).await?;
    conclude(bed, depose).await
}

async fn depose(bed: &TestHosts) -> Result<()> {
    let floor = async |client: &NodeClient| {
        wait_for("three engines", LATER, || async {
            let engines = client.engines().await?;
            ensure!(engines.len() == 3, "{} are listed", engines.len());
            Ok(engines)
        })
        .await
    };
    let leader = bed.wait_formed(LATER).await?;
    let (old, others) = (named(bed, &leader)?, others(bed, &leader)?);
    let new = others[0].client();
    let engines = floor(new).await?;
    let before = new.cluster().await?;
    old.process().pause().await?;
    let next = bed.wait_leader(&others, LATER).await?;
    ensure!(next != leader && new.cluster().await?.term > before.term, "{leader} still leads");

    // The new leader has something to decide, and somebody writes; the old one knows of neither.
    let own = engines.iter().find(|engine| engine.host == others[0].address().to_string());
    let lost = own.context("no engine beside the new majority")?;
    bed.host_of(others[0]).docker().call(&["rm", "--force", &lost.container_id]).await?;
    wait_for("the lost engine to be replaced", LATER, || async {
        let engines = new.engines().await?;
        ensure!(
            engines.len() == 3 && engines.iter().all(|e| e.container_id != lost.container_id),
            "{engines:?}"
        );
        Ok(())
    })
    .await?;
    let event = StartedEvent::new(&engines[0].host, engines[0].port, &content(1), "new-term");
    new.stream_started(&event).await?.expect(StatusCode::OK)?;
    silent_for(new, old.name(), 4_000).await?;

    // Calls that wait in the paused node's socket: the first things it sees when it wakes.
    let mut reads = Vec::new();
    for _ in 0..3 {
        reads.push(Pending::send(old, "/streams?status=started&consistency=linearizable").await?);
    }
    let asleep = old.process().log()?.lines().count();
    old.process().resume()?;
    for read in reads {
        let answer = read.answer().await?;
        let fresh = answer.contains("200 OK") && answer.contains(&event.stream_id());
        ensure!(fresh || answer.contains("503 "), "an answer of a term that is over: {answer}");
    }
    let now = bed.wait_formed(LATER).await?;
    let log = old.process().log()?;
    if now != leader {
        let acts = log.lines().skip(asleep).find(|line| line.contains("as leader, this node"));
        ensure!(acts.is_none(), "it decided when it woke: {acts:?}");
    }
    for node in bed.nodes() {
        floor(node.client()).await?;
    }
    let containers: usize = running(bed).await?.iter().map(BTreeSet::len).sum();
    ensure!(containers == 3, "{containers} containers run");

    // Cut off, the leader is still reached by clients.
    let leader = bed.wait_formed(LATER).await?;
    let (old, others) = (named(bed, &leader)?, crate::common::clients::others(bed, &leader)?);
    bed.isolate(bed.host_of(old))?;
    let next = bed.wait_leader(&others, LATER).await?;
    ensure!(next != leader, "the others still follow {leader}");
    let event = StartedEvent::new(&engines[0].host, engines[0].port, &content(2), "beyond-the-cut");
    others[0].client().stream_started(&event).await?.expect(StatusCode::OK)?;
    let read = old.client().call(Method::GET, "/streams?consistency=linearizable", None).await?;
    read.expect(StatusCode::SERVICE_UNAVAILABLE)?;
    let local = old.client().call(Method::GET, "/streams", None).await?.expect(StatusCode::OK)?;
    ensure!(!local.body.contains(&event.stream_id()), "the cut let something through");
    ensure!(bed.host_of(old).dropped()? > 0, "the cut swallowed nothing");
    bed.heal()?;
    bed.wait_formed(LATER).await?;
    let read = old.client().call(Method::GET, "/streams?consistency=linearizable", None).await?;
    ensure!(read.expect(StatusCode::OK)?.body.contains(&event.stream_id()), "a confirmed read is old");
    Ok(())
}

/// Waits until a member has been silent for so long, in milliseconds.
async fn silent_for(node: &NodeClient, member: &str, least: u64) -> Result<()> {
    wait_for(&format!("{member} to be silent for {least} ms"), LATER, || async {
        let view: Value = node.get("/cluster").await?;
        let members = view["nodes"].as_array().context("no members")?;
        let member = members.iter().find(|node| node["name"] == member).context("no such member")?;
        ensure!(member["last_contact_ms"].as_u64() >= Some(least), "{member}");
        Ok(())
    })
    .await
}

/// A request that was sent, and whose answer is read later.
struct Pending(TcpStream);

impl Pending {
    async fn send(node: &Node, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect((node.address(), node.http_port())).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        Ok(Self(stream))
    }

    async fn answer(mut self) -> Result<String> {
        let mut answer = String::new();
        timeout(SOON, self.0.read_to_string(&mut answer)).await.context("no answer")??;
        Ok(answer)
    }
}
