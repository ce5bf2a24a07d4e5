//! How long syncs of the log have taken lately. Of all since the start, one bad night would be told for weeks, and a disk that has become slow
//! would not be noticed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use acefleet_raft::FsyncTimes;

/// Older syncs do not count, if there have been [`ENOUGH`] since.
const LATELY: Duration = Duration::from_secs(300);
/// Syncs that make a percentile.
const ENOUGH: u64 = 100;
/// Each change of the cluster waits for syncs. Longer ones are felt.
const SLOW: Duration = Duration::from_millis(50);
/// Syncs, and the time, between two marks. Both bound how many marks there are.
const MARK: (u64, Duration) = (ENOUGH / 10, Duration::from_secs(30));

/// How the newest syncs went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// A length that 99 of 100 took at most, in microseconds; none before the first.
    pub p99_us: Option<u64>,
    /// That is so long that each change of the cluster takes long. Of few syncs a single one would decide that.
    pub is_slow: bool,
}

/// Counts of earlier moments, to tell the newest syncs from all.
#[derive(Debug, Default)]
pub(super) struct Lately {
    marks: VecDeque<(Instant, FsyncTimes)>,
}

impl Lately {
    /// How the newest syncs went. `all`: those since the start, which only grow.
    pub fn judge(&mut self, all: FsyncTimes, now: Instant) -> Judged {
        let is_old = |(at, then): &(Instant, FsyncTimes)| {
            now.saturating_duration_since(*at) >= LATELY && all.count.saturating_sub(then.count) >= ENOUGH
        };
        // What the newest of the old marks counted does not count.
        while self.marks.get(1).is_some_and(is_old) {
            self.marks.pop_front();
        }
        let lately = match self.marks.front().filter(|mark| is_old(mark)) {
            Some((_, then)) => all.since(then),
            None => all.clone(),
        };
        let is_due = self.marks.back().is_none_or(|(at, then)| {
            all.count.saturating_sub(then.count) >= MARK.0 && now.saturating_duration_since(*at) >= MARK.1
        });
        if is_due {
            self.marks.push_back((now, all));
        }
        let p99 = lately.p99();
        Judged {
            p99_us: p99.and_then(|p99| u64::try_from(p99.as_micros()).ok()),
            is_slow: lately.count >= ENOUGH && p99.is_some_and(|p99| p99 > SLOW),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_micros(1_000);
    const LONG: Duration = Duration::from_micros(100_000);

    const SLOW_DISK: Judged = Judged { p99_us: Some(100_000), is_slow: true };
    const FAST_DISK: Judged = Judged { p99_us: Some(1_000), is_slow: false };

    struct Disk {
        all: FsyncTimes,
        lately: Lately,
        now: Instant,
    }

    impl Disk {
        fn new() -> Self {
            let up_to = vec![(FAST, 0), (LONG, 0)];
            let all = FsyncTimes { count: 0, sum: Duration::ZERO, up_to };
            Self { all, lately: Lately::default(), now: Instant::now() }
        }

        /// So many syncs, one in so many seconds, and what is said then.
        fn syncs(&mut self, count: u64, every_s: u64, length: Duration) -> Judged {
            let mut said = Judged::default();
            for _ in 0..count {
                self.now += Duration::from_secs(every_s);
                self.all.count += 1;
                self.all.up_to.iter_mut().for_each(|(limit, count)| *count += u64::from(length <= *limit));
                said = self.lately.judge(self.all.clone(), self.now);
            }
            said
        }
    }

    #[test]
    fn a_slow_hour_is_forgotten_minutes_after_it() {
        let mut disk = Disk::new();
        assert_eq!(disk.lately.judge(disk.all.clone(), disk.now), Judged::default());
        assert_eq!(disk.syncs(3_600, 1, LONG), SLOW_DISK);
        assert_eq!(disk.syncs(200, 1, FAST), SLOW_DISK, "most of these minutes were slow");
        assert_eq!(disk.syncs(200, 1, FAST), FAST_DISK);
    }

    #[test]
    fn a_disk_that_becomes_slow_after_weeks_is_noticed() {
        let mut disk = Disk::new();
        disk.syncs(1_000_000, 1, FAST);
        assert_eq!(disk.syncs(60, 1, LONG), SLOW_DISK);
    }

    #[test]
    fn of_few_syncs_older_ones_count_too() {
        let mut disk = Disk::new();
        let first = Judged { is_slow: false, ..SLOW_DISK };
        assert_eq!(disk.syncs(1, 600, LONG), first, "one sync tells nothing of a disk");
        assert_eq!(disk.syncs(98, 600, FAST), first);
        assert_eq!(disk.syncs(30, 600, FAST), FAST_DISK);
    }

    #[test]
    fn marks_are_bounded() {
        for every_s in [0, 1, 7, 60, 3_600] {
            let mut disk = Disk::new();
            disk.syncs(10_000, every_s, FAST);
            assert!(disk.lately.marks.len() <= 24, "{every_s}: {}", disk.lately.marks.len());
        }
    }
}
