//! How far a disk has come, as it travels.

use super::proto;
use crate::store::Standing;
use crate::types::{LeaderId, LogId, Vote};

impl From<&Standing> for proto::Standing {
    fn from(standing: &Standing) -> Self {
        let point = |id: LogId| proto::LogPoint {
            term: id.leader_id.term,
            node: id.leader_id.node_id,
            index: id.index,
        };
        let vote = |vote: Vote| proto::VotePoint {
            term: vote.leader_id.term,
            node: vote.leader_id.node_id,
            committed: vote.committed,
        };
        Self {
            vote: standing.vote.map(vote),
            last: standing.last.map(point),
            committed: standing.committed.map(point),
        }
    }
}

impl From<proto::Standing> for Standing {
    fn from(told: proto::Standing) -> Self {
        let leader = |term, node_id| LeaderId { term, node_id };
        let id =
            |point: proto::LogPoint| LogId { leader_id: leader(point.term, point.node), index: point.index };
        let vote = |vote: proto::VotePoint| Vote {
            leader_id: leader(vote.term, vote.node),
            committed: vote.committed,
        };
        Self { vote: told.vote.map(vote), last: told.last.map(id), committed: told.committed.map(id) }
    }
}
