//! Ids of writes.

use acefleet_registry::OpId;

/// A new op-id: random behind the time, so that the ids of one moment lie beside each other in ordered tables.
#[must_use]
pub fn new_op_id() -> OpId {
    OpId::from_u128(uuid::Uuid::now_v7().as_u128())
}
