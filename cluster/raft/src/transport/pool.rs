//! Long-lived connections to peers, made on first use and made again when they break.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::{CONNECTION_WINDOW, STREAM_WINDOW, tls};

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

/// The connection could not be made: nothing of the request left this node.
#[derive(Debug)]
pub(super) struct DialError(io::Error);

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect: {}", self.0)
    }
}

impl Error for DialError {}

/// Whether the cause of this error is that there was no connection.
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

/// Channels by address and lane.
#[derive(Debug, Default)]
pub(super) struct Pool {
    channels: Mutex<HashMap<(String, Lane), Channel>>,
}

impl Pool {
    /// The channel to an address. Cheap; connects when first used.
    pub fn channel(&self, address: &str, lane: Lane) -> Channel {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry((address.to_owned(), lane)).or_insert_with(|| open(address.to_owned())).clone()
    }
}

/// A connection of its own; connects when first used.
pub(super) fn open(address: String) -> Channel {
    // The URI only fills the authority header: the connector dials `address` itself.
    Endpoint::from_static("http://acefleet.cluster")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(service_fn(move |_: Uri| {
            let address = address.clone();
            async move {
                match tls::dial(&address).await {
                    Ok(stream) => Ok(TokioIo::new(stream)),
                    Err(error) => Err(DialError(error)),
                }
            }
        }))
}
