//! The VPN of one host of three fails in many ways. Prints when the nodes listed its engines no more, and when others or themselves again.
//! Streams on the other hosts never notice, and a VPN has its port on one engine at the most, in every look at every node.
//! `TEST_VPN_STORM=full` has outages of 30 s and 2 min, too.

mod told;
mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{LATER, conclude, content, running, turn};
use crate::gluetun::{IMAGE, expect_connected, pretend};
use crate::vpn::expect_emergency;
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts, artifacts};
use acefleet_chaos::node::NodeClient;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use watch::{Listed, Viewer, Watch};

const VPN: &str = "gluetun";
const SECOND: &str = "gluetun-2";
/// Engines that the floor keeps: two for each host.
const FLOOR: usize = 6;
/// Ports of engines behind each VPN.
const PORTS_OF_VPN: u16 = 20;
/// A player of another host may get nothing for so long, on a machine that starts containers meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);
/// A VPN that is sick for so long is restarted, seconds: the network of its engines is dead then.
const RESTARTED: u64 = 60;
/// After an outage of so long engines have moved, seconds.
const MOVES: u64 = 30;
/// Everybody has done what follows from an outage.
const SETTLED: Duration = Duration::from_secs(90);
/// A VPN that failed twice gets no engines for two minutes where another one did so once.
const SPREAD: Duration = Duration::from_secs(150);

/// Three times the goals: other programs share the machine. The goal for engines that nobody is given any more is 3 s,
const HIDDEN: Duration = Duration::from_secs(9);
/// for an engine with the new port 6 s,
const NEW_PORT: Duration = Duration::from_secs(18);
/// for engines behind a container that was made anew 15 s,
const RECREATED: Duration = Duration::from_secs(45);
/// and for engines elsewhere 20 s.
const MOVED: Duration = Duration::from_secs(60);

/// Outages, seconds: of the everyday check, and all of them. The shortest changes nothing.
const OUTAGES: [u64; 2] = [3, 30];
const ALL_OUTAGES: [u64; 4] = [3, 14, 30, 120];

#[tokio::test(flavor = "multi_thread")]
async fn a_vpn_that_fails_in_many_ways_disturbs_no_other_host() -> Result<()> {
    let _turn = turn().await?;
    let is_full = std::env::var("TEST_VPN_STORM").is_ok_and(|form| form == "full");
    let bed = start(&[VPN]).await?;
    conclude(bed, async |bed| {
        let mut storm = Storm::begin(bed, &[VPN]).await?;
        let outages = if is_full { &ALL_OUTAGES[..] } else { &OUTAGES[..] };
        for seconds in outages {
            storm.outage(*seconds).await.with_context(|| format!("an outage of {seconds} s"))?;
        }
        storm.other_port().await.context("another port")?;
        storm.made_anew().await.context("made anew")?;
        storm.end().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_both_its_vpns_disturbs_no_other_host() -> Result<()> {
    let _turn = turn().await?;
    let bed = start(&[VPN, SECOND]).await?;
    conclude(bed, async |bed| {
        let mut storm = Storm::begin(bed, &[VPN, SECOND]).await?;
        storm.one_of_two().await.context("one of two gone")?;
        storm.both_gone().await.context("both gone")?;
        storm.end().await
    })
    .await
}

/// Three hosts behind VPNs, the first of them behind these.
async fn start(of_first: &[&str]) -> Result<TestHosts> {
    let options = BedOptions::new(3)
        .env("GLUETUN_CONTAINER_NAME", VPN)
        .env("MIN_REPLICAS", &FLOOR.to_string())
        .env("MAX_REPLICAS", "30");
    let bed = TestHosts::start_docker(options).await?;
    let image = artifacts::image("gluetun-sim").await?;
    for (number, node) in bed.nodes().iter().enumerate() {
        let host = bed.host_of(node);
        host.docker().load(&image).await?;
        let vpns = if number == 0 { of_first } else { &[VPN] };
        let ranges: Vec<String> = (0..vpns.len()).map(|at| ports(number, at)).collect();
        node.process().change(|recipe| {
            let mut set = |name: &str, value: &str| recipe.env.insert(name.to_owned(), value.to_owned());
            set("GLUETUN_PORT_RANGE_1", &ranges[0]);
            if let [_, second] = ranges.as_slice() {
                set("VPN_MODE", "redundant");
                set("GLUETUN_CONTAINER_NAME_2", SECOND);
                set("GLUETUN_PORT_RANGE_2", second);
            }
        });
        for (name, range) in vpns.iter().zip(&ranges) {
            start_vpn(host, name, range).await?;
        }
        node.spawn()?;
    }
    for node in bed.nodes() {
        node.wait_live().await?;
    }
    bed.wait_formed(LATER).await?;
    bed.wait_working(LATER).await?;
    Ok(bed)
}

/// Ports of the VPN with this number on the host with this number.
fn ports(host: usize, vpn: usize) -> String {
    let first = 19_000 + PORTS_OF_VPN * (2 * host + vpn) as u16;
    format!("{first}-{}", first + PORTS_OF_VPN - 1)
}

/// Starts a simulated Gluetun whose provider forwards a port.
async fn start_vpn(host: &Host, name: &str, ports: &str) -> Result<()> {
    let publish = format!("{ports}:{ports}");
    let environment = ["--env", "VPN_SERVICE_PROVIDER=protonvpn", "--env", "VPN_PORT_FORWARDING=on"];
    let run =
        [&["run", "--detach", "--name", name, "--publish", &publish][..], &environment, &[IMAGE]].concat();
    host.docker().call(&run).await.map(drop)
}

/// The tunnel of a VPN goes down or comes up again.
async fn tunnel(host: &Host, vpn: &str, is_up: bool) -> Result<()> {
    pretend(host, vpn, 8000, if is_up { "tunnel=up" } else { "tunnel=down" }).await
}

struct Storm<'a> {
    bed: &'a TestHosts,
    /// The host that has it.
    host: &'a Host,
    node: &'a NodeClient,
    vpns: &'a [&'a str],
    watch: Watch,
    /// On the other hosts.
    viewers: Vec<Viewer>,
    /// On its own host, while the network of that one's engine lives.
    here: Option<Viewer>,
    made: u64,
}

impl<'a> Storm<'a> {
    async fn begin(bed: &'a TestHosts, vpns: &'a [&'a str]) -> Result<Self> {
        let node = bed.nodes()[1].client();
        expect_connected(node, bed.hosts().len() - 1 + vpns.len()).await?;
        let watch = Watch::start(bed);
        let (viewers, here) = (Vec::new(), None);
        let mut storm = Self { bed, host: &bed.hosts()[0], node, vpns, watch, viewers, here, made: 0 };
        storm.spread().await?;
        for (number, host) in bed.hosts().iter().enumerate() {
            let listed: Vec<Listed> = node.get("/engines").await?;
            let address = host.address().to_string();
            // The one with the forwarded port is to be replaced when the port changes.
            let of_host = listed.iter().filter(|engine| engine.host == address);
            let engine = of_host.min_by_key(|engine| engine.forwarded);
            let engine = engine.with_context(|| format!("no engine on {}: {listed:?}", host.name()))?;
            let viewer = Viewer::start(node, engine, &content(number as u64)).await?;
            match number {
                0 => storm.here = Some(viewer),
                _ => storm.viewers.push(viewer),
            }
        }
        storm.made = storm.made_so_far().await?;
        Ok(storm)
    }

    fn is_here(&self, engine: &Listed) -> bool {
        engine.host == self.host.address().to_string()
    }

    fn here(&self, engines: &[Listed]) -> usize {
        engines.iter().filter(|engine| self.is_here(engine)).count()
    }

    /// Every node lists the floor, two engines on each host, and the port of each VPN of this host in use.
    async fn expect_full(&self) -> Result<()> {
        for node in self.bed.nodes() {
            let engines: Vec<Listed> = node.client().get("/engines").await?;
            let healthy: Vec<&Listed> = engines.iter().filter(|engine| engine.is_healthy()).collect();
            let of = |host: &Host| healthy.iter().filter(|e| e.host == host.address().to_string()).count();
            let ported = healthy.iter().filter(|engine| self.is_here(engine) && engine.forwarded).count();
            let spread = self.bed.hosts().iter().all(|host| of(host) >= 2);
            ensure!(
                healthy.len() >= FLOOR && spread && ported == self.vpns.len(),
                "{} lists {engines:?}",
                node.name()
            );
        }
        Ok(())
    }

    /// Waits until engines are spread over the hosts. They do not spread by themselves: one is taken away where there are most, and
    /// the floor has another made where there are fewest.
    async fn spread(&self) -> Result<()> {
        wait_for("engines to be spread over the hosts", SPREAD, || async {
            let Err(uneven) = self.expect_full().await else { return Ok(()) };
            let engines: Vec<Listed> = self.node.get("/engines").await?;
            ensure!(engines.iter().filter(|engine| engine.is_healthy()).count() >= FLOOR, "{uneven}");
            let used: BTreeSet<&str> =
                self.viewers.iter().chain(&self.here).map(|viewer| viewer.engine.as_str()).collect();
            let on = |host: &str| engines.iter().filter(|engine| engine.host == host).count();
            let spare = engines.iter().filter(|e| !used.contains(e.container_id.as_str()) && !e.forwarded);
            // Both engines of this host may be behind the VPN that was up first.
            let behind = |e: &Listed| {
                engines.iter().filter(|o| o.host == e.host && o.vpn_container == e.vpn_container).count()
            };
            let alone = |e: &Listed| self.vpns.len() > 1 && self.is_here(e) && behind(e) == on(&e.host);
            let crowds = |e: &&Listed| on(&e.host) > 2 || on(&e.host) == 2 && alone(e);
            if let Some(spare) = spare.filter(crowds).max_by_key(|e| on(&e.host)) {
                self.node.delete_container(&spare.container_id).await?.expect(StatusCode::OK)?;
            }
            Err(uneven)
        })
        .await
    }

    /// The same after an outage: the VPN rests, and gets engines where no other host takes any.
    async fn spread_again(&self) -> Result<()> {
        if self.expect_full().await.is_ok() {
            return Ok(());
        }
        let others = &self.bed.nodes()[1..];
        for other in others {
            self.node.operate(other.name(), "cordon", None).await?;
        }
        let spread = self.spread().await;
        for other in others {
            self.node.operate(other.name(), "uncordon", None).await?;
        }
        spread
    }

    /// Engines that were made so far, on all hosts: they are numbered in their order. Docker remembers too few events to be asked.
    async fn made_so_far(&self) -> Result<u64> {
        let mut last = self.made;
        for host in self.bed.hosts() {
            let format = "{{.Label \"acefleet.engine\"}}";
            let numbers = host.docker().call(&["ps", "--all", "--format", format]).await?;
            last = numbers.lines().filter_map(|number| number.parse().ok()).fold(last, u64::max);
        }
        ensure!(last > 0, "no container has the number of an engine");
        Ok(last)
    }

    /// Engines that were made since the last question; an error when there are more than these.
    async fn expect_made(&mut self, most: usize) -> Result<u64> {
        let all = self.made_so_far().await?;
        let made = all - std::mem::replace(&mut self.made, all);
        ensure!(made <= most as u64, "{made} engines were made, where {most} would do");
        Ok(made)
    }

    async fn gone(&self, since: Instant) -> Result<Duration> {
        self.watch.expect("its engines to leave the list", since, HIDDEN, |now| self.here(now) == 0).await
    }

    /// The tunnel is down for so long, whatever is done to its container meanwhile.
    async fn outage(&mut self, seconds: u64) -> Result<()> {
        let listed: Vec<Listed> = self.node.get("/engines").await?;
        let (here, all) = (self.here(&listed), listed.len());
        if seconds >= RESTARTED {
            self.here = None;
        }
        let before = running(self.bed).await?;
        let begun = Instant::now();
        let over = begun + Duration::from_secs(seconds);
        tunnel(self.host, VPN, false).await?;
        let gone = self.gone(begun).await?;
        while Instant::now() < over {
            // A container that is restarted is well again, and the tunnel is not.
            let _ = tunnel(self.host, VPN, false).await;
            sleep(Duration::from_millis(250).min(over - Instant::now().min(over))).await;
        }
        let well = Instant::now();
        let full = |now: &[Listed]| now.iter().filter(|engine| engine.is_healthy()).count() >= all;
        if seconds >= MOVES {
            // Nothing behind this VPN is listed, so these run elsewhere.
            let moved = self.watch.expect("as many engines elsewhere", begun + gone, MOVED, full).await?;
            ensure!(
                begun + gone + moved <= well,
                "{all} engines elsewhere only when the tunnel was up again"
            );
        }
        tunnel(self.host, VPN, true).await?;
        // Who plays on this host stays there, unless the container was restarted: then all of its engines are elsewhere by now.
        let back = match &self.here {
            Some(_) => {
                let again =
                    self.watch.expect("engines on its host again", well, SETTLED, |now| self.here(now) > 0);
                format!("on this host {:.1} s after its end", again.await?.as_secs_f64())
            }
            None => "none on this host at its end".to_owned(),
        };
        // From when they were gone: the first looks still show them.
        let whole = self.watch.expect("as many engines as before", begun + gone, SETTLED, full).await?;
        eprintln!(
            "outage of {seconds:3} s: {here} of {all} engines gone after {:.1} s, as many as before after {:.1} s, {back}",
            gone.as_secs_f64(),
            (gone + whole).as_secs_f64()
        );
        if seconds < 10 {
            ensure!(running(self.bed).await? == before, "a short outage has changed containers");
            let ids = |engines: &[Listed]| {
                engines.iter().map(|e| e.container_id.clone()).collect::<BTreeSet<String>>()
            };
            let same = |now: &[Listed]| ids(now) == ids(&listed);
            self.watch.expect("the same engines as before", well, SETTLED, same).await?;
        }
        self.rest(if seconds < 10 { 0 } else { 2 * here }).await
    }

    /// The provider forwards another port.
    async fn other_port(&mut self) -> Result<()> {
        let begun = Instant::now();
        pretend(self.host, VPN, 8000, "port=51500").await?;
        let stale = |engine: &Listed| engine.forwarded && engine.forwarded_port != Some(51_500);
        let gone = self
            .watch
            .expect("the old port to be nobody's", begun, NEW_PORT, |now| {
                !now.iter().any(|e| self.is_here(e) && stale(e))
            })
            .await?;
        let told = |engine: &Listed| engine.forwarded && engine.forwarded_port == Some(51_500);
        let new = self
            .watch
            .expect("an engine with the new port", begun, NEW_PORT, |now| {
                now.iter().any(|e| self.is_here(e) && told(e) && e.is_healthy())
            })
            .await?;
        // The old one still runs.
        told::check(self.bed, &self.node.get::<Vec<Listed>>("/engines").await?).await?;
        eprintln!(
            "another port: the old one is nobody's after {:.1} s, an engine with the new one after {:.1} s",
            gone.as_secs_f64(),
            new.as_secs_f64()
        );
        self.rest(2).await
    }

    /// Gluetun's container is removed and made anew: the network of its engines is dead, and the stream on this host is lost.
    async fn made_anew(&mut self) -> Result<()> {
        let listed: Vec<Listed> = self.node.get("/engines").await?;
        let old: BTreeSet<&String> =
            listed.iter().filter(|e| self.is_here(e)).map(|e| &e.container_id).collect();
        self.here = None;
        let begun = Instant::now();
        self.host.docker().call(&["rm", "--force", VPN]).await?;
        start_vpn(self.host, VPN, &ports(0, 0)).await?;
        let made = begun.elapsed();
        let gone = self
            .watch
            .expect("its engines to leave the list", begun, HIDDEN, |now| {
                !now.iter().any(|e| old.contains(&e.container_id))
            })
            .await?;
        let full = |now: &[Listed]| now.iter().filter(|engine| engine.is_healthy()).count() >= listed.len();
        let whole = self.watch.expect("as many engines as before", begun + gone, RECREATED, full).await?;
        eprintln!(
            "made anew in {:.1} s: {} engines gone after {:.1} s, as many as before after {:.1} s",
            made.as_secs_f64(),
            old.len(),
            gone.as_secs_f64(),
            (gone + whole).as_secs_f64()
        );
        wait_for("the engines of the old network to be gone", SETTLED, || async {
            let left = self.host.docker().call(&["ps", "--all", "--quiet", "--no-trunc"]).await?;
            let left = left.lines().find(|id| old.contains(&(*id).to_owned()));
            ensure!(left.is_none(), "{left:?} is there");
            Ok(())
        })
        .await?;
        self.rest(2 * old.len()).await
    }

    /// One of two VPNs of the host is killed, and started again when its engines run behind the other one or elsewhere.
    async fn one_of_two(&mut self) -> Result<()> {
        let listed: Vec<Listed> = self.node.get("/engines").await?;
        let behind = |e: &Listed| {
            self.bed.hosts()[0].address().to_string() == e.host && e.vpn_container.as_deref() == Some(VPN)
        };
        let lost = listed.iter().filter(|e| behind(e)).count();
        ensure!(lost > 0, "no engine is behind it: {listed:?}");
        if self
            .here
            .as_ref()
            .is_some_and(|viewer| listed.iter().any(|e| behind(e) && e.container_id == viewer.engine))
        {
            self.here = None;
        }
        let begun = Instant::now();
        self.host.docker().call(&["kill", VPN]).await?;
        let gone = self
            .watch
            .expect("its engines to leave the list", begun, HIDDEN, |now| !now.iter().any(&behind))
            .await?;
        let full =
            |now: &[Listed]| now.iter().filter(|e| e.is_healthy() && !behind(e)).count() >= listed.len();
        let moved = self.watch.expect("as many engines elsewhere", begun, MOVED, full).await?;
        let own = self.bed.nodes()[0].client();
        expect_emergency(own, true).await?;
        self.host.docker().call(&["start", VPN]).await?;
        expect_connected(self.node, self.bed.hosts().len() + 1).await?;
        expect_emergency(own, false).await?;
        eprintln!(
            "one of two gone: {lost} of {} engines gone after {:.1} s, as many as before after {:.1} s",
            listed.len(),
            gone.as_secs_f64(),
            moved.as_secs_f64()
        );
        self.rest(3 * lost).await
    }

    /// Both VPNs of the host are killed, and started again when its engines run elsewhere.
    async fn both_gone(&mut self) -> Result<()> {
        let listed: Vec<Listed> = self.node.get("/engines").await?;
        let here = self.here(&listed);
        self.here = None;
        let begun = Instant::now();
        self.host.docker().call(&["kill", VPN, SECOND]).await?;
        let gone = self.gone(begun).await?;
        let full = |now: &[Listed]| {
            now.iter().filter(|e| e.is_healthy() && !self.is_here(e)).count() >= listed.len()
        };
        let moved = self.watch.expect("as many engines elsewhere", begun, MOVED, full).await?;
        self.host.docker().call(&["start", VPN, SECOND]).await?;
        let well = Instant::now();
        expect_connected(self.node, self.bed.hosts().len() + 1).await?;
        let connected = well.elapsed();
        // What is made from here on is made because it is deleted to spread engines again.
        self.expect_made(3 * here).await?;
        self.spread_again().await?;
        self.made = self.made_so_far().await?;
        eprintln!(
            "both gone: {here} of {} engines gone after {:.1} s, moved after {:.1} s; connected {:.1} s after their start, \
             engines here again after {:.1} s",
            listed.len(),
            gone.as_secs_f64(),
            moved.as_secs_f64(),
            connected.as_secs_f64(),
            well.elapsed().as_secs_f64()
        );
        self.rest(0).await
    }

    /// After each fault: so many engines were made at the most, nobody else has noticed, and the host is as full as before.
    async fn rest(&mut self, most: usize) -> Result<()> {
        let made = self.expect_made(most).await?;
        told::check(self.bed, &self.node.get::<Vec<Listed>>("/engines").await?).await?;
        for viewer in self.viewers.iter().chain(&self.here) {
            viewer.expect_undisturbed(self.bed, PATIENCE).await?;
        }
        let waited = self.viewers.iter().map(Viewer::longest_wait).max().unwrap_or_default();
        eprintln!(
            "  {made} engines were made; no player got nothing for longer than {:.1} s",
            waited.as_secs_f64()
        );
        self.spread_again().await?;
        self.made = self.made_so_far().await?;
        Ok(())
    }

    /// Every host has the containers that are listed and its VPNs, and nothing else.
    async fn end(self) -> Result<()> {
        let looks = self.watch.check()?;
        eprintln!("{looks} looks at the lists: no VPN had its port on two engines");
        wait_for("nothing but what is listed to be there", SETTLED, || async {
            let listed: Vec<Listed> = self.node.get("/engines").await?;
            let mut wanted: BTreeSet<String> = listed.into_iter().map(|engine| engine.container_id).collect();
            let mut there = BTreeSet::new();
            for (number, host) in self.bed.hosts().iter().enumerate() {
                let vpns = if number == 0 { self.vpns } else { &[VPN] };
                for vpn in vpns {
                    wanted.insert(host.docker().call(&["inspect", "--format", "{{.Id}}", vpn]).await?);
                }
                let all = host.docker().call(&["ps", "--all", "--quiet", "--no-trunc"]).await?;
                there.extend(all.lines().map(str::to_owned));
            }
            let (more, less): (Vec<_>, Vec<_>) =
                (there.difference(&wanted).collect(), wanted.difference(&there).collect());
            ensure!(more.is_empty() && less.is_empty(), "unlisted: {more:?}, missing: {less:?}");
            Ok(())
        })
        .await?;
        for node in self.bed.nodes() {
            eprintln!("{}: {} bytes of log", node.name(), node.process().log()?.len());
        }
        Ok(())
    }
}
