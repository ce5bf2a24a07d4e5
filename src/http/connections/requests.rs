//! Requests of HTTP/2 that are open at once, on all connections together.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acefleet_raft::Seldom;

use crate::http::connections::seats::{Full, Seats};

/// Those that are open.
pub(super) struct Requests(Mutex<Open>);

struct Open {
    seats: Seats,
    refused: Seldom,
}

/// One that is open, until this is dropped.
pub(super) struct Place {
    requests: Arc<Requests>,
    from: Option<IpAddr>,
}

impl Requests {
    /// So many at the most.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Open { seats: Seats::new(max), refused: Seldom::default() })))
    }

    /// A place for a request from this address; none for one that is not limited. Says now and then that there is none.
    pub fn open(self: &Arc<Self>, from: Option<IpAddr>) -> Option<Place> {
        let mut open = self.lock();
        let Err(full) = open.seats.take(from) else {
            return Some(Place { requests: Arc::clone(self), from });
        };
        let times = open.refused.due();
        drop(open);
        if let Some(times) = times {
            match full {
                Full::Of(from, most) => {
                    tracing::warn!(%from, most, times, "requests over HTTP/2 are refused: this address has as many open as it may");
                }
                Full::All => {
                    tracing::warn!(
                        times,
                        "requests over HTTP/2 are refused: as many are open as this node can bear"
                    );
                }
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.requests.lock().seats.leave(self.from);
    }
}
