//! Which engines the plays of this client are on, as far as the orchestrator must know it. The real client counts streams of the answers
//! alone, so an answer that leaves one out puts a second player on the engine.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::client::lock;

/// An engine that is given out counts as taken for 20 s; the orchestrator gave it before the client knew.
const GIVEN_FOR: Duration = Duration::from_secs(18);

#[derive(Debug)]
struct Play {
    container_id: String,
    since: Instant,
    until: Option<Instant>,
}

/// The engines of all plays of a client.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken(Arc<Mutex<Vec<Arc<Play>>>>);

/// One play on an engine; over when it is dropped.
#[derive(Debug)]
pub(super) struct OnEngine {
    taken: Taken,
    play: Arc<Play>,
}

impl Taken {
    /// The orchestrator has given this engine to a play.
    pub fn given(&self, container_id: &str) -> OnEngine {
        self.add(container_id, Some(Instant::now() + GIVEN_FOR))
    }

    /// The orchestrator has acknowledged the stream of a play.
    pub fn started(&self, container_id: &str) -> OnEngine {
        self.add(container_id, None)
    }

    /// Plays on this engine that every answer to a question of `asked` counts, when nodes know after `within` what one of them was told.
    pub fn plays(&self, container_id: &str, asked: Instant, within: Duration) -> usize {
        let counts = |play: &&Arc<Play>| {
            play.container_id == container_id
                && play.since + within <= asked
                && play.until.is_none_or(|until| Instant::now() < until)
        };
        lock(&self.0).iter().filter(counts).count()
    }

    fn add(&self, container_id: &str, until: Option<Instant>) -> OnEngine {
        let play = Arc::new(Play { container_id: container_id.to_owned(), since: Instant::now(), until });
        lock(&self.0).push(Arc::clone(&play));
        OnEngine { taken: self.clone(), play }
    }
}

impl Drop for OnEngine {
    fn drop(&mut self) {
        lock(&self.taken.0).retain(|play| !Arc::ptr_eq(play, &self.play));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_play_counts_from_when_all_nodes_know_it_until_it_is_over() {
        let taken = Taken::default();
        let known = |id: &str, within| taken.plays(id, Instant::now(), within);
        let given = taken.given("a");
        let started = taken.started("a");
        assert_eq!((known("a", Duration::ZERO), known("b", Duration::ZERO)), (2, 0));
        assert_eq!(known("a", Duration::from_secs(3_600)), 0, "a node may not know it yet");
        drop(given);
        assert_eq!(known("a", Duration::ZERO), 1);
        drop(started);
        assert_eq!(known("a", Duration::ZERO), 0);
    }
}
