//! `GET /widget`: the cluster in one flat object, for dashboards of home servers that show fields by name.

use std::sync::Arc;

use acefleet_raft::RaftStatus;
use acefleet_registry::node::{DockerState, Node};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::Code;
use crate::http::answer::rendered::Moment;
use crate::http::answer::snapshot::{Sight, Snapshot, to_json};
use crate::http::app::App;
use crate::http::cluster::presence::Presence;
use crate::http::status::health::engine_counts;
use crate::http::streams::model::Sums;
use crate::http::vpn::VpnFigures;

/// Mbit in one KB, the unit of figures of speed.
const MBIT: f64 = 1024.0 * 8.0 / 1e6;

/// The cluster in one flat object.
#[derive(Debug, Serialize, ToSchema)]
struct Widget {
    /// `ok`, `degraded` (something needs attention, and players are served) or `critical` (no leader, or no engine that works).
    #[schema(example = "ok")]
    status: &'static str,
    /// The worst problem in one sentence; empty when there is none.
    #[schema(example = "")]
    problem: String,
    /// Nodes that take part: without those that do not answer, or have said that they are being stopped.
    nodes_up: usize,
    nodes_total: usize,
    /// Name of the leader; empty while there is none.
    #[schema(example = "node-a")]
    leader: String,
    /// Engines that answer their probes.
    engines_healthy: usize,
    engines_total: usize,
    /// Started streams.
    streams: usize,
    /// Download speed of all streams, Mbit/s.
    speed_down_mbit: f64,
    /// Upload speed of all streams, Mbit/s.
    speed_up_mbit: f64,
    /// VPNs that are connected.
    vpn_up: usize,
    vpn_total: usize,
    /// Version of the node that answers.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// What a verdict depends on.
#[derive(Clone, Debug, Default)]
struct Facts {
    leaderless: bool,
    /// Names of nodes that do not answer.
    away: Vec<String>,
    /// Names of nodes that have said that they are being stopped.
    stopping: Vec<String>,
    /// Names of those that have been silent since.
    stopped: Vec<String>,
    engines: usize,
    healthy: usize,
    unhealthy: usize,
    /// Names of hosts that take part, and whose Docker does not answer.
    dockerless: Vec<String>,
    /// Names of VPNs that are not connected.
    vpns_down: Vec<String>,
    /// Why no engine can be started, other than that there are as many as there may be.
    blocked: Option<String>,
    /// Names of members whose replica differs.
    differing: Vec<String>,
    disk_low: bool,
    /// Names of nodes whose disks take long to sync.
    slow_disks: Vec<String>,
}

/// Status and the worst problem.
fn verdict(facts: &Facts) -> (&'static str, String) {
    let are = |names: &[String], one: &str, several: &str| {
        format!("{} {}.", names.join(", "), if names.len() == 1 { one } else { several })
    };
    let Facts { engines, healthy, unhealthy, .. } = *facts;
    let critical = [
        facts.leaderless.then(|| "There is no leader: nothing can be started or stopped.".to_owned()),
        (unhealthy > 0 && healthy == 0).then(|| format!("None of {engines} engines is healthy.")),
    ];
    if let Some(problem) = critical.into_iter().flatten().next() {
        return ("critical", problem);
    }
    let degraded = [
        (!facts.away.is_empty()).then(|| are(&facts.away, "does not answer", "do not answer")),
        (!facts.stopped.is_empty()).then(|| are(&facts.stopped, "has been stopped", "have been stopped")),
        (!facts.stopping.is_empty()).then(|| are(&facts.stopping, "is being stopped", "are being stopped")),
        (!facts.dockerless.is_empty())
            .then(|| format!("Docker does not answer on {}.", facts.dockerless.join(", "))),
        (!facts.vpns_down.is_empty()).then(|| are(&facts.vpns_down, "is not connected", "are not connected")),
        (unhealthy > 0).then(|| {
            format!(
                "{unhealthy} of {engines} engines {} unhealthy.",
                if unhealthy == 1 { "is" } else { "are" }
            )
        }),
        facts.blocked.as_ref().map(|why| format!("No engine can be started: {why}.")),
        (!facts.differing.is_empty()).then(|| are(&facts.differing, "has other data", "have other data")),
        facts.disk_low.then(|| "The disk of this node is nearly full.".to_owned()),
        (!facts.slow_disks.is_empty()).then(|| {
            are(
                &facts.slow_disks,
                "has a slow disk, so changes take long",
                "have slow disks, so changes take long",
            )
        }),
    ];
    match degraded.into_iter().flatten().next() {
        Some(problem) => ("degraded", problem),
        None => ("ok", String::new()),
    }
}

/// Without what is in brackets: there the reasons of each host are.
fn in_short(message: &str) -> &str {
    message.split(" (").next().unwrap_or(message)
}

/// Mbit/s with one decimal.
fn mbit(kb: i64) -> f64 {
    (kb as f64 * MBIT * 10.0).round() / 10.0
}

fn dockerless(sight: &Sight) -> Vec<String> {
    let is = |node: &&Arc<Node>| {
        matches!(node.docker, DockerState::Unavailable(_))
            && Presence::of(sight, node.info.id) == Presence::Up
    };
    sight.view.state.nodes().filter(is).map(|node| node.info.name.clone()).collect()
}

fn slow_disks(sight: &Sight) -> Vec<String> {
    let is_slow = |id| sight.told_by(id).is_some_and(|report| report.slow_disk);
    let nodes = sight.view.state.nodes().map(|node| &node.info);
    nodes.filter(|info| is_slow(info.id)).map(|info| info.name.clone()).collect()
}

fn widget(app: &App, snapshot: &Snapshot) -> Widget {
    let state = &snapshot.view.state;
    let status: RaftStatus = app.fleet().cluster().status();
    let (engines_total, engines_healthy, unhealthy) = engine_counts(snapshot);
    let presences = state.nodes().map(|node| (&node.info.name, Presence::of(snapshot, node.info.id)));
    let presences: Vec<(&String, Presence)> = presences.collect();
    let named = |is: &dyn Fn(Presence) -> bool| -> Vec<String> {
        presences.iter().filter(|(_, presence)| is(*presence)).map(|(name, _)| (*name).clone()).collect()
    };
    let vpns = VpnFigures::of(snapshot).connected;
    let vpns_down: Vec<String> =
        vpns.iter().filter(|(_, is_up)| !is_up).map(|(name, _)| name.clone()).collect();
    let streams = state.published_engines().flat_map(|engine| state.streams_of(engine.id));
    let sums = Sums::of(snapshot, streams).unwrap_or_default();
    let blocked = app.fleet().admission().blocked.into_iter().find(|b| b.code != Code::MaxCapacity);
    let facts = Facts {
        leaderless: snapshot.is_leaderless(),
        engines: engines_total,
        healthy: engines_healthy,
        unhealthy,
        blocked: blocked.map(|blocked| in_short(&blocked.message).to_owned()),
        differing: status.differing,
        disk_low: status.disk.is_some_and(|disk| disk.is_low()),
        slow_disks: slow_disks(snapshot),
        dockerless: dockerless(snapshot),
        away: named(&Presence::is_away),
        stopping: named(&|presence| presence == Presence::Stopping),
        stopped: named(&|presence| presence == Presence::Stopped),
        vpns_down,
    };
    let nodes_up = named(&|presence| presence == Presence::Up).len();
    let (word, problem) = verdict(&facts);
    Widget {
        status: word,
        problem,
        nodes_up,
        nodes_total: presences.len(),
        leader: status.leader_name.filter(|_| app.has_leader()).unwrap_or_default(),
        engines_healthy,
        engines_total,
        streams: state.stream_counts().0,
        speed_down_mbit: mbit(sums.speed_down),
        speed_up_mbit: mbit(sums.speed_up),
        vpn_up: vpns.len() - facts.vpns_down.len(),
        vpn_total: vpns.len(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// The cluster in one flat object
///
/// For dashboards of home servers: Homepage's `customapi`, Glance, Homarr. Public and cheap.
#[utoipa::path(
    get, path = "/widget", tag = "status", operation_id = "widget",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "The cluster", body = Widget))
)]
pub(crate) async fn get(State(app): State<App>, snapshot: Snapshot) -> Response {
    let now = app.fleet().wall_now();
    snapshot.page(&app, "", Some(Moment::at(now)), |snapshot| to_json(&widget(&app, snapshot)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_problem_is_told() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let fine = Facts { engines: 3, healthy: 3, ..Facts::default() };
        assert_eq!(verdict(&fine), ("ok", String::new()));
        let idle = Facts::default();
        assert_eq!(verdict(&idle).0, "ok");
        let sick = Facts { healthy: 2, unhealthy: 1, ..fine.clone() };
        assert_eq!(verdict(&sick), ("degraded", "1 of 3 engines is unhealthy.".to_owned()));
        let vpn = Facts { vpns_down: names(&["a/gluetun"]), ..sick.clone() };
        assert_eq!(verdict(&vpn), ("degraded", "a/gluetun is not connected.".to_owned()));
        let stopping = Facts { stopping: names(&["b"]), ..vpn.clone() };
        assert_eq!(verdict(&stopping), ("degraded", "b is being stopped.".to_owned()));
        let stopped = Facts { stopped: names(&["b"]), stopping: Vec::new(), ..stopping };
        assert_eq!(verdict(&stopped).1, "b has been stopped.");
        let away = Facts { away: names(&["b", "c"]), ..vpn };
        assert_eq!(verdict(&away), ("degraded", "b, c do not answer.".to_owned()));
        let dead = Facts { healthy: 0, unhealthy: 3, ..away.clone() };
        assert_eq!(verdict(&dead), ("critical", "None of 3 engines is healthy.".to_owned()));
        let leaderless = Facts { leaderless: true, ..dead };
        assert_eq!(verdict(&leaderless).1, "There is no leader: nothing can be started or stopped.");
        let dockerless = Facts { dockerless: names(&["b", "c"]), ..fine.clone() };
        assert_eq!(verdict(&dockerless).1, "Docker does not answer on b, c.");
        let slow = Facts { slow_disks: names(&["b"]), ..fine.clone() };
        assert_eq!(verdict(&slow).1, "b has a slow disk, so changes take long.");
        let blocked = Facts { blocked: Some("no host's Docker answers".to_owned()), ..fine };
        assert_eq!(verdict(&blocked).1, "No engine can be started: no host's Docker answers.");
    }

    #[test]
    fn reasons_of_each_host_are_left_out() {
        assert_eq!(
            in_short("no Docker daemon answers (a: no socket; b: no socket)"),
            "no Docker daemon answers"
        );
        assert_eq!(in_short("no leader"), "no leader");
    }

    #[test]
    fn speeds_are_megabits() {
        assert_eq!((mbit(0), mbit(1_000), mbit(125)), (0.0, 8.2, 1.0));
    }
}
