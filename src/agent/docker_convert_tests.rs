use super::*;
use crate::config::Capability;

fn spec(ports: &[(&str, u16)]) -> ContainerSpec {
    ContainerSpec {
        name: "acestream-3".to_owned(),
        image: "acefleet/engine-sim:dev".to_owned(),
        variant: None,
        env: BTreeMap::from([("B".to_owned(), "2".to_owned()), ("A".to_owned(), "1=1".to_owned())]),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        command: None,
        ports: ports.iter().map(|(port, host)| ((*port).to_owned(), *host)).collect(),
        network: Some("net".to_owned()),
        memory: Some(1 << 30),
        pids: Some(2_048),
        keeps: Some([Capability::DacOverride].into()),
        restart: Restart::Never,
    }
}

fn refusal(status_code: u16, message: &str) -> Error {
    Error::DockerResponseServerError { status_code, message: message.to_owned() }
}

#[test]
fn refusals_have_a_meaning() {
    let one = spec(&[("19006/tcp", 19006)]);
    let two = spec(&[("19006/tcp", 19006), ("45006/tcp", 19007)]);
    let bind = "driver failed programming external connectivity on endpoint acestream-3 (c0ffee): ";
    for (spec, status, message, wanted) in [
        (
            &one,
            409,
            r#"Conflict. The container name "/acestream-3" is already in use by container "c0ffee". You have to remove (or rename) that container."#.to_owned(),
            RuntimeError::NameTaken("acestream-3".to_owned()),
        ),
        (&one, 500, format!("{bind}Bind for 0.0.0.0:19006 failed: port is already allocated"), RuntimeError::PortTaken(19006)),
        (
            &one,
            500,
            format!("{bind}Bind for 0.0.0.0:22500 failed: port is already allocated"),
            RuntimeError::Other(format!("Docker refused (500): {bind}Bind for 0.0.0.0:22500 failed: port is already allocated")),
        ),
        (
            &two,
            500,
            format!("{bind}failed to bind host port for 0.0.0.0:19007:172.17.0.2:45006/tcp: address already in use"),
            RuntimeError::PortTaken(19007),
        ),
        (&one, 500, format!("{bind}listen tcp4: address already in use"), RuntimeError::PortTaken(19006)),
        (
            &two,
            500,
            "port is already allocated".to_owned(),
            RuntimeError::Other("Docker refused (500): port is already allocated".to_owned()),
        ),
        // Another call finds out whether the image or the network is missing.
        (
            &one,
            404,
            "No such image: x:1".to_owned(),
            RuntimeError::Other("Docker refused: No such image: x:1".to_owned()),
        ),
        (&one, 404, "no such file".to_owned(), RuntimeError::Other("Docker refused: no such file".to_owned())),
        (&one, 400, "no".to_owned(), RuntimeError::Other("Docker refused (400): no".to_owned())),
    ] {
        assert_eq!(run_error(&refusal(status, &message), spec), wanted, "{message}");
    }
}

#[test]
fn a_port_is_not_found_inside_another() {
    assert!(names_port("bind for 0.0.0.0:1900 failed", 1900));
    assert!(!names_port("bind for 0.0.0.0:19001 failed", 1900));
}

#[test]
fn silence_is_not_a_refusal() {
    assert!(matches!(error(&Error::RequestTimeoutError), RuntimeError::Unavailable(_)));
    let broken = Error::IOError { err: std::io::Error::from(std::io::ErrorKind::ConnectionRefused) };
    assert!(matches!(error(&broken), RuntimeError::Unavailable(_)));
    assert_eq!(error(&refusal(404, "No such container: x")), RuntimeError::NotFound);
    let ends = "can not get logs from container which is dead or marked for removal";
    assert_eq!(error(&refusal(409, ends)), RuntimeError::NotFound);
}

#[test]
fn a_proxy_without_its_daemon_is_no_refusal() {
    let page = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available.\n</body></html>\n";
    let text = "503 Service Unavailable No server is available.";
    assert_eq!(error(&refusal(503, page)), RuntimeError::Unavailable(text.to_owned()));
}

#[test]
fn images_are_split_into_name_and_tag() {
    for (image, name, tag) in [
        ("busybox", "busybox", "latest"),
        ("jopsis/acestream:x64", "jopsis/acestream", "x64"),
        ("registry:5000/a/b", "registry:5000/a/b", "latest"),
        ("registry:5000/a/b:c", "registry:5000/a/b", "c"),
        ("a/b@sha256:00", "a/b", "sha256:00"),
    ] {
        assert_eq!(split_image(image), (name, tag));
    }
}

#[test]
fn a_body_says_what_the_spec_says() {
    let body = create_body(&spec(&[("19006/tcp", 19006)]));
    assert_eq!(body.env, Some(vec!["A=1=1".to_owned(), "B=2".to_owned()]));
    assert_eq!(body.exposed_ports, Some(vec!["19006/tcp".to_owned()]));
    let host = body.host_config.unwrap();
    assert_eq!((host.memory, host.pids_limit), (Some(1 << 30), Some(2_048)));
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges:true".to_owned()]));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.cap_add, Some(vec!["DAC_OVERRIDE".to_owned()]));
    assert_eq!(host.network_mode.as_deref(), Some("net"));
    assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::NO));
    let bindings = host.port_bindings.unwrap();
    assert_eq!(bindings["19006/tcp"].as_ref().unwrap()[0].host_port.as_deref(), Some("19006"));
}

#[test]
fn without_confinement_a_container_gets_what_docker_gives() {
    let plain = ContainerSpec { keeps: None, pids: None, memory: None, ..spec(&[]) };
    let host = create_body(&plain).host_config.unwrap();
    assert_eq!((host.security_opt, host.cap_drop, host.cap_add), (None, None, None));
    assert_eq!((host.memory, host.pids_limit, host.privileged), (None, None, None));
}

#[test]
fn unpublished_ports_are_left_out_of_an_inspection() {
    let answer = serde_json::json!({
        "Id": "9d1f", "Name": "/acestream-7", "Created": "2025-10-02T17:59:40.118273645Z",
        "State": {"Status": "running", "ExitCode": 0, "OOMKilled": false, "Error": ""},
        "Config": {"Image": "i:t", "Labels": {"a": "b"}},
        "NetworkSettings": {"Ports": {"8621/tcp": null, "6878/tcp": [],
            "19006/tcp": [{"HostIp": "0.0.0.0", "HostPort": "19006"}, {"HostIp": "::", "HostPort": "19006"}]}},
    });
    let found = inspection(serde_json::from_value(answer).unwrap()).unwrap();
    assert!(found.is_alive());
    assert_eq!(found.error, None);
    assert_eq!(found.view.name, "acestream-7");
    assert_eq!(found.view.created.as_deref(), Some("2025-10-02T17:59:40.118273645Z"));
    assert_eq!(found.view.ports.keys().collect::<Vec<_>>(), ["19006/tcp"]);
    assert_eq!(found.view.ports["19006/tcp"][1].host_ip, "::");
}

/// What Docker 28 shows of an engine that runs, as far as it says where the engine is reached.
fn shown(mode: &str, ports: &str, networks: &str) -> Inspection {
    let text = format!(
        r#"{{"Id": "5f9d", "Name": "/acestream-1", "State": {{"Status": "running", "Running": true}},
            "HostConfig": {{"NetworkMode": "{mode}"}}, "Config": {{"Image": "engine:1"}},
            "NetworkSettings": {{"Ports": {ports}, "Networks": {networks}}}}}"#
    );
    inspection(serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn an_inspection_says_where_an_engine_is_reached() {
    use crate::agent::address::Reach;

    let at = |address: &str| Reach::At(address.to_owned());
    let everywhere = r#"{"19006/tcp": [{"HostIp": "0.0.0.0", "HostPort": "19006"}, {"HostIp": "::", "HostPort": "19006"}]}"#;
    let loopback = r#"{"19006/tcp": [{"HostIp": "127.0.0.1", "HostPort": "19006"}]}"#;
    let bridge = r#"{"bridge": {"IPAddress": "172.17.0.2"}}"#;
    for (mode, ports, networks, wanted) in [
        ("bridge", everywhere, bridge, Reach::Usual),
        ("default", everywhere, bridge, Reach::Usual),
        ("ace", everywhere, r#"{"ace": {"IPAddress": "172.20.0.2"}}"#, Reach::Usual),
        // A daemon that publishes on one address.
        ("bridge", loopback, bridge, at("127.0.0.1")),
        ("host", "{}", r#"{"host": {"IPAddress": ""}}"#, Reach::Usual),
        ("container:c0ffee", "{}", "{}", Reach::Usual),
        // A macvlan publishes nothing: the container has an address of its own.
        ("lan", r#"{"19006/tcp": null}"#, r#"{"lan": {"IPAddress": "192.168.1.40"}}"#, at("192.168.1.40")),
        ("lan", "{}", r#"{"lan": {"IPAddress": "192.168.1.40"}}"#, at("192.168.1.40")),
        ("none", "{}", r#"{"none": {"IPAddress": ""}}"#, Reach::Nowhere),
    ] {
        assert_eq!(Reach::shown(&shown(mode, ports, networks), 19006), wanted, "{mode} {ports}");
    }
}
