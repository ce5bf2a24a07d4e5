//! What keeps a container from a host because its image or network is missing there, and when another attempt is due.

use crate::records::engine::{Engine, EngineSpec, Kind, Phase};
use crate::records::ids::NodeId;
use crate::records::lack::{Lack, Lacking};
use crate::state::State;

impl State {
    /// What a host lacks, as far as starts there have shown.
    pub fn lacks_of(&self, node: NodeId) -> impl Iterator<Item = (&Lack, &Lacking)> {
        let first = (node, Lack::Image(String::new()));
        let of_node = self.tables.lacks.range(first..).take_while(move |((owner, _), _)| *owner == node);
        of_node.map(|((_, lack), lacking)| (lack, lacking))
    }

    /// What keeps containers of this kind from a host.
    #[must_use]
    pub fn lack(&self, node: NodeId, spec: &EngineSpec) -> Option<(&Lack, &Lacking)> {
        // Engines behind a VPN join its network.
        let joins = |id| self.node(id).is_some_and(|node| !node.info.vpns.is_empty());
        let needs_network = spec.kind != Kind::Acestream || !joins(node);
        self.lacks_of(node).find(|(lack, lacking)| match (lack, &spec.image) {
            (Lack::Network(_), _) => needs_network,
            (Lack::Image(name), Some(image)) => name == image,
            (Lack::Image(_), None) => !lacking.chosen,
        })
    }

    /// Whether a start is worth an attempt: nothing is known to be missing, or the pause after the last attempt is over and no
    /// other is under way.
    #[must_use]
    pub fn may_try(&self, node: NodeId, spec: &EngineSpec) -> bool {
        let Some((_, lacking)) = self.lack(node, spec) else { return true };
        let tries = |e: &Engine| e.node == node && e.phase == Phase::Reserved && e.spec.image == spec.image;
        lacking.rest_left_ms(self.clock_ms()) == 0 && !self.live_engines().any(|e| tries(e))
    }
}
