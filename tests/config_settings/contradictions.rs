//! Settings that contradict each other.

use super::{load, refused, valid, warnings};

const THREE: &str = "a=10.0.0.1:8001,b=10.0.0.2:8001,c=10.0.0.3:8001";

#[test]
fn floors_are_not_above_the_ceiling() {
    let line = refused(&[("MIN_REPLICAS", "21")]);
    assert!(line.starts_with("MIN_REPLICAS=21 (environment) is above MAX_REPLICAS=20 (default)"), "{line}");
    refused(&[("MIN_FREE_REPLICAS", "6"), ("MAX_REPLICAS", "5")]);
    valid(&[("MIN_REPLICAS", "5"), ("MIN_FREE_REPLICAS", "5"), ("MAX_REPLICAS", "5")]);
    let small = [("MIN_REPLICAS", "5"), ("ACEFLEET_CAPACITY", "4")];
    assert_eq!(warnings(&small, "MIN_REPLICAS").len(), 1);
}

#[test]
fn the_port_range_holds_all_engines() {
    let range = ("PORT_RANGE_HOST", "19000-19019");
    valid(&[range]);
    assert!(refused(&[range, ("MAX_REPLICAS", "21")]).contains("has 20 ports"));
    assert!(refused(&[range, ("ACE_MAP_HTTPS", "true")]).contains("needs 40"));
    valid(&[range, ("ACE_MAP_HTTPS", "true"), ("MAX_REPLICAS", "10")]);
}

#[test]
fn our_own_ports_are_not_ports_of_engines() {
    let range = ("PORT_RANGE_HOST", "8000-9000");
    let moved = ("ACEFLEET_CLUSTER_BIND", "0.0.0.0:9001");
    assert!(
        refused(&[range, moved]).starts_with("APP_PORT=8000 (default) is inside PORT_RANGE_HOST=8000-9000")
    );
    let line = refused(&[range, ("APP_PORT", "80")]);
    assert!(line.starts_with("ACEFLEET_CLUSTER_BIND=0.0.0.0:8001 (default) is inside"), "{line}");
    valid(&[range, moved, ("APP_PORT", "80")]);

    let node = ("ACEFLEET_NODE_NAME", "a");
    let here = ("ACEFLEET_PEERS", "a=127.0.0.1:8001,b=127.0.0.1:19500,c=127.0.0.1:8003");
    let line = refused(&[node, here]);
    assert!(line.contains("the port of b=127.0.0.1:19500 is inside"), "{line}");
    valid(&[node, ("ACEFLEET_PEERS", "a=10.0.0.1:8001,b=10.0.0.2:19500,c=10.0.0.3:8001")]);
    refused(&[("ACE_HTTPS_RANGE", "19000-19000")]);
    valid(&[("ACE_HTTPS_RANGE", "19000-19001")]);
}

#[test]
fn the_two_listeners_do_not_meet() {
    for (http, cluster) in [
        ("0.0.0.0", "0.0.0.0:8000"),
        ("0.0.0.0", "10.0.0.1:8000"),
        ("10.0.0.1", "0.0.0.0:8000"),
        ("::", "10.0.0.1:8000"),
        ("::1", "[::]:8000"),
    ] {
        let line = refused(&[("ACEFLEET_HTTP_BIND", http), ("ACEFLEET_CLUSTER_BIND", cluster)]);
        assert!(line.contains("same port"), "{line}");
    }
    valid(&[("ACEFLEET_HTTP_BIND", "127.0.0.1"), ("ACEFLEET_CLUSTER_BIND", "10.0.0.1:8000")]);
}

#[test]
fn election_times_rise() {
    refused(&[("ACEFLEET_HEARTBEAT_MS", "200")]);
    refused(&[("ACEFLEET_ELECTION_MIN_MS", "400")]);
    let line = refused(&[("ACEFLEET_ELECTION_MAX_MS", "150")]);
    assert!(
        line.starts_with(
            "ACEFLEET_ELECTION_MIN_MS=200 (default) has to be below ACEFLEET_ELECTION_MAX_MS=150"
        )
    );
    assert_eq!(warnings(&[("ACEFLEET_HEARTBEAT_MS", "150")], "ACEFLEET_ELECTION_MIN_MS").len(), 1);
    valid(&[
        ("ACEFLEET_HEARTBEAT_MS", "50"),
        ("ACEFLEET_ELECTION_MIN_MS", "500"),
        ("ACEFLEET_ELECTION_MAX_MS", "1000"),
    ]);
}

#[test]
fn peers_have_exactly_one_syntax() {
    let node = ("ACEFLEET_NODE_NAME", "a");
    let peers = |text: &'static str| ("ACEFLEET_PEERS", text);
    let config = valid(&[node, peers(THREE)]).config;
    assert_eq!(config.peers[1], ("b".to_owned(), "10.0.0.2:8001".to_owned()));
    assert_eq!(config.advertise_host, "10.0.0.1");
    let both = ("ACEFLEET_CLUSTER_BIND", "[::]:8001");
    let config = valid(&[node, both, peers("a=[fd00::1]:8001, b=[fd00::2]:8001 ,c=node-c.lan:8001")]).config;
    assert_eq!(config.peers[1].1, "[fd00::2]:8001");
    assert_eq!(config.advertise_host, "fd00::1");
    for (bad, expected) in [
        ("a", "there is no ="),
        ("a=10.0.0.1", "the port is missing"),
        ("a=10.0.0.1:0", "the port is below 1"),
        ("a=10.0.0.1:8001,", "empty entry"),
        ("a=10.0.0.1:8001,,b=10.0.0.2:8001", "empty entry"),
        ("a=10.0.0.1:8001,a=10.0.0.2:8001", "the name a is there twice"),
        ("a=node:8001,b=NODE:8001", "is there twice"),
        ("a=http://10.0.0.1:8001", "URL"),
        ("a=fd00::1:8001", "brackets"),
        ("a=0.0.0.0:8001", "nobody can connect"),
        ("a b=10.0.0.1:8001", "no node name"),
        ("=10.0.0.1:8001", "no node name"),
        ("a=10.0.0.1:8001;b=10.0.0.2:8001", "the host"),
    ] {
        let line = refused(&[node, peers(bad)]);
        assert!(line.contains(expected) && line.contains("NAME=HOST:PORT"), "{line}");
    }
}

#[test]
fn a_node_joins_or_forms_but_not_both() {
    let join = |text: &'static str| ("ACEFLEET_JOIN", text);
    let config = valid(&[join("10.0.0.1:8001, [fd00::2]:8001,node-c.lan:8001")]).config;
    assert_eq!(config.join, ["10.0.0.1:8001", "[fd00::2]:8001", "node-c.lan:8001"]);
    assert!(config.peers.is_empty());
    for (bad, expected) in [
        ("10.0.0.1", "the port is missing"),
        ("10.0.0.1:8001,", "empty entry"),
        ("a=10.0.0.1:8001", "without a name"),
        ("node:8001,NODE:8001", "is there twice"),
        ("http://10.0.0.1:8001", "URL"),
        ("fd00::1:8001", "brackets"),
    ] {
        let line = refused(&[join(bad)]);
        assert!(line.contains(expected) && line.contains("HOST:PORT"), "{line}");
    }
    let node = ("ACEFLEET_NODE_NAME", "a");
    let line = refused(&[node, ("ACEFLEET_PEERS", THREE), join("10.0.0.9:8001")]);
    assert!(line.contains("contradict each other"), "{line}");
    let hidden = [join("10.0.0.1:8001"), ("ACEFLEET_ADVERTISE", "localhost")];
    assert_eq!(warnings(&hidden, "ACEFLEET_ADVERTISE").len(), 1);
    assert_eq!(warnings(&[join("127.0.0.1:8001"), hidden[1]], "ACEFLEET_ADVERTISE").len(), 0);
}

#[test]
fn peers_include_this_node() {
    let line = refused(&[("ACEFLEET_PEERS", THREE)]);
    assert!(
        line.starts_with("ACEFLEET_PEERS has a, b, c but not this node, ACEFLEET_NODE_NAME=host-1 (default)")
    );
}

#[test]
fn doubtful_clusters_are_warned_of() {
    let node = ("ACEFLEET_NODE_NAME", "a");
    let three = ("ACEFLEET_PEERS", THREE);
    for name in ["ACEFLEET_PEERS", "ACEFLEET_ADVERTISE", "ACEFLEET_CLUSTER_BIND"] {
        assert_eq!(warnings(&[node, three], name), Vec::<String>::new());
    }
    assert_eq!(warnings(&[node, three, ("ACEFLEET_ADVERTISE", "localhost")], "ACEFLEET_ADVERTISE").len(), 1);
    let local = ("ACEFLEET_CLUSTER_BIND", "127.0.0.1:8001");
    assert_eq!(warnings(&[node, three, local], "ACEFLEET_CLUSTER_BIND").len(), 1);
    let moved = ("ACEFLEET_CLUSTER_BIND", "0.0.0.0:9001");
    assert_eq!(warnings(&[node, three, moved], "ACEFLEET_PEERS").len(), 1);
    let two = ("ACEFLEET_PEERS", "a=10.0.0.1:8001,b=10.0.0.2:8001");
    assert_eq!(warnings(&[node, two], "ACEFLEET_PEERS").len(), 1);
    // Three nodes on one machine.
    let here = ("ACEFLEET_PEERS", "a=127.0.0.1:8001,b=127.0.0.1:8002,c=127.0.0.1:8003");
    assert_eq!(warnings(&[node, here, local], "ACEFLEET_ADVERTISE"), Vec::<String>::new());
    assert_eq!(warnings(&[node, here, local], "ACEFLEET_CLUSTER_BIND"), Vec::<String>::new());
}

#[test]
fn weak_keys_and_settings_without_effect_are_warned_of() {
    assert_eq!(warnings(&[], "API_KEY"), Vec::<String>::new(), "a new cluster makes a key");
    let open = ("ACEFLEET_OPEN", "true");
    assert_eq!(warnings(&[open], "ACEFLEET_OPEN").len(), 1);
    assert_eq!(warnings(&[open, ("ACEFLEET_HTTP_BIND", "127.0.0.1")], "ACEFLEET_OPEN"), Vec::<String>::new());
    let reads = ("ACEFLEET_READS", "key");
    assert_eq!(warnings(&[open, reads], "ACEFLEET_READS").len(), 1);
    assert_eq!(warnings(&[reads], "ACEFLEET_READS"), Vec::<String>::new());
    assert!(refused(&[open, ("API_KEY", "0123456789abcdef")]).contains("contradict each other"));
    assert_eq!(warnings(&[("API_KEY", "k3y")], "API_KEY").len(), 1);
    assert_eq!(warnings(&[("API_KEY", "0123456789abcdef")], "API_KEY"), Vec::<String>::new());
    let both = [("TARGET_IMAGE", "x"), ("ENGINE_VARIANT", "jopsis-amd64")];
    assert_eq!(warnings(&both, "ENGINE_VARIANT").len(), 1);
    assert_eq!(warnings(&[("DEBUG_MODE", "true")], "DEBUG_MODE").len(), 1);
    assert_eq!(warnings(&[("ENGINE_GRACE_PERIOD_S", "5")], "ENGINE_GRACE_PERIOD_S").len(), 1);
    let used = [("ENGINE_GRACE_PERIOD_S", "5"), ("AUTO_DELETE", "true")];
    assert_eq!(warnings(&used, "ENGINE_GRACE_PERIOD_S"), Vec::<String>::new());
}

#[test]
fn users_of_proxies_need_a_proxy_that_nobody_else_can_be() {
    let header = ("ACEFLEET_AUTH_HEADER", "Remote-User");
    let errors = refused(&[header]);
    assert!(errors.contains("ACEFLEET_TRUSTED_PROXIES=172.18.0.5"), "{errors}");
    let warned = |proxies| warnings(&[header, ("ACEFLEET_TRUSTED_PROXIES", proxies)], "ACEFLEET_AUTH_HEADER");
    assert_eq!(warned("10.0.0.5,fd00::5"), Vec::<String>::new());
    assert_eq!(warned("10.0.0.5,172.18.0.0/16").len(), 1);
    assert_eq!(warnings(&[("ACEFLEET_AUTH_ROLE", "admin")], "ACEFLEET_AUTH_ROLE").len(), 1);
    for taken in ["Authorization", "x-api-key", "Host", "Remote User", "X-Forwarded-For"] {
        let all = [("ACEFLEET_AUTH_HEADER", taken), ("ACEFLEET_TRUSTED_PROXIES", "10.0.0.5")];
        assert!(refused(&all).contains("ACEFLEET_AUTH_HEADER"), "{taken}");
    }
    let open = [header, ("ACEFLEET_TRUSTED_PROXIES", "10.0.0.5"), ("ACEFLEET_OPEN", "true")];
    assert_eq!(warnings(&open, "ACEFLEET_AUTH_HEADER").len(), 1);
}

#[test]
fn all_problems_are_found_at_once_and_none_is_a_consequence_of_another() {
    let errors = load(&[
        ("MAX_REPLICAS", "many"),
        ("MIN_REPLICAS", "30"),
        ("APP_PORT", "0"),
        ("ACEFLEET_PEERS", "x"),
        ("AUTO_DELETE", "maybe"),
    ])
    .unwrap_err();
    let settings: Vec<_> = errors.problems.iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(settings.len(), 4, "{errors}");
    for name in ["MAX_REPLICAS", "APP_PORT", "ACEFLEET_PEERS", "AUTO_DELETE"] {
        assert!(settings.contains(&name), "{errors}");
    }
    assert_eq!(errors.to_string().lines().count(), 4);
}

#[test]
fn the_secret_of_the_nodes_is_no_key_for_programs() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    for name in ["ACEFLEET_CLUSTER_SECRET", "ACEFLEET_CLUSTER_SECRET_BEFORE"] {
        let mut settings = vec![("API_KEY", SECRET), (name, SECRET)];
        if name.ends_with("BEFORE") {
            settings.push(("ACEFLEET_CLUSTER_SECRET", "fedcba9876543210fedcba9876543210"));
        }
        let line = refused(&settings);
        assert!(line.starts_with("API_KEY is the secret of the nodes") && !line.contains(SECRET), "{line}");
    }
    valid(&[("API_KEY", "fedcba9876543210fedcba9876543210"), ("ACEFLEET_CLUSTER_SECRET", SECRET)]);
}

#[test]
fn a_certificate_and_its_key_belong_together() {
    let (cert, key) = (("ACEFLEET_TLS_CERT", "/tls/cert.pem"), ("ACEFLEET_TLS_KEY", "/tls/key.pem"));
    let line = refused(&[cert]);
    assert!(
        line.starts_with("ACEFLEET_TLS_CERT=/tls/cert.pem (environment) is set and ACEFLEET_TLS_KEY is not"),
        "{line}"
    );
    assert!(refused(&[key]).contains("ACEFLEET_TLS_CERT is not: name the file with its certificate"));
    // The files are opened by who starts, or checks: here they need not exist.
    assert!(valid(&[cert, key]).config.tls.is_some());
    let plain = ("ACEFLEET_TLS_PLAIN", "serve");
    assert_eq!(warnings(&[plain], "ACEFLEET_TLS_PLAIN").len(), 1);
    assert_eq!(warnings(&[plain, cert, key], "ACEFLEET_TLS_PLAIN"), Vec::<String>::new());
    // A key in the place of the name of its file is not shown.
    let line = refused(&[cert, ("ACEFLEET_TLS_KEY", "-----BEGIN PRIVATE KEY-----\nMC4CAQ")]);
    assert!(line.contains("name the file instead") && !line.contains("MC4"), "{line}");
}
