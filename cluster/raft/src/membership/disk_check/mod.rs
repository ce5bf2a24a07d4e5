//! Whether the disk of a starting node holds what the node had acknowledged. Only the other members can tell.

pub(crate) mod inquiry;
pub(crate) mod reports;
mod roll;
pub(crate) mod rule;
