//! Settings of one node and their validation.

use std::path::PathBuf;
use std::time::Duration;

use acefleet_registry::{Access, Level};

use crate::errors::StartError;
use crate::time::wall::Clock;
use crate::tls::join_token::JoinToken;
use crate::tls::secret::ClusterSecret;

/// An initial member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name of the node, unique in the cluster.
    pub name: String,
    /// `host:port` of its cluster listener. The host is a name that is resolved on every dial.
    pub addr: String,
}

/// How fast a dead leader is noticed. An election starts after the longest election timeout plus a random one. Keep
/// `election_max_ms` at ten times the p99 of disk sync plus round trip or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Milliseconds between two heartbeats of the leader.
    pub heartbeat_ms: u64,
    /// Shortest election timeout, milliseconds.
    pub election_min_ms: u64,
    /// Longest election timeout and length of the leader's lease, milliseconds.
    pub election_max_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat_ms: 100, election_min_ms: 200, election_max_ms: 400 }
    }
}

/// What becomes of connections without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plain {
    /// They are refused, and none is made.
    #[default]
    Refused,
    /// They are taken, and made to nodes that speak no TLS: while the nodes of a cluster get their secret one by one.
    Accepted,
}

/// When the state is written to a snapshot file and the log in front of it dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// Entries since the last snapshot.
    pub entries: u64,
    /// Bytes of entries since the last snapshot.
    pub bytes: u64,
    /// Longest time between two snapshots while anything changed.
    pub interval: Duration,
    /// Snapshot files kept on disk, at least one.
    pub keep: usize,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { entries: 20_000, bytes: 8 << 20, interval: Duration::from_secs(15 * 60), keep: 2 }
    }
}

/// Settings of one node.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of this node alone: log, snapshots, identity.
    pub data_dir: PathBuf,
    /// Name of this node, unique in the cluster. It cannot change once the directory is in use.
    pub node_name: String,
    /// `host:port` under which the other nodes reach the cluster listener.
    pub advertise: String,
    /// Initial members including this node. Empty: a cluster of one. Ignored by a node whose
    /// directory already belongs to a cluster.
    pub peers: Vec<Peer>,
    /// Cluster addresses (`host:port`) of members of a running cluster, any of which takes this node in.
    /// Excludes `peers`. Ignored by a node whose directory already belongs to a cluster.
    pub join: Vec<String>,
    /// Election timing.
    pub timing: Timing,
    /// Snapshot triggers.
    pub snapshot: SnapshotPolicy,
    /// Software version, shown to peers.
    pub version: String,
    /// Level of commands that this program knows, told to peers.
    pub level: Level,
    /// Where the time of day is read.
    pub clock: Clock,
    /// Who may call, by the settings of this node. None: a cluster that it forms gets the key of [`crate::Hooks::make_key`].
    /// The first members must agree.
    pub access: Option<Access>,
    /// What nodes of this cluster prove to each other that they have. None: a node alone makes one and keeps it in its directory.
    pub secret: Option<ClusterSecret>,
    /// The secret before, while it is changed: nodes that have no other yet are spoken to, too.
    pub secret_before: Option<ClusterSecret>,
    /// With what a node that is to join and has no secret asks a member for it. Of no account once it has the secret.
    pub join_token: Option<JoinToken>,
    /// Whether nodes may speak without a secret.
    pub plain: Plain,
}

impl Options {
    /// Options with defaults for everything but the three values that have none. A cluster formed with them is open.
    #[must_use]
    pub fn new(data_dir: PathBuf, node_name: String, advertise: String) -> Self {
        Self {
            data_dir,
            node_name,
            advertise,
            peers: Vec::new(),
            join: Vec::new(),
            timing: Timing::default(),
            snapshot: SnapshotPolicy::default(),
            version: String::new(),
            level: Level::CURRENT,
            clock: Clock::default(),
            access: Some(Access::Open),
            secret: None,
            secret_before: None,
            join_token: None,
            plain: Plain::default(),
        }
    }

    /// The initial members, this node among them, sorted by name.
    pub(crate) fn initial_members(&self) -> Vec<Peer> {
        if self.peers.is_empty() {
            return vec![Peer { name: self.node_name.clone(), addr: self.advertise.clone() }];
        }
        let mut members = self.peers.clone();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// Refuses settings that cannot work, with a message that names the setting.
    pub(crate) fn validate(&self) -> Result<(), StartError> {
        let bad = |message: String| Err(StartError::Config(message));
        check_name("node name", &self.node_name)?;
        check_address("advertised cluster address", &self.advertise)?;
        let SnapshotPolicy { entries, bytes, interval, keep } = &self.snapshot;
        if *entries == 0 || *bytes == 0 || *keep == 0 || interval.is_zero() {
            return bad("snapshot entries, bytes, interval and keep must be above zero".into());
        }
        let timing = &self.timing;
        if timing.heartbeat_ms == 0
            || timing.election_min_ms <= timing.heartbeat_ms
            || timing.election_max_ms <= timing.election_min_ms
        {
            return bad(format!(
                "timing must rise: heartbeat {} ms < election min {} ms < election max {} ms",
                timing.heartbeat_ms, timing.election_min_ms, timing.election_max_ms
            ));
        }
        if !self.peers.is_empty() && !self.join.is_empty() {
            return bad(
                "a node either forms a new cluster with its peers or joins a running one: give one list, not both"
                    .into(),
            );
        }
        for address in &self.join {
            check_address("address to join", address)?;
        }
        let mut names = std::collections::BTreeSet::new();
        for peer in &self.peers {
            check_name("name of a peer", &peer.name)?;
            check_address("peer address", &peer.addr)?;
            if !names.insert(peer.name.as_str()) {
                return bad(format!("peer name {} is listed twice", peer.name));
            }
        }
        if !self.peers.is_empty() && !names.contains(self.node_name.as_str()) {
            return bad(format!(
                "this node is named {} but the peers list has only {}: add this node to the list or correct its name",
                self.node_name,
                names.into_iter().collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(())
    }
}

/// Splits `host:port`; IPv6 hosts are in brackets.
pub(crate) fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    // The longest name that can be resolved has 253 characters.
    ((1..=253).contains(&host.len()) && host.chars().all(allowed)).then_some((host, port))
}

/// Names appear in labels, tables and logs.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), StartError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match (1..=63).contains(&name.len()) && name.chars().all(allowed) {
        true => Ok(()),
        false => {
            Err(StartError::Config(format!("the {what} is not 1 to 63 of the characters A-Z a-z 0-9 . _ -")))
        }
    }
}

pub(crate) fn check_address(what: &str, address: &str) -> Result<(), StartError> {
    match split_address(address) {
        Some(_) => Ok(()),
        None => Err(StartError::Config(format!(
            "the {what} {address:?} is not host:port with a port from 1 to 65535"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(peers: &[(&str, &str)]) -> Options {
        let mut options = Options::new("/nowhere".into(), "a".into(), "a:8001".into());
        options.peers =
            peers.iter().map(|(name, addr)| Peer { name: (*name).into(), addr: (*addr).into() }).collect();
        options
    }

    #[test]
    fn addresses_are_split_at_the_last_colon() {
        assert_eq!(split_address("host-1:8001"), Some(("host-1", 8001)));
        assert_eq!(split_address("[::1]:8001"), Some(("::1", 8001)));
        let long = format!("{}:1", "h".repeat(254));
        for bad in ["host", "host:", ":8001", "host:0", "host:70000", "a b:1", "x/y:1", &long] {
            assert_eq!(split_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "node-1.example_x", &"n".repeat(63)] {
            assert!(check_name("name", good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\n", "ä", "a/b", &"n".repeat(64)] {
            assert!(check_name("name", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bad_settings_are_refused_by_name() {
        assert!(options(&[]).validate().is_ok());
        assert!(options(&[("a", "a:1"), ("b", "b:1")]).validate().is_ok());
        let missing = options(&[("b", "b:1")]).validate().unwrap_err();
        assert!(missing.to_string().contains("named a"), "{missing}");
        let twice = options(&[("a", "a:1"), ("a", "b:1")]).validate().unwrap_err();
        assert!(twice.to_string().contains("twice"), "{twice}");
        let mut both = options(&[("a", "a:1"), ("b", "b:1")]);
        both.join = vec!["c:1".into()];
        assert!(both.validate().unwrap_err().to_string().contains("not both"));
        let mut joining = options(&[]);
        joining.join = vec!["c".into()];
        assert!(joining.validate().is_err(), "an address without a port");
        let mut timing = options(&[]);
        timing.timing.election_min_ms = 100;
        assert!(timing.validate().is_err());
    }

    #[test]
    fn no_peers_means_a_cluster_of_one() {
        assert_eq!(options(&[]).initial_members().len(), 1);
        let sorted = options(&[("b", "b:1"), ("a", "a:1")]).initial_members();
        assert_eq!(sorted[0].name, "a");
    }
}
