//! Who may make calls that change something, with `Authorization: Bearer <key>` or `X-API-Key: <key>`. The settings of the node come
//! first, then the rule of the cluster. The token of this host is always valid.

use acefleet_raft::View;
use acefleet_registry::{Access, Credential, KeyHash};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;

use crate::access;
use crate::config::Secret;
use crate::fleet::Fleet;
use crate::http::answer::problem::Problem;

const API_KEY_HEADER: &str = "x-api-key";

/// The rule on this node. It compares hashes of keys, so that timing reveals nothing about a key.
pub(crate) struct Door {
    own: Option<Access>,
    token: Option<KeyHash>,
}

/// Who may call now.
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
            // The first entry of every log lists the members, so nothing is applied yet.
            None if view.applied_index == 0 => Rule::Unknown,
            // The cluster was formed by a version without this rule.
            None => Rule::Open,
        }
    }

    /// Whether the caller has the token of this host.
    pub fn is_local(&self, headers: &HeaderMap) -> bool {
        self.token.is_some_and(|token| shown(headers).any(|key| is(key, token)))
    }

    /// Checks the headers of a caller; either header is enough. Says what it showed.
    pub fn check(&self, headers: &HeaderMap, view: &View) -> Result<Credential, Problem> {
        if self.is_local(headers) {
            return Ok(Credential::HostToken);
        }
        let expected = match self.rule(view) {
            Rule::Open => return Ok(Credential::Nothing),
            Rule::Key(hash) => hash,
            Rule::Unknown => return Err(Problem::not_formed()),
        };
        let mut keys = shown(headers).peekable();
        if keys.peek().is_none() {
            return Err(Problem::text(StatusCode::UNAUTHORIZED, "missing bearer token"));
        }
        match keys.any(|key| is(key, expected)) {
            true => Ok(Credential::ApiKey),
            false => Err(Problem::text(StatusCode::FORBIDDEN, "invalid token")),
        }
    }
}

/// The door of this node with the state behind it.
pub(crate) struct Guard {
    door: Door,
    fleet: Fleet,
}

impl Guard {
    /// The guard of a node.
    pub fn new(fleet: Fleet, token: Option<&Secret>) -> Self {
        let own = access::of_settings(fleet.config());
        Self { door: Door::new(own, token), fleet }
    }

    /// Checks the headers of a caller, and says what it showed.
    pub fn check(&self, headers: &HeaderMap) -> Result<Credential, Problem> {
        self.door.check(headers, &self.fleet.view())
    }

    /// Whether everybody may call.
    pub fn is_open(&self) -> bool {
        self.door.rule(&self.fleet.view()) == Rule::Open
    }

    /// Whether the caller has the token of this host.
    pub fn is_local(&self, headers: &HeaderMap) -> bool {
        self.door.is_local(headers)
    }
}

fn shown(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let own = headers.get(API_KEY_HEADER).map(|value| value.as_bytes());
    bearer.into_iter().chain(own)
}

fn is(key: &[u8], expected: KeyHash) -> bool {
    access::hash(key).0.ct_eq(&expected.0).into()
}

#[cfg(test)]
mod tests {
    use acefleet_registry::State;
    use axum::response::IntoResponse;

    use super::*;

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
        match Door::new(own, Some(&token)).check(&map, view) {
            Ok(_) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
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
}
