//! Pins what nodes say to each other: those of another version have to understand it.

use std::collections::BTreeSet;

use acefleet_registry::{Command, Elapsed, NodeId, OpId, Proposal};
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesResponse, StreamAppendError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::append_message::{self, Outcome, Request};
use super::proto;
use crate::testing::{blank_entries, log_id};
use crate::types::{Entry, TypeConfig, Vote, Write};
use crate::util::codec;

const PROTO: &str = include_str!("../../proto/cluster.proto");
/// Every field and call as they were, each in a line of its own behind its message or service.
const FIELDS: &str = include_str!("../../tests/fixtures/cluster-v1.fields");
/// Messages as they were sent.
const MESSAGES: &str = include_str!("../../tests/fixtures/messages-v1.hex");

/// Fields and calls of a description, each behind the message or service that has it.
fn fields(proto: &str) -> BTreeSet<String> {
    let mut within: Vec<&str> = Vec::new();
    let mut found = BTreeSet::new();
    for line in proto.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        match (line.strip_suffix('{'), within.first()) {
            (Some(head), _) => within.push(head.split_whitespace().nth(1).unwrap()),
            (None, _) if line == "}" => drop(within.pop()),
            (None, Some(of)) if !line.is_empty() => drop(found.insert(format!("{of}: {line}"))),
            _ => {}
        }
    }
    found
}

#[test]
fn no_field_or_call_has_changed_or_gone() {
    let (then, now) = (FIELDS.lines().map(str::to_owned).collect(), fields(PROTO));
    let missing: Vec<_> = BTreeSet::difference(&then, &now).collect();
    assert!(then.len() > 100 && missing.is_empty(), "nodes of another version rely on {missing:?}");
}

fn appended() -> Request {
    let proposal = Proposal {
        op_id: OpId(1, 2),
        at_ms: Elapsed(3),
        origin: NodeId(4),
        by: None,
        command: Command::ResetBreaker(None),
    };
    let mut entries = blank_entries(6..=6);
    entries.push(Entry { log_id: log_id(7), payload: EntryPayload::Normal(Write::new(proposal).unwrap()) });
    Request { vote: vote(), prev_log_id: Some(log_id(5)), entries, leader_commit: Some(log_id(4)) }
}

fn vote() -> Vote {
    Vote::new_committed(3, 7)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each message, as it is sent today.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let (at, proof) = (Some(log_id(5)), proto::Proof { your_clock: 8, unconfirmed_ms: 9, acknowledged: 10 });
    let outcome = |outcome: Outcome| encoded(&outcome);
    vec![
        ("vote", encoded(&VoteRequest::<TypeConfig>::new(Vote::new(3, 7), at))),
        ("vote_answer", encoded(&VoteResponse::<TypeConfig>::new(Vote::new(3, 7), at, true))),
        ("transfer", encoded(&TransferLeaderRequest::<TypeConfig>::new(vote(), 9, at))),
        ("heartbeat", encoded(&Request { entries: Vec::new(), ..appended() })),
        ("heartbeat_answer", encoded(&AppendEntriesResponse::<TypeConfig>::Success)),
        ("appended", outcome(Ok(at))),
        ("conflict", outcome(Err(StreamAppendError::Conflict(log_id(5))))),
        ("higher_vote", outcome(Err(StreamAppendError::HigherVote(vote())))),
        ("append", append_message::encode(&appended(), proof).unwrap().encode_to_vec()),
    ]
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    codec::encode(value).unwrap()
}

/// What this version makes of a message from then, sent on.
fn understood(name: &str, message: &[u8]) -> Vec<u8> {
    fn again<T: Serialize + DeserializeOwned>(message: &[u8]) -> Vec<u8> {
        encoded(&codec::decode::<T>(message).unwrap())
    }
    match name {
        "vote" => again::<VoteRequest<TypeConfig>>(message),
        "vote_answer" => again::<VoteResponse<TypeConfig>>(message),
        "transfer" => again::<TransferLeaderRequest<TypeConfig>>(message),
        "heartbeat" => again::<Request>(message),
        "heartbeat_answer" => again::<AppendEntriesResponse<TypeConfig>>(message),
        "appended" | "conflict" | "higher_vote" => again::<Outcome>(message),
        "append" => {
            let message = proto::AppendMessage::decode(message).unwrap();
            let (request, proof) = append_message::decode(message).unwrap();
            append_message::encode(&request, proof.unwrap()).unwrap().encode_to_vec()
        }
        _ => panic!("nobody says {name}"),
    }
}

#[test]
fn what_is_said_today_is_what_was_always_said() {
    let lines: String =
        messages().iter().map(|(name, message)| format!("{name} {}\n", hex(message))).collect();
    assert_eq!(lines, MESSAGES, "nodes of another version are told something else");
}

#[test]
fn what_was_said_then_is_understood_today() {
    for line in MESSAGES.lines() {
        let (name, text) = line.split_once(' ').unwrap();
        let bytes = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap());
        assert_eq!(hex(&understood(name, &bytes.collect::<Vec<_>>())), text, "{name}");
    }
}
