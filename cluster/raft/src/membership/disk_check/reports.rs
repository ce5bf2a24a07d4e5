//! Members report their standing to each other, and each stores the last report of every other. A node that starts with an old
//! disk learns of it so.
//!
//! A report leaves at most [`LOOK`] after the disk moved and is stored within [`LOOK`]: what others remember is less than a
//! second old.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;

use crate::errors::Failure;
use crate::replica::core::Core;
use crate::replica::trust::Trust;
use crate::store::{Db, Flusher, Standing};

/// Interval of reports and stores.
const LOOK: Duration = Duration::from_millis(300);
const CALL_LIMIT: Duration = Duration::from_millis(500);
/// How often an unchanged report is repeated: a member with a new disk knows nothing.
const AGAIN: Duration = Duration::from_secs(10);
/// After a failure the next report waits for a contact, or for this time.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

impl Core {
    /// What a member had: what it told, and what it acknowledged to this leader.
    pub fn remembers(&self, id: u64) -> Standing {
        let mut standing = self.remembered.of(id);
        if let Some((_, acknowledged)) = self.acknowledged().into_iter().find(|(member, _)| *member == id) {
            standing.learn(&acknowledged);
        }
        standing
    }

    /// What the members acknowledged to this leader.
    fn acknowledged(&self) -> Vec<(u64, Standing)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let stored = metrics.replication.iter().flatten().filter(|(id, _)| **id != metrics.id);
        let stored = stored.filter_map(|(id, stored)| Some((*id, (*stored)?)));
        let standing = |stored| Standing {
            // A member follows this vote, and answers once the entry is on its disk.
            vote: Some(metrics.vote),
            last: Some(stored),
            committed: metrics.local_committed.min(Some(stored)),
        };
        stored.map(|(id, stored)| (id, standing(stored))).collect()
    }

    /// Remembers that for the time after this leadership.
    fn note_acknowledged(&self) {
        for (id, acknowledged) in self.acknowledged() {
            self.remembered.learn(id, &acknowledged);
        }
    }
}

/// Stores what other members report. Ends with the node.
pub(crate) async fn keep(core: Arc<Core>, db: Arc<Db>, flusher: Flusher) {
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        core.note_acknowledged();
        let Some(members) = core.remembered.take() else { continue };
        let stored = match db.remember(&members) {
            Ok(()) => flusher.sync().await,
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            if !core.is_closing() {
                let why = format!("what the other members told cannot be stored: {error}");
                core.fail(Failure::Fatal(why));
            }
            return;
        }
    }
}

/// The last report to a member.
#[derive(Clone, Copy, Debug)]
struct SentReport {
    standing: Standing,
    at: Instant,
    reached: bool,
}

/// Reports to the other members, once this disk is known to be sound. Ends with the node.
pub(crate) async fn tell(core: Arc<Core>) {
    let mut trust = core.trust.subscribe();
    tokio::select! {
        biased;
        () = core.stop.cancelled() => return,
        sound = trust.wait_for(|state| *state == Trust::Sound) => if sound.is_err() { return },
    }
    let ids = || core.others().into_iter().map(|(id, _)| id).collect();
    tokio::select! {
        () = core.stop.cancelled() => {}
        () = side_by_side(ids, |id| tell_one(&core, id)) => {}
    }
}

/// Runs one loop for each member, so that a silent one delays no other.
async fn side_by_side<F: Future<Output = ()>>(members: impl Fn() -> BTreeSet<u64>, one: impl Fn(u64) -> F) {
    let mut loops: BTreeMap<u64, Pin<Box<F>>> = BTreeMap::new();
    loop {
        let members = members();
        loops.retain(|id, _| members.contains(id));
        for id in members {
            loops.entry(id).or_insert_with(|| Box::pin(one(id)));
        }
        tokio::select! {
            // No loop ends by itself.
            _ = join_all(loops.values_mut()), if !loops.is_empty() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn tell_one(core: &Core, id: u64) {
    let mut told: Option<SentReport> = None;
    loop {
        let standing = core.standing();
        if let Some(member) = core.member(id).filter(|_| is_due(core, id, told.as_ref(), &standing)) {
            let reached = core.wire.report(id, &member, &standing, CALL_LIMIT).await.is_ok();
            told = Some(SentReport { standing, at: Instant::now(), reached });
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_due(core: &Core, id: u64, told: Option<&SentReport>, standing: &Standing) -> bool {
    let Some(told) = told else { return true };
    let ago = told.at.elapsed();
    match told.reached {
        true => told.standing != *standing || ago >= AGAIN,
        false => {
            ago >= AFTER_FAILURE || core.wire.contacts().last_contact(id).is_some_and(|contact| contact < ago)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_member_that_never_answers_delays_no_other() {
        let calls = Mutex::new(BTreeMap::<u64, u32>::new());
        let one = async |id: u64| {
            loop {
                *calls.lock().unwrap().entry(id).or_default() += 1;
                if id == 1 {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let enough = async {
            while calls.lock().unwrap().get(&2).is_none_or(|calls| *calls < 20) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let members = Mutex::new(BTreeSet::from([1, 2]));
        let told = side_by_side(|| members.lock().unwrap().clone(), one);
        tokio::pin!(told);
        tokio::select! {
            () = &mut told => {}
            done = tokio::time::timeout(Duration::from_secs(60), enough) => done.unwrap(),
        }
        assert_eq!(calls.lock().unwrap()[&1], 1);
        // A former member gets no report; a new one gets its own.
        *members.lock().unwrap() = BTreeSet::from([3]);
        let came = async {
            while !calls.lock().unwrap().contains_key(&3) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = &mut told => {}
            done = tokio::time::timeout(Duration::from_secs(60), came) => done.unwrap(),
        }
        let left = calls.lock().unwrap()[&2];
        tokio::select! {
            () = &mut told => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        assert_eq!(calls.lock().unwrap()[&2], left, "a member that left is still told");
    }
}
