//! Engines that were too late for their callers. Docker may be to blame, by the word of the nodes' own logs; nothing else.

use std::collections::BTreeSet;

use acefleet_chaos::hosts::{Node, TestHosts};
use acefleet_chaos::node::Provisioned;
use acefleet_chaos::wait::wait_for;
use anyhow::{Result, ensure};
use reqwest::StatusCode;

use super::LATER;

/// What a node says when a caller's time is over.
const LATE: &str = "the engine does not run in time engine=";
/// What the host says after two of the two and a half seconds that a caller waits.
const SLOW: &str = "Docker has taken two seconds to start a container so far engine=";

/// An error unless Docker was slow to start every engine that was late, and callers were told to come back no more often
/// than engines were late.
pub fn check(bed: &TestHosts, told: usize) -> Result<()> {
    let (mut late, mut slow) = (Vec::new(), BTreeSet::new());
    for node in bed.nodes() {
        let log = std::fs::read_to_string(node.process().log_path())?;
        late.extend(engines(&log, LATE));
        slow.extend(engines(&log, SLOW));
    }
    let ours = late.iter().find(|engine| !slow.contains(*engine));
    ensure!(ours.is_none(), "engine {ours:?} was late, and not because of Docker");
    ensure!(told <= late.len(), "{told} calls were told to come back, {} engines were late", late.len());
    Ok(())
}

/// Numbers that follow these words.
fn engines(log: &str, words: &str) -> Vec<u64> {
    let rest = log.split(words).skip(1);
    rest.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()).collect()
}

/// An engine. The call must not fail, unless Docker was too slow for it; then it is repeated, as the answer asks for.
pub async fn provision(bed: &TestHosts, node: &Node) -> Result<Provisioned> {
    wait_for(&format!("an engine through {}", node.name()), LATER, || async {
        let answer = node.client().try_provision().await?;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.detail()?.code == "pending" {
            return match check(bed, 1) {
                Ok(()) => anyhow::bail!("Docker is slow"),
                Err(error) => Ok(Err(error)),
            };
        }
        Ok(answer.ok())
    })
    .await?
}
