//! How often callers may call: many more times than programs do that work as they should. A right key is always let in, whatever others
//! show from the same address. Each node counts by itself, and remembers the newest callers.
//!
//! - [`pace`]: which operations are limited
//! - [`newest`]: what is remembered

mod newest;
pub(crate) mod pace;

use std::hash::Hash;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use acefleet_registry::{Credential, KeyHash, KeyName};
use axum::http::StatusCode;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::{NotUntil, Quota, RateLimiter};
use lru::LruCache;

use crate::fleet::{self, Code};
use crate::http::answer::code::BlockedKind;
use crate::http::answer::problem::{Blocked, Problem};
use crate::http::request::rates::newest::Newest;
use crate::http::request::rates::pace::Pace;
use crate::http::request::refusals::Reason;

const fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("limits are not zero")
}

/// Addresses that are remembered.
const ADDRESSES: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");
/// Wrong keys that are remembered, each with the address that showed it.
const WRONG_KEYS: NonZeroUsize = NonZeroUsize::new(8_192).expect("it is not zero");
/// Keys that are remembered: as many as there may be, and as many that were revoked.
const KEYS: NonZeroUsize = NonZeroUsize::new(128).expect("it is not zero");

/// Changes of one address, each second and at once.
const CHANGES: (NonZeroU32, NonZeroU32) = (number(10), number(300));
/// Starts for players of one address. After an outage hundreds of players come at once, and a proxy asks three times for each.
const STARTS: (NonZeroU32, NonZeroU32) = (number(100), number(1_000));
/// One key may so many times more than one address, so that no program uses up what others do with the same key.
const KEY_TO_ADDRESS: NonZeroU32 = number(4);
/// Different wrong keys of one address, each minute and at once.
const GUESSES: NonZeroU32 = number(10);

/// Which callers are known to a limit, with how much of it each has used.
type Limiter<K, C> = RateLimiter<K, Newest<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The limits of this node.
pub(crate) struct Rates<C: Clock = MonotonicClock> {
    /// None when they are switched off.
    limits: Option<Limits<C>>,
}

struct Limits<C: Clock> {
    changes: Shared<C>,
    starts: Shared<C>,
    guesses: Limiter<IpAddr, C>,
    /// By the beginnings of their hashes. A key that comes again is no guess.
    wrong_keys: Mutex<LruCache<(IpAddr, [u8; 8]), ()>>,
    clock: C,
}

/// A limit for each address, and one for each key; the key of the cluster has no name.
struct Shared<C: Clock> {
    addresses: Limiter<IpAddr, C>,
    keys: Limiter<Option<KeyName>, C>,
}

/// A caller comes too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// What it does too often.
    pub what: Reason,
    /// Whole seconds until it may again.
    pub wait_s: u64,
}

impl<C: Clock + Clone> Rates<C> {
    /// Limits of so many times the usual; none with 0.
    pub fn new(times: u32, clock: C) -> Self {
        let limits = NonZeroU32::new(times).map(|times| Limits {
            changes: Shared::new(CHANGES, times, &clock),
            starts: Shared::new(STARTS, times, &clock),
            guesses: limiter(Quota::per_minute(GUESSES.saturating_mul(times)), ADDRESSES, &clock),
            wrong_keys: Mutex::new(LruCache::new(WRONG_KEYS)),
            clock,
        });
        Self { limits }
    }

    /// Counts a call from this address, which is none of those that are not counted, by a caller that has shown this.
    ///
    /// # Errors
    /// When it comes too often. It does not count then.
    pub fn call(&self, pace: Pace, from: Option<IpAddr>, shown: Option<&Credential>) -> Result<(), TooMany> {
        let Some(limits) = &self.limits else { return Ok(()) };
        let (shared, cost) = match pace {
            Pace::Free => return Ok(()),
            Pace::Start => (&limits.starts, NonZeroU32::MIN),
            Pace::Changes(cost) => (&limits.changes, cost),
        };
        let key = match shown {
            // Whoever has it is on this host, and may have to stop what others do.
            Some(Credential::HostToken) => return Ok(()),
            Some(Credential::ApiKey) => Some(None),
            Some(Credential::Named(name)) => Some(Some(name.clone())),
            // All users of a proxy would have one limit.
            Some(Credential::User(_) | Credential::Nothing) | None => None,
        };
        let late = |wait: Duration| TooMany { what: Reason::ManyCalls, wait_s: whole_seconds(wait) };
        if let Some(from) = from {
            limits.take(&shared.addresses, &from, cost).map_err(late)?;
        }
        key.map_or(Ok(()), |key| limits.take(&shared.keys, &key, cost)).map_err(late)
    }

    /// Counts wrong keys that this address shows; those that it has shown before do not count.
    ///
    /// # Errors
    /// When it has shown too many different ones.
    pub fn guess(
        &self,
        from: Option<IpAddr>,
        shown: impl IntoIterator<Item = KeyHash>,
    ) -> Result<(), TooMany> {
        let (Some(limits), Some(from)) = (&self.limits, from) else { return Ok(()) };
        for hash in shown {
            let [beginning, ..] = hash.0.as_chunks().0 else { continue };
            let known = (from, *beginning);
            // Each change of it is complete before anything can panic.
            let wrong_keys = || limits.wrong_keys.lock().unwrap_or_else(PoisonError::into_inner);
            if wrong_keys().get(&known).is_some() {
                continue;
            }
            let taken = limits.take(&limits.guesses, &from, NonZeroU32::MIN);
            taken.map_err(|wait| TooMany { what: Reason::ManyKeys, wait_s: whole_seconds(wait) })?;
            wrong_keys().put(known, ());
        }
        Ok(())
    }
}

impl<C: Clock> Limits<C> {
    /// Takes so much of the limit of a caller; else says how long that one has to wait.
    fn take<K: Hash + Eq + Clone>(
        &self,
        of: &Limiter<K, C>,
        key: &K,
        cost: NonZeroU32,
    ) -> Result<(), Duration> {
        let wait = |until: NotUntil<C::Instant>| until.wait_time_from(self.clock.now());
        // All costs are less than what is allowed at once, as a test shows.
        of.check_key_n(key, cost).unwrap_or(Ok(())).map_err(wait)
    }
}

impl<C: Clock + Clone> Shared<C> {
    fn new((each_second, at_once): (NonZeroU32, NonZeroU32), times: NonZeroU32, clock: &C) -> Self {
        let quota = |times: NonZeroU32| {
            Quota::per_second(each_second.saturating_mul(times)).allow_burst(at_once.saturating_mul(times))
        };
        Self {
            addresses: limiter(quota(times), ADDRESSES, clock),
            keys: limiter(quota(times.saturating_mul(KEY_TO_ADDRESS)), KEYS, clock),
        }
    }
}

fn limiter<K: Hash + Eq + Clone, C: Clock + Clone>(
    quota: Quota,
    room: NonZeroUsize,
    clock: &C,
) -> Limiter<K, C> {
    RateLimiter::new(quota, Newest::of(room), clock.clone())
}

/// Who comes back after so many seconds is let in.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl From<TooMany> for Problem {
    fn from(TooMany { what, wait_s }: TooMany) -> Self {
        let message = match what {
            Reason::ManyKeys => format!(
                "too many different wrong keys came from this address: try the next one in {wait_s} s; a right key is always let in"
            ),
            _ => format!(
                "too many such calls came from this address or with this key: go on in {wait_s} s; ACEFLEET_RATE_FACTOR raises the limit"
            ),
        };
        let blocked = fleet::Blocked::new(Code::RateLimited, message);
        let blocked = fleet::Blocked { eta_s: Some(wait_s), ..blocked };
        Self::blocked(StatusCode::TOO_MANY_REQUESTS, Blocked::of(BlockedKind::RequestBlocked, blocked))
    }
}

#[cfg(test)]
mod tests;
