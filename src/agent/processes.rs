//! The processes of containers on this host, through which the kernel shows a container's network.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::agent::lock::unpoisoned;
use crate::agent::sockets::Sockets;

/// Why a container's network is not seen, and what helps.
pub(super) const UNSEEN: &str = "its process is not among those of this node: the daemon runs elsewhere, or the node's container \
                                 needs `pid: host` (Docker: `--pid=host`)";
/// Containers that are remembered; more than a host runs.
const MOST: usize = 4_096;

/// First processes of containers, by container id.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<HashMap<String, i64>>);

impl Processes {
    /// Docker says that this is the first process of a container.
    pub fn note(&self, container: &str, process: i64) {
        let mut known = unpoisoned(&self.0);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(container.to_owned(), process);
    }

    /// The connections of a container; none when its process is not known, has ended, or is another one.
    pub async fn sockets(&self, container: &str) -> Option<Sockets> {
        let process = *unpoisoned(&self.0).get(container)?;
        let read = async |file: &str| tokio::fs::read_to_string(format!("/proc/{process}/{file}")).await;
        let is_its = async || read("cgroup").await.is_ok_and(|text| text.contains(container));
        if !is_its().await {
            unpoisoned(&self.0).remove(container);
            return None;
        }
        let tables = [read("net/tcp").await.ok()?, read("net/tcp6").await.unwrap_or_default()];
        // Its number may have been given to another meanwhile.
        is_its().await.then(|| Sockets::read(&tables))
    }
}
