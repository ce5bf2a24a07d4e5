//! Three nodes: on three Docker hosts, and on one that they share. Real binary, real Docker, simulated engines.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{
    LATER, SOON, clients_without, conclude, content, expect_engines_everywhere, expect_running, late, named,
    turn,
};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};

/// Nine engines through one follower: three on each host, ports unique in the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn nine_engines_through_one_follower_are_three_on_each_host() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, nine_engines).await
}

async fn nine_engines(bed: &TestHosts) -> Result<()> {
    let leader = bed.wait_formed(LATER).await?;
    let follower = bed.nodes().iter().find(|node| node.name() != leader).context("no follower")?;
    let mut ids = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for _ in 0..9 {
        let engine = late::provision(bed, follower).await?;
        ensure!(ports.insert(engine.host_http_port), "port {} was given twice", engine.host_http_port);
        ensure!(ids.insert(engine.container_id), "an engine was given twice");
    }
    expect_engines_everywhere(bed, &ids).await?;
    for host in bed.hosts() {
        let running = host.docker().running().await?;
        assert_eq!(running.len(), 3, "on {}", host.name());
        ensure!(
            running.iter().all(|id| ids.contains(id)),
            "{} runs a container that nobody asked for",
            host.name()
        );
        // What the API says about an engine's host is where it runs.
        let engines = follower.client().engines().await?;
        let here = engines.iter().filter(|engine| engine.host == host.address().to_string());
        assert_eq!(
            here.map(|engine| &engine.container_id).collect::<BTreeSet<_>>(),
            running.iter().collect()
        );
    }
    // Each can be reached beside each node, under the address that the API gives.
    for engine in follower.client().engines().await? {
        let address = SocketAddr::new(engine.host.parse()?, engine.port);
        for host in bed.hosts() {
            // An engine that has just been started runs before it listens.
            wait_for("the engine to answer", SOON, || async {
                let path = "/server/api?api_version=3&method=get_status";
                let (status, body) = host.get(address, path, SOON).await?;
                ensure!(status == 200, "{address} from {}: {status} {body}", host.name());
                Ok(())
            })
            .await?;
        }
    }
    // An engine can be removed through any node, wherever it runs.
    for node in bed.nodes() {
        let id = ids.pop_first().context("no engine left")?;
        node.client().delete_container(&id).await?.expect(reqwest::StatusCode::OK)?;
    }
    expect_engines_everywhere(bed, &ids).await
}

/// A node that was away while the others went on shows what they did, and its engines are its own again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_from_the_others_reads_on_and_catches_up() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, cut_off).await
}

async fn cut_off(bed: &TestHosts) -> Result<()> {
    let leader = bed.wait_formed(LATER).await?;
    let mut ids = BTreeSet::new();
    for node in bed.nodes() {
        ids.insert(late::provision(bed, node).await?.container_id);
    }
    expect_engines_everywhere(bed, &ids).await?;
    let lonely = named(bed, &leader)?;
    let others: Vec<&Node> = bed.nodes().iter().filter(|node| node.name() != leader).collect();

    bed.isolate(bed.host_of(lonely))?;
    let next = bed.wait_leader(&others, LATER).await?;
    ensure!(next != leader, "the others still follow the leader that they cannot reach");
    ensure!(bed.host_of(lonely).dropped()? > 0, "the cut swallowed nothing");
    // Reads go on at the node that is alone; writes are refused in the form that the client understands.
    assert_eq!(lonely.client().engines().await?.len(), 3);
    lonely.client().streams("started").await?;
    let refused = lonely.client().try_provision().await?;
    ensure!(refused.status.as_u16() == 503, "a node without a majority provisioned: {refused}");
    ensure!(refused.headers.contains_key("retry-after"), "no Retry-After: {refused}");
    refused.detail()?;
    // The majority goes on.
    let engine = others[0].client().engines().await?.remove(0);
    let player = Player::open(&engine.host, engine.port, &content(3)).await?;
    others[0].client().stream_started(&player.event).await?.expect(reqwest::StatusCode::OK)?;

    bed.heal()?;
    bed.wait_formed(LATER).await?;
    wait_for("the node that was cut off to show the stream", SOON, || async {
        let streams = lonely.client().all_streams().await?;
        ensure!(streams.contains_key(&player.event.stream_id()), "{} streams", streams.len());
        Ok(())
    })
    .await
}

/// Three nodes that share one Docker daemon keep their containers apart.
#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_that_share_one_docker_keep_their_containers_apart() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::shared_docker(3)).await?;
    conclude(bed, shared_docker).await
}

async fn shared_docker(bed: &TestHosts) -> Result<()> {
    let host = &bed.hosts()[0];
    let mut ids = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for round in 0..2 {
        for node in bed.nodes() {
            let engine = late::provision(bed, node).await.with_context(|| format!("in round {round}"))?;
            ensure!(ports.insert(engine.host_http_port), "port {} was given twice", engine.host_http_port);
            ensure!(ids.insert(engine.container_id), "an engine was given twice");
        }
    }
    expect_engines_everywhere(bed, &ids).await?;
    expect_running(host, &ids).await?;
    // Six engines on three equal nodes are two each, and each container says whose it is.
    for node in bed.nodes() {
        let label = format!("acefleet.node={}", node.name());
        assert_eq!(host.docker().containers(&label).await?.len(), 2, "of {}", node.name());
    }

    for node in bed.nodes() {
        node.kill().await?;
        // The neighbours see the dead node's containers in their Docker and leave them alone.
        let others = clients_without(bed, &[node.name()]);
        let survivors: Vec<&Node> = bed.nodes().iter().filter(|other| other.name() != node.name()).collect();
        bed.wait_leader(&survivors, LATER).await?;
        expect_running(host, &ids).await?;
        for other in &others {
            let listed = other.engines().await?;
            let distinct: BTreeSet<&String> = listed.iter().map(|engine| &engine.container_id).collect();
            assert_eq!(distinct.len(), listed.len(), "{} lists an engine twice: {listed:?}", other.name());
        }
        node.start().await?;
        bed.wait_formed(LATER).await?;
        expect_running(host, &ids).await?;
        expect_engines_everywhere(bed, &ids).await?;
    }

    // A container that one node loses is missed by that node only.
    let removed = ids.pop_first().context("no engine")?;
    host.docker().call(&["rm", "--force", &removed]).await?;
    expect_engines_everywhere(bed, &ids).await?;
    expect_running(host, &ids).await?;
    // Through any node, any engine can be removed.
    for node in bed.nodes() {
        let id = ids.pop_first().context("no engine left")?;
        node.client().delete_container(&id).await?.expect(reqwest::StatusCode::OK)?;
        expect_engines_everywhere(bed, &ids).await?;
    }
    wait_for("the containers to be gone", Duration::from_secs(30), || expect_running(host, &ids)).await
}
