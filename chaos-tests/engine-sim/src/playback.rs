//! Paced delivery of packets to a reader.
//!
//! It must not buffer: packets are made when they are due, and a reader that falls behind by more
//! than a second loses the difference, as with a live stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::stream;
use tokio::time::{Instant, sleep_until};

use crate::engine::Engine;
use crate::mpegts::{Mux, PACKET};
use crate::sessions::Attached;

const TICK: Duration = Duration::from_millis(20);
const PACKET_BITS: u64 = PACKET as u64 * 8;

/// `GET /ace/r/<infohash>/<session>`: the stream itself.
pub async fn play(
    State(engine): State<Arc<Engine>>,
    Path((infohash, id)): Path<(String, String)>,
) -> Response {
    stream_session(engine, &infohash, id)
}

/// `HEAD` of the same: the headers, without becoming the session's reader.
pub async fn head(
    State(engine): State<Arc<Engine>>,
    Path((infohash, id)): Path<(String, String)>,
) -> Response {
    if engine.sessions().get(&infohash, &id).is_some() {
        [(header::CONTENT_TYPE, "video/mp2t")].into_response()
    } else {
        unknown_session()
    }
}

/// Connects a reader to a session and answers with the endless stream.
pub fn stream_session(engine: Arc<Engine>, infohash: &str, id: String) -> Response {
    let Some(attached) = engine.sessions().attach(infohash, &id) else {
        return unknown_session();
    };
    let delivery = Delivery::new(engine, id, attached);
    let body = stream::unfold(delivery, |mut delivery| async move {
        let chunk = delivery.next_chunk().await?;
        Some((Ok::<_, Infallible>(chunk), delivery))
    });
    ([(header::CONTENT_TYPE, "video/mp2t")], Body::from_stream(body)).into_response()
}

/// The answer for a session that does not exist, where the caller expects media.
pub fn unknown_session() -> Response {
    (StatusCode::NOT_FOUND, "unknown playback session id").into_response()
}

/// One connected reader. Dropping it (the connection is gone) frees the session's place.
struct Delivery {
    engine: Arc<Engine>,
    session: String,
    reader: Attached,
    mux: Mux,
    /// Bits that time has earned and no packet has used.
    credit: u64,
    last: Instant,
}

impl Delivery {
    fn new(engine: Arc<Engine>, session: String, reader: Attached) -> Self {
        let (prebuf, bitrate) = {
            let faults = engine.faults();
            (Duration::from_millis(faults.prebuf_ms), faults.bitrate_kbps)
        };
        let ready = Instant::from_std(reader.created + prebuf);
        Self {
            mux: Mux::starting_at(0, bitrate),
            last: ready.max(Instant::now()),
            credit: 0,
            engine,
            session,
            reader,
        }
    }

    /// Waits until packets are due. `None`: the session ended or another reader took over.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                _ = &mut self.reader.cut => return None,
                () = sleep_until(self.last + TICK) => {}
            }
            let (stall, kbps) = {
                let faults = self.engine.faults();
                (faults.stall, faults.bitrate_kbps)
            };
            let now = Instant::now();
            let elapsed = now.saturating_duration_since(self.last);
            self.last = now;
            if stall {
                self.credit = 0;
                continue;
            }
            // Bits per microsecond are kbit/s divided by a thousand.
            let earned = elapsed.as_micros().min(1_000_000) as u64 * kbps / 1000;
            self.credit = self.credit.saturating_add(earned);
            let packets = self.credit / PACKET_BITS;
            if packets == 0 {
                continue;
            }
            self.credit -= packets * PACKET_BITS;
            let mut chunk = BytesMut::with_capacity(packets as usize * PACKET);
            for _ in 0..packets {
                chunk.extend_from_slice(&self.mux.next_packet(kbps));
            }
            self.reader.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            return Some(chunk.freeze());
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.engine.sessions().detach(&self.session, self.reader.number);
    }
}
