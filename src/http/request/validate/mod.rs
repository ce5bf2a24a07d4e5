//! Checks the JSON of a call and collects all violations, in the form that clients know: `{"type", "loc", "msg", "input", "ctx"?}`.
//!
//! - `checker`: collects violations
//! - `place`: a value or an object in the body
//! - `collections`: objects and lists whose entries are alike
//! - `integer`: whole numbers in all the forms that clients send

mod checker;
mod collections;
mod integer;
mod place;

pub(crate) use checker::Checker;
pub(crate) use collections::TextLimits;
pub(crate) use integer::parse_integer;
pub(crate) use place::{Fields, Place, URL_MAX, Unknown};
