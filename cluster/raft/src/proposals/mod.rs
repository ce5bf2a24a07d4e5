//! Writes and linearizable reads from any node, and the outbox for writes that wait for a leader.

pub(crate) mod clock_correction;
pub(crate) mod outbox;
pub(crate) mod read;
pub(crate) mod write;
