//! Silences: how long a member may be silent before what follows, and why. Every length has its row in [`TABLE`], which
//! `docs/ARCHITECTURE.md` shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::records::ids::NodeId;

/// A node that has known no leader for so long says that there is none. Several elections long.
pub const LEADER_LOST: Duration = Duration::from_secs(2);
/// The leader reports members that have been silent for so long, and all nodes show them as unresponsive.
pub const SILENT_AFTER: Duration = Duration::from_secs(2);
/// A node whose reports have been missing for so long is suspect.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(3);
/// A host that has answered no member for so long is unavailable: its engines that do not answer either are given up.
pub const UNAVAILABLE_AFTER: Duration = Duration::from_secs(6);
/// A host that has said that its node stops is neither unavailable nor down before it was silent for so long.
pub const ANNOUNCED: Duration = Duration::from_secs(60);
/// The last contact of which another member tells may be so long ago: [`SUSPECT_AFTER`], and a second each until it says otherwise
/// and until that is here.
pub const TOLD_CONTACT: Duration = Duration::from_secs(5);
/// A leader that has watched for less judges nobody: it may have been paused.
pub const FRESH: Duration = Duration::from_secs(1);
/// For so long a new leader waits for members that have not said whether their Docker answers.
pub const SETTLE: Duration = Duration::from_secs(5);
/// For so long after a host answers again its engines do not count as idle.
pub const STEADY: Duration = Duration::from_secs(5);
/// After so many heartbeats a new leader has had an answer of every member that lives.
pub const FIRST_HEARTBEATS: u64 = 4;

/// One silence and what follows from it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Who is silent, and towards whom.
    pub who: &'static str,
    /// For how long.
    pub length: &'static str,
    /// What follows.
    pub consequence: &'static str,
    /// Why so long.
    pub why: &'static str,
}

/// Every silence, by its length.
pub const TABLE: [Row; 12] = [
    Row {
        who: "a member, to the leader",
        length: "the shortest and the longest election timeout together (0.6 s)",
        consequence: "unresponsive: placement passes its host over, and its reservations fail once the leader has led for 4 heartbeats",
        why: "a leader that was silent for so long would have been replaced",
    },
    Row {
        who: "a member, to the leader",
        length: "2 s",
        consequence: "the status of every node shows its host as unresponsive",
        why: "clients remember what the status says for longer than a moment",
    },
    Row {
        who: "all members, to a leader that has just begun to watch",
        length: "1 s",
        consequence: "it judges nobody before that",
        why: "it may have been paused, and nobody could answer it",
    },
    Row {
        who: "every leader, to a node",
        length: "2 s",
        consequence: "the node answers `no_leader`, and puts events into its outbox",
        why: "several elections fit into it",
    },
    Row {
        who: "a node, to another",
        length: "3 s without a report",
        consequence: "suspect: its engines are listed behind all others, and every other node asks them; one that does not answer is shown as `unknown`",
        why: "reports come once a second, and one may be late",
    },
    Row {
        who: "a member, to a new leader",
        length: "5 s without a word about its Docker, or about any of its VPNs",
        consequence: "the leader starts engines without it",
        why: "the first host to answer would get all engines",
    },
    Row {
        who: "a member that answers again",
        length: "5 s",
        consequence: "its engines may count as idle again",
        why: "its outbox may hold streams that have begun on them",
    },
    Row {
        who: "a member, to the leader but not to another member",
        length: "5 s",
        consequence: "cut off from the leader: it is neither unavailable nor down, for however long, and gets no new engines",
        why: "what others tell of their contact may be so old, and nothing is known of the host itself",
    },
    Row {
        who: "a member, to all members",
        length: "6 s, in which there was a leader",
        consequence: "unavailable: its engines that do not answer the leader either are not listed until they answer, count in no floor, and others take their place",
        why: "a network that fails for 5 s starts nothing",
    },
    Row {
        who: "a member that has said that it stops, to all members",
        length: "60 s",
        consequence: "unavailable or down, and not before",
        why: "its node is restarted, and its engines play on",
    },
    Row {
        who: "a member, to all members",
        length: "`ACEFLEET_DOWN_AFTER_S` (60 s), in which there was a leader",
        consequence: "down: its engines are not listed and are replaced, its streams end",
        why: "a restart of the host is shorter",
    },
    Row {
        who: "an engine about a stream, when its host is back from being down",
        length: "15 s",
        consequence: "streams that were taken for ended are over",
        why: "by then every engine has been asked about its streams",
    },
];

/// What the leader knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Watched milliseconds since its last contact with any member, as far as this node knows, or since this process started. They go
    /// on through elections.
    pub silent_ms: u64,
    /// It answers another member.
    pub answers_others: bool,
    /// As a leader it would have been replaced for its silence to this node.
    pub is_unresponsive: bool,
    /// Milliseconds for which it has answered without a break; 0 while it is unresponsive.
    pub steady_ms: u64,
}

impl Contact {
    /// The same as a leader may count it that has watched for `led_ms`. Right after a pause nothing is known of anybody.
    #[must_use]
    pub fn within(self, led_ms: u64) -> Self {
        let is_fresh = u128::from(led_ms) >= FRESH.as_millis();
        let silent_ms = match is_fresh {
            true => self.silent_ms,
            false => self.silent_ms.min(led_ms),
        };
        Self { silent_ms, steady_ms: self.steady_ms.min(led_ms), ..self }
    }
}

/// What the leader knows of the members.
pub type Contacts = BTreeMap<NodeId, Contact>;

/// The table in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = "| silent | for | then | why so long |\n|---|---|---|---|\n".to_owned();
    for Row { who, length, consequence, why } in TABLE {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {who} | {length} | {consequence} | {why} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_has_the_table() {
        let page = include_str!("../../../../docs/ARCHITECTURE.md");
        assert!(page.contains(&markdown()), "docs/ARCHITECTURE.md has another table:\n{}", markdown());
    }

    #[test]
    fn the_table_says_the_lengths_that_count() {
        let has = |length: Duration| {
            TABLE.iter().any(|row| row.length.starts_with(&format!("{} s", length.as_secs())))
        };
        for length in [
            LEADER_LOST,
            SILENT_AFTER,
            SUSPECT_AFTER,
            UNAVAILABLE_AFTER,
            ANNOUNCED,
            FRESH,
            SETTLE,
            STEADY,
            TOLD_CONTACT,
        ] {
            assert!(has(length), "{length:?}");
        }
    }
}
