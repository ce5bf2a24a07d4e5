//! Calls to an engine's HTTP API: bounded in time and size, without redirects and proxies.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::agent::own_lack::OwnLack;

/// Longest answer that is read; those of engines are small.
const MAX_BODY: usize = 256 * 1024;

/// Why there is no usable answer of an engine.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// No answer in time, or the connection broke.
    #[error("no answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
    /// There is no address to ask at.
    #[error("there is no address to ask at")]
    Nowhere,
    /// It answered with this status.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The body is too long.
    #[error("the answer is longer than {MAX_BODY} bytes")]
    TooLong,
    /// The body is not JSON.
    #[error("the answer is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl FetchError {
    /// What this node lacked for the call, if it failed for that: the engine was not asked.
    pub(super) fn own_lack(&self) -> Option<OwnLack> {
        match self {
            Self::NoAnswer(error) => OwnLack::of(error),
            Self::Nowhere | Self::Status(_) | Self::TooLong | Self::NotJson(_) => None,
        }
    }
}

/// The client for all calls to engines.
///
/// # Errors
/// When the system gives no randomness or the like. No setting helps.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // Idle connections cost 50 KiB for each engine, new ones to the own host almost nothing.
        .pool_max_idle_per_host(0)
        .build()
}

/// GETs a JSON document; anything but 2xx is an error.
pub(super) async fn json(client: &reqwest::Client, url: Url, limit: Duration) -> Result<Value, FetchError> {
    json_with(client.get(url), limit).await
}

/// Sends a request whose answer is a JSON document; anything but 2xx is an error.
pub(super) async fn json_with(
    request: reqwest::RequestBuilder,
    limit: Duration,
) -> Result<Value, FetchError> {
    let mut response = request.timeout(limit).send().await?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&body)?)
}
