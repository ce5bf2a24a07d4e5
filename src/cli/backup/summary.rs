//! What is in a backup, for people and for programs.

use std::fmt::Write as _;

use acefleet::counted::counted;
use acefleet_raft::backup::{Backup, BackupHeader, Unsound};
use acefleet_registry::{Access, Role, WallMs};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::recover::moment;
use crate::cli::words::shown;

/// What is in a backup.
#[derive(Serialize)]
pub(in crate::cli) struct Summary {
    #[serde(flatten)]
    header: BackupHeader,
    /// Ids that the cluster had before, the oldest first.
    former_clusters: Vec<String>,
    nodes: Vec<Node>,
    /// Engines that ran or started.
    engines: usize,
    /// Engines that had ended and were still known.
    ended_engines: usize,
    /// Streams that ran.
    streams: usize,
    ended_streams: usize,
    events: usize,
    /// Id of the newest event; 0 before the first.
    last_event: u64,
    /// Revision of the settings; 0 when each leader wrote its own.
    settings_revision: u64,
    /// Whether callers need a key whose hash the cluster has.
    has_key: bool,
    /// Named keys, of which it has the hashes.
    named_keys: Vec<Key>,
    /// Why no cluster can be restored from it, other than that it is redacted; null when it is sound.
    broken: Option<String>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    id: u64,
    address: String,
    votes: bool,
    engines: usize,
    streams: usize,
}

#[derive(Serialize)]
struct Key {
    name: String,
    role: Role,
    /// When it ends, in milliseconds since 1970; null for never.
    ends_ms: Option<WallMs>,
}

impl Summary {
    pub fn of(backup: &Backup) -> Self {
        let Backup { header, state, .. } = backup;
        let broken = backup.sound().err().filter(|why| *why != Unsound::Redacted);
        let (streams, known) = state.stream_counts();
        let engines = state.live_engines().count();
        let mut nodes: Vec<_> = backup
            .members()
            .into_iter()
            .map(|member| {
                let own = || state.live_engines().filter(|engine| engine.node == member.id);
                Node {
                    id: member.id.0,
                    engines: own().count(),
                    streams: own().map(|engine| state.active_streams(engine.id)).sum(),
                    name: member.name,
                    address: member.address,
                    votes: member.votes,
                }
            })
            .collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            header: header.clone(),
            former_clusters: state.former_clusters().map(str::to_owned).collect(),
            nodes,
            engines,
            ended_engines: state.all_engines().count() - engines,
            streams,
            ended_streams: known - streams,
            events: state.events().len(),
            last_event: state.events().last_id(),
            settings_revision: state.settings().revision(),
            has_key: matches!(state.access(), Some(Access::Key(_))),
            named_keys: state
                .keys()
                .map(|(name, key)| Key { name: name.to_string(), role: key.role, ends_ms: key.ends_at })
                .collect(),
            broken: broken.map(|why| why.to_string()),
        }
    }

    /// For people.
    pub fn text(&self, now: WallMs) -> String {
        let mut text = String::new();
        let mut line = |title: &str, value: String| {
            // Writing to a string cannot fail. A file may hold the words of anybody.
            let _ = writeln!(text, "{:<18}{}", format!("{title}:"), shown(&value));
        };
        let header = &self.header;
        let at = |wall: Option<WallMs>| {
            wall.and_then(|wall| moment(wall, now)).unwrap_or_else(|| "unknown".into())
        };
        line("cluster", header.cluster_id.clone());
        if !self.former_clusters.is_empty() {
            line("before it", self.former_clusters.join(", "));
        }
        line(
            "made",
            format!("{} by {} (acefleet {})", at(Some(header.taken_ms)), header.node, header.version),
        );
        line("newest write", at(header.written_ms));
        if header.leaderless_ms >= 2_000 {
            let late = format!("for {} s: writes of that time may be missing", header.leaderless_ms / 1_000);
            line("without leader", late);
        }
        line("revision", header.revision.to_string());
        for node in &self.nodes {
            let vote = if node.votes { "voter" } else { "learner" };
            let (engines, streams) =
                (counted(node.engines as u64, "engine"), counted(node.streams as u64, "stream"));
            line(&format!("node {}", node.name), format!("{vote} at {}, {engines}, {streams}", node.address));
        }
        line("engines", format!("{}, and {} that ended", self.engines, self.ended_engines));
        line("streams", format!("{}, and {} that ended", self.streams, self.ended_streams));
        line("events", format!("{}, the newest is {}", self.events, self.last_event));
        line("settings", format!("revision {}", self.settings_revision));
        line("API key", if self.has_key { "its hash" } else { "none" }.to_owned());
        for key in &self.named_keys {
            let ends =
                key.ends_ms.and_then(|ends| Timestamp::from_millisecond(i64::try_from(ends.0).ok()?).ok());
            let ends = ends.map(|ends| format!(", ends {ends:.0}")).unwrap_or_default();
            line(&format!("key {}", key.name), format!("{}, its hash{ends}", key.role.as_str()));
        }
        if header.redacted {
            line(
                "redacted",
                "what identifies people was taken out; no cluster can be restored from it".to_owned(),
            );
        }
        if let Some(why) = &self.broken {
            line("NOT SOUND", why.clone());
        }
        text
    }
}
