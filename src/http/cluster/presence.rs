//! Whether a member is there. All that shows it asks here: the members, the widget, the feed, the metrics.

use acefleet_registry::NodeId;
use acefleet_registry::node::DockerState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::snapshot::Sight;

/// What has become of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Presence {
    /// It takes part, for all that is known.
    Up,
    /// It has said that it is being stopped. Its engines play on.
    Stopping,
    /// It has said so, and has been silent since. Its engines play on.
    Stopped,
    /// It answers no member, and its engines may be lost.
    Unavailable,
    /// It has been away for too long: its streams have ended.
    Down,
}

/// What the registry knows of a member.
#[derive(Clone, Copy, Debug)]
struct Known {
    is_down: bool,
    is_unavailable: bool,
    has_said_so: bool,
}

impl Presence {
    /// What a member is to the node that answers.
    pub fn of(sight: &Sight, node: NodeId) -> Self {
        let state = &sight.view.state;
        let known = Known {
            is_down: state.is_down(node),
            is_unavailable: state.is_unavailable(node),
            has_said_so: state.node(node).is_some_and(|node| node.docker == DockerState::Stopping),
        };
        Self::from(known, sight.is_silent(node))
    }

    fn from(known: Known, is_silent: bool) -> Self {
        match known {
            Known { is_down: true, .. } => Self::Down,
            Known { is_unavailable: true, .. } => Self::Unavailable,
            Known { has_said_so: true, .. } if is_silent => Self::Stopped,
            Known { has_said_so: true, .. } => Self::Stopping,
            Known { .. } => Self::Up,
        }
    }

    /// Whether what the member said last of its host may be out of date.
    pub fn is_away(self) -> bool {
        matches!(self, Self::Unavailable | Self::Down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_has_said_that_it_stops_is_not_up() {
        let known = Known { is_down: false, is_unavailable: false, has_said_so: false };
        assert_eq!(Presence::from(known, true), Presence::Up, "silence alone says nothing yet");
        let leaves = Known { has_said_so: true, ..known };
        assert_eq!(Presence::from(leaves, false), Presence::Stopping);
        assert_eq!(Presence::from(leaves, true), Presence::Stopped);
        let lost = Known { is_unavailable: true, ..leaves };
        assert_eq!(Presence::from(lost, true), Presence::Unavailable);
        assert_eq!(Presence::from(Known { is_down: true, ..lost }, true), Presence::Down);
    }
}
