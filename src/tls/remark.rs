//! What is worth a warning about a certificate that works.

use std::fmt;

use jiff::Timestamp;

use super::Pair;

const DAY_S: i64 = 86_400;
/// Days before the end of a certificate from which on it is told. Let's Encrypt's are renewed 30 days before.
const SOON_DAYS: i64 = 14;

/// One such thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Clients refuse it: it has ended.
    Ended {
        /// Seconds since 1970.
        until: i64,
    },
    /// It ends soon.
    EndsSoon {
        /// Seconds since 1970.
        until: i64,
        /// Whole days that are left.
        days: i64,
    },
    /// Clients refuse it: it does not count yet.
    NotYet {
        /// Seconds since 1970.
        from: i64,
    },
    /// Clients refuse it where they call this node by its advertised name.
    OtherName {
        /// `ACEFLEET_ADVERTISE`.
        host: String,
    },
    /// Some clients refuse it: it is that of an authority.
    OfAuthority,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RENEW: &str = "renew it; the node reads the files by itself when they change";
        match self {
            Self::Ended { until } => {
                write!(
                    f,
                    "the certificate of the API has ended ({}), and clients refuse it: {RENEW}",
                    date(*until)
                )
            }
            Self::EndsSoon { until, days: 0 } => {
                write!(f, "the certificate of the API ends within a day ({}): {RENEW}", date(*until))
            }
            Self::EndsSoon { until, days } => {
                write!(
                    f,
                    "the certificate of the API ends in {days} days or less ({}): {RENEW}",
                    date(*until)
                )
            }
            Self::NotYet { from } => write!(
                f,
                "the certificate of the API does not count before {}, and clients refuse it: is the clock of this host right?",
                date(*from)
            ),
            Self::OtherName { host } => write!(
                f,
                "the certificate of the API is not for {host} (ACEFLEET_ADVERTISE), where the panel and other clients look for this \
                 node: have one issued with that name, or advertise a name that it has"
            ),
            Self::OfAuthority => f.write_str(
                "the certificate of the API is that of an authority (CA:TRUE), which `acefleet` and other clients refuse for a server: make \
                 one with basicConstraints=CA:FALSE",
            ),
        }
    }
}

/// Seconds since 1970 for people.
pub(super) fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "a time far away".to_owned(), |at| at.to_string())
}

/// What is to be said of a pair at this time, in seconds since 1970, on a node that is advertised as `host`.
#[must_use]
pub fn remarks(pair: &Pair, host: &str, now: i64) -> Vec<Remark> {
    let other = (!pair.is_for(host)).then(|| Remark::OtherName { host: host.to_owned() });
    let authority = pair.of_authority.then_some(Remark::OfAuthority);
    of_time(pair.from, pair.until, now).into_iter().chain(other).chain(authority).collect()
}

/// What is to be said of these times.
pub(super) fn of_time(from: i64, until: i64, now: i64) -> Option<Remark> {
    if now < from {
        return Some(Remark::NotYet { from });
    }
    let left = until.saturating_sub(now);
    match left {
        ..0 => Some(Remark::Ended { until }),
        left if left < SOON_DAYS * DAY_S => Some(Remark::EndsSoon { until, days: left / DAY_S }),
        _ => None,
    }
}

/// The day of a time in seconds since 1970, by which warnings are counted.
pub(super) fn day(seconds: i64) -> i64 {
    seconds.div_euclid(DAY_S)
}
