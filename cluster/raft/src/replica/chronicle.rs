//! Logs who leads: one line for each leader, with how it came to lead, and one when there is none for long.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::core::Core;
use crate::util::span::Span;

/// An election takes less.
const LEADERLESS: Duration = Duration::from_secs(2);

/// What is logged already.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    /// The last leader and the term in which it led.
    last: Option<(u64, u64)>,
    /// The log says that there is no leader.
    leaderless: bool,
}

/// How one leader followed another.
enum Succession {
    /// This node knows of none before.
    First,
    /// The same node was elected again.
    Again,
    /// The one before transferred leadership.
    Transferred,
    /// The previous leader had been silent for so long.
    Lost(Duration),
    /// Other voters lost contact with the previous leader.
    Replaced,
}

impl Chronicle {
    /// Logs changes.
    pub fn note(&mut self, core: &Core) {
        let now = core.leadership.borrow().clone();
        // The vote of an earlier run names a leader that may be long gone.
        let led = now.is_leader || core.wire.contacts().has_had_leader();
        // A new node has contact with the leader before the log names it.
        let named = now.leader.map(|id| id.0).filter(|id| led && core.is_recorded(*id));
        if let Some(leader) = named
            && self.last != Some((now.term, leader))
        {
            core.leaders_seen.fetch_add(1, Ordering::Relaxed);
            self.leads(core, now.term, leader);
            (self.last, self.leaderless) = (Some((now.term, leader)), false);
            return;
        }
        let since = core.leaderless();
        // A single node, or one outside a cluster, waits for no leader.
        let waits = core.is_recorded(core.node_id());
        if waits && !self.leaderless && since >= LEADERLESS {
            self.leaderless = true;
            let away = core.away();
            let away =
                if away.is_empty() { String::new() } else { format!("; no answer from {}", away.join(", ")) };
            tracing::warn!(
                term = now.term,
                "there has been no leader with a majority for {}{away}",
                Span(since)
            );
        } else if self.leaderless && since < LEADERLESS && now.leader.is_some() {
            self.leaderless = false;
            let name = now.leader.map_or_else(String::new, |id| core.name(id.0));
            tracing::info!(term = now.term, node = name, "{name} leads with a majority again");
        }
    }

    fn leads(&self, core: &Core, term: u64, leader: u64) {
        let name = core.name(leader);
        let before = self.last.map(|(_, id)| core.name(id)).unwrap_or_default();
        match self.succession(core, leader) {
            Succession::First => tracing::info!(term, node = name, "{name} leads since term {term}"),
            Succession::Again => {
                tracing::info!(term, node = name, "{name} leads since term {term}: it was elected again");
            }
            Succession::Transferred if before == core.options.node_name => {
                tracing::info!(term, node = name, "leadership transferred: {name} leads since term {term}");
            }
            Succession::Transferred => tracing::info!(
                term,
                node = name,
                "{name} leads since term {term}: {before} transferred leadership"
            ),
            Succession::Lost(silent) => tracing::info!(
                term,
                node = name,
                "{name} leads since term {term}: it was elected, as {before} had been silent for {}",
                Span(silent)
            ),
            Succession::Replaced => tracing::info!(
                term,
                node = name,
                "{name} leads since term {term}: it was elected in the place of {before}"
            ),
        }
    }

    fn succession(&self, core: &Core, leader: u64) -> Succession {
        let Some((term, before)) = self.last else { return Succession::First };
        if before == leader {
            return Succession::Again;
        }
        let contacts = core.wire.contacts();
        if contacts.offered(term, before) {
            return Succession::Transferred;
        }
        if before == core.node_id() {
            return Succession::Replaced;
        }
        // Nobody is elected while the leader's lease lasts.
        let silent = contacts.silence(before);
        if silent.as_millis() >= u128::from(core.options.timing.election_min_ms) {
            Succession::Lost(silent)
        } else {
            Succession::Replaced
        }
    }
}
