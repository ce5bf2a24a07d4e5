//! A made-up Docker daemon: keeps a list of containers and lets an engine listen for each that is started. It knows the calls
//! that a node makes, and refuses all others.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::engine;

/// A daemon whose engines listen on one address. It ends, with all engines, when it is dropped.
#[derive(Debug)]
pub struct FakeDocker {
    address: SocketAddr,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Daemon {
    engines_on: Ipv4Addr,
    containers: Mutex<BTreeMap<String, Container>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Container {
    name: String,
    image: String,
    labels: BTreeMap<String, String>,
    /// Docker's form of the inner port, and the host port.
    ports: Vec<(String, u16)>,
    running: Option<CancellationToken>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    image: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    host_config: HostConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    port_bindings: BTreeMap<String, Vec<Binding>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_port: String,
}

impl FakeDocker {
    /// Listens on this address and port; engines listen on the same address.
    pub async fn start(address: Ipv4Addr, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((address, port))
            .await
            .with_context(|| format!("cannot listen on {address}:{port}"))?;
        let stop = CancellationToken::new();
        let daemon = Daemon { engines_on: address, containers: Mutex::default(), stop: stop.clone() };
        let router = Router::new().fallback(answer).with_state(Arc::new(daemon));
        let address = listener.local_addr()?;
        let serving = axum::serve(listener, router).into_future();
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    /// Value for `DOCKER_HOST`.
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }
}

async fn answer(State(daemon): State<Arc<Daemon>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let mut path: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    if path.first().is_some_and(|part| part.starts_with("v1.")) {
        path.remove(0);
    }
    match (method.as_str(), path.as_slice()) {
        ("GET" | "HEAD", ["_ping"]) => "OK".into_response(),
        ("GET", ["version"]) => axum::Json(json!({"Version": "0", "ApiVersion": "1.43"})).into_response(),
        ("GET", ["events"]) => {
            // Nothing ever happens to these containers by itself.
            let silence = futures::stream::pending::<Result<Bytes, std::io::Error>>();
            Body::from_stream(silence).into_response()
        }
        ("GET", ["containers", "json"]) => axum::Json(daemon.list()).into_response(),
        ("POST", ["containers", "create"]) => daemon.create(uri.query().unwrap_or_default(), &body),
        ("POST", ["containers", id, "start"]) => daemon.start(id).await,
        ("POST", ["containers", id, "stop"]) => daemon.stop(id),
        ("GET", ["containers", id, "json"]) => daemon.inspect(id),
        ("DELETE", ["containers", id]) => daemon.remove(id),
        _ => refuse(StatusCode::NOT_IMPLEMENTED, &format!("{method} {uri} is not known here")),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}

fn missing(id: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("No such container: {id}"))
}

impl Daemon {
    fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Container>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> Vec<Value> {
        self.containers().iter().map(|(id, container)| container.summary(id)).collect()
    }

    fn create(&self, query: &str, body: &[u8]) -> Response {
        let create: Create = match serde_json::from_slice(body) {
            Ok(create) => create,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let name = url::form_urlencoded::parse(query.as_bytes())
            .find_map(|(key, value)| (key == "name").then(|| value.into_owned()))
            .unwrap_or_default();
        let mut containers = self.containers();
        if containers.values().any(|container| container.name == name) {
            return refuse(StatusCode::CONFLICT, &format!("The container name {name} is already in use"));
        }
        let id = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let bindings = create.host_config.port_bindings.into_iter();
        let ports = bindings
            .filter_map(|(inner, bound)| Some((inner, bound.first()?.host_port.parse().ok()?)))
            .collect();
        let container = Container { name, image: create.image, labels: create.labels, ports, running: None };
        containers.insert(id.clone(), container);
        (StatusCode::CREATED, axum::Json(json!({"Id": id, "Warnings": []}))).into_response()
    }

    async fn start(&self, id: &str) -> Response {
        let stop = self.stop.child_token();
        let ports: Vec<u16> = {
            let mut containers = self.containers();
            let Some(container) = containers.get_mut(id) else { return missing(id) };
            container.running = Some(stop.clone());
            container.ports.iter().map(|(_, host)| *host).collect()
        };
        for port in ports {
            if let Err(error) = engine::serve(self.engines_on, port, stop.clone()).await {
                stop.cancel();
                return refuse(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &format!("{error:#}: port is already allocated"),
                );
            }
        }
        StatusCode::NO_CONTENT.into_response()
    }

    fn stop(&self, id: &str) -> Response {
        match self.containers().get_mut(id) {
            Some(container) => {
                if let Some(stop) = container.running.take() {
                    stop.cancel();
                }
                StatusCode::NO_CONTENT.into_response()
            }
            None => missing(id),
        }
    }

    fn remove(&self, id: &str) -> Response {
        let stopped = self.stop(id);
        self.containers().remove(id);
        stopped
    }

    fn inspect(&self, id: &str) -> Response {
        let containers = self.containers();
        let found = containers.iter().find(|(known, container)| *known == id || container.name == id);
        match found {
            Some((id, container)) => axum::Json(container.details(id)).into_response(),
            None => missing(id),
        }
    }
}

impl Container {
    fn state(&self) -> &'static str {
        if self.running.is_some() { "running" } else { "created" }
    }

    fn summary(&self, id: &str) -> Value {
        let ports = self.ports.iter().map(|(inner, host)| {
            let inner: u16 = inner.trim_end_matches("/tcp").parse().unwrap_or_default();
            json!({"IP": "0.0.0.0", "PrivatePort": inner, "PublicPort": host, "Type": "tcp"})
        });
        json!({
            "Id": id,
            "Names": [format!("/{}", self.name)],
            "Image": self.image,
            "State": self.state(),
            "Labels": self.labels,
            "Ports": ports.collect::<Vec<_>>(),
        })
    }

    fn details(&self, id: &str) -> Value {
        let ports: BTreeMap<_, _> = self
            .ports
            .iter()
            .map(|(inner, host)| (inner, json!([{"HostIp": "0.0.0.0", "HostPort": host.to_string()}])))
            .collect();
        json!({
            "Id": id,
            "Name": format!("/{}", self.name),
            "Created": "2026-01-01T00:00:00Z",
            "State": {"Status": self.state(), "ExitCode": 0, "OOMKilled": false, "Error": ""},
            "Config": {"Image": self.image, "Labels": self.labels},
            "NetworkSettings": {"Ports": ports},
        })
    }
}
