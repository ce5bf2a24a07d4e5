//! Named keys of the API. The registry never holds a key, only by what it is recognised.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::records::access::KeyHash;
use crate::records::event::By;
use crate::records::time::{Elapsed, WallMs};

/// Keys that a cluster has at the most, ended ones included.
pub const KEYS_MAX: usize = 64;
/// Longest name of a key, in bytes.
pub const NAME_MAX: usize = 64;

/// What happened to a key. The words stand in the log and in the API, so they stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum KeyCategory {
    /// It was made.
    KeyCreated,
    /// It is good for nothing any more.
    KeyRevoked,
}

/// What callers with a key may do. What each operation of the API asks for stands in one table there.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
    VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// What a proxy such as Acexy needs and no more: lists of engines and streams, engines, and what it reports of streams.
    Proxy,
    /// Starts, stops and drains what a host allows, and all that the two above may.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Whether this role may do what that one may. A viewer and a proxy have nothing in common.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        match self {
            Self::Viewer | Self::Proxy => self == other,
            Self::Operator => other != Self::Admin,
            Self::Admin => true,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text cannot name a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyName {
    /// It is too short or too long.
    #[error("the name of a key has 1 to {NAME_MAX} characters")]
    Length,
    /// It could be taken for something else in a log, a path or a shell.
    #[error(
        "the name of a key has small letters from a to z, digits, `-`, `_` and `.`, and begins with a letter or digit"
    )]
    Characters,
}

/// The name of a key: what may stand in logs, paths and arguments as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = BadKeyName;

    fn from_str(text: &str) -> Result<Self, BadKeyName> {
        if !(1..=NAME_MAX).contains(&text.len()) {
            return Err(BadKeyName::Length);
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = |byte: u8| plain(byte) || matches!(byte, b'-' | b'_' | b'.');
        match text.bytes().all(good) && text.bytes().next().is_some_and(plain) {
            true => Ok(Self(text.into())),
            false => Err(BadKeyName::Characters),
        }
    }
}

impl TryFrom<String> for KeyName {
    type Error = BadKeyName;

    fn try_from(text: String) -> Result<Self, BadKeyName> {
        text.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key, beside its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedKey {
    /// What its callers may do.
    pub role: Role,
    /// By what it is recognised.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at_ms: Elapsed,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<By>,
    /// The time of day of the cluster from which on it is good for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<WallMs>,
}

impl NamedKey {
    /// When it ended, if it has by this time of day of the cluster. Before the cluster has been told any, nothing has ended.
    #[must_use]
    pub fn ended(&self, now: Option<WallMs>) -> Option<WallMs> {
        self.ends_at.filter(|end| now.is_some_and(|now| *end <= now))
    }
}
