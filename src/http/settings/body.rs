//! What callers send to change settings.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_registry::Policy;
use acefleet_registry::rules::settings::Fault;
use acefleet_registry::settings::{Name, Value};
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::config::{names, shared, table};
use crate::fleet::settings::Edit;
use crate::http::answer::problem::Problem;
use crate::http::request::query::Query;
use crate::http::request::validate::{Checker, Place, Unknown};
use crate::http::settings::model::SettingValue;

/// Field of the body beside the names of settings.
const REVISION: &str = "revision";
/// Fields of a body. There are fewer settings.
const FIELDS_MAX: usize = 100;

/// Settings by name, with their new values.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"MAX_REPLICAS": 30, "AUTO_DELETE": true}))]
#[expect(dead_code, reason = "describes a body that is read by hand")]
pub(crate) struct SettingsBody {
    /// The revision on which the change builds. Without it, and without `If-Match`, it builds on what is in force.
    revision: Option<u64>,
    /// Names as in `GET /settings`; numbers, true, false, or texts as in the environment.
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, SettingValue>)]
    values: BTreeMap<String, Json>,
}

/// Which settings are to come back.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"revision": 1}))]
#[expect(dead_code, reason = "describes a body that is read by hand")]
pub(crate) struct RevertSettingsBody {
    /// The revision whose values are to be in force again.
    revision: u64,
}

/// Whether the query asks for a dry run.
///
/// # Errors
/// 422 for other words than true and false.
pub(in crate::http) fn dry_run(query: Option<&str>) -> Result<bool, Problem> {
    let words = [("true", true), ("false", false), ("1", true), ("0", false), ("", true)];
    Ok(Query::parse(query).one_of("dry_run", &words)?.unwrap_or(false))
}

/// The revision that a caller expects to be in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Expected {
    /// That of the body.
    Body(u64),
    /// One of those in `If-Match`; none is good enough when all of its tags are weak, or of something else.
    Condition(BTreeSet<u64>),
}

impl Expected {
    /// What to answer when another one is in force.
    pub fn refusal(&self) -> StatusCode {
        match self {
            Self::Body(_) => StatusCode::CONFLICT,
            Self::Condition(_) => StatusCode::PRECONDITION_FAILED,
        }
    }

    /// Those that may be in force.
    pub fn revisions(&self) -> BTreeSet<u64> {
        match self {
            Self::Body(revision) => BTreeSet::from([*revision]),
            Self::Condition(revisions) => revisions.clone(),
        }
    }
}

/// New values, and the revision on which they build.
pub(super) type Wanted = (BTreeMap<Name, Value>, Option<Expected>);

/// The new values, and the revision on which they build.
///
/// # Errors
/// 422 with each wrong name and value.
pub(in crate::http) fn change(body: Option<&Json>, headers: &HeaderMap) -> Result<Wanted, Problem> {
    let mut checker = Checker::default();
    let fields = Place::body(body).object(&mut checker);
    let mut values = BTreeMap::new();
    let given = body.and_then(Json::as_object);
    // To look for what was meant by an unknown name takes time, and there are not so many names.
    let too_many = given.is_some_and(|given| given.len() > FIELDS_MAX);
    if too_many {
        Place::body(body).refuse(
            &mut checker,
            &format!("it has more than {FIELDS_MAX} fields: change fewer settings at once"),
        );
    }
    for given in given.into_iter().filter(|_| !too_many).flat_map(serde_json::Map::keys) {
        let place = fields.at(given);
        if given == REVISION {
            continue;
        }
        let Ok(name) = given.parse::<Name>() else {
            refuse_name(&mut checker, &place, given);
            continue;
        };
        let json = body.map_or(&Json::Null, |body| &body[given]);
        match shared::from_json(name, json) {
            Ok(value) => drop(values.insert(name, value)),
            Err(reason) => {
                let accepted =
                    table::find(name.as_str()).map(|setting| setting.kind.accepts()).unwrap_or_default();
                place.refuse(&mut checker, &format!("{name}: {reason}; accepted: {accepted}"));
            }
        }
    }
    let in_body = fields.at(REVISION).optional_integer(&mut checker, 0..=i64::MAX);
    let in_body = in_body.and_then(|revision| u64::try_from(revision).ok());
    let tags = tags(headers, &mut checker);
    if let (Some(body), Some(tags)) = (in_body, &tags)
        && !tags.contains(&body)
    {
        fields.at(REVISION).refuse(&mut checker, "If-Match does not name this revision");
    }
    checker.finish()?;
    // Both have to hold.
    let condition = tags.map(|tags| in_body.map_or(tags, |revision| BTreeSet::from([revision])));
    Ok((values, condition.map(Expected::Condition).or(in_body.map(Expected::Body))))
}

/// The revision to come back, and the one that is expected to be in force.
///
/// # Errors
/// 422 when there is none.
pub(in crate::http) fn revert(
    body: Option<&Json>,
    headers: &HeaderMap,
) -> Result<(u64, Option<Expected>), Problem> {
    let mut checker = Checker::default();
    let fields = Place::body(body).object(&mut checker);
    let place = fields.at(REVISION);
    let to = if fields.exist() { place.integer(&mut checker) } else { None };
    if to.is_some_and(|to| to < 1) {
        place.refuse(&mut checker, "revisions are counted from 1");
    }
    let tags = tags(headers, &mut checker);
    checker.finish()?;
    Ok((to.and_then(|to| u64::try_from(to).ok()).unwrap_or_default(), tags.map(Expected::Condition)))
}

/// A 422 about settings that cannot be in force. Each is named at its place in the body, if it is there.
pub(super) fn invalid(faults: &[Fault], wanted: &Policy, edit: &Edit) -> Problem {
    let mut checker = Checker::default();
    let quote = |name: Name| format!("{name}={}", wanted.get(name));
    for fault in faults {
        // A setting that is not in the body is contradicted by one that is.
        let is_sent = |name: &Name| matches!(edit, Edit::Set(values) if values.contains_key(name));
        let sent = fault.involved().iter().copied().find(is_sent);
        let at = if is_sent(&fault.name) { fault.name } else { sent.unwrap_or(fault.name) };
        let reason = fault.describe(&quote);
        let loc = [json!("body"), json!(at.as_str())];
        let ctx = json!({ "error": reason });
        let input = shared::to_json(&wanted.get(at));
        checker.add("value_error", &loc, format!("Value error, {reason}"), &input, Some(ctx));
    }
    match checker.finish() {
        Err(problem) => problem,
        // There is a fault at least.
        Ok(()) => Problem::invalid(Vec::new()),
    }
}

/// Notes a name that is that of no setting of the cluster.
fn refuse_name(checker: &mut Checker, place: &Place<'_>, given: &str) {
    // What else is sent as a name may be long, or not to be shown.
    let is_name =
        given.len() <= names::LONGEST_NAME && given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if table::find(given).is_some() {
        let reason = format!("{given} is a setting of each node: change it where that node is started");
        return place.refuse(checker, &reason);
    }
    let near = is_name.then(|| names::meant_of_cluster(given)).flatten();
    let reason = match (&near, is_name) {
        (Some(near), _) => format!("there is no setting {given}, did you mean {near}?"),
        (None, true) => format!("there is no setting {given}; GET /settings lists all of them"),
        (None, false) => "there is no such setting; GET /settings lists all of them".to_owned(),
    };
    place.unknown(checker, Unknown::Setting, &reason, near.as_deref());
}

/// The revisions in `If-Match`; none without it, and for any.
fn tags(headers: &HeaderMap, checker: &mut Checker) -> Option<BTreeSet<u64>> {
    let values = headers.get_all(IF_MATCH).iter().map(|value| value.to_str().unwrap_or("?"));
    let text = values.collect::<Vec<_>>().join(",");
    let listed: Vec<&str> = text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    if listed == ["*"] || !headers.contains_key(IF_MATCH) {
        return None;
    }
    let tags: Result<Vec<_>, NoTag> = listed.iter().map(|tag| strong(tag)).collect();
    if tags.as_ref().map_or(true, Vec::is_empty) {
        let msg = "Input should be ETags of the settings, which are revisions in quotes such as \"4\", or *";
        checker.add("value_error", &[json!("header"), json!("If-Match")], msg, &json!(text), None);
    }
    Some(tags.into_iter().flatten().flatten().collect())
}

/// What is no entity tag.
struct NoTag;

/// The revision of a tag, if it is a strong one of the settings: others match nothing (RFC 9110, 13.1.1).
fn strong(tag: &str) -> Result<Option<u64>, NoTag> {
    let (is_weak, quoted) = tag.strip_prefix("W/").map_or((false, tag), |quoted| (true, quoted));
    let opaque = quoted.strip_prefix('"').and_then(|opaque| opaque.strip_suffix('"'));
    let opaque = opaque.filter(|opaque| !opaque.contains('"')).ok_or(NoTag)?;
    Ok(opaque.parse().ok().filter(|_| !is_weak))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(body: Json, tag: Option<&'static str>) -> Result<Wanted, Vec<String>> {
        let mut headers = HeaderMap::new();
        if let Some(tag) = tag {
            headers.insert(IF_MATCH, HeaderValue::from_static(tag));
        }
        change(Some(&body), &headers).map_err(|problem| {
            let (status, body) = problem.status_and_body();
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
            let detail = body["detail"].as_array().cloned().unwrap_or_default();
            detail.iter().map(|wrong| format!("{} {}", wrong["loc"], wrong["msg"])).collect()
        })
    }

    #[test]
    fn settings_are_named_as_in_the_environment() {
        let (values, expected) =
            read(json!({"MAX_REPLICAS": 30, "AUTO_DELETE": "on", "revision": 4}), Some("\"4\"")).unwrap();
        let wanted = [(Name::MaxReplicas, Value::Count(30)), (Name::AutoDelete, Value::Flag(true))];
        assert_eq!((values, expected), (wanted.into(), condition(&[4])));
        let in_body = read(json!({"revision": 4}), None).unwrap().1.unwrap();
        assert_eq!((in_body.revisions(), in_body.refusal()), ([4].into(), StatusCode::CONFLICT));
        let in_header = read(json!({"revision": 4}), Some("\"4\", \"5\"")).unwrap().1.unwrap();
        assert_eq!(in_header.revisions(), [4].into(), "both hold");
        assert_eq!(in_header.refusal(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(read(json!({}), None).unwrap(), (BTreeMap::new(), None));
    }

    fn condition(revisions: &[u64]) -> Option<Expected> {
        Some(Expected::Condition(revisions.iter().copied().collect()))
    }

    #[test]
    fn a_list_of_tags_names_each_of_its_revisions_and_weak_ones_match_nothing() {
        for (tags, expected) in [
            ("\"7\"", condition(&[7])),
            ("\"7\",  \"9\" ,", condition(&[7, 9])),
            ("W/\"7\"", condition(&[])),
            ("W/\"7\", \"8\"", condition(&[8])),
            ("\"of something else\"", condition(&[])),
            ("*", None),
        ] {
            assert_eq!(read(json!({}), Some(tags)).unwrap().1, expected, "{tags}");
        }
        for wrong in
            ["", "7", "\"7", "7\"", "*, \"7\"", "w/\"7\"", "\"7\" \"8\"", "\"99999999999999999999\", x"]
        {
            assert!(read(json!({}), Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_wrong_name_and_value_is_named() {
        let body = json!({"MAX_REPLICAS": 0, "MAX_REPLICA": 1, "APP_PORT": 80, "IDLE_TTL_S": null, "x": 1});
        let said = read(body, Some("soon")).unwrap_err().join("\n");
        for part in [
            r#"["body","MAX_REPLICAS"]"#,
            "below 1; accepted: a whole number from 1 to 65535",
            r#"["body","MAX_REPLICA"]"#,
            "did you mean MAX_REPLICAS?",
            r#"["body","APP_PORT"]"#,
            "a setting of each node",
            r#"["body","IDLE_TTL_S"]"#,
            "not a number",
            r#"["body","x"]"#,
            r#"["header","If-Match"]"#,
        ] {
            assert!(said.contains(part), "no {part} in {said}");
        }
        assert!(read(json!({"revision": 3}), Some("\"4\"")).is_err(), "two revisions");
        for body in [
            json!([]),
            json!("x"),
            json!({"revision": -1}),
            json!({"revision": "x"}),
            json!({"revision": u64::MAX}),
        ] {
            assert!(read(body, None).is_err());
        }
        assert!(change(None, &HeaderMap::new()).is_err());
    }

    #[test]
    fn a_revert_names_a_revision() {
        let read = |body: Json| revert(Some(&body), &HeaderMap::new()).ok();
        assert_eq!(read(json!({"revision": 3})), Some((3, None)));
        for wrong in [
            json!({}),
            json!({"revision": 0}),
            json!({"revision": -3}),
            json!({"revision": u64::MAX}),
            json!({"revision": null}),
            json!(3),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
