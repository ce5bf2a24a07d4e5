//! Pins the bytes on disk. A change here means that older data directories can no longer be read.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal};
use openraft::EntryPayload;

use super::entry::{decode_entry, decode_log_id, decode_vote, encode_entry, encode_log_id, encode_vote};
use crate::testing::log_id;
use crate::types::{Entry, LeaderId, Member, Membership, Vote, Write};

const GOLDEN: &str = include_str!("../../tests/fixtures/store-v1.hex");

fn entries() -> Vec<(&'static str, Entry)> {
    let write = Proposal {
        op_id: OpId(1, 2),
        at_ms: Elapsed(1_700_000_000_000),
        origin: NodeId(7),
        by: None,
        command: Command::ResetBreaker(None),
    };
    let member = |name: &str| Member::new(name, format!("{name}:8001"));
    let nodes = BTreeMap::from([(7, member("a")), (9, member("b"))]);
    let membership = Membership::new(vec![BTreeSet::from([7, 9])], nodes).unwrap();
    [
        ("blank", EntryPayload::Blank),
        ("write", EntryPayload::Normal(Write::new(write).unwrap())),
        ("membership", EntryPayload::Membership(membership)),
    ]
    .into_iter()
    .map(|(name, payload)| {
        let log_id = log_id(5);
        (name, Entry { log_id, payload })
    })
    .collect()
}

fn vote() -> Vote {
    Vote { leader_id: LeaderId { term: 3, node_id: 7 }, committed: true }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn golden(name: &str) -> Vec<u8> {
    let line = GOLDEN.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    unhex(line.unwrap_or_else(|| panic!("no golden bytes for {name}")))
}

#[test]
fn what_is_written_today_is_what_was_always_written() {
    let mut lines = String::new();
    for (name, entry) in entries() {
        lines += &format!("{name} {}\n", hex(&encode_entry(&entry).unwrap()));
    }
    lines += &format!("log_id {}\n", hex(&encode_log_id(&log_id(5)).unwrap()));
    lines += &format!("vote {}\n", hex(&encode_vote(&vote()).unwrap()));
    assert_eq!(lines, GOLDEN, "the format on disk has changed");
}

#[test]
fn what_was_written_then_is_understood_today() {
    for (name, entry) in entries() {
        assert_eq!(decode_entry(&golden(name)).unwrap().log_id, entry.log_id);
        let again = encode_entry(&decode_entry(&golden(name)).unwrap()).unwrap();
        assert_eq!(again, golden(name), "{name}");
    }
    assert_eq!(decode_log_id(&golden("log_id")).unwrap(), log_id(5));
    assert_eq!(decode_vote(&golden("vote")).unwrap(), vote());
}
