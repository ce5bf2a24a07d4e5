//! Figures of streams and stopping them, wherever their engine runs.

use std::time::Instant;

use acefleet_registry::end_reason::EndReason;
use acefleet_registry::stream::StreamEnd;
use acefleet_registry::{Command, WallMs};

use crate::fleet::{Fleet, FleetError, containers};
use crate::peers::{Answer, Detail, Details, Question, StreamSample};

impl Fleet {
    /// Samples of a stream, oldest first. Empty for an unknown stream or one outside the cluster.
    ///
    /// # Errors
    /// When the host of its engine does not answer.
    pub async fn stream_stats(
        &self,
        id: &str,
        since_ms: Option<WallMs>,
    ) -> Result<Vec<StreamSample>, FleetError> {
        let view = self.view();
        let engine = view.state.stream(id).and_then(|stream| stream.engine);
        let Some(engine) = engine.and_then(|engine| view.state.engine(engine)) else {
            return Ok(Vec::new());
        };
        let question = Question::StreamStats { stream: id.to_owned(), since_ms };
        match self.ask_owner(engine.node, question, containers::soon()).await? {
            Answer::Samples(samples) => Ok(samples),
            _ => Err(self.unexpected(engine.node)),
        }
    }

    /// What the engine of a stream says of it, asked at this moment.
    ///
    /// # Errors
    /// When the stream runs on no engine of this cluster, or the engine or its node does not answer.
    pub async fn stream_detail(&self, id: &str, detail: Detail) -> Result<Details, FleetError> {
        let view = self.view();
        let engine = view.state.stream(id).and_then(|stream| view.state.engine(stream.engine?));
        let outside =
            || FleetError::NotFound("the engine of the stream is not one of this cluster".to_owned());
        let node = engine.ok_or_else(outside)?.node;
        let question = Question::StreamDetail { stream: id.to_owned(), detail };
        match self.ask_owner(node, question, containers::soon()).await? {
            Answer::StreamDetail(details) => Ok(details),
            _ => Err(self.unexpected(node)),
        }
    }

    /// Ends the stream, and tells its engine to stop the session, whether or not it obeys.
    ///
    /// # Errors
    /// When the stream is not known or the end could not be written.
    pub async fn stop_stream(&self, id: &str, deadline: Instant) -> Result<(), FleetError> {
        let view = self.view();
        let stream =
            view.state.stream(id).ok_or_else(|| FleetError::NotFound("Stream not found".to_owned()))?;
        // First the end: the proxy reports one of its own as soon as the session is cut, and the first one says why.
        let end = StreamEnd {
            stream_id: Some(id.to_owned()),
            container_id: None,
            reason: Some(EndReason::StoppedByApi),
        };
        self.write(Command::StreamEnded(end), deadline).await?;
        if let Some(engine) = stream.engine.and_then(|engine| view.state.engine(engine)) {
            let command_url = stream.start.command_url.clone();
            let question = Question::StopSession { engine: engine.id, command_url };
            if let Err(error) = self.ask_owner(engine.node, question, deadline).await {
                tracing::warn!(stream = id, %error, "the engine did not stop the session; the stream has ended all the same");
            }
        }
        Ok(())
    }
}
