//! Figures of streams: what an engine's answer says, and the newest samples of each stream. No IO.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use acefleet_registry::WallMs;
use serde_json::Value;

use crate::agent::context::unpoisoned;
use crate::soft::StreamSample;

/// An engine's words are cut at this length.
const LONGEST_STATUS: usize = 32;
/// How the engine says that a session is over.
const UNKNOWN_SESSION: &str = "unknown playback session id";
/// Such answers in a row that end a stream.
const STRIKES: u32 = 2;

/// One answer of a stat URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The figures; all absent when the engine gave none.
    pub sample: StreamSample,
    /// The engine says that it does not know the session.
    pub unknown_session: bool,
}

impl Answer {
    /// True when the engine gave a figure: the session plays.
    #[must_use]
    pub fn plays(&self) -> bool {
        self.sample != StreamSample { ts_ms: self.sample.ts_ms, ..StreamSample::default() }
    }
}

/// Reads an answer.
///
/// # Errors
/// When it does not have the form that engines answer in; nothing of it is used then.
pub fn read(answer: &Value, ts_ms: WallMs) -> Result<Answer, &'static str> {
    let answer = answer.as_object().ok_or("the answer is no object")?;
    let figures = match answer.get("response") {
        None | Some(Value::Null) => None,
        Some(Value::Object(figures)) => Some(figures),
        Some(_) => return Err("`response` is no object"),
    };
    let Some(figures) = figures else {
        let error = answer.get("error").and_then(Value::as_str).unwrap_or_default();
        let unknown_session = error.to_ascii_lowercase().contains(UNKNOWN_SESSION);
        return Ok(Answer { sample: StreamSample { ts_ms, ..StreamSample::default() }, unknown_session });
    };
    // An absent key is looked up under its other spelling; a zero is a figure.
    let figure = |keys: &[&str]| -> Result<Option<i64>, &'static str> {
        match keys.iter().find_map(|key| figures.get(*key)) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => integer(value).map(Some).ok_or("a figure is no whole number"),
        }
    };
    let status = match figures.get("status") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.chars().take(LONGEST_STATUS).collect()),
        Some(_) => return Err("`status` is no text"),
    };
    let sample = StreamSample {
        ts_ms,
        peers: figure(&["peers"])?,
        speed_down: figure(&["speed_down", "speedDown"])?,
        speed_up: figure(&["speed_up", "speedUp"])?,
        downloaded: figure(&["downloaded"])?,
        uploaded: figure(&["uploaded"])?,
        status,
    };
    Ok(Answer { sample, unknown_session: false })
}

/// A whole number, also when it is written as `12.0`.
fn integer(value: &Value) -> Option<i64> {
    let number = value.as_number()?;
    let whole = |f: f64| (f.fract() == 0.0 && f.abs() < 9.0e15).then_some(f as i64);
    number.as_i64().or_else(|| number.as_f64().and_then(whole))
}

/// What taking in an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes moved since the last sample: downloaded, uploaded.
    pub moved: (u64, u64),
    /// The engine has denied the session often enough: the stream is over.
    pub stale: bool,
}

/// Samples of the started streams on this node's engines.
#[derive(Debug)]
pub struct Samples {
    longest: usize,
    rings: Mutex<HashMap<String, Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    session: String,
    samples: VecDeque<StreamSample>,
    strikes: u32,
    bytes: (Option<u64>, Option<u64>),
}

impl Samples {
    /// Keeps `longest` samples of each stream.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { longest: longest.max(1), rings: Mutex::default() }
    }

    /// Takes in an answer for a stream's session. The bytes of its first sample count only when the
    /// stream is `fresh`: they were moved under this node's eyes.
    pub fn take(&self, stream: &str, session: &str, answer: &Answer, fresh: bool) -> Taken {
        let mut rings = unpoisoned(&self.rings);
        let ring = rings.entry(stream.to_owned()).or_default();
        if ring.session != session {
            // Another session counts its bytes from nothing.
            let known = !ring.session.is_empty();
            ring.bytes = if known { (Some(0), Some(0)) } else { (None, None) };
            ring.strikes = 0;
            session.clone_into(&mut ring.session);
        }
        ring.strikes = if answer.unknown_session { ring.strikes + 1 } else { 0 };
        let sample = &answer.sample;
        let moved = (
            growth(&mut ring.bytes.0, sample.downloaded, fresh),
            growth(&mut ring.bytes.1, sample.uploaded, fresh),
        );
        while ring.samples.len() >= self.longest {
            ring.samples.pop_front();
        }
        ring.samples.push_back(sample.clone());
        Taken { moved, stale: ring.strikes >= STRIKES }
    }

    /// A poll failed: denials are counted only when nothing comes between them.
    pub fn missed(&self, stream: &str) {
        if let Some(ring) = unpoisoned(&self.rings).get_mut(stream) {
            ring.strikes = 0;
        }
    }

    /// Forgets streams.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        unpoisoned(&self.rings).retain(|id, _| keep(id));
    }

    /// Samples of a stream from `since_ms` on, oldest first.
    #[must_use]
    pub fn since(&self, stream: &str, since_ms: Option<WallMs>) -> Vec<StreamSample> {
        let rings = unpoisoned(&self.rings);
        let samples = rings.get(stream).into_iter().flat_map(|ring| &ring.samples);
        samples.filter(|sample| since_ms.is_none_or(|since| sample.ts_ms >= since)).cloned().collect()
    }
}

/// How much a counter grew; a counter that fell counts as begun anew without a gain.
fn growth(last: &mut Option<u64>, now: Option<i64>, fresh: bool) -> u64 {
    let Some(now) = now.and_then(|now| u64::try_from(now).ok()) else { return 0 };
    let grown = match *last {
        Some(before) => now.saturating_sub(before),
        None if fresh => now,
        None => 0,
    };
    *last = Some(now);
    grown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(downloaded: i64) -> Answer {
        let sample = StreamSample {
            ts_ms: WallMs(downloaded as u64),
            downloaded: Some(downloaded),
            ..Default::default()
        };
        Answer { sample, unknown_session: false }
    }

    fn denial() -> Answer {
        Answer { sample: StreamSample::default(), unknown_session: true }
    }

    #[test]
    fn answers_are_read_as_engines_write_them() {
        let full = json!({"response": {"status": "dl", "peers": 31, "speed_down": 1043, "speed_up": 0,
            "downloaded": 734_003_200i64, "uploaded": 52_428_800, "livepos": {"pos": "1"}}, "error": null});
        let read_full = read(&full, WallMs(7)).unwrap();
        assert_eq!(
            read_full.sample,
            StreamSample {
                ts_ms: WallMs(7),
                peers: Some(31),
                speed_down: Some(1043),
                speed_up: Some(0),
                downloaded: Some(734_003_200),
                uploaded: Some(52_428_800),
                status: Some("dl".to_owned()),
            }
        );
        let camel = read(&json!({"response": {"speedDown": 5, "speedUp": 6}}), WallMs(0)).unwrap().sample;
        assert_eq!((camel.speed_down, camel.speed_up), (Some(5), Some(6)));
        let both = read(&json!({"response": {"speed_down": 0, "speedDown": 5}}), WallMs(0)).unwrap().sample;
        assert_eq!(both.speed_down, Some(0), "zero is a figure");
        assert_eq!(read(&json!({"response": {"peers": 2.0}}), WallMs(0)).unwrap().sample.peers, Some(2));
    }

    #[test]
    fn nothing_known_is_a_sample_without_figures() {
        for answer in [json!({"response": null, "error": null}), json!({"response": {}}), json!({})] {
            let read = read(&answer, WallMs(3)).unwrap();
            assert_eq!(read.sample, StreamSample { ts_ms: WallMs(3), ..Default::default() }, "{answer}");
            assert!(!read.unknown_session, "{answer}");
        }
        let over = json!({"response": null, "error": "unknown playback session id"});
        assert!(read(&over, WallMs(0)).unwrap().unknown_session);
        let other = json!({"response": null, "error": "failed to load content"});
        assert!(!read(&other, WallMs(0)).unwrap().unknown_session);
        assert!(!read(&other, WallMs(0)).unwrap().plays());
        let alive = json!({"response": {"peers": 1}, "error": "unknown playback session id"});
        assert!(read(&alive, WallMs(0)).unwrap().plays());
        assert!(!read(&alive, WallMs(0)).unwrap().unknown_session, "figures prove that it is known");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for answer in [
            json!([]),
            json!("x"),
            json!({"response": "ok"}),
            json!({"response": []}),
            json!({"response": {"peers": 1.5}}),
            json!({"response": {"downloaded": "12"}}),
            json!({"response": {"speed_down": true}}),
            json!({"response": {"uploaded": 1e300}}),
            json!({"response": {"status": 5}}),
        ] {
            assert!(read(&answer, WallMs(0)).is_err(), "{answer}");
        }
    }

    #[test]
    fn two_denials_in_a_row_end_a_stream() {
        let samples = Samples::new(10);
        let take = |answer: &Answer| samples.take("s", "1", answer, true).stale;
        assert!(!take(&denial()));
        assert!(take(&denial()));
        assert!(!take(&sample(1)));
        assert!(!take(&denial()));
        samples.missed("s");
        assert!(!take(&denial()), "a failed poll lies between");
        assert!(!samples.take("s", "2", &denial(), true).stale, "another session");
    }

    #[test]
    fn totals_only_grow() {
        let samples = Samples::new(10);
        let moved = |session: &str, n: i64, fresh| samples.take("s", session, &sample(n), fresh).moved.0;
        assert_eq!(moved("1", 100, false), 0, "moved before this node watched");
        assert_eq!(moved("1", 150, false), 50);
        assert_eq!(moved("1", 40, false), 0, "the counter fell");
        assert_eq!(moved("1", 60, false), 20);
        assert_eq!(moved("2", 30, false), 30, "a new session");
        assert_eq!(samples.take("t", "1", &sample(70), true).moved.0, 70);
        assert_eq!(samples.take("t", "1", &sample(-5), true).moved.0, 0);
    }

    #[test]
    fn the_ring_is_bounded_and_searched_by_time() {
        let samples = Samples::new(3);
        for n in 1..=5 {
            samples.take("s", "1", &sample(n), true);
        }
        let times = |since| samples.since("s", since).iter().map(|s| s.ts_ms).collect::<Vec<_>>();
        assert_eq!(times(None), [3, 4, 5].map(WallMs));
        assert_eq!(times(Some(WallMs(4))), [4, 5].map(WallMs));
        samples.retain(|id| id != "s");
        assert_eq!(times(None), Vec::<WallMs>::new());
    }
}
