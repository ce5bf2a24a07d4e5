//! The networks of VPN containers that run now. The monitor writes them; starts of engines and calls to engines read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// The network of a VPN container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Full id of the container.
    pub container_id: String,
    /// This run of the container. Another run has another network, even under the same id.
    pub instance: String,
    /// Addresses of the container in Docker's networks.
    pub addresses: Vec<String>,
}

/// Networks by container name; those of containers that do not run are missing.
#[derive(Debug, Default)]
pub struct Networks {
    known: ArcSwap<BTreeMap<String, Arc<Network>>>,
}

impl Networks {
    /// The network of a container, if it runs.
    #[must_use]
    pub fn of(&self, container: &str) -> Option<Arc<Network>> {
        self.known.load().get(container).cloned()
    }

    /// All of them now.
    #[must_use]
    pub fn all(&self) -> Arc<BTreeMap<String, Arc<Network>>> {
        self.known.load_full()
    }

    /// Notes the network of a container. True when it is of another run than before.
    pub fn put(&self, container: &str, network: Option<Network>) -> bool {
        let before = self.of(container);
        if before.as_deref() == network.as_ref() {
            return false;
        }
        let moved =
            before.map(|old| old.instance.clone()) != network.as_ref().map(|new| new.instance.clone());
        self.known.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            match &network {
                Some(network) => known.insert(container.to_owned(), Arc::new(network.clone())),
                None => known.remove(container),
            };
            known
        });
        moved
    }
}
