//! A bare hyper server: it looks up a path and sends bytes that were handed to it. What no server on hyper can be faster than.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Ask, Connection};
use super::place::Place;
use crate::hosts::process::{Process, Recipe};
use crate::wait::wait_for;

const START: Duration = Duration::from_secs(30);
const PORT: u16 = 17810;

/// Answers by path and query.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Pages(HashMap<String, Page>);

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    headers: Vec<(String, String)>,
    body: String,
}

/// A server of copied answers, in a process of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Bare {
    /// Where it listens.
    pub http: SocketAddr,
    process: Process,
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.process.discard();
    }
}

impl Bare {
    /// Starts a server that answers these paths with the headers and bodies that `original` has for them.
    pub async fn copy(place: &Place, original: SocketAddr, paths: &[Uri]) -> Result<Self> {
        let net = place.net()?;
        let mut connection = Connection::open(original, "").await?;
        let mut pages = Pages::default();
        for path in paths {
            let (headers, body) = connection.fetch(&Ask::Get(path.clone())).await?;
            let headers = headers.iter().filter(|(name, _)| !is_hyper_s(name));
            let headers = headers
                .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
                .collect::<Result<_>>()?;
            pages.0.insert(path.to_string(), Page { headers, body: String::from_utf8(body.into())? });
        }
        let file = net.dir.join("pages.json");
        std::fs::write(&file, serde_json::to_vec(&pages)?)?;
        let http = SocketAddr::from((net.address(1), PORT));
        let process = Process::new(Recipe {
            name: "bare hyper server".to_owned(),
            namespace: None,
            command: vec![
                std::env::current_exe()?.into(),
                "--serve-pages".into(),
                file.into(),
                "--listen".into(),
                http.to_string().into(),
            ],
            env: Default::default(),
            dir: net.dir.clone(),
            log: net.dir.join("bare.log"),
        });
        process.start()?;
        let bare = Self { http, process };
        wait_for("the bare hyper server", START, || async {
            bare.process.expect_running()?;
            Ok(TcpStream::connect(http).await.map(drop)?)
        })
        .await?;
        Ok(bare)
    }
}

/// Headers that every hyper server sets by itself.
fn is_hyper_s(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING].contains(name)
}

/// The server itself; runs for ever.
///
/// # Errors
/// When the file cannot be read or the address is taken.
pub async fn serve(pages: &Path, listen: SocketAddr) -> Result<()> {
    let text = std::fs::read(pages).with_context(|| format!("cannot read {}", pages.display()))?;
    let pages: Pages = serde_json::from_slice(&text)?;
    let mut answers = HashMap::new();
    for (path, page) in pages.0 {
        let mut headers = HeaderMap::new();
        for (name, value) in page.headers {
            headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        answers.insert(path, (headers, Bytes::from(page.body)));
    }
    let answers = Arc::new(answers);
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answers.get(request.uri().path_and_query().map_or("/", |path| path.as_str()));
            let mut response = Response::new(Full::default());
            match answer {
                Some((headers, body)) => {
                    *response.headers_mut() = headers.clone();
                    *response.body_mut() = Full::new(body.clone());
                }
                None => *response.status_mut() = StatusCode::NOT_FOUND,
            }
            std::future::ready(Ok::<_, Infallible>(response))
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
