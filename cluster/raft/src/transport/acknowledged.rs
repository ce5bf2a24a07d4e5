//! The highest log index that may have been acknowledged, as this node knows it. A leader tells its followers, who derive the
//! age of their data from it: the commit index in a request may be older than the request.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Acknowledged(AtomicU64);

impl Acknowledged {
    /// Call before anybody is told that this index is committed.
    pub fn raise(&self, index: u64) {
        self.0.fetch_max(index, Ordering::SeqCst);
    }

    /// No higher index was told before this call.
    pub fn newest(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
