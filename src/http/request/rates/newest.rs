//! What limits remember: of the newest callers, so that memory is bounded whoever calls.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;
use lru::LruCache;

/// The state of a limit for each of the callers that came last. Who is forgotten begins anew, which lets in and keeps nobody out.
pub(super) struct Newest<K: Hash + Eq>(Mutex<LruCache<K, Nanos>>);

impl<K: Hash + Eq> Newest<K> {
    /// Room for so many callers.
    pub fn of(room: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(room)))
    }
}

impl<K: Hash + Eq + Clone> StateStore for Newest<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Each change of it is complete before anything can panic.
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, state) = judge(states.get(key).copied())?;
        states.put(key.clone(), state);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_callers_are_remembered() {
        let newest = Newest::of(NonZeroUsize::MIN.saturating_add(1));
        let seen = |key: u32| {
            newest.measure_and_replace(&key, |before| Ok::<_, ()>((before.is_some(), Nanos::new(7)))).unwrap()
        };
        assert_eq!([seen(1), seen(2), seen(1), seen(3)], [false, false, true, false]);
        assert_eq!([seen(1), seen(2)], [true, false], "the one that was away for longest is forgotten");
        for key in 0..10_000 {
            seen(key);
        }
        assert_eq!(newest.0.lock().unwrap().len(), 2);
    }
}
