//! Helpers without a subject of their own. Nothing here knows Raft or Acefleet.

mod blocking;
pub(crate) mod codec;
pub(crate) mod files;
pub(crate) mod seldom;
pub(crate) mod span;

pub(crate) use blocking::blocking;
