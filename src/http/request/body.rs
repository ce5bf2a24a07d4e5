//! Bodies of requests. A body is read only after the key of its sender was checked, and all bodies in flight share one budget.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use crate::http::answer::problem::Problem;

/// Longest body that is read.
pub(crate) const BODY_MAX: usize = 1 << 20;
/// Bytes of bodies in flight, over all connections.
const IN_FLIGHT_MAX: usize = 64 << 20;

/// Room for bodies in flight.
#[derive(Clone)]
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::of(IN_FLIGHT_MAX)
    }
}

/// A body, with its share of the budget until it is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    pub bytes: Vec<u8>,
    pub room: OwnedSemaphorePermit,
}

impl Bodies {
    fn of(bytes: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(bytes)) }
    }

    /// Reads a body. With a declared length it takes its whole share of the budget before the first byte, else as it arrives.
    ///
    /// # Errors
    /// 413 when it is too long, 503 when the budget is used up until `deadline`, 408 when it has not arrived by then, 400 when it is
    /// incomplete.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        deadline: Instant,
    ) -> Result<Received, Problem> {
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > BODY_MAX) {
            return Err(too_large());
        }
        let mut room = self.room(announced.unwrap_or_default(), deadline).await?;
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default());
        loop {
            let Ok(frame) = timeout_at(deadline.into(), body.frame()).await else { return Err(slow()) };
            let Some(frame) = frame else { return Ok(Received { bytes, room }) };
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
            let length = bytes.len() + data.len();
            if length > BODY_MAX {
                return Err(too_large());
            }
            if length > room.num_permits() {
                room.merge(self.room(length - room.num_permits(), deadline).await?);
            }
            bytes.extend_from_slice(&data);
        }
    }

    async fn room(&self, bytes: usize, deadline: Instant) -> Result<OwnedSemaphorePermit, Problem> {
        // At most the longest body, which one call may take.
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        match timeout_at(deadline.into(), Arc::clone(&self.room).acquire_many_owned(permits)).await {
            Ok(Ok(room)) => Ok(room),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Problem::busy("as many bytes of requests wait as this node takes")),
        }
    }
}

fn too_large() -> Problem {
    let detail = format!("the request body is larger than {BODY_MAX} bytes");
    Problem::text(StatusCode::PAYLOAD_TOO_LARGE, &detail)
}

fn slow() -> Problem {
    Problem::text(StatusCode::REQUEST_TIMEOUT, "the request body took too long")
}

fn broken() -> Problem {
    Problem::text(StatusCode::BAD_REQUEST, "the request body broke off or is malformed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::HeaderValue;
    use bytes::Bytes;

    use super::*;

    fn announced(length: usize) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(length))])
    }

    fn in_pieces(count: usize) -> Body {
        let piece = || Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 100]));
        Body::from_stream(futures::stream::iter((0..count).map(move |_| piece())))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn status(result: Result<Received, Problem>) -> u16 {
        match result {
            Ok(_) => 200,
            Err(problem) => problem.status_and_body().0.as_u16(),
        }
    }

    #[tokio::test]
    async fn bodies_in_flight_share_one_budget() {
        let bodies = Bodies::of(1_000);
        let patience = Instant::now() + Duration::from_secs(20);
        let first = bodies.read(&announced(600), in_pieces(6), patience).await.unwrap();
        // With and without a declared length.
        for headers in [announced(500), HeaderMap::new()] {
            let refused = bodies.read(&headers, in_pieces(5), soon()).await.unwrap_err();
            let (status, body) = refused.status_and_body();
            assert_eq!((status.as_u16(), &body["detail"]["code"]), (503, &serde_json::json!("busy")));
        }
        assert_eq!(status(bodies.read(&HeaderMap::new(), in_pieces(4), patience).await), 200);
        let waiting = {
            let bodies = bodies.clone();
            tokio::spawn(async move { bodies.read(&announced(500), in_pieces(5), patience).await })
        };
        drop(first);
        assert_eq!(waiting.await.unwrap().unwrap().bytes.len(), 500);
        assert_eq!(bodies.room.available_permits(), 1_000, "the whole budget is free again");
    }

    #[tokio::test]
    async fn a_body_with_a_length_takes_its_share_before_a_byte_is_read() {
        let bodies = Bodies::of(1_000);
        let silent = || Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let reading = {
            let bodies = bodies.clone();
            tokio::spawn(async move { bodies.read(&announced(900), silent(), soon()).await })
        };
        assert_eq!(status(reading.await.unwrap()), 408);
        assert_eq!(bodies.room.available_permits(), 1_000);
        for headers in [announced(BODY_MAX + 1), HeaderMap::new()] {
            let bodies = Bodies::default();
            let body = in_pieces(BODY_MAX / 100 + 1);
            assert_eq!(
                status(bodies.read(&headers, body, Instant::now() + Duration::from_secs(20)).await),
                413
            );
        }
    }
}
