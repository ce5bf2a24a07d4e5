//! Answers to reads, rendered once for each state. They are stored under the canonical path and parameters, so that a request in this form
//! gets its bytes without parsing. Other spellings lead to the same answer.
//!
//! Rendering happens outside the lock: two requests may render the same answer, but none waits for another. Long lists are rendered
//! one at a time, outside the threads that carry the cluster's messages.

use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use acefleet_registry::{Elapsed, NodeId, WallMs};
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::fleet::foresee::Listing;
use crate::http::answer::cors;
use crate::http::answer::headers::{AGE, BY_KEY, JSON, REVALIDATE, REVISION};
use crate::http::answer::packed::{self, BY_ENCODING, GZIP, PACKED_FROM};
use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::counters::Hits;
use crate::http::observe;

/// Answers for one state at the most.
const PAGES_MAX: usize = 4_096;
/// Bytes of answers for one state at the most.
const BYTES_MAX: usize = 32 << 20;
/// Bytes of all answers that are stored or being sent, with compressed copies. A slow client holds its answer.
const LIVE_MAX: usize = 128 << 20;
/// Longest path and parameters of a stored answer.
const TARGET_MAX: usize = 512;
/// Entries of a list that takes about a millisecond to render. Longer ones would delay heartbeats.
pub(crate) const SHORT: usize = 500;
/// The same in bytes of the records, for entries of very different size.
pub(crate) const SHORT_BYTES: u64 = 1 << 20;

/// The state that answers depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    /// Revision of the registry.
    pub revision: u64,
    /// Epoch of the soft state.
    pub epoch: u64,
    /// Suspect nodes, by id.
    pub silent: Vec<NodeId>,
    /// Whether the cluster has no leader, as far as this node knows.
    pub is_leaderless: bool,
}

/// The time that some answers depend on as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    second: u64,
}

impl Moment {
    /// The second of the time of day.
    pub fn at(now: WallMs) -> Self {
        Self { second: now.0 / 1000 }
    }
}

/// A rendered body, and where the rest of a list is.
pub(crate) struct Page {
    /// JSON.
    pub body: Vec<u8>,
    /// `Link` to the next page, if there is one.
    pub next: Option<HeaderValue>,
    /// The moment from which on it is another, although nothing is written.
    pub until: Option<Elapsed>,
    /// Whether callers with the key get another one.
    pub by_key: bool,
    /// The engines in it, if it is the list that clients choose from.
    pub listing: Option<Arc<Listing>>,
}

impl From<Vec<u8>> for Page {
    fn from(body: Vec<u8>) -> Self {
        Self { body, next: None, until: None, by_key: false, listing: None }
    }
}

/// Counts the bytes of answers from their rendering until the last client has them.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    bytes: Arc<AtomicUsize>,
    max: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self::of(LIVE_MAX)
    }
}

impl Live {
    /// Room for so many bytes. What is rendered last may exceed it.
    pub fn of(max: usize) -> Self {
        Self { bytes: Arc::default(), max }
    }

    /// Refuses to render more while slow clients hold too much.
    ///
    /// # Errors
    /// 503: retry.
    pub fn room(&self) -> Result<(), Problem> {
        match self.bytes.load(Ordering::Relaxed) >= self.max {
            true => Err(Problem::busy(
                "this node holds as many bytes of unread answers as it can: read faster, or ask later",
            )),
            false => Ok(()),
        }
    }

    /// Counts these bytes until the last clone of them is dropped.
    pub fn hold(&self, bytes: impl Into<Bytes>) -> Bytes {
        let bytes = bytes.into();
        self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Held { bytes, live: self.clone() })
    }
}

struct Held {
    bytes: Bytes,
    live: Live,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.live.bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// An answer for all clients, with or without a key.
#[derive(Debug)]
pub(crate) struct Rendering {
    body: Bytes,
    live: Live,
    /// The compressed copy, made for the first client that accepts it.
    packed: OnceLock<Bytes>,
    /// Strong tag: the quoted hash of the body, one for each copy.
    etag: HeaderValue,
    packed_etag: HeaderValue,
    /// All headers of a 200; some are replaced in each answer.
    headers: HeaderMap,
    /// The time that it depends on, if it does.
    pub moment: Option<Moment>,
    until: Option<Elapsed>,
    /// Whether callers with the key get another one.
    pub by_key: bool,
    listing: Option<Arc<Listing>>,
    /// Counts its answers.
    pub hits: Hits,
}

impl Rendering {
    /// Makes an answer from a body. `revision` is that of its state.
    pub fn new(page: impl Into<Page>, revision: u64, hits: Hits, live: &Live) -> Self {
        let Page { body, next, until, by_key, listing } = page.into();
        let hash = Sha256::digest(&body);
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let tag = |end: &str| {
            HeaderValue::from_str(&format!("\"{hex}{end}\"")).unwrap_or(HeaderValue::from_static("\"\""))
        };
        let (etag, packed_etag) = (tag(""), tag("-gzip"));
        let nothing = HeaderValue::from_static("");
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, JSON),
            (ETAG, etag.clone()),
            (REVISION, HeaderValue::from(revision)),
            (AGE, nothing.clone()),
            (CACHE_CONTROL, REVALIDATE),
            (observe::REQUEST_ID, nothing),
        ]);
        headers.extend(next.map(|next| (LINK, next)));
        cors::mark(&mut headers);
        if body.len() >= PACKED_FROM {
            headers.insert(VARY, BY_ENCODING);
        }
        if by_key {
            headers.append(VARY, BY_KEY);
        }
        let (body, packed, live) = (live.hold(body), OnceLock::new(), live.clone());
        Self { body, live, packed, etag, packed_etag, headers, moment: None, until, by_key, listing, hits }
    }

    /// Whether it is another by now, although nothing was written.
    pub fn is_over(&self, now: impl FnOnce() -> Elapsed) -> bool {
        self.until.is_some_and(|until| until <= now())
    }

    /// Notes that a caller gets the list that clients choose from. Those that follow it have a tag.
    pub fn note_reader(&self, app: &App, asked: &HeaderMap, from: impl FnOnce() -> Option<IpAddr>) {
        if let Some(listing) = &self.listing
            && !asked.contains_key(IF_NONE_MATCH)
            && let Some(from) = from()
        {
            app.fleet().foresee_list(from, listing);
        }
    }

    /// Whether the client wants a compressed copy that does not exist yet.
    pub fn wants_packing(&self, asked: &HeaderMap) -> bool {
        self.body.len() >= PACKED_FROM && self.packed.get().is_none() && packed::is_accepted(asked)
    }

    /// Makes the compressed copy, once.
    pub fn pack(&self) {
        self.packed.get_or_init(|| self.live.hold(packed::pack(&self.body)));
    }

    /// The answer to a request with these headers: 304 if the client has it.
    pub fn answer(&self, asked: &HeaderMap, age: HeaderValue) -> Response<Full<Bytes>> {
        let packed = self.packed.get().filter(|_| packed::is_accepted(asked));
        let known = asked
            .get(IF_NONE_MATCH)
            .is_some_and(|known| matches(known, &self.etag) || matches(known, &self.packed_etag));
        let mut response = Response::new(Full::default());
        let mut headers = self.headers.clone();
        headers.insert(AGE, age);
        if packed.is_some() {
            headers.insert(ETAG, self.packed_etag.clone());
        }
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            headers.remove(CONTENT_TYPE);
        } else {
            if packed.is_some() {
                headers.insert(CONTENT_ENCODING, GZIP);
            }
            *response.body_mut() = Full::new(packed.unwrap_or(&self.body).clone());
        }
        *response.headers_mut() = headers;
        response
    }
}

/// Whether a list of entity tags names this one.
fn matches(list: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(list), Ok(etag)) = (list.to_str(), etag.to_str()) else { return false };
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[derive(Default)]
struct Pages {
    key: Key,
    pages: HashMap<Box<str>, Arc<Rendering>>,
    bytes: usize,
}

/// Rendered answers of the newest state, by canonical path and parameters.
#[derive(Default)]
pub(crate) struct Rendered {
    pages: RwLock<Pages>,
    /// Held while a long list is rendered.
    long: Arc<Mutex<()>>,
    live: Live,
}

impl Rendered {
    /// Bytes of all answers that are stored or being sent.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Refuses to render more while slow clients hold too much.
    ///
    /// # Errors
    /// 503: retry.
    pub fn room(&self) -> Result<(), Problem> {
        self.live.room()
    }

    /// Waits until no other long list is being rendered.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.long).lock_owned().await
    }

    /// The stored answer for this state.
    pub fn find(&self, key: &Key, target: &str) -> Option<Arc<Rendering>> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        if pages.key == *key { pages.pages.get(target).cloned() } else { None }
    }

    /// Stores an answer, unless there are answers for a newer state.
    pub fn keep(&self, key: &Key, target: &str, rendering: &Arc<Rendering>) {
        let size = target.len() + rendering.body.len();
        let mut old = Pages::default();
        {
            let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
            if pages.key != *key {
                if (key.revision, key.epoch) < (pages.key.revision, pages.key.epoch) {
                    return;
                }
                old = mem::replace(&mut *pages, Pages { key: key.clone(), ..Pages::default() });
            }
            let fits = pages.pages.len() < PAGES_MAX && pages.bytes + size <= BYTES_MAX;
            if target.len() <= TARGET_MAX && (fits || pages.pages.contains_key(target)) {
                pages.bytes += size;
                if let Some(before) = pages.pages.insert(target.into(), Arc::clone(rendering)) {
                    pages.bytes = pages.bytes.saturating_sub(target.len() + before.body.len());
                }
            }
        }
        // Outside the lock: freeing thousands of answers takes a while.
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use acefleet_registry::event::EventLog;
    use axum::http::header::ACCEPT_ENCODING;

    use super::*;
    use crate::http::counters::Counters;

    fn key(revision: u64, epoch: u64) -> Key {
        Key { revision, epoch, silent: Vec::new(), is_leaderless: false }
    }

    fn rendering(body: &str) -> Arc<Rendering> {
        let hits = Counters::new(&EventLog::default()).hits("/engines");
        Arc::new(Rendering::new(body.as_bytes().to_vec(), 7, hits, &Live::default()))
    }

    #[test]
    fn a_page_is_found_for_its_state_alone() {
        let rendered = Rendered::default();
        for (state, kept) in
            [(key(1, 1), true), (key(1, 2), true), (key(2, 2), true), (key(1, 1), false), (key(2, 1), false)]
        {
            rendered.keep(&state, "/engines", &rendering("[]"));
            assert_eq!(rendered.find(&state, "/engines").is_some(), kept, "{state:?}");
            assert!(rendered.find(&state, "/streams").is_none());
        }
        let silent = Key { silent: vec![NodeId(1)], ..key(2, 2) };
        assert!(rendered.find(&silent, "/engines").is_none());
        assert!(rendered.find(&key(2, 2), "/engines").is_some());
    }

    #[test]
    fn stored_answers_are_bounded() {
        let rendered = Rendered::default();
        let small = rendering("{}");
        for id in 0..PAGES_MAX + 10 {
            rendered.keep(&key(1, 1), &format!("/engines/{id:04}"), &small);
        }
        let pages = |rendered: &Rendered| {
            let pages = rendered.pages.read().unwrap();
            (pages.pages.len(), pages.bytes)
        };
        assert_eq!(pages(&rendered), (PAGES_MAX, 15 * PAGES_MAX));
        // A stored one is replaced, and counts once.
        rendered.keep(&key(1, 1), "/engines/0000", &rendering("[0]"));
        assert_eq!(pages(&rendered), (PAGES_MAX, 15 * PAGES_MAX + 1));
        rendered.keep(&key(2, 1), &"x".repeat(TARGET_MAX + 1), &small);
        rendered.keep(&key(2, 1), "/streams", &rendering(&" ".repeat(BYTES_MAX)));
        assert_eq!(pages(&rendered), (0, 0));
    }

    #[test]
    fn an_answer_counts_until_the_last_client_has_it() {
        let rendered = Rendered::default();
        let hits = Counters::new(&EventLog::default()).hits("/streams");
        let list = Rendering::new(vec![b' '; LIVE_MAX], 7, hits, rendered.live());
        list.pack();
        let answer = list.answer(&HeaderMap::new(), HeaderValue::from(5));
        drop(list);
        assert!(rendered.room().is_err(), "a reader holds it");
        drop(answer);
        assert!(rendered.room().is_ok());
        let small = Live::of(4);
        let held = small.hold(vec![0; 5]);
        assert!(small.room().is_err() && rendered.room().is_ok(), "each has its own limit");
        drop(held);
        assert!(small.room().is_ok());
        assert_eq!(rendered.live().bytes.load(Ordering::Relaxed), 0, "the packed copy went with it");
    }

    #[test]
    fn clients_that_have_the_answer_get_no_body() {
        let page = rendering("[]");
        assert_eq!(page.etag, rendering("[]").etag);
        assert_ne!(page.etag, rendering("[1]").etag);
        let mut asked = HeaderMap::new();
        let answer = page.answer(&asked, HeaderValue::from(5));
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[AGE], "5");
        assert_eq!(answer.headers()[REVISION], "7");
        asked.insert(IF_NONE_MATCH, page.etag.clone());
        let answer = page.answer(&asked, HeaderValue::from(5));
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        assert!(!answer.headers().contains_key(CONTENT_TYPE) && answer.headers().contains_key(ETAG));
    }

    #[test]
    fn long_pages_are_compressed_once_and_have_their_own_tag() {
        let page = rendering(&" ".repeat(PACKED_FROM));
        let plain = HeaderMap::new();
        let takes = HeaderMap::from_iter([(ACCEPT_ENCODING, GZIP)]);
        assert!(page.wants_packing(&takes) && !page.wants_packing(&plain));
        page.pack();
        assert!(!page.wants_packing(&takes));
        let answers = [&plain, &takes].map(|asked| page.answer(asked, HeaderValue::from(5)));
        assert_eq!(answers[0].headers().get(CONTENT_ENCODING), None);
        assert_eq!(answers[1].headers()[CONTENT_ENCODING], "gzip");
        assert_ne!(answers[0].headers()[ETAG], answers[1].headers()[ETAG]);
        for answer in answers {
            assert_eq!(answer.headers()[VARY], "accept-encoding");
            let mut again = takes.clone();
            again.insert(IF_NONE_MATCH, answer.headers()[ETAG].clone());
            assert_eq!(page.answer(&again, HeaderValue::from(5)).status(), StatusCode::NOT_MODIFIED);
        }
        assert!(!rendering("[]").wants_packing(&takes));
    }

    #[test]
    fn entity_tags_are_compared() {
        let etag = HeaderValue::from_static("\"abc\"");
        for (list, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"abd\"", false),
            ("abc", false),
            ("", false),
        ] {
            assert_eq!(matches(&HeaderValue::from_static(list), &etag), expected, "{list}");
        }
    }
}
