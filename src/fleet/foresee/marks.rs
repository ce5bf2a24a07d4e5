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
    /// Whether the client has reported streams: engines are started for such alone.
    pub plays: bool,
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

/// All marks that are known here.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Oldest first.
    marks: Vec<Mark>,
    /// Streams that have taken the place of a mark, by engine and arrival, while later marks are on that engine.
    came: BTreeSet<(EngineId, u64)>,
}

impl Marks {
    /// Takes out the marks that stand no longer: a stream that started after a mark takes the place of one.
    pub fn settle(&mut self, state: &State, now: Instant) -> Vec<(Mark, End)> {
        let mut starts: BTreeMap<EngineId, Vec<(Elapsed, u64)>> = BTreeMap::new();
        let (mut over, came) = (Vec::new(), &mut self.came);
        self.marks.retain(|mark| {
            let Some(engine) = state.engine(mark.engine) else {
                over.push((mark.clone(), End::Gone));
                return false;
            };
            let starts = starts.entry(mark.engine).or_insert_with(|| {
                let container = engine.container_id.as_deref().unwrap_or_default();
                let all = state.streams_of_container(container).rev();
                // The oldest mark of an engine comes first, so older starts count for none.
                let since = all.take_while(|stream| stream.started_at_ms >= mark.since);
                let new = since.filter(|stream| !came.contains(&(mark.engine, stream.seq)));
                let mut new: Vec<_> = new.map(|stream| (stream.started_at_ms, stream.seq)).collect();
                new.reverse();
                new
            });
            let end = match starts.iter().position(|(at, _)| *at >= mark.since) {
                Some(place) => {
                    let (_, seq) = starts.remove(place);
                    came.insert((mark.engine, seq));
                    End::Taken
                }
                None if mark.until <= now => End::Lapsed,
                None => return true,
            };
            over.push((mark.clone(), end));
            false
        });
        let marked = self.engines(|_| true);
        self.came.retain(|(engine, _)| marked.contains(engine));
        over
    }

    /// Notes a mark, unless it is known or there are too many.
    pub fn note(&mut self, mark: Mark) -> bool {
        let is_known = self.marks.iter().any(|known| (known.by, known.number) == (mark.by, mark.number));
        let is_noted = !is_known && self.marks.len() < MARKS_MAX;
        if is_noted {
            let place = self.marks.partition_point(|known| known.since <= mark.since);
            self.marks.insert(place, mark);
        }
        is_noted
    }

    /// Takes a mark back: its client did not go on.
    pub fn take_back(&mut self, by: NodeId, number: u64) -> bool {
        let before = self.marks.len();
        self.marks.retain(|mark| (mark.by, mark.number) != (by, number));
        self.marks.len() < before
    }

    /// What this node tells the leader of its own marks, the newest ones.
    pub fn told_by(&self, node: NodeId, now: Instant) -> Vec<ToldMark> {
        let own = self.marks.iter().rev().filter(|mark| mark.by == node).take(TOLD_MAX);
        let told = own.map(|mark| ToldMark {
            number: mark.number,
            engine: mark.engine,
            since: mark.since,
            plays: mark.plays,
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
            let ToldMark { number, engine, since, plays, .. } = *told;
            let until = now + left;
            self.note(Mark { by, number, engine, since, until, client: None, was_free: false, plays });
        }
        let known = claim.candidates.iter().take(CANDIDATES_MAX);
        let candidates: Vec<Candidate> =
            known.map(|it| Candidate { streams: it.streams.max(streams(it.engine)), ..*it }).collect();
        let mut others = self.counts();
        let Candidate { engine, streams, .. } = *choose(&candidates, &others)?;
        others.remove(&engine);
        let (number, until) = (claim.number, now + STANDS);
        let (was_free, plays) = (streams == 0, claim.plays);
        self.note(Mark { by, number, engine, since: moment, until, client, was_free, plays });
        Some(Foreseen { engine, since: moment, revision, others: others.into_iter().collect() })
    }

    /// The engines that have such a mark.
    pub fn engines(&self, such: impl Fn(&Mark) -> bool) -> BTreeSet<EngineId> {
        self.marks.iter().filter(|mark| such(mark)).map(|mark| mark.engine).collect()
    }

    /// How many marks a client of this node has.
    pub fn of_client(&self, client: IpAddr) -> usize {
        self.marks.iter().filter(|mark| mark.client == Some(client)).count()
    }

    fn counts(&self) -> BTreeMap<EngineId, u32> {
        let mut counts = BTreeMap::new();
        for mark in &self.marks {
            *counts.entry(mark.engine).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
