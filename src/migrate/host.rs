//! What of the orchestrator of before is on this host: its engines, itself, its network, and who has its ports. Docker is only asked.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::Policy;
use acefleet_registry::lack::Lack;
use serde::Serialize;

use crate::agent::left_behind::is_of_before;
use crate::agent::runtime::{ContainerRuntime, Observed, RuntimeError};
use crate::agent::spec;
use crate::config::Config;
use crate::migrate::{compose, listeners};

/// Ports that are named one by one.
const PORTS_SHOWN: usize = 20;

/// A container of before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The host port of an engine, as its labels say.
    pub host_port: Option<u16>,
}

/// A Docker network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub exists: bool,
}

/// A port of engines that something else has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// The container that publishes it; none for a program of this host.
    pub container: Option<String>,
}

/// What is on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Engines that run and that no node made.
    pub engines: Vec<Found>,
    /// Engines of an orchestrator whose label is another one than these settings have.
    pub unlabelled: Vec<Found>,
    /// The orchestrator itself, while it runs.
    pub orchestrators: Vec<Found>,
    /// The network that engines are to join, if one is named.
    pub network: Option<Network>,
    /// Ports of engines that are not free, the first ones.
    pub taken: Vec<Taken>,
}

/// Asks Docker and the kernel.
///
/// # Errors
/// When Docker does not answer.
pub async fn look(runtime: &dyn ContainerRuntime, config: &Config) -> Result<Seen, RuntimeError> {
    let all = runtime.all().await?;
    let network = match &config.docker_network {
        Some(name) => {
            Some(Network { name: name.clone(), exists: runtime.has(&Lack::Network(name.clone())).await? })
        }
        None => None,
    };
    // The sockets of another machine cannot be seen here.
    let is_local = config.docker_host.as_deref().is_none_or(|host| host.starts_with("unix://"));
    let listening = if is_local { listeners::ports() } else { BTreeSet::new() };
    Ok(Seen { network, ..of(&all, config, &listening) })
}

fn of(all: &[Observed], config: &Config, listening: &BTreeSet<u16>) -> Seen {
    let alive = || all.iter().filter(|container| container.is_alive());
    let policy: &Policy = &config.policy;
    let mut engines: Vec<Found> = alive().filter(|c| is_of_before(c, policy)).map(found).collect();
    // Those of nodes have a label of theirs.
    let is_engine = |c: &&Observed| {
        c.labels.contains_key(spec::LABEL_HOST_HTTP)
            && !c.labels.contains_key(spec::LABEL_NODE)
            && !is_of_before(c, policy)
    };
    let mut unlabelled: Vec<Found> = alive().filter(is_engine).map(found).collect();
    unlabelled.sort_by(|a, b| a.name.cmp(&b.name));
    let is_orchestrator = |c: &&Observed| c.image.contains(compose::IMAGE);
    let mut orchestrators: Vec<Found> = alive().filter(is_orchestrator).map(found).collect();
    engines.sort_by(|a, b| a.name.cmp(&b.name));
    orchestrators.sort_by(|a, b| a.name.cmp(&b.name));
    // Engines have their ports rightly, those of nodes too, and a VPN container publishes them for its engines.
    let vpns = config.vpn.as_ref().map(|vpn| vpn.containers.as_slice()).unwrap_or_default();
    let is_rightful = |c: &Observed| {
        is_of_before(c, policy)
            || c.labels.contains_key(spec::LABEL_NODE)
            || vpns.iter().any(|vpn| vpn.container == c.name)
            || c.image.contains("gluetun")
    };
    let published = alive().flat_map(|c| c.ports.values().map(move |port| (*port, c)));
    let published: BTreeMap<u16, &Observed> = published.collect();
    let owned: BTreeSet<u16> =
        engines.iter().chain(&unlabelled).filter_map(|engine| engine.host_port).collect();
    let ports: BTreeSet<u16> = published.keys().chain(listening).copied().collect();
    let taken = ports.into_iter().filter(|port| policy.host_ports.contains(*port) && !owned.contains(port));
    let taken = taken.filter_map(|port| match published.get(&port) {
        Some(container) if is_rightful(container) => None,
        Some(container) => Some(Taken { port, container: Some(container.name.clone()) }),
        None => Some(Taken { port, container: None }),
    });
    Seen { taken: taken.take(PORTS_SHOWN).collect(), engines, unlabelled, orchestrators, network: None }
}

fn found(container: &Observed) -> Found {
    Found {
        name: container.name.clone(),
        image: container.image.clone(),
        host_port: container.labels.get(spec::LABEL_HOST_HTTP).and_then(|port| port.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, Sources, resolve};

    fn container(name: &str, image: &str, labels: &[(&str, &str)], ports: &[u16]) -> Observed {
        Observed {
            id: format!("id-{name}"),
            name: name.to_owned(),
            image: image.to_owned(),
            status: "running".to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ports: ports.iter().map(|port| (format!("{port}/tcp"), *port)).collect(),
        }
    }

    #[test]
    fn engines_the_orchestrator_and_ports_of_others_are_told_apart() {
        let engine = |port| {
            [("orchestrator.managed", "acestream"), (spec::LABEL_HTTP, port), (spec::LABEL_HOST_HTTP, port)]
        };
        let settings =
            [("CONTAINER_LABEL", "orchestrator.managed=acestream"), ("ACEFLEET_DATA_DIR", "/tmp/none")];
        let host = Host { name: Some("alpha".to_owned()), ..Host::default() };
        let config = resolve(Sources::from_maps(&settings, &[], "", host)).unwrap().config;
        let node =
            [("orchestrator.managed", "acestream"), (spec::LABEL_NODE, "a"), (spec::LABEL_CLUSTER, "c")];
        let all = [
            container("acestream-2", "engine", &engine("19001"), &[19_001]),
            container("acestream-1", "engine", &engine("19000"), &[19_000]),
            container("acestream-3", "engine", &node, &[19_002]),
            container("orchestrator", "krinkuto11/acestream-orchestrator:latest", &[], &[8_000]),
            container("gluetun", "qmcgaw/gluetun", &[], &[19_003]),
            container("web", "nginx", &[], &[19_004, 80]),
        ];
        let seen = of(&all, &config, &[19_000, 19_004, 19_005, 22].into());
        let names = |found: &[Found]| found.iter().map(|found| found.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&seen.engines), ["acestream-1", "acestream-2"]);
        assert_eq!(seen.engines[1].host_port, Some(19_001));
        assert_eq!(names(&seen.unlabelled), Vec::<String>::new());
        let settings = [("CONTAINER_LABEL", "other.x=y"), ("ACEFLEET_DATA_DIR", "/tmp/none")];
        let host = Host { name: Some("alpha".to_owned()), ..Host::default() };
        let other = resolve(Sources::from_maps(&settings, &[], "", host)).unwrap().config;
        let missed = of(&all, &other, &[].into());
        assert_eq!(
            (names(&missed.engines), names(&missed.unlabelled)),
            (vec![], vec!["acestream-1".into(), "acestream-2".into()])
        );
        assert!(missed.taken.iter().all(|taken| taken.container.as_deref() == Some("web")), "{missed:?}");
        assert_eq!(names(&seen.orchestrators), ["orchestrator"]);
        let web = Taken { port: 19_004, container: Some("web".to_owned()) };
        assert_eq!(seen.taken, [web, Taken { port: 19_005, container: None }]);
    }
}
