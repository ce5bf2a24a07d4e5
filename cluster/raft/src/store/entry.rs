//! The stored form of a log entry, independent of the types of openraft, which may change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use acefleet_registry::Proposal;
use openraft::EntryPayload;
use serde::{Deserialize, Serialize};

use crate::types::{Entry, LeaderId, LogId, Member, Membership, Vote, Write};
use crate::util::codec;

/// Format of log entries and of the values in the meta column family.
const FORMAT: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdRecord {
    term: u64,
    node: u64,
    index: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct VoteRecord {
    term: u64,
    node: u64,
    committed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct EntryRecord {
    id: IdRecord,
    body: Body,
}

#[derive(Debug, Serialize, Deserialize)]
enum Body {
    Blank,
    Write(Box<Proposal>),
    Membership { configs: Vec<BTreeSet<u64>>, nodes: BTreeMap<u64, Member> },
}

impl From<&LogId> for IdRecord {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<IdRecord> for LogId {
    fn from(record: IdRecord) -> Self {
        LogId { leader_id: LeaderId { term: record.term, node_id: record.node }, index: record.index }
    }
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(record: VoteRecord) -> Self {
        Self { leader_id: LeaderId { term: record.term, node_id: record.node }, committed: record.committed }
    }
}

pub(super) fn encode_log_id(id: &LogId) -> io::Result<Vec<u8>> {
    codec::encode_tagged(FORMAT, &IdRecord::from(id))
}

pub(super) fn decode_log_id(bytes: &[u8]) -> io::Result<LogId> {
    codec::decode_tagged::<IdRecord>(FORMAT, bytes).map(LogId::from)
}

pub(super) fn encode_vote(vote: &Vote) -> io::Result<Vec<u8>> {
    codec::encode_tagged(FORMAT, &VoteRecord::from(vote))
}

pub(super) fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    codec::decode_tagged::<VoteRecord>(FORMAT, bytes).map(Vote::from)
}

/// Encodes an entry; a write brings its encoded proposal.
pub(crate) fn encode_entry(entry: &Entry) -> io::Result<Vec<u8>> {
    let id = IdRecord::from(&entry.log_id);
    let body = match &entry.payload {
        EntryPayload::Blank => Body::Blank,
        EntryPayload::Normal(write) => return encode_write(&id, write),
        EntryPayload::Membership(membership) => Body::Membership {
            configs: membership.get_joint_config().clone(),
            nodes: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
        },
    };
    codec::encode_tagged(FORMAT, &EntryRecord { id, body })
}

/// The bytes of an [`EntryRecord`] with [`Body::Write`].
fn encode_write(id: &IdRecord, write: &Write) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64 + write.bytes().len());
    bytes.extend([FORMAT, map_of(2)]);
    codec::encode_to(&mut bytes, "id")?;
    codec::encode_to(&mut bytes, id)?;
    codec::encode_to(&mut bytes, "body")?;
    bytes.push(map_of(1));
    codec::encode_to(&mut bytes, "Write")?;
    bytes.extend_from_slice(write.bytes());
    Ok(bytes)
}

/// MessagePack's first byte of a map with up to 15 entries.
const fn map_of(entries: u8) -> u8 {
    0x80 | entries
}

pub(crate) fn decode_entry(bytes: &[u8]) -> io::Result<Entry> {
    let record: EntryRecord = codec::decode_tagged(FORMAT, bytes)?;
    let payload = match record.body {
        Body::Blank => EntryPayload::Blank,
        Body::Write(proposal) => EntryPayload::Normal(Write::new(*proposal)?),
        Body::Membership { configs, nodes } => EntryPayload::Membership(
            Membership::new(configs, nodes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?,
        ),
    };
    Ok(Entry { log_id: record.id.into(), payload })
}
