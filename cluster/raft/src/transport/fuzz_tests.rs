//! What is read of the messages of other nodes, by fuzz targets that are ordinary tests, too. A node may be of another version, or lie.

use std::fmt::Debug;

use acefleet_registry::Proposal;
use openraft::raft::{AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::append_message::{self, Outcome, Request};
use super::proto;
use crate::membership::change::MembershipChange;
use crate::testing::edited::{edited, golden};
use crate::types::{TypeConfig, Vote, Write};
use crate::util::codec;

const MESSAGES: &str = include_str!("../../tests/fixtures/messages-v1.hex");
const PROPOSALS: &str = include_str!("../../../registry/tests/registry/golden/proposals.hex");

/// What MessagePack is made of: nothing, sizes that nobody sends, numbers at their ends, and names of fields.
const WORDS: &[&[u8]] = &[
    b"\xc0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\x91",
    b"\x81",
    b"\xa7command",
    b"\xa4term",
];

/// What can be read can be written, and is then read as the same.
fn packed<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = codec::decode::<T>(bytes) else { return };
    let again = codec::encode(&value).unwrap();
    let same = codec::encode(&codec::decode::<T>(&again).unwrap()).unwrap();
    assert_eq!(again, same, "{bytes:02x?}");
}

/// The same of the messages around it.
fn framed<T: Message + Default + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let message = T::decode(bytes).ok()?;
    assert_eq!(T::decode(message.encode_to_vec().as_slice()).unwrap(), message, "{bytes:02x?}");
    Some(message)
}

#[test]
fn fuzz_messages_of_nodes() {
    let samples = golden(MESSAGES);
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(&samples, WORDS, plan);
        packed::<Vote>(&bytes);
        packed::<VoteRequest<TypeConfig>>(&bytes);
        packed::<VoteResponse<TypeConfig>>(&bytes);
        packed::<TransferLeaderRequest<TypeConfig>>(&bytes);
        packed::<Request>(&bytes);
        packed::<AppendEntriesResponse<TypeConfig>>(&bytes);
        packed::<Outcome>(&bytes);
        packed::<MembershipChange>(&bytes);
        if let Some(message) = framed::<proto::AppendMessage>(&bytes)
            && let Ok((request, proof)) = append_message::decode(message)
        {
            let again = append_message::encode(&request, proof.unwrap_or_default()).unwrap();
            append_message::decode(again).unwrap();
        }
        framed::<proto::RaftRequest>(&bytes);
        framed::<proto::SnapshotPart>(&bytes);
        framed::<proto::WriteMessage>(&bytes);
        framed::<proto::MembersRequest>(&bytes);
        framed::<proto::HelloRequest>(&bytes);
        framed::<proto::HelloReply>(&bytes);
        framed::<proto::FormRequest>(&bytes);
        framed::<proto::JoinRequest>(&bytes);
        framed::<proto::AskRequest>(&bytes);
        framed::<proto::AskReply>(&bytes);
        framed::<proto::ReportRequest>(&bytes);
        framed::<proto::EnrollRequest>(&bytes);
    });
}

#[test]
fn fuzz_proposals_of_nodes() {
    let samples = golden(PROPOSALS);
    assert!(samples.len() > 50, "the samples are those of the registry");
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(&samples, WORDS, plan);
        packed::<Proposal>(&bytes);
        if let Ok(write) = Write::decode(bytes.clone().into()) {
            assert_eq!(**write.bytes(), *bytes, "the log keeps what came");
        }
    });
}
