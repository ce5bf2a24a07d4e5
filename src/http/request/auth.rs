//! Who calls, with `Authorization: Bearer <key>` or `X-API-Key: <key>`, and whether they may. The settings of the node come first, then the
//! rule of the cluster and its named keys. The token of this host is always valid. What an operation needs is in [`crate::http::roles`].

use acefleet_raft::View;
use acefleet_registry::{Access, Credential, KeyHash, KeyName, NamedKey, Role, State as Registry, WallMs};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::access;
use crate::config::{Reads, Secret};
use crate::fleet::Fleet;
use crate::http::answer::problem::Problem;
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::request::pass::Pass;
use crate::http::request::rates::TooMany;
use crate::http::request::rates::pace::Pace;
use crate::http::request::refusals::Reason;
use crate::http::request::{guesses, origin};
use crate::http::roles::{self, Needs};

const API_KEY_HEADER: &str = "x-api-key";

/// A caller that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// What it showed.
    pub credential: Credential,
    /// What it may do.
    pub role: Role,
}

impl Known {
    fn admin(credential: Credential) -> Self {
        Self { credential, role: Role::Admin }
    }

    /// Whether it may do what needs this role.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, needed: Role) -> Result<(), Refused> {
        match self.role.includes(needed) {
            true => Ok(()),
            false => Err(Refused::Role { needed, has: self.role, key: self.credential.key().cloned() }),
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
    /// Only commands on the host of this node may.
    #[error("a new key is made on the host of a node, by the user that runs it: acefleet key --new")]
    Elsewhere,
    /// The key is good for something else.
    #[error("this needs a key with the role {needed}, and {} has the role {has}", called(key.as_ref()))]
    Role {
        /// What would be needed.
        needed: Role,
        /// What it has.
        has: Role,
        /// Its name; keys without one may do everything.
        key: Option<KeyName>,
    },
}

impl Refused {
    /// As what it is counted; none of what is not the caller's doing.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::NotFormed => None,
            Self::NoKey => Some(Reason::NoKey),
            Self::WrongKey => Some(Reason::WrongKey),
            Self::Ended { .. } => Some(Reason::EndedKey),
            Self::Role { .. } | Self::Elsewhere => Some(Reason::Role),
        }
    }

    /// Name of the key that was shown, if it is known.
    pub fn key(&self) -> Option<&KeyName> {
        match self {
            Self::NotFormed | Self::NoKey | Self::WrongKey | Self::Elsewhere => None,
            Self::Ended { key, .. } => Some(key),
            Self::Role { key, .. } => key.as_ref(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFormed => Self::not_formed(),
            Refused::NoKey | Refused::Ended { .. } => {
                Self::text(StatusCode::UNAUTHORIZED, &refused.to_string())
            }
            Refused::WrongKey | Refused::Role { .. } | Refused::Elsewhere => {
                Self::text(StatusCode::FORBIDDEN, &refused.to_string())
            }
        }
    }
}

fn called(key: Option<&KeyName>) -> String {
    key.map_or_else(|| "the key".to_owned(), |key| format!("the key {key}"))
}

/// The rule on this node. It compares hashes of keys, so that timing reveals nothing about a key.
pub(crate) struct Door {
    own: Option<Access>,
    token: Option<KeyHash>,
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
    /// The rule of a node with these settings. Commands on its host use `token`.
    pub fn new(own: Option<Access>, token: Option<&Secret>) -> Self {
        Self { own, token: token.map(|token| access::hash(token.0.as_bytes())) }
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
    fn is_local(&self, shown: &[KeyHash]) -> bool {
        self.token.is_some_and(|token| shown.iter().any(|hash| is(*hash, token)))
    }

    /// Who has shown these keys; one is enough. `now` is the time of day of the cluster.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn who(
        &self,
        shown: &[KeyHash],
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
        for hash in shown.iter().copied() {
            if is(hash, expected) {
                return Ok(Known::admin(Credential::ApiKey));
            }
            refused = match named(&view.state, hash) {
                Some((name, key)) => match key.ended(now(&view.state)) {
                    None => return Ok(Known { credential: Credential::Named(name.clone()), role: key.role }),
                    Some(at) => Refused::Ended { key: name.clone(), at },
                },
                // It may have a name that this node does not know yet.
                None if is_blank(view) => Refused::NotFormed,
                None => Refused::WrongKey,
            };
        }
        Err(refused)
    }
}

/// The door of this node with the state behind it.
pub(crate) struct Guard {
    door: Door,
    reads: Reads,
    fleet: Fleet,
}

impl Guard {
    /// The guard of a node.
    pub fn new(fleet: Fleet, token: Option<&Secret>) -> Self {
        let own = access::of_settings(fleet.config());
        Self { door: Door::new(own, token), reads: fleet.config().reads, fleet }
    }

    /// Who calls.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn who(&self, headers: &HeaderMap) -> Result<Known, Refused> {
        self.who_shows(&hashes(headers))
    }

    /// Those of the keys that a caller shows that nobody has.
    pub fn unknown(&self, headers: &HeaderMap) -> Vec<KeyHash> {
        let is_unknown = |hash: &KeyHash| self.who_shows(&[*hash]) == Err(Refused::WrongKey);
        hashes(headers).into_iter().filter(is_unknown).collect()
    }

    fn who_shows(&self, shown: &[KeyHash]) -> Result<Known, Refused> {
        let now = |state: &Registry| self.fleet.cluster().wall_of_cluster(state);
        self.door.who(shown, &self.fleet.view(), now)
    }

    /// Whether a caller may do what needs this, and who it is, if that had to be known.
    ///
    /// # Errors
    /// Why not.
    pub fn let_in(&self, needs: Needs, headers: &HeaderMap) -> Result<Option<Known>, Refused> {
        if !needs.a_key(self.reads) {
            return Ok(None);
        }
        self.admits(needs, &hashes(headers)).map(Some)
    }

    /// Who has shown these keys, and whether one of them is good for what needs this.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, needs: Needs, shown: &[KeyHash]) -> Result<Known, Refused> {
        let known = self.who_shows(shown)?;
        needs.role().map_or(Ok(()), |role| known.may(role))?;
        if needs == Needs::Host && known.credential != Credential::HostToken {
            return Err(Refused::Elsewhere);
        }
        Ok(known)
    }

    /// Whether everybody may call.
    pub fn is_open(&self) -> bool {
        self.door.rule(&self.fleet.view()) == Rule::Open
    }
}

/// In front of every operation: lets callers in that may call it, and says who they are.
pub(crate) async fn let_in(
    State(app): State<App>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    // Nothing but an answer that says so is behind a method that the path does not have.
    let Some(needs) = roles::needs(request.method(), path.as_str()) else { return next.run(request).await };
    match app.key().let_in(needs, request.headers()) {
        Ok(known) => {
            let credential = known.as_ref().map(|known| &known.credential);
            if let Err(too_many) = in_pace(&app, &request, &path, credential) {
                let key = credential.and_then(Credential::key);
                return turn_away(&app, &request, &path, Some(too_many.what), key, too_many.into());
            }
            if let Some(known) = known {
                let pass = Pass::new(app, needs, hashes(request.headers()));
                request.extensions_mut().insert(pass);
                request.extensions_mut().insert(known);
            }
            next.run(request).await
        }
        // Beside a key that is good for less, a wrong one is a guess as well.
        Err(_) if !app.key().unknown(request.headers()).is_empty() => {
            let from = origin::address_of(request.extensions(), request.headers(), &app);
            let unknown = app.key().unknown(request.headers());
            guesses::wrong_key(&app, from, unknown, path.as_str()).into_response()
        }
        Err(refused) => {
            turn_away(&app, &request, &path, refused.reason(), refused.key(), refused.clone().into())
        }
    }
}

/// Counts a call of a caller that may make it.
fn in_pace(
    app: &App,
    request: &Request,
    path: &MatchedPath,
    shown: Option<&Credential>,
) -> Result<(), TooMany> {
    match Pace::of(request.method(), path.as_str()) {
        Pace::Free => Ok(()),
        pace => {
            let from = origin::counted(request.extensions(), request.headers(), app);
            app.rates().call(pace, from, shown)
        }
    }
}

/// The answer to a caller that is not let in, which is counted if that is its own doing.
fn turn_away(
    app: &App,
    request: &Request,
    path: &MatchedPath,
    reason: Option<Reason>,
    key: Option<&KeyName>,
    problem: Problem,
) -> Response {
    if let Some(reason) = reason {
        let from = origin::address_of(request.extensions(), request.headers(), app);
        app.refusals().note(reason, from, path.as_str(), key);
    }
    problem.into_response()
}

/// The first entry of every log lists the members, so nothing is applied yet.
fn is_blank(view: &View) -> bool {
    view.applied_index == 0
}

fn shown(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let own = headers.get(API_KEY_HEADER).map(|value| value.as_bytes());
    bearer.into_iter().chain(own)
}

/// By what the keys of a caller are recognised.
fn hashes(headers: &HeaderMap) -> Vec<KeyHash> {
    shown(headers).map(access::hash).collect()
}

fn named(state: &Registry, hash: KeyHash) -> Option<(&KeyName, &NamedKey)> {
    state.keys().find(|(_, key)| is(hash, key.hash))
}

fn is(shown: KeyHash, expected: KeyHash) -> bool {
    shown.0.ct_eq(&expected.0).into()
}

#[cfg(test)]
mod tests {
    use acefleet_registry::command::CreateKey;
    use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, State, apply};

    use super::*;

    const NOW: WallMs = WallMs(1_760_000_000_000);

    fn view(access: Option<Access>, applied_index: u64) -> View {
        let mut state = State::default();
        if let Some(access) = access {
            state.formed_with(access);
        }
        View { state, revision: 0, applied_index }
    }

    fn key(text: &str) -> Option<Access> {
        Some(Access::Key(access::hash(text.as_bytes())))
    }

    fn status(own: Option<Access>, view: &View, headers: &[(&'static str, &'static str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let token = Secret("local_token".into());
        match Door::new(own, Some(&token)).who(&hashes(&map), view, |_| Some(NOW)) {
            Ok(_) => 200,
            Err(refused) => Problem::from(refused).into_response().status().as_u16(),
        }
    }

    #[test]
    fn settings_come_before_the_rule_of_the_cluster() {
        let cluster = view(key("theirs"), 1);
        let (own, theirs) = ([("x-api-key", "own")], [("x-api-key", "theirs")]);
        assert_eq!(status(key("own"), &cluster, &own), 200);
        assert_eq!(status(key("own"), &cluster, &theirs), 403);
        assert_eq!(status(None, &cluster, &theirs), 200);
        assert_eq!(status(None, &cluster, &own), 403);
        assert_eq!(status(None, &cluster, &[]), 401);
        assert_eq!(status(Some(Access::Open), &cluster, &[]), 200);
        assert_eq!(status(None, &view(Some(Access::Open), 1), &[]), 200);
    }

    #[test]
    fn all_callers_are_refused_before_the_rule_is_known() {
        assert_eq!(status(None, &view(None, 0), &[]), 503);
        assert_eq!(status(None, &view(None, 0), &[("x-api-key", "any")]), 503);
        assert_eq!(status(key("own"), &view(None, 0), &[("x-api-key", "own")]), 200);
        assert_eq!(status(None, &view(None, 7), &[]), 200, "formed before keys were made");
    }

    #[test]
    fn the_token_of_the_host_is_valid_under_every_rule() {
        let token = [("authorization", "Bearer local_token")];
        for (own, view) in [(None, view(None, 0)), (None, view(key("k"), 1)), (key("own"), view(None, 1))] {
            assert_eq!(status(own, &view, &token), 200);
        }
    }

    #[test]
    fn both_headers_are_taken_and_the_scheme_is_exact() {
        let view = view(None, 1);
        for (headers, expected) in [
            (vec![], 401),
            (vec![("authorization", "sekrit")], 401),
            (vec![("authorization", "bearer sekrit")], 401),
            (vec![("authorization", "Basic sekrit")], 401),
            (vec![("authorization", "Bearer  sekrit")], 403),
            (vec![("authorization", "Bearer wrong")], 403),
            (vec![("authorization", "Bearer sekri")], 403),
            (vec![("x-api-key", "wrong")], 403),
            (vec![("authorization", "Bearer sekrit")], 200),
            (vec![("x-api-key", "sekrit")], 200),
            (vec![("authorization", "Basic x"), ("x-api-key", "sekrit")], 200),
        ] {
            assert_eq!(status(key("sekrit"), &view, &headers), expected, "{headers:?}");
        }
    }

    /// A view with these keys, whose text is their name; one may have an end.
    fn with_keys(own: Option<Access>, keys: &[(&str, Role, Option<u64>)]) -> View {
        let mut view = view(own, 1);
        let (from, offset_ms) = (Elapsed(0), 1_760_000_000_000);
        let clock = Command::WallCorrected { from, offset_ms };
        let made = keys.iter().map(|(name, role, ttl_ms)| {
            let (hash, name) = (access::hash(name.as_bytes()), name.parse().unwrap());
            Command::CreateKey(CreateKey { name, role: *role, hash, ttl_ms: *ttl_ms })
        });
        for (n, command) in [clock].into_iter().chain(made).enumerate() {
            let (op_id, at_ms) = (OpId(1, n as u64), Elapsed(0));
            apply(&mut view.state, &Proposal { op_id, at_ms, origin: NodeId(1), by: None, command }, 1);
        }
        view
    }

    fn shows(key: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {key}").parse().unwrap())])
    }

    #[test]
    fn callers_with_named_keys_are_known_until_these_end() {
        let view =
            with_keys(key("clusters"), &[("acexy", Role::Proxy, None), ("guest", Role::Viewer, Some(5_000))]);
        let who = |shown: &str, ms: u64| {
            Door::new(None, None).who(&hashes(&shows(shown)), &view, |_| Some(WallMs(NOW.0 + ms)))
        };
        let named = |name: &str, role| Known { credential: Credential::Named(name.parse().unwrap()), role };
        assert_eq!(who("acexy", u64::MAX / 2), Ok(named("acexy", Role::Proxy)));
        assert_eq!(who("guest", 4_999), Ok(named("guest", Role::Viewer)));
        let ended = Refused::Ended { key: "guest".parse().unwrap(), at: WallMs(NOW.0 + 5_000) };
        assert_eq!(who("guest", 5_000), Err(ended.clone()));
        assert_eq!(who("clusters", 0).unwrap().credential, Credential::ApiKey);
        assert_eq!(who("other", 0), Err(Refused::WrongKey));
        let (status, body) = Problem::from(ended).status_and_body();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(body["detail"].as_str().unwrap().starts_with("the key guest ended at 2025-10-09T"), "{body}");
        // No clock of a host ends a key.
        let unknown = Door::new(None, None).who(&hashes(&shows("guest")), &view, |_| None);
        assert_eq!(unknown, Ok(named("guest", Role::Viewer)));
    }

    #[test]
    fn named_keys_are_valid_beside_the_key_of_a_node() {
        let view = with_keys(key("clusters"), &[("acexy", Role::Proxy, None)]);
        let door = Door::new(key("own"), None);
        let who =
            |headers: &HeaderMap| door.who(&hashes(headers), &view, |_| Some(NOW)).map(|known| known.role);
        assert_eq!(who(&shows("own")), Ok(Role::Admin));
        assert_eq!(who(&shows("acexy")), Ok(Role::Proxy));
        assert_eq!(who(&shows("clusters")), Err(Refused::WrongKey));
        // Either header is enough.
        let mut both = shows("nonsense");
        both.insert(API_KEY_HEADER, "acexy".parse().unwrap());
        assert_eq!(who(&both), Ok(Role::Proxy));
        let blank = super::tests::view(None, 0);
        assert_eq!(
            door.who(&hashes(&shows("acexy")), &blank, |_| None),
            Err(Refused::NotFormed),
            "it may be known elsewhere"
        );
    }

    #[test]
    fn a_refusal_names_the_role_and_the_key() {
        let known = Known { credential: Credential::Named("grafana".parse().unwrap()), role: Role::Viewer };
        let (status, body) = Problem::from(known.may(Role::Operator).unwrap_err()).status_and_body();
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(
            body["detail"],
            "this needs a key with the role operator, and the key grafana has the role viewer"
        );
        assert_eq!(known.may(Role::Viewer), Ok(()));
    }
}
