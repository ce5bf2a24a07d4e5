//! Why a stream ended. What follows from a reason is asked here and nowhere else.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumIter, EnumString};

/// A reason. Stored, sent and shown as its words ([`Self::as_str`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, AsRefStr, Display, EnumIter, EnumString)]
#[serde(from = "Cow<'_, str>", into = "String")]
#[strum(serialize_all = "snake_case")]
pub enum EndReason {
    /// An end event came that gave none.
    Unknown,
    /// Its host is down: a guess, which the host may correct when it is back.
    HostDown,
    /// Its engine was removed or vanished.
    EngineGone,
    /// Its engine does not know the session any more.
    #[strum(serialize = "stale_stream_detected")]
    Denied,
    /// No engine could be asked about it for a day.
    Unwatched,
    /// No engine could be asked about it, and there were too many such streams: it was the oldest.
    CrowdedOut,
    /// It gave no figures, and no client was connected to its engine.
    Unviewed,
    /// A caller stopped it.
    #[strum(serialize = "manual_stop_via_api")]
    StoppedByApi,
    /// Another session began under its id.
    #[strum(serialize = "superseded by a new session")]
    Superseded,
    /// Its end came before its start.
    #[strum(serialize = "ended before it was reported as started")]
    BeforeStart,
    /// What an end event said, or another version of this program wrote.
    #[strum(default, transparent)]
    Said(String),
}

impl EndReason {
    /// The words for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }

    /// True when nobody has seen the end: it may turn out to be none.
    #[must_use]
    pub fn is_guess(&self) -> bool {
        *self == Self::HostDown
    }

    /// False for an end that follows from a rule, while somebody may view the stream.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        !matches!(self, Self::HostDown | Self::Unwatched | Self::CrowdedOut)
    }
}

impl From<Cow<'_, str>> for EndReason {
    fn from(words: Cow<'_, str>) -> Self {
        words.parse().unwrap_or_else(|_| Self::Said(words.into_owned()))
    }
}

impl From<EndReason> for String {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Said(words) => words,
            named => named.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn each_reason_is_read_as_what_it_was_written_for() {
        for reason in EndReason::iter().filter(|reason| *reason != EndReason::Said(String::new())) {
            let bytes = rmp_serde::to_vec_named(&reason).unwrap();
            assert_eq!(bytes, rmp_serde::to_vec_named(reason.as_str()).unwrap(), "{reason}");
            assert_eq!(rmp_serde::from_slice::<EndReason>(&bytes).unwrap(), reason);
        }
        let said: EndReason = serde_json::from_str("\"client_disconnected\"").unwrap();
        assert_eq!(said, EndReason::Said("client_disconnected".to_owned()));
        assert_eq!(serde_json::to_string(&said).unwrap(), "\"client_disconnected\"");
    }

    #[test]
    fn reasons_have_the_words_of_the_documents() {
        let page = include_str!("../../../../docs/EVENTS.md");
        for reason in EndReason::iter().filter(|reason| *reason != EndReason::Said(String::new())) {
            assert!(page.contains(&format!("`{reason}`")), "EVENTS.md does not have `{reason}`");
        }
    }
}
