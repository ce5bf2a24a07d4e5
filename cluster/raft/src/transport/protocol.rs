//! The versions of the node-to-node protocol that this program speaks. A node that shares none with a cluster stays outside.

use crate::transport::proto::Protocol;

/// Raised with every change that an older node would misunderstand.
const NEWEST: u32 = 2;
/// The oldest version that this program still speaks. Version 1 was never released, and its nodes know neither the records nor the
/// commands of today.
const OLDEST: u32 = 2;

pub(crate) fn own() -> Protocol {
    Protocol { oldest: OLDEST, newest: NEWEST }
}

/// Whether both speak a common version. The error says which of them is too old.
pub(crate) fn check(name: &str, version: &str, theirs: Option<&Protocol>) -> Result<(), String> {
    // A node that says nothing is older than the first version with a number.
    let theirs = theirs.copied().unwrap_or_default();
    let version = if version.is_empty() { "unknown" } else { version };
    if theirs.newest < OLDEST {
        return Err(format!(
            "{name} is too old (version {version}, protocol {}; needed is {OLDEST}): upgrade it first",
            theirs.newest
        ));
    }
    if theirs.oldest > NEWEST {
        return Err(format!(
            "{name} is too new (version {version}, protocol {} and up; known here is {NEWEST}): upgrade the \
             others first",
            theirs.oldest
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_whose_ranges_meet_understand_each_other() {
        let check = |oldest, newest| check("b", "9", Some(&Protocol { oldest, newest }));
        assert_eq!(check(OLDEST, NEWEST), Ok(()));
        assert_eq!(check(NEWEST, NEWEST + 1), Ok(()));
        // What was spoken before the first release.
        let first = check(1, 1).unwrap_err();
        assert!(
            first.contains("b is too old (version 9, protocol 1; needed is 2): upgrade it first"),
            "{first}"
        );
        assert!(check(0, OLDEST - 1).unwrap_err().contains("b is too old"));
        assert!(check(NEWEST + 1, u32::MAX).unwrap_err().contains("b is too new"));
        assert!(super::check("b", "", None).unwrap_err().contains("version unknown"));
    }
}
