//! Every setting acts, or is named with what to use instead.

use acefleet::config::table::{RETIRED, SETTINGS};

use super::{load, valid};

/// Settings of the orchestrator that this program takes over, of all its versions, and of the habits of container images.
const OLD: &[&str] = &[
    "APP_PORT",
    "DOCKER_NETWORK",
    "TARGET_IMAGE",
    "MIN_REPLICAS",
    "MAX_REPLICAS",
    "CONTAINER_LABEL",
    "STARTUP_TIMEOUT_S",
    "IDLE_TTL_S",
    "COLLECT_INTERVAL_S",
    "STATS_HISTORY_MAX",
    "MONITOR_INTERVAL_S",
    "ENGINE_GRACE_PERIOD_S",
    "AUTOSCALE_INTERVAL_S",
    "HEALTH_CHECK_INTERVAL_S",
    "HEALTH_FAILURE_THRESHOLD",
    "HEALTH_UNHEALTHY_GRACE_PERIOD_S",
    "HEALTH_REPLACEMENT_COOLDOWN_S",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
    "CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S",
    "CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD",
    "CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S",
    "GLUETUN_CONTAINER_NAME",
    "GLUETUN_API_PORT",
    "GLUETUN_HEALTH_CHECK_INTERVAL_S",
    "GLUETUN_PORT_CACHE_TTL_S",
    "VPN_RESTART_ENGINES_ON_RECONNECT",
    "MAX_ACTIVE_REPLICAS",
    "MAX_CONCURRENT_PROVISIONS",
    "MIN_PROVISION_INTERVAL_S",
    "PORT_RANGE_HOST",
    "ACE_HTTP_RANGE",
    "ACE_HTTPS_RANGE",
    "ACE_MAP_HTTPS",
    "API_KEY",
    "DB_URL",
    "AUTO_DELETE",
    "DOCKER_HOST",
    "MIN_FREE_REPLICAS",
    "ENGINE_VARIANT",
    "DEBUG_MODE",
    "DEBUG_LOG_DIR",
    "ENGINE_ARM32_VERSION",
    "ENGINE_ARM64_VERSION",
    "VPN_MODE",
    "GLUETUN_CONTAINER_NAME_2",
    "GLUETUN_PORT_RANGE_1",
    "GLUETUN_PORT_RANGE_2",
    "VPN_UNHEALTHY_RESTART_TIMEOUT_S",
    "ENGINE_MEMORY_LIMIT",
    "ACEXY_ENABLED",
    "ACEXY_URL",
    "ACEXY_SYNC_INTERVAL_S",
    "INACTIVE_LIVEPOS_THRESHOLD_S",
    "INACTIVE_PREBUF_THRESHOLD_S",
    "INACTIVE_ZERO_SPEED_THRESHOLD_S",
    "INACTIVE_LOW_SPEED_THRESHOLD_KB",
    "INACTIVE_LOW_SPEED_THRESHOLD_S",
    "MAX_STREAMS_PER_ENGINE",
    "STREAM_LOOP_DETECTION_ENABLED",
    "STREAM_LOOP_DETECTION_THRESHOLD_S",
    "STREAM_LOOP_CHECK_INTERVAL_S",
    "STREAM_LOOP_RETENTION_MINUTES",
    "M3U_TIMEOUT",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_DB",
    "VPN_PROVIDER",
    "VPN_PROTOCOL",
    "PREFERRED_ENGINES_PER_VPN",
    "VPN_CONTROLLER_INTERVAL_S",
    "VPN_NOTREADY_HEAL_GRACE_S",
    "VPN_DRAINING_HARD_TIMEOUT_S",
    "LOG_LEVEL",
    "READ_API_KEY",
    "API_REQUEST_TIMEOUT_S",
    "API_LONG_OPERATION_TIMEOUT_S",
    "PROVISION_TIMEOUT_S",
    "PROVISION_STARTUP_GRACE_S",
    "MAX_RETRIES",
    "RETRY_BACKOFF_S",
    "CIRCUIT_BREAKER_THRESHOLD",
    "CIRCUIT_BREAKER_TIMEOUT_S",
    "HEALTH_CHECK_TIMEOUT_S",
    "ACEXY_ORCH_TIMEOUT",
    "ACEXY_ENGINE_CACHE_TTL_S",
    "PUID",
    "PGID",
    "UMASK",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS",
    "DOCKER_CONTEXT",
    "DOCKER_API_VERSION",
];

/// Another value than the example, where that is the default.
fn value(name: &str, example: &'static str) -> &'static str {
    match name {
        "APP_PORT" | "GLUETUN_API_PORT" => "8100",
        "ACEFLEET_HEARTBEAT_MS" => "50",
        "ACEFLEET_ELECTION_MIN_MS" => "300",
        "ACEFLEET_NODE_NAME" => "another",
        "API_KEY" | "GLUETUN_API_KEY" | "GLUETUN_API_USERNAME" | "GLUETUN_API_PASSWORD" => {
            "k3y-0123456789-abcdef"
        }
        "ACEFLEET_JOIN_TOKEN" => {
            "acefleet-join-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        }
        "ACEFLEET_CLUSTER_SECRET" | "ACEFLEET_CLUSTER_SECRET_BEFORE" => "0123456789abcdef0123456789abcdef",
        "PORT_RANGE_HOST" => "20000-20999",
        "GLUETUN_PORT_RANGE_1" => "19100-19119",
        "ACE_HTTPS_RANGE" => "46000-46999",
        "ENGINE_GRACE_PERIOD_S" => "5",
        _ => match example {
            "5" | "6" | "10" | "20" | "25" | "30" | "60" | "180" | "300" | "600" | "720" | "3" => "7",
            example => example,
        },
    }
}

/// Settings without which it has nothing to act on.
fn beside(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "ACEFLEET_PEERS" => &[("ACEFLEET_NODE_NAME", "node-a")],
        "ACEFLEET_CLUSTER_SECRET_BEFORE" => {
            &[("ACEFLEET_CLUSTER_SECRET", "fedcba9876543210fedcba9876543210")]
        }
        "VPN_MODE" => &[
            ("GLUETUN_CONTAINER_NAME", "gluetun"),
            ("GLUETUN_CONTAINER_NAME_2", "gluetun-2"),
            ("GLUETUN_PORT_RANGE_1", "19000-19019"),
            ("GLUETUN_PORT_RANGE_2", "19020-19039"),
        ],
        "GLUETUN_CONTAINER_NAME_2" => &[
            ("GLUETUN_CONTAINER_NAME", "gluetun"),
            ("VPN_MODE", "redundant"),
            ("GLUETUN_PORT_RANGE_1", "19000-19019"),
            ("GLUETUN_PORT_RANGE_2", "19020-19039"),
        ],
        "GLUETUN_PORT_RANGE_2" => &[
            ("GLUETUN_CONTAINER_NAME", "gluetun"),
            ("GLUETUN_CONTAINER_NAME_2", "gluetun-2"),
            ("VPN_MODE", "redundant"),
            ("GLUETUN_PORT_RANGE_1", "19000-19019"),
        ],
        "GLUETUN_API_USERNAME" => {
            &[("GLUETUN_CONTAINER_NAME", "gluetun"), ("GLUETUN_API_PASSWORD", "a-password-of-its-own")]
        }
        "GLUETUN_API_PASSWORD" => {
            &[("GLUETUN_CONTAINER_NAME", "gluetun"), ("GLUETUN_API_USERNAME", "somebody")]
        }
        "GLUETUN_CONTAINER_NAME" => &[],
        "ACEFLEET_BACKUP_EVERY" | "ACEFLEET_BACKUP_KEEP" | "ACEFLEET_BACKUP_KEEP_FOR" => {
            &[("ACEFLEET_BACKUP_TO", "/var/backups/acefleet")]
        }
        "ACEFLEET_TLS_CERT" => &[("ACEFLEET_TLS_KEY", "/tls/key.pem")],
        "ACEFLEET_TLS_KEY" => &[("ACEFLEET_TLS_CERT", "/tls/cert.pem")],
        "ACEFLEET_TLS_PLAIN" => {
            &[("ACEFLEET_TLS_CERT", "/tls/cert.pem"), ("ACEFLEET_TLS_KEY", "/tls/key.pem")]
        }
        "ACEFLEET_AUTH_HEADER" => &[("ACEFLEET_TRUSTED_PROXIES", "10.0.0.5")],
        "ACEFLEET_AUTH_ROLE" => {
            &[("ACEFLEET_TRUSTED_PROXIES", "10.0.0.5"), ("ACEFLEET_AUTH_HEADER", "Remote-User")]
        }
        "DOCKER_TLS_VERIFY" => {
            &[("DOCKER_HOST", "tcp://docker.example:2376"), ("DOCKER_CERT_PATH", "/certs")]
        }
        "DOCKER_CERT_PATH" => &[("DOCKER_HOST", "https://docker.example:2376"), ("HOME", "/root")],
        name if name.starts_with("GLUETUN_")
            || name == "MAX_ACTIVE_REPLICAS"
            || name == "VPN_RESTART_ENGINES_ON_RECONNECT"
            || name == "VPN_UNHEALTHY_RESTART_TIMEOUT_S" =>
        {
            &[("GLUETUN_CONTAINER_NAME", "gluetun")]
        }
        _ => &[],
    }
}

/// What a node with these settings would be, or the problems with them.
fn outcome(environment: &[(&str, &str)]) -> String {
    match load(environment) {
        Ok(loaded) => format!("{:?}", loaded.config),
        Err(errors) => format!("refused: {errors}"),
    }
}

#[test]
fn every_setting_of_the_table_changes_what_the_node_is() {
    for setting in SETTINGS {
        let beside = beside(setting.name);
        let with = [beside, &[(setting.name, value(setting.name, setting.example))]].concat();
        let changed = outcome(&with);
        assert!(!changed.starts_with("refused"), "{with:?}: {changed}");
        assert_ne!(changed, outcome(beside), "{with:?} does nothing");
    }
}

#[test]
fn every_old_setting_acts_or_is_named() {
    for name in OLD {
        let known = SETTINGS.iter().any(|setting| setting.name == *name);
        let retired = RETIRED.iter().find(|retired| retired.name == *name);
        assert!(known != retired.is_some(), "{name} is neither or both");
        let Some(retired) = retired else { continue };
        let environment = [(*name, "1")];
        let lines: Vec<String> = match load(&environment) {
            Ok(loaded) => loaded.warnings.into_iter().map(|warning| warning.line).collect(),
            Err(errors) => errors.problems.into_iter().map(|problem| problem.line).collect(),
        };
        let line =
            lines.iter().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {lines:?}"));
        assert!(line.contains(retired.instead), "{line}");
    }
}

#[test]
fn what_retired_settings_are_sent_to_is_a_setting() {
    for retired in RETIRED {
        for word in retired.instead.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '*')) {
            let looks_like_one =
                word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            let known = SETTINGS.iter().any(|setting| setting.name == word);
            assert!(!looks_like_one || known, "{}: {word} is no setting", retired.name);
        }
    }
}

#[test]
fn quotes_that_belong_to_a_value_are_refused_by_name() {
    for setting in SETTINGS {
        for quote in ['"', '\''] {
            let quoted = format!("{quote}{}{quote}", value(setting.name, setting.example));
            let errors = load(&[(setting.name, quoted.as_str())]).unwrap_err();
            let line = &errors.problems[0].line;
            assert!(line.starts_with(setting.name) && line.contains("quotes"), "{line}");
            assert!(line.contains(&format!("- {}=value", setting.name)), "{line}");
            assert!(!setting.secret || !line.contains("k3y"), "{line}");
        }
    }
    let errors = load(&[("API_KEY_FILE", "\"/run/secrets/key\"")]).unwrap_err();
    assert!(errors.problems[0].line.starts_with("API_KEY_FILE (environment): the quotes"), "{errors}");
    // Inside a value they are its own business.
    valid(&[("API_KEY", "k3y-0123456789-\"abc")]);
}

#[test]
fn docker_over_tls_needs_certificates_and_an_address() {
    let tls = |environment: &[(&str, &str)]| {
        valid(environment).config.docker_certs.map(|path| path.display().to_string())
    };
    let tcp = ("DOCKER_HOST", "tcp://docker.example:2376");
    let certs = ("DOCKER_CERT_PATH", "/certs");
    assert_eq!(tls(&[tcp, ("DOCKER_TLS_VERIFY", "1"), certs]).as_deref(), Some("/certs"));
    assert_eq!(
        tls(&[tcp, ("DOCKER_TLS_VERIFY", "1"), ("HOME", "/home/x")]).as_deref(),
        Some("/home/x/.docker")
    );
    assert_eq!(tls(&[("DOCKER_HOST", "https://docker.example:2376"), certs]).as_deref(), Some("/certs"));
    assert_eq!(tls(&[tcp, ("DOCKER_TLS_VERIFY", "0"), ("HOME", "/home/x")]), None);
    for idle in [vec![certs], vec![tcp, certs], vec![("DOCKER_TLS_VERIFY", "true")]] {
        let warnings = valid(&idle).warnings;
        let named = warnings
            .iter()
            .any(|warning| warning.line.starts_with("DOCKER_") && warning.line.contains("no effect"));
        assert!(named, "{idle:?}: {warnings:?}");
        assert_eq!(tls(&idle), None);
    }
    let errors = load(&[tcp, ("DOCKER_TLS_VERIFY", "1")]).unwrap_err().to_string();
    assert!(errors.starts_with("DOCKER_CERT_PATH is not set"), "{errors}");
}
