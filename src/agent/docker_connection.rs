//! The connection to a Docker daemon, API 1.41 or newer. Every call has a time limit. After a failure the next call connects again.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::agent::docker_convert as convert;
use crate::agent::docker_refusal::{Call, forbidden};
use crate::agent::docker_wire::{self, Place};
use crate::agent::lock::unpoisoned;
use crate::agent::runtime::RuntimeError;
use crate::config::Config;

/// Oldest supported API.
const OLDEST_API: (u32, u32) = (1, 41);
/// Where the daemon listens unless a setting says otherwise.
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";
/// Time for calls that only read.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Time limit of the library for calls without their own; there are none.
const OPEN_SECONDS: u64 = 120;
/// Time for a ping.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(5);
/// Time for the first byte of a pull; the caller limits the rest.
pub(super) const PULL_LIMIT: Duration = Duration::from_secs(900);

/// A Docker daemon. The first call connects, and the first one after a failure connects again.
pub(super) struct Connection {
    /// Where the daemon listens.
    pub host: String,
    /// Directory with certificates when the connection is encrypted.
    certs: Option<PathBuf>,
    client: Mutex<Option<Docker>>,
    /// The API of the daemon that was last told of.
    told: Mutex<Option<String>>,
}

impl Connection {
    /// Remembers where the daemon is; connects to nothing.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let host = config.docker_host.clone().unwrap_or_else(|| DEFAULT_SOCKET.to_owned());
        Self { host, certs: config.docker_certs.clone(), client: Mutex::default(), told: Mutex::default() }
    }

    /// The client of the last connection, if it stands.
    pub fn current(&self) -> Option<Docker> {
        unpoisoned(&self.client).clone()
    }

    /// A client, after a check that the daemon is new enough.
    async fn client(&self) -> Result<Docker, RuntimeError> {
        if let Some(client) = self.current() {
            return Ok(client);
        }
        let client = self.connect().await?;
        *unpoisoned(&self.client) = Some(client.clone());
        Ok(client)
    }

    async fn connect(&self) -> Result<Docker, RuntimeError> {
        let client = self.open().await.map_err(|error| match error {
            Error::SocketNotFoundError(path) => RuntimeError::Unavailable(format!(
                "there is no socket {path}: start Docker or set DOCKER_HOST"
            )),
            other => RuntimeError::Unavailable(format!("{}: {other}", self.host)),
        })?;
        let version = tokio::time::timeout(PING_LIMIT, client.version()).await;
        let version = version
            .map_err(|_| self.no_answer(PING_LIMIT))?
            .map_err(|error| self.meaning(&error, Call::Version))?;
        let api = version.api_version.unwrap_or_default();
        if !is_new_enough(&api) {
            let (major, minor) = OLDEST_API;
            let message = format!("its API is {api}, at least {major}.{minor} is needed: upgrade Docker");
            return Err(RuntimeError::Unavailable(message));
        }
        self.check_rights(&client).await?;
        // Whether it answers is told elsewhere.
        if unpoisoned(&self.told).replace(api.clone()).as_ref() != Some(&api) {
            tracing::info!(host = self.host, api, "connected to Docker");
        }
        Ok(client.with_timeout(PULL_LIMIT))
    }

    /// A client for the address in the settings; the default of the library would read the environment.
    async fn open(&self) -> Result<Docker, Error> {
        if let Some(certs) = &self.certs {
            let [key, cert, ca] = ["key.pem", "cert.pem", "ca.pem"].map(|name| certs.join(name));
            let host = self.host.clone();
            // Reads the certificates and those of the system's authorities.
            let opened = tokio::task::spawn_blocking(move || {
                Docker::connect_with_ssl(&host, &key, &cert, &ca, OPEN_SECONDS, API_DEFAULT_VERSION)
            });
            return opened.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()));
        }
        docker_wire::client(Place::of(&self.host), OPEN_SECONDS)
    }

    /// Checks whether a guard in front of the daemon allows what this node does, before an engine is placed here. It lists containers,
    /// and creates one with a name that no daemon accepts.
    async fn check_rights(&self, client: &Docker) -> Result<(), RuntimeError> {
        let list = client.list_containers(None::<ListContainersOptions>);
        let impossible = CreateContainerOptionsBuilder::new().name("-").build();
        let create = client.create_container(Some(impossible), ContainerCreateBody::default());
        let tries = async {
            let listed = list.await.map(drop).map_err(|error| (error, Call::List));
            (listed, create.await.map(drop).map_err(|error| (error, Call::Create)))
        };
        let (list, create) =
            tokio::time::timeout(READ_LIMIT, tries).await.map_err(|_| self.no_answer(READ_LIMIT))?;
        for (error, call) in [list, create].into_iter().filter_map(Result::err) {
            if let Some(forbidden) = forbidden(&error, call) {
                return Err(self.explain(forbidden));
            }
        }
        Ok(())
    }

    /// Runs one call. If the daemon does not answer, the next call connects again.
    pub async fn call<T, F>(
        &self,
        what: Call,
        limit: Duration,
        meaning: impl FnOnce(&Error) -> RuntimeError,
        call: impl FnOnce(Docker) -> F,
    ) -> Result<T, RuntimeError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let client = self.client().await?;
        let result = match tokio::time::timeout(limit, call(client)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.explain(forbidden(&error, what).unwrap_or_else(|| meaning(&error)))),
            Err(_) => Err(self.no_answer(limit)),
        };
        // The guard may allow something else now, so the next ping checks again.
        if matches!(result, Err(RuntimeError::Unavailable(_) | RuntimeError::Forbidden(_))) {
            *unpoisoned(&self.client) = None;
        }
        result
    }

    /// Runs a call that only reads.
    pub async fn read<T, F>(&self, what: Call, call: impl FnOnce(Docker) -> F) -> Result<T, RuntimeError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.call(what, READ_LIMIT, convert::error, call).await
    }

    fn meaning(&self, error: &Error, what: Call) -> RuntimeError {
        self.explain(forbidden(error, what).unwrap_or_else(|| convert::error(error)))
    }

    fn explain(&self, error: RuntimeError) -> RuntimeError {
        match error {
            RuntimeError::Unavailable(why) if why.to_ascii_lowercase().contains("permission denied") => {
                let hint = "run acefleet as root or as a member of the docker group";
                RuntimeError::Unavailable(format!("{}: {why}: {hint}", self.host))
            }
            RuntimeError::Unavailable(why) => RuntimeError::Unavailable(format!("{}: {why}", self.host)),
            RuntimeError::Forbidden(why) => RuntimeError::Forbidden(format!("{}: {why}", self.host)),
            other => other,
        }
    }

    fn no_answer(&self, limit: Duration) -> RuntimeError {
        RuntimeError::Unavailable(format!("{}: no answer within {} s", self.host, limit.as_secs()))
    }
}

fn is_new_enough(api: &str) -> bool {
    let parts =
        api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parts.is_some_and(|version: (u32, u32)| version >= OLDEST_API)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_version_is_compared_as_numbers() {
        for (api, fits) in
            [("1.41", true), ("1.51", true), ("2.0", true), ("1.9", false), ("1.40", false), ("", false)]
        {
            assert_eq!(is_new_enough(api), fits, "{api}");
        }
    }
}
