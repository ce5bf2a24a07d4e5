//! The faults that befall engines, nodes and hosts. Each is an error when it did not happen.

use std::time::Duration;

use acefleet_chaos::hosts::docker::Docker;
use acefleet_chaos::node::Engine;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::draw::{Dice, Fault};
use super::life::{World, all_answers, control};
use crate::common::{LATER, named};

/// How long the cable is out, milliseconds.
const UNPLUGGED_MS: (u64, u64) = (2_000, 20_000);
/// The same, until the host counts as down, after 60 s, and beyond that.
const AWAY_MS: (u64, u64) = (66_000, 78_000);
/// How long a host has no power, milliseconds.
const POWERLESS_MS: (u64, u64) = (500, 15_000);
/// How long Docker stands still, milliseconds.
const DOCKER_PAUSED_MS: (u64, u64) = (1_000, 8_000);
/// How long a killed node stays away, milliseconds.
const KILLED_MS: (u64, u64) = (200, 4_000);

/// A host or a node did not come back.
#[derive(Debug, thiserror::Error)]
#[error("a host or node did not come back")]
pub struct Broken;

/// Makes it; nothing for the faults that a player makes himself.
pub async fn make(world: &World<'_>, dice: &mut Dice, fault: Fault, engine: &Engine) -> Result<()> {
    let docker = world.host_of(engine)?.docker();
    let id = engine.container_id.as_str();
    match fault {
        Fault::Killed => docker.call(&["kill", id]).await.map(drop),
        Fault::Paused => docker.call(&["pause", id]).await.map(drop),
        Fault::Hung => hang(docker, id).await,
        Fault::Error => control(engine, &all_answers(&json!({"status": 500}))).await,
        Fault::NotJson => control(engine, &all_answers(&json!({"non_json": true}))).await,
        Fault::DiesYoung => control(engine, &json!({"die": 7})).await,
        Fault::LeaderKilled => kill_leader(world, dice).await.context(Broken),
        Fault::Unplugged => unplug(world, dice, UNPLUGGED_MS).await.context(Broken),
        Fault::Away => unplug(world, dice, AWAY_MS).await.context(Broken),
        Fault::PowerLost => cut_power(world, dice).await.context(Broken),
        Fault::HostHung => hang_all(world, dice).await,
        Fault::DockerPaused => pause_docker(world, dice).await.context(Broken),
        Fault::StartLost
        | Fault::EndLost
        | Fault::Doubled
        | Fault::Reordered
        | Fault::PlayerGone
        | Fault::SharedId => Ok(()),
    }
}

async fn hang(docker: &Docker, id: &str) -> Result<()> {
    let pid = docker.call(&["inspect", "--format", "{{.State.Pid}}", id]).await?;
    let pid: i32 = pid.trim().parse().context("no process id")?;
    ensure!(pid > 0, "the engine has no process");
    Ok(kill(Pid::from_raw(pid), Signal::SIGSTOP)?)
}

/// All engines of a host that runs some. Other lives may end some of them meanwhile.
async fn hang_all(world: &World<'_>, dice: &mut Dice) -> Result<()> {
    let _alone = world.hosts.lock().await;
    let hosts = world.bed.hosts();
    let first = dice.below(hosts.len());
    wait_for("a host whose engines hang", LATER, || async {
        for host in hosts.iter().cycle().skip(first).take(hosts.len()) {
            let mut hung = 0;
            for id in host.docker().running().await? {
                hung += usize::from(hang(host.docker(), &id).await.is_ok());
            }
            if hung > 0 {
                return Ok(());
            }
        }
        bail!("no engine hangs")
    })
    .await
}

async fn cut_power(world: &World<'_>, dice: &mut Dice) -> Result<()> {
    let _alone = world.hosts.lock().await;
    let node = dice.pick(world.bed.nodes());
    let host = world.bed.host_of(node);
    world.bed.power_off(host).await?;
    let is_reached =
        timeout(Duration::from_secs(1), node.client().live()).await.is_ok_and(|live| live.is_ok());
    ensure!(!is_reached && host.docker().running().await.is_err(), "{} runs without power", node.name());
    sleep(dice.between(POWERLESS_MS.0, POWERLESS_MS.1)).await;
    world.bed.power_on(host).await?;
    world.bed.wait_formed(LATER).await.map(drop)
}

/// The engine forgets sessions without a reader soon: the real one takes a minute.
pub async fn forget_soon(engine: &Engine) -> Result<()> {
    control(engine, &json!({"session_ttl_s": 5})).await
}

async fn kill_leader(world: &World<'_>, dice: &mut Dice) -> Result<()> {
    let _alone = world.hosts.lock().await;
    let leader = world.bed.wait_formed(LATER).await?;
    let node = named(world.bed, &leader)?;
    node.kill().await?;
    sleep(dice.between(KILLED_MS.0, KILLED_MS.1)).await;
    node.start().await?;
    world.bed.wait_formed(LATER).await.map(drop)
}

async fn unplug(world: &World<'_>, dice: &mut Dice, away_ms: (u64, u64)) -> Result<()> {
    let _alone = world.hosts.lock().await;
    let node = dice.pick(world.bed.nodes());
    let host = world.bed.host_of(node);
    host.unplug()?;
    let is_reached =
        timeout(Duration::from_secs(1), node.client().live()).await.is_ok_and(|live| live.is_ok());
    sleep(dice.between(away_ms.0, away_ms.1)).await;
    let others = world.bed.nodes().iter().find(|other| other.name() != node.name());
    let view = others.context("no other node")?.client().get::<Value>("/cluster").await;
    // Whatever it says: no later fault is to find the host without a cable.
    host.heal()?;
    let view = view?;
    ensure!(!is_reached, "{} answers without a cable", node.name());
    let members = view["nodes"].as_array().context("no members")?;
    let is_down =
        members.iter().any(|member| member["name"] == node.name() && !member["down_since"].is_null());
    ensure!(is_down || away_ms != AWAY_MS, "{} does not count as down: {view}", node.name());
    world.bed.wait_formed(LATER).await.map(drop)
}

async fn pause_docker(world: &World<'_>, dice: &mut Dice) -> Result<()> {
    let _alone = world.hosts.lock().await;
    let daemon = dice.pick(world.bed.hosts()).docker().daemon();
    daemon.pause().await?;
    sleep(dice.between(DOCKER_PAUSED_MS.0, DOCKER_PAUSED_MS.1)).await;
    daemon.resume()
}
