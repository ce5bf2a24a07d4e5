//! How old the answers of nodes say to be: what every scenario looks at when it is over.

use std::time::Duration;

use acefleet_chaos::hosts::TestHosts;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Deadline of a node that was started or joined last thing.
const CAUGHT_UP: Duration = Duration::from_secs(60);
/// Oldest answers of a node to which the leader has contact and that is behind in nothing.
const HEALTHY_MS: u64 = 300;
/// A leader has had contact with a member that lives within this.
const CONTACT_MS: u64 = 1_000;

/// Waits until each node with contact to the leader says that its answers are new; a node without must not.
pub async fn expect_true_ages(bed: &TestHosts) -> Result<()> {
    wait_for("all nodes to say how old their answers are", CAUGHT_UP, || async {
        let mut views: Vec<(&str, Value)> = Vec::new();
        for node in bed.nodes().iter().filter(|node| node.process().pid().is_some()) {
            if let Ok(view) = node.client().get::<Value>("/cluster").await {
                views.push((node.name(), view));
            }
        }
        // One that was deposed may not know it yet: the newest term counts.
        let leading = views.iter().filter(|(name, view)| view["leader"] == *name);
        let Some((leader, leads)) = leading.max_by_key(|(_, view)| view["term"].as_u64()) else {
            return Ok(());
        };
        let members = leads["nodes"].as_array().context("no list of nodes")?;
        for (name, view) in views.iter().filter(|(name, _)| name != leader) {
            let age = view["staleness_ms"].as_u64().context("no age")?;
            let Some(member) = members.iter().find(|member| member["name"] == *name) else { continue };
            let has_contact = member["last_contact_ms"].as_u64().is_some_and(|ms| ms < CONTACT_MS);
            if has_contact {
                ensure!(
                    age <= HEALTHY_MS,
                    "{leader} has contact with {name}, whose answers are {age} ms old"
                );
            } else {
                ensure!(
                    age >= CONTACT_MS,
                    "{leader} has no contact with {name}, whose answers are {age} ms old"
                );
            }
        }
        Ok(())
    })
    .await
}
