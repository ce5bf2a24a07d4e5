//! Words of others on a terminal: names, messages, lines of logs.

use std::fmt::{self, Display, Formatter};

use serde::Deserialize;
use serde_json::Value;

/// Text of others as a terminal may show it: what would steer the terminal, or turn the direction of the text behind it, is written out
/// as `\u{202e}`.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // These part words, in one line as well.
            '\t' | '\n' | '\r' => shown.push(' '),
            c if is_hostile(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of a node that a terminal may show.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Words(String);

impl Words {
    /// Whether it is this name.
    pub fn is(&self, name: &str) -> bool {
        self.0 == shown(name)
    }
}

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
    fn what_steers_a_terminal_is_written_out() {
        let hostile = ('\0'..='\u{ffff}').filter(|c| {
            c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(c)
                || ('\u{2066}'..='\u{2069}').contains(c)
                || ['\u{200e}', '\u{200f}', '\u{61c}'].contains(c)
        });
        for c in hostile {
            let shown = shown(&format!("a{c}b"));
            assert!(!shown.contains(c), "{}", c.escape_unicode());
            let expected = match c {
                '\t' | '\n' | '\r' => "a b".to_owned(),
                c => format!("a{}b", c.escape_unicode()),
            };
            assert_eq!(shown, expected);
        }
        for text in ["Télé 5 Ñ", "קול", "日本", "a|b\\u{1b}", "👍🏽 a\u{301}"] {
            assert_eq!(shown(text), text);
        }
        let words: Words = serde_json::from_value(json!("x\u{9b}31m\u{202e}y")).unwrap();
        assert_eq!(words.to_string(), "x\\u{9b}31m\\u{202e}y");
    }

    #[test]
    fn values_of_settings_are_single_ones() {
        for (value, expected) in
            [(json!(3), "3"), (json!(true), "true"), (json!("a\u{1b}"), "a\\u{1b}"), (json!(null), "-")]
        {
            assert_eq!(serde_json::from_value::<Scalar>(value).unwrap().to_string(), expected);
        }
        for value in [json!([]), json!({})] {
            assert!(serde_json::from_value::<Scalar>(value).is_err());
        }
    }
}
