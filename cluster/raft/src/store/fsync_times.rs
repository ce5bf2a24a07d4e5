//! How long syncs of the log to disk take, counted by length.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest syncs of each class but the last, which has no limit, in microseconds.
const UP_TO_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000,
];

/// Duration of disk syncs, readable from anywhere. One thread writes it.
#[derive(Debug, Default)]
pub(crate) struct FsyncClock {
    last_us: AtomicU64,
    sum_us: AtomicU64,
    classes: [AtomicU64; UP_TO_US.len() + 1],
}

/// Syncs of the log since the start of this node, by length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsyncTimes {
    /// How many.
    pub count: u64,
    /// Time of all of them together.
    pub sum: Duration,
    /// A length, and how many took at most as long. In order of length, without a row for all.
    pub up_to: Vec<(Duration, u64)>,
}

impl FsyncTimes {
    /// Those that an earlier count of the same process does not have.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let rows = self.up_to.iter().zip(&earlier.up_to);
        Self {
            count: self.count.saturating_sub(earlier.count),
            sum: self.sum.saturating_sub(earlier.sum),
            up_to: rows.map(|((length, now), (_, then))| (*length, now.saturating_sub(*then))).collect(),
        }
    }

    /// A length that 99 of 100 syncs took at most: that of the class in which the slowest of these lies. Of the last class, which has no
    /// limit, it is where that begins. `None` before the first sync.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        let rank = (self.count * 99).div_ceil(100);
        let class = self.up_to.iter().find(|(_, count)| *count >= rank).or(self.up_to.last());
        class.filter(|_| self.count > 0).map(|(length, _)| *length)
    }
}

impl FsyncClock {
    /// A sync is done.
    pub fn took(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let class = UP_TO_US.partition_point(|limit| *limit < us);
        self.last_us.store(us, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }

    /// Microseconds of the last sync; `None` before the first.
    pub fn last_us(&self) -> Option<u64> {
        let any = self.classes.iter().any(|class| class.load(Ordering::Relaxed) > 0);
        any.then(|| self.last_us.load(Ordering::Relaxed))
    }

    /// All syncs until now.
    pub fn times(&self) -> FsyncTimes {
        let mut count = 0;
        let mut up_to = Vec::with_capacity(UP_TO_US.len());
        for (class, limit) in self.classes.iter().zip(UP_TO_US) {
            count += class.load(Ordering::Relaxed);
            up_to.push((Duration::from_micros(limit), count));
        }
        count += self.classes[UP_TO_US.len()].load(Ordering::Relaxed);
        FsyncTimes { count, sum: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)), up_to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sync_counts_once_with_its_length_and_all_longer_ones() {
        let clock = FsyncClock::default();
        assert_eq!((clock.last_us(), clock.times().count), (None, 0));
        for us in [100, 101, 2_500_000, 9_000_000] {
            clock.took(Duration::from_micros(us));
        }
        let times = clock.times();
        assert_eq!(
            (times.count, times.sum, clock.last_us()),
            (4, Duration::from_micros(11_500_201), Some(9_000_000))
        );
        let counts: Vec<u64> = times.up_to.iter().map(|(_, count)| *count).collect();
        assert_eq!((counts[0], counts[1], counts[12], counts[13]), (1, 2, 2, 3));
        assert!(times.up_to.is_sorted());
    }

    #[test]
    fn one_slow_sync_in_a_hundred_is_not_in_the_percentile_and_two_are() {
        let clock = FsyncClock::default();
        assert_eq!(clock.times().p99(), None);
        for _ in 0..198 {
            clock.took(Duration::from_micros(1_200));
        }
        for _ in 0..2 {
            clock.took(Duration::from_micros(40_000));
        }
        assert_eq!(clock.times().p99(), Some(Duration::from_micros(2_500)));
        clock.took(Duration::from_secs(9));
        assert_eq!(clock.times().p99(), Some(Duration::from_micros(50_000)));
        for _ in 0..9 {
            clock.took(Duration::from_secs(9));
        }
        assert_eq!(clock.times().p99(), Some(Duration::from_micros(2_500_000)), "that, or longer");
    }
}
