//! What the scenarios share.
#![allow(dead_code)]

pub mod acexy;
pub mod clients;
pub mod late;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use acefleet_chaos::hosts::{Host, Node, TestHosts, tools};
use acefleet_chaos::node::{Engine, NodeClient, Provisioned};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Deadline of what should take a moment; generous, because a missed deadline is a failure.
pub const SOON: Duration = Duration::from_secs(30);
/// Deadline of an election, of a node's return, of Docker's return.
pub const LATER: Duration = Duration::from_secs(60);

/// Only one scenario runs at a time on a machine: each fills it.
pub async fn turn() -> Result<File> {
    tools::check()?;
    let path = Path::new("/run/acefleet-scenario.lock");
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    wait_for("the turn to run a scenario", Duration::from_secs(1800), || async {
        match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => bail!("another scenario holds {}", path.display()),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    })
    .await?;
    Ok(file)
}

/// Ends a scenario with the nodes' logs in the error when it failed, and with everything removed when it passed.
pub async fn conclude(bed: TestHosts, outcome: Result<()>) -> Result<()> {
    match outcome {
        Ok(()) => bed.finish().await,
        Err(error) => {
            drop(bed);
            Err(error)
        }
    }
}

/// Waits until this node lists exactly these engines, each once, and returns them.
pub async fn expect_engines(node: &NodeClient, ids: &BTreeSet<String>) -> Result<Vec<Engine>> {
    let what = format!("{} to list exactly {} engines", node.name(), ids.len());
    wait_for(&what, SOON, || async {
        let engines = node.engines().await?;
        let listed: BTreeSet<String> = engines.iter().map(|engine| engine.container_id.clone()).collect();
        ensure!(listed == *ids && engines.len() == ids.len(), "listed: {listed:?}, expected: {ids:?}");
        Ok(engines)
    })
    .await
}

/// Waits until all nodes list exactly these engines.
pub async fn expect_engines_everywhere(bed: &TestHosts, ids: &BTreeSet<String>) -> Result<()> {
    for node in bed.nodes() {
        expect_engines(node.client(), ids).await?;
    }
    Ok(())
}

/// Waits until the node says that it can or cannot provision; `None` = it can, else the expected code.
pub async fn expect_provisioning(node: &NodeClient, blocked: Option<&str>) -> Result<()> {
    let what = format!("{} to say that provisioning is {}", node.name(), blocked.unwrap_or("possible"));
    wait_for(&what, LATER, || async {
        let status = node.status().await?;
        let provisioning = &status["provisioning"];
        ensure!(provisioning["can_provision"] == Value::Bool(blocked.is_none()), "{provisioning}");
        if let Some(code) = blocked {
            ensure!(provisioning["blocked_reason_details"]["code"] == code, "{provisioning}");
            ensure!(provisioning["blocked_reason"].is_string(), "{provisioning}");
        }
        Ok(())
    })
    .await
}

/// Waits until exactly these containers run on this host.
pub async fn expect_running(host: &Host, ids: &BTreeSet<String>) -> Result<()> {
    wait_for(&format!("exactly {} containers on {}", ids.len(), host.name()), SOON, || async {
        let running: BTreeSet<String> = host.docker().running().await?.into_iter().collect();
        ensure!(running == *ids, "running: {running:?}, expected: {ids:?}");
        Ok(())
    })
    .await
}

/// An engine, as a client gets it that comes back when it is told to.
pub async fn provision(node: &NodeClient) -> Result<Provisioned> {
    wait_for(&format!("an engine through {}", node.name()), LATER, || node.provision()).await
}

/// Containers that run on each host, with the time at which each was started: a restart shows.
pub async fn running(bed: &TestHosts) -> Result<Vec<BTreeSet<String>>> {
    let mut hosts = Vec::new();
    for host in bed.hosts() {
        let ids = host.docker().running().await?;
        let mut args = vec!["inspect", "--format", "{{.Id}} {{.State.StartedAt}}"];
        args.extend(ids.iter().map(String::as_str));
        let shown = if ids.is_empty() { String::new() } else { host.docker().call(&args).await? };
        hosts.push(shown.lines().map(str::to_owned).collect());
    }
    Ok(hosts)
}

/// Waits until a node has applied at least this revision.
pub async fn expect_revision(node: &NodeClient, revision: u64) -> Result<()> {
    wait_for(&format!("{} to reach revision {revision}", node.name()), LATER, || async {
        let view = node.cluster().await?;
        ensure!(view.revision >= revision, "it is at {}", view.revision);
        Ok(())
    })
    .await
}

/// The node with this name.
pub fn named<'a>(bed: &'a TestHosts, name: &str) -> Result<&'a Node> {
    bed.nodes().iter().find(|node| node.name() == name).with_context(|| format!("no node {name}"))
}

/// Clients of all nodes but these.
pub fn clients_without(bed: &TestHosts, absent: &[&str]) -> Vec<NodeClient> {
    let present = bed.nodes().iter().filter(|node| !absent.contains(&node.name()));
    present.map(|node| node.client().clone()).collect()
}

/// A content id that looks like one.
pub fn content(number: u64) -> String {
    format!("{number:040x}")
}
