//! Calls to a node's HTTP API, and the arguments that say to which node.

use std::path::Path;
use std::time::Duration;

use acefleet::access;
use acefleet::config::table::URL_NAME;
use acefleet::config::{Config, Secret, load};
use clap::{Args, ValueEnum};
use reqwest::header::IF_MATCH;
use reqwest::{Client, ClientBuilder, Method, Response, Url, redirect};
use serde_json::Value;

use super::answer::{Answer, strange};
use super::exit_code::{CONFIGURATION, INTERNAL};
use super::failed::{Failed, refused, unreachable};
use super::healthcheck;

/// Time limit of a call; a node answers any within 20 s.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of an answer, or of a frame of the feed: more than a full registry has.
pub(super) const ANSWER_MAX: usize = 128 << 20;
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Which node is asked, and how it answers.
#[derive(Args)]
pub struct Target {
    /// Base URL of a node, or its HOST:PORT; else the node that runs here with the same settings.
    #[arg(long, value_name = "URL", env = URL_NAME, value_parser = base_url)]
    url: Option<Url>,
    /// Key of the API; else API_KEY from the settings, else the token of the node here, which its own user can read. Other users of this
    /// host can see arguments.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Print the answer as a table, or as JSON.
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
    /// The same as --output json.
    #[arg(long)]
    json: bool,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Target {
    /// Whether answers are for programs.
    pub(super) fn wants_json(&self) -> bool {
        self.json || self.output == Format::Json
    }
}

/// A URL, for which `http://` may be left out.
fn base_url(text: &str) -> Result<Url, String> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).map_err(|error| format!("{error}; write http://HOST:PORT or HOST:PORT"))?;
    match url.scheme() {
        "http" => Ok(url),
        "https" => {
            Err("nodes speak plain HTTP: behind a proxy with HTTPS, give the HOST:PORT of the node itself"
                .to_owned())
        }
        other => Err(format!("a node has no {other}:// address; write http://HOST:PORT or HOST:PORT")),
    }
}

/// Base URL and key. Invalid settings matter only if the arguments do not replace them.
pub(super) fn address(file: Option<&Path>, target: &Target) -> Result<(Url, Option<String>), Failed> {
    if let (Some(url), Some(key)) = (&target.url, &target.api_key) {
        return Ok((url.clone(), Some(key.clone())));
    }
    let loaded = load(file);
    let own_key = |config: &Config| config.api_key.as_ref().map(|key| key.0.clone());
    let key = target.api_key.clone().or_else(|| own_key(&loaded.as_ref().ok()?.config));
    if let Some(url) = &target.url {
        return Ok((url.clone(), key));
    }
    let config = loaded.map_err(|errors| {
        let lines: Vec<_> = errors.problems.into_iter().map(|problem| problem.line).collect();
        let why = format!("the settings are not valid, so use --url and --api-key: {}", lines.join("; "));
        Failed::new(CONFIGURATION, why)
    })?;
    let config = config.config;
    // A user who can read the token may call the node; others need the key.
    let token = || access::token_here(&config.data_dir).ok().flatten().map(|token| token.0);
    let key = key.or_else(token);
    Ok((own_url(&config)?, key))
}

/// The node that runs here with these settings.
fn own_url(config: &Config) -> Result<Url, Failed> {
    let url = format!("http://{}/", healthcheck::local(config.http_bind));
    Url::parse(&url).map_err(|error| Failed::new(INTERNAL, format!("{url}: {error}")))
}

/// Asks the node that runs here with these settings, with a key.
pub(super) fn here(
    config: &Config,
    method: Method,
    path: &[&str],
    key: Option<Secret>,
) -> Result<Answer, Failed> {
    let url = below(&own_url(config)?, path);
    wait(call(url, key.map(|key| key.0), Call { method, body: None, if_match: None }))
}

/// The address of this path at a node.
pub(super) fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    // Every http:// URL has a path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// A client with time limits. Without proxies from the environment and redirects: both would send the key to another host.
///
/// # Errors
/// When the system has no random numbers or the like.
pub(super) fn client(limits: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, Failed> {
    let client =
        Client::builder().no_proxy().redirect(redirect::Policy::none()).connect_timeout(CONNECT_LIMIT);
    limits(client).build().map_err(|error| Failed::new(INTERNAL, error.to_string()))
}

/// Runs a call to its end.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(INTERNAL, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(work)
}

/// Asks the node for `path` and returns its answer.
pub(super) fn ask(
    file: Option<&Path>,
    target: &Target,
    method: Method,
    path: &[&str],
    body: Option<Value>,
    force: bool,
) -> Result<Answer, Failed> {
    let query: &[(&str, &str)] = if force { &[("force", "true")] } else { &[] };
    ask_with(file, target, path, query, Call { method, body, if_match: None })
}

/// What is sent beside the address and the key.
pub(super) struct Call {
    pub method: Method,
    pub body: Option<Value>,
    /// Only if this revision is in force.
    pub if_match: Option<u64>,
}

impl Call {
    /// One that changes nothing.
    pub fn get() -> Self {
        Self { method: Method::GET, body: None, if_match: None }
    }
}

/// The same with parameters, and on a condition.
pub(super) fn ask_with(
    file: Option<&Path>,
    target: &Target,
    path: &[&str],
    query: &[(&str, &str)],
    asked: Call,
) -> Result<Answer, Failed> {
    let (base, key) = address(file, target)?;
    let mut url = below(&base, path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    wait(call(url, key, asked))
}

/// Asks for a list or the like.
pub(super) fn get(
    file: Option<&Path>,
    target: &Target,
    path: &[&str],
    query: &[(&str, &str)],
) -> Result<Answer, Failed> {
    ask_with(file, target, path, query, Call::get())
}

/// Makes a call.
pub(super) async fn call(url: Url, key: Option<String>, asked: Call) -> Result<Answer, Failed> {
    let client = client(|client| client.timeout(LIMIT))?;
    let mut request = client.request(asked.method, url.clone());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(revision) = asked.if_match {
        request = request.header(IF_MATCH, format!("\"{revision}\""));
    }
    if let Some(body) = asked.body {
        request = request.json(&body);
    }
    let response = request.send().await.map_err(|error| unreachable(&url, &error))?;
    let status = response.status();
    let body = text_of(response, &url).await?;
    match status.is_success() {
        true => match serde_json::from_str(&body) {
            Ok(answer) => Ok(Answer::new(url, answer)),
            Err(_) => Err(strange(&url, "it is no JSON")),
        },
        false => Err(refused(&url, status, &body)),
    }
}

/// The body of an answer, if it is not larger than any of a node.
pub(super) async fn text_of(mut response: Response, url: &Url) -> Result<String, Failed> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreachable(url, &error))? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(strange(url, "it does not end"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_url_may_be_left_out() {
        for (text, expected) in [
            ("localhost:8000", "http://localhost:8000/"),
            ("a", "http://a/"),
            ("10.0.0.1:81/sub", "http://10.0.0.1:81/sub"),
            ("[::1]:8000", "http://[::1]:8000/"),
        ] {
            assert_eq!(base_url(text).unwrap().as_str(), expected);
        }
        for text in ["", "ftp://a", "https://a:8443", "unix:///x", "http://", "a b"] {
            assert!(base_url(text).is_err_and(|why| why.contains("HOST:PORT")), "{text}");
        }
    }
}
