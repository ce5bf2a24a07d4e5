//! What changes all the time, about once a second: speeds, contacts, the age of what this node shows. Only what has changed since the
//! last time is sent again.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Instant;

use acefleet_registry::State as Registry;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::to_value;
use utoipa::ToSchema;

use crate::http::answer::problem::Problem;
use crate::http::answer::snapshot::Sight;
use crate::http::answer::sse;
use crate::http::answer::time::zulu;
use crate::http::app::App;
use crate::http::cluster;
use crate::peers::{EngineSoft, EngineUsage, StreamSample};

/// Figures of a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeFigures {
    /// Milliseconds since the last contact of this node with it; null for itself, and before the first contact.
    last_contact_ms: Option<u64>,
    /// Newest log index known to be on it. Of other members the leader knows that at once, other nodes what was reported within a second.
    applied_index: Option<u64>,
    /// It has sent no report for 3 s.
    suspect: bool,
    /// Events in its outbox; null without a report of it.
    outbox: Option<u64>,
}

/// Figures of an engine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EngineFigures {
    /// When its container was last seen running.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// When it was last probed.
    #[schema(format = DateTime)]
    last_health_check: Option<String>,
    /// Percent of one core.
    cpu_percent: Option<f64>,
    /// Memory without file caches that the kernel can drop at once.
    memory_bytes: Option<u64>,
    /// The most that it may have; the memory of the host without a limit.
    memory_limit_bytes: Option<u64>,
    /// Bytes received in a second; null if it has no network of its own.
    rx_bps: Option<u64>,
    /// Bytes sent in a second.
    tx_bps: Option<u64>,
}

/// Figures of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamFigures {
    /// Peers.
    peers: Option<i64>,
    /// Download speed, KB/s.
    speed_down: Option<i64>,
    /// Upload speed, KB/s.
    speed_up: Option<i64>,
    /// Bytes downloaded in this session.
    downloaded: Option<i64>,
    /// Bytes uploaded in this session.
    uploaded: Option<i64>,
    /// The engine's word, e.g. `prebuf` or `dl`.
    status: Option<String>,
}

/// Data of the frame `figures`. Under a key is null what has no figures any more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// Time of day.
    #[schema(format = DateTime)]
    at: String,
    /// Revision of the registry on this node.
    revision: u64,
    /// How old what this node shows may be, milliseconds.
    age_ms: u64,
    /// Name of the leader; null when none has been followed by a majority for 2 s.
    leader: Option<String>,
    term: u64,
    /// By name.
    #[schema(value_type = BTreeMap<String, NodeFigures>)]
    nodes: BTreeMap<String, Value>,
    /// By number.
    #[schema(value_type = BTreeMap<String, EngineFigures>)]
    engines: BTreeMap<String, Value>,
    /// By id.
    #[schema(value_type = BTreeMap<String, StreamFigures>)]
    streams: BTreeMap<String, Value>,
}

impl EngineFigures {
    fn of(soft: &EngineSoft, usage: Option<&EngineUsage>) -> Self {
        Self {
            last_seen: soft.last_seen_ms.map(zulu),
            last_health_check: soft.last_health_check_ms.map(zulu),
            cpu_percent: usage.and_then(EngineUsage::cpu_percent),
            memory_bytes: usage.and_then(|usage| usage.memory_bytes),
            memory_limit_bytes: usage.and_then(|usage| usage.memory_limit_bytes),
            rx_bps: usage.and_then(|usage| usage.rx_bps),
            tx_bps: usage.and_then(|usage| usage.tx_bps),
        }
    }
}

impl StreamFigures {
    fn of(sample: &StreamSample) -> Self {
        let StreamSample { peers, speed_down, speed_up, downloaded, uploaded, .. } = *sample;
        Self { peers, speed_down, speed_up, downloaded, uploaded, status: sample.status.clone() }
    }
}

/// What was sent last, by key.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    nodes: BTreeMap<String, Value>,
    engines: BTreeMap<String, Value>,
    streams: BTreeMap<String, Value>,
    /// All of it as a frame, for new readers.
    frame: OnceLock<Bytes>,
}

impl Sent {
    /// These figures without those that were the same before.
    pub fn since(&self, before: &Self, app: &App, sight: &Sight) -> Figures {
        let nodes = changed(&before.nodes, &self.nodes);
        let engines = changed(&before.engines, &self.engines);
        let streams = changed(&before.streams, &self.streams);
        figures(app, sight, nodes, engines, streams)
    }

    /// Whether a reader has had all of them.
    pub fn is_rendered(&self) -> bool {
        self.frame.get().is_some()
    }

    /// All of them, for a reader who has none. Rendered for the first one.
    ///
    /// # Errors
    /// 503 while slow readers hold too much.
    pub fn frame(&self, app: &App, sight: &Sight) -> Result<Bytes, Problem> {
        if let Some(frame) = self.frame.get() {
            return Ok(frame.clone());
        }
        let live = app.feed().beginnings();
        live.room()?;
        let all = || figures(app, sight, self.nodes.clone(), self.engines.clone(), self.streams.clone());
        Ok(self.frame.get_or_init(|| live.hold(sse::frame("figures", None, &all()))).clone())
    }

    /// The figures now.
    pub fn now(app: &App, sight: &Sight) -> Self {
        let state: &Registry = &sight.view.state;
        let at = Instant::now();
        let mut sent = Self::default();
        for member in app.fleet().cluster().status().members {
            let report = sight.soft.nodes.get(&member.id).map(|last| &last.report);
            let is_self = member.id == app.fleet().cluster().node_id();
            let node = NodeFigures {
                last_contact_ms: member.last_contact_ms,
                applied_index: cluster::applied_index(&sight.soft, &member),
                suspect: !is_self && sight.soft.is_suspect(member.id, at),
                outbox: report.map(|report| report.queued_events),
            };
            sent.nodes.insert(member.name, json(&node));
            let Some(report) = report else { continue };
            for (id, soft) in &report.engines {
                let Some(engine) = state.engine(*id) else { continue };
                sent.engines.insert(id.to_string(), json(&EngineFigures::of(soft, sight.usage_of(engine))));
            }
            for stream in report.streams.keys().filter_map(|id| state.stream(id)) {
                let Some(sample) = sight.sample_of(stream) else { continue };
                sent.streams.insert(stream.start.id.to_string(), json(&StreamFigures::of(sample)));
            }
        }
        sent
    }
}

/// Our own types always encode.
fn json(figures: &impl Serialize) -> Value {
    to_value(figures).unwrap_or_default()
}

fn figures(
    app: &App,
    sight: &Sight,
    nodes: BTreeMap<String, Value>,
    engines: BTreeMap<String, Value>,
    streams: BTreeMap<String, Value>,
) -> Figures {
    let status = app.fleet().cluster().status();
    Figures {
        at: zulu(app.fleet().wall_now()),
        revision: sight.view.revision,
        age_ms: status.staleness_ms,
        leader: status.leader_name.filter(|_| app.has_leader()),
        term: status.term,
        nodes,
        engines,
        streams,
    }
}

/// Those of `now` that are not the same in `before`, and null for those that are gone.
fn changed(before: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let gone = before.keys().filter(|key| !now.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let new = now.iter().filter(|(key, value)| before.get(*key) != Some(value));
    new.map(|(key, value)| (key.clone(), value.clone())).chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_sent_again_and_what_is_gone_is_null() {
        let of = |pairs: &[(&str, Value)]| -> BTreeMap<String, Value> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
        };
        let before = of(&[("same", json!(1)), ("other", json!(2)), ("gone", json!(3))]);
        let now = of(&[("same", json!(1)), ("other", json!(5)), ("new", json!(4))]);
        let expected = of(&[("other", json!(5)), ("new", json!(4)), ("gone", Value::Null)]);
        assert_eq!(changed(&before, &now), expected);
        assert_eq!(changed(&now, &now), BTreeMap::new());
    }
}
