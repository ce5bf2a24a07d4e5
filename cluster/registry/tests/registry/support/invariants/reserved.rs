//! What holds of an engine that was just reserved.

use super::*;

fn is_behind_lasting_outage(state: &State, engine: &Engine) -> bool {
    let vpn = engine.vpn.as_deref().and_then(|container| state.vpn(engine.node, container));
    let lasts = vpn.is_some_and(|vpn| state.clock_ms().since(vpn.since_ms) >= 12_000);
    lasts && !state.has_network(engine) && state.level() >= Level::GIVES_UP_BEHIND_VPNS
}

pub(super) fn check_reserved(before: &State, after: &State, ask: &Reserve, engine: &Engine) -> Checked {
    let policy = after.policy();
    if engine.is_acestream() {
        let is_at_hand = |e: &Engine| {
            after.level() < Level::COUNTS_WHAT_IS_AT_HAND
                || (after.has_network(e) && e.health != Health::Unhealthy)
                || e.failing.is_some()
        };
        let leaves =
            |e: &Engine| e.taken_off.as_ref().is_some_and(|taken_off| !taken_off.may_stay || !is_at_hand(e));
        let replaced =
            |e: &Engine| after.is_lost(e) || after.is_down(e.node) || after.is_draining(e.node) || leaves(e);
        let counted = live(after).into_iter().filter(|e| e.is_acestream() && !replaced(e));
        let is_sick = |e: &Engine| e.failing.is_some() || is_behind_lasting_outage(after, e);
        let (failing, sound): (Vec<&Engine>, Vec<&Engine>) = counted.partition(|e| is_sick(e));
        // A replacement is started before an unhealthy engine leaves.
        let above = failing.len().min((policy.max_replicas as usize / 10).max(1));
        let count = sound.len() + failing.len();
        ensure!(
            count <= policy.max_replicas as usize + above,
            "{count} engines, {} of them unhealthy, with MAX_REPLICAS {}",
            failing.len(),
            policy.max_replicas
        );
        ensure!(ask.only_below.is_none_or(|below| after.supply() <= below), "the target was overshot");
    }
    ensure!(ask.eligible.contains(&engine.node), "{} was not eligible", engine.node);
    ensure!(!ask.exclude.contains(&engine.node), "{} was excluded", engine.node);
    let candidates: Vec<Load> =
        loads(before, &ask.eligible).into_iter().filter(|l| !ask.exclude.contains(&l.node)).collect();
    let conf = engine.spec.env.get("CONF").map_or("", String::as_str);
    let fixed = engine.spec.host_port.is_some() || http_port(conf).is_some();
    let plain = |node: NodeId| before.node(node).is_some_and(|node| node.info.vpns.is_empty());
    let has_place = |node: NodeId| !engine.is_acestream() || (fixed && plain(node)) || before.has_place(node);
    let says_no = |id: NodeId| {
        matches!(
            before.node(id).map(|n| &n.docker),
            Some(DockerState::Unavailable(_) | DockerState::Stopping)
        )
    };
    let sorted = candidates_of(
        before,
        &Demand { spec: &ask.spec, failed: &ask.exclude, observations: Observations::None },
    );
    let is_held = |node: NodeId| matches!(sorted.obstacle(node), Some(Obstacle::Failing(_)));
    let takes = |node: NodeId| {
        let is_active = before.node(node).is_some_and(|record| record.availability == Availability::Active);
        is_active
            && !says_no(node)
            && !before.is_down(node)
            && !before.is_unavailable(node)
            && has_place(node)
            && !is_held(node)
    };
    let candidates: Vec<Load> = candidates.into_iter().filter(|l| takes(l.node)).collect();
    // Where something is missing by name, an engine is tried only when no other host takes it.
    let lacks = |id: NodeId| before.lack(id, &ask.spec).is_some();
    ensure!(before.may_try(engine.node, &ask.spec), "{} was tried again too soon", engine.node);
    let rests = |id: NodeId| !before.may_try(id, &ask.spec) || (lacks(id) && !lacks(engine.node));
    let candidates: Vec<Load> = candidates.into_iter().filter(|l| !rests(l.node)).collect();
    let Some(chosen) = candidates.iter().find(|l| l.node == engine.node) else {
        return Err(format!("{} is no member that takes engines", engine.node));
    };
    let counts = engine.is_acestream();
    ensure!(!counts || chosen.engines < chosen.capacity, "{} was full", engine.node);
    for other in candidates.iter().filter(|l| !counts || l.engines < l.capacity) {
        ensure!(
            lacks(other.node) || !lacks(engine.node),
            "{} lacks something that {} has",
            chosen.node,
            other.node
        );
        let (ours, theirs) = match counts {
            true => (
                u64::from(chosen.engines) * u64::from(other.capacity),
                u64::from(other.engines) * u64::from(chosen.capacity),
            ),
            false => ((chosen.engines + chosen.others).into(), (other.engines + other.others).into()),
        };
        let less_loaded = (other.troubled, other.resting, theirs, other.streams, other.others)
            < (chosen.troubled, chosen.resting, ours, chosen.streams, chosen.others);
        ensure!(!less_loaded, "{} was chosen although {} had less load", chosen.node, other.node);
    }
    let tables = Tables::from(after.clone());
    for port in engine.leased_ports().filter(|_| engine.is_acestream() && engine.spec.env.is_empty()) {
        let foreign = tables.foreign_ports.contains_key(&(engine.node, port));
        ensure!(engine.spec.host_port == Some(port) || !foreign, "port {port} is known to be in use");
        let vpns = after.node(engine.node).map(|node| node.info.vpns.clone()).unwrap_or_default();
        let of_vpn = vpns.iter().find(|vpn| Some(&vpn.container) == engine.vpn.as_ref());
        let in_range = of_vpn.map_or(policy.host_ports, |vpn| vpn.ports).contains(port);
        // Behind a VPN only what it publishes can be reached.
        ensure!(
            of_vpn.is_some() || engine.spec.host_port == Some(port) || in_range,
            "port {port} is outside the range"
        );
    }
    Ok(())
}
