//! Times in arguments: how long ago, or when.

use acefleet_raft::host_clock;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A smaller number of seconds since 1970 is none, but lacks a unit.
const FIRST: f64 = 1e8;

/// A time for a node: `10m` and `2h` are so long ago; any other text is for the node to read.
pub fn since(text: &str) -> Result<String, String> {
    let now = i64::try_from(host_clock().0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    before(now.ok_or("the clock of this host is set to no year that there is")?, text)
}

fn before(now: Timestamp, text: &str) -> Result<String, String> {
    let unknown = || format!("write 10m, 2h, 3d, or a time like {now:.0}");
    let text = text.trim();
    if let Ok(span) = text.parse::<Span>() {
        // Days and longer have no fixed length in a zone that has summer time.
        let at = now.to_zoned_datetime(TimeZone::UTC).checked_sub(span.abs()).map_err(|_| unknown())?;
        return Ok(format!("{:.3}", at.timestamp()));
    }
    // Nodes take all these: with a zone, without one, days, seconds.
    let is_time = text.parse::<Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok()
        || text.parse::<f64>().is_ok_and(|seconds| seconds >= FIRST);
    if is_time { Ok(text.to_owned()) } else { Err(unknown()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_count_back_and_times_stay() {
        let now: Timestamp = "2026-03-02T20:15:09Z".parse().unwrap();
        for (text, expected) in [
            ("10m", "2026-03-02T20:05:09.000Z"),
            ("2h", "2026-03-02T18:15:09.000Z"),
            ("1h30m", "2026-03-02T18:45:09.000Z"),
            ("90s", "2026-03-02T20:13:39.000Z"),
            ("3d", "2026-02-27T20:15:09.000Z"),
            ("2 hours ago", "2026-03-02T18:15:09.000Z"),
            ("2026-03-02T19:00:00+01:00", "2026-03-02T19:00:00+01:00"),
            ("2026-03-02", "2026-03-02"),
            ("1759428251", "1759428251"),
        ] {
            assert_eq!(before(now, text).unwrap(), expected, "{text}");
        }
        for text in ["", "soon", "10", "10x", "2026-13-01", "NaN", "99999999999d"] {
            assert!(before(now, text).is_err_and(|why| why.contains("10m, 2h, 3d")), "{text}");
        }
    }
}
