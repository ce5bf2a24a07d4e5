//! Ids of writes.

use acefleet_registry::OpId;

/// A new op-id: the time first, then random bits, so that ids of one moment are neighbours in ordered tables.
#[must_use]
pub fn new_op_id() -> OpId {
    OpId::from_u128(uuid::Uuid::now_v7().as_u128())
}
