//! `acefleet healthcheck`: asks the node that runs with the same settings, for images without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use acefleet::config::load;
use anyhow::{Context, ensure};
use clap::Args;
use reqwest::{StatusCode, Url};

use super::client::{Bounds, Client};
use super::failed::Failed;
use super::output;

/// Docker knows 0 and 1 and reserves all others.
const UNHEALTHY: u8 = 1;
/// Characters of an unexpected answer that are shown.
const LONGEST_ANSWER: usize = 300;

#[derive(Args)]
pub struct Healthcheck {
    /// Ask /readyz (send traffic here?) instead of /livez (is the process alive?).
    #[arg(long)]
    ready: bool,
    /// Seconds after which a missing answer counts as unhealthy.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=300))]
    timeout: u16,
}

/// Asks once. Returns 0 when the answer is good, else 1.
pub fn healthcheck(file: Option<&Path>, args: &Healthcheck) -> u8 {
    match ask(file, args) {
        Ok(url) => output::print(&format!("{url}: ok")),
        Err(error) => {
            output::complain(&format!("{error:#}"));
            UNHEALTHY
        }
    }
}

fn ask(file: Option<&Path>, args: &Healthcheck) -> anyhow::Result<String> {
    let config = load(file)
        .map_err(|errors| {
            let lines: Vec<_> = errors.problems.into_iter().map(|problem| problem.line).collect();
            anyhow::anyhow!("{}", lines.join("; "))
        })
        .context("the settings are not valid")?
        .config;
    let path = if args.ready { "readyz" } else { "livez" };
    let url = format!("http://{}/{path}", local(config.http_bind));
    let limit = Duration::from_secs(args.timeout.into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, body) = runtime.block_on(get(&url, limit))?;
    let body: String = body.chars().take(LONGEST_ANSWER).collect();
    ensure!(status.is_success(), "{url} answers {}: {body}", status.as_u16());
    Ok(url)
}

/// The node takes calls of its own host without TLS, too.
async fn get(url: &str, limit: Duration) -> anyhow::Result<(StatusCode, String)> {
    let at = Url::parse(url)?;
    let client = Client::new().map_err(why)?;
    let silent = |error| anyhow::anyhow!("{url} does not answer: {error}");
    let mut response = client.get(&at, Bounds::of(limit, Some(limit))).await.map_err(silent)?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(silent)? {
        body.extend_from_slice(&piece);
        if body.len() > LONGEST_ANSWER * 4 {
            break;
        }
    }
    Ok((response.status, String::from_utf8_lossy(&body).into_owned()))
}

fn why(failed: Failed) -> anyhow::Error {
    anyhow::anyhow!("{failed}")
}

/// Where a listener is reached from its own host.
pub fn local(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(match listener {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listener
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_the_loopback() {
        for (listener, asked) in
            [("0.0.0.0:8000", "127.0.0.1:8000"), ("[::]:81", "[::1]:81"), ("10.0.0.7:82", "10.0.0.7:82")]
        {
            assert_eq!(local(listener.parse().unwrap()).to_string(), asked);
        }
    }
}
