//! Metrics of each host: whether it answers, what it runs, what is left on it while it drains, and what is lost of it. A cluster has a
//! handful of hosts, so each has series of its own.

use acefleet_registry::node::{Availability, DockerState, Node};
use strum::VariantNames;

use crate::http::answer::snapshot::Snapshot;
use crate::http::cluster::presence::Presence;
use crate::http::status::metrics::scrape::Scrape;
use crate::http::streams::model::Sums;

/// One series for each host in each of these.
pub(super) fn write(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let state = &snapshot.view.state;
    let gauge = |name: &str, help: &str, value: &dyn Fn(&Node) -> Option<usize>| {
        let of = |node: &Node| Some(value(node)? as f64);
        let values: Vec<_> =
            state.nodes().filter_map(|node| Some((node.info.name.as_str(), of(node)?))).collect();
        scrape.gauges(name, help, "node", &values)
    };
    let presence = |node: &Node| Presence::judged(snapshot, node.info.id);
    let is_down = |node: &Node| presence(node) == Presence::Down;
    let live =
        |node: &Node| state.live_engines().filter(|engine| engine.node == node.info.id).collect::<Vec<_>>();
    let streams =
        |node: &Node| live(node).iter().map(|engine| state.active_streams(engine.id)).sum::<usize>();
    let lost = |node: &Node| {
        let own = live(node).into_iter().filter(|engine| engine.is_acestream());
        own.filter(|engine| is_down(node) || state.is_lost(engine)).count()
    };
    let is_draining = |node: &Node| matches!(node.availability, Availability::Draining { .. });
    let help =
        "1 while a host answers no member and is not down yet: its engines that do not answer are lost";
    gauge("acefleet_host_unavailable", help, &|node| Some((presence(node) == Presence::Unavailable).into()))?;
    let help = "1 while a host is down: its streams have ended";
    gauge("acefleet_host_down", help, &|node| Some(is_down(node).into()))?;
    let help = "1 while a host has said that its node is being stopped, or has been silent since: its engines play on";
    gauge("acefleet_host_stopping", help, &|node| {
        Some(matches!(presence(node), Presence::Stopping | Presence::Stopped).into())
    })?;
    let help = "Engines of a host that is unavailable or down, or was, which do not answer";
    gauge("acefleet_host_lost_engines", help, &|node| Some(lost(node)))?;
    gauge("acefleet_host_docker_up", "1 while Docker of a host can be used", &|node| {
        let is_known = !presence(node).is_away();
        Some((is_known && node.docker == DockerState::Available).into())
    })?;
    gauge("acefleet_host_engines", "Containers that run or start on a host", &|node| Some(live(node).len()))?;
    let help = "Engines that a host may run";
    gauge("acefleet_host_capacity_engines", help, &|node| Some(node.info.capacity as usize))?;
    gauge("acefleet_host_streams", "Started streams on a host", &|node| Some(streams(node)))?;
    let help = "left on a host that drains; nothing while it does not";
    gauge("acefleet_host_drain_engines", &format!("Containers {help}"), &|node| {
        is_draining(node).then(|| live(node).len())
    })?;
    gauge("acefleet_host_drain_streams", &format!("Started streams {help}"), &|node| {
        is_draining(node).then(|| streams(node))
    })?;
    let help = "Events queued on a host until there is a leader, as it reported last";
    gauge("acefleet_host_outbox_events", help, &|node| {
        let last = snapshot.soft.nodes.get(&node.info.id)?;
        usize::try_from(last.report.queued_events).ok()
    })?;
    availability(scrape, snapshot)?;
    speeds(scrape, snapshot)
}

fn availability(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let of = |node: &'_ Node, asked: &str| f64::from(node.availability.as_ref() == asked);
    let values: Vec<_> = snapshot
        .view
        .state
        .nodes()
        .flat_map(|node| Availability::VARIANTS.iter().map(move |asked| (node, *asked)))
        .map(|(node, asked)| ([node.info.name.as_str(), asked], of(node, asked)))
        .collect();
    let help = "1 for what operators have said of a host";
    scrape.series("acefleet_host_availability", help, ["node", "availability"], &values)
}

fn speeds(scrape: &Scrape, snapshot: &Snapshot) -> prometheus::Result<()> {
    let state = &snapshot.view.state;
    let of = |node: &Node| {
        let engines = state.published_engines().filter(|engine| engine.node == node.info.id);
        Sums::of(snapshot, engines.flat_map(|engine| state.streams_of(engine.id)))
    };
    let speeds: Vec<(&str, Sums)> =
        state.nodes().filter_map(|node| Some((node.info.name.as_str(), of(node)?))).collect();
    let bytes = |kb: i64| kb as f64 * 1024.0;
    let down: Vec<_> = speeds.iter().map(|(name, sums)| (*name, bytes(sums.speed_down))).collect();
    let up: Vec<_> = speeds.iter().map(|(name, sums)| (*name, bytes(sums.speed_up))).collect();
    let help = "speed of the streams of a host";
    scrape.gauges("acefleet_host_download_bytes_per_second", &format!("Download {help}"), "node", &down)?;
    scrape.gauges("acefleet_host_upload_bytes_per_second", &format!("Upload {help}"), "node", &up)
}
