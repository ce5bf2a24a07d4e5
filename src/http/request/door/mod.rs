//! Who has shown what, by the settings of the node, the rule of the cluster and its named keys. The token of this host is always valid.

use acefleet_raft::{Signing, View};
use acefleet_registry::{
    Access, Credential, KeyHash, KeyName, Level, NamedKey, Role, State as Registry, WallMs,
};
use subtle::ConstantTimeEq;

use crate::access;
use crate::access::session::{Sealed, Session};
use crate::config::Secret;
use crate::http::request::known::{Known, Refused};
use crate::http::request::shown::Shown;

/// The rule on this node. It compares hashes of keys, so that timing reveals nothing about a key.
pub(crate) struct Door {
    own: Option<Access>,
    token: Option<KeyHash>,
    signing: Signing,
    /// What users may do whom a proxy has signed in.
    users: Role,
}

/// Who may call now, beside callers with named keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody.
    Open,
    /// Callers with this key.
    Key(KeyHash),
    /// Not known yet: the cluster has not formed, or this node has nothing of its log.
    Unknown,
}

impl Door {
    /// The rule of a node with these settings. Commands on its host use `token`; members sign sessions.
    pub fn new(own: Option<Access>, token: Option<&Secret>, signing: Signing) -> Self {
        Self {
            own,
            token: token.map(|token| access::hash(token.exposed().as_bytes())),
            signing,
            users: Role::Viewer,
        }
    }

    /// With this role for users whom a proxy has signed in.
    pub fn with_users(self, users: Role) -> Self {
        Self { users, ..self }
    }

    /// Who may call, given the newest state.
    pub fn rule(&self, view: &View) -> Rule {
        match self.own.or(view.state.access()) {
            Some(Access::Open) => Rule::Open,
            Some(Access::Key(hash)) => Rule::Key(hash),
            None if is_blank(view) => Rule::Unknown,
            // The cluster was formed by a version without this rule.
            None => Rule::Open,
        }
    }

    /// Whether the caller has the token of this host.
    fn is_local(&self, shown: &[Shown]) -> bool {
        self.token.is_some_and(|token| shown.iter().filter_map(Shown::key).any(|hash| is(hash, token)))
    }

    /// Who has shown these keys and sessions; one is enough. `now` is the time of day of the cluster.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn who(
        &self,
        shown: &[Shown],
        view: &View,
        now: impl Fn(&Registry) -> Option<WallMs>,
    ) -> Result<Known, Refused> {
        if self.is_local(shown) {
            return Ok(Known::admin(Credential::HostToken));
        }
        let expected = match self.rule(view) {
            Rule::Open => return Ok(Known::admin(Credential::Nothing)),
            Rule::Key(hash) => hash,
            Rule::Unknown => return Err(Refused::NotFormed),
        };
        let mut refused = Refused::NoKey;
        for one in shown {
            let known = match one {
                Shown::Key(hash) if is(*hash, expected) => Ok(Known::admin(Credential::ApiKey)),
                Shown::Key(hash) => match named(&view.state, *hash) {
                    Some((name, key)) => by_name(name, key, now(&view.state)),
                    None => Err(unless_blank(view, Refused::WrongKey)),
                },
                Shown::Session(sealed) => self.has_session(sealed, view, expected, now(&view.state)),
                // Whoever shows a key besides is who has the key.
                Shown::User(_) => continue,
            };
            match known {
                Ok(known) => return Ok(known),
                Err(why) => refused = why,
            }
        }
        match shown.iter().find_map(Shown::user) {
            Some(Ok(user)) if view.state.level() >= Level::NAMES_USERS => {
                Ok(Known { credential: Credential::User(user.clone()), role: self.users, session: None })
            }
            Some(Err(why)) if refused == Refused::NoKey => Err(Refused::BadUser(*why)),
            _ => Err(refused),
        }
    }

    /// Who has this session, where the API key has the hash `expected`.
    fn has_session(
        &self,
        sealed: &Sealed,
        view: &View,
        expected: KeyHash,
        now: Option<WallMs>,
    ) -> Result<Known, Refused> {
        let named = match sealed.key() {
            None => None,
            Some(name) => match view.state.key(name) {
                Some(key) => Some((name, key)),
                None => return Err(unless_blank(view, Refused::SessionOver)),
            },
        };
        let hash = named.map_or(expected, |(_, key)| key.hash);
        let session = sealed.opened(hash, &self.signing).ok_or(Refused::SessionOver)?;
        let known = match named {
            None => Known::admin(Credential::ApiKey),
            Some((name, key)) => by_name(name, key, now)?,
        };
        match now.is_some_and(|now| session.is_over(now)) {
            true => Err(Refused::SessionOver),
            false => Ok(Known { session: Some(session.clone()), ..known }),
        }
    }

    /// What this caller shows from now on, if it has a key. A session that it has shown is renewed.
    pub fn sign_in(&self, known: &Known, view: &View, now: WallMs) -> Option<(Secret, Session)> {
        let (name, hash, ends_at) = match (&known.credential, self.rule(view)) {
            (Credential::ApiKey, Rule::Key(hash)) => (None, hash, None),
            (Credential::Named(name), _) => {
                let key = view.state.key(name)?;
                (Some(name.clone()), key.hash, key.ends_at)
            }
            _ => return None,
        };
        let since = known.session.as_ref().map_or(now, |session| session.since);
        let session = Session::begun(name, since, now, ends_at);
        Some((session.seal(hash, &self.signing), session))
    }
}

/// Who has this named key, at this time of day of the cluster.
fn by_name(name: &KeyName, key: &NamedKey, now: Option<WallMs>) -> Result<Known, Refused> {
    match key.ended(now) {
        None => Ok(Known { credential: Credential::Named(name.clone()), role: key.role, session: None }),
        Some(at) => Err(Refused::Ended { key: name.clone(), at }),
    }
}

/// What is unknown here may be known to a node with more of the log.
fn unless_blank(view: &View, refused: Refused) -> Refused {
    if is_blank(view) { Refused::NotFormed } else { refused }
}

/// The first entry of every log lists the members, so nothing is applied yet.
fn is_blank(view: &View) -> bool {
    view.applied_index == 0
}

fn named(state: &Registry, hash: KeyHash) -> Option<(&KeyName, &NamedKey)> {
    state.keys().find(|(_, key)| is(hash, key.hash))
}

fn is(shown: KeyHash, expected: KeyHash) -> bool {
    shown.0.ct_eq(&expected.0).into()
}

#[cfg(test)]
mod tests;
