//! The points of the last hour of one thing. No IO, no clock.

use std::collections::VecDeque;

use crate::peers::SeriesPart;
use crate::peers::series::STEP_S;

/// Points of an hour.
pub(super) const POINTS: usize = 3_600 / STEP_S as usize;
/// Room grows by so many points: 5 minutes.
const GROWTH: usize = 60;
/// A clock that is set back by more steps than these begins anew.
const BACK: u64 = 2;

/// Figures of one point; not a number where nothing was known.
pub(super) type Point<const N: usize> = [f32; N];

/// The newest points, one for each step, without gaps.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring<const N: usize> {
    /// Number of the step behind the newest point; steps are counted from the Unix epoch.
    next: u64,
    points: VecDeque<Point<N>>,
}

impl<const N: usize> Ring<N> {
    /// Bytes of a full one.
    #[cfg(test)]
    pub const FULL: usize = size_of::<Self>() + POINTS * size_of::<Point<N>>();

    /// Records the point of a step. Steps that were left out get points without figures; of two points for one step the first counts.
    pub fn push(&mut self, step: u64, point: Point<N>) {
        if step < self.next {
            if self.next - 1 - step <= BACK {
                return;
            }
            self.points.clear();
        }
        let missed = if self.points.is_empty() { 0 } else { step - self.next };
        if missed >= POINTS as u64 {
            self.points.clear();
        } else {
            for _ in 0..missed {
                self.put([f32::NAN; N]);
            }
        }
        self.put(point);
        self.next = step + 1;
    }

    fn put(&mut self, point: Point<N>) {
        if self.points.len() >= POINTS {
            self.points.pop_front();
        }
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(GROWTH);
        }
        self.points.push_back(point);
    }

    /// Drops the older half.
    pub fn halve(&mut self) {
        self.points.drain(..self.points.len().div_ceil(2));
        self.points.shrink_to_fit();
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.points.capacity() * size_of::<Point<N>>()
    }

    /// Number of its points.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Points from a moment on, in seconds since the Unix epoch.
    pub fn since(&self, since_s: u64) -> SeriesPart {
        let first = self.next - self.points.len() as u64;
        let skipped = since_s.div_ceil(STEP_S).saturating_sub(first);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.points.len());
        let known = |figure: &f32| figure.is_finite().then_some(*figure);
        let points = self.points.range(skipped..).map(|point| point.iter().map(known).collect()).collect();
        SeriesPart { recorded_since_s: None, first_s: (first + skipped as u64) * STEP_S, points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(part: &SeriesPart) -> Vec<Option<f32>> {
        part.points.iter().map(|point| point[0]).collect()
    }

    #[test]
    fn steps_without_a_point_are_gaps_and_an_hour_is_kept() {
        let mut ring = Ring::<1>::default();
        for step in [100, 101, 101, 104] {
            ring.push(step, [step as f32]);
        }
        let all = ring.since(0);
        assert_eq!(
            (all.first_s, figures(&all)),
            (500, vec![Some(100.0), Some(101.0), None, None, Some(104.0)])
        );
        let later = ring.since(501);
        assert_eq!((later.first_s, later.points.len()), (505, 4), "from the next step on");
        assert_eq!(ring.since(10_000).points.len(), 0);
        for step in 105..2_000 {
            ring.push(step, [step as f32]);
            assert!(ring.bytes() <= Ring::<1>::FULL);
        }
        let all = ring.since(0);
        assert_eq!((all.points.len(), all.first_s), (POINTS, (2_000 - POINTS as u64) * STEP_S));
        ring.push(5_000, [1.0]);
        assert_eq!(figures(&ring.since(0)), [Some(1.0)], "it was away for more than an hour");
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew_unless_it_is_a_little() {
        let mut ring = Ring::<1>::default();
        for step in [50, 51, 52, 50, 51] {
            ring.push(step, [step as f32]);
        }
        assert_eq!(figures(&ring.since(0)), [50.0, 51.0, 52.0].map(Some));
        ring.push(10, [10.0]);
        ring.push(11, [11.0]);
        let all = ring.since(0);
        assert_eq!((all.first_s, figures(&all)), (50, [10.0, 11.0].map(Some).to_vec()));
    }

    #[test]
    fn the_older_half_can_be_given_up() {
        let mut ring = Ring::<1>::default();
        (1..=100).for_each(|step| ring.push(step, [step as f32]));
        let before = ring.bytes();
        ring.halve();
        assert!(ring.bytes() < before);
        assert_eq!((ring.len(), ring.since(0).first_s), (50, 51 * STEP_S));
        assert_eq!(Ring::<1>::default().since(0).points.len(), 0);
    }
}
