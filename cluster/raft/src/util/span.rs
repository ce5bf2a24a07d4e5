//! Lengths of time as numbers and as people read them in logs.

use std::fmt;
use std::time::Duration;

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Shows a length of time in its two largest units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.as_secs();
        match s {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{s}.{} s", self.0.subsec_millis() / 100),
            60..3_600 => write!(f, "{} min {} s", s / 60, s % 60),
            3_600..86_400 => write!(f, "{} h {} min", s / 3_600, s % 3_600 / 60),
            _ => write!(f, "{} d {} h", s / 86_400, s % 86_400 / 3_600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_at_the_most() {
        for (ms, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_950, "1.9 s"),
            (61_000, "1 min 1 s"),
            (7_384_000, "2 h 3 min"),
            (93_600_000, "1 d 2 h"),
        ] {
            assert_eq!(Span(Duration::from_millis(ms)).to_string(), shown);
        }
    }
}
