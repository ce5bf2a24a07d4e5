//! Wrong clocks: real nodes on loopback whose time of day, and nothing else, is faked. No Docker.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use acefleet_chaos::hosts::artifacts;
use acefleet_chaos::hosts::node::CLUSTER_SECRET;
use acefleet_chaos::node::{NodeClient, StartedEvent};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use jiff::Timestamp;
use reqwest::StatusCode;

const SOON: Duration = Duration::from_secs(60);
/// A clock that jumped is believed after a minute.
const LATER: Duration = Duration::from_secs(120);
const KEY: &str = "key-of-the-clock-scenarios";
const DAY: i64 = 86_400;
/// Seconds.
const JUMPS: [i64; 7] = [10, -10, 7_200, -7_200, 2 * DAY, -2 * DAY, 20 * 365 * DAY];
/// Clusters of three that run beside each other.
const AT_ONCE: usize = 4;
/// What is shown is off by a second at the most, and looked at a moment later.
const CLOSE_S: i64 = 5;

/// The library that fakes clocks, of Debian's package `libfaketime`.
fn library() -> Result<PathBuf> {
    let lib =
        std::fs::read_dir("/usr/lib")?.flatten().map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    lib.into_iter()
        .find(|path| path.is_file())
        .context("no libfaketime; scripts/bootstrap.sh test installs it")
}

/// A node whose clock can be set.
struct Node {
    child: Child,
    client: NodeClient,
    clock: PathBuf,
    log: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Node `number` of `count` on addresses of this test alone.
    fn start(dir: &Path, place: u8, number: u8, count: u8) -> Result<Self> {
        let [_, _, middle, low] = std::process::id().to_be_bytes();
        let host = |number: u8| format!("127.{}.{middle}.{low}", 130 + 8 * (place % 14) + number);
        let name = format!("n{number}");
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir)?;
        let (clock, log) = (dir.join("clock"), dir.join("log"));
        std::fs::write(&clock, "+0\n")?;
        let mut command = Command::new(artifacts::acefleet(None)?);
        command
            .arg("serve")
            .env_clear()
            .env("ACEFLEET_NODE_NAME", &name)
            .env("ACEFLEET_DATA_DIR", dir.join("data"))
            .env("ACEFLEET_HTTP_BIND", host(number))
            .env("APP_PORT", "18000")
            .env("ACEFLEET_CLUSTER_BIND", format!("{}:18001", host(number)))
            .env("ACEFLEET_ADVERTISE", host(number))
            .env("DOCKER_HOST", "unix:///does/not/exist.sock")
            .env("PORT_RANGE_HOST", "1000-1019")
            .env("API_KEY", KEY)
            .env("ACEFLEET_CLUSTER_SECRET", CLUSTER_SECRET)
            .env("LD_PRELOAD", library()?)
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?);
        if count > 1 {
            let peers: Vec<String> = (1..=count).map(|n| format!("n{n}={}:18001", host(n))).collect();
            command.env("ACEFLEET_PEERS", peers.join(","));
        }
        let client = NodeClient::new(&name, &format!("http://{}:18000", host(number)), Some(KEY))?;
        Ok(Self { child: command.spawn()?, client, clock, log })
    }

    /// Sets its clock so many seconds ahead of the right time.
    fn set_clock(&self, ahead_s: i64) -> Result<()> {
        let new = self.clock.with_extension("new");
        std::fs::write(&new, format!("{ahead_s:+}\n"))?;
        Ok(std::fs::rename(new, &self.clock)?)
    }

    /// By how many seconds its clock is ahead of what the cluster shows, as `asked` sees it.
    async fn skew(&self, asked: &NodeClient) -> Result<i64> {
        let name = format!("acefleet_clock_skew_seconds{{node=\"{}\"}}", self.client.name());
        Ok(asked.metric(&name).await?.round() as i64)
    }

    async fn wait_skew(&self, asked: &NodeClient, seconds: i64, deadline: Duration) -> Result<()> {
        wait_for(&format!("a skew of {seconds} s"), deadline, || async {
            let skew = self.skew(asked).await?;
            ensure!((skew - seconds).abs() <= CLOSE_S, "the skew is {skew} s");
            Ok(())
        })
        .await
    }
}

async fn begin(client: &NodeClient, id: &str) -> Result<()> {
    let event = StartedEvent::new("elsewhere", 6878, id, "s");
    client.stream_started(&event).await?.expect(StatusCode::OK).map(drop)
}

/// Everything is as it was told: started streams, ended ones. Nothing began later than the right time.
async fn check(client: &NodeClient, started: &[&str], clocks_are_right: bool) -> Result<()> {
    let all = client.all_streams().await?;
    for id in started.iter().chain(&["over"]) {
        let stream = all.get(&format!("{id}|s")).with_context(|| format!("{id} is forgotten"))?;
        ensure!((stream.status == "started") == (*id != "over"), "{stream:?}");
        #[expect(clippy::disallowed_methods, reason = "the clock of the test is the right one")]
        let now = Timestamp::now();
        let ahead_s = stream.started_at.parse::<Timestamp>()?.duration_since(now).as_secs();
        ensure!(!clocks_are_right || ahead_s <= 2, "{id} began {ahead_s} s in the future");
    }
    Ok(())
}

async fn prepare(client: &NodeClient) -> Result<()> {
    wait_for("an event to be taken", SOON, || begin(client, "before")).await?;
    begin(client, "over").await?;
    client.stream_ended("over|s", "eof").await?.expect(StatusCode::OK).map(drop)
}

/// One clock of three jumps forth and back: the others see it, and nobody else notices.
async fn one_of_three(place: usize, leads: bool, jump: i64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let place = u8::try_from(place)?;
    let nodes: Vec<Node> = (1..=3).map(|n| Node::start(dir.path(), place, n, 3)).collect::<Result<_>>()?;
    prepare(&nodes[0].client).await?;
    let leader = nodes[0].client.cluster().await?.leader.context("no leader")?;
    let (mut first, mut rest): (Vec<&Node>, Vec<&Node>) =
        nodes.iter().partition(|node| (node.client.name() == leader) == leads);
    let victim = first.pop().context("no victim")?;
    first.append(&mut rest);
    let client = &first[0].client;
    victim.wait_skew(client, 0, SOON).await?;
    victim.set_clock(jump)?;
    victim.wait_skew(client, jump, SOON).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    begin(client, "meanwhile").await?;
    check(client, &["before", "meanwhile"], true).await?;
    wait_for("a warning", SOON, || async {
        let log = std::fs::read_to_string(&victim.log)?;
        let count = log.lines().filter(|line| line.contains("the clock of this host is")).count();
        ensure!(count == 1, "{count} warnings");
        Ok(())
    })
    .await?;
    victim.set_clock(0)?;
    victim.wait_skew(client, 0, SOON).await?;
    begin(client, "after").await?;
    check(client, &["before", "meanwhile", "after"], true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_clock_of_three_is_noticed_and_changes_nothing() -> Result<()> {
    let cases = [true, false].into_iter().flat_map(|leads| JUMPS.map(|jump| (leads, jump)));
    let cases: Vec<_> = cases.collect();
    for some in cases.chunks(AT_ONCE) {
        try_join_all(some.iter().enumerate().map(|(place, (leads, jump))| async move {
            let who = if *leads { "leader" } else { "follower" };
            one_of_three(place, *leads, *jump).await.with_context(|| format!("{jump} s on the {who}"))?;
            eprintln!("{jump:>+10} s on the {who}: ok");
            anyhow::Ok(())
        }))
        .await?;
    }
    Ok(())
}

/// The clock of a node alone jumps, is believed after a minute, and jumps back.
async fn alone(place: usize, jump: i64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    // Beside the clusters of three.
    let node = Node::start(dir.path(), u8::try_from(AT_ONCE + place)?, 1, 1)?;
    let client = &node.client;
    prepare(client).await?;
    node.wait_skew(client, 0, SOON).await?;
    for (ahead, step, began) in [(jump, jump, "meanwhile"), (0, -jump, "after")] {
        node.set_clock(ahead)?;
        node.wait_skew(client, step, SOON).await?;
        begin(client, &format!("{began}-at-once")).await?;
        node.wait_skew(client, 0, LATER).await?;
        begin(client, began).await?;
        check(client, &["before", "meanwhile-at-once", "meanwhile"], ahead == 0).await?;
    }
    check(client, &["before", "meanwhile", "after-at-once", "after"], true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_a_single_node_jumps_forth_and_back() -> Result<()> {
    let cases = JUMPS.into_iter().enumerate();
    try_join_all(cases.map(|(place, jump)| async move {
        alone(place, jump).await.with_context(|| format!("{jump} s on a node alone"))?;
        eprintln!("{jump:>+10} s on a node alone: ok");
        anyhow::Ok(())
    }))
    .await
    .map(drop)
}
