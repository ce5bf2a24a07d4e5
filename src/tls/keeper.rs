//! The pair in use. Handshakes take it, and a new one counts from the next handshake on.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Pair;

/// The pair in use.
pub struct Keeper(ArcSwap<Pair>);

impl Keeper {
    /// With its first pair.
    #[must_use]
    pub fn new(pair: Pair) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(pair)))
    }

    /// Seconds since 1970 until which the certificate in use counts.
    #[must_use]
    pub fn until(&self) -> i64 {
        self.0.load().until
    }

    /// The pair in use.
    pub(super) fn pair(&self) -> Arc<Pair> {
        self.0.load_full()
    }

    /// Another one from now on. Open connections go on with theirs.
    pub(super) fn take(&self, pair: Pair) {
        self.0.store(Arc::new(pair));
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("until", &self.until()).finish()
    }
}

impl ResolvesServerCert for Keeper {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}
