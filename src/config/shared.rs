//! Values of cluster-wide settings as text and as JSON, by the same parsers for the environment and for callers.

use acefleet_registry::settings::{Form, Name, Value};
use serde_json::{Value as Json, json};

use super::parse::{self, Reason};

/// The value that a text gives a setting, as the environment has it.
///
/// # Errors
/// Why it is none.
pub fn from_text(name: Name, text: &str) -> Result<Value, Reason> {
    let millis = |ms: u64| ms as f64 / 1_000.0;
    match name.form() {
        Form::Count { min, max } => {
            let number = parse::count(text, min, max)?;
            u32::try_from(number).map(Value::Count).map_err(|_| "too large".into())
        }
        Form::Millis { min, max } => {
            let duration = parse::seconds(text, millis(min), millis(max))?;
            u64::try_from(duration.as_millis()).map(Value::Millis).map_err(|_| "too large".into())
        }
        Form::Flag => parse::flag(text).map(Value::Flag),
        Form::Ports => parse::ports(text).map(Value::Ports),
        Form::Label => parse::label(text).map(Value::Label),
    }
}

/// The value that a caller gives a setting: a number, true or false where that is its form, or the text of the environment.
///
/// # Errors
/// Why it is none.
pub fn from_json(name: Name, json: &Json) -> Result<Value, Reason> {
    let text = match (name.form(), json) {
        (_, Json::String(text)) => text.trim().to_owned(),
        (Form::Flag, Json::Bool(flag)) => flag.to_string(),
        // Not as JSON writes it: `20.0` and `1e3` are numbers, and no texts for them.
        (Form::Count { .. } | Form::Millis { .. }, Json::Number(number)) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        (Form::Count { .. } | Form::Millis { .. }, _) => return Err("not a number".into()),
        (Form::Flag, _) => return Err("neither true nor false".into()),
        (Form::Ports | Form::Label, _) => return Err("not a text".into()),
    };
    from_text(name, &text)
}

/// A value as callers see it, which [`from_json`] takes back. Durations are seconds.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Count(number) => json!(number),
        Value::Millis(ms) if ms % 1_000 == 0 => json!(ms / 1_000),
        Value::Millis(ms) => json!(*ms as f64 / 1_000.0),
        Value::Flag(flag) => json!(flag),
        Value::Ports(range) => json!(range.to_string()),
        Value::Label(label) => json!(label),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use acefleet_registry::Policy;

    use super::*;

    #[test]
    fn what_callers_see_is_what_they_may_send() {
        let odd = Policy { startup_timeout_ms: 1_500, grace_ms: 0, ..Policy::default() };
        for policy in [Policy::default(), odd] {
            for (name, value) in Name::ALL.into_iter().zip(policy.values()) {
                assert_eq!(from_json(name, &to_json(&value)), Ok(value), "{name}");
            }
        }
    }

    #[test]
    fn values_of_callers_are_checked_as_those_of_the_environment() {
        for (name, json, expected) in [
            (Name::MaxReplicas, json!("30"), Some(Value::Count(30))),
            (Name::MaxReplicas, json!(30), Some(Value::Count(30))),
            (Name::MaxReplicas, json!(30.0), Some(Value::Count(30))),
            (Name::MaxReplicas, json!(3e1), Some(Value::Count(30))),
            (Name::MaxReplicas, json!(30.5), None),
            (Name::MaxReplicas, json!(1e300), None),
            (Name::MaxReplicas, json!(-1), None),
            (Name::MaxReplicas, json!(0), None),
            (Name::MaxReplicas, json!(u64::MAX), None),
            (Name::MaxReplicas, json!(true), None),
            (Name::MaxReplicas, json!(null), None),
            (Name::MaxReplicas, json!([30]), None),
            (Name::Grace, json!(1e3), Some(Value::Millis(1_000_000))),
            (Name::Grace, json!(" 0.5 "), Some(Value::Millis(500))),
            (Name::Grace, json!(-0.5), None),
            (Name::Grace, json!(1e300), None),
            (Name::AutoDelete, json!("yes"), Some(Value::Flag(true))),
            (Name::AutoDelete, json!(1), None),
            (Name::HostPorts, json!(19000), None),
            (
                Name::HostPorts,
                json!("19000 - 19000"),
                Some(Value::Ports(acefleet_registry::policy::PortRange { first: 19_000, last: 19_000 })),
            ),
            (Name::ContainerLabel, json!("a"), None),
            (Name::ContainerLabel, json!(""), None),
        ] {
            assert_eq!(from_json(name, &json).ok(), expected, "{name} {json}");
        }
    }
}
