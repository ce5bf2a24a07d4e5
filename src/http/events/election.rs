//! Why another node leads, as far as the log of what happened tells: a new leader knows that it was elected, and not why.

use acefleet_registry::NodeId;
use acefleet_registry::event::{By, Event, EventLog};
use serde::Serialize;
use utoipa::ToSchema;

/// An event that says who leads.
const LEADER_CHANGED: &str = "leader_changed";
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

/// Why a node leads since this event, and who asked for it; none for other events, and for a leader before which the log has none.
pub(super) fn reason<'a>(log: &'a EventLog, event: &Event) -> Option<(LeaderReason, Option<&'a By>)> {
    if event.category != LEADER_CHANGED {
        return None;
    }
    let earlier = || log.iter().rev().skip_while(|known| known.id >= event.id);
    let before = earlier().find(|known| known.category == LEADER_CHANGED)?;
    let since = || earlier().take_while(|known| known.id > before.id);
    let is_new = |known: &Event| event.at_ms.since(known.at_ms) <= TRANSFER_MS;
    let asked = since()
        .find(|known| known.category == "leadership_transfer" && known.node == event.node && is_new(known));
    if let Some(asked) = asked {
        return Some((LeaderReason::Asked, asked.by.as_ref()));
    }
    // What was said last of it counts.
    let said = |node: Option<NodeId>, words: &[&str]| {
        let of_it = since().filter(|known| known.node.is_some() && known.node == node);
        of_it.map(|known| known.category.as_str()).find(|category| words.contains(category))
    };
    let docker =
        said(before.node, &["node_stopping", "docker_available", "docker_unavailable", "docker_unknown"]);
    let wish = said(before.node, &["draining", "cordoned", "uncordoned"]);
    let reason = match (docker, wish) {
        (Some("node_stopping"), _) => LeaderReason::LeaderStopped,
        (_, Some("draining")) => LeaderReason::LeaderDrained,
        _ => LeaderReason::Unknown,
    };
    Some((reason, None))
}
