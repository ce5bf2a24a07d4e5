//! Settings of the VPN containers in whose network engines run, and their contradictions.

use acefleet_registry::policy::PortRange;
use acefleet_registry::vpn::VpnInfo;

use super::docker;
use super::reader::Reader;
use super::values::{Config, ControlAuth, Secret, VpnConfig};

/// First port of engines behind a VPN unless a range is set.
const FIRST_PORT: u16 = 19_000;
const FIRST: &str = "GLUETUN_CONTAINER_NAME";
const SECOND: &str = "GLUETUN_CONTAINER_NAME_2";
const MODE: &str = "VPN_MODE";
const RANGES: [&str; 2] = ["GLUETUN_PORT_RANGE_1", "GLUETUN_PORT_RANGE_2"];
const LIMIT: &str = "MAX_ACTIVE_REPLICAS";
/// What means nothing without a VPN container.
const OTHERS: [&str; 11] = [
    RANGES[0],
    RANGES[1],
    LIMIT,
    "GLUETUN_API_PORT",
    "GLUETUN_API_KEY",
    "GLUETUN_API_USERNAME",
    "GLUETUN_API_PASSWORD",
    "GLUETUN_HEALTH_CHECK_INTERVAL_S",
    "GLUETUN_PORT_CACHE_TTL_S",
    "VPN_UNHEALTHY_RESTART_TIMEOUT_S",
    "VPN_RESTART_ENGINES_ON_RECONNECT",
];

/// Reads the settings; `None` when engines use the host's own network.
pub(super) fn read(r: &mut Reader) -> Option<VpnConfig> {
    let names = [FIRST, SECOND].map(|name| r.optional_text(name, docker::container));
    let redundant = r.word(MODE) == 1;
    let ranges = RANGES.map(|name| r.optional_text(name, super::parse::ports));
    let limit = r.small_count(LIMIT);
    let key = r.key("GLUETUN_API_KEY").map(Secret::new);
    let user = r.optional_text("GLUETUN_API_USERNAME", docker::key);
    let password = r.key("GLUETUN_API_PASSWORD").map(Secret::new);
    let api_port = r.port("GLUETUN_API_PORT");
    let interval = r.seconds("GLUETUN_HEALTH_CHECK_INTERVAL_S");
    let port_interval = r.seconds("GLUETUN_PORT_CACHE_TTL_S");
    let restart_after = r.seconds("VPN_UNHEALTHY_RESTART_TIMEOUT_S");
    let renew = r.flag("VPN_RESTART_ENGINES_ON_RECONNECT");
    let auth = auth(r, key, user, password);
    let [Some(first), second] = names else {
        without(r, redundant);
        return None;
    };
    let pool = PortRange { first: FIRST_PORT, last: FIRST_PORT - 1 + u16::try_from(limit).unwrap_or(1) };
    if ranges[0].is_none() {
        r.computed(RANGES[0], format!("{}-{}", pool.first, pool.last));
    }
    let mut containers = vec![VpnInfo { container: first, ports: ranges[0].unwrap_or(pool) }];
    match (redundant, second) {
        (true, Some(container)) if container == containers[0].container => {
            let line =
                format!("{} is {} too: redundancy needs two containers", r.quote(SECOND), r.quote(FIRST));
            r.problem(SECOND, line);
        }
        (true, Some(container)) => match ranges {
            [Some(_), Some(ports)] => containers.push(VpnInfo { container, ports }),
            _ => {
                let line = format!(
                    "{} needs {} and {}: two containers cannot publish the same ports",
                    r.quote(MODE),
                    RANGES[0],
                    RANGES[1]
                );
                r.problem(MODE, line);
            }
        },
        (true, None) if r.sound(&[SECOND]) => {
            let line = format!("{} needs a second container: set {SECOND}", r.quote(MODE));
            r.problem(MODE, line);
        }
        (false, _) => {
            for name in [SECOND, RANGES[1]].into_iter().filter(|name| r.is_set(name)).collect::<Vec<_>>() {
                let line = format!("{} has no effect while {} is single", r.quote(name), MODE);
                r.findings.warning(name, line);
            }
        }
        (true, None) => {}
    }
    let restart_after = (!restart_after.is_zero()).then_some(restart_after);
    Some(VpnConfig { containers, api_port, auth, interval, port_interval, restart_after, renew })
}

fn auth(r: &mut Reader, key: Option<Secret>, user: Option<String>, password: Option<Secret>) -> ControlAuth {
    match (key, user, password) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            r.problem(
                "GLUETUN_API_KEY",
                "GLUETUN_API_KEY and GLUETUN_API_USERNAME are both set: keep one of them",
            );
            ControlAuth::None
        }
        (Some(key), None, None) => ControlAuth::Key(key),
        (None, Some(user), Some(password)) => ControlAuth::Basic { user, password },
        (None, None, None) => ControlAuth::None,
        (None, _, _) => {
            if r.sound(&["GLUETUN_API_USERNAME", "GLUETUN_API_PASSWORD"]) {
                r.problem(
                    "GLUETUN_API_USERNAME",
                    "GLUETUN_API_USERNAME and GLUETUN_API_PASSWORD go together: set both or none",
                );
            }
            ControlAuth::None
        }
    }
}

/// Nothing names a container: what is set beside that was meant for one.
fn without(r: &mut Reader, redundant: bool) {
    if !r.sound(&[FIRST, SECOND, MODE]) {
        return;
    }
    if redundant || r.is_set(SECOND) {
        let name = if redundant { MODE } else { SECOND };
        let line = format!(
            "{} asks for a VPN but {FIRST} is not set: engines would run outside of it, with the host's own address",
            r.quote(name)
        );
        r.problem(name, line);
        return;
    }
    for name in OTHERS.into_iter().filter(|name| r.is_set(name)).collect::<Vec<_>>() {
        let line = format!("{} has no effect without {FIRST}", r.quote(name));
        r.findings.warning(name, line);
    }
}

/// Contradictions with other settings.
pub(super) fn check(config: &Config, r: &mut Reader) {
    let Some(vpn) = &config.vpn else { return };
    if let [first, second] = vpn.containers.as_slice()
        && first.ports.first <= second.ports.last
        && second.ports.first <= first.ports.last
    {
        let line = format!(
            "{} and {} overlap: one port cannot lead to both",
            r.quote(RANGES[0]),
            r.quote(RANGES[1])
        );
        r.problem(RANGES[1], line);
    }
    let listeners = [
        ("APP_PORT", config.http_bind.port()),
        ("ACEFLEET_CLUSTER_BIND", config.cluster_bind.port()),
        ("GLUETUN_API_PORT", vpn.api_port),
    ];
    for (name, port) in listeners {
        let inside = vpn.containers.iter().any(|vpn| vpn.ports.contains(port));
        if inside && r.sound(&[name]) {
            let line = format!(
                "{} is among the ports of engines behind the VPN ({}): choose another port or range",
                r.quote(name),
                r.quote(RANGES[0])
            );
            r.problem(name, line);
        }
    }
    for name in
        ["DOCKER_NETWORK", "ACE_MAP_HTTPS"].into_iter().filter(|name| r.is_set(name)).collect::<Vec<_>>()
    {
        let line = format!("{} has no effect on engines behind a VPN ({})", r.quote(name), r.quote(FIRST));
        r.findings.warning(name, line);
    }
}
