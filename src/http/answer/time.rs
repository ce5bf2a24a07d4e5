//! Timestamps as clients of the API parse them: RFC 3339 with a zone, always.

use acefleet_registry::WallMs;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Larger numbers are milliseconds, not seconds.
const SECONDS_MAX: i64 = 20_000_000_000;

fn timestamp(at: WallMs) -> Timestamp {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// The form of typed fields: microseconds and `Z`.
pub(crate) fn zulu(at: WallMs) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The same of a moment in nanoseconds.
pub(crate) fn zulu_of_ns(at: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(at)).unwrap_or(Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The form of fields in plain objects: microseconds and `+00:00`.
pub(crate) fn iso(at: WallMs) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// A point in time in a query: RFC 3339, a date with or without time (without a zone it is UTC), or
/// seconds or milliseconds since the Unix epoch. Times before 1970 count as 1970.
pub(crate) fn parse(text: &str) -> Option<WallMs> {
    let text = text.trim();
    let at = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| with_blank_sign(text))
        .or_else(|| utc(text.parse::<DateTime>().ok()?))
        .or_else(|| utc(text.parse::<Date>().ok()?.at(0, 0, 0, 0)))
        .or_else(|| number(text))?;
    Some(WallMs(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

fn utc(at: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(at).ok()
}

/// A time whose `+` was not percent-encoded and became a blank: `…T18:04:11 00:00`.
fn with_blank_sign(text: &str) -> Option<Timestamp> {
    let (at, zone) = text.rsplit_once(' ')?;
    if !at.contains(['T', 't', ' ']) {
        return None;
    }
    format!("{at}+{zone}").parse().ok()
}

fn number(text: &str) -> Option<Timestamp> {
    let number: f64 = text.parse().ok().filter(|n: &f64| n.is_finite())?;
    let seconds = if number.abs() > SECONDS_MAX as f64 { number / 1000.0 } else { number };
    Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: WallMs = WallMs(1_759_428_251_512);

    #[test]
    fn both_forms_have_microseconds_and_a_zone() {
        assert_eq!(zulu(MS), "2025-10-02T18:04:11.512000Z");
        assert_eq!(zulu_of_ns(1_759_428_251_512_340_999), "2025-10-02T18:04:11.512340Z");
        assert!(zulu_of_ns(u64::MAX).parse::<Timestamp>().is_ok());
        assert_eq!(iso(MS), "2025-10-02T18:04:11.512000+00:00");
        assert_eq!(zulu(WallMs(0)), "1970-01-01T00:00:00.000000Z");
        assert!(zulu(WallMs(u64::MAX)).parse::<Timestamp>().is_ok());
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        for text in [
            "2025-10-02T18:04:11.512Z",
            "2025-10-02T18:04:11.512+00:00",
            "2025-10-02T20:04:11.512+02:00",
            "2025-10-02T20:04:11.512 02:00",
            "2025-10-02T18:04:11.512",
            "2025-10-02 18:04:11.512",
            "1759428251.512",
            "1759428251512",
        ] {
            assert_eq!(parse(text), Some(MS), "{text}");
        }
        assert_eq!(parse("2025-10-02"), Some(WallMs(1_759_363_200_000)));
        assert_eq!(parse("1969-01-01"), Some(WallMs(0)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "yesterday", "2025-13-01", "NaN", "inf", "1e300", "18:04"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
