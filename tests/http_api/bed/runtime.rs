//! A container engine in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use acefleet::agent::ContainerRuntime;
use acefleet::agent::runtime::{Inspection, Observed, RuntimeError, Scope, VpnView};
use acefleet::agent::spec::{self, ContainerSpec};
use acefleet::fleet::Fleet;
use acefleet::peers::{ContainerView, PortBinding};
use acefleet_registry::Engine;
use acefleet_registry::lack::Lack;
use futures::StreamExt;
use futures::future::{BoxFuture, ready};
use futures::stream::{self, BoxStream};

/// Containers that exist only here.
#[derive(Default)]
pub struct FakeRuntime {
    containers: Mutex<BTreeMap<String, Observed>>,
    made: AtomicU64,
    /// VPN containers by name.
    pub vpns: Mutex<BTreeMap<String, VpnView>>,
    /// What the next starts fail with.
    pub fails: Mutex<Option<RuntimeError>>,
    /// What is not there by name; starts fail for want of it.
    pub lacks: Mutex<Option<Lack>>,
    /// While set, starts do not finish.
    pub held: tokio::sync::Mutex<()>,
}

impl FakeRuntime {
    /// Lets the container of an adopted engine exist.
    pub fn put(&self, engine: &Engine, fleet: &Fleet) {
        let view = fleet.view();
        let cluster_id = fleet.cluster().cluster_id().unwrap();
        let labels = spec::labels(engine, view.state.policy(), &cluster_id, &fleet.config().node_name);
        let observed = Observed {
            id: engine.container_id.as_deref().unwrap().to_owned(),
            name: engine.container_name.clone(),
            image: "engine:test".to_owned(),
            status: "running".to_owned(),
            labels,
            ports: BTreeMap::from([(format!("{}/tcp", engine.ports.container_http), engine.ports.host_http)]),
        };
        self.containers.lock().unwrap().insert(observed.id.clone(), observed);
    }

    /// Labels of the containers that exist.
    pub fn labels(&self) -> Vec<BTreeMap<String, String>> {
        self.containers.lock().unwrap().values().map(|found| found.labels.clone()).collect()
    }

    /// Containers that exist.
    pub fn count(&self) -> usize {
        self.containers.lock().unwrap().len()
    }

    fn find(&self, id: &str) -> Option<Observed> {
        let containers = self.containers.lock().unwrap();
        containers.values().find(|found| found.id == id || found.name == id).cloned()
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        let _held = self.held.lock().await;
        if let Some(error) = self.fails.lock().unwrap().clone() {
            return Err(error);
        }
        if self.lacks.lock().unwrap().is_some() {
            return Err(RuntimeError::Other("in the words of some daemon".to_owned()));
        }
        let mut containers = self.containers.lock().unwrap();
        if containers.values().any(|other| other.name == spec.name) {
            return Err(RuntimeError::NameTaken(spec.name.clone()));
        }
        let id = format!("{:064x}", 0xfa_ce00_0000 + self.made.fetch_add(1, Ordering::Relaxed));
        let observed = Observed {
            id: id.clone(),
            name: spec.name.clone(),
            image: spec.image.clone(),
            status: "running".to_owned(),
            labels: spec.labels.clone(),
            ports: spec.ports.clone(),
        };
        containers.insert(id.clone(), observed);
        Ok(id)
    }
}

fn inspection(found: &Observed) -> Inspection {
    let binding =
        |port: &u16| vec![PortBinding { host_ip: "0.0.0.0".to_owned(), host_port: port.to_string() }];
    let view = ContainerView {
        id: found.id.clone(),
        name: found.name.clone(),
        status: found.status.clone(),
        image: Some(found.image.clone()),
        created: Some("2025-10-02T17:59:40.118273645Z".to_owned()),
        labels: found.labels.clone(),
        ports: found.ports.iter().map(|(name, port)| (name.clone(), binding(port))).collect(),
    };
    Inspection { view, network: None, addresses: vec![], exit_code: None, oom_killed: false, error: None }
}

impl ContainerRuntime for FakeRuntime {
    fn ping(&self) -> BoxFuture<'_, Result<(), RuntimeError>> {
        Box::pin(ready(Ok(())))
    }

    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Observed>, RuntimeError>> {
        let containers = self.containers.lock().unwrap();
        let ours: Vec<Observed> =
            containers.values().filter(|found| scope.covers(&found.id, &found.labels)).cloned().collect();
        Box::pin(ready(Ok(ours)))
    }

    fn has<'a>(&'a self, lack: &'a Lack) -> BoxFuture<'a, Result<bool, RuntimeError>> {
        let found = self.lacks.lock().unwrap().as_ref() != Some(lack);
        Box::pin(ready(Ok(found)))
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>> {
        let all = self.containers.lock().unwrap().values().cloned().collect();
        Box::pin(ready(Ok(all)))
    }

    fn run<'a>(&'a self, spec: &'a ContainerSpec) -> BoxFuture<'a, Result<String, RuntimeError>> {
        Box::pin(self.start(spec))
    }

    fn inspect<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        let found = self.find(id).map(|found| inspection(&found)).ok_or(RuntimeError::NotFound);
        Box::pin(ready(found))
    }

    fn vpn<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<VpnView, RuntimeError>> {
        let found = self.vpns.lock().unwrap().get(name).cloned().ok_or(RuntimeError::NotFound);
        Box::pin(ready(found))
    }

    fn restart<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(ready(Ok(())))
    }

    fn tail<'a>(&'a self, _id: &'a str, _lines: u32) -> BoxFuture<'a, Result<String, RuntimeError>> {
        Box::pin(ready(Ok(String::new())))
    }

    fn remove<'a>(&'a self, id: &'a str, _grace: Duration) -> BoxFuture<'a, Result<(), RuntimeError>> {
        if let Some(found) = self.find(id) {
            self.containers.lock().unwrap().remove(&found.id);
        }
        Box::pin(ready(Ok(())))
    }

    fn pull<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(ready(Err(RuntimeError::Other(format!("no registry has {image}")))))
    }

    fn events(&self) -> BoxStream<'static, Result<(), RuntimeError>> {
        stream::pending().boxed()
    }
}
