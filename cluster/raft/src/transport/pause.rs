//! The pause after failures in a row.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// None after none, then doubling.
pub(super) fn after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => FIRST.saturating_mul(1 << (n - 1).min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ms: Vec<u128> = (0..8).map(|n| after(n).as_millis()).collect();
        assert_eq!(ms, [0, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(after(u32::MAX), LONGEST);
    }
}
