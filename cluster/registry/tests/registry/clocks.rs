//! Wrong clocks: they change what people are shown, and nothing else.

use acefleet_registry::cause::Cause;
use acefleet_registry::event::Event;
use acefleet_registry::key::KeyCategory;
use acefleet_registry::plan::stop_idle;
use acefleet_registry::state::Tables;
use acefleet_registry::{Command, Elapsed, KeyName, NamedKey, NodeId, OpId, Proposal, Reply, State, apply};
use proptest::prelude::*;

use crate::support::arbitrary::histories;
use crate::support::{World, plan, playing};

const DAY: i64 = 86_400_000;
const NOW: i64 = 1_760_000_000_000;

/// What clocks have been seen to say: a few seconds or hours off, days, twenty years, and the ends of the scale.
fn offset() -> impl Strategy<Value = i64> {
    let off = prop_oneof![
        Just(0),
        -10_000..10_000i64,
        Just(2 * 3_600_000),
        Just(-2 * DAY),
        Just(2 * DAY),
        Just(20 * 365 * DAY),
    ];
    prop_oneof![8 => off.prop_map(|off| NOW + off), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

/// A correction of the clock at a share of the history, from a moment on.
fn corrections() -> impl Strategy<Value = Vec<(prop::sample::Index, u64, i64)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..2_000_000u64, offset()), 1..8)
}

/// The history with corrections in it; what they say is `said`, or nothing worth saying.
fn with(history: &[Proposal], corrections: &[(prop::sample::Index, u64, i64)], said: bool) -> Vec<Proposal> {
    let mut all = history.to_vec();
    // Who joins with a token that has an end is a matter of the time of day.
    all.retain(|proposal| {
        !matches!(proposal.command, Command::CreateJoinToken(_) | Command::UseJoinToken(_))
    });
    for (n, (at, from, offset_ms)) in corrections.iter().enumerate() {
        let at = at.index(all.len().max(1)).min(all.len());
        let begin = history.first().map_or(Elapsed::ZERO, |first| first.at_ms);
        let command = match said {
            true => Command::WallCorrected { from: begin.plus(*from), offset_ms: *offset_ms },
            false => Command::WallCorrected { from: Elapsed::ZERO, offset_ms: 0 },
        };
        let op_id = OpId(99, n as u64);
        let at_ms = all.get(at).map_or(begin, |next| next.at_ms);
        all.insert(at, Proposal { op_id, at_ms, origin: NodeId(1), by: None, command });
    }
    all
}

fn replayed(history: &[Proposal]) -> (State, Vec<Reply>) {
    let mut state = State::default();
    let replies = history.iter().map(|proposal| apply(&mut state, proposal, 0)).collect();
    (state, replies)
}

/// The ends of keys are times of day, and so they stand in the words of the log; nothing else that is decided is.
fn without_calendar(state: &State) -> (Tables, u64, Vec<Event>) {
    let mut tables = Tables { calendar: Default::default(), ..Tables::from(state.clone()) };
    let endless =
        |(name, key): (&KeyName, &NamedKey)| (name.clone(), NamedKey { ends_at: None, ..key.clone() });
    tables.keys = tables.keys.iter().map(endless).collect();
    let mut events: Vec<Event> = tables.events.iter().map(|event| (**event).clone()).collect();
    for event in events.iter_mut().filter(|event| event.category == <&str>::from(KeyCategory::KeyCreated)) {
        let words = event.message.rsplit_once(", until ").map(|(words, _)| words.to_owned());
        event.message = words.unwrap();
    }
    let last = std::mem::take(&mut tables.events).last_id();
    (tables, last, events)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_clocks_say_the_same_is_decided(
        history in histories(1..100),
        corrections in corrections(),
        later_ms in 0..90_000_000u64,
    ) {
        let (state, replies) = replayed(&with(&history, &corrections, true));
        let (plain, expected) = replayed(&with(&history, &corrections, false));
        prop_assert_eq!(replies, expected);
        prop_assert_eq!(without_calendar(&state), without_calendar(&plain));
        let now = state.clock_ms().plus(later_ms);
        let hosts = (1..=5).map(NodeId).collect();
        prop_assert_eq!(plan(&state, &hosts, now), plan(&plain, &hosts, now));
        prop_assert_eq!(stop_idle(&state, 60_000, &Cause::IdleTtl, now), stop_idle(&plain, 60_000, &Cause::IdleTtl, now));
    }

    #[test]
    fn what_is_shown_keeps_its_order_and_is_not_in_the_future(
        history in histories(1..100),
        corrections in corrections(),
    ) {
        let (state, _) = replayed(&with(&history, &corrections, true));
        let now = state.wall(state.clock_ms()).unwrap();
        for stream in state.streams() {
            let shown = (state.wall(stream.started_at_ms), stream.ended_at_ms.and_then(|at| state.wall(at)));
            prop_assert!(shown.1.is_none_or(|ended| Some(ended) >= shown.0), "{shown:?}");
            prop_assert!(shown.0 <= Some(now), "{shown:?} at {now:?}");
        }
        let events: Vec<_> = state.events().iter().map(|event| state.wall(event.at_ms)).collect();
        prop_assert!(events.is_sorted(), "{events:?}");
    }
}

#[test]
fn a_clock_that_was_twenty_years_ahead_leaves_no_trace_in_what_is_shown() {
    let mut world = World::new(1, 10);
    let port = world.running().ports.host_http;
    let from = world.now;
    let offset = |ms: i64| NOW - i64::try_from(from.0).unwrap() + ms;
    let say = |world: &mut World, ms| world.run(Command::WallCorrected { from, offset_ms: offset(ms) });
    say(&mut world, 0);
    world.begin(playing("k", "before", port));
    say(&mut world, 20 * 365 * DAY);
    world.wait_ms(60_000);
    world.begin(playing("k", "meanwhile", port));
    let shown = |world: &World, id: &str| {
        let stream = world.state.stream(id).unwrap();
        assert!(stream.is_started(), "{id}");
        world.state.wall(stream.started_at_ms).unwrap().0
    };
    assert_eq!(shown(&world, "k|meanwhile"), (NOW + 60_000 + 20 * 365 * DAY) as u64);
    say(&mut world, 0);
    assert_eq!(shown(&world, "k|before"), NOW as u64);
    assert_eq!(shown(&world, "k|meanwhile"), (NOW + 60_000) as u64);
}

#[test]
fn a_correction_cannot_reach_past_the_moment_of_its_own_entry() {
    let mut world = World::new(1, 10);
    world.run(Command::WallCorrected { from: Elapsed(u64::MAX), offset_ms: 7 });
    world.wait_ms(5);
    assert_eq!(world.state.wall(world.now).map(|wall| wall.0), Some(world.now.0 + 7));
    world.run(Command::WallCorrected { from: world.now, offset_ms: 9 });
    assert_eq!(world.state.calendar().offset_ms(), Some(9), "a later one is in force");
}
