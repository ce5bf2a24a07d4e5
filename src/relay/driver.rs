//! Opens and closes ports as a plan says, and retries ports that something else uses.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::dial::is_same_machine;
use super::listen::{PortState, Shared, serve};
use super::plan::{Plan, Target};
use super::settings::Settings;
use super::sockets;
use super::stats::{Stats, Trouble};
use crate::counted::counted;

/// First pause before a port that something else uses is retried; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// A connection on which nothing has moved for so long gets no time at a stop. Players fetch parts of a stream every few seconds.
const REST: Duration = Duration::from_secs(10);
/// How often a relay that drains looks for such connections.
const LOOK: Duration = Duration::from_millis(250);

struct Port {
    target: Target,
    state: Arc<PortState>,
    listening: usize,
    missing: Vec<IpAddr>,
    retry: Option<(Instant, Duration)>,
    warned: bool,
}

/// All ports that this node relays. Dropping it leaves them open; [`Relay::close`] closes them.
pub struct Relay {
    shared: Arc<Shared>,
    ports: BTreeMap<u16, Port>,
}

impl Relay {
    /// A relay without ports.
    #[must_use]
    pub fn new(settings: Settings, stats: Arc<Stats>) -> Self {
        let free = Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS));
        let open = Arc::default();
        Self { shared: Arc::new(Shared { bind: settings.bind, free, stats, open }), ports: BTreeMap::new() }
    }

    /// All ports, open or waiting to be opened, and where they lead.
    pub fn targets(&self) -> impl Iterator<Item = (u16, &Target)> {
        self.ports.iter().map(|(port, held)| (*port, &held.target))
    }

    /// Performs a plan. When it returns, closed ports are free and their connections reset.
    pub async fn apply(&mut self, plan: Plan) {
        self.close_ports(&plan.close).await;
        for (port, target) in plan.retarget {
            if let Some(held) = self.ports.get_mut(&port) {
                tracing::debug!(port, host = target.host, "relayed to another address");
                held.state.retarget(target.clone());
                held.target = target;
            }
        }
        let now = Instant::now();
        for (port, target) in plan.open {
            let state = PortState::new(port, target.clone(), Arc::clone(&self.shared));
            let missing = self.shared.bind.clone();
            let mut held =
                Port { target, state: Arc::new(state), listening: 0, missing, retry: None, warned: false };
            held.open(now);
            self.ports.insert(port, held);
        }
        self.count();
    }

    /// When [`Relay::retry`] has something to do next.
    #[must_use]
    pub fn next_retry(&self) -> Option<Instant> {
        self.ports.values().filter_map(|held| held.retry.map(|(at, _)| at)).min()
    }

    /// Retries the ports that are due.
    pub fn retry(&mut self, now: Instant) {
        for held in self.ports.values_mut().filter(|held| held.retry.is_some_and(|(at, _)| at <= now)) {
            held.open(now);
        }
        self.count();
    }

    /// Takes no new connections from now on; [`Relay::drain`] ends those that are open.
    pub async fn refuse(&mut self) {
        for held in self.ports.values_mut() {
            held.state.refuse.cancel();
            held.state.listeners.close();
            held.state.connections.close();
            (held.listening, held.retry) = (0, None);
        }
        for held in self.ports.values() {
            held.state.listeners.wait().await;
        }
        self.count();
    }

    /// Connections that may go on when the node stops. Those that rest are reset.
    #[must_use]
    pub fn going_on(&self) -> usize {
        self.shared.open.reset_resting(REST);
        self.shared.open.count()
    }

    /// After [`Relay::refuse`]: waits until no connection is open, and resets those that rest, or are open at the limit.
    pub async fn drain(mut self, limit: Duration) {
        let open = self.going_on();
        if open > 0 && !limit.is_zero() {
            let seconds = limit.as_secs_f64();
            tracing::info!("{} may go on for {seconds} s", counted(open as u64, "relayed connection"));
        }
        let mut resting = 0;
        let over = async {
            for held in self.ports.values() {
                held.state.connections.wait().await;
            }
        };
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                resting += self.shared.open.reset_resting(REST);
            }
        };
        tokio::select! {
            biased;
            () = over => {}
            () = look => {}
            () = tokio::time::sleep(limit) => {}
        }
        let cut = self.shared.open.count();
        self.close().await;
        if open > 0 {
            let ended = open.saturating_sub(resting + cut);
            tracing::info!(ended, resting, cut, "the relayed connections are over");
        }
    }

    /// Closes everything.
    pub async fn close(&mut self) {
        let all: Vec<u16> = self.ports.keys().copied().collect();
        self.close_ports(&all).await;
        self.count();
    }

    async fn close_ports(&mut self, ports: &[u16]) {
        let closed: Vec<Port> = ports.iter().filter_map(|port| self.ports.remove(port)).collect();
        for held in &closed {
            held.state.stop.cancel();
            held.state.listeners.close();
            held.state.connections.close();
        }
        // These tasks end with the token, so this takes no time.
        for held in closed {
            held.state.listeners.wait().await;
            held.state.connections.wait().await;
            tracing::debug!(port = held.state.port, engine = %held.target.engine, "no longer relayed");
        }
    }

    fn count(&self) {
        let listening = self.ports.values().filter(|held| held.listening > 0).count();
        self.shared.stats.ports(listening, self.ports.len() - listening);
    }
}

impl Port {
    /// Listens on every missing address. One that this host does not have, such as `::1` without IPv6, does not affect the others.
    fn open(&mut self, now: Instant) {
        let shared = Arc::clone(&self.state.shared);
        let only_v6 = shared.bind.iter().any(IpAddr::is_ipv4);
        let mut failed = Vec::new();
        for address in std::mem::take(&mut self.missing) {
            match sockets::listen(address, self.state.port, only_v6) {
                Ok(listener) => {
                    serve(listener, &self.state);
                    self.listening += 1;
                }
                Err(error) => failed.push((address, error)),
            }
        }
        self.missing = failed.iter().map(|(address, _)| *address).collect();
        self.retry = (!failed.is_empty()).then(|| {
            let wait = self.retry.map_or(FIRST_RETRY, |(_, last)| (last * 2).min(LAST_RETRY));
            (now + wait, wait)
        });
        if self.listening > 0 && self.warned && failed.is_empty() {
            tracing::info!(port = self.state.port, engine = %self.target.engine, "relayed after all");
        }
        // Only the first failure is logged; the metrics show how long it lasts.
        if !self.warned
            && let Some((address, error)) = failed.into_iter().find(|(_, error)| self.matters(error))
        {
            self.warned = true;
            self.warn(address, error);
        }
    }

    /// Whether a failure matters: a host without IPv6 has no `::1`, which is harmless while another address serves.
    fn matters(&self, error: &Error) -> bool {
        let absent = error.kind() == ErrorKind::AddrNotAvailable
            || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32);
        !(absent && self.listening > 0)
    }

    fn warn(&self, address: IpAddr, error: Error) {
        let (state, host, engine) = (Arc::clone(&self.state), self.target.host.clone(), self.target.engine);
        if error.kind() != ErrorKind::AddrInUse {
            state.shared.stats.trouble(Trouble::Bind);
            tracing::warn!(port = state.port, %address, %error, "cannot relay; check ACEFLEET_RELAY_BIND");
            return;
        }
        let refuse = state.refuse.clone();
        self.state.listeners.spawn(async move {
            let tell = async {
                // Nodes that share a Docker daemon: the port is published on this machine.
                if is_same_machine(&host, state.port).await {
                    tracing::debug!(port = state.port, host, "published on this machine, not relayed");
                    return;
                }
                state.shared.stats.trouble(Trouble::PortTaken);
                tracing::warn!(
                    port = state.port, %address, %engine, host,
                    "something else on this host has the port, so localhost does not reach this engine; \
                     free it or choose another PORT_RANGE_HOST; it is tried again"
                );
            };
            refuse.run_until_cancelled(tell).await;
        });
    }
}
