//! A container engine in memory, with the faults of a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use acefleet::agent::runtime::{
    ContainerRuntime, Counters, Inspection, Observed, RuntimeError, Scope, VpnView,
};
use acefleet::agent::sockets::Sockets;
use acefleet::agent::spec::ContainerSpec;
use acefleet::peers::{ContainerView, LogLine, LogQuery, LogStream, PortBinding};
use acefleet_registry::lack::Lack;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::sync::{Semaphore, broadcast};

/// A label that the images bring along.
pub const IMAGE_LABEL: &str = "org.example.image";
/// When containers write their first line.
pub const LOG_BEGINS_NS: u64 = 1_760_000_000_000_000_000;

/// One container.
#[derive(Clone, Debug, Default)]
pub struct Box {
    pub name: String,
    pub image: String,
    pub labels: BTreeMap<String, String>,
    pub ports: BTreeMap<String, u16>,
    pub status: String,
    pub exit_code: i64,
    pub oom_killed: bool,
}

/// The state of the daemon, and its faults.
#[derive(Debug)]
pub struct World {
    pub up: bool,
    /// Every list is empty, whatever runs, and how many were given.
    pub lists_nothing: bool,
    pub empty_lists: u32,
    /// What every start fails with.
    pub fails: Option<RuntimeError>,
    pub containers: BTreeMap<String, Box>,
    /// Ports that another program listens on.
    pub taken_ports: BTreeSet<u16>,
    /// Images that are not there, and what a pull of each comes to.
    pub missing_images: BTreeMap<String, Result<(), String>>,
    /// Networks that are not there.
    pub missing_networks: BTreeSet<String>,
    /// The next so many containers are started, but the answer is lost.
    pub lose_answers: u32,
    /// Status of new containers.
    pub born: &'static str,
    /// What containers write.
    pub log: String,
    /// How often a log was followed.
    pub followed: u32,
    /// How often the daemon ended all logs that were followed.
    pub cut: u32,
    /// How often counters were asked for.
    pub counted: u64,
    /// Calls of `run`.
    pub tried: u32,
    /// Calls of `run` that made a container.
    pub made: u32,
    pub pulls: Vec<String>,
    /// VPN containers by name, and how often one was restarted.
    pub vpns: BTreeMap<String, VpnView>,
    pub restarts: u32,
    /// How often one was inspected.
    pub vpn_looks: u32,
    /// Restarts are done, but never answered.
    pub restarts_hang: bool,
    /// Removals are neither done nor answered.
    pub removals_hang: bool,
    ids: u64,
}

pub struct Fake {
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<()>,
    /// Each `run` takes one permit.
    pub gate: Semaphore,
    /// While held, pulls do not finish.
    pub slow_registry: tokio::sync::Mutex<()>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            world: Arc::new(Mutex::new(World {
                up: true,
                lists_nothing: false,
                empty_lists: 0,
                fails: None,
                containers: BTreeMap::new(),
                taken_ports: BTreeSet::new(),
                missing_images: BTreeMap::new(),
                missing_networks: BTreeSet::new(),
                lose_answers: 0,
                born: "running",
                log: "sh: engine: not found\n".to_owned(),
                followed: 0,
                cut: 0,
                counted: 0,
                tried: 0,
                made: 0,
                pulls: Vec::new(),
                vpns: BTreeMap::new(),
                restarts: 0,
                vpn_looks: 0,
                restarts_hang: false,
                removals_hang: false,
                ids: 0,
            })),
            events: broadcast::channel(64).0,
            gate: Semaphore::new(1_000),
            slow_registry: tokio::sync::Mutex::default(),
        }
    }
}

impl Fake {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn daemon(&self) -> Result<MutexGuard<'_, World>, RuntimeError> {
        let world = self.world();
        match world.up {
            true => Ok(world),
            false => Err(RuntimeError::Unavailable("switched off".to_owned())),
        }
    }

    /// Adds a container that the agent did not create.
    pub fn put(&self, container: Box) -> String {
        let mut world = self.world();
        world.ids += 1;
        let id = format!("{:064x}", world.ids);
        world.containers.insert(id.clone(), container);
        id
    }

    /// The container of a spec, running already.
    pub fn put_spec(&self, spec: &ContainerSpec) -> String {
        self.put(boxed(spec, "running"))
    }

    /// Changes a container behind the agent's back, with an event.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Box)) {
        change(self.world().containers.get_mut(id).unwrap());
        let _ = self.events.send(());
    }

    /// Removes a container behind the agent's back, with an event unless `silent`.
    pub fn remove_by_hand(&self, id: &str, silent: bool) {
        self.world().containers.remove(id).unwrap();
        if !silent {
            let _ = self.events.send(());
        }
    }

    /// Until the guard is dropped, no container starts.
    pub fn hold(&self) -> Held<'_> {
        Held(self, self.gate.forget_permits(usize::MAX))
    }

    /// Exactly this is not there, and no registry has it.
    pub fn lacks(&self, lack: Option<Lack>) {
        let mut world = self.world();
        world.missing_images.clear();
        world.missing_networks.clear();
        match lack {
            Some(Lack::Image(name)) => {
                let nowhere = Err(format!("no registry has {name}"));
                world.missing_images.insert(name, nowhere);
            }
            Some(Lack::Network(name)) => {
                world.missing_networks.insert(name);
            }
            None => {}
        }
    }

    /// Ends all containers that run, as a crash does, and says how many.
    pub fn crash_all(&self, exit_code: i64, oom_killed: bool) -> usize {
        let mut world = self.world();
        let running = world.containers.values_mut().filter(|c| c.status == "running");
        let crashed = running.map(|c| {
            (c.status, c.exit_code, c.oom_killed) = ("exited".to_owned(), exit_code, oom_killed);
        });
        let count = crashed.count();
        drop(world);
        let _ = self.events.send(());
        count
    }

    /// Containers that exist.
    pub fn count(&self) -> usize {
        self.world().containers.len()
    }

    /// Labels of the containers that exist.
    pub fn labels(&self) -> Vec<BTreeMap<String, String>> {
        self.world().containers.values().map(|found| found.labels.clone()).collect()
    }

    pub fn ids(&self) -> Vec<String> {
        self.world().containers.keys().cloned().collect()
    }

    fn find(world: &World, id: &str) -> Option<String> {
        let mut found = world.containers.iter().filter(|(key, c)| key.as_str() == id || c.name == id);
        found.next().map(|(key, _)| key.clone())
    }

    /// What a container wrote, without so many lines at the beginning: every line a microsecond after the one before it, those with an
    /// exclamation mark to standard error.
    fn written<'a>(
        world: &'a World,
        id: &str,
        without: usize,
    ) -> Option<impl Iterator<Item = LogLine> + use<'a>> {
        if !world.vpns.contains_key(id) {
            Self::find(world, id)?;
        }
        let line = |(nth, text): (usize, &str)| LogLine {
            at_ns: LOG_BEGINS_NS + nth as u64 * 1_000,
            stream: if text.contains('!') { LogStream::Stderr } else { LogStream::Stdout },
            text: text.to_owned(),
        };
        Some(world.log.lines().enumerate().skip(without).map(line))
    }

    fn make(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        let mut world = self.daemon()?;
        world.tried += 1;
        if let Some(error) = world.fails.clone() {
            return Err(error);
        }
        if world.missing_images.contains_key(&spec.image) {
            return Err(RuntimeError::Other("in the words of some daemon: it has no image".to_owned()));
        }
        if spec.network.as_ref().is_some_and(|name| world.missing_networks.contains(name)) {
            return Err(RuntimeError::Other("in the words of some daemon: it has no network".to_owned()));
        }
        if world.containers.values().any(|c| c.name == spec.name) {
            return Err(RuntimeError::NameTaken(spec.name.clone()));
        }
        let joined = spec.network.as_deref().and_then(|network| network.strip_prefix("container:"));
        if joined.is_some_and(|id| !world.vpns.values().any(|vpn| vpn.running && vpn.id == id)) {
            return Err(RuntimeError::NoNetwork("no such container".to_owned()));
        }
        let bound: BTreeSet<u16> =
            world.containers.values().flat_map(|c| c.ports.values().copied()).collect();
        let in_use = |port: &&u16| world.taken_ports.contains(port) || bound.contains(port);
        if let Some(port) = spec.ports.values().find(in_use) {
            return Err(RuntimeError::PortTaken(*port));
        }
        world.ids += 1;
        world.made += 1;
        let id = format!("{:064x}", world.ids);
        let born = world.born;
        world.containers.insert(id.clone(), boxed(spec, born));
        if world.lose_answers > 0 {
            world.lose_answers -= 1;
            return Err(RuntimeError::Unavailable("the answer was lost".to_owned()));
        }
        Ok(id)
    }
}

/// See [`Fake::hold`].
pub struct Held<'a>(&'a Fake, usize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.gate.add_permits(self.1);
    }
}

fn boxed(spec: &ContainerSpec, status: &str) -> Box {
    let mut labels = spec.labels.clone();
    labels.insert(IMAGE_LABEL.to_owned(), spec.image.clone());
    Box {
        name: spec.name.clone(),
        image: spec.image.clone(),
        labels,
        ports: spec.ports.clone(),
        status: status.to_owned(),
        exit_code: i64::from(status == "exited") * 127,
        oom_killed: false,
    }
}

fn binding(port: u16) -> PortBinding {
    PortBinding { host_ip: "0.0.0.0".to_owned(), host_port: port.to_string() }
}

fn observed((id, c): (&String, &Box)) -> Observed {
    Observed {
        id: id.clone(),
        name: c.name.clone(),
        image: c.image.clone(),
        status: c.status.clone(),
        labels: c.labels.clone(),
        ports: c.ports.clone(),
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    std::future::ready(value).boxed()
}

impl ContainerRuntime for Fake {
    fn ping(&self) -> BoxFuture<'_, Result<(), RuntimeError>> {
        ready(self.daemon().map(drop))
    }

    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Observed>, RuntimeError>> {
        ready(self.daemon().map(|mut world| {
            if world.lists_nothing {
                world.empty_lists += 1;
                return Vec::new();
            }
            let ours = world.containers.iter().filter(|(id, c)| scope.covers(id, &c.labels));
            ours.map(observed).collect()
        }))
    }

    fn has<'a>(&'a self, lack: &'a Lack) -> BoxFuture<'a, Result<bool, RuntimeError>> {
        ready(self.daemon().map(|world| match lack {
            Lack::Image(name) => !world.missing_images.contains_key(name),
            Lack::Network(name) => !world.missing_networks.contains(name),
        }))
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>> {
        ready(self.daemon().map(|world| world.containers.iter().map(observed).collect()))
    }

    fn run<'a>(&'a self, spec: &'a ContainerSpec) -> BoxFuture<'a, Result<String, RuntimeError>> {
        async move {
            self.gate.acquire().await.unwrap().forget();
            self.make(spec)
        }
        .boxed()
    }

    fn inspect<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        let answer = self.daemon().and_then(|world| {
            let id = Self::find(&world, id).ok_or(RuntimeError::NotFound)?;
            let found = &world.containers[&id];
            let view = ContainerView {
                id,
                name: found.name.clone(),
                status: found.status.clone(),
                image: Some(found.image.clone()),
                created: Some("2025-10-02T17:59:40.118273645Z".to_owned()),
                labels: found.labels.clone(),
                ports: found.ports.iter().map(|(name, port)| (name.clone(), vec![binding(*port)])).collect(),
            };
            let (exit_code, oom_killed) = (Some(found.exit_code), found.oom_killed);
            Ok(Inspection { view, network: None, addresses: vec![], exit_code, oom_killed, error: None })
        });
        ready(answer)
    }

    /// Engines of this runtime are servers of the test's own process.
    fn sockets<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<Sockets, RuntimeError>> {
        let table = |name: &str| std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap();
        let own = [IpAddr::from([127, 0, 0, 1])].into();
        ready(self.daemon().map(|_| Sockets::read(&[table("tcp"), table("tcp6")], Some(&own))))
    }

    fn vpn<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<VpnView, RuntimeError>> {
        ready(self.daemon().and_then(|mut world| {
            world.vpn_looks += 1;
            world.vpns.get(name).cloned().ok_or(RuntimeError::NotFound)
        }))
    }

    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            let hangs = self.daemon().map(|mut world| {
                world.restarts += 1;
                if let Some(vpn) = world.vpns.get_mut(name) {
                    vpn.started_at.push('+');
                    vpn.health = Some("healthy".to_owned());
                }
                world.restarts_hang
            })?;
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
        .boxed()
    }

    fn counters<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Counters, RuntimeError>> {
        ready(self.daemon().and_then(|mut world| {
            Self::find(&world, id).ok_or(RuntimeError::NotFound)?;
            world.counted += 1;
            Ok(Counters {
                cpu_ns: world.counted * 1_000_000,
                memory_bytes: Some(100 << 20),
                memory_limit_bytes: Some(1 << 30),
                rx_bytes: Some(5_000),
                tx_bytes: Some(7_000),
                read_bytes: 1,
                written_bytes: 2,
            })
        }))
    }

    fn log<'a>(
        &'a self,
        id: &'a str,
        query: &'a LogQuery,
    ) -> BoxFuture<'a, Result<Vec<LogLine>, RuntimeError>> {
        ready(self.daemon().and_then(|world| {
            let mut lines: Vec<_> = Self::written(&world, id, 0).ok_or(RuntimeError::NotFound)?.collect();
            match *query {
                LogQuery::Newest { lines: wanted, since_ns } => {
                    lines.retain(|line| line.at_ns >= since_ns);
                    lines.drain(..lines.len().saturating_sub(wanted as usize));
                }
                LogQuery::Behind(position) => lines.retain(|line| line.at_ns + 1_000_000_000 > position),
            }
            Ok(lines)
        }))
    }

    fn follow(
        &self,
        id: &str,
        lines: u32,
        since_ns: u64,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let id = id.to_owned();
        let first = Self::written(&self.world(), &id, 0).map_or(0, |all| {
            let all: Vec<_> = all.collect();
            let since = all.partition_point(|line| line.at_ns + 1_000_000_000 <= since_ns);
            since.max(all.len().saturating_sub(lines as usize))
        });
        let cut = {
            let mut world = self.world();
            world.followed += 1;
            world.cut
        };
        let world = Arc::clone(&self.world);
        futures::stream::unfold((world, first), move |(world, next)| {
            let id = id.clone();
            async move {
                loop {
                    let (line, alive) = {
                        let world = world.lock().unwrap();
                        if world.cut != cut {
                            return None;
                        }
                        let line = Self::written(&world, &id, next)?.next();
                        let alive = world.containers.get(&id).is_none_or(|c| c.status == "running");
                        (line, alive)
                    };
                    match line {
                        Some(line) => return Some((Ok(line), (world, next + 1))),
                        None if !alive => return None,
                        None => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            }
        })
        .boxed()
    }

    fn remove<'a>(&'a self, id: &'a str, _grace: Duration) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            let hangs = self.daemon()?.removals_hang;
            if hangs {
                std::future::pending::<()>().await;
            }
            let mut world = self.daemon()?;
            if let Some(id) = Self::find(&world, id) {
                world.containers.remove(&id);
            }
            Ok(())
        }
        .boxed()
    }

    fn pull<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let pull = async {
            self.daemon()?.pulls.push(image.to_owned());
            let _ours = self.slow_registry.lock().await;
            let mut world = self.daemon()?;
            match world.missing_images.get(image).cloned() {
                Some(Err(reason)) => Err(RuntimeError::Other(reason)),
                Some(Ok(())) | None => {
                    world.missing_images.remove(image);
                    Ok(())
                }
            }
        };
        pull.boxed()
    }

    fn events(&self) -> BoxStream<'static, Result<(), RuntimeError>> {
        let receiver = self.events.subscribe();
        let next = |mut receiver: broadcast::Receiver<()>| async move {
            match receiver.recv().await {
                Ok(()) | Err(broadcast::error::RecvError::Lagged(_)) => Some((Ok(()), receiver)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        };
        futures::stream::unfold(receiver, next).boxed()
    }
}
