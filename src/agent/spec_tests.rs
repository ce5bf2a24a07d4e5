use acefleet_registry::engine::{EngineSpec, Health, Phase, Ports};
use acefleet_registry::{NodeId, OpId};

use super::*;
use crate::config::{self, Host, Sources};

fn config(environment: &[(&str, &str)]) -> Config {
    let host = Host { name: Some("alpha".to_owned()), ..Host::default() };
    let mut all = vec![
        ("ACEFLEET_NODE_NAME", "alpha"),
        ("ACEFLEET_ADVERTISE", "10.0.0.1"),
        ("ACEFLEET_DATA_DIR", "/d"),
    ];
    all.extend_from_slice(environment);
    config::resolve(Sources::from_maps(&all, &[], "", host)).unwrap().config
}

fn engine(spec: EngineSpec, ports: Ports) -> Engine {
    Engine {
        address: None,
        id: EngineId(7),
        node: NodeId(1),
        phase: Phase::Reserved,
        spec,
        ports,
        container_name: "acestream-3".to_owned(),
        container_id: None,
        image: None,
        variant: None,
        health: Health::Unknown,
        reserved_at_ms: acefleet_registry::Elapsed::ZERO,
        started_at_ms: None,
        reserved_by: OpId::default(),
        awaited_until_ms: None,
        abandoned: false,
        placement: String::new(),
        vpn: None,
        forwarded_port: None,
        replaces: None,
        failing: None,
        start_failed: None,
        taken_off: None,
        mark: None,
        seats: Vec::new(),
        ending: None,
    }
}

const PORTS: Ports =
    Ports { host_http: 19006, container_http: 19006, container_https: 45006, host_https: None };

fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn made(environment: &[(&str, &str)], engine: &Engine) -> ContainerSpec {
    let config = config(environment);
    container(engine, &config, &config.policy, "c1", None).unwrap()
}

/// Why a node with these settings makes no container for this.
fn refused(environment: &[(&str, &str)], spec: EngineSpec) -> NotAllowed {
    let config = config(environment);
    container(&engine(spec, PORTS), &config, &config.policy, "c1", None).unwrap_err()
}

#[test]
fn a_plain_engine_is_made_as_the_proxy_image_wants_it() {
    let env = [("CONTAINER_LABEL", "orchestrator.managed=acestream"), ("ENGINE_MEMORY_LIMIT", "512m")];
    let made = made(&env, &engine(EngineSpec::acestream(), PORTS));
    assert_eq!(
        made,
        ContainerSpec {
            name: "acestream-3".to_owned(),
            image: "ghcr.io/krinkuto11/acestream-http-proxy:latest".to_owned(),
            variant: Some("krinkuto11-amd64".to_owned()),
            env: pairs(&[
                ("CONF", "--http-port=19006\n--https-port=45006\n--bind-all"),
                ("HTTP_PORT", "19006"),
                ("HTTPS_PORT", "45006"),
                ("BIND_ALL", "true"),
                ("INTERNAL_BUFFERING", "60"),
                ("CACHE_LIMIT", "1"),
            ]),
            labels: pairs(&[
                ("orchestrator.managed", "acestream"),
                ("acefleet.cluster", "c1"),
                ("acefleet.node", "alpha"),
                ("acefleet.engine", "7"),
                ("acestream.http_port", "19006"),
                ("acestream.https_port", "45006"),
                ("host.http_port", "19006"),
                ("acestream.engine_variant", "krinkuto11-amd64"),
            ]),
            command: None,
            ports: BTreeMap::from([("19006/tcp".to_owned(), 19006)]),
            network: None,
            memory: Some(512 << 20),
            pids: Some(2_048),
            keeps: Some([Capability::DacOverride].into()),
            restart: Restart::Never,
        }
    );
}

#[test]
fn a_mapped_https_port_is_published_and_labelled() {
    let ports =
        Ports { host_http: 19006, container_http: 6878, container_https: 45006, host_https: Some(19007) };
    let made = made(&[("DOCKER_NETWORK", "orchestrator")], &engine(EngineSpec::acestream(), ports));
    let published = BTreeMap::from([("6878/tcp".to_owned(), 19006), ("45006/tcp".to_owned(), 19007)]);
    assert_eq!(made.ports, published);
    assert_eq!(made.labels[LABEL_HOST_HTTPS], "19007");
    assert_eq!(made.labels[LABEL_HTTP], "6878");
    assert_eq!(made.network.as_deref(), Some("orchestrator"));
}

#[test]
fn our_words_win_but_a_given_conf_is_taken_verbatim() {
    for conf in ["--http-port=6879\n--bind-all", ""] {
        let spec = EngineSpec {
            env: pairs(&[("CONF", conf), ("BIND_ALL", "false"), ("HTTP_PORT", "22"), ("TZ", "UTC")]),
            labels: pairs(&[("stream_id", "x"), ("ondemand.app", "mine")]),
            ..EngineSpec::acestream()
        };
        let made = made(&[], &engine(spec, PORTS));
        assert_eq!(made.env["CONF"], conf);
        assert_eq!((made.env["BIND_ALL"].as_str(), made.env["HTTP_PORT"].as_str()), ("true", "19006"));
        assert_eq!(made.env["TZ"], "UTC");
        assert_eq!(made.labels["stream_id"], "x");
        assert_eq!(made.labels["ondemand.app"], "myservice");
    }
}

#[test]
fn a_container_gets_no_labels_of_a_caller_that_this_host_does_not_allow() {
    let hostile = pairs(&[
        ("acefleet.node", "other"),
        ("acefleet.vpn_run", "x"),
        ("acestream.http_port", "1"),
        ("acestream.vpn_container", "gluetun"),
        ("host.http_port", "22"),
        ("host.https_port", "22"),
        ("traefik.enable", "true"),
        ("com.docker.compose.project", "other"),
        ("stream_id", "x"),
        ("team", "red"),
    ]);
    let env = [("ACEFLEET_ALLOWED_LABELS", "stream_id,team")];
    let plain = made(&env, &engine(EngineSpec::acestream(), PORTS)).labels;
    let spec = EngineSpec { labels: hostile.clone(), ..EngineSpec::acestream() };
    let expected: BTreeMap<_, _> =
        plain.into_iter().chain(pairs(&[("stream_id", "x"), ("team", "red")])).collect();
    assert_eq!(made(&env, &engine(spec, PORTS)).labels, expected);
    // What is no engine must not look like one: it would be taken for an engine at that port.
    let kind = Kind::Generic { ports: BTreeMap::new() };
    let image = Some("jopsis/acestream:x64".to_owned());
    let made =
        made(&env, &engine(EngineSpec { kind, image, labels: hostile, ..EngineSpec::acestream() }, PORTS));
    let ours = ["acefleet.cluster", "acefleet.engine", "acefleet.node", "ondemand.app", "stream_id", "team"];
    assert_eq!(made.labels.keys().collect::<Vec<_>>(), ours);
    assert_eq!(made.labels["acefleet.node"], "alpha");
}

#[test]
fn no_caller_chooses_network_volumes_or_arguments() {
    let env =
        pairs(&[("ACESTREAM_ARGS", "--http-port 22"), ("DOCKER_NETWORK", "host"), ("HTTPS_PORT", "22")]);
    let spec = EngineSpec { env, ..EngineSpec::acestream() };
    for variant in ["krinkuto11-amd64", "jopsis-amd64", "jopsis-arm32", "jopsis-arm64"] {
        let settings = [("ENGINE_VARIANT", variant), ("DOCKER_NETWORK", "engines")];
        let plain = made(&settings, &engine(EngineSpec::acestream(), PORTS));
        let asked = made(&settings, &engine(spec.clone(), PORTS));
        let shape = |made: &ContainerSpec| ContainerSpec { env: BTreeMap::new(), ..made.clone() };
        assert_eq!(shape(&asked), shape(&plain), "{variant}");
        for ours in plain.env.keys() {
            assert_eq!(asked.env[ours], plain.env[ours], "{variant} {ours}");
        }
    }
}

#[test]
fn each_variant_gets_its_ports_in_its_own_way() {
    let amd = made(&[("ENGINE_VARIANT", "jopsis-amd64")], &engine(EngineSpec::acestream(), PORTS));
    assert_eq!(amd.image, "jopsis/acestream:x64");
    let args = &amd.env["ACESTREAM_ARGS"];
    assert!(args.starts_with("--client-console --bind-all "), "{args}");
    assert!(args.ends_with(" --http-port 19006 --https-port 45006"), "{args}");
    assert_eq!(amd.env.get("CONF"), None);
    assert_eq!(amd.labels[LABEL_VARIANT], "jopsis-amd64");
    for (variant, image) in [
        ("jopsis-arm32", "jopsis/acestream:arm32-v3.2.13"),
        ("jopsis-arm64", "jopsis/acestream:arm64-v3.2.13"),
    ] {
        let arm = made(&[("ENGINE_VARIANT", variant)], &engine(EngineSpec::acestream(), PORTS));
        assert_eq!(arm.image, image);
        let command = arm.command.unwrap();
        assert_eq!(command[..3], ["python", "main.py", "--bind-all"]);
        assert_eq!(command[command.len() - 4..], ["--http-port", "19006", "--https-port", "45006"]);
        assert!(arm.env.is_empty());
    }
}

fn image(name: &str) -> EngineSpec {
    EngineSpec { image: Some(name.to_owned()), ..EngineSpec::acestream() }
}

#[test]
fn no_container_is_made_of_an_image_that_this_host_does_not_allow() {
    let generic = |name: &str| EngineSpec { kind: Kind::Generic { ports: BTreeMap::new() }, ..image(name) };
    for name in ["nginx", "evil.example/jopsis/acestream:x64", "jopsis/acestream-evil:x64", "a/../b", "cafe"]
    {
        for spec in [image(name), generic(name)] {
            let fault = refused(&[], spec);
            assert_eq!(
                (fault.code(), fault.place(), fault.given()),
                ("image_not_allowed", vec!["image"], name.to_owned())
            );
        }
    }
    let fault = refused(&[("ACEFLEET_ALLOWED_IMAGES", "jopsis/acestream:x64")], image("nginx:1"));
    assert_eq!(fault.setting(), Some("ACEFLEET_ALLOWED_IMAGES"));
    assert!(fault.to_string().contains("nginx:1") && fault.to_string().contains("ACEFLEET_ALLOWED_IMAGES"));
    // Those of all variants, whichever this host runs, and the configured one, whatever it is.
    for name in ["ghcr.io/krinkuto11/acestream-http-proxy", "docker.io/jopsis/acestream:arm64-v3.2.14"] {
        assert_eq!(made(&[], &engine(image(name), PORTS)).image, name);
    }
    let own = [("TARGET_IMAGE", "cafe"), ("ACEFLEET_ALLOWED_IMAGES", "jopsis/acestream:x64")];
    assert_eq!(made(&own, &engine(image("cafe"), PORTS)).image, "cafe");
}

#[test]
fn a_target_image_is_used_exactly_and_a_callers_image_before_it() {
    let env = [("TARGET_IMAGE", "acefleet/engine-sim:dev")];
    let target = made(&env, &engine(EngineSpec::acestream(), PORTS));
    assert_eq!(target.image, "acefleet/engine-sim:dev");
    assert_eq!(target.env["HTTP_PORT"], "19006");
    let env = [env[0], ("ACEFLEET_ALLOWED_IMAGES", "mine:*")];
    assert_eq!(made(&env, &engine(image("mine:1"), PORTS)).image, "mine:1");
}

#[test]
fn engines_run_with_as_little_as_their_image_needs() {
    let keeps = |settings: &[(&str, &str)], name: Option<&str>| {
        let spec = EngineSpec { image: name.map(str::to_owned), ..EngineSpec::acestream() };
        made(settings, &engine(spec, PORTS)).keeps
    };
    let known: Option<BTreeSet<Capability>> = Some([Capability::DacOverride].into());
    for variant in ["krinkuto11-amd64", "jopsis-amd64", "jopsis-arm32", "jopsis-arm64"] {
        let made = made(&[("ENGINE_VARIANT", variant)], &engine(EngineSpec::acestream(), PORTS));
        assert_eq!((&made.keeps, made.pids, made.memory), (&known, Some(2_048), Some(2 << 30)), "{variant}");
    }
    let target = ("TARGET_IMAGE", "ghcr.io/krinkuto11/acestream-http-proxy:v2");
    assert_eq!(keeps(&[target], None), known, "another version of a known image");
    let others = keeps(&[("TARGET_IMAGE", "own/engine:1")], None).unwrap();
    assert!(others.contains(&Capability::Setuid) && !others.contains(&Capability::NetRaw), "{others:?}");
    assert_eq!(keeps(&[("ACEFLEET_ALLOWED_IMAGES", "other:1")], Some("other:1")), Some(others));
    assert_eq!(keeps(&[("ACEFLEET_ENGINE_CAPABILITIES", "none")], None), Some(BTreeSet::new()));
    assert_eq!(keeps(&[("ACEFLEET_ENGINE_HARDENED", "false")], None), None);
    let limits = [("ACEFLEET_ENGINE_PIDS", "0"), ("ENGINE_MEMORY_LIMIT", "0")];
    let made = made(&limits, &engine(EngineSpec::acestream(), PORTS));
    assert_eq!((made.pids, made.memory), (None, None));
}

#[test]
fn a_generic_container_is_left_to_docker_after_its_start() {
    let spec = EngineSpec {
        kind: Kind::Generic { ports: BTreeMap::from([("40001/tcp".to_owned(), 19001)]) },
        image: Some("nginx:1".to_owned()),
        env: pairs(&[("A", "b")]),
        labels: pairs(&[("mine", "yes")]),
        host_port: None,
        name_prefix: "svc".to_owned(),
    };
    let allowed = [("ACEFLEET_ALLOWED_IMAGES", "nginx:1"), ("ACEFLEET_ALLOWED_LABELS", "mine")];
    let made = made(&allowed, &engine(spec, Ports::default()));
    assert_eq!(made.restart, Restart::UnlessStopped);
    assert_eq!((&made.keeps, made.pids, made.memory), (&None, None, None), "nobody knows what it needs");
    assert_eq!(made.ports, BTreeMap::from([("40001/tcp".to_owned(), 19001)]));
    assert_eq!(made.env, pairs(&[("A", "b")]));
    assert_eq!(made.variant, None);
    let labels = [
        ("mine", "yes"),
        ("ondemand.app", "myservice"),
        ("acefleet.cluster", "c1"),
        ("acefleet.node", "alpha"),
        ("acefleet.engine", "7"),
    ];
    assert_eq!(made.labels, pairs(&labels));
}

#[test]
fn a_container_names_its_engine() {
    assert_eq!(engine_of(&pairs(&[(LABEL_ENGINE, "12")])), Some(EngineId(12)));
    for bad in ["", "-1", "x"] {
        assert_eq!(engine_of(&pairs(&[(LABEL_ENGINE, bad)])), None);
    }
}

#[test]
fn engines_behind_a_vpn_share_its_network_and_publish_nothing() {
    let network = Network {
        container_id: "f".repeat(64),
        instance: "ffffffffffff@2026-01-01T00:00:00Z".to_owned(),
        addresses: vec![],
    };
    for (environment, forwarded) in [
        (&[][..], Some(51_413)),
        (&[], None),
        (&[("ENGINE_VARIANT", "jopsis-amd64")], Some(51_413)),
        (&[("ENGINE_VARIANT", "jopsis-arm64")], Some(51_413)),
    ] {
        let config = config(environment);
        let mut spec = EngineSpec::acestream();
        spec.env.insert("P2P_PORT".to_owned(), "1".to_owned());
        let vpn = Some("gluetun".to_owned());
        let engine = Engine { vpn, forwarded_port: forwarded, ..engine(spec, PORTS) };
        let made = container(&engine, &config, &config.policy, "c1", Some(&network)).unwrap();
        assert_eq!(made.network, Some(format!("container:{}", "f".repeat(64))));
        assert!(made.ports.is_empty(), "{:?}", made.ports);
        assert_eq!(made.labels[LABEL_VPN], "gluetun");
        assert_eq!(made.labels[LABEL_VPN_RUN], network.instance);
        let word = forwarded.map(|_| "true");
        assert_eq!(made.labels.get(LABEL_FORWARDED).map(String::as_str), word);
        let given = [
            made.env.get("P2P_PORT").cloned(),
            made.env.get("ACESTREAM_ARGS").and_then(|args| Some(args.rsplit_once("--port ")?.1.to_owned())),
            made.command.and_then(|command| {
                let at = command.iter().position(|word| word == "--port")?;
                command.get(at + 1).cloned()
            }),
        ];
        let given: Vec<String> = given.into_iter().flatten().filter(|port| port != "1").collect();
        assert_eq!(given, forwarded.map(|port| port.to_string()).into_iter().collect::<Vec<_>>());
    }
}
