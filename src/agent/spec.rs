//! The container of an engine: labels, environment, command, ports. Pure, without questions to Docker.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::engine::{EngineSpec, Kind};
use acefleet_registry::rules::settings::OWN_LABELS;
use acefleet_registry::{Engine, EngineId, Policy};

use crate::agent::allowed::{self, NotAllowed};
use crate::agent::confinement;
use crate::agent::engine_network::EngineNetwork;
use crate::agent::variant;
use crate::agent::vpn::Network;
use crate::config::{Capability, Config, Variant};

/// Label with the cluster id. With [`LABEL_NODE`] it says that a container is ours.
pub const LABEL_CLUSTER: &str = "acefleet.cluster";
/// Label with the name of the owning node.
pub const LABEL_NODE: &str = "acefleet.node";
/// Label with the id of the engine's record.
pub const LABEL_ENGINE: &str = "acefleet.engine";
/// Label with the HTTP port inside the container.
pub const LABEL_HTTP: &str = "acestream.http_port";
/// Label with the HTTPS port inside the container.
pub const LABEL_HTTPS: &str = "acestream.https_port";
/// Label with the host port of HTTP.
pub const LABEL_HOST_HTTP: &str = "host.http_port";
/// Label with the host port of HTTPS, when it is published.
pub const LABEL_HOST_HTTPS: &str = "host.https_port";
/// Label with the engine variant.
pub const LABEL_VARIANT: &str = "acestream.engine_variant";

/// Label with the VPN container in whose network an engine runs.
pub const LABEL_VPN: &str = "acestream.vpn_container";
/// Label of the engine that got the VPN's forwarded port.
pub const LABEL_FORWARDED: &str = "acestream.forwarded";
/// Label with that port.
pub const LABEL_FORWARDED_PORT: &str = "acefleet.forwarded_port";
/// Label with the run of the VPN container whose network was joined.
pub const LABEL_VPN_RUN: &str = "acefleet.vpn_run";

/// What Docker does when the container ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing: restarts of engines are ours alone.
    Never,
    /// Docker restarts it until somebody stops it.
    UnlessStopped,
}

/// A container to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Engine variant; none for containers that are no engines.
    pub variant: Option<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Command instead of the image's.
    pub command: Option<Vec<String>>,
    /// Published ports in the Docker form: `"19006/tcp"` to host port, on all addresses.
    pub ports: BTreeMap<String, u16>,
    /// Network instead of Docker's default one.
    pub network: Option<String>,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Processes and threads at the most.
    pub pids: Option<u32>,
    /// Capabilities that it keeps, without a way to gain others; none: what Docker gives.
    pub keeps: Option<BTreeSet<Capability>>,
    /// What Docker does when it ends.
    pub restart: Restart,
}

/// Labels of an engine's container: the caller's, and ours.
#[must_use]
pub fn labels(
    engine: &Engine,
    policy: &Policy,
    cluster_id: &str,
    node_name: &str,
) -> BTreeMap<String, String> {
    let callers = engine.spec.labels.iter().filter(|(key, _)| !is_own_label(key, policy));
    let callers = callers.map(|(key, value)| (key.clone(), value.clone()));
    callers.chain(own_labels(engine, policy, cluster_id, node_name)).collect()
}

/// The same without those of the caller.
#[must_use]
pub fn own_labels(
    engine: &Engine,
    policy: &Policy,
    cluster_id: &str,
    node_name: &str,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let (key, value) = management_label(policy);
    labels.insert(key.to_owned(), value.to_owned());
    labels.insert(LABEL_CLUSTER.to_owned(), cluster_id.to_owned());
    labels.insert(LABEL_NODE.to_owned(), node_name.to_owned());
    labels.insert(LABEL_ENGINE.to_owned(), engine.id.to_string());
    if engine.is_acestream() {
        let ports = &engine.ports;
        labels.insert(LABEL_HTTP.to_owned(), ports.container_http.to_string());
        labels.insert(LABEL_HTTPS.to_owned(), ports.container_https.to_string());
        labels.insert(LABEL_HOST_HTTP.to_owned(), ports.host_http.to_string());
        if let Some(port) = ports.host_https {
            labels.insert(LABEL_HOST_HTTPS.to_owned(), port.to_string());
        }
        if let Some(variant) = &engine.variant {
            labels.insert(LABEL_VARIANT.to_owned(), variant.clone());
        }
        if let Some(vpn) = &engine.vpn {
            labels.insert(LABEL_VPN.to_owned(), vpn.clone());
        }
        if let Some(port) = engine.forwarded_port {
            labels.insert(LABEL_FORWARDED.to_owned(), "true".to_owned());
            labels.insert(LABEL_FORWARDED_PORT.to_owned(), port.to_string());
        }
    }
    labels
}

/// Key and value of the label that marks managed containers.
pub(super) fn management_label(policy: &Policy) -> (&str, &str) {
    policy.container_label.split_once('=').unwrap_or((&policy.container_label, ""))
}

/// Whether this label is ours to set. All other labels of an adopted container are the caller's, or its image's.
#[must_use]
pub fn is_own_label(key: &str, policy: &Policy) -> bool {
    OWN_LABELS.iter().any(|own| key.starts_with(own)) || management_label(policy).0 == key
}

/// The engine whose container carries these labels.
#[must_use]
pub fn engine_of(labels: &BTreeMap<String, String>) -> Option<EngineId> {
    labels.get(LABEL_ENGINE)?.parse().ok().map(EngineId)
}

/// The container of an engine on this node. `network` is that of its VPN container, if it has one.
///
/// # Errors
/// When its caller asked for what this host does not start, whoever passed that on.
pub fn container(
    engine: &Engine,
    config: &Config,
    policy: &Policy,
    cluster_id: &str,
    network: Option<&Network>,
) -> Result<ContainerSpec, NotAllowed> {
    let labels = allowed::labels::kept(&engine.spec.labels, config, policy);
    let engine = &Engine { spec: EngineSpec { labels, ..engine.spec.clone() }, ..engine.clone() };
    if let Some(fault) = allowed::faults(&engine.spec, config, policy).into_iter().next() {
        return Err(fault);
    }
    Ok(match &engine.spec.kind {
        Kind::Acestream => {
            let spec = acestream(engine, config, policy, cluster_id);
            match network {
                Some(network) => behind(network, spec),
                None => spec,
            }
        }
        Kind::Generic { ports } => ContainerSpec {
            name: engine.container_name.clone(),
            image: engine.spec.image.clone().unwrap_or_else(|| variant::image(config)),
            variant: None,
            env: engine.spec.env.clone(),
            labels: self::labels(engine, policy, cluster_id, &config.node_name),
            command: None,
            ports: ports.clone(),
            network: config.docker_network.clone(),
            memory: None,
            pids: None,
            keeps: None,
            restart: Restart::UnlessStopped,
        },
    })
}

/// The same in the network of another container, which publishes the ports for it.
fn behind(network: &Network, mut spec: ContainerSpec) -> ContainerSpec {
    spec.ports.clear();
    spec.labels.insert(LABEL_VPN_RUN.to_owned(), network.instance.clone());
    spec.network = Some(format!("container:{}", network.container_id));
    spec
}

fn acestream(engine: &Engine, config: &Config, policy: &Policy, cluster_id: &str) -> ContainerSpec {
    let variant = variant::in_force(config);
    let ports = engine.ports;
    let mut env = engine.spec.env.clone();
    let mut command = None;
    match variant {
        Variant::Krinkuto11Amd64 => {
            env.entry("CONF".to_owned()).or_insert_with(|| {
                format!(
                    "--http-port={}\n--https-port={}\n--bind-all",
                    ports.container_http, ports.container_https
                )
            });
            let fixed = [
                ("HTTP_PORT", ports.container_http.to_string()),
                ("HTTPS_PORT", ports.container_https.to_string()),
                ("BIND_ALL", "true".to_owned()),
                ("INTERNAL_BUFFERING", "60".to_owned()),
                ("CACHE_LIMIT", "1".to_owned()),
            ];
            env.extend(fixed.map(|(key, value)| (key.to_owned(), value)));
            if engine.vpn.is_some() {
                // The forwarded port belongs to one engine, so the caller cannot choose it.
                env.remove("P2P_PORT");
            }
            env.extend(engine.forwarded_port.map(|port| ("P2P_PORT".to_owned(), port.to_string())));
        }
        Variant::JopsisAmd64 => {
            let args =
                variant::acestream_args(ports.container_http, ports.container_https, engine.forwarded_port);
            env.insert("ACESTREAM_ARGS".to_owned(), args);
        }
        Variant::JopsisArm32 | Variant::JopsisArm64 => {
            command = Some(variant::arm_command(
                ports.container_http,
                ports.container_https,
                engine.forwarded_port,
            ));
        }
    }
    let mut published = BTreeMap::new();
    // In the host's network, engines listen on the host's ports themselves.
    if EngineNetwork::of(config) != EngineNetwork::Host {
        published.insert(format!("{}/tcp", ports.container_http), ports.host_http);
        published.extend(ports.host_https.map(|host| (format!("{}/tcp", ports.container_https), host)));
    }
    let variant = variant::name(variant).to_owned();
    let named = Engine { variant: Some(variant.clone()), ..engine.clone() };
    let image = engine.spec.image.clone().unwrap_or_else(|| variant::image(config));
    ContainerSpec {
        name: engine.container_name.clone(),
        keeps: confinement::of(config, &image),
        image,
        variant: Some(variant),
        env,
        labels: labels(&named, policy, cluster_id, &config.node_name),
        command,
        ports: published,
        network: config.docker_network.clone(),
        memory: config.memory_limit,
        pids: config.pids_limit,
        restart: Restart::Never,
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
