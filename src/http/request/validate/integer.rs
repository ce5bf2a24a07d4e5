//! Whole numbers, as leniently as clients expect.

use serde_json::Value;

/// Kind and message of a violation.
pub(super) type Wrong = (&'static str, &'static str);

const INT_TYPE: Wrong = ("int_type", "Input should be a valid integer");
const INT_PARSING: Wrong =
    ("int_parsing", "Input should be a valid integer, unable to parse string as an integer");
const INT_FROM_FLOAT: Wrong =
    ("int_from_float", "Input should be a valid integer, got a number with a fractional part");
const INT_SIZE: Wrong = (
    "int_parsing_size",
    "Input should be a whole number of at most 64 bits, from -9223372036854775808 to 9223372036854775807",
);

/// A whole number; true and false are 1 and 0.
pub(super) fn as_integer(value: &Value) -> Result<i64, Wrong> {
    match value {
        Value::Bool(yes) => Ok(i64::from(*yes)),
        Value::String(text) => parse_integer(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Ok(number),
            (None, Some(float)) if float.fract() != 0.0 => Err(INT_FROM_FLOAT),
            // From there on a cast would give another number.
            (None, Some(float)) if float.abs() >= i64::MAX as f64 => Err(INT_SIZE),
            (None, Some(float)) => Ok(float as i64),
            (None, None) => Err(INT_TYPE),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Err(INT_TYPE),
    }
}

/// A whole number in a text, for paths, queries and bodies.
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
    use serde_json::json;

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
            (json!(i64::MAX), Ok(i64::MAX)),
            (json!(u64::MAX), Err("int_parsing_size")),
            (json!(1e19), Err("int_parsing_size")),
            (json!(-1e19), Err("int_parsing_size")),
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
}
