//! The newest batches of the feed, which all readers share. It is bounded in bytes: a reader that falls behind it is dropped, never waited
//! for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::http::feed::wanted::{Subject, Wanted};

/// Bytes of batches that are kept for readers.
const KEPT: usize = 8 << 20;

/// One frame of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// What it is about, for filters.
    pub subject: Subject,
    /// Its text.
    pub text: Bytes,
}

/// Frames that became known together.
#[derive(Debug)]
pub(crate) struct Batch {
    all: Bytes,
    parts: Vec<(Subject, Range<usize>)>,
}

impl Batch {
    /// These frames in their order.
    pub fn of(frames: &[Frame]) -> Self {
        let mut all = Vec::with_capacity(frames.iter().map(|frame| frame.text.len()).sum());
        let mut parts = Vec::with_capacity(frames.len());
        for Frame { subject, text } in frames {
            let from = all.len();
            all.extend_from_slice(text);
            parts.push((*subject, from..all.len()));
        }
        Self { all: all.into(), parts }
    }

    /// What a reader gets of it; the bytes are shared unless a filter leaves holes.
    pub fn text(&self, wanted: &Wanted) -> Bytes {
        let mut taken = self.parts.iter().filter(|(subject, _)| wanted.takes(*subject)).map(|(_, part)| part);
        let Some(first) = taken.next() else { return Bytes::new() };
        let (mut run, mut text) = (first.clone(), Vec::new());
        for part in taken {
            if part.start == run.end {
                run.end = part.end;
            } else {
                text.extend_from_slice(self.all.get(run).unwrap_or_default());
                run = part.clone();
            }
        }
        if text.is_empty() {
            return self.all.slice(run);
        }
        text.extend_from_slice(self.all.get(run).unwrap_or_default());
        text.into()
    }

    /// Whether the feed ends with it.
    pub fn is_last(&self) -> bool {
        self.parts.iter().any(|(subject, _)| *subject == Subject::Feed)
    }

    fn bytes(&self) -> usize {
        self.all.len() + self.parts.len() * size_of::<(Subject, Range<usize>)>()
    }
}

/// The newest batches by number, counted from 1.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    newest: u64,
}

/// A batch that is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped;

impl Ring {
    /// Number of the newest batch; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Adds a batch, and drops old ones for it.
    pub fn push(&mut self, batch: Batch) {
        self.newest += 1;
        self.bytes += batch.bytes();
        self.batches.push_back(Arc::new(batch));
        while self.bytes > KEPT && self.batches.len() > 1 {
            self.pop();
        }
    }

    /// Drops all batches. Their numbers are not given out again.
    pub fn clear(&mut self) {
        while !self.batches.is_empty() {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(old) = self.batches.pop_front() {
            self.bytes -= old.bytes();
        }
    }

    /// The batch behind this one; none when there is none yet.
    pub fn behind(&self, number: u64) -> Result<Option<Arc<Batch>>, Dropped> {
        if number >= self.newest {
            return Ok(None);
        }
        let oldest = self.newest - self.batches.len() as u64 + 1;
        let place = (number + 1).checked_sub(oldest).ok_or(Dropped)?;
        let batch = usize::try_from(place).ok().and_then(|place| self.batches.get(place));
        batch.cloned().map(Some).ok_or(Dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::feed::wanted::ObjectType;

    fn frame(subject: Subject, text: &str) -> Frame {
        Frame { subject, text: Bytes::copy_from_slice(text.as_bytes()) }
    }

    #[test]
    fn readers_get_what_they_want_of_a_batch() {
        let engine = Subject::Change(ObjectType::Engine);
        let node = Subject::Change(ObjectType::Node);
        let batch =
            Batch::of(&[frame(node, "n1"), frame(engine, "e1"), frame(engine, "e2"), frame(node, "n2")]);
        let wants =
            |types: &[ObjectType]| Wanted { types: types.iter().copied().collect(), ..Wanted::default() };
        assert_eq!(batch.text(&Wanted::default()), "n1e1e2n2");
        assert_eq!(batch.text(&wants(&[ObjectType::Engine])), "e1e2");
        assert_eq!(batch.text(&wants(&[ObjectType::Node])), "n1n2");
        assert_eq!(batch.text(&wants(&[ObjectType::Vpn])), "");
        let shared = batch.text(&wants(&[ObjectType::Engine]));
        assert_eq!(shared.as_ptr(), batch.all.slice(2..).as_ptr(), "nothing is copied without need");
    }

    #[test]
    fn a_reader_goes_on_behind_its_batch_or_learns_that_it_is_too_late() {
        let mut ring = Ring::default();
        assert_eq!(ring.behind(0).unwrap().map(|_| ()), None);
        let text = "x".repeat(KEPT / 4);
        for _ in 0..3 {
            ring.push(Batch::of(&[frame(Subject::Figures, &text)]));
        }
        assert!(ring.behind(0).unwrap().is_some() && ring.behind(2).unwrap().is_some());
        assert!(ring.behind(3).unwrap().is_none());
        for _ in 0..3 {
            ring.push(Batch::of(&[frame(Subject::Figures, &text)]));
        }
        assert!(ring.bytes <= KEPT);
        assert_eq!(ring.behind(0).err(), Some(Dropped));
        assert!(ring.behind(5).unwrap().is_some());
        ring.clear();
        assert_eq!((ring.newest(), ring.bytes), (6, 0));
        assert_eq!(ring.behind(5).err(), Some(Dropped));
        assert!(ring.behind(6).unwrap().is_none());
    }
}
