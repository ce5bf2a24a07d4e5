//! Unknown, mistyped and retired names.

use acefleet::config::table::{RETIRED, SETTINGS};

use super::{load, refused, valid, warnings};

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    names.extend(RETIRED.iter().map(|retired| retired.name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn unknown_names_with_the_prefix_are_refused_with_the_nearest_one() {
    for (typed, meant) in [
        ("ACEFLEET_PEER", "ACEFLEET_PEERS"),
        ("ACEFLEET_NODENAME", "ACEFLEET_NODE_NAME"),
        ("ACEFLEET_DATADIR", "ACEFLEET_DATA_DIR"),
        ("acefleet_log", "ACEFLEET_LOG"),
        ("ACEFLEET_API_KEY", "API_KEY"),
        ("ACEFLEET_MIN_REPLICAS", "MIN_REPLICAS"),
        ("ACEFLEET_APIKEY_FILE", "API_KEY_FILE"),
    ] {
        let line = refused(&[(typed, "hunter2")]);
        assert_eq!(line, format!("{typed} (environment): there is no such setting, did you mean {meant}?"));
    }
    let line = refused(&[("ACEFLEET_FLUX_COMPENSATOR", "1")]);
    assert!(line.contains("config show") && !line.contains("did you mean"), "{line}");
}

#[test]
fn other_names_are_ignored_unless_they_look_mistyped() {
    for other in ["PATH", "HOME", "TZ", "COMPOSE_PROJECT_NAME", "DOCKER_CERT_PATH", "LANG", "HOSTNAME"] {
        assert_eq!(warnings(&[(other, "/x")], other), Vec::<String>::new());
    }
    assert_eq!(
        warnings(&[("MIN_REPLICA", "hunter2")], "MIN_REPLICA"),
        ["MIN_REPLICA (environment) is not a setting and is ignored: did you mean MIN_REPLICAS?"]
    );
    assert_eq!(warnings(&[("NODE_NAME", "x")], "NODE_NAME").len(), 1, "the prefix was forgotten");
}

#[test]
fn variables_of_a_service_are_not_settings() {
    let links = [
        ("ACEFLEET_SERVICE_HOST", "10.0.0.1"),
        ("ACEFLEET_SERVICE_PORT_HTTP", "8000"),
        ("ACEFLEET_PORT", "tcp://10.0.0.1:8000"),
        ("ACEFLEET_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("ACEFLEET_API_PORT", "tcp://10.0.0.1:8000"),
    ];
    assert_eq!(warnings(&links, "ACEFLEET_").len(), 1);
    assert!(load(&[("ACEFLEET_PORT", "8000")]).is_err(), "typed by a person");
}

#[test]
fn retired_settings_are_named_in_a_warning() {
    for retired in RETIRED.iter().filter(|retired| !retired.refused) {
        let lines = warnings(&[(retired.name, "hunter2")], retired.name);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("{} (environment) has no effect: ", retired.name)),
            "{lines:?}"
        );
        assert!(!lines[0].contains("hunter2"), "{lines:?}");
        assert_eq!(warnings(&[(retired.name, "")], retired.name), Vec::<String>::new());
    }
}

#[test]
fn engines_never_run_outside_a_vpn_that_was_asked_for() {
    for (name, value) in
        [("GLUETUN_CONTAINER_NAME_2", "gluetun"), ("VPN_PROVIDER", "gluetun"), ("VPN_MODE", "redundant")]
    {
        let line = refused(&[(name, value)]);
        assert!(line.starts_with(name) && line.contains("outside"), "{line}");
        valid(&[(name, " ")]);
    }
}
