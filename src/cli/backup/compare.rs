//! What differs between a backup and the cluster as it is now.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use acefleet_raft::backup::Backup;
use serde::Serialize;

use crate::cli::words::shown;

/// Names that are written out; of the rest the number is enough.
const NAMED: usize = 10;

/// What differs.
#[derive(Serialize)]
pub(in crate::cli) struct Differences {
    cluster: Kinship,
    /// The cluster that was asked.
    cluster_id: String,
    backup_revision: u64,
    live_revision: u64,
    backup_settings: u64,
    live_settings: u64,
    nodes: Sides,
    /// By container name and node.
    engines: Sides,
    /// By id; those that run.
    streams: Sides,
    /// Named keys, by name. One that was made anew under its name is another.
    keys: Sides,
}

/// How the cluster of the backup and the one that was asked belong together.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kinship {
    /// It is the same.
    Same,
    /// The one that was asked was recovered or restored from it.
    Descendant,
    /// They have nothing to do with each other.
    Other,
}

/// What only one side has.
#[derive(Serialize)]
struct Sides {
    only_in_backup: Vec<String>,
    only_live: Vec<String>,
    both: usize,
}

impl Sides {
    fn of(then: &BTreeSet<String>, now: &BTreeSet<String>) -> Self {
        Self {
            only_in_backup: then.difference(now).cloned().collect(),
            only_live: now.difference(then).cloned().collect(),
            both: then.intersection(now).count(),
        }
    }
}

impl Differences {
    pub fn of(backup: &Backup, live: &Backup) -> Self {
        let nodes = |of: &Backup| of.members().into_iter().map(|member| member.name).collect();
        let engines = |of: &Backup| -> BTreeSet<String> {
            let named = |engine: &acefleet_registry::Engine| {
                format!("{} on {}", engine.container_name, of.state.node_name(engine.node))
            };
            of.state.live_engines().map(|engine| named(engine)).collect()
        };
        let streams = |of: &Backup| -> BTreeSet<String> {
            of.state
                .streams()
                .filter(|stream| stream.is_started())
                .map(|stream| stream.start.id.to_string())
                .collect()
        };
        // A key that was made anew is another one under the same name.
        let keys = |of: &Backup, beside: &Backup, then: &str| -> BTreeSet<String> {
            let is_other = |name, hash| beside.state.key(name).is_some_and(|key| key.hash != hash);
            let named = of.state.keys().map(|(name, key)| match is_other(name, key.hash) {
                true => format!("{name} as it {then}"),
                false => name.to_string(),
            });
            named.collect()
        };
        let (own, other) = (&backup.header.cluster_id, &live.header.cluster_id);
        Self {
            cluster: match own == other {
                true => Kinship::Same,
                false if live.state.former_clusters().any(|former| former == own) => Kinship::Descendant,
                false => Kinship::Other,
            },
            cluster_id: other.clone(),
            backup_revision: backup.header.revision,
            live_revision: live.header.revision,
            backup_settings: backup.state.settings().revision(),
            live_settings: live.state.settings().revision(),
            nodes: Sides::of(&nodes(backup), &nodes(live)),
            engines: Sides::of(&engines(backup), &engines(live)),
            streams: Sides::of(&streams(backup), &streams(live)),
            keys: Sides::of(&keys(backup, live, "was"), &keys(live, backup, "is")),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let kin = match self.cluster {
            Kinship::Same => "the cluster of the backup",
            Kinship::Descendant => "a cluster that was recovered or restored from that of the backup",
            Kinship::Other => "ANOTHER cluster than that of the backup",
        };
        // Writing to a string cannot fail.
        let mut text = format!("Compared with {}, {kin}:\n", shown(&self.cluster_id));
        let behind = self.live_revision.saturating_sub(self.backup_revision);
        let _ = writeln!(
            text,
            "  revision {} in the backup, {} now: {behind} behind; settings {} and {}",
            self.backup_revision, self.live_revision, self.backup_settings, self.live_settings
        );
        let all = [
            ("nodes", &self.nodes),
            ("engines", &self.engines),
            ("streams", &self.streams),
            ("named keys", &self.keys),
        ];
        for (what, sides) in all {
            let _ = write!(text, "  {what}: {} in both", sides.both);
            for (side, names) in
                [("only in the backup", &sides.only_in_backup), ("only now", &sides.only_live)]
            {
                if !names.is_empty() {
                    let named =
                        names.iter().take(NAMED).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
                    let more = if names.len() > NAMED { ", …" } else { "" };
                    let _ = write!(text, "; {} {side} ({named}{more})", names.len());
                }
            }
            text.push('\n');
        }
        if !self.keys.only_in_backup.is_empty() {
            text.push_str(
                "  keys that are only in the backup let callers in again: revoke them afterwards\n",
            );
        }
        text
    }
}
