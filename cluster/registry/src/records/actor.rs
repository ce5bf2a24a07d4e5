//! Who made a change: a person or a program outside the cluster. What the cluster does by itself has no actor.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::records::key::KeyName;

/// Longest address that is kept, in bytes: an IPv6 address with a zone.
pub const ADDRESS_MAX: usize = 64;

/// Longest name of a user, in bytes.
pub const USER_MAX: usize = 64;

/// Why a text cannot name a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUserName {
    /// It is too short or too long.
    #[error("the name of a user has 1 to {USER_MAX} characters")]
    Length,
    /// It could be taken for something else in a log.
    #[error(
        "the name of a user has letters from A to Z, digits, `-`, `_`, `.`, `+` and `@`, and begins with a letter or digit"
    )]
    Characters,
    /// There are several.
    #[error(
        "the proxy names several users: let it replace its header where a caller sends one, not add to it"
    )]
    Several,
}

/// The name of a user whom a proxy has signed in: what may stand in logs as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Arc<str>);

impl UserName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = BadUserName;

    fn from_str(text: &str) -> Result<Self, BadUserName> {
        if !(1..=USER_MAX).contains(&text.len()) {
            return Err(BadUserName::Length);
        }
        let good =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'@');
        match text.bytes().all(good) && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(Self(text.into())),
            false => Err(BadUserName::Characters),
        }
    }
}

impl TryFrom<String> for UserName {
    type Error = BadUserName;

    fn try_from(text: String) -> Result<Self, BadUserName> {
        text.parse()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// With what the caller showed that it may call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The API key of the cluster or of the node.
    ApiKey,
    /// The token that only users of the node's host can read: the command line there.
    HostToken,
    /// Nothing, on a cluster where everybody may call.
    Nothing,
    /// A key of this name, see [`crate::key::NamedKey`].
    Named(KeyName),
    /// Nothing: a proxy that the node trusts has signed this user in.
    User(UserName),
}

impl Credential {
    /// For people: the name of a key that has one. No name is one of the other words, as names have no blanks.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::ApiKey => "API key",
            Self::Named(name) => name.as_str(),
            Self::User(name) => name.as_str(),
            Self::HostToken => "command line",
            Self::Nothing => "no key",
        }
    }

    /// Which of the named keys it is, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<&KeyName> {
        match self {
            Self::Named(name) => Some(name),
            Self::ApiKey | Self::HostToken | Self::Nothing | Self::User(_) => None,
        }
    }

    /// The user whom a proxy has signed in, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::User(name) => Some(name),
            Self::ApiKey | Self::HostToken | Self::Nothing | Self::Named(_) => None,
        }
    }
}

/// Who made a change, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What the caller showed.
    pub credential: Credential,
    /// Address of the caller, as the node saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Actor {
    /// A caller with this address, which is cut to [`ADDRESS_MAX`].
    #[must_use]
    pub fn new(credential: Credential, address: Option<String>) -> Self {
        let address = address.map(|mut address| {
            let end = (0..=ADDRESS_MAX.min(address.len())).rev().find(|end| address.is_char_boundary(*end));
            address.truncate(end.unwrap_or_default());
            address
        });
        Self { credential, address }
    }
}
