//! Join tokens: which can be made, who joins with one, when they end, what they leave in the log, and what others see of them.

use acefleet_registry::join_token::{BadTokenId, PublicKey, TOKENS_MAX, TTL_MAX_MS, TokenId, USES_MAX};
use acefleet_registry::rules::join_tokens::{NoToken, NoUse, Use, end_of_new, may_use};
use acefleet_registry::{Command, Elapsed, Level, RefusalCode, Reply, WallMs};

use crate::format::{create_token, use_token};
use crate::support::World;

const NOW: u64 = 1_760_000_000_000;
const HOUR: u64 = 3_600_000;

/// A cluster that knows the time of day.
fn world() -> World {
    let mut world = World::new(1, 10);
    world.run(Command::RaiseLevel(Level::CURRENT));
    world.run(Command::WallCorrected { from: Elapsed(0), offset_ms: NOW.cast_signed() });
    world
}

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn revoke(byte: u8) -> Command {
    Command::RevokeJoinToken { id: key(byte).id() }
}

/// A refused write shows the registry the time.
fn later(world: &mut World, by_ms: u64) {
    world.now = Elapsed(world.now.0 + by_ms);
    assert_eq!(code(world.run(revoke(200))), RefusalCode::NotFound);
}

fn code(reply: Reply) -> RefusalCode {
    let Reply::Refused(refusal) = reply else { panic!("{reply:?}") };
    refusal.code
}

/// Why this token cannot be made; what the command answers is the same.
fn fault(world: &mut World, command: Command) -> Option<NoToken> {
    let Command::CreateJoinToken(new) = command else { panic!("{command:?}") };
    let why = end_of_new(&world.state, &new).err();
    let before = world.state.clone();
    match (why, world.run(command)) {
        (None, Reply::Done) => assert!(world.state.join_token(&new.key).is_some()),
        (Some(why), Reply::Refused(refusal)) => {
            assert_eq!((refusal.code, refusal.message), (RefusalCode::TokenRefused, why.to_string()));
            assert!(before.join_tokens().eq(world.state.join_tokens()));
        }
        (_, reply) => panic!("{reply:?}"),
    }
    why
}

/// What comes of a use; what the rule says of it is the same.
fn joins(world: &mut World, token: u8, node: u8) -> Result<Use, NoUse> {
    let now = world.state.wall(world.state.clock_ms());
    let said = may_use(&world.state, &key(token), &key(node), now);
    let reply = world.run(use_token(token, node, &format!("node-{node}")));
    assert_eq!(reply == Reply::Done, said.is_ok(), "{said:?} and {reply:?}");
    said
}

#[test]
fn a_token_lets_as_many_nodes_join_as_it_says_and_each_may_come_again() {
    let mut world = world();
    assert_eq!(fault(&mut world, create_token(1, HOUR, 2)), None);
    assert_eq!(joins(&mut world, 1, 7), Ok(Use::First));
    assert_eq!(joins(&mut world, 1, 7), Ok(Use::Again), "its answer may have been lost");
    assert_eq!(joins(&mut world, 1, 8), Ok(Use::First));
    assert_eq!(joins(&mut world, 1, 9), Err(NoUse::UsedUp(key(1).id())));
    assert_eq!(joins(&mut world, 1, 8), Ok(Use::Again));
    assert_eq!(joins(&mut world, 2, 8), Err(NoUse::Unknown));
    assert_eq!(world.state.check(), Ok(()));
}

#[test]
fn a_token_ends_by_the_time_of_day_of_the_cluster() {
    let mut world = world();
    assert_eq!(fault(&mut world, create_token(1, HOUR, 2)), None);
    let end = world.state.join_token(&key(1)).unwrap().ends_at;
    assert_eq!(end, WallMs(world.state.wall(world.state.clock_ms()).unwrap().0 + HOUR));
    assert_eq!(joins(&mut world, 1, 7), Ok(Use::First));
    later(&mut world, HOUR);
    assert_eq!(joins(&mut world, 1, 7), Err(NoUse::Ended(key(1).id())), "nobody joins with it any more");
    // It leaves when another one comes.
    assert_eq!(fault(&mut world, create_token(2, HOUR, 1)), None);
    assert_eq!(world.state.join_token(&key(1)), None);
    let mut timeless = World::new(1, 10);
    timeless.run(Command::RaiseLevel(Level::CURRENT));
    assert_eq!(fault(&mut timeless, create_token(1, HOUR, 1)), Some(NoToken::NoTime));
}

#[test]
fn what_cannot_be_a_token_is_refused() {
    let mut world = world();
    assert_eq!(fault(&mut world, create_token(1, HOUR, 0)), Some(NoToken::Uses));
    assert_eq!(fault(&mut world, create_token(1, HOUR, USES_MAX + 1)), Some(NoToken::Uses));
    assert_eq!(fault(&mut world, create_token(1, TTL_MAX_MS + 1, 1)), Some(NoToken::TooLong));
    assert_eq!(fault(&mut world, create_token(1, TTL_MAX_MS, USES_MAX)), None);
    assert_eq!(fault(&mut world, create_token(1, HOUR, 1)), Some(NoToken::Known(key(1).id())));
    for n in 2..=u8::try_from(TOKENS_MAX).unwrap() {
        assert_eq!(fault(&mut world, create_token(n, HOUR, 1)), None);
    }
    assert_eq!(fault(&mut world, create_token(100, HOUR, 1)), Some(NoToken::TooMany));
    // Ended ones leave room.
    later(&mut world, HOUR);
    assert_eq!(fault(&mut world, create_token(100, HOUR, 1)), None);
    assert_eq!(world.state.check(), Ok(()));
}

#[test]
fn a_revoked_token_is_good_for_nothing_and_so_are_those_of_a_recovered_cluster() {
    let mut world = world();
    assert_eq!(fault(&mut world, create_token(1, HOUR, 2)), None);
    assert_eq!(world.run(revoke(1)), Reply::Done);
    assert_eq!(joins(&mut world, 1, 7), Err(NoUse::Unknown));
    assert_eq!(code(world.run(revoke(1))), RefusalCode::NotFound);
    assert_eq!(fault(&mut world, create_token(2, HOUR, 2)), None);
    let survivor = world.state.nodes().next().unwrap().info.id;
    world.run(Command::Recovered { survivor, former_clusters: Vec::new() });
    assert_eq!(joins(&mut world, 2, 7), Err(NoUse::Unknown), "how often it was used since is not known");
}

#[test]
fn the_log_names_tokens_and_who_joined_and_a_redacted_backup_has_none() {
    let mut world = world();
    assert_eq!(fault(&mut world, create_token(1, HOUR, 1)), None);
    assert_eq!(joins(&mut world, 1, 7), Ok(Use::First));
    world.run(revoke(1));
    let told: Vec<_> = world.state.events().iter().rev().take(3).collect();
    let categories: Vec<_> = told.iter().map(|event| event.category.as_str()).collect();
    assert_eq!(categories, ["join_token_revoked", "join_token_used", "join_token_created"]);
    let made = &told[2].message;
    assert!(made.starts_with("the join token 0101010101010101 was made for one node, until 20"), "{made}");
    assert!(made.ends_with('Z'), "{made}");
    assert_eq!(told[1].message, "node-7 got the secret of the cluster with the join token 0101010101010101");
    assert_eq!(fault(&mut world, create_token(2, HOUR, 1)), None);
    assert_eq!(world.state.redacted().join_tokens().count(), 0);
}

#[test]
fn tokens_are_called_by_sixteen_digits() {
    let id = PublicKey([0xa7; 32]).id();
    assert_eq!(id.to_string(), "a7a7a7a7a7a7a7a7");
    assert_eq!("a7a7a7a7a7a7a7a7".parse(), Ok(id));
    for bad in [
        "",
        "a7",
        "A7A7A7A7A7A7A7A7",
        "a7a7a7a7a7a7a7a77",
        "+7a7a7a7a7a7a7a7",
        "\u{e4}7a7a7a7a7a7a7",
        "../a7a7a7a7a7a7a",
    ] {
        assert_eq!(bad.parse::<TokenId>(), Err(BadTokenId), "{bad:?}");
    }
}
