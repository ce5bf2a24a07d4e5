//! One node on one Docker host: the embedded default. Real binary, real Docker, simulated engines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::{
    LATER, SOON, conclude, content, expect_engines, expect_provisioning, expect_running, late, provision,
    turn,
};
use acefleet_chaos::hosts::{BedOptions, TestHosts};
use acefleet_chaos::node::{Provisioned, Stream};
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, bail, ensure};
use futures::future::{join_all, try_join_all};

async fn running_stream(bed: &TestHosts, id: &str) -> Result<Stream> {
    let streams = bed.nodes()[0].client().streams("started").await?;
    streams.into_iter().find(|stream| stream.id == id).with_context(|| format!("{id} is not running"))
}

/// Restart and kill -9: engines run on, are listed, and streams are kept.
#[tokio::test(flavor = "multi_thread")]
async fn engines_and_streams_survive_a_restart_and_a_kill() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(1)).await?;
    conclude(bed, restart_and_kill).await
}

async fn restart_and_kill(bed: &TestHosts) -> Result<()> {
    let (node, host) = (&bed.nodes()[0], &bed.hosts()[0]);
    let client = node.client();
    let provisioned = late::provision(bed, node).await?;
    let ids = BTreeSet::from([provisioned.container_id.clone()]);
    expect_running(host, &ids).await?;
    let engines = expect_engines(client, &ids).await?;
    assert_eq!(engines[0].port, provisioned.host_http_port);
    assert_eq!(engines[0].host, host.address().to_string());
    wait_for("the engine to be healthy", SOON, || async {
        let engines = client.engines().await?;
        ensure!(engines[0].health_status.as_deref() == Some("healthy"), "{engines:?}");
        Ok(())
    })
    .await?;

    let player = Player::open(&engines[0].host, engines[0].port, &content(1)).await?;
    player.expect_progress().await?;
    client.stream_started(&player.event).await?.expect(reqwest::StatusCode::OK)?;
    let stream = running_stream(bed, &player.event.stream_id()).await?;
    assert_eq!(stream.container_id, provisioned.container_id);
    let cluster = client.cluster().await?;

    for way in ["restart", "kill"] {
        match way {
            "restart" => node.stop().await?,
            _ => node.kill().await?,
        }
        client.live().await.expect_err("the node still answers");
        player.expect_progress().await.with_context(|| format!("while the node is away ({way})"))?;
        node.start().await?;
        bed.wait_formed(LATER).await?;
        expect_engines(client, &ids).await.with_context(|| format!("after the {way}"))?;
        expect_running(host, &ids).await?;
        let kept = running_stream(bed, &player.event.stream_id()).await?;
        assert_eq!(kept, stream, "after the {way}");
        let after = client.cluster().await?;
        assert_eq!(after.cluster_id, cluster.cluster_id);
        ensure!(
            after.revision >= cluster.revision,
            "the revision went back from {} to {}",
            cluster.revision,
            after.revision
        );
        // Not only remembered: the node works on.
        let another = late::provision(bed, node).await?;
        client.delete_container(&another.container_id).await?.expect(reqwest::StatusCode::OK)?;
        expect_engines(client, &ids).await?;
    }

    let ended = client.stream_ended(&player.event.stream_id(), "completed").await?;
    ended.expect(reqwest::StatusCode::OK)?;
    running_stream(bed, &player.event.stream_id()).await.expect_err("the stream still runs");
    Ok(())
}

/// 50 parallel calls with room for 10 make exactly 10 engines.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_parallel_calls_with_room_for_ten_make_ten_engines() -> Result<()> {
    let _turn = turn().await?;
    // Ten starts wait for each other; Docker is given the time.
    let options = BedOptions::new(1).env("MAX_REPLICAS", "10").env("STARTUP_TIMEOUT_S", "120");
    let bed = TestHosts::start(options).await?;
    conclude(bed, fifty_calls).await
}

async fn fifty_calls(bed: &TestHosts) -> Result<()> {
    let (node, host) = (&bed.nodes()[0], &bed.hosts()[0]);
    let client = node.client();
    let answers = join_all((0..50).map(|_| client.try_provision())).await;
    let mut given = BTreeSet::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers {
        let answer = answer?;
        match answer.status.as_u16() {
            200 => {
                given.insert(answer.ok::<Provisioned>()?.container_id);
            }
            503 => {
                let detail = answer.detail()?;
                ensure!(
                    !detail.code.is_empty() && detail.recovery_eta_seconds.is_none_or(|eta| eta <= 60),
                    "{detail:?}"
                );
                *refused.entry(detail.code).or_default() += 1;
            }
            _ => bail!("an answer that the client cannot read: {answer}"),
        }
    }
    eprintln!("50 calls: {} engines given, refused: {refused:?}", given.len());
    ensure!(given.len() <= 10, "{} different engines were given", given.len());
    let engines = wait_for("ten engines", Duration::from_secs(120), || async {
        let engines = client.engines().await?;
        ensure!(engines.len() == 10, "{} engines", engines.len());
        Ok(engines)
    })
    .await?;
    let ids: BTreeSet<String> = engines.iter().map(|engine| engine.container_id.clone()).collect();
    ensure!(given.is_subset(&ids), "an engine that was given is not listed: {given:?} {ids:?}");
    let ports: BTreeSet<u16> = engines.iter().map(|engine| engine.port).collect();
    assert_eq!(ports.len(), 10, "a port was given twice: {engines:?}");
    expect_running(host, &ids).await?;

    // A call that was refused because its engine was late left it to whoever asks next.
    for _ in given.len()..10 {
        let claimed = late::provision(bed, node).await?.container_id;
        ensure!(ids.contains(&claimed) && given.insert(claimed), "one more engine was made");
    }
    // Somebody else would get an engine on which nobody plays.
    let mut players = Vec::new();
    for (number, engine) in (0..).zip(&engines) {
        let player = Player::open(&host.address().to_string(), engine.port, &content(number)).await?;
        player.expect_progress().await?;
        client.stream_started(&player.event).await?.expect(reqwest::StatusCode::OK)?;
        players.push(player);
    }
    expect_provisioning(client, Some("max_capacity")).await?;
    let detail = client.try_provision().await?.expect(reqwest::StatusCode::SERVICE_UNAVAILABLE)?.detail()?;
    assert_eq!(detail.code, "max_capacity");
    // One goes, one comes.
    let gone = ids.first().context("no engine")?;
    client.delete_container(gone).await?.expect(reqwest::StatusCode::OK)?;
    expect_provisioning(client, None).await?;
    late::provision(bed, node).await?;
    assert_eq!(client.engines().await?.len(), 10);
    Ok(())
}

/// Docker away: the node says so, keeps its list, and recovers by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_docker_says_so_and_recovers_by_itself() -> Result<()> {
    let _turn = turn().await?;
    let mut options = BedOptions::new(1);
    options.live_restore = true;
    let bed = TestHosts::start(options).await?;
    conclude(bed, docker_away).await
}

async fn docker_away(bed: &TestHosts) -> Result<()> {
    let (node, host) = (&bed.nodes()[0], &bed.hosts()[0]);
    let client = node.client();
    let ids = BTreeSet::from([late::provision(bed, node).await?.container_id]);
    expect_provisioning(client, None).await?;

    host.docker().daemon().kill().await?;
    expect_provisioning(client, Some("docker_unavailable")).await?;
    let detail = client.try_provision().await?.expect(reqwest::StatusCode::SERVICE_UNAVAILABLE)?.detail()?;
    assert_eq!(detail.code, "docker_unavailable");
    // An error means unknown, never empty.
    expect_engines(client, &ids).await?;

    // A start without Docker, as on a machine where it is not installed yet.
    node.stop().await?;
    node.start().await?;
    expect_provisioning(client, Some("docker_unavailable")).await?;
    host.docker().start().await?;
    expect_provisioning(client, None).await?;
    expect_engines(client, &ids).await?;
    expect_running(host, &ids).await?;
    late::provision(bed, node).await?;

    // A daemon that hangs is as good as none, and must not make the API hang.
    host.docker().daemon().pause().await?;
    expect_provisioning(client, Some("docker_unavailable")).await?;
    assert_eq!(client.engines().await?.len(), 2);
    host.docker().daemon().resume()?;
    expect_provisioning(client, None).await?;
    assert_eq!(client.engines().await?.len(), 2);
    Ok(())
}

/// What happens behind our back: containers killed and removed by hand, ports taken by others.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_on_the_host_is_noticed() -> Result<()> {
    let _turn = turn().await?;
    let bed =
        TestHosts::start(BedOptions::new(1).env("PORT_RANGE_HOST", "19000-19007").env("MAX_REPLICAS", "8"))
            .await?;
    conclude(bed, by_hand).await
}

async fn by_hand(bed: &TestHosts) -> Result<()> {
    let (node, host) = (&bed.nodes()[0], &bed.hosts()[0]);
    let client = node.client();
    // Ports taken by a foreign process, and one by a foreign container.
    let foreign = try_join_all((19000..19003).map(|port| host.occupy(port))).await?;
    let image = acefleet_chaos::hosts::artifacts::ENGINE_IMAGE;
    let intruder = host.docker().call(&["run", "--detach", "--publish", "19003:6878", image]).await?;
    // One after the other is found to be taken, which may be more than there is time for.
    let first = provision(client).await?;
    ensure!((19004..=19007).contains(&first.host_http_port), "port {} is not free", first.host_http_port);
    let engine = first.container_id.clone();
    expect_engines(client, &BTreeSet::from([engine.clone()])).await?;

    // Free again: all of them can be used.
    drop(foreign);
    host.docker().call(&["rm", "--force", &intruder]).await?;
    let mut ids = BTreeSet::from([engine.clone()]);
    for _ in 0..3 {
        ids.insert(late::provision(bed, node).await?.container_id);
    }
    expect_engines(client, &ids).await?;

    // A stream on an engine that is killed by hand ends with it.
    let player = Player::open(&host.address().to_string(), first.host_http_port, &content(2)).await?;
    player.expect_progress().await?;
    client.stream_started(&player.event).await?.expect(reqwest::StatusCode::OK)?;
    host.docker().call(&["kill", &engine]).await?;
    ids.remove(&engine);
    expect_engines(client, &ids).await.context("after `docker kill`")?;
    wait_for("the stream to end with its engine", SOON, || async {
        match running_stream(bed, &player.event.stream_id()).await {
            Ok(stream) => bail!("{stream:?}"),
            Err(_) => Ok(()),
        }
    })
    .await?;

    let removed = ids.pop_first().context("no engine left")?;
    host.docker().call(&["rm", "--force", &removed]).await?;
    expect_engines(client, &ids).await.context("after `docker rm --force`")?;

    // A container without our label is none of our business, not even for DELETE.
    let foreign = host.docker().call(&["run", "--detach", image]).await?;
    let refused = client.delete_container(&foreign).await?;
    ensure!(refused.status.as_u16() == 404, "{refused}");
    expect_engines(client, &ids).await?;
    ensure!(host.docker().running().await?.contains(&foreign), "a foreign container was stopped");
    Ok(())
}
