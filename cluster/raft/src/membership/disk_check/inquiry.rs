//! A starting node asks the other members what they remember of it, before it votes, stands for election or stores. Until then
//! it refuses leaders and candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::roll::Roll;
use crate::errors::Failure;
use crate::membership::disk_check::rule::{Answer, DiskVerdict, Forgot, judge, replaceable};
use crate::membership::removal;
use crate::membership::twin;
use crate::replica::core::Core;
use crate::replica::trust::Trust;
use crate::store::Standing;
use crate::transport::CALL_LIMIT;
use crate::transport::proto::HelloReply;
use crate::util::blocking;
use futures::stream::{FuturesUnordered, StreamExt};

/// How long a node waits for more answers once it has enough.
const REST: Duration = Duration::from_millis(1_500);
/// How long a node with a bad disk looks for members that can replace it.
const HELP: Duration = Duration::from_secs(5);
/// Pause between rounds; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a waiting node logs what is missing.
const REMINDER: Duration = Duration::from_secs(10);

/// Compares, then lets the node take part or ends it.
pub(crate) async fn run(core: Arc<Core>) {
    let mut inquiry = Inquiry::new(core.node_id(), core.found);
    let mut pause = PAUSE;
    let mut reminded = Instant::now();
    loop {
        if *core.trust.borrow() == Trust::Sound {
            // A new cluster has nothing to compare.
            return core.take_part();
        }
        match inquiry.round(&core).await {
            Ok(Outcome::Sound) => core.take_part(),
            Ok(Outcome::Failed(failure)) => return core.fail(failure),
            Ok(Outcome::Later(why)) => {
                core.inquired.store(true, Ordering::Relaxed);
                if let Some(why) = why.filter(|_| reminded.elapsed() >= REMINDER) {
                    reminded = Instant::now();
                    tracing::warn!("{why}");
                }
                tokio::select! {
                    () = core.stop.cancelled() => return,
                    () = core.called.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            // The Raft core is gone, and so will the process be.
            Err(_) => return,
        }
    }
}

/// Outcome of a round.
enum Outcome {
    Sound,
    /// Undecided; the text says what is missing, unless a moment helps.
    Later(Option<String>),
    Failed(Failure),
}

/// Questions and answers since the start.
struct Inquiry {
    own: u64,
    has: Standing,
    roll: Roll,
    answers: BTreeMap<u64, Answer>,
    /// Since when enough have answered.
    enough: Option<Instant>,
    /// The loss, and since when it is known.
    forgot: Option<(Forgot, Instant)>,
}

impl Inquiry {
    fn new(own: u64, has: Standing) -> Self {
        Self { own, has, roll: Roll::default(), answers: BTreeMap::new(), enough: None, forgot: None }
    }

    /// Asks every node that may be a member.
    async fn round(
        &mut self,
        core: &Core,
    ) -> Result<Outcome, openraft::errors::Fatal<crate::types::TypeConfig>> {
        let own = core.identity.load();
        let stored = core.raft.with_raft_state(|state| state.membership_state.effective().clone()).await?;
        if own.cluster_id.is_none() {
            // No cluster could remember it.
            return Ok(Outcome::Later(None));
        }
        let index = stored.log_id().map_or(0, |id| id.index);
        let known: BTreeMap<_, _> = stored
            .membership()
            .nodes()
            .map(|(id, member)| (*id, (member.name.clone(), core.wire.address(*id, member))))
            .collect();
        // What answers as a member has to prove its key.
        let noted = stored.membership().nodes().any(|(_, member)| member.key.is_some());
        if !core.wire.has_members() {
            let nodes = stored.membership().nodes();
            core.wire.set_members(nodes.map(|(id, member)| (*id, member.clone())).collect());
        }
        if known.is_empty() {
            if self.roll.members.is_empty() {
                self.roll = Roll::of_founders(&own.founders);
            }
        } else if self.roll.members.is_empty() || index > self.roll.index {
            let voters = stored.membership().voter_ids().collect();
            self.roll = Roll { index, voters, members: known.clone() };
        }
        let mut places: BTreeSet<String> = core.seeds().into_iter().collect();
        places.extend(core.options.peers.iter().map(|peer| peer.addr.clone()));
        places.extend(self.roll.members.values().map(|(_, address)| address.clone()));
        places.remove(&core.options.advertise);
        if places.is_empty() {
            return Ok(self.decide(core).await);
        }
        let mut calls: FuturesUnordered<_> = places
            .iter()
            .map(|address| core.wire.hello(address, &core.options.advertise, CALL_LIMIT))
            .collect();
        let mut outcome = Outcome::Later(None);
        while let Some(hello) = calls.next().await {
            if let Ok(hello) = hello
                && hello.cluster_id == own.cluster_id
                && hello.node_id != own.node_id
                && (!noted || known.contains_key(&hello.node_id))
            {
                // Checked first: a removed node must not take events that nobody gets.
                if !known.is_empty() && removal::is_removed(&own, index, &hello) {
                    return Ok(Outcome::Failed(removal::removed(core).await));
                }
                self.learn(hello);
            }
            outcome = self.decide(core).await;
            if !matches!(outcome, Outcome::Later(_)) {
                break;
            }
        }
        Ok(outcome)
    }

    fn learn(&mut self, hello: HelloReply) {
        self.roll.learn(&hello);
        let answer = Answer {
            remembers: hello.remembers.map(Into::into).unwrap_or_default(),
            trust: hello.trust().into(),
            leads: hello.leads,
            name: hello.name,
        };
        self.answers.insert(hello.node_id, answer);
    }

    async fn decide(&mut self, core: &Core) -> Outcome {
        let verdict = match &self.forgot {
            Some((forgot, _)) => DiskVerdict::Forgot(forgot.clone()),
            None => judge(self.own, &self.has, &self.roll.voters, &self.answers),
        };
        match verdict {
            DiskVerdict::Unknown { asked, needed } => {
                let missing = self.names(|id| !self.answers.contains_key(&id));
                let why = format!(
                    "this node takes no part yet: before it does, it asks a majority what they remember of it. It has asked \
                     {asked} of {needed}, itself included; no answer from {missing}"
                );
                Outcome::Later(Some(why))
            }
            DiskVerdict::Sound { certain } => {
                let since = *self.enough.get_or_insert_with(Instant::now);
                if certain || since.elapsed() >= REST { Outcome::Sound } else { Outcome::Later(None) }
            }
            DiskVerdict::Forgot(forgot) => self.look_for_help(core, forgot).await,
        }
    }

    /// A node whose disk lost data waits a while for undamaged members.
    async fn look_for_help(&mut self, core: &Core, forgot: Forgot) -> Outcome {
        let own = core.identity.load();
        if self.forgot.is_none() {
            if twin::found(core).await.is_some() {
                // The other process has what is remembered; this one is about to stop.
                return Outcome::Later(None);
            }
            core.trust.send_replace(Trust::Forgot);
            tracing::error!(
                node = own.node_name,
                id = own.node_id,
                "the disk of this node has lost what it had acknowledged: {forgot}. It does not vote with this disk"
            );
        }
        let (_, since) = self.forgot.get_or_insert((forgot.clone(), Instant::now()));
        let waited = since.elapsed();
        match replaceable(own.node_id, &self.roll.voters, &self.answers) {
            Err(_) if waited < HELP => Outcome::Later(None),
            Err((undamaged, needed)) => {
                let why = self.advice(core, &forgot, undamaged, needed);
                Outcome::Failed(Failure::Forgot(why))
            }
            Ok(()) => Outcome::Failed(self.renew(core, &forgot).await),
        }
    }

    /// Plans the start as a new member.
    async fn renew(&self, core: &Core, forgot: &Forgot) -> Failure {
        let own = core.identity.load();
        let others = self.roll.members.iter().filter(|(id, _)| **id != own.node_id);
        let join: Vec<String> = others.map(|(_, (_, address))| address.clone()).collect();
        let identity = core.identity.clone();
        match blocking(move || identity.plan_renewal(join)).await {
            Ok(()) => Failure::Renewed(format!(
                "the disk of {} (id {}) has lost what it had acknowledged: {forgot}. The other voters are undamaged, so it goes \
                 on as a new member under a new id",
                own.node_name, own.node_id
            )),
            Err(error) => Failure::Forgot(format!(
                "the disk of {} (id {}) has lost what it had acknowledged: {forgot}. It cannot be replaced, because its new id \
                 cannot be stored: {error}",
                own.node_name, own.node_id
            )),
        }
    }

    /// Advice for the operator.
    fn advice(&self, core: &Core, forgot: &Forgot, undamaged: usize, needed: usize) -> String {
        let own = core.identity.load();
        let absent = self.names(|id| !self.answers.contains_key(&id));
        let damaged =
            self.names(|id| self.answers.get(&id).is_some_and(|answer| answer.trust != Trust::Sound));
        let count = self.roll.voters.len();
        format!(
            "{} (id {}) has lost what it had acknowledged: {forgot}. {undamaged} of {count} voters are known to be undamaged \
             besides it, and {needed} are needed to replace its disk without a loss (no answer from {absent}; not known to be \
             undamaged: {damaged}). Start those members, and then this node again. If they are lost for good, run `acefleet \
             recover` on the member that has most, or restore the newest copy of the directory {}",
            own.node_name,
            own.node_id,
            core.options.data_dir.display()
        )
    }

    /// Names of other voters, for a message.
    fn names(&self, wanted: impl Fn(u64) -> bool) -> String {
        let named = self.roll.voters.iter().filter(|id| **id != self.own && wanted(**id));
        let names: Vec<&str> =
            named.filter_map(|id| self.roll.members.get(id)).map(|(name, _)| name.as_str()).collect();
        if names.is_empty() { "nobody".into() } else { names.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lab;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_forgot_never_stands_for_election() {
        let dir = tempfile::tempdir().unwrap();
        let mut nodes = lab::formed(dir.path(), &["a", "b", "c"]).await;
        let lost = lab::leader(&nodes).await;
        let forgot = (lost + 1) % 3;
        for at in (0..3).filter(|at| *at != lost) {
            nodes[at].cluster().core().raft.runtime_config().elect(false);
        }
        nodes[lost].kill();
        let core = nodes[forgot].cluster().core();
        core.trust.send_replace(Trust::Forgot);
        core.take_part();
        // Several elections would fit in.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!nodes[forgot].cluster().is_leader());
        assert_eq!(*core.trust.borrow(), Trust::Forgot);
        core.trust.send_replace(Trust::Waiting);
        core.take_part();
        lab::until("it leads now", || nodes[forgot].cluster().is_leader()).await;
    }
}
