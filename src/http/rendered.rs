//! Answers rendered once for each state and asked for many times. Rendering happens outside the lock, so
//! two first askers may both render; nobody waits for another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use acefleet_registry::NodeId;
use axum::http::HeaderValue;
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Answers kept for one state.
const PAGES_MAX: usize = 4_096;
/// Bytes kept for one state.
const BYTES_MAX: usize = 64 << 20;

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

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Page {
    /// `GET /engines`.
    Engines,
    /// `GET /engines/{id}`.
    Engine(String),
    /// `GET /streams`: only started or only ended ones, and of which published engine id.
    Streams { started: Option<bool>, container: Option<String> },
    /// `GET /orchestrator/status`: in this second, because breakers depend on the time, and with or
    /// without a known leader.
    Status { second: u64, leader: bool },
}

/// A rendered body and its strong entity tag.
#[derive(Clone, Debug)]
pub(crate) struct Rendering {
    /// JSON.
    pub body: Bytes,
    /// Quoted hash of the body.
    pub etag: HeaderValue,
}

impl Rendering {
    /// Hashes a body.
    pub fn new(body: Vec<u8>) -> Self {
        let hash = Sha256::digest(&body);
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { body: body.into(), etag }
    }
}

#[derive(Default)]
struct Pages {
    key: Key,
    pages: HashMap<Page, Rendering>,
    bytes: usize,
}

/// Rendered answers of the newest state that was asked for.
#[derive(Default)]
pub(crate) struct Rendered {
    pages: Mutex<Pages>,
}

impl Rendered {
    /// The answer for this state, from memory or from `render`.
    pub fn get(&self, key: &Key, page: &Page, render: impl FnOnce() -> Vec<u8>) -> Rendering {
        if let Some(known) = self.find(key, page) {
            return known;
        }
        let rendering = Rendering::new(render());
        self.keep(key, page, &rendering);
        rendering
    }

    fn find(&self, key: &Key, page: &Page) -> Option<Rendering> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.key == *key { pages.pages.get(page).cloned() } else { None }
    }

    fn keep(&self, key: &Key, page: &Page, rendering: &Rendering) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.key != *key {
            if (key.revision, key.epoch) < (pages.key.revision, pages.key.epoch) {
                return;
            }
            *pages = Pages { key: key.clone(), ..Pages::default() };
        }
        if pages.pages.len() < PAGES_MAX && pages.bytes + rendering.body.len() <= BYTES_MAX {
            pages.bytes += rendering.body.len();
            pages.pages.insert(page.clone(), rendering.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(revision: u64, epoch: u64) -> Key {
        Key { revision, epoch, silent: Vec::new() }
    }

    #[test]
    fn a_page_is_rendered_once_for_each_state() {
        let rendered = Rendered::default();
        let mut times = 0;
        for state in [key(1, 1), key(1, 1), key(1, 2), key(1, 2), key(2, 2), key(1, 1)] {
            rendered.get(&state, &Page::Engines, || {
                times += 1;
                b"[]".to_vec()
            });
        }
        // The last one is older than what is kept: it is rendered and not kept.
        assert_eq!(times, 4);
        assert!(rendered.find(&key(2, 2), &Page::Engines).is_some());
        let silent = Key { silent: vec![NodeId(1)], ..key(2, 2) };
        assert!(rendered.find(&silent, &Page::Engines).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let rendered = Rendered::default();
        for id in 0..PAGES_MAX + 10 {
            rendered.get(&key(1, 1), &Page::Engine(id.to_string()), || b"{}".to_vec());
        }
        let big = vec![b' '; BYTES_MAX];
        rendered.get(&key(1, 1), &Page::Engines, || big);
        let pages = rendered.pages.lock().unwrap();
        assert_eq!(pages.pages.len(), PAGES_MAX);
        assert_eq!(pages.bytes, 2 * PAGES_MAX);
    }

    #[test]
    fn the_tag_follows_the_body() {
        let tag = |body: &str| Rendering::new(body.as_bytes().to_vec()).etag;
        assert_eq!(tag("[]"), tag("[]"));
        assert_ne!(tag("[]"), tag("[1]"));
    }
}
