//! All disks of a cluster are lost at once, and a backup brings it back on one host whose engines still run.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Instant;

use crate::common::{LATER, SOON, conclude, content, expect_engines, expect_running, late, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::Provisioned;
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_disks_is_restored_from_a_backup() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, restore).await
}

async fn restore(bed: &TestHosts) -> Result<()> {
    let [n1, n2, n3] = bed.nodes() else { panic!("{} nodes", bed.nodes().len()) };
    for node in bed.nodes() {
        late::provision(bed, node).await?;
    }
    let host = bed.host_of(n1);
    let engines = n1.client().engines().await?;
    let own: BTreeSet<String> = host.docker().running().await?.into_iter().collect();
    let engine =
        engines.iter().find(|engine| own.contains(&engine.container_id)).context("no engine on n1")?;
    let player = Player::open(&engine.host, engine.port, &content(7)).await?;
    n2.client().stream_started(&player.event).await?.expect(StatusCode::OK)?;
    wait_for("n3 to know the stream", SOON, || streams(n3, &player)).await?;

    // Later than that, a backup knows the keys that go with the disks.
    wait_for("n3 to know the keys of all members", SOON, || async {
        let cluster: Value = n3.client().get("/cluster").await?;
        let rows = cluster["nodes"].as_array().context("no members")?;
        ensure!(rows.iter().all(|row| row["key"].is_string()), "{cluster}");
        Ok(())
    })
    .await?;
    let file = n3.data_dir().with_extension("backup");
    let file = file.to_str().context("a path that is no text")?;
    expect_done(n3, &["backup", file]).await?;
    // What the backup does not know: an engine on the host, and a change.
    let body = json!({"node": "n1"});
    let made = n1.client().call(Method::POST, "/provision/acestream", Some(&body)).await?;
    let later: Provisioned = made.expect(StatusCode::OK)?.ok()?;
    let own: BTreeSet<String> = host.docker().running().await?.into_iter().collect();
    ensure!(own.len() == 2 && own.contains(&later.container_id), "{own:?} run on n1, without {later:?}");
    expect_done(n3, &["cordon", "n2"]).await?;
    let before = n1.client().cluster().await?;

    // A viewer on a host that is not there when the cluster begins again.
    let of_n2: BTreeSet<String> = bed.host_of(n2).docker().running().await?.into_iter().collect();
    let elsewhere =
        engines.iter().find(|engine| of_n2.contains(&engine.container_id)).context("no engine on n2")?;
    let viewer = Player::open(&elsewhere.host, elsewhere.port, &content(8)).await?;
    n2.client().stream_started(&viewer.event).await?.expect(StatusCode::OK)?;
    for node in bed.nodes() {
        node.kill().await?;
    }
    for node in bed.nodes() {
        std::fs::remove_dir_all(node.data_dir())?;
    }
    let began = Instant::now();
    let shown = expect_done(n1, &["restore", file, "--dry-run"]).await?;
    ensure!(!n1.data_dir().exists(), "a look has made something");
    ensure!(shown.contains(&before.cluster_id), "{shown}");
    expect_done(n1, &["restore", file, "--yes"]).await?;
    n1.start().await?;
    wait_for("n1 to be ready", LATER, || n1.client().ready()).await?;
    eprintln!("restored and serving after {:.1} s", began.elapsed().as_secs_f64());

    let after = n1.client().cluster().await?;
    ensure!(after.cluster_id != before.cluster_id, "the cluster kept its id");
    ensure!(after.revision > before.revision, "the revision went back");
    expect_engines(n1.client(), &own).await?;
    expect_running(host, &own).await?;
    streams(n1, &player).await?;
    player.expect_progress().await?;
    let cluster: Value = n1.client().get("/cluster").await?;
    let rows = cluster["nodes"].as_array().context("no members")?;
    ensure!(rows.len() == 1 && rows[0]["availability"] == "active", "the change was lost: {cluster}");

    // The others come back as new members. A token brings them the secret.
    for node in [n2, n3] {
        node.process().change(|recipe| drop(recipe.env.remove("ACEFLEET_CLUSTER_SECRET")));
        let line = expect_done(n1, &["token", "create"]).await?;
        let token =
            line.split_whitespace().find(|word| word.starts_with("acefleet-join-")).context("no token")?;
        expect_done(node, &["join", &n1.cluster_address(), "--token", token]).await?;
        node.start().await?;
        wait_for(&format!("{} to be ready", node.name()), LATER, || node.client().ready()).await?;
    }
    wait_for("what is listed to be what runs", LATER, || async {
        let mut running = BTreeSet::new();
        for node in bed.nodes() {
            running.extend(bed.host_of(node).docker().running().await?);
        }
        let listed: BTreeSet<String> =
            n3.client().engines().await?.into_iter().map(|engine| engine.container_id).collect();
        ensure!(listed == running && running.is_superset(&own), "listed: {listed:?}, running: {running:?}");
        ensure!(running.is_superset(&of_n2), "n2 has lost engines: {of_n2:?} ran there, {running:?} run");
        Ok(())
    })
    .await?;
    player.expect_progress().await?;
    viewer.expect_progress().await?;
    wait_for("n2 to list the stream of its viewer", LATER, || async {
        let streams = n3.client().streams("started").await?;
        let of_viewer = streams.iter().any(|stream| stream.container_id == elsewhere.container_id);
        ensure!(of_viewer, "no stream on {}: {streams:?}", elsewhere.container_id);
        Ok(())
    })
    .await
}

async fn streams(node: &Node, player: &Player) -> Result<()> {
    let streams = node.client().streams("started").await?;
    let id = player.event.stream_id();
    ensure!(streams.iter().any(|stream| stream.id == id), "{id} does not run: {streams:?}");
    Ok(())
}

/// What a command says that has to do what it is for.
async fn expect_done(node: &Node, args: &[&str]) -> Result<String> {
    let output: Output = node.acefleet(args).await?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "acefleet {args:?} on {}: {text}", node.name());
    Ok(text)
}
