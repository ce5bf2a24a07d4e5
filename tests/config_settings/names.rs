//! Unknown, mistyped and retired names.

use std::path::Path;

use acefleet::config::table::{IMAGE_NAME, PREFIX, RETIRED, SETTINGS, is_known};

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
    for other in ["PATH", "HOME", "TZ", "COMPOSE_PROJECT_NAME", "LANG", "HOSTNAME"] {
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

#[test]
fn names_in_scripts_and_compose_files_do_not_keep_a_node_from_starting() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for place in ["Makefile", "scripts", "deploy", "docker-compose.cluster.yml", "chaos-tests"] {
        for (file, text) in texts(&root.join(place)) {
            for rest in text.split(PREFIX).skip(1) {
                let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
                let name = format!("{PREFIX}{}", &rest[..end]);
                // `ACEFLEET_*` and the like mean all of them.
                if end > 0 {
                    assert!(is_known(&name) || name == IMAGE_NAME, "{file}: {name} would be refused");
                    found += usize::from(name == IMAGE_NAME);
                }
            }
        }
    }
    assert!(found > 0, "the compose files do not name the image");
    assert_eq!(warnings(&[(IMAGE_NAME, "x:1")], IMAGE_NAME), Vec::<String>::new());
}

/// The text files below a path, by name.
fn texts(path: &Path) -> Vec<(String, String)> {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().flat_map(|entry| texts(&entry.unwrap().path())).collect();
    }
    std::fs::read_to_string(path).map(|text| (path.display().to_string(), text)).into_iter().collect()
}
