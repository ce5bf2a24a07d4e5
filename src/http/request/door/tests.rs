//! Who is known by what, without a node.

use acefleet_raft::ClusterSecret;
use acefleet_registry::command::CreateKey;
use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal, Role, State, apply};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;

use super::*;
use crate::http::answer::problem::Problem;
use crate::http::request::shown;

const NOW: WallMs = WallMs(1_760_000_000_000);

fn view(access: Option<Access>, applied_index: u64) -> View {
    let mut state = State::default();
    if let Some(access) = access {
        state.formed_with(access);
    }
    View { state, revision: 0, applied_index }
}

fn signing(last: char) -> Signing {
    let secret = ClusterSecret::parse(&format!("0123456789abcdef0123456789abcde{last}")).unwrap();
    Signing::of(&secret, None).unwrap()
}

fn key(text: &str) -> Option<Access> {
    Some(Access::Key(access::hash(text.as_bytes())))
}

fn status(own: Option<Access>, view: &View, headers: &[(&'static str, &'static str)]) -> u16 {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let token = Secret::new("local_token".into());
    match Door::new(own, Some(&token), signing('x')).who(&shown::all(&map, None), view, |_| Some(NOW)) {
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
        Door::new(None, None, signing('x'))
            .who(&shown::all(&shows(shown), None), &view, |_| Some(WallMs(NOW.0 + ms)))
    };
    let named = |name: &str, role| Known {
        credential: Credential::Named(name.parse().unwrap()),
        role,
        session: None,
    };
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
    let unknown =
        Door::new(None, None, signing('x')).who(&shown::all(&shows("guest"), None), &view, |_| None);
    assert_eq!(unknown, Ok(named("guest", Role::Viewer)));
}

#[test]
fn named_keys_are_valid_beside_the_key_of_a_node() {
    let view = with_keys(key("clusters"), &[("acexy", Role::Proxy, None)]);
    let door = Door::new(key("own"), None, signing('x'));
    let who = |headers: &HeaderMap| {
        door.who(&shown::all(headers, None), &view, |_| Some(NOW)).map(|known| known.role)
    };
    assert_eq!(who(&shows("own")), Ok(Role::Admin));
    assert_eq!(who(&shows("acexy")), Ok(Role::Proxy));
    assert_eq!(who(&shows("clusters")), Err(Refused::WrongKey));
    // Either header is enough.
    let mut both = shows("nonsense");
    both.insert("x-api-key", "acexy".parse().unwrap());
    assert_eq!(who(&both), Ok(Role::Proxy));
    let blank = self::view(None, 0);
    assert_eq!(
        door.who(&shown::all(&shows("acexy"), None), &blank, |_| None),
        Err(Refused::NotFormed),
        "it may be known elsewhere"
    );
}

#[test]
fn a_refusal_names_the_role_and_the_key() {
    let known = Known {
        credential: Credential::Named("grafana".parse().unwrap()),
        role: Role::Viewer,
        session: None,
    };
    let (status, body) = Problem::from(known.may(Role::Operator).unwrap_err()).status_and_body();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        body["detail"],
        "this needs a key with the role operator, and the key grafana has the role viewer"
    );
    assert_eq!(known.may(Role::Viewer), Ok(()));
}

/// Who shows this at a door, so many milliseconds after [`NOW`].
fn who(door: &Door, view: &View, shown: &str, ms: u64) -> Result<Known, Refused> {
    door.who(&shown::all(&shows(shown), None), view, |_| Some(WallMs(NOW.0 + ms)))
}

/// What who shows this shows from then on.
fn session(door: &Door, view: &View, shown: &str, ms: u64) -> String {
    let known = who(door, view, shown, ms).unwrap();
    door.sign_in(&known, view, WallMs(NOW.0 + ms)).unwrap().0.exposed().to_owned()
}

const HOUR: u64 = 3_600_000;

#[test]
fn a_session_stands_for_its_key_at_every_door_of_the_cluster() {
    let view =
        with_keys(key("clusters"), &[("acexy", Role::Proxy, None), ("guest", Role::Viewer, Some(5_000))]);
    let (here, there) = (Door::new(None, None, signing('x')), Door::new(None, None, signing('x')));
    for (shown, credential, role, life) in [
        ("clusters", Credential::ApiKey, Role::Admin, 12 * HOUR),
        ("acexy", Credential::Named("acexy".parse().unwrap()), Role::Proxy, 12 * HOUR),
        ("guest", Credential::Named("guest".parse().unwrap()), Role::Viewer, 5_000),
    ] {
        let session = session(&here, &view, shown, 0);
        let known = who(&there, &view, &session, life - 1).unwrap();
        assert_eq!((&known.credential, known.role), (&credential, role));
        assert!(known.session.is_some());
        assert!(who(&there, &view, &session, life).is_err(), "{shown}");
    }
    let elsewhere = Door::new(None, None, signing('y'));
    let session = session(&here, &view, "clusters", 0);
    assert_eq!(who(&elsewhere, &view, &session, 0), Err(Refused::SessionOver));
    let other_key = Door::new(key("own"), None, signing('x'));
    assert_eq!(who(&other_key, &view, &session, 0), Err(Refused::SessionOver));
    let (status, body) = Problem::from(Refused::SessionOver).status_and_body();
    assert_eq!((status, body["detail"]["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("session_over")));
}

#[test]
fn a_session_ends_with_its_key_and_does_not_come_back() {
    let view = with_keys(key("clusters"), &[("ops", Role::Operator, None)]);
    let door = Door::new(None, None, signing('x'));
    let (of_ops, of_cluster) = (session(&door, &view, "ops", 0), session(&door, &view, "clusters", 0));
    let revoked = with_keys(key("clusters"), &[]);
    assert_eq!(who(&door, &revoked, &of_ops, 1), Err(Refused::SessionOver));
    assert!(who(&door, &revoked, &of_cluster, 1).is_ok());
    // Made anew, with the same name: its text and so its hash are others.
    let mut anew = with_keys(key("another"), &[]);
    let (hash, name) = (access::hash(b"ops made anew"), "ops".parse().unwrap());
    let command = Command::CreateKey(CreateKey { name, role: Role::Operator, hash, ttl_ms: None });
    let (op_id, at_ms) = (OpId(2, 1), Elapsed(0));
    apply(&mut anew.state, &Proposal { op_id, at_ms, origin: NodeId(1), by: None, command }, 2);
    assert_eq!(who(&door, &anew, &of_ops, 1), Err(Refused::SessionOver));
    assert_eq!(who(&door, &anew, &of_cluster, 1), Err(Refused::SessionOver), "the cluster has another key");
    let blank = self::view(None, 0);
    assert_eq!(who(&door, &blank, &of_ops, 1), Err(Refused::NotFormed));
}

#[test]
fn the_role_is_that_of_the_key_now() {
    let door = Door::new(None, None, signing('x'));
    let view = with_keys(key("clusters"), &[("k", Role::Admin, None)]);
    let session = session(&door, &view, "k", 0);
    let lowered = with_keys(key("clusters"), &[("k", Role::Viewer, None)]);
    assert_eq!(who(&door, &lowered, &session, 1).map(|known| known.role), Ok(Role::Viewer));
}

#[test]
fn a_session_is_renewed_until_a_week_after_its_key_was_shown() {
    let door = Door::new(None, None, signing('x'));
    let view = with_keys(key("clusters"), &[]);
    let mut shown = session(&door, &view, "clusters", 0);
    for hours in (11..168).step_by(11) {
        shown = session(&door, &view, &shown, hours * HOUR);
    }
    assert!(who(&door, &view, &shown, 168 * HOUR - 1).is_ok());
    assert_eq!(who(&door, &view, &shown, 168 * HOUR), Err(Refused::SessionOver));
    // The key begins a week anew.
    assert!(who(&door, &view, &session(&door, &view, "clusters", 168 * HOUR), 179 * HOUR).is_ok());
}

#[test]
fn what_is_no_key_gives_no_session() {
    let token = Secret::new("local_token".into());
    let door = Door::new(None, Some(&token), signing('x'));
    let view = with_keys(key("clusters"), &[]);
    let known = who(&door, &view, "local_token", 0).unwrap();
    assert_eq!(door.sign_in(&known, &view, NOW), None);
    let open = self::view(Some(Access::Open), 1);
    let anybody = door.who(&[], &open, |_| Some(NOW)).unwrap();
    assert_eq!(door.sign_in(&anybody, &open, NOW), None);
}

#[test]
fn a_user_of_a_proxy_is_known_once_all_members_name_users_and_a_key_comes_first() {
    let header = axum::http::HeaderName::from_static("remote-user");
    let shown = |name: &str, key: Option<&str>| {
        let mut headers = key.map_or_else(HeaderMap::new, shows);
        headers.insert(&header, name.parse().unwrap());
        shown::all(&headers, Some(&header))
    };
    let door = Door::new(None, None, signing('x')).with_users(Role::Operator);
    let mut view = with_keys(key("clusters"), &[("acexy", Role::Proxy, None)]);
    let who = |view: &View, shown: &[Shown]| door.who(shown, view, |_| Some(NOW));
    assert_eq!(who(&view, &shown("alice", None)), Err(Refused::NoKey), "a member could not read the event");
    let (op_id, at_ms, command) = (OpId(2, 1), Elapsed(0), Command::RaiseLevel(Level::CURRENT));
    apply(&mut view.state, &Proposal { op_id, at_ms, origin: NodeId(1), by: None, command }, 2);
    let alice = who(&view, &shown("alice", None)).unwrap();
    assert_eq!((alice.credential.as_str(), alice.role), ("alice", Role::Operator));
    assert_eq!(alice.credential.user().map(ToString::to_string).as_deref(), Some("alice"));
    assert_eq!(door.sign_in(&alice, &view, NOW), None);
    let refused = Problem::from(alice.may(Role::Admin).unwrap_err()).status_and_body().1;
    assert_eq!(
        refused["detail"],
        "this needs a key with the role admin, and the user alice has the role operator"
    );
    assert_eq!(who(&view, &shown("alice", Some("acexy"))).map(|known| known.role), Ok(Role::Proxy));
    // A proxy may send a token of its own in this header.
    assert_eq!(who(&view, &shown("alice", Some("wrong"))).map(|known| known.role), Ok(Role::Operator));
    assert!(matches!(who(&view, &shown("no name", None)), Err(Refused::BadUser(_))));
    assert_eq!(who(&view, &shown("no name", Some("wrong"))), Err(Refused::WrongKey));
}
