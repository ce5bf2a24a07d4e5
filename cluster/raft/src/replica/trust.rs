//! Whether a node may take part: vote, stand for election and store what a leader sends.

use crate::transport::proto;

/// Result of comparing its disk with what other members remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It has not asked enough members: it neither votes nor stores.
    Waiting,
    /// No member remembers more than it has.
    Sound,
    /// Its disk lacks what it had acknowledged.
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
