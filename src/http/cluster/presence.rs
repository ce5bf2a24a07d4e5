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
    /// It answers no member, and its engines may be lost. Without a leader: it does not answer the node that says so.
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

/// What the node that answers sees for itself.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The member has stopped reporting.
    is_silent: bool,
    /// There is no leader to declare it away.
    is_leaderless: bool,
}

impl Presence {
    /// What a member is to the node that answers.
    pub fn of(sight: &Sight, node: NodeId) -> Self {
        Self::seen(sight, node, sight.is_leaderless())
    }

    /// What leaders have judged of a member. All nodes say the same of it, also one that is cut off from the others: alerts go by that.
    pub fn judged(sight: &Sight, node: NodeId) -> Self {
        Self::seen(sight, node, false)
    }

    fn seen(sight: &Sight, node: NodeId, is_leaderless: bool) -> Self {
        let state = &sight.view.state;
        let known = Known {
            is_down: state.is_down(node),
            is_unavailable: state.is_unavailable(node),
            has_said_so: state.node(node).is_some_and(|node| node.docker == DockerState::Stopping),
        };
        Self::from(known, Seen { is_silent: sight.is_silent(node), is_leaderless })
    }

    fn from(known: Known, seen: Seen) -> Self {
        match known {
            Known { is_down: true, .. } => Self::Down,
            Known { is_unavailable: true, .. } => Self::Unavailable,
            Known { has_said_so: true, .. } if seen.is_silent => Self::Stopped,
            Known { has_said_so: true, .. } => Self::Stopping,
            Known { .. } if seen.is_silent && seen.is_leaderless => Self::Unavailable,
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
        let [heard, silent] = [false, true].map(|is_silent| Seen { is_silent, is_leaderless: false });
        assert_eq!(Presence::from(known, silent), Presence::Up, "the leader judges silence");
        let alone = |seen| Seen { is_leaderless: true, ..seen };
        assert_eq!(Presence::from(known, alone(silent)), Presence::Unavailable, "nobody else does");
        assert_eq!(Presence::from(known, alone(heard)), Presence::Up);
        let leaves = Known { has_said_so: true, ..known };
        assert_eq!(Presence::from(leaves, heard), Presence::Stopping);
        assert_eq!(Presence::from(leaves, silent), Presence::Stopped);
        let lost = Known { is_unavailable: true, ..leaves };
        assert_eq!(Presence::from(lost, silent), Presence::Unavailable);
        assert_eq!(Presence::from(Known { is_down: true, ..lost }, silent), Presence::Down);
    }
}
