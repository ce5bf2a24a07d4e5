//! Who may call the API of this node.
//!
//! - [`rule`]: what the settings of this node say
//! - [`files`]: keys and tokens in files of this host
//! - [`session`]: what a caller gets for a key, and shows from then on
//! - [`announce`]: what the log says about it at start

mod announce;
mod files;
mod rule;
pub(crate) mod session;

pub use announce::announce;
pub(crate) use files::{NewKey, drop_new_key, fresh_key, keep_new_key, new_key};
pub use files::{keys_here, make_key, make_token, token_here};
pub use rule::{hash, of_settings};
