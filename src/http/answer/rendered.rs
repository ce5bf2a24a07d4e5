//! Answers to reads, rendered once for each state and asked for many times. They are kept under the one
//! spelling of what was asked, so that whoever asks like that gets the bytes without anything being parsed or
//! looked up. Other spellings, and parameters that mean nothing, lead to the same page and never to another one.
//! Rendering happens outside the lock: two first askers may both render, nobody waits for another. Long lists
//! are rendered one after the other, away from the threads that carry the cluster's messages.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use acefleet_registry::{NodeId, WallMs};
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::http::answer::cors;
use crate::http::answer::headers::{AGE, JSON, REVALIDATE, REVISION};
use crate::http::answer::packed::{self, BY_ENCODING, GZIP, PACKED_FROM};
use crate::http::answer::problem::Problem;
use crate::http::counters::Hits;
use crate::http::observe;

/// Answers kept for one state.
const PAGES_MAX: usize = 4_096;
/// Bytes kept for one state.
const BYTES_MAX: usize = 32 << 20;
/// Bytes of all answers that are kept or on their way, packed copies included. Whoever takes an answer slowly holds it.
const LIVE_MAX: usize = 128 << 20;
/// Longer questions are not remembered.
const TARGET_MAX: usize = 512;
/// A list of so many entries takes a thread about a millisecond. Longer ones would keep heartbeats waiting.
pub(crate) const SHORT: usize = 500;
/// The same of entries that differ much: bytes of the records.
pub(crate) const SHORT_BYTES: u64 = 1 << 20;

/// Everything that answers depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    /// Revision of the registry.
    pub revision: u64,
    /// Epoch of the soft state.
    pub epoch: u64,
    /// Nodes that have been silent, by id.
    pub silent: Vec<NodeId>,
}

/// What an answer depends on beside the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    second: u64,
    leaderless: bool,
}

impl Moment {
    /// The time of day, and whether the cluster has no leader.
    pub fn at(now: WallMs, leaderless: bool) -> Self {
        Self { second: now.0 / 1000, leaderless }
    }
}

/// What is rendered: a body, and where the rest of a list is.
pub(crate) struct Page {
    /// JSON.
    pub body: Vec<u8>,
    /// `Link` to the next page, if there is one.
    pub next: Option<HeaderValue>,
}

impl From<Vec<u8>> for Page {
    fn from(body: Vec<u8>) -> Self {
        Self { body, next: None }
    }
}

/// Counts the bytes of answers from their rendering until the last of those who got them is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<AtomicUsize>);

impl Live {
    /// Whether no more may be rendered now.
    fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LIVE_MAX
    }

    fn hold(&self, bytes: Vec<u8>) -> Bytes {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Held { bytes, live: self.clone() })
    }
}

struct Held {
    bytes: Vec<u8>,
    live: Live,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.live.0.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// An answer that is the same for everyone who asks, with or without a key.
#[derive(Debug)]
pub(crate) struct Rendering {
    body: Bytes,
    live: Live,
    /// The same, packed when the first came who takes it so.
    packed: OnceLock<Bytes>,
    /// Quoted hash of the body: a strong tag, for each of the two.
    etag: HeaderValue,
    packed_etag: HeaderValue,
    /// All headers of a 200. Those that differ from answer to answer are there to be replaced.
    headers: HeaderMap,
    /// If it is not good for as long as the state is.
    pub moment: Option<Moment>,
    /// Counts its answers.
    pub hits: Hits,
}

impl Rendering {
    /// Hashes a body. `revision` is that of the state it shows.
    pub fn new(page: impl Into<Page>, revision: u64, hits: Hits, live: &Live) -> Self {
        let Page { body, next } = page.into();
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
        let (body, packed, live) = (live.hold(body), OnceLock::new(), live.clone());
        Self { body, live, packed, etag, packed_etag, headers, moment: None, hits }
    }

    /// Whether it has to be packed before the one who sent these headers gets it.
    pub fn wants_packing(&self, asked: &HeaderMap) -> bool {
        self.body.len() >= PACKED_FROM && self.packed.get().is_none() && packed::is_accepted(asked)
    }

    /// Packs it, once.
    pub fn pack(&self) {
        self.packed.get_or_init(|| self.live.hold(packed::pack(&self.body)));
    }

    /// The answer to someone who sent these headers: 304 to those who have it.
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

/// Rendered answers of the newest state that was asked for, by path and the parameters that matter.
#[derive(Default)]
pub(crate) struct Rendered {
    pages: RwLock<Pages>,
    /// Held while a long list is rendered.
    long: Arc<Mutex<()>>,
    live: Live,
}

impl Rendered {
    /// What all answers weigh that are kept or on their way.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Refuses to render more while slow readers hold as much as this node gives them.
    ///
    /// # Errors
    /// 503: retry.
    pub fn room(&self) -> Result<(), Problem> {
        match self.live.is_full() {
            true => Err(Problem::busy(
                "as many bytes of answers are on their way as this node keeps: read faster, or ask later",
            )),
            false => Ok(()),
        }
    }

    /// Waits until no other long list is being rendered.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.long).lock_owned().await
    }

    /// The answer that is kept for this state.
    pub fn find(&self, key: &Key, target: &str) -> Option<Arc<Rendering>> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        if pages.key == *key { pages.pages.get(target).cloned() } else { None }
    }

    /// Keeps an answer, unless a newer state has been asked for meanwhile.
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
        // Thousands of pages take a while to free, and nobody has to wait for that.
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
        Key { revision, epoch, silent: Vec::new() }
    }

    fn rendering(body: &str) -> Arc<Rendering> {
        let hits = Counters::new(&EventLog::default()).hits("/engines");
        Arc::new(Rendering::new(body.as_bytes().to_vec(), 7, hits, &Live::default()))
    }

    #[test]
    fn a_page_is_kept_for_its_state_alone() {
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
    fn what_is_kept_is_bounded() {
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
        // One that is kept already is replaced and counts once.
        rendered.keep(&key(1, 1), "/engines/0000", &rendering("[0]"));
        assert_eq!(pages(&rendered), (PAGES_MAX, 15 * PAGES_MAX + 1));
        rendered.keep(&key(2, 1), &"x".repeat(TARGET_MAX + 1), &small);
        rendered.keep(&key(2, 1), "/streams", &rendering(&" ".repeat(BYTES_MAX)));
        assert_eq!(pages(&rendered), (0, 0));
    }

    #[test]
    fn an_answer_weighs_until_the_last_reader_has_it() {
        let rendered = Rendered::default();
        let hits = Counters::new(&EventLog::default()).hits("/streams");
        let list = Rendering::new(vec![b' '; LIVE_MAX], 7, hits, rendered.live());
        list.pack();
        let answer = list.answer(&HeaderMap::new(), HeaderValue::from(5));
        drop(list);
        assert!(rendered.room().is_err(), "a reader holds it");
        drop(answer);
        assert!(rendered.room().is_ok());
        assert_eq!(rendered.live().0.load(Ordering::Relaxed), 0, "the packed copy went with it");
    }

    #[test]
    fn those_who_have_the_answer_get_no_body() {
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
    fn long_pages_are_packed_once_and_have_a_tag_of_their_own() {
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
