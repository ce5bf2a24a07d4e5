//! A place in the body of a request, and checks of its value.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};
use strum::IntoStaticStr;
use url::Url;

use crate::http::request::validate::checker::Checker;
use crate::http::request::validate::integer::as_integer;

/// Longest URL, before and after encoding.
pub(crate) const URL_MAX: usize = 2_083;

/// What a name stands for that nothing has, as the `type` of its violation says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub(crate) enum Unknown {
    #[strum(serialize = "unknown_member")]
    Member,
    #[strum(serialize = "unknown_setting")]
    Setting,
}

/// A place in a request, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(super) loc: Vec<Value>,
    pub(super) value: Option<&'a Value>,
    pub(super) parent: &'a Value,
}

pub(super) const NOTHING: Value = Value::Null;

impl<'a> Place<'a> {
    /// The body of a request.
    pub fn body(value: Option<&'a Value>) -> Self {
        Self { loc: vec![json!("body")], value, parent: &NOTHING }
    }

    pub(super) fn wrong(&self, checker: &mut Checker, kind: &str, msg: &str, ctx: Option<Value>) {
        checker.add(kind, &self.loc, msg, self.value.unwrap_or(&NOTHING), ctx);
    }

    /// Notes a violation of a rule of our own.
    pub fn refuse(&self, checker: &mut Checker, reason: &str) {
        self.wrong(
            checker,
            "value_error",
            &format!("Value error, {reason}"),
            Some(json!({ "error": reason })),
        );
    }

    /// Notes a name that nothing has, and the one that may be meant. Programs tell people in their own words how names are found.
    pub fn unknown(&self, checker: &mut Checker, of: Unknown, reason: &str, meant: Option<&str>) {
        let ctx = match meant {
            Some(meant) => json!({ "error": reason, "meant": meant }),
            None => json!({ "error": reason }),
        };
        self.wrong(checker, of.into(), &format!("Value error, {reason}"), Some(ctx));
    }

    /// The value, or a violation when there is none.
    pub(super) fn present(&self, checker: &mut Checker) -> Option<&'a Value> {
        if self.value.is_none() {
            checker.add("missing", &self.loc, "Field required", self.parent, None);
        }
        self.value
    }

    /// Absent and null are the same.
    pub(super) fn given(&self) -> Option<&'a Value> {
        self.value.filter(|value| !value.is_null())
    }

    /// An object with fields.
    pub fn object(&self, checker: &mut Checker) -> Fields<'a> {
        let map = match self.present(checker) {
            Some(Value::Object(map)) => Some(map),
            Some(_) => {
                let msg = "Input should be a valid dictionary or object to extract fields from";
                self.wrong(checker, "model_attributes_type", msg, None);
                None
            }
            None => None,
        };
        Fields { loc: self.loc.clone(), map, whole: self.value.unwrap_or(&NOTHING) }
    }

    /// A text of at most `max` bytes, without control characters except tabs and line breaks. Empty if it is wrong.
    pub fn string(&self, checker: &mut Checker, max: usize) -> String {
        match self.present(checker) {
            Some(Value::String(text)) if text.len() > max => {
                let msg = format!("String should have at most {max} bytes");
                self.wrong(checker, "string_too_long", &msg, Some(json!({ "max_length": max })));
                String::new()
            }
            Some(Value::String(text)) if has_controls(text) => {
                self.refuse(checker, "control characters are not allowed");
                String::new()
            }
            Some(Value::String(text)) => text.clone(),
            Some(_) => {
                self.wrong(checker, "string_type", "Input should be a valid string", None);
                String::new()
            }
            None => String::new(),
        }
    }

    /// A text, or none.
    pub fn optional_string(&self, checker: &mut Checker, max: usize) -> Option<String> {
        self.given().map(|_| self.string(checker, max))
    }

    /// A whole number; also texts of digits, numbers like `1.0`, true and false.
    pub fn integer(&self, checker: &mut Checker) -> Option<i64> {
        let value = self.present(checker)?;
        match as_integer(value) {
            Ok(number) => Some(number),
            Err((kind, msg)) => {
                self.wrong(checker, kind, msg, None);
                None
            }
        }
    }

    /// A whole number within `range`, or none.
    pub fn optional_integer(&self, checker: &mut Checker, range: RangeInclusive<i64>) -> Option<i64> {
        let number = self.given().and_then(|_| self.integer(checker))?;
        self.within(checker, number, range);
        Some(number)
    }

    fn within(&self, checker: &mut Checker, number: i64, range: RangeInclusive<i64>) {
        let (low, high) = range.into_inner();
        if number < low {
            let msg = format!("Input should be greater than or equal to {low}");
            self.wrong(checker, "greater_than_equal", &msg, Some(json!({ "ge": low })));
        } else if number > high {
            let msg = format!("Input should be less than or equal to {high}");
            self.wrong(checker, "less_than_equal", &msg, Some(json!({ "le": high })));
        }
    }

    /// A port within `range`; its lower bound if it is wrong.
    pub fn port(&self, checker: &mut Checker, range: RangeInclusive<u16>) -> u16 {
        let (low, high) = range.into_inner();
        let Some(number) = self.integer(checker) else { return low };
        self.within(checker, number, i64::from(low)..=i64::from(high));
        u16::try_from(number).unwrap_or(low)
    }

    /// A port, or none.
    pub fn optional_port(&self, checker: &mut Checker, range: RangeInclusive<u16>) -> Option<u16> {
        self.given().map(|_| self.port(checker, range))
    }

    /// One of the given words.
    pub fn one_of<T: Copy>(&self, checker: &mut Checker, words: &[(&str, T)]) -> Option<T> {
        let value = self.present(checker)?;
        let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if found.is_none() {
            let quoted: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            let expected = match quoted.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => quoted.concat(),
            };
            let msg = format!("Input should be {expected}");
            self.wrong(checker, "literal_error", &msg, Some(json!({ "expected": expected })));
        }
        found.map(|(_, value)| *value)
    }

    /// An `http` or `https` URL in its normal form, or an empty text, which some clients send.
    pub fn http_url(&self, checker: &mut Checker) -> String {
        let text = match self.present(checker) {
            Some(Value::String(text)) => text.trim(),
            Some(_) => {
                self.wrong(checker, "url_type", "URL input should be a string or URL", None);
                return String::new();
            }
            None => return String::new(),
        };
        if text.is_empty() {
            return String::new();
        }
        if text.len() > URL_MAX {
            let msg = format!("URL should have at most {URL_MAX} characters");
            self.wrong(checker, "url_too_long", &msg, Some(json!({ "max_length": URL_MAX })));
            return String::new();
        }
        match Url::parse(text) {
            // Encoding makes several bytes of one character.
            Ok(url) if url.as_str().len() > URL_MAX => {
                let msg = format!("URL should have at most {URL_MAX} characters when it is encoded");
                self.wrong(checker, "url_too_long", &msg, Some(json!({ "max_length": URL_MAX })));
                String::new()
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") => url.to_string(),
            Ok(_) => {
                let ctx = json!({ "expected_schemes": "'http' or 'https'" });
                self.wrong(checker, "url_scheme", "URL scheme should be 'http' or 'https'", Some(ctx));
                String::new()
            }
            Err(error) => {
                let msg = format!("Input should be a valid URL, {error}");
                self.wrong(checker, "url_parsing", &msg, Some(json!({ "error": error.to_string() })));
                String::new()
            }
        }
    }
}

/// The fields of an object. Unknown ones are ignored.
pub(crate) struct Fields<'a> {
    pub(super) loc: Vec<Value>,
    pub(super) map: Option<&'a Map<String, Value>>,
    pub(super) whole: &'a Value,
}

impl<'a> Fields<'a> {
    /// The place of a field, present or not.
    pub fn at(&self, name: &str) -> Place<'a> {
        let mut loc = self.loc.clone();
        loc.push(json!(name));
        Place { loc, value: self.map.and_then(|map| map.get(name)), parent: self.whole }
    }

    /// Whether there is an object at all.
    pub fn exist(&self) -> bool {
        self.map.is_some()
    }
}

/// Control characters grow when encoded as JSON, and can hide text in logs.
pub(super) fn has_controls(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::validate::checker::VIOLATIONS_MAX;

    fn url(value: Value) -> Result<String, Value> {
        let mut checker = Checker::default();
        let found = Place::body(Some(&value)).http_url(&mut checker);
        match checker.found.first() {
            None => Ok(found),
            Some(violation) => Err(json!(violation.kind)),
        }
    }

    #[test]
    fn urls_are_normalised_and_may_be_empty() {
        assert_eq!(url(json!("")), Ok(String::new()));
        assert_eq!(url(json!("HTTP://Host:80/A?b=C")), Ok("http://host/A?b=C".to_owned()));
        assert_eq!(url(json!("https://host")), Ok("https://host/".to_owned()));
        assert_eq!(url(json!("ftp://host/")), Err(json!("url_scheme")));
        assert_eq!(url(json!("host/path")), Err(json!("url_parsing")));
        assert_eq!(url(json!("http://host:99999/")), Err(json!("url_parsing")));
        assert_eq!(url(json!(5)), Err(json!("url_type")));
        assert_eq!(url(json!(format!("http://h/{}", "x".repeat(URL_MAX)))), Err(json!("url_too_long")));
        // Short as it is sent, three times as long encoded.
        assert_eq!(url(json!(format!("http://h/{}", "ä".repeat(900)))), Err(json!("url_too_long")));
    }

    #[test]
    fn violations_and_echoes_are_bounded() {
        let items: Vec<Value> = (0..500).map(|_| json!("x".repeat(5_000))).collect();
        let list = json!(items);
        let mut checker = Checker::default();
        Place::body(Some(&list)).list(&mut checker, 1_000, |checker, item| item.integer(checker));
        assert_eq!(checker.found.len(), VIOLATIONS_MAX);
        assert!(checker.found.iter().all(|violation| violation.input.is_null()));
    }
}
