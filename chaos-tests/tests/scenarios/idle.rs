//! Engines that nobody needs go while players change channels, and no player meets one that goes.

use std::collections::BTreeSet;

use crate::common::{acexy, conclude, late, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use anyhow::{Context, Result, ensure};
use futures::future::try_join;

/// Many players at once, for whom engines are made.
const CROWD: [&str; 8] = ["--streams", "3", "--ramp", "1s", "--hold", "12s", "--max-streams-per-engine", "1"];
/// A player who changes the channel faster than his proxy asks for the list, for longer than an idle engine stays. The proxy takes the
/// engine that was idle for longest, which is the first to go.
const ZAPPING: [&str; 8] =
    ["--streams", "75", "--ramp", "900ms", "--hold", "400ms", "--max-streams-per-engine", "1"];
/// Meanwhile one who comes and goes: each time an engine is needed more, and then one less.
const NOW_AND_THEN: [&str; 8] =
    ["--streams", "10", "--ramp", "7s", "--hold", "2s", "--max-streams-per-engine", "1"];

#[tokio::test(flavor = "multi_thread")]
async fn no_player_who_changes_channels_meets_an_engine_that_goes() -> Result<()> {
    let _turn = turn().await?;
    let options = BedOptions::new(3)
        .env("AUTO_DELETE", "true")
        .env("MIN_REPLICAS", "1")
        .env("MIN_FREE_REPLICAS", "1")
        .env("ENGINE_GRACE_PERIOD_S", "2");
    let bed = TestHosts::start(options).await?;
    conclude(bed, zapping).await
}

async fn zapping(bed: &TestHosts) -> Result<()> {
    plays(bed, "crowd", [&CROWD, &CROWD]).await?;
    let crowd = containers(bed).await?;
    ensure!(crowd.len() >= 4, "{} engines for six players and a spare one", crowd.len());
    // An engine that was taken off the list is what the next call gets; some time, one is left over.
    let mut gone = 0;
    for round in 1..=3 {
        if gone == 0 {
            plays(bed, &format!("zap{round}"), [&ZAPPING, &NOW_AND_THEN]).await?;
            gone = crowd.difference(&containers(bed).await?).count();
        }
    }
    ensure!(gone > 0, "no engine of {} was removed for want of use", crowd.len());
    let said = |words: &str| {
        bed.nodes().iter().try_fold(0, |sum, node| {
            let log = node.process().log()?;
            anyhow::Ok(sum + log.lines().filter(|line| line.contains(words)).count())
        })
    };
    let (unlisted, stopped) = (said(" off the list: ")?, said("nobody uses it")?);
    eprintln!(
        "{} engines for the crowd, {gone} of them gone; {unlisted} unlisted, {stopped} stopped",
        crowd.len()
    );
    ensure!(unlisted >= gone && stopped >= gone, "{gone} gone, {unlisted} unlisted, {stopped} stopped");
    Ok(())
}

/// A client at each of two nodes; every play has to succeed.
async fn plays(bed: &TestHosts, label: &str, [a, b]: [&[&str]; 2]) -> Result<()> {
    let [first, second, _] = bed.nodes() else { anyhow::bail!("three nodes, not {}", bed.nodes().len()) };
    let since = late::Since::now(bed)?;
    let client =
        async |node: &Node, args| acexy::run(bed, node, &format!("{label}-{}-", node.name()), args).await;
    let (a, b) = try_join(client(first, a), client(second, b)).await?;
    let told = a.told_to_wait()? + b.told_to_wait()?;
    since.check(bed, told).await.with_context(|| label.to_owned())
}

/// Engines that run, on all hosts.
async fn containers(bed: &TestHosts) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for host in bed.hosts() {
        all.extend(host.docker().running().await?);
    }
    Ok(all)
}
