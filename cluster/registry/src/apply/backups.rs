//! Backups that somebody takes: whoever has one has all that the cluster knows.

use crate::apply::notes::{About, note};
use crate::records::event::EventType;
use crate::records::ids::NodeId;
use crate::reply::Reply;
use crate::state::State;

/// Category of the event. The word stands in the log and in the API, so it stays as it is.
const TAKEN: &str = "backup_taken";

pub(super) fn taken(state: &mut State, redacted: bool, from: NodeId) -> Reply {
    let what = if redacted { "a redacted backup" } else { "a backup" };
    let message = format!("{what} was taken from {}", state.node_name(from));
    note(state, EventType::System, TAKEN, message, About::node(from));
    Reply::Done
}
