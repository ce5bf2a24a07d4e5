//! What containers write, on whichever host they run, and what nodes do.

use std::time::{Duration, Instant};

use acefleet_registry::{NodeId, State};
use futures::future::join_all;

use crate::fleet::containers::{not_found, soon};
use crate::fleet::{Fleet, FleetError};
use crate::peers::log::WAIT_MAX_MS;
use crate::peers::{Answer, LogPart, LogQuery, LogSource, Question};

/// Time for an answer beside the wait for a line.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A container whose log was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    node: NodeId,
    source: LogSource,
}

impl Fleet {
    /// The log of a managed container, also for an hour after it ended by itself, or of a VPN container, with the newest lines that are
    /// asked for. `id` is a full id, a prefix of 12 characters or more, or a name; VPN containers are also called `node/container`.
    ///
    /// # Errors
    /// When no host knows it, or the one that may does not answer.
    pub async fn log(&self, id: &str, newest: LogQuery) -> Result<(Log, LogPart), FleetError> {
        let candidates = candidates(&self.view().state, id)?;
        let asks = candidates.into_iter().map(|log| {
            let newest = newest.clone();
            async move {
                let part = self.part(&log, newest, soon()).await;
                (log, part)
            }
        });
        let mut missing = not_found();
        for (log, part) in join_all(asks).await {
            match part {
                Ok(Some(part)) => return Ok((log, part)),
                Ok(None) => {}
                Err(error) => missing = error,
            }
        }
        Err(missing)
    }

    /// What comes behind a position of a log. Waits about a second for a line. `None` when its container is not known any more.
    ///
    /// # Errors
    /// When its host does not answer, or cannot read it now.
    pub async fn log_behind(&self, log: &Log, position: u64) -> Result<Option<LogPart>, FleetError> {
        let deadline = Instant::now() + Duration::from_millis(WAIT_MAX_MS) + ANSWER_WITHIN;
        self.part(log, LogQuery::Behind(position), deadline).await
    }

    /// The newest lines that a member wrote to its own log, at most 512 KiB.
    ///
    /// # Errors
    /// When there is no such member, or it does not answer, or keeps no lines as its version is too old.
    pub async fn log_of_node(&self, name: &str) -> Result<String, FleetError> {
        let member = self.member(name)?;
        match self.ask_owner(member.id, Question::OwnLog, soon()).await? {
            Answer::OwnLog(text) => Ok(text),
            _ => Err(self.unexpected(member.id)),
        }
    }

    async fn part(
        &self,
        log: &Log,
        query: LogQuery,
        deadline: Instant,
    ) -> Result<Option<LogPart>, FleetError> {
        let question = Question::Log { source: log.source.clone(), query };
        match self.ask_owner(log.node, question, deadline).await? {
            Answer::Log(part) => Ok(part),
            _ => Err(self.unexpected(log.node)),
        }
    }
}

/// Where the log of a container may be.
fn candidates(state: &State, id: &str) -> Result<Vec<Log>, FleetError> {
    if let Some(engine) = state.engine_by_container(id) {
        let source = LogSource::Managed(engine.container_id.as_deref().unwrap_or(id).to_owned());
        return Ok(vec![Log { node: engine.node, source }]);
    }
    let (host, container) = id.split_once('/').map_or((None, id), |(host, name)| (Some(host), name));
    let hosts = state.nodes().filter(|node| host.is_none_or(|host| node.info.name == host));
    let watch = hosts.filter(|node| node.info.vpns.iter().any(|vpn| vpn.container == container));
    let watch: Vec<(NodeId, &str)> = watch.map(|node| (node.info.id, node.info.name.as_str())).collect();
    match &watch[..] {
        [] => {}
        [(node, _)] => return Ok(vec![Log { node: *node, source: LogSource::Vpn(container.to_owned()) }]),
        [(_, first), ..] => {
            let hosts = watch.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
            return Err(FleetError::NotFound(format!(
                "several hosts have a container {container} ({hosts}): ask for {first}/{container}"
            )));
        }
    }
    // Any host may remember one that ended.
    let of = |node: NodeId| Log { node, source: LogSource::Managed(id.to_owned()) };
    Ok(state.nodes().map(|node| of(node.info.id)).collect())
}
