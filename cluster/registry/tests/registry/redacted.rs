//! States that are shown to others, and states from which a cluster goes on.

use acefleet_registry::{State, apply};
use proptest::prelude::*;

use crate::properties::{cases, decoded, encoded};
use crate::support::arbitrary::{histories, vpn_histories};

fn replayed(proposals: &[acefleet_registry::Proposal]) -> State {
    let mut state = State::default();
    for (n, proposal) in proposals.iter().enumerate() {
        apply(&mut state, proposal, n as u64 + 1);
    }
    state
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_redacted_state_is_sound_and_has_the_same_shape(
        proposals in prop_oneof![histories(1..100), vpn_histories(1..100)]
    ) {
        let state = replayed(&proposals);
        let shown = state.redacted();
        prop_assert_eq!(shown.check(), Ok(()));
        prop_assert_eq!(&decoded(&encoded(&shown)), &shown, "records have other keys than in the tables");
        prop_assert_eq!(shown.stream_counts(), state.stream_counts());
        prop_assert_eq!(shown.all_engines().count(), state.all_engines().count());
        let ids = |of: &State| of.events().iter().map(|event| event.id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&shown), ids(&state));
        for stream in shown.streams() {
            let said = [&stream.start.key, &stream.start.stat_url, &stream.start.command_url];
            prop_assert!(said.iter().all(|said| said.is_empty()) && stream.start.labels.is_empty());
        }
        prop_assert!(shown.all_engines().all(|engine| engine.spec.env.values().all(String::is_empty)));
    }

    #[test]
    fn event_ids_that_were_passed_over_are_not_given_out(proposals in histories(2..60), step in 1_u64..1 << 40) {
        let (first, then) = proposals.split_at(proposals.len() / 2);
        let mut state = replayed(first);
        let last = state.events().last_id() + step;
        state.pass_over_events(last);
        state.pass_over_events(last / 2);
        prop_assert_eq!(state.cannot_go_on(), None);
        for (n, proposal) in then.iter().enumerate() {
            let known = state.events().len();
            apply(&mut state, proposal, last + n as u64);
            let new = state.events().iter().skip(known).map(|event| event.id).min();
            prop_assert!(new.is_none_or(|id| id > last));
        }
        prop_assert_eq!(state.check(), Ok(()));
    }
}
