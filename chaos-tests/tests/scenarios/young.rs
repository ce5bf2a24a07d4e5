//! Engines that end soon after their start: on every host, on one of three, and for a caller's own image.

use std::time::Duration;

use crate::common::{LATER, conclude, provision, turn};
use acefleet_chaos::hosts::artifacts::ENGINE_IMAGE;
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The minute in which a crash loop is counted.
const LOOP: Duration = Duration::from_secs(60);
/// Containers that a crash loop may make meanwhile.
const CONTAINERS: usize = 8;

/// The image of engines without a choice of their callers. No host has it at first.
const IMAGE: &str = "acefleet/engine-sim:floor";

fn options(floor: usize) -> BedOptions {
    let options = BedOptions::new(3).env("TARGET_IMAGE", IMAGE).env("MIN_REPLICAS", &floor.to_string());
    options.env("ACEFLEET_ALLOWED_IMAGES", ENGINE_IMAGE)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_slow_and_says_why_and_a_callers_own_image_starts() -> Result<()> {
    let _turn = turn().await?;
    conclude(TestHosts::start(options(2)).await?, async |bed| {
        let node = bed.nodes()[1].client();
        for host in bed.hosts() {
            put_bad_image(host).await?;
        }
        wait_for("a first container", LATER, || async {
            ensure!(!made(bed).await?.is_empty(), "none");
            Ok(())
        })
        .await?;
        let begun = Instant::now();
        tokio::time::sleep_until(begun + LOOP).await;
        let made = made(bed).await?;
        ensure!(made.len() > 2, "no crash loop: {made:?}");
        ensure!(made.len() <= CONTAINERS, "{} containers in a minute: {made:?}", made.len());
        eprintln!("{} containers in the first minute of a crash loop", made.len());

        let status: Value = node.get("/health/status").await?;
        let general = &status["circuit_breakers"]["general"];
        let reason = general["last_failure"].as_str().with_context(|| format!("no reason: {general}"))?;
        ensure!(general["state"] == "open" && reason.contains("code 7"), "{general}");
        let refused = node.try_provision().await?.expect(StatusCode::SERVICE_UNAVAILABLE)?.detail()?;
        ensure!(refused.code == "circuit_breaker" && refused.message.contains("code 7"), "{refused:?}");
        let dead = made.first().context("none")?;
        let log: Value = node.get(&format!("/containers/{dead}/logs")).await?;
        ensure!(log["lines"].as_array().is_some_and(|lines| !lines.is_empty()), "no log of {dead}: {log}");

        let own = json!({"labels": {}, "env": {}, "image": ENGINE_IMAGE});
        node.call(Method::POST, "/provision/acestream", Some(&own)).await?.expect(StatusCode::OK)?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_end_on_one_host_alone_hold_back_that_host_alone() -> Result<()> {
    let _turn = turn().await?;
    conclude(TestHosts::start(options(4)).await?, async |bed| {
        let [first, second, bad] = bed.hosts() else { bail!("not three hosts") };
        for host in [first, second] {
            host.docker().call(&["tag", ENGINE_IMAGE, IMAGE]).await?;
        }
        let node = bed.nodes()[0].client();
        wait_for("four engines on the sound hosts", LATER, || async {
            let engines = node.engines().await?;
            let healthy = engines.iter().filter(|engine| engine.health_status.as_deref() == Some("healthy"));
            let healthy = healthy.count();
            ensure!(healthy >= 4, "{healthy} are healthy");
            Ok(())
        })
        .await?;
        put_bad_image(bad).await?;
        // It has the fewest engines, so it gets the next ones.
        wait_for("a start that failed on the bad host", LATER, || async {
            node.try_provision().await?;
            let status: Value = node.get("/health/status").await?;
            let failing = status["failing"].as_array().context("no list")?;
            // A sound one may have lacked the image for a moment.
            let is_bad = |one: &&Value| one["kind"] == "host" && one["name"] == bed.nodes()[2].name();
            let host = failing.iter().find(is_bad).with_context(|| format!("{failing:?}"))?;
            ensure!(host["last_failure"].as_str().is_some_and(|why| why.contains("code 7")), "{host}");
            let general = &status["circuit_breakers"]["general"];
            ensure!(
                general["state"] == "closed" && general["failure_count"] == 0,
                "others are blamed: {general}"
            );
            Ok(())
        })
        .await?;
        let engine = provision(node).await?;
        let engines = node.engines().await?;
        let engine =
            engines.iter().find(|e| e.container_id == engine.container_id).context("it is not listed")?;
        ensure!(
            engine.host != bad.address().to_string(),
            "a host that has just failed comes last: {engine:?}"
        );
        Ok(())
    })
    .await
}

/// Ids of the engines that were made on all hosts.
async fn made(bed: &TestHosts) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for host in bed.hosts() {
        let asked = ["events", "--filter", "event=create", "--filter", "type=container"];
        let image = format!("image={IMAGE}");
        let further = ["--filter", &image, "--format", "{{.Actor.ID}}", "--since", "1h", "--until", "0s"];
        let asked = [&asked[..], &further[..]].concat();
        let engines = host.docker().call(&asked).await?;
        made.extend(engines.lines().map(str::to_owned));
    }
    Ok(made)
}

/// Gives a host an image whose engines end two seconds after their start, with the exit code 7.
async fn put_bad_image(host: &Host) -> Result<()> {
    let docker = host.docker();
    let made = docker.call(&["create", ENGINE_IMAGE]).await?;
    let made = made.trim();
    docker
        .call(&["commit", "--change=ENV SIM_DIE_AFTER_S=2", "--change=ENV SIM_DIE_CODE=7", made, IMAGE])
        .await?;
    docker.call(&["rm", made]).await.map(drop)
}
