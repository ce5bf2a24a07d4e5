//! Four simulated Acexys that work through two nodes while something happens to the third.

use std::collections::BTreeSet;

use acefleet_chaos::hosts::{Node, TestHosts};
use acefleet_chaos::node::NodeClient;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use futures::future::{try_join, try_join_all};

use super::acexy::{self, Longest, Report};
use super::{LATER, SOON, late};

/// Streams that run before something happens.
const RUNNING: usize = 6;
/// Three clients play what is there.
const PLAYS: [&str; 8] =
    ["--streams", "10", "--ramp", "250ms", "--hold", "1500ms", "--max-streams-per-engine", "8"];
/// The fourth finds every engine busy and has new ones made.
const PROVISIONS: [&str; 10] = [
    "--streams",
    "5",
    "--ramp",
    "500ms",
    "--hold",
    "500ms",
    "--max-streams-per-engine",
    "1",
    "--after-provision",
    "2s",
];

/// What the clients of a whole scenario saw.
#[derive(Debug, Default)]
pub struct Clients {
    reports: Vec<Report>,
    longest: Longest,
    told: usize,
}

impl Clients {
    /// Runs four clients beside these nodes, two at each, and `fault` once their streams run. Every call has to be
    /// answered well; only an engine that Docker started too late may have been late.
    pub async fn during<T>(
        &mut self,
        bed: &TestHosts,
        nodes: [&Node; 2],
        label: &str,
        fault: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let [first, second] = nodes;
        let client = async |node: &Node, name: &str, args: &[&str]| {
            acexy::run(bed, node, &format!("{label}-{}-{name}-", node.name()), args).await
        };
        let clients = [
            (first, "a", &PLAYS[..]),
            (first, "b", &PROVISIONS[..]),
            (second, "c", &PLAYS[..]),
            (second, "d", &PLAYS[..]),
        ];
        let since = late::Since::now(bed)?;
        let clients = try_join_all(clients.map(|(node, name, args)| client(node, name, args)));
        let fault = async {
            streams_run(first.client(), RUNNING).await?;
            fault.await
        };
        let (reports, outcome) = try_join(clients, fault).await.with_context(|| label.to_owned())?;
        let mut told = 0;
        for report in &reports {
            told += report.told_to_wait().with_context(|| label.to_owned())?;
        }
        since.check(bed, told).await.with_context(|| label.to_owned())?;
        self.told += told;
        for report in reports {
            self.longest.add(&report);
            for node in nodes {
                wait_for("what the clients reported", SOON, || report.expect_ended(node.client())).await?;
            }
            self.reports.push(report);
        }
        Ok(outcome)
    }

    /// Prints how many calls they made, and the longest waits; an error when nobody had to have an engine made. Returns the
    /// number of plays.
    pub fn show(&self) -> Result<usize> {
        let plays: usize = self.reports.iter().map(|report| report.plays.len()).sum();
        let calls: usize = self.reports.iter().map(|report| report.calls().count()).sum();
        let provisions = self.calls("provision");
        let Self { told, longest, .. } = self;
        eprintln!(
            "{plays} plays, {calls} calls, {provisions} of them provisioning, {told} of these too early for Docker; {longest}"
        );
        ensure!(provisions > 0, "nobody had to have an engine made");
        Ok(plays)
    }

    /// Every stream that was ever played is on every node, started and ended once, and no other.
    pub async fn check(&self, bed: &TestHosts) -> Result<()> {
        let plays = self.show()?;
        for node in bed.nodes() {
            for report in &self.reports {
                wait_for("what the clients reported", SOON, || report.expect_ended(node.client())).await?;
            }
            let shown = node.client().all_streams().await?.len();
            ensure!(shown == plays, "{} shows {shown} streams, {plays} were played", node.name());
        }
        Ok(())
    }

    fn calls(&self, kind: &str) -> usize {
        self.reports.iter().flat_map(Report::calls).filter(|call| call.call == kind).count()
    }
}

/// Waits until at least so many streams run.
pub async fn streams_run(node: &NodeClient, least: usize) -> Result<()> {
    wait_for(&format!("{least} streams to run"), LATER, || async {
        let running = node.streams("started").await?.len();
        ensure!(running >= least, "{running} so far");
        Ok(())
    })
    .await
}

/// An engine on each host, and their ids. Few, so that they are soon all in use.
pub async fn an_engine_each(bed: &TestHosts) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for node in bed.nodes() {
        ids.insert(late::provision(bed, node).await?.container_id);
    }
    // On a busy machine a call may have left another engine behind.
    remove_others(bed, &ids).await?;
    Ok(ids)
}

/// Removes every engine but these, those included that are still being started.
pub async fn remove_others(bed: &TestHosts, keep: &BTreeSet<String>) -> Result<()> {
    wait_for("all other engines to be gone", LATER, || async {
        // A node that has just been started may be behind the others.
        for node in bed.nodes().iter().map(Node::client) {
            let listed: BTreeSet<String> =
                node.engines().await?.into_iter().map(|engine| engine.container_id).collect();
            try_join_all(listed.difference(keep).map(|id| node.delete_container(id))).await?;
            ensure!(listed == *keep, "{} lists {listed:?}", node.name());
        }
        Ok(())
    })
    .await
}

/// All nodes but this one; there are two.
pub fn others<'a>(bed: &'a TestHosts, name: &str) -> Result<[&'a Node; 2]> {
    let others: Vec<&Node> = bed.nodes().iter().filter(|node| node.name() != name).collect();
    others.try_into().ok().with_context(|| format!("not two nodes beside {name}"))
}
