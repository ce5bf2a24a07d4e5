//! Which events are wanted: what a node is asked for, and the same of events that come later.

use acefleet_registry::container_id::stands_for;
use acefleet_registry::event::{EventType, is_audited};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Deserialize;
use serde::de::IgnoredAny;
use strum::VariantNames;

use crate::cli::failed::name;
use crate::cli::since::since;

/// What is asked for instead of a category.
const AUDIT: &str = "audit";

#[derive(Args, Clone)]
pub struct Filter {
    /// Only of this type.
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(EventType::VARIANTS.iter().copied()))]
    event_type: Option<String>,
    /// Only those with this word for what happened, as `-o json` shows it: created, deleted, cordoned, …; or `audit`: what somebody did
    /// from outside.
    #[arg(long, value_name = "WORD")]
    category: Option<String>,
    /// Only what happened on this node.
    #[arg(long, value_name = "NODE", value_parser = name)]
    pub(super) node: Option<String>,
    /// Only about this engine: name, id, or the first 12 characters of the id of its container.
    #[arg(long, value_name = "ENGINE", value_parser = name)]
    pub(super) engine: Option<String>,
    /// Only about the stream with this id.
    #[arg(long, value_name = "STREAM", value_parser = name)]
    stream: Option<String>,
    /// Nothing before this time, and everything since then: 10m, 2h, 3d, or 2026-03-02T20:15:09Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(super) since: Option<String>,
    /// Only behind the event with this id.
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// Only before the event with this id.
    #[arg(long, value_name = "ID", conflicts_with = "follow")]
    pub(super) before: Option<u64>,
}

/// What is looked at in an event.
#[derive(Deserialize)]
pub(super) struct Subject {
    pub id: u64,
    event_type: String,
    category: String,
    details: Details,
    message: String,
    by: Option<IgnoredAny>,
    container_id: Option<String>,
    stream_id: Option<String>,
}

impl Subject {
    fn is_audited(&self) -> bool {
        let of_stream = self.event_type == <&str>::from(EventType::Stream);
        is_audited(of_stream, &self.category, &self.message, self.by.is_some())
    }
}

#[derive(Deserialize)]
struct Details {
    node: Option<String>,
}

impl Filter {
    /// Parameters of `GET /events`.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("event_type", &self.event_type),
            ("category", &self.category),
            ("node", &self.node),
            ("container_id", &self.engine),
            ("stream_id", &self.stream),
            ("since", &self.since),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let after = self.after.map(|id| ("after", id.to_string()));
        texts.chain(after).collect()
    }

    /// Parameters of the feed, which knows of types alone.
    pub fn feed_query(&self) -> Option<(&'static str, &str)> {
        self.event_type.as_deref().map(|event_type| ("event_types", event_type))
    }

    /// Whether an event is wanted that has just happened.
    pub fn takes(&self, event: &Subject) -> bool {
        let is = |wanted: &Option<String>, has: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| has == Some(wanted))
        };
        let is_engine =
            |wanted: &String| event.container_id.as_deref().is_some_and(|id| stands_for(wanted, id));
        is(&self.event_type, Some(&event.event_type))
            && self.category.as_deref().is_none_or(|wanted| match wanted {
                AUDIT => event.is_audited(),
                wanted => event.category == wanted,
            })
            && is(&self.node, event.details.node.as_deref())
            && self.engine.as_ref().is_none_or(is_engine)
            && is(&self.stream, event.stream_id.as_deref())
            && self.after.is_none_or(|after| event.id > after)
    }
}
