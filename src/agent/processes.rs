//! The processes of containers on this host, through which the kernel shows a container's network.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Mutex;

use tokio::io::AsyncReadExt;

use crate::agent::lock::unpoisoned;
use crate::agent::runtime::RuntimeError;
use crate::agent::sockets::{self, Counts, Sockets};

/// Why a container's network is not seen, and what helps.
const UNSEEN: &str = "its process is not among those of this node: the daemon runs elsewhere, or the node's container \
                                 needs `pid: host` (Docker: `--pid=host`)";
/// Containers that are remembered; more than a host runs.
const MOST: usize = 4_096;
/// How often Docker is asked for a first process within one look.
const QUESTIONS: usize = 3;
/// Bytes of this node's table of routes that are looked through with each look.
const ROUTES_MAX: u64 = 256 * 1024;

/// First processes of containers, by container id.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<HashMap<String, Known>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    process: i64,
    /// How many sockets its network had when nobody was connected.
    deserted: Option<Counts>,
}

impl Processes {
    /// The connections of a container. Asks for its first process when that is not known, and again when it cannot be seen: it may have
    /// ended since the answer. One that still runs and is not seen is none of this node's.
    pub async fn look<F>(&self, container: &str, ask: impl Fn() -> F) -> Result<Sockets, RuntimeError>
    where
        F: Future<Output = Result<i64, RuntimeError>>,
    {
        let mut unseen = None;
        for _ in 0..QUESTIONS {
            if let Some(sockets) = self.sockets(container).await {
                return Ok(sockets);
            }
            let process = ask().await?;
            if unseen.replace(process) == Some(process) {
                break;
            }
            self.note(container, process);
        }
        match self.sockets(container).await {
            Some(sockets) => Ok(sockets),
            None => Err(RuntimeError::Other(UNSEEN.to_owned())),
        }
    }

    /// Docker says that this is the first process of a container.
    fn note(&self, container: &str, process: i64) {
        let mut known = unpoisoned(&self.0);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(container.to_owned(), Known { process, deserted: None });
    }

    fn note_counts(&self, container: &str, deserted: Option<Counts>) {
        if let Some(known) = unpoisoned(&self.0).get_mut(container) {
            known.deserted = deserted;
        }
    }

    /// The connections of a container; none when its process is not known, has ended, or is another one.
    async fn sockets(&self, container: &str) -> Option<Sockets> {
        let Known { process, deserted } = *unpoisoned(&self.0).get(container)?;
        let read = async |file: &str| tokio::fs::read_to_string(format!("/proc/{process}/{file}")).await;
        let is_its = async || read("cgroup").await.is_ok_and(|text| text.contains(container));
        if !is_its().await {
            unpoisoned(&self.0).remove(container);
            return None;
        }
        // Before the lists: who comes meanwhile is in those, or changes the counts.
        let sockets = read("net/sockstat").await.unwrap_or_default();
        let counts = Counts::read(&sockets, read("net/sockstat6").await.ok().as_deref());
        if counts.is_some() && counts == deserted {
            return is_its().await.then(Sockets::default);
        }
        let routes = read("net/route").await.unwrap_or_default();
        let tables = [read("net/tcp").await.ok()?, read("net/tcp6").await.unwrap_or_default()];
        let own = own_addresses().await.map(|mut own| {
            own.extend(sockets::routers(&routes));
            own
        });
        let found = Sockets::read(&tables, own.as_ref());
        // Its number may have been given to another meanwhile.
        let is_its = is_its().await;
        self.note_counts(container, counts.filter(|_| is_its && found.is_empty()));
        is_its.then_some(found)
    }
}

/// The addresses of this node, from which it calls; none when its routes are too many to look through.
async fn own_addresses() -> Option<BTreeSet<IpAddr>> {
    let mut routes = String::new();
    let file = tokio::fs::File::open("/proc/self/net/fib_trie").await.ok()?;
    file.take(ROUTES_MAX).read_to_string(&mut routes).await.ok()?;
    if routes.len() as u64 >= ROUTES_MAX {
        return None;
    }
    let v6 = tokio::fs::read_to_string("/proc/self/net/if_inet6").await.unwrap_or_default();
    Some(sockets::addresses(&routes, &v6))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// No process has this number.
    const ENDED: i64 = i64::MAX;

    /// What comes of a look while Docker gives these answers, and how often it was asked.
    async fn look(answers: &[Result<i64, RuntimeError>]) -> (RuntimeError, usize) {
        let asked = AtomicUsize::new(0);
        let ask = || {
            let turn = asked.fetch_add(1, Ordering::SeqCst);
            std::future::ready(answers[turn.min(answers.len() - 1)].clone())
        };
        let why = Processes::default().look("c0ffee", ask).await.unwrap_err();
        (why, asked.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_process_that_ends_meanwhile_is_not_taken_for_one_of_another_host() {
        assert_eq!(look(&[Ok(ENDED), Err(RuntimeError::NotFound)]).await, (RuntimeError::NotFound, 2));
        let unseen = || RuntimeError::Other(UNSEEN.to_owned());
        assert_eq!(look(&[Ok(ENDED)]).await, (unseen(), 2), "it runs somewhere");
        let restarts = [Ok(ENDED), Ok(ENDED - 1), Ok(ENDED - 2), Ok(ENDED - 3)];
        assert_eq!(look(&restarts).await, (unseen(), 3), "the questions have no end");
    }
}
