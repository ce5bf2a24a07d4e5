//! A container engine in memory, with the faults of a real one.

mod runtime;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use acefleet::agent::runtime::RuntimeError;
use acefleet::agent::spec::ContainerSpec;
use acefleet::peers::{LogLine, LogStream};
use acefleet_registry::lack::Lack;
use tokio::sync::{Semaphore, broadcast};

pub use world::{Box, World};

/// A label that the images bring along.
pub const IMAGE_LABEL: &str = "org.example.image";
/// When containers write their first line.
pub const LOG_BEGINS_NS: u64 = 1_760_000_000_000_000_000;

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
            world: Arc::default(),
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
