//! Named keys: which can be made, when they end, what they leave in the log, and what others see of them.

use acefleet_registry::command::CreateKey;
use acefleet_registry::key::{BadKeyName, KEYS_MAX};
use acefleet_registry::node::Wanted;
use acefleet_registry::rules::keys::{NoKey, end_of_new};
use acefleet_registry::{
    Access, Actor, Command, Credential, Elapsed, KeyHash, KeyName, Level, NodeId, OpId, Proposal,
    RefusalCode, Reply, Role, WallMs,
};

use crate::format::create_key;
use crate::support::World;

const NOW: i64 = 1_760_000_000_000;

fn world() -> World {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world
}

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn revoke(text: &str) -> Command {
    Command::RevokeKey { name: name(text) }
}

fn code(reply: Reply) -> RefusalCode {
    let Reply::Refused(refusal) = reply else { panic!("{reply:?}") };
    refusal.code
}

/// Why this key cannot be made, if it cannot.
fn fault(world: &World, command: &Command) -> Option<NoKey> {
    let Command::CreateKey(new) = command else { panic!("{command:?}") };
    end_of_new(&world.state, new).err()
}

#[test]
fn names_can_stand_in_a_log_a_path_and_a_shell() {
    for good in ["a", "0", "acexy", "acexy-2", "10.0.0.9", "a_b", &"x".repeat(64)] {
        assert_eq!(good.parse::<KeyName>().map(|name| name.to_string()), Ok(good.to_owned()));
    }
    for bad in ["", &"x".repeat(65)] {
        assert_eq!(bad.parse::<KeyName>(), Err(BadKeyName::Length), "{bad}");
    }
    for bad in [
        "A",
        "a b",
        "..",
        "-a",
        "_a",
        "a/b",
        "a\n",
        "\u{e4}",
        "a%",
        "a\"",
        "a<",
        "a\u{202e}",
        "a\0",
        "API key",
    ] {
        assert_eq!(bad.parse::<KeyName>(), Err(BadKeyName::Characters), "{bad:?}");
        let bytes = rmp_serde::to_vec(bad).unwrap();
        assert!(rmp_serde::from_slice::<KeyName>(&bytes).is_err(), "no file brings it in, either");
    }
}

#[test]
fn a_key_is_made_once_and_revoked_once() {
    let mut world = world();
    assert_eq!(world.run(create_key("acexy", Role::Proxy, None)), Reply::Done);
    let key = world.state.key(&name("acexy")).unwrap();
    assert_eq!((key.role, key.ends_at), (Role::Proxy, None));
    let again = create_key("acexy", Role::Admin, None);
    assert_eq!(fault(&world, &again), Some(NoKey::Taken(name("acexy"))));
    assert_eq!(code(world.run(again)), RefusalCode::KeyRefused);
    assert_eq!(world.state.key(&name("acexy")).unwrap().role, Role::Proxy, "nobody takes over a name");
    assert_eq!(world.run(revoke("acexy")), Reply::Done);
    assert_eq!(world.state.keys().count(), 0);
    assert_eq!(code(world.run(revoke("acexy"))), RefusalCode::NotFound);
}

#[test]
fn two_keys_are_never_the_same() {
    let mut world = world();
    world.run(create_key("one", Role::Viewer, None));
    let Command::CreateKey(one) = create_key("one", Role::Admin, None) else { panic!() };
    let other = Command::CreateKey(CreateKey { name: name("other"), ..one });
    assert_eq!(fault(&world, &other), Some(NoKey::Known(name("one"))));
    let clusters = KeyHash([7; 32]);
    world.run(Command::SetAccess(Access::Key(clusters)));
    let Command::CreateKey(own) = create_key("own", Role::Viewer, None) else { panic!() };
    let own = Command::CreateKey(CreateKey { hash: clusters, ..own });
    assert_eq!(fault(&world, &own), Some(NoKey::IsTheClusters));
}

#[test]
fn there_are_only_so_many() {
    let mut world = world();
    for n in 0..KEYS_MAX {
        assert_eq!(world.run(create_key(&format!("key-{n}"), Role::Viewer, None)), Reply::Done);
    }
    assert_eq!(fault(&world, &create_key("more", Role::Viewer, None)), Some(NoKey::TooMany));
    world.run(revoke("key-0"));
    assert_eq!(world.run(create_key("more", Role::Viewer, None)), Reply::Done);
    assert_eq!(world.state.check(), Ok(()));
}

#[test]
fn a_key_ends_at_a_time_of_day_of_the_cluster() {
    let mut world = world();
    let asked = create_key("guest", Role::Viewer, Some(60_000));
    assert_eq!(fault(&world, &asked), Some(NoKey::NoTime), "nobody has said what time it is");
    world.run(Command::WallCorrected { from: Elapsed(0), offset_ms: NOW });
    world.run(asked);
    let end = world.state.wall(world.now).unwrap().0 + 60_000;
    let key = world.state.key(&name("guest")).unwrap();
    assert_eq!(key.ends_at, Some(WallMs(end)));
    assert_eq!(key.ended(Some(WallMs(end - 1))), None);
    assert_eq!(key.ended(Some(WallMs(end))), Some(WallMs(end)));
    assert_eq!(key.ended(None), None);
    let told = |world: &World| world.state.events().iter().next_back().unwrap().message.clone();
    let until = jiff::Timestamp::from_millisecond(i64::try_from(end).unwrap()).unwrap();
    assert_eq!(told(&world), format!("the key guest was made with the role viewer, until {until:.0}"));
    assert!(told(&world).ends_with('Z'), "{}", told(&world));
    world.run(create_key("always", Role::Viewer, None));
    assert_eq!(world.state.key(&name("always")).unwrap().ended(Some(WallMs(u64::MAX))), None);
    world.run(create_key("for-ever", Role::Viewer, Some(u64::MAX)));
    assert_eq!(world.state.key(&name("for-ever")).unwrap().ends_at, Some(WallMs(u64::MAX)));
    assert!(told(&world).ends_with(", until 9999-12-30T22:00:00Z"), "{}", told(&world));
}

#[test]
fn an_operator_may_what_viewers_and_proxies_may() {
    use Role::{Admin, Operator, Proxy, Viewer};
    let all = [Viewer, Proxy, Operator, Admin];
    let of = |role: Role| all.into_iter().filter(|other| role.includes(*other)).collect::<Vec<_>>();
    assert_eq!(all.map(of), [vec![Viewer], vec![Proxy], vec![Viewer, Proxy, Operator], all.to_vec()]);
}

#[test]
fn the_log_says_who_made_a_key_and_what_was_done_with_it() {
    let mut world = world();
    let address = Some("192.0.2.7".to_owned());
    let mut write = |n, credential, command| {
        let by = Some(Actor::new(credential, address.clone()));
        let (op_id, at_ms) = (OpId(8, n), world.now);
        world.propose(&Proposal { op_id, at_ms, origin: NodeId(1), by, command });
    };
    write(1, Credential::ApiKey, create_key("night-shift", Role::Operator, None));
    let cordon = Command::NodeAvailability { node: NodeId(1), availability: Wanted::Cordoned };
    write(2, Credential::Named(name("night-shift")), cordon);
    write(3, Credential::HostToken, revoke("night-shift"));
    let told: Vec<_> = world.state.events().iter().rev().take(3).collect();
    let categories: Vec<_> = told.iter().map(|event| event.category.as_str()).collect();
    assert_eq!(categories, ["key_revoked", "cordoned", "key_created"]);
    let by = told[1].by.as_ref().unwrap();
    assert_eq!(by.actor.credential.key(), Some(&name("night-shift")));
    assert_eq!(told[2].message, "the key night-shift was made with the role operator, until it is revoked");
    let shown = format!("{:?}", world.state.redacted());
    assert!(!shown.contains("night-shift") && !shown.contains("192.0.2.7"), "{shown}");
}

#[test]
fn members_are_asked_whether_they_know_keys() {
    for command in [create_key("a", Role::Admin, None), revoke("a")] {
        assert_eq!(command.level(), Level::NAMED_KEYS);
        assert!(command.level() > Level::FIRST);
    }
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let mut world = world();
    world.run(create_key("acexy", Role::Proxy, None));
    let shown = format!("{:?}", world.state.key(&name("acexy")).unwrap());
    assert!(shown.contains("KeyHash(\u{2026})") && !shown.contains("[97"), "{shown}");
}
