//! Whether a connection may speak for the node that it names: it must have proved the key that the cluster knows of that node.

use crate::tls::Shown;
use crate::tls::node_key::NodeKey;

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its key; absent until the cluster has noted it.
    pub key: Option<NodeKey>,
    /// Whether it votes.
    pub votes: bool,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Something of any node that has the secret: it asks who is there, or says goodbye.
    Any,
    /// Something of a member: writes, reports, questions.
    Member,
    /// Something of a leader or a candidate: entries, heartbeats, snapshots, votes.
    Voter,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum Refused {
    /// Another node speaks for this one, or its data directory has lost `node.key`.
    #[error("it has another key than the cluster knows of that node")]
    OtherKey,
    /// The same, by a version without keys.
    #[error("it shows no key of its own, and the cluster knows one of that node")]
    NoKey,
    /// It was removed, or it never was one.
    #[error("that node is not a member of this cluster")]
    NoMember,
    /// A learner asks for what only voters do.
    #[error("that node has no vote")]
    NoVote,
}

/// Whether what a connection has shown lets it speak for a node of which this is known.
pub(crate) fn speaks(shown: Shown, known: Option<Known>, part: Part) -> Result<(), Refused> {
    let Some(known) = known else {
        return if part == Part::Any { Ok(()) } else { Err(Refused::NoMember) };
    };
    owns(shown, known.key)?;
    match part {
        Part::Voter if !known.votes => Err(Refused::NoVote),
        Part::Any | Part::Member | Part::Voter => Ok(()),
    }
}

/// Whether a connection has proved this key, if one is known.
pub(crate) fn owns(shown: Shown, key: Option<NodeKey>) -> Result<(), Refused> {
    match (key, shown) {
        (None, _) => Ok(()),
        (Some(key), Shown::Node(own)) if own == key => Ok(()),
        (Some(_), Shown::Node(_)) => Err(Refused::OtherKey),
        (Some(_), Shown::Secret | Shown::Token(_) | Shown::Nothing) => Err(Refused::NoKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `docs/SECURITY.md`, "The keys of the nodes".
    #[test]
    fn a_node_speaks_for_itself_alone_and_for_what_it_is() {
        let (own, other) = (NodeKey::of_test(1), NodeKey::of_test(2));
        let member = |key, votes| Some(Known { key, votes });
        let (voter, learner) = (member(Some(own), true), member(Some(own), false));
        let unnoted = member(None, true);
        use Part::{Any, Member, Voter};
        use Refused::{NoKey, NoMember, NoVote, OtherKey};
        for (shown, known, any, as_member, as_voter) in [
            (Shown::Node(own), voter, Ok(()), Ok(()), Ok(())),
            (Shown::Node(own), learner, Ok(()), Ok(()), Err(NoVote)),
            (Shown::Node(other), voter, Err(OtherKey), Err(OtherKey), Err(OtherKey)),
            (Shown::Node(other), learner, Err(OtherKey), Err(OtherKey), Err(OtherKey)),
            (Shown::Secret, voter, Err(NoKey), Err(NoKey), Err(NoKey)),
            (Shown::Nothing, voter, Err(NoKey), Err(NoKey), Err(NoKey)),
            (Shown::Node(own), None, Ok(()), Err(NoMember), Err(NoMember)),
            (Shown::Secret, None, Ok(()), Err(NoMember), Err(NoMember)),
            (Shown::Node(other), unnoted, Ok(()), Ok(()), Ok(())),
            (Shown::Secret, unnoted, Ok(()), Ok(()), Ok(())),
        ] {
            for (part, expected) in [(Any, any), (Member, as_member), (Voter, as_voter)] {
                assert_eq!(speaks(shown, known, part), expected, "{shown:?}, {known:?}, {part:?}");
            }
        }
    }
}
