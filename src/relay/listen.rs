//! The listeners of one port and the connections that came in through them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dial::dial;
use super::open::{Connection, Open};
use super::plan::Target;
use super::pump::{Broken, pump};
use super::sockets::End;
use super::stats::{Stats, Trouble};

/// Pause after a failed accept; mostly, files have run out.
const REST: Duration = Duration::from_millis(200);

/// What all ports share.
#[derive(Debug)]
pub struct Shared {
    pub bind: Vec<IpAddr>,
    pub free: Semaphore,
    pub stats: Arc<Stats>,
    pub open: Arc<Open>,
}

/// What the listeners and connections of a port share.
#[derive(Debug)]
pub struct PortState {
    pub port: u16,
    target: Mutex<Target>,
    /// Ends the listeners and the connections.
    pub stop: CancellationToken,
    /// Ends the listeners alone.
    pub refuse: CancellationToken,
    pub listeners: TaskTracker,
    pub connections: TaskTracker,
    pub shared: Arc<Shared>,
}

impl PortState {
    pub fn new(port: u16, target: Target, shared: Arc<Shared>) -> Self {
        let stop = CancellationToken::new();
        Self {
            port,
            target: Mutex::new(target),
            refuse: stop.child_token(),
            stop,
            listeners: TaskTracker::new(),
            connections: TaskTracker::new(),
            shared,
        }
    }

    /// New connections go here from now on.
    pub fn retarget(&self, target: Target) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    fn target(&self) -> Target {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes connections until the port is closed or takes no more.
pub fn serve(listener: TcpListener, state: &Arc<PortState>) {
    let state = Arc::clone(state);
    state.listeners.clone().spawn(async move {
        let refuse = state.refuse.clone();
        refuse.run_until_cancelled(accept(listener, state)).await
    });
}

async fn accept(listener: TcpListener, state: Arc<PortState>) {
    let stats = &state.shared.stats;
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                failing = false;
                take(client, &state);
            }
            Err(error) => {
                stats.trouble(Trouble::Accept);
                if !failing {
                    tracing::warn!(port = state.port, %error, "the relay cannot accept connections; raise the limit of open files if that is the reason");
                }
                failing = true;
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn take(client: TcpStream, state: &Arc<PortState>) {
    let client = End::client(client);
    let state = Arc::clone(state);
    let held = state.shared.open.add(&state.stop);
    state.connections.clone().spawn(async move {
        let shared = Arc::clone(&state.shared);
        // Refused at once: the caller waits only 3 s, and can choose another engine.
        let Ok(_permit) = shared.free.try_acquire() else {
            shared.stats.trouble(Trouble::Limit);
            tracing::debug!(port = state.port, "too many connections");
            return;
        };
        let _open = shared.stats.opened();
        // Cancelled, it resets both ends.
        held.connection.stop.run_until_cancelled(connection(client, &state, &held.connection)).await;
    });
}

async fn connection(client: End, state: &PortState, own: &Connection) {
    let Shared { bind, stats, .. } = &*state.shared;
    let Target { host, engine: id } = state.target();
    let engine = match dial(&host, state.port, bind).await {
        Ok(stream) => End::engine(stream),
        Err(error) => {
            stats.trouble(error.kind);
            tracing::debug!(port = state.port, engine = %id, host, %error, "the engine cannot be reached");
            return;
        }
    };
    match pump(client.stream(), engine.stream(), stats, own).await {
        Ok(()) => {
            client.finish();
            engine.finish();
        }
        Err(Broken::Engine) => {
            stats.trouble(Trouble::EngineLost);
            tracing::debug!(port = state.port, engine = %id, host, "the connection to the engine broke");
        }
        // Players disconnect like this all the time.
        Err(Broken::Client) => {}
    }
}
