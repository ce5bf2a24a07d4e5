use std::collections::BTreeMap;

use acefleet_registry::engine::Kind;

use super::*;
use crate::config::{Host, Sources, resolve};

/// A node with these settings beside usual ones.
fn config(settings: &[(&str, &str)]) -> Config {
    let mut all = vec![
        ("ACEFLEET_NODE_NAME", "alpha"),
        ("ACEFLEET_DATA_DIR", "/d"),
        ("ACEFLEET_ADVERTISE", "10.0.0.1"),
        ("CONTAINER_LABEL", "orchestrator.managed=acestream"),
        ("PORT_RANGE_HOST", "900-999"),
    ];
    all.extend_from_slice(settings);
    resolve(Sources::from_maps(&all, &[], "", Host::default())).unwrap().config
}

fn codes(settings: &[(&str, &str)], spec: &EngineSpec) -> Vec<(&'static str, String)> {
    let config = config(settings);
    let found = faults(spec, &config, &config.policy);
    found.iter().map(|fault| (fault.code(), fault.place().join("/"))).collect()
}

fn one(code: &'static str, place: &str) -> Vec<(&'static str, String)> {
    vec![(code, place.to_owned())]
}

fn labelled(key: &str) -> EngineSpec {
    EngineSpec { labels: BTreeMap::from([(key.to_owned(), "x".to_owned())]), ..EngineSpec::acestream() }
}

fn with(name: &str, value: &str) -> EngineSpec {
    EngineSpec { env: BTreeMap::from([(name.to_owned(), value.to_owned())]), ..EngineSpec::acestream() }
}

fn published(port: u16) -> EngineSpec {
    let kind = Kind::Generic { ports: BTreeMap::from([("80/tcp".to_owned(), port)]) };
    EngineSpec { kind, name_prefix: "svc".to_owned(), ..EngineSpec::acestream() }
}

#[test]
fn plain_calls_and_those_of_the_contract_are_allowed() {
    let conf = with("CONF", "--http-port=6879\n--https-port=443\n--bind-all");
    let own_port = EngineSpec { host_port: Some(19_006), ..EngineSpec::acestream() };
    let low_port = EngineSpec { host_port: Some(977), ..EngineSpec::acestream() };
    let inside = EngineSpec { host_port: Some(19_006), ..with("CONF", "--http-port=80") };
    for spec in [
        EngineSpec::acestream(),
        labelled("stream_id"),
        labelled("orchestrator.managed"),
        with("TZ", "UTC"),
        with("LD_PRELOAD", "/x.so"),
        with("P2P_PORT", "22"),
        with("HTTP_PORT", "22"),
        conf,
        own_port,
        low_port,
        inside,
        published(19_001),
        published(900),
    ] {
        assert_eq!(codes(&[], &spec), [], "{spec:?}");
    }
}

#[test]
fn labels_that_steer_others_or_speak_for_the_cluster_are_refused() {
    for key in [
        "acefleet.cluster",
        "acefleet.engine",
        "acefleet.node",
        "acefleet.vpn_run",
        "acefleet.anything",
        "acestream.http_port",
        "acestream.vpn_container",
        "acestream.forwarded",
        "host.http_port",
        "host.https_port",
        "com.docker.compose.project",
        "com.docker.swarm.service.id",
        "traefik.enable",
        "traefik.http.routers.x.rule",
        "caddy",
        "ofelia.job-local.x.command",
        "com.centurylinklabs.watchtower.enable",
        "autoheal",
        "team",
        "",
        "stream_id ",
        "Stream_id",
    ] {
        assert_eq!(codes(&[], &labelled(key)), one("label_not_allowed", &format!("labels/{key}")));
    }
    let lax = [("ACEFLEET_ALLOWED_LABELS", "team,traefik.http.*")];
    for (key, is_allowed) in [
        ("team", true),
        ("traefik.http.routers.x.rule", true),
        ("traefik.enable", false),
        ("stream_id", false),
    ] {
        assert_eq!(codes(&lax, &labelled(key)).is_empty(), is_allowed, "{key}");
    }
    for own in ["acefleet.node", "acestream.http_port", "host.http_port"] {
        let found = codes(&[("ACEFLEET_ALLOWED_LABELS", "*")], &labelled(own));
        assert_eq!(found.len(), 1, "{own}: no setting allows it");
    }
}

#[test]
fn variables_by_which_others_publish_a_container_are_refused() {
    for name in ["VIRTUAL_HOST", "VIRTUAL_PORT", "LETSENCRYPT_HOST", "SERVICE_NAME"] {
        assert_eq!(codes(&[], &with(name, "x")), one("variable_not_allowed", &format!("env/{name}")));
        assert_eq!(
            codes(&[("ACEFLEET_ALLOWED_LABELS", "VIRTUAL_*,LETSENCRYPT_*,SERVICE_*")], &with(name, "x")),
            []
        );
    }
}

#[test]
fn ports_of_the_node_and_privileged_ones_are_refused_by_whichever_field() {
    let fixed = |port| EngineSpec { host_port: Some(port), ..EngineSpec::acestream() };
    for port in [8_000, 8_001, 22, 80, 1_023] {
        assert_eq!(codes(&[], &fixed(port)), one("port_not_allowed", "host_port"), "{port}");
        assert_eq!(codes(&[], &published(port)), one("port_not_allowed", "ports/80/tcp"), "{port}");
        let conf = with("CONF", &format!("--http-port={port}"));
        assert_eq!(codes(&[], &conf), one("port_not_allowed", "env/CONF"), "{port}");
    }
    let moved = [("APP_PORT", "8100"), ("ACEFLEET_CLUSTER_BIND", "0.0.0.0:8101")];
    assert_eq!(codes(&moved, &fixed(8_101)).len(), 1);
    assert_eq!(codes(&moved, &fixed(8_001)), []);
    // In the host's network everything that an engine listens on is a port of the host.
    let host = [("DOCKER_NETWORK", "host")];
    let inside = EngineSpec { host_port: Some(19_006), ..with("CONF", "--http-port=8001\n--https-port=443") };
    let found = codes(&host, &inside);
    assert_eq!(found, [one("port_not_allowed", "env/CONF"), one("port_not_allowed", "env/CONF")].concat());
    assert_eq!(codes(&host, &with("P2P_PORT", "8001")), one("port_not_allowed", "env/P2P_PORT"));
    // In that of a VPN container its control server listens, too.
    let vpn = [("GLUETUN_CONTAINER_NAME", "gluetun"), ("GLUETUN_API_PORT", "8090")];
    assert_eq!(codes(&vpn, &with("CONF", "--https-port=8090")), one("port_not_allowed", "env/CONF"));
}

#[test]
fn no_container_gets_the_name_of_a_vpn_container() {
    let settings = [
        ("GLUETUN_CONTAINER_NAME", "gluetun"),
        ("GLUETUN_CONTAINER_NAME_2", "gluetun-2"),
        ("VPN_MODE", "redundant"),
        ("GLUETUN_PORT_RANGE_1", "19000-19019"),
        ("GLUETUN_PORT_RANGE_2", "19020-19039"),
    ];
    let named = |prefix: &str| EngineSpec { name_prefix: prefix.to_owned(), ..published(19_001) };
    assert_eq!(codes(&settings, &named("gluetun")), one("name_not_allowed", "name_prefix"));
    for other in ["svc", "gluetun-2", "glue", "gluetun-"] {
        assert_eq!(codes(&settings, &named(other)), [], "{other}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let config = config(&[]);
    let hostile = EngineSpec {
        image: Some("evil:1".to_owned()),
        labels: BTreeMap::from([("traefik.enable".to_owned(), "true".to_owned())]),
        env: BTreeMap::from([("VIRTUAL_HOST".to_owned(), "x".to_owned())]),
        host_port: Some(22),
        ..EngineSpec::acestream()
    };
    let found = faults(&hostile, &config, &config.policy);
    let settings: Vec<_> = found.iter().map(NotAllowed::setting).collect();
    assert_eq!(settings, [Some(IMAGES), Some(LABELS), Some(LABELS), Some(PORTS)]);
    for fault in &found {
        let text = fault.to_string();
        assert!(fault.setting().is_none_or(|setting| text.contains(setting)), "{text}");
        assert!(text.contains(&fault.given()), "{text}");
    }
}
