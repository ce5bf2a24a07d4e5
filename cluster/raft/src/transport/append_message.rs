//! Log entries and their answers as messages of the append stream.

use std::io;

use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, StreamAppendError};
use serde::{Deserialize, Serialize};

use super::proto::{self, append_message::Message, log_entry::Payload};
use crate::store;
use crate::types::{Entry, LeaderId, LogId, TypeConfig, Vote, Write};
use crate::util::codec;

pub(crate) type Request = AppendEntriesRequest<TypeConfig>;
/// How far the log of the follower matches the leader, or why it does not.
pub(crate) type Outcome = Result<Option<LogId>, StreamAppendError<TypeConfig>>;

/// A request without its entries.
#[derive(Serialize, Deserialize)]
struct Head {
    vote: Vote,
    prev_log_id: Option<LogId>,
    leader_commit: Option<LogId>,
}

pub(crate) fn route(route: proto::Route) -> proto::AppendMessage {
    proto::AppendMessage { message: Some(Message::Route(route)) }
}

pub(crate) fn encode(request: &Request, proof: proto::Proof) -> io::Result<proto::AppendMessage> {
    let head =
        Head { vote: request.vote, prev_log_id: request.prev_log_id, leader_commit: request.leader_commit };
    let request = proto::AppendRequest {
        head: codec::encode(&head)?.into(),
        entries: request.entries.iter().map(encode_entry).collect::<io::Result<_>>()?,
        proof: Some(proof),
    };
    Ok(proto::AppendMessage { message: Some(Message::Request(request)) })
}

pub(crate) fn decode(message: proto::AppendMessage) -> io::Result<(Request, Option<proto::Proof>)> {
    let Some(Message::Request(request)) = message.message else {
        return Err(invalid("a request was expected"));
    };
    let Head { vote, prev_log_id, leader_commit } = codec::decode(&request.head)?;
    let entries = request.entries.into_iter().map(decode_entry).collect::<io::Result<_>>()?;
    Ok((Request { vote, prev_log_id, entries, leader_commit }, request.proof))
}

fn encode_entry(entry: &Entry) -> io::Result<proto::LogEntry> {
    let payload = match &entry.payload {
        EntryPayload::Normal(write) => Payload::Write(write.bytes().clone()),
        EntryPayload::Blank | EntryPayload::Membership(_) => {
            Payload::Other(store::encode_entry(entry)?.into())
        }
    };
    let LogId { leader_id: LeaderId { term, node_id: node }, index } = entry.log_id;
    Ok(proto::LogEntry { term, node, index, payload: Some(payload) })
}

fn decode_entry(entry: proto::LogEntry) -> io::Result<Entry> {
    let leader_id = LeaderId { term: entry.term, node_id: entry.node };
    let log_id = LogId { leader_id, index: entry.index };
    match entry.payload {
        Some(Payload::Write(bytes)) => {
            Ok(Entry { log_id, payload: EntryPayload::Normal(Write::decode(bytes)?) })
        }
        Some(Payload::Other(stored)) => {
            let entry = store::decode_entry(&stored)?;
            if entry.log_id == log_id { Ok(entry) } else { Err(invalid("an entry under a wrong log id")) }
        }
        None => Err(invalid("an entry without a payload")),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use acefleet_registry::{Command, NodeId, OpId, Proposal};

    use super::*;
    use crate::testing::{blank_entries, log_id};

    fn request() -> Request {
        let proposal = Proposal {
            op_id: OpId(1, 2),
            at_ms: acefleet_registry::Elapsed(3),
            origin: NodeId(4),
            by: None,
            command: Command::ResetBreaker(None),
        };
        let mut entries = blank_entries(6..=6);
        let payload = EntryPayload::Normal(Write::new(proposal).unwrap());
        entries.push(Entry { log_id: log_id(7), payload });
        Request {
            vote: Vote::new(1, 7),
            prev_log_id: Some(log_id(5)),
            entries,
            leader_commit: Some(log_id(4)),
        }
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let sent = request();
        let proof = proto::Proof { your_clock: 8, unconfirmed_ms: 9, acknowledged: 10 };
        let (arrived, proven) = decode(encode(&sent, proof).unwrap()).unwrap();
        assert_eq!(proven, Some(proof));
        assert_eq!(arrived.vote, sent.vote);
        assert_eq!(arrived.prev_log_id, sent.prev_log_id);
        assert_eq!(arrived.leader_commit, sent.leader_commit);
        let stored = |request: &Request| -> Vec<Vec<u8>> {
            request.entries.iter().map(|entry| store::encode_entry(entry).unwrap()).collect()
        };
        assert_eq!(stored(&arrived), stored(&sent));
    }

    #[test]
    fn an_unreadable_message_is_an_error() {
        let damaged = |damage: &dyn Fn(&mut proto::AppendRequest)| {
            let mut message = encode(&request(), proto::Proof::default()).unwrap();
            if let Some(Message::Request(request)) = &mut message.message {
                damage(request);
            }
            decode(message)
        };
        assert!(damaged(&|_| ()).is_ok());
        assert!(damaged(&|request| request.head = vec![0xc1].into()).is_err());
        assert!(damaged(&|request| request.entries[0].payload = None).is_err());
        assert!(damaged(&|request| request.entries[0].index = 9).is_err(), "two log ids in one entry");
        assert!(
            damaged(&|request| request.entries[1].payload = Some(Payload::Write(vec![1].into()))).is_err()
        );
        assert!(decode(proto::AppendMessage { message: None }).is_err());
        assert!(decode(route(proto::Route::default())).is_err(), "a second route");
    }
}
