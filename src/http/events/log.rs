//! `GET /events`, `GET /events/stats`: the replicated log of what happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use acefleet_registry::State as Registry;
use acefleet_registry::container_id::stands_for;
use acefleet_registry::event::{By, Event, EventType};
use axum::response::Response;
use serde::Serialize;
use strum::VariantArray;
use utoipa::ToSchema;

use crate::http::answer::problem::{BlockedBody, InvalidBody, Problem};
use crate::http::answer::snapshot::Snapshot;
use crate::http::answer::time;
use crate::http::events::election::{self, LeaderReason};
use crate::http::request::query::Query;

/// Events in one answer, unless the caller sets a limit.
const PAGE: u64 = 100;
/// Largest limit of a caller.
const PAGE_MAX: u64 = 1_000;

/// What is asked for instead of a category: all that somebody did from outside.
const AUDIT: &str = "audit";

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventEntry {
    /// Counted up by the cluster without gaps, the same on all nodes.
    pub id: u64,
    /// When.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// `engine`, `stream`, `vpn`, `health` or `system`.
    #[schema(example = "engine")]
    pub event_type: &'static str,
    /// What happened, in one word.
    #[schema(example = "deleted")]
    pub category: String,
    /// The same for people, with the reason.
    #[schema(example = "acestream-3 is being removed (deleted)")]
    pub message: String,
    /// What it is about.
    pub details: EventDetails,
    /// Docker id of the engine that it is about.
    pub container_id: Option<String>,
    /// The stream that it is about.
    pub stream_id: Option<String>,
    /// Who made the change from outside; null for what the cluster did by itself.
    pub by: Option<EventBy>,
}

/// What an event is about, as far as that still exists.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventDetails {
    /// Name of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "node-a")]
    pub node: Option<String>,
    /// Number of the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<u64>,
    /// VPN container on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpn: Option<String>,
    /// Term since which the node leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// Why it leads in the place of another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<LeaderReason>,
    /// Who asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<EventBy>,
}

/// Who made a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventBy {
    /// What the caller showed: the name of a named key or of a user, `API key`, `command line` (of the node's host), or `no key`, where none is needed.
    #[schema(example = "grafana")]
    pub name: String,
    /// The same name again, of named keys alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "grafana")]
    pub key: Option<String>,
    /// The same name again, of users alone whom a proxy has signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "alice")]
    pub user: Option<String>,
    /// Address of the caller, as the node saw it.
    #[schema(example = "198.51.100.7")]
    pub address: Option<String>,
    /// Name of the node that took the call.
    #[schema(example = "node-a")]
    pub node: String,
}

impl EventBy {
    /// As this state names the node.
    pub fn of(by: &By, state: &Registry) -> Self {
        let (credential, address) = (&by.actor.credential, by.actor.address.clone());
        let key = credential.key().map(ToString::to_string);
        let user = credential.user().map(ToString::to_string);
        Self { name: credential.as_str().to_owned(), key, user, address, node: state.node_name(by.through) }
    }
}

impl EventEntry {
    /// An event in this state of the cluster. `timestamp` is its time of day.
    pub fn of(event: &Event, state: &Registry, timestamp: String) -> Self {
        let node = event.node.and_then(|id| state.node(id));
        let (reason, asked_by) = election::reason(state.events(), event).unzip();
        Self {
            id: event.id,
            timestamp,
            event_type: event.event_type.into(),
            category: event.category.clone(),
            message: event.message.clone(),
            details: EventDetails {
                node: node.map(|node| node.info.name.clone()),
                engine: event.engine.map(|id| id.0),
                vpn: event.vpn.clone(),
                term: event.term,
                reason,
                asked_by: asked_by.flatten().map(|by| EventBy::of(by, state)),
            },
            container_id: event.container_id.as_deref().map(str::to_owned),
            stream_id: event.stream_id.as_deref().map(str::to_owned),
            by: event.by.as_ref().map(|by| EventBy::of(by, state)),
        }
    }
}

/// Types of events with their words.
fn words() -> Vec<(&'static str, EventType)> {
    EventType::VARIANTS.iter().map(|of| (of.into(), *of)).collect()
}

/// Which events are wanted.
#[derive(Debug, Default)]
pub(in crate::http) struct Wanted {
    event_type: Option<EventType>,
    category: Option<String>,
    container_id: Option<String>,
    stream_id: Option<String>,
    node: Option<String>,
    since: Option<acefleet_registry::WallMs>,
    before: Option<u64>,
    after: Option<u64>,
}

impl Wanted {
    pub(in crate::http) fn read(query: &Query) -> Result<Self, Problem> {
        let text = |name: &str| query.get(name).map(str::to_owned);
        Ok(Self {
            event_type: query.one_of("event_type", &words())?,
            category: text("category"),
            container_id: text("container_id"),
            stream_id: text("stream_id"),
            node: text("node"),
            since: query.time("since")?,
            before: query.unsigned("before")?,
            after: query.unsigned("after")?,
        })
    }

    fn takes(&self, event: &Event, snapshot: &Snapshot) -> bool {
        let is_container =
            |wanted: &String| event.container_id.as_deref().is_some_and(|id| stands_for(wanted, id));
        let is_node = |name: &String| event.node.is_some_and(|id| snapshot.view.state.node_name(id) == *name);
        self.event_type.is_none_or(|wanted| event.event_type == wanted)
            && self.category.as_deref().is_none_or(|wanted| match wanted {
                AUDIT => event.is_audited(),
                wanted => event.category == wanted,
            })
            && self.container_id.as_ref().is_none_or(is_container)
            && self.stream_id.as_deref().is_none_or(|wanted| event.stream_id.as_deref() == Some(wanted))
            && self.node.as_ref().is_none_or(is_node)
            && self.since.is_none_or(|since| snapshot.shown(event.at_ms) >= since)
            && self.before.is_none_or(|before| event.id < before)
            && self.after.is_none_or(|after| event.id > after)
    }
}

/// What happened
///
/// The replicated log, newest first: the newest 5,000 events about streams and 5,000 about all else, fewer when they are large. Who made a
/// change from outside is in `by`; what the cluster does by itself has its reason in `message`. For what happens from now on see
/// `/events/stream`.
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "list_events",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1_000, description = "Longest list; 100 if it is not given"),
        ("offset" = Option<u64>, Query, minimum = 0, description = "So many of the newest are left out"),
        ("event_type" = Option<String>, Query, description = "`engine`, `stream`, `vpn`, `health` or `system`"),
        ("category" = Option<String>, Query, description = "Word for what happened; `audit`: all that somebody did from outside, but no reports of proxies"),
        ("container_id" = Option<String>, Query, description = "Docker id of an engine, or its first 12 characters and more"),
        ("stream_id" = Option<String>, Query, description = "Id of a stream"),
        ("node" = Option<String>, Query, description = "Name of a node: what happened on its host"),
        ("since" = Option<String>, Query, description = "Not before this time"),
        ("before" = Option<u64>, Query, description = "With an id below this one: how a list goes on while events come in"),
        ("after" = Option<u64>, Query, description = "With an id above this one"),
        crate::http::docs::openapi::Freshness,
    ),
    responses(
        (status = 200, description = "Events, newest first", body = [EventEntry]),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 503, description = "The requested freshness is not available now", body = BlockedBody),
    )
)]
pub(crate) async fn list(snapshot: Snapshot) -> Result<Response, Problem> {
    let limit = snapshot.query.unsigned_within("limit", 1..=PAGE_MAX)?.unwrap_or(PAGE);
    let offset = snapshot.query.unsigned("offset")?.unwrap_or_default();
    let wanted = Wanted::read(&snapshot.query)?;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let state = &snapshot.view.state;
    let newest = state.events().iter().rev().filter(|event| wanted.takes(event, &snapshot));
    let page: Vec<EventEntry> = newest
        .skip(size(offset))
        .take(size(limit))
        .map(|event| EventEntry::of(event, state, time::zulu(snapshot.shown(event.at_ms))))
        .collect();
    Ok(snapshot.answer(&page))
}

/// What the log holds.
#[derive(Serialize, ToSchema)]
struct EventStats {
    /// Events that are kept.
    total: usize,
    /// The same by type; types without events are 0.
    by_type: BTreeMap<&'static str, usize>,
    /// When the oldest that is kept happened; null when there is none.
    #[schema(format = DateTime)]
    oldest: Option<String>,
    /// When the newest happened.
    #[schema(format = DateTime)]
    newest: Option<String>,
    /// Id of the newest event that ever happened; 0 before the first.
    newest_id: u64,
}

/// Counts of the log
#[utoipa::path(
    get, path = "/events/stats", tag = "events", operation_id = "event_stats",
    params(crate::http::docs::openapi::Freshness),
    responses((status = 200, description = "Counts", body = EventStats))
)]
pub(crate) async fn stats(snapshot: Snapshot) -> Response {
    let events = snapshot.view.state.events();
    let mut by_type: BTreeMap<&'static str, usize> = words().into_iter().map(|(word, _)| (word, 0)).collect();
    for event in events.iter() {
        *by_type.entry(event.event_type.into()).or_default() += 1;
    }
    let at = |event: Option<&Arc<Event>>| event.map(|event| time::zulu(snapshot.shown(event.at_ms)));
    snapshot.answer(&EventStats {
        total: events.len(),
        by_type,
        oldest: at(events.iter().next()),
        newest: at(events.iter().next_back()),
        newest_id: events.last_id(),
    })
}
