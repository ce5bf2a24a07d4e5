//! States and members of a backup that somebody has edited, by a fuzz target that is an ordinary test, too: what is called sound can be begun with.

use acefleet_registry::{Command, Level, NodeId, OpId, Proposal, apply};

use super::Backup;
use super::sound_tests::real;
use crate::testing::edited::edited;
use crate::testing::node_up;
use crate::util::codec;

/// What the node of a restored cluster does first, without a disk.
fn begun(backup: Backup, of: &str) {
    let restorable = backup.restorable().unwrap();
    let revision = restorable.first_revision(0);
    assert!(revision > restorable.backup().header.applied_index && revision < 1 << 52, "{of}");
    let (backup, last) = restorable.into_parts();
    let mut state = backup.state;
    state.pass_over_events(revision);
    let own = NodeId(7);
    let (origin, term) = (own, last.leader_id.term + 1);
    let first = [
        Command::Recovered { survivor: own, former_clusters: vec![backup.header.cluster_id] },
        Command::Leads { node: own, term },
        node_up(own, "a"),
        Command::NodeDown { node: own, down: true },
        Command::RaiseLevel(Level::CURRENT),
    ];
    for (n, command) in (1..).zip(first) {
        let at_ms = state.clock_ms().plus(n);
        apply(
            &mut state,
            &Proposal { op_id: OpId(1 << 60, n), at_ms, origin, by: None, command },
            revision + n,
        );
        assert_eq!(state.check(), Ok(()), "{of}, step {n}");
    }
}

#[test]
fn fuzz_states_that_are_called_sound() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let whole = runtime.block_on(real(dir.path()));
    let large = codec::encode(&crate::testing::large_state()).unwrap();
    let states = [codec::encode(&whole.state).unwrap(), large];
    let members = serde_json::to_vec(&whole.meta.last_membership).unwrap();
    let words: [&[u8]; 6] = [
        b"\xc0",
        b"\x00",
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xce\x00\x00\x00\x01",
        b"\xa2id",
        b"\xa4mark",
    ];
    let numbers: [&[u8]; 4] = [b"18446744073709551615", b"0", b"[]", b"null"];
    begun(whole.clone(), "nobody has edited it");
    bolero::check!().for_each(|plan: &[u8]| {
        let mut backup = whole.clone();
        match plan.split_first() {
            Some((0..64, plan)) => {
                let edited = edited(&[&members], &numbers, plan);
                let Ok(members) = serde_json::from_slice(&edited) else { return };
                backup.meta.last_membership = members;
            }
            Some((_, plan)) => {
                let Ok(state) = codec::decode(&edited(&[&states[0], &states[1]], &words, plan)) else {
                    return;
                };
                backup.state = state;
                backup.header.level = backup.state.level();
            }
            None => return,
        }
        if backup.sound().is_ok() {
            begun(backup, "it was called sound");
        }
    });
}
