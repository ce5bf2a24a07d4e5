//! The format on disk and on the wire: MessagePack with named fields. What is pinned here was written by
//! an older version; it must stay readable, and as long as a record does not change, identical.
//!
//! After a wanted change: `TEST_BLESS=1 cargo test -p acefleet-registry format` rewrites the files.
//! A changed line means that old data must be read by new code: look at each one.

mod samples;
mod states;
mod versions;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use acefleet_registry::command::Taken;
use acefleet_registry::state::Tables;
use acefleet_registry::{Command, OpId, Proposal, Reply, State, apply};

use crate::format::states::{keys_state, marked_state};

pub use samples::{create_key, create_token, name, proposal, samples, use_token};
pub use states::{sample_state, settings_state, vpn_state};

#[test]
fn a_snapshot_with_settings_is_pinned_and_readable() {
    let state = settings_state();
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("settings.hex", &[("settings".to_owned(), bytes)]);
    let restored: State = rmp_serde::from_slice(&pinned[0]).unwrap();
    assert_eq!(restored, state);
    assert!(restored.indexes_are_true());
}

#[test]
fn a_snapshot_with_keys_is_pinned_and_readable() {
    let state = keys_state();
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("keys.hex", &[("keys".to_owned(), bytes)]);
    let restored: State = rmp_serde::from_slice(&pinned[0]).unwrap();
    assert_eq!(restored, state);
    assert_eq!(restored.keys().count(), 2);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Lines `name hex`, compared with those in the golden file; returns the bytes of the file.
fn golden(file: &str, lines: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/registry/golden").join(file);
    let now: Vec<String> = lines.iter().map(|(name, bytes)| format!("{name} {}", hex(bytes))).collect();
    if std::env::var_os("TEST_BLESS").is_some() {
        std::fs::write(&path, now.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let pinned: Vec<&str> = text.lines().collect();
    assert_eq!(pinned.len(), now.len(), "{file} has another number of lines");
    for (pinned, now) in pinned.iter().zip(&now) {
        let name = now.split(' ').next().unwrap();
        assert!(pinned == now, "{file}: the encoding of {name} changed");
    }
    pinned.iter().map(|line| unhex(line.split_once(' ').unwrap().1)).collect()
}

#[test]
fn every_command_is_pinned_and_readable() {
    let samples = samples();
    let names: BTreeSet<&str> = samples.iter().map(name).collect();
    assert_eq!(names.len(), 44, "a kind of command has no sample");
    let encode = |command: &Command| rmp_serde::to_vec_named(&proposal(command.clone())).unwrap();
    let lines: Vec<_> = samples.iter().map(|command| (name(command).to_owned(), encode(command))).collect();
    for (bytes, command) in golden("proposals.hex", &lines).iter().zip(samples) {
        assert_eq!(rmp_serde::from_slice::<Proposal>(bytes).unwrap(), proposal(command));
    }
}

#[test]
fn a_snapshot_is_pinned_and_readable() {
    let state = sample_state();
    let tables = Tables::from(state.clone());
    assert!(
        !tables.tombstones.is_empty()
            && !tables.foreign_ports.is_empty()
            && !tables.foreign_names.is_empty()
            && !tables.ops.is_empty()
    );
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("state.hex", &[("state".to_owned(), bytes)]);
    let restored: State = rmp_serde::from_slice(&pinned[0]).unwrap();
    assert_eq!(restored, state);
    assert!(restored.indexes_are_true());
}

#[test]
fn a_snapshot_with_vpns_is_pinned_and_readable() {
    let state = vpn_state();
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("vpn.hex", &[("vpn".to_owned(), bytes)]);
    assert_eq!(rmp_serde::from_slice::<State>(&pinned[0]).unwrap(), state);
}

#[test]
fn a_snapshot_with_a_mark_is_pinned_and_readable() {
    let state = marked_state();
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let pinned = golden("marks.hex", &[("marks".to_owned(), bytes)]);
    assert_eq!(rmp_serde::from_slice::<State>(&pinned[0]).unwrap(), state);
}

#[test]
fn replies_survive_the_way_to_a_follower() {
    let mut state = sample_state();
    // Samples of changes build on the settings of this level.
    state = State::from(Tables { settings: Tables::from(settings_state()).settings, ..Tables::from(state) });
    let mut kinds = BTreeSet::new();
    for (n, command) in samples().into_iter().enumerate() {
        let op_id = OpId::from_u128((1 << 100) + n as u128);
        let reply = apply(&mut state, &Proposal { op_id, ..proposal(command) }, n as u64);
        kinds.insert(format!("{reply:?}").split(['(', ' ']).next().unwrap().to_owned());
        let bytes = rmp_serde::to_vec_named(&reply).unwrap();
        assert_eq!(rmp_serde::from_slice::<Reply>(&bytes).unwrap(), reply);
    }
    let all = ["Batch", "Done", "Engine", "Refused", "Settings", "StreamEnded", "StreamStarted"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn bytes_that_are_no_proposal_are_an_error_and_no_panic() {
    let bytes = rmp_serde::to_vec_named(&proposal(samples().remove(5))).unwrap();
    for len in 0..bytes.len() {
        assert!(rmp_serde::from_slice::<Proposal>(&bytes[..len]).is_err(), "{len} bytes were enough");
    }
    let taken = rmp_serde::to_vec_named(&Taken::HostPort(1)).unwrap();
    assert!(rmp_serde::from_slice::<Proposal>(&taken).is_err());
}
