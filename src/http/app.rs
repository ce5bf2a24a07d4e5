//! The state that all handlers share.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::{Elapsed, WallMs};
use axum::http::HeaderValue;
use governor::clock::MonotonicClock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Secret;
use crate::fleet::Fleet;
use crate::http::answer::rendered::Rendered;
use crate::http::counters::Counters;
use crate::http::feed::hub::Feed;
use crate::http::request::auth::Guard;
use crate::http::request::body::Bodies;
use crate::http::request::rates::Rates;
use crate::http::request::refusals::Refusals;
use crate::tls::Tls;

/// How long a value of this node's age is used.
const AGE_GOOD_FOR: Duration = Duration::from_millis(100);

/// Those who follow logs through this node at once. Each may hold one answer of another node.
const FOLLOWERS_MAX: usize = 128;

/// The state of the API: the fleet, the key, rendered answers and counters of requests.
#[derive(Clone)]
pub(crate) struct App {
    inner: Arc<Inner>,
}

struct Inner {
    fleet: Fleet,
    key: Guard,
    refusals: Refusals,
    rates: Rates,
    bodies: Bodies,
    rendered: Rendered,
    counters: Counters,
    feed: Feed,
    age: Mutex<Option<(Instant, HeaderValue)>>,
    /// Room for those who follow a log.
    followers: Arc<Semaphore>,
    /// Set before the first request, if at all.
    tls: OnceLock<Tls>,
}

impl App {
    pub fn new(fleet: Fleet, token: Option<&Secret>) -> Self {
        let key = Guard::new(fleet.clone(), token);
        let counters = Counters::new(fleet.view().state.events());
        let (bodies, rendered, feed, age, tls) = Default::default();
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        let refusals = Refusals::new(counters.registry());
        let rates = Rates::new(fleet.config().rate_factor, MonotonicClock);
        let inner =
            Inner { fleet, key, refusals, rates, bodies, rendered, counters, feed, age, followers, tls };
        Self { inner: Arc::new(inner) }
    }

    pub fn fleet(&self) -> &Fleet {
        &self.inner.fleet
    }

    pub fn key(&self) -> &Guard {
        &self.inner.key
    }

    pub fn refusals(&self) -> &Refusals {
        &self.inner.refusals
    }

    pub fn rates(&self) -> &Rates {
        &self.inner.rates
    }

    pub fn bodies(&self) -> &Bodies {
        &self.inner.bodies
    }

    pub fn rendered(&self) -> &Rendered {
        &self.inner.rendered
    }

    pub fn set_tls(&self, tls: Option<Tls>) {
        if let Some(tls) = tls {
            self.inner.tls.get_or_init(|| tls);
        }
    }

    pub fn tls(&self) -> Option<&Tls> {
        self.inner.tls.get()
    }

    pub fn feed(&self) -> &Feed {
        &self.inner.feed
    }

    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// A place among those who follow a log through this node; none when there are too many.
    pub fn follower(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.followers).try_acquire_owned().ok()
    }

    /// Whether there has been no leader for longer than an election takes.
    pub fn is_leaderless(&self) -> bool {
        self.inner.fleet.is_leaderless()
    }

    /// The time of day at a moment, as the newest state has it.
    pub fn shown(&self, at: Elapsed) -> WallMs {
        self.inner.fleet.cluster().wall_of(&self.inner.fleet.view().state, at)
    }

    /// Whether this node knows a leader.
    pub fn has_leader(&self) -> bool {
        self.inner.fleet.has_leader()
    }

    /// How old this node's answers may be, in milliseconds, for `X-Acefleet-Age-Ms`. Computed at most ten times a second.
    pub fn age(&self) -> HeaderValue {
        let now = Instant::now();
        // A panic elsewhere leaves a number and a time that are still consistent.
        let mut age = self.inner.age.lock().unwrap_or_else(PoisonError::into_inner);
        match &*age {
            Some((at, said)) if now.saturating_duration_since(*at) < AGE_GOOD_FOR => said.clone(),
            _ => {
                let said = HeaderValue::from(self.inner.fleet.cluster().status().staleness_ms);
                *age = Some((now, said.clone()));
                said
            }
        }
    }
}
