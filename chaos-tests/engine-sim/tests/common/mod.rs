//! A simulated engine on a free port of loopback, and a client.
#![allow(dead_code, clippy::unwrap_used, reason = "every test file uses a part; a panic is a test failure")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine_sim::config::Config;
use engine_sim::engine::Engine;
use engine_sim::server;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
/// For what must happen; far above what it takes.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct Sim {
    pub addr: SocketAddr,
    pub http: reqwest::Client,
    /// Exit codes of engines that died.
    pub deaths: mpsc::UnboundedReceiver<i32>,
}

/// Starts an engine with these environment variables.
pub async fn start(env: &[(&str, &str)]) -> Sim {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let config = Config::parse(Vec::new(), env).unwrap();
    let (died, deaths) = mpsc::unbounded_channel();
    let exit = Box::new(move |code| died.send(code).unwrap());
    let engine = Arc::new(Engine::new(config, exit));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(server::serve(listener, engine));
    Sim { addr, http: reqwest::Client::builder().no_proxy().build().unwrap(), deaths }
}

impl Sim {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    /// Follows a URL out of an answer.
    pub async fn json_at(&self, url: &Value) -> Value {
        let url = url.as_str().unwrap();
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Opens a session; returns the `response` object.
    pub async fn open(&self, pid: &str) -> Value {
        let path = format!("/ace/getstream?format=json&infohash={HASH}&pid={pid}");
        let answer = self.json(&path).await;
        assert_eq!(answer["error"], Value::Null);
        answer["response"].clone()
    }

    pub async fn play(&self, session: &Value) -> reqwest::Response {
        let url = session["playback_url"].as_str().unwrap();
        self.http.get(url).send().await.unwrap()
    }

    pub async fn control(&self, change: Value) -> reqwest::Response {
        let request = self.http.post(self.url("/sim/control")).json(&change);
        request.send().await.unwrap()
    }

    pub async fn state(&self) -> Value {
        self.json("/sim/control").await
    }
}

/// Reads at least `bytes` of a stream.
pub async fn read(stream: &mut reqwest::Response, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < bytes {
        let chunk = tokio::time::timeout(DEADLINE, stream.chunk()).await;
        match chunk.expect("bytes in time").unwrap() {
            Some(chunk) => out.extend_from_slice(&chunk),
            None => panic!("stream ended after {} bytes", out.len()),
        }
    }
    out
}

/// Reads until the end of a stream; it must come.
pub async fn read_to_end(stream: &mut reqwest::Response) {
    let end = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(DEADLINE, end).await.expect("an end in time");
}

pub fn unknown_session() -> Value {
    json!({"response": null, "error": "unknown playback session id"})
}
