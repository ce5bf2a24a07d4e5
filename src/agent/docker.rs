//! The container engine on a Docker daemon: the calls behind each operation.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use acefleet_registry::lack::Lack;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StatsOptionsBuilder,
    StopContainerOptionsBuilder,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};

use crate::agent::docker_connection::{Connection, PING_LIMIT, PULL_LIMIT};
use crate::agent::docker_convert as convert;
use crate::agent::docker_excerpt::excerpt;
use crate::agent::docker_log::{self, Part};
use crate::agent::docker_refusal::{Call, forbidden};
use crate::agent::docker_stats;
use crate::agent::processes::Processes;
use crate::agent::runtime::{ContainerRuntime, Counters, Inspection, Observed, RuntimeError, Scope, VpnView};
use crate::agent::sockets::Sockets;
use crate::agent::spec::{self, ContainerSpec};
use crate::config::Config;
use crate::peers::{LogLine, LogQuery};

/// Ids that one list may ask for: each takes some 70 bytes of a URL, which proxies of sockets limit.
const IDS_AT_ONCE: usize = 100;
/// Time for calls that change something, beside the grace of a stop.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// Time for the counters of a container: the next question comes soon.
const STATS_LIMIT: Duration = Duration::from_secs(3);
/// Events after which a list may differ. Podman's socket calls the first two `died` and `remove`.
const EVENTS: [&str; 5] = ["die", "destroy", "rename", "died", "remove"];
/// The states of containers that every daemon knows.
const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// A Docker daemon.
pub struct DockerRuntime {
    docker: Connection,
    processes: Processes,
}

impl DockerRuntime {
    /// Remembers where the daemon is; connects to nothing.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { docker: Connection::new(config), processes: Processes::default() }
    }

    async fn discard(&self, id: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        self.docker
            .call(Call::Remove, WRITE_LIMIT, convert::error, |docker| async move {
                docker.remove_container(id, Some(options)).await
            })
            .await
    }

    async fn create_and_start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        checked(&spec.name)?;
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let body = convert::create_body(spec);
        let meaning = |error: &Error| convert::run_error(error, spec);
        let began = Instant::now();
        let created = self
            .docker
            .call(Call::Create, WRITE_LIMIT, meaning, |docker| async move {
                docker.create_container(Some(options), body).await
            })
            .await?;
        for warning in created.warnings {
            tracing::warn!(name = spec.name, warning, "Docker warns of a new container");
        }
        let id = created.id.as_str();
        // The id becomes part of the next path.
        checked(id).map_err(|_| RuntimeError::Other(format!("Docker gave a new container the id {id:?}")))?;
        let create_ms = began.elapsed().as_millis();
        let started = self
            .docker
            .call(Call::Start, WRITE_LIMIT, meaning, |docker| async move {
                docker.start_container(id, None).await
            })
            .await;
        if let Err(failed) = started {
            if let Err(error) = self.discard(id).await {
                tracing::warn!(name = spec.name, %error, "cannot remove a container that did not start");
            }
            return Err(failed);
        }
        let all_ms = began.elapsed().as_millis();
        tracing::debug!(name = spec.name, create_ms, all_ms, "Docker has started a container");
        Ok(created.id)
    }

    async fn stop_and_remove(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        checked(id)?;
        if !grace.is_zero() {
            let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
            let options = StopContainerOptionsBuilder::new().t(seconds).build();
            let stopped = self
                .docker
                .call(Call::Stop, WRITE_LIMIT + grace, convert::error, |docker| async move {
                    docker.stop_container(id, Some(options)).await
                })
                .await;
            match stopped {
                Err(RuntimeError::NotFound) => return Ok(()),
                Err(error @ RuntimeError::Unavailable(_)) => return Err(error),
                Ok(()) => {}
                Err(error) => tracing::debug!(id, %error, "cannot stop the container; removing it kills it"),
            }
        }
        match self.discard(id).await {
            Err(RuntimeError::NotFound) => Ok(()),
            // Another removal of it is running.
            Err(RuntimeError::Other(why)) if why.contains("already in progress") => Ok(()),
            other => other,
        }
    }
}

/// Ids and names become part of a path. Anything else counts as a container that does not exist.
fn checked(id: &str) -> Result<(), RuntimeError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(fits) {
        true => Ok(()),
        false => Err(RuntimeError::NotFound),
    }
}

/// A filter by label. All labels of a filter have to match, so it cannot name several cluster ids.
fn label_filter() -> Vec<String> {
    vec![spec::LABEL_NODE.to_owned()]
}

/// All containers that pass these filters. One in a state that the library cannot read must not hide the others: then only those in
/// known states are asked for. An engine that a list lacks is inspected.
async fn listed(
    docker: Docker,
    mut filters: HashMap<String, Vec<String>>,
) -> Result<Vec<ContainerSummary>, Error> {
    let options = |filters: &HashMap<String, Vec<String>>| {
        Some(ListContainersOptionsBuilder::new().all(true).filters(filters).build())
    };
    let all = docker.list_containers(options(&filters)).await;
    let Err(Error::JsonDataError { .. }) = &all else { return all };
    filters.insert("status".to_owned(), STATES.map(str::to_owned).to_vec());
    match docker.list_containers(options(&filters)).await {
        Ok(known) => Ok(known),
        Err(_) => all,
    }
}

/// The events that are asked for.
fn event_filters() -> HashMap<String, Vec<String>> {
    HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), EVENTS.map(str::to_owned).to_vec()),
        ("label".to_owned(), label_filter()),
    ])
}

impl ContainerRuntime for DockerRuntime {
    fn ping(&self) -> BoxFuture<'_, Result<(), RuntimeError>> {
        async move {
            let ping = |docker: Docker| async move { docker.ping().await.map(drop) };
            let answer = self.docker.call(Call::Ping, PING_LIMIT, convert::error, ping).await;
            match answer {
                // A refusal ends the stream, too.
                Err(RuntimeError::Other(why) | RuntimeError::Forbidden(why)) => {
                    Err(RuntimeError::Unavailable(why))
                }
                other => other,
            }
        }
        .boxed()
    }

    fn list<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<Observed>, RuntimeError>> {
        async move {
            let filters = HashMap::from([("label".to_owned(), label_filter())]);
            let found = self.docker.read(Call::List, |docker| listed(docker, filters)).await?;
            let mut found: Vec<Observed> = found.into_iter().filter_map(convert::observed).collect();
            found.retain(|c| scope.covers(&c.id, &c.labels));
            let lacking: Vec<String> =
                scope.engines.iter().filter(|id| found.iter().all(|c| c.id != **id)).cloned().collect();
            // Adopted containers of the orchestrator of before have no label of a node, and labels cannot be added.
            for some in lacking.chunks(IDS_AT_ONCE) {
                let filters = HashMap::from([("id".to_owned(), some.to_vec())]);
                let more = self.docker.read(Call::List, |docker| listed(docker, filters)).await?;
                let more = more.into_iter().filter_map(convert::observed);
                found.extend(more.filter(|c| scope.engines.contains(&c.id)));
            }
            Ok(found)
        }
        .boxed()
    }

    fn has<'a>(&'a self, lack: &'a Lack) -> BoxFuture<'a, Result<bool, RuntimeError>> {
        async move {
            let found = match lack {
                Lack::Image(name) => {
                    let inspect = |docker: Docker| async move { docker.inspect_image(name).await.map(drop) };
                    self.docker.read(Call::Image, inspect).await
                }
                Lack::Network(name) => {
                    let inspect =
                        |docker: Docker| async move { docker.inspect_network(name, None).await.map(drop) };
                    self.docker.read(Call::Network, inspect).await
                }
            };
            match found {
                Ok(()) => Ok(true),
                Err(RuntimeError::NotFound) => Ok(false),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>> {
        async move {
            let found = self.docker.read(Call::List, |docker| listed(docker, HashMap::new())).await?;
            Ok(found.into_iter().filter_map(convert::observed).collect())
        }
        .boxed()
    }

    fn run<'a>(&'a self, spec: &'a ContainerSpec) -> BoxFuture<'a, Result<String, RuntimeError>> {
        self.create_and_start(spec).boxed()
    }

    fn inspect<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        async move {
            checked(id)?;
            let found = self
                .docker
                .read(Call::Inspect, |docker| async move { docker.inspect_container(id, None).await })
                .await?;
            convert::inspection(found).ok_or(RuntimeError::NotFound)
        }
        .boxed()
    }

    fn sockets<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Sockets, RuntimeError>> {
        async move {
            checked(id)?;
            let first_process = || async move {
                let found = self
                    .docker
                    .read(Call::Inspect, |docker| async move { docker.inspect_container(id, None).await })
                    .await?;
                let process = found.state.and_then(|state| state.pid).filter(|process| *process > 0);
                process.ok_or(RuntimeError::NotFound)
            };
            self.processes.look(id, first_process).await
        }
        .boxed()
    }

    fn vpn<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<VpnView, RuntimeError>> {
        async move {
            checked(name)?;
            let found = self
                .docker
                .read(Call::Inspect, |docker| async move { docker.inspect_container(name, None).await })
                .await?;
            convert::vpn(found).ok_or(RuntimeError::NotFound)
        }
        .boxed()
    }

    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            checked(name)?;
            self.docker
                .call(Call::Restart, WRITE_LIMIT, convert::error, |docker| async move {
                    docker.restart_container(name, None).await
                })
                .await
        }
        .boxed()
    }

    fn counters<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Counters, RuntimeError>> {
        async move {
            checked(id)?;
            let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
            let once = |docker: Docker| async move { docker.stats(id, Some(options)).try_next().await };
            let stats = self.docker.call(Call::Stats, STATS_LIMIT, convert::error, once).await?;
            stats.and_then(docker_stats::counters).ok_or(RuntimeError::NotFound)
        }
        .boxed()
    }

    fn log<'a>(
        &'a self,
        id: &'a str,
        query: &'a LogQuery,
    ) -> BoxFuture<'a, Result<Vec<LogLine>, RuntimeError>> {
        async move {
            checked(id)?;
            let mut part = match *query {
                LogQuery::Newest { lines, since_ns } => Part { tail: Some(lines), since_ns, follow: false },
                LogQuery::Behind(since_ns) => Part { tail: None, since_ns, follow: false },
            };
            loop {
                let (lines, is_whole) =
                    self.docker.read(Call::Logs, |docker| excerpt(docker, id, part)).await?;
                // Docker sends the oldest lines first, and there are too many: fewer of them have the newest.
                match part.tail {
                    Some(tail) if !is_whole && tail > 1 => part.tail = Some(tail / 4 + 1),
                    _ => return Ok(lines),
                }
            }
        }
        .boxed()
    }

    fn follow(
        &self,
        id: &str,
        lines: u32,
        since_ns: u64,
    ) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let client = checked(id).and_then(|()| {
            self.docker.current().ok_or_else(|| RuntimeError::Unavailable("not connected".to_owned()))
        });
        let client = match client {
            Ok(client) => client,
            Err(error) => return futures::stream::once(std::future::ready(Err(error))).boxed(),
        };
        let options = docker_log::options(Part { tail: Some(lines), since_ns, follow: true });
        let lines = client.logs(id, Some(options)).map_ok(|message| {
            futures::stream::iter(docker_log::lines(message).into_iter().map(Ok::<_, Error>))
        });
        lines.try_flatten().map_err(|error| convert::error(&error)).boxed()
    }

    fn remove<'a>(&'a self, id: &'a str, grace: Duration) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.stop_and_remove(id, grace).boxed()
    }

    fn pull<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            let (name, tag) = convert::split_image(image);
            let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
            let pull = |docker: Docker| async move {
                docker.create_image(Some(options), None, None).try_for_each(|_| async { Ok(()) }).await
            };
            match self.docker.call(Call::Pull, PULL_LIMIT, convert::error, pull).await {
                Err(RuntimeError::NotFound) => {
                    Err(RuntimeError::Other("its registry does not know it".to_owned()))
                }
                other => other,
            }
        }
        .boxed()
    }

    fn events(&self) -> BoxStream<'static, Result<(), RuntimeError>> {
        let client = self.docker.current();
        let Some(client) = client else {
            let error = RuntimeError::Unavailable("not connected".to_owned());
            return futures::stream::once(std::future::ready(Err(error))).boxed();
        };
        let options = EventsOptionsBuilder::new().filters(&event_filters()).build();
        let host = self.docker.host.clone();
        // The stream borrows the client, so one owner holds both.
        async_stream(client, options, host)
    }
}

fn async_stream(
    client: Docker,
    options: bollard::query_parameters::EventsOptions,
    host: String,
) -> BoxStream<'static, Result<(), RuntimeError>> {
    let events = client.events(Some(options)).map(move |event| match event {
        Ok(_) => Ok(()),
        Err(error) => Err(forbidden(&error, Call::Events)
            .unwrap_or_else(|| RuntimeError::Unavailable(format!("{host}: {error}")))),
    });
    events.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of Podman 4.9 and Docker 28 when a container ends and is removed.
    const EVENTS_SENT: [&str; 4] = [
        r#"{"status":"died","id":"5f9d","from":"localhost/engine:dev","Type":"container","Action":"died","Actor":{"ID":"5f9d","Attributes":{"acefleet.node":"a","containerExitCode":"137","image":"localhost/engine:dev","name":"acestream-1"}},"scope":"local","time":1764315000,"timeNano":1764315000123456789}"#,
        r#"{"status":"remove","id":"5f9d","from":"localhost/engine:dev","Type":"container","Action":"remove","Actor":{"ID":"5f9d","Attributes":{"acefleet.node":"a","name":"acestream-1"}},"scope":"local","time":1764315001,"timeNano":1764315001123456789}"#,
        r#"{"status":"die","id":"5f9d","from":"engine:dev","Type":"container","Action":"die","Actor":{"ID":"5f9d","Attributes":{"acefleet.node":"a","exitCode":"137","image":"engine:dev","name":"acestream-1"}},"scope":"local","time":1764315000,"timeNano":1764315000123456789}"#,
        r#"{"status":"destroy","id":"5f9d","from":"engine:dev","Type":"container","Action":"destroy","Actor":{"ID":"5f9d","Attributes":{"acefleet.node":"a","name":"acestream-1"}},"scope":"local","time":1764315001,"timeNano":1764315001123456789}"#,
    ];

    #[test]
    fn ends_are_asked_for_in_the_terms_of_docker_and_of_podman() {
        let asked = event_filters();
        for line in EVENTS_SENT {
            let event: bollard::models::EventMessage = serde_json::from_str(line).unwrap();
            let (kind, action) = (event.typ.unwrap().to_string(), event.action.unwrap());
            assert!(asked["type"].contains(&kind) && asked["event"].contains(&action), "{line}");
            let labels = event.actor.unwrap().attributes.unwrap();
            assert!(asked["label"].iter().all(|label| labels.contains_key(label)), "{line}");
        }
    }

    #[test]
    fn only_ids_and_names_become_part_of_a_path() {
        for good in ["acestream-1", "9d1f3c", "a_b.c"] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", ".", "../images", "a/b", "a?force=1", "a b", "ä"] {
            assert_eq!(checked(bad), Err(RuntimeError::NotFound), "{bad}");
        }
    }
}
