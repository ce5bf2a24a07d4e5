//! The systemd unit, run by a real systemd: this machine's, booted in a container on each test host.

use std::collections::BTreeMap;

use crate::common::{LATER, SOON, TRANSFERRED, conclude, provision, turn};
use crate::machine::{Machine, State};
use acefleet_chaos::hosts::node::CLUSTER_SECRET;
use acefleet_chaos::hosts::process::ending;
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};

/// Shorter than the unit's, for the sake of the test; still long for a machine that is busy.
const WATCHDOG: &str = "[Service]\nWatchdogSec=8\n";

/// Start times of the engines on a host, by container.
async fn engines_on(host: &Host) -> Result<BTreeMap<String, String>> {
    let mut started = BTreeMap::new();
    for id in host.docker().containers("acefleet.engine").await? {
        let at = ["inspect", "--format", "{{.State.Running}} {{.State.StartedAt}}", &id];
        let at = host.docker().call(&at).await?;
        started.insert(id, at);
    }
    Ok(started)
}

/// Waits until systemd says this of the unit.
async fn expect(machine: &Machine<'_>, what: &str, is: impl Fn(&State) -> bool) -> Result<State> {
    let what = format!("the unit on {} to be {what}", machine.client().name());
    let outcome = wait_for(&what, LATER, || async {
        let state = machine.state().await?;
        ensure!(is(&state), "{state:?}");
        Ok(state)
    })
    .await;
    match outcome {
        Ok(state) => Ok(state),
        Err(error) => Err(error.context(ending(&machine.log().await?))),
    }
}

/// Waits until these words are in the unit's log so often: the journal takes lines in later than they are written.
async fn expect_log(machine: &Machine<'_>, words: &str, times: usize) -> Result<String> {
    let what = format!("{words:?} in the log of {}, {times} times", machine.client().name());
    wait_for(&what, SOON, || async {
        let log = machine.log().await?;
        ensure!(log.matches(words).count() >= times, "its end:\n{}", ending(&log));
        Ok(log)
    })
    .await
}

/// A node that hangs, dies, is configured wrongly, and stops; its engine notices nothing of that.
#[tokio::test(flavor = "multi_thread")]
async fn systemd_starts_watches_restarts_and_stops_a_node() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(1)).await?;
    conclude(bed, async |bed| one_machine(&bed.hosts()[0]).await).await
}

async fn one_machine(host: &Host) -> Result<()> {
    let machine = Machine::boot(host, &[]).await?;
    machine.run(&["mkdir", "/etc/systemd/system/acefleet.service.d"]).await?;
    let drop_in = format!("printf '{WATCHDOG}' > /etc/systemd/system/acefleet.service.d/watchdog.conf");
    machine.run(&["sh", "-c", &drop_in]).await?;
    machine.run(&["systemctl", "daemon-reload"]).await?;

    // The call returns when the node has told systemd that it is ready, and then it is.
    machine.run(&["systemctl", "enable", "--now", "acefleet"]).await?;
    machine.client().live().await?;
    let first = machine.state().await?;
    ensure!(first.active == "active" && first.status == "serving" && first.restarts == 0, "{first:?}");
    let (user, capabilities) = (machine.process("Uid").await?, machine.process("CapEff").await?);
    ensure!(user.split_whitespace().all(|id| id != "0"), "it runs as {user}");
    ensure!(capabilities.chars().all(|digit| digit == '0'), "it has the capabilities {capabilities}");
    wait_for("the node to be ready", SOON, || machine.client().ready()).await?;
    provision(machine.client()).await?;
    let engines = engines_on(host).await?;
    ensure!(engines.len() == 1, "{engines:?}");

    machine.signal("STOP").await?;
    let hung = expect(&machine, "restarted by the watchdog", |state| {
        state.restarts == 1 && state.active == "active" && state.main_pid != first.main_pid
    })
    .await?;
    expect_log(&machine, "Watchdog timeout", 1).await?;

    machine.signal("KILL").await?;
    expect(&machine, "restarted after the node was killed", |state| {
        state.restarts == 2 && state.active == "active" && state.main_pid != hung.main_pid
    })
    .await?;
    wait_for("the node to be ready", SOON, || machine.client().ready()).await?;
    let listed = machine.client().engines().await?;
    ensure!(listed.len() == 1 && engines.contains_key(&listed[0].container_id), "{listed:?}");
    ensure!(engines_on(host).await? == engines, "the engine changed");

    machine.unit("stop").await?;
    let stopped = machine.state().await?;
    ensure!(stopped.active == "inactive" && stopped.result == "success", "{stopped:?}");
    ensure!(stopped.exit_code == 0, "{stopped:?}");
    ensure!(engines_on(host).await? == engines, "the engine changed when the node was stopped");

    // A setting that is wrong stays wrong: systemd says so and does not try again.
    machine.set(&[("APP_PORT", "none")])?;
    if machine.unit("start").await.is_ok() {
        bail!("a node with a wrong setting started");
    }
    let refused = machine.state().await?;
    ensure!(refused.active == "failed" && refused.exit_code == 64 && refused.restarts == 0, "{refused:?}");
    machine.set(&[("APP_PORT", "8000")])?;
    machine.unit("start").await?;
    wait_for("the node to be ready", SOON, || machine.client().ready()).await?;
    ensure!(engines_on(host).await? == engines, "the engine changed");
    Ok(())
}

/// Three machines; the leader is stopped, comes back, and is taken out of the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_unit_transfers_leadership_and_a_removed_one_stays_down() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(3)).await?;
    conclude(bed, async |bed| three_machines(bed.hosts()).await).await
}

async fn three_machines(hosts: &[Host]) -> Result<()> {
    let peers: Vec<_> = hosts.iter().map(|host| format!("{}={}:8001", host.name(), host.address())).collect();
    let peers = peers.join(",");
    let mut machines = Vec::new();
    for host in hosts {
        machines.push(
            Machine::boot(host, &[("ACEFLEET_PEERS", &peers), ("ACEFLEET_CLUSTER_SECRET", CLUSTER_SECRET)])
                .await?,
        );
    }
    // Formation takes all three, and a node is ready for systemd before.
    for machine in &machines {
        machine.unit("start").await?;
    }
    let mut rounds = 0;
    let (index, successor) = loop {
        rounds += 1;
        let leader = leader_besides(&machines, None).await?;
        let index = position(&machines, &leader)?;
        machines[index].unit("stop").await?;
        let stopped = machines[index].state().await?;
        ensure!(stopped.result == "success" && stopped.exit_code == 0, "{stopped:?}");
        let transferred = expect_log(&machines[index], TRANSFERRED, 1).await;
        let successor = leader_besides(&machines, Some(&leader)).await?;
        machines[index].unit("start").await?;
        wait_for("the node to be ready again", LATER, || machines[index].client().ready()).await?;
        match transferred {
            Ok(_) => break (index, successor),
            // An election that came by itself just before the stop, or a successor that took its time.
            Err(error) if rounds < 3 => eprintln!("{leader} did not transfer leadership: {error:#}"),
            Err(error) => return Err(error),
        }
    };

    let successor = &machines[position(&machines, &successor)?];
    let members = as_administrator(successor, "members").await?;
    ensure!(hosts.iter().all(|host| members.contains(host.name())), "{members}");
    removed(&machines[index], successor).await
}

/// A node that the cluster removes ends, and neither systemd nor an administrator brings it back, until its host has done what
/// the log says.
async fn removed(machine: &Machine<'_>, member: &Machine<'_>) -> Result<()> {
    const WHY: &str = "was removed from cluster";
    let name = machine.client().name();
    let before = machine.log().await?;
    ensure!(!before.contains(WHY), "{name} was removed before: {}", ending(&before));
    let answer = as_administrator(member, &format!("remove {name}")).await?;
    ensure!(answer.contains(name), "{answer}");

    // While systemd waits for a restart, the unit is `activating`; `failed` is what it stays.
    let ended = expect(machine, "failed for good", |state| state.active == "failed").await?;
    ensure!(ended.exit_code == 77 && ended.result == "exit-code", "{ended:?}");
    ensure!(ended.restarts == 0 && ended.main_pid == 0, "{ended:?}");
    let told = expect_log(machine, WHY, 1).await?.matches(WHY).count();

    if machine.unit("start").await.is_ok() {
        bail!("a node that was removed started");
    }
    let refused = machine.state().await?;
    ensure!(refused.active == "failed" && refused.exit_code == 77 && refused.restarts == 0, "{refused:?}");
    let log = expect_log(machine, WHY, told + 1).await?;
    ensure!(log.contains("run `acefleet join"), "it does not say what to do: {}", ending(&log));

    machine.run(&["sh", "-c", "rm -r /var/lib/acefleet/*"]).await?;
    as_administrator(machine, &format!("join {}:8001", member.host().address())).await?;
    machine.unit("start").await?;
    wait_for("the node to be a member again", LATER, || async {
        let cluster = member.client().cluster().await?;
        ensure!(cluster.nodes.iter().any(|node| node.name == name && node.role != "learner"), "{cluster:?}");
        machine.client().ready().await
    })
    .await
}

/// A command of the node, with its settings.
async fn as_administrator(machine: &Machine<'_>, command: &str) -> Result<String> {
    machine.run(&["sh", "-c", &format!("set -a; . /etc/acefleet/acefleet.env; acefleet {command}")]).await
}

fn position(machines: &[Machine<'_>], name: &str) -> Result<usize> {
    machines.iter().position(|machine| machine.client().name() == name).with_context(|| format!("no {name}"))
}

/// Waits until all machines but one agree on a leader that is not that one.
async fn leader_besides(machines: &[Machine<'_>], absent: Option<&str>) -> Result<String> {
    wait_for("one leader", LATER, || async {
        let mut named = Vec::new();
        for machine in machines.iter().filter(|machine| Some(machine.client().name()) != absent) {
            named.push(machine.client().cluster().await?.leader);
        }
        let leader = named[0].clone().context("none is known")?;
        ensure!(named.iter().all(|name| name.as_deref() == Some(&leader)), "{named:?}");
        ensure!(Some(leader.as_str()) != absent, "{leader} is gone");
        Ok(leader)
    })
    .await
}
