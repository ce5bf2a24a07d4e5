//! The agent on a real Docker daemon, the one that `DOCKER_HOST` or the default socket names. Without a
//! daemon or without the simulator's image these tests fail: nothing is skipped.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bed::agent::{Node, config, generic, until};
use crate::bed::eventually;
use acefleet::agent::DockerRuntime;
use acefleet::agent::runtime::{ContainerRuntime, RuntimeError};
use acefleet::peers::{LogQuery, LogStream};
use acefleet_registry::cause::Cause;
use acefleet_registry::command::StopWhen;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{EngineSpec, Health, Phase};
use acefleet_registry::node::DockerState;
use acefleet_registry::{Command, Engine};
use bollard::Docker;
use bollard::errors::Error::DockerResponseServerError;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ImportImageOptionsBuilder, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use tokio::sync::OnceCell;

const IMAGE: &str = "acefleet/engine-sim:dev";
const SERVING: [Phase; 2] = [Phase::Starting, Phase::Running];

fn docker_host() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

/// A client for changes that the agent does not make.
async fn docker() -> Docker {
    static READY: OnceCell<()> = OnceCell::const_new();
    let docker =
        Docker::connect_with_host(&docker_host()).expect("a Docker daemon is needed: run `make test`");
    docker.ping().await.expect("the Docker daemon must answer: run `make test`");
    READY.get_or_init(|| load_image(&docker)).await;
    docker
}

async fn load_image(docker: &Docker) {
    if docker.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    let archive = std::env::var("TEST_ENGINE_SIM_TAR").unwrap_or_else(|_| {
        panic!("{IMAGE} is not loaded: run scripts/images.sh or set TEST_ENGINE_SIM_TAR")
    });
    let archive = tokio::fs::read(archive).await.unwrap();
    let options = ImportImageOptionsBuilder::new().quiet(true).build();
    let body = bollard::body_full(archive.into());
    let mut progress = std::pin::pin!(docker.import_image(options, body, None));
    while let Some(line) = futures::StreamExt::next(&mut progress).await {
        line.unwrap();
    }
    docker.inspect_image(IMAGE).await.expect("the archive holds the image");
}

/// A node on the real daemon with ports of its own; its containers are removed at the end, and those that an earlier run left
/// behind at the start.
struct Bed {
    node: Node,
    docker: Docker,
    prefix: String,
    /// Held by one run at a time: names and ports are the same for all.
    _turn: File,
}

/// Removes all containers that pass one of these filters.
async fn clear(docker: &Docker, filters: &[HashMap<String, Vec<String>>]) {
    for filter in filters {
        let options = ListContainersOptionsBuilder::new().all(true).filters(filter).build();
        for container in docker.list_containers(Some(options)).await.unwrap_or_default() {
            let options = RemoveContainerOptionsBuilder::new().force(true).build();
            let _ = docker.remove_container(&container.id.unwrap_or_default(), Some(options)).await;
        }
    }
}

fn by_name(prefix: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("name".to_owned(), vec![prefix.to_owned()])])
}

impl Bed {
    async fn new(ports: &str) -> Self {
        // Tests run side by side on one daemon, where container names are unique.
        let prefix = format!("agent-test-{}", ports.replace('-', "."));
        let turn = File::create(std::env::temp_dir().join(format!("acefleet-{prefix}.lock"))).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await.unwrap().unwrap();
        let docker = docker().await;
        clear(&docker, &[by_name(&prefix)]).await;
        let host = docker_host();
        let settings = [
            ("DOCKER_HOST", host.as_str()),
            ("TARGET_IMAGE", IMAGE),
            ("PORT_RANGE_HOST", ports),
            ("ENGINE_MEMORY_LIMIT", "256m"),
        ];
        let runtime = Arc::new(DockerRuntime::new(&config(Path::new("/nowhere"), &settings)));
        let mut node = Node::with_settings(runtime, &settings, |config| {
            config.monitor_interval = Duration::from_secs(3_600);
            config.health_interval = Duration::from_millis(200);
            config.collect_interval = Duration::from_millis(500);
        })
        .await;
        node.start().await;
        Self { node, docker, prefix, _turn: turn }
    }

    fn spec(&self) -> EngineSpec {
        EngineSpec { name_prefix: self.prefix.clone(), ..EngineSpec::acestream() }
    }

    async fn running(&self) -> Arc<Engine> {
        let id = self.node.reserve(self.spec()).await.id;
        self.node.wait_phase(id, &SERVING).await
    }

    async fn failed(&self, spec: EngineSpec) -> (String, String) {
        let id = self.node.reserve(spec).await.id;
        let failed = self.node.wait_phase(id, &[Phase::Failed]).await;
        let ending = failed.ending.clone().unwrap();
        (ending.cause.to_string(), ending.message)
    }

    async fn ended(&self, engine: &Engine) -> String {
        let gone = self.node.wait_phase(engine.id, &[Phase::Gone]).await;
        gone.ending.clone().unwrap().cause.to_string()
    }

    fn filter(&self) -> HashMap<String, Vec<String>> {
        let cluster = self.node.cluster.cluster_id().unwrap();
        HashMap::from([("label".to_owned(), vec![format!("acefleet.cluster={cluster}")])])
    }

    async fn containers(&self) -> Vec<String> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(&self.filter()).build();
        let found = self.docker.list_containers(Some(options)).await.unwrap();
        found.into_iter().map(|c| c.id.unwrap()).collect()
    }

    async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        self.docker.remove_container(id, Some(options)).await.unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let filters = [self.filter(), by_name(&self.prefix)];
        // Also cleans up after a failed test, whose own runtime may be ending.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                clear(&Docker::connect_with_host(&docker_host()).unwrap(), &filters).await;
            });
        });
        let _ = cleaning.join();
    }
}

fn container(engine: &Engine) -> &str {
    engine.container_id.as_deref().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_lives_and_is_drained() {
    let bed = Bed::new("23000-23049").await;
    let engine = bed.running().await;
    let node = bed.node.id();
    let id = engine.id;
    bed.node
        .wait("Docker is announced", |s| (s.node(node)?.docker == DockerState::Available).then_some(()))
        .await;
    bed.node.wait("health", |s| (s.engine(id)?.health == Health::Healthy).then_some(())).await;

    let seen = bed.node.agent().inspect(id).await.unwrap().unwrap();
    assert_eq!((seen.id.as_str(), seen.status.as_str()), (container(&engine), "running"));
    assert_eq!(seen.image.as_deref(), Some(IMAGE));
    let port = engine.ports.host_http.to_string();
    assert!(
        seen.ports[&format!("{port}/tcp")].iter().all(|binding| binding.host_port == port),
        "{:?}",
        seen.ports
    );
    assert_eq!(seen.labels["host.http_port"], port);
    let made = bed.docker.inspect_container(container(&engine), None).await.unwrap().host_config.unwrap();
    assert_eq!((made.memory, made.pids_limit), (Some(256 << 20), Some(2_048)));
    assert_eq!(made.security_opt, Some(vec!["no-new-privileges:true".to_owned()]));
    assert_eq!(made.cap_drop, Some(vec!["ALL".to_owned()]));
    assert!(made.cap_add.is_some_and(|kept| !kept.is_empty()), "it keeps what its image may need");
    assert_eq!(made.restart_policy.unwrap().name.unwrap().to_string(), "no");
    let listed = bed.node.agent().by_label("host.http_port", &port).await.unwrap();
    assert_eq!(listed, [seen]);

    let stop = Command::EngineStop { engine: id, cause: Cause::Deleted, when: StopWhen::Always };
    bed.node.write(stop).await;
    assert_eq!(bed.ended(&engine).await, "deleted");
    assert_eq!(bed.containers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_play_are_sampled_and_end_with_their_session() {
    let bed = Bed::new("23050-23099").await;
    let engine = bed.running().await;
    let id = engine.id;
    bed.node.wait("health", |s| (s.engine(id)?.health == Health::Healthy).then_some(())).await;
    let base = format!("http://127.0.0.1:{}", engine.ports.host_http);
    let get = format!("{base}/ace/getstream?infohash={}&format=json", "a".repeat(40));
    let started: serde_json::Value = reqwest::get(&get).await.unwrap().json().await.unwrap();
    let response = &started["response"];
    let session = response["playback_session_id"].as_str().unwrap();
    let text = |key: &str| response[key].as_str().unwrap().to_owned();
    let start = acefleet_registry::stream::StreamStart {
        id: format!("k|{session}").into(),
        key_type: acefleet_registry::stream::KeyType::Infohash,
        key: "k".to_owned(),
        playback_session_id: session.to_owned(),
        stat_url: text("stat_url"),
        command_url: text("command_url"),
        is_live: true,
        engine_host: "localhost".to_owned(),
        engine_port: engine.ports.host_http,
        container_id: None,
        labels: Default::default(),
    };
    bed.node.write(Command::StreamStarted(start.clone().into())).await;
    until("samples", async || !bed.node.agent().samples(&start.id, None).is_empty()).await;
    assert!(bed.node.agent().samples(&start.id, None)[0].status.is_some());

    bed.node.agent().stop_session(id, &start.command_url).await.unwrap();
    let ended = bed.node.wait("the end", |s| s.stream(&start.id).filter(|s| !s.is_started()).cloned()).await;
    assert_eq!(ended.end_reason, Some(EndReason::Denied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_that_the_agent_did_not_cause_are_noticed() {
    let bed = Bed::new("23100-23149").await;
    let (killed, removed, kept) = (bed.running().await, bed.running().await, bed.running().await);
    // The event stream is open when an engine's end is noticed; the list comes once an hour.
    let kill = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
    bed.docker.kill_container(container(&killed), Some(kill)).await.unwrap();
    assert_eq!(bed.ended(&killed).await, "exited");
    bed.remove(container(&removed)).await;
    // A forced removal kills first; the agent may see either.
    let cause = bed.ended(&removed).await;
    assert!(["exited", "vanished"].contains(&cause.as_str()), "{cause}");
    until("the dead one is cleared away", async || bed.containers().await == [container(&kept)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_outlive_the_agent_and_are_found_again() {
    let mut bed = Bed::new("23150-23199").await;
    let engine = bed.running().await;
    let lost = bed.running().await;
    bed.node.stop_agent().await;
    assert_eq!(bed.containers().await.len(), 2);
    bed.remove(container(&lost)).await;
    bed.node.start_agent();
    assert_eq!(bed.ended(&lost).await, "vanished");
    assert_eq!(bed.containers().await, [container(&engine)]);
    assert!(bed.node.cluster.view().state.engine(engine.id).unwrap().phase.is_serving());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_ports_in_use_are_avoided() {
    let bed = Bed::new("23200-23249").await;
    let other = tokio::net::TcpListener::bind("0.0.0.0:23200").await.unwrap();
    let name = format!("{}-1", bed.prefix);
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let body = ContainerCreateBody { image: Some(IMAGE.to_owned()), ..ContainerCreateBody::default() };
    let foreign = bed.docker.create_container(Some(options), body).await.unwrap().id;
    let engine = bed.running().await;
    assert_eq!(engine.container_name, format!("{}-2", bed.prefix));
    assert_eq!(engine.ports.host_http, 23_201);
    assert_eq!(bed.containers().await, [container(&engine)], "the failed attempt left nothing");
    bed.docker.inspect_container(&foreign, None).await.unwrap();
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_say_what_to_do() {
    let bed = Bed::new("23250-23299").await;
    let missing = "localhost:1/acefleet/no-such-image:1";
    let (cause, message) =
        bed.failed(EngineSpec { name_prefix: bed.prefix.clone(), ..generic(missing) }).await;
    assert_eq!(cause, "image_missing", "{message}");
    assert!(message.contains(&format!("`docker pull {missing}`")), "{message}");

    let mut broken = bed.spec();
    broken.env.insert("SIM_EXIT_AT_START".to_owned(), "3".to_owned());
    let id = bed.node.reserve(broken).await.id;
    let ended = bed.node.wait_phase(id, &[Phase::Failed, Phase::Gone]).await;
    let ending = ended.ending.clone().unwrap();
    assert_eq!(ending.cause.as_str(), "exited", "{}", ending.message);
    // On a busy machine it may have run for a moment before it ended.
    assert!(ended.phase == Phase::Gone || ending.message.contains("code 3"), "{}", ending.message);

    let unpublishable = EngineSpec { host_port: Some(23_270), ..bed.spec() };
    let taken = tokio::net::TcpListener::bind("0.0.0.0:23270").await.unwrap();
    let (cause, message) = bed.failed(unpublishable).await;
    assert_eq!(cause, "port_taken", "{message}");
    drop(taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_engines_are_created_side_by_side() {
    let bed = Bed::new("23300-23349").await;
    let mut ids = Vec::new();
    let begun = Instant::now();
    for _ in 0..5 {
        ids.push(bed.node.reserve(bed.spec()).await.id);
    }
    for id in ids {
        bed.node.wait_phase(id, &SERVING).await;
    }
    println!("five engines in {:?}", begun.elapsed());
    assert_eq!(bed.containers().await.len(), 5);
}

#[tokio::test]
async fn the_check_of_rights_creates_no_container() {
    let docker = docker().await;
    for image in [None, Some(IMAGE.to_owned())] {
        let options = CreateContainerOptionsBuilder::new().name("-").build();
        let body = ContainerCreateBody { image, ..ContainerCreateBody::default() };
        let error = docker.create_container(Some(options), body).await.unwrap_err();
        let is_refusal = matches!(error, DockerResponseServerError { status_code: 400, .. });
        assert!(is_refusal, "{error}");
    }
}

#[tokio::test]
async fn a_missing_daemon_is_named_and_found_later() {
    let settings = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let away = DockerRuntime::new(&config(Path::new("/nowhere"), &settings));
    let error = away.ping().await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent/docker.sock") && error.contains("set DOCKER_HOST"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_container_uses_and_writes_is_read_of_a_real_daemon() {
    let bed = Bed::new("23350-23399").await;
    let engine = bed.running().await;
    let id = engine.container_id.as_deref().unwrap();
    let host = docker_host();
    let runtime = DockerRuntime::new(&config(Path::new("/nowhere"), &[("DOCKER_HOST", host.as_str())]));
    let counters = runtime.counters(id).await.unwrap();
    assert!(counters.cpu_ns > 0 && counters.memory_bytes.is_some_and(|bytes| bytes > 0), "{counters:?}");
    assert_eq!(counters.memory_limit_bytes, Some(256 << 20));
    assert!(counters.rx_bytes.is_some() && counters.tx_bytes.is_some(), "{counters:?}");
    let newest = LogQuery::Newest { lines: 10, since_ns: 0 };
    let lines = eventually("it has written a line", async || {
        Some(runtime.log(id, &newest).await.unwrap()).filter(|lines| !lines.is_empty())
    })
    .await;
    let line = lines.last().unwrap();
    assert!(line.at_ns > 1_700_000_000_000_000_000 && line.text.contains("listening"), "{line:?}");
    assert_eq!(line.stream, LogStream::Stderr);
    let behind = async |position: u64| runtime.log(id, &LogQuery::Behind(position)).await.unwrap();
    assert_eq!(behind(line.at_ns).await.last(), Some(line), "up to a second before comes along");
    assert_eq!(behind(line.at_ns + 2_000_000_000).await, []);
    let mut followed = runtime.follow(id, 1, 0);
    assert_eq!(futures::StreamExt::next(&mut followed).await.unwrap().unwrap(), *line);
    bed.remove(id).await;
    let end = tokio::time::timeout(Duration::from_secs(20), futures::StreamExt::next(&mut followed)).await;
    assert!(end.unwrap().is_none(), "it ends with its container");
    assert!(matches!(runtime.counters(id).await, Err(RuntimeError::NotFound)));
    assert!(matches!(runtime.log(id, &newest).await, Err(RuntimeError::NotFound)));
}
