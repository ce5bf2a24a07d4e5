//! HTTP load over connections that stay open. The bodies of answers are read and thrown away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::figures::{ms, quantile};

/// What is asked.
#[derive(Debug, Clone)]
pub enum Ask {
    /// `GET` of this path and query.
    Get(Uri),
    /// `POST` of a JSON document to this path.
    Post(Uri, Bytes),
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    key: String,
}

impl Connection {
    /// Connects. `key` is sent with everything that is posted.
    pub async fn open(target: SocketAddr, key: &str) -> Result<Self> {
        let stream = TcpStream::connect(target).await.with_context(|| format!("cannot reach {target}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; what went wrong is told to the request that it went wrong for.
        tokio::spawn(connection);
        Ok(Self { sender, host: target.to_string(), key: format!("Bearer {key}") })
    }

    /// Asks and reads the whole answer, which must be 200.
    pub async fn ask(&mut self, ask: &Ask) -> Result<()> {
        let mut body = self.send(ask).await?.2;
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(())
    }

    /// The same, keeping headers and body.
    pub async fn fetch(&mut self, ask: &Ask) -> Result<(HeaderMap, Bytes)> {
        let (_, headers, body) = self.send(ask).await?;
        Ok((headers, body.collect().await?.to_bytes()))
    }

    async fn send(&mut self, ask: &Ask) -> Result<(StatusCode, HeaderMap, hyper::body::Incoming)> {
        let request = Request::builder().header(HOST, &self.host);
        let request = match ask {
            Ask::Get(uri) => request.method(Method::GET).uri(uri.clone()).body(Full::default()),
            Ask::Post(uri, body) => request
                .method(Method::POST)
                .uri(uri.clone())
                .header(CONTENT_TYPE, "application/json")
                .header(AUTHORIZATION, &self.key)
                .body(Full::new(body.clone())),
        };
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request?).await?.into_parts();
        ensure!(parts.status == StatusCode::OK, "{} answered {} to {ask:?}", self.host, parts.status);
        Ok((parts.status, parts.headers, body))
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Answers a second.
    pub rate: f64,
    /// Time of each answer, milliseconds.
    pub times: Vec<f64>,
}

impl Tally {
    /// Milliseconds within which this share of all answers came.
    pub fn quantile(&self, share: f64) -> f64 {
        quantile(&self.times, share)
    }
}

/// Opens so many connections.
pub async fn connect(target: SocketAddr, connections: usize, key: &str) -> Result<Vec<Connection>> {
    try_join_all((0..connections).map(|_| Connection::open(target, key))).await
}

/// Each connection asks as soon as it has its answer, for `time`. `ask` gets the number of the connection and the number of its
/// question.
pub async fn closed_loop(
    target: SocketAddr,
    connections: usize,
    time: Duration,
    key: &str,
    ask: impl Fn(usize, usize) -> Ask + Clone + Send + 'static,
) -> Result<Tally> {
    let opened = connect(target, connections, key).await?;
    let begun = Instant::now();
    let clients = opened.into_iter().enumerate().map(|(client, mut connection)| {
        let ask = ask.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let question = ask(client, times.len());
                let asked = Instant::now();
                connection.ask(&question).await?;
                times.push(ms(asked.elapsed()));
            }
            anyhow::Ok(times)
        })
    });
    let times = try_join_all(clients.collect::<Vec<_>>()).await?;
    let took = begun.elapsed();
    let times: Vec<f64> = times.into_iter().collect::<Result<Vec<_>>>()?.concat();
    Ok(Tally { rate: times.len() as f64 / took.as_secs_f64(), times })
}
