//! Which engines clients are about to take. The leader's table has the marks of all nodes, that of another node its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use acefleet_registry::{Elapsed, EngineId, NodeId, State};

use crate::fleet::foresee::choice::{CANDIDATES_MAX, choose};
use crate::peers::{Candidate, Claim, Foreseen, ToldMark};

/// A mark stands for so long at the most: Acexy waits for a session of the engine for 20 s.
pub(super) const STANDS: Duration = Duration::from_secs(20);
/// Marks in a table at the most; beyond them no more are made.
const MARKS_MAX: usize = 4_096;
/// Marks that one node tells at the most.
const TOLD_MAX: usize = 1_024;

/// A client is about to take this engine.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// The node that the client asks.
    pub by: NodeId,
    /// Its number there.
    pub number: u64,
    pub engine: EngineId,
    pub since: Elapsed,
    pub until: Instant,
    /// The client, known to its node alone.
    pub client: Option<IpAddr>,
    /// Whether nothing ran on the engine, so that only a reader that is no player leaves it alone.
    pub was_free: bool,
}

/// How a mark ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A stream started on the engine.
    Taken,
    /// Nothing came in time.
    Lapsed,
    /// The engine is gone.
    Gone,
}

/// All marks that are known here, oldest first.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<Mark>);

impl Marks {
    /// Takes out the marks that stand no longer: a stream that started after a mark takes the place of one.
    pub fn settle(&mut self, state: &State, now: Instant) -> Vec<(Mark, End)> {
        let mut starts: BTreeMap<EngineId, Vec<Elapsed>> = BTreeMap::new();
        let mut over = Vec::new();
        self.0.retain(|mark| {
            let Some(engine) = state.engine(mark.engine) else {
                over.push((mark.clone(), End::Gone));
                return false;
            };
            let starts = starts.entry(mark.engine).or_insert_with(|| {
                let container = engine.container_id.as_deref().unwrap_or_default();
                let since = state.streams_of_container(container).rev().map(|stream| stream.started_at_ms);
                // The oldest mark of an engine comes first, so older starts count for none.
                let mut since: Vec<Elapsed> = since.take_while(|at| *at >= mark.since).collect();
                since.reverse();
                since
            });
            let end = match starts.iter().position(|at| *at >= mark.since) {
                Some(place) => {
                    starts.remove(place);
                    End::Taken
                }
                None if mark.until <= now => End::Lapsed,
                None => return true,
            };
            over.push((mark.clone(), end));
            false
        });
        over
    }

    /// Notes a mark, unless it is known or there are too many.
    pub fn note(&mut self, mark: Mark) -> bool {
        let is_known = self.0.iter().any(|known| (known.by, known.number) == (mark.by, mark.number));
        let is_noted = !is_known && self.0.len() < MARKS_MAX;
        if is_noted {
            let place = self.0.partition_point(|known| known.since <= mark.since);
            self.0.insert(place, mark);
        }
        is_noted
    }

    /// Takes a mark back: its client did not go on.
    pub fn take_back(&mut self, by: NodeId, number: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|mark| (mark.by, mark.number) != (by, number));
        self.0.len() < before
    }

    /// What this node tells the leader of its own marks, the newest ones.
    pub fn told_by(&self, node: NodeId, now: Instant) -> Vec<ToldMark> {
        let own = self.0.iter().rev().filter(|mark| mark.by == node).take(TOLD_MAX);
        let told = own.map(|mark| ToldMark {
            number: mark.number,
            engine: mark.engine,
            since: mark.since,
            left_ms: mark.until.saturating_duration_since(now).as_millis().try_into().unwrap_or(u64::MAX),
        });
        told.collect()
    }

    /// Chooses for a client of a node: the engine that the client takes when it sees all other marks. One engine always shows its true
    /// count, and that is this one. `None` when there is nothing to choose from. `streams` are those that run here: a mark that a stream
    /// has replaced here must not be missed by a node whose registry lags behind.
    pub fn claim(
        &mut self,
        by: NodeId,
        claim: &Claim,
        streams: impl Fn(EngineId) -> u32,
        (moment, revision): (Elapsed, u64),
        now: Instant,
        client: Option<IpAddr>,
    ) -> Option<Foreseen> {
        for told in claim.own.iter().take(TOLD_MAX) {
            let left = Duration::from_millis(told.left_ms).min(STANDS);
            let ToldMark { number, engine, since, .. } = *told;
            let until = now + left;
            self.note(Mark { by, number, engine, since, until, client: None, was_free: false });
        }
        let known = claim.candidates.iter().take(CANDIDATES_MAX);
        let candidates: Vec<Candidate> =
            known.map(|it| Candidate { streams: it.streams.max(streams(it.engine)), ..*it }).collect();
        let mut others = self.counts();
        let Candidate { engine, streams, .. } = *choose(&candidates, &others)?;
        others.remove(&engine);
        let (number, until) = (claim.number, now + STANDS);
        let was_free = streams == 0;
        self.note(Mark { by, number, engine, since: moment, until, client, was_free });
        Some(Foreseen { engine, since: moment, revision, others: others.into_iter().collect() })
    }

    /// The engines that are marked.
    pub fn engines(&self) -> BTreeSet<EngineId> {
        self.0.iter().map(|mark| mark.engine).collect()
    }

    fn counts(&self) -> BTreeMap<EngineId, u32> {
        let mut counts = BTreeMap::new();
        for mark in &self.0 {
            *counts.entry(mark.engine).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
