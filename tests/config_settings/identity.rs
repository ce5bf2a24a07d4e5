//! The name of a node and the address under which it is found.

use std::path::Path;

use acefleet::config::{ConfigErrors, Host, Loaded, Sources, resolve};

use super::{host, refused, valid, warnings};

/// A machine whose data directory belongs to a node named `old`.
fn used(environment: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let recorded = |dir: &Path| (dir == Path::new("/srv/node")).then(|| "old".to_owned());
    let host = Host { recorded: Some(recorded), ..host() };
    let environment = [&[("ACEFLEET_DATA_DIR", "/srv/node")], environment].concat();
    resolve(Sources::from_maps(&environment, &[], "", host))
}

#[test]
fn a_host_name_never_contradicts_the_data_directory() {
    assert_eq!(valid(&[]).config.node_name, "host-1");
    let loaded = used(&[]).unwrap();
    assert_eq!(loaded.config.node_name, "old");
    let shown = loaded.shown.iter().find(|row| row.name == "ACEFLEET_NODE_NAME").unwrap();
    assert_eq!(shown.value, "old");
    assert_eq!(used(&[("ACEFLEET_NODE_NAME", "old")]).unwrap().config.node_name, "old");
    // The list of first members is judged with the name that counts.
    let peers = ("ACEFLEET_PEERS", "old=10.9.8.7:8001,b=10.9.8.8:8001,c=10.9.8.9:8001");
    assert_eq!(used(&[peers]).unwrap().config.advertise_host, "10.9.8.7");
    // A directory that cannot be read says nothing; the start says why.
    assert_eq!(used(&[("ACEFLEET_DATA_DIR", "/srv/new")]).unwrap().config.node_name, "host-1");
}

#[test]
fn another_name_in_the_settings_is_refused() {
    let errors = used(&[("ACEFLEET_NODE_NAME", "new")]).unwrap_err();
    let lines: Vec<_> = errors.problems.iter().map(|problem| problem.line.as_str()).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("ACEFLEET_NODE_NAME=new (environment)"), "{lines:?}");
    assert!(lines[0].contains("/srv/node belongs to node old"), "{lines:?}");
}

#[test]
fn a_listener_of_the_other_family_is_refused_with_the_right_one() {
    let node = ("ACEFLEET_NODE_NAME", "a");
    let six = ("ACEFLEET_PEERS", "a=[fd00::1]:8001,b=[fd00::2]:8001,c=[fd00::3]:8001");
    let line = refused(&[node, six]);
    assert!(line.contains("fd00::1") && line.contains("ACEFLEET_CLUSTER_BIND=[::]:8001"), "{line}");
    let line = refused(&[node, six, ("ACEFLEET_CLUSTER_BIND", "10.0.0.1:9001")]);
    assert!(line.contains("set ACEFLEET_CLUSTER_BIND=[::]:9001"), "{line}");
    valid(&[node, six, ("ACEFLEET_CLUSTER_BIND", "[::]:8001")]);
    valid(&[node, six, ("ACEFLEET_CLUSTER_BIND", "[fd00::1]:8001")]);
    let four = ("ACEFLEET_PEERS", "a=10.0.0.1:8001,b=10.0.0.2:8001,c=10.0.0.3:8001");
    let line = refused(&[node, four, ("ACEFLEET_CLUSTER_BIND", "[fd00::1]:8001")]);
    assert!(line.contains("10.0.0.1") && line.contains("[::]:8001"), "{line}");
    valid(&[node, four, ("ACEFLEET_CLUSTER_BIND", "[::]:8001")]);
    let joining = [("ACEFLEET_JOIN", "[fd00::2]:8001"), ("ACEFLEET_ADVERTISE", "fd00::1")];
    assert!(refused(&joining).contains("ACEFLEET_ADVERTISE"));
    // Nobody calls the cluster port of a single node, until others come.
    assert_eq!(warnings(&[("ACEFLEET_ADVERTISE", "fd00::1")], "ACEFLEET_CLUSTER_BIND").len(), 1);
    assert_eq!(warnings(&[("ACEFLEET_ADVERTISE", "fd00::1")], "ACEFLEET_HTTP_BIND").len(), 1);
    assert_eq!(
        warnings(&[("ACEFLEET_ADVERTISE", "fd00::1"), ("ACEFLEET_HTTP_BIND", "::")], "ACEFLEET_HTTP_BIND")
            .len(),
        0
    );
}
