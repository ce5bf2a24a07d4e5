//! The rule by which Acexy chooses an engine, as a function. It reads the list, then the started streams of each engine in the order of
//! the list. It takes the healthiest, then that with the fewest streams, then one with a forwarded port, then the one unused for longest,
//! then the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use acefleet_registry::{Elapsed, EngineId};

use crate::peers::Candidate;

/// Candidates of one choice at the most. A list may have thousands of engines, of which a burst reaches the best.
pub(super) const CANDIDATES_MAX: usize = 256;

/// An engine as a list showed it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its published id, by which the client asks for its streams.
    pub container: Arc<str>,
    /// The engine.
    pub engine: EngineId,
    /// Whether it was shown as healthy.
    pub is_healthy: bool,
    /// Whether it owns a forwarded port.
    pub is_forwarded: bool,
    /// When a stream last started on it.
    pub last_start: Option<Elapsed>,
}

/// The list of engines as a client got it.
#[derive(Debug, Default)]
pub struct Listing(Vec<Listed>);

impl Listing {
    /// A list in the order in which it was sent.
    #[must_use]
    pub fn new(engines: Vec<Listed>) -> Self {
        Self(engines)
    }

    /// The engine at a place.
    pub(super) fn at(&self, place: usize) -> Option<&Listed> {
        self.0.get(place)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a client that reads this list asks for the streams of this one first.
    pub(super) fn begins_with(&self, container: &str) -> bool {
        self.0.first().is_some_and(|first| *first.container == *container)
    }

    /// What a client chooses from, given the streams that it is shown. Equal ones come in the order in which it prefers them.
    pub(super) fn candidates(&self, streams: impl Fn(EngineId) -> u32) -> Vec<Candidate> {
        let mut order: Vec<&Listed> = self.0.iter().collect();
        // Stable: the place in the list decides last.
        order.sort_by_key(|listed| (!listed.is_forwarded, listed.last_start));
        let mut candidates: Vec<Candidate> = order
            .into_iter()
            .map(|listed| Candidate {
                engine: listed.engine,
                is_healthy: listed.is_healthy,
                streams: streams(listed.engine),
            })
            .collect();
        if candidates.len() > CANDIDATES_MAX {
            candidates.sort_by_key(|candidate| rank(candidate, 0));
            candidates.truncate(CANDIDATES_MAX);
        }
        candidates
    }
}

/// The client's choice when it is shown so many streams more on each engine.
pub(super) fn choose<'a>(
    candidates: &'a [Candidate],
    more: &BTreeMap<EngineId, u32>,
) -> Option<&'a Candidate> {
    candidates.iter().min_by_key(|it| rank(it, more.get(&it.engine).copied().unwrap_or(0)))
}

fn rank(candidate: &Candidate, more: u32) -> (bool, u32) {
    (!candidate.is_healthy, candidate.streams.saturating_add(more))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An engine, with the streams that it is shown with.
    type Case = (bool, bool, Option<u64>, u32);

    fn listing(cases: &[Case]) -> Listing {
        let listed = |(n, (is_healthy, is_forwarded, last, _)): (usize, &Case)| Listed {
            container: n.to_string().into(),
            engine: EngineId(n as u64),
            is_healthy: *is_healthy,
            is_forwarded: *is_forwarded,
            last_start: last.map(Elapsed),
        };
        Listing::new(cases.iter().enumerate().map(listed).collect())
    }

    /// What the client does: a pass that swaps whatever is better to the front.
    fn as_the_client_sorts(cases: &[Case]) -> usize {
        let key = |n: usize| {
            let (is_healthy, is_forwarded, last, streams) = cases[n];
            (!is_healthy, streams, !is_forwarded, last.unwrap_or(0))
        };
        let mut order: Vec<usize> = (0..cases.len()).collect();
        for place in 1..order.len() {
            if key(order[place]) < key(order[0]) {
                order.swap(0, place);
            }
        }
        order[0]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_choice_is_the_clients(
            cases in prop::collection::vec(
                (any::<bool>(), any::<bool>(), prop::option::of(1u64..4), 0u32..3), 1..12,
            ),
        ) {
            let candidates = listing(&cases).candidates(|engine| cases[engine.0 as usize].3);
            let chosen = choose(&candidates, &BTreeMap::new()).unwrap();
            prop_assert_eq!(chosen.engine, EngineId(as_the_client_sorts(&cases) as u64));
        }
    }

    #[test]
    fn of_a_long_list_the_best_are_candidates() {
        let mut cases = vec![(true, false, None, 1); 3 * CANDIDATES_MAX];
        cases[700].3 = 0;
        let candidates = listing(&cases).candidates(|engine| cases[engine.0 as usize].3);
        assert_eq!(candidates.len(), CANDIDATES_MAX);
        assert_eq!(choose(&candidates, &BTreeMap::new()).unwrap().engine, EngineId(700));
    }

    #[test]
    fn nothing_is_chosen_from_nothing() {
        assert!(choose(&Listing::default().candidates(|_| 0), &BTreeMap::new()).is_none());
    }
}
