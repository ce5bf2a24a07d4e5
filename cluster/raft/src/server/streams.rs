//! The receiving ends of the two open streams: log entries from the leader, writes from other nodes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use acefleet_registry::{NodeId, Proposal};
use futures::stream::{self, BoxStream, StreamExt};
use openraft::raft::StreamAppendError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use super::Service;
use super::check::Sender;
use crate::membership::speaks::Part;
use crate::proposals::write;
use crate::replica::core::Core;
use crate::transport::append_message::{self, Outcome, Request};
use crate::transport::contacts::LeaderMessage;
use crate::transport::proto::{self, append_message::Message as Append, write_message::Message as Forward};
use crate::types::LogId;
use crate::types::write_failure::{WriteFailure, WriteFailureTo};
use crate::util::codec;

/// Reads the route, which is the first message of an append stream.
pub(super) async fn append_route(
    messages: &mut Streaming<proto::AppendMessage>,
) -> Result<proto::Route, Status> {
    match messages.message().await?.and_then(|first| first.message) {
        Some(Append::Route(route)) => Ok(route),
        _ => Err(no_route()),
    }
}

/// The same of a stream of writes.
pub(super) async fn write_route(
    messages: &mut Streaming<proto::WriteMessage>,
) -> Result<proto::Route, Status> {
    match messages.message().await?.and_then(|first| first.message) {
        Some(Forward::Route(route)) => Ok(route),
        _ => Err(no_route()),
    }
}

fn no_route() -> Status {
    Status::invalid_argument("the stream does not begin with its route")
}

/// Passes requests to openraft and returns the answers in order, until the stream or this node ends.
pub(super) fn append(
    service: &Service,
    sender: Sender,
    messages: Streaming<proto::AppendMessage>,
) -> BoxStream<'static, Result<proto::AppendAnswer, Status>> {
    let broken: Arc<Mutex<Option<Status>>> = Arc::default();
    // What the unanswered requests say; their answers come in the same order.
    let told: Arc<Mutex<VecDeque<LeaderMessage>>> = Arc::default();
    let core = &service.0;
    let requests = readable(service.clone(), sender, messages, Arc::clone(&broken), Arc::clone(&told));
    let requests = requests.take_until(core.stop.clone().cancelled_owned());
    let outcomes = core.raft.stream_append(requests);
    let answering = Arc::clone(core);
    let mut first = (core.wire.version().to_owned(), core.wire.level().0);
    let answers = outcomes.map(move |outcome| {
        let outcome = outcome.map_err(|fatal| Status::unavailable(fatal.to_string()))?;
        let told = told.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        answer(&answering, &outcome, told.unwrap_or_default(), std::mem::take(&mut first))
    });
    // The reason for the end follows the answers.
    let last = stream::once(async move { broken.lock().unwrap_or_else(PoisonError::into_inner).take() });
    let last = last.filter_map(|broken| async move { broken.map(Err) });
    answers.chain(last).take_until(core.stop.clone().cancelled_owned()).boxed()
}

/// Requests up to the first that cannot be read, or that its sender may not make any more.
fn readable(
    service: Service,
    sender: Sender,
    messages: Streaming<proto::AppendMessage>,
    broken: Arc<Mutex<Option<Status>>>,
    said: Arc<Mutex<VecDeque<LeaderMessage>>>,
) -> BoxStream<'static, Request> {
    stream::unfold(
        (service, messages, broken, said),
        move |(service, mut messages, broken, said)| async move {
            let message = messages.message().await.ok()??;
            let decoded = append_message::decode(message)
                .map_err(|error| Status::invalid_argument(format!("unreadable request: {error}")))
                .and_then(|(request, proof)| {
                    service.may(sender, Part::Voter)?;
                    service.check_leader(sender, &request.vote)?;
                    Ok((request, proof))
                });
            match decoded {
                Ok((request, proof)) => {
                    said.lock().unwrap_or_else(PoisonError::into_inner).push_back(told(&request, proof));
                    Some((request, (service, messages, broken, said)))
                }
                Err(status) => {
                    *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                    None
                }
            }
        },
    )
    .boxed()
}

/// What a request of the leader says of the age of the data here.
pub(super) fn told(request: &Request, proof: Option<proto::Proof>) -> LeaderMessage {
    let proof = proof.unwrap_or_default();
    // A leader that has committed nothing in its own term may not know how far its predecessor had.
    let own_term = |commit: &&LogId| commit.leader_id == request.vote.leader_id;
    let commit = request.leader_commit.as_ref().filter(own_term);
    LeaderMessage {
        // The leader may have committed more between the request and its proof.
        committed: commit.map(|commit| commit.index.max(proof.acknowledged)),
        clock: proof.your_clock,
        unconfirmed: Duration::from_millis(proof.unconfirmed_ms),
    }
}

fn answer(
    core: &Core,
    outcome: &Outcome,
    told: LeaderMessage,
    (version, level): (String, u32),
) -> Result<proto::AppendAnswer, Status> {
    let contacts = core.wire.contacts();
    if !matches!(outcome, Err(StreamAppendError::HigherVote(_))) {
        contacts.leader_message(&told, core.published.load().applied_index);
    }
    let payload = codec::encode(outcome).map_err(|e| Status::internal(e.to_string()))?;
    Ok(proto::AppendAnswer { payload: payload.into(), version, level, clock: contacts.clock() })
}

/// Takes writes of the member `from` until its stream or this node ends; the returned stream says which of them failed.
pub(super) fn writes(
    service: &Service,
    from: Sender,
    mut messages: Streaming<proto::WriteMessage>,
) -> BoxStream<'static, Result<proto::WriteRefused, Status>> {
    let (failures, told) = mpsc::unbounded_channel();
    let (end, ended) = mpsc::unbounded_channel();
    let service = service.clone();
    let tracker = service.0.tasks.clone();
    tracker.spawn(async move {
        loop {
            let message = tokio::select! {
                biased;
                () = service.0.stop.cancelled() => return,
                message = messages.message() => message,
            };
            let Ok(Some(message)) = message else { return };
            if let Err(status) = take(&service, from, message, &failures).await {
                // The reader may be gone.
                let _ = end.send(Err(status));
                return;
            }
        }
    });
    let told = UnboundedReceiverStream::new(told).map(|(id, failure)| {
        let (unknown, held_back) = match failure {
            WriteFailure::NotLeader => (None, None),
            WriteFailure::HeldBack(why) => (None, Some(why)),
            WriteFailure::Unknown(why) => (Some(why), None),
        };
        Ok(proto::WriteRefused { id, unknown, held_back })
    });
    // Writes in the log hold on to `failures`, so the end of the stream has a channel of its own.
    let ended = UnboundedReceiverStream::new(ended);
    stream::select_with_strategy(told.map(Some), ended.map(Some).chain(stream::iter([None])), |()| {
        stream::PollNext::Left
    })
    .take_while(|item| std::future::ready(item.is_some()))
    .filter_map(std::future::ready)
    .boxed()
}

/// Submits one write. An error ends the stream.
async fn take(
    service: &Service,
    from: Sender,
    message: proto::WriteMessage,
    failures: &mpsc::UnboundedSender<(u64, WriteFailure)>,
) -> Result<(), Status> {
    let Some(Forward::Write(forwarded)) = message.message else {
        return Err(Status::invalid_argument("a write was expected"));
    };
    if forwarded.proposal.len() > write::MAX_PROPOSAL {
        return Err(Status::invalid_argument("the proposal is too large"));
    }
    let mut proposal: Proposal = codec::decode(&forwarded.proposal)
        .map_err(|e| Status::invalid_argument(format!("unreadable proposal: {e}")))?;
    // Otherwise a removed node could register itself again before it learns of its removal.
    service.may(from, Part::Member)?;
    // Writes are forwarded once, so the sender is the origin.
    proposal.origin = NodeId(from.id);
    write::submit(&service.0, proposal, WriteFailureTo::there(forwarded.id, failures.clone())).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_id;
    use crate::types::Vote;

    #[test]
    fn a_request_that_waited_at_the_leader_says_no_less_than_its_proof() {
        let request = |vote_term| Request {
            vote: Vote {
                leader_id: crate::types::LeaderId { term: vote_term, ..log_id(4).leader_id },
                committed: true,
            },
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: Some(log_id(4)),
        };
        let proof = |acknowledged| Some(proto::Proof { your_clock: 1, unconfirmed_ms: 0, acknowledged });
        assert_eq!(told(&request(1), proof(9)).committed, Some(9));
        assert_eq!(told(&request(1), proof(0)).committed, Some(4), "a version that does not tell");
        assert_eq!(told(&request(2), proof(9)).committed, None, "it has committed nothing in its own term");
    }
}
