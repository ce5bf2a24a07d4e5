//! Requests: who sends them, what they say, and until when an answer is due.
//!
//! - [`path`]: one spelling for every path
//! - [`call`]: calls that change something, with their deadlines
//! - [`auth`]: who may make them; [`visitors`]: what an open node does not do for web pages
//! - [`body`], [`content_type`]: how much may be sent, and as what
//! - [`query`], [`validate`]: what is wrong with parameters and bodies

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod content_type;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod validate;
pub(crate) mod visitors;
