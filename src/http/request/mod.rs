//! Requests: who sends them, what they say, and until when an answer is due.
//!
//! - [`path`]: the canonical form of a path; [`doubled`]: what may be said once only
//! - [`call`]: calls that change something, with their deadlines
//! - [`auth`]: who may make them; [`shown`]: what they show; [`door`]: who has shown it; [`known`]: who that is; [`pass`]: for how long answers go on; [`refusals`]: who may not is counted; [`visitors`]: which web pages may call an open node;
//!   [`rates`]: how often
//! - [`forwarded`]: whom a proxy has signed in
//! - [`body`], [`content_type`]: size and type of bodies
//! - [`resume`]: where a reader goes on
//! - [`query`], [`validate`]: parameters and bodies, and what is wrong with them

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod content_type;
mod door;
pub(crate) mod doubled;
pub(crate) mod forwarded;
pub(crate) mod guesses;
pub(crate) mod known;
pub(crate) mod origin;
pub(crate) mod pass;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod rates;
pub(crate) mod refusals;
pub(crate) mod resume;
pub(crate) mod shown;
pub(crate) mod validate;
pub(crate) mod visitors;
