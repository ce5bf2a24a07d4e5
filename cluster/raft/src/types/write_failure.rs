//! How a submitted write fails. That it took effect is seen in the replica ([`crate::replica::awaited`]); only
//! what goes wrong comes back from the log.

use std::any::Any;
use std::marker::PhantomData;

use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use tokio::sync::{mpsc, oneshot};

use crate::types::TypeConfig;

/// Why an attempt to write came to nothing, or nobody knows to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing entered the log.
    NotLeader,
    /// Nothing entered the log, because not all members know the command, or because it is full; the text says why.
    HeldBack(String),
    /// The entry may be committed now or later.
    Unknown(String),
}

impl Refusal {
    fn of(error: &ClientWriteError<TypeConfig>) -> Self {
        match error {
            ClientWriteError::LogEntryDiscarded(_) => {
                Self::Unknown("the leader changed while it was being written".into())
            }
            // The last two do not concern a plain write; all mean that nothing was logged.
            ClientWriteError::ForwardToLeader(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_) => Self::NotLeader,
        }
    }
}

#[derive(Debug)]
enum Place {
    Here(oneshot::Sender<Refusal>),
    There { id: u64, stream: mpsc::UnboundedSender<(u64, Refusal)> },
}

/// Where the failure of one write is told. openraft completes it once; a success is dropped.
#[derive(Debug)]
pub struct RefusalTo<T> {
    place: Place,
    result: PhantomData<fn(T)>,
}

/// The same for writes, which is the only use of it.
pub(crate) type WriteRefusalTo = RefusalTo<ClientWriteResult<TypeConfig>>;

impl<T> RefusalTo<T> {
    /// A caller on this node. Its receiver ends without a value when the write took effect.
    pub(crate) fn here() -> (Self, oneshot::Receiver<Refusal>) {
        let (sender, receiver) = oneshot::channel();
        (Self { place: Place::Here(sender), result: PhantomData }, receiver)
    }

    /// The write `id` of another node's stream.
    pub(crate) fn there(id: u64, stream: mpsc::UnboundedSender<(u64, Refusal)>) -> Self {
        Self { place: Place::There { id, stream }, result: PhantomData }
    }

    /// Tells it. Somebody who has gone away does not need to know.
    pub(crate) fn tell(self, refusal: Refusal) {
        match self.place {
            Place::Here(sender) => drop(sender.send(refusal)),
            Place::There { id, stream } => drop(stream.send((id, refusal))),
        }
    }
}

impl<T: Send + 'static> Responder<TypeConfig, T> for RefusalTo<T> {
    fn on_complete(self, result: T) {
        // openraft names the type only by a parameter; for writes it is always this one.
        let result: &dyn Any = &result;
        if let Some(Err(error)) = result.downcast_ref::<ClientWriteResult<TypeConfig>>() {
            self.tell(Refusal::of(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::errors::ForwardToLeader;
    use openraft::raft::ClientWriteResponse;

    use super::*;

    #[tokio::test]
    async fn failures_are_told_and_successes_are_not() {
        let (told, here) = WriteRefusalTo::here();
        told.on_complete(Err(ClientWriteError::ForwardToLeader(ForwardToLeader::empty())));
        assert_eq!(here.await, Ok(Refusal::NotLeader));

        let (stream, mut refusals) = mpsc::unbounded_channel();
        let lost = ClientWriteError::LogEntryDiscarded(ForwardToLeader::empty());
        WriteRefusalTo::there(7, stream.clone()).on_complete(Err(lost));
        let response = ClientWriteResponse { log_id: crate::testing::log_id(3), data: (), membership: None };
        WriteRefusalTo::there(8, stream).on_complete(Ok(response));
        assert!(matches!(refusals.recv().await, Some((7, Refusal::Unknown(_)))));
        assert_eq!(refusals.recv().await, None, "a success was told");
    }
}
