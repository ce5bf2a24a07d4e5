//! Engines that were too late for their callers. Docker or a host that was lost may be to blame, by the word of the nodes' own
//! logs; nothing else.

use std::collections::BTreeMap;

use acefleet_chaos::hosts::{Node, TestHosts};
use acefleet_chaos::node::Provisioned;
use acefleet_chaos::wait::wait_for;
use acefleet_chaos::workload::late::Lateness;
use anyhow::{Context, Result, ensure};

use super::{SOON, come_back_while};

/// How far the nodes' logs were at a moment, in lines.
pub struct Since(BTreeMap<String, usize>);

impl Since {
    /// This moment.
    pub fn now(bed: &TestHosts) -> Result<Self> {
        let lines = |node: &Node| Ok((node.name().to_owned(), node.process().log()?.lines().count()));
        bed.nodes().iter().map(lines).collect::<Result<_>>().map(Self)
    }

    /// An error unless every engine that was late since then had an excuse, and callers were told to come back no more often
    /// than engines were late. The excuse may be written after the answer.
    pub async fn check(&self, bed: &TestHosts, told: usize) -> Result<()> {
        wait_for("the logs to say why engines were late", SOON, || async {
            let mut seen = Lateness::default();
            for node in bed.nodes() {
                seen.add(&node.process().log()?, self.0.get(node.name()).copied().unwrap_or_default());
            }
            let ours = seen.inexcusable();
            ensure!(
                ours.is_none(),
                "engine {ours:?} was late, and neither Docker nor a lost host is to blame"
            );
            let late = seen.late.len();
            ensure!(told <= late, "{told} calls were told to come back, {late} engines were late");
            Ok(())
        })
        .await
    }
}

/// An engine. The call must not fail, unless the engine has an excuse for being late; then it is repeated, as the answer asks
/// for.
pub async fn provision(bed: &TestHosts, node: &Node) -> Result<Provisioned> {
    let since = Since::now(bed)?;
    let (engine, told) = come_back_while(node.client(), &["pending"]).await?;
    since.check(bed, told).await.with_context(|| format!("an engine through {}", node.name()))?;
    Ok(engine)
}
