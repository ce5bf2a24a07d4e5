//! What this node knows of its Docker daemon.

use acefleet_registry::node::DockerState;

/// The daemon as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Docker {
    /// Not asked yet.
    #[default]
    Unknown,
    /// Answers.
    Up,
    /// Answers, but does not say what runs; the text says why.
    Blind(String),
    /// Does not answer; the text says why.
    Down(String),
}

impl Docker {
    /// True when it can be asked.
    pub fn answers(&self) -> bool {
        matches!(self, Self::Up | Self::Blind(_))
    }

    /// What the registry says of it; `None` before the first ping.
    pub fn announced(&self) -> Option<DockerState> {
        match self {
            Self::Unknown => None,
            Self::Up => Some(DockerState::Available),
            Self::Blind(why) | Self::Down(why) => Some(DockerState::Unavailable(why.clone())),
        }
    }
}
