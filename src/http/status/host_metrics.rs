//! Metrics of each host: whether it answers, and what is lost of it.

use std::sync::Arc;

use acefleet_registry::node::Node;

use crate::http::answer::snapshot::Snapshot;
use crate::http::status::metrics::Scrape;

/// One series for each host in each of these.
pub(super) fn write(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let state = &snapshot.view.state;
    let of_hosts = |value: &dyn Fn(&Node) -> usize| -> Vec<(&str, f64)> {
        let hosts = state.nodes().map(Arc::as_ref);
        hosts.map(|node| (node.info.name.as_str(), value(node) as f64)).collect()
    };
    let is_unavailable = |node: &Node| usize::from(state.is_unavailable(node.info.id));
    let is_down = |node: &Node| usize::from(state.is_down(node.info.id));
    let lost = |node: &Node| {
        let own = state.live_engines().filter(|e| e.node == node.info.id && e.is_acestream());
        own.filter(|engine| state.is_down(engine.node) || state.is_lost(engine)).count()
    };
    let values = of_hosts(&is_unavailable);
    let help =
        "1 while a host answers no member and is not down yet: its engines that do not answer are lost";
    scrape.gauges("acefleet_host_unavailable", help, "node", &values)?;
    scrape.gauges(
        "acefleet_host_down",
        "1 while a host is down: its streams have ended",
        "node",
        &of_hosts(&is_down),
    )?;
    let help = "Engines of a host that is unavailable or down, or was, which do not answer";
    scrape.gauges("acefleet_host_lost_engines", help, "node", &of_hosts(&lost))
}
