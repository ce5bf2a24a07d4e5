//! Each kind of value: what is accepted and what is refused.

use std::path::PathBuf;
use std::time::Duration;

use acefleet::config::table::{Kind, SETTINGS};
use acefleet::config::{Config, Host, LogFormat, Sources, Variant, resolve};
use acefleet_registry::Policy;
use proptest::prelude::*;

use super::{host, load, refused, valid};

#[track_caller]
fn config(environment: &[(&str, &str)]) -> Config {
    valid(environment).config
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = config(&[]);
    assert_eq!(config.policy, Policy::default());
    assert_eq!(config.node_name, "host-1");
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/acefleet"));
    assert_eq!(config.http_bind.to_string(), "0.0.0.0:8000");
    assert_eq!(config.cluster_bind.to_string(), "0.0.0.0:8001");
    assert_eq!(config.advertise_host, "10.9.8.7");
    assert_eq!(config.own_capacity, None);
    assert_eq!(config.timing, acefleet_raft::Timing::default());
    assert_eq!(config.variant, Variant::Krinkuto11Amd64);
    assert_eq!(config.arm32_version, "arm32-v3.2.13");
    assert_eq!(config.arm64_version, "arm64-v3.2.13");
    assert_eq!(config.log_format, LogFormat::Text);
    assert_eq!((config.api_key, config.docker_host, config.docker_network), (None, None, None));
    assert_eq!((config.target_image, config.memory_limit), (None, Some(2 << 30)));
    assert_eq!((config.hardened, config.capabilities, config.pids_limit), (true, None, Some(2_048)));
    assert_eq!(config.collect_interval, Duration::from_secs(5));
    assert_eq!(config.monitor_interval, Duration::from_secs(10));
    assert_eq!(config.health_interval, Duration::from_secs(2));
    assert_eq!(config.min_provision_interval, Duration::ZERO);
    assert_eq!((config.stats_history_max, config.health_failure_threshold), (720, 2));
    assert_eq!((config.max_concurrent_provisions, config.debug_mode), (5, false));
}

#[test]
fn every_setting_of_the_table_is_read() {
    let shown: Vec<_> = valid(&[]).shown.iter().map(|row| row.name).collect();
    let table: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(shown, table);
}

#[test]
fn every_setting_refuses_garbage_and_says_what_it_takes() {
    for setting in SETTINGS {
        let garbage = "\u{1b}[31m ~\u{feff}";
        let line = refused(&[(setting.name, garbage)]);
        assert!(line.starts_with(setting.name), "{line}");
        assert!(line.contains("(environment)"), "{line}");
        assert!(line.contains(&setting.kind.accepts()), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert_eq!(line.contains("[31m"), !setting.secret, "{line}");
    }
}

#[test]
fn every_number_has_two_bounds() {
    for setting in SETTINGS {
        let (low, high) = match setting.kind {
            Kind::Port => ("0".to_owned(), "65536".to_owned()),
            // No number is below 0, so the first is one that is refused anyway.
            Kind::Count { min, max } => (format!("{}", min as i64 - 1), format!("{}", max + 1)),
            Kind::Seconds { min, max } => (format!("{:.3}", min - 0.001), format!("{}", max + 0.001)),
            _ => continue,
        };
        for outside in [
            low.as_str(),
            high.as_str(),
            "99999999999999999999999",
            "1e2",
            "0x10",
            "nan",
            "inf",
            "1,5",
            "-1",
            "٣",
        ] {
            assert!(load(&[(setting.name, outside)]).is_err(), "{}={outside}", setting.name);
        }
    }
}

#[test]
fn numbers_are_taken() {
    assert_eq!(config(&[("MIN_REPLICAS", " 3\n")]).policy.min_replicas, 3);
    assert_eq!(config(&[("MIN_REPLICAS", "+3")]).policy.min_replicas, 3);
    assert_eq!(config(&[("APP_PORT", "08080")]).http_bind.port(), 8080);
    assert_eq!(config(&[("ENGINE_GRACE_PERIOD_S", "0")]).policy.grace_ms, 0);
    assert_eq!(
        config(&[("MIN_PROVISION_INTERVAL_S", "0.5")]).min_provision_interval,
        Duration::from_millis(500)
    );
    assert_eq!(config(&[("COLLECT_INTERVAL_S", "0.25")]).collect_interval, Duration::from_millis(250));
    assert_eq!(config(&[("ACEFLEET_CAPACITY", "0")]).own_capacity, Some(0));
    let open = config(&[("MAX_REPLICAS", "7")]);
    let in_force = Policy { max_replicas: 9, ..Policy::default() };
    assert_eq!(open.capacity(&in_force), 9, "the default follows the MAX_REPLICAS that is in force");
}

#[test]
fn each_breaker_gets_its_own_numbers() {
    let policy = config(&[
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "11"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S", "12"),
        ("CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD", "13"),
        ("CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S", "14"),
    ])
    .policy;
    assert_eq!((policy.general_breaker.failure_threshold, policy.general_breaker.recovery_ms), (11, 12_000));
    assert_eq!(
        (policy.replacement_breaker.failure_threshold, policy.replacement_breaker.recovery_ms),
        (13, 14_000)
    );
}

#[test]
fn flags_have_many_spellings_but_not_all() {
    for yes in ["true", "True", "TRUE", "yes", "on", "1"] {
        assert!(config(&[("AUTO_DELETE", yes)]).policy.auto_delete, "{yes}");
    }
    for no in ["false", "False", "no", "off", "0"] {
        assert!(!config(&[("AUTO_DELETE", no)]).policy.auto_delete, "{no}");
    }
    for garbage in ["2", "y", "truee", "enabled", "wahr"] {
        refused(&[("AUTO_DELETE", garbage)]);
    }
}

#[test]
fn port_ranges() {
    let ports = config(&[("PORT_RANGE_HOST", "20000 - 20099")]).policy.host_ports;
    assert_eq!((ports.first, ports.last), (20_000, 20_099));
    for bad in
        ["20000", "20099-20000", "0-100", "60000-70000", "a-b", "1-2-3", "-", "20000:20099", "20000–20099"]
    {
        refused(&[("PORT_RANGE_HOST", bad)]);
    }
}

#[test]
fn variants_in_any_case() {
    let words = [
        ("krinkuto11-amd64", Variant::Krinkuto11Amd64),
        ("JOPSIS-amd64", Variant::JopsisAmd64),
        ("jopsis-arm32", Variant::JopsisArm32),
        ("jopsis-arm64", Variant::JopsisArm64),
    ];
    for (word, variant) in words {
        assert_eq!(config(&[("ENGINE_VARIANT", word)]).variant, variant);
    }
    let line = refused(&[("ENGINE_VARIANT", "AceServe-amd64")]);
    assert!(line.contains("krinkuto11-amd64, jopsis-amd64"), "{line}");
}

#[test]
fn memory_has_the_contract_s_units_and_bounds() {
    const MIB: u64 = 1024 * 1024;
    for (text, bytes) in [
        ("0", None),
        ("0g", None),
        ("33554432", Some(32 * MIB)),
        ("33554432b", Some(32 * MIB)),
        ("32768K", Some(32 * MIB)),
        ("768m", Some(768 * MIB)),
        ("128G", Some(131_072 * MIB)),
    ] {
        assert_eq!(config(&[("ENGINE_MEMORY_LIMIT", text)]).memory_limit, bytes, "{text}");
    }
    for bad in
        ["31m", "33554431", "129g", "1t", "1.5g", "m", "512 m", "512mb", "-1g", "99999999999999999999g"]
    {
        refused(&[("ENGINE_MEMORY_LIMIT", bad)]);
    }
}

#[test]
fn labels_have_exactly_one_equals_sign() {
    assert_eq!(config(&[("CONTAINER_LABEL", "a.b=c")]).policy.container_label, "a.b=c");
    assert_eq!(config(&[("CONTAINER_LABEL", "a=")]).policy.container_label, "a=");
    for bad in ["a", "=b", "a=b=c", "a b=c", "acestream.http_port=1", "host.http_port=1", "acefleet.node=x"] {
        refused(&[("CONTAINER_LABEL", bad)]);
    }
}

#[test]
fn addresses() {
    for (text, bind) in [("::", "[::]:8000"), ("[::1]", "[::1]:8000"), ("127.0.0.1", "127.0.0.1:8000")] {
        assert_eq!(config(&[("ACEFLEET_HTTP_BIND", text)]).http_bind.to_string(), bind);
    }
    assert!(refused(&[("ACEFLEET_HTTP_BIND", "0.0.0.0:8000")]).contains("APP_PORT"));
    refused(&[("ACEFLEET_HTTP_BIND", "localhost")]);
    assert_eq!(config(&[("ACEFLEET_CLUSTER_BIND", "[::]:9001")]).cluster_bind.to_string(), "[::]:9001");
    assert!(refused(&[("ACEFLEET_CLUSTER_BIND", "8001")]).contains("0.0.0.0:8001"));
    assert!(refused(&[("ACEFLEET_CLUSTER_BIND", "::1")]).contains("[::1]:8001"));
    refused(&[("ACEFLEET_CLUSTER_BIND", "0.0.0.0:0")]);
}

#[test]
fn the_relay_is_on_and_on_the_loopback_unless_it_is_set_otherwise() {
    let relay = |text| config(&[("ACEFLEET_RELAY_BIND", text)]).relay_bind;
    let shown: Vec<_> = relay("127.0.0.1, [::1],10.0.0.1").iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.1", "::1", "10.0.0.1"]);
    for bad in ["127.0.0.1,", "localhost", "127.0.0.1:80", "127.0.0.1,127.0.0.1", "224.0.0.1"] {
        refused(&[("ACEFLEET_RELAY_BIND", bad)]);
    }
    let defaults = config(&[]);
    assert!(defaults.relay && defaults.relay_bind.iter().all(std::net::IpAddr::is_loopback));
    assert!(!config(&[("ACEFLEET_RELAY", "off")]).relay);
}

#[test]
fn the_advertised_host_has_no_port_and_no_scheme() {
    for (text, host) in [
        ("node-a.lan", "node-a.lan"),
        ("[fd00::1]", "fd00::1"),
        ("fd00::1", "fd00::1"),
        ("10.0.0.1", "10.0.0.1"),
    ] {
        assert_eq!(config(&[("ACEFLEET_ADVERTISE", text)]).advertise_host, host);
    }
    assert!(refused(&[("ACEFLEET_ADVERTISE", "node-a:8000")]).contains("it has a port, give node-a alone"));
    assert!(refused(&[("ACEFLEET_ADVERTISE", "http://node-a")]).contains("URL"));
    for bad in
        ["0.0.0.0", "::", "10.0.0", "10.0.0.300", "a b", "-a", "a..b", "224.0.0.1", "[fd00::1]:8000", "näher"]
    {
        refused(&[("ACEFLEET_ADVERTISE", bad)]);
    }
}

#[test]
fn without_an_address_the_host_advertises_loopback() {
    let host = Host { address: None, ..host() };
    let loaded = resolve(Sources::from_maps(&[], &[], "", host)).unwrap();
    assert_eq!(loaded.config.advertise_host, "127.0.0.1");
}

#[test]
fn node_names() {
    let longest = "n".repeat(63);
    for name in ["a", "Node_1.lan", &longest] {
        assert_eq!(config(&[("ACEFLEET_NODE_NAME", name)]).node_name, name);
    }
    for bad in ["a b", "a/b", "ä", &"n".repeat(64), "a=b", "a,b"] {
        refused(&[("ACEFLEET_NODE_NAME", bad)]);
    }
    for name in [None, Some("host name".to_owned()), Some(String::new())] {
        let errors = resolve(Sources::from_maps(&[], &[], "", Host { name, ..host() })).unwrap_err();
        assert!(
            errors.to_string().starts_with("ACEFLEET_NODE_NAME is not set and the host name"),
            "{errors}"
        );
    }
}

#[test]
fn data_directories_follow_the_user() {
    let user = Host { root: false, ..host() };
    let of = |environment: &[(&str, &str)]| {
        resolve(Sources::from_maps(environment, &[], "", user.clone())).map(|loaded| loaded.config.data_dir)
    };
    let home = ("HOME", "/home/u");
    assert_eq!(of(&[home]).unwrap(), PathBuf::from("/home/u/.local/share/acefleet"));
    assert_eq!(of(&[home, ("XDG_DATA_HOME", "/x")]).unwrap(), PathBuf::from("/x/acefleet"));
    assert_eq!(of(&[home, ("XDG_DATA_HOME", "x")]).unwrap(), PathBuf::from("/home/u/.local/share/acefleet"));
    assert_eq!(of(&[home, ("ACEFLEET_DATA_DIR", "data")]).unwrap(), PathBuf::from("data"));
    assert!(of(&[]).unwrap_err().to_string().contains("ACEFLEET_DATA_DIR"));
    assert!(refused(&[("ACEFLEET_DATA_DIR", "~/data")]).contains("~ is not expanded"));
}

#[test]
fn docker_addresses() {
    for good in
        ["unix:///var/run/docker.sock", "tcp://docker:2375", "http://10.0.0.1:2375", "tcp://[fd00::1]:2375"]
    {
        assert_eq!(config(&[("DOCKER_HOST", good)]).docker_host.as_deref(), Some(good));
    }
    assert_eq!(
        config(&[("DOCKER_HOST", "tcp://docker:2375/")]).docker_host.as_deref(),
        Some("tcp://docker:2375")
    );
    assert!(refused(&[("DOCKER_HOST", "/var/run/docker.sock")]).contains("unix:///var/run/docker.sock"));
    for bad in
        ["docker:2375", "tcp://docker", "tcp://:2375", "unix://docker.sock", "ssh://u@host", "ftp://x:1"]
    {
        refused(&[("DOCKER_HOST", bad)]);
    }
    let line = refused(&[("DOCKER_HOST", "tcp://me:hunter2@docker:2375")]);
    assert!(!line.contains("hunter2") && line.contains("@docker:2375"), "{line}");
}

#[test]
fn docker_names() {
    assert_eq!(config(&[("DOCKER_NETWORK", "my_net-1.x")]).docker_network.as_deref(), Some("my_net-1.x"));
    assert!(refused(&[("DOCKER_NETWORK", "container:gluetun")]).contains("another container"));
    refused(&[("DOCKER_NETWORK", "-x")]);
    for image in ["a", "acefleet/engine-sim:dev", "ghcr.io/x/y@sha256:0123", "localhost:5000/x:1"] {
        assert_eq!(config(&[("TARGET_IMAGE", image)]).target_image.as_deref(), Some(image));
    }
    for bad in ["-x", "a b", "https://ghcr.io/x", "/x", "x;y"] {
        refused(&[("TARGET_IMAGE", bad)]);
    }
    assert_eq!(config(&[("ENGINE_ARM64_VERSION", "arm64-v3.2.14")]).arm64_version, "arm64-v3.2.14");
    refused(&[("ENGINE_ARM32_VERSION", "a/b")]);
}

#[test]
fn log_filters() {
    for good in ["debug", "OFF", "info,openraft=warn", "acefleet", "acefleet::agent=trace", "[span]=debug"] {
        assert_eq!(config(&[("ACEFLEET_LOG", good)]).log_filter, good);
    }
    for bad in ["verbose", "inof", "acefleet=loud", "a=b=c"] {
        refused(&[("ACEFLEET_LOG", bad)]);
    }
    assert_eq!(config(&[("ACEFLEET_LOG_FORMAT", "JSON")]).log_format, LogFormat::Json);
    refused(&[("ACEFLEET_LOG_FORMAT", "xml")]);
}

#[test]
fn sample_keys_are_refused_and_never_shown() {
    for sample in [
        "changeme",
        "CHANGE_ME",
        "holaholahola",
        "default_password",
        "your-secure-key-here",
        "<your-api-key>",
        "your-secret-key-here",
        "your-secret-api-key",
        "---",
    ] {
        let line = refused(&[("API_KEY", sample)]);
        assert!(!line.contains(sample), "{line}");
    }
    for white in [" k3y-with-a-space-in-front", "two words", "tab\tkey"] {
        assert!(refused(&[("API_KEY", white)]).contains("white space"), "{white:?}");
    }
    refused(&[("API_KEY", "schlüssel-mit-umlaut")]);
    assert_eq!(config(&[("API_KEY", "s3cr3t/+=")]).api_key.unwrap().exposed(), "s3cr3t/+=");
}

proptest! {
    #[test]
    fn no_input_panics_and_no_secret_gets_out(
        values in prop::collection::vec(("[ -~]{0,40}|\\PC{0,20}", 0..SETTINGS.len()), 0..8),
        key in "[!-~]{4,6}[0-9a-f]{16}",
        space in "|[ \t]",
    ) {
        let key = format!("{key}{space}{key}");
        let mut environment: Vec<(&str, &str)> =
            values.iter().map(|(value, index)| (SETTINGS[*index].name, value.as_str())).collect();
        environment.retain(|(name, _)| *name != "API_KEY");
        environment.push(("API_KEY", &key));
        let all = match load(&environment) {
            Ok(loaded) => format!("{loaded:?}{}", acefleet::config::show::values(&loaded.shown)),
            Err(errors) => format!("{errors}{errors:?}"),
        };
        prop_assert!(!all.contains(&key), "{all}");
    }
}

#[test]
fn spans_have_units_and_places_are_whole() {
    let plan = |name, value| config(&[("ACEFLEET_BACKUP_TO", "/b"), (name, value)]).backups.unwrap();
    for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7_200), ("7d", 604_800)] {
        assert_eq!(plan("ACEFLEET_BACKUP_EVERY", text).every, Duration::from_secs(seconds), "{text}");
    }
    let plain = plan("ACEFLEET_LOG", "info");
    assert_eq!((plain.every, plain.keep), (Duration::from_secs(300), 48));
    assert_eq!(plain.keep_for, Duration::from_secs(14 * 86_400));
    assert!(config(&[("ACEFLEET_LOG", "info")]).backups.is_none());
    for (text, why) in [
        ("5", "no unit"),
        ("5 m", "not a whole number"),
        ("m", "not a whole number"),
        ("1.5h", "not a whole number"),
        ("0s", "shorter than 1s"),
        ("8d", "longer than 7d"),
        ("99999999999999999999d", "above"),
        ("5µ", "no unit"),
    ] {
        let line = refused(&[("ACEFLEET_BACKUP_EVERY", text)]);
        assert!(line.contains(why) && line.contains("a unit s, m, h or d"), "{text}: {line}");
    }
    let to = |place| config(&[("ACEFLEET_BACKUP_TO", place)]).backups.unwrap().to.to_string();
    for (place, expected) in [
        ("s3://bucket", "s3://bucket/"),
        ("s3://a.bucket-1/", "s3://a.bucket-1/"),
        ("s3://bucket/home/acefleet/", "s3://bucket/home/acefleet"),
        ("/var/b", "/var/b"),
    ] {
        assert_eq!(to(place), expected);
    }
    for place in [
        "backups",
        "./b",
        "~/b",
        "s3://",
        "s3://B/x",
        "s3://key:secret@bucket/x",
        "s3://bucket/a//b",
        "s3://bucket/../x",
        "s3://bucket/a b",
        "S3://bucket",
    ] {
        let line = refused(&[("ACEFLEET_BACKUP_TO", place)]);
        assert!(line.contains("/var/backups/acefleet"), "{line}");
    }
    let idle = valid(&[("ACEFLEET_BACKUP_KEEP", "3")]).warnings;
    assert!(idle[0].line.contains("no effect without ACEFLEET_BACKUP_TO"), "{idle:?}");
}
