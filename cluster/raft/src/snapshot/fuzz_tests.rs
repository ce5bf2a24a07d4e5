//! What is read of a snapshot that a disk or another node has changed, by fuzz targets that are ordinary tests, too. The hashes are made to
//! fit, as they keep out damage and no intent.

use std::fs::File;
use std::io::Write as _;

use acefleet_registry::State;
use sha2::{Digest, Sha256};

use super::file::{COMPRESSION_LEVEL, FORMAT, MAGIC, SnapshotFile};
use super::hashed::hex;
use super::header::SnapshotHeader;
use crate::testing::edited::{edited, golden};
use crate::testing::snapshot_meta;
use crate::util::codec;

const STATE: &str = include_str!("../../../registry/tests/registry/golden/state.hex");
const KEYS: &str = include_str!("../../../registry/tests/registry/golden/keys.hex");
/// Bytes that a state may have when unpacked.
const LONGEST: u64 = 1 << 20;

/// A snapshot file of this header and body, with the right hash of the header.
fn sealed(header: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).unwrap().to_be_bytes();
    [&MAGIC[..], &length, header, &Sha256::digest(header), body].concat()
}

/// The header of this state and its packed body.
fn whole(state: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let body = zstd::encode_all(state, COMPRESSION_LEVEL).unwrap();
    let meta = snapshot_meta(5);
    let header = SnapshotHeader {
        format: FORMAT,
        last_log_id: meta.last_log_id,
        membership: meta.last_membership,
        revision: 5,
        sha256: hex(&Sha256::digest(&body)),
        body_bytes: body.len() as u64,
        state_bytes: state.len() as u64,
    };
    (serde_json::to_vec(&header).unwrap(), body)
}

/// What a node makes of a file with these bytes.
fn read(bytes: &[u8]) -> std::io::Result<(SnapshotHeader, State)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    SnapshotFile::read_rest(file.path(), File::open(file.path()).unwrap(), LONGEST)
}

#[test]
fn fuzz_states_in_snapshots() {
    let samples = [golden(STATE), golden(KEYS)].concat();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    for sample in &samples {
        let (header, body) = whole(sample);
        assert!(read(&sealed(&header, &body)).is_ok(), "a state that nobody has edited");
    }
    let words: [&[u8]; 5] = [
        b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa2id",
    ];
    bolero::check!().for_each(|plan: &[u8]| {
        let (header, body) = whole(&edited(&samples, &words, plan));
        if let Ok((_, state)) = read(&sealed(&header, &body)) {
            let again: State = codec::decode(&codec::encode(&state).unwrap()).unwrap();
            assert_eq!(codec::encode(&again).unwrap(), codec::encode(&state).unwrap());
        }
    });
}

#[test]
fn fuzz_files_of_snapshots() {
    let (header, body) = whole(&golden(STATE)[0]);
    let words: [&[u8]; 5] = [b"18446744073709551615", b"null", b"-1", b"\"format\":2", b"[]"];
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = match plan.split_first() {
            Some((0..128, plan)) => sealed(&edited(&[&header], &words, plan), &body),
            Some((_, plan)) => edited(&[&sealed(&header, &body), &body], &words, plan),
            None => Vec::new(),
        };
        read(&bytes).ok();
    });
}
