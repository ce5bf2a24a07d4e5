//! Many plays: side by side or one after another, and the verdict over all of them.

use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::client::{Acexy, Content, PlaySpec};
use super::report::{Complaint, Outcome, PlayReport};

/// What to play.
#[derive(Debug, Clone)]
pub struct Load {
    /// Number of plays.
    pub streams: usize,
    /// Pause between two starts. Without one, all plays start in the same moment, and as the real
    /// client reserves nothing, most of them choose the same engine.
    pub ramp: Duration,
    /// Each play gets the next number appended to its content, unless all ask for the same.
    pub spec: PlaySpec,
    /// All players ask for the same content.
    pub same_content: bool,
    /// Plays that are not through by then are cut off.
    pub deadline: Duration,
}

/// What came out of it.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    pub plays: Vec<PlayReport>,
    /// Plays that the deadline cut off.
    pub unfinished: usize,
    /// Complaints about status polls.
    pub poll_complaints: Vec<Complaint>,
}

impl LoadReport {
    /// Plays with bytes.
    pub fn played(&self) -> usize {
        self.plays.iter().filter(|play| play.played()).count()
    }

    /// Everything the real client would reject or mishandle.
    pub fn complaints(&self) -> impl Iterator<Item = &Complaint> {
        let plays = self.plays.iter().flat_map(|play| &play.complaints);
        self.poll_complaints.iter().chain(plays)
    }

    /// All streams played, and nothing to complain about.
    pub fn ok(&self) -> bool {
        self.unfinished == 0 && self.played() == self.plays.len() && self.complaints().count() == 0
    }

    /// Plays that the player saw end without a stream.
    pub fn refused(&self) -> usize {
        let refused = |p: &&PlayReport| matches!(p.outcome, Outcome::Unavailable { .. });
        self.plays.iter().filter(refused).count()
    }
}

/// Runs the load; returns by its deadline.
pub async fn run(acexy: &Acexy, load: Load) -> LoadReport {
    acexy.first_poll().await;
    let deadline = tokio::time::Instant::now() + load.deadline;
    let mut tasks = JoinSet::new();
    for number in 0..load.streams {
        let mut spec = load.spec.clone();
        if !load.same_content {
            spec.content = numbered(&spec.content, number);
        }
        let play = acexy.play_task(spec);
        let start = load.ramp.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
        tasks.spawn(async move {
            tokio::time::sleep(start).await;
            (number, play.await)
        });
    }
    let mut plays = Vec::with_capacity(load.streams);
    // A play that panicked counts as unfinished.
    while let Ok(Some(done)) = tokio::time::timeout_at(deadline, tasks.join_next()).await {
        plays.extend(done);
    }
    tasks.shutdown().await;
    plays.sort_by_key(|(number, _)| *number);
    LoadReport {
        unfinished: load.streams - plays.len(),
        plays: plays.into_iter().map(|(_, play)| play).collect(),
        poll_complaints: acexy.poll_complaints(),
    }
}

/// The content of a play: an id with the number appended, or an infohash that ends in it.
fn numbered(content: &Content, number: usize) -> Content {
    match content {
        Content::Id(prefix) => Content::Id(format!("{prefix}{number}")),
        Content::Infohash(prefix) => {
            let prefix: String = prefix.chars().filter(char::is_ascii_hexdigit).take(24).collect();
            Content::Infohash(format!("{prefix}{number:0width$x}", width = 40 - prefix.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_numbered() {
        let id = numbered(&Content::Id("chan-".into()), 7);
        assert_eq!(id, Content::Id("chan-7".into()));
        let Content::Infohash(hash) = numbered(&Content::Infohash("abc".into()), 255) else {
            panic!("another kind");
        };
        assert_eq!(hash.len(), 40);
        assert!(hash.starts_with("abc0") && hash.ends_with("00ff"));
    }
}
