//! Why another node leads, as far as the log of what happened tells: a new leader knows that it was elected, and not why.

use acefleet_registry::category::MemberCategory;
use acefleet_registry::event::{By, Event, EventLog, EventType};
use serde::Serialize;
use utoipa::ToSchema;

/// A transfer that was asked for is over by then, in milliseconds, or has failed.
const TRANSFER_MS: u64 = 10_000;

/// Why another node leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LeaderReason {
    /// Somebody asked for it.
    Asked,
    /// The leader before had said that it is being stopped.
    LeaderStopped,
    /// The leader before drains, and leaves leading to others.
    LeaderDrained,
    /// Nobody has said: the leader before fell silent, or was cut off.
    Unknown,
}

/// Why a node leads since this event, and who asked for it. None for other events, for a node that was the leader before, too, and where the
/// log has no leader before it.
pub(super) fn reason<'a>(log: &'a EventLog, event: &Event) -> Option<(LeaderReason, Option<&'a By>)> {
    use MemberCategory as Was;
    if category(event) != Some(Was::LeaderChanged) {
        return None;
    }
    // What was said last of a node counts.
    let (mut asked, mut docker, mut wish) = (None, None, None);
    let mut since: Vec<(&Event, Was)> = Vec::new();
    let mut before = None;
    // Each looks back to the leader before, so a page of events looks at none twice.
    for known in log.before(event.id) {
        match category(known) {
            Some(Was::LeaderChanged) => {
                before = known.node;
                break;
            }
            Some(word) => since.push((known, word)),
            None => {}
        }
    }
    let before = before.filter(|before| Some(*before) != event.node)?;
    for (known, word) in since {
        let is_new = event.at_ms.since(known.at_ms) <= TRANSFER_MS;
        match word {
            Was::LeadershipTransfer if known.node == event.node && is_new => asked = asked.or(Some(known)),
            _ if known.node != Some(before) => {}
            Was::NodeStopping | Was::DockerAvailable | Was::DockerUnavailable | Was::DockerUnknown => {
                docker = docker.or(Some(word));
            }
            Was::Draining | Was::Cordoned | Was::Uncordoned => wish = wish.or(Some(word)),
            _ => {}
        }
    }
    Some(match (asked, docker, wish) {
        (Some(asked), ..) => (LeaderReason::Asked, asked.by.as_ref()),
        (None, Some(Was::NodeStopping), _) => (LeaderReason::LeaderStopped, None),
        (None, _, Some(Was::Draining)) => (LeaderReason::LeaderDrained, None),
        _ => (LeaderReason::Unknown, None),
    })
}

fn category(event: &Event) -> Option<MemberCategory> {
    event.category.parse().ok().filter(|_| event.event_type == EventType::System)
}

#[cfg(test)]
mod tests {
    use acefleet_registry::node::{DockerState, NodeInfo, Wanted};
    use acefleet_registry::{Command, Elapsed, Level, NodeId, OpId, Proposal, State, apply};

    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn leads(node: NodeId, term: u64) -> Command {
        Command::Leads { node, term }
    }

    /// Why the newest leader leads, after these commands a second apart, or after so many milliseconds of waiting.
    fn why(commands: &[(u64, Command)]) -> Option<LeaderReason> {
        let (mut state, mut at, mut n) = (State::default(), 0, 0);
        let known = [A, B].map(|id| {
            Command::NodeUp(NodeInfo {
                id,
                name: format!("node-{}", id.0),
                advertise_host: "a".into(),
                http_port: 8000,
                version: "1".into(),
                capacity: 3,
                docker_network: None,
                vpns: vec![],
                scheme: Default::default(),
            })
        });
        let level = Command::RaiseLevel(Level::CURRENT);
        let all =
            known.into_iter().chain([level]).map(|command| (1, command)).chain(commands.iter().cloned());
        for (wait, command) in all {
            (at, n) = (at + wait, n + 1);
            let proposal = Proposal { op_id: OpId(1, n), at_ms: Elapsed(at), origin: A, by: None, command };
            apply(&mut state, &proposal, n);
        }
        let newest =
            state.events().iter().rev().find(|event| category(event) == Some(MemberCategory::LeaderChanged));
        reason(state.events(), newest.expect("somebody leads")).map(|(reason, _)| reason)
    }

    #[test]
    fn the_log_says_why_another_node_leads() {
        use LeaderReason::{Asked, LeaderDrained, LeaderStopped, Unknown};
        let first = || (1, leads(A, 1));
        let then = || (1_000, leads(B, 2));
        let stops = || (1, Command::NodeDocker { node: A, docker: DockerState::Stopping });
        let starts = || (1, Command::NodeDocker { node: A, docker: DockerState::Available });
        let wants = |node| (1, Command::LeadWanted { node });
        // What a busy day writes between two leaders.
        let busy = |first, stops, then| {
            let day = (0..2_000).map(|n| match n % 2 {
                0 => (1, Command::NodeAvailability { node: B, availability: Wanted::Cordoned }),
                _ => (1, Command::NodeAvailability { node: B, availability: Wanted::Active }),
            });
            [first].into_iter().chain(day).chain([stops, then]).collect::<Vec<_>>()
        };
        let is = |node, availability| (1, Command::NodeAvailability { node, availability });
        for (commands, expected) in [
            (vec![first()], None),
            (vec![first(), (1, leads(A, 2))], None),
            (vec![first(), stops(), (1, leads(A, 2))], None),
            (vec![first(), then()], Some(Unknown)),
            (vec![first(), stops(), then()], Some(LeaderStopped)),
            (vec![first(), stops(), starts(), then()], Some(Unknown)),
            (vec![stops(), first(), then()], Some(Unknown)),
            (
                vec![first(), is(A, Wanted::Draining { within_ms: None, returns: false }), then()],
                Some(LeaderDrained),
            ),
            (
                vec![first(), is(B, Wanted::Draining { within_ms: None, returns: false }), then()],
                Some(Unknown),
            ),
            (
                vec![
                    first(),
                    is(A, Wanted::Draining { within_ms: None, returns: false }),
                    is(A, Wanted::Active),
                    then(),
                ],
                Some(Unknown),
            ),
            (vec![first(), wants(B), then()], Some(Asked)),
            (vec![first(), wants(B), stops(), then()], Some(Asked)),
            (vec![first(), wants(A), then()], Some(Unknown)),
            (vec![first(), wants(B), (TRANSFER_MS + 1, leads(B, 2))], Some(Unknown)),
            (busy(first(), stops(), then()), Some(LeaderStopped)),
        ] {
            assert_eq!(why(&commands), expected, "{commands:?}");
        }
    }
}
