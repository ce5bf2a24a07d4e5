//! Gluetun's own words for its tunnel, as pure functions: what they mean, when its control server is asked for one, and what people are
//! told of a server that gives none.

use std::time::{Duration, Instant};

use strum::{Display, EnumString};

/// Between two questions to a server that does not allow them. Its operator may, and each refusal is logged there.
const CLOSED_EVERY: Duration = Duration::from_secs(10);
/// The same to one that has left this many in a row without an answer: it hangs, and each inspection would wait for it.
const SILENT_EVERY: Duration = Duration::from_secs(5);
const SILENCES: u32 = 2;

/// All words that Gluetun has for its loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Word {
    /// The tunnel is up, as far as Gluetun knows.
    Running,
    /// It is being built.
    Starting,
    /// It is being taken down.
    Stopping,
    /// It was taken down.
    Stopped,
    /// It broke, or could not be built. Gluetun tries again by itself.
    Crashed,
    /// Its loop has ended.
    Completed,
}

impl Word {
    /// True when the tunnel is down because somebody asked for it, who may ask for it again.
    #[must_use]
    pub fn is_on_purpose(self) -> bool {
        matches!(self, Self::Stopping | Self::Stopped)
    }
}

/// What a control server answers when it is asked for the word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The word.
    Word(Word),
    /// No word that is known; what it said.
    Unknown(String),
    /// It does not allow the question; what helps.
    Closed(String),
    /// It is older than the question.
    NoSuchRoute,
    /// It did not answer.
    None,
}

/// What one run of a container has answered so far.
#[derive(Clone, Debug, Default)]
pub struct Inquiry {
    closed_at: Option<Instant>,
    asked_at: Option<Instant>,
    silences: u32,
    is_old: bool,
    is_on_purpose: bool,
    complaint: Option<String>,
    told_closed: bool,
    told_unknown: bool,
}

impl Inquiry {
    /// True when it makes sense to ask.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        let since = |at: Option<Instant>| at.map(|at| now.duration_since(at));
        let hangs = self.silences >= SILENCES && since(self.asked_at).is_some_and(|rest| rest < SILENT_EVERY);
        !self.is_old && !hangs && since(self.closed_at).is_none_or(|rest| rest >= CLOSED_EVERY)
    }

    /// Takes in an answer to a question that was due. Returns what people are to be told now, each kind once for each run.
    pub fn note(&mut self, answer: &Answer, now: Instant) -> Option<String> {
        self.asked_at = Some(now);
        self.silences = if *answer == Answer::None { self.silences + 1 } else { 0 };
        match answer {
            // It may be busy: what it said before holds.
            Answer::None => return None,
            Answer::NoSuchRoute => *self = Self { is_old: true, ..Self::default() },
            Answer::Word(word) => {
                (self.closed_at, self.complaint) = (None, None);
                self.is_on_purpose = word.is_on_purpose();
            }
            Answer::Unknown(said) => {
                self.closed_at = None;
                let complaint = format!("it says {said:?} of its tunnel, which means nothing to this node");
                self.complaint = Some(complaint);
                return self.complaint.clone().filter(|_| !std::mem::replace(&mut self.told_unknown, true));
            }
            Answer::Closed(why) => {
                self.closed_at = Some(now);
                self.complaint = Some(why.clone());
                return self.complaint.clone().filter(|_| !std::mem::replace(&mut self.told_closed, true));
            }
        }
        None
    }

    /// Why it gives no word, for people.
    #[must_use]
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// True when the last word was that somebody wants the tunnel down.
    #[must_use]
    pub fn is_on_purpose(&self) -> bool {
        self.is_on_purpose
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[test]
    fn words_are_those_of_gluetun() {
        for (text, word, on_purpose) in [
            ("running", Some(Word::Running), false),
            ("starting", Some(Word::Starting), false),
            ("stopping", Some(Word::Stopping), true),
            ("stopped", Some(Word::Stopped), true),
            ("crashed", Some(Word::Crashed), false),
            ("completed", Some(Word::Completed), false),
            ("ok", None, false),
            ("Running", None, false),
            ("", None, false),
        ] {
            assert_eq!(text.parse().ok(), word, "{text}");
            assert_eq!(word.is_some_and(Word::is_on_purpose), on_purpose, "{text}");
            assert!(word.is_none_or(|word| word.to_string() == text), "{text}");
        }
    }

    #[test]
    fn a_refusal_is_told_once_and_asked_about_every_ten_seconds() {
        let (mut inquiry, begun) = (Inquiry::default(), Instant::now());
        let closed = Answer::Closed("allow it".to_owned());
        assert!(inquiry.is_due(begun));
        assert_eq!(inquiry.note(&closed, begun).as_deref(), Some("allow it"));
        assert!(!inquiry.is_due(at(begun, 9)) && inquiry.is_due(at(begun, 10)));
        assert_eq!(inquiry.note(&closed, at(begun, 10)), None, "told twice");
        assert!(!inquiry.is_due(at(begun, 19)));
        assert_eq!(inquiry.note(&Answer::None, at(begun, 20)), None);
        assert_eq!(inquiry.complaint(), Some("allow it"), "silence mends nothing");
        assert_eq!(inquiry.note(&Answer::Word(Word::Running), at(begun, 21)), None);
        assert!(inquiry.is_due(at(begun, 21)) && inquiry.complaint().is_none());
    }

    #[test]
    fn a_server_that_hangs_is_asked_every_five_seconds() {
        let (mut inquiry, begun) = (Inquiry::default(), Instant::now());
        inquiry.note(&Answer::None, begun);
        assert!(inquiry.is_due(at(begun, 1)), "it may be busy");
        inquiry.note(&Answer::None, at(begun, 1));
        assert!(!inquiry.is_due(at(begun, 5)) && inquiry.is_due(at(begun, 6)));
        inquiry.note(&Answer::None, at(begun, 6));
        assert!(!inquiry.is_due(at(begun, 10)) && inquiry.is_due(at(begun, 11)));
        inquiry.note(&Answer::Word(Word::Running), at(begun, 11));
        assert!(inquiry.is_due(at(begun, 11)));
    }

    #[test]
    fn an_old_gluetun_is_asked_once() {
        let (mut inquiry, begun) = (Inquiry::default(), Instant::now());
        assert_eq!(inquiry.note(&Answer::NoSuchRoute, begun), None);
        assert!(!inquiry.is_due(at(begun, 3_600)) && inquiry.complaint().is_none());
    }

    #[test]
    fn an_unknown_word_is_told_once_and_asked_for_again() {
        let (mut inquiry, begun) = (Inquiry::default(), Instant::now());
        let unknown = |said: &str| Answer::Unknown(said.to_owned());
        assert!(inquiry.note(&unknown("ok"), begun).is_some_and(|told| told.contains("ok")));
        assert!(inquiry.is_due(begun));
        assert_eq!(inquiry.note(&Answer::Word(Word::Stopped), begun), None);
        assert!(inquiry.is_on_purpose());
        assert_eq!(inquiry.note(&unknown("fine"), begun), None, "told twice");
        assert!(inquiry.complaint().is_some_and(|why| why.contains("fine")));
        assert!(inquiry.is_on_purpose(), "it is a word for nothing");
    }
}
