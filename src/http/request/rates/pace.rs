//! What each operation counts as: the only place that says which are limited.

use std::num::NonZeroU32;

use axum::http::Method;

/// A backup reads and writes all that the cluster knows.
const BACKUP: NonZeroU32 = NonZeroU32::new(30).expect("it is not zero");

/// What a call counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nothing: it costs little, or programs have to make it as often as things happen.
    Free,
    /// A start of an engine that a proxy asks for when a player comes.
    Start,
    /// So many changes.
    Changes(NonZeroU32),
}

impl Pace {
    /// That of an operation.
    pub fn of(method: &Method, path: &str) -> Self {
        match (method, path) {
            // A stream that is not told of is lost, and a leader that cannot keep up says so itself.
            (&Method::POST, "/events/stream_started" | "/events/stream_ended" | "/events/batch") => {
                Self::Free
            }
            (&Method::POST, "/provision/acestream") => Self::Start,
            (&Method::GET, "/cluster/backup") => Self::Changes(BACKUP),
            // Another host and its Docker are asked.
            (&Method::GET, "/containers/{container_id}/logs") => Self::Changes(NonZeroU32::MIN),
            (&Method::GET, _) => Self::Free,
            _ => Self::Changes(NonZeroU32::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::roles::OPERATIONS;

    #[test]
    fn every_change_is_limited_but_for_events_and_few_reads_are() {
        let (reads, changes): (Vec<_>, Vec<_>) =
            OPERATIONS.iter().partition(|(method, _, _)| method == Method::GET);
        let is_limited = |method: &Method, path: &str| Pace::of(method, path) != Pace::Free;
        let limited: Vec<_> =
            reads.iter().filter(|(method, path, _)| is_limited(method, path)).map(|row| row.1).collect();
        assert_eq!(limited, ["/containers/{container_id}/logs", "/cluster/backup"]);
        for (method, path, _) in changes {
            assert_eq!(is_limited(method, path), !path.starts_with("/events/"), "{method} {path}");
        }
    }

    #[test]
    fn nothing_that_acexy_calls_counts_as_a_change() {
        for (method, path) in [
            (Method::GET, "/orchestrator/status"),
            (Method::GET, "/engines"),
            (Method::GET, "/streams"),
            (Method::POST, "/provision/acestream"),
            (Method::POST, "/events/stream_started"),
            (Method::POST, "/events/stream_ended"),
        ] {
            assert!(!matches!(Pace::of(&method, path), Pace::Changes(_)), "{method} {path}");
        }
    }
}
