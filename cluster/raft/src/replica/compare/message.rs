//! Points as they travel.

use acefleet_registry::Digest;
use bytes::Bytes;

use super::point::{Point, Points};
use crate::transport::proto::StatePoint;

/// Points as they travel.
pub(crate) fn encode(points: &Points) -> Vec<StatePoint> {
    let encoded = |point: Point| StatePoint {
        index: point.index,
        digest: Bytes::copy_from_slice(&point.digest.to_le_bytes()),
    };
    points.iter().map(encoded).collect()
}

/// Skips points without a valid digest.
pub(crate) fn decode(points: &[StatePoint]) -> Points {
    let decoded = |point: &StatePoint| {
        let digest = Digest::from_le_bytes(point.digest.as_ref().try_into().ok()?);
        Some(Point { index: point.index, digest })
    };
    points.iter().filter_map(decoded).collect()
}
