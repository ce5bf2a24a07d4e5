//! Who made a change: a person or a program outside the cluster. What the cluster does by itself has no actor.

use serde::{Deserialize, Serialize};

use crate::records::key::KeyName;

/// Longest address that is kept, in bytes: an IPv6 address with a zone.
pub const ADDRESS_MAX: usize = 64;

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
}

impl Credential {
    /// For people: the name of a key that has one. No name is one of the other words, as names have no blanks.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::ApiKey => "API key",
            Self::Named(name) => name.as_str(),
            Self::HostToken => "command line",
            Self::Nothing => "no key",
        }
    }

    /// Which of the named keys it is, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<&KeyName> {
        match self {
            Self::Named(name) => Some(name),
            Self::ApiKey | Self::HostToken | Self::Nothing => None,
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
