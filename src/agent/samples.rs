//! Figures of streams: what an engine's answer says, and the newest samples of each stream. No IO.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use acefleet_registry::WallMs;
use serde_json::{Map, Value};

use crate::agent::legible::is_plain;
use crate::agent::lock::unpoisoned;
use crate::peers::StreamSample;

/// Longest status word of an engine, in bytes; longer ones are cut.
const LONGEST_STATUS: usize = 32;
/// Samples kept of a stream that has given no figure yet.
const WITHOUT_FIGURES: usize = 5;
/// Bytes that all samples together may take. Beyond it the longest rings lose their oldest samples.
pub const BYTES_MAX: usize = 32 << 20;
/// Bytes that a sample takes at the most, with its status word and the slack of its ring.
const SAMPLE: usize = 2 * (size_of::<StreamSample>() + LONGEST_STATUS);
/// How the engine says that a session is over.
const UNKNOWN_SESSION: &str = "unknown playback session id";
/// This many such answers in a row end a stream.
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
        let StreamSample { peers, speed_down, speed_up, downloaded, uploaded, status, .. } = &self.sample;
        [peers, speed_down, speed_up, downloaded, uploaded].iter().any(|figure| figure.is_some())
            || status.is_some()
    }
}

/// Whether an engine's error says that it does not know the session.
pub(super) fn is_of_unknown_session(error: &str) -> bool {
    error.to_ascii_lowercase().contains(UNKNOWN_SESSION)
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
        let unknown_session = is_of_unknown_session(error);
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
        Some(Value::String(text)) => {
            let mut bytes = 0;
            let fits = |c: &char| {
                bytes += c.len_utf8();
                bytes <= LONGEST_STATUS
            };
            Some(text.chars().filter(|c| is_plain(*c)).take_while(fits).collect())
        }
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
        buffer_pieces: live_figure(figures, "buffer_pieces"),
        behind_live_s: behind_live(figures),
    };
    Ok(Answer { sample, unknown_session: false })
}

/// A figure of a live stream's position, which engines write as a text. Nothing depends on it, so another form is no error.
fn live_figure(figures: &Map<String, Value>, name: &str) -> Option<i64> {
    let figure = figures.get("livepos")?.get(name)?;
    figure.as_str().map_or_else(|| integer(figure), |text| text.parse().ok())
}

/// Seconds between what is played and what is broadcast; both are times of day.
fn behind_live(figures: &Map<String, Value>) -> Option<i64> {
    let played = live_figure(figures, "pos")?;
    let newest = live_figure(figures, "live_last").or_else(|| live_figure(figures, "last_ts"))?;
    newest.checked_sub(played).filter(|behind| (0..=86_400).contains(behind))
}

/// A whole number, also when it is written as `12.0`.
fn integer(value: &Value) -> Option<i64> {
    let number = value.as_number()?;
    let whole = |f: f64| (f.fract() == 0.0 && f.abs() < 9.0e15).then_some(f as i64);
    number.as_i64().or_else(|| number.as_f64().and_then(whole))
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Bytes moved since the last sample: downloaded, uploaded.
    pub moved: (u64, u64),
    /// The engine has denied the session often enough for the stream to end.
    pub stale: bool,
}

/// Samples of the started streams on this node's engines.
#[derive(Debug)]
pub struct Samples {
    longest: usize,
    most: usize,
    rings: Mutex<Rings>,
}

#[derive(Debug, Default)]
struct Rings {
    by_stream: HashMap<String, Ring>,
    /// Samples in all of them.
    count: usize,
}

#[derive(Debug, Default)]
struct Ring {
    session: String,
    /// The stream has given a figure.
    played: bool,
    samples: VecDeque<StreamSample>,
    strikes: u32,
    bytes: (Option<u64>, Option<u64>),
}

impl Samples {
    /// Keeps `longest` samples of each stream, within `bytes` for all of them.
    #[must_use]
    pub fn new(longest: usize, bytes: usize) -> Self {
        Self { longest: longest.max(1), most: bytes / SAMPLE, rings: Mutex::default() }
    }

    /// Records an answer for a stream's session. The bytes of its first sample count only if the stream is `fresh`, that is if this
    /// node has watched it from its start.
    pub fn record(&self, stream: &str, session: &str, answer: &Answer, fresh: bool) -> Recorded {
        let mut rings = unpoisoned(&self.rings);
        let Rings { by_stream, count } = &mut *rings;
        let ring = by_stream.entry(stream.to_owned()).or_default();
        if ring.session != session {
            // Another session counts its bytes from zero.
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
        ring.played |= answer.plays();
        let longest = if ring.played { self.longest } else { self.longest.min(WITHOUT_FIGURES) };
        *count -= ring.keep(longest - 1);
        ring.samples.push_back(sample.clone());
        *count += 1;
        let taken = Recorded { moved, stale: ring.strikes >= STRIKES };
        if *count > self.most {
            // Somewhat below the limit, so that not every sample shortens rings.
            rings.shorten(self.most - self.most / 16);
        }
        taken
    }

    /// A poll failed. Denials count only when they follow each other.
    pub fn missed(&self, stream: &str) {
        if let Some(ring) = unpoisoned(&self.rings).by_stream.get_mut(stream) {
            ring.strikes = 0;
        }
    }

    /// Forgets streams.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut rings = unpoisoned(&self.rings);
        rings.by_stream.retain(|id, _| keep(id));
        rings.count = rings.by_stream.values().map(|ring| ring.samples.len()).sum();
    }

    /// Samples of a stream from `since_ms` on, oldest first.
    #[must_use]
    pub fn since(&self, stream: &str, since_ms: Option<WallMs>) -> Vec<StreamSample> {
        let rings = unpoisoned(&self.rings);
        let samples = rings.by_stream.get(stream).into_iter().flat_map(|ring| &ring.samples);
        samples.filter(|sample| since_ms.is_none_or(|since| sample.ts_ms >= since)).cloned().collect()
    }
}

impl Rings {
    /// Drops the oldest samples of the longest rings until at most `most` are left.
    fn shorten(&mut self, most: usize) {
        let mut lengths: Vec<usize> = self.by_stream.values().map(|ring| ring.samples.len()).collect();
        lengths.sort_unstable();
        // Cuts all rings at the greatest length that fits; shorter ones stay as they are.
        let (mut left, mut longest) = (most, 0);
        for (at, length) in lengths.iter().enumerate() {
            let share = left / (lengths.len() - at);
            longest = share;
            if *length > share {
                break;
            }
            left -= length;
        }
        for ring in self.by_stream.values_mut() {
            self.count -= ring.keep(longest);
        }
    }
}

impl Ring {
    /// Keeps the newest samples. Returns how many were dropped.
    fn keep(&mut self, newest: usize) -> usize {
        let surplus = self.samples.len().saturating_sub(newest);
        self.samples.drain(..surplus);
        if self.samples.capacity() > 2 * (newest + 1).max(self.samples.len()) {
            self.samples.shrink_to(newest + 1);
        }
        surplus
    }
}

/// How much a counter grew. A counter that fell started again and counts as no growth.
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
                ..StreamSample::default()
            }
        );
        let camel = read(&json!({"response": {"speedDown": 5, "speedUp": 6}}), WallMs(0)).unwrap().sample;
        assert_eq!((camel.speed_down, camel.speed_up), (Some(5), Some(6)));
        let both = read(&json!({"response": {"speed_down": 0, "speedDown": 5}}), WallMs(0)).unwrap().sample;
        assert_eq!(both.speed_down, Some(0), "zero is a figure");
        assert_eq!(read(&json!({"response": {"peers": 2.0}}), WallMs(0)).unwrap().sample.peers, Some(2));
    }

    #[test]
    fn the_position_of_a_live_stream_is_read_as_far_as_it_is_one() {
        let live = |livepos: Value| {
            let answer = read(&json!({"response": {"livepos": livepos}}), WallMs(0)).unwrap();
            assert!(!answer.plays(), "a position alone says nothing");
            (answer.sample.buffer_pieces, answer.sample.behind_live_s)
        };
        let last = 1_759_428_251;
        let texts =
            json!({"pos": (last - 13).to_string(), "live_last": last.to_string(), "buffer_pieces": "14"});
        assert_eq!(live(texts), (Some(14), Some(13)));
        assert_eq!(live(json!({"pos": last - 1, "last_ts": last, "buffer_pieces": 2})), (Some(2), Some(1)));
        for other in
            [json!(null), json!("x"), json!({}), json!({"pos": "x", "live_last": {}, "buffer_pieces": []})]
        {
            assert_eq!(live(other.clone()), (None, None), "{other}");
        }
        assert_eq!(live(json!({"pos": "5", "live_last": "1759428251"})).1, None, "other units");
    }

    #[test]
    fn an_answer_without_figures_is_an_empty_sample() {
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
    fn answers_of_another_form_are_refused() {
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
        let samples = Samples::new(10, BYTES_MAX);
        let take = |answer: &Answer| samples.record("s", "1", answer, true).stale;
        assert!(!take(&denial()));
        assert!(take(&denial()));
        assert!(!take(&sample(1)));
        assert!(!take(&denial()));
        samples.missed("s");
        assert!(!take(&denial()), "a failed poll lies between");
        assert!(!samples.record("s", "2", &denial(), true).stale, "another session");
    }

    #[test]
    fn totals_only_grow() {
        let samples = Samples::new(10, BYTES_MAX);
        let moved = |session: &str, n: i64, fresh| samples.record("s", session, &sample(n), fresh).moved.0;
        assert_eq!(moved("1", 100, false), 0, "moved before this node watched the stream");
        assert_eq!(moved("1", 150, false), 50);
        assert_eq!(moved("1", 40, false), 0, "the counter fell");
        assert_eq!(moved("1", 60, false), 20);
        assert_eq!(moved("2", 30, false), 30, "a new session");
        assert_eq!(samples.record("t", "1", &sample(70), true).moved.0, 70);
        assert_eq!(samples.record("t", "1", &sample(-5), true).moved.0, 0);
    }

    #[test]
    fn the_ring_is_bounded_and_searched_by_time() {
        let samples = Samples::new(3, BYTES_MAX);
        for n in 1..=5 {
            samples.record("s", "1", &sample(n), true);
        }
        let times = |since| samples.since("s", since).iter().map(|s| s.ts_ms).collect::<Vec<_>>();
        assert_eq!(times(None), [3, 4, 5].map(WallMs));
        assert_eq!(times(Some(WallMs(4))), [4, 5].map(WallMs));
        samples.retain(|id| id != "s");
        assert_eq!(times(None), Vec::<WallMs>::new());
    }

    #[test]
    fn the_longest_rings_are_shortened_when_all_exceed_the_budget() {
        let samples = Samples::new(720, 1_000 * SAMPLE);
        let kept = |stream: &str| samples.since(stream, None).len();
        let all = || (0..20).map(|n| kept(&n.to_string())).sum::<usize>();
        for n in 1..=10 {
            samples.record("short", "1", &sample(n), true);
        }
        for n in 1..=720 {
            for stream in 0..20 {
                samples.record(&stream.to_string(), "1", &sample(n), true);
                assert!(all() + kept("short") <= 1_000);
            }
        }
        assert!(all() > 900, "{}", all());
        assert_eq!(kept("short"), 10, "the longest rings go first");
        let last: Vec<_> = samples.since("7", None).iter().map(|sample| sample.ts_ms.0).collect();
        assert_eq!((*last.last().unwrap(), last.len()), (720, (last[0]..=720).count()), "the newest stay");
    }

    #[test]
    fn memory_follows_the_samples() {
        let samples = Samples::new(100_000, BYTES_MAX);
        for n in 0..500_000 {
            samples.record(&(n % 5).to_string(), "1", &sample(n), true);
        }
        for n in 0..2_000 {
            samples.record(&format!("later-{n}"), "1", &sample(n), true);
        }
        let rings = unpoisoned(&samples.rings);
        let slots: usize = rings.by_stream.values().map(|ring| ring.samples.capacity()).sum();
        assert!(slots * SAMPLE / 2 <= BYTES_MAX, "{slots} places");
        assert_eq!(rings.count, rings.by_stream.values().map(|ring| ring.samples.len()).sum::<usize>());
    }

    #[test]
    fn a_stream_without_figures_fills_no_ring() {
        let samples = Samples::new(720, BYTES_MAX);
        let nothing = Answer { sample: StreamSample::default(), unknown_session: false };
        for _ in 0..100 {
            samples.record("s", "1", &nothing, true);
        }
        assert_eq!(samples.since("s", None).len(), WITHOUT_FIGURES);
        for n in 0..100 {
            samples.record("s", "1", &sample(n + 1), true);
        }
        assert_eq!(samples.since("s", None).len(), 100 + WITHOUT_FIGURES);
    }
}
