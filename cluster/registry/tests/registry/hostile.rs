//! What a member writes that lies, or is broken: any proposal that can be decoded is applied by all replicas, so none may end one.

use acefleet_registry::{Elapsed, OpId, Proposal, State, apply};
use proptest::prelude::*;
use serde_json::Value;

use crate::format::{proposal, sample_state, samples};

/// One thing that is wrong with a proposal.
#[derive(Clone, Debug)]
enum Twist {
    /// A bit of its encoding.
    Bit(usize),
    /// Its encoding ends early.
    Cut(usize),
    /// A number at this place, modulo how many there are.
    Number(usize, u64),
    /// A text at this place.
    Text(usize, String),
    /// A list is doubled, or a map loses an entry.
    Size(usize),
}

fn twist() -> impl Strategy<Value = Twist> {
    let numbers = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::from(u16::MAX)),
        Just(u64::from(u32::MAX)),
        Just(1 << 53),
        Just(u64::MAX - 1),
        Just(u64::MAX),
        any::<u64>()
    ];
    let texts = prop_oneof![
        Just(String::new()),
        Just("\u{0}\n\u{202e}".to_owned()),
        Just("x".repeat(70_000)),
        ".{0,12}",
    ];
    prop_oneof![
        any::<usize>().prop_map(Twist::Bit),
        any::<usize>().prop_map(Twist::Cut),
        (any::<usize>(), numbers).prop_map(|(at, number)| Twist::Number(at, number)),
        (any::<usize>(), texts).prop_map(|(at, text)| Twist::Text(at, text)),
        any::<usize>().prop_map(Twist::Size),
    ]
}

/// All values within this one that are of a kind.
fn within<'a>(value: &'a mut Value, is_wanted: fn(&Value) -> bool, found: &mut Vec<&'a mut Value>) {
    if is_wanted(value) {
        found.push(value);
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| within(item, is_wanted, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| within(field, is_wanted, found)),
        _ => {}
    }
}

fn at(value: &mut Value, is_wanted: fn(&Value) -> bool, place: usize, change: impl FnOnce(&mut Value)) {
    let mut found = Vec::new();
    within(value, is_wanted, &mut found);
    if !found.is_empty() {
        let place = place % found.len();
        change(found.swap_remove(place));
    }
}

/// The encoding of a sample after this.
fn twisted(sample: &Proposal, twists: &[Twist]) -> Vec<u8> {
    let mut value = serde_json::to_value(sample).unwrap();
    for twist in twists {
        match twist {
            Twist::Number(place, number) => {
                at(&mut value, Value::is_number, *place, |found| *found = (*number).into());
            }
            Twist::Text(place, text) => {
                at(&mut value, Value::is_string, *place, |found| *found = text.clone().into());
            }
            Twist::Size(place) => {
                let is_list = |value: &Value| value.as_array().is_some_and(|items| !items.is_empty());
                at(&mut value, is_list, *place, |found| {
                    if let Value::Array(items) = found {
                        items.extend(items.clone());
                    }
                });
            }
            Twist::Bit(_) | Twist::Cut(_) => {}
        }
    }
    let mut bytes = rmp_serde::to_vec_named(&value).unwrap();
    for twist in twists {
        match twist {
            Twist::Bit(bit) => {
                let bit = bit % (8 * bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Twist::Cut(length) => bytes.truncate(length % (bytes.len() + 1)),
            Twist::Number(..) | Twist::Text(..) | Twist::Size(_) => {}
        }
    }
    bytes
}

proptest! {
    #[test]
    fn no_proposal_ends_a_replica(
        begun in any::<bool>(),
        written in prop::collection::vec((any::<usize>(), prop::collection::vec(twist(), 0..4)), 1..24),
    ) {
        let samples: Vec<Proposal> = samples().into_iter().map(proposal).collect();
        let mut state = if begun { sample_state() } else { State::default() };
        for (n, (sample, twists)) in written.iter().enumerate() {
            let bytes = twisted(&samples[sample % samples.len()], twists);
            let decoded = rmp_serde::from_slice::<Proposal>(&bytes);
            prop_assert!(decoded.is_ok() || !twists.is_empty(), "a sample is not what it should be");
            let Ok(proposal) = decoded else { continue };
            let proposal = Proposal { op_id: OpId(7, n as u64), ..proposal };
            apply(&mut state, &proposal, 1_000 + n as u64);
        }
        prop_assert!(state.indexes_are_true());
        // It can be stored, and read again.
        let bytes = rmp_serde::to_vec_named(&state).unwrap();
        prop_assert_eq!(&rmp_serde::from_slice::<State>(&bytes).unwrap(), &state);
        // Whoever looks at it later, looks at it as a whole.
        for now in [Elapsed::ZERO, Elapsed(1 << 40), Elapsed(u64::MAX)] {
            let view = state.at(now);
            let _ = (view.supply(), view.policy(), state.digest());
        }
    }
}
