//! What Docker Swarm takes for the same loss on the same hosts: the figure beside that of `lost_hosts`. It checks nothing of Acefleet, so
//! only `make lost-hosts` runs it.

use std::time::Duration;

use crate::common::{conclude, summary, turn};
use crate::lost_hosts::{STATUS, runs};
use acefleet_chaos::hosts::artifacts::ENGINE_IMAGE;
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

/// Engines of the service, one for each host but one.
const REPLICAS: usize = 2;
const PORT: u16 = 19_000;
const SERVICE: &str = "engines";
/// For a manager to join, a task to move, a host to come back.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures Docker Swarm; `make lost-hosts` runs it"]
async fn swarm_on_the_same_hosts_replaces_what_a_lost_one_ran() -> Result<()> {
    let _turn = turn().await?;
    let runs = runs()?;
    conclude(TestHosts::start(BedOptions::docker_only(3)).await?, async |bed| {
        form(bed).await?;
        // The loss of the leader has a line of its own: the two differ.
        let (mut of_leader, mut of_others) = (Vec::new(), Vec::new());
        for run in 0..runs {
            let (led, replaced) = lose(bed, run).await.with_context(|| format!("power loss {run}"))?;
            if led { of_leader.push(replaced) } else { of_others.push(replaced) }
        }
        for (host, times) in [("the leader's host", &mut of_leader), ("another host", &mut of_others)] {
            if !times.is_empty() {
                eprintln!(
                    "Docker Swarm, power loss of {host}: an engine elsewhere answers {}",
                    summary(times)
                );
            }
        }
        Ok(())
    })
    .await
}

/// All hosts are managers: with one, its loss would be the end of the swarm.
async fn form(bed: &TestHosts) -> Result<()> {
    let [first, others @ ..] = bed.hosts() else { anyhow::bail!("no hosts") };
    let own = first.address().to_string();
    first.docker().call(&["swarm", "init", "--advertise-addr", &own]).await?;
    let token = first.docker().call(&["swarm", "join-token", "--quiet", "manager"]).await?;
    let join = format!("{own}:2377");
    for host in others {
        let own = host.address().to_string();
        let args = ["swarm", "join", "--token", &token, "--advertise-addr", &own, &join];
        host.docker().call(&args).await?;
    }
    let (replicas, conf) = (REPLICAS.to_string(), format!("CONF=--http-port={PORT} --bind-all"));
    let publish = format!("mode=host,target={PORT},published={PORT}");
    let args = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        SERVICE,
        "--replicas",
        &replicas,
        "--replicas-max-per-node",
        "1",
        "--env",
        &conf,
        "--publish",
        &publish,
        ENGINE_IMAGE,
    ];
    first.docker().call(&args).await?;
    settled(bed).await.map(drop)
}

/// Waits until as many hosts as there are replicas have an engine that answers; returns them.
async fn settled(bed: &TestHosts) -> Result<Vec<&Host>> {
    wait_for("all engines of the service to answer", PATIENCE, || async {
        let mut with = Vec::new();
        for host in bed.hosts() {
            let nodes =
                host.docker().call(&["node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}"]).await?;
            let well =
                nodes.lines().filter(|line| line.starts_with("Ready ") && !line.contains("Unreachable"));
            ensure!(well.count() == bed.hosts().len(), "{} sees {nodes:?}", host.name());
            if answers(host).await.is_ok() {
                with.push(host);
            }
        }
        ensure!(with.len() == REPLICAS, "{} engines answer", with.len());
        Ok(with)
    })
    .await
}

/// Takes the power from a host with an engine, in turn from one that leads the swarm, if it can be had, and from another. Returns whether
/// it led, and after how long another host had an engine in its place that answers.
async fn lose(bed: &TestHosts, run: usize) -> Result<(bool, Duration)> {
    let with = settled(bed).await?;
    let (mut away, mut led) = (with[0], leads(with[0]).await?);
    for host in &with[1..] {
        if led != run.is_multiple_of(2) {
            (away, led) = (*host, leads(host).await?);
        }
    }
    let free = bed.hosts().iter().find(|host| with.iter().all(|other| other.name() != host.name()));
    let free = free.context("every host runs an engine")?;
    let begun = Instant::now();
    bed.power_off(away).await?;
    wait_for("an engine on another host", PATIENCE, || answers(free)).await?;
    let replaced = begun.elapsed();
    bed.power_on(away).await?;
    Ok((led, replaced))
}

async fn leads(host: &Host) -> Result<bool> {
    let format = "{{.ManagerStatus.Leader}}";
    Ok(host.docker().call(&["node", "inspect", "--format", format, "self"]).await? == "true")
}

async fn answers(host: &Host) -> Result<()> {
    let url = format!("http://{}:{PORT}{STATUS}", host.address());
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
    client.get(url).send().await?.error_for_status()?;
    Ok(())
}
