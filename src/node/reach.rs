//! Whether calls to this node's advertised name can arrive. It takes a name server to know.

use std::time::Duration;

use acefleet_registry::address::bare;

use crate::config::Config;
use crate::config::check::other_family;
use crate::node::options::raft_options;

const RESOLVE_WITHIN: Duration = Duration::from_secs(1);

/// Why other nodes cannot reach this one, if its cluster listener takes calls to no address of its name. An unknown name is no fault:
/// name servers may start later than nodes.
pub async fn fault(config: &Config) -> Option<String> {
    if config.peers.is_empty() && config.join.is_empty() {
        return None;
    }
    let advertised = raft_options(config).advertise;
    let (host, _) = advertised.rsplit_once(':')?;
    let found = tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((bare(host), 0))).await;
    let addresses: Vec<_> = found.ok()?.ok()?.map(|address| address.ip()).collect();
    let bind = config.cluster_bind;
    let fixes: Option<Vec<_>> = addresses.iter().map(|address| other_family(bind.ip(), *address)).collect();
    let fix = fixes?.first().copied()?;
    Some(format!(
        "the other nodes look for this one at {host}, which is {} here, where ACEFLEET_CLUSTER_BIND={bind} takes no calls: set \
         ACEFLEET_CLUSTER_BIND={}",
        addresses[0],
        std::net::SocketAddr::new(fix, bind.port())
    ))
}
