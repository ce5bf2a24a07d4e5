//! Shapes of settings in answers.

use acefleet_registry::event::By;
use acefleet_registry::settings::{Changed, Form, Name};
use acefleet_registry::settings_log::SettingsChange;
use acefleet_registry::{NodeId, Policy};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::config::setting::Kind;
use crate::config::{shared, table};
use crate::fleet::settings::Edited;
use crate::http::answer::snapshot::Snapshot;
use crate::http::answer::time::zulu;
use crate::http::events::log::EventBy;

/// Cluster-wide settings.
#[derive(Serialize, ToSchema)]
pub(crate) struct Settings {
    /// Counts changes, from 1. 0 while members of an earlier version are there: each new leader writes its own settings until then.
    pub revision: u64,
    /// When they were changed last.
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    /// Node on which that was asked for.
    changed_on: Option<String>,
    /// Who asked for it; null for the first values.
    changed_by: Option<EventBy>,
    /// In the order of the documents.
    settings: Vec<Setting>,
    /// By name: what each node is started with, as far as it differs.
    nodes: Vec<NodeSettings>,
}

/// A value of a setting: a number, true or false, or a text.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes values that are made elsewhere")]
pub(super) enum SettingValue {
    Number(f64),
    Flag(bool),
    Text(String),
}

/// A setting in force.
#[derive(Serialize, ToSchema)]
struct Setting {
    #[schema(example = "MAX_REPLICAS")]
    name: &'static str,
    /// A number, true or false, or a text, by `type`.
    #[schema(value_type = SettingValue, example = 30)]
    value: Json,
    #[schema(value_type = SettingValue, example = 20)]
    default: Json,
    /// `integer`, `number`, `boolean`, `ports` (a text `FIRST-LAST`) or `label` (a text `KEY=VALUE`).
    #[serde(rename = "type")]
    #[schema(example = "integer")]
    kind: &'static str,
    /// `engines`, `failures` or `s`.
    #[schema(example = "engines")]
    unit: Option<&'static str>,
    /// Smallest number.
    #[schema(value_type = Option<f64>, example = 1)]
    minimum: Option<Json>,
    /// Largest number.
    #[schema(value_type = Option<f64>, example = 65535)]
    maximum: Option<Json>,
    /// What is accepted, for people.
    accepted: String,
    /// Heading under which the documents have it.
    section: &'static str,
    /// Markdown.
    description: &'static str,
    /// `live`: a change is in force at once on all nodes. `new_engines`: engines that exist keep what they were started with.
    #[schema(example = "live")]
    applies: &'static str,
}

/// What a node is started with.
#[derive(Serialize, ToSchema)]
struct NodeSettings {
    name: String,
    /// False while this node knows nothing of it: it has not reported lately.
    reported: bool,
    /// Settings of its environment that differ from those in force. They have no effect.
    differing: Vec<DifferingSetting>,
}

/// A setting with another value in an environment.
#[derive(Serialize, ToSchema)]
struct DifferingSetting {
    #[schema(example = "MAX_REPLICAS")]
    name: &'static str,
    /// In the environment.
    #[schema(value_type = SettingValue, example = 20)]
    value: Json,
    #[schema(value_type = SettingValue, example = 30)]
    in_force: Json,
}

impl Settings {
    pub fn of(snapshot: &Snapshot) -> Self {
        let state = &snapshot.view.state;
        let newest = state.settings().changes().next_back();
        let mut nodes: Vec<NodeSettings> =
            state.nodes().map(|node| NodeSettings::of(snapshot, node.info.id, &node.info.name)).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let shared = table::SETTINGS.iter().filter_map(|setting| Some((setting.shared?, setting)));
        let default = Policy::default();
        Self {
            revision: state.settings().revision(),
            changed_at: newest.map(|change| zulu(snapshot.shown(change.at_ms))),
            changed_on: newest.map(|change| state.node_name(change.origin)),
            changed_by: newest.and_then(|change| by(snapshot, change)),
            settings: shared
                .map(|(name, setting)| Setting::of(name, setting, state.policy(), &default))
                .collect(),
            nodes,
        }
    }
}

impl Setting {
    fn of(name: Name, setting: &table::Setting, in_force: &Policy, default: &Policy) -> Self {
        let (kind, bounds) = match name.form() {
            Form::Count { .. } => ("integer", true),
            Form::Millis { .. } => ("number", true),
            Form::Flag => ("boolean", false),
            Form::Ports => ("ports", false),
            Form::Label => ("label", false),
        };
        let (minimum, maximum) = match setting.kind {
            Kind::Count { min, max } if bounds => (Some(min.into()), Some(max.into())),
            Kind::Seconds { min, max } if bounds => (Some(min.into()), Some(max.into())),
            _ => (None, None),
        };
        Self {
            name: name.as_str(),
            value: shared::to_json(&in_force.get(name)),
            default: shared::to_json(&default.get(name)),
            kind,
            unit: name.unit(),
            minimum,
            maximum,
            accepted: setting.kind.accepts(),
            section: setting.section.title(),
            description: setting.meaning,
            applies: if name.is_for_new_engines() { "new_engines" } else { "live" },
        }
    }
}

impl NodeSettings {
    fn of(snapshot: &Snapshot, id: NodeId, name: &str) -> Self {
        let in_force = snapshot.view.state.policy();
        let report = snapshot.soft.nodes.get(&id).map(|last| &last.report);
        let differing = |(given, value): (&String, &Json)| {
            // A node of another version may have settings that this one does not know.
            let name: Name = given.parse().ok()?;
            let in_force = shared::to_json(&in_force.get(name));
            (*value != in_force).then(|| DifferingSetting {
                name: name.as_str(),
                value: value.clone(),
                in_force,
            })
        };
        Self {
            name: name.to_owned(),
            reported: report.is_some() && !snapshot.is_silent(id),
            differing: report
                .map(|report| report.settings.iter().filter_map(differing).collect())
                .unwrap_or_default(),
        }
    }
}

fn by(snapshot: &Snapshot, change: &SettingsChange) -> Option<EventBy> {
    let by = By { actor: change.by.clone()?, through: change.origin };
    Some(EventBy::of(&by, &snapshot.view.state))
}

/// A setting that got another value.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedSetting {
    #[schema(example = "MAX_REPLICAS")]
    name: &'static str,
    #[schema(value_type = SettingValue, example = 20)]
    from: Json,
    #[schema(value_type = SettingValue, example = 30)]
    to: Json,
}

impl From<&Changed> for ChangedSetting {
    fn from(changed: &Changed) -> Self {
        let Changed { name, from, to } = changed;
        Self { name: name.as_str(), from: shared::to_json(from), to: shared::to_json(to) }
    }
}

/// A change of settings.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsChangeView {
    /// The revision that it made. The first one is the configuration of the node that formed the cluster.
    revision: u64,
    #[schema(format = DateTime)]
    at: String,
    /// Node on which it was asked for.
    node: String,
    /// Who asked for it; null for the first values.
    by: Option<EventBy>,
    /// The revision whose values it brought back.
    reverts: Option<u64>,
    changes: Vec<ChangedSetting>,
}

impl SettingsChangeView {
    pub fn of(snapshot: &Snapshot, change: &SettingsChange) -> Self {
        Self {
            revision: change.revision,
            at: zulu(snapshot.shown(change.at_ms)),
            node: snapshot.view.state.node_name(change.origin),
            by: by(snapshot, change),
            reverts: change.reverts,
            changes: change.changes.iter().map(ChangedSetting::from).collect(),
        }
    }
}

/// What a change did, or would do.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsOutcome {
    /// The revision of the settings in force: a new one if something was changed.
    revision: u64,
    /// Nothing was written.
    dry_run: bool,
    /// Settings that have other values than before; none if all had these already.
    changes: Vec<ChangedSetting>,
    /// What follows from it, for people.
    #[schema(example = json!(["3 engines are started: 5 are there and MIN_REPLICAS is 8"]))]
    consequences: Vec<String>,
}

impl SettingsOutcome {
    pub fn of(edited: Edited, dry_run: bool) -> Self {
        let Edited { revision, changes, consequences } = edited;
        Self { revision, dry_run, changes: changes.iter().map(ChangedSetting::from).collect(), consequences }
    }
}

/// Why a change was refused, as [`crate::http::answer::problem::Problem::moved`] says it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsMoved {
    /// One sentence.
    detail: String,
    /// The revision of the settings that is in force.
    #[schema(example = 5)]
    revision: u64,
}
