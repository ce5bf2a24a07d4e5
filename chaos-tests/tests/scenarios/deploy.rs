//! The compose files, started for real on Docker engines of their own with images made here: the node's, HAProxy out of this
//! system's, simulators instead of Acexy and engines.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::common::{LATER, SOON, conclude, provision, turn};
use crate::compose::{Compose, KEY, load_images};
use acefleet_chaos::hosts::{BedOptions, Host, TestHosts};
use acefleet_chaos::node::NodeClient;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::Value;

/// What the compose files of one machine publish the API on.
const API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
/// Images are built before, if nobody did, and containers are healthy only after a few checks.
const UP: Duration = Duration::from_secs(120);
/// Two streams that last, and all that goes before and after.
const PLAYED: Duration = Duration::from_secs(240);

/// Players instead of Acexy: one with two streams, and one that comes later.
const PLAYERS: &str = r#"
  acexy:
    restart: "no"
    command: [--streams, "2", --ramp, 3s, --hold, 100s]
  viewer:
    image: acefleet/acexy-sim:dev
    network_mode: host
    environment:
      ACEXY_ORCH_URL: http://127.0.0.1:8000
      ACEXY_ORCH_APIKEY: ${API_KEY}
      ACEXY_MAX_STREAMS_PER_ENGINE: 1
    command: [--streams, "1", --hold, 3s, --content-prefix, viewer-]
"#;

/// Start times of all engines on a host, by container: an engine that was restarted or replaced changes it.
async fn engines_on(host: &Host) -> Result<BTreeMap<String, String>> {
    let mut started = BTreeMap::new();
    for id in host.docker().containers("acefleet.engine").await? {
        let at = host
            .docker()
            .call(&["inspect", "--format", "{{.State.Running}} {{.State.StartedAt}}", &id])
            .await?;
        started.insert(id, at);
    }
    Ok(started)
}

async fn health(host: &Host, container: &str) -> Result<String> {
    host.docker().call(&["inspect", "--format", "{{.State.Health.Status}}", container]).await
}

/// Waits until Docker calls all of these containers healthy, which it asks their own programs.
async fn expect_healthy(host: &Host, compose: &Compose<'_>, services: &[&str]) -> Result<()> {
    for service in services {
        let container = compose.container(service).await?;
        let what = format!("{service} to be healthy");
        let healthy = wait_for(&what, UP, || async {
            let status = health(host, &container).await?;
            ensure!(status == "healthy", "it is {status}");
            Ok(())
        });
        if let Err(error) = healthy.await {
            return Err(error.context(compose.log_end(service).await?));
        }
    }
    Ok(())
}

/// Waits until the node lists this many healthy engines.
async fn expect_healthy_engines(client: &NodeClient, count: usize) -> Result<()> {
    wait_for(&format!("{count} healthy engines"), LATER, || async {
        let engines = client.engines().await?;
        let healthy =
            engines.iter().filter(|engine| engine.health_status.as_deref() == Some("healthy")).count();
        ensure!(healthy == count && engines.len() == count, "{engines:?}");
        Ok(())
    })
    .await
}

/// The name of the node that answers a program on this host at this address.
async fn answering(host: &Host, address: SocketAddr) -> Result<String> {
    let (status, body) = host.get(address, "/livez", Duration::from_secs(3)).await?;
    ensure!(status == 200, "{status} {body}");
    let body: Value = serde_json::from_str(&body)?;
    Ok(body["node"].as_str().context("no name")?.to_owned())
}

/// Asks again and again until `until`: every answer must be 200, on a connection of its own each.
async fn always_answers(client: &NodeClient, until: Instant) -> Result<()> {
    let mut asked = 0;
    while Instant::now() < until {
        for path in ["/engines", "/streams?status=started", "/orchestrator/status"] {
            let answer = client.call(reqwest::Method::GET, path, None).await?;
            ensure!(answer.status == 200, "after {asked} good answers: {answer}");
            asked += 1;
        }
    }
    ensure!(asked > 0, "nothing was asked");
    Ok(())
}

/// `docker-compose.cluster.yml` from nothing; streams through the load balancer while the node that serves them is killed;
/// the whole control plane taken away and started again.
#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_of_one_machine_loses_a_node_while_streams_play() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(1)).await?;
    conclude(bed, cluster_on_one_machine).await
}

async fn cluster_on_one_machine(bed: &TestHosts) -> Result<()> {
    let host = &bed.hosts()[0];
    load_images(host, &["acefleet", "haproxy", "acexy-sim"]).await?;
    let compose = Compose::new(host, "docker-compose.cluster.yml", PLAYERS)?
        .env("MIN_REPLICAS", "2")
        .env("MIN_FREE_REPLICAS", "0")
        .env("AUTO_DELETE", "false");
    let nodes = ["node-a", "node-b", "node-c"];

    compose.run(&["up", "-d", "node-a", "node-b", "node-c", "haproxy"]).await?;
    expect_healthy(host, &compose, &nodes).await?;
    expect_healthy(host, &compose, &["haproxy"]).await?;
    let client = NodeClient::new("haproxy", &format!("http://{}:8000", host.address()), Some(KEY))?;
    expect_healthy_engines(&client, 2).await?;
    for node in nodes {
        expect_unprivileged(host, &compose.container(node).await?).await?;
    }
    // From other machines only the load balancer is reached.
    for port in [8011, 8021] {
        let direct = tokio::net::TcpStream::connect((host.address(), port)).await;
        ensure!(direct.is_err(), "port {port} of a node is open to all");
    }
    let engines = engines_on(host).await?;

    compose.run(&["up", "-d", "acexy"]).await?;
    wait_for("two streams", LATER, || async {
        let count = client.streams("started").await?.len();
        ensure!(count == 2, "{count} run");
        Ok(())
    })
    .await?;
    let serving = answering(host, API).await?;
    let container = compose.container(&serving).await?;
    host.docker().call(&["kill", &container]).await?;
    always_answers(&client, Instant::now() + Duration::from_secs(8)).await?;
    let other = answering(host, API).await?;
    ensure!(other != serving, "{serving} was killed and still answers");
    expect_two_streams(&client).await?;
    ensure!(engines_on(host).await? == engines, "engines changed when {serving} was killed");
    // Both engines are taken: a new viewer needs a third one, made by the nodes that are left.
    compose.run(&["up", "-d", "viewer"]).await?;
    expect_content(host, &compose, "viewer").await?;
    ensure!(!running(host, &container).await?, "{serving} came back by itself: nothing was shown");
    let before = engines;
    let engines = engines_on(host).await?;
    ensure!(engines.len() == 3, "{engines:?}");
    ensure!(
        before.iter().all(|(id, at)| engines.get(id) == Some(at)),
        "engines changed: {before:?} {engines:?}"
    );

    host.docker().call(&["start", &container]).await?;
    expect_healthy(host, &compose, &nodes).await?;
    expect_content(host, &compose, "acexy").await?;
    wait_for("the streams to have ended", SOON, || async {
        let running = client.streams("started").await?;
        ensure!(running.is_empty(), "{running:?}");
        Ok(())
    })
    .await?;
    ensure!(engines_on(host).await? == engines, "engines changed");

    // A provisioning call is a write: it passes the load balancer to a node and from there to the leader.
    provision(&client).await?;
    expect_healthy_engines(&client, 4).await?;
    let engines = engines_on(host).await?;
    compose.run(&["down"]).await?;
    ensure!(engines_on(host).await? == engines, "engines changed when the control plane went down");
    compose.run(&["up", "-d", "node-a", "node-b", "node-c", "haproxy"]).await?;
    expect_healthy_engines(&client, 4).await?;
    ensure!(engines_on(host).await? == engines, "engines changed when the control plane came back");
    compose.run(&["down", "--volumes"]).await.map(drop)
}

/// Waits until a simulated Acexy has ended, content with all that it saw.
async fn expect_content(host: &Host, compose: &Compose<'_>, service: &str) -> Result<()> {
    let container = compose.container(service).await?;
    wait_for(&format!("{service} to be through"), PLAYED, || async {
        ensure!(!running(host, &container).await?, "it still plays");
        Ok(())
    })
    .await?;
    let code = host.docker().call(&["inspect", "--format", "{{.State.ExitCode}}", &container]).await?;
    ensure!(code == "0", "{service} has something to complain of: {}", compose.log_end(service).await?);
    Ok(())
}

async fn running(host: &Host, container: &str) -> Result<bool> {
    let state = host.docker().call(&["inspect", "--format", "{{.State.Running}}", container]).await?;
    Ok(state == "true")
}

async fn expect_two_streams(client: &NodeClient) -> Result<()> {
    let running = client.streams("started").await?;
    ensure!(running.len() == 2, "{running:?}");
    Ok(())
}

/// The process of a container is not root and has no capability.
async fn expect_unprivileged(host: &Host, container: &str) -> Result<()> {
    let pid = host.docker().call(&["inspect", "--format", "{{.State.Pid}}", container]).await?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .with_context(|| format!("no {name}"))
    };
    ensure!(field("Uid:")?.split_whitespace().all(|id| id == "65532"), "uid {}", field("Uid:")?);
    ensure!(field("CapEff:")?.chars().all(|digit| digit == '0'), "capabilities {}", field("CapEff:")?);
    Ok(())
}

/// `deploy/compose.host.yml` on three hosts with Docker engines of their own.
#[tokio::test(flavor = "multi_thread")]
async fn three_hosts_with_one_compose_file_each_are_one_cluster() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(3)).await?;
    conclude(bed, one_file_per_host).await
}

async fn one_file_per_host(bed: &TestHosts) -> Result<()> {
    let hosts = bed.hosts();
    try_join_all(hosts.iter().map(|host| load_images(host, &["acefleet", "acexy-sim"]))).await?;
    let peer = |host: &Host| format!("{}={}:8001", host.name(), host.address());
    let peers = hosts.iter().map(peer).collect::<Vec<_>>().join(",");
    let player = "  acexy:\n    restart: \"no\"\n    command: [--streams, \"1\", --hold, 3s]\n";
    let mut composes = Vec::new();
    for host in hosts {
        let compose = Compose::new(host, "deploy/compose.host.yml", player)?
            .env("ACEFLEET_NODE_NAME", host.name())
            .env("ACEFLEET_ADVERTISE", &host.address().to_string())
            .env("ACEFLEET_PEERS", &peers)
            .env("MIN_REPLICAS", "0")
            .env("MIN_FREE_REPLICAS", "0")
            .env("AUTO_DELETE", "false");
        composes.push(compose);
    }
    for compose in &composes {
        compose.run(&["up", "-d", "acefleet"]).await?;
    }
    let mut clients = Vec::new();
    for (host, compose) in hosts.iter().zip(&composes) {
        expect_healthy(host, compose, &["acefleet"]).await?;
        clients.push(NodeClient::new(host.name(), &format!("http://{}:8000", host.address()), Some(KEY))?);
    }
    wait_for("every node to know that all hosts can start engines", LATER, || async {
        for client in &clients {
            let members = client.cluster().await?.nodes;
            let able = members.iter().filter(|member| member.docker.as_deref() == Some("available")).count();
            ensure!(able == hosts.len(), "{}: {members:?}", client.name());
        }
        Ok(())
    })
    .await?;
    for _ in hosts {
        provision(&clients[0]).await?;
    }
    for client in &clients {
        // Every node lists all engines, and the one on each host was found healthy by that host's node.
        expect_healthy_engines(client, hosts.len()).await?;
        let engines = client.engines().await?;
        for host in hosts {
            let address = host.address().to_string();
            ensure!(
                engines.iter().any(|engine| engine.host == address),
                "none on {}: {engines:?}",
                host.name()
            );
        }
    }
    // One after the other: the simulated Acexy reserves nothing, as the real one does not.
    for (host, compose) in hosts.iter().zip(&composes) {
        compose.run(&["up", "-d", "acexy"]).await?;
        expect_content(host, compose, "acexy").await.with_context(|| format!("on {}", host.name()))?;
    }
    Ok(())
}

/// `deploy/compose.single.yml`.
#[tokio::test(flavor = "multi_thread")]
async fn one_node_and_acexy_on_one_machine() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(1)).await?;
    conclude(bed, one_node).await
}

async fn one_node(bed: &TestHosts) -> Result<()> {
    let host = &bed.hosts()[0];
    load_images(host, &["acefleet", "acexy-sim"]).await?;
    let player = "  acexy:\n    restart: \"no\"\n    command: [--streams, \"2\", --ramp, 2s, --hold, 60s]\n";
    let compose = Compose::new(host, "deploy/compose.single.yml", player)?
        .env("MIN_REPLICAS", "1")
        .env("MIN_FREE_REPLICAS", "0")
        .env("AUTO_DELETE", "false");
    compose.run(&["up", "-d", "acefleet"]).await?;
    let client = NodeClient::new("acefleet", &format!("http://{}:8000", host.address()), Some(KEY))?;
    expect_healthy_engines(&client, 1).await?;
    // Acexy's second stream waits for an engine that is made for it.
    compose.run(&["up", "-d"]).await?;
    wait_for("two streams on two engines", LATER, || async {
        let (engines, streams) = (client.engines().await?, client.streams("started").await?);
        ensure!(engines.len() >= 2 && streams.len() == 2, "{engines:?} {streams:?}");
        Ok(())
    })
    .await?;

    // The process dies by itself: Docker starts it again, and it knows its engines.
    let node = compose.container("acefleet").await?;
    let engines = engines_on(host).await?;
    let pid = host.docker().call(&["inspect", "--format", "{{.State.Pid}}", &node]).await?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.parse()?), nix::sys::signal::Signal::SIGKILL)?;
    wait_for("Docker to start the node again", SOON, || async {
        let again = host
            .docker()
            .call(&["inspect", "--format", "{{.RestartCount}} {{.State.Running}}", &node])
            .await?;
        ensure!(again == "1 true", "{again}");
        client.ready().await
    })
    .await?;
    ensure!(client.streams("started").await?.len() == 2, "streams were lost");
    ensure!(engines_on(host).await? == engines, "engines changed");
    expect_content(host, &compose, "acexy").await
}

/// What is not set is asked for, before anything is started.
#[tokio::test(flavor = "multi_thread")]
async fn a_compose_file_says_what_it_needs() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::docker_only(1)).await?;
    conclude(bed, missing_settings).await
}

async fn missing_settings(bed: &TestHosts) -> Result<()> {
    let host = &bed.hosts()[0];
    for (file, names) in [
        ("docker-compose.cluster.yml", &["DOCKER_GID", "API_KEY", "ACEFLEET_CLUSTER_SECRET"][..]),
        ("deploy/compose.single.yml", &["DOCKER_GID", "API_KEY"]),
        ("deploy/compose.monitoring.yml", &["GRAFANA_PASSWORD"]),
        ("deploy/compose.gluetun.yml", &["DOCKER_GID", "API_KEY", "VPN_SERVICE_PROVIDER"]),
        (
            "deploy/compose.host.yml",
            &[
                "DOCKER_GID",
                "API_KEY",
                "ACEFLEET_CLUSTER_SECRET",
                "ACEFLEET_NODE_NAME",
                "ACEFLEET_ADVERTISE",
                "ACEFLEET_PEERS",
            ],
        ),
    ] {
        let complete = Compose::new(host, file, "")?
            .env("ACEFLEET_NODE_NAME", "n")
            .env("VPN_SERVICE_PROVIDER", "mullvad")
            .env("GRAFANA_PASSWORD", "p")
            .env("ACEFLEET_ADVERTISE", "10.0.0.1")
            .env("ACEFLEET_PEERS", "n=10.0.0.1:8001");
        complete.run(&["config", "-q"]).await?;
        for name in names {
            match complete.clone().without(name).run(&["config", "-q"]).await {
                Ok(_) => bail!("{file} does without {name}"),
                Err(error) => {
                    ensure!(format!("{error:#}").contains("is not set"), "{file} without {name}: {error:#}")
                }
            }
        }
    }
    Ok(())
}
