//! The test hosts themselves: real namespaces, real Docker daemons, and nothing left behind.
//!
//! These tests need root and Docker's programs, and fail where they are missing.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use acefleet_chaos::hosts::artifacts::ENGINE_IMAGE;
use acefleet_chaos::hosts::state::BedNumber;
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts, janitor, tools};
use acefleet_chaos::node::NodeClient;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};

const SOON: Duration = Duration::from_secs(30);
const STATUS: &str = "/server/api?api_version=3&method=get_status";
const LABEL: &str = "acefleet.bed-test";

/// Everything on the machine that carries the bed's name.
fn traces(bed: BedNumber) -> Result<Vec<String>> {
    let mut traces = Vec::new();
    let look = |traces: &mut Vec<String>, what: &str, text: &str, word: &str| {
        let found = text.lines().filter(|line| line.contains(word));
        traces.extend(found.map(|line| format!("{what}: {line}")));
    };
    look(&mut traces, "namespace", &tools::run("ip", &["netns", "list"])?, &format!("{}-", bed.bridge()));
    for word in [format!(" {}:", bed.bridge()), format!(" {}h", bed.bridge())] {
        look(&mut traces, "link", &tools::run("ip", &["-o", "link"])?, &word);
    }
    look(&mut traces, "rule", &tools::run("iptables", &["-w", "-S"])?, &bed.rule_comment());
    for dir in [bed.state_dir(), bed.data_dir()] {
        look(
            &mut traces,
            "mount",
            &std::fs::read_to_string("/proc/self/mountinfo")?,
            &format!(" {}/", dir.display()),
        );
        if dir.exists() {
            traces.push(format!("directory: {}", dir.display()));
        }
    }
    let cgroups = tools::run(
        "find",
        &["/sys/fs/cgroup", "-maxdepth", "2", "-name", bed.cgroup().trim_start_matches('/')],
    )?;
    traces.extend(cgroups.lines().map(|line| format!("control group: {line}")));
    traces.extend(janitor::marks(bed).processes().iter().map(|found| format!("process: {found:?}")));
    Ok(traces)
}

fn assert_no_traces(bed: BedNumber) {
    let traces = traces(bed).unwrap();
    assert!(traces.is_empty(), "left behind: {traces:#?}");
}

/// Starts a simulated engine with a published port.
async fn run_engine(host: &Host, port: u16) -> Result<String> {
    let publish = format!("{port}:6878");
    let label = format!("{LABEL}=1");
    host.docker().call(&["run", "--detach", "--label", &label, "--publish", &publish, ENGINE_IMAGE]).await
}

/// Asks the engine on `target` for its status, from `from` or from this process.
async fn reach(from: Option<&Host>, target: &Host, port: u16) -> Result<()> {
    let address = SocketAddr::from((target.address(), port));
    match from {
        None => {
            let client = NodeClient::new("engine", &format!("http://{address}"), None)?;
            client.call(reqwest::Method::GET, STATUS, None).await?.expect(reqwest::StatusCode::OK).map(drop)
        }
        Some(host) => {
            let (status, body) = host.get(address, STATUS, Duration::from_secs(2)).await?;
            ensure!(status == 200, "{status}: {body}");
            Ok(())
        }
    }
}

async fn reach_soon(from: Option<&Host>, target: &Host, port: u16) -> Result<()> {
    wait_for("the engine to answer", SOON, || reach(from, target, port)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hosts_reach_each_other_until_they_are_cut() -> Result<()> {
    let bed = TestHosts::start(BedOptions::docker_only(3)).await?;
    let number = bed.number();
    let [h1, h2, h3] = bed.hosts() else { panic!("three hosts, not {}", bed.hosts().len()) };

    // Each has a Docker of its own: what runs on one is not known to the others.
    run_engine(h1, 19001).await?;
    assert_eq!(h1.docker().running().await?.len(), 1);
    assert_eq!(h2.docker().running().await?.len(), 0);
    assert_eq!(h3.docker().running().await?.len(), 0);
    // The same host port is free on another host.
    run_engine(h2, 19001).await?;

    reach_soon(None, h1, 19001).await?;
    reach_soon(Some(h2), h1, 19001).await?;
    reach_soon(Some(h3), h1, 19001).await?;
    let localhost = SocketAddr::from((Ipv4Addr::LOCALHOST, 19001));
    assert_eq!(h1.get(localhost, STATUS, SOON).await?.0, 200);
    h3.get(localhost, STATUS, SOON).await.expect_err("h3 has no engine at its localhost");
    let output = h1.run("ip", &["-o", "-4", "addr"], SOON).await?;
    ensure!(String::from_utf8_lossy(&output.stdout).contains(&h1.address().to_string()), "{output:?}");

    // A cut between two hosts cuts these two and nobody else.
    h1.cut_from(h2)?;
    reach(Some(h2), h1, 19001).await.expect_err("h2 still reaches h1");
    reach(Some(h1), h2, 19001).await.expect_err("h1 still reaches h2");
    ensure!(h1.dropped()? > 0 && h2.dropped()? > 0, "the cut swallowed nothing");
    reach(Some(h3), h1, 19001).await?;
    reach(None, h1, 19001).await?;
    bed.heal()?;
    reach(Some(h2), h1, 19001).await?;
    assert_eq!(h1.dropped()?, 0);

    // An isolated host is still seen by the test process, an unplugged one is not.
    bed.isolate(h1)?;
    reach(Some(h2), h1, 19001).await.expect_err("h2 still reaches h1");
    reach(Some(h3), h1, 19001).await.expect_err("h3 still reaches h1");
    reach(None, h1, 19001).await?;
    bed.heal()?;
    h1.unplug()?;
    reach(Some(h3), h1, 19001).await.expect_err("h3 still reaches h1");
    bed.heal()?;
    reach_soon(Some(h3), h1, 19001).await?;

    // One direction: h2 gets nothing from h1, while h1's packets still leave and h3 gets all.
    h2.deafen_to(h1)?;
    reach(Some(h1), h2, 19001).await.expect_err("h2 still reaches h1");
    ensure!(h2.dropped()? > 0 && h1.dropped()? == 0, "the wrong side drops");
    reach(Some(h3), h2, 19001).await?;

    bed.finish().await?;
    assert_no_traces(number);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_can_be_paused_killed_and_started_again_and_a_host_can_lose_power() -> Result<()> {
    let options = BedOptions { live_restore: true, keep_logs: false, ..BedOptions::docker_only(1) };
    let bed = TestHosts::start(options).await?;
    let number = bed.number();
    let host = &bed.hosts()[0];
    let id = run_engine(host, 19001).await?;
    reach_soon(None, host, 19001).await?;

    host.docker().daemon().pause().await?;
    let hung = tokio::time::timeout(Duration::from_secs(2), host.docker().running()).await;
    ensure!(hung.is_err(), "a paused dockerd answered: {hung:?}");
    host.docker().daemon().resume()?;
    assert_eq!(host.docker().running().await?, std::slice::from_ref(&id));

    // The engine plays on while its Docker is away, and is the same one afterwards.
    host.docker().daemon().kill().await?;
    host.docker().running().await.expect_err("a killed dockerd answered");
    reach(None, host, 19001).await?;
    host.docker().start().await?;
    assert_eq!(host.docker().running().await?, std::slice::from_ref(&id));

    bed.power_off(host).await?;
    reach(None, host, 19001).await.expect_err("an engine survived the end of its host");
    bed.power_on(host).await?;
    assert_eq!(host.docker().containers(LABEL).await?, [id]);

    // Also a container that is frozen must not survive its bed.
    let frozen = run_engine(host, 19002).await?;
    host.docker().call(&["pause", &frozen]).await?;
    drop(bed);
    assert_no_traces(number);
    Ok(())
}

/// A bed in another process, to be killed.
fn other_owner(reaper: bool) -> Result<(Child, BedNumber)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster-up"));
    command.args(["--docker-only", "--hosts", "1"]).stdout(Stdio::piped());
    if !reaper {
        command.arg("--no-reaper");
    }
    let mut child = command.spawn()?;
    let mut out = BufReader::new(child.stdout.take().context("no output")?);
    let mut line = String::new();
    while out.read_line(&mut line)? > 0 {
        if let Some(rest) = line.trim_end().strip_prefix("test hosts ") {
            return Ok((child, BedNumber(rest.trim_end_matches(':').parse()?)));
        }
        line.clear();
    }
    child.wait()?;
    anyhow::bail!("cluster-up ended before its hosts were up")
}

fn kill_owner(owner: &mut Child) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    owner.kill()?;
    ensure!(owner.wait()?.signal() == Some(9), "the owner had ended by itself");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remains_of_a_killed_owner_go_and_a_living_owner_keeps_its_hosts() -> Result<()> {
    let ours = TestHosts::start(BedOptions::docker_only(1)).await?;
    let (mut owner, number) = tokio::task::spawn_blocking(|| other_owner(false)).await??;
    ensure!(number != ours.number(), "two owners have the same hosts");
    let socket = format!("unix://{}", number.state_dir().join("h1/docker.sock").display());
    let run = ["--host", &socket, "run", "--detach", "--publish", "19001:6878", ENGINE_IMAGE];
    tools::run_for("docker", &run, SOON)?;

    // While both owners live, a sweep removes nothing.
    tokio::task::spawn_blocking(acefleet_chaos::hosts::bed::clean).await??;
    assert_eq!(tools::run("docker", &["--host", &socket, "ps", "--quiet"])?.lines().count(), 1);

    kill_owner(&mut owner)?;
    ensure!(traces(number)?.len() > 5, "the remains are expected to be there before the sweep");
    let clean = Command::new(env!("CARGO_BIN_EXE_cluster-up")).arg("--clean").output()?;
    ensure!(clean.status.success(), "{}", String::from_utf8_lossy(&clean.stderr));
    assert_no_traces(number);
    // Ours was not touched.
    ours.hosts()[0].docker().running().await?;
    let number = ours.number();
    ours.finish().await?;
    assert_no_traces(number);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reaper_clears_away_as_soon_as_its_owner_is_killed() -> Result<()> {
    let (mut owner, number) = tokio::task::spawn_blocking(|| other_owner(true)).await??;
    ensure!(!traces(number)?.is_empty(), "there are no hosts");
    kill_owner(&mut owner)?;
    wait_for("the reaper", SOON, || async {
        let traces = traces(number)?;
        ensure!(traces.is_empty(), "left behind: {traces:#?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_panics_leaves_nothing() -> Result<()> {
    let (send, receive) = tokio::sync::oneshot::channel();
    let failed = tokio::spawn(async move {
        let options = BedOptions { no_image: true, keep_logs: false, ..BedOptions::docker_only(1) };
        let bed = TestHosts::start(options).await.unwrap();
        send.send(bed.number()).unwrap();
        panic!("on purpose");
    })
    .await;
    assert!(failed.unwrap_err().is_panic());
    let number = receive.await?;
    assert_no_traces(number);
    assert!(!Path::new("/run/netns").join(number.namespace("h1")).exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_owner_removes_its_hosts_and_ends_well() -> Result<()> {
    use nix::sys::signal::{Signal, kill};
    let (mut owner, number) = tokio::task::spawn_blocking(|| other_owner(true)).await??;
    kill(nix::unistd::Pid::from_raw(i32::try_from(owner.id())?), Signal::SIGINT)?;
    let ended = || {
        std::future::ready(owner.try_wait().map_err(Into::into).and_then(|end| end.context("it still runs")))
    };
    let status = wait_for("the end of the owner", SOON, ended).await?;
    assert_eq!(status.code(), Some(0));
    assert_no_traces(number);
    Ok(())
}
