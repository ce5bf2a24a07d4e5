//! JSON as strict as Go's decoder with the real client's types.
//!
//! Go's rules: unknown fields are ignored, `null` leaves a field at its zero value, numbers for
//! integer fields must be integers, and one value of the wrong type fails the whole document.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Decodes a body that is one object.
///
/// # Errors
/// What is wrong, with the path of the offending value.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    object(parse(body)?)
}

/// Decodes a body that is a bare array of objects; `null` is an empty one.
///
/// # Errors
/// As [`decode`].
pub fn decode_list<T: DeserializeOwned + Default>(body: &[u8]) -> Result<Vec<T>, String> {
    let items = match parse(body)? {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => return Err(format!("a bare array was expected, not {}", kind(&other))),
    };
    let items = items.into_iter().enumerate();
    items
        .map(|(index, item)| match item {
            Value::Null => Ok(T::default()),
            item => object(item).map_err(|error| format!("[{index}].{error}")),
        })
        .collect()
}

fn parse(body: &[u8]) -> Result<Value, String> {
    // Go replaces invalid UTF-8, and of a repeated key the last value counts.
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(&text).map_err(|e| format!("not JSON: {e}"))
}

/// A struct out of an object and nothing else; by itself serde takes an array of fields as well.
fn object<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    if !value.is_object() {
        return Err(format!("an object was expected, not {}", kind(&value)));
    }
    serde_path_to_error::deserialize(value).map_err(|e| format!("{}: {}", e.path(), e.inner()))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An object, `null` is none.
pub(super) fn nested<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Option::<Value>::deserialize(deserializer)?;
    value.map(object).transpose().map_err(D::Error::custom)
}

/// An object, `null` is one of zero values.
pub(super) fn nested_or_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(nested(deserializer)?.unwrap_or_default())
}

/// `null` is the zero value.
pub(super) fn or_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A time as Go's `time.Time` takes it: RFC 3339 with `T` and an offset, nothing looser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoTime(pub jiff::Timestamp);

impl<'de> Deserialize<'de> for GoTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_time(&text)
            .map(GoTime)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no RFC 3339 time with offset")))
    }
}

fn parse_time(text: &str) -> Option<jiff::Timestamp> {
    // The shape first, because the parser below takes more than Go does.
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let (fixed, rest) = bytes.split_at_checked(SHAPE.len())?;
    if !matches_shape(fixed, SHAPE) || fixed[17] > b'5' {
        return None;
    }
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    let offset_ok =
        rest == b"Z" || (matches!(rest.first(), Some(b'+' | b'-')) && matches_shape(&rest[1..], b"dd:dd"));
    if !offset_ok {
        return None;
    }
    // More digits than nanoseconds are cut by Go and refused by the parser.
    match text.split_once('.') {
        Some((_, tail)) if tail.bytes().take_while(u8::is_ascii_digit).count() > 9 => {
            let end = text.len() - rest.len();
            format!("{}{}", &text[..SHAPE.len() + 10], &text[end..]).parse().ok()
        }
        _ => text.parse().ok(),
    }
}

fn matches_shape(bytes: &[u8], shape: &[u8]) -> bool {
    bytes.len() == shape.len()
        && bytes.iter().zip(shape).all(|(b, s)| match s {
            b'd' => b.is_ascii_digit(),
            _ => b == s,
        })
}
