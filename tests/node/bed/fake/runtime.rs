//! The daemon in memory as the agent sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use acefleet::agent::runtime::{
    ContainerRuntime, Counters, Inspection, Observed, RuntimeError, Scope, VpnView,
};
use acefleet::agent::sockets::Sockets;
use acefleet::agent::spec::ContainerSpec;
use acefleet::peers::{ContainerView, LogLine, LogQuery, PortBinding};
use acefleet_registry::lack::Lack;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::sync::broadcast;

use super::{Box, Fake};

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    std::future::ready(value).boxed()
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

fn binding(port: u16) -> PortBinding {
    PortBinding { host_ip: "0.0.0.0".to_owned(), host_port: port.to_string() }
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
