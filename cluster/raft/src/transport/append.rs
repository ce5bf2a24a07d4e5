//! The leader's end of the append stream to one follower: requests go out as openraft makes them, many
//! before the first answer; answers come back in the same order.

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
use super::client::{CallError, bounded};
use super::network::{PeerClient, unreachable};
use super::pool::Lane;
use super::proto;
use crate::codec;
use crate::types::TypeConfig;

pub(super) type Answers<'s> = BoxStream<'s, Result<Outcome, RPCError<TypeConfig>>>;

/// Longest time that a request may be without an answer. Entries wait for a disk sync at the other end,
/// which a heartbeat-sized limit would cut off.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// What the sending and the receiving half of a stream share.
struct Shared<S> {
    half: Mutex<Half<S>>,
}

struct Half<S> {
    /// Gone when it has ended, and when nobody wants answers any more: openraft then reads the same log
    /// for the next stream, and must not lose a request to this one.
    requests: Option<S>,
    /// When requests without an answer went out.
    sent: VecDeque<Instant>,
}

impl<S> Shared<S> {
    fn half(&self) -> MutexGuard<'_, Half<S>> {
        // Each change is one step; a panic elsewhere leaves nothing half-done.
        self.half.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes out, after the route.
struct Outgoing<S>(Arc<Shared<S>>);

impl<S: StreamExt<Item = Request> + Unpin> futures::Stream for Outgoing<S> {
    type Item = proto::AppendMessage;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut half = self.0.half();
        let Some(requests) = &mut half.requests else { return Poll::Ready(None) };
        let encoded = ready!(requests.poll_next_unpin(context)).and_then(|request| {
            append_message::encode(&request)
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
        // The timer is looked at when it fires, so that answers in time need not move it.
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

/// Opens a stream. It ends with `requests`, at the first error and when it is dropped.
pub(super) async fn open<'s, S>(
    peer: &'s mut PeerClient,
    requests: S,
) -> Result<Answers<'s>, RPCError<TypeConfig>>
where
    S: StreamExt<Item = Request> + Send + Unpin + 'static,
{
    let peer = &*peer;
    let route = peer.wire.route(peer.target).map_err(|error| unreachable(&error))?;
    let half = Half { requests: Some(requests), sent: VecDeque::new() };
    let shared = Arc::new(Shared { half: Mutex::new(half) });
    let outgoing = stream::iter([append_message::route(route)]).chain(Outgoing(shared.clone()));
    let mut stub = peer.stub(Lane::Calls);
    let answers = match bounded(ANSWER_TIMEOUT, stub.append(outgoing)).await {
        Ok(answers) => answers,
        Err(error) => {
            shared.half().requests = None;
            return Err(peer.rpc_error(&error, RPCTypes::AppendEntries));
        }
    };
    let incoming = Incoming { shared, answers, version: String::new(), level: 0 };
    Ok(stream::unfold(Some(incoming), move |incoming| answer(peer, incoming)).boxed())
}

async fn answer<S>(
    peer: &PeerClient,
    incoming: Option<Incoming<S>>,
) -> Option<(Result<Outcome, RPCError<TypeConfig>>, Option<Incoming<S>>)> {
    let mut incoming = incoming?;
    let answer = match incoming.next().await {
        Ok(answer) => answer?,
        Err(error) => return Some((Err(peer.rpc_error(&error, RPCTypes::AppendEntries)), None)),
    };
    if !answer.version.is_empty() || answer.level > 0 {
        (incoming.version, incoming.level) = (answer.version, answer.level);
    }
    peer.wire.contacts().heard_peer(peer.target, &incoming.version, incoming.level);
    match codec::decode(&answer.payload) {
        Ok(outcome) => Some((Ok(outcome), Some(incoming))),
        Err(error) => {
            let error = CallError::Broken(format!("an unreadable answer: {error}"));
            Some((Err(peer.rpc_error(&error, RPCTypes::AppendEntries)), None))
        }
    }
}
