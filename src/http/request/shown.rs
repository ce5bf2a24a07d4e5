//! What callers show, with `Authorization: Bearer …` or `X-API-Key: …`: keys, and sessions that they got for one.

use acefleet_registry::{BadUserName, KeyHash, UserName};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};

use crate::access;
use crate::access::session::Sealed;
use crate::http::request::forwarded;

pub(super) const API_KEY_HEADER: &str = "x-api-key";

/// What a caller shows: one of them is enough.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// A key, by its hash, so that timing reveals nothing about it.
    Key(KeyHash),
    /// What has the form of a session.
    Session(Sealed),
    /// Nothing: a trusted proxy names this user.
    User(Result<UserName, BadUserName>),
}

impl Shown {
    fn of(text: &[u8]) -> Self {
        Sealed::parse(text).map_or_else(|| Self::Key(access::hash(text)), Self::Session)
    }

    /// The key, if it is one.
    pub fn key(&self) -> Option<KeyHash> {
        match self {
            Self::Key(hash) => Some(*hash),
            Self::Session(_) | Self::User(_) => None,
        }
    }

    /// The user, if a proxy names one.
    pub fn user(&self) -> Option<&Result<UserName, BadUserName>> {
        match self {
            Self::User(user) => Some(user),
            Self::Key(_) | Self::Session(_) => None,
        }
    }
}

/// All that the headers of a request show. `users`: where proxies name users, if they are believed.
pub(crate) fn all(headers: &HeaderMap, users: Option<&HeaderName>) -> Vec<Shown> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let own = headers.get(API_KEY_HEADER).map(|value| value.as_bytes());
    let user = users.and_then(|header| forwarded::user(headers, header)).map(Shown::User);
    bearer.into_iter().chain(own).map(Shown::of).chain(user).collect()
}
