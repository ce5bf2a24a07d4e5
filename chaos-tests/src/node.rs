//! A small client for the HTTP API of a node, for tests and tools.
//!
//! It decodes strictly what tests rely on, never retries, and puts method, address, status and body into every error.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Deadline of one call. The real Acexy gives up after 3 s; a test wants to see later answers too and to judge them.
const CALL: Duration = Duration::from_secs(10);

/// Client for one node.
#[derive(Debug, Clone)]
pub struct NodeClient {
    name: String,
    base: String,
    key: Option<String>,
    http: reqwest::Client,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    /// HTTP status.
    pub status: StatusCode,
    /// Response headers.
    pub headers: HeaderMap,
    /// Response body.
    pub body: String,
}

/// One element of `GET /engines`, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Engine {
    /// Docker's id.
    pub container_id: String,
    /// Docker's name.
    pub container_name: Option<String>,
    /// Address for clients.
    pub host: String,
    /// HTTP port on the host.
    pub port: u16,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// Ids of streams that run.
    pub streams: Vec<String>,
    /// `healthy`, `unhealthy` or `unknown`.
    pub health_status: Option<String>,
    /// VPN container in whose network it runs.
    pub vpn_container: Option<String>,
}

/// One element of `GET /streams`, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Stream {
    /// `<key>|<session>`.
    pub id: String,
    /// Content id or infohash.
    pub key: String,
    /// Id of the engine.
    pub container_id: String,
    /// `started` or `ended`.
    pub status: String,
    /// Must be a boolean: the real client refuses the whole list otherwise.
    pub is_live: bool,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; `None` while it runs.
    pub ended_at: Option<String>,
}

/// The answer of `POST /provision/acestream`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Provisioned {
    /// Docker's id.
    pub container_id: String,
    /// `acestream-<n>`.
    pub container_name: String,
    /// Port on the host and, through the relay, on `localhost` beside any node.
    pub host_http_port: u16,
    /// Port inside the container.
    pub container_http_port: u16,
    /// Second port inside the container.
    pub container_https_port: u16,
}

/// The answer of `GET /cluster`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClusterView {
    /// Identity of the cluster, the same on all nodes.
    pub cluster_id: String,
    /// Name of the leader that this node knows.
    pub leader: Option<String>,
    /// Raft term.
    pub term: u64,
    /// Last revision that this node applied.
    pub revision: u64,
    /// All members.
    pub nodes: Vec<Member>,
}

/// One member in `GET /cluster`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Member {
    /// Name from `ACEFLEET_NODE_NAME`.
    pub name: String,
    /// `leader`, `voter` or `learner`.
    pub role: String,
    /// Address for clients.
    pub address: String,
    /// Version of the software.
    pub version: String,
    /// `available` once its Docker has answered.
    pub docker: Option<String>,
}

/// What Acexy sends when it has opened a session.
#[derive(Debug, Clone, PartialEq)]
pub struct StartedEvent {
    /// Host of the engine as Acexy knows it.
    pub host: String,
    /// Port of the engine as Acexy knows it.
    pub port: u16,
    /// Content id.
    pub key: String,
    /// Playback session.
    pub session: String,
    /// Where the session's statistics are.
    pub stat_url: String,
    /// Where the session can be stopped.
    pub command_url: String,
}

impl StartedEvent {
    /// An event whose URLs have the form that engines give them.
    pub fn new(host: &str, port: u16, key: &str, session: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            key: key.to_owned(),
            session: session.to_owned(),
            stat_url: format!("http://{host}:{port}/ace/stat/{key}/{session}"),
            command_url: format!("http://{host}:{port}/ace/cmd/{key}/{session}"),
        }
    }

    /// Id under which the stream is to be found.
    pub fn stream_id(&self) -> String {
        format!("{}|{}", self.key, self.session)
    }

    /// The body, as the real client sends it.
    pub fn body(&self) -> Value {
        json!({
            "engine": {"host": self.host, "port": self.port},
            "stream": {"key_type": "content_id", "key": self.key},
            "session": {
                "playback_session_id": self.session,
                "stat_url": self.stat_url,
                "command_url": self.command_url,
                "is_live": 1,
            },
            "labels": {"stream_id": self.stream_id()},
        })
    }
}

impl NodeClient {
    /// Client for the node with this base URL (`http://host:port`), with its API key if it has one.
    pub fn new(name: &str, base: &str, key: Option<&str>) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(CALL).no_proxy().build()?;
        Ok(Self {
            name: name.to_owned(),
            base: base.trim_end_matches('/').to_owned(),
            key: key.map(str::to_owned),
            http,
        })
    }

    /// Name of the node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Base URL of the node.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// One call; an error only when there was no answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let asked = format!("{method} {}{path}", self.base);
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response =
            request.send().await.with_context(|| format!("{} ({}): no answer", asked, self.name))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.text().await.with_context(|| format!("{asked}: answer broken off"))?;
        Ok(Answer { asked, status, headers, body })
    }

    /// `GET` that must be answered 200 with this type.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None).await?.ok()
    }

    /// `GET /livez`: the process serves.
    pub async fn live(&self) -> Result<()> {
        self.call(Method::GET, "/livez", None).await?.expect(StatusCode::OK).map(drop)
    }

    /// `GET /readyz`: the node takes part in the cluster.
    pub async fn ready(&self) -> Result<()> {
        self.call(Method::GET, "/readyz", None).await?.expect(StatusCode::OK).map(drop)
    }

    /// The value of a metric: its name, with labels as the page shows them.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let page = self.call(Method::GET, "/metrics", None).await?.expect(StatusCode::OK)?.body;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("{} has no metric {name}", self.name))?;
        value.trim().parse().with_context(|| format!("{name} is {value}"))
    }

    /// `POST` of an operation on a member: `cordon`, `uncordon`, `drain`.
    pub async fn operate(&self, member: &str, operation: &str, body: Option<&Value>) -> Result<Value> {
        self.call(Method::POST, &format!("/cluster/nodes/{member}/{operation}"), body).await?.ok()
    }

    /// `GET /cluster`.
    pub async fn cluster(&self) -> Result<ClusterView> {
        self.get("/cluster").await
    }

    /// `GET /engines`.
    pub async fn engines(&self) -> Result<Vec<Engine>> {
        self.get("/engines").await
    }

    /// `GET /streams?status=…`, with `started` or `ended`.
    pub async fn streams(&self, status: &str) -> Result<Vec<Stream>> {
        let streams: Vec<Stream> = self.get(&format!("/streams?status={status}")).await?;
        if let Some(other) = streams.iter().find(|stream| stream.status != status) {
            bail!("{}: asked for {status} streams, got {other:?}", self.name);
        }
        Ok(streams)
    }

    /// All streams, running and ended, by id; an error when an id is listed twice.
    pub async fn all_streams(&self) -> Result<BTreeMap<String, Stream>> {
        let mut all = BTreeMap::new();
        for status in ["started", "ended"] {
            for stream in self.streams(status).await? {
                if let Some(twice) = all.insert(stream.id.clone(), stream) {
                    bail!("{}: stream {} is listed twice", self.name, twice.id);
                }
            }
        }
        Ok(all)
    }

    /// `GET /orchestrator/status`.
    pub async fn status(&self) -> Result<Value> {
        self.get("/orchestrator/status").await
    }

    /// `POST /provision/acestream` with the body that the real client sends.
    pub async fn try_provision(&self) -> Result<Answer> {
        self.call(Method::POST, "/provision/acestream", Some(&json!({"labels": {}, "env": {}}))).await
    }

    /// Provisions an engine; anything but 200 is an error.
    pub async fn provision(&self) -> Result<Provisioned> {
        self.try_provision().await?.ok()
    }

    /// `POST /events/stream_started`.
    pub async fn stream_started(&self, event: &StartedEvent) -> Result<Answer> {
        self.call(Method::POST, "/events/stream_started", Some(&event.body())).await
    }

    /// `POST /events/stream_ended`.
    pub async fn stream_ended(&self, stream_id: &str, reason: &str) -> Result<Answer> {
        let body = json!({"stream_id": stream_id, "reason": reason});
        self.call(Method::POST, "/events/stream_ended", Some(&body)).await
    }

    /// `DELETE /containers/{id}`.
    pub async fn delete_container(&self, id: &str) -> Result<Answer> {
        self.call(Method::DELETE, &format!("/containers/{id}"), None).await
    }
}

impl Answer {
    /// An error with everything about the answer unless it has this status.
    pub fn expect(self, status: StatusCode) -> Result<Self> {
        ensure!(self.status == status, "expected {status}, got {self}");
        Ok(self)
    }

    /// The body of a 200 as this type.
    pub fn ok<T: DeserializeOwned>(self) -> Result<T> {
        self.expect(StatusCode::OK)?.json()
    }

    /// The body as this type, whatever the status.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body).with_context(|| format!("cannot decode {self}"))
    }

    /// The `detail` of an error in the six-key form, checked key by key.
    pub fn detail(&self) -> Result<Detail> {
        let body: BTreeMap<String, Detail> = self.json()?;
        body.into_iter()
            .next()
            .filter(|(key, _)| key == "detail")
            .map(|(_, detail)| detail)
            .with_context(|| format!("no detail in {self}"))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = self.body.chars().take(1500).collect();
        write!(f, "{} from {}: {body}", self.status, self.asked)
    }
}

/// The six keys of a refusal that the real client understands; any other key, or a missing one, is refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// Kind of refusal.
    pub error: String,
    /// Machine-readable reason.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whole seconds, or null.
    pub recovery_eta_seconds: Option<u32>,
    /// Whether a retry can help.
    pub can_retry: bool,
    /// Whether the client should wait for it.
    pub should_wait: bool,
}
