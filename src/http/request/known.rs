//! A caller that is known, and why one is not let in.

use acefleet_registry::{BadUserName, Credential, KeyName, Role, UserName, WallMs};
use axum::http::StatusCode;

use crate::access::session::Session;
use crate::fleet::{self, Code};
use crate::http::answer::code::BlockedKind;
use crate::http::answer::problem::{Blocked, Problem};
use crate::http::answer::time::zulu;
use crate::http::request::refusals::Reason;

/// A caller that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// What it showed.
    pub credential: Credential,
    /// What it may do.
    pub role: Role,
    /// The session that it showed, if it was one.
    pub session: Option<Session>,
}

impl Known {
    pub(super) fn admin(credential: Credential) -> Self {
        Self { credential, role: Role::Admin, session: None }
    }

    /// Whether it may do what needs this role.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, needed: Role) -> Result<(), Refused> {
        match self.role.includes(needed) {
            true => Ok(()),
            false => {
                let (key, user) = (self.credential.key().cloned(), self.credential.user().cloned());
                Err(Refused::Role { needed, has: self.role, key, user })
            }
        }
    }
}

/// Why a caller is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Nobody knows yet who may call: the cluster has not formed, or this node has nothing of its log.
    #[error("the cluster has not formed yet, or this node has nothing of its log")]
    NotFormed,
    /// It shows no key.
    #[error("missing bearer token")]
    NoKey,
    /// A proxy names a user that cannot be one.
    #[error("{0}")]
    BadUser(BadUserName),
    /// Nobody has this key.
    #[error("invalid token")]
    WrongKey,
    /// The key has ended.
    #[error("the key {key} ended at {}: ask for a new one", zulu(*at))]
    Ended {
        /// Its name.
        key: KeyName,
        /// When.
        at: WallMs,
    },
    /// Its session has ended, or is of a key that is not in force here.
    #[error(
        "this session is over, or its key is not in force here any more: sign in again with a key (POST /session)"
    )]
    SessionOver,
    /// Only commands on the host of this node may.
    #[error("a new key is made on the host of a node, by the user that runs it: acefleet key --new")]
    Elsewhere,
    /// The key is good for something else.
    #[error("this needs a key with the role {needed}, and {} has the role {has}", called(key.as_ref(), user.as_ref()))]
    Role {
        /// What would be needed.
        needed: Role,
        /// What it has.
        has: Role,
        /// Its name; keys without one may do everything.
        key: Option<KeyName>,
        /// The user whom a proxy names, in the place of a key.
        user: Option<UserName>,
    },
}

impl Refused {
    /// As what it is counted; none of what is not the caller's doing.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::NotFormed => None,
            Self::NoKey | Self::BadUser(_) => Some(Reason::NoKey),
            Self::WrongKey => Some(Reason::WrongKey),
            Self::Ended { .. } => Some(Reason::EndedKey),
            Self::SessionOver => Some(Reason::EndedSession),
            Self::Role { .. } | Self::Elsewhere => Some(Reason::Role),
        }
    }

    /// Name of the key that was shown, if it is known.
    pub fn key(&self) -> Option<&KeyName> {
        match self {
            Self::NotFormed
            | Self::NoKey
            | Self::BadUser(_)
            | Self::WrongKey
            | Self::SessionOver
            | Self::Elsewhere => None,
            Self::Ended { key, .. } => Some(key),
            Self::Role { key, .. } => key.as_ref(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFormed => Self::not_formed(),
            Refused::NoKey | Refused::BadUser(_) | Refused::Ended { .. } => {
                Self::text(StatusCode::UNAUTHORIZED, &refused.to_string())
            }
            Refused::SessionOver => {
                let blocked = fleet::Blocked::new(Code::SessionOver, refused.to_string());
                Self::blocked(StatusCode::UNAUTHORIZED, Blocked::of(BlockedKind::RequestBlocked, blocked))
            }
            Refused::WrongKey | Refused::Role { .. } | Refused::Elsewhere => {
                Self::text(StatusCode::FORBIDDEN, &refused.to_string())
            }
        }
    }
}

fn called(key: Option<&KeyName>, user: Option<&UserName>) -> String {
    match (key, user) {
        (Some(key), _) => format!("the key {key}"),
        (None, Some(user)) => format!("the user {user}"),
        (None, None) => "the key".to_owned(),
    }
}
