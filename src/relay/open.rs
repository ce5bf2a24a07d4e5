//! Connections that are open, and when each last moved something: at a stop, those that rest need no time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    began: Instant,
    /// Milliseconds from the beginning to the last byte that moved.
    moved_ms: AtomicU64,
    /// Resets it.
    pub stop: CancellationToken,
}

impl Connection {
    /// Notes that bytes move now.
    pub fn moves(&self) {
        self.moved_ms.store(millis(self.began.elapsed()), Relaxed);
    }

    fn rests_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.moved_ms.load(Relaxed)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// All connections of a relay.
#[derive(Debug, Default)]
pub struct Open {
    last: AtomicU64,
    all: Mutex<BTreeMap<u64, Arc<Connection>>>,
}

impl Open {
    /// A new one, which ends with `stop`. It counts as open until what is returned is dropped.
    pub fn add(self: &Arc<Self>, stop: &CancellationToken) -> Held {
        let connection = Arc::new(Connection {
            began: Instant::now(),
            moved_ms: AtomicU64::new(0),
            stop: stop.child_token(),
        });
        let id = self.last.fetch_add(1, Relaxed);
        self.locked(|all| all.insert(id, Arc::clone(&connection)));
        Held { id, connection, of: Arc::clone(self) }
    }

    /// How many are open and have not been told to end.
    pub fn count(&self) -> usize {
        self.locked(|all| all.values().filter(|one| !one.stop.is_cancelled()).count())
    }

    /// Resets those on which nothing has moved for so long. Returns how many.
    pub fn reset_resting(&self, rest: Duration) -> usize {
        let resting: Vec<_> = self.locked(|all| {
            let resting = all.values().filter(|one| one.rests_for() >= rest && !one.stop.is_cancelled());
            resting.cloned().collect()
        });
        for connection in &resting {
            connection.stop.cancel();
        }
        resting.len()
    }

    fn locked<T>(&self, work: impl FnOnce(&mut BTreeMap<u64, Arc<Connection>>) -> T) -> T {
        work(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps a connection among the open ones.
#[derive(Debug)]
pub struct Held {
    id: u64,
    /// The connection.
    pub connection: Arc<Connection>,
    of: Arc<Open>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.locked(|all| all.remove(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn only_what_rests_is_reset_and_once() {
        let (open, port) = (Arc::<Open>::default(), CancellationToken::new());
        let (resting, moving) = (open.add(&port), open.add(&port));
        assert_eq!((open.count(), open.reset_resting(LONG)), (2, 0));
        std::thread::sleep(Duration::from_millis(20));
        moving.connection.moves();
        assert_eq!(open.reset_resting(Duration::from_millis(20)), 1);
        assert!(resting.connection.stop.is_cancelled() && !moving.connection.stop.is_cancelled());
        assert_eq!((open.count(), open.reset_resting(Duration::ZERO)), (1, 1));
        assert_eq!(open.reset_resting(Duration::ZERO), 0);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let (open, port) = (Arc::<Open>::default(), CancellationToken::new());
        drop(open.add(&port));
        assert!(open.locked(|all| all.is_empty()));
    }
}
