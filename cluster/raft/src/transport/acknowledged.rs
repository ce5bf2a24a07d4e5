//! How far writes may have been acknowledged, as far as this node knows. A leader tells its followers, who count the age of
//! their data from it: what openraft puts into a request may be older than the request.

use std::sync::atomic::{AtomicU64, Ordering};

/// The highest log index of which somebody may know that it is written.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged(AtomicU64);

impl Acknowledged {
    /// Somebody is about to be told that this index is committed.
    pub fn raise(&self, index: u64) {
        self.0.fetch_max(index, Ordering::SeqCst);
    }

    /// No higher index had been told to anybody when this was called.
    pub fn newest(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
