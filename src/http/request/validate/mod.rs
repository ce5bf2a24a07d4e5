//! Checks JSON against what an operation takes and collects everything that is wrong, in the words that
//! clients of the API know: `{"type", "loc", "msg", "input", "ctx"?}`.
//!
//! - `checker`: what is wrong
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
pub(crate) use place::{Fields, Place, URL_MAX};
