//! What the scenarios share.

pub mod acexy;
pub mod ages;
pub mod clients;
pub mod late;
pub mod picture;
pub mod rest;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use acefleet_chaos::hosts::{Host, Node, TestHosts, tools};
use acefleet_chaos::node::{Engine, NodeClient, Provisioned};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::FutureExt;
use reqwest::StatusCode;
use serde_json::Value;

/// Deadline of what should take a moment; generous, because a missed deadline is a failure.
pub const SOON: Duration = Duration::from_secs(30);
/// Deadline of an election, of a node's return, of Docker's return.
pub const LATER: Duration = Duration::from_secs(60);
/// Deadline of a drain: clients that were just given an engine are waited for, then each engine is stopped.
pub const DRAINED: Duration = Duration::from_secs(120);
/// What a leader says when another node has taken over from it.
pub const TRANSFERRED: &str = "leadership transferred";
/// What a node says when it is told to stop.
pub const STOPPING: &str = "stopping; engines keep running";

/// So many scenarios run at a time on a machine: they wait more than they work.
const AT_ONCE: usize = 2;

/// A place among the scenarios that run at a time, whoever starts them.
pub async fn turn() -> Result<File> {
    tools::check()?;
    wait_for("the turn to run a scenario", Duration::from_secs(1800), || async {
        for place in 0..AT_ONCE {
            let path = format!("/run/acefleet-scenario-{place}.lock");
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error).context(path),
            }
        }
        bail!("{AT_ONCE} other scenarios run")
    })
    .await
}

/// Plays a scenario; at its end looks at the ages that the nodes tell and at what they cost. When it passed, everything is
/// removed; else the ends of the nodes' logs are shown, and then its error, which is the last thing to be seen. A panic is an error like any other.
pub async fn conclude(bed: TestHosts, scenario: impl AsyncFnOnce(&TestHosts) -> Result<()>) -> Result<()> {
    static PANIC: Mutex<String> = Mutex::new(String::new());
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        print(info);
    }));
    let played = async {
        scenario(&bed).await?;
        ages::expect_true_ages(&bed).await?;
        rest::expect_rest(&bed).await
    };
    let outcome = AssertUnwindSafe(played).catch_unwind().await;
    let error = match outcome {
        Ok(Ok(())) => return bed.finish().await,
        Ok(Err(error)) => error,
        Err(_) => anyhow!("{}", PANIC.lock().unwrap_or_else(PoisonError::into_inner)),
    };
    drop(bed);
    Err(error)
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

/// An engine, as a client gets it that comes back when it is told that its engine is late. Where the nodes' logs are at hand,
/// [`late::provision`] asks why.
pub async fn provision(node: &NodeClient) -> Result<Provisioned> {
    come_back_while(node, &["pending"]).await.map(|(engine, _)| engine)
}

/// An engine, for which the call is repeated while it is refused with 503 and one of these codes, and how often it was.
pub async fn come_back_while(node: &NodeClient, codes: &[&str]) -> Result<(Provisioned, usize)> {
    let told = Cell::new(0);
    let what = format!("an engine through {}", node.name());
    let engine = wait_for(&what, LATER, || async {
        let answer = node.try_provision().await?;
        let late = answer.status == StatusCode::SERVICE_UNAVAILABLE
            && answer.detail().is_ok_and(|detail| codes.contains(&detail.code.as_str()));
        if late {
            told.set(told.get() + 1);
            bail!("{answer}");
        }
        Ok(answer.ok())
    });
    Ok((engine.await??, told.get()))
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

/// Median and largest, seconds.
pub fn summary(times: &mut [Duration]) -> String {
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    format!("p50 {:5.2} s, worst of {} {:5.2} s", median.as_secs_f64(), times.len(), worst.as_secs_f64())
}
