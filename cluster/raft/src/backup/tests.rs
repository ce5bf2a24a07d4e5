//! Backups that were damaged, or made to do harm.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acefleet_registry::{Level, State, WallMs};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::file::encode;
use super::make::make;
use super::{BackupHeader, BadBackup, FORMAT, STATE_MAX, read};
use crate::snapshot::{Captured, SnapshotHeader, hex};
use crate::testing::{large_state, snapshot_meta};
use crate::util::codec;

fn header(sha256: String) -> BackupHeader {
    BackupHeader {
        format: FORMAT,
        cluster_id: "c".into(),
        node: "a".into(),
        node_id: 7,
        taken_ms: WallMs(1_700_000_000_000),
        written_ms: None,
        leaderless_ms: 0,
        revision: 200,
        applied_index: 200,
        version: "1.2.3".into(),
        level: Level::FIRST,
        redacted: false,
        sha256,
    }
}

/// The bytes of a backup of this state.
fn backup(dir: &Path, state: &State) -> Vec<u8> {
    let captured = Captured { state: state.clone(), revision: 200, meta: snapshot_meta(200) };
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let mut made = make(dir.join("made"), &captured, header, room).unwrap();
    assert!(!dir.join("made").exists(), "the file has a name");
    let mut bytes = made.front.clone();
    std::io::copy(&mut made.file, &mut bytes).unwrap();
    assert_eq!(made.bytes, bytes.len() as u64);
    bytes
}

fn stored(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("file");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let state = large_state();
    let whole = read(&stored(dir.path(), &backup(dir.path(), &state))).unwrap();
    assert_eq!((whole.header.cluster_id.as_str(), whole.header.revision), ("c", 200));
    assert_eq!(codec::encode(&whole.state).unwrap(), codec::encode(&state).unwrap());
    assert!(matches!(read(&dir.path().join("none")), Err(BadBackup::Unreadable(_))));
    assert!(matches!(read(dir.path()), Err(BadBackup::Other)), "a directory");
}

#[test]
fn files_of_other_kinds_and_formats_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = backup(dir.path(), &State::default());
    let said = |bytes: &[u8]| read(&stored(dir.path(), bytes)).unwrap_err();
    for other in [&b""[..], b"ACEFSNAP", b"PK\x03\x04 is another kind of file"] {
        assert!(matches!(said(other), BadBackup::Other), "{other:?}");
    }
    let later = encode(&BackupHeader { format: FORMAT + 1, ..header(String::new()) }).unwrap();
    assert!(matches!(said(&later), BadBackup::Newer(2)));
    assert!(said(&bytes[..bytes.len() - 1]).to_string().contains("damaged"));
    // Each part is whole, and they do not belong together.
    let other = BackupHeader { revision: 201, ..header(String::new()) };
    let front = bytes.len() - usize::try_from(snapshot_bytes(&bytes)).unwrap();
    let mixed = [encode(&other).unwrap(), bytes[front..].to_vec()].concat();
    assert!(said(&mixed).to_string().contains("another state"), "{}", said(&mixed));
}

/// Bytes of the snapshot in a backup.
fn snapshot_bytes(bytes: &[u8]) -> u64 {
    let at = bytes.windows(8).position(|window| window == b"ACEFSNAP").unwrap();
    (bytes.len() - at) as u64
}

/// A backup whose hashes are all right, around this packed body.
fn forged(body: &[u8], state_bytes: u64) -> Vec<u8> {
    let sha256 = hex(&Sha256::digest(body));
    let meta = snapshot_meta(200);
    let snapshot = SnapshotHeader {
        format: 1,
        last_log_id: meta.last_log_id,
        membership: meta.last_membership,
        revision: 200,
        sha256: sha256.clone(),
        body_bytes: body.len() as u64,
        state_bytes,
    };
    let text = serde_json::to_vec(&snapshot).unwrap();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let front = encode(&header(sha256)).unwrap();
    [&front[..], b"ACEFSNAP", &length, &text, &Sha256::digest(&text), body].concat()
}

#[test]
fn nothing_is_unpacked_beyond_what_a_state_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8]| read(&stored(dir.path(), bytes)).unwrap_err().to_string();
    // Four gigabytes of nothing take some hundred kilobytes.
    let bomb = {
        let mut packer = zstd::Encoder::new(Vec::new(), 3).unwrap();
        // A string of that length, as MessagePack announces it.
        packer.write_all(&[0xdb, 0xff, 0xff, 0xff, 0xff]).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..64 {
            packer.write_all(&zeros).unwrap();
        }
        packer.finish().unwrap()
    };
    assert!(refused(&forged(&bomb, STATE_MAX + 1)).contains("not believable"));
    // One that says that it is small.
    assert!(refused(&forged(&bomb, 100)).contains("damaged"));
    assert!(refused(&forged(b"no zstd at all", 100)).contains("damaged"));
    let whole = codec::encode(&State::default()).unwrap();
    let packed = zstd::encode_all(&whole[..], 3).unwrap();
    assert!(read(&stored(dir.path(), &forged(&packed, whole.len() as u64))).is_ok(), "the forgery is right");
    assert!(refused(&forged(&packed, whole.len() as u64 + 1)).contains("damaged"));
}

#[test]
fn every_damaged_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let whole = backup(dir.path(), &State::default());
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        assert!(read(&stored(dir.path(), &damaged)).is_err(), "byte {at} was not noticed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_file_is_taken(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..=255), 0..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        more in prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 1..8)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let whole = backup(dir.path(), &State::default());
        let mut bytes = whole.clone();
        for (at, by) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= by;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(whole.len()));
        }
        bytes.extend_from_slice(&more);
        let found = read(&stored(dir.path(), &bytes));
        prop_assert_eq!(found.is_ok(), bytes == whole);
    }
}
