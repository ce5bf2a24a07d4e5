//! Asks an engine of this host about one of its streams, for `/streams/{id}/livepos` and `/streams/{id}/extended-stats`.

use std::time::Duration;

use acefleet_registry::Stream;
use acefleet_registry::stream::KeyType;
use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use url::Url;

use crate::agent::{AgentHandle, address, fetch};
use crate::peers::{Detail, Details, LivePosition, Position};

/// Time for one answer: callers of the API give up after 3 s.
const LIMIT: Duration = Duration::from_millis(1_800);
/// Longest text of a position, in bytes; times and counts are shorter.
const LONGEST: usize = 64;
/// Longest analysis that is passed on, in bytes.
const LONGEST_CONTENT: usize = 64 * 1024;

impl AgentHandle {
    /// What the engine of a stream says of it.
    ///
    /// # Errors
    /// When this node does not own the engine, or the engine gives no answer that can be used. Retry.
    pub async fn stream_detail(&self, stream: &str, detail: Detail) -> anyhow::Result<Details> {
        let view = self.parts.cluster.view();
        let stream = view.state.stream(stream).context("this node does not know the stream")?;
        let engine = stream.engine.and_then(|id| self.own(id)).filter(|engine| engine.is_published());
        let engine = engine.context("the engine of the stream does not run on this node")?;
        let client = self.parts.client.as_ref().context("this node cannot make HTTP calls")?;
        let base = self.parts.addresses.base(&engine);
        match detail {
            Detail::LivePosition => {
                let url = address::rebase(&base, &stream.start.stat_url).with_context(|| {
                    format!("the stat URL {:?} has no usable path", stream.start.stat_url)
                })?;
                live_position(&fetch::json(client, url, LIMIT).await?).map(Details::LivePosition)
            }
            Detail::Content => {
                let url =
                    analysis(&base, stream).context("the stream has neither an infohash nor a content id")?;
                content(fetch::json(client, url, LIMIT).await?).map(Details::Content)
            }
        }
    }
}

/// Where the engine analyses a content. Its stat URL names the infohash also of a stream that was asked for by another key.
fn analysis(base: &str, stream: &Stream) -> Option<Url> {
    let is_hash = |text: &&str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let start = &stream.start;
    let stat = address::rebase(base, &start.stat_url);
    let named = stat.as_ref().and_then(|url| url.path_segments()?.find(is_hash));
    let key = is_hash(&start.key.as_str()).then_some(start.key.as_str());
    let query = match (start.key_type, named, key) {
        (_, Some(hash), _) | (KeyType::Infohash, None, Some(hash)) => format!("acestream:?infohash={hash}"),
        (KeyType::ContentId, None, Some(id)) => format!("acestream:?content_id={id}"),
        _ => return None,
    };
    let mut url = address::rebase(base, "/server/api")?;
    url.query_pairs_mut()
        .append_pair("api_version", "3")
        .append_pair("method", "analyze_content")
        .append_pair("query", &query);
    Some(url)
}

/// The part of an answer that this key names.
fn part<'a>(answer: &'a Value, key: &str) -> anyhow::Result<&'a Map<String, Value>> {
    if let Some(part) = answer.get(key).and_then(Value::as_object) {
        return Ok(part);
    }
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => bail!("the engine says: {}", error.chars().take(200).collect::<String>()),
        None => bail!("the engine's answer has no `{key}`"),
    }
}

/// Reads an answer of a stat URL.
fn live_position(answer: &Value) -> anyhow::Result<LivePosition> {
    let figures = part(answer, "response")?;
    let is_live = figures
        .get("is_live")
        .is_some_and(|value| value.as_bool() == Some(true) || value.as_i64() == Some(1));
    let Some(found) = figures.get("livepos").and_then(Value::as_object).filter(|found| !found.is_empty())
    else {
        return Ok(LivePosition { is_live, ..LivePosition::default() });
    };
    let value = |names: &[&str]| names.iter().find_map(|name| found.get(*name)).and_then(short);
    let livepos = Position {
        pos: value(&["pos"]),
        live_first: value(&["live_first", "first_ts", "first"]),
        live_last: value(&["live_last", "last_ts", "last"]),
        first_ts: value(&["first_ts", "first"]),
        last_ts: value(&["last_ts", "last"]),
        buffer_pieces: value(&["buffer_pieces"]),
    };
    Ok(LivePosition { has_livepos: true, is_live, livepos: Some(livepos) })
}

/// A number or a short text; anything else is no part of a position.
fn short(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) if text.len() <= LONGEST => Some(value.clone()),
        _ => None,
    }
}

/// Reads an answer to `analyze_content`.
fn content(mut answer: Value) -> anyhow::Result<Map<String, Value>> {
    part(&answer, "result")?;
    let Some(Value::Object(mut found)) = answer.get_mut("result").map(Value::take) else {
        bail!("the engine's answer has no `result`");
    };
    found.retain(|_, value| !value.is_null());
    let bytes = serde_json::to_vec(&found)?.len();
    anyhow::ensure!(bytes <= LONGEST_CONTENT, "the engine's analysis is longer than {LONGEST_CONTENT} bytes");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_position_is_passed_on_as_the_engine_writes_it() {
        let livepos = json!({"pos": "17", "first_ts": "11", "last": 19, "buffer_pieces": "14", "more": [1]});
        let answer = json!({"response": {"is_live": 1, "livepos": livepos}, "error": null});
        let read = live_position(&answer).unwrap();
        let shown = serde_json::to_value(read).unwrap();
        let position = json!({
            "pos": "17", "live_first": "11", "live_last": 19, "first_ts": "11", "last_ts": 19, "buffer_pieces": "14",
        });
        assert_eq!(shown, json!({"has_livepos": true, "is_live": true, "livepos": position}));
    }

    #[test]
    fn without_a_position_there_is_none() {
        for (response, is_live) in [
            (json!({"is_live": 0}), false),
            (json!({"is_live": true, "livepos": null}), true),
            (json!({"is_live": 1, "livepos": {}}), true),
            (json!({}), false),
        ] {
            let read = live_position(&json!({ "response": response })).unwrap();
            assert_eq!(
                serde_json::to_value(read).unwrap(),
                json!({"has_livepos": false, "is_live": is_live})
            );
        }
        let refused = live_position(&json!({"response": null, "error": "unknown playback session id"}));
        assert_eq!(refused.unwrap_err().to_string(), "the engine says: unknown playback session id");
        assert!(live_position(&json!([])).is_err());
        let long = json!({"response": {"livepos": {"pos": "9".repeat(65), "last_ts": {"deep": 1}}}});
        let read = live_position(&long).unwrap().livepos.unwrap();
        assert_eq!((read.pos, read.last_ts), (None, None));
    }

    #[test]
    fn an_analysis_is_passed_on_without_nulls_and_bounded() {
        let found = content(json!({"result": {"title": "x", "mime": null}, "error": null})).unwrap();
        assert_eq!(Value::Object(found), json!({"title": "x"}));
        assert!(content(json!({"result": {"title": "x".repeat(LONGEST_CONTENT)}})).is_err());
        assert!(content(json!({"result": null, "error": "missing query"})).is_err());
    }
}
