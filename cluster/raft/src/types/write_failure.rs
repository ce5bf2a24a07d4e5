//! How a submitted write fails. Its success shows in the replica; only failures come back from the log.

use std::any::Any;
use std::marker::PhantomData;

use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use tokio::sync::{mpsc, oneshot};

use crate::types::TypeConfig;

/// Why an attempt to write failed, or has an unknown outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// Nothing entered the log.
    NotLeader,
    /// Nothing entered the log: not all members know the command, or the log is full. The text says which.
    HeldBack(String),
    /// The entry may be committed now or later.
    Unknown(String),
}

impl WriteFailure {
    fn of(error: &ClientWriteError<TypeConfig>) -> Self {
        match error {
            ClientWriteError::LogEntryDiscarded(_) => {
                Self::Unknown("the leader changed while it was being written".into())
            }
            // All mean that nothing was logged; the last two never concern a plain write.
            ClientWriteError::ForwardToLeader(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_) => Self::NotLeader,
        }
    }
}

#[derive(Debug)]
enum Place {
    Here(oneshot::Sender<WriteFailure>),
    There { id: u64, stream: mpsc::UnboundedSender<(u64, WriteFailure)> },
}

/// Where the failure of one write goes. openraft completes it once; a success is dropped.
#[derive(Debug)]
pub struct FailureTo<T> {
    place: Place,
    result: PhantomData<fn(T)>,
}

/// The only use of it: writes.
pub(crate) type WriteFailureTo = FailureTo<ClientWriteResult<TypeConfig>>;

impl<T> FailureTo<T> {
    /// A caller on this node. Its receiver ends without a value when the write takes effect.
    pub(crate) fn here() -> (Self, oneshot::Receiver<WriteFailure>) {
        let (sender, receiver) = oneshot::channel();
        (Self { place: Place::Here(sender), result: PhantomData }, receiver)
    }

    /// The write `id` of another node's stream.
    pub(crate) fn there(id: u64, stream: mpsc::UnboundedSender<(u64, WriteFailure)>) -> Self {
        Self { place: Place::There { id, stream }, result: PhantomData }
    }

    /// Sends the failure. A caller that has gone away does not need it.
    pub(crate) fn fail(self, failure: WriteFailure) {
        match self.place {
            Place::Here(sender) => drop(sender.send(failure)),
            Place::There { id, stream } => drop(stream.send((id, failure))),
        }
    }
}

impl<T: Send + 'static> Responder<TypeConfig, T> for FailureTo<T> {
    fn on_complete(self, result: T) {
        // openraft names the type only by a parameter; for writes it is always this one.
        let result: &dyn Any = &result;
        if let Some(Err(error)) = result.downcast_ref::<ClientWriteResult<TypeConfig>>() {
            self.fail(WriteFailure::of(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::errors::ForwardToLeader;
    use openraft::raft::ClientWriteResponse;

    use super::*;

    #[tokio::test]
    async fn failures_come_back_and_successes_do_not() {
        let (to, here) = WriteFailureTo::here();
        to.on_complete(Err(ClientWriteError::ForwardToLeader(ForwardToLeader::empty())));
        assert_eq!(here.await, Ok(WriteFailure::NotLeader));

        let (stream, mut failures) = mpsc::unbounded_channel();
        let lost = ClientWriteError::LogEntryDiscarded(ForwardToLeader::empty());
        WriteFailureTo::there(7, stream.clone()).on_complete(Err(lost));
        let response = ClientWriteResponse { log_id: crate::testing::log_id(3), data: (), membership: None };
        WriteFailureTo::there(8, stream).on_complete(Ok(response));
        assert!(matches!(failures.recv().await, Some((7, WriteFailure::Unknown(_)))));
        assert_eq!(failures.recv().await, None, "a success came back");
    }
}
