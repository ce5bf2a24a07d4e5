//! What is read of a disk that may have changed it, by fuzz targets that are ordinary tests, too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openraft::EntryPayload;

use super::entry::{decode_entry, decode_log_id, decode_vote, encode_entry, encode_log_id, encode_vote};
use super::identity_file;
use super::mark::Mark;
use crate::testing::edited::edited;
use crate::testing::{blank_entries, log_id};
use crate::types::{Entry, Member, Membership, Vote};

const MARK: &[u8] = include_bytes!("../../tests/fixtures/mark-v1");

#[test]
fn fuzz_records_of_the_log() {
    let member = Member { name: "a".into(), address: "a:8001".into(), ..Member::default() };
    let membership = Membership::new(vec![BTreeSet::from([7])], BTreeMap::from([(7, member)])).unwrap();
    let stored = [
        encode_entry(&blank_entries(1..=1)[0]).unwrap(),
        encode_entry(&Entry { log_id: log_id(2), payload: EntryPayload::Membership(membership) }).unwrap(),
        encode_vote(&Vote::new_committed(3, 7)).unwrap(),
        encode_log_id(&log_id(5)).unwrap(),
    ];
    let samples: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(&samples, &[b"\xc0", b"\xdd\xff\xff\xff\xff", b"\xa5nodes", b"\x01"], plan);
        if let Ok(entry) = decode_entry(&bytes) {
            let again = encode_entry(&entry).unwrap();
            assert_eq!(encode_entry(&decode_entry(&again).unwrap()).unwrap(), again);
        }
        if let Ok(vote) = decode_vote(&bytes) {
            assert_eq!(decode_vote(&encode_vote(&vote).unwrap()).unwrap(), vote);
        }
        if let Ok(id) = decode_log_id(&bytes) {
            assert_eq!(decode_log_id(&encode_log_id(&id).unwrap()).unwrap(), id);
        }
    });
}

#[test]
fn fuzz_files_beside_the_log() {
    let identity = br#"{"identity":{"format":1,"node_id":7,"cluster":"c"},"sha256":"00"}"#;
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(&[MARK, identity], &[b"\n", b"null", b"{", b"18446744073709551616", b" 2"], plan);
        // A mark that was changed is damaged, however it was.
        if let Ok(mark) = Mark::decode(&bytes) {
            assert_eq!(mark.encode().unwrap(), MARK);
        }
        identity_file::parse(Path::new("identity.json"), &bytes).ok();
    });
}
