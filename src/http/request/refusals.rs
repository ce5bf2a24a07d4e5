//! Callers that are not let in: all are counted, and the log tells of them once a minute at the most, for each reason and kind of address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use acefleet_raft::Seldom;
use acefleet_registry::KeyName;
use prometheus::{IntCounterVec, Opts, Registry};
use strum::{IntoStaticStr, VariantArray};

use crate::http::counters::register;

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Reason {
    /// It shows no key.
    NoKey,
    /// Nobody has its key.
    WrongKey,
    /// Its key has ended.
    EndedKey,
    /// Its session is over.
    EndedSession,
    /// Its key is good for something else.
    Role,
    /// It shows one wrong key after another.
    ManyKeys,
    /// It calls too often.
    ManyCalls,
    /// A page of another site calls an open node, or by a name that is none of its own.
    ForeignPage,
    /// It calls without TLS from another host.
    NoTls,
}

/// From where a caller comes, as far as it matters to who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum Place {
    /// The host of the node.
    Host,
    /// A private network.
    Private,
    /// Anywhere else.
    Elsewhere,
}

impl Place {
    fn of(address: Option<IpAddr>) -> Self {
        match address {
            Some(address) if address.is_loopback() => Self::Host,
            Some(IpAddr::V4(v4)) if v4.is_private() || v4.is_link_local() => Self::Private,
            Some(IpAddr::V6(v6)) if v6.is_unique_local() || v6.is_unicast_link_local() => Self::Private,
            _ => Self::Elsewhere,
        }
    }
}

/// Counts of this process.
pub(crate) struct Refusals {
    counts: IntCounterVec,
    /// There are as many as reasons and kinds of addresses.
    lines: Mutex<HashMap<(Reason, Place), Seldom>>,
}

impl Refusals {
    /// At zero.
    pub fn new(registry: &Registry) -> Self {
        let opts = Opts::new(
            "acefleet_callers_refused_total",
            "Calls to this node that were not let in, by the reason",
        );
        let counts = register(registry, IntCounterVec::new(opts, &["reason"]));
        for reason in Reason::VARIANTS {
            counts.with_label_values(&[<&str>::from(reason)]);
        }
        Self { counts, lines: Mutex::default() }
    }

    /// One of them, at this route. `key` is the name of the key that it showed.
    pub fn note(&self, reason: Reason, from: Option<IpAddr>, route: &str, key: Option<&KeyName>) {
        let word: &str = reason.into();
        self.counts.with_label_values(&[word]).inc();
        let place = Place::of(from);
        let due = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.entry((reason, place)).or_default().due()
        };
        let Some(times) = due else { return };
        let (from, key) = (from.map(tracing::field::display), key.map(tracing::field::display));
        let from_kind: &str = place.into();
        tracing::warn!(
            reason = word,
            from_kind,
            times,
            from,
            route,
            key,
            "callers are not let in; this is the newest of them, and the next line comes in a minute at the earliest"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_few_are_told() {
        let refusals = Refusals::new(&Registry::new());
        let count = |reason: Reason| refusals.counts.with_label_values(&[<&str>::from(reason)]).get();
        assert!(Reason::VARIANTS.iter().all(|reason| count(*reason) == 0));
        for host in 0..200_u8 {
            let address = IpAddr::from([203, 0, 113, host]);
            refusals.note(Reason::WrongKey, Some(address), "/gc", None);
        }
        refusals.note(Reason::WrongKey, Some(IpAddr::from([10, 0, 0, 1])), "/gc", None);
        refusals.note(Reason::WrongKey, None, "/gc", None);
        assert_eq!((count(Reason::WrongKey), count(Reason::Role)), (202, 0));
        assert_eq!(refusals.lines.lock().unwrap().len(), 2, "addresses take no memory");
    }

    #[test]
    fn places_are_told_apart_by_families_alike() {
        let of = |text: &str| Place::of(Some(text.parse().unwrap()));
        for text in ["127.0.0.1", "::1"] {
            assert_eq!(of(text), Place::Host);
        }
        for text in ["10.1.2.3", "192.168.1.1", "172.16.0.9", "169.254.0.1", "fd00::1", "fe80::1"] {
            assert_eq!(of(text), Place::Private);
        }
        for text in ["203.0.113.9", "2001:db8::1", "100.64.0.1"] {
            assert_eq!(of(text), Place::Elsewhere);
        }
    }
}
