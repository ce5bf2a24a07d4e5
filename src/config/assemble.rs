//! Reads every setting of the table into [`Config`] and computes the defaults that depend on the host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use acefleet_registry::settings::Name;
use acefleet_registry::{Policy, Role};
use tracing_subscriber::EnvFilter;

use acefleet_raft::Plain;

use super::parse::{self, Reason};
use super::reader::Reader;
use super::report::{Findings, Shown};
use super::sources::Sources;
use super::table::SETTINGS;
use super::values::{BackupPlan, Config, LogFormat, ProxyUsers, Reads, Secret, TlsFiles, TlsPlain, Variant};
use super::{capability, check, docker, vpn};

/// The configuration unless a value without a default is missing, all settings for `config show`, and the findings.
pub fn assemble(sources: Sources) -> (Option<Config>, Vec<Shown>, Findings) {
    let mut reader = Reader::new(sources);
    let config = read(&mut reader);
    if let Some(config) = &config {
        check::check(config, &mut reader);
    }
    let shown = SETTINGS.iter().filter_map(|setting| reader.shown.remove(setting.name)).collect();
    (config, shown, reader.findings)
}

fn read(r: &mut Reader) -> Option<Config> {
    let data_dir = data_dir(r);
    let node_name = node_name(r, data_dir.as_deref());
    let http_bind = SocketAddr::new(r.address("ACEFLEET_HTTP_BIND"), r.port("APP_PORT"));
    let cluster_bind = r.listener("ACEFLEET_CLUSTER_BIND");
    let peers = r.optional_text("ACEFLEET_PEERS", parse::peers).unwrap_or_default();
    let advertise_host = advertise_host(r, node_name.as_deref(), &peers);
    let policy = policy(r);
    let vpn = vpn::read(r);
    let own_capacity = r.optional_count("ACEFLEET_CAPACITY");
    let docker_host = r.optional_text("DOCKER_HOST", docker::daemon);
    let config = Config {
        node_name: node_name.clone().unwrap_or_default(),
        data_dir: data_dir.clone().unwrap_or_default(),
        http_bind,
        cluster_bind,
        advertise_host,
        relay: r.flag("ACEFLEET_RELAY"),
        relay_bind: r.addresses("ACEFLEET_RELAY_BIND"),
        relay_drain: r.seconds("ACEFLEET_RELAY_DRAIN_S"),
        peers,
        join: r.optional_text("ACEFLEET_JOIN", parse::members).unwrap_or_default(),
        join_token: r.optional_text("ACEFLEET_JOIN_TOKEN", parse::join_token),
        cluster_secret: r.optional_text("ACEFLEET_CLUSTER_SECRET", parse::cluster_secret),
        cluster_secret_before: r.optional_text("ACEFLEET_CLUSTER_SECRET_BEFORE", parse::cluster_secret),
        cluster_plain: if r.flag("ACEFLEET_CLUSTER_PLAIN") { Plain::Accepted } else { Plain::Refused },
        outbox_max: r.count("ACEFLEET_OUTBOX_MAX"),
        own_capacity,
        log_filter: r.text("ACEFLEET_LOG", log_filter),
        log_format: if r.word("ACEFLEET_LOG_FORMAT") == 1 { LogFormat::Json } else { LogFormat::Text },
        timing: acefleet_raft::Timing {
            heartbeat_ms: r.count("ACEFLEET_HEARTBEAT_MS"),
            election_min_ms: r.count("ACEFLEET_ELECTION_MIN_MS"),
            election_max_ms: r.count("ACEFLEET_ELECTION_MAX_MS"),
        },
        api_key: r.key("API_KEY").map(Secret::new),
        trusted_proxies: r.optional_text("ACEFLEET_TRUSTED_PROXIES", parse::networks).unwrap_or_default(),
        rate_factor: r.small_count("ACEFLEET_RATE_FACTOR"),
        foresee: r.flag("ACEFLEET_FORESEE"),
        open: r.flag("ACEFLEET_OPEN"),
        reads: if r.word("ACEFLEET_READS") == 1 { Reads::Key } else { Reads::Open },
        allowed_hosts: r.optional_text("ACEFLEET_ALLOWED_HOSTS", parse::hosts).unwrap_or_default(),
        users: users(r),
        tls: tls(r),
        tls_plain: if r.word("ACEFLEET_TLS_PLAIN") == 1 { TlsPlain::Serve } else { TlsPlain::Refuse },
        docker_host: docker_host.clone(),
        docker_certs: docker_certs(r, docker_host.as_deref()),
        docker_network: r.optional_text("DOCKER_NETWORK", docker::network),
        vpn,
        target_image: r.optional_text("TARGET_IMAGE", docker::image),
        variant: variant(r),
        arm32_version: r.text("ENGINE_ARM32_VERSION", docker::tag),
        arm64_version: r.text("ENGINE_ARM64_VERSION", docker::tag),
        allowed_images: r.list("ACEFLEET_ALLOWED_IMAGES", docker::images),
        allowed_labels: r.list("ACEFLEET_ALLOWED_LABELS", docker::labels),
        hardened: r.flag("ACEFLEET_ENGINE_HARDENED"),
        capabilities: r.optional_text("ACEFLEET_ENGINE_CAPABILITIES", capability::capabilities),
        pids_limit: Some(r.small_count("ACEFLEET_ENGINE_PIDS")).filter(|limit| *limit != 0),
        memory_limit: r.memory("ENGINE_MEMORY_LIMIT"),
        policy,
        given: Name::ALL.into_iter().filter(|name| r.is_set(name.as_str())).collect(),
        collect_interval: r.seconds("COLLECT_INTERVAL_S"),
        silent_after: std::time::Duration::from_secs(60),
        use_after: std::time::Duration::from_secs(10),
        unviewed_after: std::time::Duration::from_secs(30),
        stats_history_max: r.small_count("STATS_HISTORY_MAX") as usize,
        monitor_interval: r.seconds("MONITOR_INTERVAL_S"),
        health_interval: r.seconds("HEALTH_CHECK_INTERVAL_S"),
        health_failure_threshold: r.small_count("HEALTH_FAILURE_THRESHOLD"),
        engine_starts_within: r.seconds("HEALTH_UNHEALTHY_GRACE_PERIOD_S"),
        max_concurrent_provisions: r.small_count("MAX_CONCURRENT_PROVISIONS") as usize,
        min_provision_interval: r.seconds("MIN_PROVISION_INTERVAL_S"),
        backups: backups(r),
        debug_mode: r.flag("DEBUG_MODE"),
    };
    (node_name.is_some() && data_dir.is_some()).then_some(config)
}

/// The name of this node. Its first start fixed it in the data directory. A changed host name, as every new container has one, means
/// nothing then, and another name in the settings is a mistake.
fn node_name(r: &mut Reader, data_dir: Option<&Path>) -> Option<String> {
    const NAME: &str = "ACEFLEET_NODE_NAME";
    let given = r.optional_text(NAME, parse::name);
    let recorded =
        data_dir.zip(r.sources.host.recorded).and_then(|(dir, recorded)| Some((dir, recorded(dir)?)));
    match (&given, recorded) {
        (Some(name), Some((dir, recorded))) if *name != recorded => {
            let line = format!(
                "{}: the data directory {} belongs to node {recorded}, and names do not change: set that name or none, or use \
                 another directory",
                r.quote(NAME),
                dir.display()
            );
            r.problem(NAME, line);
        }
        (None, Some((_, recorded))) if r.sound(&[NAME]) => {
            r.computed(NAME, recorded.clone());
            return Some(recorded);
        }
        _ => {}
    }
    if given.is_some() || !r.sound(&[NAME]) {
        return given;
    }
    let host = r.sources.host.name.clone().unwrap_or_default();
    match parse::name(&host) {
        Ok(name) => {
            r.computed(NAME, name.clone());
            Some(name)
        }
        Err(reason) => {
            r.problem(
                NAME,
                format!("{NAME} is not set and the host name {host:?} cannot replace it ({reason}): set it"),
            );
            None
        }
    }
}

fn data_dir(r: &mut Reader) -> Option<PathBuf> {
    const NAME: &str = "ACEFLEET_DATA_DIR";
    let given = r.optional_text(NAME, docker::directory);
    if given.is_some() || !r.sound(&[NAME]) {
        return given;
    }
    // The XDG rules say that a relative path counts as not set.
    let absolute = |name: &str| r.sources.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match r.sources.host.root {
        true => Some(PathBuf::from("/var/lib")),
        false => absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share"))),
    };
    match base.map(|base| base.join("acefleet")) {
        Some(path) => {
            r.computed(NAME, path.display().to_string());
            Some(path)
        }
        None => {
            r.problem(
                NAME,
                format!("{NAME} is not set and there is no home directory to choose one in: set it"),
            );
            None
        }
    }
}

/// The certificate of the API and its key, if it has both. What is in the files is seen when they are opened.
fn tls(r: &mut Reader) -> Option<TlsFiles> {
    const NAMES: [&str; 2] = ["ACEFLEET_TLS_CERT", "ACEFLEET_TLS_KEY"];
    let [cert, key] = NAMES.map(|name| r.optional_text(name, docker::file));
    let (set, lacking, why) = match (cert, key) {
        (Some(cert), Some(key)) => return Some(TlsFiles { cert, key }),
        (Some(_), None) => (NAMES[0], NAMES[1], "name the file with its private key"),
        (None, Some(_)) => (NAMES[1], NAMES[0], "name the file with its certificate"),
        (None, None) => return None,
    };
    if r.sound(&NAMES) {
        let line =
            format!("{} is set and {lacking} is not: {why}, or remove both for plain HTTP", r.quote(set));
        r.problem(lacking, line);
    }
    None
}

/// The directory with certificates, if the connection to the daemon uses TLS.
fn docker_certs(r: &mut Reader, host: Option<&str>) -> Option<PathBuf> {
    const PATH: &str = "DOCKER_CERT_PATH";
    const VERIFY: &str = "DOCKER_TLS_VERIFY";
    let verify = r.flag(VERIFY);
    let given = r.optional_text(PATH, docker::directory);
    let tls = match host.and_then(|host| host.split_once("://")).map(|(scheme, _)| scheme) {
        Some("https") => true,
        Some("tcp") => verify,
        _ => {
            if verify && r.sound(&[VERIFY, "DOCKER_HOST"]) {
                let line = format!(
                    "{} has no effect: DOCKER_HOST is no tcp:// or https:// address, so the connection to the daemon does not use TLS",
                    r.quote(VERIFY)
                );
                r.findings.warning(VERIFY, line);
            }
            false
        }
    };
    if !tls {
        if given.is_some() {
            let line = format!(
                "{} has no effect without TLS: use DOCKER_TLS_VERIFY=true with tcp://, or https://",
                r.quote(PATH)
            );
            r.findings.warning(PATH, line);
        }
        return None;
    }
    if given.is_some() || !r.sound(&[PATH]) {
        return given;
    }
    match r.sources.variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute()) {
        Some(home) => {
            let path = home.join(".docker");
            r.computed(PATH, path.display().to_string());
            Some(path)
        }
        None => {
            r.problem(
                PATH,
                format!("{PATH} is not set and there is no home directory to look in: name the directory with ca.pem"),
            );
            None
        }
    }
}

fn advertise_host(r: &mut Reader, node: Option<&str>, peers: &[(String, String)]) -> String {
    const NAME: &str = "ACEFLEET_ADVERTISE";
    if let Some(given) = r.optional_text(NAME, parse::host) {
        return given;
    }
    let own = peers.iter().find(|(name, _)| Some(name.as_str()) == node);
    let own = own.and_then(|(_, target)| parse::split(target)).map(|(host, _)| host.to_owned());
    let host = own
        .or_else(|| r.sources.host.address.map(|address| address.to_string()))
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    r.computed(NAME, host.clone());
    host
}

fn backups(r: &mut Reader) -> Option<BackupPlan> {
    const TO: &str = "ACEFLEET_BACKUP_TO";
    let to = r.optional_text(TO, parse::backup_place);
    let (every, keep_for) = (r.span("ACEFLEET_BACKUP_EVERY"), r.span("ACEFLEET_BACKUP_KEEP_FOR"));
    let keep = r.small_count("ACEFLEET_BACKUP_KEEP") as usize;
    for name in ["ACEFLEET_BACKUP_EVERY", "ACEFLEET_BACKUP_KEEP", "ACEFLEET_BACKUP_KEEP_FOR"] {
        if to.is_none() && r.is_set(name) && r.sound(&[name, TO]) {
            let line = format!("{} has no effect without {TO}", r.quote(name));
            r.findings.warning(name, line);
        }
    }
    to.map(|to| BackupPlan { to, every, keep, keep_for })
}

fn users(r: &mut Reader) -> Option<ProxyUsers> {
    const HEADER: &str = "ACEFLEET_AUTH_HEADER";
    const ROLE: &str = "ACEFLEET_AUTH_ROLE";
    let header = r.optional_text(HEADER, parse::user_header);
    // In the order of [`super::settings::USER_ROLES`].
    let role = match r.word(ROLE) {
        1 => Role::Operator,
        2 => Role::Admin,
        _ => Role::Viewer,
    };
    if header.is_none() && r.is_set(ROLE) && r.sound(&[HEADER, ROLE]) {
        let line = format!("{} has no effect without {HEADER}", r.quote(ROLE));
        r.findings.warning(ROLE, line);
    }
    header.map(|header| ProxyUsers { header, role })
}

fn policy(r: &mut Reader) -> Policy {
    let mut policy = Policy::default();
    for name in Name::ALL {
        let value = r.shared(name);
        // A parser that gives a setting a value of another form is a mistake in the program.
        if let Err(error) = policy.set(name, &value) {
            r.problem(name.as_str(), error.to_string());
        }
    }
    policy
}

/// In the order of [`super::settings::VARIANTS`].
fn variant(r: &mut Reader) -> Variant {
    match r.word("ENGINE_VARIANT") {
        1 => Variant::JopsisAmd64,
        2 => Variant::JopsisArm32,
        3 => Variant::JopsisArm64,
        _ => Variant::Krinkuto11Amd64,
    }
}

fn log_filter(text: &str) -> Result<String, Reason> {
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
    // The filter takes a single unknown word for the name of a module, and would log nothing at all.
    let word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if word
        && !text.starts_with("acefleet")
        && text.parse::<tracing_subscriber::filter::LevelFilter>().is_err()
    {
        return Err("there is no such level".into());
    }
    Ok(text.to_owned())
}
