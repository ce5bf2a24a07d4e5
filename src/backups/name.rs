//! Names of scheduled backups: they begin with the time of the cluster, and tell whose and of what they are. Whatever has another name was not made here.

use std::fmt::{self, Display, Formatter};

use acefleet_raft::backup::BackupHeader;
use acefleet_registry::WallMs;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const PREFIX: &str = "acefleet-";
const SUFFIX: &str = ".backup";
/// Time of day of the cluster, in UTC.
const TIME: &str = "%Y%m%d-%H%M%S";
const TIME_LENGTH: usize = "20261130-170512".len();
/// Characters of a cluster's id that stand for it.
const CLUSTER_LENGTH: usize = 8;

/// Whose backups are meant: those of one node in one cluster. Another cluster's are never this one's to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    cluster: String,
    node: String,
}

impl Owner {
    /// This node in this cluster.
    #[must_use]
    pub fn new(cluster_id: &str, node: &str) -> Self {
        let cluster = cluster_id.chars().filter(char::is_ascii_alphanumeric).take(CLUSTER_LENGTH);
        Self { cluster: cluster.collect::<String>().to_ascii_lowercase(), node: node.to_owned() }
    }

    /// Name of the file that this owner writes before it has its own name.
    #[must_use]
    pub fn unfinished(&self) -> String {
        format!(".{PREFIX}{}{SUFFIX}.part", self.node)
    }
}

/// Name of a backup: `acefleet-20261130-170512-c02f6cb4-31-node-a.backup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// When it was made, to the second.
    pub at: Timestamp,
    /// Whose it is.
    pub owner: Owner,
    /// Revision of the state in it.
    pub revision: u64,
}

impl Name {
    /// The name of a backup of this owner.
    #[must_use]
    pub fn of(header: &BackupHeader, owner: &Owner) -> Self {
        Self { at: moment(header.taken_ms), owner: owner.clone(), revision: header.revision }
    }

    /// When it was made, to the second.
    pub(super) fn wall(&self) -> WallMs {
        WallMs(u64::try_from(self.at.as_millisecond()).unwrap_or_default())
    }

    /// States are ordered by their revisions, which only grow, and not by the time: a clock may have been set back.
    pub(super) fn age(&self) -> (u64, Timestamp) {
        (self.revision, self.at)
    }

    /// What a file is, if its name is exactly one of these.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (time, rest) = inner.split_at_checked(TIME_LENGTH)?;
        let at = Offset::UTC.to_timestamp(DateTime::strptime(TIME, time).ok()?).ok()?;
        let mut parts = rest.strip_prefix('-')?.splitn(3, '-');
        let (cluster, revision, node) = (parts.next()?, parts.next()?, parts.next()?);
        let name = Self {
            at,
            owner: Owner { cluster: cluster.to_owned(), node: node.to_owned() },
            revision: revision.parse().ok()?,
        };
        // What is written otherwise, such as a revision with a sign, was made by somebody else.
        let is_plain = cluster.len() == CLUSTER_LENGTH && !node.is_empty();
        (is_plain && name.to_string() == text).then_some(name)
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { at, owner: Owner { cluster, node }, revision } = self;
        write!(f, "{PREFIX}{}-{cluster}-{revision}-{node}{SUFFIX}", at.strftime(TIME))
    }
}

/// A moment, to the second.
pub(super) fn moment(at: WallMs) -> Timestamp {
    let seconds = i64::try_from(at.0 / 1_000).ok().and_then(|at| Timestamp::from_second(at).ok());
    seconds.unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_nothing_else_is() {
        let owner = Owner::new("c02f6cb4-8940-4573", "node-a.b_1");
        let name = Name { at: moment(WallMs(1_796_058_312_999)), owner: owner.clone(), revision: 31 };
        let text = name.to_string();
        assert_eq!(text, "acefleet-20261130-170512-c02f6cb4-31-node-a.b_1.backup");
        assert_eq!(Name::parse(&text), Some(name));
        for other in [
            "",
            "acefleet-.backup",
            // As the command names them.
            "acefleet-c02f6cb4-20261130-170838.backup",
            "acefleet-20261130-170512-c02f6cb4-31-.backup",
            "acefleet-20261130-170512-c02f6cb4-+31-a.backup",
            "acefleet-20261130-170512-c02f6cb4-031-a.backup",
            "acefleet-20261130-170512-c02f6cb4-x-a.backup",
            "acefleet-20261130-170512-c02f-31-a.backup",
            "acefleet-20261330-170512-c02f6cb4-31-a.backup",
            "acefleet-20261130-170512-c02f6cb4-31-a.backup.old",
            "Acefleet-20261130-170512-c02f6cb4-31-a.backup",
            ".acefleet-a.backup.part",
            "acefleet-2026113ä-170512-c02f6cb4-31-a.backup",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
        assert_eq!(Name::parse(&owner.unfinished()), None);
    }

    #[test]
    fn names_sort_by_time() {
        let owner = Owner::new("c02f6cb4", "a");
        let name = |at, revision| Name { at: moment(WallMs(at)), owner: owner.clone(), revision }.to_string();
        assert!(name(1_796_058_312_000, 9) < name(1_796_058_313_000, 10));
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_another_name(text in "\\PC{0,80}") {
            prop_assert!(Name::parse(&text).is_none_or(|name| name.to_string() == text));
        }
    }
}
