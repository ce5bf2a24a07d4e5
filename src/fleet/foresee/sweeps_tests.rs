use std::collections::BTreeSet;

use acefleet_registry::{Elapsed, NodeId};
use proptest::prelude::*;

use super::*;
use crate::fleet::foresee::choice::{Listed, choose};
use crate::fleet::foresee::marks::Marks;
use crate::peers::Claim;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn listing(count: u64) -> Arc<Listing> {
    let listed = |n: u64| Listed {
        container: format!("c{n}").into(),
        engine: EngineId(n),
        is_healthy: true,
        is_forwarded: false,
        last_start: None,
    };
    Arc::new(Listing::new((0..count).map(listed).collect()))
}

fn begin(sweeps: &mut Sweeps, number: u64, list: &Arc<Listing>, now: Instant) -> Reading {
    sweeps.begin(CLIENT, number, Arc::clone(list), Arc::default(), now)
}

#[test]
fn only_the_list_and_then_its_first_engine_begin_a_sweep() {
    let (mut sweeps, now, list) = (Sweeps::default(), Instant::now(), listing(3));
    assert!(matches!(sweeps.read(CLIENT, "c0", now), Reading::Alone), "without the list");
    sweeps.listed(CLIENT, &list, now);
    assert!(matches!(sweeps.read(CLIENT, "c1", now), Reading::Alone), "not the first engine");
    let other: IpAddr = [10, 0, 0, 1].into();
    assert!(matches!(sweeps.read(other, "c0", now), Reading::Alone), "another client");
    assert!(matches!(sweeps.read(CLIENT, "c0", now + LIST_GOOD_FOR), Reading::Alone), "long ago");
    assert!(matches!(sweeps.read(CLIENT, "c0", now), Reading::Begins { .. }));
    begin(&mut sweeps, 1, &list, now);
    assert!(matches!(sweeps.read(CLIENT, "c2", now), Reading::Alone), "out of order");
    for next in ["c1", "c2"] {
        assert!(matches!(sweeps.read(CLIENT, next, now), Reading::GoesOn(0)), "{next}");
    }
    assert_eq!(sweeps.look(SweepId { client: CLIENT, number: 1 }, now), Progress::Complete);
}

#[test]
fn a_sweep_waits_for_the_one_before_and_passes_it_when_it_stalls() {
    let (mut sweeps, now, list) = (Sweeps::default(), Instant::now(), listing(4));
    sweeps.listed(CLIENT, &list, now);
    assert!(matches!(begin(&mut sweeps, 1, &list, now), Reading::GoesOn(_)));
    let Reading::Waits(second, _) = begin(&mut sweeps, 2, &list, now) else { panic!("it does not wait") };
    let Reading::Waits(third, _) = begin(&mut sweeps, 3, &list, now) else { panic!("it does not wait") };
    assert!(sweeps.release(second, now).is_err() && sweeps.release(third, now).is_err());
    sweeps.read(CLIENT, "c1", now);
    assert!(sweeps.release(third, now).is_err(), "the second is still before it");
    assert!(sweeps.release(second, now).is_ok() && sweeps.release(third, now).is_err());
    // The second asks no more.
    let late = now + STALLED;
    assert!(sweeps.release(third, late).is_ok());
    assert_eq!(sweeps.look(second, late), Progress::Stalled);
    // A client that goes away while its answer is held does not hold up others for good.
    let Reading::Waits(fourth, _) = begin(&mut sweeps, 4, &list, late) else { panic!("it does not wait") };
    let Reading::Waits(fifth, _) = begin(&mut sweeps, 5, &list, late) else { panic!("it does not wait") };
    sweeps.read(CLIENT, "c1", late);
    sweeps.let_go(fourth, late);
    assert!(sweeps.release(fifth, late + STALLED).is_ok());
    // Nor does one whose call was refused before it could wait.
    let Reading::Waits(sixth, _) = begin(&mut sweeps, 6, &list, late) else { panic!("it does not wait") };
    assert_eq!(sweeps.look(sixth, late + STALLED), Progress::Open);
    assert_eq!(sweeps.look(sixth, late + ABANDONED), Progress::Stalled);
}

#[test]
fn a_client_that_takes_no_engine_three_times_is_no_player_until_it_plays() {
    let (mut sweeps, now, list) = (Sweeps::default(), Instant::now(), listing(2));
    sweeps.listed(CLIENT, &list, now);
    let begins = |sweeps: &mut Sweeps, now| matches!(sweeps.read(CLIENT, "c0", now), Reading::Begins { .. });
    let lapse = |sweeps: &mut Sweeps| {
        for _ in 0..LAPSES_MAX {
            assert!(begins(sweeps, now));
            sweeps.lapsed(CLIENT, now);
        }
    };
    lapse(&mut sweeps);
    assert!(!begins(&mut sweeps, now) && !sweeps.plays(CLIENT));
    sweeps.played(CLIENT);
    assert!(begins(&mut sweeps, now) && sweeps.plays(CLIENT));
    // Or for ten minutes, however often it asks for the list meanwhile.
    lapse(&mut sweeps);
    let mut later = now;
    for _ in 0..200 {
        later += LIST_GOOD_FOR - Duration::from_millis(1);
        sweeps.listed(CLIENT, &list, later);
        assert_eq!(begins(&mut sweeps, later), later >= now + REMEMBERED);
    }
    // A stream on an engine that was foreseen shows that it plays.
    sweeps.lapsed(CLIENT, later);
    sweeps.came(CLIENT);
    assert_eq!(sweeps.clients[&CLIENT].lapses, 0);
}

#[test]
fn a_sweep_that_has_waited_for_long_is_held_no_more() {
    let (mut sweeps, mut now, list) = (Sweeps::default(), Instant::now(), listing(40));
    sweeps.listed(CLIENT, &list, now);
    begin(&mut sweeps, 1, &list, now);
    let Reading::Waits(id, _) = begin(&mut sweeps, 2, &list, now) else { panic!("it does not wait") };
    let slow = STALLED - Duration::from_millis(1);
    // The first goes on as slowly as it may, the second follows as fast as it can.
    for next in 1..10 {
        now += slow;
        sweeps.read(CLIENT, &format!("c{next}"), now);
        assert!(sweeps.release(id, now).is_ok());
        let reading = sweeps.read(CLIENT, &format!("c{next}"), now);
        assert_eq!(matches!(reading, Reading::Waits(..)), slow * next < HELD_MOST, "{next}");
        if slow * next >= HELD_MOST {
            return;
        }
    }
    panic!("it is held for ever");
}

#[test]
fn clients_and_their_lists_are_bounded() {
    let (mut sweeps, now) = (Sweeps::default(), Instant::now());
    let client = |n: u32| IpAddr::from(n.to_be_bytes());
    for n in 0..5_000 {
        sweeps.listed(client(n), &listing(1), now);
    }
    assert_eq!(sweeps.clients.len(), CLIENTS_MAX);
    for _ in 0..20 {
        sweeps.listed(client(0), &listing(1), now);
    }
    assert_eq!(sweeps.clients[&client(0)].lists.len(), LISTS_MAX);
    let late = now + LIST_GOOD_FOR;
    sweeps.listed(client(9_000), &listing(1), late);
    assert_eq!(sweeps.clients.len(), 1, "those that ask no more make room");
    sweeps.listed(client(9_001), &listing(1), late + LIST_GOOD_FOR);
    assert!(sweeps.clients[&client(9_000)].lists.is_empty(), "nobody chooses from them any more");
}

/// A choice of a client: what it has been shown so far.
struct Choice {
    node: usize,
    shown: Vec<u32>,
    waits: Option<SweepId>,
    target: EngineId,
}

/// Choices of the real client, which run in an order that `turns` decides. Each node tells sweeps apart by itself, one leader has the marks.
fn play(nodes: usize, choices: usize, engines: u64, turns: &[usize]) -> Vec<EngineId> {
    let (now, list) = (Instant::now(), listing(engines));
    let mut sweeps: Vec<Sweeps> = (0..nodes).map(|_| Sweeps::default()).collect();
    for known in &mut sweeps {
        known.listed(CLIENT, &list, now);
    }
    let mut marks = Marks::default();
    let new = |n| Choice { node: n % nodes, shown: vec![], waits: None, target: EngineId(u64::MAX) };
    let mut all: Vec<Choice> = (0..choices).map(new).collect();
    let mut turns = turns.iter().copied().cycle();
    let mut number = 0;
    // Every second turn goes round, so that each choice gets some, whatever the order.
    for step in 0..1_000_000 {
        let open: Vec<usize> = (0..choices)
            .filter(|n| all[*n].shown.len() < engines as usize || all[*n].waits.is_some())
            .collect();
        let Some(n) = turns.next().and_then(|turn| {
            open.get((if step % 2 == 0 { turn } else { step / 2 }) % open.len().max(1)).copied()
        }) else {
            break;
        };
        let choice = &mut all[n];
        let own = &mut sweeps[choice.node];
        if let Some(id) = choice.waits {
            if own.release(id, now).is_ok() {
                choice.waits = None;
            }
            continue;
        }
        let container = format!("c{}", choice.shown.len());
        let mut reading = own.read(CLIENT, &container, now);
        if let Reading::Begins { client, listing } = reading {
            number += 1;
            let claim = Claim { number, candidates: listing.candidates(|_| 0), plays: true, own: vec![] };
            let by = NodeId(choice.node as u64);
            let foreseen = marks.claim(by, &claim, |_| 0, (Elapsed(0), 1), now, None).unwrap();
            choice.target = foreseen.engine;
            let others = Arc::new(foreseen.others.into_iter().collect());
            reading = own.begin(client, number, listing, others, now);
        }
        match reading {
            Reading::GoesOn(more) => choice.shown.push(more),
            Reading::Waits(id, more) => {
                choice.shown.push(more);
                choice.waits = Some(id);
            }
            other => panic!("read {container} of choice {n} is {other:?}"),
        }
    }
    let chosen = all.iter().map(|choice| {
        assert_eq!(choice.shown.len(), engines as usize, "a choice hangs");
        let candidates = list.candidates(|engine| choice.shown[engine.0 as usize]);
        let chosen = choose(&candidates, &BTreeMap::new()).unwrap().engine;
        assert_eq!(chosen, choice.target, "the client takes what was foreseen");
        chosen
    });
    chosen.collect()
}

#[test]
fn thirty_choices_at_once_over_three_nodes_take_thirty_engines() {
    let chosen = play(3, 30, 30, &[0, 7, 3, 11, 29, 2, 5, 17, 1]);
    assert_eq!(chosen.into_iter().collect::<BTreeSet<_>>().len(), 30);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn choices_that_interleave_take_the_engine_that_was_foreseen_and_share_none_that_they_need_not(
        nodes in 1usize..4,
        choices in 1usize..12,
        engines in 1u64..12,
        turns in prop::collection::vec(0usize..64, 1..200),
    ) {
        let chosen = play(nodes, choices, engines, &turns);
        let different = chosen.iter().collect::<BTreeSet<_>>().len();
        prop_assert_eq!(different, choices.min(engines as usize));
    }
}
