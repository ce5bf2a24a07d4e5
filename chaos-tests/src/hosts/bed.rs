//! The bed as tests see it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

use super::host::Host;
use super::janitor::{self, Reaper};
use super::node::{Node, NodePlan};
use super::options::{BedOptions, Layout};
use super::state::{BedLease, BedNumber, lock_registry};
use super::{artifacts, network, tools};
use crate::wait::wait_for;

/// From the first answer of all nodes to one leader that all of them name.
const FORMATION: Duration = Duration::from_secs(60);

/// Logs of failed tests that are kept.
const LOGS_KEPT: usize = 20;

/// Hosts on one bridge, each with its own `dockerd` and, depending on the layout, its own node.
///
/// Dropping it removes everything. A bed that is dropped without [`TestHosts::finish`] belongs to a test that failed: its logs
/// are copied beside the test binary first, and their ends are printed.
#[derive(Debug)]
pub struct TestHosts {
    claim: BedLease,
    hosts: Vec<Host>,
    nodes: Vec<Node>,
    reaper: Option<Reaper>,
    keep_logs: bool,
    finished: bool,
}

impl TestHosts {
    /// Makes the hosts, starts every Docker and node, and waits until all nodes name the same leader and can provision
    /// on every host.
    pub async fn start(options: BedOptions) -> Result<Self> {
        let bed = Self::start_docker(options).await?;
        bed.start_nodes().await?;
        Ok(bed)
    }

    /// Starts every node of a bed of [`TestHosts::start_docker`], and waits as [`TestHosts::start`] does.
    pub async fn start_nodes(&self) -> Result<()> {
        self.nodes.iter().try_for_each(Node::spawn)?;
        try_join_all(self.nodes.iter().map(Node::wait_live)).await?;
        if !self.nodes.is_empty() {
            self.wait_formed(FORMATION).await?;
            self.wait_working(FORMATION).await?;
        }
        Ok(())
    }

    /// Like [`TestHosts::start`], but leaves the nodes prepared and not started.
    pub async fn start_docker(options: BedOptions) -> Result<Self> {
        tools::check()?;
        ensure!((1..=9).contains(&options.hosts), "a bed has 1 to 9 hosts, not {}", options.hosts);
        let image = match (&options.image_tar, options.no_image) {
            (_, true) => None,
            (Some(tar), false) => Some(tar.clone()),
            (None, false) => Some(artifacts::engine_image().await?),
        };
        // Making a bed and clearing away dead ones runs commands that block; not on the threads of the runtime.
        let bed = tokio::task::spawn_blocking(move || Self::make(&options)).await??;
        try_join_all(bed.hosts.iter().map(|host| host.docker().start())).await?;
        if let Some(tar) = image {
            try_join_all(bed.hosts.iter().map(|host| host.docker().load(&tar))).await?;
        }
        Ok(bed)
    }

    fn make(options: &BedOptions) -> Result<Self> {
        let plans = plans(options);
        // Before anything is made: a missing binary is the commonest mistake.
        let bin = match plans.is_empty() {
            true => None,
            false => Some(artifacts::acefleet(options.bin.as_deref())?),
        };
        let claim = {
            let lock = lock_registry()?;
            let swept = janitor::sweep(&lock);
            if !swept.removed.is_empty() {
                tracing::info!(beds = ?swept.removed, "removed the remains of test hosts whose owner is gone");
            }
            for left in swept.left {
                tracing::warn!("{left}");
            }
            BedLease::take(&lock)?
        };
        let number = claim.number;
        let reaper = if options.reaper { Reaper::start(number) } else { None };
        let keep_logs = options.keep_logs;
        let mut bed =
            Self { claim, hosts: Vec::new(), nodes: Vec::new(), reaper, keep_logs, finished: false };
        network::make_bridge(number)?;
        for index in 0..options.hosts {
            bed.hosts.push(Host::make(number, index, options)?);
        }
        if let Some(bin) = bin {
            let peer = |plan: &NodePlan| {
                format!("{}={}:{}", plan.name, bed.hosts[plan.host].address(), plan.cluster_port)
            };
            let founders = options.founders.unwrap_or(plans.len());
            let peers = plans.iter().take(founders).map(peer).collect::<Vec<_>>().join(",");
            for (at, plan) in plans.iter().enumerate() {
                let peers = if at < founders { peers.as_str() } else { "" };
                bed.nodes.push(Node::prepare(plan, &bed.hosts[plan.host], peers, &bin, options)?);
            }
        }
        Ok(bed)
    }

    /// Number of this bed on this machine.
    pub fn number(&self) -> BedNumber {
        self.claim.number
    }

    /// All hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The host on which a node runs.
    pub fn host_of(&self, node: &Node) -> &Host {
        &self.hosts[node.host_index()]
    }

    /// Cuts a host from all other hosts, in both directions; the test process still reaches it.
    pub fn isolate(&self, host: &Host) -> Result<()> {
        self.hosts.iter().filter(|peer| peer.name() != host.name()).try_for_each(|peer| host.cut_from(peer))
    }

    /// Undoes every cut.
    pub fn heal(&self) -> Result<()> {
        self.hosts.iter().try_for_each(Host::heal)
    }

    /// The whole host is lost: cable, node, Docker and all containers at once.
    pub async fn power_off(&self, host: &Host) -> Result<()> {
        host.unplug()?;
        let marks = host.marks();
        let sockets = janitor::shim_sockets(host.state_dir());
        tokio::task::spawn_blocking(move || janitor::kill_all(|| marks.clone())).await??;
        janitor::remove_sockets(&sockets);
        self.nodes
            .iter()
            .filter(|node| self.host_of(node).name() == host.name())
            .for_each(|node| node.process().discard());
        host.docker().discard();
        Ok(())
    }

    /// The host comes back with its disk as it was; Docker and its nodes start, nothing is waited for.
    pub async fn power_on(&self, host: &Host) -> Result<()> {
        host.heal()?;
        host.docker().start().await?;
        self.nodes.iter().filter(|node| self.host_of(node).name() == host.name()).try_for_each(Node::spawn)
    }

    /// Waits until every node names the same leader and sees all nodes; returns the leader's name.
    pub async fn wait_formed(&self, deadline: Duration) -> Result<String> {
        self.wait_leader(&self.nodes.iter().collect::<Vec<_>>(), deadline).await
    }

    /// Waits until every node is ready and knows that every host's Docker answers.
    pub async fn wait_working(&self, deadline: Duration) -> Result<()> {
        wait_for("every node to be ready and every Docker to be available", deadline, || async {
            for node in &self.nodes {
                node.client().ready().await?;
                let members = node.client().cluster().await?.nodes;
                let away = members.iter().find(|member| member.docker.as_deref() != Some("available"));
                ensure!(away.is_none(), "{} says: {away:?}", node.name());
            }
            Ok(())
        })
        .await
    }

    /// Waits until each of these nodes names the same leader, and that one is among them; returns its name.
    pub async fn wait_leader(&self, nodes: &[&Node], deadline: Duration) -> Result<String> {
        wait_for("one leader that all nodes name", deadline, || async {
            let views = try_join_all(nodes.iter().map(|node| node.client().cluster())).await?;
            let leaders: Vec<Option<&str>> = views.iter().map(|view| view.leader.as_deref()).collect();
            let leader = leaders[0].with_context(|| format!("no leader: {leaders:?}"))?;
            ensure!(leaders.iter().all(|other| *other == Some(leader)), "they disagree: {leaders:?}");
            ensure!(nodes.iter().any(|node| node.name() == leader), "they name {leader}, which is not there");
            for view in &views {
                ensure!(view.nodes.len() == self.nodes.len(), "{} nodes in {view:?}", view.nodes.len());
            }
            Ok(leader.to_owned())
        })
        .await
    }

    /// The ends of all nodes' logs.
    fn log_tails(&self) -> String {
        let tail =
            |node: &Node| format!("--- end of the log of {}:\n{}\n", node.name(), node.process().log_tail());
        self.nodes.iter().map(tail).collect()
    }

    /// Removes everything after a test that passed; an error when something is left.
    pub async fn finish(mut self) -> Result<()> {
        self.finished = true;
        tokio::task::spawn_blocking(move || self.clear()).await?
    }

    fn clear(&mut self) -> Result<()> {
        for node in &self.nodes {
            node.process().discard();
        }
        for host in &self.hosts {
            host.docker().discard();
        }
        let outcome = janitor::remove(self.number());
        if let Some(reaper) = self.reaper.take() {
            reaper.dismiss();
        }
        outcome
    }

    /// Copies all logs to a directory beside the test binary.
    #[expect(clippy::disallowed_methods, reason = "names a directory")]
    fn save_logs(&self) -> Result<PathBuf> {
        let exe = std::env::current_exe()?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let stem = exe.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let all = exe.parent().unwrap_or(Path::new("/tmp")).join("bed-logs");
        forget_old(&all);
        let dir = all.join(format!("{stem}-{since}-{}", self.number().0));
        for host in &self.hosts {
            for entry in std::fs::read_dir(host.state_dir())?.flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "log") {
                    let target = dir.join(host.name());
                    std::fs::create_dir_all(&target)?;
                    std::fs::copy(entry.path(), target.join(entry.file_name()))?;
                }
            }
        }
        Ok(dir)
    }
}

impl Drop for TestHosts {
    fn drop(&mut self) {
        // `finish` has cleared already when the state directory is gone.
        if self.finished && !self.number().state_dir().exists() {
            return;
        }
        if !self.finished && self.keep_logs {
            eprintln!("{}", self.log_tails());
            match self.save_logs() {
                Ok(dir) => eprintln!("logs of the test hosts: {}", dir.display()),
                Err(error) => eprintln!("cannot save the logs of the test hosts: {error:#}"),
            }
        }
        if let Err(error) = self.clear() {
            eprintln!("{error:#}");
        }
    }
}

/// Keeps the newest logs of failed tests and removes the others.
fn forget_old(all: &Path) {
    let entries = std::fs::read_dir(all).into_iter().flatten().flatten();
    let mut dirs: Vec<(Option<SystemTime>, PathBuf)> =
        entries.map(|entry| (entry.metadata().and_then(|meta| meta.modified()).ok(), entry.path())).collect();
    dirs.sort();
    for (_, dir) in dirs.iter().take(dirs.len().saturating_sub(LOGS_KEPT - 1)) {
        let _ = std::fs::remove_dir_all(dir);
    }
}

fn plans(options: &BedOptions) -> Vec<NodePlan> {
    let plan = |name: String, host: usize, offset: u16| NodePlan {
        name,
        host,
        http_port: 8000 + offset,
        cluster_port: 8001 + offset,
    };
    match options.layout {
        Layout::DockerOnly => Vec::new(),
        Layout::NodePerHost => {
            (0..options.hosts).map(|index| plan(format!("n{}", index + 1), usize::from(index), 0)).collect()
        }
        Layout::SharedDocker(nodes) => {
            (0..nodes).map(|index| plan(format!("n{}", index + 1), 0, 10 * u16::from(index))).collect()
        }
    }
}

/// All beds on this machine whose owners are gone are removed; for `cluster-up --clean`.
pub fn clean() -> Result<Vec<BedNumber>> {
    tools::check()?;
    let lock = lock_registry()?;
    let swept = janitor::sweep(&lock);
    ensure!(swept.left.is_empty(), "{}", swept.left.join("\n"));
    Ok(swept.removed)
}
