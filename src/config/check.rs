//! Settings that contradict each other. What cannot work is refused; what may be meant is a warning.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use acefleet_raft::Plain;
use acefleet_registry::address::is_loopback;
use acefleet_registry::rules::settings::contradictions;

use super::parse::split;
use super::reader::Reader;
use super::values::{Config, Reads, Secret, Variant};

/// Notes every contradiction, except of settings that have a problem of their own.
pub fn check(config: &Config, r: &mut Reader) {
    shared(config, r);
    capacity(config, r);
    port_ranges(config, r);
    listeners(config, r);
    timing(config, r);
    peers(config, r);
    joining(config, r);
    cluster_port(config, r);
    families(config, r);
    super::vpn::check(config, r);
    users(config, r);
    remarks(config, r);
}

/// Cluster-wide settings, by the rules under which they are changed.
fn shared(config: &Config, r: &mut Reader) {
    for fault in contradictions(&config.policy) {
        let involved: Vec<&str> = fault.involved().iter().map(|name| name.as_str()).collect();
        if r.sound(&involved) {
            let line = fault.describe(&|name| r.quote(name.as_str()));
            r.problem(fault.name.as_str(), line);
        }
    }
}

fn capacity(config: &Config, r: &mut Reader) {
    let (policy, capacity) = (&config.policy, config.capacity(&config.policy));
    if r.sound(&["MIN_REPLICAS", "MAX_REPLICAS", "ACEFLEET_CAPACITY"])
        && config.peers.is_empty()
        && config.join.is_empty()
        && policy.min_replicas > capacity
    {
        let least = r.quote("MIN_REPLICAS");
        let most = match config.own_capacity {
            Some(_) => r.quote("ACEFLEET_CAPACITY"),
            None => format!("its VPN has ports for {capacity}"),
        };
        r.findings.warning("MIN_REPLICAS", format!("{least} is more than this single node may run: {most}"));
    }
}

fn port_ranges(config: &Config, r: &mut Reader) {
    let host_ports = config.policy.host_ports;
    for (name, port) in
        [("APP_PORT", config.http_bind.port()), ("ACEFLEET_CLUSTER_BIND", config.cluster_bind.port())]
    {
        if r.sound(&["PORT_RANGE_HOST", name]) && host_ports.contains(port) {
            let line = format!(
                "{} is inside {}, the ports of engines: choose another port or range",
                r.quote(name),
                r.quote("PORT_RANGE_HOST")
            );
            r.problem(name, line);
        }
    }
    // Nodes on this machine use their cluster ports here, too.
    if r.sound(&["PORT_RANGE_HOST", "ACEFLEET_PEERS"]) {
        let taken: Vec<_> = config
            .peers
            .iter()
            .filter(|(_, target)| {
                split(target)
                    .is_some_and(|(host, port)| on_this_host(host, config) && host_ports.contains(port))
            })
            .map(|(name, target)| format!("{name}={target}"))
            .collect();
        for peer in taken {
            let line = format!(
                "ACEFLEET_PEERS: the port of {peer} is inside {}, the ports of engines on this host: \
                 choose another port or range",
                r.quote("PORT_RANGE_HOST")
            );
            r.problem("ACEFLEET_PEERS", line);
        }
    }
}

fn listeners(config: &Config, r: &mut Reader) {
    let (http, cluster) = (config.http_bind, config.cluster_bind);
    let meet =
        http.ip() == cluster.ip() || covers(http.ip(), cluster.ip()) || covers(cluster.ip(), http.ip());
    if r.sound(&["APP_PORT", "ACEFLEET_HTTP_BIND", "ACEFLEET_CLUSTER_BIND"])
        && http.port() == cluster.port()
        && meet
    {
        let line = format!(
            "{} and {} take the same port on the same address: give the API and the cluster different ports",
            r.quote("APP_PORT"),
            r.quote("ACEFLEET_CLUSTER_BIND")
        );
        r.problem("APP_PORT", line);
    }
}

fn timing(config: &Config, r: &mut Reader) {
    const NAMES: [&str; 3] =
        ["ACEFLEET_HEARTBEAT_MS", "ACEFLEET_ELECTION_MIN_MS", "ACEFLEET_ELECTION_MAX_MS"];
    let timing = &config.timing;
    let values = [timing.heartbeat_ms, timing.election_min_ms, timing.election_max_ms];
    for i in 0..2 {
        if r.sound(&NAMES[i..=i + 1]) && values[i] >= values[i + 1] {
            let line = format!("{} has to be below {}", r.quote(NAMES[i]), r.quote(NAMES[i + 1]));
            r.problem(NAMES[i], line);
        }
    }
    if r.sound(&NAMES) && values[0] < values[1] && values[1] < 2 * values[0] {
        let line = format!(
            "{} is less than twice {}: one late heartbeat can start an election",
            r.quote(NAMES[1]),
            r.quote(NAMES[0])
        );
        r.findings.warning(NAMES[1], line);
    }
}

/// Settings that open the cluster port wider for the time of a change.
fn cluster_port(config: &Config, r: &mut Reader) {
    const PLAIN: &str = "ACEFLEET_CLUSTER_PLAIN";
    const BEFORE: &str = "ACEFLEET_CLUSTER_SECRET_BEFORE";
    if r.sound(&[PLAIN]) && config.cluster_plain == Plain::Accepted {
        let line = format!(
            "{}: whoever reaches the cluster port can join and write to the registry. Remove it and restart this node as soon as all \
             nodes have ACEFLEET_CLUSTER_SECRET",
            r.quote(PLAIN)
        );
        r.findings.warning(PLAIN, line);
    }
    if r.sound(&[BEFORE, "ACEFLEET_CLUSTER_SECRET"]) && config.cluster_secret_before.is_some() {
        if config.cluster_secret.is_none() || config.cluster_secret == config.cluster_secret_before {
            let line = format!(
                "{BEFORE} is the secret that a new ACEFLEET_CLUSTER_SECRET takes the place of: set that one, too, to another value"
            );
            r.problem(BEFORE, line);
            return;
        }
        let line = format!(
            "{BEFORE} is set: whoever has the secret before can still join and write to the registry. Remove it and restart this \
             node as soon as all nodes have the new one"
        );
        r.findings.warning(BEFORE, line);
    }
}

fn joining(config: &Config, r: &mut Reader) {
    const NAME: &str = "ACEFLEET_JOIN";
    if config.join.is_empty() || !r.sound(&[NAME]) {
        return;
    }
    if !config.peers.is_empty() {
        let line = format!(
            "{NAME} and ACEFLEET_PEERS contradict each other: a node either joins a running cluster or forms a \
             new one, remove one of them"
        );
        r.problem(NAME, line);
    }
    let elsewhere =
        config.join.iter().any(|target| split(target).is_some_and(|(host, _)| !is_loopback(host)));
    if elsewhere && r.sound(&["ACEFLEET_ADVERTISE"]) && is_loopback(&config.advertise_host) {
        let line = format!(
            "{} means this host itself to every other node: set a name or address that they can reach",
            r.quote("ACEFLEET_ADVERTISE")
        );
        r.findings.warning("ACEFLEET_ADVERTISE", line);
    }
}

fn peers(config: &Config, r: &mut Reader) {
    const NAME: &str = "ACEFLEET_PEERS";
    if config.peers.is_empty() || !r.sound(&[NAME]) {
        return;
    }
    let own = config.peers.iter().find(|(name, _)| *name == config.node_name);
    match own.and_then(|(_, target)| split(target)) {
        None if r.sound(&["ACEFLEET_NODE_NAME"]) => {
            let names: Vec<_> = config.peers.iter().map(|(name, _)| name.as_str()).collect();
            let line = format!(
                "{NAME} has {} but not this node, {}: add it or correct its name",
                names.join(", "),
                r.quote("ACEFLEET_NODE_NAME")
            );
            r.problem(NAME, line);
        }
        Some((_, port)) if r.sound(&["ACEFLEET_CLUSTER_BIND"]) && port != config.cluster_bind.port() => {
            let line = format!(
                "{NAME} has this node at port {port} but it listens on {}: \
                 right only if something forwards that port",
                r.quote("ACEFLEET_CLUSTER_BIND")
            );
            r.findings.warning(NAME, line);
        }
        _ => {}
    }
    let count = config.peers.len();
    if count.is_multiple_of(2) {
        let line =
            format!("{NAME} has {count} nodes: an even number survives no more failures than one node less");
        r.findings.warning(NAME, line);
    }
    let others: Vec<_> = config.peers.iter().filter(|(name, _)| *name != config.node_name).collect();
    let elsewhere =
        others.iter().any(|(_, target)| split(target).is_some_and(|(host, _)| !is_loopback(host)));
    if !elsewhere {
        return;
    }
    if r.sound(&["ACEFLEET_ADVERTISE"]) && is_loopback(&config.advertise_host) {
        let line = format!(
            "{} means this host itself to every other node: set a name or address that they can reach",
            r.quote("ACEFLEET_ADVERTISE")
        );
        r.findings.warning("ACEFLEET_ADVERTISE", line);
    }
    if r.sound(&["ACEFLEET_CLUSTER_BIND"]) && config.cluster_bind.ip().is_loopback() {
        let line =
            format!("{} cannot be reached by the nodes on other hosts", r.quote("ACEFLEET_CLUSTER_BIND"));
        r.findings.warning("ACEFLEET_CLUSTER_BIND", line);
    }
}

/// Finds a listener of another family than the advertised address: it would take no call, and the cluster would never form. `::` takes
/// both families.
fn families(config: &Config, r: &mut Reader) {
    let own = config.peers.iter().find(|(name, _)| *name == config.node_name);
    let (setting, host) = match own.and_then(|(_, target)| split(target)) {
        Some((host, _)) => ("ACEFLEET_PEERS", host.to_owned()),
        None => ("ACEFLEET_ADVERTISE", config.advertise_host.clone()),
    };
    let Ok(address) = host.parse::<IpAddr>() else { return };
    let elsewhere = !config.peers.is_empty() || !config.join.is_empty();
    if r.sound(&[setting, "ACEFLEET_CLUSTER_BIND"])
        && let Some(fix) = other_family(config.cluster_bind.ip(), address)
    {
        let line = format!(
            "the other nodes look for this one at {address} ({setting}), where {} takes no calls: set \
             ACEFLEET_CLUSTER_BIND={}",
            r.quote("ACEFLEET_CLUSTER_BIND"),
            SocketAddr::new(fix, config.cluster_bind.port())
        );
        match elsewhere {
            true => r.problem("ACEFLEET_CLUSTER_BIND", line),
            false => r.findings.warning("ACEFLEET_CLUSTER_BIND", line),
        }
    }
    let Ok(advertised) = config.advertise_host.parse::<IpAddr>() else { return };
    if r.sound(&["ACEFLEET_ADVERTISE", "ACEFLEET_HTTP_BIND"])
        && let Some(fix) = other_family(config.http_bind.ip(), advertised)
    {
        let line = format!(
            "proxies look for this node at {advertised} (ACEFLEET_ADVERTISE), where {} takes no calls: set \
             ACEFLEET_HTTP_BIND={fix}",
            r.quote("ACEFLEET_HTTP_BIND")
        );
        r.findings.warning("ACEFLEET_HTTP_BIND", line);
    }
}

/// Where to listen instead, if a listener on `bind` takes no calls to `address` because it is of another family.
pub fn other_family(bind: IpAddr, address: IpAddr) -> Option<IpAddr> {
    let takes = bind.is_ipv4() == address.is_ipv4() || (bind.is_ipv6() && bind.is_unspecified());
    (!takes).then(|| IpAddr::from(Ipv6Addr::UNSPECIFIED))
}

/// Who says which user calls, and who else could.
fn users(config: &Config, r: &mut Reader) {
    const NAME: &str = "ACEFLEET_AUTH_HEADER";
    const PROXIES: &str = "ACEFLEET_TRUSTED_PROXIES";
    if config.users.is_none() || !r.sound(&[NAME, PROXIES]) {
        return;
    }
    if config.trusted_proxies.is_empty() {
        let line = format!(
            "{} is believed of {PROXIES} alone, and there are none: name the address of the proxy that signs users in, as in \
             {PROXIES}=172.18.0.5",
            r.quote(NAME)
        );
        r.problem(NAME, line);
        return;
    }
    let wide = config.trusted_proxies.iter().find(|network| network.prefix_len() != network.max_prefix_len());
    if let Some(network) = wide {
        let line = format!(
            "{}: every program with an address in {network} ({PROXIES}), engines among them, may say which user calls. Name the address of the \
             proxy alone",
            r.quote(NAME)
        );
        r.findings.warning(NAME, line);
    }
    if config.open && r.sound(&["ACEFLEET_OPEN"]) {
        let line = format!("{} has no effect beside {}", r.quote(NAME), r.quote("ACEFLEET_OPEN"));
        r.findings.warning(NAME, line);
    }
}

/// Why the secret of the nodes is no API key.
pub const SECRET_OF_NODES: &str = "API_KEY is the secret of the nodes (ACEFLEET_CLUSTER_SECRET): every program that has the key could join as a node and \
     write what it likes. Make another key with: openssl rand -hex 24";

fn is_secret_of_nodes(config: &Config, key: &Secret) -> bool {
    let secrets = [&config.cluster_secret, &config.cluster_secret_before];
    secrets.into_iter().flatten().any(|secret| secret.exposed() == key.exposed().as_bytes())
}

fn remarks(config: &Config, r: &mut Reader) {
    const SHORT_KEY: usize = 16;
    match &config.api_key {
        None if config.open && r.sound(&["API_KEY"]) && !config.http_bind.ip().is_loopback() => {
            let line = format!(
                "{}: everybody who reaches {} can start and delete engines",
                r.quote("ACEFLEET_OPEN"),
                config.http_bind
            );
            r.findings.warning("ACEFLEET_OPEN", line);
        }
        Some(_) if config.open && r.sound(&["ACEFLEET_OPEN"]) => {
            let line =
                format!("{} and API_KEY contradict each other: remove one of them", r.quote("ACEFLEET_OPEN"));
            r.problem("ACEFLEET_OPEN", line);
        }
        Some(key) if is_secret_of_nodes(config, key) => r.problem("API_KEY", SECRET_OF_NODES),
        Some(key) if key.exposed().len() < SHORT_KEY => {
            let line = format!(
                "API_KEY has fewer than {SHORT_KEY} characters and can be guessed; \
                 make one with: openssl rand -hex 24"
            );
            r.findings.warning("API_KEY", line);
        }
        _ => {}
    }
    if config.open && config.reads == Reads::Key && r.sound(&["ACEFLEET_OPEN", "ACEFLEET_READS"]) {
        let line = format!("{} has no effect beside {}", r.quote("ACEFLEET_READS"), r.quote("ACEFLEET_OPEN"));
        r.findings.warning("ACEFLEET_READS", line);
    }
    if config.tls.is_none()
        && r.is_set("ACEFLEET_TLS_PLAIN")
        && r.sound(&["ACEFLEET_TLS_PLAIN", "ACEFLEET_TLS_CERT", "ACEFLEET_TLS_KEY"])
    {
        let line = format!("{} has no effect without ACEFLEET_TLS_CERT", r.quote("ACEFLEET_TLS_PLAIN"));
        r.findings.warning("ACEFLEET_TLS_PLAIN", line);
    }
    if config.target_image.is_some() && config.variant != Variant::Krinkuto11Amd64 {
        let line = format!("{} has no effect beside {}", r.quote("ENGINE_VARIANT"), r.quote("TARGET_IMAGE"));
        r.findings.warning("ENGINE_VARIANT", line);
    }
    if r.is_set("ACEFLEET_ENGINE_CAPABILITIES") && !config.hardened && r.sound(&["ACEFLEET_ENGINE_HARDENED"])
    {
        let line = format!(
            "{} has no effect while ACEFLEET_ENGINE_HARDENED is false",
            r.quote("ACEFLEET_ENGINE_CAPABILITIES")
        );
        r.findings.warning("ACEFLEET_ENGINE_CAPABILITIES", line);
    }
    for name in ["ACEFLEET_RELAY_BIND", "ACEFLEET_RELAY_DRAIN_S"] {
        if r.is_set(name) && !config.relay && r.sound(&["ACEFLEET_RELAY"]) {
            let line = format!("{} has no effect while ACEFLEET_RELAY is false", r.quote(name));
            r.findings.warning(name, line);
        }
    }
    if config.debug_mode {
        r.findings.warning(
            "DEBUG_MODE",
            "DEBUG_MODE=true is only reported by the API; ACEFLEET_LOG=debug logs more",
        );
    }
    if r.is_set("ENGINE_GRACE_PERIOD_S") && !config.policy.auto_delete && r.sound(&["AUTO_DELETE"]) {
        let line = format!("{} has no effect while AUTO_DELETE is false", r.quote("ENGINE_GRACE_PERIOD_S"));
        r.findings.warning("ENGINE_GRACE_PERIOD_S", line);
    }
}

/// Whether a listener on `any` also takes the port on `other`; `::` includes IPv4.
fn covers(any: IpAddr, other: IpAddr) -> bool {
    any.is_unspecified() && (any.is_ipv6() || other.is_ipv4())
}

fn on_this_host(host: &str, config: &Config) -> bool {
    is_loopback(host) || host.eq_ignore_ascii_case(&config.advertise_host)
}
