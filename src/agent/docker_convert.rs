//! Conversions to and from Docker's types, and the meaning of Docker's refusals. Pure.

use std::collections::{BTreeMap, HashMap};

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    EndpointSettings, HostConfig, PortMap, RestartPolicy, RestartPolicyNameEnum,
};

use crate::agent::causes::with_causes;
use crate::agent::docker_refusal::{is_page, plain};
use crate::agent::runtime::{Inspection, Observed, RuntimeError, VpnView};
use crate::agent::spec::{ContainerSpec, Restart};
use crate::peers::{ContainerView, PortBinding};

/// Programs with a bit for another user, and those with capabilities of their own, run as any other.
const NO_NEW_PRIVILEGES: &str = "no-new-privileges:true";
/// All capabilities, in Docker's word.
const ALL_CAPABILITIES: &str = "ALL";

/// What is sent to create a container.
pub(super) fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
    let bindings: PortMap =
        spec.ports.iter().map(|(port, host)| (port.clone(), Some(vec![bind(*host)]))).collect();
    let restart = match spec.restart {
        Restart::Never => RestartPolicyNameEnum::NO,
        Restart::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
    };
    let keeps = spec.keeps.as_ref();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        cmd: spec.command.clone(),
        labels: Some(spec.labels.clone().into_iter().collect()),
        exposed_ports: Some(spec.ports.keys().cloned().collect()),
        host_config: Some(HostConfig {
            port_bindings: Some(bindings),
            network_mode: spec.network.clone(),
            memory: spec.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            pids_limit: spec.pids.map(i64::from),
            security_opt: keeps.map(|_| vec![NO_NEW_PRIVILEGES.to_owned()]),
            cap_drop: keeps.map(|_| vec![ALL_CAPABILITIES.to_owned()]),
            cap_add: keeps.map(|kept| kept.iter().map(|kept| <&str>::from(kept).to_owned()).collect()),
            restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn bind(host: u16) -> bollard::models::PortBinding {
    bollard::models::PortBinding { host_ip: None, host_port: Some(host.to_string()) }
}

/// One line of a list; `None` when Docker left out its id.
pub(super) fn observed(summary: ContainerSummary) -> Option<Observed> {
    let names = summary.names.unwrap_or_default();
    let ports = summary.ports.unwrap_or_default().into_iter().filter_map(|port| {
        let kind = port.typ.map_or_else(|| "tcp".to_owned(), |kind| kind.to_string());
        Some((format!("{}/{kind}", port.private_port), port.public_port?))
    });
    Some(Observed {
        id: summary.id?,
        name: names.first().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
        image: summary.image.unwrap_or_default(),
        status: summary.state.map(|state| state.to_string()).unwrap_or_default(),
        labels: sorted(summary.labels),
        ports: ports.collect(),
    })
}

/// An inspection; `None` when Docker left out the id.
pub(super) fn inspection(found: ContainerInspectResponse) -> Option<Inspection> {
    let state = found.state.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let settings = found.network_settings.unwrap_or_default();
    let addresses = own_addresses(settings.networks);
    let ports = settings.ports.unwrap_or_default();
    let published = ports.into_iter().filter_map(|(port, bindings)| {
        let bindings: Vec<PortBinding> = bindings?.into_iter().map(binding).collect();
        (!bindings.is_empty()).then_some((port, bindings))
    });
    let view = ContainerView {
        id: found.id?,
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        status: state.status.map(|status| status.to_string()).unwrap_or_default(),
        image: config.image,
        created: found.created,
        labels: sorted(config.labels),
        ports: published.collect(),
    };
    Some(Inspection {
        view,
        network: found.host_config.and_then(|host| host.network_mode).filter(|mode| !mode.is_empty()),
        addresses,
        exit_code: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.filter(|text| !text.is_empty()),
    })
}

/// An inspection of a VPN container; `None` when Docker left out the id.
pub(super) fn vpn(found: ContainerInspectResponse) -> Option<VpnView> {
    let state = found.state.unwrap_or_default();
    let network = found.network_settings.unwrap_or_default();
    let environment = found.config.and_then(|config| config.env).unwrap_or_default();
    let variable = |name: &str| {
        let mut values = environment.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let addresses = own_addresses(network.networks);
    let published = network.ports.unwrap_or_default().into_iter().filter_map(|(inside, bindings)| {
        let inside: u16 = inside.strip_suffix("/tcp")?.parse().ok()?;
        let outside = bindings?.into_iter().find_map(|binding| binding.host_port?.parse().ok())?;
        Some((inside, outside))
    });
    let health = state.health.and_then(|health| health.status).map(|status| status.to_string());
    let on = |name: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("on"));
    Some(VpnView {
        id: found.id?,
        started_at: state.started_at.unwrap_or_default(),
        // Docker's `Running` is true of a container that is paused or between two attempts to start.
        running: state.status == Some(ContainerStateStatusEnum::RUNNING),
        status: state.status.map(|status| status.to_string()).unwrap_or_default(),
        health: health.filter(|word| !word.is_empty() && word != "none"),
        addresses,
        published: published.collect(),
        provider: variable("VPN_SERVICE_PROVIDER"),
        forwards_port: on("VPN_PORT_FORWARDING") || on("PORT_FORWARDING"),
    })
}

fn own_addresses(networks: Option<HashMap<String, EndpointSettings>>) -> Vec<String> {
    let addresses = networks.unwrap_or_default().into_values().filter_map(|at| at.ip_address);
    let mut addresses: Vec<String> = addresses.filter(|address| !address.is_empty()).collect();
    addresses.sort();
    addresses
}

fn binding(of: bollard::models::PortBinding) -> PortBinding {
    PortBinding { host_ip: of.host_ip.unwrap_or_default(), host_port: of.host_port.unwrap_or_default() }
}

fn sorted(map: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().collect()
}

/// The meaning of an error of any call.
pub(super) fn error(error: &Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => RuntimeError::NotFound,
        // What is being removed can be asked nothing any more.
        Error::DockerResponseServerError { status_code: 409, message }
            if message.contains("marked for removal") =>
        {
            RuntimeError::NotFound
        }
        // A proxy in front of the daemon, not the daemon.
        Error::DockerResponseServerError { status_code: 502..=504, message } if is_page(message) => {
            RuntimeError::Unavailable(plain(message))
        }
        Error::DockerResponseServerError { status_code, message } => {
            RuntimeError::Other(format!("Docker refused ({status_code}): {}", plain(message)))
        }
        Error::DockerStreamError { error } => RuntimeError::Other(error.clone()),
        Error::RequestTimeoutError => RuntimeError::Unavailable("no answer in time".to_owned()),
        other => RuntimeError::Unavailable(with_causes(other)),
    }
}

/// The meaning of an error when the container of `spec` is created or started.
pub(super) fn run_error(failed: &Error, spec: &ContainerSpec) -> RuntimeError {
    let Error::DockerResponseServerError { status_code, message } = failed else { return error(failed) };
    let text = message.to_ascii_lowercase();
    let joins = spec.network.as_deref().is_some_and(|network| network.starts_with("container:"));
    let lost = ["no such container", "non running container", "network namespace", "is not running"];
    match status_code {
        _ if joins && lost.iter().any(|words| text.contains(words)) => {
            RuntimeError::NoNetwork(message.clone())
        }
        404 => RuntimeError::Other(format!("Docker refused: {}", plain(message))),
        409 if text.contains("name") && text.contains("already in use") => {
            RuntimeError::NameTaken(spec.name.clone())
        }
        _ => match taken_port(&text, spec) {
            Some(port) => RuntimeError::PortTaken(port),
            None => error(failed),
        },
    }
}

/// The host port of `spec` that Docker could not bind, if that is what its message says.
fn taken_port(message: &str, spec: &ContainerSpec) -> Option<u16> {
    let says_so = message.contains("port is already allocated")
        || message.contains("address already in use")
        || message.contains("ports are not available");
    if !says_so {
        return None;
    }
    let named = spec.ports.values().copied().find(|port| names_port(message, *port));
    // A message about another port is not about ours.
    let only =
        || spec.ports.values().copied().next().filter(|_| spec.ports.len() == 1 && !names_any_port(message));
    named.or_else(only)
}

/// True when `:<port>` stands in the text and no digit follows.
fn names_port(text: &str, port: u16) -> bool {
    let wanted = format!(":{port}");
    text.match_indices(&wanted)
        .any(|(at, _)| !text[at + wanted.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// True when `:` and a digit stand in the text.
fn names_any_port(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair[0] == b':' && pair[1].is_ascii_digit())
}

/// Name and tag or digest of an image reference. Without one Docker would fetch every tag.
pub(super) fn split_image(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

#[cfg(test)]
#[path = "docker_convert_tests.rs"]
mod tests;
