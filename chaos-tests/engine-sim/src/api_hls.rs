//! HLS: a sliding playlist of the last segments, and the segments themselves.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;

use crate::api_ace::base_url;
use crate::engine::Engine;
use crate::mpegts::{Mux, PACKET};
use crate::playback;

const SEGMENT_S: u64 = 2;
const WINDOW: u64 = 4;

/// `GET /ace/m/<infohash>/<session>.m3u8`.
pub async fn playlist(
    State(engine): State<Arc<Engine>>,
    headers: HeaderMap,
    Path((infohash, file)): Path<(String, String)>,
) -> Response {
    let id = file.strip_suffix(".m3u8").unwrap_or(&file);
    playlist_of(&engine, &base_url(&engine, &headers), &infohash, id)
}

/// The playlist of a session as it is now.
pub fn playlist_of(engine: &Engine, base: &str, infohash: &str, id: &str) -> Response {
    let age = {
        let mut sessions = engine.sessions();
        match sessions.touch(id).filter(|s| s.infohash == infohash) {
            Some(session) => session.created.elapsed().as_secs(),
            None => return playback::unknown_session(),
        }
    };
    // A new session has a full window already, as an engine that has prebuffered.
    let first = age / SEGMENT_S;
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for number in first..first + WINDOW {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "#EXTINF:{SEGMENT_S}.0,\n{base}/ace/c/{id}/{number}.ts");
    }
    ([(header::CONTENT_TYPE, "application/x-mpegURL")], text).into_response()
}

/// `GET /ace/c/<session>/<number>.ts`.
pub async fn segment(
    State(engine): State<Arc<Engine>>,
    Path((id, file)): Path<(String, String)>,
) -> Response {
    let number = file.strip_suffix(".ts").and_then(|number| number.parse::<u32>().ok());
    let (Some(number), Some(_)) = (number, engine.sessions().touch(&id)) else {
        return playback::unknown_session();
    };
    let kbps = engine.faults().bitrate_kbps;
    let packets = (kbps * 1000 * SEGMENT_S / (PACKET as u64 * 8)).max(1);
    let mut mux = Mux::starting_at(u64::from(number) * packets, kbps);
    let mut body = BytesMut::with_capacity(packets as usize * PACKET);
    for _ in 0..packets {
        body.extend_from_slice(&mux.next_packet(kbps));
    }
    ([(header::CONTENT_TYPE, "video/mp2t")], body.freeze()).into_response()
}
