//! Words of others on a terminal: names, messages, lines of logs.

use std::fmt::{self, Display, Formatter};

use serde::Deserialize;
use serde_json::Value;

/// Text of others as a terminal may show it: without what would steer the terminal, or turn the direction of the text behind it.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !is_hostile(*c)).collect()
}

fn is_hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of a node that a terminal may show.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Words(String);

impl From<String> for Words {
    fn from(text: String) -> Self {
        Self(shown(&text))
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text, a number, yes or no: a value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Scalar(String);

impl TryFrom<Value> for Scalar {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::Null => Ok(Self("-".to_owned())),
            Value::String(text) => Ok(Self(shown(&text))),
            Value::Bool(_) | Value::Number(_) => Ok(Self(value.to_string())),
            Value::Array(_) | Value::Object(_) => Err("a setting has a single value"),
        }
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A word that this version knows, or one of another version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Word<T> {
    /// One that has a meaning here.
    Known(T),
    /// One that is only shown.
    Other(Words),
}

/// The text, or a dash for nothing.
pub fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_settings_are_single_ones() {
        for (value, expected) in
            [(json!(3), "3"), (json!(true), "true"), (json!("a\u{1b}"), "a"), (json!(null), "-")]
        {
            assert_eq!(serde_json::from_value::<Scalar>(value).unwrap().to_string(), expected);
        }
        for value in [json!([]), json!({})] {
            assert!(serde_json::from_value::<Scalar>(value).is_err());
        }
    }
}
