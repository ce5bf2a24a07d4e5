//! Calls to a node's HTTP API.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Duration;

use acefleet::config::{Config, Secret};
use bytes::Bytes;
use hyper::http::request::Builder;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use reqwest::{Method, Url};
use serde_json::Value;

use super::answer::{Answer, strange};
use super::client::{Bounds, Caller, Client, Response, Unanswered};
use super::exit_code::INTERNAL;
use super::failed::{Failed, refused, unreachable};
use super::target::{Target, own_url};

/// Nodes answer within 2.5 s, or within 4 s where they ask another one first. One that says nothing for so long does not run, though the
/// system of its host may still take connections.
pub(super) const SILENT: Duration = Duration::from_secs(5);
/// Nodes answer within 20 s what waits for containers, or for other members.
const LONG: Duration = Duration::from_secs(25);
/// The longest list comes over a slow line in that time. What goes on for longer is none.
const WHOLE: Duration = Duration::from_secs(60);
/// Bytes of an answer, or of a frame of the feed: more than a full registry has.
pub(super) const ANSWER_MAX: usize = 128 << 20;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Option<Value>,
    /// Only if this revision is in force.
    if_match: Option<u64>,
    /// No answer takes longer to begin or to go on.
    limit: Duration,
}

impl Call {
    fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        Self { method, path, query: Vec::new(), body: None, if_match: None, limit: SILENT }
    }

    /// One that changes nothing.
    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// One that does something.
    pub fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// One that changes something.
    pub fn patch(path: &[&str]) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// One that ends something.
    pub fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With a parameter.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Even if that does harm.
    pub fn forced(self, force: bool) -> Self {
        if force { self.with("force", "true") } else { self }
    }

    /// With a body.
    pub fn body(self, body: Option<Value>) -> Self {
        Self { body, ..self }
    }

    /// On the condition that this revision is in force.
    pub fn if_match(self, if_match: Option<u64>) -> Self {
        Self { if_match, ..self }
    }

    /// One that waits for containers, or for other members.
    pub fn long(self) -> Self {
        Self { limit: LONG, ..self }
    }

    /// Its address at this node.
    pub fn address(&self, base: &Url) -> Url {
        let mut url = base.clone();
        // Every URL of a node has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }

    /// Asks this node.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn at(&self, base: &Url, caller: Caller<'_>) -> Result<Answer, Failed> {
        let url = self.address(base);
        // The limit begins anew with each piece of an answer.
        let within = Bounds::of(self.limit, Some(WHOLE));
        let mut request = with_key(Client::request(self.method.clone(), &url), caller.key);
        if let Some(revision) = self.if_match {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        let mut sent = Bytes::new();
        if let Some(body) = &self.body {
            request = request.header(CONTENT_TYPE, "application/json");
            sent = body.to_string().into();
        }
        let silent = |error| {
            let failed = unreachable(&url, &error);
            if self.method == Method::GET { failed } else { failed.of_a_change() }
        };
        let response = caller.client.send(request, sent, within).await.map_err(silent)?;
        let status = response.status;
        let body = text_of(response, &url, silent).await?;
        match status.is_success() {
            true => match serde_json::from_str(&body) {
                Ok(answer) => Ok(Answer::new(url, answer)),
                Err(_) => Err(strange(&url, "it is no JSON")),
            },
            false => Err(refused(&url, status, &body)),
        }
    }
}

/// Bytes of a file that is saved: more than a full registry packs to.
const FILE_MAX: u64 = 1 << 30;

impl Call {
    /// Saves the answer of this node, which is no JSON, at the beginning of a file.
    ///
    /// # Errors
    /// When it does not answer, or refuses, or the file does not take it.
    pub async fn save(&self, base: &Url, caller: Caller<'_>, to: &mut File) -> Result<(), Failed> {
        let url = self.address(base);
        // Of another node that broke off.
        let unsaved =
            |error: std::io::Error| Failed::new(INTERNAL, format!("the answer cannot be saved: {error}"));
        to.set_len(0).and_then(|()| to.rewind()).map_err(unsaved)?;
        let request = with_key(Client::request(self.method.clone(), &url), caller.key);
        let silent = |error| unreachable(&url, &error);
        let within = Bounds::of(self.limit, None);
        let mut response = caller.client.send(request, Bytes::new(), within).await.map_err(silent)?;
        let status = response.status;
        if !status.is_success() {
            return Err(refused(&url, status, &text_of(response, &url, silent).await?));
        }
        let mut saved = 0;
        while let Some(piece) = response.chunk().await.map_err(silent)? {
            saved += piece.len() as u64;
            if saved > FILE_MAX {
                return Err(strange(&url, "it does not end"));
            }
            to.write_all(&piece).map_err(unsaved)?;
        }
        Ok(())
    }
}

/// Asks the node that is named, or the next one if that does not answer.
pub(super) fn ask(file: Option<&Path>, target: &Target, call: &Call) -> Result<Answer, Failed> {
    let nodes = target.nodes(file)?;
    wait(at_one_of(&nodes.urls, async |url| call.at(url, nodes.caller()).await))
}

/// Asks the node that runs here with these settings, with a key.
pub(super) fn here(config: &Config, call: &Call, key: &Secret) -> Result<Answer, Failed> {
    let (url, client) = (own_url(config)?, Client::new()?);
    wait(call.at(&url, Caller { client: &client, key: Some(key.exposed()) }))
}

/// What the first of these nodes says that answers.
///
/// # Errors
/// When it refuses, or none answers, or one may have done what was asked.
pub(super) async fn at_one_of<T>(
    urls: &[Url],
    ask: impl AsyncFn(&Url) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let mut all: Option<Failed> = None;
    for url in urls {
        match ask(url).await {
            Err(failed) if failed.may_ask_another() => {
                all = Some(match all {
                    Some(before) => before.and(failed),
                    None => failed,
                });
            }
            answer => return answer,
        }
    }
    Err(all.unwrap_or_else(|| Failed::new(INTERNAL, "no node was named")))
}

/// A request with a key, if there is one.
pub(super) fn with_key(request: Builder, key: Option<&str>) -> Builder {
    match key {
        Some(key) => request.header(AUTHORIZATION, format!("Bearer {key}")),
        None => request,
    }
}

/// Runs a call to its end.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(INTERNAL, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(work)
}

/// The body of an answer, if it is not larger than any of a node. `silent` says what it means that it breaks off.
pub(super) async fn text_of(
    mut response: Response,
    url: &Url,
    silent: impl Fn(Unanswered) -> Failed,
) -> Result<String, Failed> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(&silent)? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(strange(url, "it does not end"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}
