//! An orchestrator that answers what a test tells it, and remembers what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acefleet_chaos::acexy::{Acexy, Config, Content, PlayReport, PlaySpec};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const STATUS: &str = "/orchestrator/status";
pub const ENGINES: &str = "/engines";
pub const STREAMS: &str = "/streams";
pub const PROVISION: &str = "/provision/acestream";
pub const STARTED: &str = "/events/stream_started";
pub const ENDED: &str = "/events/stream_ended";

/// What to answer.
#[derive(Clone)]
pub enum Answer {
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    Hang,
}

/// A reply with a JSON body.
pub fn reply(status: u16, body: &Value) -> Answer {
    text(status, &body.to_string())
}

/// A reply with any body.
pub fn text(status: u16, body: &str) -> Answer {
    Answer::Reply(status, Vec::new(), body.into())
}

/// A redirect.
pub fn redirect(status: u16, location: String) -> Answer {
    Answer::Reply(status, vec![("location", location)], Vec::new())
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

#[derive(Clone)]
pub struct Stub {
    pub addr: SocketAddr,
    /// Address of a simulated engine that works.
    pub engine: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Answers per path, in turn; the last one stays.
    answers: HashMap<String, Vec<Answer>>,
    seen: Vec<Seen>,
}

impl Stub {
    /// Starts a healthy orchestrator with one free engine.
    pub async fn start() -> Self {
        let engine = start_engine().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self { addr: listener.local_addr().unwrap(), engine, inner: Arc::default() };
        stub.set(STATUS, reply(200, &healthy_status()));
        stub.set(ENGINES, reply(200, &json!([stub.engine_entry()])));
        stub.set(STREAMS, reply(200, &json!([])));
        let provisioned = json!({
            "container_id": "eng2", "container_name": "acestream-2",
            "host_http_port": engine.port(), "container_http_port": 6878, "container_https_port": 6879,
        });
        stub.set(PROVISION, reply(200, &provisioned));
        stub.set(STARTED, reply(200, &json!({"id": "x", "status": "started"})));
        stub.set(ENDED, reply(200, &json!({"updated": true})));
        let app = Router::new().fallback(serve).with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        stub
    }

    /// From now on this answer.
    pub fn set(&self, path: &str, answer: Answer) {
        self.script(path, vec![answer]);
    }

    /// These answers in turn, the last one staying.
    pub fn script(&self, path: &str, answers: Vec<Answer>) {
        let mut inner = self.inner.lock().unwrap();
        inner.answers.insert(path.to_owned(), answers);
    }

    /// All engines are full, so a play has to provision.
    pub fn full(&self) {
        let busy = json!([{"id": "x|1", "container_id": "eng1", "is_live": true, "status": "started"}]);
        self.set(STREAMS, reply(200, &busy));
    }

    pub fn engine_entry(&self) -> Value {
        json!({
            "container_id": "eng1", "container_name": "acestream-1", "host": "127.0.0.1",
            "port": self.engine.port(), "labels": {"a": "b"}, "forwarded": false,
            "first_seen": "2026-11-22T10:39:41.908423Z", "last_seen": "2026-11-22T10:39:41+00:00",
            "health_status": "healthy", "last_stream_usage": null, "streams": [],
        })
    }

    /// Requests to a path so far.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let inner = self.inner.lock().unwrap();
        let of_path = |s: &&Seen| s.target.split('?').next() == Some(path);
        inner.seen.iter().filter(of_path).cloned().collect()
    }

    /// Settings of the client for this stub, with short waits and a generous limit.
    pub fn config(&self) -> Config {
        let mut config = Config::new(format!("http://{}", self.addr));
        config.api_key = Some("sekrit".into());
        config.timers.call = Duration::from_secs(20);
        config.timers.list_cache = Duration::from_millis(5);
        config.timers.after_provision = Duration::from_millis(10);
        config.timers.eta_second = Duration::from_millis(10);
        config
    }

    /// A client that has polled once.
    pub async fn acexy(&self) -> Acexy {
        ready(self.config()).await
    }

    /// One well-behaved play.
    pub async fn play(&self) -> PlayReport {
        self.acexy().await.play(short()).await
    }
}

/// A client that has polled once.
pub async fn ready(config: Config) -> Acexy {
    let acexy = Acexy::start(config);
    acexy.first_poll().await;
    acexy
}

/// A short play.
pub fn short() -> PlaySpec {
    PlaySpec::new(Content::Id("dd1e".into()), Duration::from_millis(50))
}

pub fn healthy_status() -> Value {
    json!({
        "status": "healthy", "capacity": {"total": 2, "used": 0, "available": 2},
        "vpn": {"enabled": false, "connected": true},
        "provisioning": {
            "can_provision": true, "blocked_reason": null, "blocked_reason_details": null,
        },
    })
}

/// A complete refusal as an orchestrator should give it.
pub fn refusal(eta: Value, should_wait: bool) -> Value {
    json!({"detail": {
        "error": "provisioning_blocked", "code": "circuit_breaker", "message": "Circuit breaker is open",
        "recovery_eta_seconds": eta, "can_retry": false, "should_wait": should_wait,
    }})
}

async fn start_engine() -> SocketAddr {
    let env = [("SIM_BITRATE_KBPS", "20000"), ("SIM_PREBUF_MS", "0")];
    let env = env.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let config = engine_sim::config::Config::parse(Vec::new(), env).unwrap();
    let engine = engine_sim::engine::Engine::new(config, Box::new(|_| {}));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(engine_sim::server::serve(listener, Arc::new(engine)));
    addr
}

async fn serve(
    State(stub): State<Stub>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut inner = stub.inner.lock().unwrap();
        inner.seen.push(Seen {
            method,
            target: uri.path_and_query().unwrap().to_string(),
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        match inner.answers.get_mut(uri.path()) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => text(404, r#"{"detail":"Not Found"}"#),
        }
    };
    match answer {
        Answer::Hang => std::future::pending().await,
        Answer::Reply(status, headers, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}
