//! Events of the log that a reader has missed, or wants first. They are rendered in pieces as they are read: nobody holds the whole log.

use acefleet_registry::event::EventLog;
use bytes::Bytes;

use crate::http::answer::snapshot::Sight;
use crate::http::app::App;
use crate::http::feed::changes::of_event;
use crate::http::feed::ring::Dropped;
use crate::http::feed::wanted::{FrameKind, Wanted};

/// Bytes of a piece, which its last event may exceed.
const PIECE: usize = 32 << 10;
/// Events that are looked at for a piece. More would delay heartbeats.
const LOOKED_AT: usize = 500;

/// Events that are still to be sent.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// They are behind this one.
    behind: u64,
    /// The last of them.
    until: u64,
    /// So many the log had of them.
    left: usize,
}

impl Backlog {
    /// What the log has behind one event, until another one.
    pub fn of(log: &EventLog, behind: u64, until: u64) -> Self {
        Self { behind, until, left: kept(log, behind, until) }
    }

    /// The next piece of what the reader wants; none at the end.
    ///
    /// # Errors
    /// When the log has dropped some of it meanwhile.
    pub fn next(&mut self, app: &App, wanted: &Wanted) -> Result<Option<Bytes>, Dropped> {
        if !wanted.has(FrameKind::Event) {
            return Ok(None);
        }
        while self.left > 0 {
            let sight = Sight::now(app);
            let log = sight.view.state.events();
            if kept(log, self.behind, self.until) < self.left {
                return Err(Dropped);
            }
            let mut text = Vec::new();
            for event in log.after(self.behind).iter().take(self.left.min(LOOKED_AT)) {
                self.behind = event.id;
                self.left -= 1;
                let frame = of_event(&sight, event);
                if wanted.takes(frame.subject) {
                    text.extend_from_slice(&frame.text);
                }
                if text.len() >= PIECE {
                    break;
                }
            }
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
        }
        Ok(None)
    }
}

/// Events that the log has behind one, until another one.
fn kept(log: &EventLog, behind: u64, until: u64) -> usize {
    log.after(behind).len() - log.after(until.max(behind)).len()
}
