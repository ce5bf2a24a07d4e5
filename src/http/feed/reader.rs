//! One reader of the feed: what it has missed, then each batch, until it falls behind.

use bytes::Bytes;
use tokio::sync::watch;

use crate::http::feed::backlog::Backlog;
use crate::http::feed::changes::{Bye, bye};
use crate::http::feed::hub::Seat;
use crate::http::feed::ring::Dropped;
use crate::http::feed::wanted::Wanted;

/// One reader, and how far it is.
pub(super) struct Reader {
    /// Fires with each batch.
    pub newest: watch::Receiver<u64>,
    /// What it wants.
    pub wanted: Wanted,
    /// Events that it gets first.
    pub backlog: Backlog,
    /// Batch behind which it goes on.
    pub behind: u64,
    /// It has got its last frame.
    pub ended: bool,
    /// Its place.
    pub seat: Seat,
}

impl Reader {
    /// The next frames; none at the end.
    pub async fn next(mut self) -> Option<(Bytes, Self)> {
        while !self.ended {
            match self.backlog.next(&self.seat.app, &self.wanted) {
                Ok(None) => {}
                Ok(Some(text)) => return Some((text, self)),
                Err(Dropped) => {
                    self.ended = true;
                    return Some((bye(Bye::Gap), self));
                }
            }
            self.newest.mark_unchanged();
            match self.seat.app.feed().behind(self.behind) {
                Ok(Some(batch)) => {
                    self.behind += 1;
                    self.ended = batch.is_last();
                    let text = batch.text(&self.wanted);
                    if !text.is_empty() {
                        return Some((text, self));
                    }
                }
                Ok(None) => self.newest.changed().await.ok()?,
                Err(Dropped) => {
                    self.ended = true;
                    self.seat.app.feed().note_slow();
                    return Some((bye(Bye::TooSlow), self));
                }
            }
        }
        None
    }
}
