//! Whether the first members agree on who may call. Nodes compare keys without sending them: an answer carries a proof that
//! fits one nonce.

use acefleet_registry::{Access, KeyHash};
use sha2::{Digest, Sha256};

use crate::transport::proto::{AccessKind, HelloReply};

/// A fresh nonce.
pub(crate) fn nonce() -> Vec<u8> {
    uuid::Uuid::new_v4().into_bytes().to_vec()
}

/// The answer of a node with these settings.
pub(crate) fn answer(own: Option<&Access>, nonce: &[u8]) -> (AccessKind, Vec<u8>) {
    match own {
        None => (AccessKind::AccessUnsaid, Vec::new()),
        Some(Access::Open) => (AccessKind::AccessOpen, Vec::new()),
        Some(Access::Key(hash)) => (AccessKind::AccessKey, proof(hash, nonce)),
    }
}

fn proof(hash: &KeyHash, nonce: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(nonce).chain_update(hash.0).finalize().to_vec()
}

/// Whether both nodes have the same settings. The error names both and what to change.
pub(crate) fn agrees(
    own_name: &str,
    own: Option<&Access>,
    nonce: &[u8],
    theirs: &HelloReply,
) -> Result<(), String> {
    let kind = theirs.access();
    let (expected, proof) = answer(own, nonce);
    if kind == AccessKind::AccessUnknown || (kind == expected && theirs.key_proof == proof) {
        return Ok(());
    }
    let name = &theirs.name;
    let has = match (kind, expected) {
        (AccessKind::AccessKey, AccessKind::AccessKey) => {
            return Err(format!(
                "{name} has another API_KEY than {own_name}: give all first members the same key and restart those that \
                 had another one"
            ));
        }
        other => other,
    };
    let setting = |kind| match kind {
        AccessKind::AccessKey => "an API_KEY",
        AccessKind::AccessOpen => "ACEFLEET_OPEN=true",
        AccessKind::AccessUnsaid | AccessKind::AccessUnknown => "neither API_KEY nor ACEFLEET_OPEN",
    };
    Err(format!(
        "{name} has {}, {own_name} has {}: give all first members the same and restart those that had another one",
        setting(has.0),
        setting(has.1)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(access: Option<&Access>, nonce: &[u8]) -> HelloReply {
        let (kind, key_proof) = answer(access, nonce);
        HelloReply {
            name: "b".into(),
            access: kind.into(),
            key_proof: key_proof.into(),
            ..HelloReply::default()
        }
    }

    #[test]
    fn first_members_agree_on_the_same_settings_only() {
        let (one, two) = (Access::Key(KeyHash([1; 32])), Access::Key(KeyHash([2; 32])));
        let settings = [None, Some(&Access::Open), Some(&one), Some(&two)];
        for (i, own) in settings.iter().enumerate() {
            for (j, theirs) in settings.iter().enumerate() {
                let nonce = nonce();
                let agreed = agrees("a", *own, &nonce, &reply(*theirs, &nonce));
                assert_eq!(agreed.is_ok(), i == j, "{own:?} {theirs:?}: {agreed:?}");
                if let Err(why) = agreed {
                    assert!(
                        why.starts_with("b has ") && why.contains(" a") && why.contains("API_KEY"),
                        "{why}"
                    );
                }
            }
        }
        assert_eq!(
            agrees("a", Some(&one), b"1", &HelloReply::default()),
            Ok(()),
            "an older version says nothing"
        );
    }

    #[test]
    fn a_proof_fits_one_nonce_and_reveals_no_hash() {
        let key = Access::Key(KeyHash([7; 32]));
        let (_, first) = answer(Some(&key), b"one");
        let (_, second) = answer(Some(&key), b"two");
        assert_ne!(first, second);
        assert!(first != [7; 32]);
        assert!(agrees("a", Some(&key), b"two", &reply(Some(&key), b"one")).is_err(), "a replay");
    }
}
