//! Settings of VPN containers.

use std::time::Duration;

use acefleet::config::{ControlAuth, Secret, VpnConfig};

use super::{refused, valid, warnings};

const NAME: (&str, &str) = ("GLUETUN_CONTAINER_NAME", "gluetun");

fn vpn(settings: &[(&str, &str)]) -> VpnConfig {
    let all: Vec<_> = [NAME].into_iter().chain(settings.iter().copied()).collect();
    valid(&all).config.vpn.unwrap()
}

fn ranges(vpn: &VpnConfig) -> Vec<(&str, u16, u16)> {
    vpn.containers.iter().map(|vpn| (vpn.container.as_str(), vpn.ports.first, vpn.ports.last)).collect()
}

#[test]
fn one_container() {
    let plain = vpn(&[]);
    assert_eq!(ranges(&plain), [("gluetun", 19_000, 19_019)]);
    assert_eq!((plain.api_port, &plain.auth), (8000, &ControlAuth::None));
    assert_eq!(plain.restart_after, Some(Duration::from_secs(60)));
    assert_eq!(ranges(&vpn(&[("MAX_ACTIVE_REPLICAS", "5")])), [("gluetun", 19_000, 19_004)]);
    let ranged = vpn(&[("MAX_ACTIVE_REPLICAS", "5"), ("GLUETUN_PORT_RANGE_1", "19100-19149")]);
    assert_eq!(ranges(&ranged), [("gluetun", 19_100, 19_149)]);
    assert_eq!(vpn(&[("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "0")]).restart_after, None);
    assert!(valid(&[]).config.vpn.is_none());
}

#[test]
fn a_host_runs_no_more_engines_than_its_vpn_has_ports() {
    let capacity = |settings: &[(&str, &str)]| {
        let config = valid(settings).config;
        config.capacity(&config.policy)
    };
    assert_eq!(capacity(&[NAME, ("MAX_ACTIVE_REPLICAS", "5")]), 5);
    assert_eq!(capacity(&[NAME, ("MAX_ACTIVE_REPLICAS", "50")]), 20);
    assert_eq!(capacity(&[NAME, ("MAX_ACTIVE_REPLICAS", "5"), ("ACEFLEET_CAPACITY", "9")]), 9);
}

#[test]
fn two_containers() {
    let both = [("VPN_MODE", "redundant"), ("GLUETUN_CONTAINER_NAME_2", "gluetun-2")];
    let ports = [("GLUETUN_PORT_RANGE_1", "19000-19009"), ("GLUETUN_PORT_RANGE_2", "19010-19029")];
    let two = vpn(&[both, ports].concat());
    assert_eq!(ranges(&two), [("gluetun", 19_000, 19_009), ("gluetun-2", 19_010, 19_029)]);
    assert_eq!(two.engines(), 30);
    assert!(refused(&[NAME, both[0]]).contains("GLUETUN_CONTAINER_NAME_2"));
    assert!(refused(&[NAME, both[0], both[1]]).contains("GLUETUN_PORT_RANGE_2"));
    let same = [NAME, both[0], ("GLUETUN_CONTAINER_NAME_2", "gluetun"), ports[0], ports[1]];
    assert!(refused(&same).contains("two containers"));
    let overlap = [NAME, both[0], both[1], ports[0], ("GLUETUN_PORT_RANGE_2", "19009-19020")];
    assert!(refused(&overlap).contains("overlap"));
    assert_eq!(warnings(&[NAME, both[1]], "GLUETUN_CONTAINER_NAME_2").len(), 1);
}

#[test]
fn credentials_of_the_control_server() {
    let (user, password) = (("GLUETUN_API_USERNAME", "me"), ("GLUETUN_API_PASSWORD", "hunter2"));
    let key = ("GLUETUN_API_KEY", "0123abcd");
    assert_eq!(vpn(&[key]).auth, ControlAuth::Key(Secret::new("0123abcd".to_owned())));
    let basic = ControlAuth::Basic { user: "me".to_owned(), password: Secret::new("hunter2".to_owned()) };
    assert_eq!(vpn(&[user, password]).auth, basic);
    assert!(!format!("{:?}", vpn(&[user, password])).contains("hunter2"));
    assert!(refused(&[NAME, user]).contains("together"));
    assert!(refused(&[NAME, password]).contains("together"));
    assert!(refused(&[NAME, key, user, password]).contains("keep one"));
}

#[test]
fn ports_that_meet() {
    assert!(refused(&[NAME, ("GLUETUN_API_PORT", "19001")]).contains("GLUETUN_API_PORT"));
    let range = ("GLUETUN_PORT_RANGE_1", "8000-8100");
    let met = [NAME, range, ("GLUETUN_API_PORT", "7000"), ("ACEFLEET_CLUSTER_BIND", "0.0.0.0:7001")];
    assert!(refused(&met).contains("APP_PORT"));
}

#[test]
fn what_has_no_effect_is_said() {
    for (name, value) in [
        ("GLUETUN_API_PORT", "8001"),
        ("GLUETUN_API_KEY", "0123abcd"),
        ("GLUETUN_PORT_RANGE_1", "19000-19009"),
        ("MAX_ACTIVE_REPLICAS", "5"),
        ("VPN_UNHEALTHY_RESTART_TIMEOUT_S", "5"),
        ("VPN_RESTART_ENGINES_ON_RECONNECT", "false"),
    ] {
        assert_eq!(warnings(&[(name, value)], name).len(), 1, "{name}");
        assert_eq!(warnings(&[NAME, (name, value)], name).len(), 0, "{name}");
    }
    for name in ["DOCKER_NETWORK", "ACE_MAP_HTTPS"] {
        assert_eq!(warnings(&[NAME, (name, "true")], name).len(), 1, "{name}");
    }
    for bad in ["a b", "-x", "a/b"] {
        assert!(refused(&[("GLUETUN_CONTAINER_NAME", bad)]).contains("GLUETUN_CONTAINER_NAME"));
    }
}
