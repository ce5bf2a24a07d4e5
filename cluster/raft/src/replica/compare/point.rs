//! Points of the log at which replicas compare their states, chosen alike by all.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use acefleet_registry::{Digest, State};

/// Log indexes between two points at which a busy replica may be digested.
const STEP: u64 = 256;
/// Points that are stored and told: more than fall between two reports.
const KEPT: usize = 8;

/// Digest of a state after a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub index: u64,
    pub digest: Digest,
}

/// The newest points of one replica, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Points(VecDeque<Point>);

impl Points {
    pub fn push(&mut self, point: Point) {
        self.0.push_back(point);
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    pub fn newest(&self) -> Option<Point> {
        self.0.back().copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = Point> + '_ {
        self.0.iter().copied()
    }

    pub fn at(&self, index: u64) -> Option<Digest> {
        self.iter().find(|point| point.index == index).map(|point| point.digest)
    }
}

impl FromIterator<Point> for Points {
    fn from_iter<T: IntoIterator<Item = Point>>(points: T) -> Self {
        let mut kept = Self::default();
        points.into_iter().for_each(|point| kept.push(point));
        kept
    }
}

/// The next state to digest, while entries go on being applied.
#[derive(Debug, Default)]
pub(crate) struct Due(Mutex<Option<(u64, State)>>);

impl Due {
    fn lock(&self) -> MutexGuard<'_, Option<(u64, State)>> {
        // A value that is replaced as a whole: a panic elsewhere cannot leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry was applied. Of the states since the last [`Due::take`] the one at the roundest index stays, so that replicas
    /// choose alike at different times.
    pub fn passed(&self, index: u64, state: &State) {
        if !index.is_multiple_of(STEP) {
            return;
        }
        let mut due = self.lock();
        if due.as_ref().is_none_or(|(held, _)| index.trailing_zeros() >= held.trailing_zeros()) {
            *due = Some((index, state.clone()));
        }
    }

    pub fn take(&self) -> Option<(u64, State)> {
        self.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_look_at_different_moments_choose_the_same_index() {
        let chosen = |looks: &[u64]| {
            let (due, state) = (Due::default(), State::default());
            (1..=16_384)
                .filter_map(|index| {
                    due.passed(index, &state);
                    looks.contains(&index).then(|| due.take()).flatten()
                })
                .map(|(index, _)| index)
                .collect::<Vec<_>>()
        };
        let (early, late) = (chosen(&[5_000, 9_000, 13_000]), chosen(&[5_300, 9_700, 12_900]));
        assert_eq!(early, [4_096, 8_192, 12_288]);
        assert_eq!(late, early);
    }

    #[test]
    fn only_the_newest_points_stay() {
        let points: Points = (1..=20).map(|index| Point { index, digest: 7 }).collect();
        assert_eq!(points.iter().count(), KEPT);
        assert_eq!((points.at(12), points.at(13)), (None, Some(7)));
        assert_eq!(points.newest().map(|point| point.index), Some(20));
    }
}
