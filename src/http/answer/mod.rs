//! Answers: which state they show, how they are reused, and how errors look.
//!
//! - [`snapshot`]: the state that a read sees, and how fresh it is
//! - [`rendered`]: answers rendered once for each state
//! - [`headers`]: headers that identify the state
//! - [`problem`]: error answers; [`code`]: the words by which machines tell them apart
//! - [`packed`] (gzip), [`cors`], [`methods`] (`HEAD`, `OPTIONS`)
//! - [`sse`]: answers that stream events
//! - [`time`]: timestamps as clients parse them

pub(crate) mod code;
pub(crate) mod cors;
pub(crate) mod headers;
pub(crate) mod methods;
pub(crate) mod packed;
pub(crate) mod problem;
pub(crate) mod rendered;
pub(crate) mod snapshot;
pub(crate) mod sse;
pub(crate) mod time;
