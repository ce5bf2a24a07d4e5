//! Which floors are not kept, with the figures that show it.

use crate::records::ids::NodeId;
use crate::state::State;

/// A floor below which the engines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloorMissed {
    /// `MIN_REPLICAS`.
    Replicas {
        /// Engines that count.
        there: u32,
        /// What is wanted.
        floor: u32,
    },
    /// `MIN_FREE_REPLICAS`.
    FreeReplicas {
        /// Free engines that count.
        free: u32,
        /// What is wanted.
        floor: u32,
    },
    /// `ACEFLEET_SPARE_FOR_HOST`.
    SpareForHost {
        /// Free engines that are missing on other hosts.
        missing: u32,
        /// The host whose streams would find too few.
        of: NodeId,
    },
}

impl FloorMissed {
    /// The setting that makes it.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Replicas { .. } => "MIN_REPLICAS",
            Self::FreeReplicas { .. } => "MIN_FREE_REPLICAS",
            Self::SpareForHost { .. } => "ACEFLEET_SPARE_FOR_HOST",
        }
    }

    /// For people.
    #[must_use]
    pub fn describe(&self, state: &State) -> String {
        match self {
            Self::Replicas { there, floor } => format!("{there} are there and MIN_REPLICAS is {floor}"),
            Self::FreeReplicas { free, floor } => format!("{free} are free and MIN_FREE_REPLICAS is {floor}"),
            Self::SpareForHost { missing: 1, of } => {
                format!("were {} lost, its streams would lack a free engine elsewhere", state.node_name(*of))
            }
            Self::SpareForHost { missing, of } => {
                let host = state.node_name(*of);
                format!("were {host} lost, its streams would lack {missing} free engines elsewhere")
            }
        }
    }
}

impl State {
    /// The floors that are not kept, with engines that are still started counted.
    #[must_use]
    pub fn floors_missed(&self) -> Vec<FloorMissed> {
        let policy = self.policy();
        let (there, free) = (self.supply(), self.free_supply());
        let replicas = || FloorMissed::Replicas { there, floor: policy.min_replicas };
        let free_replicas = || FloorMissed::FreeReplicas { free, floor: policy.min_free_replicas };
        let of_spare = self.spares(|_| true).missing();
        let missed = [
            (there < policy.min_replicas).then(replicas),
            (free < policy.min_free_replicas).then(free_replicas),
            of_spare.map(|(missing, of)| FloorMissed::SpareForHost { missing, of }),
        ];
        missed.into_iter().flatten().collect()
    }
}
