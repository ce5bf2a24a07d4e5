//! Answers questions of any node's API about what containers of this host wrote: managed ones, and VPN containers that this node
//! watches.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::agent::runtime::RuntimeError;
use crate::agent::{AgentHandle, last_words, log_lines};
use crate::peers::log::{BYTES_MAX, LINES_MAX};
use crate::peers::{LogLine, LogPart, LogQuery, LogSource};

/// Who asks through another node waits for two seconds, and has to learn that it is Docker which does not answer.
const READ_WITHIN: Duration = Duration::from_millis(1_500);

/// What Docker says, unless that takes longer.
pub(super) async fn within<T>(
    limit: Duration,
    read: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    let late = |_| RuntimeError::Unavailable(format!("no answer in {} ms", limit.as_millis()));
    tokio::time::timeout(limit, read).await.map_err(late)?
}

impl AgentHandle {
    /// Lines of a container, one that ended here by itself within the last hour included. `None` when it is not known here.
    ///
    /// # Errors
    /// When Docker does not answer: retry.
    pub async fn log(&self, source: &LogSource, query: &LogQuery) -> anyhow::Result<Option<LogPart>> {
        let Some(container) = self.running(source) else {
            return Ok(self.last_words(source, query));
        };
        match *query {
            LogQuery::Behind(position) => self.parts.tails.behind(&container, position).await.map(Some),
            LogQuery::Newest { lines, since_ns } => {
                let lines = lines.min(LINES_MAX);
                // One line says where the log ends, even if none is wanted.
                let asked = LogQuery::Newest { lines: lines.max(1), since_ns };
                match within(READ_WITHIN, self.parts.runtime.log(&container, &asked)).await {
                    Ok(found) => Ok(Some(newest(log_lines::legible(found), lines as usize, since_ns))),
                    Err(RuntimeError::NotFound) => Ok(self.last_words(source, query)),
                    Err(error) => Err(error).context("the log cannot be read"),
                }
            }
        }
    }

    /// The last lines of a managed container, as earlier versions ask for them.
    ///
    /// # Errors
    /// When Docker does not answer: retry.
    pub async fn logs(&self, id: &str) -> anyhow::Result<Option<String>> {
        let query = LogQuery::Newest { lines: last_words::KEPT_LINES, since_ns: 0 };
        let part = self.log(&LogSource::Managed(id.to_owned()), &query).await?;
        Ok(part.map(|part| last_words::as_text(&part.lines)))
    }

    /// What Docker calls a container that runs here, or whose end is still being followed.
    fn running(&self, source: &LogSource) -> Option<String> {
        let parts = &self.parts;
        let id = match source {
            LogSource::Vpn(name) => {
                let watched = parts.config.vpn.iter().flat_map(|vpn| &vpn.containers);
                return watched.map(|info| &info.container).find(|known| *known == name).cloned();
            }
            LogSource::Managed(id) => id,
        };
        if parts.tails.has(id) {
            return Some(id.clone());
        }
        let view = parts.cluster.view();
        let own = view.state.engine_by_container(id).filter(|e| e.node == parts.cluster.node_id());
        own.and_then(|engine| engine.container_id.as_deref().map(str::to_owned))
    }

    fn last_words(&self, source: &LogSource, query: &LogQuery) -> Option<LogPart> {
        let LogSource::Managed(id) = source else { return None };
        let mut lines = self.parts.last_words.of(id, Instant::now())?;
        let ended = Some("the container has ended".to_owned());
        Some(match *query {
            LogQuery::Newest { lines: wanted, since_ns } => {
                LogPart { ended, ..newest(lines, wanted as usize, since_ns) }
            }
            LogQuery::Behind(position) => {
                lines.retain(|line| line.at_ns > position);
                LogPart { lines, position, ended }
            }
        })
    }
}

/// The newest lines from a moment on, and where the log goes on.
fn newest(mut lines: Vec<LogLine>, wanted: usize, since_ns: u64) -> LogPart {
    let end = lines.last().map_or(0, |line| line.at_ns);
    let position = end.max(since_ns.saturating_sub(1));
    lines.retain(|line| line.at_ns >= since_ns);
    lines.drain(..lines.len().saturating_sub(wanted));
    log_lines::keep_newest(&mut lines, BYTES_MAX);
    LogPart { lines, position, ended: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_behind_what_was_read_of_it() {
        let lines = || [5, 7, 9].map(|at_ns| LogLine { at_ns, ..LogLine::default() }).to_vec();
        let part = |wanted, since_ns| {
            let part = newest(lines(), wanted, since_ns);
            (part.lines.iter().map(|line| line.at_ns).collect::<Vec<_>>(), part.position)
        };
        assert_eq!(part(2, 0), (vec![7, 9], 9));
        assert_eq!(part(9, 7), (vec![7, 9], 9));
        assert_eq!(part(0, 0), (vec![], 9), "only what comes");
        assert_eq!(part(9, 30), (vec![], 29), "only what comes from then on");
        assert_eq!(newest(vec![], 9, 0).position, 0, "everything that comes");
    }
}
