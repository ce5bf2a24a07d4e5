//! The leader's end of the append stream to one follower: many requests are in flight, and answers come in their order.
//! openraft repeats a failed stream at once, so opening one waits for the back-off of the member.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt};
use openraft::RPCTypes;
use openraft::errors::RPCError;
use tonic::Streaming;

use super::append_message::{self, Outcome, Request};
use super::call_error::{CallError, bounded};
use super::peer::{PeerClient, unreachable};
use super::pool::Lane;
use super::proto;
use super::wire::Wire;
use crate::types::TypeConfig;
use crate::util::codec;

pub(super) type Answers<'s> = BoxStream<'s, Result<Outcome, RPCError<TypeConfig>>>;

/// Longest time without an answer. Entries wait for a disk sync at the follower, longer than a heartbeat may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

struct Shared<S> {
    half: Mutex<Half<S>>,
}

struct Half<S> {
    /// Gone when it has ended, or when nobody wants answers any more: openraft then reads the same log for the next stream.
    requests: Option<S>,
    /// Send times of unanswered requests.
    sent: VecDeque<Instant>,
}

impl<S> Shared<S> {
    fn half(&self) -> MutexGuard<'_, Half<S>> {
        // Each change is one step: a panic elsewhere leaves nothing half-done.
        self.half.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests after the route.
struct Outgoing<S> {
    shared: Arc<Shared<S>>,
    wire: Arc<Wire>,
    target: u64,
}

impl<S: StreamExt<Item = Request> + Unpin> futures::Stream for Outgoing<S> {
    type Item = proto::AppendMessage;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut half = self.shared.half();
        let Some(requests) = &mut half.requests else { return Poll::Ready(None) };
        let encoded = ready!(requests.poll_next_unpin(context)).and_then(|request| {
            let commit = request.leader_commit.map(|commit| commit.index);
            append_message::encode(&request, self.wire.contacts().proof(self.target, commit))
                .inspect_err(|error| tracing::error!(%error, "log entries cannot be encoded"))
                .ok()
        });
        match &encoded {
            Some(_) => half.sent.push_back(Instant::now()),
            None => half.requests = None,
        }
        Poll::Ready(encoded)
    }
}

/// The receiving half. Dropping it ends the stream.
struct Incoming<S> {
    shared: Arc<Shared<S>>,
    answers: Streaming<proto::AppendAnswer>,
    version: String,
    level: u32,
}

impl<S> Drop for Incoming<S> {
    fn drop(&mut self) {
        self.shared.half().requests = None;
    }
}

impl<S> Incoming<S> {
    /// The next answer; nothing after the last.
    async fn next(&mut self) -> Result<Option<proto::AppendAnswer>, CallError> {
        // Checked when it fires, so that answers in time need not move it.
        let timer = tokio::time::sleep(ANSWER_TIMEOUT);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                biased;
                answer = self.answers.message() => {
                    let answer = answer.map_err(|status| CallError::from_status(&status))?;
                    self.shared.half().sent.pop_front();
                    return Ok(answer);
                }
                () = &mut timer => {
                    let oldest = self.shared.half().sent.front().copied();
                    let due = oldest.unwrap_or_else(Instant::now) + ANSWER_TIMEOUT;
                    if due <= Instant::now() {
                        return Err(CallError::Timeout(ANSWER_TIMEOUT));
                    }
                    timer.as_mut().reset(due.into());
                }
            }
        }
    }
}

/// A stream that ends with `requests`, at the first error, or when dropped. It opens at the first poll: openraft can cancel a
/// stream that it has, but not the opening of one.
pub(super) fn stream<S>(peer: &PeerClient, requests: S) -> Answers<'_>
where
    S: StreamExt<Item = Request> + Send + Unpin + 'static,
{
    let opened = stream::once(open(peer, requests));
    let answers = opened.map(move |opened| match opened {
        Ok(incoming) => stream::unfold(Some(incoming), move |incoming| answer(peer, incoming)).boxed(),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    });
    answers.flatten().boxed()
}

async fn open<S>(peer: &PeerClient, requests: S) -> Result<Incoming<S>, RPCError<TypeConfig>>
where
    S: StreamExt<Item = Request> + Send + Unpin + 'static,
{
    let address = peer.address();
    peer.wire.reach(&address).ready().await;
    let route = peer.wire.route(peer.target).map_err(|error| unreachable(&error))?;
    let half = Half { requests: Some(requests), sent: VecDeque::new() };
    let shared = Arc::new(Shared { half: Mutex::new(half) });
    let rest = Outgoing { shared: shared.clone(), wire: Arc::clone(&peer.wire), target: peer.target };
    let outgoing = stream::iter([append_message::route(route)]).chain(rest);
    let mut stub = peer.stub(Lane::Calls);
    match bounded(ANSWER_TIMEOUT, stub.append(outgoing)).await {
        Ok(answers) => Ok(Incoming { shared, answers, version: String::new(), level: 0 }),
        Err(error) => {
            shared.half().requests = None;
            Err(failed(peer, &address, &error))
        }
    }
}

fn failed(peer: &PeerClient, address: &str, error: &CallError) -> RPCError<TypeConfig> {
    peer.wire.note(peer.target, address, Some(error));
    peer.wire.reach(address).flowed(false);
    peer.rpc_error(error, RPCTypes::AppendEntries)
}

async fn answer<S>(
    peer: &PeerClient,
    incoming: Option<Incoming<S>>,
) -> Option<(Result<Outcome, RPCError<TypeConfig>>, Option<Incoming<S>>)> {
    let mut incoming = incoming?;
    let address = peer.address();
    let answer = match incoming.next().await {
        Ok(Some(answer)) => answer,
        Ok(None) if incoming.shared.half().requests.is_none() => return None,
        Ok(None) => {
            let error = CallError::Broken("the follower ended the stream".into());
            return Some((Err(failed(peer, &address, &error)), None));
        }
        Err(error) => return Some((Err(failed(peer, &address, &error)), None)),
    };
    if !answer.version.is_empty() || answer.level > 0 {
        (incoming.version, incoming.level) = (answer.version, answer.level);
    }
    let outcome: Outcome = match codec::decode(&answer.payload) {
        Ok(outcome) => outcome,
        Err(error) => {
            let error = CallError::Broken(format!("an unreadable answer: {error}"));
            return Some((Err(failed(peer, &address, &error)), None));
        }
    };
    peer.wire.reach(&address).flowed(true);
    peer.answered(&address, &incoming.version, incoming.level, answer.clock);
    Some((Ok(outcome), Some(incoming)))
}
