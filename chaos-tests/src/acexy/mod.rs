//! A client that behaves call for call like the real Acexy, and complains where the real one would
//! silently do something else than the orchestrator meant.
//!
//! It must not be friendlier than the real client: no retry, no tolerance, no knowledge of the
//! cluster that Acexy does not have.
//!
//! | module | contents |
//! |---|---|
//! | [`config`] | addresses, key, timers; the defaults are the real client's |
//! | `dial` | connections to fixed addresses, and whether one has answered before |
//! | [`wire`] | one HTTP call as Go's client makes it: abort at the limit, redirects, gzip |
//! | [`decode`] | JSON as strict as Go's decoder |
//! | [`records`] | the fields and types that are decoded |
//! | [`events`] | the bodies that are sent |
//! | [`select`] | which engine is taken |
//! | [`orchestrator`] | the six calls, each answer judged |
//! | [`provision`] | attempts and waits when no engine has room |
//! | [`engine`] | getstream, playback and stop on the engine, and the check of the bytes |
//! | `taken` | which engines the client's own plays are on, to find answers that leave one out |
//! | `choose` | from the player's request to an engine, or to none |
//! | `shared` | the version of October: viewers of one content share a session |
//! | [`client`] | the client itself: poll, one play from start to end |
//! | [`load`] | many plays |
//! | [`report`] | what came out |

mod choose;
pub mod client;
pub mod config;
pub mod decode;
mod dial;
pub mod engine;
pub mod events;
pub mod load;
pub mod orchestrator;
pub mod provision;
pub mod records;
pub mod report;
pub mod select;
mod shared;
mod taken;
pub mod wire;

pub use client::{Acexy, Content, PlaySpec};
pub use config::{Config, Timers, Version};
pub use load::{Load, LoadReport};
pub use report::{Call, Complaint, Outcome, PlayReport};
