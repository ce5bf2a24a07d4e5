//! Provisioning in a cluster of three nodes that share one real Docker, beside `docker run -d` of the same image there.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::bench::figures::{alternate, ms, quantile};
use crate::bench::place::Place;
use crate::bench::table::Row;
use crate::hosts::artifacts::ENGINE_IMAGE;
use crate::hosts::{BedOptions, TestHosts};

const FACTOR: f64 = 1.5;
const P99_MS: f64 = 2_000.0;
/// Host port of the containers that `docker run` makes, outside the range of the nodes.
const PORT: u16 = 18_999;

pub(super) async fn measure(place: &Place) -> Result<Vec<Row>> {
    let mut options = BedOptions::shared_docker(3);
    options.bin = Some(place.bin.clone());
    let bed = TestHosts::start(options).await?;
    let docker = bed.hosts()[0].docker().url();
    let mut calls = 0;
    let ours = async || {
        // Each node in turn.
        let node = bed.nodes()[calls % bed.nodes().len()].client();
        calls += 1;
        let asked = Instant::now();
        let engine = node.provision().await?;
        let took = ms(asked.elapsed());
        node.delete_container(&engine.container_id).await?.expect(reqwest::StatusCode::OK)?;
        Ok(took)
    };
    let theirs = async || {
        let port = format!("{PORT}:6878");
        let asked = Instant::now();
        let id = client(&docker, &["run", "--detach", "--publish", &port, ENGINE_IMAGE]).await?;
        let took = ms(asked.elapsed());
        client(&docker, &["rm", "--force", "--volumes", id.trim()]).await?;
        Ok(took)
    };
    let pairs = alternate(place.effort.pick(8, 30), ours, theirs).await?;
    bed.finish().await?;
    let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.runs.iter().copied().unzip();
    let figures =
        |times: &[f64]| format!("p50 {:.0} ms, p99 {:.0} ms", quantile(times, 0.5), quantile(times, 0.99));
    let ratio = quantile(&ours, 0.5) / quantile(&theirs, 0.5);
    let row = Row::new("POST /provision/acestream, three nodes", figures(&ours))
        .beside(format!("docker run -d {}", figures(&theirs)))
        .ratio(ratio);
    let met = ratio <= FACTOR && quantile(&ours, 0.99) < P99_MS;
    Ok(vec![row.goal(format!("≤ {FACTOR}, p99 < 2 s"), met)])
}

async fn client(docker: &str, words: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(["--host", docker])
        .args(words)
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run docker")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {words:?} failed: {error}");
    Ok(String::from_utf8(output.stdout)?)
}
