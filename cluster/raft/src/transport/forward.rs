//! Forwards writes to the leader: one open stream, many writes in flight. Only failures come back; a success shows in the
//! replica of this node.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::call_error::{CallError, bounded};
use super::pool::Lane;
use super::proto::{self, write_message::Message};
use super::wire::Wire;
use super::write_streams::{Link, Pending};
use crate::types::Member;
use crate::types::write_failure::WriteFailure;

/// Longest time until the leader takes a new stream.
const OPEN_TIMEOUT: Duration = Duration::from_millis(500);
/// Writes in the send queue; more wait for a place.
const QUEUE: usize = 1_024;

impl Wire {
    /// Sends a write to the leader. Returns only when it failed: cancel it when the write shows.
    pub async fn write(self: &Arc<Self>, to: u64, member: &Member, proposal: Bytes) -> WriteFailure {
        let link = match self.link(to, member) {
            Ok(link) => link,
            Err(error) => return failure(&error),
        };
        let id = self.writes.last_id.fetch_add(1, Ordering::Relaxed);
        let Some(mut slot) = link.pending.register(id) else { return WriteFailure::NotLeader };
        let write = proto::ForwardedWrite { id, proposal };
        let message = proto::WriteMessage { message: Some(Message::Write(write)) };
        if link.writes.send(message).await.is_err() {
            // It never reached the stream.
            return WriteFailure::NotLeader;
        }
        match (&mut slot.failure).await {
            Ok(failure) => failure,
            Err(_) => WriteFailure::Unknown("the stream to the leader was given up".into()),
        }
    }

    /// The open stream to this node, or a new one.
    fn link(self: &Arc<Self>, to: u64, member: &Member) -> Result<Link, CallError> {
        let mut current = self.writes.current.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |link: &&Link| link.to == to && link.address == member.address && link.pending.is_open();
        if let Some(link) = current.as_ref().filter(usable) {
            return Ok(link.clone());
        }
        let route = proto::WriteMessage { message: Some(Message::Route(self.route(to)?)) };
        let (writes, queue) = mpsc::channel(QUEUE);
        let pending = Pending::open();
        let outgoing = stream::iter([route]).chain(ReceiverStream::new(queue));
        let mut client = self.forward(member, Lane::Calls);
        let (wire, address) = (Arc::clone(self), member.address.clone());
        let told = Arc::clone(&pending);
        tokio::spawn(async move {
            let opened = bounded(OPEN_TIMEOUT, client.write(outgoing)).await;
            let error = match wire.noted(to, &address, opened) {
                Ok(refused_writes) => failures(refused_writes, &told).await,
                Err(error) => error,
            };
            told.close(&failure(&error));
        });
        let link = Link { to, address: member.address.clone(), writes, pending };
        *current = Some(link.clone());
        Ok(link)
    }
}

/// Passes failures to their writes until the stream ends; returns why it ended.
async fn failures(mut refused_writes: tonic::Streaming<proto::WriteRefused>, pending: &Pending) -> CallError {
    loop {
        match refused_writes.message().await {
            Ok(Some(refused)) => {
                let failure = match (refused.unknown, refused.held_back) {
                    (Some(why), _) => WriteFailure::Unknown(why),
                    (None, Some(why)) => WriteFailure::HeldBack(why),
                    (None, None) => WriteFailure::NotLeader,
                };
                pending.fail(refused.id, failure);
            }
            Ok(None) => return CallError::Broken("the leader closed the stream".into()),
            Err(status) => return CallError::from_status(&status),
        }
    }
}

fn failure(error: &CallError) -> WriteFailure {
    match error {
        CallError::NotSent(_) | CallError::Unauthenticated(_) | CallError::Refused(_) => {
            WriteFailure::NotLeader
        }
        CallError::Timeout(_) | CallError::Broken(_) => WriteFailure::Unknown(error.to_string()),
    }
}
