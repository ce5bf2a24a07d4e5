//! Checks JSON against what an operation takes and collects everything that is wrong, in the words that
//! clients of the API know: `{"type", "loc", "msg", "input", "ctx"?}`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};
use url::Url;

use crate::http::problem::{Problem, Violation};

/// More violations than this are not listed.
const VIOLATIONS_MAX: usize = 100;
/// Inputs longer than this are not sent back.
const ECHO_MAX: usize = 2_048;
/// Longest URL that is taken.
const URL_MAX: usize = 2_083;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    found: Vec<Violation>,
}

impl Checker {
    /// Notes a violation.
    pub fn add(
        &mut self,
        kind: &str,
        loc: &[Value],
        msg: impl Into<String>,
        input: &Value,
        ctx: Option<Value>,
    ) {
        if self.found.len() < VIOLATIONS_MAX {
            let violation = Violation {
                kind: kind.to_owned(),
                loc: loc.to_vec(),
                msg: msg.into(),
                input: echo(input),
                ctx,
            };
            self.found.push(violation);
        }
    }

    /// Ends the check.
    ///
    /// # Errors
    /// 422 when anything was wrong.
    pub fn finish(self) -> Result<(), Problem> {
        match self.found.is_empty() {
            true => Ok(()),
            false => Err(Problem::invalid(self.found)),
        }
    }
}

fn echo(input: &Value) -> Value {
    let long = match input {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.len() > ECHO_MAX,
        Value::Array(_) | Value::Object(_) => input.to_string().len() > ECHO_MAX,
    };
    if long { Value::Null } else { input.clone() }
}

/// A place in a request: where it is and what is there.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    loc: Vec<Value>,
    value: Option<&'a Value>,
    parent: &'a Value,
}

const NOTHING: Value = Value::Null;

impl<'a> Place<'a> {
    /// The body of a request.
    pub fn body(value: Option<&'a Value>) -> Self {
        Self { loc: vec![json!("body")], value, parent: &NOTHING }
    }

    fn wrong(&self, checker: &mut Checker, kind: &str, msg: &str, ctx: Option<Value>) {
        checker.add(kind, &self.loc, msg, self.value.unwrap_or(&NOTHING), ctx);
    }

    /// A rule of our own that has no name among the standard ones.
    pub fn refuse(&self, checker: &mut Checker, reason: &str) {
        self.wrong(
            checker,
            "value_error",
            &format!("Value error, {reason}"),
            Some(json!({ "error": reason })),
        );
    }

    /// The value, or a violation when there is none.
    fn present(&self, checker: &mut Checker) -> Option<&'a Value> {
        if self.value.is_none() {
            checker.add("missing", &self.loc, "Field required", self.parent, None);
        }
        self.value
    }

    /// Absent and null are the same.
    fn given(&self) -> Option<&'a Value> {
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

    /// A text of at most `max` characters. Empty when it is wrong.
    pub fn string(&self, checker: &mut Checker, max: usize) -> String {
        match self.present(checker) {
            Some(Value::String(text)) => {
                if text.len() > max && text.chars().count() > max {
                    let msg = format!("String should have at most {max} characters");
                    self.wrong(checker, "string_too_long", &msg, Some(json!({ "max_length": max })));
                }
                text.clone()
            }
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

    /// A whole number. Texts of digits, fractions of zero, true and false count, as the clients know it.
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

    /// A port within `range`. The lower bound when it is wrong.
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

    /// An `http` or `https` URL in its normal form, or the empty text, which clients really send.
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

    /// An object whose entries are all of one kind; none when absent. `read` checks one entry.
    pub fn entries<T>(
        &self,
        checker: &mut Checker,
        max: usize,
        mut read: impl FnMut(&mut Checker, &str, Place<'a>) -> T,
    ) -> BTreeMap<String, T> {
        let map = match self.value {
            None => return BTreeMap::new(),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.wrong(checker, "dict_type", "Input should be a valid dictionary", None);
                return BTreeMap::new();
            }
        };
        if self.is_too_long(checker, "Dictionary", map.len(), max) {
            return BTreeMap::new();
        }
        let whole = self.value.unwrap_or(&NOTHING);
        let fields = Fields { loc: self.loc.clone(), map: Some(map), whole };
        map.keys().map(|key| (key.clone(), read(checker, key, fields.at(key)))).collect()
    }

    /// Texts by name, keys and values bounded.
    pub fn strings(&self, checker: &mut Checker, max: usize, longest: usize) -> BTreeMap<String, String> {
        self.entries(checker, max, |checker, key, place| {
            if key.len() > longest {
                place.refuse(checker, "the name is too long");
            }
            if key.contains('\0')
                || place.value.and_then(Value::as_str).is_some_and(|text| text.contains('\0'))
            {
                place.refuse(checker, "NUL characters are not allowed");
            }
            place.string(checker, longest)
        })
    }

    /// A list; empty when absent. `read` checks one item.
    pub fn list<T>(
        &self,
        checker: &mut Checker,
        max: usize,
        mut read: impl FnMut(&mut Checker, Place<'a>) -> T,
    ) -> Vec<T> {
        let items = match self.value {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.wrong(checker, "list_type", "Input should be a valid list", None);
                return Vec::new();
            }
        };
        if self.is_too_long(checker, "List", items.len(), max) {
            return Vec::new();
        }
        let whole = self.value.unwrap_or(&NOTHING);
        let place = |(index, item)| {
            let mut loc = self.loc.clone();
            loc.push(json!(index));
            Place { loc, value: Some(item), parent: whole }
        };
        items.iter().enumerate().map(place).map(|place| read(checker, place)).collect()
    }

    fn is_too_long(&self, checker: &mut Checker, what: &str, len: usize, max: usize) -> bool {
        if len > max {
            let msg = format!("{what} should have at most {max} items after validation, not {len}");
            let ctx = json!({ "field_type": what, "max_length": max, "actual_length": len });
            self.wrong(checker, "too_long", &msg, Some(ctx));
        }
        len > max
    }
}

/// The fields of an object. Unknown ones are ignored.
pub(crate) struct Fields<'a> {
    loc: Vec<Value>,
    map: Option<&'a Map<String, Value>>,
    whole: &'a Value,
}

impl<'a> Fields<'a> {
    /// The place of a field, whether or not it is there.
    pub fn at(&self, name: &str) -> Place<'a> {
        let mut loc = self.loc.clone();
        loc.push(json!(name));
        Place { loc, value: self.map.and_then(|map| map.get(name)), parent: self.whole }
    }

    /// Whether there is an object at all; when not, its fields need not be looked at.
    pub fn exist(&self) -> bool {
        self.map.is_some()
    }
}

type Wrong = (&'static str, &'static str);

const INT_TYPE: Wrong = ("int_type", "Input should be a valid integer");
const INT_PARSING: Wrong =
    ("int_parsing", "Input should be a valid integer, unable to parse string as an integer");
const INT_FROM_FLOAT: Wrong =
    ("int_from_float", "Input should be a valid integer, got a number with a fractional part");
const INT_SIZE: Wrong =
    ("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size");

fn as_integer(value: &Value) -> Result<i64, Wrong> {
    match value {
        Value::Bool(yes) => Ok(i64::from(*yes)),
        Value::String(text) => parse_integer(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Ok(number),
            (None, _) if number.is_u64() => Ok(i64::MAX),
            (None, Some(float)) if float.fract() != 0.0 => Err(INT_FROM_FLOAT),
            // Beyond 64 bits the cast stops at the limits, where every bound is crossed anyway.
            (None, Some(float)) => Ok(float as i64),
            (None, None) => Err(INT_TYPE),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Err(INT_TYPE),
    }
}

/// A whole number in a text, as paths, queries and lenient bodies have it.
pub(crate) fn parse_integer(text: &str) -> Result<i64, Wrong> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(INT_PARSING);
    }
    whole.parse().map_err(|_| INT_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(value: Value) -> Result<i64, &'static str> {
        as_integer(&value).map_err(|(kind, _)| kind)
    }

    #[test]
    fn integers_are_read_leniently() {
        for (value, expected) in [
            (json!(13101), Ok(13101)),
            (json!("13101"), Ok(13101)),
            (json!(" -5 "), Ok(-5)),
            (json!("+7"), Ok(7)),
            (json!("1.0"), Ok(1)),
            (json!(1.0), Ok(1)),
            (json!(true), Ok(1)),
            (json!(false), Ok(0)),
            (json!(u64::MAX), Ok(i64::MAX)),
            (json!(1.5), Err("int_from_float")),
            (json!("1.5"), Err("int_parsing")),
            (json!("1."), Err("int_parsing")),
            (json!(""), Err("int_parsing")),
            (json!("abc"), Err("int_parsing")),
            (json!("99999999999999999999"), Err("int_parsing_size")),
            (json!(null), Err("int_type")),
            (json!([1]), Err("int_type")),
            (json!({}), Err("int_type")),
        ] {
            assert_eq!(integer(value.clone()), expected, "{value}");
        }
    }

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
