//! Foresees which engine a client is about to take, so that others are led elsewhere
//! ([ADR 0049](../../../docs/adr/0049-the-next-engine-is-foreseen.md)).
//!
//! - [`choice`]: the client's rule
//! - [`sweeps`]: which reads belong to one choice
//! - [`marks`]: which engines clients are about to take
//!
//! All of it is soft state. It changes what the reads of a choice show, and no count, no placement and no other answer.

mod choice;
mod marks;
mod sweeps;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use acefleet_registry::{Elapsed, EngineId, NodeId, State};
use tokio::sync::Notify;

use crate::fleet::Fleet;
use crate::op_id::new_op_id;
use crate::peers::{Answer, Claim, Foreseen, Question};

pub use choice::{Listed, Listing};
use marks::{End, Mark, Marks, STANDS};
use sweeps::{HELD_MOST, Progress, STALLED, Sweeps};
pub use sweeps::{Reading, SweepId};

/// Marks of one client at a time, when it has reported streams, and when it may be no player.
const OF_PLAYER_MAX: usize = 512;
const OF_READER_MAX: usize = 64;
/// The leader answers within this time, or the node chooses by its own marks.
const ASK_WITHIN: Duration = Duration::from_millis(100);
/// After a leader did not, the node asks none for so long.
const RESTS: Duration = Duration::from_secs(1);

/// How the marks of this node ended.
#[derive(Debug, Default)]
pub struct Ends {
    taken: AtomicU64,
    lapsed: AtomicU64,
    unfinished: AtomicU64,
}

impl Ends {
    /// The counts by name: `taken`, a stream started on the engine; `lapsed`, none did within 20 s; `unfinished`, the client did not ask
    /// for all engines.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("taken", count(&self.taken)),
            ("lapsed", count(&self.lapsed)),
            ("unfinished", count(&self.unfinished)),
        ]
    }
}

/// What this node foresees.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    marks: Mutex<Marks>,
    sweeps: Mutex<Sweeps>,
    rests_until: Mutex<Option<Instant>>,
    /// The leader that knows the marks of this node, and its term.
    told: Mutex<Option<(NodeId, u64)>>,
    /// A sweep has gone on or ended.
    moved: Notify,
    /// A player is about to take another engine.
    marked: Notify,
    ends: Ends,
}

/// Nothing that these locks guard is left half done by a panic elsewhere.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Started streams that an answer shows for an engine without any foreseen one.
fn shown(state: &State, engine: EngineId, moment: Elapsed) -> u32 {
    let taken = state.engine(engine).map_or(0, |known| state.taken(known, moment));
    u32::try_from(taken).unwrap_or(u32::MAX)
}

impl Fleet {
    fn foresight(&self) -> &Foresight {
        &self.parts.foresight
    }

    /// How the marks of this node ended.
    #[must_use]
    pub fn foreseen_ends(&self) -> &Ends {
        self.settle_marks();
        &self.foresight().ends
    }

    /// A client got the list of engines.
    pub fn foresee_list(&self, client: IpAddr, listing: &Arc<Listing>) {
        if self.config().foresee {
            locked(&self.foresight().sweeps).listed(client, listing, Instant::now());
        }
    }

    /// A client reported a stream.
    pub fn foresee_player(&self, client: IpAddr) {
        if self.config().foresee {
            locked(&self.foresight().sweeps).played(client);
        }
    }

    /// A client asks for the started streams of an engine, by its published id. What this read is decides what it is shown; see
    /// [`Self::foreseen`].
    #[must_use]
    pub fn foresee_read(&self, client: IpAddr, container: &str) -> Reading {
        if !self.config().foresee {
            return Reading::Alone;
        }
        let reading = locked(&self.foresight().sweeps).read(client, container, Instant::now());
        if let Reading::GoesOn(_) | Reading::Waits(..) = reading {
            self.foresight().moved.notify_waiters();
        }
        reading
    }

    /// So many streams more than run there does a read show, because other clients are about to take the engine. Waits for the leader at
    /// the begin of a sweep, and while the sweep before has to go on, both for a bounded time.
    pub async fn foreseen(&self, reading: Reading) -> u32 {
        let reading = match reading {
            // On a task of its own: a client that goes away meanwhile leaves a sweep that stalls, and no mark for 20 s.
            Reading::Begins { client, listing } => {
                let fleet = self.clone();
                let begun = tokio::spawn(async move { fleet.begin(client, listing).await });
                begun.await.unwrap_or(Reading::Alone)
            }
            other => other,
        };
        match reading {
            Reading::Alone | Reading::Begins { .. } => 0,
            Reading::GoesOn(more) => more,
            Reading::Waits(id, more) => {
                self.wait_for_the_one_before(id).await;
                more
            }
        }
    }

    async fn begin(&self, client: IpAddr, listing: Arc<Listing>) -> Reading {
        let Some((number, foreseen)) = self.claim(client, &listing).await else { return Reading::Alone };
        let others: BTreeMap<EngineId, u32> = foreseen.others.into_iter().collect();
        let now = Instant::now();
        let reading = locked(&self.foresight().sweeps).begin(client, number, listing, Arc::new(others), now);
        tokio::spawn(self.clone().watch(SweepId { client, number }));
        reading
    }

    /// Waits until a sweep is over, and takes its mark back if its client did not go on.
    async fn watch(self, id: SweepId) {
        loop {
            tokio::time::sleep(STALLED).await;
            let progress = locked(&self.foresight().sweeps).look(id, Instant::now());
            match progress {
                Progress::Open => {}
                Progress::Complete => return,
                Progress::Stalled => break,
            }
        }
        let foresight = self.foresight();
        foresight.moved.notify_waiters();
        let me = self.cluster().node_id();
        if locked(&foresight.marks).take_back(me, id.number) {
            foresight.ends.unfinished.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(leader) = self.asked_leader() {
            self.tell_taken_back(leader, id.number).await;
        }
    }

    async fn tell_taken_back(self, leader: NodeId, number: u64) {
        let told = self.ask_owner(leader, Question::TakeBack(number), Instant::now() + RESTS).await;
        if let Err(error) = told {
            tracing::debug!(%error, "the leader keeps a mark whose client has gone, for 20 s");
        }
    }

    async fn wait_for_the_one_before(&self, id: SweepId) {
        /// However the wait ends, the sweep is held no more.
        struct Held<'a>(&'a Foresight, SweepId);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                locked(&self.0.sweeps).let_go(self.1, Instant::now());
                self.0.moved.notify_waiters();
            }
        }
        let foresight = self.foresight();
        let held = Held(foresight, id);
        let until = Instant::now() + HELD_MOST;
        loop {
            // Before the look, so that no move is missed.
            let mut moved = std::pin::pin!(foresight.moved.notified());
            moved.as_mut().enable();
            let now = Instant::now();
            let looked = locked(&foresight.sweeps).release(id, now);
            match looked {
                Err(wait) if now < until => {
                    let next = until.min(now + wait.max(Duration::from_millis(1)));
                    let _ = tokio::time::timeout_at(next.into(), moved).await;
                }
                _ => break,
            }
        }
        drop(held);
    }

    /// Which engine a client is led to, and the number of its mark. The leader says, as it knows the marks of all nodes.
    async fn claim(&self, client: IpAddr, listing: &Listing) -> Option<(u64, Foreseen)> {
        let foresight = self.foresight();
        self.settle_marks();
        let plays = locked(&foresight.sweeps).plays(client);
        let most = if plays { OF_PLAYER_MAX } else { OF_READER_MAX };
        if locked(&foresight.marks).of_client(client) >= most {
            return None;
        }
        let view = self.view();
        let moment = self.cluster().moment();
        let candidates = listing.candidates(|engine| shown(&view.state, engine, moment));
        // Never a number of an earlier life of this node, which the leader may still know.
        let claim = Claim { number: new_op_id().1, candidates, plays, own: Vec::new() };
        if let Some(leader) = self.asked_leader() {
            if let Some(said) = self.ask_leader(leader, client, claim.clone()).await {
                return said.map(|foreseen| (claim.number, foreseen));
            }
            *locked(&foresight.rests_until) = Some(Instant::now() + RESTS);
            // The leader may have noted this number, for another engine.
            tokio::spawn(self.clone().tell_taken_back(leader, claim.number));
        }
        let claim = Claim { number: new_op_id().1, ..claim };
        let foreseen = self.claim_here(self.cluster().node_id(), &claim, Some(client))?;
        Some((claim.number, foreseen))
    }

    /// What the leader says; `None` when it does not. One that leads since another term is told the marks of before.
    async fn ask_leader(&self, leader: NodeId, client: IpAddr, mut claim: Claim) -> Option<Option<Foreseen>> {
        let (foresight, me) = (self.foresight(), self.cluster().node_id());
        let led = (leader, self.cluster().status().term);
        if *locked(&foresight.told) != Some(led) {
            claim.own = locked(&foresight.marks).told_by(me, Instant::now());
        }
        let question = Question::Foresee(claim.clone());
        let foreseen = match self.ask_owner(leader, question, Instant::now() + ASK_WITHIN).await {
            Ok(Answer::Foreseen(foreseen)) => foreseen,
            Ok(_) => {
                tracing::warn!("the leader answered another question than which engine is foreseen");
                return None;
            }
            Err(error) => {
                tracing::debug!(%error, "the leader does not say which engine is foreseen");
                return None;
            }
        };
        *locked(&foresight.told) = Some(led);
        let Some(Foreseen { engine, since, revision, .. }) = &foreseen else { return Some(None) };
        let Claim { number, candidates, plays, .. } = claim;
        let was_free = candidates.iter().any(|it| it.engine == *engine && it.streams == 0);
        let until = Instant::now() + STANDS;
        let (engine, since, client) = (*engine, *since, Some(client));
        locked(&foresight.marks).note(Mark { by: me, number, engine, since, until, client, was_free, plays });
        // Streams that have taken the place of marks there run here then, too.
        self.cluster().wait_revision(*revision, Instant::now() + ASK_WITHIN).await;
        Some(foreseen)
    }

    /// The leader, when it is another node and answers lately.
    fn asked_leader(&self) -> Option<NodeId> {
        let leader = self.cluster().status().leader?;
        let rests = locked(&self.foresight().rests_until).is_some_and(|until| Instant::now() < until);
        (leader != self.cluster().node_id() && !rests).then_some(leader)
    }

    /// Answers another node whose client is about to choose.
    pub(super) fn foresee_for(&self, by: NodeId, claim: &Claim) -> Option<Foreseen> {
        self.settle_marks();
        self.claim_here(by, claim, None)
    }

    fn claim_here(&self, by: NodeId, claim: &Claim, client: Option<IpAddr>) -> Option<Foreseen> {
        let (view, moment) = (self.view(), self.cluster().moment());
        let streams = |engine| shown(&view.state, engine, moment);
        let stamp = (moment, view.revision);
        let claimed =
            locked(&self.foresight().marks).claim(by, claim, streams, stamp, Instant::now(), client);
        // Engines are started for players alone.
        if claimed.is_some() && claim.plays {
            self.foresight().marked.notify_one();
        }
        claimed
    }

    /// The client of another node's mark did not go on.
    pub(super) fn take_back_for(&self, by: NodeId, number: u64) {
        locked(&self.foresight().marks).take_back(by, number);
    }

    /// Engines that clients which have reported streams are about to take, as far as this node knows. A reader that plays nothing starts no
    /// engine.
    pub(super) fn foreseen_engines(&self) -> BTreeSet<EngineId> {
        self.settle_marks();
        locked(&self.foresight().marks).engines(|mark| mark.plays)
    }

    /// Waits until another engine is about to be taken.
    pub(super) async fn foreseen_more(&self) {
        self.foresight().marked.notified().await;
    }

    fn settle_marks(&self) {
        let (foresight, me) = (self.foresight(), self.cluster().node_id());
        let over = locked(&foresight.marks).settle(&self.view().state, Instant::now());
        for (mark, end) in over.into_iter().filter(|(mark, _)| mark.by == me) {
            match end {
                End::Taken => {
                    if let Some(client) = mark.client {
                        locked(&foresight.sweeps).came(client);
                    }
                    foresight.ends.taken.fetch_add(1, Ordering::Relaxed)
                }
                End::Lapsed => {
                    if let Some(client) = mark.client.filter(|_| mark.was_free) {
                        locked(&foresight.sweeps).lapsed(client, Instant::now());
                    }
                    foresight.ends.lapsed.fetch_add(1, Ordering::Relaxed)
                }
                End::Gone => continue,
            };
        }
    }
}
