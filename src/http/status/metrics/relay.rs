//! Metrics of this node's relay.

use crate::http::status::metrics::scrape::Scrape;
use crate::relay::stats::{Stats, Trouble};

/// Connections, bytes and troubles of this node.
pub(super) fn write(scrape: &Scrape, stats: &Stats) -> prometheus::Result<()> {
    let open = stats.connections() as f64;
    scrape.gauge("acefleet_relay_connections", "Connections that this node relays now", open)?;
    let total = stats.connections_total();
    scrape.counter("acefleet_relay_connections_total", "Connections that this node has relayed", total)?;
    let (to_engine, to_client) = stats.bytes();
    let bytes = [("to_engine", to_engine), ("to_client", to_client)];
    scrape.counters("acefleet_relay_bytes_total", "Bytes that this node has relayed", "direction", &bytes)?;
    let listeners = stats.listeners() as f64;
    scrape.gauge("acefleet_relay_listeners", "Ports of engines on other hosts, offered here", listeners)?;
    let waiting = stats.ports_waiting() as f64;
    scrape.gauge("acefleet_relay_ports_waiting", "Such ports that cannot be opened here", waiting)?;
    let errors = Trouble::ALL.map(|kind| (kind.word(), stats.troubles(kind)));
    scrape.counters("acefleet_relay_errors_total", "What went wrong in the relay", "kind", &errors)
}
