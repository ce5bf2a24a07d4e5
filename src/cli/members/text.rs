//! Answers about members, as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::cli::table::columns;
use crate::cli::words::{Words, or_dash};

/// The cluster, as a node sees it.
#[derive(Deserialize)]
pub(super) struct Cluster {
    cluster_id: Option<Words>,
    leader: Option<Words>,
    term: u64,
    revision: u64,
    voters: u64,
    node: Words,
    staleness_ms: u64,
    nodes: Vec<Member>,
    left_behind: Vec<LeftBehind>,
}

/// A member.
#[derive(Deserialize)]
pub(in crate::cli) struct Member {
    name: Words,
    role: Words,
    /// What has become of its node; members of the first versions do not say it.
    state: Option<Words>,
    availability: Option<Words>,
    address: Words,
    docker: Words,
    engines: u64,
    streams: u64,
    last_contact_ms: Option<u64>,
    version: Option<Words>,
    passed_over: Option<PassedOver>,
    /// Fingerprints of the secrets that it takes, the newest first; members of earlier versions do not say it.
    #[serde(default)]
    secrets: Vec<Words>,
    /// Progress while it drains.
    pub drain: Option<Drain>,
}

#[derive(Deserialize)]
struct PassedOver {
    message: Words,
}

/// What a member that drains still has.
#[derive(Deserialize)]
pub(in crate::cli) struct Drain {
    pub engines_left: u64,
    pub streams_left: u64,
    /// Members of earlier versions do not say it.
    #[serde(default)]
    pub returns: bool,
}

/// An engine of an earlier life of a host.
#[derive(Deserialize)]
struct LeftBehind {
    node: Words,
    name: Words,
    why: Words,
}

/// Result of an adoption.
#[derive(Deserialize)]
pub(super) struct Adopted {
    name: Words,
    refused: Option<Words>,
}

/// A removed member.
#[derive(Deserialize)]
pub(super) struct Removed {
    removed: Words,
    votes: Option<Words>,
}

/// What somebody does who sees no leader.
const NO_LEADER: &str = "There is no leader: start nodes until a majority of the voters runs. Step by step: docs/OPERATIONS.md, \
    \"The day the quorum is lost\".";

/// The cluster, its members, and what was left behind on their hosts.
pub(super) fn status(cluster: Cluster) -> String {
    let mut lines = String::new();
    let is_leaderless = cluster.leader.is_none() && cluster.cluster_id.is_some();
    for (title, value) in [
        ("cluster", or_dash(cluster.cluster_id)),
        ("leader", or_dash(cluster.leader)),
        ("term", cluster.term.to_string()),
        ("revision", cluster.revision.to_string()),
        ("voters", cluster.voters.to_string()),
        ("answered by", cluster.node.to_string()),
        ("answers are old by", format!("{} ms", cluster.staleness_ms)),
        ("secret", secrets(&cluster.nodes)),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{:<20}{value}", format!("{title}:"));
    }
    if is_leaderless {
        let _ = writeln!(lines, "\n{NO_LEADER}");
    }
    let _ = write!(lines, "\n{}", table(cluster.nodes));
    for LeftBehind { node, name, why } in cluster.left_behind {
        let _ = write!(lines, "\nleft behind on {node}: {name}: {why} (acefleet adopt {node})");
    }
    lines
}

/// Which members take which secrets, by fingerprints: all the same one, or who is how far with a change.
fn secrets(nodes: &[Member]) -> String {
    let mut by_secrets: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for node in nodes {
        let taken = node.secrets.iter().map(Words::to_string).collect();
        by_secrets.entry(taken).or_default().push(node.name.to_string());
    }
    let said = |(taken, names): (&Vec<String>, &Vec<String>)| {
        let names = names.join(", ");
        match taken.as_slice() {
            [] => format!("{names} not known"),
            [newest] => format!("{names} {newest}"),
            [newest, before @ ..] => format!("{names} {newest}, takes {}", before.join(", ")),
        }
    };
    let of_all: Option<&Vec<String>> = by_secrets.keys().next().filter(|_| by_secrets.len() == 1);
    match of_all.map(Vec::as_slice) {
        Some([]) => or_dash(None::<&str>),
        Some([taken]) => format!("{taken} on all members"),
        _ => by_secrets.iter().map(said).collect::<Vec<_>>().join("; "),
    }
}

/// One line for each member below a line of titles.
pub(in crate::cli) fn table(members: Vec<Member>) -> String {
    let titles = [
        "NAME",
        "ROLE",
        "STATE",
        "AVAILABILITY",
        "ADDRESS",
        "DOCKER",
        "ENGINES",
        "STREAMS",
        "CONTACT",
        "VERSION",
        "NO NEW ENGINES",
    ];
    let row = |member: Member| {
        let contact = member.last_contact_ms.map(|ms| match ms {
            ..10_000 => format!("{ms} ms ago"),
            _ => format!("{} s ago", ms / 1000),
        });
        [
            member.name.to_string(),
            member.role.to_string(),
            or_dash(member.state),
            match member.drain {
                Some(Drain { returns: true, .. }) => {
                    format!("{} until it returns", or_dash(member.availability))
                }
                _ => or_dash(member.availability),
            },
            member.address.to_string(),
            member.docker.to_string(),
            member.engines.to_string(),
            member.streams.to_string(),
            or_dash(contact),
            or_dash(member.version),
            or_dash(member.passed_over.map(|why| why.message)),
        ]
    };
    columns(titles, members.into_iter().map(row))
}

/// Whether an engine was not adopted.
pub(super) fn is_refused(engine: &Adopted) -> bool {
    engine.refused.is_some()
}

/// What became of the engines that were left behind.
pub(super) fn adopted(engines: Vec<Adopted>) -> String {
    let line = |Adopted { name, refused }| match refused {
        None => format!("{name} is an engine of this cluster now."),
        Some(why) => format!("{name} was not adopted: {why}"),
    };
    match engines.is_empty() {
        true => "No engine was left behind there.".to_owned(),
        false => engines.into_iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

/// Who is gone, and the votes.
pub(super) fn removed(Removed { removed, votes }: Removed) -> String {
    let gone = format!(
        "{removed} is no member any more. It still has the secret of the cluster, with which it could join again: if others may have its disk, \
         change the secret (docs/OPERATIONS.md, \"The secret of the nodes\")."
    );
    match votes {
        Some(votes) => format!("{gone}\n{votes}"),
        None => gone,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_control_characters() {
        let node = json!({"name": "node-\u{1b}[31ma", "role": "voter", "address": "a:8001", "docker": "ok",
            "engines": 12, "streams": 0, "last_contact_ms": 38});
        let table = table(vec![serde_json::from_value(node).unwrap()]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].find("ROLE"), lines[1].find("voter"));
        assert_eq!(lines[0].find("ENGINES"), lines[1].find("12"));
        assert!(lines[1].contains("38 ms ago") && !table.contains('\u{1b}'));
    }

    #[test]
    fn a_change_of_the_secret_shows_who_is_how_far() {
        let node = |name: &str, secrets: &[&str]| -> Member {
            let node = json!({"name": name, "role": "voter", "address": "a:8001", "docker": "ok", "engines": 0, "streams": 0,
                "secrets": secrets});
            serde_json::from_value(node).unwrap()
        };
        let said = |nodes: &[(&str, &[&str])]| {
            secrets(&nodes.iter().map(|(name, secrets)| node(name, secrets)).collect::<Vec<_>>())
        };
        assert_eq!(said(&[("a", &["60"]), ("b", &["60"])]), "60 on all members");
        assert_eq!(
            said(&[("a", &["7f", "60"]), ("b", &["60"]), ("c", &[])]),
            "c not known; b 60; a 7f, takes 60"
        );
        assert_eq!(said(&[("a", &["7f", "60"]), ("b", &["7f", "60"])]), "a, b 7f, takes 60");
        assert_eq!(said(&[("a", &[]), ("b", &[])]), or_dash(None::<&str>), "members of earlier versions");
    }
}
