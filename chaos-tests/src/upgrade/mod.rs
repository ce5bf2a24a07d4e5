//! What `make upgrade` does: nodes of two versions on the loopback, changed one after the other under load.
//!
//! No Docker and no root: engines are not what is looked at, but who answers, and what was acknowledged.
//!
//! - [`nodes`]: three nodes, each with the program that it runs now
//! - [`load`]: writes and reads through all nodes that are not being restarted
//! - [`table`]: what each step cost those who called

pub mod load;
pub mod nodes;
pub mod table;

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use load::Load;
use nodes::{Nodes, Speech, Started, Version};
use table::{Row, Verdict};

use crate::wait::wait_for;
use crate::workload::events::{Ledger, same_streams};

/// Generous: what is checked is the outcome.
const PATIENCE: Duration = Duration::from_secs(60);

/// The steps of a run, with a row for each; the run goes on behind a step that somebody noticed.
#[derive(Debug)]
pub struct Run {
    nodes: Nodes,
    load: Load,
    hold: Duration,
    rows: Vec<Row>,
}

impl Run {
    /// Starts the nodes with the old version and the load, which goes on for `hold` between two rounds of restarts.
    pub async fn start(nodes: Nodes, hold: Duration) -> Result<Self> {
        for node in 0..nodes.count() {
            nodes.spawn(node, Version::Old)?;
        }
        nodes.settled().await?;
        let load = Load::start(nodes.clients());
        Ok(Self { nodes, load, hold, rows: Vec::new() })
    }

    /// Up, mixed, down by one version, up again; then the last round where there was no TLS before.
    pub async fn all_steps(mut self) -> Result<Vec<Row>> {
        let last = self.nodes.count() - 1;
        self.hold("all old").await?;
        for node in 0..last {
            self.restart(node, Version::New).await?;
        }
        self.hold("mixed, one old").await?;
        for node in (0..last).rev() {
            self.restart(node, Version::Old).await?;
        }
        self.hold("all old again").await?;
        for node in 0..=last {
            self.restart(node, Version::New).await?;
        }
        self.hold("all new").await?;
        self.back_at_the_end(last).await?;
        if self.nodes.speech() == Speech::PlainBefore {
            self.nodes.speak(Speech::PlainNoMore);
            for node in 0..=last {
                self.restart(node, Version::New).await?;
            }
            self.hold("all new, TLS alone").await?;
        }
        self.conclude().await
    }

    /// One node goes back once all were new: the cluster may use what the old version does not know, and then it has to say so.
    async fn back_at_the_end(&mut self, node: usize) -> Result<()> {
        let _away = self.load.without(node).await;
        let from = self.load.seen();
        self.nodes.stop(node).await?;
        let outcome = match self.nodes.try_start(node, Version::Old).await? {
            Started::Serves => "goes on",
            Started::Refused(line) => {
                eprintln!("upgrade: {} refuses the old version: {line}", self.nodes.name(node));
                "is refused"
            }
        };
        if self.nodes.runs(node) {
            self.nodes.settled().await?;
            self.nodes.stop(node).await?;
        }
        self.nodes.spawn(node, Version::New)?;
        self.nodes.settled().await?;
        let step = format!("{} back to old {outcome}, new again", self.nodes.name(node));
        self.rows.push(Row::new(step, &from, &self.load.seen()));
        Ok(())
    }

    async fn restart(&mut self, node: usize, version: Version) -> Result<()> {
        let _away = self.load.without(node).await;
        let from = self.load.seen();
        self.nodes.stop(node).await?;
        self.nodes.spawn(node, version)?;
        self.nodes.settled().await?;
        self.rows.push(Row::new(format!("{} to {version}", self.nodes.name(node)), &from, &self.load.seen()));
        Ok(())
    }

    async fn hold(&mut self, what: &str) -> Result<()> {
        let from = self.load.seen();
        tokio::time::sleep(self.hold).await;
        self.nodes.settled().await?;
        self.rows.push(Row::new(what.to_owned(), &from, &self.load.seen()));
        Ok(())
    }

    /// All nodes hold the same, and all that was acknowledged.
    async fn conclude(self) -> Result<Vec<Row>> {
        let Self { nodes, load, rows, .. } = self;
        let ledger = load.stop().await?;
        ensure!(ledger.acknowledged() > 0, "nothing was written");
        let clients = nodes.clients();
        for client in &clients {
            wait_for(&format!("what was acknowledged, on {}", client.name()), PATIENCE, || {
                ledger.check(client)
            })
            .await?;
        }
        wait_for("the same on all nodes", PATIENCE, || same_streams(&clients)).await?;
        for node in 0..nodes.count() {
            nodes.stop(node).await?;
        }
        if rows.iter().any(|row| row.verdict() == Verdict::Noticed) {
            print!("{}", table::text(&rows));
            bail!("somebody noticed; {}", first_of(&ledger));
        }
        Ok(rows)
    }
}

/// The first failures, in words.
fn first_of(ledger: &Ledger) -> String {
    let refused = ledger.refused.iter().map(ToString::to_string);
    let first: Vec<String> = refused.chain(ledger.unanswered.iter().cloned()).take(3).collect();
    match first.is_empty() {
        true => "no call failed, so some took too long, or there were none".to_owned(),
        false => first.join("; "),
    }
}
