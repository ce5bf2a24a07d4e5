//! Long-lived connections to peers, made on first use and again when they break.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::reach::{Reach, Waits};
use super::roll::Roll;
use super::ways::{Way, Ways};
use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::tls::node_key::NodeKey;
use crate::tls::{Door, Unauthenticated};

/// A dead connection is noticed after the interval plus the timeout, also while nothing is sent.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Separate connections, so that bulk never delays what is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Heartbeats, votes, read confirmations.
    Urgent,
    /// Log entries, forwarded writes, questions.
    Calls,
    /// Snapshots.
    Bulk,
}

/// No connection: nothing of the request left this node.
#[derive(Debug)]
pub(super) enum DialError {
    /// It could not be made.
    Failed(io::Error),
    /// It was tried a moment ago.
    Waits(Waits),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "cannot connect: {error}"),
            Self::Waits(Waits { why, .. }) => f.write_str(why),
        }
    }
}

impl Error for DialError {}

impl DialError {
    /// Who took the connection and is no node with the secret of the cluster.
    pub fn unauthenticated(&self) -> Option<Unauthenticated> {
        match self {
            Self::Failed(error) => Unauthenticated::of(error),
            Self::Waits(_) => None,
        }
    }
}

/// The missing connection that caused this error, if one did.
pub(super) fn dial_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a DialError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Connections to one address.
#[derive(Clone, Debug)]
struct Target {
    way: Arc<Way>,
    reach: Arc<Reach>,
    /// Each with the key that was asked for. A connection from before it was known does not count.
    lanes: HashMap<Lane, (Option<NodeKey>, Channel)>,
}

/// Connections by address and lane.
pub(super) struct Pool {
    ways: Arc<dyn Ways>,
    door: Door,
    /// Whose key is asked for at an address.
    roll: Arc<Roll>,
    targets: Mutex<HashMap<String, Target>>,
}

impl Pool {
    pub fn new(ways: Arc<dyn Ways>, door: Door, roll: Arc<Roll>) -> Self {
        Self { ways, door, roll, targets: Mutex::default() }
    }

    pub fn door(&self) -> &Door {
        &self.door
    }

    fn target<T>(&self, address: &str, look: impl FnOnce(&mut Target) -> T) -> T {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get_mut(address) {
            return look(target);
        }
        look(targets.entry(address.to_owned()).or_insert_with(|| Target {
            way: Arc::new(Way::new(address.to_owned(), Arc::clone(&self.ways))),
            reach: Arc::new(Reach::new()),
            lanes: HashMap::new(),
        }))
    }

    /// The channel to an address. Cheap; connects when first used, within the back-off.
    pub fn channel(&self, address: &str, lane: Lane) -> Channel {
        let key = self.roll.key_at(address);
        self.target(address, |target| {
            if let Some((asked, channel)) = target.lanes.get(&lane)
                && *asked == key
            {
                return channel.clone();
            }
            let (way, reach) = (Arc::clone(&target.way), Arc::clone(&target.reach));
            let channel = open(self.door.clone(), way, Some(reach), key);
            target.lanes.insert(lane, (key, channel.clone()));
            channel
        })
    }

    /// A connection of its own to a node with this key, if one is known; dialled at once, connects when first used.
    pub fn aside(&self, address: &str, key: Option<NodeKey>) -> Channel {
        let way = Arc::new(Way::new(address.to_owned(), Arc::clone(&self.ways)));
        open(self.door.clone(), way, None, key)
    }

    /// When an address may be dialled.
    pub fn reach(&self, address: &str) -> Arc<Reach> {
        self.target(address, |target| Arc::clone(&target.reach))
    }

    /// The same, if the address was ever dialled.
    pub fn known(&self, address: &str) -> Option<Arc<Reach>> {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.get(address).map(|target| Arc::clone(&target.reach))
    }
}

/// A channel to a node that has to prove this key, if one is known.
fn open(door: Door, way: Arc<Way>, reach: Option<Arc<Reach>>, key: Option<NodeKey>) -> Channel {
    // The URI only fills the authority header: the connector dials the address itself.
    Endpoint::from_static("http://acefleet.cluster")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(service_fn(move |_: Uri| {
            let (door, way, reach) = (door.clone(), Arc::clone(&way), reach.clone());
            async move {
                if let Some(reach) = &reach {
                    reach.enter().await.map_err(DialError::Waits)?;
                }
                let connected = async { door.enter(way.dial().await?, way.dial(), key).await };
                match connected.await {
                    Ok(stream) => Ok(TokioIo::new(stream)),
                    Err(error) => {
                        let error = DialError::Failed(error);
                        if let Some(reach) = &reach {
                            reach.failed(&error);
                        }
                        Err(error)
                    }
                }
            }
        }))
}
