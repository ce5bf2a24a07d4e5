//! Whether this node may take part: vote, stand for election and store what a leader sends.

use crate::transport::proto;

/// Whether a member takes part, as far as it knows what the others remember of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It has not asked enough others yet: it neither votes nor stores anything.
    Waiting,
    /// Nobody remembers more of it than it has.
    Sound,
    /// Its disk lacks what it had told others.
    Forgot,
}

impl From<Trust> for proto::Trust {
    fn from(state: Trust) -> Self {
        match state {
            Trust::Waiting => Self::Waiting,
            Trust::Sound => Self::Sound,
            Trust::Forgot => Self::Forgot,
        }
    }
}

impl From<proto::Trust> for Trust {
    fn from(state: proto::Trust) -> Self {
        match state {
            proto::Trust::Waiting => Self::Waiting,
            proto::Trust::Sound => Self::Sound,
            proto::Trust::Forgot => Self::Forgot,
        }
    }
}
