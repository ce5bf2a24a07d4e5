//! The calls to the engine: getstream, playback, stop; and the check that bytes are MPEG-TS.
//!
//! The real client checks neither HTTP statuses nor bytes; here both lead to complaints.

use std::time::{Duration, Instant};

use hyper::{Method, header};

use super::config::Timers;
use super::decode::decode;
use super::records::{Getstream, Session};
use super::report::{Call, Complaint, Recorder, excerpt, millis};
use super::wire::{self, Wire, next_chunk};

const PACKET: usize = 188;
const SYNC: u8 = 0x47;

/// What a playback gave.
#[derive(Debug)]
pub struct Played {
    pub bytes: u64,
    pub first_byte_ms: Option<u64>,
    /// Reason of the ended event.
    pub reason: &'static str,
}

/// Opens a session. The HTTP status is ignored, as the real client does.
///
/// # Errors
/// The text of the player's 500.
pub async fn getstream(
    wire: &Wire,
    rec: &Recorder,
    timers: &Timers,
    engine: (&str, u16),
    key: (&str, &str),
) -> Result<Session, String> {
    let (host, port) = engine;
    let pid = uuid::Uuid::new_v4().to_string();
    // Parameters in the order of their names, as Go writes them.
    let mut pairs = [("format", "json"), key, ("pid", pid.as_str())];
    pairs.sort_unstable();
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let url = format!("http://{host}:{port}/ace/getstream?{query}");
    let call = wire::Call::new(Method::GET, url).header(header::CONTENT_TYPE, "application/json");
    let begin = Instant::now();
    let answer = wire.call(call, timers.no_response).await;
    let status = answer.as_ref().ok().map(|a| a.status);
    rec.call(Call::Getstream, begin.elapsed(), status, None);
    let complain = |reason: String, body: &[u8]| {
        complain(rec, Call::Getstream, reason, status, body, begin.elapsed());
    };
    let answer = answer.map_err(|error| {
        complain(format!("{host}:{port}: {error}; the player gets 500"), b"");
        format!("Failed to start stream: {error}")
    })?;
    let decoded: Getstream = decode(&answer.body).map_err(|error| {
        complain(format!("{host}:{port}: {error}; the player gets 500"), &answer.body);
        format!("Failed to start stream: {error}")
    })?;
    if !decoded.error.is_empty() {
        complain(format!("{host}:{port}: engine error; the player gets 500"), &answer.body);
        return Err(format!("Failed to start stream: {}", decoded.error));
    }
    if decoded.response.playback_url.is_empty() {
        complain("no playback_url; the player gets an empty 200".to_owned(), &answer.body);
    }
    Ok(decoded.response)
}

/// Plays for `hold` after the first byte; `seen` learns the bytes so far.
pub async fn play(
    wire: &Wire,
    rec: &Recorder,
    timers: &Timers,
    session: &Session,
    hold: Duration,
    seen: impl Fn(u64),
) -> Played {
    let begin = Instant::now();
    let mut played = Played { bytes: 0, first_byte_ms: None, reason: "completed" };
    let opened = wire.open(&session.playback_url, timers.no_response).await;
    let status = opened.as_ref().ok().map(|r| r.status().as_u16());
    rec.call(Call::Playback, begin.elapsed(), status, None);
    let complain = |reason: String, body: &[u8]| {
        complain(rec, Call::Playback, reason, status, body, begin.elapsed());
    };
    let response = match opened {
        Ok(response) => response,
        Err(error) => {
            complain(format!("{error}; the player gets an empty 200"), b"");
            played.reason = match error {
                wire::WireError::Timeout(_) => "timeout",
                _ => "error",
            };
            return played;
        }
    };
    if status != Some(200) {
        complain("not 200; the player gets the error body as video".to_owned(), b"");
    }
    let mut body = response.into_body();
    let mut check = TsCheck::default();
    let mut until = None;
    loop {
        let chunk = tokio::select! {
            () = sleep_until(until) => {
                played.reason = "client_disconnected";
                return played;
            }
            chunk = tokio::time::timeout(timers.empty, next_chunk(&mut body)) => chunk,
        };
        match chunk {
            Err(_) => {
                complain(format!("no bytes for {:?}; Acexy closes the stream", timers.empty), b"");
                played.reason = "empty_timeout";
                return played;
            }
            Ok(Err(error)) => {
                complain(format!("the stream broke: {error}"), b"");
                // A killed engine looks like a player that left when its host resets the connection.
                played.reason = match error {
                    wire::WireError::Reset(_) => "client_disconnected",
                    _ => "eof",
                };
                return played;
            }
            Ok(Ok(None)) => {
                complain("the engine ended the stream before the player left".to_owned(), b"");
                return played;
            }
            Ok(Ok(Some(bytes))) => {
                if !check.feed(&bytes) {
                    complain("the bytes are no MPEG-TS".to_owned(), &bytes);
                    return played;
                }
                played.bytes += bytes.len() as u64;
                seen(played.bytes);
                if until.is_none() {
                    played.first_byte_ms = Some(rec.now_ms());
                    until = Some(tokio::time::Instant::now() + hold);
                }
            }
        }
    }
}

async fn sleep_until(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Stops a session; one try, the result changes nothing.
pub async fn stop(wire: &Wire, rec: &Recorder, timers: &Timers, session: &Session) {
    let begin = Instant::now();
    let call = wire::Call::new(Method::GET, format!("{}?method=stop", session.command_url));
    let answer = wire.call(call, timers.stop).await;
    let status = answer.as_ref().ok().map(|a| a.status);
    rec.call(Call::Stop, begin.elapsed(), status, None);
    let complain = |reason: String, body: &[u8]| {
        complain(rec, Call::Stop, reason, status, body, begin.elapsed());
    };
    match answer {
        Err(error) => complain(format!("{error}; the session stays on the engine"), b""),
        Ok(answer) => {
            let stopped = serde_json::from_slice::<serde_json::Value>(&answer.body)
                .is_ok_and(|body| body["response"] == "ok");
            if !stopped {
                complain("the engine did not stop the session".to_owned(), &answer.body);
            }
        }
    }
}

fn complain(rec: &Recorder, call: Call, reason: String, status: Option<u16>, body: &[u8], elapsed: Duration) {
    rec.complain(Complaint { call, reason, status, body: excerpt(body), elapsed_ms: millis(elapsed) });
}

/// The session id that the client uses: cut out of the path of `stat_url`, not the engine's field.
pub fn session_id(stat_url: &str) -> String {
    let mut segments = stat_url.split('/').skip_while(|s| *s != "stat").skip(1);
    match segments.nth(1) {
        Some(id) => id.split('?').next().unwrap_or(id).to_owned(),
        None => stat_url.rsplit('/').next().unwrap_or("").to_owned(),
    }
}

/// Checks the sync byte of every packet, over chunks of any size.
#[derive(Debug, Default)]
pub struct TsCheck {
    /// Bytes until the next sync byte.
    skip: usize,
}

impl TsCheck {
    /// Whether the stream is still one of packets.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut position = self.skip;
        while position < bytes.len() {
            if bytes[position] != SYNC {
                return false;
            }
            position += PACKET;
        }
        self.skip = position - bytes.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_come_from_the_path() {
        assert_eq!(session_id("http://h:1/ace/stat/aa/bb"), "bb");
        assert_eq!(session_id("http://h:1/ace/stat/aa/bb?x=1"), "bb");
        assert_eq!(session_id("http://h:1/other/cc?x=1"), "cc?x=1");
        assert_eq!(session_id(""), "");
    }

    #[test]
    fn sync_bytes_over_any_chunking() {
        let mut stream = vec![0u8; PACKET * 50];
        stream.iter_mut().step_by(PACKET).for_each(|b| *b = SYNC);
        for size in [1, 7, 188, 189, 1000, stream.len()] {
            let mut check = TsCheck::default();
            assert!(stream.chunks(size).all(|chunk| check.feed(chunk)), "{size}");
        }
        stream[PACKET * 20] = 0;
        let mut check = TsCheck::default();
        assert!(!stream.chunks(100).all(|chunk| check.feed(chunk)));
        assert!(!TsCheck::default().feed(b"<html>"));
    }
}
